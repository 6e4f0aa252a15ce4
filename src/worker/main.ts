// The worker's entry: exposes one session on this worker's port. The only file that says `self`.
// Not here: anything the session does (session.ts).

import { expose } from 'comlink';
import { EngineSession } from './session';
import { carryErrors } from './wire';

carryErrors();
const session = new EngineSession((error) => {
  // The GPU is gone for good: this worker cannot serve any more, and its end tells the page so.
  postMessage({ kind: 'device_lost', error });
  self.close();
});
expose(session, self as never);
// The page takes ten seconds without an answer to this for a worker that hangs (client.ts). Calls wait for work; this waits for nothing.
self.addEventListener('message', ({ data }: MessageEvent<{ kind?: unknown } | null>) => {
  if (data?.kind === 'alive?') postMessage({ kind: 'alive' });
});

// The page waits for this lock: it falls to the page the moment this worker ends, however it ends. Ready is said only once it is
// held; a page that asked earlier would get it at once and take a live worker for dead.
const ready = () => postMessage({ kind: 'ready' });
if (navigator.locks) {
  void navigator.locks.request(self.name, () => {
    ready();
    return new Promise<never>(() => {});
  });
} else ready();
