// The table of rows: what a search, a filter and an order find, with rows that have errors and rows of one conversation among them.
// Not here: how the table looks on the page (e2e/dataRoom.spec.ts).

import { describe, expect, test } from 'vitest';
import type { EncodedExample, Example } from '../src/contract';
import { RowTable, type UsedRow } from '../src/data/rowTable';
import type { RowQuery } from '../src/dataContract';

const everything: RowQuery = { search: '', use: null, code: null, sort: 'place', descending: false };

function row(
  line: number,
  words: [string, string],
  more: Partial<UsedRow> & { length?: number; answer?: number } = {},
): UsedRow {
  const { length = 10, answer, ...rest } = more;
  const [question, reply] = words;
  const example: Example = {
    line,
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: reply },
    ],
  };
  const encoded: EncodedExample = {
    line,
    ids: new Int32Array(Math.min(length, 12)),
    mask: Uint8Array.from({ length: Math.min(length, 12) }, (_, i) => (i > 3 ? 1 : 0)),
    fullLength: length,
    ...(answer !== undefined && { answer }),
  };
  return { use: 'train', index: line - 1, example, encoded, ...rest };
}

const table = new RowTable(
  [
    row(3, ['Where is the Straße?', 'Left.'], { use: 'validation', index: 0, length: 30 }),
    row(1, ['Who are you?', 'A pirate.'], { length: 12 }),
    row(5, ['And then?', 'Rum.'], { index: 1, length: 5 }),
  ],
  [{ line: 4, text: '{"messages": [' }],
  new Map([
    ['invalid_json', [4]],
    ['over_length', [3]],
    ['control_token_text', [1, 3]],
    ['too_few_rows', []],
  ]),
);
const lines = (query: Partial<RowQuery>) =>
  table.items([...table.find({ ...everything, ...query }).ids]).map(({ line }) => line);

describe('the table of rows', () => {
  test('holds every row once, in the order of the file', () => {
    expect(lines({})).toEqual([1, 3, 4, 5]);
    const found = table.find(everything);
    expect([...found.uses]).toEqual([0, 1, 3, 0]);
    expect([...found.indices]).toEqual([0, 0, -1, 1]);
  });

  test('finds a text in questions, answers and broken rows, whatever its case', () => {
    expect(lines({ search: 'PIRATE' })).toEqual([1]);
    expect(lines({ search: ' straße ' })).toEqual([3]);
    expect(lines({ search: '"messages"' })).toEqual([4]);
    expect(lines({ search: 'nowhere' })).toEqual([]);
  });

  test('filters by side and by issue, and counts the rows of each issue', () => {
    expect(lines({ use: 'train' })).toEqual([1, 5]);
    expect(lines({ use: 'unused' })).toEqual([4]);
    expect(lines({ code: 'control_token_text' })).toEqual([1, 3]);
    expect(lines({ code: 'control_token_text', use: 'validation' })).toEqual([3]);
    expect(table.find(everything).codes).toEqual([
      { code: 'control_token_text', rows: 2 },
      { code: 'over_length', rows: 1 },
      { code: 'invalid_json', rows: 1 },
    ]);
  });

  test('sorts by length and by learned tokens, rows without tokens last either way', () => {
    expect(lines({ sort: 'length' })).toEqual([5, 1, 3, 4]);
    expect(lines({ sort: 'length', descending: true })).toEqual([3, 1, 5, 4]);
    // As many learned tokens: the order of the file.
    expect(lines({ sort: 'learned', descending: true })).toEqual([1, 3, 5, 4]);
    expect(lines({ sort: 'place', descending: true })).toEqual([5, 4, 3, 1]);
  });

  test('shows the question and answer that a row ends with', () => {
    const example: Example = {
      line: 2,
      messages: ['one', 'two', 'three', 'four'].map((content, i) => ({
        role: i % 2 === 0 ? 'user' : 'assistant',
        content,
      })),
    };
    const of = (index: number, answer: number) => ({ ...row(2, ['', ''], { index, answer }), example });
    const shown = new RowTable([of(1, 3), of(0, 1)], [], new Map());
    expect(shown.items([0, 1]).map(({ prompt, reply, answer }) => [prompt, reply, answer])).toEqual([
      ['one', 'two', 1],
      ['three', 'four', 3],
    ]);
    expect(shown.items([7])).toEqual([]);
  });

  test('tells how much is cut, and shortens what it shows', () => {
    const [long] = new RowTable([row(1, ['x'.repeat(5000), 'y'], { length: 40 })], [], new Map()).items([0]);
    expect(long).toMatchObject({ tokens: 40, cut: 28, learned: 8 });
    expect(long?.prompt.length).toBeLessThan(300);
  });
});
