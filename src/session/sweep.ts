// A sweep: several runs that differ in one setting, made one after the other. Its plan, its order, its progress.
// Not here: what can be swept (sweeps.ts), one run (run.ts), what the runs come to (metrics/sweep.ts), where each is kept (the platforms).
//
// How it works: the settings of every run are checked before the first begins. Then each run is prepared, trained and handed over before the
// next is prepared, so that memory is that of one run beside the one before. Where the swept setting decides which rows are read, each run
// reads a copy of the data that is encoded for itself, and what the page shows of the rows stays. A run that fails does not end the sweep.

import type {
  DeviceReport,
  RunConfig,
  RunEvent,
  RunProgress,
  RunSummary,
  SweepOutcome,
  TileReport,
} from '../contract';
import { stepsPerEpoch } from '../epochSteps';
import { errorDetails, PlaygroundError } from '../errors';
import {
  DATA_SETTINGS,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
  withChange,
} from '../hyperparameters';
import type { SweepPlace, SweepProgress, SweepRequest } from '../sweepContract';
import { sweepProblem } from '../sweeps';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import type { Platform } from './platform';
import { Run } from './run';
import type { RunExtras } from './runExtras';

export interface PlannedRun {
  place: SweepPlace;
  hyperparameters: Hyperparameters;
  /** Updates, as far as the counts of rows tell. */
  steps: number;
  /** Training rows of one update. */
  batchRows: number;
}

/**
 * The runs of a sweep. They have the same settings but for the swept one, with two exceptions: a learning rate that has its default
 * follows the method, and over shares of the training rows the epochs are chosen so that all runs make about as many updates as that
 * with the most rows makes. Otherwise a run on an eighth of the rows would also make an eighth of the updates, and the curve would show both.
 * @param rows training rows that there are, before `train_fraction`
 * @param parameters weights of the model, for its default learning rate
 * @throws PlaygroundError `bad_sweep`
 */
export function planSweep(
  h: Hyperparameters,
  { setting, values }: SweepRequest,
  rows: number,
  parameters: number,
): PlannedRun[] {
  const problem =
    h.folds > 1
      ? 'A sweep makes one run for each value, without folds. Set folds to 1.'
      : sweepProblem(setting, values, h);
  if (problem !== null) {
    throw new PlaygroundError({
      code: 'bad_sweep',
      message: problem,
      fix: 'Change the values and start the sweep again.',
      where: setting,
    });
  }
  const id = crypto.randomUUID();
  const rowsOf = (one: Hyperparameters) => Math.max(1, Math.round(rows * one.train_fraction));
  const stepsOf = (one: Hyperparameters) => stepsPerEpoch(rowsOf(one), one) * one.num_train_epochs;
  const settings = values.map((value) => withChange(h, setting, value as never, parameters));
  const most = Math.max(...settings.map(stepsOf));
  return settings.map((own, i) => {
    const hyperparameters =
      setting === 'train_fraction' ? { ...own, num_train_epochs: epochsFor(most, rowsOf(own), own) } : own;
    return {
      place: { id, setting, values: [...values], number: i + 1 },
      hyperparameters,
      steps: stepsOf(hyperparameters),
      batchRows: own.batch_size * own.gradient_accumulation_steps,
    };
  });
}

/** Whole epochs whose updates come closest to `steps`. */
function epochsFor(steps: number, rows: number, h: Hyperparameters): number {
  const { max } = HYPERPARAMETERS.num_train_epochs as { max: number };
  return Math.max(1, Math.min(max, Math.round(steps / stepsPerEpoch(rows, h))));
}

/** Progress over all runs of a sweep, from the reports of the one that goes on. */
export class SweepClock {
  readonly #plan: readonly PlannedRun[];
  /** Updates of each run: estimated, then as planned by the run, then as made. */
  readonly #steps: number[];
  #number = 0;
  /** Of the runs that have ended. */
  #elapsedMs = 0;
  #now: Pick<RunProgress, 'step' | 'elapsedMs'> = { step: 0, elapsedMs: 0 };

  constructor(plan: readonly PlannedRun[]) {
    this.#plan = plan;
    this.#steps = plan.map(({ steps }) => steps);
  }

  begin(number: number, { totalSteps }: Pick<RunConfig, 'totalSteps'>): void {
    this.#number = number;
    this.#steps[number - 1] = totalSteps;
    this.#now = { step: 0, elapsedMs: 0 };
  }

