// From the visitor's file to batches: every problem with its place, the split, order and rectangles.
// Conversations as ids are in chat.test.ts, tokenizers in tokenizer.test.ts.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Example, Message } from '../src/contract';
import { epochOrder, makeBatch, rowsOfStep } from '../src/data/batches';
import { createRandom } from '../src/data/random';
import { parseExamples } from '../src/data/reading/jsonl';
import { contentHash, sha256 } from '../src/data/sha256';
import { splitExamples } from '../src/data/split';
import { summarise } from '../src/data/statistics';
import { stepsPerEpoch } from '../src/epochSteps';

// ───────────────────────────── split, order, rectangles ─────────────────────────────

const example = (messages: Message[], line = 1): Example => ({ line, messages });

const asks = (texts: string[]): Example[] =>
  texts.map((content, i) =>
    example(
      [
        { role: 'user', content },
        { role: 'assistant', content: `reply ${i}` },
      ],
      i + 1,
    ),
  );

const WORDS =
  'amber boat cedar drum ember flute garden harbour iron jade kite lamp moss nest oak pearl quill reed stone tide'.split(
    ' ',
  );
/** Sentences with few words in common. */
const distinct = (n: number) => {
  const random = createRandom(5);
  return Array.from({ length: n }, () =>
    Array.from({ length: 6 }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' '),
  );
};

