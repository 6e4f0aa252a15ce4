// Mends of a file: what is counted, shown before and after, chosen and written out again.
// Not here: what each broken row is read as (rows.test.ts, rowFormats.test.ts).

import { describe, expect, test } from 'vitest';
import { readDataFile } from '../src/data/dataFile';
import { mendFile } from '../src/data/mending';
import { MENDS } from '../src/data/reading/mends';
import type { MendChoices } from '../src/dataReport';

const good = (n: number) =>
  `{"messages": [{"role": "user", "content": "question ${n}"}, {"role": "assistant", "content": "answer ${n}"}]}`;
const none: MendChoices = { kinds: {}, rows: {} };

/** Groups of a text, without their sentences. */
async function mendsOf(text: string, mends: MendChoices = none, name = 'rows.jsonl') {
  const file = await readDataFile(name, text, { reading: { mends } });
  return file.mends.groups();
}

describe('every kind of mend', () => {
  test('has a title, what is done, and why it is certain, as sentences', () => {
    for (const { title, does, why } of Object.values(MENDS)) {
      expect(title).toMatch(/^[A-Z<]/);
      expect(does).toMatch(/\.$/);
      expect(why).toMatch(/\.$/);
    }
  });
});

describe('a mend', () => {
  test('is counted by kind and shown before and after', async () => {
    const text = [good(0), `${good(1)},`, good(2).replace('"user"', '"User"'), good(3)].join('\n');
    expect(await mendsOf(text)).toMatchObject([
      {
        code: 'trailing_comma',
        rows: 1,
        done: 1,
        lines: [2],
        examples: [{ line: 2, before: `${good(1)},`, done: true }],
      },
      {
        code: 'role_names',
        rows: 1,
        done: 1,
        lines: [3],
        examples: [{ line: 3, before: good(2).replace('"user"', '"User"'), after: good(2) }],
      },
    ]);
  });

  test('can be refused for all rows of its kind, or for one; then the row says what is wrong with it', async () => {
    const text = [1, 2, 3].map((n) => good(n).replace('"user"', '"User"')).join('\n');
    const one: MendChoices = { kinds: {}, rows: { role_names: { 2: false } } };
    const all: MendChoices = { kinds: { role_names: false }, rows: { role_names: { 3: true } } };
    const errors = async (mends: MendChoices) =>
      (await readDataFile('rows.jsonl', text, { reading: { mends } })).issues
        .filter(({ severity }) => severity === 'error')
        .map(({ line, code }) => `${line} ${code}`);
    expect(await errors(none)).toEqual([]);
    expect(await errors(one)).toEqual(['2 unrecognized_role']);
    expect(await errors(all)).toEqual(['1 unrecognized_role', '2 unrecognized_role']);
    expect(await mendsOf(text, all)).toMatchObject([
      {
        code: 'role_names',
        rows: 3,
        done: 1,
        examples: [{ done: false, after: good(1) }, { done: false }, { done: true }],
      },
    ]);
  });

  test('of the text of a row can be refused too, and the row is then no JSON', async () => {
    const text = [good(0), `${good(1)},`].join('\n');
    const file = await readDataFile('rows.jsonl', text, {
      reading: { mends: { kinds: { trailing_comma: false }, rows: {} } },
    });
    expect(file.examples.map(({ line }) => line)).toEqual([1]);
    expect(file.issues.find(({ severity }) => severity === 'error')).toMatchObject({
      code: 'invalid_json',
      line: 2,
    });
    expect(file.mends.groups()).toMatchObject([
      { code: 'trailing_comma', rows: 1, done: 0, examples: [{ after: good(1) }] },
    ]);
  });

  test('that changes what is learned is offered, and done when it is asked for', async () => {
    const text = [good(0), good(1).replace('answer 1', 'answer 1 \\n'), good(0)].join('\n');
    const offered = await mendsOf(text);
    expect(offered).toMatchObject([
      {
        code: 'whitespace_edge',
        rows: 1,
        done: 0,
        byDefault: false,
        examples: [{ after: good(1), done: false }],
      },
      { code: 'duplicate_row', rows: 1, done: 0, byDefault: false, lines: [3], examples: [{ after: '' }] },
    ]);
    const wanted = { kinds: { whitespace_edge: true, duplicate_row: true }, rows: {} };
    const mended = await mendFile('rows.jsonl', text, 'same', { reading: { mends: wanted } });
    expect(mended.text).toBe(`${good(0)}\n${good(1)}\n`);
    expect(mended.file.leftOut).toBe(1);
    expect(mended.file.examples).toHaveLength(2);
  });

  test('of more rows than are shown is there to be looked at, from any row on', async () => {
    const text = Array.from({ length: 50 }, (_, n) => `${good(n)},`).join('\n');
    const file = await readDataFile('rows.jsonl', text, {
      window: { code: 'trailing_comma', offset: 40, count: 5 },
    });
    expect(file.mends.windowRows.map(({ line }) => line)).toEqual([41, 42, 43, 44, 45]);
    expect(file.mends.groups()[0]?.examples).toHaveLength(3);
  });
});

describe('a mended file', () => {
  test('keeps sound rows to the letter, and rows that cannot be read', async () => {
    const odd = '{ "id":1.50,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}] }';
    const text = [odd, '{"messages": [oops]}', `// a comment`, `${good(2)},`].join('\n');
    const { text: mended } = await mendFile('rows.jsonl', text, 'same');
    expect(mended).toBe([odd, '{"messages": [oops]}', good(2), ''].join('\n'));
  });

  test.each<[string, string, string]>([
    ['Alpaca', '[{"instruction": "do", "input": "this", "output": "done",}]', 'list.json'],
    ['a table', 'prompt;completion\nwho;"me; and you"\nwhat;that\n', 'table.csv'],
    ['Markdown', '| question | answer |\n|---|---|\n| who | a<br>b |\n', 'table.md'],
    ['splits', `{"train": [${good(1)}, ${good(2)}], "validation": [${good(3)}]}`, 'splits.json'],
    ['a wrapper', `{"row_idx": 4, "row": ${good(1)}}`, 'rows.jsonl'],
    ['texts', '{"text": "one thing"}\n{"text": "another thing"}', 'rows.jsonl'],
    [
      'single quotes',
      `{'messages': [{'role': 'Human', 'content': 5}, {'role': 'gpt', 'content': 'x'}]}`,
      'rows.jsonl',
    ],
    ['texts in turn', '{"messages": ["a", "b"]}', 'rows.jsonl'],
    [
      'JSON in a cell',
      JSON.stringify({
        conversations: JSON.stringify([
          { from: 'Human', value: 'a' },
          { from: 'gpt', value: 'b' },
        ]),
      }),
      'rows.jsonl',
    ],
    [
      'null messages',
      '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": null, "content": null}]}',
      'rows.jsonl',
    ],
  ])('of %s reads as the same rows, in both forms, and needs no mend', async (_, text, name) => {
    const before = await readDataFile(name, text);
    expect(before.examples.length).toBeGreaterThan(0);
    const plain = (rows: typeof before.examples) => rows.map(({ line: _line, ...row }) => row);
    for (const form of ['same', 'chat'] as const) {
      const mended = await mendFile(name, text, form);
      const after = await readDataFile('mended.jsonl', mended.text);
      expect(plain(after.examples)).toEqual(plain(before.examples));
      expect(after.mends.groups()).toEqual([]);
      expect((await mendFile('mended.jsonl', mended.text, form)).text).toBe(mended.text);
    }
  });
});
