// Download of one file from the hub into a store: resumed after a broken connection, hashed while it arrives.
// Not here: which files a model needs (hub.ts), where they are kept (storage.ts).
//
// How it works: the bytes that are already stored are hashed; the rest is requested with a Range header and appended piece by piece, each piece
// hashed as it comes. When the connection breaks, or nothing comes for `stallMs`, the request is repeated from the last byte after a pause;
// the pauses start again at every new byte. A server without ranges sends the whole file again. At the end length and hash are compared with the
// hub's listing; a file that differs is removed.
// Memory: one piece of the response; stored bytes are hashed as a stream.

import { PlaygroundError } from '../errors';
import { readSafetensors } from '../formats/safetensors';
import type { Appending, Store } from './storage';

/** A file as the hub's listing declares it. */
export interface DeclaredFile {
  path: string;
  size: number;
  /** Of the content, hex; large files (LFS) have it. */
  sha256: string | null;
  /** Git's object id of the content, hex; small files have it. */
  gitSha1: string | null;
}

export interface DownloadOptions {
  store: Store;
  folder: string;
  url: string;
  fetch: typeof fetch;
  signal: AbortSignal;
  /** Called with the number of bytes of the file that are stored, after every piece. */
  onBytes: (bytes: number) => void;
  /** Pauses after a broken connection; when they are used up without a new byte, the download fails. */
  pausesMs: readonly number[];
  /** A connection that sends nothing for so long counts as broken. */
  stallMs: number;
}

/** The connection ended early: the request can be repeated from the last byte. */
class Broken extends Error {}

interface Hash {
  update(bytes: Uint8Array): unknown;
  digest(): string;
}

/**
 * Fetches `file`, or the rest of it, and checks length and content against the hub's listing.
 * Throws `download_interrupted` or `load_cancelled` (what has arrived stays), `hub_wrong_length` or `hub_corrupt_file` (the file is
 * removed), what `fetch` throws for a refusal, and what the store throws.
 */
export async function downloadFile(file: DeclaredFile, options: DownloadOptions): Promise<void> {
  const { store, folder, pausesMs, onBytes } = options;
  let have = (await store.files(folder)).get(file.path) ?? 0;
  if (have > file.size) have = 0;
  let hash = await startHash(file);
  if (have > 0) await hashStored(hash, (await store.read(folder, file.path)) as Blob);
  onBytes(have);

  let failures = 0;
  // A file of no bytes has to exist too.
  if (file.size === 0) await (await store.append(folder, file.path, 0)).close();
  while (have < file.size) {
    const before = have;
    let broken: Broken | null = null;
    const { response, stop } = await request(file, have, options).catch((thrown: unknown) => {
      if (!(thrown instanceof Broken)) throw thrown;
      broken = thrown;
      return { response: null, stop: () => {} };
    });
    if (response) {
      if (response.status === 200 && have > 0) {
        // The server does not support ranges and sends the whole file.
        have = 0;
        hash = await startHash(file);
      }
      const out = await store.append(folder, file.path, have);
      try {
        await receive(response, file, options, out, (bytes) => {
          hash.update(bytes);
          have += bytes.length;
          onBytes(have);
          return have;
        });
      } catch (thrown) {
        if (!(thrown instanceof Broken)) throw thrown;
        broken = thrown;
      } finally {
        stop();
        await out.close();
      }
    }
    if (options.signal.aborted) throw cancelled(file, have);
    if (broken === null && have !== file.size) {
      await store.remove(folder, file.path);
      throw wrongLength(file, have);
    }
    if (broken === null) break;
    failures = have > before ? 1 : failures + 1;
    const pauseMs = pausesMs[failures - 1];
    if (pauseMs === undefined) throw interrupted(file, have, options.url, broken);
    await pause(pauseMs, options.signal);
    if (options.signal.aborted) throw cancelled(file, have);
  }
  await check(file, hash, options);
}

/** Requests the bytes from `have` on. Throws `Broken` when there is no connection, and removes a partial file that cannot be continued. */
async function request(
  file: DeclaredFile,
  have: number,
  options: DownloadOptions,
): Promise<{ response: Response; stop: () => void }> {
  const { store, folder, url, signal } = options;
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  signal.addEventListener('abort', stop);
  const stalled = setTimeout(stop, options.stallMs);
  try {
    const headers: Record<string, string> = have > 0 ? { Range: `bytes=${have}-` } : {};
    const response = await options.fetch(url, { headers, signal: attempt.signal });
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    if (response.status === 416 || (total !== undefined && Number(total) !== file.size)) {
      stop();
      await store.remove(folder, file.path);
      throw wrongLength(file, Number(total ?? have));
    }
    return {
      response,
      stop: () => {
        signal.removeEventListener('abort', stop);
        attempt.abort();
      },
    };
  } catch (thrown) {
    signal.removeEventListener('abort', stop);
    if (signal.aborted) throw cancelled(file, have);
    throw thrown instanceof PlaygroundError && thrown.code !== 'hub_unreachable'
      ? thrown
      : new Broken('no connection', { cause: thrown });
  } finally {
    clearTimeout(stalled);
  }
}

