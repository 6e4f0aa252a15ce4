// The loss of single rows and single tokens, before and after a run: their sums are those of the evaluation.
// Not here: the losses of rows at the evaluations of a run (training.test.ts), what torch gives (cli.test.ts).
// Run: npx vitest run --project node test/rowLosses.test.ts

import { beforeAll, describe, expect, test } from 'vitest';
import type { RowMeanLoss } from '../src/dataContract';
import { defaultHyperparameters } from '../src/hyperparameters';
import { EngineSession } from '../src/worker/session';
import { chatRows, openIn } from './sessionFixtures';

const settings = {
  ...defaultHyperparameters(),
  ...{ num_train_epochs: 4, batch_size: 4, learning_rate: 0.01, seed: 7, eval_per_epoch: 1 },
};

describe('losses of rows', { timeout: 120_000 }, () => {
  const session = new EngineSession(() => {});
  beforeAll(async () => {
    await openIn(session);
    // The same questions with other answers, so that there is something to learn.
    const loud = chatRows.replace(/It is (\w+)\./g, (_, colour: string) => `${colour.toUpperCase()}!`);
    const rows = loud.trim().split('\n');
    // A conversation whose answers are rows of their own, with the same line.
    const first = JSON.parse(rows[0] as string) as { messages: object[] };
    const text = [...rows, JSON.stringify({ messages: [...first.messages, ...first.messages] })].join('\n');
    await session.readData({ kind: 'text', name: 'rows.jsonl', text }, settings);
  });

  const weighted = (rows: readonly RowMeanLoss[], of: (row: RowMeanLoss) => number) =>
    rows.reduce((sum, row) => sum + of(row) * row.targets, 0) /
    rows.reduce((sum, row) => sum + row.targets, 0);

  test('before a run are those of the base model, and of no other', async () => {
    const rows = await session.sideLosses('train', () => {});
    expect(rows.map(({ index }) => index)).toEqual(rows.map((_, i) => i));
    expect(rows.every(({ tuned, base }) => tuned === null && base > 0)).toBe(true);
    const { tokens } = await session.rowLosses({ split: 'train', index: 2 });
    expect(tokens.every(({ tuned }) => tuned === null)).toBe(true);
  });

  test('add up to the evaluation of the run, token by token and row by row, in the order of the preview', async () => {
    const points: { name: string; step: number; value: number }[] = [];
    const summary = await session.train(
      settings,
      (event) => {
        points.push(...event.points);
      },
      () => {},
    );
    expect(summary.state).toBe('finished');
    await session.useTunedWeights('last');
    const shares: number[] = [];
    const held = await session.sideLosses('validation', (share) => void shares.push(share));
    expect(shares.at(-1)).toBe(1);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    const pointAt = (step: number) =>
      points.find((p) => p.name === 'full_valid_loss' && p.step === step)?.value as number;
    expect(weighted(held, (row) => row.base)).toBeCloseTo(pointAt(0), 5);
    expect(weighted(held, (row) => row.tuned as number)).toBeCloseTo(pointAt(summary.step), 5);
    expect(weighted(held, (row) => row.tuned as number)).toBeLessThan(weighted(held, (row) => row.base));

    for (const split of ['train', 'validation'] as const) {
      const rows = split === 'train' ? await session.sideLosses(split, () => {}) : held;
      const previews = await session.previewRows({ split, offset: 0, count: rows.length });
      expect(rows.map(({ line, answer }) => [line, answer])).toEqual(
        previews.map(({ line, answer }) => [line, answer]),
      );
      for (const [index, preview] of previews.entries()) {
        const { tokens, line } = await session.rowLosses({ split, index });
        const row = rows[index] as RowMeanLoss;
        expect(line).toBe(preview.line);
        const learned = preview.tokens.flatMap((token, position) =>
          token.trained && position > 0 ? [position] : [],
        );
        expect(tokens.map(({ position }) => position)).toEqual(learned);
        for (const { position, id, text } of tokens)
          expect(preview.tokens[position]).toMatchObject({ id, text });
        expect(tokens).toHaveLength(row.targets);
        const mean = (of: (t: (typeof tokens)[0]) => number) =>
          tokens.reduce((sum, t) => sum + of(t), 0) / row.targets;
        expect(mean((t) => t.base)).toBeCloseTo(row.base, 5);
        expect(mean((t) => t.tuned as number)).toBeCloseTo(row.tuned as number, 5);
      }
    }
  });

  test('of a row that is not there, or when told to stop, end in their error', async () => {
    await expect(session.rowLosses({ split: 'train', index: 99 })).rejects.toMatchObject({
      code: 'no_such_row',
    });
    const stopped = session.sideLosses('train', () => void session.cancelMeasuring());
    await expect(session.rowLosses({ split: 'train', index: 0 })).rejects.toMatchObject({
      code: 'measuring',
    });
    await expect(stopped).rejects.toMatchObject({ code: 'measuring_cancelled' });
    expect((await session.rowLosses({ split: 'train', index: 0 })).tokens.length).toBeGreaterThan(0);
  });
});
