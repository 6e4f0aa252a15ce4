// The axes of the loss chart: their ranges, numbers and titles as chart.js takes them.
// Not here: which range fits the losses (metrics/axis.ts), what a visitor zoomed into (LossChart.svelte).

import type { ChartOptions } from 'chart.js';
import { tokenColour } from '../state/theme.svelte';
import type { Stretch } from './chartLines';

export interface ScaledView {
  /** The x axis counts steps; else epochs. */
  inSteps: boolean;
  logarithmic: boolean;
  x: Stretch;
  /** Null where chart.js fits the range. */
  y: Stretch | null;
  /** Of the loss on general rows; null without one. */
  general: Stretch | null;
  /** Of the numbers. */
  font: { size: number; family: string };
}

export function chartScales(view: ScaledView): NonNullable<ChartOptions<'line'>['scales']> {
  const { inSteps, logarithmic, x, y, general, font } = view;
  const color = tokenColour('--muted');
  const axis = { ticks: { color, font }, border: { color: tokenColour('--line') } };
  return {
    x: {
      ...axis,
      type: 'linear',
      min: x.min,
      max: x.max,
      grid: { display: false },
      title: { display: true, text: inSteps ? 'step' : 'epoch', color, font, padding: 0 },
      ticks: {
        ...axis.ticks,
        maxTicksLimit: 10,
        maxRotation: 0,
        includeBounds: false,
        precision: inSteps ? 0 : 1,
      },
    },
    // Its axis is not drawn: legend and table say its values.
    general: { type: 'linear', axis: 'y', display: false, ...(general ?? {}) },
    y: {
      ...axis,
      type: logarithmic ? 'logarithmic' : 'linear',
      ...(y && { min: y.min, max: y.max }),
      // Of one width for numbers of up to five characters: the plot stays where it is when the range changes.
      afterFit: (scale) => {
        scale.width = Math.max(scale.width, 4.6 * font.size);
      },
      // A little room at both ends; below, not so much as to suggest that a loss could be negative (as `grace` would).
      afterDataLimits: (scale) => {
        if (logarithmic || y) return;
        const room = 0.04 * (scale.max - scale.min);
        scale.max += room;
        scale.min = Math.max(0, scale.min - room);
      },
      grid: { color: tokenColour('--hover') },
      border: { display: false },
      title: { display: true, text: logarithmic ? 'loss (logarithmic)' : 'loss', color, font, padding: 0 },
      ticks: {
        ...axis.ticks,
        maxTicksLimit: 7,
        includeBounds: false,
        callback: (v) => String(Number(Number(v).toPrecision(3))),
      },
    },
  };
}
