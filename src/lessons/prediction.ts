// A drawn line compared with the measured one, by its shape: whether it falls, turns or stays, and where it turns.
// Not here: drawing it (ui/learn/DrawnLine.svelte), the words for the result (words.ts).

import type { LossPoint } from './lesson';

export type Shape = 'falls' | 'turns' | 'rises' | 'stays';

/** Movement that counts, as a share of the first loss. */
const MOVED = 0.05;

/**
 * - stays: no loss lies more than 5 % of the first one from it;
 * - rises: the end lies above the first loss, which nothing lies clearly below;
 * - turns: the end lies clearly above the lowest loss;
 * - falls: the rest.
 * @param line in step order, losses in nats a token; those that are no number are passed over
 * @returns null for fewer than two points
 */
export function shapeOf(line: readonly LossPoint[]): { shape: Shape; lowestAt: number } | null {
  const points = line.filter((p) => Number.isFinite(p.value));
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || points.length < 2) return null;
  const lowest = points.reduce((a, b) => (b.value < a.value ? b : a));
  const least = MOVED * first.value;
  const shape = ((): Shape => {
    if (points.every((p) => Math.abs(p.value - first.value) <= least)) return 'stays';
    if (first.value - lowest.value <= least) return 'rises';
    return last.value - lowest.value > least ? 'turns' : 'falls';
  })();
  return { shape, lowestAt: lowest.step };
}

export interface Comparison {
  drawn: Shape;
  measured: Shape;
  /** Both turn, and at steps that lie within a quarter of the run of each other; null where they do not both turn. */
  turnNear: boolean | null;
  lowestDrawn: number;
  lowestMeasured: number;
}

/** @returns null while either line has fewer than two points */
export function comparePrediction(
  drawn: readonly LossPoint[],
  measured: readonly LossPoint[],
  totalSteps: number,
): Comparison | null {
  const [a, b] = [shapeOf(drawn), shapeOf(measured)];
  if (!a || !b) return null;
  const turn = a.shape === 'turns' && b.shape === 'turns';
  return {
    ...{ drawn: a.shape, measured: b.shape, lowestDrawn: a.lowestAt, lowestMeasured: b.lowestAt },
    turnNear: turn ? Math.abs(a.lowestAt - b.lowestAt) <= totalSteps / 4 : null,
  };
}
