// Kernel threads in Node: worker threads, started from the text of engine/device/thread.mjs.
// Not here: what they do (engine/device/thread.mjs), the page's (worker/threads.ts).

import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ThreadHost } from '../engine/device/device';
import source from '../engine/device/thread.mjs?raw';

/** The command line is one bundled file, so a thread has no file to start from; and a worker thread has no page's `onmessage`. */
const PORT = `const { parentPort } = require('node:worker_threads');
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.once('message', (data) => globalThis.onmessage({ data }));
`;

/** @param count threads that may compute, this one included; by default as many as the machine has processors */
export function nodeThreads(count = availableParallelism()): ThreadHost {
  return {
    count,
    read: async (file) => new Uint8Array(await readFile(file)),
    open: (start) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(PORT + source, { eval: true });
        worker.once('error', reject);
        worker.once('message', () => {
          worker.unref(); // it waits for work forever, and must not keep the process running
          resolve({ end: () => void worker.terminate() });
        });
        worker.postMessage(start);
      }),
  };
}
