// What a run forgets: the shipped probe, when it is measured and on what, the rule, the remedy, and the answers beside it.
// Not here: the general rows that are mixed in (replay.test.ts).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DeviceReport, MetricName, MetricPoint, RunConfig } from '../src/contract';
import { readDataFile } from '../src/data/dataFile';
import { prepareProbe } from '../src/data/generalRows';
import { readCheckpoint } from '../src/engine/training/checkpoint';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { generalRange } from '../src/metrics/axis';
import { toCsv } from '../src/metrics/curves';
import { diagnose } from '../src/metrics/diagnosis';
import { forgetting } from '../src/metrics/forgetting';
import { nextSteps } from '../src/metrics/nextSteps';
import { Dataset } from '../src/session/dataset';
import { GENERAL_PROMPTS, generalAnswers } from '../src/session/generalAnswers';
import { shippedFileUnreachable } from '../src/session/generalRows';
import type { BaseModel } from '../src/session/model';
import { Run } from '../src/session/run';
import { barePlatform, openBase } from './sessionFixtures';

const probeText = readFileSync(path.resolve('public/general/probe.jsonl'), 'utf8');
const probe = probeText
  .trimEnd()
  .split('\n')
  .map((line): { text?: string; messages?: { role: string; content: string }[] } => JSON.parse(line));

describe('the shipped probe', () => {
  test('is what its source gives, byte for byte', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'general-'));
    execFileSync(process.execPath, [path.resolve('models/datasets/general.mjs'), folder]);
    expect(readFileSync(path.join(folder, 'probe.jsonl'), 'utf8')).toBe(probeText);
    rmSync(folder, { recursive: true });
  });

  test('has as many rows as its card says, passages and questions in turn', () => {
    const card = readFileSync(path.resolve('public/general/probe.md'), 'utf8');
    const texts = probe.filter(({ text }) => text !== undefined).length;
    expect(card).toContain(`${probe.length} rows: ${texts} short passages`);
    expect(probe.slice(0, 8).filter(({ text }) => text !== undefined)).toHaveLength(4);
  });

  test('holds the three questions that are answered before and after', () => {
    const asked = probe.map(({ messages }) => messages?.[0]?.content);
    for (const prompt of GENERAL_PROMPTS) expect(asked).toContain(prompt);
  });
});

const point = (name: MetricName, step: number, value: number): MetricPoint => ({
  ...{ name, step, value },
  ...{ epoch: step / 10, tokens: 0, elapsedMs: 0 },
});
/** The sample at each tenth step, with one error of the rise for all. */
const line = (values: readonly number[], error = 0.01) =>
  values.flatMap((value, i) => [
    point('general_loss', 10 * i, value),
    point('general_rise_standard_error', 10 * i, error),
  ]);
const ends = (before: number, after: number, step: number, error: number) => [
  point('full_general_loss', 0, before),
  point('full_general_loss', step, after),
  point('full_general_rise_standard_error', step, error),
];

