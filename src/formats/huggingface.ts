// A Hugging Face model folder, from files or an address: configuration, tokenizer, template and weights.
// Not here: what config.json means (architecture.ts), the tensor container (safetensors.ts), tensors on a device (engine/).

import { PlaygroundError } from '../errors';
import type { Architecture } from '../modelArchitecture';
import type { LoadProgress } from '../modelContract';
import { architectureFromConfig, canonicalName, expectedTensors, idList, tensorNames } from './architecture';
import { type RawConfig, record } from './families/config';
import { checkGenerationConfig, checkTemplates } from './jsonSchemas';
import { MAX_TENSORS, readSafetensors, type SafetensorsFile, tooManyTensors } from './safetensors';
import { chooseWeightFiles, SINGLE_FILE, shardsOf } from './weightFiles';

/** Files by path relative to the folder, `/` between parts. */
export interface ModelFolder {
  /** The known files; of a folder behind an address, those that were asked for. */
  list(): Promise<string[]> | string[];
  /** Asking whether a file is there asks a server, which logs an error where it is not. */
  askedByRequest?: boolean;
  has(path: string): Promise<boolean> | boolean;
  /** Throws `file_missing`, or what went wrong on the way. */
  open(path: string): Promise<Blob>;
}

export interface ModelWeights {
  /** Canonical names: those transformers saves, whatever the file calls them. Exactly the tensors of the architecture. */
  names: string[];
  /** How most of the bytes are stored: `F32`, `F16` or `BF16`. */
  dtype: string;
  totalBytes: number;
  /** Number of weights, a tied head counted once. */
  parameters: number;
  /** One tensor as floats. Only its bytes are read. */
  read(name: string): Promise<{ shape: number[]; data: Float32Array<ArrayBuffer> }>;
  /** One tensor's bytes as stored, for keeping frozen weights in 16 bits. */
  readRaw(name: string): Promise<{ shape: number[]; dtype: string; bytes: Uint8Array<ArrayBuffer> }>;
}

export interface ModelFiles {
  architecture: Architecture;
  /** config.json as it stands. */
  config: RawConfig;
  tokenizerJson: Record<string, unknown>;
  /** Empty when the folder has none. */
  tokenizerConfig: Record<string, unknown>;
  /** Null when the folder has none: the caller falls back to ChatML and says so. */
  chatTemplate: string | null;
  /** Empty when the folder has none. */
  generationConfig: Record<string, unknown>;
  weights: ModelWeights;
  /** Sentences the visitor should see; nothing that stops the model from working. */
  notices: string[];
}

function missing(path: string, there: string[]): PlaygroundError {
  const listed = there.slice(0, 12).join(', ') + (there.length > 12 ? ', …' : '');
  return new PlaygroundError({
    code: 'file_missing',
    message: `The model folder has no ${path}.${there.length > 0 ? ` It has: ${listed}.` : ''}`,
    fix: 'Take the whole folder of the model: config.json, tokenizer.json, tokenizer_config.json and the .safetensors files.',
    where: path,
  });
}

/** The directory of the one config.json beside a tokenizer.json; '' when it lies at the top, or when there are none or several. */
function modelDirectory(paths: readonly string[]): string {
  const directories = paths.flatMap((path) => {
    const directory = path.match(/^(.*\/)config\.json$/)?.[1];
    return directory !== undefined && paths.includes(`${directory}tokenizer.json`) ? [directory] : [];
  });
  return directories.length === 1 && !paths.includes('config.json') ? (directories[0] ?? '') : '';
}

/**
 * A folder from dropped or chosen files. A directory that all of them lie in is stripped; when config.json still lies deeper, and in
 * one place only (a dropped cache or a parent folder), that place is the folder.
 */
export function folderFromFiles(files: readonly { path: string; file: Blob }[]): ModelFolder {
  const parts = files.map(({ path }) =>
    path
      .replaceAll('\\', '/')
      .split('/')
      .filter((p) => p && p !== '.'),
  );
  let common = 0;
  while (parts.length > 0 && parts.every((p) => p.length > common + 1 && p[common] === parts[0]?.[common])) {
    common++;
  }
  const top = parts.map((p) => p.slice(common).join('/'));
  const directory = modelDirectory(top);
  const inFolder = top.map((path) => (path.startsWith(directory) ? path.slice(directory.length) : path));
  const byPath = new Map(files.map(({ file }, i) => [inFolder[i] as string, file]));
  return {
    list: () => [...byPath.keys()],
    has: (path) => byPath.has(path),
    open: async (path) => {
      const file = byPath.get(path);
      if (!file) throw missing(path, [...byPath.keys()]);
      return file;
    },
  };
}

