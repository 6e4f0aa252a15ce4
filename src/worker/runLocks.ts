// Who may write a run: one worker at a time, of all tabs of this page.
// Not here: what is written (runStore.ts).

import { RUN_LOCK } from '../storedRuns';

export interface RunLocks {
  /** Null when another worker has it. The answer gives it back; so does the end of the worker. */
  take(runId: string): Promise<(() => void) | null>;
  /** Ids of all runs that some worker has. */
  held(): Promise<Set<string>>;
}

/** By the browser's locks; where there are none (Node, insecure addresses) nothing is shared between tabs either, and a set does. */
export function runLocks(): RunLocks {
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) return localLocks();
  return {
    take: (runId) =>
      new Promise((resolve, reject) => {
        locks
          .request(RUN_LOCK + runId, { ifAvailable: true }, (lock) => {
            if (lock === null) return resolve(null);
            return new Promise<void>((release) => resolve(() => release()));
          })
          .catch(reject);
      }),
    held: async () => {
      const { held = [] } = await locks.query();
      const names = held.flatMap(({ name = '' }) =>
        name.startsWith(RUN_LOCK) ? [name.slice(RUN_LOCK.length)] : [],
      );
      return new Set(names);
    },
  };
}

export function localLocks(): RunLocks {
  const taken = new Set<string>();
  return {
    take: async (runId) => {
      if (taken.has(runId)) return null;
      taken.add(runId);
      return () => void taken.delete(runId);
    },
    held: async () => new Set(taken),
  };
}
