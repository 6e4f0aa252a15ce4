// The step of a run that is shown: one for the whole page. The map of rows goes to it, and the engine answers with the nearest weights that are kept.
// Not here: the slider (ui/train/StepSlider.svelte), which steps are kept (session/keptSteps.ts), holding the weights (worker/heldRun.ts).

import type { Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';

/** The part of the workspace that it needs. */
interface Page {
  readonly session: Pick<Session, 'shownSteps' | 'showStep'>;
  readonly runs: { error: ErrorDetails | null };
}

/** The weights are fetched when the visitor has stopped for so long. */
const SETTLE_MS = 120;

export const nearestStep = (steps: readonly number[], wanted: number): number | null =>
  steps.reduce<number | null>(
    (best, step) => (best === null || Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best),
    null,
  );

/** Place in `steps` of the evaluation nearest to the step that is pointed at; of the last one where that follows the run. */
export function evaluationAt(steps: readonly number[], wanted: number | null): number {
  const nearest = wanted === null ? null : nearestStep(steps, wanted);
  return nearest === null ? steps.length - 1 : steps.indexOf(nearest);
}

export class ShownStep {
  /** Where the visitor points; null follows the run. */
  at: number | null = $state(null);
  /** Steps of the run that the engine holds whose weights can be shown, in order; empty while it goes on. */
  kept: readonly number[] = $state.raw([]);
  /** The step whose weights answer; null for those that are chosen at the verdict. */
  answering: number | null = $state(null);
  /** Weights are on their way. */
  loading = $state(false);
  /** The kept step nearest to `at`. */
  readonly nearest = $derived(this.at === null ? null : nearestStep(this.kept, this.at));
  private readonly page: Page;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts what happened to the weights from elsewhere: an answer of before is then of no use. */
  private turn = 0;

  constructor(page: Page) {
    this.page = page;
  }

  /** Goes to a step at once; its weights follow. Null goes back to the weights that are chosen at the verdict. */
  go(step: number | null): void {
    this.at = step;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.fetch(), SETTLE_MS);
  }

  /** Other weights are in the engine, which has let go of those of a step. */
  forget(): void {
    clearTimeout(this.timer);
    this.turn++;
    this.at = null;
    this.answering = null;
    this.kept = [];
  }

  /** Asks which steps can be shown now. */
  async refresh(): Promise<void> {
    const { turn } = this;
    try {
      const kept = await this.page.session.shownSteps();
      if (turn === this.turn) this.kept = kept;
    } catch (thrown) {
      this.page.runs.error = errorDetails(thrown);
    }
  }

  /** Until the engine has the weights that are wanted: the visitor may go on meanwhile. */
  private async fetch(): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    const { turn } = this;
    try {
      while (turn === this.turn && this.answering !== this.nearest) {
        const wanted = this.nearest;
        await this.page.session.showStep(wanted);
        if (turn === this.turn) this.answering = wanted;
      }
    } catch (thrown) {
      this.page.runs.error = errorDetails(thrown);
      this.at = null;
      this.answering = null;
    } finally {
      this.loading = false;
    }
    if (turn !== this.turn && this.answering !== this.nearest) await this.fetch();
  }
}
