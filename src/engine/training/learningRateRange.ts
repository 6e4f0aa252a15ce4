// Learning-rate range test: the rate climbs from tiny to absurd within one short run, and the loss tells where it helps (Smith 2017).
// Not here: the run itself (train.ts). Nothing of it is kept.

import type { RatePoint } from '../../contract';
import { PlaygroundError } from '../../errors';
import type { Model } from '../model/model';
import { FittedTrainer, type SettledRun } from './fit';
import type { TrainingData } from './plan';
import type { Breath } from './step';

export interface RangeResult {
  points: RatePoint[];
  /** Null when the loss never fell. */
  proposed: number | null;
}

const STEPS = 60;
const LOWEST = 1e-5;
const HIGHEST = 1;
const SMOOTHING = 0.8;
/** The test is over once the loss stands this far above its lowest. */
const DIVERGED = 2.5;

/** Yields each point as it is measured, and between batches. The learner is thrown away at the end. */
export async function* learningRateRange(
  model: Model,
  data: TrainingData,
  settled: SettledRun,
): AsyncGenerator<Breath | ({ kind: 'point' } & RatePoint), RangeResult> {
  const rateOf = (step: number) => LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1));
  const h = { ...settled.h, num_train_epochs: 1000 };
  const fitted = new FittedTrainer(model, data, { ...settled, h }, rateOf);
  const points: RatePoint[] = [];
  // Debiased moving average: Adam's paper's correction, so that the first points are not near zero.
  let average = 0;
  let lowest = Number.POSITIVE_INFINITY;
  try {
    yield* fitted.rehearse();
    for (let step = 0; step < STEPS; step++) {
      const report = yield* fitted.trainer.update();
      average = SMOOTHING * average + (1 - SMOOTHING) * report.loss;
      const loss = average / (1 - SMOOTHING ** (step + 1));
      const point = { learningRate: report.learningRate, loss };
      points.push(point);
      yield { kind: 'point', ...point };
      lowest = Math.min(lowest, loss);
      if (loss > lowest * DIVERGED) break;
    }
  } catch (thrown) {
    // A number that is not finite is how the range ends, not a fault.
    if (!(thrown instanceof PlaygroundError && thrown.code === 'non_finite'))
      throw await fitted.giveUp(thrown);
  } finally {
    fitted.trainer.dispose();
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
