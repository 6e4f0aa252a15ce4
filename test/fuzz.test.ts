// Hostile files: those that were found before and those of some hundred seeds, each read or refused in a sentence within its time.
// Not here: the cases (fuzz/), the long run (npm run fuzz), single refusals in detail (bounds.test.ts, malformed.test.ts).

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readDataFile } from '../src/data/dataFile';
import { createChat } from '../src/data/tokens/chat';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { readCheckpoint, writeCheckpoint } from '../src/engine/training/checkpoint';
import { boundedSentence, LONGEST_SENTENCE, PlaygroundError } from '../src/errors';
import { house } from '../src/launch/prerequisites.mjs';
import { unpackCase } from './fuzz/corpus.mjs';
import { Draw, mutateBytes, mutateJson } from './fuzz/draw';
import { drawCase, type FuzzCase, tryCase } from './fuzz/loop';
import { TARGET_NAMES } from './fuzz/targets';

const corpus = path.join(house, 'test', 'fuzz', 'corpus');
const kept = existsSync(corpus) ? readdirSync(corpus).filter((name) => name.endsWith('.json')) : [];

/** Once more where it was only slow: the first case of a kind compiles what it runs. */
async function faultOf(hostile: FuzzCase): Promise<string | null> {
  const { fault } = await tryCase(hostile);
  return fault?.startsWith('took') ? (await tryCase(hostile)).fault : fault;
}

describe('hostile files', () => {
  test.each(kept)('that were found before: %s', async (name) => {
    const { target, files } = unpackCase(readFileSync(path.join(corpus, name), 'utf8'));
    expect(await faultOf({ target, files } as FuzzCase)).toBe(null);
  });

  test.each(TARGET_NAMES)('%s: drawn from thirty seeds', { timeout: 120_000 }, async (target) => {
    for (let seed = 0; seed < 30; seed++)
      expect([seed, await faultOf(drawCase(seed, [target]))]).toEqual([seed, null]);
  });

  test('are the same for the same seed, and differ for another', () => {
    expect(drawCase(17)).toEqual(drawCase(17));
    const texts = new Set(
      Array.from({ length: 40 }, (_, seed) =>
        JSON.stringify(mutateJson({ a: [1, { b: 'c' }] }, new Draw(seed))),
      ),
    );
    expect(texts.size).toBeGreaterThan(20);
    expect(mutateBytes(new Uint8Array(100), new Draw(3))).toEqual(
      mutateBytes(new Uint8Array(100), new Draw(3)),
    );
  });
});

describe('the judge of a case', () => {
  const judged = (read: () => Promise<unknown>) =>
    tryCase({ target: 'planted' as never, files: {} }, { read });
  const refusing =
    (message: string, more = {}) =>
    async () => {
      throw new PlaygroundError({ code: 'bad_config', message, fix: 'Mend it.', ...more });
    };

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['a raw error', async () => (null as never as string).length, /raw error: TypeError/],
    [
      'a sentence with a raw error in it',
      refusing('It failed: x.map is not a function.'),
      /is not a function/,
    ],
    ['an object where its text belongs', refusing('“a” is [object Object].'), /object Object/],
    ['a plural of one', refusing('The file has 1 rows.'), /1 …s/],
    ['an error without a cure', refusing('It failed.', { fix: '' }), /cure/],
    [
      'an issue without an end',
      async () => ({ issues: [{ code: 'a', message: 'x'.repeat(5000), fix: 'b' }] }),
      /5000 characters/,
    ],
    [
      'a change of what all objects inherit',
      async () =>
        Object.defineProperty(Object.prototype, 'evil', { value: 1, enumerable: true, configurable: true }),
      /inherit evil/,
    ],
    [
      'a case that takes long',
      async () => {
        const before = process.cpuUsage();
        for (let used = 0, n = 0; used < 2_100_000; ) {
          while (++n % 1_000_000 !== 0);
          const { user, system } = process.cpuUsage(before);
          used = user + system;
        }
      },
      /took 2/,
    ],
  ])('finds %s', async (_, read, fault) => {
    expect((await judged(read)).fault).toMatch(fault);
  });

  test('lets a refusal in a sentence pass', async () => {
    expect(await judged(refusing('The file has 1 row.'))).toMatchObject({ fault: null, end: 'bad_config' });
  });
});

