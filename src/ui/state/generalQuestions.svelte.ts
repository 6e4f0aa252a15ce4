// Asking the general questions of a run that forgot: once, when it is over and the engine still has its weights.
// Not here: the questions (session/generalAnswers.ts), showing the answers (ui/train/Forgetting.svelte).

import type { Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { RunView } from './run.svelte';

export class GeneralQuestions {
  busy = $state(false);
  error: ErrorDetails | null = $state.raw(null);
  private asking: Promise<void> | null = null;
  private readonly session: () => Pick<Session, 'generalAnswers' | 'cancelMeasuring'>;

  constructor(session: GeneralQuestions['session']) {
    this.session = session;
  }

  /** The answers stand in the summary of the run afterwards. Never rejects. */
  async ask(run: RunView): Promise<void> {
    if (this.busy) return;
    this.asking = this.answer(run);
    await this.asking;
  }

  /** Ends asking: the engine is wanted for something else. */
  async stop(): Promise<void> {
    if (!this.busy) return;
    await this.session().cancelMeasuring();
    await this.asking;
  }

  private async answer(run: RunView): Promise<void> {
    this.busy = true;
    this.error = null;
    try {
      const generalAnswers = await this.session().generalAnswers();
      if (run.summary) run.finish({ ...run.summary, generalAnswers });
    } catch (thrown) {
      const error = errorDetails(thrown);
      this.error = error.code === 'measuring_cancelled' ? null : error;
    } finally {
      this.busy = false;
    }
  }
}
