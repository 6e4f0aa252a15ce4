// Models from the Hugging Face Hub, or a mirror of it: the model's listing, which files are needed, and the copy kept on this device.
// Not here: moving one file's bytes (download.ts), where copies lie (storage.ts), reading a model folder (formats/).

import * as v from 'valibot';
import { PlaygroundError } from '../errors';
import type { ModelFolder } from '../formats/huggingface';
import { chooseWeightFiles, SINGLE_FILE } from '../formats/weightFiles';
import type { CachedModel, HubOffer, HubSource, LoadProgress } from '../modelContract';
import { type DeclaredFile, downloadFile } from './download';
import type { Store } from './storage';

export const HUB_ADDRESS = 'https://huggingface.co';

/** Files that `readModelFolder` reads beside the weights; nothing else of a repository is downloaded. */
const SMALL_FILES = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'generation_config.json',
];
const MANIFEST = 'manifest.json';
/** An empty file of this name marks that the file beside it was checked. */
const checkedMark = (path: string) => `${path}.checked`;

/** manifest.json of a folder in the store, written before the first byte of the model arrives. */
const manifestSchema = v.object({
  version: v.literal(1),
  endpoint: v.string(),
  id: v.string(),
  revision: v.string(),
  commit: v.string(),
  files: v.array(
    v.object({
      path: v.string(),
      size: v.number(),
      sha256: v.nullable(v.string()),
      gitSha1: v.nullable(v.string()),
    }),
  ),
});
type Manifest = v.InferOutput<typeof manifestSchema>;

export interface HubOptions {
  store: Store;
  signal: AbortSignal;
  fetch?: typeof fetch;
  /** Pauses between attempts after a broken connection. */
  pausesMs?: readonly number[];
  stallMs?: number;
}

interface Wanted {
  id: string;
  revision: string;
  endpoint: string;
  /** The required version; null when any stored version will do. */
  commit: string | null;
  /** Folder of the store. */
  key: string;
}

/**
 * The hub's listing of a model; downloads nothing of it.
 * Throws what `readFromHub` throws before its download: `hub_gated`, `hub_not_found`, `weights_not_safetensors` …
 */
export async function inspectHub(source: HubSource, options: HubOptions): Promise<HubOffer> {
  const wanted = parseSource(source);
  const { manifest, parameters, licence, gated } = await askHub(wanted, options);
  const { store } = options;
  const stored = await readManifest(store, wanted.key);
  const there =
    stored?.commit === manifest.commit ? await store.files(wanted.key) : new Map<string, number>();
  return {
    id: wanted.id,
    revision: wanted.revision,
    endpoint: wanted.endpoint,
    commit: manifest.commit,
    parameters,
    licence,
    gated,
    totalBytes: total(manifest.files.map((f) => f.size)),
    cachedBytes: bytesOf(manifest, there),
    freeBytes: await store.freeBytes(),
    lasting: store.lasting,
  };
}

/**
 * Calls `read` with a model folder whose files come from this device, or are downloaded when first opened, and stay here.
 * A complete model needs no request; an incomplete one is resumed at the same commit.
 *
 * Throws a PlaygroundError: `hub_bad_id`, `hub_bad_endpoint`, `hub_unreachable`, `hub_gated`, `hub_not_public`, `hub_forbidden`,
 * `hub_not_found`, `hub_revision_not_found`, `hub_file_gone`, `hub_too_many_requests`, `hub_failed`, `hub_bad_answer`,
 * `hub_not_a_model`, `hub_only_adapter`, `hub_no_tokenizer`, `weights_not_safetensors`, `storage_too_small`, `storage_full`,
 * `storage_busy`, and what `downloadFile` throws.
 */
export async function readFromHub<T>(
  source: HubSource,
  options: HubOptions & { onProgress: (progress: LoadProgress) => void },
  read: (folder: ModelFolder, origin: { id: string; commit: string }) => Promise<T>,
): Promise<T> {
  const { store } = options;
  const wanted = parseSource(source);
  const stored = await readManifest(store, wanted.key);
  const kept = wanted.commit === null || stored?.commit === wanted.commit ? stored : null;
  const manifest = kept ?? (await askHub(wanted, options)).manifest;
  // Files of another commit, or without a readable manifest, cannot be resumed.
  if (!kept) await store.remove(wanted.key);
  const there = await store.files(wanted.key);
  const missing = total(manifest.files.map((f) => f.size)) - bytesOf(manifest, there);
  const free = missing > 0 ? await store.freeBytes() : null;
  if (free !== null && missing > free) throw tooSmall(wanted.id, missing, free);
  if (!kept) await writeText(store, wanted.key, MANIFEST, JSON.stringify(manifest));

  const folder = keptFolder(wanted, manifest, there, options);
  try {
    const result = await read(folder, { id: wanted.id, commit: manifest.commit });
    // Files that the reader did not open are downloaded too, so that the model loads without a connection.
    for (const { path } of manifest.files) await folder.open(path);
    return result;
  } catch (thrown) {
    const files = await store.files(wanted.key);
    const weights = manifest.files.some((f) => f.path.endsWith('.safetensors') && files.has(f.path));
    const gone = thrown instanceof PlaygroundError && thrown.code === 'hub_file_gone';
    // Without weights there is nothing to resume: the next attempt asks for the listing again.
    if (!weights || gone) await store.remove(wanted.key);
    throw thrown;
  }
}

