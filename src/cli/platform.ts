// Node's platform: signals and pipes, kernel threads, relaxed SIMD, and small records in the user's cache folder.
// Not here: the page's (worker/platform.ts), kernel threads (threads.ts).

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { shippedFileUnreachable } from '../session/generalRows';
import type { Platform, Records } from '../session/platform';
import { replaceFile } from './output';
import { nodeThreads } from './threads';

/** `$XDG_CACHE_HOME`, or the cache folder that the system has for it. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const base =
    env.XDG_CACHE_HOME ||
    (platform === 'win32' && env.LOCALAPPDATA) ||
    path.join(homedir(), ...(platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']));
  return path.join(base, 'finetune-playground');
}

/** A record is one JSON file. */
export function fileRecords(folder = cacheFolder()): Records {
  const fileOf = (name: string) => path.join(folder, `${name}.json`);
  return {
    notLasting: async () => null,
    read: async (name) => {
      let text: string;
      try {
        text = await readFile(fileOf(name), 'utf8');
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw thrown;
      }
      return JSON.parse(text) as unknown;
    },
    write: async (name, value) => {
      await replaceFile(folder, `${name}.json`, new TextEncoder().encode(JSON.stringify(value)));
    },
  };
}

/**
 * Makes this process accept WebAssembly with relaxed SIMD, which browsers and Node from 21 on do by themselves: without it the wasm kernels
 * multiply and add in two instructions, and last bits differ from the page's. Before a backend starts.
 */
export function acceptRelaxedSimd(): void {
  if (Number.parseInt(process.versions.node, 10) < 21) setFlagsFromString('--experimental-wasm-relaxed-simd');
}

/** @param house the repository's root folder: what is shipped beside the page lies in its `public` */
export function nodePlatform(appVersion: string, house: string): Platform {
  return {
    appVersion,
    threads: nodeThreads(),
    records: fileRecords(),
    shippedText: (name) =>
      readFile(path.join(house, 'public', name), 'utf8').catch((cause: unknown) => {
        throw shippedFileUnreachable(name, cause);
      }),
    // Lets Node handle the events that are waiting: signals, pipes, timers that are due.
    yieldToEvents: () => new Promise((resolve) => setImmediate(resolve)),
  };
}