describe('the rule', () => {
  test('nothing measured, or no rise: nothing is said', () => {
    expect(forgetting([])).toBeNull();
    expect(forgetting(line([3]))).toBeNull();
    expect(forgetting(line([3, 3.02, 2.9, 3.01]))).toBeNull();
  });

  test('during a run: a rise of more than a twentieth in two evaluations, since the first of them', () => {
    expect(forgetting(line([3, 3.05, 3.2]))).toBeNull();
    expect(forgetting(line([3, 3.05, 3.2, 3.4]))).toMatchObject({
      ...{ before: 3, after: 3.4, since: 20, onAll: false },
    });
    expect(forgetting(line([3, 3.5, 3.05, 3.0]))).toBeNull();
  });

  test('a rise within two standard errors of it is chance', () => {
    expect(forgetting(line([3, 3.3, 3.3], 0.2))).toBeNull();
    expect(forgetting(line([3, 3.3, 3.3], 0.1))).not.toBeNull();
  });

  test('at the end all rows decide, whatever the sample says', () => {
    const sample = line([3, 3.4, 3.5]);
    expect(forgetting([...sample, ...ends(3.2, 3.25, 20, 0.01)])).toBeNull();
    const found = forgetting([...sample, ...ends(3.2, 4.4, 20, 0.1)]);
    expect(found).toMatchObject({ before: 3.2, after: 4.4, error: 0.1, onAll: true, since: 10 });
    expect(found?.sentence).toBe(
      'Since step 10 the model forgets: loss on general rows, which no run learns from, rose from 3.20 to 4.40 (± 0.10). It gets worse at what your rows do not show.',
    );
  });

  test('stands beside any verdict but a divergence', () => {
    const curves = [0, 1, 2, 3].flatMap((i) => [
      point('valid_loss', 10 * i, 3 - 0.5 * i),
      point('train_eval_loss', 10 * i, 3 - 0.5 * i),
      point('train_loss', 10 * i, 3 - 0.5 * i),
    ]);
    const general = line([3, 3.4, 3.5, 3.6]);
    expect(diagnose([...curves, ...general])).toMatchObject({ state: 'learning', forgetting: { since: 10 } });
    expect(diagnose(curves).forgetting).toBeNull();
    const broken = [...curves, point('train_loss', 31, Number.NaN), ...general];
    expect(diagnose(broken)).toMatchObject({ state: 'diverged', forgetting: null });
  });

  test('is answered by general rows, more of them where some are mixed in already, and by nothing after half', () => {
    const verdict = diagnose(line([3, 3.4, 3.5, 3.6]));
    const changes = (replay_fraction: number) => {
      const config = { hyperparameters: { ...defaultHyperparameters(), replay_fraction } } as RunConfig;
      const [first] = nextSteps({ config, verdict, step: 30 });
      return first?.kind === 'train' ? first.changes : null;
    };
    expect([0, 0.1, 0.25, 0.4].map(changes)).toEqual(
      [0.25, 0.25, 0.5, 0.5].map((share) => ({ replay_fraction: share })),
    );
    expect(changes(0.5)?.replay_fraction).toBeUndefined();
  });
});

describe('the scale of the general line', () => {
  const curve = (values: readonly number[]) => values.map((value, step) => ({ step, epoch: step, value }));

  test('is filled by a rise of half, and holds every loss', () => {
    expect(generalRange(curve([4, 4.1]))).toEqual({ min: 3.5, max: 6 });
    const wide = generalRange(curve([4, 9, 3]));
    expect(wide?.min).toBeLessThan(3);
    expect(wide?.max).toBeGreaterThan(9);
    expect(generalRange(curve([]))).toBeNull();
    expect(generalRange(curve([4, Number.NaN]))).toEqual({ min: 3.5, max: 6 });
  });
});