  /** @param step updates made; null for a run that was refused */
  end(number: number, step: number | null): void {
    this.#steps[number - 1] = step ?? 0;
    this.#elapsedMs += this.#now.elapsedMs;
    this.#now = { step: 0, elapsedMs: 0 };
    this.#number = number + 1;
  }

  at(progress: Pick<RunProgress, 'step' | 'elapsedMs'>): SweepProgress {
    this.#now = progress;
    const before = this.#steps.slice(0, this.#number - 1);
    const { step } = progress;
    const rows = (steps: number, i: number) => steps * (this.#plan[i]?.batchRows ?? 0);
    const all = this.#steps.reduce((sum, steps, i) => sum + rows(steps, i), 0);
    const done = before.reduce((sum, steps, i) => sum + rows(steps, i), 0) + rows(step, this.#number - 1);
    const elapsedMs = this.#elapsedMs + progress.elapsedMs;
    return {
      number: this.#number,
      of: this.#plan.length,
      step: before.reduce((sum, steps) => sum + steps, 0) + step,
      totalSteps: this.#steps.reduce((sum, steps) => sum + steps, 0),
      // By rows, as updates of different batch sizes take different times.
      remainingMs: done > 0 ? (elapsedMs / done) * (all - done) : null,
    };
  }
}

export interface SweepHooks {
  /** Trains the run, keeps what it learned, and frees or replaces what the run before holds. */
  train: (run: Run, onEvent: (event: RunEvent) => void | Promise<void>) => Promise<RunSummary>;
  onEvent: (event: RunEvent, progress: SweepProgress) => void | Promise<void>;
  /** A run has ended, or was refused. The next is not prepared before this is over. */
  onEnd: (outcome: SweepOutcome) => void | Promise<void>;
}

export class Sweep {
  readonly plan: readonly PlannedRun[];
  readonly #base: BaseModel;
  readonly #dataset: Dataset;
  readonly #at: { device: DeviceReport; tiles: TileReport | null };
  readonly #platform: Platform;
  readonly #extras: Pick<RunExtras, 'keepSteps'>;
  #stopRequested = false;
  #paused = false;

  /** @throws PlaygroundError `bad_sweep`, or what `Dataset.assertTrainable` throws */
  constructor(
    base: BaseModel,
    dataset: Dataset,
    h: Hyperparameters,
    request: SweepRequest,
    at: { device: DeviceReport; tiles: TileReport | null },
    platform: Platform,
    extras: Pick<RunExtras, 'keepSteps'> = {},
  ) {
    this.#extras = extras;
    const { trainRows, spareRows } = dataset.encode(base.chat, base.model.architecture, h);
    dataset.assertTrainable();
    this.plan = planSweep(h, request, trainRows + spareRows, base.model.parameters);
    this.#base = base;
    this.#dataset = dataset;
    this.#at = at;
    this.#platform = platform;
  }

  /** No run is started any more. The one that goes on is stopped by its own `stop`. */
  stop(): void {
    this.#stopRequested = true;
  }

  /** Between two runs there is none to pause: the next then begins paused. */
  set paused(paused: boolean) {
    this.#paused = paused;
  }

  /** Makes the runs. Never rejects for what is wrong with one run. @returns how each ended; without those that were not started */
  async go({ train, onEvent, onEnd }: SweepHooks): Promise<SweepOutcome[]> {
    const outcomes: SweepOutcome[] = [];
    const clock = new SweepClock(this.plan);
    for (const planned of this.plan) {
      if (this.#stopRequested) break;
      const { number } = planned.place;
      const trained = async (): Promise<RunSummary> => {
        const run = await this.#prepare(planned);
        clock.begin(number, run.config);
        if (this.#paused) run.pause();
        return train(run, (event) => onEvent(event, clock.at(event.progress)));
      };
      const outcome = await trained().then(
        (summary): SweepOutcome => ({ number, summary, error: summary.error ?? null }),
        (thrown: unknown): SweepOutcome => ({ number, summary: null, error: errorDetails(thrown) }),
      );
      clock.end(number, outcome.summary?.step ?? null);
      outcomes.push(outcome);
      await onEnd(outcome);
    }
    return outcomes;
  }

  async #prepare({ place, hyperparameters }: PlannedRun): Promise<Run> {
    const ownRows = (DATA_SETTINGS as readonly HyperparameterName[]).includes(place.setting);
    const rows = ownRows ? this.#dataset.copy() : this.#dataset;
    await rows.provideReplay(hyperparameters, this.#platform);
    return Run.prepare(this.#base, rows, hyperparameters, this.#at, this.#platform, {
      ...this.#extras,
      sweep: place,
    });
  }
}
