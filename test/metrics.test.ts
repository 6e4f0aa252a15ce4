// Curves and diagnosis: smoothing, thinning, CSV, and the verdict on made-up runs whose truth is known.
// Not here: how the chart paints them (e2e/).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MetricName, MetricPoint } from '../src/contract';
import {
  type CurvePoint,
  epochBorders,
  lowest,
  nearest,
  series,
  smooth,
  thin,
  toCsv,
} from '../src/metrics/curves';
import { diagnose } from '../src/metrics/diagnosis';
import { readRates } from '../src/metrics/rates';

const point = (name: MetricName, step: number, value: number): MetricPoint => ({
  name,
  step,
  value,
  epoch: step / 10,
  tokens: step * 100,
  elapsedMs: step * 20,
});

/** A run given by its evaluations, ten steps apart; training loss follows the eval-mode train loss. */
function run(validation: number[], trainEval: number[], standardError = 0): MetricPoint[] {
  return validation.flatMap((value, i) => [
    point('full_valid_loss', i * 10, value),
    point('train_eval_loss', i * 10, trainEval[i] ?? Number.NaN),
    point('full_valid_loss_standard_error', i * 10, standardError),
    ...(i === 0 ? [] : [point('train_loss', i * 10, trainEval[i] ?? Number.NaN)]),
  ]);
}

const curve = (values: number[]): CurvePoint[] =>
  values.map((value, step) => ({ step, epoch: step / 10, value }));
const losses = fc.array(fc.double({ min: 0.001, max: 20, noNaN: true }), { minLength: 1, maxLength: 400 });

describe('series', () => {
  test('picks one metric, in step order, and the last of two values at one step', () => {
    const points = [
      point('train_loss', 3, 1),
      point('full_valid_loss', 1, 9),
      point('train_loss', 1, 2),
      point('train_loss', 3, 0.5),
    ];
    expect(series(points, 'train_loss').map((p) => [p.step, p.value])).toEqual([
      [1, 2],
      [3, 0.5],
    ]);
  });
});

describe('smooth', () => {
  test('is debiased: it starts at the first value and equals the closed form', () => {
    const values = smooth(curve([4, 2, 3]), 0.6).map((p) => p.value);
    expect(values[0]).toBeCloseTo(4, 12);
    expect(values[1]).toBeCloseTo((0.6 * 4 + 2) / 1.6, 12);
    expect(values[2]).toBeCloseTo((0.36 * 4 + 0.6 * 2 + 3) / 1.96, 12);
  });

  test('leaves a constant line where it is, and every value inside the range seen so far', () => {
    fc.assert(
      fc.property(losses, fc.double({ min: 0, max: 0.99, noNaN: true }), (values, weight) => {
        const smoothed = smooth(curve(values), weight);
        let low = Number.POSITIVE_INFINITY;
        let high = Number.NEGATIVE_INFINITY;
        smoothed.forEach((p, i) => {
          low = Math.min(low, values[i] as number);
          high = Math.max(high, values[i] as number);
          expect(p.value).toBeGreaterThanOrEqual(low - 1e-9);
          expect(p.value).toBeLessThanOrEqual(high + 1e-9);
        });
        for (const p of smooth(curve(values.map(() => 1.5)), weight)) expect(p.value).toBeCloseTo(1.5, 9);
      }),
    );
  });

  test('passes a non-finite value through without spoiling what follows', () => {
    const values = smooth(curve([2, Number.NaN, 2]), 0.9).map((p) => p.value);
    expect(values[1]).toBeNaN();
    expect(values[2]).toBeCloseTo(2, 12);
  });
});

