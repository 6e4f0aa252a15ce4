// 150 and more malformed files of over 30 kinds, drawn from a seed: each ends in the right code, line and mend; and what mending never does.
// Not here: single kinds in detail (rows.test.ts, rowFormats.test.ts), choosing mends (mending.test.ts).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../src/contract';
import { readDataBytes, readDataFile } from '../src/data/dataFile';
import { mendFile } from '../src/data/mending';
import { createRandom } from '../src/data/random';
import { MENDS, type MendCode } from '../src/data/reading/mends';

const WORDS =
  'boat harbour tide sail green light north wave Wörter “quoted” it’s 5,00 a:b {x} [y] \\ / tab'.split(' ');

/** A good row, its text as JSON. */
interface Row {
  messages: Message[];
  text: string;
}

type Draw = () => number;

function drawRow(draw: Draw, n: number): Row {
  const sentence = () =>
    Array.from({ length: 2 + Math.floor(draw() * 6) }, () => WORDS[Math.floor(draw() * WORDS.length)]).join(
      ' ',
    );
  const messages: Message[] = [
    ...(draw() < 0.3 ? [{ role: 'system' as const, content: `rule ${sentence()}` }] : []),
    { role: 'user', content: `${n} ${sentence()}` },
    { role: 'assistant', content: `said ${n} ${sentence()}` },
  ];
  return { messages, text: JSON.stringify({ messages }) };
}

interface Damaged {
  /** Lines in the place of the row. */
  text: string;
  /** What the row is read as; null where it cannot be read. */
  read?: Message[] | null;
  /** Of the row's first line. */
  mends?: readonly MendCode[];
  /** Of an error. */
  code?: string;
}

