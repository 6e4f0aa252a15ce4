// What a run has measured so far, and how much of it has been reported: metric points, losses of rows, changes of weights, answers to pinned prompts.
// Not here: measuring (engine/training/, pinned.ts), when a report is due (run.ts).

import type { MetricPoint, RunEvent } from '../contract';
import type { RowMeasurement } from '../dataContract';
import type { Checkpoint } from '../engine/training/checkpoint';
import { Meter } from '../engine/training/meter';
import type { TrainingData } from '../engine/training/plan';
import type { EvaluationReport } from '../engine/training/train';
import type { PinnedColumn } from '../stepsContract';
import type { WeightChanges } from '../weightContract';
import type { PinnedAnswers } from './pinned';
import { rowMeasurements } from './rowLosses';

type Lists = Pick<RunEvent, 'points' | 'rows' | 'weights' | 'pinned'>;

const countsOf = ({ points, rows, weights, pinned }: Lists) => ({
  points: points.length,
  rows: rows.length,
  weights: weights.length,
  pinned: pinned.length,
});
const NONE: ReturnType<typeof countsOf> = { points: 0, rows: 0, weights: 0, pinned: 0 };

export class RunMeasurements {
  readonly meter = new Meter();
  /** The losses of single rows at every evaluation. */
  readonly rows: RowMeasurement[] = [];
  /** How far the weights had moved at every evaluation. */
  readonly weights: WeightChanges[] = [];
  readonly pinned: PinnedAnswers | null;
  readonly #measureRows: ReturnType<typeof rowMeasurements>;
  #reported = NONE;

  constructor(data: TrainingData, pinned: PinnedAnswers | null) {
    this.pinned = pinned;
    this.#measureRows = rowMeasurements(data);
  }

  get points(): readonly MetricPoint[] {
    return this.meter.points;
  }

  /** All of it; the lists grow as the run goes on. */
  get all(): Lists {
    const { meter, rows, weights, pinned } = this;
    return { points: meter.points, rows, weights, pinned: pinned?.columns ?? [] };
  }

  /** The answers to pinned prompts so far; null where there are no such prompts. */
  get columns(): PinnedColumn[] | null {
    return this.pinned && [...this.pinned.columns];
  }

  /** Step of the last evaluation; null before the first. */
  get lastStep(): number | null {
    // Not the last point of that name: the best weights are measured after the last ones.
    const steps = this.points.filter((p) => p.name.endsWith('valid_loss')).map((p) => p.step);
    return steps.length === 0 ? null : Math.max(...steps);
  }

  /** What an evaluation tells beside its metric points. */
  takeEvaluation(event: EvaluationReport): void {
    this.rows.push(this.#measureRows(event));
    if (event.weightChanges) this.weights.push(event.weightChanges);
  }

  /** Goes on from what had been measured before an interruption, all of which counts as reported. */
  restore({ points, rows, weights, pinned, trainingMs }: Checkpoint): void {
    this.meter.restore(points, trainingMs);
    this.rows.push(...rows);
    this.weights.push(...weights);
    this.pinned?.columns.push(...pinned);
    this.#reported = countsOf(this.all);
  }

  /** What has come since the last call, which counts as reported from now on. */
  unreported(): Lists {
    const { points, rows, weights, pinned } = this.all;
    const from = this.#reported;
    this.#reported = countsOf(this.all);
    return {
      points: points.slice(from.points),
      rows: rows.slice(from.rows),
      weights: weights.slice(from.weights),
      pinned: pinned.slice(from.pinned),
    };
  }

  /** The next report tells everything once more. */
  reportAgain(): void {
    this.#reported = NONE;
  }
}
