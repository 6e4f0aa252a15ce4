// Weights that were trained here and not downloaded: the question before something would drop them.
// Not here: the window that asks (ui/train/UnsavedDialog.svelte), downloading (workspace.svelte.ts), leaving the page (App.svelte).

import type { RunView } from './run.svelte';

/** What would drop them. */
export type Dropping = 'train' | 'model';

export class Unsaved {
  /** The open question; null when none is. */
  question: { run: RunView; dropping: Dropping; answer: (goOn: boolean) => void } | null = $state.raw(null);
  /** The visitor does not want to be asked again until the page is closed. */
  private told = false;

  /** @returns false when the visitor wants to keep what would be dropped */
  async mayDrop(run: RunView | null, dropping: Dropping): Promise<boolean> {
    if (run === null || !run.unsaved || this.told) return true;
    // A second press while the window is open asks nothing new.
    if (this.question !== null) return false;
    const goOn = await new Promise<boolean>((answer) => {
      this.question = { run, dropping, answer };
    });
    this.question = null;
    return goOn;
  }

  stopAsking(): void {
    this.told = true;
  }
}