/** Plain words, where quotes of another kind would not be certain. */
const plain = (row: Row): Row => {
  const messages = row.messages.map((m) => ({
    ...m,
    content: m.content.replaceAll(/[“”’"'\\{}[\]:]/g, '').trim(),
  }));
  return { messages, text: JSON.stringify({ messages }) };
};
const python = (text: string) => text.replaceAll('"', "'");

/** Every kind: what it makes of a row, and what must come of it. */
const KINDS: Readonly<Record<string, (row: Row, draw: Draw) => Damaged>> = {
  'a comma behind the row': ({ text }) => ({ text: `${text},`, mends: ['trailing_comma'] }),
  'a comma in a list': ({ text }) => ({ text: text.replace(/\]\}$/, ',]}'), mends: ['trailing_comma'] }),
  'a comma in an object': ({ text }) => ({ text: text.replace('"}', '",}'), mends: ['trailing_comma'] }),
  'no comma between messages': ({ text }) => ({
    text: text.replaceAll('},{', '} {'),
    mends: ['missing_comma'],
  }),
  'single quotes': (row) => ({
    text: python(plain(row).text),
    read: plain(row).messages,
    mends: ['single_quotes'],
  }),
  'curly quotes': (row) => ({
    text: plain(row).text.replaceAll(/"([^"]*)"/g, '“$1”'),
    read: plain(row).messages,
    mends: ['curly_quotes'],
  }),
  'low quotes': (row) => ({
    text: plain(row).text.replaceAll(/"([^"]*)"/g, '„$1“'),
    read: plain(row).messages,
    mends: ['curly_quotes'],
  }),
  'keys without quotes': ({ text }) => ({
    text: text.replaceAll(/"(messages|role|content)":/g, '$1:'),
    mends: ['unquoted_keys'],
  }),
  'None and NaN': ({ text }) => ({
    text: text.replace('{', '{"id": None, "score": NaN, '),
    mends: ['python_words'],
  }),
  'a comment in the row': ({ text }) => ({ text: text.replace('[', '[ /* two */ '), mends: ['comments'] }),
  'a comment behind the row': ({ text }) => ({ text: `${text} // checked`, mends: ['comments'] }),
  'a tab in a text': ({ messages }) => {
    const changed = messages.map((m) => ({ ...m, content: `a\tb ${m.content}` }));
    return {
      text: JSON.stringify({ messages: changed }).replaceAll('\\t', '\t'),
      read: changed,
      mends: ['control_characters'],
    };
  },
  'an escape of Python': ({ messages }) => {
    const changed = messages.map((m) => ({ ...m, content: `é ${m.content}` }));
    return {
      text: JSON.stringify({ messages: changed }).replaceAll('é', '\\xe9'),
      read: changed,
      mends: ['escapes'],
    };
  },
  'over several lines': ({ messages }) => ({
    text: JSON.stringify({ messages }, null, 2),
    mends: ['spread_rows'],
  }),
  'capital roles': ({ text }) => ({ text: text.replace('"user"', '"User"'), mends: ['role_names'] }),
  'role model': ({ text }) => ({ text: text.replace('"assistant"', '"model"'), mends: ['role_names'] }),
  'role Human': ({ text }) => ({ text: text.replace('"user"', '"Human"'), mends: ['role_names'] }),
  'role in German': ({ text }) => ({ text: text.replace('"user"', '"Benutzer"'), mends: ['role_names'] }),
  'role with a colon': ({ text }) => ({ text: text.replace('"user"', '"User:"'), mends: ['role_names'] }),
  'a number for a text': ({ messages }) => {
    const changed = [...messages.slice(0, -1), { role: 'assistant' as const, content: '1.50' }];
    return {
      text: JSON.stringify({ messages: changed }).replace('"1.50"', '1.50'),
      read: changed,
      mends: ['number_content'],
    };
  },
  'true for a text': ({ messages }) => {
    const changed = [...messages.slice(0, -1), { role: 'assistant' as const, content: 'true' }];
    return {
      text: JSON.stringify({ messages: changed }).replace('"true"', 'true'),
      read: changed,
      mends: ['number_content'],
    };
  },
  'null messages at the end': ({ text }) => ({
    text: text.replace(/\]\}$/, ',{"role":null,"content":null}]}'),
    mends: ['null_content'],
  }),
  'an empty system message': ({ messages }) => {
    const rest = messages.filter(({ role }) => role !== 'system');
    return {
      text: JSON.stringify({ messages: [{ role: 'system', content: '' }, ...rest] }),
      read: rest,
      mends: ['empty_system'],
    };
  },
  'JSON in a text': ({ messages }) => ({
    text: JSON.stringify({ messages: JSON.stringify(messages) }),
    mends: ['nested_json'],
  }),
  'the row as a text': ({ text }) => ({ text: JSON.stringify(text), mends: ['nested_json'] }),
  'another object around it': ({ text }) => ({
    text: `{"row_idx": 4, "row": ${text}}`,
    mends: ['wrapped_row'],
  }),
  'messages under another key': ({ messages }) => ({
    text: JSON.stringify({ talk: messages }),
    mends: ['wrapped_row'],
  }),
  'a line number': ({ text }) => ({ text: `17: ${text}`, mends: ['line_marks'] }),
  'a bullet': ({ text }) => ({ text: `- ${text}`, mends: ['line_marks'] }),
  'data: in front': ({ text }) => ({ text: `data: ${text}`, mends: ['line_marks'] }),
  'a semicolon behind': ({ text }) => ({ text: `${text};`, mends: ['line_marks'] }),
  'white space at the edge': ({ messages }) => {
    const changed = messages.map((m) => ({ ...m, content: `${m.content}\n` }));
    return { text: JSON.stringify({ messages: changed }), read: changed, mends: ['whitespace_edge'] };
  },
  'cut off': ({ text }, draw) => ({
    text: text.slice(0, 20 + Math.floor(draw() * (text.length - 22))),
    read: null,
    code: 'invalid_json',
  }),
  'a bracket too many': ({ text }) => ({ text: `${text}}`, read: null, code: 'invalid_json' }),
  'a quote in a text': ({ text }) => ({
    text: text.replace(/"said /, '"said "so" '),
    read: null,
    code: 'invalid_json',
  }),
  'a role that is none': ({ text }) => ({
    text: text.replace('"user"', '"usr"'),
    read: null,
    code: 'unrecognized_role',
  }),
  'an empty text': ({ messages }) => ({
    text: JSON.stringify({ messages: [...messages.slice(0, -1), { role: 'assistant', content: ' ' }] }),
    read: null,
    code: 'missing_content',
  }),
  'invisible characters': ({ messages }) => ({
    text: JSON.stringify({
      messages: [...messages.slice(0, -1), { role: 'assistant', content: '\u200b\ufeff' }],
    }),
    read: null,
    code: 'missing_content',
  }),
  'no answer': ({ messages }) => ({
    text: JSON.stringify({ messages: messages.slice(0, -1) }),
    read: null,
    code: 'example_missing_assistant_message',
  }),
  'unknown keys': () => ({ text: '{"alpha": "a", "beta": "b"}', read: null, code: 'missing_messages_list' }),
  'a list in the place of a row': () => ({ text: '[1, 2]', read: null, code: 'data_type' }),
  'a weight that does not exist': ({ text }) => ({
    text: text.replace('{', '{"weight": -1, '),
    read: null,
    code: 'bad_weight',
  }),
};

