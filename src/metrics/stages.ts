// The three stages of a run that ends in overfitting, read from its curves: it learns, it stops learning, it learns by heart.
// Not here: the verdict (diagnosis.ts), the words for a stage (ui/learn/Arrival.svelte).

import type { MetricPoint } from '../contract';
import { lowest, series } from './curves';
import type { Verdict } from './diagnosis';

/** In the order in which a run reaches them. */
export const STAGES = ['learns', 'stops', 'by_heart'] as const;
export type Stage = (typeof STAGES)[number];

/** Fall of the validation loss below the first one, as a share of it, that counts as learning. */
const FALL = 0.01;
/** Evaluations after the lowest one before the line is said to have stopped falling. */
const WITHOUT_GAIN = 2;

/**
 * The step at which each stage began, as far as the curves show it. A line that falls again takes its “stops” back.
 * - learns: the first evaluation whose validation loss lies 1 % or more below the first;
 * - stops: the lowest one, once two or more evaluations after it were no lower;
 * - by_heart: where the verdict says that overfitting began.
 * One pass over the points; memory for one line.
 * @param points  everything measured so far
 * @param verdict of the same points
 */
export function stagesReached(
  points: readonly MetricPoint[],
  verdict: Verdict,
): Partial<Record<Stage, number>> {
  const line = series(points, 'valid_loss').filter((p) => Number.isFinite(p.value));
  const first = line[0];
  const least = lowest(line);
  const fallen = first && line.find((p) => p.value <= first.value * (1 - FALL));
  if (!least || !fallen) return {};
  const after = line.filter((p) => p.step > least.step).length;
  const overfits = verdict.state === 'overfitting' && verdict.since !== null;
  return {
    learns: fallen.step,
    ...((after >= WITHOUT_GAIN || overfits) && { stops: least.step }),
    ...(overfits && { by_heart: verdict.since as number }),
  };
}
