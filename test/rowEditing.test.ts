// A row changed: what a typed text comes to, and the whole data with the change, for JSONL, lists, tables and broken rows.
// Not here: the editor on the page (e2e/dataRoom.spec.ts).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createChat } from '../src/data/tokens/chat';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { errorDetails } from '../src/errors';
import { defaultHyperparameters } from '../src/hyperparameters';
import type { Architecture } from '../src/modelArchitecture';
import { Dataset } from '../src/session/dataset';
import { changeRow, checkRow, rowTexts } from '../src/session/rowEditing';

const read = (file: string) =>
  JSON.parse(
    readFileSync(fileURLToPath(new URL(`./fixtures/tokenizers/gpt2-like/${file}`, import.meta.url)), 'utf8'),
  ) as Record<string, unknown>;
const chat = createChat(
  createTokenizer({
    tokenizerJson: read('tokenizer.json'),
    tokenizerConfig: read('tokenizer_config.json'),
    chatTemplate: null,
    eosTokenIds: [],
  }),
);
const h = defaultHyperparameters();
const good = (n: number | string) =>
  `{"messages": [{"role": "user", "content": "question ${n}"}, {"role": "assistant", "content": "answer ${n}"}]}`;

async function dataOf(name: string, text: string): Promise<Dataset> {
  const dataset = await Dataset.read(name, text);
  dataset.encode(chat, { contextLength: 512 } as Architecture, h);
  return dataset;
}
const refusal = async (work: Promise<unknown>) =>
  errorDetails(await work.then(() => null).catch((thrown: unknown) => thrown)).code;

describe('a row that changes', () => {
  test('takes its place among the others, which stay to the letter', async () => {
    const dataset = await dataOf('rows.jsonl', [good(1), '', good(2), '{"messages": [', good(4)].join('\n'));
    expect(await rowTexts(dataset, 3)).toEqual([{ same: good(2), chat: good(2) }]);
    expect(await rowTexts(dataset, 4)).toEqual([{ same: '{"messages": [', chat: '{"messages": [' }]);
    expect(await changeRow(dataset, { line: 4, text: good('three') })).toEqual({
      name: 'rows-edited.jsonl',
      text: `${[good(1), good(2), JSON.stringify(JSON.parse(good('three'))), good(4)].join('\n')}\n`,
      line: 3,
    });
    expect((await changeRow(dataset, { line: 1, text: null })).text).toBe(
      `${[good(2), '{"messages": [', good(4)].join('\n')}\n`,
    );
    const added = await changeRow(dataset, { line: null, text: good('last') });
    expect(added.text.trimEnd().split('\n')).toHaveLength(5);
    expect(added.line).toBe(5);
  });

  test('can be read again, and only it is another', async () => {
    const dataset = await dataOf('rows.jsonl', Array.from({ length: 12 }, (_, n) => good(n)).join('\n'));
    const { name, text } = await changeRow(dataset, { line: 5, text: good('new') });
    const again = await dataOf(name, text);
    expect((await changeRow(again, { line: 1, text: null })).name).toBe('rows-edited.jsonl');
    const contents = (data: Dataset) => data.rows('all').map(({ example }) => example.messages[1]?.content);
    expect(contents(again)).toEqual(contents(dataset).with(4, 'answer new'));
    expect(again.report.hash).not.toBe(dataset.report.hash);
  });

  test('makes chat messages of a table, one row a line', async () => {
    const dataset = await dataOf('rows.csv', 'question,answer\n"a ""b""",c\nd,e\n');
    const { name, text } = await changeRow(dataset, { line: 3, text: good('new') });
    expect(name).toBe('rows-edited.jsonl');
    const rows = text.trimEnd().split('\n');
    expect(rows.map((row) => JSON.parse(row).messages[0].content)).toEqual(['a "b"', 'question new']);
  });

  test('is refused where several rows stand at its line, where there is none, and in a text', async () => {
    const list = await dataOf('rows.jsonl', [good(0), [1, 2, 3].map(good).join(' ')].join('\n'));
    expect(await rowTexts(list, 2)).toHaveLength(3);
    expect(await refusal(changeRow(list, { line: 2, text: good('new') }))).toBe('row_not_alone');
    expect(await refusal(changeRow(list, { line: 9, text: null }))).toBe('row_not_found');
    const book = await dataOf('book.txt', 'Once upon a time there was a boat.\n\nIt was painted.\n');
    expect(await refusal(rowTexts(book, 1))).toBe('text_without_rows');
  });
});

describe('a row that is typed', () => {
  test('tells its tokens when it is right', () => {
    const check = checkRow(JSON.stringify(JSON.parse(good(1)), null, 2), chat, 512, h);
    expect(check.issues.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(check.messages).toHaveLength(2);
    expect(check.tokens).toBeGreaterThan(4);
    expect(check.learned).toBeGreaterThan(1);
    expect(check.cut).toBe(0);
    expect(checkRow(good('long').replace('answer', 'answer '.repeat(900)), chat, 512, h).cut).toBeGreaterThan(
      0,
    );
  });

  test('tells what is wrong and where, and nothing about the number of rows', () => {
    const [issue, ...more] = checkRow(
      '{"messages": [{"role": "captain", "content": "Ahoy"}]}',
      chat,
      512,
      h,
    ).issues;
    expect(more.map(({ code }) => code)).not.toContain('too_few_rows');
    expect(issue).toMatchObject({
      code: 'unrecognized_role',
      severity: 'error',
      line: 1,
      path: 'messages[0].role',
    });
    expect(checkRow('{"messages": [', chat, 512, h)).toMatchObject({
      issues: [{ code: 'invalid_json', severity: 'error' }],
      tokens: null,
      messages: null,
    });
  });
});
