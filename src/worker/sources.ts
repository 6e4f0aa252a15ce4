// What the page gives to be read, as the session reads it: data files and model folders.
// Not here: reading them (session/), models from a hub (hub.ts).

import type { DataSource } from '../contract';
import { PlaygroundError } from '../errors';
import { folderFromFiles, folderFromUrl, type ModelFolder } from '../formats/huggingface';
import type { HubSource, LoadProgress, ModelSource } from '../modelContract';
import type { DataInput } from '../session/dataset';

export const bytesOf = async (file: Blob) => new Uint8Array(await file.arrayBuffer());

export function inputOf(source: DataSource): DataInput {
  const { name, reading } = source;
  if (source.kind === 'text') return { name, content: source.text, choices: { reading } };
  return { name, content: source.file, choices: { encoding: source.encoding, reading } };
}

/** @param signal ends what is on its way */
export function folderOf(
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
