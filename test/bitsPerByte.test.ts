// Bits per byte: the formula, the bytes of what is learned, and the shipped model on a text in a manner of its own.
// Not here: cutting a text into rows (plainText.test.ts).
// Run: npx vitest run --project node test/bitsPerByte.test.ts

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { EncodedExample, MetricPoint } from '../src/contract';
import { learnedBytes } from '../src/data/tokens/learnedBytes';
import { defaultHyperparameters } from '../src/hyperparameters';
import { bitsDuringRun, bitsPerByte, bitsSentence } from '../src/metrics/bitsPerByte';
import { Dataset } from '../src/session/dataset';
import { openModel } from '../src/session/model';
import { Run } from '../src/session/run';
import { fixtureFolder } from './nodeFolders';
import { barePlatform, openBase } from './sessionFixtures';

const handbook = readFileSync(fileURLToPath(new URL('./fixtures/pilot-handbook.md', import.meta.url)));

test('all bits of the tokens, by the bytes of their text', () => {
  expect(bitsPerByte(Math.LN2, 8, 8)).toBe(1);
  expect(bitsPerByte(2 * Math.LN2, 10, 40)).toBe(0.5);
  expect(bitsPerByte(1, 3, 0)).toBeNull();
});

describe('bytes of what is learned', async () => {
  const { chat, files } = await openModel(fixtureFolder('chat'));
  const rowsOf = async (row: object) => {
    const dataset = await Dataset.read('rows.jsonl', JSON.stringify(row));
    dataset.encode(chat, files.architecture, defaultHyperparameters());
    return dataset.rows('all').map(({ encoded }) => encoded);
  };

  test('are those of the answer; its end token has none', async () => {
    const answer = 'It is blue – naïve, 青.';
    const rows = await rowsOf({ prompt: 'What colour is it?', completion: answer });
    expect(learnedBytes(chat.tokenizer, rows)).toBe(new TextEncoder().encode(answer).length);
    const [row] = rows as [EncodedExample];
    expect(chat.tokenizer.isSpecial(row.ids[row.mask.lastIndexOf(1)] as number)).toBe(true);
  });

  test('of a text are those of all tokens but the first', async () => {
    const text = 'The red can stands at the mouth of the sound.';
    const rows = await rowsOf({ text });
    const [first] = rows.map(({ ids }) => chat.tokenizer.decode([ids[0] as number], { skipSpecial: true }));
    expect(learnedBytes(chat.tokenizer, rows)).toBe(text.length - (first as string).length);
  });
});

test('during a run are told on the rows that were measured both times', () => {
  const point = (step: number, value: number): MetricPoint => ({
    ...{ name: 'valid_loss', step, value },
    ...{ epoch: 0, tokens: 0, elapsedMs: 0 },
  });
  const points = [point(0, 4 * Math.LN2), point(6, 2 * Math.LN2)];
  const evaluation = { validationTokens: 10, validationBytes: 20 } as never;
  expect(bitsDuringRun(points, { evaluation }, 6)).toEqual({ before: 2, after: 1 });
  expect(bitsSentence(points, { evaluation }, 6)).toBe(
    'Held-out text: 2.000 bits per byte before the run, 1.000 at step 6.',
  );
  expect(bitsDuringRun(points, { evaluation }, 3)).toBeNull();
  expect(bitsSentence(points, { evaluation: { validationTokens: 10 } as never }, 6)).toBeNull();
});

test('Pebble-1M adapts to a text of 5 kB: held-out bits per byte fall by a twentieth or more', {
  timeout: 120_000,
}, async () => {
  const { device, base } = await openBase('models/pebble-1m');
  const h = { ...defaultHyperparameters(), num_train_epochs: 2, seed: 1, max_eval_samples: 100 };
  const dataset = await Dataset.read('handbook.md', new Uint8Array(handbook));
  dataset.encode(base.chat, base.model.architecture, h);
  const run = Run.prepare(base, dataset, h, { device, tiles: null }, barePlatform);
  const { best } = await run.go(
    () => {},
    () => {},
  );
  const bits = bitsDuringRun(run.points, run.config, best?.step ?? -1);
  expect(bits).not.toBeNull();
  const { before, after } = bits as { before: number; after: number };
  // A model of this size reads plain English prose at 1.5 to 2 bits per byte.
  expect(before).toBeGreaterThan(1.4);
  expect(before).toBeLessThan(2.4);
  expect(after).toBeLessThan(0.95 * before);
  run.trainer.dispose();
  base.model.dispose();
});
