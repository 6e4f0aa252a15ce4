// The lines of the loss chart: their names, dashes and markers, and where one comes down into view, for whoever draws one of them.
// Not here: the range of the axis (metrics/axis.ts), drawing (LossChart.svelte, ChartLegend.svelte, chartPicture.ts).

import type { CurvePoint } from '../../metrics/curves';

export type LineKey = 'train' | 'trainEval' | 'validation' | 'general' | 'earlier';

/** Lines are distinguished by dash and marker as well as by colour. */
export const DASH: Record<LineKey, number[]> = {
  train: [],
  trainEval: [2, 4],
  validation: [8, 4],
  general: [10, 3, 2, 3],
  earlier: [],
};

/** The design token of a line's colour. */
export const COLOUR: Record<LineKey, string> = {
  train: '--train',
  trainEval: '--train',
  validation: '--held',
  general: '--general',
  earlier: '--ghost',
};

export interface LegendLine {
  key: LineKey;
  label: string;
  note: string;
  /** The value being read; null where nothing is measured, undefined where there is no one value. */
  point?: CurvePoint | null;
}

/** The largest marker, in pixels; it is what the legend shows. */
const LARGEST_MARKER = 3;

/**
 * Radius of a line's markers in pixels, so that markers never take more than a quarter of the line.
 * @param count points in view
 * @param width pixels between the first and the last of them
 */
export function markerRadius(count: number, width: number): number {
  if (count < 2) return LARGEST_MARKER;
  const spacing = width / (count - 1);
  const radius = Math.min(LARGEST_MARKER, spacing / 8);
  return radius < 0.8 ? 0 : radius;
}

/**
 * Where a line that begins above the top of the chart comes down into it.
 * @param line in step order
 * @param top the largest loss of the axis
 * @returns the step of the crossing (between two points, by proportion) and the line's highest loss; null when it begins inside, or is never inside
 */
export function comesDownAt(
  line: readonly CurvePoint[],
  top: number,
): { step: number; highest: number } | null {
  const inside = line.findIndex((p) => p.value <= top);
  if (inside < 1) return null;
  const before = line[inside - 1] as CurvePoint;
  const after = line[inside] as CurvePoint;
  const part = Number.isFinite(before.value) ? (before.value - top) / (before.value - after.value) : 1;
  const values = line.map((p) => p.value).filter(Number.isFinite);
  return { step: before.step + part * (after.step - before.step), highest: Math.max(...values) };
}

/** Words at the end of each line. The two blue ones say the same, so only one of them is named. */
export const END_LABEL: Record<Exclude<LineKey, 'earlier'>, string> = {
  train: 'training',
  trainEval: 'training',
  validation: 'validation',
  general: 'general',
};

/**
 * One standard error to both sides of a line, where one was measured.
 * @param line losses, in step order
 * @param errors their standard errors; a loss without one gets a band of no width
 * @returns both edges, at the steps of `line`; a loss cannot be negative, so the lower edge stops at a hundredth of the loss
 */
export function band(
  line: readonly CurvePoint[],
  errors: readonly CurvePoint[],
): { low: CurvePoint[]; high: CurvePoint[] } {
  const errorAt = new Map(errors.map((e) => [e.step, Number.isFinite(e.value) ? e.value : 0]));
  const moved = (sign: 1 | -1) =>
    line.map((p) => ({
      ...p,
      value: Math.max(Math.min(p.value, 0.01 * p.value), p.value + sign * (errorAt.get(p.step) ?? 0)),
    }));
  return { low: moved(-1), high: moved(1) };
}

/**
 * Heights of labels so that none lies over another: each as near as can be to the height it wants, in the order of their wishes.
 * @param wanted heights in pixels
 * @param apart least distance between two labels
 * @param top    least height
 * @param bottom greatest height
 * @returns one height for each of `wanted`, in its order; where there is no room for all, they start at `top` and go on below `bottom`
 */
export function spread(wanted: readonly number[], apart: number, top: number, bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
  const placed = new Array<number>(wanted.length);
  // Down: each at its place or just below the one before. Then up, from the bottom, by what they were pushed too far.
  let next = top;
  for (const i of order) {
    placed[i] = Math.max(next, wanted[i] as number);
    next = (placed[i] as number) + apart;
  }
  let last = bottom;
  for (const i of order.toReversed()) {
    placed[i] = Math.min(last, placed[i] as number);
    last = (placed[i] as number) - apart;
  }
  const first = order[0];
  const above = first === undefined ? 0 : top - (placed[first] as number);
  return above > 0 ? placed.map((y) => y + above) : placed;
}

export interface Stretch {
  min: number;
  max: number;
}

/** A stretch of an axis moved along it, as far as `limits` allow. @param by in units of the axis */
export function moved(stretch: Stretch, by: number, limits: Stretch): Stretch {
  const room = by < 0 ? Math.min(0, limits.min - stretch.min) : Math.max(0, limits.max - stretch.max);
  const step = by < 0 ? Math.max(by, room) : Math.min(by, room);
  return { min: stretch.min + step, max: stretch.max + step };
}

/**
 * The middle of a stretch, so many times as large as it was.
 * @param factor above 1 shows less of the axis
 * @returns a stretch inside `limits`, at least a hundredth of them; null when it would be all of them
 */
export function magnified(stretch: Stretch, factor: number, limits: Stretch): Stretch | null {
  const whole = limits.max - limits.min;
  const width = Math.max(whole / 100, (stretch.max - stretch.min) / factor);
  // A rounding error is no part of the axis.
  if (width >= whole * (1 - 1e-9)) return null;
  const start = (stretch.min + stretch.max - width) / 2;
  const min = Math.max(limits.min, Math.min(limits.max - width, start));
  return { min, max: min + width };
}

/** By step: the best step is measured once more after the last one, so its point comes last. */
export const inOrder = (line: readonly CurvePoint[]) => line.toSorted((a, b) => a.step - b.step);