describe('the split', () => {
  const options = { validation_fraction: 0.2, seed: 42 };

  test('keeps near-duplicates on one side', () => {
    const texts = distinct(60);
    const twins = texts.slice(0, 20).map((t) => `${t.toUpperCase()}!!`);
    const cousins = texts.slice(20, 30).map((t) => `  ${t.replaceAll(' ', '  ')} 7`);
    const numbered = texts.slice(20, 30).map((t) => `${t} 12`);
    const long = distinct(8).map(
      (t, i) => `${t} ${distinct(9)[i]} and then the captain of the small boat asked once more`,
    );
    const changed = long.map((t) => t.replace('captain', 'baker'));
    const examples = asks([...texts, ...twins, ...cousins, ...numbered, ...long, ...changed]);
    for (const seed of [1, 2, 3, 42]) {
      const { train, validation, nearDuplicateGroups } = splitExamples(examples, { ...options, seed });
      const side = new Map([
        ...train.map((e) => [e.line, 'train'] as const),
        ...validation.map((e) => [e.line, 'validation'] as const),
      ]);
      expect(side.size).toBe(examples.length);
      for (let i = 1; i <= 20; i++) expect(side.get(i), `row ${i}`).toBe(side.get(60 + i));
      for (let i = 1; i <= 10; i++) expect(side.get(80 + i), `row ${80 + i}`).toBe(side.get(90 + i));
      for (let i = 1; i <= 8; i++) expect(side.get(100 + i), `row ${100 + i}`).toBe(side.get(108 + i));
      expect(nearDuplicateGroups).toBeGreaterThanOrEqual(38 - 10);
      expect(validation.length).toBeGreaterThan(examples.length * 0.15);
      expect(validation.length).toBeLessThan(examples.length * 0.25);
    }
  });

  test('depends on seed and content, not on the order of the file', () => {
    const examples = asks(distinct(50));
    const first = splitExamples(examples, options);
    const shuffled = epochOrder(50, 9, 0).map((i) => examples[i] as Example);
    const lines = (list: Example[]) => list.map((e) => e.line).sort((a, b) => a - b);
    expect(lines(splitExamples(shuffled, options).validation)).toEqual(lines(first.validation));
    expect(lines(splitExamples(examples, { ...options, seed: 43 }).validation)).not.toEqual(
      lines(first.validation),
    );
    expect(first.train.map((e) => e.line)).toEqual(lines(first.train));
  });

  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [10, 2],
    [12, 2],
    [19, 4],
    [20, 4],
    [100, 20],
  ])('of %i rows leaves %i to validate', (rows, wanted) => {
    const { train, validation } = splitExamples(asks(distinct(rows)), options);
    expect([train.length, validation.length]).toEqual([rows - wanted, wanted]);
  });

  test('works where all prompts are alike', () => {
    const sums = asks(Array.from({ length: 40 }, (_, i) => `What is ${i} + ${i * 3}?`));
    expect(splitExamples(sums, options).validation).toHaveLength(8);
    const same = asks(Array.from({ length: 12 }, () => 'Tell me something.'));
    expect(splitExamples(same, options).validation.length).toBeGreaterThanOrEqual(2);
    const shared = asks(distinct(30)).map((e) => ({
      ...e,
      messages: [
        { role: 'system' as const, content: 'You are the long-winded helper of one particular shop.' },
        ...e.messages,
      ],
    }));
    expect(splitExamples(shared, options).nearDuplicateGroups).toBe(0);
  });

  describe('says how far the held-out rows are new', () => {
    const answered = (rows: [string, string][]): Example[] =>
      rows.map(([user, assistant], i) => ({
        line: i + 1,
        messages: [
          { role: 'user', content: user },
          { role: 'assistant', content: assistant },
        ],
      }));
    const split = (rows: [string, string][], seed = 42) =>
      splitExamples(answered(rows), { ...options, seed });

    test('distinct rows: all are', () => {
      const { heldOut } = split(distinct(60).map((t) => [t, 'Yes.']));
      expect(heldOut).toEqual({ kept: 'near_prompts', copies: 0, samePrompt: 0, nearPrompt: 0 });
    });

    test('fifty equal rows: all held-out rows are copies', () => {
      const { heldOut, validation } = split(Array.from({ length: 50 }, () => ['What colour?', 'Red.']));
      expect(validation).toHaveLength(10);
      expect(heldOut).toEqual({ kept: 'nothing', copies: 10, samePrompt: 0, nearPrompt: 0 });
    });

    test('one question, many answers: equal prompts, no copies', () => {
      const { heldOut, validation } = split(distinct(40).map((t) => ['Tell me something.', t]));
      expect(heldOut).toEqual({
        kept: 'equal_rows',
        copies: 0,
        samePrompt: validation.length,
        nearPrompt: 0,
      });
    });

    test('one question, two answers: every held-out row is a copy', () => {
      const rows = Array.from({ length: 40 }, (_, i): [string, string] => ['Heads?', i % 2 ? 'Yes.' : 'No.']);
      const { heldOut, validation } = split(rows);
      expect(heldOut.copies).toBe(validation.length);
    });

    test('sums that differ in their numbers: nearly the same prompts', () => {
      const sums = Array.from({ length: 40 }, (_, i): [string, string] => [
        `What is ${i} + ${i * 3}?`,
        `${4 * i}`,
      ]);
      const { heldOut, validation } = split(sums);
      expect(heldOut).toEqual({
        kept: 'equal_prompts',
        copies: 0,
        samePrompt: 0,
        nearPrompt: validation.length,
      });
    });

    test('a few new rows are held out rather than many copies', () => {
      const same = Array.from({ length: 37 }, (): [string, string] => ['What colour?', 'Red.']);
      const { heldOut, validation } = split([
        ...same,
        ...distinct(3).map((t): [string, string] => [t, 'Yes.']),
      ]);
      expect(heldOut.copies).toBe(0);
      expect(validation.length).toBeGreaterThanOrEqual(1);
    });

    test('the counts are those of a plain comparison, whatever the file', () => {
      const word = fc.constantFrom('red', 'blue', 'boat', 'lamp');
      const row = fc.tuple(
        fc.array(word, { minLength: 1, maxLength: 4 }).map((w) => w.join(' ')),
        fc.constantFrom('Yes.', 'No.'),
      );
      fc.assert(
        fc.property(fc.array(row, { minLength: 4, maxLength: 60 }), fc.nat({ max: 50 }), (rows, seed) => {
          const { train, validation, heldOut } = split(rows, seed);
          const [prompts, whole] = [0, 1].map(
            (turns) => (e: Example) => JSON.stringify(e.messages.slice(0, turns + 1).map((m) => m.content)),
          ) as [(e: Example) => string, (e: Example) => string];
          const known = [new Set(train.map(whole)), new Set(train.map(prompts))] as const;
          const copies = validation.filter((e) => known[0].has(whole(e)));
          const same = validation.filter((e) => known[1].has(prompts(e)) && !known[0].has(whole(e)));
          expect([heldOut.copies, heldOut.samePrompt]).toEqual([copies.length, same.length]);
          if (heldOut.kept !== 'nothing') expect(heldOut.copies).toBe(0);
          if (heldOut.kept === 'near_prompts') expect(heldOut.samePrompt + heldOut.nearPrompt).toBe(0);
        }),
      );
    });

    test('rows that ask nothing are told apart by what they say', () => {
      const texts = distinct(40).map(
        (t, i): Example => ({ line: i + 1, messages: [{ role: 'assistant', content: t }] }),
      );
      const { heldOut } = splitExamples(texts, options);
      expect(heldOut).toEqual({ kept: 'near_prompts', copies: 0, samePrompt: 0, nearPrompt: 0 });
    });
  });

  test('takes 20,000 rows', () => {
    const random = createRandom(1);
    const examples = asks(
      Array.from(
        { length: 20_000 },
        (_, i) => `${i} ${Array.from({ length: 12 }, () => WORDS[Math.floor(random() * 20)]).join(' ')}`,
      ),
    );
    const { train, validation } = splitExamples(examples, options);
    expect(train.length + validation.length).toBe(20_000);
    expect(validation.length).toBe(4000);
  }, 60_000);
});

