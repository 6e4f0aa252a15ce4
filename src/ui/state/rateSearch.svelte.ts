// One search for a learning rate: its points as they arrive, how it ended, what it proposes.
// Not here: whether it may start (workspace.svelte.ts), how it looks (ui/settings/RateDialog.svelte), what it means (metrics/rates.ts).

import type { RatePoint, Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';

export class RateSearch {
  points: RatePoint[] = $state.raw([]);
  state: 'running' | 'stopping' | 'stopped' | 'done' | 'failed' = $state('running');
  proposed: number | null = $state(null);
  error: ErrorDetails | null = $state.raw(null);

  readonly active = $derived(this.state === 'running' || this.state === 'stopping');
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Ends when the search has ended, however it ended; never rejects. */
  async go(settings: Hyperparameters): Promise<void> {
    try {
      const proposed = await this.session.findLearningRate(settings, (point) => {
        this.points = [...this.points, point];
      });
      this.proposed = proposed;
      this.state = this.state === 'stopping' ? 'stopped' : 'done';
    } catch (thrown) {
      this.error = errorDetails(thrown);
      this.state = 'failed';
    }
  }

  async stop(): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'stopping';
    try {
      await this.session.stop();
    } catch (thrown) {
      this.error = errorDetails(thrown);
      this.state = 'failed';
    }
  }
}
