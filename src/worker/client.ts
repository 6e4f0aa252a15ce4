// The page's end of the wire: starts the worker, wraps its calls, and turns a dead worker into rejected calls and one notice.
// Not here: what the calls do (session.ts), the threads that the engine starts for its kernels (threads.ts).

import { proxy, type Remote, wrap } from 'comlink';
import type { Session } from '../contract';
import { type ErrorDetails, PlaygroundError } from '../errors';
import { carryErrors } from './wire';

carryErrors();

export interface Client {
  /** Every call of the session. Rejects with `worker_dead` when the worker ends before it answers. */
  readonly session: Session;
  /** Called once for each worker that ends without being asked to. */
  onDead(callback: (error: ErrorDetails) => void): void;
  /** Ends the worker, dead or alive, and starts a fresh one, which knows nothing yet. */
  restart(): Promise<void>;
}

type Announcement = { kind: 'ready' } | { kind: 'device_lost'; error: ErrorDetails };

interface Running {
  worker: Worker;
  remote: Remote<Session>;
  ready: Promise<void>;
  /** Never resolves; rejects when the worker is dead. */
  death: Promise<never>;
  release(): void;
}

const DEAD: ErrorDetails = {
  code: 'worker_dead',
  message: 'The engine stopped working: its worker ended, most likely because memory ran out.',
  fix: 'Restart it. If it happens again, take a smaller model, a smaller batch or shorter rows.',
};

export function createClient(): Client {
  const listeners: ((error: ErrorDetails) => void)[] = [];
  const tell = (error: ErrorDetails) => {
    for (const listener of listeners) listener(error);
  };
  let running = startWorker(tell);

  const call = async (name: string, args: unknown[]): Promise<unknown> => {
    const { remote, ready, death } = running;
    await Promise.race([ready, death]);
    const wired = args.map((a) => (typeof a === 'function' ? proxy(a as () => void) : a));
    const method = (remote as unknown as Record<string, (...a: unknown[]) => Promise<unknown>>)[name];
    return Promise.race([method?.(...wired), death]);
  };
  const session = new Proxy({} as Session, {
    get: (_, name) =>
      typeof name === 'string' && name !== 'then' ? (...args: unknown[]) => call(name, args) : undefined,
  });

  return {
    session,
    onDead: (callback) => listeners.push(callback),
    restart: async () => {
      running.release();
      running.worker.terminate();
      running = startWorker(tell);
      await Promise.race([running.ready, running.death]);
    },
  };
}

let count = 0;

function startWorker(tell: (error: ErrorDetails) => void): Running {
  const name = `engine-${Date.now().toString(36)}-${count++}`;
  const worker = new Worker(new URL('./main.ts', import.meta.url), { type: 'module', name });
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  let reject: (error: PlaygroundError) => void = () => {};
  const death = new Promise<never>((_, r) => {
    reject = r;
  });
  death.catch(() => {}); // whoever calls hears of it; nobody calling is no unhandled rejection
  const watch = new AbortController();
  let over = false;
  const die = (details: ErrorDetails, heard: boolean) => {
    if (over) return;
    over = true;
    watch.abort();
    reject(new PlaygroundError(details));
    if (heard) tell(details);
  };

  worker.addEventListener('message', ({ data }: MessageEvent<Announcement>) => {
    if (data?.kind === 'ready') {
      isReady();
      waitForEnd(name, watch.signal, () => die(DEAD, true));
    } else if (data?.kind === 'device_lost') die(data.error, true);
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    const reason = event.message ? ` (${event.message})` : '';
    die({ ...DEAD, message: `The engine stopped working: its worker failed${reason}.` }, true);
    worker.terminate();
  });
  const remote = wrap<Session>(worker);
  return {
    worker,
    remote,
    ready,
    death,
    release: () => die({ ...DEAD, message: 'The engine was restarted.' }, false),
  };
}

/** The worker holds a lock by its name as long as it lives; getting it means that it has ended. */
function waitForEnd(name: string, signal: AbortSignal, ended: () => void): void {
  // Insecure addresses have no locks (and no WebGPU): there, only the error event tells.
  if (!navigator.locks) return;
  navigator.locks
    .request(name, { signal }, async () => ended())
    .catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === 'AbortError')) throw error;
    });
}
