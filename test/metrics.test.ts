// Curves and diagnosis: smoothing, thinning, CSV, and the verdict on made-up runs whose truth is known.
// Not here: how the chart paints them (e2e/).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MetricName, MetricPoint, RunConfig } from '../src/contract';
import type { HeldOut, RowMeasurement } from '../src/dataContract';
import { defaultHyperparameters } from '../src/hyperparameters';
import type { EvaluationConfig } from '../src/measuringContract';
import { type LossRange, lossRange } from '../src/metrics/axis';
import { alikeSentences, evaluationCaption, heldOutSentence, measuringSentence } from '../src/metrics/claims';
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
import { diagnose, type Measured } from '../src/metrics/diagnosis';
import { nextSteps } from '../src/metrics/nextSteps';
import { readRates } from '../src/metrics/rates';
import { known, rowCurves, scaleTop } from '../src/metrics/rowCurves';

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
    point('valid_loss', i * 10, value),
    point('train_eval_loss', i * 10, trainEval[i] ?? Number.NaN),
    point('valid_loss_standard_error', i * 10, standardError),
    ...(i === 0 ? [] : [point('train_loss', i * 10, trainEval[i] ?? Number.NaN)]),
  ]);
}

/** A run with so many held-out rows, all of them new and all measured each time unless `more` says otherwise. */
function measured(
  validationRows: number,
  more: { heldOut?: Partial<HeldOut>; evaluation?: Partial<EvaluationConfig> } = {},
): Measured {
  return {
    validationRows,
    heldOut: { kept: 'near_prompts', copies: 0, samePrompt: 0, nearPrompt: 0, ...more.heldOut },
    evaluation: {
      evaluations: 9,
      validationRows,
      validationTokens: 100 * validationRows,
      allValidationTokens: 100 * validationRows,
      trainRows: validationRows,
      allTrainRows: validationRows,
      share: 0.1,
      ...more.evaluation,
    },
  };
}

/** What all rows gave at a step, at the end of a run. */
const onAll = (step: number, validation: number, train: number, error = 0.01, rise = 0.01): MetricPoint[] => [
  point('full_valid_loss', step, validation),
  point('full_train_eval_loss', step, train),
  point('full_valid_loss_standard_error', step, error),
  point('full_valid_rise_standard_error', step, rise),
];

const curve = (values: number[]): CurvePoint[] =>
  values.map((value, step) => ({ step, epoch: step / 10, value }));
const losses = fc.array(fc.double({ min: 0.001, max: 20, noNaN: true }), { minLength: 1, maxLength: 400 });

