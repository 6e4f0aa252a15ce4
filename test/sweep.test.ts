// Sweeps: which values are taken, the plan, progress over all runs, how runs are compared and read, and the runs themselves on a tiny model.
// Not here: the share of the training rows (split.test.ts).
// Run: npx vitest run --project node test/sweep.test.ts

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { MetricPoint, RunConfig, RunSummary, SweepOutcome } from '../src/contract';
import type { RowMeasurement } from '../src/dataContract';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { axisPlaces, lossDifference, sweepSentence, sweepTable } from '../src/metrics/sweep';
import { emptyEntry, type SweepEntry, sweepEntry } from '../src/metrics/sweepEntry';
import { planSweep, SweepClock } from '../src/session/sweep';
import type { SweepProgress, SweepRequest } from '../src/sweepContract';
import { proposedValues, readSweepValues, SWEEP_PRESETS, SWEEP_SETTINGS, sweepProblem } from '../src/sweeps';
import { EngineSession } from '../src/worker/session';
import { hastenClock, openIn } from './sessionFixtures';

const h = defaultHyperparameters();

describe('values of a sweep', () => {
  test('are read as a person writes them', () => {
    expect(readSweepValues('learning_rate', '1e-4, 1e-3 ;0.01', h).values).toEqual([1e-4, 1e-3, 0.01]);
    expect(readSweepValues('train_fraction', '12 % 25% 0.5 100 %', h).values).toEqual([0.12, 0.25, 0.5, 1]);
    expect(readSweepValues('method', 'LoRA adapter, full', h).values).toEqual(['lora', 'full']);
    expect(readSweepValues('use_dora', 'off on', h).values).toEqual([false, true]);
  });

  test.each([
    ['learning_rate', '1e-3 soon', '“soon” is no value of Learning rate.'],
    ['learning_rate', '1e-3', 'at least 2 values'],
    ['learning_rate', '1 2 3 4 5 6', 'at most 5 values; these are 6'],
    ['learning_rate', '1e-3 0.001', '1e-3 is given twice'],
    ['learning_rate', '1e-3 5', 'With 5: Learning rate must lie between 0 and 1'],
    ['lora_r', '4 4.5', 'With 4.5: LoRA rank (r) must be a whole number'],
    ['trainable_layers', '1 2', 'no effect with the other settings'],
  ] as const)('%s of %s are refused with a sentence', (name, text, sentence) => {
    expect(readSweepValues(name, text, h).problem).toContain(sentence);
  });

  test('cannot be swept where the validation losses could not be compared', () => {
    expect(sweepProblem('validation_fraction', [0.1, 0.2], h)).toContain('cannot be swept');
    expect(sweepProblem('folds', [1, 2], h)).toContain('cannot be swept');
  });

  test('that are proposed are valid for every setting that can be swept', () => {
    for (const name of SWEEP_SETTINGS) {
      const fitting = {
        ...h,
        method: name === 'trainable_layers' ? 'last_layers' : name === 'train_embeddings' ? 'full' : 'lora',
      } as Hyperparameters;
      const values = proposedValues(name, fitting);
      expect([name, sweepProblem(name, values, fitting)]).toEqual([name, null]);
    }
    for (const { setting, values } of SWEEP_PRESETS) expect(sweepProblem(setting, values, h)).toBeNull();
  });
});