const FILES_A_KIND = 4;
const ROWS = 8;

/** A file of good rows with one damaged among them. */
function drawFile(kind: string, seed: number) {
  const draw = createRandom(seed);
  const rows = Array.from({ length: ROWS }, (_, n) => drawRow(draw, n));
  const at = 1 + Math.floor(draw() * (ROWS - 1));
  const damage = KINDS[kind] as (typeof KINDS)[string];
  const damaged = damage(rows[at] as Row, draw);
  const texts = rows.map(({ text }, n) => (n === at ? damaged.text : text));
  const read = damaged.read === undefined ? (rows[at] as Row).messages : damaged.read;
  const expected = rows.flatMap(({ messages }, n) => (n !== at ? [messages] : read ? [read] : []));
  return { text: texts.join('\n'), damaged, line: at + 1, rows, at, expected };
}

const files = Object.keys(KINDS).flatMap((kind, k) =>
  Array.from({ length: FILES_A_KIND }, (_, n) => [kind, 1000 * k + n] as const),
);
const contents = (examples: readonly { messages: Message[] }[]) => examples.map(({ messages }) => messages);

describe('malformed files', () => {
  test('are 150 and more, of 30 and more kinds', () => {
    expect(Object.keys(KINDS).length).toBeGreaterThanOrEqual(30);
    expect(files.length).toBeGreaterThanOrEqual(150);
  });

  test.each(files)('%s (%i) ends in the right code, line and mend', async (kind, seed) => {
    const { text, damaged, line, rows, at, expected } = drawFile(kind, seed);
    const file = await readDataFile('rows.jsonl', text);
    expect(contents(file.examples)).toEqual(expected);
    const found = file.mends.groups().map(({ code, rows: count, lines }) => [code, count, lines]);
    expect(found).toEqual((damaged.mends ?? []).map((code) => [code, 1, [line]]));
    const errors = file.issues.filter(({ severity }) => severity === 'error');
    expect(errors.map((issue) => [issue.line, issue.code])).toEqual(
      damaged.code ? [[line, damaged.code]] : [],
    );
    // Mending never touches a good row, reads the same again, and has nothing more to do.
    for (const form of ['same', 'chat'] as const) {
      const mended = (await mendFile('rows.jsonl', text, form)).text;
      const lines = mended.trimEnd().split('\n');
      expect(lines.filter((_, n) => n !== at)).toEqual(
        rows.filter((_, n) => n !== at).map((row) => row.text),
      );
      const again = await mendFile('mended.jsonl', mended, form);
      expect(contents(again.file.examples)).toEqual(expected);
      expect(again.text).toBe(mended);
      expect(again.file.mends.groups().filter(({ done }) => done > 0)).toEqual([]);
    }
  });
});

