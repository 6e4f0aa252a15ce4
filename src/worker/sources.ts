// What the page gives to be read, as the session reads it: data files and models, from wherever they come.
// Not here: reading them (session/), downloading from a hub (hub.ts).

import type { DataSource, Issue } from '../contract';
import { decodeText } from '../data/text/textEncoding';
import { PlaygroundError } from '../errors';
import { folderFromFiles, folderFromUrl, type ModelFolder } from '../formats/huggingface';
import type { HubSource, LoadProgress, ModelSource } from '../modelContract';
import type { DataInput } from '../session/dataset';
import { type OpenedModel, openModel } from '../session/model';
import { readFromHub } from './hub';
import type { Store } from './storage';

const bytesOf = async (file: Blob) => new Uint8Array(await file.arrayBuffer());

export function inputOf(source: DataSource): DataInput {
  const { name, reading } = source;
  if (source.kind === 'text') return { name, content: source.text, choices: { reading } };
  return { name, content: source.file, choices: { encoding: source.encoding, reading } };
}

/**
 * The files of a model, without its weights.
 * @param hubStore where models from a hub are kept
 * @param signal ends what is on its way
 */
export async function openSource(
  source: ModelSource,
  hubStore: () => Promise<Store>,
  signal: AbortSignal,
  onProgress: (p: LoadProgress) => void,
): Promise<{ id: string; commit?: string; opened: OpenedModel }> {
  if (source.kind !== 'hub')
    return { id: source.id, opened: await openModel(folderOf(source, signal, onProgress)) };
  const options = { store: await hubStore(), signal, onProgress };
  return readFromHub(source, options, async (folder, origin) => ({
    ...origin,
    opened: await openModel(folder),
  }));
}

function folderOf(
  source: Exclude<ModelSource, HubSource>,
  signal: AbortSignal,
  onProgress: (p: LoadProgress) => void,
): ModelFolder {
  return source.kind === 'folder'
    ? folderFromUrl(source.url, (input, init) => fetch(input, { ...init, signal }), onProgress)
    : folderFromFiles(source.files);
}

/** The address of the page's folder, from that of `wasm/` in it. */
export const siteOf = (wasmPath: string) => new URL('../', new URL(wasmPath, location.href)).href;

export const loadCancelled = (id: string) =>
  new PlaygroundError({
    code: 'load_cancelled',
    message: `Loading ${id} was cancelled.`,
    fix: 'Choose a model.',
  });

/** The text of a source. @throws PlaygroundError of the first issue, where it is none */
export async function textOf(source: DataSource): Promise<string> {
  if (source.kind === 'text') return source.text;
  const { text, issues } = decodeText(await bytesOf(source.file), source.encoding);
  if (text !== null) return text;
  const { code, message, fix } = issues[0] as Issue;
  throw new PlaygroundError({ code, message, fix, where: source.name });
}