describe('the plan', () => {
  const request = (setting: SweepRequest['setting'], values: SweepRequest['values']): SweepRequest => ({
    setting,
    values,
  });

  test('changes nothing but the setting, keeps the seed, and the learning rate follows the method', () => {
    const plan = planSweep({ ...h, seed: 5 }, request('lora_r', [2, 4, 8]), 100, 1e6);
    expect(plan.map((p) => p.hyperparameters)).toEqual(
      [2, 4, 8].map((lora_r) => ({ ...h, seed: 5, lora_r })),
    );
    expect(new Set(plan.map((p) => p.place.id)).size).toBe(1);
    expect(plan.map((p) => p.place.number)).toEqual([1, 2, 3]);
    const methods = planSweep(h, request('method', ['lora', 'full']), 100, 1e6);
    expect(methods.map((p) => p.hyperparameters.learning_rate)).toEqual([5e-3, 5e-4]);
  });

  test('over shares of the rows makes about as many updates on each', () => {
    const plan = planSweep(
      { ...h, num_train_epochs: 4, batch_size: 8 },
      request('train_fraction', [0.12, 0.25, 0.5, 1]),
      320,
      1e6,
    );
    expect(plan.map((p) => p.hyperparameters.num_train_epochs)).toEqual([32, 16, 8, 4]);
    expect(plan.map((p) => p.steps)).toEqual([160, 160, 160, 160]);
    // The same counts from any number of rows stay close, and at least one epoch is left.
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 5000 }), fc.integer({ min: 1, max: 20 }), (rows, epochs) => {
        const runs = planSweep(
          { ...h, num_train_epochs: epochs },
          request('train_fraction', [0.25, 1]),
          rows,
          1e6,
        );
        const [part, whole] = runs.map((p) => p.steps) as [number, number];
        const perEpoch = part / (runs[0]?.hyperparameters.num_train_epochs as number);
        expect(Math.abs(part - whole)).toBeLessThanOrEqual(perEpoch / 2);
      }),
    );
  });

  test('is refused before anything begins', () => {
    expect(() => planSweep(h, request('lora_r', [2, 2]), 9, 1)).toThrow(/given twice/);
    expect(() => planSweep({ ...h, folds: 5 }, request('lora_r', [2, 4]), 9, 1)).toThrow(/without folds/);
  });

  test('gives progress over the steps of all runs, and time by rows', () => {
    const clock = new SweepClock(
      planSweep({ ...h, num_train_epochs: 1 }, request('batch_size', [5, 10]), 100, 1),
    );
    clock.begin(1, { totalSteps: 20 });
    expect(clock.at({ step: 0, elapsedMs: 0 })).toEqual({
      number: 1,
      of: 2,
      step: 0,
      totalSteps: 30,
      remainingMs: null,
    });
    // Half of the first run in 1 s: 50 of 200 rows.
    expect(clock.at({ step: 10, elapsedMs: 1000 })).toMatchObject({
      step: 10,
      totalSteps: 30,
      remainingMs: 3000,
    });
    expect(clock.at({ step: 20, elapsedMs: 2000 })).toMatchObject({ remainingMs: 2000 });
    clock.end(1, 20);
    clock.begin(2, { totalSteps: 10 });
    expect(clock.at({ step: 5, elapsedMs: 1000 })).toMatchObject({
      number: 2,
      step: 25,
      totalSteps: 30,
      remainingMs: 1000,
    });
    // A run that was refused takes nothing.
    const other = new SweepClock(
      planSweep({ ...h, num_train_epochs: 1 }, request('batch_size', [5, 10]), 100, 1),
    );
    other.end(1, null);
    other.begin(2, { totalSteps: 10 });
    expect(other.at({ step: 5, elapsedMs: 10 })).toMatchObject({ step: 5, totalSteps: 10, remainingMs: 10 });
  });
});

const request: SweepRequest = { setting: 'train_fraction', values: [0.5, 1] };
function entry(number: number, loss: number, more: Partial<SweepEntry> = {}): SweepEntry {
  return {
    ...emptyEntry(request, number, 'finished'),
    ...{ trainRows: 84 * number, epochs: 3, step: 40, totalSteps: 40, last: loss + 0.1 },
    best: { step: 30, loss, standardError: 0.2, onAll: true },
    ...more,
  };
}
const rowsOf = (losses: number[], targets = losses.map(() => 1)) => ({
  lines: losses.map((_, i) => i + 1),
  places: losses.map((_, i) => i),
  ...{ losses, targets },
});

