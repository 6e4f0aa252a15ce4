// Test rows, files beside the data file, folds: which rows are on which side, and that no run reads the test.
// Not here: near-duplicates on one side, and what is said of held-out rows (data.test.ts); the command line (dataRoomCli.test.ts).
// Run: npx vitest run --project node test/split.test.ts

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DeviceReport, Example, MetricPoint } from '../src/contract';
import { createRandom } from '../src/data/random';
import { splitExamples } from '../src/data/split';
import { PlaygroundError } from '../src/errors';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { testSentence } from '../src/metrics/claims';
import { type BesideInputs, Dataset } from '../src/session/dataset';
import { measureRows } from '../src/session/measuring';
import type { BaseModel } from '../src/session/model';
import { runFiles } from '../src/session/results';
import { Run } from '../src/session/run';
import { testRowsOf, testUse } from '../src/session/testRows';
import { barePlatform, openBase } from './sessionFixtures';

const WORDS =
  'amber boat cedar drum ember flute garden harbour iron jade kite lamp moss nest oak pearl quill reed stone tide'.split(
    ' ',
  );
/** Sentences with few words in common. */
function distinct(n: number, seed = 5): string[] {
  const random = createRandom(seed);
  return Array.from({ length: n }, () =>
    Array.from({ length: 6 }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' '),
  );
}
const asks = (texts: readonly string[]): Example[] =>
  texts.map((content, i) => ({
    line: i + 1,
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: `reply ${i}` },
    ],
  }));
const lines = (list: readonly Example[]) => list.map((e) => e.line).sort((a, b) => a - b);
const options = { validation_fraction: 0.2, test_fraction: 0.1, seed: 42 };

describe('rows that are marked to be learned from', () => {
  const texts = distinct(40);
  const examples = asks(texts);
  const drawn = splitExamples(examples, options);

  test('are learned from where others have no mark, and so are rows with nearly their prompt', () => {
    const [held, tested] = [drawn.validation[0], drawn.test[0]] as [Example, Example];
    const near = { line: 41, messages: asks([`${texts[held.line - 1]}!`])[0]?.messages ?? [] };
    const marked = [...examples, near].map(
      (e): Example => (e === held || e === tested ? { ...e, split: 'train' } : e),
    );
    const { train, validation, test: kept } = splitExamples(marked, options);
    expect(lines(train)).toEqual(expect.arrayContaining([held.line, tested.line, 41]));
    expect(validation.length).toBeGreaterThan(3);
    expect(kept.length).toBeGreaterThan(2);
    // No other row leaves the test.
    const stay = lines(drawn.test).filter((line) => line !== tested.line);
    expect(lines(kept)).toEqual(expect.arrayContaining(stay));
  });

  test('are drawn from as ever where all are', () => {
    const all = splitExamples(
      examples.map((e): Example => ({ ...e, split: 'train' })),
      options,
    );
    expect(lines(all.validation)).toEqual(lines(drawn.validation));
    expect(lines(all.test)).toEqual(lines(drawn.test));
  });
});

describe('a share of the training rows', () => {
  const examples = asks(distinct(100));
  const part = (train_fraction: number, seed = 42) =>
    splitExamples(examples, { ...options, seed, train_fraction });

  test('is a part of every larger share, drawn by seed and content, and moves no other row', () => {
    const whole = part(1);
    expect(whole.spare).toEqual([]);
    let before = new Set<number>();
    for (const share of [0.01, 0.12, 0.25, 0.5, 1]) {
      const { train, spare, validation, test: kept } = part(share);
      expect(train).toHaveLength(Math.max(1, Math.round(70 * share)));
      expect(lines([...train, ...spare])).toEqual(lines(whole.train));
      expect([lines(validation), lines(kept)]).toEqual([lines(whole.validation), lines(whole.test)]);
      const now = new Set(lines(train));
      for (const line of before) expect(now).toContain(line);
      before = now;
    }
    expect(lines(part(0.5, 43).train)).not.toEqual(lines(part(0.5).train));
    const reversed = splitExamples([...examples].reverse(), { ...options, train_fraction: 0.5 });
    expect(lines(reversed.train)).toEqual(lines(part(0.5).train));
  });

  test('is what the held-out rows are compared with', () => {
    const questions = distinct(10);
    const held = asks(questions).map((e) => ({ ...e, line: e.line + 10, split: 'validation' as const }));
    const pairs = [
      ...asks(questions),
      ...held.map((e) => ({ ...e, messages: [...e.messages, ...e.messages] })),
    ];
    const of = (train_fraction: number) =>
      splitExamples(pairs, { ...options, test_fraction: 0, train_fraction });
    expect(of(1).heldOut.copies + of(1).heldOut.samePrompt + of(1).heldOut.nearPrompt).toBe(10);
    const { heldOut } = of(0.3);
    expect(heldOut.copies + heldOut.samePrompt + heldOut.nearPrompt).toBe(3);
  });
});

