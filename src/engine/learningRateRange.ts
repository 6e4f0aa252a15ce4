// Learning-rate range test: the rate climbs from tiny to absurd within one short run, and the loss tells where it helps (Smith 2017).
// Not here: the run itself (train.ts). Nothing of it is kept.

import { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import type { Model } from './model';
import { type Breath, Trainer, type TrainingData } from './train';

export interface RangePoint {
  learningRate: number;
  /** Debiased moving average of the training loss, in nats. */
  loss: number;
}

export interface RangeResult {
  points: RangePoint[];
  /** Where the smoothed loss falls fastest; null when it never fell. */
  proposed: number | null;
}

const STEPS = 60;
const LOWEST = 1e-5;
const HIGHEST = 1;
const SMOOTHING = 0.8;
/** The test is over once the loss stands this far above its lowest. */
const DIVERGED = 1.5;

/** Yields each point as it is measured, and between batches. The learner is thrown away at the end. */
export async function* learningRateRange(
  model: Model,
  data: TrainingData,
  h: Hyperparameters,
): AsyncGenerator<Breath | ({ kind: 'point' } & RangePoint), RangeResult> {
  const rateOf = (step: number) => LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1));
  const trainer = new Trainer(model, data, { ...h, num_train_epochs: 1000 }, rateOf);
  const points: RangePoint[] = [];
  let average = 0;
  let lowest = Number.POSITIVE_INFINITY;
  try {
    for (let step = 0; step < STEPS; step++) {
      const report = yield* trainer.update();
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
    if (!(thrown instanceof PlaygroundError && thrown.code === 'non_finite')) throw thrown;
  } finally {
    trainer.dispose();
  }
  return { points, proposed: proposedRate(points) };
}

/**
 * The rate of steepest descent of the loss against log(rate), looked for before the minimum; rounded to one digit.
 * Null when the loss never fell by more than a twentieth.
 */
export function proposedRate(points: readonly RangePoint[]): number | null {
  if (points.length < 8) return null;
  let least = 0;
  points.forEach((p, i) => {
    if (p.loss < (points[least] as RangePoint).loss) least = i;
  });
  const first = points[0] as RangePoint;
  if ((points[least] as RangePoint).loss > first.loss * 0.95) return null;
  const reach = 3;
  let best: { slope: number; rate: number } | null = null;
  for (let i = reach; i <= least; i++) {
    const a = points[i - reach] as RangePoint;
    const b = points[i] as RangePoint;
    const slope = (b.loss - a.loss) / Math.log(b.learningRate / a.learningRate);
    if (!best || slope < best.slope) best = { slope, rate: Math.sqrt(a.learningRate * b.learningRate) };
  }
  return best && Number(best.rate.toPrecision(1));
}
