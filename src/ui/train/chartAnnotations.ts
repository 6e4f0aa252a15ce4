// What the loss chart marks behind its lines: borders of epochs, changed learning rates, the best step, the stretch of overfitting.
// Not here: the lines (chartDatasets.ts), what is painted over them (chartMarks.ts), the words beside the rules (chartLabels.ts), the verdict (metrics/diagnosis.ts).

import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { epochBorders } from '../../metrics/curves';
import type { RunView } from '../state/run.svelte';
import { tokenColour } from '../state/theme.svelte';

export interface AnnotatedView {
  run: RunView;
  place: (of: RunView, step: number) => number;
  /** Of the chart, in pixels. */
  width: number;
  /** The validation line is shown, and with it what belongs to it. */
  validation: boolean;
  /** Of the letters, in pixels. */
  size: number;
}

const rule = (value: number, colour: string): AnnotationOptions<'line'> => ({
  type: 'line',
  scaleID: 'x',
  value,
  borderColor: tokenColour(colour),
  borderWidth: 1,
  drawTime: 'beforeDatasetsDraw',
});

/** As many borders of epochs as there is room to number. */
export const shownBorders = ({ config }: RunView, width: number, size: number) =>
  epochBorders(
    config?.stepsPerEpoch ?? 0,
    config?.totalSteps ?? 0,
    Math.max(2, Math.floor(width / (5 * size))),
  );

/** The step of the lowest validation loss, once it is to be marked: while every evaluation is the best yet, a rule that moves along with it would only distract. */
export function markedBest(run: RunView): number | null {
  const { best } = run.verdict;
  const passed = !run.active || (best?.step ?? 0) < (run.line('valid_loss').at(-1)?.step ?? 0);
  return best && best.step > 0 && passed ? best.step : null;
}

/** Rules and boxes by name. */
export function chartAnnotations(view: AnnotatedView): Record<string, AnnotationOptions> {
  const { run, place } = view;
  const all: Record<string, AnnotationOptions> = {};
  for (const { epoch, step } of shownBorders(run, view.width, view.size))
    all[`epoch${epoch}`] = rule(place(run, step), '--line');
  for (const { step } of run.config?.rateChanges ?? [])
    all[`rate${step}`] = { ...rule(place(run, step), '--ink-2'), borderDash: [2, 3] };
  const best = view.validation ? markedBest(run) : null;
  if (best === null) return all;
  if (run.verdict.state === 'overfitting') {
    all.overfitting = {
      type: 'box',
      xMin: place(run, best),
      xMax: place(run, run.step),
      borderWidth: 0,
      backgroundColor: `color-mix(in srgb, ${tokenColour('--held')} 10%, transparent)`,
      drawTime: 'beforeDatasetsDraw',
    };
  }
  all.best = rule(place(run, best), '--held');
  return all;
}
