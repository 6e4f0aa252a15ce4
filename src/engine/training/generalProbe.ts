// What a run forgets, measured: the loss on general rows that it does not learn from, before, during and after.
// Not here: the rows (data/generalRows.ts), how many of them when (plan.ts), what a rise means (metrics/forgetting.ts).
//
// How it works: before the first update all rows are measured; at each evaluation a fixed part of them; at the end all again, with the last and
// with the best weights. A rise is that over the loss before training on the same rows, so its standard error is a paired one.
// Memory: losses of the rows before training.

import type { EncodedExample } from '../../contract';
import { type Evaluation, pairedStandardError, summary } from './evaluate';

export interface GeneralLoss {
  /** Mean over the target tokens, in nats. */
  loss: number;
  /** Of the loss minus that before training on the same rows; 0 before training. */
  riseStandardError: number;
}

export interface GeneralReport {
  kind: 'general';
  /** The weights that were measured: those after this step. */
  step: number;
  epoch: number;
  tokens: number;
  /** On the rows of the sample; null at the end, where all are measured. */
  sample: GeneralLoss | null;
  /** On all rows; null where only the sample was measured. */
  all: GeneralLoss | null;
}

/** What a checkpoint keeps of it. */
export interface GeneralState {
  /** All rows before training. */
  before: Evaluation | null;
  /** Step of the latest measurement. */
  measuredAt: number | null;
}

type When = Pick<GeneralReport, 'step' | 'epoch' | 'tokens'>;

const NOTHING_MEASURED: GeneralState = { before: null, measuredAt: null };

/** Measures rows with the weights as they are. */
type MeasureRows<Y> = (rows: EncodedExample[]) => AsyncGenerator<Y, Evaluation>;

export class GeneralProbe {
  readonly #all: EncodedExample[];
  readonly #sample: EncodedExample[];
  #state: GeneralState = NOTHING_MEASURED;

  /** @param rows.sample a part of `rows.all`; both empty where nothing is to be measured */
  constructor({ all, sample }: { all: EncodedExample[]; sample: EncodedExample[] }) {
    this.#all = all;
    this.#sample = sample;
  }

  get state(): GeneralState {
    return this.#state;
  }

  /** @param state undefined for a run that was begun without: it goes on without */
  restore(state: GeneralState | undefined): void {
    this.#state = state ?? NOTHING_MEASURED;
  }

  /** Whether the weights after this step are still to be measured. */
  wants(step: number): boolean {
    const begun = step === 0 || this.#state.before !== null;
    return this.#all.length > 0 && begun && this.#state.measuredAt !== step;
  }

  /** At an evaluation during the run; the one before the first update measures all rows. */
  async *measure<Y>(at: When, measure: MeasureRows<Y>): AsyncGenerator<Y, GeneralReport> {
    const all = at.step === 0;
    const found = yield* measure(all ? this.#all : this.#sample);
    this.#state = { before: this.#state.before ?? found, measuredAt: at.step };
    const sample = this.#loss(partOf(found, this.#sample));
    return { kind: 'general', ...at, sample, all: all ? this.#loss(found) : null };
  }

  /** Whether at the end all rows are still to be measured with the weights after this step. */
  wantsAll(step: number): boolean {
    return this.#all.length > 0 && this.#state.before !== null && step !== 0;
  }

  /** At the end, with the weights that `measure` measures. */
  async *measureAll<Y>(at: When, measure: MeasureRows<Y>): AsyncGenerator<Y, GeneralReport> {
    return { kind: 'general', ...at, sample: null, all: this.#loss(yield* measure(this.#all)) };
  }

  #loss(now: Evaluation): GeneralLoss {
    const before = partOf(this.#state.before as Evaluation, now.rows);
    return { loss: now.loss, riseStandardError: pairedStandardError(now, before) };
  }
}

/** An evaluation of some of its rows. */
function partOf(evaluation: Evaluation, rows: readonly { line: number }[]): Evaluation {
  const lines = new Set(rows.map(({ line }) => line));
  return summary(evaluation.rows.filter(({ line }) => lines.has(line)));
}
