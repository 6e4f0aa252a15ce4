// The arithmetic behind what the loss chart paints: markers, bands, labels, moving what is in view.
// Not here: the painting itself (e2e/), the range of the axis and the verdict (metrics.test.ts).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { epochBorders } from '../src/metrics/curves';
import { type LineEnd, type PlacedLabel, placeLabels } from '../src/ui/train/chartLabels';
import { band, comesDownAt, magnified, markerRadius, moved, spread } from '../src/ui/train/chartLines';

describe('marks of the chart', () => {
  test('markers shrink with their number and are left out where they would hide the line', () => {
    expect(markerRadius(1, 0)).toBe(3);
    expect(markerRadius(5, 800)).toBe(3);
    expect(markerRadius(60, 800)).toBeLessThan(2);
    expect(markerRadius(400, 800)).toBe(0);
  });

  test('a line that begins above the chart comes down where it crosses the top', () => {
    const line = [8, 4, 1, 0.5].map((value, i) => ({ step: i * 10, epoch: 0, value }));
    expect(comesDownAt(line, 2)).toEqual({ step: 10 + 10 * (2 / 3), highest: 8 });
    expect(comesDownAt(line, 9)).toBeNull();
    expect(comesDownAt(line, 0.1)).toBeNull();
    expect(comesDownAt([{ step: 0, epoch: 0, value: Number.NaN }, ...line.slice(2)], 2)).toEqual({
      step: 20,
      highest: 1,
    });
  });

  test('the band is one standard error to both sides, of no width where none was measured, and never below zero', () => {
    const line = [2, 1, 0.5].map((value, i) => ({ step: i * 10, epoch: 0, value }));
    const errors = [
      { step: 10, epoch: 0, value: 0.25 },
      { step: 20, epoch: 0, value: 3 },
    ];
    const { low, high } = band(line, errors);
    expect(high.map((p) => p.value)).toEqual([2, 1.25, 3.5]);
    expect(low.map((p) => p.value)).toEqual([2, 0.75, 0.005]);
    expect(low.map((p) => p.step)).toEqual([0, 10, 20]);
  });

  test('labels never overlap, keep their order, and stay inside while there is room', () => {
    expect(spread([50, 52], 14, 0, 100)).toEqual([50, 64]);
    expect(spread([98, 99], 14, 0, 100)).toEqual([86, 100]);
    expect(spread([99, 5], 14, 0, 100)).toEqual([99, 5]);
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 12 }),
        (wanted) => {
          const placed = spread(wanted, 14, 0, 200);
          const inOrder = wanted
            .map((_, i) => i)
            .sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
          for (const [k, i] of inOrder.entries()) {
            const before = inOrder[k - 1];
            if (before !== undefined)
              expect((placed[i] as number) - (placed[before] as number)).toBeGreaterThanOrEqual(14 - 1e-9);
          }
          expect(Math.min(...placed)).toBeGreaterThanOrEqual(-1e-9);
          expect(Math.max(...placed)).toBeLessThanOrEqual(200 + 1e-9);
        },
      ),
    );
  });

  test('what is in view moves as far as there is anything', () => {
    const limits = { min: 0, max: 100 };
    expect(moved({ min: 10, max: 30 }, 10, limits)).toEqual({ min: 20, max: 40 });
    expect(moved({ min: 10, max: 30 }, -50, limits)).toEqual({ min: 0, max: 20 });
    expect(moved({ min: 10, max: 30 }, 500, limits)).toEqual({ min: 80, max: 100 });
  });

  test('zooming in keeps the middle, out ends at the whole axis, and both stay inside it', () => {
    const limits = { min: 0, max: 100 };
    expect(magnified(limits, 2, limits)).toEqual({ min: 25, max: 75 });
    expect(magnified({ min: 0, max: 20 }, 0.5, limits)).toEqual({ min: 0, max: 40 });
    expect(magnified({ min: 25, max: 75 }, 0.5, limits)).toBeNull();
    expect(magnified({ min: 50, max: 51 }, 8, limits)).toEqual({ min: 50, max: 51 });
  });
});

