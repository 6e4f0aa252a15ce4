// A disk in memory for the store of runs: its power can be cut between any two writes and in the middle of one, and it can be full.
// Not here: the tests (runStore.test.ts, storedRuns.test.ts).

import { PlaygroundError } from '../src/errors';
import type { Store } from '../src/worker/storage';

export class PowerCut extends Error {}

export class RunDisk {
  folders = new Map<string, Map<string, Uint8Array<ArrayBuffer>>>();
  /** Changes that were made. */
  changes = 0;

  snapshot(): Map<string, Map<string, Uint8Array<ArrayBuffer>>> {
    return new Map([...this.folders].map(([name, files]) => [name, new Map(files)]));
  }

  /**
   * @param cutAfter changes until the power is cut; the one after that is made in part, all later ones fail
   * @param part of a write that is cut, how much of it reaches the disk
   * @param room bytes that may lie on the disk
   */
  store({ cutAfter = Number.POSITIVE_INFINITY, part = 0.5, room = Number.POSITIVE_INFINITY } = {}): Store {
    let left = cutAfter;
    const used = () =>
      [...this.folders.values()].flatMap((f) => [...f.values()]).reduce((n, b) => n + b.length, 0);
    /** True while there is power; false for the change that is cut. */
    const powered = () => {
      if (left < 0) throw new PowerCut();
      this.changes++;
      return left-- > 0;
    };
    return {
      lasting: true,
      folders: async () => [...this.folders.keys()],
      files: async (folder) =>
        new Map([...(this.folders.get(folder) ?? [])].map(([name, b]) => [name, b.length])),
      read: async (folder, file) => {
        const bytes = this.folders.get(folder)?.get(file);
        return bytes ? new Blob([bytes]) : null;
      },
      append: async (folder, file, at) => {
        if (!powered()) throw new PowerCut();
        const files = this.folders.get(folder) ?? new Map<string, Uint8Array<ArrayBuffer>>();
        this.folders.set(folder, files);
        files.set(file, (files.get(file) ?? new Uint8Array(0)).slice(0, at));
        return {
          write: (bytes) => {
            const whole = powered();
            const fits = Math.max(0, Math.min(bytes.length, room - used()));
            const now = files.get(file) as Uint8Array<ArrayBuffer>;
            const more = bytes.subarray(0, whole ? fits : Math.floor(part * bytes.length));
            files.set(file, Uint8Array.from([...now, ...more]));
            if (!whole) throw new PowerCut();
            if (fits < bytes.length)
              throw new PlaygroundError({
                code: 'storage_full',
                message: 'The disk is full.',
                fix: 'Make room.',
              });
          },
          close: () => {
            if (left < 0) throw new PowerCut();
          },
        };
      },
      remove: async (folder, file) => {
        if (!powered()) throw new PowerCut();
        if (file === undefined) this.folders.delete(folder);
        else this.folders.get(folder)?.delete(file);
      },
      freeBytes: async () => null,
    };
  }
}
