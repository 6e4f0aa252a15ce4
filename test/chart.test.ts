// The arithmetic behind what the loss chart paints: markers, bands, labels, moving what is in view.
// Not here: the painting itself (e2e/), the range of the axis and the verdict (metrics.test.ts).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
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