describe('the difference of two runs', () => {
  test('has the error of the paired differences of their rows, weighted by tokens', () => {
    const a = entry(1, 2, { rows: rowsOf([1, 3, 2]) });
    const b = entry(2, 1.7, { rows: rowsOf([0.8, 2.6, 1.7]) });
    const gaps = [-0.2, -0.4, -0.3];
    const mean = gaps.reduce((x, y) => x + y) / 3;
    const error = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0)) / 3;
    const found = lossDifference(a, b);
    expect(found?.difference).toBeCloseTo(-0.3, 12);
    expect(found?.standardError).toBeCloseTo(error, 12);
    expect(found?.paired).toBe(true);
    // A row of no difference that counts four times.
    const heavy = lossDifference(
      entry(1, 2, { rows: rowsOf([1, 2], [1, 4]) }),
      entry(2, 1, { rows: rowsOf([2, 2], [1, 4]) }),
    );
    expect(heavy?.standardError).toBeCloseTo(Math.hypot(0.8, 4 * 0.2) / 5, 12);
  });

  test('is that of independent samples where the rows are others, or not known', () => {
    const other = { ...rowsOf([1, 2]), places: [4, 5] };
    expect(lossDifference(entry(1, 2, { rows: rowsOf([1, 2]) }), entry(2, 1, { rows: other }))).toMatchObject(
      {
        standardError: Math.hypot(0.2, 0.2),
        paired: false,
      },
    );
    expect(lossDifference(entry(1, 2), emptyEntry(request, 2))).toBeNull();
  });
});

describe('the sentence', () => {
  const paired = (fall: number, spread: number): SweepEntry[] => [
    entry(1, 2, { rows: rowsOf([1, 2, 3, 4]) }),
    entry(2, 2 - fall, {
      rows: rowsOf([1 - fall - spread, 2 - fall + spread, 3 - fall - spread, 4 - fall + spread]),
    }),
  ];

  test('says whether more rows would help', () => {
    expect(sweepSentence(request, paired(0.31, 0.1))).toBe(
      'From 84 to 168 training rows the lowest validation loss fell by 0.31, clearly more than its standard error of 0.050: more rows would likely help.',
    );
    expect(sweepSentence(request, paired(0.05, 0.2))).toContain(
      'fell by 0.050, not clearly more than its standard error of 0.10',
    );
    expect(sweepSentence(request, paired(-0.31, 0.1))).toContain('rose by 0.31, clearly more');
    expect(sweepSentence(request, [entry(1, 2), emptyEntry(request, 2)])).toContain(
      'cannot be read. Not started: 1.',
    );
  });

  test('reads the rows in order of their number, whatever the order of the values', () => {
    const [a, b] = paired(0.31, 0.1) as [SweepEntry, SweepEntry];
    expect(sweepSentence(request, [b, a])).toContain(
      'From 84 to 168 training rows the lowest validation loss fell',
    );
  });

  const rates: SweepRequest = { setting: 'learning_rate', values: [1e-4, 1e-3, 1e-2, 0.5] };
  const at = (number: number, loss: number, more: Partial<SweepEntry> = {}) =>
    entry(number, loss, {
      value: rates.values[number - 1] as number,
      rows: rowsOf([loss, loss + 0.2]),
      ...more,
    });

  test('names the best value, the next and whether they can be told apart', () => {
    const entries = [at(1, 2), at(2, 1), at(3, 1.5), at(4, 9, { state: 'diverged' })];
    expect(sweepSentence(rates, entries)).toBe(
      'The lowest validation loss, 1.000, is that of Learning rate 1e-3. 0.01 is 0.50 higher, clearly more than its standard error of 0.000. 1 run diverged or failed: 0.5.',
    );
    const near = [at(1, 1), at(2, 1.05, { rows: rowsOf([0.9, 1.4]) })];
    expect(sweepSentence({ ...rates, values: [1e-4, 1e-3] }, near)).toContain('do not tell the two apart');
    expect(sweepSentence({ ...rates, values: [1e-4, 1e-3] }, near)).toContain(
      'smallest value that ended: try smaller ones',
    );
  });

  test('leaves runs that were stopped out of the comparison, and says so', () => {
    const entries = [at(1, 2), at(2, 0.1, { state: 'stopped' }), at(3, 1.5), emptyEntry(rates, 4)];
    const said = sweepSentence(rates, entries);
    expect(said).toContain('is that of Learning rate 0.01');
    expect(said).toContain('Stopped before its end: 1e-3. Not started: 0.5.');
    expect(sweepSentence(rates, entries, false)).not.toContain('Not started');
  });

  test('goes with a table of the same numbers', () => {
    const [head, first, last] = sweepTable(rates, [at(1, 2), emptyEntry(rates, 4)]);
    expect(head?.[0]).toBe('Learning rate');
    expect(first).toEqual(['1e-4', '84', '3', '40', '2.000', '0.20', '30', '2.100', 'finished']);
    expect(last?.at(-1)).toBe('not started');
    expect(last?.length).toBe(head?.length);
  });
});

