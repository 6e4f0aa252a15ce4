// Learning-rate range test (Smith 2017): one short run in which the rate rises from 1e-5 to 1; the loss shows which rates help.
// Not here: the run itself (train.ts), asking for it and stopping it (session/rateSearch.ts).
//
// How it works: `STEPS` updates with a rate that grows by a constant factor; the loss of each, smoothed by a debiased exponential average.
// The test ends early when the smoothed loss is `DIVERGED` times its lowest, or when a number is not finite. The proposed rate is a tenth of
// the one with the lowest smoothed loss.
// Memory: that of a run; the learner is freed at the end and nothing is kept.

import type { RatePoint } from '../../contract';
import { PlaygroundError } from '../../errors';
import type { Model } from '../model/model';
import { type FittedRun, FittedTrainer } from './fit';
import type { TrainingData } from './plan';
import type { YieldPoint } from './step';

export interface RangeResult {
  points: RatePoint[];
  /** Null when the loss never fell. */
  proposed: number | null;
}

const STEPS = 60;
const MIN_RATE = 1e-5;
const MAX_RATE = 1;
const SMOOTHING = 0.8;
/** The test ends when the smoothed loss is this many times its lowest. */
const DIVERGED = 2.5;

/** Yields each point as it is measured, and between pieces of work. */
export async function* learningRateRange(
  model: Model,
  data: TrainingData,
  fitted: FittedRun,
): AsyncGenerator<YieldPoint | ({ kind: 'point' } & RatePoint), RangeResult> {
  const rateOf = (step: number) => MIN_RATE * (MAX_RATE / MIN_RATE) ** (step / (STEPS - 1));
  const h = { ...fitted.h, num_train_epochs: 1000 };
  const run = new FittedTrainer(model, data, { ...fitted, h }, rateOf);
  const points: RatePoint[] = [];
  // Debiased moving average: Adam's paper's correction, so that the first points are not near zero.
  let average = 0;
  let lowest = Number.POSITIVE_INFINITY;
  try {
    yield* run.rehearse();
    for (let step = 0; step < STEPS; step++) {
      const report = yield* run.trainer.update();
      average = SMOOTHING * average + (1 - SMOOTHING) * report.loss;
      const loss = average / (1 - SMOOTHING ** (step + 1));
      const point = { learningRate: report.learningRate, loss };
      points.push(point);
      yield { kind: 'point', ...point };
      lowest = Math.min(lowest, loss);
      if (loss > lowest * DIVERGED) break;
    }
  } catch (thrown) {
    // A number that is not finite ends the range; it is no error.
    if (!(thrown instanceof PlaygroundError && thrown.code === 'non_finite'))
      throw await run.releaseAfter(thrown);
  } finally {
    run.trainer.dispose();
  }
  return { points, proposed: proposedRate(points) };
}

/**
 * A tenth of the rate with the lowest smoothed loss, to one digit (fastai's rule). The point of steepest descent, the other custom,
 * follows the noise between batches when a set is small. Null when the loss never fell clearly below where it began.
 */
export function proposedRate(points: readonly RatePoint[]): number | null {
  const start = points.slice(0, 10).sort((a, b) => a.loss - b.loss);
  const middle = start[Math.floor(start.length / 2)];
  if (points.length < 8 || !middle) return null;
  const least = points.reduce((best, p) => (p.loss < best.loss ? p : best));
  return least.loss < middle.loss * 0.9 ? Number((least.learningRate / 10).toPrecision(1)) : null;
}
