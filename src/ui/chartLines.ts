// The lines of the loss chart: their names and their dashes, for whoever draws one of them.
// Not here: drawing (LossChart.svelte, ChartLegend.svelte, chartPicture.ts).

import type { CurvePoint } from '../metrics/curves';

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