/** The models on this device, complete or not. */
export async function cachedModels(store: Store): Promise<CachedModel[]> {
  const models: CachedModel[] = [];
  for (const key of await store.folders()) {
    const files = await store.files(key);
    const manifest = await readManifest(store, key);
    if (!manifest) {
      // The manifest was not written completely: nothing to load, but bytes to delete.
      const bytes = total([...files.values()]);
      const id = decodeURIComponent(key);
      models.push({
        key,
        id,
        revision: '',
        endpoint: '',
        commit: '',
        bytes,
        totalBytes: bytes,
        complete: false,
      });
      continue;
    }
    const { id, revision, endpoint, commit } = manifest;
    models.push({
      key,
      id,
      revision,
      endpoint,
      commit,
      bytes: bytesOf(manifest, files),
      totalBytes: total(manifest.files.map((f) => f.size)),
      complete: manifest.files.every((f) => isChecked(f, files)),
    });
  }
  return models.sort((a, b) => a.id.localeCompare(b.id));
}

/** Removes a model from this device; `key` is that of `cachedModels`. */
export async function deleteCachedModel(store: Store, key: string): Promise<void> {
  await store.remove(key);
}

// ───────────────────────────── parsing the request ─────────────────────────────

/** Takes `org/name`, `name`, `org/name@revision`, or the address of a model's page. */
function parseSource(source: HubSource): Wanted {
  const endpoint = parseEndpoint(source.endpoint ?? HUB_ADDRESS);
  const text = source.id.trim();
  const page = /^https?:\/\/[^/]+\/([^?#]+)/.exec(text)?.[1]?.split('/').filter(Boolean);
  const inPage = page?.[2] === 'tree' ? page[3] : undefined;
  const [name = '', after] = (page ? page.slice(0, 2).join('/') : text).split('@');
  const revision = source.revision ?? inPage ?? after ?? 'main';
  const part = /^[A-Za-z0-9][\w.-]*$/;
  const parts = name.split('/');
  if (parts.length > 2 || !parts.every((p) => part.test(p)) || !/^[\w./-]+$/.test(revision)) {
    throw new PlaygroundError({
      code: 'hub_bad_id',
      message: `“${text}” is not the name of a model on the hub.`,
      fix: 'Write it as on the model’s page: owner/name, for example HuggingFaceTB/SmolLM2-135M.',
      where: text,
    });
  }
  const commit = source.commit ?? null;
  return { id: name, revision, endpoint, commit, key: encodeURIComponent(`${endpoint}/${name}@${revision}`) };
}

function parseEndpoint(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : null;
  if (url && /^https?:$/.test(url.protocol)) return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  throw new PlaygroundError({
    code: 'hub_bad_endpoint',
    message: `“${text}” is not a web address.`,
    fix: `Write the hub’s address with https:// or http:// in front; the usual one is ${HUB_ADDRESS}.`,
    where: text,
  });
}

// ───────────────────────────── the hub's answers ─────────────────────────────

/** Listing and metadata of a model at a commit. */
async function askHub(
  wanted: Wanted,
  options: HubOptions,
): Promise<{ manifest: Manifest; parameters: number | null; licence: string | null; gated: boolean }> {
  const { id, revision, endpoint: hubUrl } = wanted;
  const request: typeof fetch = (url, init) =>
    fetcher(wanted, options)(url, { ...init, signal: options.signal });
  // Loaded on demand: the library weighs more than all the rest of this file, and most visits never need it.
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  try {
    const additionalFields = ['sha' as const, 'safetensors' as const, 'tags' as const];
    const asked = wanted.commit ?? revision;
    const info = await modelInfo({ name: id, revision: asked, hubUrl, fetch: request, additionalFields });
    if (!/^[\w-]{4,}$/.test(info.sha)) throw new TypeError('no commit');
    const listed: DeclaredFile[] = [];
    for await (const entry of listFiles({
      repo: { type: 'model', name: id },
      revision: info.sha,
      hubUrl,
      fetch: request,
    })) {
      if (entry.type !== 'file') continue;
      listed.push({
        path: entry.path,
        size: entry.lfs?.size ?? entry.size,
        sha256: entry.lfs?.oid ?? null,
        // For an LFS file Git's object id is that of the pointer.
        gitSha1: entry.lfs || entry.xetHash ? null : (entry.oid ?? null),
      });
    }
    const manifest: Manifest = {
      version: 1,
      endpoint: hubUrl,
      id,
      revision,
      commit: info.sha,
      files: await neededFiles(id, listed),
    };
    const licence = info.tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null;
    return { manifest, parameters: info.safetensors?.total ?? null, licence, gated: Boolean(info.gated) };
  } catch (cause) {
    if (cause instanceof PlaygroundError) throw cause;
    throw new PlaygroundError(
      {
        code: 'hub_bad_answer',
        message: `${hubUrl} answers, but not as a Hugging Face hub does.`,
        fix: `Check the address of the hub; the usual one is ${HUB_ADDRESS}.`,
        where: hubUrl,
      },
      { cause },
    );
  }
}

/** The files of a repository that this page reads. @throws PlaygroundError for a repository that cannot work, before anything is downloaded */
async function neededFiles(id: string, listed: DeclaredFile[]): Promise<DeclaredFile[]> {
  const has = (path: string) => listed.some((f) => f.path === path);
  const refuse = (code: string, message: string, fix: string, where: string) =>
    new PlaygroundError({ code, message, fix, where });
  if (!has('config.json')) {
    if (has('adapter_config.json')) {
      throw refuse(
        'hub_only_adapter',
        `${id} is an adapter: it changes another model and does not work alone.`,
        'Load the model it was trained on; its page says which.',
        'adapter_config.json',
      );
    }
    throw refuse(
      'hub_not_a_model',
      `${id} has no config.json, so it is not a model in the form that transformers saves.`,
      'Choose the repository with the model itself; copies for other programs (GGUF, ONNX, MLX) link to it.',
      'config.json',
    );
  }
  if (!has('tokenizer.json')) {
    throw refuse(
      'hub_no_tokenizer',
      `${id} has no tokenizer.json, which this page needs.`,
      'Take a model that has one; or load its tokenizer once with transformers, call save_pretrained, and choose the folder here.',
      'tokenizer.json',
    );
  }
  const weights = await chooseWeightFiles({ has, list: () => listed.map((f) => f.path) }, id);
  if (!weights) {
    throw refuse(
      'weights_not_safetensors',
      `${id} holds no weights.`,
      'Choose the repository with the model itself.',
      SINGLE_FILE,
    );
  }
  const wanted = weights.kind === 'single' ? [weights.file] : [weights.index, ...weights.shards];
  return listed.filter((f) => SMALL_FILES.includes(f.path) || wanted.includes(f.path));
}

/** Fetch without credentials, referrer or HTTP cache, which would keep a second copy; errors become PlaygroundErrors. */
function fetcher(wanted: Wanted, options: HubOptions): typeof fetch {
  const send = options.fetch ?? fetch;
  return async (input, init) => {
    const where = String(input instanceof Request ? input.url : input).split('?', 1)[0] as string;
    let response: Response;
    try {
      response = await send(input, {
        ...init,
        cache: 'no-store',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
      });
    } catch (cause) {
      if (options.signal.aborted) throw stopped(wanted.id);
      throw new PlaygroundError(
        {
          code: 'hub_unreachable',
          message: `${wanted.endpoint} could not be reached.`,
          fix: 'Check the connection and the address of the hub. A mirror has to allow other pages to read it (CORS).',
          where,
        },
        { cause },
      );
    }
    if (response.ok || response.status === 416) return response;
    const refusal = refused(wanted, response, where);
    await response.body?.cancel();
    throw refusal;
  };
}

function refused({ id, revision, endpoint }: Wanted, response: Response, where: string): PlaygroundError {
  const { status } = response;
  const code = response.headers.get('x-error-code') ?? '';
  const errorOf = (name: string, message: string, fix: string) =>
    new PlaygroundError({ code: name, message, fix, where });
  if (code === 'GatedRepo') {
    return errorOf(
      'hub_gated',
      `${id} is gated: its makers want you to agree to their terms first.`,
      `Agree on its page (${endpoint}/${id}), download the files there with your account, and choose the folder here.`,
    );
  }
  if (status === 401) {
    return errorOf(
      'hub_not_public',
      `The hub has no public model ${id}: there is none of that name, or it is private or gated.`,
      'Check the spelling, capitals included. Files of a private model can be downloaded with your account and chosen here as a folder.',
    );
  }
  if (status === 403) {
    return errorOf(
      'hub_forbidden',
      `The hub does not hand out ${id}.`,
      `Its page (${endpoint}/${id}) says what is asked for; files you download there can be chosen here as a folder.`,
    );
  }
  if (status === 404 && code === 'RevisionNotFound') {
    return errorOf(
      'hub_revision_not_found',
      `${id} has no version “${revision}”.`,
      'Take a branch, tag or commit that the model’s page lists, or none for the newest.',
    );
  }
  if (status === 404 && where.includes('/resolve/')) {
    return errorOf(
      'hub_file_gone',
      `The hub no longer has a file that it has listed for ${id}.`,
      'Load the model again: then the list is read again.',
    );
  }
  if (status === 404 || status === 410) {
    return errorOf(
      'hub_not_found',
      `There is no model ${id} at ${endpoint}.`,
      'Check the spelling, capitals included; write it as on the model’s page: owner/name.',
    );
  }
  if (status === 429) {
    return errorOf(
      'hub_too_many_requests',
      'The hub has had too many requests from this address for now.',
      'Wait a few minutes and load the model again; what has arrived is kept. In a class, a mirror helps.',
    );
  }
  return errorOf(
    'hub_failed',
    `The hub answered ${status}${response.statusText ? ` ${response.statusText}` : ''} when asked for ${id}.`,
    'Try again later; what has arrived is kept.',
  );
}

function stopped(id: string): PlaygroundError {
  return new PlaygroundError({
    code: 'load_cancelled',
    message: `Loading ${id} was stopped.`,
    fix: 'Load it again whenever you like.',
  });
}

// ───────────────────────────── the copy on this device ─────────────────────────────

function keptFolder(
  wanted: Wanted,
  manifest: Manifest,
  there: Map<string, number>,
  options: HubOptions & { onProgress: (progress: LoadProgress) => void },
): ModelFolder {
  const { store, onProgress } = options;
  const { key } = wanted;
  const totalBytes = total(manifest.files.map((f) => f.size));
  const arrived = new Map(manifest.files.map((f) => [f.path, Math.min(there.get(f.path) ?? 0, f.size)]));
  let reportedAt = 0;
  const report = (file: DeclaredFile, bytes: number) => {
    arrived.set(file.path, bytes);
    // At most ten reports a second.
    if (bytes < file.size && Date.now() - reportedAt < 100) return;
    reportedAt = Date.now();
    onProgress({ stage: 'download', file: file.path, loadedBytes: total([...arrived.values()]), totalBytes });
  };
  const declared = (path: string) => manifest.files.find((f) => f.path === path);
  const open = async (path: string): Promise<Blob> => {
    const file = declared(path);
    if (!file) {
      throw new PlaygroundError({
        code: 'file_missing',
        message: `${wanted.id} has no ${path}.`,
        fix: 'Choose another model.',
        where: path,
      });
    }
    if (!isChecked(file, there)) {
      const url = `${wanted.endpoint}/${wanted.id}/resolve/${manifest.commit}/${encodeURIComponent(path)}`;
      await downloadFile(file, {
        store,
        folder: key,
        url,
        fetch: fetcher(wanted, options),
        signal: options.signal,
        onBytes: (bytes) => report(file, bytes),
        pausesMs: options.pausesMs ?? [1000, 3000, 8000],
        stallMs: options.stallMs ?? 30_000,
      });
      await writeText(store, key, checkedMark(path), '');
      there.set(path, file.size).set(checkedMark(path), 0);
    }
    return (await store.read(key, path)) ?? new Blob();
  };
  return {
    list: () => manifest.files.map((f) => f.path),
    has: (path) => declared(path) !== undefined,
    open,
  };
}

const total = (sizes: number[]) => sizes.reduce((sum, size) => sum + size, 0);

const isChecked = (file: DeclaredFile, there: Map<string, number>) =>
  there.has(checkedMark(file.path)) && there.get(file.path) === file.size;

const bytesOf = (manifest: Manifest, there: Map<string, number>) =>
  total(manifest.files.map((f) => Math.min(there.get(f.path) ?? 0, f.size)));

async function readManifest(store: Store, key: string): Promise<Manifest | null> {
  const text = await (await store.read(key, MANIFEST))?.text();
  if (text === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // the page was closed while it was written
  }
  const parsed = v.safeParse(manifestSchema, value);
  return parsed.success ? parsed.output : null;
}

async function writeText(store: Store, key: string, file: string, text: string): Promise<void> {
  const out = await store.append(key, file, 0);
  try {
    await out.write(new TextEncoder().encode(text));
  } finally {
    await out.close();
  }
}

function tooSmall(id: string, needed: number, free: number): PlaygroundError {
  const mega = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;
  return new PlaygroundError({
    code: 'storage_too_small',
    message: `${id} needs ${mega(needed)} more on this device, and the browser gives this page ${mega(free)}.`,
    fix: 'Delete models you no longer need, take a smaller model, or make room on the disk.',
  });
}
