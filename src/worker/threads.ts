// Kernel threads of the page: workers of the engine's worker, where the page is cross-origin isolated.
// Not here: what they do (engine/device/thread.mjs), Node's (cli/threads.ts), the engine's own worker (client.ts).

import type { ThreadHost, ThreadStart } from '../engine/device/device';

/** Null where memory cannot be shared: the server does not isolate the page, or this is no browser. */
export function pageThreads(): ThreadHost | null {
  if (globalThis.crossOriginIsolated !== true || typeof Worker === 'undefined') return null;
  return {
    count: navigator.hardwareConcurrency,
    read: async (address) => {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`${response.status} for ${address}`);
      return new Uint8Array(await response.arrayBuffer());
    },
    open,
  };
}

function open(start: ThreadStart): Promise<{ end(): void }> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('../engine/device/thread.mjs', import.meta.url), { type: 'module' });
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      reject(new Error(event.message || 'a kernel thread does not load'));
    });
    worker.addEventListener('message', () => resolve({ end: () => worker.terminate() }));
    worker.postMessage(start);
  });
}
