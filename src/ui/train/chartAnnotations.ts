// What the loss chart marks behind its lines: borders of epochs, the best step, the stretch of overfitting.
// Not here: the lines (chartDatasets.ts), what is painted over them (chartMarks.ts), the verdict (metrics/diagnosis.ts).

import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { epochBorders } from '../../metrics/curves';
import { plain } from '../parts/format';
import type { RunView } from '../state/run.svelte';
import { tokenColour } from '../state/theme.svelte';

export interface AnnotatedView {
  run: RunView;
  place: (of: RunView, step: number) => number;
  /** Steps that the x axis holds. */
  total: number;
  /** Of the chart, in pixels. */
  width: number;
  /** The x axis counts steps, so that epochs are to be numbered. */
  inSteps: boolean;
  /** The validation line is shown, and with it what belongs to it. */
  validation: boolean;
  font: { size: number; family: string };
}

export function chartAnnotations(view: AnnotatedView): Record<string, AnnotationOptions> {
  return { ...epochs(view), ...rateChanges(view), ...(view.validation ? ofVerdict(view) : {}) };
}

function epochs({
  run,
  place,
  total,
  width,
  inSteps,
  font,
}: AnnotatedView): Record<string, AnnotationOptions> {
  const all: Record<string, AnnotationOptions> = {};
  const borders = epochBorders(
    run.config?.stepsPerEpoch ?? 0,
    run.config?.totalSteps ?? 0,
    Math.max(2, Math.floor(width / (5 * font.size))),
  );
  // The word stands left of the first border, so there must be room between it and the axis.
  const wide = (width * (borders[0]?.step ?? 0)) / Math.max(total, 1) > 5.5 * font.size;
  borders.forEach(({ epoch, step }, i) => {
    const worded = i === 0 && wide;
    all[`epoch${epoch}`] = {
      type: 'line',
      scaleID: 'x',
      value: place(run, step),
      borderColor: tokenColour('--line'),
      borderWidth: 1,
      drawTime: 'beforeDatasetsDraw',
      label: {
        display: inSteps,
        content: worded ? `epoch ${epoch}` : String(epoch),
        position: 'start',
        yAdjust: -3,
        xAdjust: (worded ? -2.2 : -0.7) * font.size,
        padding: 2,
        backgroundColor: 'transparent',
        color: tokenColour('--muted'),
        font: { ...font, weight: 'normal' },
      },
    };
  });
  return all;
}

/** Where the learning rate was changed while the run went on, and to what. */
function rateChanges({ run, place, total, font }: AnnotatedView): Record<string, AnnotationOptions> {
  const all: Record<string, AnnotationOptions> = {};
  for (const { step, to } of run.config?.rateChanges ?? []) {
    const content = `rate ${plain(to)}`;
    const aside = (0.29 * content.length + 0.6) * font.size;
    all[`rate${step}`] = {
      type: 'line',
      scaleID: 'x',
      value: place(run, step),
      borderColor: tokenColour('--ink-2'),
      borderDash: [2, 3],
      borderWidth: 1,
      drawTime: 'beforeDatasetsDraw',
      label: {
        display: true,
        content,
        position: 'end',
        yAdjust: -1.35 * font.size,
        xAdjust: step > total * 0.75 ? -aside : aside,
        padding: 3,
        backgroundColor: 'transparent',
        color: tokenColour('--ink-2'),
        font: { ...font, weight: 'normal' },
      },
    };
  }
  return all;
}

/** The best step and, behind it, the stretch in which validation got worse. */
function ofVerdict({ run, place, total, font }: AnnotatedView): Record<string, AnnotationOptions> {
  const { best, state } = run.verdict;
  const evaluations = run.line('valid_loss');
  // While every evaluation is the best yet, a rule that moves along with it would only distract.
  const passed = !run.active || (best?.step ?? 0) < (evaluations.at(-1)?.step ?? 0);
  if (!best || best.step === 0 || !passed) return {};
  const held = tokenColour('--held');
  const all: Record<string, AnnotationOptions> = {};
  if (state === 'overfitting') {
    all.overfitting = {
      type: 'box',
      xMin: place(run, best.step),
      xMax: place(run, run.step),
      borderWidth: 0,
      backgroundColor: `color-mix(in srgb, ${held} 10%, transparent)`,
      drawTime: 'beforeDatasetsDraw',
    };
  }
  const content = `best: step ${best.step}`;
  // Beside the rule: a label is placed by its middle.
  const aside = (0.29 * content.length + 0.6) * font.size;
  all.best = {
    type: 'line',
    scaleID: 'x',
    value: place(run, best.step),
    borderColor: held,
    borderWidth: 1,
    drawTime: 'beforeDatasetsDraw',
    label: {
      display: true,
      content,
      position: 'start',
      yAdjust: 1.35 * font.size,
      xAdjust: best.step > total * 0.75 ? -aside : aside,
      padding: 3,
      backgroundColor: 'transparent',
      color: held,
      font: { ...font, weight: 'bold' },
    },
  };
  return all;
}
