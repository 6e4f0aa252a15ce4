// General rows that a run mixes in against forgetting (replay): the shipped file, which rows an epoch meets, and where these rows may not be.
// Not here: a resumed run with them (resumeSuite.ts).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DeviceReport, EncodedExample } from '../src/contract';
import { readDataFile } from '../src/data/dataFile';
import { prepareReplay, replayOfEpoch } from '../src/data/generalRows';
import { EpochRows } from '../src/engine/training/epochRows';
import { lossError } from '../src/engine/training/evaluate';
import { planTraining } from '../src/engine/training/plan';
import { replayRows, stepsPerEpoch } from '../src/epochSteps';
import { PlaygroundError } from '../src/errors';
import { checkHyperparameters } from '../src/hyperparameterChecks';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { Dataset } from '../src/session/dataset';
import { finishRows } from '../src/session/measuring';
import type { BaseModel } from '../src/session/model';
import { runFiles } from '../src/session/results';
import { Run } from '../src/session/run';
import { barePlatform, openBase } from './sessionFixtures';

const linesOf = (file: string) =>
  readFileSync(path.resolve(file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
interface Line {
  text?: string;
  prompt?: string;
  messages?: { role: string; content: string }[];
}
const shipped: Line[] = linesOf('public/general/replay.jsonl');
const plain = (text: string) => (text.toLowerCase().match(/\w+/g) ?? []).join(' ');

describe('the shipped general rows', () => {
  test('are 200 or more, conversations and short texts, all different', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(200);
    expect(shipped.filter(({ text }) => text !== undefined).length).toBeGreaterThanOrEqual(50);
    expect(new Set(shipped.map((row) => JSON.stringify(row))).size).toBe(shipped.length);
  });

  test('hold no prompt and no passage of the probe, and no prompt of the evaluation', () => {
    const kept = new Set(
      ['general_probe', 'instructions'].flatMap((name) =>
        (linesOf(`models/eval/${name}.jsonl`) as Line[]).map(({ prompt, text }) =>
          plain(prompt ?? text ?? ''),
        ),
      ),
    );
    expect(kept.size).toBeGreaterThan(150);
    const said = shipped.flatMap(({ text, messages = [] }) => [
      ...(text === undefined ? [] : [text]),
      ...messages.map(({ content }) => content),
    ]);
    const asked = shipped.flatMap(({ text, messages = [] }) =>
      text === undefined ? messages.filter((m) => m.role === 'user').map((m) => m.content) : [text],
    );
    expect(asked.filter((content) => kept.has(plain(content)))).toEqual([]);
    expect(said.filter((content) => kept.has(plain(content)))).toEqual([]);
  });

  test('are read without an error', async () => {
    const file = await readDataFile('replay.jsonl', readFileSync('public/general/replay.jsonl', 'utf8'));
    expect(file.issues.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(file.examples).toHaveLength(shipped.length);
  });

  test('are described by their card', () => {
    const card = readFileSync('public/general/replay.md', 'utf8');
    expect(card).toContain(`${shipped.length} rows`);
    expect(card).toContain(`${shipped.filter(({ text }) => text !== undefined).length} short texts`);
  });
});

describe('the rows of an epoch', () => {
  const rowsOf = (count: number, file?: 'replay'): EncodedExample[] =>
    Array.from({ length: count }, (_, i) => ({
      line: i + 1,
      ids: Int32Array.of(1, 2, 3 + (i % 5)),
      mask: Uint8Array.of(0, 1, 1),
      fullLength: 3,
      ...(file && { file }),
    }));
  const settings = (more: Partial<Hyperparameters>) => ({ ...defaultHyperparameters(), ...more });

  test.each([
    [168, 0.2, 42],
    [100, 0.5, 100],
    [12, 0.1, 1],
    [30, 0, 0],
  ])('%i rows and a share of %d: %i general ones', (train, replay_fraction, general) => {
    const h = settings({ replay_fraction, batch_size: 8 });
    expect(replayRows(train, h)).toBe(general);
    expect(stepsPerEpoch(train, h)).toBe(Math.ceil((train + general) / 8));
  });

  test('may not be more than half general', () => {
    expect(checkHyperparameters(settings({ replay_fraction: 0.6 }))).toEqual([
      expect.objectContaining({ name: 'replay_fraction', severity: 'error' }),
    ]);
  });

  test('are every row of one’s own once, and the share of general ones exactly, in every epoch', () => {
    const data = { train: rowsOf(40), validation: rowsOf(4), replay: rowsOf(25, 'replay') };
    const h = settings({ replay_fraction: 0.2, batch_size: 6, seed: 5 });
    const rows = new EpochRows(data, h);
    const { stepsPerEpoch: steps } = planTraining(data, h);
    for (let epoch = 0; epoch < 3; epoch++) {
      const seen = Array.from({ length: steps }, (_, step) => rows.ofStep(epoch, step).flat()).flat();
      const own = seen.filter(({ file }) => file === undefined).map(({ line }) => line);
      expect(own.sort((a, b) => a - b)).toEqual(data.train.map(({ line }) => line));
      expect(seen.length - own.length).toBe(10);
    }
    const first = (seed: number) => new EpochRows(data, { ...h, seed }).ofStep(1, 0);
    expect(first(5)).toEqual(rows.ofStep(1, 0));
    expect(first(6)).not.toEqual(rows.ofStep(1, 0));
  });

  test('mix general ones into the steps: not all in one place', () => {
    const data = { train: rowsOf(200), validation: rowsOf(4), replay: rowsOf(100, 'replay') };
    const rows = new EpochRows(data, settings({ replay_fraction: 0.25, batch_size: 8 }));
    const counts = Array.from(
      { length: 33 },
      (_, step) =>
        rows
          .ofStep(0, step)
          .flat()
          .filter(({ file }) => file === 'replay').length,
    );
    // Binomial with n = 8 and p = 1/4: a mean of 2, and 6 or more once in 240 steps.
    expect(Math.max(...counts)).toBeLessThanOrEqual(7);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(24);
  });

  test('draw each general row once before any comes again', () => {
    const drawn = [0, 1, 2, 3, 4].flatMap((epoch) => replayOfEpoch(7, 4, 1, epoch));
    for (const round of [drawn.slice(0, 7), drawn.slice(7, 14)])
      expect([...round].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    // More than there are in one epoch: as evenly as can be.
    const counts = new Map<number, number>();
    for (const i of replayOfEpoch(3, 8, 1, 2)) counts.set(i, (counts.get(i) ?? 0) + 1);
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(2);
  });

  test('are refused where general ones are asked for and there are none', () => {
    const data = { train: rowsOf(8), validation: rowsOf(2) };
    expect(() => new EpochRows(data, settings({ replay_fraction: 0.2 }))).toThrow(PlaygroundError);
    expect(new EpochRows(data, settings({})).all).toHaveLength(8);
  });

  test('are counted in the plan: work, steps; and none is measured', () => {
    const data = { train: rowsOf(60), validation: rowsOf(10), replay: rowsOf(50, 'replay') };
    const plan = planTraining(data, settings({ replay_fraction: 0.5 }));
    expect(plan.totalSteps).toBe(3 * Math.ceil(120 / 8));
    for (const { train, validation } of [plan.sample, plan.all])
      expect([...train, ...validation].filter(({ file }) => file !== undefined)).toEqual([]);
  });

  test('are named in an error by line only where they are one’s own', () => {
    const rows = [...rowsOf(2), ...rowsOf(3, 'replay')];
    const said = (some: EncodedExample[]) =>
      lossError({ loss: Number.NaN, rows: some }, { when: 'at step 1', fix: '' }).message;
    expect(said(rows)).toContain('on the rows from lines 1, 2 and 3 general rows.');
    expect(said(rows.slice(2, 3))).toContain('on 1 general row.');
  });
});

describe('a data set with general rows', { timeout: 120_000 }, () => {
  let base: BaseModel;
  let device: DeviceReport;
  const settings: Hyperparameters = {
    ...defaultHyperparameters(),
    num_train_epochs: 1,
    batch_size: 4,
    max_length: 128,
    seed: 7,
  };
  const withReplay = { ...settings, replay_fraction: 0.5 };
  const rows = Array.from({ length: 24 }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `What does the ${'abcdefghijklmnopqrstuvwx'[i]}${i} bird sing at ${i}?` },
        { role: 'assistant', content: `It sings ${i * 7}.` },
      ],
    }),
  ).join('\n');
  const read = async (h: Hyperparameters, text = rows) => {
    const dataset = await Dataset.read('rows.jsonl', text);
    await dataset.provideReplay(h, barePlatform);
    dataset.encode(base.chat, base.model.architecture, h);
    return dataset;
  };

  beforeAll(async () => {
    ({ device, base } = await openBase());
  });

  test('reports, splits, counts, lists and searches its own rows as without them', async () => {
    const [plainly, mixed] = [await read(settings), await read(withReplay)];
    const { replay, ...report } = mixed.report;
    expect(report).toEqual(plainly.report);
    expect(replay).toMatchObject({ fraction: 0.5, rows: report.trainRows });
    expect(replay?.pool).toBeGreaterThan(0.7 * shipped.length);
    for (const side of ['all', 'train', 'validation', 'test'] as const)
      expect(mixed.rows(side)).toEqual(plainly.rows(side));
    const said = async (dataset: Dataset) =>
      finishRows(dataset.describe(), barePlatform, { onProgress: () => {}, cancelled: () => false });
    expect(await said(mixed)).toEqual(await said(plainly));
    const query = {
      search: '',
      use: null,
      code: null,
      sort: 'place' as const,
      descending: false,
    };
    expect((await mixed.table()).find(query)).toEqual((await plainly.table()).find(query));
    expect((await mixed.table()).find({ ...query, search: 'Wendy' }).ids).toHaveLength(0);
  });

  test('gives them to training, to folds and to the estimate of memory', async () => {
    const [plainly, mixed] = [await read(settings), await read(withReplay)];
    expect(mixed.trainingData().replay?.every(({ file }) => file === 'replay')).toBe(true);
    expect(plainly.trainingData().replay).toBeUndefined();
    expect(mixed.longestBatch(4).tokens).toBeGreaterThan(plainly.longestBatch(4).tokens);
    const fold = mixed.ofFold({ number: 1, of: 3 });
    fold.encode(base.chat, base.model.architecture, withReplay);
    const { train, validation, replay } = fold.trainingData();
    expect(replay?.length).toBe(mixed.trainingData().replay?.length);
    expect([...train, ...validation].filter(({ file }) => file !== undefined)).toEqual([]);
  });

  test('gives a run that counts their steps and tokens, and says so in its record and its card', async () => {
    const runOf = async (h: Hyperparameters) => {
      const dataset = await read(h);
      const run = Run.prepare(base, dataset, h, { device, tiles: null }, barePlatform);
      const summary = await run.go(
        () => {},
        () => {},
      );
      expect(summary.error).toBeUndefined();
      return { run, summary, tokens: Math.max(...run.points.map((point) => point.tokens)) };
    };
    const [plainly, mixed] = [await runOf(settings), await runOf(withReplay)];
    const { config } = mixed.summary;
    expect(config.trainRows).toBe(plainly.summary.config.trainRows);
    expect(config.totalSteps).toBe(2 * plainly.summary.config.totalSteps);
    expect(mixed.tokens).toBeGreaterThan(1.5 * plainly.tokens);
    const files = await runFiles(base, mixed.run.learned('last'), mixed.summary, mixed.run);
    const textOf = (name: string) => String(files.find((file) => file.path === name)?.bytes);
    const record = JSON.parse(textOf('run.json')).config;
    expect(record.replay).toEqual(config.replay);
    expect(record.replay.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(record.hyperparameters.replay_fraction).toBe(0.5);
    expect(textOf('README.md')).toContain('50 % of each epoch’s rows are general ones');
    for (const { train, validation } of mixed.run.rows)
      expect([...train.places, ...validation.places]).not.toContain(-1);
    for (const { run } of [plainly, mixed]) run.trainer.dispose();
  });

  test('takes only the short texts for a model without a chat template, and says so', async () => {
    const file = await readDataFile('replay.jsonl', await barePlatform.shippedText('general/replay.jsonl'));
    const train = [...(await read(settings)).trainingData().train];
    const h = { ...withReplay, contextLength: 256 };
    const { rows: taken, report } = prepareReplay(file, { ...base.chat, source: 'chatml' }, train, h);
    const texts = shipped.filter(({ text }) => text !== undefined).length;
    expect(new Set(taken.map(({ line }) => line)).size).toBe(texts);
    expect(report.notices).toEqual([
      `This model has no chat template, so of the ${shipped.length} general rows only the ${texts} short texts are mixed in.`,
    ]);
  });

  test('says how many general rows do not fit the longest row that is set', async () => {
    const short = await read({ ...withReplay, max_length: 24 });
    expect(short.report.replay?.notices.join(' ')).toMatch(
      /^\d+ general rows cannot be mixed in: cut to 24 tokens nothing to learn is left/,
    );
  });

  test('with a missing file of general rows: an error in a sentence, and only where they are asked for', async () => {
    const broken = { shippedText: async () => '' };
    const dataset = await Dataset.read('rows.jsonl', rows);
    await dataset.provideReplay(settings, broken);
    await expect(dataset.provideReplay(withReplay, broken)).rejects.toMatchObject({
      code: 'shipped_file_broken',
    });
    await dataset.provideReplay(withReplay, barePlatform);
    expect(dataset.encode(base.chat, base.model.architecture, withReplay).replay?.pool).toBeGreaterThan(0);
  });
});
