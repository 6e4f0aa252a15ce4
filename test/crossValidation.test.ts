// Cross-validation: every row held out once, numbers that follow from those of the folds, the run itself kept, and a stop in its middle.
// Not here: which rows a fold holds out (split.test.ts).
// Run: npx vitest run --project node test/crossValidation.test.ts

import { unzipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import type { MetricPoint, RunEvent, RunSummary } from '../src/contract';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { crossValidationSentence, foldSentence } from '../src/metrics/claims';
import { meanOf } from '../src/session/crossValidation';
import { EngineSession } from '../src/worker/session';
import { chatRows, exported, hastenClock, openIn } from './sessionFixtures';

const settings: Hyperparameters = {
  ...defaultHyperparameters(),
  ...{ num_train_epochs: 3, batch_size: 4, learning_rate: 0.01, seed: 7, folds: 3 },
};

test('a mean and its standard error are those of the textbook', () => {
  expect(meanOf([1, 2, 3, 4])).toEqual({ mean: 2.5, standardError: Math.sqrt(5 / 3 / 4) });
  expect(meanOf([1])).toBeNull();
});

describe('folds', { timeout: 120_000 }, () => {
  const session = new EngineSession(() => {});
  const read = (h: Hyperparameters, more = '') =>
    session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows + more }, h);

  beforeAll(() => openIn(session));

  async function train(h: Hyperparameters, onEvent: (event: RunEvent) => void = () => {}) {
    const points: MetricPoint[] = [];
    const summary = await session.train(
      h,
      (event) => {
        points.push(...event.points);
        onEvent(event);
      },
      () => {},
    );
    const numbers = points
      .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
      .map(({ elapsedMs, ...point }) => point);
    return { summary, numbers };
  }

  test('come after the run, which stays as it is without them, and into its record', async () => {
    await read(settings);
    const alone = await train({ ...settings, folds: 1 });
    expect(alone.summary.crossValidation).toBeUndefined();
    const seen = new Set<string>();
    const { summary, numbers } = await train(settings, ({ progress, points }) => {
      if (progress.fold) {
        seen.add(`${progress.fold.number} of ${progress.fold.of}`);
        expect(progress.foldsDone?.map(({ fold }) => fold)).toEqual(
          [1, 2, 3].slice(0, progress.fold.number - 1),
        );
        expect(points).toEqual([]);
      }
    });
    expect(numbers).toEqual(alone.numbers);
    expect([...seen]).toEqual(['1 of 3', '2 of 3', '3 of 3']);
    const found = summary.crossValidation as NonNullable<RunSummary['crossValidation']>;
    expect(found).toMatchObject({ of: 3, failed: [] });
    expect(
      found.folds.map(({ fold, trainRows, validationRows }) => [fold, trainRows, validationRows]),
    ).toEqual([
      [1, 8, 4],
      [2, 8, 4],
      [3, 8, 4],
    ]);
    expect(new Set(found.folds.map(({ last }) => last)).size).toBe(3);
    for (const { best, last } of found.folds) expect(best.loss).toBeLessThanOrEqual(last);
    expect(found.best).toEqual(meanOf(found.folds.map(({ best }) => best.loss)));
    expect(found.last).toEqual(meanOf(found.folds.map(({ last }) => last)));
    const zip = unzipSync(new Uint8Array(await (await exported(session)).arrayBuffer()));
    const record = JSON.parse(new TextDecoder().decode(zip['run.json'])) as RunSummary;
    expect(record.crossValidation).toEqual(found);
    // What is shown of the rows is still the split of the run.
    expect((await session.encodeData(settings)).validationRows).toBe(summary.config.validationRows);
    // The same again.
    expect((await train(settings)).summary.crossValidation).toEqual(found);
  });

  test('that are stopped leave the run, and the folds that have ended', async () => {
    hastenClock();
    await read(settings);
    let stopped = false;
    const { summary } = await train(settings, ({ progress }) => {
      if (progress.fold?.number === 2 && !stopped) {
        stopped = true;
        void session.stop();
      }
    });
    expect(summary).toMatchObject({ state: 'finished', crossValidation: { of: 3, best: null, last: null } });
    expect(summary.crossValidation?.folds).toHaveLength(1);
    expect(await session.tunedWeights()).toMatch(/best|last/);
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows }, settings);
  });

  test('are refused where the file gives the validation rows, or has fewer rows than folds', async () => {
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows }, settings, {
      validation: { kind: 'text', name: 'held.jsonl', text: chatRows },
    });
    await expect(train(settings)).rejects.toMatchObject({ code: 'folds_of_given_rows' });
    await read(settings);
    await expect(train({ ...settings, folds: 13 })).rejects.toMatchObject({ code: 'too_few_rows_for_folds' });
  });
});

test('what is said of folds follows from their numbers', () => {
  const fold = (number: number, best: number, last: number) => ({
    ...{ fold: number, trainRows: 8, validationRows: 4 },
    ...{ best: { step: 5, loss: best }, last },
  });
  expect(foldSentence(fold(2, 1, 1.5), { number: 2, of: 3 })).toBe(
    'Fold 2 of 3: 4 rows held out; validation loss 1.000 at best (step 5), 1.500 at the end.',
  );
  expect(foldSentence({ fold: 1, message: 'No.' }, { number: 1, of: 3 })).toBe('Fold 1 of 3 failed: No.');
  const mean = { mean: 1.25, standardError: 0.05 };
  const whole = { of: 2, folds: [fold(1, 1, 1), fold(2, 1, 1)], failed: [], best: mean, last: mean };
  expect(crossValidationSentence(whole)).toBe(
    'Cross-validation over 2 folds: validation loss 1.250 ± 0.050 at the best step of each, 1.250 ± 0.050 at the end (mean ± standard error).',
  );
  expect(crossValidationSentence({ ...whole, of: 5, failed: [{ fold: 3, message: 'No.' }] })).toContain(
    'It was stopped after 3 of 5. 1 fold failed and is left out.',
  );
  expect(crossValidationSentence({ of: 3, folds: [], failed: [], best: null, last: null })).toContain(
    'fewer than two of 3 folds ended',
  );
});
