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

// The page waits for this lock: it falls to the page the moment this worker ends, however it ends.
if (navigator.locks) void navigator.locks.request(self.name, () => new Promise<never>(() => {}));
postMessage({ kind: 'ready' });
