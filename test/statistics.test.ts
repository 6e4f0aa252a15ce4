// What can be said of a data set: counts beside those of rows made for them, checks, what looks like personal data, and the call of the session.
// Not here: near-duplicates themselves (nearDuplicates.test.ts), percentiles (data.test.ts).
// Run: npx vitest run --project node test/statistics.test.ts

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { statisticsLines } from '../src/cli/statisticsTable';
import { PERSONAL_KINDS } from '../src/data/personalData';
import { createRandom } from '../src/data/random';
import { histogram } from '../src/data/rowStatistics';
import type { DatasetStatistics } from '../src/dataContract';
import { PlaygroundError } from '../src/errors';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { type BesideInputs, Dataset } from '../src/session/dataset';
import { openModel } from '../src/session/model';
import { EngineSession } from '../src/worker/session';
import { fixtureFolder } from './nodeFolders';

const opened = await openModel(fixtureFolder('chat'));
const row = (user: string, assistant: string, system?: string) =>
  JSON.stringify({
    messages: [
      ...(system ? [{ role: 'system', content: system }] : []),
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  });

async function described(
  rows: readonly string[],
  more: Partial<Hyperparameters> = {},
  beside: BesideInputs = {},
): Promise<DatasetStatistics & { dataset: Dataset }> {
  const dataset = await Dataset.read('rows.jsonl', rows.join('\n'), {}, beside);
  dataset.encode(opened.chat, opened.files.architecture, { ...defaultHyperparameters(), ...more });
  const walk = dataset.describe();
  const shares: number[] = [];
  for (;;) {
    const next = walk.next();
    if (next.done) {
      expect(shares).toEqual([...shares].sort((a, b) => a - b));
      return { ...next.value, dataset };
    }
    shares.push(next.value);
  }
}
const checkOf = ({ checks }: DatasetStatistics, id: string) => checks.find((check) => check.id === id);

/** Questions without a word in common. */
const random = createRandom(4);
const questions = Array.from({ length: 60 }, () =>
  Array.from({ length: 7 }, () =>
    Array.from({ length: 5 }, () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(26 * random())]).join(''),
  ).join(' '),
);