test('values stand on an axis by size, logarithmic for rates and wide ranges; choices evenly', () => {
  const { places, logarithmic } = axisPlaces({ setting: 'learning_rate', values: [1e-4, 1e-3, 1e-2] });
  expect(logarithmic).toBe(true);
  expect(places[1]).toBeCloseTo(0.5, 12);
  expect(axisPlaces({ setting: 'num_train_epochs', values: [2, 3, 4] })).toEqual({
    places: [0, 0.5, 1],
    logarithmic: false,
  });
  expect(axisPlaces({ setting: 'train_fraction', values: [0.12, 0.25, 0.5, 1] }).logarithmic).toBe(true);
  expect(axisPlaces({ setting: 'method', values: ['lora', 'full'] }).places).toEqual([0, 1]);
});

describe('the runs', { timeout: 120_000 }, () => {
  const session = new EngineSession(() => {});
  const settings: Hyperparameters = {
    ...h,
    ...{ num_train_epochs: 2, batch_size: 4, learning_rate: 0.01, seed: 7, validation_fraction: 0.3 },
  };

  beforeAll(() => openIn(session, settings));

  interface Made {
    config: RunConfig;
    points: MetricPoint[];
    rows: RowMeasurement[];
    summary: RunSummary | null;
  }
  async function sweep(
    own: Hyperparameters,
    asked: SweepRequest,
    onProgress: (p: SweepProgress) => void = () => {},
  ) {
    const made = new Map<number, Made>();
    const order: string[] = [];
    const outcomes = await session.sweep(
      own,
      asked,
      (config) => {
        const number = config.sweep?.number as number;
        order.push(`begin ${number}`);
        made.set(number, { config, points: [], rows: [], summary: null });
      },
      (event, progress) => {
        const one = made.get(progress.number) as Made;
        one.points.push(...event.points);
        one.rows.push(...event.rows);
        onProgress(progress);
      },
      async (outcome: SweepOutcome) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        order.push(`end ${outcome.number}`);
        const one = made.get(outcome.number);
        if (one) one.summary = outcome.summary;
      },
    );
    return { made, outcomes, order };
  }
  const numbers = (points: readonly MetricPoint[]) =>
    points.filter((p) => p.name !== 'tokens_per_second').map(({ elapsedMs, ...point }) => point);

  test('are those that the same settings give alone, one after the other, and each is stored', async () => {
    const seen: number[] = [];
    const asked: SweepRequest = { setting: 'learning_rate', values: [0.001, 0.01] };
    const { made, outcomes, order } = await sweep(settings, asked, (p) => seen.push(p.step / p.totalSteps));
    expect(order).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    expect(outcomes.map(({ summary }) => summary?.state)).toEqual(['finished', 'finished']);
    const stored = (await session.storedRuns()).runs.map((run) => run.runId);
    for (const { config } of made.values()) expect(stored).toContain(config.runId);

    const alone: MetricPoint[] = [];
    const summary = await session.train(
      { ...settings, learning_rate: 0.001 },
      (e) => alone.push(...e.points),
      () => {},
    );
    expect(summary.config.sweep).toBeUndefined();
    expect(numbers(made.get(1)?.points ?? [])).toEqual(numbers(alone));

    const entries = [...made.values()].map((one, i) =>
      sweepEntry(asked, i + 1, { ...one, active: false, step: one.summary?.step ?? 0, error: null }),
    );
    expect(entries.map(({ best }) => best?.loss)).toEqual(
      [...made.values()].map((one) => one.summary?.best?.loss),
    );
    expect(lossDifference(...(entries as [SweepEntry, SweepEntry]))).toMatchObject({ paired: true });
  });

  test('over shares of the rows hold out the same rows, and leave the rows of the page as they were', async () => {
    const asked: SweepRequest = { setting: 'train_fraction', values: [0.25, 1] };
    const before = await session.encodeData(settings);
    const { made } = await sweep(settings, asked);
    const [part, whole] = [made.get(1), made.get(2)] as [Made, Made];
    expect([part.config.trainRows, whole.config.trainRows]).toEqual([2, 8]);
    expect(part.config.totalSteps).toBe(whole.config.totalSteps);
    const held = (one: Made) => one.rows.at(-1)?.validation.lines;
    expect(held(part)).toEqual(held(whole));
    expect((await session.previewRows({ split: 'train', offset: 0, count: 20 })).length).toBe(
      before.trainRows,
    );
  });

  test('go on after one that diverges, and after one that is refused', async () => {
    const asked: SweepRequest = { setting: 'learning_rate', values: [1, 0.01] };
    const wild = { ...settings, method: 'full', max_grad_norm: 0, num_train_epochs: 12 } as Hyperparameters;
    const { made, outcomes } = await sweep(wild, asked);
    const one = made.get(1) as Made;
    const found = sweepEntry(asked, 1, {
      ...one,
      active: false,
      step: one.summary?.step ?? 0,
      error: one.summary?.error?.message ?? null,
    });
    expect(['diverged', 'failed']).toContain(found.state);
    expect(outcomes[1]?.summary?.state).toBe('finished');

    const targets: SweepRequest = { setting: 'target_modules', values: ['mlp', 'attention'] };
    const refused = await sweep({ ...settings, rank_pattern: 'mlp=0' }, targets);
    expect(refused.order).toEqual(['end 1', 'begin 2', 'end 2']);
    expect(refused.outcomes[0]).toMatchObject({ summary: null, error: { code: 'no_adapters' } });
    expect(refused.outcomes[1]?.summary?.state).toBe('finished');
  });

  test('stop with the one that goes on, which is kept; the rest is not started, and the engine is free', async () => {
    hastenClock();
    let stopped = false;
    const asked: SweepRequest = { setting: 'lora_r', values: [2, 4, 8] };
    const { outcomes, made } = await sweep(
      { ...settings, num_train_epochs: 30 },
      asked,
      ({ number, step, totalSteps }) => {
        if (stopped || number !== 2 || step < totalSteps / 3 + 2) return;
        stopped = true;
        void session.stop();
      },
    );
    expect(outcomes.map(({ summary }) => summary?.state)).toEqual(['finished', 'stopped']);
    const id = made.get(2)?.config.runId;
    expect((await session.storedRuns()).runs.find((run) => run.runId === id)?.step).toBe(
      outcomes[1]?.summary?.step,
    );
    await session.encodeData(settings);
    await expect(
      session.findLearningRate({ ...settings, learning_rate: 0 }, () => void session.stop()),
    ).resolves.toBeDefined();
  });

  test('are refused as a whole for bad values, and while another run goes on', async () => {
    await expect(sweep(settings, { setting: 'lora_r', values: [2] })).rejects.toMatchObject({
      code: 'bad_sweep',
    });
    let refused: unknown = null;
    await sweep(settings, { setting: 'lora_r', values: [2, 4] }, () => {
      session
        .train(
          settings,
          () => {},
          () => {},
        )
        .catch((thrown: unknown) => {
          refused = thrown;
        });
    });
    expect(refused).toMatchObject({ code: 'run_active' });
  });
});
