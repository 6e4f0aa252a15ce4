// The data sets of the loss chart: each line with its dash, its markers and what is filled between lines.
// Not here: the axes, reading and zooming (LossChart.svelte), rules and boxes (chartAnnotations.ts).

import type { ChartDataset } from 'chart.js';
import { isSampled } from '../../metrics/claims';
import { type CurvePoint, smooth, thin } from '../../metrics/curves';
import type { RunView } from '../state/run.svelte';
import { tokenColour } from '../state/theme.svelte';
import { band, COLOUR, DASH, type LineKey, markerRadius } from './chartLines';

/** What is drawn, and where it lies. */
export interface ChartView {
  run: RunView;
  /** Other runs, each in its own colour. */
  earlier: readonly RunView[];
  shown: Readonly<Record<LineKey, boolean>>;
  /** The lines of `run` that are shown. */
  lines: readonly { key: LineKey; line: CurvePoint[] }[];
  /** Weight of the moving average of the training loss, in [0, 1). */
  smoothing: number;
  /** Where a step of a run lies on the x axis. */
  place: (of: RunView, step: number) => number;
  /** The stretch of the x axis in view, and its width in pixels. */
  stretch: { min: number; max: number };
  width: number;
  /** Factor for the widths of lines. */
  scale: number;
}

/** More points than this in one line cost time and show nothing more at this width. */
const DRAWN_POINTS = 800;

const tint = (colour: string, percent: number) => `color-mix(in srgb, ${colour} ${percent}%, transparent)`;

type DataSet = ChartDataset<'line'>;

/** In the order in which chart.js takes them; `order` says what lies on top. */
export function chartDatasets(view: ChartView): DataSet[] {
  const { run, shown, scale } = view;
  const drawn = (of: RunView, line: readonly CurvePoint[]) =>
    thin(line, DRAWN_POINTS).map((p) => ({ x: view.place(of, p.step), y: p.value }));
  const of = (key: LineKey) => view.lines.find((m) => m.key === key)?.line ?? [];
  const train = tokenColour('--train');
  const held = tokenColour('--held');
  const surface = tokenColour('--surface');
  const base = {
    // Not the first axis there is, which may be that of the general rows.
    yAxisID: 'y',
    parsing: false as const,
    normalized: true,
    tension: 0,
    pointRadius: 0,
    pointHitRadius: 0,
    clip: 6,
  };
  const sets: DataSet[] = shown.earlier ? ghosts(view, base, drawn) : [];

  if (shown.train) {
    const raw = run.line('train_loss');
    sets.push({
      ...base,
      data: drawn(run, raw),
      borderColor: tint(train, 38),
      borderWidth: scale,
      order: 4,
    });
    sets.push({
      ...base,
      data: drawn(run, of('train')),
      borderColor: train,
      backgroundColor: train,
      borderWidth: 2.5 * scale,
      pointRadius: raw.length < 3 ? 2.5 : 0,
      order: 3,
    });
  }
  if (shown.trainEval) {
    sets.push({
      ...base,
      data: drawn(run, of('trainEval')),
      borderColor: train,
      borderWidth: 1.5 * scale,
      borderDash: DASH.trainEval,
      pointRadius: radius(view, of('trainEval')),
      pointStyle: 'rect',
      pointBackgroundColor: surface,
      order: 2,
    });
  }
  const measured = sets.length - 1;
  if (shown.validation) {
    const { low, high } = band(of('validation'), run.line('valid_loss_standard_error'));
    const edge = { ...base, borderWidth: 0, order: 8 };
    sets.push({ ...edge, data: drawn(run, low) });
    sets.push({ ...edge, data: drawn(run, high), fill: '-1', backgroundColor: tint(held, 16) });
    sets.push({
      ...base,
      data: drawn(run, of('validation')),
      borderColor: held,
      borderWidth: 2.5 * scale,
      borderDash: DASH.validation,
      pointRadius: radius(view, of('validation')),
      pointStyle: 'circle',
      pointBackgroundColor: held,
      pointBorderWidth: 0,
      order: 1,
      // The gap between what is practised and what is new, from where it opens.
      ...(shown.trainEval && {
        fill: { target: measured, above: tint(held, 9), below: 'transparent' },
      }),
    });
  }
  if (shown.general) {
    const general = tokenColour(COLOUR.general);
    sets.push({
      ...base,
      yAxisID: 'general',
      data: drawn(run, of('general')),
      borderColor: general,
      borderWidth: 2 * scale,
      borderDash: DASH.general,
      pointRadius: radius(view, of('general')),
      pointStyle: 'triangle',
      pointBackgroundColor: general,
      pointBorderWidth: 0,
      order: 2,
    });
  }
  return [...sets, ...ends(view, base, drawn)];
}

type Drawn = (of: RunView, line: readonly CurvePoint[]) => { x: number; y: number }[];

function ghosts({ earlier, smoothing, scale }: ChartView, base: Partial<DataSet>, drawn: Drawn): DataSet[] {
  return earlier.flatMap((other) => {
    const colour = tokenColour(other.colour);
    const line = { ...base, order: 9 };
    return [
      {
        ...line,
        borderColor: tint(colour, 45),
        borderWidth: scale,
        data: drawn(other, smooth(other.line('train_loss'), smoothing)),
      },
      {
        ...line,
        borderColor: colour,
        borderWidth: 1.5 * scale,
        borderDash: DASH.validation,
        data: drawn(other, other.line('valid_loss')),
      },
    ];
  });
}

/** What all rows gave at the end stands beside the line of the sample and is not joined to it. */
function ends({ run, shown }: ChartView, base: Partial<DataSet>, drawn: Drawn): DataSet[] {
  if (!run.config) return [];
  const { general } = run.config;
  const sampled = isSampled(run.config);
  const lines = [
    ['trainEval', 'full_train_eval_loss', sampled],
    ['validation', 'full_valid_loss', sampled],
    ['general', 'full_general_loss', general !== undefined && general.sampleRows < general.rows],
  ] as const;
  return lines
    .filter(([key, , apart]) => shown[key] && apart)
    .map(([key, name]) => ({
      ...base,
      data: drawn(run, run.line(name)),
      ...(key === 'general' && { yAxisID: 'general' }),
      showLine: false,
      pointRadius: 6,
      pointStyle: 'rectRot',
      pointBorderWidth: 2,
      pointBackgroundColor: tokenColour('--surface'),
      pointBorderColor: tokenColour(COLOUR[key]),
      order: 0,
    }));
}

/** Markers where measured, but never so large that they hide the line between them. */
function radius({ run, place, stretch, width }: ChartView, line: readonly CurvePoint[]): number {
  const { min, max } = stretch;
  const inView = line.filter((p) => place(run, p.step) >= min && place(run, p.step) <= max);
  const span = place(run, (inView.at(-1)?.step ?? 0) - (inView[0]?.step ?? 0));
  return markerRadius(inView.length, (width * span) / (max - min || 1));
}