describe('what was found', () => {
  test('sentences are bounded, whatever they quote', () => {
    const error = new PlaygroundError({
      code: 'a',
      message: `“${'x'.repeat(1e6)}” is wrong.`,
      fix: 'y'.repeat(1e6),
      where: 'z'.repeat(1e6),
    });
    for (const sentence of [error.message, error.fix, error.where ?? ''])
      expect(sentence.length).toBeLessThanOrEqual(LONGEST_SENTENCE);
    expect(error.message).toMatch(/^“x+ … x+” is wrong\.$/);
    expect(boundedSentence('short')).toBe('short');
  });

  test('a word that every object has is no word of Python', async () => {
    const file = await readDataFile('rows.jsonl', '{"prompt": constructor, "completion": "b"}');
    expect(file.issues.filter(({ severity }) => severity === 'error')).toMatchObject([
      { code: 'invalid_json' },
    ]);
  });

  test('a row that is nested too deeply is refused by its line, in a file and inside a cell', async () => {
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    const good = '{"prompt": "a", "completion": "b"}';
    const file = await readDataFile('rows.jsonl', `${good}\n{"prompt": "a", "completion": ${deep}}\n${good}`);
    expect(file.issues.find(({ severity }) => severity === 'error')).toMatchObject({
      line: 2,
      message: 'The row is nested too deeply.',
    });
    expect(file.examples.length).toBeGreaterThan(0);
    const inside = await readDataFile('rows.jsonl', JSON.stringify({ messages: deep }));
    expect(inside.examples).toEqual([]);
  });

  test('spaces that end a row take no square of their number', async () => {
    const seconds = async (spaces: number) => {
      const before = process.cpuUsage();
      await readDataFile('rows.jsonl', `{"prompt": "a", "completion": 'b'${' '.repeat(spaces)}x}`, {
        write: () => {},
      });
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1e6;
    };
    expect(await seconds(400_000)).toBeLessThan(2);
  });

  const tokenizerJson = { model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };
  const open = (change: object) =>
    createChat(
      createTokenizer({
        tokenizerJson: { ...tokenizerJson, ...change },
        tokenizerConfig: {},
        chatTemplate: null,
        eosTokenIds: [1],
      }),
    );

  test.each<[string, object, RegExp]>([
    [
      'steps that make each other’s text longer',
      { pre_tokenizer: { type: 'Sequence', pretokenizers: Array(10).fill({ type: 'ByteLevel' }) } },
      /times as long/,
    ],
    [
      'replacements that do',
      {
        normalizer: {
          type: 'Sequence',
          normalizers: Array(3).fill({ type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(20) }),
        },
      },
      /times as long/,
    ],
    [
      'too many steps',
      { pre_tokenizer: { type: 'Sequence', pretokenizers: Array(150).fill({ type: 'Digits' }) } },
      /more than 100 steps/,
    ],
    [
      'a step that is not as the format has it',
      { normalizer: { type: 'Replace', pattern: { String: 5 }, content: [] } },
      /not as the format has it/,
    ],
  ])('a tokenizer of %s is refused', (_, change, message) => {
    expect(() => open(change)).toThrow(message);
    expect(() => open(change)).toThrow(PlaygroundError);
  });

  test('a checkpoint whose settings were changed is refused', async () => {
    const run = {
      config: { hyperparameters: { learning_rate: 1 } },
      points: [],
      rows: [],
      elapsedMs: 1,
      trainingMs: 1,
    };
    const tensors = new Map([['a', { shape: [1], data: new Float32Array(1) }]]);
    const trainer = {
      step: 12,
      tokens: 1,
      withoutGain: 0,
      latest: null,
      best: null,
      learner: tensors,
      optimizer: { count: 1, moments: new Map() },
    };
    const bytes = await writeCheckpoint({ ...run, trainer } as never);
    expect((await readCheckpoint(new Blob([bytes]))).trainer.step).toBe(12);
    const text = new TextDecoder('latin1').decode(bytes);
    for (const [was, is] of [
      ['learning_rate\\":1', 'learning_rate\\":9'],
      ['step\\":12', 'step\\":13'],
    ] as const) {
      expect(text).toContain(was);
      const changed = Uint8Array.from(text.replace(was, is), (c) => c.charCodeAt(0));
      await expect(readCheckpoint(new Blob([changed]))).rejects.toMatchObject({ code: 'bad_checkpoint' });
    }
  });
});
