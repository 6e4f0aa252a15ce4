// Whether the engine still answers: its death, a silence of ten seconds and more, and what it was asked for when that began.
// Not here: noticing either (worker/client.ts), starting again (workspace.svelte.ts), how it looks (ui/model/EngineNotice.svelte).

import type { ErrorDetails } from '../../errors';
import type { Client, Silence } from '../../worker/client';

/** After “Wait” the offer comes back when the silence has lasted this much longer. */
const PATIENCE_S = 30;

export class EngineWatch {
  /** Set when the worker died; the page then offers to restart it. */
  dead: ErrorDetails | null = $state.raw(null);
  restarting = $state(false);
  /** Null while the engine answers. */
  private silence: Silence | null = $state.raw(null);
  private waitUntil = $state(0);

  /** What the engine is silent about, by the names of the session's calls; null while it answers, and while a visitor waits. */
  readonly silent = $derived(
    this.silence !== null && !this.restarting && this.dead === null && this.silence.seconds >= this.waitUntil
      ? this.silence.calls
      : null,
  );

  /** What the worker was doing when it died or fell silent. */
  get interrupted(): readonly string[] {
    return this.silence?.calls ?? this.interruptedByDeath;
  }
  private interruptedByDeath: readonly string[] = [];

  constructor(client: Client, ondead: (error: ErrorDetails) => void) {
    client.onDead((error, calls) => {
      this.dead = error;
      this.interruptedByDeath = calls;
      ondead(error);
    });
    client.onSilence((silence) => {
      this.silence = silence;
      if (silence === null) this.waitUntil = 0;
    });
  }

  wait(): void {
    this.waitUntil = (this.silence?.seconds ?? 0) + PATIENCE_S;
  }

  /** The new worker owes nothing for the old one. */
  revived(): void {
    this.dead = null;
    this.silence = null;
    this.waitUntil = 0;
    this.interruptedByDeath = [];
  }
}