describe('order and steps', () => {
  test('every epoch is a permutation of its own, and the same again', () => {
    fc.assert(
      fc.property(fc.nat({ max: 200 }), fc.nat(), fc.nat({ max: 50 }), (n, seed, epoch) => {
        const order = epochOrder(n, seed, epoch);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
        expect(epochOrder(n, seed, epoch)).toEqual(order);
      }),
    );
    expect(epochOrder(30, 42, 0)).not.toEqual(epochOrder(30, 42, 1));
    expect(epochOrder(30, 42, 0)).not.toEqual(epochOrder(30, 43, 0));
  });

  test('the steps of an epoch take every row once, the last partial batch too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (rows, size, micro) => {
          const h = { batch_size: size, gradient_accumulation_steps: micro };
          for (const epoch of [0, 1]) {
            const order = epochOrder(rows, 3, epoch);
            const seen: number[] = [];
            for (let step = 0; step < stepsPerEpoch(rows, h); step++) {
              const batches = rowsOfStep(order, h, step);
              expect(batches.length).toBeGreaterThan(0);
              for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(size);
              seen.push(...batches.flat());
            }
            expect(seen).toEqual(order);
          }
        },
      ),
    );
  });

  test('chance comes from the seed and is spread evenly', () => {
    const random = createRandom(42);
    const first = [random(), random(), random()];
    const again = createRandom(42);
    expect([again(), again(), again()]).toEqual(first);
    const buckets = new Uint32Array(10);
    for (let i = 0; i < 20_000; i++) {
      const x = random();
      expect(x).toBeLessThan(1);
      buckets[Math.floor(x * 10)] = (buckets[Math.floor(x * 10)] ?? 0) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });
});

