// The run whose weights the engine holds, and which of them answer: the last, the best, or those of a single step.
// Not here: making or storing a run (session.ts, runKeeping.ts), which steps are kept (session/keptSteps.ts).

import type { TunedWeights } from '../contract';
import type { Learner } from '../engine/model/adapters';
import { type LearnedTensors, learnedTensors } from '../engine/training/learned';
import type { NamedTensors } from '../engine/training/namedTensors';
import { PlaygroundError } from '../errors';
import type { BaseModel } from '../session/model';
import type { RestoredRun } from '../session/restoredRun';
import type { LearnedWeights } from '../session/results';
import { Run } from '../session/run';
import { needed } from './refusals';
import type { RunKeeping } from './runKeeping';

/** Weights of a single step on the device. They go when the last of those who use them is done. */
interface ShownStep {
  readonly step: number;
  readonly tensors: LearnedTensors;
  users: number;
  retired: boolean;
}

export class HeldRun {
  #run: Run | RestoredRun | null = null;
  #tuned: TunedWeights = 'last';
  #shown: ShownStep | null = null;
  readonly #keeping: Pick<RunKeeping, 'steps' | 'stepWeights'>;

  constructor(keeping: Pick<RunKeeping, 'steps' | 'stepWeights'>) {
    this.#keeping = keeping;
  }

  /** The run itself where it was made in this visit, and can be steered. */
  get made(): Run | null {
    return this.#run instanceof Run ? this.#run : null;
  }

  /** @throws PlaygroundError `no_tuned_model` */
  get trained(): Run | RestoredRun {
    return needed('run', this.#run);
  }

  /** Null before there is one. */
  get run(): Run | RestoredRun | null {
    return this.#run;
  }

  /** Takes the place of the run before, which is freed. */
  hold(run: Run | RestoredRun, tuned: TunedWeights): void {
    this.forget();
    this.#run = run;
    this.#tuned = tuned;
  }

  forget(): void {
    this.unshow();
    if (this.made) this.made.trainer.dispose();
    else (this.#run as RestoredRun | null)?.dispose();
    this.#run = null;
  }

  /** During a run (paused) there are only its last weights. */
  get tuned(): TunedWeights {
    return this.trained.active ? 'last' : this.#tuned;
  }

  use(which: TunedWeights): void {
    this.unshow();
    this.#tuned = which;
  }

  /** The steps that can be shown, in order; 0 is the model before training. */
  async steps(): Promise<number[]> {
    const run = this.#run;
    if (run === null || (this.made?.active && !this.made.paused)) return [];
    const waiting = this.made ? [...this.made.steps.waiting.keys()] : [];
    const ends = [run.step, ...(run.best === null ? [] : [run.best.step])];
    const all = new Set([0, ...(await this.#keeping.steps(run.config.runId)), ...waiting, ...ends]);
    return [...all].filter((step) => step <= run.step).sort((a, b) => a - b);
  }

  /**
   * The weights of that step answer from now on.
   * @throws PlaygroundError `no_tuned_model`, `run_active`, `step_not_kept`, `bad_checkpoint`
   */
  async show(step: number, base: BaseModel): Promise<void> {
    const run = this.trained;
    const kept = await this.steps();
    if (kept.length === 0)
      throw new PlaygroundError({
        code: 'run_active',
        message: 'The run goes on, so there are only the weights of now.',
        fix: 'Pause it first.',
      });
    if (!kept.includes(step))
      throw new PlaygroundError({
        code: 'step_not_kept',
        message: `The weights of step ${step} were not kept.`,
        fix: `Take the nearest step that was: ${nearest(kept, step)}.`,
      });
    const { hyperparameters } = run.config;
    const learner = await this.#read(run, step);
    needed('run', this.#run === run ? run : null);
    const tensors = learnedTensors(base.model, hyperparameters, learner && { learner, best: null });
    this.unshow();
    this.#shown = { step, tensors, users: 0, retired: false };
  }

  /** Back to the weights of `tuned`. */
  unshow(): void {
    const shown = this.#shown;
    if (!shown) return;
    this.#shown = null;
    shown.retired = true;
    if (shown.users === 0) shown.tensors.dispose();
  }

  /** The numbers of a step; null for step 0, which is what a run begins with. */
  async #read(run: Run | RestoredRun, step: number): Promise<NamedTensors | null> {
    if (step === 0) return null;
    const waiting = this.made?.steps.waiting.get(step);
    if (waiting) return waiting.learner;
    if (step === run.step) return run.tensorsOf('last');
    if (step === run.best?.step) return run.tensorsOf('best');
    return (await this.#keeping.stepWeights(run.config.runId, step)).trainer.learner;
  }

  /** Something with the weights that answer now; they stay as long as it takes. @throws PlaygroundError `no_tuned_model` */
  async with<T>(work: (learned: LearnedWeights) => Promise<T>): Promise<T> {
    const shown = this.#shown;
    if (shown === null) return work(this.trained.learned(this.tuned));
    shown.users++;
    try {
      return await work({ learner: shown.tensors.last, which: 'step', step: shown.step });
    } finally {
      shown.users--;
      if (shown.retired && shown.users === 0) shown.tensors.dispose();
    }
  }

  /** As `with`; null before a run. */
  async withOrNull<T>(work: (learner: Learner | null) => Promise<T>): Promise<T> {
    return this.#run === null ? work(null) : this.with(({ learner }) => work(learner));
  }
}

const nearest = (steps: readonly number[], wanted: number) =>
  steps.reduce((best, step) => (Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best));