describe('thin', () => {
  test('keeps first, last, lowest and highest, in order, within the limit', () => {
    fc.assert(
      fc.property(losses, fc.integer({ min: 4, max: 60 }), (values, limit) => {
        const all = curve(values);
        const kept = thin(all, limit);
        expect(kept.length).toBeLessThanOrEqual(Math.max(limit, Math.min(all.length, limit)));
        expect(kept[0]).toEqual(all[0]);
        expect(kept.at(-1)).toEqual(all.at(-1));
        expect(Math.min(...kept.map((p) => p.value))).toBe(Math.min(...values));
        expect(Math.max(...kept.map((p) => p.value))).toBe(Math.max(...values));
        for (let i = 1; i < kept.length; i++) {
          expect((kept[i] as CurvePoint).step).toBeGreaterThan((kept[i - 1] as CurvePoint).step);
        }
      }),
    );
  });

  test('does not lose the one step at which a loss broke', () => {
    const values = Array.from({ length: 3000 }, (_, i) => (i === 1234 ? Number.NaN : 1 + Math.sin(i)));
    expect(thin(curve(values), 100).some((p) => Number.isNaN(p.value))).toBe(true);
  });
});

describe('nearest, lowest, epochBorders', () => {
  test('nearest agrees with a plain search', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: -50, max: 550 }),
        (steps, wanted) => {
          const points = steps.sort((a, b) => a - b).map((step) => ({ step, epoch: 0, value: step }));
          const distance = Math.min(...steps.map((s) => Math.abs(s - wanted)));
          expect(Math.abs((nearest(points, wanted) as CurvePoint).step - wanted)).toBe(distance);
        },
      ),
    );
    expect(nearest([], 3)).toBeNull();
  });

  test('lowest takes the first of equals and skips what is not a number', () => {
    expect(lowest(curve([Number.NaN, 2, 1, 1]))?.step).toBe(2);
    expect(lowest(curve([Number.NaN]))).toBeNull();
  });

  test('epoch borders are thinned to a readable number', () => {
    expect(epochBorders(10, 35)).toEqual([
      { epoch: 1, step: 10 },
      { epoch: 2, step: 20 },
      { epoch: 3, step: 30 },
    ]);
    expect(epochBorders(3, 3000, 24).length).toBeLessThanOrEqual(24);
    expect(epochBorders(0, 10)).toEqual([]);
  });
});

test('CSV: one row a step, one column a metric, empty where nothing was measured', () => {
  const lines = toCsv([
    point('train_loss', 1, 0.1),
    point('full_valid_loss', 0, 1 / 3),
    point('learning_rate', 1, 5e-3),
  ]).split('\n');
  expect(lines[0]).toBe(
    'step,epoch,num_tokens,elapsed_ms,train_loss,train_eval_loss,train_eval_mean_token_accuracy,full_valid_loss,full_valid_mean_token_accuracy,full_valid_loss_standard_error,full_valid_rise_standard_error,learning_rate,grad_norm,tokens_per_second',
  );
  expect(lines[1]).toBe('0,0,0,0,,,,0.3333333333333333,,,,,,');
  expect(lines[2]).toBe('1,0.1,100,20,0.1,,,,,,,0.005,,');
  expect(lines[3]).toBe('');
});

