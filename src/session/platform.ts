// What the order of things needs from where it runs: a worker of the page, or Node.
// Not here: the two platforms (worker/platform.ts, cli/platform.ts), the engine's own needs (engine/device/device.ts `StartOptions`).

import type { ThreadHost } from '../engine/device/device';

/** Small JSON values that outlive the program, by name. */
export interface Records {
  /** A sentence when values are gone with the page or the process; null when they last. */
  notLasting(): Promise<string | null>;
  /** @returns the value, or null when there is none; rejects when it cannot be read */
  read(name: string): Promise<unknown>;
  /** Replaces the value; rejects when it cannot be kept. */
  write(name: string, value: unknown): Promise<void>;
}

export interface Platform {
  /** Of this program, for the record of a run. */
  readonly appVersion: string;
  /** Where kernel threads come from; null where there are none. */
  readonly threads: ThreadHost | null;
  readonly records: Records;
  /**
   * Text of a file that is shipped with this program, by its path beside the sample data sets, e.g. `general/probe.jsonl`.
   * @throws PlaygroundError `shipped_file_unreachable`
   */
  shippedText(path: string): Promise<string>;
  /** Resolves after the messages and signals that are waiting now (stop, pause, a question to the model) have been handled. */
  yieldToEvents(): Promise<void>;
}

/** The most a stop request waits, on top of the engine's longest piece of work. */
const YIELD_EVERY_MS = 20;

/** Yields to events at most every 20 ms: the engine offers far more moments (a layer, an op) than a small model's step is worth. */
export function createPace(platform: Pick<Platform, 'yieldToEvents'>): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < YIELD_EVERY_MS) return;
    await platform.yieldToEvents();
    last = performance.now();
  };
}
