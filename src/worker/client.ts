// The page's side of the worker: starts it, wraps its calls, reports a worker that has ended and one that does not respond.
// Not here: what the calls do (session.ts), the threads that the engine starts for its kernels (threads.ts).
//
// How it works: the worker holds a Web Lock of its name; the page requests the same lock and gets it when the worker has ended, however it
// ended. Then every pending call is rejected. While calls are pending the page sends a message each second; a worker that neither answers
// nor reports for ten seconds is reported as unresponsive.

import { proxy, type Remote, wrap } from 'comlink';
import type { Session } from '../contract';
import { type ErrorDetails, PlaygroundError } from '../errors';
import type { EvaluationCalls } from '../evaluationContract';
import type { ExportCalls } from '../exportContract';
import type { RunStorage } from '../storedRuns';
import type { WaysCalls } from '../waysContract';
import { carryErrors } from './wire';

carryErrors();

/** Everything that the worker offers. */
export type EngineCalls = Session & RunStorage & EvaluationCalls & ExportCalls & WaysCalls;

export interface Client {
  /** Every call of the session. Rejects with `worker_dead` when the worker ends before it answers. */
  readonly session: EngineCalls;
  /** Called once for each worker that ends without being asked to, with the names of the calls that it had not answered. */
  onDead(callback: (error: ErrorDetails, calls: string[]) => void): void;
  /**
   * Called each second while a call is pending and the worker has sent nothing for ten seconds; with null once it sends again, or when
   * no call is pending any more. Long work is not reported as long as the worker handles messages in between.
   */
  onSilence(callback: (silence: Silence | null) => void): void;
  /** Terminates the worker and starts a new one, which has no state. */
  restart(): Promise<void>;
}

export interface Silence {
  seconds: number;
  /** Names of the pending calls. */
  calls: string[];
}

type Announcement = { kind: 'ready' } | { kind: 'device_lost'; error: ErrorDetails } | { kind: 'alive' };

interface Running {
  worker: Worker;
  remote: Remote<EngineCalls>;
  ready: Promise<void>;
  /** Never resolves; rejects when the worker has ended. */
  death: Promise<never>;
  /** Calls without an answer yet. */
  pending: Set<{ name: string }>;
  /** To be called whenever the worker has sent something. */
  received(): void;
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
  const listeners: Listeners = {
    dead: (error, calls) => {
      for (const listener of onDead) listener(error, calls);
    },
    silence: (silence) => {
      for (const listener of onSilence) listener(silence);
    },
  };
  let running = startWorker(listeners);

  const call = async (name: string, args: unknown[]): Promise<unknown> => {
    const { remote, ready, death, pending, received } = running;
    const entry = { name };
    pending.add(entry);
    try {
      await Promise.race([ready, death]);
      const wired = args.map((a) => (typeof a === 'function' ? proxy(counted(a as Callback, received)) : a));
      const method = (remote as unknown as Record<string, (...a: unknown[]) => Promise<unknown>>)[name];
      return await Promise.race([method?.(...wired), death]);
    } finally {
      pending.delete(entry);
      received();
    }
  };
  const session = new Proxy({} as EngineCalls, {
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
      running = startWorker(listeners);
      await Promise.race([running.ready, running.death]);
    },
  };
}

interface Listeners {
  dead: (error: ErrorDetails, calls: string[]) => void;
  silence: (silence: Silence | null) => void;
}

type Callback = (...args: unknown[]) => unknown;

/** The callback, counted as a message from the worker: reports arrive while a call is still pending. */
const counted =
  (callback: Callback, received: () => void): Callback =>
  (...args) => {
    received();
    return callback(...args);
  };

let count = 0;

function startWorker(listeners: Listeners): Running {
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
  death.catch(() => {}); // every call awaits it; without a call it must not count as unhandled
  const watch = new AbortController();
  const pending: Running['pending'] = new Set();
  const names = () => [...pending].map((call) => call.name);
  let ended = false;
  const end = (details: ErrorDetails, { report }: { report: boolean }) => {
    if (ended) return;
    ended = true;
    watch.abort();
    const calls = names();
    reject(new PlaygroundError(details));
    if (report) listeners.dead(details, calls);
  };
  const silence = watchSilence(
    names,
    () => worker.postMessage({ kind: 'alive?' }),
    listeners.silence,
    watch.signal,
  );

  worker.addEventListener('message', ({ data }: MessageEvent<Announcement>) => {
    silence.received();
    if (data?.kind === 'ready') {
      isReady();
      silence.begin();
      waitForEnd(name, watch.signal, () => end(DEAD, { report: true }));
    } else if (data?.kind === 'device_lost') end(data.error, { report: true });
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    const reason = event.message ? ` (${event.message})` : '';
    end({ ...DEAD, message: `The engine stopped working: its worker failed${reason}.` }, { report: true });
    worker.terminate();
  });
  const remote = wrap<EngineCalls>(worker);
  return {
    worker,
    remote,
    ready,
    death,
    pending,
    received: silence.received,
    release: () => end({ ...DEAD, message: 'The engine was restarted.' }, { report: false }),
  };
}

const SILENT_AFTER_MS = 10_000;
const CHECK_EVERY_MS = 1000;

/**
 * Sends the worker a message each second while calls are pending, and reports when nothing has come back for ten. Time in which this page
 * was suspended or throttled in the background does not count: each check counts two seconds at most.
 */
function watchSilence(
  calls: () => string[],
  ask: () => void,
  report: (silence: Silence | null) => void,
  signal: AbortSignal,
): { begin: () => void; received: () => void } {
  let silentMs = 0;
  let reported = false;
  let checkedAt = performance.now();
  const received = () => {
    silentMs = 0;
    if (reported) report(null);
    reported = false;
  };
  const check = () => {
    const now = performance.now();
    const passed = Math.min(now - checkedAt, 2 * CHECK_EVERY_MS);
    checkedAt = now;
    const pending = calls();
    if (pending.length === 0) return received();
    silentMs += passed;
    ask();
    if (silentMs < SILENT_AFTER_MS) return;
    reported = true;
    report({ seconds: Math.round(silentMs / 1000), calls: pending });
  };
  return {
    begin: () => {
      const timer = setInterval(check, CHECK_EVERY_MS);
      signal.addEventListener('abort', () => {
        clearInterval(timer);
        received();
      });
    },
    received,
  };
}

/** The worker holds a lock of its name; this page gets it when the worker has ended. */
function waitForEnd(name: string, signal: AbortSignal, ended: () => void): void {
  // Insecure addresses have no locks (and no WebGPU): there, only the error event reports an ended worker.
  if (!navigator.locks) return;
  navigator.locks
    .request(name, { signal }, async () => ended())
    .catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === 'AbortError')) throw error;
    });
}