describe('labels of the chart', () => {
  /** About as wide as the widest letters of a user interface font. */
  const measure = (size: number) => (text: string, bold: boolean) => text.length * size * (bold ? 0.66 : 0.6);
  const touching = (labels: readonly PlacedLabel[]) =>
    labels.flatMap((a, i) =>
      labels
        .slice(i + 1)
        .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
        .map((b) => `“${a.text}” lies over “${b.text}”`),
    );

  interface Case {
    width: number;
    height: number;
    size: number;
    steps: number;
    stepsPerEpoch: number;
    /** Steps done. */
    at: number;
    best: number;
    /** Losses at which lines end, as shares of the axis. */
    ends: readonly number[];
    others: readonly { at: number; value: number }[];
    /** Steps at which lines come down from above. */
    down: readonly number[];
    highest: number;
    rates: readonly number[];
  }

  /** Labels of a chart of these measures, as LossChart.svelte lays it out: axes left and below, room at the right. */
  function labelsOf(one: Case): {
    labels: PlacedLabel[];
    width: number;
    left: number;
    x: (step: number) => number;
  } {
    const { width, height, size, steps } = one;
    const area = {
      left: 4 * size,
      right: width - Math.min(0.24 * width, 7.2 * size),
      top: 4,
      bottom: height - 3.5 * size,
    };
    const x = (step: number) => area.left + ((area.right - area.left) * step) / steps;
    const y = (share: number) => area.bottom - share * (area.bottom - area.top);
    const names = ['training', 'validation', 'general'];
    const ends: LineEnd[] = one.ends.map((share, i) => ({
      text: names[i] as string,
      colour: '--train',
      x: x(one.at),
      y: y(share),
    }));
    const others = one.others.map(({ at, value }, i) => ({
      text: `Run ${i + 1}: rank 16`,
      colour: '--ghost',
      x: x(at),
      y: y(value),
    }));
    const limit = Math.max(2, Math.floor(width / (5 * size)));
    const labels = placeLabels({
      area,
      width,
      size,
      measure: measure(size),
      ends,
      others,
      best: { step: one.best, x: x(one.best) },
      arrows: one.down.map((step) => ({ colour: '--train', x: x(step), highest: one.highest })),
      rates: one.rates.map((step) => ({ text: 'rate 0.00025', x: x(step) })),
      epochs: epochBorders(one.stepsPerEpoch, steps, limit).map(({ epoch, step }) => ({ epoch, x: x(step) })),
    });
    return { labels, width, left: area.left, x };
  }

  /** A run of 30 epochs on a phone, whose lines come down from above just left of the first numbered border. */
  const phone: Case = {
    width: 334,
    height: 300,
    size: 11,
    steps: 120,
    stepsPerEpoch: 4,
    at: 120,
    best: 44,
    ends: [0.05, 0.4, 0.42],
    others: [],
    down: [3, 5],
    highest: 4.199,
    rates: [],
  };

  test('the highest loss and the first epoch have room beside each other', () => {
    const { labels } = labelsOf(phone);
    expect(touching(labels)).toEqual([]);
    expect(labels.map(({ text }) => text)).toEqual(
      expect.arrayContaining(['training', 'validation', 'general', 'best: step 44', 'from 4.199']),
    );
    // One of the borders says what the numbers count.
    expect(labels.filter(({ text }) => text.startsWith('epoch '))).toHaveLength(1);
  });

  test('no two labels overlap and none leaves the canvas, whatever the size of the chart and its curves', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const shares = (maxLength: number) => fc.array(share, { maxLength });
    fc.assert(
      fc.property(
        fc.record({
          width: fc.integer({ min: 180, max: 2400 }),
          height: fc.integer({ min: 200, max: 1200 }),
          presented: fc.boolean(),
          steps: fc.integer({ min: 1, max: 5000 }),
          perEpoch: share,
          at: share,
          best: share,
          ends: shares(3),
          others: fc.array(fc.record({ at: share, value: share }), { maxLength: 8 }),
          down: shares(3),
          highest: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
          rates: shares(5),
        }),
        ({ presented, perEpoch, at, best, others, down, rates, steps, ...rest }) => {
          const { labels, width, left } = labelsOf({
            ...rest,
            // Letters grow with the chart only where it is presented.
            size: presented ? Math.max(12, Math.min(22, rest.width / 60)) : 11,
            steps,
            stepsPerEpoch: Math.max(1, Math.round(perEpoch * steps)),
            at: at * steps,
            best: best * steps,
            others: others.map((other) => ({ ...other, at: other.at * steps })),
            down: down.map((part) => part * steps),
            rates: rates.map((part) => part * steps),
          });
          expect(touching(labels)).toEqual([]);
          for (const label of labels) {
            expect(label.left).toBeGreaterThanOrEqual(left);
            expect(label.right).toBeLessThanOrEqual(width);
          }
          // What matters most is never left out for what matters less.
          expect(labels.filter(({ kind }) => kind === 'end')).toHaveLength(rest.ends.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('on a wide chart nothing is left out', () => {
    const wide = { ...phone, width: 900, rates: [60], others: [{ at: 80, value: 0.7 }] };
    const { labels } = labelsOf(wide);
    const kinds = labels.map(({ kind }) => kind);
    expect([...new Set(kinds)].sort()).toEqual(['arrow', 'best', 'end', 'epoch', 'other', 'rate']);
    expect(kinds.filter((kind) => kind === 'epoch')).toHaveLength(15);
  });
});