/** Writes a response's body piece by piece; stops at the first piece that makes it longer than declared. */
async function receive(
  response: Response,
  file: DeclaredFile,
  options: DownloadOptions,
  out: Appending,
  arrived: (bytes: Uint8Array) => number,
): Promise<void> {
  if (!response.body) throw new Broken('no body');
  const reader = response.body.getReader();
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stall = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('nothing arrives')), options.stallMs);
    });
    let value: Uint8Array<ArrayBuffer> | undefined;
    try {
      value = (await Promise.race([reader.read(), stall])).value as Uint8Array<ArrayBuffer> | undefined;
    } catch (cause) {
      throw new Broken('the connection ended', { cause });
    } finally {
      clearTimeout(timer);
    }
    if (value === undefined) return;
    await out.write(value);
    if (arrived(value) > file.size) return;
  }
}

async function check(file: DeclaredFile, hash: Hash, { store, folder }: DownloadOptions): Promise<void> {
  const declared = file.sha256 ?? file.gitSha1;
  if (declared !== null) {
    if (hash.digest() === declared) return;
    await store.remove(folder, file.path);
    throw corrupt(file, 'its checksum is not the one the hub declares');
  }
  // Without a checksum, the safetensors header still shows a file that was cut off or mixed up.
  if (!file.path.endsWith('.safetensors')) return;
  try {
    await readSafetensors((await store.read(folder, file.path)) as Blob, file.path);
  } catch (thrown) {
    if (!(thrown instanceof PlaygroundError)) throw thrown;
    await store.remove(folder, file.path);
    throw corrupt(file, 'its header makes no sense', thrown);
  }
}

/** SHA-256, or Git's object id: SHA-1 over a header with the length and the content. */
async function startHash(file: DeclaredFile): Promise<Hash> {
  // Loaded on demand: most visits download nothing from a hub.
  const { createSHA1, createSHA256 } = await import('hash-wasm');
  if (file.sha256 !== null) return (await createSHA256()).init();
  if (file.gitSha1 === null) return { update: () => {}, digest: () => '' };
  const hash = (await createSHA1()).init();
  return hash.update(`blob ${file.size}\0`);
}

async function hashStored(hash: Hash, stored: Blob): Promise<void> {
  const reader = stored.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    hash.update(value);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const count = (bytes: number) => bytes.toLocaleString('en');

function cancelled(file: DeclaredFile, have: number): PlaygroundError {
  return new PlaygroundError({
    code: 'load_cancelled',
    message: `Loading was stopped at byte ${count(have)} of ${count(file.size)} of ${file.path}.`,
    fix: 'What has arrived is kept: load the model again to go on from there, or delete it.',
    where: file.path,
  });
}

function interrupted(file: DeclaredFile, have: number, url: string, cause: unknown): PlaygroundError {
  return new PlaygroundError(
    {
      code: 'download_interrupted',
      message: `The connection broke at byte ${count(have)} of ${count(file.size)} of ${file.path}.`,
      fix: 'What has arrived is kept: check the connection and load the model again, and it goes on from there.',
      where: url,
    },
    { cause },
  );
}

function wrongLength(file: DeclaredFile, have: number): PlaygroundError {
  return new PlaygroundError({
    code: 'hub_wrong_length',
    message: `${file.path} has ${have > file.size ? 'more than ' : ''}${count(Math.min(have, file.size))} bytes, and the hub declares ${count(file.size)}.`,
    fix: 'The file was removed. Load the model again; if it stays so, the hub’s copy (or the mirror’s) is damaged.',
    where: file.path,
  });
}

function corrupt(file: DeclaredFile, why: string, cause?: unknown): PlaygroundError {
  return new PlaygroundError(
    {
      code: 'hub_corrupt_file',
      message: `${file.path} arrived damaged: ${why}.`,
      fix: 'The file was removed. Load the model again; if it stays so, the hub’s copy (or the mirror’s) is damaged.',
      where: file.path,
    },
    { cause },
  );
}