describe('a run', { timeout: 120_000 }, () => {
  let base: BaseModel;
  let device: DeviceReport;
  const settings: Hyperparameters = {
    ...defaultHyperparameters(),
    num_train_epochs: 4,
    batch_size: 4,
    learning_rate: 0.02,
    seed: 7,
  };
  const rows = Array.from({ length: 24 }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Which number has the ${'abcdefghijklmnopqrstuvwx'[i]} house at ${i}?` },
        { role: 'assistant', content: `It has ${i * 7}.` },
      ],
    }),
  ).join('\n');
  const prepare = async (shippedText = barePlatform.shippedText, h = settings) => {
    const dataset = await Dataset.read('rows.jsonl', rows);
    await dataset.provideProbe({ shippedText });
    return { dataset, run: Run.prepare(base, dataset, h, { device, tiles: null }, barePlatform) };
  };
  const go = (run: Run, keeper: Parameters<Run['go']>[2] = null) =>
    run.go(
      () => {},
      () => {},
      keeper,
    );
  const named = (points: readonly MetricPoint[], name: MetricName) => points.filter((p) => p.name === name);

  beforeAll(async () => {
    ({ device, base } = await openBase());
  });

  test('measures a part at each evaluation and all at both ends; in record and CSV', async () => {
    const { run } = await prepare();
    const { general, totalSteps, evaluation } = run.config;
    expect(general).toMatchObject({ rows: probe.length, form: 'chat', notice: null });
    expect(general?.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(general?.sampleRows).toBeGreaterThanOrEqual(8);
    expect(general?.sampleRows).toBeLessThan(probe.length);
    const summary = await go(run);
    expect(summary.error).toBeUndefined();
    const steps = (name: MetricName) => named(run.points, name).map(({ step }) => step);
    expect(steps('general_loss')).toEqual(steps('valid_loss'));
    expect(steps('general_loss')).toHaveLength(evaluation.evaluations);
    const best = summary.best?.step ?? 0;
    expect(steps('full_general_loss')).toEqual([...new Set([0, best, totalSteps])]);
    const [first] = named(run.points, 'general_rise_standard_error');
    expect(first?.value).toBe(0);
    expect(named(run.points, 'full_general_rise_standard_error').at(-1)?.value).toBeGreaterThan(0);
    const [head, start] = toCsv(run.points).split('\n') as [string, string];
    const column = head.split(',').indexOf('full_general_loss');
    expect(Number(start.split(',')[column])).toBe(named(run.points, 'full_general_loss')[0]?.value);
    run.trainer.dispose();
  });

  test('gives the same numbers of the rows of one’s own as without the probe', async () => {
    const { run } = await prepare();
    const dataset = await Dataset.read('rows.jsonl', rows);
    const without = Run.prepare(base, dataset, settings, { device, tiles: null }, barePlatform);
    expect(without.config.general).toBeUndefined();
    for (const one of [run, without]) await go(one);
    const own = (points: readonly MetricPoint[]) =>
      points
        .filter(({ name }) => !name.includes('general') && !/^(tokens_per|memory_)/.test(name))
        .map(({ name, step, value }) => [name, step, value]);
    expect(own(run.points)).toEqual(own(without.points));
    for (const one of [run, without]) one.trainer.dispose();
  });

  test('resumed after an interruption, measures what it would have measured', async () => {
    const { run } = await prepare();
    let saved: Uint8Array<ArrayBuffer> | null = null;
    let saves = 0;
    const keeper = {
      everyMs: 0,
      save: async (checkpoint: Uint8Array<ArrayBuffer>) => {
        if (++saves === 7) saved = checkpoint;
      },
      onFailure: (error: unknown) => {
        throw error;
      },
    };
    await go(run, keeper);
    const { dataset } = await prepare();
    const checkpoint = await readCheckpoint(new Blob([saved as unknown as Uint8Array<ArrayBuffer>]));
    const resumed = Run.resume(base, dataset, checkpoint, { device, tiles: null }, barePlatform);
    await go(resumed);
    const general = (points: readonly MetricPoint[]) =>
      points
        .filter(({ name }) => name.includes('general'))
        .map(({ name, step, value }) => [name, step, value]);
    expect(general(resumed.points)).toEqual(general(run.points));
    run.trainer.dispose();
    resumed.trainer.dispose();
  });

  test('without the file goes on, and says in its record why nothing is measured', async () => {
    const { run } = await prepare(async () => {
      throw shippedFileUnreachable('general/probe.jsonl', new Error('gone'));
    });
    expect(run.config.general?.notice).toBe(
      'Forgetting is not measured: The general rows that are shipped with this program could not be read.',
    );
    const summary = await go(run);
    expect(summary.state).toBe('finished');
    expect(run.points.filter(({ name }) => name.includes('general'))).toEqual([]);
    run.trainer.dispose();
  });

  test('with a model without a chat template reads the questions as texts, and says so', async () => {
    const file = await readDataFile('probe.jsonl', probeText);
    const { contextLength } = base.model.architecture;
    const plain = prepareProbe(file, { ...base.chat, source: 'chatml' }, contextLength);
    expect(plain.form).toBe('text');
    const asked = plain.rows[0];
    expect(base.chat.tokenizer.decode([...(asked?.ids ?? [])])).toContain(
      'Hello!\nHello! How can I help you?',
    );
    expect(asked?.mask.slice(1).every((m) => m === 1)).toBe(true);
    const chat = prepareProbe(file, base.chat, contextLength);
    expect(chat.rows[0]?.mask.slice(1).every((m) => m === 1)).toBe(false);
    expect(chat.rows.every((row) => row.file === 'general_probe')).toBe(true);
  });

  test('that is over answers three general questions before and after, and its record keeps them', async () => {
    const { run } = await prepare();
    await go(run);
    const learned = run.learned('last');
    const found = await generalAnswers(base, learned, barePlatform);
    expect(found.answers.map(({ prompt }) => prompt)).toEqual(GENERAL_PROMPTS);
    expect(found.weights).toBe('last');
    expect(await generalAnswers(base, learned, barePlatform)).toEqual(found);
    run.note({ generalAnswers: found });
    expect(run.summary?.generalAnswers).toEqual(found);
    await expect(generalAnswers(base, learned, barePlatform, () => true)).rejects.toMatchObject({
      code: 'measuring_cancelled',
    });
    run.trainer.dispose();
  });
});
