// Records that the page keeps over a reload: what comes back is what went in, and what is old or broken is refused with a reason.
// Not here: writing and bringing back (e2e/kept.spec.ts).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MetricPoint, RunConfig } from '../src/contract';
import { defaultHyperparameters, HYPERPARAMETER_NAMES } from '../src/hyperparameters';
import { readKeptData, readKeptModel, readKeptRun, readKeptSettings } from '../src/ui/state/keptReading';
import {
  KEPT_VERSION,
  type KeptRun,
  MAX_POINTS,
  MAX_RUNS,
  packPoints,
  unpackPoints,
  withinBounds,
} from '../src/ui/state/keptRecords';

const version = KEPT_VERSION;
const points: MetricPoint[] = [0, 1, 2].map((step) => ({
  name: step === 0 ? 'full_valid_loss' : 'train_loss',
  step,
  epoch: step / 2,
  tokens: step * 100,
  elapsedMs: step * 7.5,
  value: step === 2 ? Number.NaN : 1 / (step + 1),
}));

const config: RunConfig = {
  runId: 'a',
  hyperparameters: defaultHyperparameters(),
  checkpointing: { on: false, because: null },
  modelId: 'pebble-1m',
  datasetName: 'rows.jsonl',
  datasetHash: 'abc',
  trainRows: 10,
  validationRows: 2,
  heldOut: { kept: 'near_prompts', copies: 0, samePrompt: 0, nearPrompt: 0 },
  evaluation: {
    evaluations: 3,
    validationRows: 2,
    validationTokens: 20,
    allValidationTokens: 20,
    trainRows: 10,
    allTrainRows: 10,
    share: 0.1,
  },
  stepsPerEpoch: 2,
  totalSteps: 6,
  trainableParameters: 100,
  backend: 'wasm',
  appVersion: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
};
const run: KeptRun = {
  version,
  number: 1,
  modelName: 'Pebble-1M',
  config,
  summary: { config, state: 'finished', step: 6, best: { step: 2, loss: 0.5, rows: 2 } },
  error: null,
  progress: null,
  points: packPoints(points),
};

describe('a record read back', () => {
  test('is the one that was written, after the copy that a database makes of it', () => {
    const data = {
      version,
      kind: 'file',
      name: 'a',
      bytes: new Uint8Array([1, 2]).buffer,
      encoding: 'windows-1252',
      consent: true,
    } as const;
    const model = { version, kind: 'hub', id: 'a/b', commit: 'c' } as const;
    const settings = { version, settings: defaultHyperparameters(), sizedFor: 5, beforeSample: null };
    expect(readKeptData(structuredClone(data))).toEqual({ record: data });
    expect(readKeptModel(structuredClone(model))).toEqual({ record: model });
    expect(readKeptSettings(structuredClone(settings))).toEqual({ record: settings });
    expect(readKeptRun(structuredClone(run))).toEqual({ record: run });
    expect(unpackPoints(run.points)).toEqual(points);
  });

  test('packs any points and unpacks them unchanged', () => {
    const number = fc.double();
    const any = fc.record({
      name: fc.constantFrom('train_loss', 'grad_norm', 'learning_rate'),
      step: fc.nat(),
      epoch: number,
      tokens: fc.nat(),
      elapsedMs: number,
      value: number,
    });
    fc.assert(
      fc.property(fc.array(any), (list) => {
        const all = list as MetricPoint[];
        expect(unpackPoints(structuredClone(packPoints(all)))).toEqual(all);
      }),
    );
  });

  test('of another version is refused by that reason', () => {
    for (const read of [readKeptData, readKeptModel, readKeptSettings, readKeptRun]) {
      expect(read({ ...run, version: version + 1 }).problem).toBe('written by another version of this page');
    }
  });

  test('that is broken anywhere is refused, and the place is named', () => {
    const broken: [unknown, RegExp][] = [
      [null, /^damaged/],
      ['text', /^damaged/],
      [{ ...run, number: 'one' }, /^damaged \(number\)/],
      [{ ...run, config: { ...config, totalSteps: undefined } }, /^damaged \(config\.totalSteps\)/],
      [{ ...run, points: { ...run.points, value: [1, 2, 3] } }, /^damaged \(points\.value\)/],
      [{ ...run, points: { ...run.points, step: new Float64Array(2) } }, /^damaged \(points\)/],
      [{ ...run, points: { ...run.points, name: new Uint8Array([0, 1, 9]) } }, /^damaged \(points\)/],
      [{ ...run, config: { ...config, hyperparameters: { method: 'magic' } } }, /^damaged \(method\)/],
    ];
    for (const [value, problem] of broken) {
      const found = readKeptRun(value);
      expect(found.record).toBeNull();
      expect(found.problem).toMatch(problem);
    }
  });

  test('lacking any key of the contract is refused: the page draws by them', () => {
    const optional = ['modelCommit', 'tiles', 'beside', 'test', 'replay', 'fold'];
    for (const key of Object.keys(config).filter((k) => !optional.includes(k))) {
      const { [key as keyof RunConfig]: _, ...rest } = config;
      expect(readKeptRun({ ...run, config: rest }).record, key).toBeNull();
    }
  });
});

describe('kept settings', () => {
  test('that the table does not allow go back to their defaults by name; unknown ones are dropped', () => {
    const settings = { ...defaultHyperparameters(), lora_r: 4, batch_size: -1, seed: 'x', of_tomorrow: 1 };
    const { record, problem } = readKeptSettings({ version, settings, sizedFor: null, beforeSample: null });
    expect(problem).toBe('batch_size, seed went back to the default');
    expect(record?.settings).toEqual({ ...defaultHyperparameters(), lora_r: 4 });
    expect(Object.keys(record?.settings ?? {}).sort()).toEqual([...HYPERPARAMETER_NAMES].sort());
  });
});

describe('the bounds', () => {
  const many = (counts: number[]) =>
    counts.map(
      (count, i): KeptRun => ({
        ...run,
        config: { ...config, runId: `${i}`, startedAt: new Date(1e12 + i * 1000).toISOString() },
        points: { ...run.points, name: new Uint8Array(count) },
      }),
    );
  const ids = (runs: KeptRun[]) => runs.map((r) => r.config.runId);

  test('keep the newest runs', () => {
    const kept = withinBounds(many(Array.from({ length: MAX_RUNS + 3 }, () => 10)));
    expect(ids(kept)).toEqual(Array.from({ length: MAX_RUNS }, (_, i) => `${MAX_RUNS + 2 - i}`));
  });

  test('let go of the oldest points first, and never of the newest run', () => {
    expect(ids(withinBounds(many([10, MAX_POINTS - 100, 50, 50])))).toEqual(['3', '2', '1']);
    expect(ids(withinBounds(many([10, MAX_POINTS + 1])))).toEqual(['1']);
  });
});