describe('the test rows', () => {
  test('are drawn beside the other two sides, and no other setting moves them', () => {
    const examples = asks(distinct(100));
    const { train, validation, test: kept } = splitExamples(examples, options);
    expect([train.length, validation.length, kept.length]).toEqual([70, 20, 10]);
    expect(new Set(lines([...train, ...validation, ...kept])).size).toBe(100);
    for (const validation_fraction of [0.05, 0.3, 0.5]) {
      expect(lines(splitExamples(examples, { ...options, validation_fraction }).test)).toEqual(lines(kept));
    }
    for (const number of [1, 2, 3]) {
      const fold = splitExamples(examples, options, undefined, { number, of: 3 });
      expect(lines(fold.test)).toEqual(lines(kept));
    }
    expect(lines(splitExamples(examples, { ...options, seed: 43 }).test)).not.toEqual(lines(kept));
    expect(lines(splitExamples([...examples].reverse(), options).test)).toEqual(lines(kept));
  });

  test('of 0 leave the other two sides as they were', () => {
    const examples = asks(distinct(60));
    const none = splitExamples(examples, { ...options, test_fraction: 0 });
    expect(none.test).toEqual([]);
    expect(lines(none.validation)).toEqual(
      lines(splitExamples(examples, { validation_fraction: 0.2, seed: 42 }).validation),
    );
  });

  test('have no near-duplicate on another side, and every row is on one side, whatever the file', () => {
    const word = fc.constantFrom('red', 'blue', 'boat', 'lamp', 'seven', 'tide');
    const rows = fc.array(fc.array(word, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        rows,
        fc.nat({ max: 9 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (texts, seed, share) => {
          const examples = asks(texts.map((words) => words.join(' ')));
          const settings = { validation_fraction: 0.2, test_fraction: share, seed };
          const split = splitExamples(examples, settings);
          const all = [...split.train, ...split.validation, ...split.test];
          expect(lines(all)).toEqual(lines(examples));
          expect(split.train.length).toBeGreaterThan(0);
          if (examples.length > 1) expect(split.validation.length).toBeGreaterThan(0);
          // Counted anew: prompts are the only thing that differs between these rows' questions.
          const asked = (e: Example) => e.messages[0]?.content;
          const others = new Set([...split.train, ...split.validation].map(asked));
          const same = split.test.filter((e) => others.has(asked(e))).length;
          expect(split.testAlike.copies + split.testAlike.samePrompt).toBe(same);
        },
      ),
    );
  });

  test('that the file marks are taken as they are, and validation is drawn from the rest', () => {
    const examples = asks(distinct(40)).map((e, i): Example => (i < 5 ? { ...e, split: 'test' } : e));
    const split = splitExamples(examples, { ...options, test_fraction: 0.3 });
    expect(lines(split.test)).toEqual([1, 2, 3, 4, 5]);
    expect(split.validation).toHaveLength(7);
    expect(split.heldOut.kept).toBe('near_prompts');
  });
});

describe('folds', () => {
  test.each([
    [12, 3],
    [30, 5],
    [7, 7],
  ])('%i rows in %i: every row is held out once', (rows, of) => {
    const examples = asks(distinct(rows));
    const folds = Array.from({ length: of }, (_, i) =>
      splitExamples(examples, { ...options, test_fraction: 0 }, undefined, { number: i + 1, of }),
    );
    expect(lines(folds.flatMap((fold) => fold.validation))).toEqual(lines(examples));
    const sizes = folds.map((fold) => fold.validation.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    for (const { train, validation } of folds) expect(train.length + validation.length).toBe(rows);
  });

  test('keep near-duplicates on one side', () => {
    const texts = distinct(20);
    const examples = asks([...texts, ...texts.map((t) => `${t.toUpperCase()}!`)]);
    for (const number of [1, 2, 3, 4]) {
      const { train, validation } = splitExamples(examples, options, undefined, { number, of: 4 });
      const held = new Set(lines(validation));
      for (let i = 1; i <= 20; i++) {
        if (train.some((e) => e.line === i)) expect(held.has(i + 20)).toBe(false);
      }
    }
  });
});

const row = (user: string, assistant: string) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  });
const fileOf = (texts: readonly string[], answer = 'It is blue.') =>
  texts.map((text) => row(text, answer)).join('\n');

describe('a data set', { timeout: 120_000 }, () => {
  let base: BaseModel;
  let device: DeviceReport;
  const settings: Hyperparameters = {
    ...defaultHyperparameters(),
    num_train_epochs: 3,
    batch_size: 4,
    learning_rate: 0.01,
    seed: 7,
  };

  beforeAll(async () => {
    ({ device, base } = await openBase());
  });

  const read = async (text: string, beside: BesideInputs = {}, h = settings) => {
    const dataset = await Dataset.read('rows.jsonl', text, {}, beside);
    dataset.encode(base.chat, base.model.architecture, h);
    return dataset;
  };
  const prepare = (dataset: Dataset, h: Hyperparameters) =>
    Run.prepare(base, dataset, h, { device, tiles: null }, barePlatform);
  const go = (run: Run) =>
    run.go(
      () => {},
      () => {},
    );
  const numbers = (points: readonly MetricPoint[]) =>
    points
      .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
      .map(({ elapsedMs, ...point }) => point);

  test('never reads a test row during a run, and its record says which rows these are', async () => {
    const h = { ...settings, test_fraction: 0.2 };
    const dataset = await read(fileOf(distinct(20)), {}, h);
    const { test: reported, trainRows, validationRows } = dataset.report;
    expect([trainRows, validationRows, reported?.rows]).toEqual([12, 4, 4]);
    const poisoned = dataset.rows('test');
    let reads = 0;
    const values = poisoned.map(({ encoded }) => ({ ...encoded }));
    for (const { encoded } of poisoned) {
      for (const key of ['ids', 'mask'] as const) {
        const value = encoded[key];
        Object.defineProperty(encoded, key, {
          get: () => {
            reads++;
            return value;
          },
        });
      }
    }
    const run = prepare(dataset, h);
    const summary = await go(run);
    expect(summary).toMatchObject({ state: 'finished', config: { test: { rows: 4, from: 'settings' } } });
    const record = await runFiles(base, run.learned(run.kept), summary, run);
    expect(reads).toBe(0);
    const json = JSON.parse(record.find((f) => f.path === 'run.json')?.bytes as string);
    expect(json.config.test).toEqual(reported);
    expect(json.config.test.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(json.testUses).toBeUndefined();

    // Read once, when asked for, and that is noted.
    const { learner } = run.learned('last');
    const hooks = { onProgress: () => {}, cancelled: () => false };
    const rows = testRowsOf(dataset, run.config);
    expect(rows.map((r) => r.line)).toEqual(values.map((v) => v.line));
    const use = async (weights: 'base' | 'last') =>
      testUse(
        base,
        rows,
        { weights },
        await measureRows(base, weights === 'base' ? null : learner, rows, 8, barePlatform, hooks),
      );
    const uses = { base: await use('base'), tuned: await use('last') };
    expect(reads).toBeGreaterThan(0);
    run.note({ testUses: [uses.base, uses.tuned] });
    expect(run.summary?.testUses).toMatchObject([
      { weights: 'base', rows: 4 },
      { weights: 'last', rows: 4 },
    ]);
    expect(uses.tuned.loss).toBeLessThan(uses.base.loss);
    expect(uses.base.at).toMatch(/^\d{4}-\d\d-\d\dT/);
    run.trainer.dispose();
  });

  test('gives the same run whatever its test file says, and refuses to measure another test', async () => {
    const texts = distinct(24);
    const runs: MetricPoint[][] = [];
    const configs = [];
    for (const answer of ['It is blue.', 'Never.']) {
      const dataset = await read(fileOf(texts.slice(0, 18)), {
        test: { name: 'test.jsonl', content: fileOf(texts.slice(18), answer) },
      });
      expect(dataset.report).toMatchObject({
        usableRows: 18,
        test: { rows: 6, from: 'file' },
        beside: [{ use: 'test', name: 'test.jsonl', rows: 6, usableRows: 6, badRows: 0 }],
      });
      const run = prepare(dataset, settings);
      await go(run);
      runs.push([...run.points]);
      configs.push(run.config);
      if (configs.length === 2) {
        const first = configs[0] as typeof run.config;
        expect(() => testRowsOf(dataset, first)).toThrow(
          expect.objectContaining({ code: 'other_test_rows' }),
        );
        expect(() => testRowsOf(dataset, { ...first, test: undefined } as never)).toThrow(
          expect.objectContaining({ code: 'no_test_rows' }),
        );
      }
      run.trainer.dispose();
    }
    expect(runs[0]?.length).toBeGreaterThan(10);
    expect(numbers(runs[1] as MetricPoint[])).toEqual(numbers(runs[0] as MetricPoint[]));
    expect(configs[0]?.test?.hash).not.toBe(configs[1]?.test?.hash);
  });

  test('takes its validation rows from a file of their own, all of them and no others', async () => {
    const texts = distinct(16);
    const dataset = await read(fileOf(texts.slice(0, 12)), {
      validation: { name: 'held.jsonl', content: new TextEncoder().encode(fileOf(texts.slice(11))) },
    });
    expect(dataset.report).toMatchObject({
      rows: 12,
      usableRows: 12,
      encodedRows: 12,
      trainRows: 12,
      validationRows: 5,
      validationFrom: 'file',
      // The last training row is the first of the file.
      heldOut: { kept: 'nothing', copies: 1 },
    });
    expect(dataset.rows('validation').every(({ encoded }) => encoded.file === 'validation')).toBe(true);
    const [first] = dataset.preview(base.chat, { offset: 0, count: 1, split: 'validation' });
    expect(first).toMatchObject({ line: 1, file: 'validation', split: 'validation' });
    const run = prepare(dataset, settings);
    expect(run.config).toMatchObject({
      beside: [{ use: 'validation', name: 'held.jsonl' }],
      validationRows: 5,
    });
    run.trainer.dispose();
  });

  test('names the file that a problem lies in, and asks before it leaves rows of it out', async () => {
    const texts = distinct(14);
    const broken = `${fileOf(texts.slice(12))}\n{"messages": [}\n`;
    const dataset = await read(fileOf(texts.slice(0, 12)), {
      validation: { name: 'held.jsonl', content: broken },
    });
    const { issues, needsConsent, badRows, beside } = dataset.report;
    expect(issues.filter((i) => i.severity === 'error')).toMatchObject([
      { file: 'held.jsonl', line: 3, code: 'invalid_json' },
    ]);
    // That a file of two rows is too small to learn from is no matter here.
    expect(issues.map((i) => i.code)).not.toContain('too_few_rows');
    expect([needsConsent, badRows, beside[0]?.badRows]).toEqual([true, 0, 1]);
    expect(() => dataset.assertTrainable()).toThrow(
      expect.objectContaining({ code: 'rows_with_errors', where: 'held.jsonl' }),
    );
    dataset.leaveOutBadRows();
    expect(() => dataset.assertTrainable()).not.toThrow();
    const empty = await read(fileOf(texts), { test: { name: 'test.jsonl', content: ' \n' } });
    const thrown = (() => {
      try {
        empty.leaveOutBadRows();
        empty.assertTrainable();
      } catch (error) {
        return error;
      }
      return null;
    })();
    expect(thrown).toBeInstanceOf(PlaygroundError);
    expect((thrown as PlaygroundError).where).toBe('test.jsonl');
  });

  test('takes the three sides that its file names', async () => {
    const parsed = distinct(20).map((text) => JSON.parse(row(text, 'It is blue.')) as object);
    const sides = { train: parsed.slice(0, 12), validation: parsed.slice(12, 15), test: parsed.slice(15) };
    const { report } = await read(JSON.stringify(sides));
    expect(report).toMatchObject({
      trainRows: 12,
      validationRows: 3,
      validationFrom: 'data',
      test: { rows: 5, from: 'data' },
      leftOutRows: 0,
      usableRows: 20,
    });
  });

  test('says where a test share has no effect', async () => {
    const h = { ...settings, test_fraction: 0.2 };
    const tiny = await read(fileOf(distinct(2)), {}, h);
    expect(tiny.report.test).toBeNull();
    expect(tiny.report.issues.map((i) => i.code)).toContain('no_test_rows');
    const file = await read(
      fileOf(distinct(20)),
      { test: { name: 't.jsonl', content: fileOf(distinct(3, 9)) } },
      h,
    );
    expect(file.report.test).toMatchObject({ rows: 3, from: 'file' });
    expect(file.report.issues.map((i) => i.code)).toContain('test_share_unused');
  });
});

test('what is said of the test rows follows from their counts', () => {
  const none = { copies: 0, samePrompt: 0, nearPrompt: 0 };
  expect(testSentence({ rows: 12, from: 'settings', hash: '', alike: none })).toBe(
    '12 test rows (drawn by the test share) are kept aside: no run reads them.',
  );
  expect(testSentence({ rows: 1, from: 'file', hash: '', alike: { ...none, copies: 1 } })).toBe(
    '1 test row (in a file of their own) is kept aside: no run reads it. 1 of them is equal or nearly equal to other rows, so the test looks better than it would on new ones.',
  );
});
