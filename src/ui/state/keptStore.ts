// The database of this browser in which the page keeps its records: IndexedDB, two stores.
// Not here: what the records are (keptRecords.ts), downloaded models (worker/storage.ts), choices like light or dark (localStorage).

import { type DBSchema, openDB } from 'idb';

/** Names of the single records. */
export type PageKey = 'data' | 'model' | 'settings';

interface Schema extends DBSchema {
  page: { key: PageKey; value: unknown };
  /** By `RunConfig.runId`. */
  runs: { key: string; value: unknown };
}

const NAME = 'finetune-playground';

export interface KeptStore {
  page(key: PageKey): Promise<unknown>;
  setPage(key: PageKey, value: unknown): Promise<void>;
  removePage(key: PageKey): Promise<void>;
  runs(): Promise<{ key: string; value: unknown }[]>;
  setRun(key: string, value: unknown): Promise<void>;
  /** Changes some keys of a run and leaves the others. @returns false when there is no such run */
  patchRun(key: string, changes: object): Promise<boolean>;
  removeRun(key: string): Promise<void>;
  clear(): Promise<void>;
}

/** Rejects where the browser keeps nothing for this page, as some private windows do. */
export async function openKeptStore(): Promise<KeptStore> {
  const db = await openDB<Schema>(NAME, 1, {
    upgrade: (fresh) => {
      fresh.createObjectStore('page');
      fresh.createObjectStore('runs');
    },
  });
  return {
    page: (key) => db.get('page', key),
    setPage: async (key, value) => {
      const transaction = db.transaction('page', 'readwrite');
      void transaction.store.put(value, key);
      // Not left to the end of this turn: when the page is being left there is none.
      transaction.commit();
      await transaction.done;
    },
    removePage: (key) => db.delete('page', key),
    runs: async () => {
      const transaction = db.transaction('runs');
      const [keys, values] = await Promise.all([transaction.store.getAllKeys(), transaction.store.getAll()]);
      return keys.map((key, i) => ({ key, value: values[i] }));
    },
    setRun: async (key, value) => {
      const transaction = db.transaction('runs', 'readwrite');
      void transaction.store.put(value, key);
      transaction.commit();
      await transaction.done;
    },
    patchRun: async (key, changes) => {
      const transaction = db.transaction('runs', 'readwrite');
      const value = await transaction.store.get(key);
      const found = typeof value === 'object' && value !== null;
      if (found) void transaction.store.put({ ...value, ...changes }, key);
      await transaction.done;
      return found;
    },
    removeRun: (key) => db.delete('runs', key),
    clear: async () => {
      const transaction = db.transaction(['page', 'runs'], 'readwrite');
      await Promise.all([transaction.objectStore('page').clear(), transaction.objectStore('runs').clear()]);
      await transaction.done;
    },
  };
}
