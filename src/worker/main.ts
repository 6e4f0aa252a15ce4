// The worker's entry: exposes one session on this worker's port. The only file that uses `self`.
// Not here: what the session does (session.ts, ways.ts).

import { expose } from 'comlink';
import { PageSession } from './ways';
import { carryErrors } from './wire';

carryErrors();
const session = new PageSession((error) => {
  // A lost GPU cannot be reopened in this worker: the page is told, and starts another worker.
  postMessage({ kind: 'device_lost', error });
  self.close();
});
expose(session, self as never);
// Ten seconds without an answer to this message mean to the page that the worker hangs (client.ts). It is answered between pieces of work.
self.addEventListener('message', ({ data }: MessageEvent<{ kind?: unknown } | null>) => {
  if (data?.kind === 'alive?') postMessage({ kind: 'alive' });
});

// The page requests this lock too, and gets it when this worker has ended, however it ended. `ready` is sent only once the lock is held here:
// a page that requested it earlier would get it at once.
const ready = () => postMessage({ kind: 'ready' });
if (navigator.locks) {
  void navigator.locks.request(self.name, () => {
    ready();
    return new Promise<never>(() => {});
  });
} else ready();
