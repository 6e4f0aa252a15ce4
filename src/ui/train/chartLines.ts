// The lines of the loss chart: their names, dashes and markers, and where one comes down into view, for whoever draws one of them.
// Not here: the range of the axis (metrics/axis.ts), drawing (LossChart.svelte, ChartLegend.svelte, chartPicture.ts).

import type { CurvePoint } from '../../metrics/curves';

export type LineKey = 'train' | 'trainEval' | 'validation' | 'earlier';

/** Lines are told apart by dash and marker as well as by colour. */
export const DASH: Record<LineKey, number[]> = {
  train: [],
  trainEval: [2, 4],
  validation: [8, 4],
  earlier: [],
};

/** The design token of a line's colour. */
export const COLOUR: Record<LineKey, string> = {
  train: '--train',
  trainEval: '--train',
  validation: '--held',
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
