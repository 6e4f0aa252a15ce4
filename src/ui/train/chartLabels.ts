// Where the words on the loss chart stand: names at the ends of lines, best step, highest loss, changed rates, epochs. No two lie over each other.
// Not here: painting (chartMarks.ts), rules and boxes behind the lines (chartAnnotations.ts), the numbers along the axes (chart.js).
//
// How it works: each label has boxes that it may take, in the order in which they suit it. Labels are taken in the order of their importance, and
// each takes its first box that lies on the canvas, right of the loss axis, and is free. A label without a free box is left out: its rule, line or arrow is still there,
// and legend, table and verdict say the same. Names at the ends of lines go first, moved apart from each other by `spread`.

import { loss } from '../parts/format';
import { spread } from './chartLines';

/** The plot inside the axes, in pixels. */
export interface Area {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Arrow {
  /** Design token of its colour. */
  colour: string;
  /** Pixels. */
  x: number;
  /** The line's highest loss. */
  highest: number;
}

export interface LineEnd {
  text: string;
  /** Design token of its colour. */
  colour: string;
  /** Where the line ends, in pixels. */
  x: number;
  y: number;
}

/** What may be named, in pixels of the canvas. */
export interface LabelledChart {
  area: Area;
  /** Of the canvas, in pixels. */
  width: number;
  /** Of the letters, in pixels. */
  size: number;
  /** Width of a text in pixels. */
  measure: (text: string, bold: boolean) => number;
  /** The lines of the run. */
  ends: readonly LineEnd[];
  /** Other runs. */
  others: readonly LineEnd[];
  best: { step: number; x: number } | null;
  arrows: readonly Arrow[];
  /** Changes of the learning rate. */
  rates: readonly { text: string; x: number }[];
  /** Numbered borders of epochs, in their order. */
  epochs: readonly { epoch: number; x: number }[];
}

/** A label at its place. */
export interface PlacedLabel extends Area {
  kind: 'end' | 'best' | 'arrow' | 'rate' | 'epoch' | 'other';
  text: string;
  /** Design token of its colour. */
  colour: string;
  bold: boolean;
}

/** A box that a label may take: its text, its left edge, the middle of its height. */
interface Spot {
  text: string;
  left: number;
  middle: number;
}

const touches = (a: Area, b: Area) =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/**
 * The labels of a chart and their boxes.
 * @returns boxes that share no area and lie right of the loss axis, those of the most important labels first
 */
export function placeLabels(chart: LabelledChart): PlacedLabel[] {
  const { area, width, size, measure } = chart;
  const height = 1.2 * size;
  const gap = 0.6 * size;
  const placed: PlacedLabel[] = [];
  /** Where arrows are painted. */
  let taken: Area[] = [];
  const inView = <T extends { x: number }>(all: readonly T[]) =>
    all.filter(({ x }) => x >= area.left && x <= area.right + 1);

  function place(kind: PlacedLabel['kind'], colour: string, bold: boolean, spots: readonly Spot[]): boolean {
    for (const { text, left, middle } of spots) {
      const box = {
        left,
        right: left + measure(text, bold),
        top: middle - height / 2,
        bottom: middle + height / 2,
      };
      // Half a letter between two words of one line, or they read as one.
      const claimed = { ...box, left: box.left - size / 4, right: box.right + size / 4 };
      if (
        box.left < area.left ||
        box.right > width ||
        [...placed, ...taken].some((other) => touches(claimed, other))
      )
        continue;
      placed.push({ kind, text, colour, bold, ...box });
      return true;
    }
    return false;
  }

  /** Beside a rule at `x`: to its right, or to its left, in the first of these rows that is free. */
  const beside = (text: string, x: number, bold: boolean, rows: readonly number[]): Spot[] =>
    rows.flatMap((middle) => {
      const right = { text, left: x + gap, middle };
      const left = { text, left: x - gap - measure(text, bold), middle };
      return right.left + measure(text, bold) <= area.right
        ? [right, left]
        : left.left >= area.left
          ? [left, right]
          : [right];
    });

  const row = (n: number) => area.top + (n + 0.6) * height;
  const rowBelow = (n: number) => area.bottom - (n + 0.7) * height;

  // As many names as the height has room for; the run's own before those of others.
  const room = Math.max(0, Math.floor((area.bottom - area.top - 1.5 * size) / (1.05 * height)) + 1);
  const finite = ({ y }: LineEnd) => Number.isFinite(y);
  const named = [
    ...inView(chart.ends)
      .filter(finite)
      .map((end) => ({ end, kind: 'end' as const })),
    ...inView(chart.others)
      .filter(finite)
      .map((end) => ({ end, kind: 'other' as const })),
  ].slice(0, room);
  const heights = spread(
    named.map(({ end }) => Math.max(area.top, Math.min(area.bottom, end.y))),
    1.05 * height,
    area.top + size,
    area.bottom - size / 2,
  );
  for (const [i, { end, kind }] of named.entries()) {
    const middle = heights[i] as number;
    const wide = measure(end.text, true);
    place(kind, end.colour, true, [
      { text: end.text, left: end.x + 7, middle },
      { text: end.text, left: end.x - 7 - wide, middle },
    ]);
  }

  const arrows = inView(chart.arrows);
  taken = arrows.map(({ x }) => ({ left: x - 5, right: x + 5, top: area.top - 4, bottom: area.top + 5 }));

  const [best] = inView(chart.best ? [chart.best] : []);
  if (best) {
    const spots = [`best: step ${best.step}`, 'best'].flatMap((text) =>
      beside(text, best.x, true, [1, 2, 3, 0].map(row)),
    );
    place('best', '--held', true, spots);
  }

  // The first border that has room for it says what the numbers count.
  const epochs = inView(chart.epochs);
  const spot = (text: string, x: number) => ({ text, left: x - 3 - measure(text, false), middle: row(0) });
  const worded = epochs.find(({ epoch, x }) => place('epoch', '--muted', false, [spot(`epoch ${epoch}`, x)]));
  for (const { epoch, x } of epochs.filter((one) => one !== worded))
    place('epoch', '--muted', false, [spot(String(epoch), x)]);

  // They stand beside the arrows, below the numbers of the epochs where these are in the way.
  if (arrows.length > 0) {
    const text = `from ${loss(Math.max(...arrows.map((a) => a.highest)))}`;
    const xs = arrows.map((a) => a.x);
    const spots = [0, 1, 2, 3].map(row).flatMap((middle) => [
      { text, left: Math.max(...xs) + 9, middle },
      { text, left: Math.min(...xs) - 9 - measure(text, false), middle },
    ]);
    place(
      'arrow',
      '--muted',
      false,
      spots.filter(({ left }) => left >= area.left && left + measure(text, false) <= area.right),
    );
  }

  for (const { text, x } of inView(chart.rates))
    place('rate', '--ink-2', false, beside(text, x, false, [0, 1, 2].map(rowBelow)));
  return placed;
}