describe('a batch', () => {
  const encoded = [
    { line: 4, ids: Int32Array.of(5, 6, 7, 8), mask: Uint8Array.of(0, 0, 1, 1), fullLength: 4 },
    { line: 9, ids: Int32Array.of(5, 0, 7), mask: Uint8Array.of(0, 1, 0), fullLength: 3 },
  ];

  test('pads to the right, shifts targets, and tells padding by length', () => {
    expect(makeBatch(encoded, 0)).toEqual({
      ids: Int32Array.of(5, 6, 7, 8, 5, 0, 7, 0),
      targets: Int32Array.of(-100, 7, 8, -100, 0, -100, -100, -100),
      weights: Float32Array.of(0, 1, 1, 0, 1, 0, 0, 0),
      rows: 2,
      columns: 4,
      lines: [4, 9],
      lengths: [4, 3],
      targetTokens: 3,
    });
  });

  test('has as many columns as asked for', () => {
    expect(makeBatch(encoded, 0, { bucket: 32 }).columns).toBe(32);
    expect(makeBatch(encoded, 0, { bucket: 32, maxColumns: 20 }).columns).toBe(20);
    expect(makeBatch(encoded, 0, { bucket: 32, maxColumns: 2 }).columns).toBe(4);
    const cut = makeBatch(encoded, 0, { columns: 3 });
    expect([cut.columns, cut.targetTokens, cut.lengths]).toEqual([3, 2, [3, 3]]);
    expect(makeBatch([], 0)).toMatchObject({ rows: 0, columns: 1, targetTokens: 0 });
  });

  test('has one target for each trained token but the first of a row', () => {
    const rows = fc.array(
      fc.array(fc.tuple(fc.nat({ max: 99 }), fc.boolean()), { minLength: 1, maxLength: 30 }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(rows, fc.constantFrom(1, 8, 32), (lists, bucket) => {
        const list = lists.map((tokens, i) => ({
          line: i,
          ids: Int32Array.from(tokens, ([id]) => id),
          mask: Uint8Array.from(tokens, ([, trained], t) => Number(trained && t > 0)),
          fullLength: tokens.length,
        }));
        const batch = makeBatch(list, 7, { bucket });
        const trained = list.reduce((sum, { mask }) => sum + mask.reduce((a, b) => a + b, 0), 0);
        expect(batch.targetTokens).toBe(trained);
        expect(batch.weights.reduce((a, b) => a + b, 0)).toBe(trained);
        expect(batch.targets.filter((t) => t !== -100)).toHaveLength(trained);
        expect(batch.columns % bucket).toBe(0);
      }),
    );
  });
});

describe('a row that counts more', () => {
  test('keeps its weight from the file to the batch, where every target of it carries it', () => {
    const text = [
      '{"weight": 2.5, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}',
      '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    ].join('\n');
    const { examples } = parseExamples(text);
    expect(examples.map((e) => e.weight)).toEqual([2.5, undefined]);
    const rows = [
      { line: 1, ids: Int32Array.of(1, 2, 3), mask: Uint8Array.of(0, 0, 1), fullLength: 3, weight: 2.5 },
      { line: 2, ids: Int32Array.of(1, 2, 3), mask: Uint8Array.of(0, 1, 1), fullLength: 3 },
    ];
    expect([...makeBatch(rows, 0).weights]).toEqual([0, 2.5, 0, 1, 1, 0]);
  });
});

describe('numbers about rows', () => {
  test('are NumPy’s percentiles', () => {
    expect(summarise([4, 1, 3, 2])).toEqual({
      min: 1,
      p10: 1.3,
      median: 2.5,
      mean: 2.5,
      p90: 3.7,
      max: 4,
      total: 10,
    });
    expect(summarise([5])).toEqual({ min: 5, p10: 5, median: 5, mean: 5, p90: 5, max: 5, total: 5 });
    expect(summarise([])).toMatchObject({ min: 0, max: 0, mean: 0 });
  });

  test('name a text by its SHA-256', async () => {
    expect(await contentHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(await contentHash('ä')).not.toBe(await contentHash('a'));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect(sha256(bytes)).toEqual(
          new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes))),
        );
      }),
    );
  });
});

describe('the sample data sets', () => {
  test('are read without errors', () => {
    const root = fileURLToPath(new URL('../public/datasets/', import.meta.url));
    const text = readFileSync(`${root}twelve-rows.jsonl`, 'utf8');
    const { examples, issues } = parseExamples(text);
    expect(examples).toHaveLength(12);
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
  });
});