describe('diagnose', () => {
  test('nothing, or the start only: waiting', () => {
    expect(diagnose([]).state).toBe('waiting');
    const verdict = diagnose(run([3.2], [3.1]));
    expect(verdict.state).toBe('waiting');
    expect(verdict.sentence).toContain('3.20');
  });

  test('both fall: learning, and the best step is the last', () => {
    const verdict = diagnose(run([3, 2.5, 2.1, 1.8], [3, 2.4, 1.9, 1.5]));
    expect(verdict.state).toBe('learning');
    expect(verdict.best).toEqual({ step: 30, loss: 1.8 });
    expect(verdict.sentence).toContain('from 3.00 to 1.80');
  });

  test('validation up twice while the training rows get better: overfitting, with steps and numbers', () => {
    const verdict = diagnose(run([3, 2, 1.5, 1.6, 1.8], [3, 1.9, 1.2, 0.7, 0.3]));
    expect(verdict.state).toBe('overfitting');
    expect(verdict.since).toBe(30);
    expect(verdict.best).toEqual({ step: 20, loss: 1.5 });
    for (const part of ['step 30', '1.50', '1.80', '1.20', '0.30', 'best at step 20']) {
      expect(verdict.sentence).toContain(part);
    }
  });

  test('a rise within the chance of the level, but not of the difference on the same rows, is overfitting', () => {
    const points = run([3, 2, 1.31, 1.4, 1.5], [3, 1.9, 0.65, 0.2, 0.08], 0.24);
    expect(diagnose(points).state).not.toBe('overfitting');
    const paired = [30, 40].map((step) => point('full_valid_rise_standard_error', step, 0.04));
    expect(diagnose([...points, ...paired])).toMatchObject({ state: 'overfitting', since: 30 });
    const noisy = [30, 40].map((step) => point('full_valid_rise_standard_error', step, 0.3));
    expect(diagnose([...points, ...noisy]).state).not.toBe('overfitting');
  });

  test('one worse evaluation is not overfitting', () => {
    expect(diagnose(run([3, 2, 1.5, 1.7], [3, 1.9, 1.2, 0.7])).state).toBe('learning');
  });

  test('a rise within one standard error is not overfitting', () => {
    const losses = [3, 2, 1.5, 1.6, 1.65];
    expect(diagnose(run(losses, [3, 1.9, 1.2, 0.7, 0.3], 0.2)).state).not.toBe('overfitting');
    expect(diagnose(run(losses, [3, 1.9, 1.2, 0.7, 0.3], 0.05)).state).toBe('overfitting');
  });

  test('a dip back below the margin starts the count again', () => {
    const verdict = diagnose(run([3, 1.5, 1.7, 1.5, 1.7, 1.8], [3, 1.4, 1.2, 1, 0.8, 0.6]));
    expect(verdict.since).toBe(40);
  });

  test('both rise: not overfitting', () => {
    const verdict = diagnose(run([3, 1.5, 1.8, 2], [3, 1.4, 1.7, 1.9]));
    expect(verdict.state).toBe('plateau');
    expect(verdict.sentence).toContain('not overfitting');
  });

  test('training rows that hardly move do not make a rise of validation overfitting', () => {
    const verdict = diagnose(run([3, 1.5, 1.55, 1.6], [3, 1.4, 1.39, 1.385]));
    expect(verdict.state).toBe('plateau');
    expect(verdict.sentence).toContain('hardly moved');
    expect(diagnose(run([3, 1.5, 1.55, 1.6], [3, 1.4, 1.38, 1.37])).state).toBe('overfitting');
  });

  test('rows known by heart already: a rise of validation is overfitting, though training loss stands at its floor', () => {
    const verdict = diagnose(run([3, 1.5, 1.8, 2.1], [3, 0.05, 0.05, 0.055]));
    expect(verdict).toMatchObject({ state: 'overfitting', since: 20 });
    expect(verdict.sentence).toContain('stays at 0.06');
    // Known rows that are being forgotten again: the run comes apart.
    expect(diagnose(run([3, 1.5, 1.8, 2.1], [3, 0.2, 0.4, 0.6])).state).toBe('plateau');
  });

  test('a flat end: plateau, and it says whether the training rows still improve', () => {
    const flat = [3, 1.5, 1.5, 1.499, 1.5];
    expect(diagnose(run(flat, [3, 1.4, 1.4, 1.4, 1.4])).sentence).toContain('Standing still');
    const falling = diagnose(run(flat, [3, 1.4, 1.3, 1.2, 1.1]));
    expect(falling.state).toBe('plateau');
    expect(falling.sentence).toContain('by heart');
  });

  test('a loss that is not a number: diverged at that step', () => {
    const verdict = diagnose([...run([3, 2], [3, 2]), point('train_loss', 15, Number.NaN)]);
    expect(verdict).toMatchObject({ state: 'diverged', since: 15 });
  });

  test('three training losses more than 1 above the first: diverged; two, or back again: not', () => {
    const steps = (...values: number[]) => values.map((value, i) => point('train_loss', i + 1, value));
    expect(diagnose(steps(3, 4.1, 5, 6))).toMatchObject({ state: 'diverged', since: 2 });
    expect(diagnose(steps(3, 4.1, 5)).state).toBe('waiting');
    expect(diagnose(steps(3, 4.1, 5, 6, 3)).state).toBe('waiting');
  });

  test('three validation rows: too few for a small movement, still plain about a large one', () => {
    const small = diagnose(run([2, 1.95, 1.97], [2, 1.8, 1.6], 0.1), 3);
    expect(small.state).toBe('too_few');
    expect(small.sentence).toContain('3 validation rows');
    const large = diagnose(run([3, 1.5, 2.5, 3.5], [3, 1.2, 0.5, 0.1], 0.3), 3);
    expect(large.state).toBe('overfitting');
    expect(large.caveat).toContain('0.30 higher or lower');
  });

  test('12 rows bring a caveat, 200 rows with a tight error none', () => {
    expect(diagnose(run([3, 2], [3, 2], 0.15), 12).caveat).toBe(
      '12 validation rows: with other rows this line could lie 0.15 higher or lower.',
    );
    expect(diagnose(run([3, 2], [3, 2], 0.01), 200).caveat).toBeNull();
  });

  test('never claims overfitting while validation stands at its lowest; best is the true minimum', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.double({ min: 0.01, max: 5, noNaN: true }),
            fc.double({ min: 0.01, max: 5, noNaN: true }),
          ),
          {
            minLength: 2,
            maxLength: 40,
          },
        ),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (pairs, error) => {
          const validation = pairs.map((p) => p[0]);
          const verdict = diagnose(
            run(
              validation,
              pairs.map((p) => p[1]),
              error,
            ),
            50,
          );
          const minimum = Math.min(...validation);
          expect(verdict.best?.loss).toBe(minimum);
          if (verdict.state === 'overfitting') {
            expect(validation.at(-1)).toBeGreaterThan(minimum * 1.01);
            expect(validation.at(-2)).toBeGreaterThan(minimum * 1.01);
            expect(verdict.since).toBeGreaterThan(verdict.best?.step as number);
          }
          expect(verdict.sentence).not.toMatch(/NaN|undefined|null/);
        },
      ),
    );
  });

  test('any clear U-turn is called overfitting, wherever its bottom lies', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 2, max: 30 }), (down, up) => {
        const validation = Array.from({ length: down + up + 1 }, (_, i) => 1 + 0.05 * Math.abs(i - down));
        const train = validation.map((_, i) => 3 * 0.9 ** i);
        const verdict = diagnose(run(validation, train), 100);
        expect(verdict).toMatchObject({
          state: 'overfitting',
          since: (down + 1) * 10,
          best: { step: down * 10, loss: 1 },
        });
      }),
    );
  });
});

describe('readRates', () => {
  const curve = (...losses: number[]) => losses.map((loss, i) => ({ learningRate: 10 ** (i - 5), loss }));

  test('says where the loss falls, where it climbs, and what the proposal keeps clear of', () => {
    const sentence = readRates(curve(3, 2.9, 2.5, 2, 6), 1e-3);
    expect(sentence).toContain('from 3.00 to 2.00 while the rate rises to 0.01');
    expect(sentence).toContain('1e-3 learns fast');
  });

  test('without a proposal it says why, and what to do', () => {
    expect(readRates(curve(3, 3, 3.01), null)).toContain('stayed near 3.00');
    expect(readRates(curve(1, 1, 4), null)).toContain('climbed from 1.00 to 4.00');
    expect(readRates(curve(3, 2), null, true)).toContain('Stopped at 1e-4');
    expect(readRates([], null)).toBe('Nothing was measured.');
  });
});