describe('whole files', () => {
  const draw = createRandom(5);
  const rows = Array.from({ length: 10 }, (_, n) => plain(drawRow(draw, n)));
  const lines = rows.map(({ text }) => text);
  const list = (texts: readonly string[]) => `[\n${texts.join(',\n')}\n]`;
  test.each<[string, string, MendCode[]]>([
    [
      'a code block',
      `Here are the rows:\n\`\`\`json\n${lines.join('\n')}\n\`\`\`\n`,
      ['code_fence', 'text_around'],
    ],
    ['comments between', `// first\n${lines.join('\n# next\n')}`, ['comments']],
    ['a list without its end', list(lines).slice(0, -2), ['list_brackets', 'trailing_comma']],
    ['a list with a comma too many', `[${lines.join(',')},]`, ['trailing_comma']],
    ['a list in Python', `rows = ${python(list(lines))}`, ['text_around', 'single_quotes']],
    ['several rows a line', lines.join(' '), ['rows_on_one_line']],
    ['lists by side', `{"train": ${list(lines.slice(0, 7))}, "validation": ${list(lines.slice(7))}}`, []],
    ['a list under a key', `{"version": 2, "data": ${list(lines)}}`, []],
    ['line ends of all systems', lines.map((line, n) => line + ['\n', '\r\n'][n % 2]).join(''), []],
    ['a byte order mark', `\uFEFF${lines.join('\n')}`, ['bom_removed']],
  ])('with %s hold the same rows', async (_, text, mends) => {
    const file = await readDataFile('rows.jsonl', text);
    expect(contents(file.examples)).toEqual(rows.map(({ messages }) => messages));
    expect(
      file.mends
        .groups()
        .map(({ code }) => code)
        .sort(),
    ).toEqual([...mends].sort());
    const mended = (await mendFile('rows.jsonl', text, 'chat')).text;
    const again = await mendFile('mended.jsonl', mended, 'chat');
    expect([contents(again.file.examples), again.text]).toEqual([contents(file.examples), mended]);
    expect(again.file.examples.map(({ split }) => split)).toEqual(file.examples.map(({ split }) => split));
  });

  test('in Windows-1252 are converted, and letters encoded twice are put right when that is asked for', async () => {
    const text = lines.map((line) => line.replace('said', 'Wörter für draußen, said')).join('\n');
    const latin = await readDataBytes(
      'rows.jsonl',
      Uint8Array.from(text, (c) => c.charCodeAt(0)),
    );
    expect(latin.mends.groups()).toMatchObject([
      { code: 'encoding_converted', rows: 10, done: 10, choice: 'encoding' },
    ]);
    const twice = new TextDecoder('windows-1252').decode(new TextEncoder().encode(text));
    const offered = await readDataFile('rows.jsonl', twice);
    expect(offered.mends.groups()).toMatchObject([
      { code: 'double_encoded', rows: 10, done: 0, lines: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
    ]);
    const mended = await readDataFile('rows.jsonl', twice, {
      reading: { mends: { kinds: { double_encoded: true }, rows: {} } },
    });
    expect(contents(mended.examples)).toEqual(contents(latin.examples));
  });
});

describe('any mixture of damaged rows', () => {
  const kinds = Object.keys(KINDS);
  test('is mended once, reads the same again, and leaves its good rows to the letter', async () => {
    const mixture = fc.array(fc.tuple(fc.nat(kinds.length), fc.nat(10_000)), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(mixture, fc.boolean(), async (picks, asked) => {
        const drawn = picks.map(([kind, seed], n) => {
          const draw = createRandom(seed);
          const row = drawRow(draw, 100 * n);
          const damage = KINDS[kinds[kind] ?? ''];
          return { row, good: damage === undefined, text: damage ? damage(row, draw).text : row.text };
        });
        const text = drawn.map((one) => one.text).join('\n');
        const all = Object.fromEntries(Object.keys(MENDS).map((code) => [code, true]));
        const options = asked ? { reading: { mends: { kinds: all, rows: {} } } } : {};
        const first = await mendFile('rows.jsonl', text, 'same', options);
        const second = await mendFile('rows.jsonl', first.text, 'same', options);
        expect(second.text).toBe(first.text);
        expect(contents(second.file.examples)).toEqual(contents(first.file.examples));
        expect(second.file.mends.groups().filter(({ done }) => done > 0)).toEqual([]);
        const written = new Set(first.text.split('\n'));
        for (const { good, row } of drawn) if (good) expect(written).toContain(row.text);
      }),
      { numRuns: 150, seed: 11 },
    );
  });
});
