// The page's end of the wire: starts the worker, wraps its calls, turns a dead worker into rejected calls and one notice, and a silent one into another.
// Not here: what the calls do (session.ts), the threads that the engine starts for its kernels (threads.ts).

import { proxy, type Remote, wrap } from 'comlink';
import type { Session } from '../contract';
import { type ErrorDetails, PlaygroundError } from '../errors';
import type { RunStorage } from '../storedRuns';
import { carryErrors } from './wire';

carryErrors();

export interface Client {
  /** Every call of the session. Rejects with `worker_dead` when the worker ends before it answers. */
  readonly session: Session & RunStorage;
  /** Called once for each worker that ends without being asked to, with the names of the calls that it had not answered. */
  onDead(callback: (error: ErrorDetails, calls: string[]) => void): void;
  /**
   * Called each second while a call waits and the worker has shown no sign of life for ten seconds; with null when it has again, or when
   * nothing waits any more. Work that takes long is no silence as long as the worker comes back to its messages in between.
   */
  onSilence(callback: (silence: Silence | null) => void): void;
  /** Ends the worker, dead or alive, and starts a fresh one, which knows nothing yet. */
  restart(): Promise<void>;
}

export interface Silence {
  seconds: number;
  /** Names of the calls that wait. */
  calls: string[];
}

type Announcement = { kind: 'ready' } | { kind: 'device_lost'; error: ErrorDetails } | { kind: 'alive' };

interface Running {
  worker: Worker;
  remote: Remote<Session & RunStorage>;
  ready: Promise<void>;
  /** Never resolves; rejects when the worker is dead. */
  death: Promise<never>;
  /** Calls that wait for an answer. */
  waiting: Set<{ name: string }>;
  /** The worker has just shown that it lives. */
  heard(): void;
  release(): void;
}

const DEAD: ErrorDetails = {
  code: 'worker_dead',
  message: 'The engine stopped working: its worker ended, most likely because memory ran out.',
  fix: 'Restart it. If it happens again, take a smaller model, a smaller batch or shorter rows.',
};

export function createClient(): Client {
  const onDead: ((error: ErrorDetails, calls: string[]) => void)[] = [];
  const onSilence: ((silence: Silence | null) => void)[] = [];
  const tell: Tell = {
    dead: (error, calls) => {
      for (const listener of onDead) listener(error, calls);
    },
    silence: (silence) => {
      for (const listener of onSilence) listener(silence);
    },
  };
  let running = startWorker(tell);

  const call = async (name: string, args: unknown[]): Promise<unknown> => {
    const { remote, ready, death, waiting, heard } = running;
    const entry = { name };
    waiting.add(entry);
    try {
      await Promise.race([ready, death]);
      const wired = args.map((a) => (typeof a === 'function' ? proxy(hearing(a as Callback, heard)) : a));
      const method = (remote as unknown as Record<string, (...a: unknown[]) => Promise<unknown>>)[name];
      return await Promise.race([method?.(...wired), death]);
    } finally {
      waiting.delete(entry);
      heard();
    }
  };
  const session = new Proxy({} as Session & RunStorage, {
    get: (_, name) =>
      typeof name === 'string' && name !== 'then' ? (...args: unknown[]) => call(name, args) : undefined,
  });

  return {
    session,
    onDead: (callback) => onDead.push(callback),
    onSilence: (callback) => onSilence.push(callback),
    restart: async () => {
      running.release();
      running.worker.terminate();
      running = startWorker(tell);
      await Promise.race([running.ready, running.death]);
    },
  };
}

interface Tell {
  dead: (error: ErrorDetails, calls: string[]) => void;
  silence: (silence: Silence | null) => void;
}

type Callback = (...args: unknown[]) => unknown;

/** A report is a sign of life too: it arrives while the work that it tells of goes on. */
const hearing =
  (callback: Callback, heard: () => void): Callback =>
  (...args) => {
    heard();
    return callback(...args);
  };

let count = 0;

function startWorker(tell: Tell): Running {
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
  const waiting: Running['waiting'] = new Set();
  const names = () => [...waiting].map((call) => call.name);
  let over = false;
  const die = (details: ErrorDetails, isNews: boolean) => {
    if (over) return;
    over = true;
    watch.abort();
    const calls = names();
    reject(new PlaygroundError(details));
    if (isNews) tell.dead(details, calls);
  };
  const silence = watchSilence(
    names,
    () => worker.postMessage({ kind: 'alive?' }),
    tell.silence,
    watch.signal,
  );

  worker.addEventListener('message', ({ data }: MessageEvent<Announcement>) => {
    silence.heard();
    if (data?.kind === 'ready') {
      isReady();
      silence.begin();
      waitForEnd(name, watch.signal, () => die(DEAD, true));
    } else if (data?.kind === 'device_lost') die(data.error, true);
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    const reason = event.message ? ` (${event.message})` : '';
    die({ ...DEAD, message: `The engine stopped working: its worker failed${reason}.` }, true);
    worker.terminate();
  });
  const remote = wrap<Session & RunStorage>(worker);
  return {
    worker,
    remote,
    ready,
    death,
    waiting,
    heard: silence.heard,
    release: () => die({ ...DEAD, message: 'The engine was restarted.' }, false),
  };
}

const SILENT_AFTER_MS = 10_000;
const LOOK_EVERY_MS = 1000;

/**
 * Asks the worker for a sign of life each second while calls wait, and tells when none has come for ten. Time in which this page
 * slept, or was held back in the background, does not count: a look counts two seconds at most.
 */
function watchSilence(
  calls: () => string[],
  ask: () => void,
  tell: (silence: Silence | null) => void,
  signal: AbortSignal,
): { begin: () => void; heard: () => void } {
  let silentMs = 0;
  let told = false;
  let looked = performance.now();
  const heard = () => {
    silentMs = 0;
    if (told) tell(null);
    told = false;
  };
  const look = () => {
    const now = performance.now();
    const passed = Math.min(now - looked, 2 * LOOK_EVERY_MS);
    looked = now;
    const waiting = calls();
    if (waiting.length === 0) return heard();
    silentMs += passed;
    ask();
    if (silentMs < SILENT_AFTER_MS) return;
    told = true;
    tell({ seconds: Math.round(silentMs / 1000), calls: waiting });
  };
  return {
    begin: () => {
      const timer = setInterval(look, LOOK_EVERY_MS);
      signal.addEventListener('abort', () => {
        clearInterval(timer);
        heard();
      });
    },
    heard,
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