describe('series', () => {
  test('picks one metric, in step order, and the last of two values at one step', () => {
    const points = [
      point('train_loss', 3, 1),
      point('valid_loss', 1, 9),
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

describe('lossRange', () => {
  /** A value's height on the axis: 0 at its bottom, 1 at its top. */
  const height = ({ min, max }: LossRange, value: number) => (value - min) / (max - min);
  const range = (...lines: number[][]) => lossRange(lines.map(curve)) as LossRange;

  test('a validation loss that doubles is seen, whatever the loss was before training', () => {
    const validation = [8, 2.1, 0.7, 0.4, 0.3, 0.28, 0.29, 0.33, 0.38, 0.43, 0.48, 0.52, 0.56, 0.59, 0.62];
    const training = validation.map((_, i) => 8 * Math.exp(-i));
    const fitted = range(validation, training);
    expect(fitted.above).toBe(8);
    expect(height(fitted, 0.62) - height(fitted, 0.28)).toBeGreaterThan(0.35);
    // On the whole range it would be a level line.
    expect((0.62 - 0.28) / 8).toBeLessThan(0.05);
  });

  test('shows everything as long as there is no first part to tell from the rest', () => {
    for (const values of [[5], [5, 1.3], [5, 1.3, 0.4]]) {
      const fitted = range(values);
      expect(fitted.above).toBeNull();
      expect(fitted.max).toBeGreaterThan(5);
    }
  });

  test('shows everything where cutting would gain little', () => {
    const fitted = range([4, 3.6, 3.5, 3.9, 4.8, 5.5, 6.1, 6.5]);
    expect(fitted.above).toBeNull();
    expect(fitted.max).toBeGreaterThan(6.5);
  });

  test('passes over a single outlier, but not over the end of a run', () => {
    const level = Array.from({ length: 20 }, (_, i) => 0.3 + 0.01 * (i % 3));
    const spike = range(level.with(12, 9));
    expect(spike.max).toBeLessThan(0.5);
    expect(spike.above).toBe(9);
    expect(range(level.with(19, 9)).max).toBeGreaterThan(9);
  });

  test('lines of other runs widen it to its double and no further', () => {
    const own = curve([8, 1, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4]);
    const alone = lossRange([own]) as LossRange;
    const near = lossRange([own], [curve([8, 1, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7])]) as LossRange;
    expect(near.max).toBeGreaterThan(0.7);
    expect(near.max).toBeLessThan(2.5 * alone.max);
    expect(lossRange([own], [curve([8, 8, 8, 8, 1e3])])).toEqual(alone);
  });

  test('holds for any finite losses: the lowest and the last are inside, and nothing is negative', () => {
    fc.assert(
      fc.property(losses, losses, (a, b) => {
        const fitted = range(a, b);
        const all = [...a, ...b];
        expect(fitted.min).toBeGreaterThanOrEqual(0);
        expect(fitted.min).toBeLessThanOrEqual(Math.min(...all));
        for (const end of [a.at(-1), b.at(-1)]) expect(fitted.max).toBeGreaterThanOrEqual(end as number);
        if (fitted.above === null) expect(fitted.max).toBeGreaterThanOrEqual(Math.max(...all));
        else expect(fitted.above).toBeGreaterThan(fitted.max);
      }),
    );
  });

  test('has no range without a finite loss, and one around a level line', () => {
    expect(lossRange([])).toBeNull();
    expect(lossRange([curve([Number.NaN, Number.POSITIVE_INFINITY])])).toBeNull();
    const level = range([2, 2, 2, 2, 2]);
    expect(level.min).toBeLessThan(2);
    expect(level.max).toBeGreaterThan(2);
    expect(range([0, 0]).max).toBeGreaterThan(0);
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
    point('valid_loss', 0, 1 / 3),
    point('learning_rate', 1, 5e-3),
  ]).split('\n');
  expect(lines[0]).toBe(
    'step,epoch,num_tokens,elapsed_ms,train_loss,train_eval_loss,train_eval_mean_token_accuracy,valid_loss,valid_mean_token_accuracy,valid_loss_standard_error,valid_rise_standard_error,full_train_eval_loss,full_train_eval_mean_token_accuracy,full_valid_loss,full_valid_mean_token_accuracy,full_valid_loss_standard_error,full_valid_rise_standard_error,learning_rate,grad_norm,tokens_per_second,memory_allocated,general_loss,general_rise_standard_error,full_general_loss,full_general_rise_standard_error',
  );
  expect(lines[1]).toBe('0,0,0,0,,,,0.3333333333333333,,,,,,,,,,,,,,,,,');
  expect(lines[2]).toBe('1,0.1,100,20,0.1,,,,,,,,,,,,,0.005,,,,,,,');
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

  test('a rise is no overfitting where nearly all tokens of the held-out answers stay right; where they fall it is', () => {
    const points = run([3, 0.1, 0.022, 0.028, 0.033], [3, 0.1, 0.01, 0.003, 0.001]);
    const right = (shares: number[]) => [
      ...points,
      ...shares.map((share, i) => point('valid_mean_token_accuracy', i * 10, share)),
    ];
    expect(diagnose(points).state).toBe('overfitting');
    const held = diagnose(right([0.6, 0.98, 0.9951, 0.994, 0.9931]));
    expect(held).toMatchObject({ state: 'plateau', since: 30, best: { step: 20, loss: 0.022 } });
    for (const part of ['from 0.02 to 0.03', '99.3 %', '99.5 %', 'best at step 20'])
      expect(held.sentence).toContain(part);
    expect(held.sentence).not.toMatch(/overfitting/i);
    expect(diagnose(right([0.6, 0.98, 0.9991, 0.994, 0.9931])).state).toBe('overfitting');
    expect(diagnose(right([0.6, 0.98, 0.985, 0.985, 0.985])).state).toBe('overfitting');
    // At the end of a run the share on all rows decides, not that of the sample.
    const all = [20, 40].flatMap((step, i) => [
      point('full_valid_loss', step, [0.022, 0.033][i] as number),
      point('full_train_eval_loss', step, [0.01, 0.001][i] as number),
      point('full_valid_mean_token_accuracy', step, [0.97, 0.96][i] as number),
    ]);
    expect(diagnose([...right([0.6, 0.98, 0.9951, 0.994, 0.9931]), ...all]).state).toBe('overfitting');
  });

  test('a rise within the chance of the level, but not of the difference on the same rows, is overfitting', () => {
    const points = run([3, 2, 1.31, 1.4, 1.5], [3, 1.9, 0.65, 0.2, 0.08], 0.24);
    expect(diagnose(points).state).not.toBe('overfitting');
    const paired = [30, 40].map((step) => point('valid_rise_standard_error', step, 0.04));
    expect(diagnose([...points, ...paired])).toMatchObject({ state: 'overfitting', since: 30 });
    const noisy = [30, 40].map((step) => point('valid_rise_standard_error', step, 0.3));
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

  test('rows memorised already: a rise of validation is overfitting, though training loss is at its minimum', () => {
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
    const small = diagnose(run([2, 1.95, 1.97], [2, 1.8, 1.6], 0.1), measured(3));
    expect(small.state).toBe('too_few');
    expect(small.sentence).toContain('3 validation rows');
    const large = diagnose(run([3, 1.5, 2.5, 3.5], [3, 1.2, 0.5, 0.1], 0.3), measured(3));
    expect(large.state).toBe('overfitting');
    expect(large.caveat).toContain('0.30 higher or lower');
  });

  test('many rows of one target each: the tokens are too few', () => {
    const points = run([2, 1.95, 1.97], [2, 1.8, 1.6], 0.1);
    const few = diagnose(
      points,
      measured(12, { evaluation: { validationTokens: 12, allValidationTokens: 12 } }),
    );
    expect(few.state).toBe('too_few');
    expect(few.sentence).toContain('12 validation tokens are too few');
  });

  test('12 rows bring a caveat, 200 rows with a tight error none', () => {
    expect(diagnose(run([3, 2], [3, 2], 0.15), measured(12)).caveat).toBe(
      'All 12 held-out rows: with other rows the last validation loss (2.00) could lie 0.15 higher or lower.',
    );
    expect(diagnose(run([3, 2], [3, 2], 0.01), measured(200)).caveat).toBeNull();
  });

  test('the caveat quotes the error of the number it names, not that of the best step', () => {
    const points = [
      ...run([3, 1.5, 2.5, 3.5], [3, 1.2, 0.5, 0.1]).filter((p) => !p.name.endsWith('standard_error')),
      ...[0.1, 0.2, 0.3, 0.9].map((error, i) => point('valid_loss_standard_error', i * 10, error)),
    ];
    const { caveat } = diagnose(points, measured(40));
    expect(caveat).toBe('With other rows the last validation loss (3.50) could lie 0.90 higher or lower.');
  });

  test('never claims overfitting while validation is at its lowest; best is the true minimum', () => {
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
            measured(50),
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

  test('any clear U-turn is called overfitting, wherever its minimum is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 2, max: 30 }), (down, up) => {
        const validation = Array.from({ length: down + up + 1 }, (_, i) => 1 + 0.05 * Math.abs(i - down));
        const train = validation.map((_, i) => 3 * 0.9 ** i);
        const verdict = diagnose(run(validation, train), measured(100));
        expect(verdict).toMatchObject({
          state: 'overfitting',
          since: (down + 1) * 10,
          best: { step: down * 10, loss: 1 },
        });
      }),
    );
  });
});

describe('diagnose, on a sample of the held-out rows', () => {
  const eight = measured(48, { evaluation: { validationRows: 8, validationTokens: 80 } });

  test('says on how many rows a number was measured, during the run', () => {
    const { sentence, measuredAll } = diagnose(run([3, 2.5, 2.1, 1.8], [3, 2.4, 1.9, 1.5]), eight);
    expect(sentence).toBe(
      'Validation loss has fallen from 3.00 to 1.80 on 8 of 48 held-out rows, rows that this run did not train on.',
    );
    expect(measuredAll).toBe(false);
  });

  test('the end gives the loss on all rows beside the line, and never one as the change of the other', () => {
    const points = [...run([3, 2.5, 2.1, 1.8], [3, 2.4, 1.9, 1.5]), ...onAll(30, 2.2, 2)];
    const verdict = diagnose(points, eight, 'finished');
    expect(verdict.sentence).toContain('from 3.00 to 1.80 on 8 of 48 held-out rows');
    expect(verdict.sentence).toContain('On all 48 held-out rows it ends at 2.20.');
    expect(verdict.sentence).not.toContain('3.00 to 2.20');
    expect(verdict).toMatchObject({ best: { step: 30, loss: 2.2 }, measuredAll: true });
  });

  test('overfitting is judged by all rows at the end, with their numbers and their error', () => {
    const points = run([3, 2, 1.5, 1.6, 1.8], [3, 1.9, 1.2, 0.7, 0.3], 0.4);
    const paired = [30, 40].map((step) => point('valid_rise_standard_error', step, 0.02));
    const end = [...points, ...paired, ...onAll(20, 1.7, 1.3, 0.05, 0), ...onAll(40, 1.95, 0.35, 0.06, 0.03)];
    const verdict = diagnose(end, eight, 'finished');
    expect(verdict).toMatchObject({ state: 'overfitting', since: 30, best: { step: 20, loss: 1.7 } });
    expect(verdict.sentence).toContain('has risen from 1.70 to 1.95 on all 48 held-out rows');
    expect(verdict.sentence).toContain('fell from 1.30 to 0.35');
    expect(verdict.caveat).toBeNull();
    const during = diagnose([...points, ...paired], eight);
    expect(during.sentence).toContain('has risen from 1.50 to 1.80 on 8 of 48 held-out rows');
    expect(during.caveat).toContain('8 of 48 held-out rows: with other rows the last validation loss (1.80)');
  });

  test('a rise on the sample that all rows do not show is not overfitting, and the last step may be the best', () => {
    const points = run([3, 2, 1.5, 1.6, 1.8], [3, 1.9, 1.2, 0.7, 0.3], 0.02);
    const verdict = diagnose([...points, ...onAll(20, 1.7, 1.3), ...onAll(40, 1.6, 0.35)], eight, 'finished');
    expect(verdict.state).not.toBe('overfitting');
    expect(verdict.best).toEqual({ step: 40, loss: 1.6 });
  });

  test('while only one of the two has been measured on all rows, the sample speaks', () => {
    const points = run([3, 2, 1.5, 1.6, 1.8], [3, 1.9, 1.2, 0.7, 0.3], 0.02);
    const verdict = diagnose([...points, ...onAll(20, 1.7, 1.3)], eight);
    expect(verdict).toMatchObject({ best: { step: 20, loss: 1.5 }, measuredAll: false });
  });
});

describe('claims hold only where the data bear them out', () => {
  const points = run([1.81, 0.9, 0.2, 0.001], [1.81, 0.9, 0.2, 0.001]);
  const heldOut = (copies: number, samePrompt = 0, nearPrompt = 0) => ({
    heldOut: { copies, samePrompt, nearPrompt },
  });

  test('all held-out rows are copies: no word about new rows, and no verdict of learning', () => {
    const verdict = diagnose(points, measured(5, heldOut(5)), 'finished');
    expect(verdict.state).toBe('copies');
    expect(verdict.sentence).toBe(
      'All 5 held-out rows are copies of training rows, so their loss says nothing about new rows. On them it went from 1.81 to 0.001.',
    );
    // Even a curve that turns cannot tell memorising from learning there.
    expect(diagnose(run([3, 1.5, 2.5, 3.5], [3, 1.2, 0.5, 0.1]), measured(5, heldOut(5))).state).toBe(
      'copies',
    );
  });

  test.each([
    [heldOut(2), '2 of 10 held-out rows are copies of training rows'],
    [heldOut(0, 1), '1 of 10 held-out rows has the prompt of a training row, with another answer.'],
    [heldOut(0, 0, 10), 'All 10 held-out rows have nearly the prompt of a training row'],
  ])('held-out rows with their like among the training rows: %o', (more, said) => {
    const verdict = diagnose(points, measured(10, more), 'finished');
    expect(verdict.state).toBe('learning');
    expect(verdict.sentence).not.toMatch(/did not train|never/);
    expect(verdict.caveat).toContain(said);
  });

  test('the data panel and the terminal say the same of a split', () => {
    const split = (validationRows: number, more: Partial<HeldOut>, nearDuplicateGroups = 0) =>
      heldOutSentence({
        trainRows: 40,
        validationRows,
        nearDuplicateGroups,
        heldOut: measured(validationRows, { heldOut: more }).heldOut,
      });
    expect(split(10, {})).toBe(
      'Held-out rows are not trained on: they show what was learned and what only memorised.',
    );
    expect(split(10, {}, 3)).toContain('3 near-identical groups are kept on one side.');
    expect(split(10, { kept: 'nothing', copies: 10 }, 3)).toBe(
      'All 10 held-out rows are copies of training rows, so their loss says nothing about new rows.',
    );
    expect(split(10, { kept: 'equal_prompts', nearPrompt: 10 })).not.toContain('memorised');
    expect(split(1, { kept: 'nothing', copies: 1 })).toContain(
      'The held-out row is a copy of a training row',
    );
    expect(split(0, {})).toContain('No row is held out');
    expect(alikeSentences(10, { kept: 'near_prompts', copies: 0, samePrompt: 0, nearPrompt: 0 })).toEqual([]);
  });

  test('a run that ended before it could be judged says so, and promises nothing', () => {
    expect(diagnose([], measured(10), 'stopped').sentence).toBe(
      'The run was stopped before anything was measured, so there is no verdict.',
    );
    const { sentence } = diagnose(run([3.2], [3.1]), measured(10), 'stopped');
    expect(sentence).toContain('nothing to compare');
    expect(sentence).not.toContain('One more evaluation');
    const none = diagnose(run([2, 2.3, 2.1, 2.4], [2, 2.3, 2.4, 2.5]), measured(100), 'finished');
    expect(none.sentence).not.toContain('yet');
  });

  test('best before training: no step 0 to go back to', () => {
    const verdict = diagnose(run([1.5, 1.8, 2.1, 2.5], [1.4, 1.1, 0.6, 0.2]), measured(100));
    expect(verdict.state).toBe('overfitting');
    expect(verdict.sentence).toContain('It was best before training.');
  });

  test('within the first epoch no row is known by heart', () => {
    const once = run([3, 1.5, 1.8, 2.1], [3, 1.2, 0.8, 0.4]).map((p) => ({ ...p, epoch: p.step / 30 }));
    const verdict = diagnose(once, measured(100));
    expect(verdict.state).toBe('overfitting');
    expect(verdict.sentence).not.toContain('by heart');
    expect(diagnose(run([3, 1.5, 1.8, 2.1], [3, 1.2, 0.8, 0.4]), measured(100)).sentence).toContain(
      'by heart',
    );
  });
});

test('the caption says on which rows the lines were measured: during the run, at its end, after a stop', () => {
  const config = measured(1000, { evaluation: { validationRows: 64 } });
  expect(evaluationCaption(config, null, false)).toBe(
    'Measured on 64 of 1,000 held-out rows; all rows at the end.',
  );
  expect(evaluationCaption(config, 'finished', true)).toBe(
    'Measured on 64 of 1,000 held-out rows; the diamonds on all of them.',
  );
  expect(evaluationCaption(config, 'stopped', false)).toContain(
    'was stopped before the others were measured',
  );
  expect(evaluationCaption(measured(48), null, true)).toBe('Measured on all 48 held-out rows.');
  expect(measuringSentence({ what: 'sample', step: 0, done: 24, of: 128 })).toBe('Measuring 24 of 128 rows');
  expect(measuringSentence({ what: 'best', step: 60, done: 0, of: 1200 })).toBe(
    'Measuring 0 of 1,200 rows, best step 60',
  );
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

describe('what to try next', () => {
  const config = {
    hyperparameters: { ...defaultHyperparameters(), learning_rate: 1e-3, num_train_epochs: 4 },
    stepsPerEpoch: 10,
  } as RunConfig;
  const judged = (points: MetricPoint[], step = 40) => {
    const verdict = diagnose(points, null, 'finished');
    return { state: verdict.state, steps: nextSteps({ config, verdict, step }) };
  };

  test('overfitting: the best weights, and only as many epochs as led to them', () => {
    const { state, steps } = judged(run([3, 2, 1.5, 1.6, 1.8], [3, 1.9, 1.2, 0.7, 0.3]));
    expect(state).toBe('overfitting');
    expect(steps.map((s) => s.label)).toEqual([
      'Use the weights of step 20',
      'Train for 2 epochs',
      'Add more, and more varied, rows',
    ]);
    expect(steps[1]).toMatchObject({ changes: { num_train_epochs: 2 } });
  });

  test('overfitting from the first step on: no weights and no shorter run are offered', () => {
    const { state, steps } = judged(run([1.5, 1.6, 1.8, 2], [3, 1.9, 1.2, 0.7]), 30);
    expect(state).toBe('overfitting');
    expect(steps.map((s) => s.kind)).toEqual(['rows']);
  });

  test('still falling at the end: twice the epochs', () => {
    const { state, steps } = judged(run([3, 2.5, 2.1, 1.8], [3, 2.4, 1.9, 1.5]), 30);
    expect(state).toBe('learning');
    expect(steps).toEqual([{ kind: 'train', label: 'Train for 8 epochs', changes: { num_train_epochs: 8 } }]);
  });

  test('diverged: a tenth of the learning rate', () => {
    const { state, steps } = judged(run([3, Number.NaN], [3, Number.NaN]), 10);
    expect(state).toBe('diverged');
    expect(steps).toEqual([
      { kind: 'train', label: 'Try learning rate 1e-4', changes: { learning_rate: 1e-4 } },
    ]);
  });

  test('hardly learned: underfitting, and a higher learning rate; but not of rows that were known from the start', () => {
    const { state, steps } = judged(run([3.2, 3.15, 3.12, 3.1], [3, 2.95, 2.92, 2.9]), 30);
    expect(state).toBe('underfitting');
    expect(steps[0]).toMatchObject({ changes: { learning_rate: 3e-3 } });
    expect(judged(run([0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]), 30).state).toBe('plateau');
    expect(diagnose(run([3.2, 3.15, 3.12, 3.1], [3, 2.95, 2.92, 2.9])).state).not.toBe('underfitting');
  });

  test('nothing is offered where nothing follows', () => {
    expect(judged([], 0).steps).toEqual([]);
  });
});

describe('the losses of single rows', () => {
  const side = (lines: number[], losses: number[]) => ({ lines, places: lines.map((_, i) => i), losses });
  const at = (
    step: number,
    on: RowMeasurement['on'],
    train: number[],
    held: [number[], number[]],
  ): RowMeasurement => ({
    ...{ step, on },
    train: side([1, 2], train),
    validation: side(...held),
  });

  test('rows that were measured every time keep their past; a step measured twice keeps its last value', () => {
    const { steps, train, validation } = rowCurves([
      at(0, 'sample', [4, 3], [[5], [4]]),
      at(10, 'sample', [2, 1], [[5], [3.5]]),
      at(20, 'sample', [1, 0.5], [[5], [5]]),
      at(
        20,
        'all',
        [1, 0.5],
        [
          [5, 6],
          [5, 9],
        ],
      ),
      at(
        10,
        'all',
        [2, 1.5],
        [
          [5, 6],
          [3.5, 7],
        ],
      ),
    ]);
    expect(steps).toEqual([0, 10, 20]);
    expect(train.map((r) => [r.line, r.losses])).toEqual([
      [1, [4, 2, 1]],
      [2, [3, 1.5, 0.5]],
    ]);
    expect(validation).toEqual([{ line: 5, place: 0, losses: [4, 3.5, 5] }]);
  });

  test('the scale ends at what rows cost before training, one odd row aside', () => {
    const losses = [...Array.from({ length: 19 }, () => 2), 90];
    const lines = losses.map((_, i) => i + 1);
    const measured = { step: 0, on: 'both' as const, train: side(lines, losses), validation: side([], []) };
    const top = scaleTop(rowCurves([measured]));
    expect(top).toBe(2);
    expect([known(0, top), known(1, top), known(2, top), known(9, top), known(Number.NaN, top)]).toEqual([
      1, 0.5, 0, 0, 0,
    ]);
    expect(scaleTop(rowCurves([]))).toBe(1);
  });
});