describe('statistics', () => {
  test('count rows, tokens and what is learned of them, on all sides', async () => {
    const found = await described(
      questions.map((q) => row(q, `It is ${q}.`)),
      { test_fraction: 0.1, max_length: 64 },
    );
    const all = (['train', 'validation', 'test'] as const).flatMap((side) => [...found.dataset.rows(side)]);
    expect(all).toHaveLength(60);
    const sum = (of: (e: (typeof all)[0]['encoded']) => number) => all.reduce((n, r) => n + of(r.encoded), 0);
    expect(found.rows).toBe(60);
    expect(found.tokens).toBe(sum((e) => e.ids.length));
    expect(found.learnedTokens).toBe(sum((e) => e.mask.slice(1).reduce((a, b) => a + b, 0)));
    expect(found.cutTokens).toBe(sum((e) => e.fullLength - e.ids.length));
    expect(found.lengths.counts.reduce((a, b) => a + b, 0)).toBe(60);
    const cut = all.filter((r) => r.encoded.fullLength > 64).length;
    expect(cut).toBeGreaterThan(0);
    expect(found.lengths).toMatchObject({ cut: 64, beyondCut: cut });
    expect(checkOf(found, 'over_length')).toMatchObject({ severity: 'warning', count: cut });
    expect(checkOf(found, 'over_length')?.places[0]).toMatchObject({
      line: expect.any(Number),
      split: expect.any(String),
    });
    expect(found.turns).toEqual([{ messages: 2, rows: 60 }]);
  });

  test('tell labels by side, and one that is nearly all there is', async () => {
    const labels = await described(questions.map((q, i) => row(q, i % 3 === 0 ? 'yes' : 'no')));
    const counts = labels.labels ?? [];
    expect(counts.map(({ text }) => text)).toEqual(['no', 'yes']);
    expect(counts.map(({ train, validation, test: kept }) => train + validation + kept)).toEqual([40, 20]);
    expect(counts[0]?.validation).toBe(
      labels.dataset.rows('validation').filter((r) => r.example.messages[1]?.content === 'no').length,
    );
    expect(checkOf(labels, 'label_balance')?.severity).toBe('ok');
    const skewed = await described(questions.map((q, i) => row(q, i < 6 ? 'yes' : 'no')));
    expect(checkOf(skewed, 'label_balance')).toMatchObject({
      severity: 'warning',
      count: 54,
      message: '90 % of the answers are “no”. A model that always says so is right that often.',
    });
    expect((await described(questions.map((q) => row(q, q)))).labels).toBeNull();
  });

  test('list system prompts and openings, the longest that is shared', async () => {
    const found = await described(
      questions.map((q, i) =>
        row(
          q,
          i % 2 ? `Thank you for asking, dear ${q}` : q,
          i < 40 ? (i < 30 ? 'Be kind.' : 'Be short.') : undefined,
        ),
      ),
    );
    expect(found.systemPrompts).toEqual([
      { text: 'Be kind.', rows: 30, first: { line: 1, split: expect.any(String) } },
      { text: 'Be short.', rows: 10, first: { line: 31, split: expect.any(String) } },
    ]);
    expect([found.systemPromptCount, found.rowsWithSystemPrompt]).toEqual([2, 40]);
    expect(checkOf(found, 'system_prompts')).toMatchObject({ severity: 'note', count: 20 });
    expect(found.openings).toEqual([
      { text: 'Thank you for asking, dear', rows: 30, first: { line: 2, split: expect.any(String) } },
    ]);
    expect(checkOf(found, 'openings')).toMatchObject({
      severity: 'note',
      message: '50 % of the answers begin “Thank you for asking, dear”. The model will begin so too.',
    });
  });

  test('put equal and nearly equal rows side by side, those across the split first', async () => {
    const [a, b, c, d] = questions as [string, string, string, string];
    const rows = [
      ...questions.slice(0, 30).map((q) => row(q, 'fine')),
      row(a, 'fine'),
      row(b, 'other'),
      row(`${c.toUpperCase()}!`, 'fine'),
    ];
    const apart = await described(rows, {}, { validation: { name: 'held.jsonl', content: row(d, 'fine') } });
    expect(apart.duplicateGroupCount).toBe(4);
    expect(apart.duplicates.map((g) => [g.kind, g.size, g.across])).toEqual([
      ['row', 2, true],
      ['row', 2, false],
      ['prompt', 2, false],
      ['near', 2, false],
    ]);
    expect(apart.duplicates[0]?.rows).toEqual([
      { line: 4, split: 'train', prompt: d, answer: 'fine' },
      { line: 1, file: 'validation', split: 'validation', prompt: d, answer: 'fine' },
    ]);
    expect(apart.duplicates[1]?.rows.map((r) => r.line)).toEqual([1, 31]);
    expect(checkOf(apart, 'leakage')).toMatchObject({
      severity: 'warning',
      count: 1,
      places: [{ line: 1, file: 'validation', split: 'validation' }],
    });
    expect(checkOf(apart, 'equal_rows')).toMatchObject({ severity: 'warning', count: 4 });
    expect(checkOf(apart, 'near_duplicates')).toMatchObject({ severity: 'note', count: 4 });
  });

  test('bound their lists, and count beyond them', async () => {
    const many = await described(
      Array.from({ length: 1200 }, (_, i) =>
        row(`${questions[i % 60]} ${questions[(i * 7) % 59]}`, 'a@b-shop.org'),
      ),
    );
    expect(many.duplicates.length).toBeLessThanOrEqual(100);
    expect(many.duplicates.every((group) => group.rows.length <= 6)).toBe(true);
    const email = checkOf(many, 'email');
    expect([email?.count, email?.places.length]).toEqual([1200, 100]);
  });

  test('have a line for each check, as a table for a terminal', async () => {
    const found = await described([
      ...questions.slice(0, 12).map((q) => row(q, 'fine')),
      row('Mail me at me@my-shop.org', 'fine'),
    ]);
    const lines = statisticsLines(found.dataset.report, found);
    expect(lines[0]).toMatch(/^Rows +13 \(1[01] train, [23] validation\)$/);
    for (const { label } of found.checks)
      expect(lines.some((line) => line.includes(`${label}: `))).toBe(true);
    expect(lines).toContainEqual(
      expect.stringMatching(/^ {2}warning {2}E-mail addresses: 1 row holds .* \(line 13\)$/),
    );
    for (const line of lines) expect(line).toBe(line.trimEnd());
  });
});

