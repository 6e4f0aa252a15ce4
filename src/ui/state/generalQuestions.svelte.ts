// Asking the general questions of a run that forgot: once, when it is over and the engine still has its weights.
// Not here: the questions (session/generalAnswers.ts), showing the answers (ui/train/Forgetting.svelte).

import type { Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { RunView } from './run.svelte';

export class GeneralQuestions {
  busy = $state(false);
  error: ErrorDetails | null = $state.raw(null);

  /** The answers stand in the summary of the run afterwards. */
  async ask(session: Pick<Session, 'generalAnswers'>, run: RunView): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.error = null;
    try {
      const generalAnswers = await session.generalAnswers();
      if (run.summary) run.finish({ ...run.summary, generalAnswers });
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      this.busy = false;
    }
  }
}