/** Response bytes as a Blob; `onProgress` is called for every chunk. @throws PlaygroundError `download_incomplete` when the body ends early */
async function readBody(
  response: Response,
  file: string,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Blob> {
  // With a content encoding the header counts compressed bytes, which says nothing about the file.
  const plain = response.headers.get('content-encoding') === null;
  const totalBytes = plain ? Number(response.headers.get('content-length') ?? 0) : 0;
  if (!response.body) return response.blob();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let loadedBytes = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value as Uint8Array<ArrayBuffer>);
    loadedBytes += value.length;
    onProgress?.({ stage: 'download', file, loadedBytes, totalBytes: Math.max(totalBytes, loadedBytes) });
  }
  if (totalBytes > 0 && loadedBytes !== totalBytes) {
    throw new PlaygroundError({
      code: 'download_incomplete',
      message: `${file} came down with ${loadedBytes} of ${totalBytes} bytes.`,
      fix: 'Check the connection and try again.',
      where: file,
    });
  }
  return new Blob(chunks);
}

const downloadFailed = (message: string, fix: string, where: string, cause?: unknown) =>
  new PlaygroundError({ code: 'download_failed', message, fix, where }, { cause });

/** One file of a folder behind an address; null where the server has none. @throws PlaygroundError `download_failed`, `download_incomplete` */
async function download(
  base: string,
  path: string,
  fetchFile: typeof fetch,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Blob | null> {
  const address = base + path;
  const again = 'Check the connection and try again.';
  let response: Response;
  try {
    response = await fetchFile(address);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw downloadFailed(`${path} could not be fetched: ${reason}.`, again, address, cause);
  }
  // Servers of single-page apps answer an unknown address with their own page and status 200.
  const isPage = /^text\/html\b/.test(response.headers.get('content-type') ?? '') && !path.endsWith('.html');
  if (response.status === 404 || response.status === 410 || (response.ok && isPage)) return null;
  if (!response.ok) {
    const status = `${response.status} ${response.statusText}`.trim();
    throw downloadFailed(
      `${path} could not be fetched: the server answered ${status}.`,
      'Try again later, or load the model from files on this device.',
      address,
    );
  }
  try {
    return await readBody(response, path, onProgress);
  } catch (cause) {
    if (cause instanceof PlaygroundError) throw cause;
    throw downloadFailed(`The connection broke while ${path} was being fetched.`, again, address, cause);
  }
}

/**
 * A folder behind an address (the models that ship with the page). Files are fetched when first asked for and kept.
 * @param onProgress is called for every chunk
 * @throws PlaygroundError from `open` and `has`: `download_failed` with the file and the HTTP status, `download_incomplete`, `file_missing`
 */
export function folderFromUrl(
  baseUrl: string,
  fetchFile: typeof fetch = fetch,
  onProgress?: (progress: LoadProgress) => void,
): ModelFolder {
  const base = baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`;
  const kept = new Map<string, Promise<Blob | null>>();
  const get = (path: string): Promise<Blob | null> => {
    const known = kept.get(path);
    if (known) return known;
    const started = download(base, path, fetchFile, onProgress);
    kept.set(path, started);
    // A failure is not kept: the next call tries again.
    started.catch(() => kept.delete(path));
    return started;
  };
  return {
    askedByRequest: true,
    list: async () => {
      const there: string[] = [];
      for (const [path, blob] of kept) if (await blob.catch(() => null)) there.push(path);
      return there;
    },
    has: async (path) => (await get(path)) !== null,
    open: async (path) => {
      const blob = await get(path);
      if (!blob) {
        throw new PlaygroundError({
          code: 'file_missing',
          message: `There is no ${path} at ${base}.`,
          fix: 'Check that the address is that of a model folder and that all its files were uploaded.',
          where: path,
        });
      }
      return blob;
    },
  };
}

/** The largest tokenizer.json in use has 35 MB. */
const MAX_TEXT_BYTES = 200_000_000;

/** A file's text. @throws PlaygroundError `file_too_large`, before anything of it is read */
async function readText(folder: ModelFolder, path: string): Promise<string> {
  const blob = await folder.open(path);
  if (blob.size > MAX_TEXT_BYTES) {
    throw new PlaygroundError({
      code: 'file_too_large',
      message: `${path} has ${blob.size.toLocaleString('en')} bytes, and ${MAX_TEXT_BYTES.toLocaleString('en')} is the limit.`,
      fix: 'Take the file that came with the model.',
      where: path,
    });
  }
  return blob.text();
}

async function readJson(folder: ModelFolder, path: string): Promise<Record<string, unknown>> {
  const text = (await readText(folder, path)).replace(/^\uFEFF/, '');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (cause) {
    const lfs = text.startsWith('version https://git-lfs');
    throw new PlaygroundError(
      {
        code: lfs ? 'git_lfs_pointer' : 'bad_json_file',
        message: lfs
          ? `${path} is a Git LFS pointer: a note about where the file is, not the file.`
          : `${path} is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}.`,
        fix: lfs ? 'Run “git lfs pull” in the model’s folder.' : 'Download or copy the file again.',
        where: path,
      },
      { cause },
    );
  }
  throw new PlaygroundError({
    code: 'bad_json_file',
    message: `${path} must hold one JSON object.`,
    fix: 'Download or copy the file again.',
    where: path,
  });
}

/**
 * chat_template.jinja wins; then the tokenizer's own, as text or as a list (the one called “default”, else the first). Programs write
 * one or the other, so a server is not asked for the first where the second is there.
 */
async function readChatTemplate(
  folder: ModelFolder,
  tokenizerConfig: Record<string, unknown>,
): Promise<string | null> {
  checkTemplates(tokenizerConfig);
  const value = tokenizerConfig.chat_template;
  const found = value !== undefined && value !== null && folder.askedByRequest;
  if (!found && (await folder.has('chat_template.jinja'))) return readText(folder, 'chat_template.jinja');
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named = value.filter(
    (entry): entry is { name: string; template: string } => typeof entry?.template === 'string',
  );
  return (named.find((entry) => entry.name === 'default') ?? named[0])?.template ?? null;
}

/** The safetensors files of a folder, opened: one, or the shards its index names. */
async function openWeightFiles(folder: ModelFolder): Promise<{ file: string; opened: SafetensorsFile }[]> {
  const open = async (file: string) => ({
    file,
    opened: await readSafetensors(await folder.open(file), file),
  });
  const chosen = await chooseWeightFiles(folder, 'This folder');
  if (!chosen) throw missing(SINGLE_FILE, await folder.list());
  if (chosen.kind === 'single') return [await open(chosen.file)];
  const { index } = chosen;
  const json = await readJson(folder, index);
  const listed = Object.keys((json.weight_map as object | undefined) ?? {}).length;
  if (listed > MAX_TENSORS) throw tooManyTensors(index, listed);
  const shards = [];
  for (const [file, tensors] of shardsOf(json)) {
    const shard = await open(file);
    const absent = tensors.find((name) => !shard.opened.has(name));
    if (absent !== undefined) {
      throw new PlaygroundError({
        code: 'tensor_missing',
        message: `${index} says that “${absent}” lies in ${file}, and it does not.`,
        fix: 'The shards are not of one piece: download all of them again.',
        where: absent,
      });
    }
    shards.push(shard);
  }
  return shards;
}

interface Stored {
  opened: SafetensorsFile;
  stored: string;
  shape: number[];
  dtype: string;
  byteLength: number;
}

async function sameBytes(a: Stored, b: Stored): Promise<boolean> {
  if (a.dtype !== b.dtype || a.byteLength !== b.byteLength) return false;
  const left = (await a.opened.readRaw(a.stored)).bytes;
  const right = (await b.opened.readRaw(b.stored)).bytes;
  return left.every((byte, i) => byte === right[i]);
}

/** Names at most five, so that a sentence stays one. */
function some(names: string[]): string {
  return names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}

/** The weights of a folder, by canonical name; their bytes are not read yet. */
type StoredTensors = Map<string, Stored>;

async function storedTensors(folder: ModelFolder, architecture: Architecture): Promise<StoredTensors> {
  const found: StoredTensors = new Map();
  for (const { opened } of await openWeightFiles(folder)) {
    for (const { name, ...entry } of opened.entries) {
      const canonical = canonicalName(name, architecture.family);
      if (canonical !== null) found.set(canonical, { opened, stored: name, ...entry });
    }
  }
  return found;
}

/**
 * Like transformers: a head stored beside a tied embedding is the same tensor, and is taken out of `found`, unless its numbers differ.
 * @returns a sentence when they do, so that the head is not tied
 */
async function untiedHead(found: StoredTensors, architecture: Architecture): Promise<string | null> {
  const roles = tensorNames(architecture);
  const head = found.get(roles.head);
  const embedding = found.get(roles.embedding);
  if (!architecture.tiedHead || !head || !embedding) return null;
  if (!(await sameBytes(head, embedding))) {
    return 'config.json ties the output head to the embedding, but the file holds a different head. The stored head is used.';
  }
  found.delete(roles.head);
  return null;
}

type ExpectedTensors = ReturnType<typeof expectedTensors>;

/** @throws PlaygroundError `weights_do_not_fit` when a tensor is missing or has another shape */
function assertWeightsFit(found: StoredTensors, wanted: ExpectedTensors): void {
  const absent = wanted.filter(({ name }) => !found.has(name)).map(({ name }) => name);
  const misfits = wanted.flatMap(({ name, shape }) => {
    const there = found.get(name);
    if (!there || there.shape.join() === shape.join()) return [];
    return [`${name} is [${there.shape.join(', ')}] and should be [${shape.join(', ')}]`];
  });
  if (absent.length === 0 && misfits.length === 0) return;
  const sentences = [
    ...(absent.length > 0 ? [`missing: ${some(absent)}`] : []),
    ...(misfits.length > 0 ? [`wrong shape: ${some(misfits)}`] : []),
  ];
  throw new PlaygroundError({
    code: 'weights_do_not_fit',
    message: `The weights do not fit config.json: ${sentences.join('; ')}.`,
    fix: 'Take config.json and the weights from the same model and the same version of it.',
    ...(absent[0] !== undefined ? { where: absent[0] } : {}),
  });
}

/** The dtypes of these tensors, the one with the most bytes first. */
function bytesByDtype(tensors: readonly Stored[]): [dtype: string, bytes: number][] {
  const bytes = new Map<string, number>();
  for (const { dtype, byteLength } of tensors) bytes.set(dtype, (bytes.get(dtype) ?? 0) + byteLength);
  return [...bytes].sort((a, b) => b[1] - a[1]);
}

function weightsOf(found: StoredTensors, wanted: ExpectedTensors): ModelWeights {
  const used = new Map(wanted.map(({ name }) => [name, found.get(name) as Stored]));
  const byBytes = bytesByDtype([...used.values()]);
  const locate = (name: string): Stored => {
    const there = used.get(name);
    if (there) return there;
    throw new PlaygroundError({
      code: 'tensor_missing',
      message: `This model has no tensor “${name}”.`,
      fix: 'This is a fault of the program that asked for it; report it.',
      where: name,
    });
  };
  return {
    names: [...used.keys()],
    dtype: byBytes[0]?.[0] ?? 'F32',
    totalBytes: byBytes.reduce((total, [, bytes]) => total + bytes, 0),
    parameters: wanted.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0),
    read: async (name) => {
      const { opened, stored } = locate(name);
      const { shape, data } = await opened.read(stored);
      return { shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
    },
    readRaw: async (name) => {
      const { opened, stored } = locate(name);
      const { entry, bytes } = await opened.readRaw(stored);
      return { shape: entry.shape, dtype: entry.dtype, bytes };
    },
  };
}

/** The weights, checked against config.json. @returns the architecture as the weights have it */
async function readWeights(
  folder: ModelFolder,
  described: Architecture,
): Promise<{ weights: ModelWeights; architecture: Architecture; notices: string[] }> {
  const found = await storedTensors(folder, described);
  const untied = await untiedHead(found, described);
  const architecture = untied === null ? described : { ...described, tiedHead: false };
  const wanted = expectedTensors(architecture);
  assertWeightsFit(found, wanted);
  const names = new Set(wanted.map(({ name }) => name));
  const surplus = [...found.keys()].filter((name) => !names.has(name));
  const notices = untied === null ? [] : [untied];
  if (surplus.length > 0) {
    notices.push(
      `The weights hold tensors that this kind of model does not use; they are left out: ${some(surplus)}.`,
    );
  }
  return { weights: weightsOf(found, wanted), architecture, notices };
}

/** Highest id in tokenizer.json. Errors of that file are reported by createTokenizer. */
function highestTokenId(tokenizerJson: Record<string, unknown>): number {
  const vocab = record(tokenizerJson.model)?.vocab;
  const added = Array.isArray(tokenizerJson.added_tokens) ? tokenizerJson.added_tokens : [];
  const ids: unknown[] = Array.isArray(vocab) ? [vocab.length - 1] : Object.values(record(vocab) ?? {});
  let highest = -1;
  for (const id of ids) if (typeof id === 'number') highest = Math.max(highest, id);
  for (const token of added) {
    const id = record(token)?.id;
    if (typeof id === 'number') highest = Math.max(highest, id);
  }
  return highest;
}

/**
 * Reads a model folder except the tensors themselves, which are read one by one through `weights.read`.
 * @throws PlaygroundError with the file and what to do: `file_missing`, `unsupported_architecture`, `bad_config`,
 * `bad_safetensors`, `weights_do_not_fit`, `weights_not_safetensors`, `download_failed` …
 */
export async function readModelFolder(folder: ModelFolder): Promise<ModelFiles> {
  const isAdapter = (await folder.list()).includes('adapter_config.json');
  if (isAdapter && !(await folder.has('config.json'))) {
    throw new PlaygroundError({
      code: 'file_missing',
      message:
        'This is the folder of an adapter (adapter_config.json), not of a model: it has no config.json.',
      fix: 'Take the folder of its base model; adapter_config.json and README.md say which that is.',
      where: 'config.json',
    });
  }
  const config = await readJson(folder, 'config.json');
  const described = architectureFromConfig(config);
  if (!(await folder.has('tokenizer.json'))) {
    const there = await folder.list();
    const old = there.find((path) => path === 'tokenizer.model' || path === 'vocab.json');
    if (!old) throw missing('tokenizer.json', there);
    throw new PlaygroundError({
      code: 'file_missing',
      message: `This folder has ${old} but no tokenizer.json, which this page needs.`,
      fix: 'Load the tokenizer once with transformers (AutoTokenizer.from_pretrained) and call save_pretrained: that writes tokenizer.json.',
      where: 'tokenizer.json',
    });
  }
  const tokenizerJson = await readJson(folder, 'tokenizer.json');
  const optional = async (path: string): Promise<Record<string, unknown>> =>
    (await folder.has(path)) ? readJson(folder, path) : {};
  const tokenizerConfig = await optional('tokenizer_config.json');
  const generationConfig = await optional('generation_config.json');
  checkGenerationConfig(generationConfig);
  const chatTemplate = await readChatTemplate(folder, tokenizerConfig);
  const { weights, architecture, notices } = await readWeights(folder, described);

  if (isAdapter)
    notices.push(
      'There is an adapter beside this model (adapter_config.json). The model is used without it.',
    );
  const highest = highestTokenId(tokenizerJson);
  if (highest >= architecture.vocabSize) {
    notices.push(
      `The tokenizer knows ids up to ${highest}, but the model only those below ${architecture.vocabSize}: the rest cannot be used.`,
    );
  }
  // The ids that end a turn may be in either file: some models have the chat end token in generation_config.json only.
  const eosTokenIds = [
    ...new Set([...architecture.eosTokenIds, ...idList(generationConfig.eos_token_id)]),
  ].filter((id) => id < architecture.vocabSize);
  return {
    architecture: { ...architecture, eosTokenIds },
    config,
    tokenizerJson,
    tokenizerConfig,
    chatTemplate,
    generationConfig,
    weights,
    notices,
  };
}