test('a histogram has every number in a bar, and few bars', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 40_000 }), { minLength: 1, maxLength: 200 }), (lengths) => {
      const { edges, counts } = histogram(lengths);
      expect(edges).toHaveLength(counts.length + 1);
      expect(counts.length).toBeLessThanOrEqual(26);
      for (const [i, count] of counts.entries()) {
        const inside = lengths.filter((n) => n >= (edges[i] as number) && n < (edges[i + 1] as number));
        expect(inside).toHaveLength(count);
      }
      expect(counts.reduce((a, b) => a + b, 0)).toBe(lengths.length);
      expect([counts[0], counts.at(-1)]).not.toContain(0);
    }),
  );
  expect(histogram([])).toEqual({ edges: [0], counts: [] });
});

describe('what looks like personal data', () => {
  const found = (text: string) => PERSONAL_KINDS.flatMap(({ id, find }) => (find(text) === null ? [] : [id]));

  test.each([
    ['Write to Jo.Marsh+news@mail.tide-house.co.uk today', ['email']],
    ['E-Mail: jörg@übung.de', ['email']],
    [`token sk-${'aB3'.repeat(9)}`, ['secret_key']],
    [`export GITHUB=ghp_${'x1Y2'.repeat(9)}`, ['secret_key']],
    ['AKIAABCDEFGHIJKLMNOP', ['secret_key']],
    ['-----BEGIN RSA PRIVATE KEY-----', ['secret_key']],
    ['card 4111 1111 1111 1111, thanks', ['card_number']],
    ['5500-0000-0000-0004', ['card_number']],
    ['IBAN DE89 3704 0044 0532 0130 00 BIC', ['iban']],
    ['GB82WEST12345698765432', ['iban']],
    ['Call +49 171 234 5678', ['phone']],
    ['(555) 123-4567', ['phone']],
    ['555-123-4567', ['phone']],
    ['ring 0171 2345678 after six', ['phone']],
  ])('%s', (text, kinds) => expect(found(text)).toEqual(kinds));

  test.each([
    'user@example.com and me@shop.test are for examples',
    'a @ b, @mention, x@y',
    'card 4111 1111 1111 1112 fails its check digit',
    '0000 0000 0000 0000',
    'DE89 3704 0044 0532 0130 01 fails its check number',
    'on 2024-01-15 at 10:30, 192.168.100.200, 3.14159265358979',
    'sk-short, ghp_short, the word skill-',
    'pages 100-200, 1,234,567.89 pounds, 12 345 678 people',
    'The order 2024 0001 has 12 pieces of 150 g.',
  ])('not %s', (text) => expect(found(text)).toEqual([]));

  test('is found in a time that grows with the text, whatever it is made of', () => {
    for (const unit of ['a', 'a.', '1', '1 ', '12-', '+1 ', '@', 'a@', 'A1', 'DE12 ', '(12)', 'eyJ', '0 ']) {
      const before = process.cpuUsage();
      found(unit.repeat(200_000 / unit.length));
      const { user } = process.cpuUsage(before);
      expect(user / 1000, unit).toBeLessThan(1000);
    }
  });
});

describe('the session', { timeout: 60_000 }, () => {
  test('describes the rows it has read, and can be told to stop', async () => {
    const folder = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
    const session = new EngineSession(() => {});
    await session.start({
      backend: 'wasm',
      wasmPath: `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`,
    });
    const files = readdirSync(folder).map((name) => ({
      path: `chat/${name}`,
      file: new Blob([readFileSync(path.join(folder, name))]),
    }));
    await session.loadModel({ kind: 'files', id: 'chat', files }, () => {});
    const text = Array.from({ length: 9000 }, (_, i) => row(`${questions[i % 60]} ${i}`, 'fine')).join('\n');
    await session.readData({ kind: 'text', name: 'rows.jsonl', text }, defaultHyperparameters());
    const shares: number[] = [];
    const all = await session.statistics((share) => void shares.push(share));
    expect(all.rows).toBe(9000);
    expect(shares.length).toBeGreaterThan(4);
    const stopped = session.statistics(() => void session.cancelMeasuring());
    await expect(stopped).rejects.toThrow(PlaygroundError);
    await expect(stopped).rejects.toMatchObject({ code: 'measuring_cancelled' });
    expect((await session.statistics(() => {})).rows).toBe(9000);
  });
});
