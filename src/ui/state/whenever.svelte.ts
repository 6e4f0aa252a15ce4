// Waiting until what the page shows has come true, without asking at intervals.
// Not here: what is waited for (showMe.svelte.ts).

/** Resolves at the first moment at which `holds` returns true; it is asked again whenever a state changes that it has read. */
export function whenever(holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = $effect.root(() => {
      $effect(() => {
        if (!holds()) return;
        resolve();
        queueMicrotask(() => stop());
      });
    });
  });
}
