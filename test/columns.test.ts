// Tables whose columns are named, guessed, chosen or unknown, and rows whose keys are chosen; what the report says of them.
// Not here: what stands between cells, quotes and Markdown (rows.test.ts), the option of the command line (cliData.test.ts).

import { describe, expect, test } from 'vitest';
import { ROW_FORMAT_EXAMPLES, ROW_FORMAT_LABELS } from '../src/acceptedFiles';
import { readDataFile } from '../src/data/dataFile';
import { mendFile } from '../src/data/mending';
import type { ColumnChoice } from '../src/dataReport';

const read = (text: string, columns?: ColumnChoice, name = 'table.csv') =>
  readDataFile(name, text, columns ? { reading: { columns } } : {});
const contents = ({ examples }: Awaited<ReturnType<typeof read>>) =>
  examples.map(({ messages }) => messages.map(({ content }) => content));

describe('a table', () => {
  test('says which columns became what, and shows its first rows', async () => {
    const { table } = await read('id,Question,Context,Answer\n1,who,here,me\n2,what,there,that\n');
    expect(table).toEqual({
      columns: ['id', 'Question', 'Context', 'Answer'],
      preview: [
        ['1', 'who', 'here', 'me'],
        ['2', 'what', 'there', 'that'],
      ],
      chosen: { user: ['Question', 'Context'], assistant: ['Answer'] },
      by: 'names',
    });
  });

  test('whose names say nothing is guessed where two columns hold words, and that is told', async () => {
    const file = await read('Karte vorn;Karte hinten\nwho;me\n');
    expect(file.table).toMatchObject({
      by: 'guess',
      chosen: { user: ['Karte vorn'], assistant: ['Karte hinten'] },
    });
    expect(file.issues.find(({ code }) => code === 'columns_assumed')?.fix).toMatch(/choose the columns/);
  });

  test('without a line of names keeps its first row', async () => {
    const file = await read(
      '"What is a fjord, in short?","It is a long inlet of the sea."\n"Who lives there?","People do."\n',
    );
    expect(contents(file)).toEqual([
      ['What is a fjord, in short?', 'It is a long inlet of the sea.'],
      ['Who lives there?', 'People do.'],
    ]);
    expect(file.table).toMatchObject({ by: 'guess', columns: ['column 1', 'column 2'] });
    expect(file.issues.find(({ code }) => code === 'columns_assumed')?.message).toMatch(
      /first line is read as a row/,
    );
  });

  test('of more columns is read by the visitor’s choice, and keeps the others when it is written', async () => {
    const text = 'id,alpha,beta,gamma,prompt\n1,a,b,c,p\n2,d,,f,q\n';
    expect((await read(text.replace('prompt', 'delta'))).table).toMatchObject({ by: 'nothing', chosen: {} });
    const columns = { user: ['alpha', 'beta'], assistant: ['gamma'], system: ['delta'] };
    const chosen = await read(text.replace('prompt', 'delta'), columns);
    expect(contents(chosen)).toEqual([
      ['p', 'a\nb', 'c'],
      ['q', 'd', 'f'],
    ]);
    expect(chosen.table).toMatchObject({ by: 'choice', chosen: columns });
    expect(chosen.table?.preview).toHaveLength(2);
    // A column that is known by its name is not read when others are chosen.
    const other = await mendFile('table.csv', text, 'same', {
      reading: { columns: { user: ['beta'], assistant: ['gamma'] } },
    });
    expect(contents(other.file)[0]).toEqual(['b', 'c']);
    expect(other.file.issues.find(({ code }) => code === 'unused_key')?.message).toMatch(/“prompt”/);
    expect(JSON.parse(other.text.split('\n')[0] ?? '')).toEqual({
      messages: [
        { role: 'user', content: 'b' },
        { role: 'assistant', content: 'c' },
      ],
      id: '1',
      alpha: 'a',
      prompt: 'p',
    });
    expect(contents(await readDataFile('mended.jsonl', other.text))).toEqual(contents(other.file));
  });

  test('can be texts, and does not know a column that it has not', async () => {
    const text = 'one,two,three\na,b,c\n';
    expect((await read(text, { text: ['two'] })).examples).toEqual([{ line: 2, messages: [], text: 'b' }]);
    const wrong = await read(text, { user: ['one'], assistant: ['four'] });
    expect(wrong.issues).toMatchObject([
      { code: 'unknown_columns', message: expect.stringContaining('“four”') },
    ]);
    expect(wrong.table?.by).toBe('nothing');
  });
});

describe('the example of every row format', () => {
  test.each(Object.entries(ROW_FORMAT_EXAMPLES))(
    'of %s is read as that, without a word',
    async (format, example) => {
      const file = await read(example, undefined, 'rows.jsonl');
      expect([file.format, file.examples.length]).toEqual([format, 1]);
      const told = file.issues.map(({ code }) => code).filter((code) => code !== 'too_few_rows');
      expect(told).toEqual(format === 'preference' ? ['preference_chosen'] : []);
      expect(Object.keys(ROW_FORMAT_LABELS)).toContain(format);
    },
  );
});

describe('keys of JSON rows', () => {
  test('are read by the visitor’s choice, and rows of another format as they are', async () => {
    const rows = [
      { vorn: 'who', hinten: 'me', note: 'n' },
      {
        messages: [
          { role: 'user', content: 'u' },
          { role: 'assistant', content: 'a' },
        ],
      },
    ];
    const text = rows.map((value) => JSON.stringify(value)).join('\n');
    const file = await read(text, { user: ['vorn'], assistant: ['hinten'] }, 'rows.jsonl');
    expect(contents(file)).toEqual([
      ['who', 'me'],
      ['u', 'a'],
    ]);
    expect(file.understood).toContain('vorn → user, hinten → assistant');
    expect(file.table).toMatchObject({
      by: 'choice',
      columns: ['vorn', 'hinten', 'note'],
      preview: [['who', 'me', 'n']],
    });
  });

  test('that say nothing are shown, to be chosen from', async () => {
    const file = await read('{"vorn": "who", "hinten": "me"}\n{"vorn": "what"}\n', undefined, 'rows.jsonl');
    expect(file.table).toEqual({
      by: 'nothing',
      chosen: {},
      columns: ['vorn', 'hinten'],
      preview: [['who', 'me']],
    });
    expect(file.issues.find(({ code }) => code === 'missing_messages_list')?.fix).toMatch(
      /Choose which key is what/,
    );
  });
});
