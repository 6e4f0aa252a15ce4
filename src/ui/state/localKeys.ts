// What is kept of learning in this browser's local storage, where it may be used: read, written, deleted.
// Not here: rows, settings and runs (keptStore.ts), the colours (theme.svelte.ts), the address of a hub (hub.svelte.ts).

/** The first screen was seen to its end or put away: it is a line from then on. */
export const ARRIVAL = 'arrival';
/** Which lessons were done, with what was predicted and answered. */
export const LESSONS = 'lessons';

/** @returns null where there is nothing, or where storage is forbidden (private windows, embedded pages) */
export function readLocal(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Where storage is forbidden or full, it lasts as long as the page. */
export function writeLocal(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch {
    // See above: nothing that can be acted on.
  }
}

/** For “Start fresh”. */
export function forgetLearning(): void {
  try {
    for (const key of [ARRIVAL, LESSONS]) localStorage.removeItem(key);
  } catch {
    // Forbidden: then nothing was kept.
  }
}
