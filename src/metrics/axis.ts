// The initial range of a chart's loss axis: that of the losses after the first evaluations, without the one high loss before training.
// Not here: drawing it (ui/train/LossChart.svelte), smoothing and thinning (curves.ts).

import type { CurvePoint } from './curves';

export interface LossRange {
  min: number;
  max: number;
  /** The highest loss of all lines where it lies above `max`; null where nothing is cut off. */
  above: number | null;
}

/** The range holds every loss from this share of the steps made so far on. */
const FIRST_PART = 0.2;
/** Part of the range left free above the highest loss that it must hold, so that the curve is seen coming down to it. */
const HEADROOM = 0.25;
/** Part of the range left free below the lowest loss. */
const FOOTROOM = 0.04;
/** A range that would be less than this many times as large shows everything: little would be gained. */
const WORTH_CUTTING = 1.5;
/** Lines of other runs may widen the range up to this many times. */
const WIDENED = 2;
/** With fewer points than this in every line there is no first part to tell from the rest. */
const MIN_POINTS = 4;
/** The smallest range, as a share of the highest loss in it: noise on a level line is not magnified. */
const MIN_RANGE = 0.1;

/**
 * The range of the loss axis. It holds the lowest loss and every loss after the first fifth of the steps, single outliers aside (each loss
 * is compared as the median of three neighbours; the last one counts as it is). What was higher in the first fifth is cut off
 * when that makes the rest at least one and a half times as tall.
 * @param lines the lines of the run that is shown, each in step order; losses in nats per token, non-finite ones are passed over
 * @param others lines of earlier runs: they widen the range at most to its double
 * @returns null when nothing finite was measured
 */
export function lossRange(
  lines: readonly (readonly CurvePoint[])[],
  others: readonly (readonly CurvePoint[])[] = [],
): LossRange | null {
  const finite = lines
    .map((line) => line.filter((p) => Number.isFinite(p.value)))
    .filter((l) => l.length > 0);
  if (finite.length === 0) return null;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  let lastStep = 0;
  for (const line of finite) {
    for (const { step, value } of line) {
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
      lastStep = Math.max(lastStep, step);
    }
  }
  const whole = withRoom(lowest, highest, FOOTROOM);
  if (Math.max(...finite.map((l) => l.length)) < MIN_POINTS) return { ...whole, above: null };

  let needed = lowest;
  for (const line of finite) needed = Math.max(needed, highestAfter(line, FIRST_PART * lastStep));
  const limit = lowest + WIDENED * (needed - lowest);
  for (const line of others) {
    const end = highestAfter(
      line.filter((p) => Number.isFinite(p.value)),
      FIRST_PART * lastStep,
    );
    if (end <= limit) needed = Math.max(needed, end);
  }
  const fitted = withRoom(lowest, needed, HEADROOM);
  const gain = (whole.max - whole.min) / (fitted.max - fitted.min);
  return gain < WORTH_CUTTING ? { ...whole, above: null } : { ...fitted, above: highest };
}

function withRoom(low: number, high: number, above: number): { min: number; max: number } {
  const range = Math.max(high - low, MIN_RANGE * Math.abs(high), Number.EPSILON);
  // A loss cannot be negative, so the axis does not suggest it.
  const min = low - FOOTROOM * range;
  return { min: low >= 0 ? Math.max(0, min) : min, max: low + range * (1 + above) };
}

/** The highest of the medians of three from a step on, and the last value as it is; −∞ for an empty line. */
function highestAfter(line: readonly CurvePoint[], step: number): number {
  let highest = line.at(-1)?.value ?? Number.NEGATIVE_INFINITY;
  for (let i = 1; i < line.length - 1; i++) {
    const point = line[i] as CurvePoint;
    if (point.step < step) continue;
    const before = (line[i - 1] as CurvePoint).value;
    const after = (line[i + 1] as CurvePoint).value;
    const middle = Math.max(Math.min(before, after), Math.min(Math.max(before, after), point.value));
    highest = Math.max(highest, middle);
  }
  return highest;
}

/** Part of a general range that lies above the loss before training, as a share of that loss: a rise of so much fills it. */
const GENERAL_RISE = 0.5;

/**
 * The range for the loss on general rows, which has a scale of its own: it begins lower or higher than the others, and ends far above them in
 * a run that forgets, so that on their axis either they or it would not be seen.
 * @param line in step order, from before training; losses in nats per token
 * @returns null when nothing finite was measured
 */
export function generalRange(line: readonly CurvePoint[]): { min: number; max: number } | null {
  const values = line.map((p) => p.value).filter(Number.isFinite);
  const before = values[0];
  if (before === undefined) return null;
  return {
    min: Math.min((1 - GENERAL_RISE / 4) * before, ...values.map((value) => 0.98 * value)),
    max: Math.max((1 + GENERAL_RISE) * before, ...values.map((value) => 1.05 * value)),
  };
}
