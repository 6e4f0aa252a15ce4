// Reading rows: JSON and tables, sound and broken; every problem with its place, what is mended, what is said once for a file.
// Not here: each format and what stands beside its keys (rowFormats.test.ts), texts (plainText.test.ts), tokens and splits (data.test.ts).

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { Issue, Message } from '../src/contract';
import { layoutOf } from '../src/data/reading/fileLayout';
import { parseExamples } from '../src/data/reading/jsonl';
import { mendJson } from '../src/data/reading/jsonMend';
import { findJsonFault } from '../src/data/reading/jsonText';
import { parseMarkdownTables, parseTable } from '../src/data/reading/tabular';

const say = (role: string, content: unknown, more: object = {}) => ({ role, content, ...more });
const row = (...messages: object[]) => JSON.stringify({ messages });
const good = (n: number) => row(say('user', `question ${n}`), say('assistant', `answer ${n}`));
const tenGood = Array.from({ length: 10 }, (_, i) => good(i));

const parsedGood = tenGood.map((line) => JSON.parse(line) as { messages: object[] });

/** Issues of a file whose first line is the text and whose other lines are sound. */
function issuesOf(text: string): Issue[] {
  return parseExamples([text, ...tenGood].join('\n')).issues;
}

function onlyIssue(text: string): Issue {
  const issues = issuesOf(text);
  expect(issues).toHaveLength(1);
  return issues[0] as Issue;
}

/** The character that the caret stands under. */
function pointedAt(issue: Issue): string {
  return (issue.excerpt ?? '')[(issue.caret ?? 0) - 1] ?? '';
}

describe('a sound file', () => {
  test('is read without a word, whatever its line ends', () => {
    for (const text of [
      tenGood.join('\n'),
      `${tenGood.join('\r\n')}\r\n`,
      `\n\n${tenGood.join('\n\n  \n')}\n`,
      tenGood.join('\r'),
    ]) {
      const { examples, issues, rows, format } = parseExamples(text);
      expect(issues).toEqual([]);
      expect([examples.length, rows, format]).toEqual([10, 10, 'messages']);
      expect(examples[3]?.messages[1]).toEqual({ role: 'assistant', content: 'answer 3' });
    }
    expect(parseExamples(tenGood.join('\n\n')).examples.map((e) => e.line)).toEqual([
      1, 3, 5, 7, 9, 11, 13, 15, 17, 19,
    ]);
  });

  test('may be one JSON array, indented or not', () => {
    const values = tenGood.map((line) => JSON.parse(line) as object);
    const indented = parseExamples(JSON.stringify(values, null, 2));
    expect(indented.examples).toHaveLength(10);
    expect(indented.issues).toEqual([]);
    expect(indented.examples[1]?.line).toBe(14);
    const compact = parseExamples(JSON.stringify(values));
    expect(compact.examples.map((e) => e.line)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(compact.issues.map((i) => i.code)).toEqual(['json_array']);
  });

  test('may have rows in the shapes of other tools, each known by itself', () => {
    const shapes: [object, Message[]][] = [
      [
        { prompt: 'P', completion: 'C' },
        [
          { role: 'user', content: 'P' },
          { role: 'assistant', content: 'C' },
        ],
      ],
      [
        { question: 'P', answer: 'C', id: 4 },
        [
          { role: 'user', content: 'P' },
          { role: 'assistant', content: 'C' },
        ],
      ],
      [
        { prompt: [say('user', 'P')], completion: [say('assistant', 'C')] },
        [
          { role: 'user', content: 'P' },
          { role: 'assistant', content: 'C' },
        ],
      ],
      [
        { instruction: 'I', input: 'X', output: 'O' },
        [
          { role: 'user', content: 'I\nX' },
          { role: 'assistant', content: 'O' },
        ],
      ],
      [
        { instruction: 'I', input: '', output: 'O', system: 'S', history: [['a', 'b']] },
        [
          { role: 'system', content: 'S' },
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
          { role: 'user', content: 'I' },
          { role: 'assistant', content: 'O' },
        ],
      ],
      [
        {
          conversations: [
            { from: 'system', value: 'S' },
            { from: 'human', value: 'P' },
            { from: 'gpt', value: 'C' },
          ],
        },
        [
          { role: 'system', content: 'S' },
          { role: 'user', content: 'P' },
          { role: 'assistant', content: 'C' },
        ],
      ],
      [
        {
          messages: [
            say('user', [{ type: 'text', text: 'P' }]),
            say('assistant', 'C', { weight: 0 }),
            say('user', 'Q'),
            say('assistant', 'D', { weight: 1, name: 'x' }),
          ],
        },
        [
          { role: 'user', content: 'P' },
          { role: 'assistant', content: 'C', weight: 0 },
          { role: 'user', content: 'Q' },
          { role: 'assistant', content: 'D', weight: 1 },
        ],
      ],
    ];
    for (const [value, messages] of shapes) {
      const parsed = parseExamples([JSON.stringify(value), ...tenGood].join('\n'));
      expect(parsed.examples[0]?.messages).toEqual(messages);
      const mixed = 'messages' in value ? [] : ['mixed_formats'];
      const unused = 'id' in value || JSON.stringify(value).includes('"name"') ? ['unused_key'] : [];
      expect(parsed.issues.map((i) => i.code)).toEqual([...unused, ...mixed]);
      expect(parsed.format).toBe(mixed.length > 0 ? 'mixed' : 'messages');
    }
  });
});

describe('a problem in a row', () => {
  const u = say('user', 'hi');
  const a = say('assistant', 'yo');
  test.each<[string, string, Issue['severity'], string, string | undefined, string]>([
    ['a list for a row', '["a"]', 'error', 'data_type', undefined, '['],
    ['text for a row', '"a"', 'error', 'data_type', undefined, '"'],
    ['a message that is text', row(u, 'x' as unknown as object, a), 'error', 'data_type', 'messages[1]', '"'],
    ['no messages', '{"foo": "a"}', 'error', 'missing_messages_list', undefined, '{'],
    ['empty messages', '{"messages": []}', 'error', 'missing_messages_list', 'messages', '['],
    ['messages that are no list', '{"messages": {}}', 'error', 'missing_messages_list', 'messages', '{'],
    ['a message without role', row({ content: 'x' }, a), 'error', 'message_missing_key', 'messages[0]', '{'],
    [
      'a message without content',
      row({ role: 'user' }, a),
      'error',
      'message_missing_key',
      'messages[0]',
      '{',
    ],
    ['an unknown role', row(say('usr', 'x'), a), 'error', 'unrecognized_role', 'messages[0].role', '"'],
    ['empty content', row(u, say('assistant', '')), 'error', 'missing_content', 'messages[1].content', '"'],
    ['content of spaces', row(say('user', ' \n'), a), 'error', 'missing_content', 'messages[0].content', '"'],
    ['content null', row(say('user', null), a), 'error', 'missing_content', 'messages[0].content', 'n'],
    [
      'content an object',
      row(say('user', { a: 1 }), a),
      'error',
      'missing_content',
      'messages[0].content',
      '{',
    ],
    [
      'an empty completion',
      '{"prompt": "a", "completion": ""}',
      'error',
      'missing_content',
      'completion',
      '"',
    ],
    ['no answer', row(u), 'error', 'example_missing_assistant_message', 'messages', '['],
    ['a weight of 0.5', row(u, { ...a, weight: 0.5 }), 'error', 'bad_weight', 'messages[1].weight', '0'],
    [
      'a weight of 0 on the row',
      '{"weight": 0, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}',
      'error',
      'bad_weight',
      'weight',
      '0',
    ],
    ['two questions', row(u, u, a), 'warning', 'role_order', 'messages[1]', '{'],
    ['the assistant first', row(a), 'warning', 'role_order', 'messages[0]', '{'],
    [
      'a late system message',
      row(u, a, say('system', 's'), u, a),
      'warning',
      'system_not_first',
      'messages[2]',
      '{',
    ],
    ['no last answer', row(u, a, u), 'warning', 'last_not_assistant', 'messages[2]', '{'],
    [
      'a space at the edge',
      row(u, say('assistant', 'yo\n')),
      'warning',
      'whitespace_edge',
      'messages[1].content',
      '"',
    ],
  ])('%s is told with code, path and place', (_, text, severity, code, path, under) => {
    const issues = issuesOf(text).filter(
      (i) => i.code !== 'mixed_formats' && (code !== 'unrecognized_role' || i.code === code),
    );
    expect(issues.map((i) => i.code).filter((c) => c === code)).toHaveLength(1);
    const issue = issues.find((i) => i.code === code) as Issue;
    expect(issue).toMatchObject({ severity, line: 1 });
    expect(issue.path).toBe(path);
    expect(pointedAt(issue)).toBe(under);
    expect(text[(issue.column ?? 0) - 1]).toBe(under);
    expect(issue.fix.length).toBeGreaterThan(10);
    const kept = parseExamples([text, ...tenGood].join('\n')).examples.length;
    expect(kept).toBe(severity === 'error' ? 10 : 11);
  });

  test('comes with all the others of the file at once', () => {
    const text = [
      row(say('usr', ''), say('assistant', 'ok ', { weight: 2, foo: 1 })),
      '{"a": 1',
      good(1),
      row(u),
      good(1),
    ].join('\n');
    expect(parseExamples(text).issues.map((i) => `${i.line} ${i.code}`)).toEqual([
      '0 unused_key',
      '0 too_few_rows',
      '1 unrecognized_role',
      '1 missing_content',
      '1 whitespace_edge',
      '1 bad_weight',
      '2 invalid_json',
      '4 example_missing_assistant_message',
      '5 duplicate_row',
    ]);
  });
});

describe('broken JSON', () => {
  const sound = good(1);
  test.each<[string, string, RegExp, string]>([
    ['text after the row', `${sound} ok`, /after the end/, 'o'],
    ['bare text', '{"a": hello}', /“hello” is not in quotation marks/, 'h'],
    ['curly quotes inside curly quotes', '{“messages”: “say “hi” now”}', /[Cc]urly/, '“'],
    ['an apostrophe in single quotes', "{'a': 'it's'}", /single quotes.*Python/, "'"],
    ['a quote inside a string', '{"a": "he said "hi" to me"}', /not escaped/, 'h'],
    ['a Windows path', '{"a": "C:\\dir"}', /escape/, '\\'],
    ['a missing comma', '{"a": 1 "b": 2}', /comma is missing/, '"'],
    ['a missing colon', '{"a" 1}', /no colon/, '1'],
    ['a missing value', '{"a": }', /value is missing/, '}'],
    ['the wrong bracket', '{"a": [1}', /closes a bracket/, '}'],
    ['a bad number', '{"a": 01}', /not a number/, '1'],
    ['a row cut off', sound.slice(0, 40), /ends inside a string/, ''],
    ['plain text', 'hello, world', /not JSON/, 'h'],
  ])('%s is told with its place and cause', (_, text, message, under) => {
    const issue = onlyIssue(text);
    expect(issue).toMatchObject({ code: 'invalid_json', severity: 'error', line: 1 });
    expect(issue.message).toMatch(message);
    expect(pointedAt(issue)).toBe(under);
    if (under !== ' ') expect(text[(issue.column ?? 0) - 1] ?? '').toBe(under);
  });

  test('of which nothing is certain is told line by line, and in no time', () => {
    // Nothing but beginnings.
    const endless = Array.from(
      { length: 3000 },
      (_, i) => `{"messages": [{"role": "user", "content": "${'word '.repeat(60)}${i}`,
    );
    const { issues, groups } = parseExamples(endless.join('\n'));
    expect(groups.groups()).toMatchObject([
      { code: 'invalid_json', severity: 'error', count: 3000, rows: 3000 },
    ]);
    expect(groups.groups()[0]?.message).toBe(
      '3,000 rows (lines 1, 2, 3, 4, 5 and 2995 more) are not valid JSON.',
    );
    expect(issues).toHaveLength(200);
    const cut = [good(1).slice(0, 30), good(2), good(3).slice(0, 50), good(4)].join('\n');
    expect(
      parseExamples(cut)
        .issues.filter((i) => i.severity === 'error')
        .map((i) => i.line),
    ).toEqual([1, 3]);
    expect(parseExamples(cut).examples.map((e) => e.line)).toEqual([2, 4]);
  });

  test('inside an array hides no other row, and has the line of the file', () => {
    const text = `[\n${good(1)},\n{"messages": oops},\n${good(2)}\n]`;
    const { examples, issues } = parseExamples(text);
    expect(examples.map((e) => e.line)).toEqual([2, 4]);
    expect(issues.find((i) => i.code === 'invalid_json')).toMatchObject({ line: 3, column: 14 });
  });

  test('is found where JSON.parse finds it broken, and only there', () => {
    const json = fc.json({ maxDepth: 4 });
    fc.assert(
      fc.property(
        json,
        fc.nat(),
        fc.constantFrom('', '"', '{', ']', ',', "'", '\\', 'x', '\u0001'),
        (text, at, put) => {
          const changed =
            text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1);
          let sound = true;
          try {
            JSON.parse(changed);
          } catch {
            sound = false;
          }
          const fault = findJsonFault(changed);
          expect(fault === null).toBe(sound);
          if (fault) {
            expect(fault.offset).toBeGreaterThanOrEqual(0);
            expect(fault.offset).toBeLessThanOrEqual(changed.length);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** A value as `repr` of Python prints it. */
function python(value: unknown): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'number') return JSON.stringify(value);
  if (typeof value === 'string') {
    const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
    const escaped = [...value].map((c) => {
      if (c === '\\' || c === quote) return `\\${c}`;
      if (c === '\n') return '\\n';
      if (c === '\t') return '\\t';
      if (c === '\r') return '\\r';
      const code = c.codePointAt(0) as number;
      return code < 32 || (code >= 127 && code < 161) ? `\\x${code.toString(16).padStart(2, '0')}` : c;
    });
    return quote + escaped.join('') + quote;
  }
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  const members = Object.entries(value as object).map(([key, inner]) => `${python(key)}: ${python(inner)}`);
  return `{${members.join(', ')}}`;
}

describe('JSON that is nearly right', () => {
  const sound = good(1);
  const value = JSON.parse(sound) as object;

  test.each<[string, string, string]>([
    ['a Python dict', python(value), 'single_quotes'],
    ['Python’s words', sound.replace('}]}', '}], "more": None, "less": True}'), 'python_words'],
    ['NaN', sound.replace('}]}', '}], "score": NaN}'), 'python_words'],
    ['a trailing comma in a list', sound.replace('}]}', '},]}'), 'trailing_comma'],
    ['a trailing comma in an object', `${sound.slice(0, -1)},}`, 'trailing_comma'],
    ['a comma after the row', `${sound},`, 'trailing_comma'],
    ['keys without quotes', sound.replaceAll(/"(messages|role|content)"/g, '$1'), 'unquoted_keys'],
    ['curly quotes', sound.replaceAll(/"([^"]*)"/g, '“$1”'), 'curly_quotes'],
    ['a raw tab', sound.replace('answer 1', 'answer\t1'), 'control_characters'],
    ['a comment behind the row', `${sound} // note`, 'comments'],
    ['a comment inside', sound.replace('[', '[ /* first */ '), 'comments'],
    ['a comment on its own line', `# note\n${sound}`, 'comments'],
    ['a row spread over lines', JSON.stringify(value, null, 2), 'spread_rows'],
    ['a real line break in a text', sound.replace('answer 1', 'answer\n1'), 'spread_rows'],
    ['two rows on a line', `${sound}${good(0)}`, 'rows_on_one_line'],
    ['two rows on a line with a comma', `${sound}, ${good(0)}`, 'rows_on_one_line'],
    ['a code block', `\`\`\`json\n${sound}\n\`\`\``, 'code_fence'],
    ['a list cut off', `[\n${sound},`, 'list_brackets'],
  ])('%s is read, and that is said once', (_, text, code) => {
    for (const times of code === 'list_brackets' ? [1] : [1, 3]) {
      const file = Array.from({ length: times }, () => text).join('\n');
      const rest = Array.from({ length: 10 }, (_, i) => good(i + 20)).join('\n');
      const { examples, issues, rows } = parseExamples(`${file}\n${rest}`);
      expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
      expect(rows).toBe(times * (code === 'rows_on_one_line' ? 2 : 1) + 10);
      expect(examples).toHaveLength(rows);
      expect(examples[0]?.messages[1]?.content.replace(/\s/, ' ')).toBe('answer 1');
      expect(issues.filter((i) => i.code === code)).toHaveLength(1);
      expect(issues.find((i) => i.code === code)).toMatchObject({ severity: 'warning', line: 0 });
    }
  });

  test('keeps the places of what is wrong besides', () => {
    const text = `{'messages': [{'role': 'usr', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]}`;
    const issue = parseExamples([text, ...tenGood].join('\n')).issues.find(
      (i) => i.code === 'unrecognized_role',
    );
    expect(text.slice((issue?.column ?? 0) - 1)).toMatch(/^'usr'/);
    expect(pointedAt(issue as Issue)).toBe("'");
    const pretty = JSON.stringify({ messages: [say('usr', 'a'), say('assistant', 'b')] }, null, 2);
    const spread = parseExamples([good(0), pretty, good(1)].join('\n')).issues;
    expect(spread.find((i) => i.code === 'unrecognized_role')).toMatchObject({ line: 5, column: 15 });
  });

  test('says the same of a value whoever wrote it', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((t) => !t.includes('\u2028'));
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.constantFrom(null, true, false, 1.5, "it's", 'say "hi"', '“q”', 'a\\b', '{not: json}'),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
      ),
    })).value;
    const read = (written: string) => {
      const mended = mendJson(written);
      expect(mended?.values).toHaveLength(1);
      return JSON.parse(mended?.values[0]?.text ?? '') as unknown;
    };
    fc.assert(
      fc.property(json, (value) => {
        const compact = JSON.stringify(value);
        // Sound JSON is never touched.
        expect(mendJson(compact)?.mends.size).toBe(0);
        expect(read(compact)).toEqual(JSON.parse(compact));
        expect(read(JSON.stringify(value, null, 2))).toEqual(JSON.parse(compact));
        expect(read(python(JSON.parse(compact)))).toEqual(JSON.parse(compact));
        expect(read(`/* a */ ${compact} // b`)).toEqual(JSON.parse(compact));
        // What comes out is mended for good.
        const [mended] = mendJson(python(value))?.values ?? [];
        expect(mendJson(mended?.text ?? '')?.mends.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('has an origin for every character', () => {
    const text = `{'role': "user", content: 'it\\'s', 'list': [1, 2, ], } // end`;
    const [mended] = mendJson(text)?.values ?? [];
    expect(JSON.parse(mended?.text ?? '')).toEqual({ role: 'user', content: "it's", list: [1, 2] });
    for (const word of ['role', 'user', 'content', 'list', '1', '2']) {
      const at = mended?.origin(mended.text.indexOf(word)) ?? -1;
      expect(text.slice(at, at + word.length)).toBe(word);
    }
  });

  test('loses no key without a word', () => {
    const twice =
      '{"messages": [{"role": "user", "content": "lost", "content": "kept"}, {"role": "assistant", "content": "ok"}]}';
    const { examples, issues } = parseExamples([twice, ...tenGood].join('\n'));
    expect(examples[0]?.messages[0]?.content).toBe('kept');
    expect(issues).toMatchObject([
      { code: 'duplicate_key', line: 0, lines: [1], message: expect.stringContaining('“content”') },
    ]);
    expect(
      parseExamples([good(0).replace('question 0', 'say \\"a\\": now'), ...tenGood.slice(1)].join('\n'))
        .issues,
    ).toMatchObject([{ code: 'too_few_rows' }].slice(1));
  });
});

describe('a problem of the whole file', () => {
  test('a byte order mark, too few rows, no rows', () => {
    expect(parseExamples(`\uFEFF${tenGood.join('\n')}`).issues.map((i) => i.code)).toEqual(['bom_removed']);
    const few = parseExamples(tenGood.slice(1).join('\n'));
    expect(few.issues).toMatchObject([{ code: 'too_few_rows', severity: 'warning', line: 0 }]);
    expect(few.issues[0]?.message).toMatch(/10 is the least, 50 to 100 is where it starts to work/);
    expect(parseExamples(good(0)).issues[0]?.message).toMatch(/^The file has 1 row\./);
    for (const [text, sentence] of [
      ['', 'The file is empty.'],
      [' \n \n', 'The file is empty.'],
      ['\uFEFF', 'The file is empty.'],
      ['// nothing yet\n', 'The file has no rows.'],
      ['[]', 'The file has no rows.'],
      ['{"train": [], "test": []}', 'The file has no rows.'],
    ] as const) {
      const { issues, examples, rows, understood } = parseExamples(text);
      expect(issues.filter((i) => i.severity === 'error')).toMatchObject([
        { code: 'no_rows', line: 0, message: sentence },
      ]);
      expect([examples.length, rows, understood]).toEqual([0, 0, '']);
    }
  });

  test.each<[string, string, number]>([
    ['under a name', JSON.stringify({ data: parsedGood }, null, 1), 10],
    ['under a name, on one line', JSON.stringify({ version: 1, examples: parsedGood }), 10],
    ['under two names', JSON.stringify({ first: parsedGood.slice(0, 6), second: parsedGood.slice(6) }), 10],
    ['below names', JSON.stringify({ data: { rows: parsedGood } }), 10],
    [
      'each under its own name',
      JSON.stringify(Object.fromEntries(parsedGood.map((v, i) => [`row${i}`, v]))),
      10,
    ],
    [
      'each inside an object',
      parsedGood.map((v, i) => JSON.stringify({ row_idx: i, row: v })).join('\n'),
      10,
    ],
    ['as lists of messages', parsedGood.map((v) => JSON.stringify(v.messages)).join('\n'), 10],
    ['as a list of lists of messages', JSON.stringify(parsedGood.map((v) => v.messages)), 10],
    ['as one list of messages', JSON.stringify(parsedGood[0]?.messages), 1],
    ['by column', JSON.stringify({ prompt: ['a b', 'c d'], completion: ['e f', 'g h'] }), 2],
    [
      'by column and index',
      JSON.stringify({ prompt: { 0: 'a b', 1: 'c d' }, completion: { 0: 'e f', 1: 'g h' } }),
      2,
    ],
    ['in a program', `rows = ${python(parsedGood)}\n`, 10],
    ['as lists, one a line', parsedGood.map((v) => JSON.stringify([v])).join('\n'), 10],
    ['written as JSON twice', parsedGood.map((v) => JSON.stringify(JSON.stringify(v))).join('\n'), 10],
    ['as columns and data', JSON.stringify({ columns: ['prompt', 'completion'], data: [['a b', 'c d']] }), 1],
    ['by column, as conversations', JSON.stringify({ messages: parsedGood.map((v) => v.messages) }), 10],
  ])('rows %s are found', (_, text, count) => {
    const { examples, rows, issues } = parseExamples(text);
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
    expect([examples.length, rows]).toEqual([count, count]);
    expect(examples.every((e) => e.messages.length === 2)).toBe(true);
    expect(new Set(examples.map((e) => e.line)).size).toBe(count);
  });

  test('what stands beside the rows is named', () => {
    const { issues } = parseExamples(
      JSON.stringify({ notes: 'Made in spring by the harbour.', rows: parsedGood }),
    );
    expect(issues.find((i) => i.code === 'unused_key')?.message).toContain('“notes”');
  });

  test('has a split of its own', () => {
    const half = {
      train: parsedGood.slice(0, 6),
      validation: parsedGood.slice(6, 8),
      test: parsedGood.slice(8),
    };
    const { examples, issues, leftOut, rows } = parseExamples(JSON.stringify(half));
    expect(examples.map((e) => e.split)).toEqual([
      ...Array(6).fill('train'),
      ...['validation', 'validation', 'test', 'test'],
    ]);
    expect([rows, leftOut]).toEqual([10, 0]);
    expect(issues.find((i) => i.code === 'own_split')?.message).toMatch(
      /6 rows to train on, 2 rows.*2 rows of “test” are kept aside, and no run reads them/,
    );
    // Without rows to validate with, those of the test are measured; rows of one side only are no split.
    const two = parseExamples(JSON.stringify({ train: half.train, test: half.test }));
    expect(two.examples.map((e) => e.split).filter((s) => s === 'validation')).toHaveLength(2);
    const one = parseExamples(JSON.stringify({ train: parsedGood }));
    expect(one.examples.every((e) => e.split === undefined)).toBe(true);
    expect(one.issues.map((i) => i.code)).toEqual(['json_array']);
    const named = parsedGood.map((v, i) => JSON.stringify({ ...v, split: i < 7 ? 'train' : 'val' }));
    expect(parseExamples(named.join('\n')).examples.filter((e) => e.split === 'validation')).toHaveLength(3);
  });

  test('is told in sentences of bounded length', () => {
    const long = 'k'.repeat(1_000_000);
    const texts = [
      JSON.stringify({ [long]: 'some text', [`${long}2`]: 'more text' }),
      JSON.stringify({
        messages: [
          { role: long, content: 'x y' },
          { role: 'assistant', content: 'y z', [long]: 'lost text' },
        ],
      }),
      JSON.stringify({ messages: [{ role: 'user', content: { [long]: long } }], weight: long }),
      `{"prompt": "a b", "completion": ${long}}`,
      `{"${long}": 1, "${long}": 2, "prompt": "a", "completion": "b"}`,
      JSON.stringify({ messages: Array.from({ length: 1000 }, (_, i) => ({ role: `r${i}`, content: 'x' })) }),
      JSON.stringify(
        Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`note ${i}`, `some text ${i}`])),
      ),
      JSON.stringify({
        prompt: 'a',
        completion: 'b',
        ...Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`note ${i}`, `some text ${i}`])),
      }),
    ];
    for (const text of texts) {
      const { issues } = parseExamples([text, ...tenGood].join('\n'));
      expect(issues.length).toBeGreaterThan(0);
      expect(issues.length).toBeLessThan(100);
      for (const issue of issues) {
        expect(issue.message.length + issue.fix.length).toBeLessThan(900);
        expect((issue.path ?? '').length + (issue.excerpt ?? '').length).toBeLessThan(400);
      }
    }
    const table = parseTable(`${long},${long}\n${long},b\n`);
    for (const { message, excerpt } of table.issues)
      expect(message.length + (excerpt ?? '').length).toBeLessThan(900);
  });

  test('may be 200,000 equal rows of a table', () => {
    const rows = 200_000;
    const { examples, issues } = parseTable(`prompt,completion\n${'ask,say\n'.repeat(rows)}`);
    expect(examples).toHaveLength(rows);
    expect(issues.length).toBeGreaterThan(0);
  }, 60_000);

  test('one label for everything, the same row twice', () => {
    const labels = Array.from({ length: 20 }, (_, i) =>
      row(say('user', `text ${i}`), say('assistant', i < 17 ? 'yes' : 'no')),
    );
    expect(parseExamples(labels.join('\n')).issues).toMatchObject([{ code: 'label_imbalance', line: 0 }]);
    const even = labels.map((line, i) => (i % 2 ? line.replace('"yes"', '"no"') : line));
    expect(parseExamples(even.join('\n')).issues).toEqual([]);
    const twice = parseExamples([...tenGood, good(3)].join('\n'));
    expect(twice.issues).toMatchObject([{ code: 'duplicate_row', severity: 'warning', line: 11 }]);
    expect(twice.examples).toHaveLength(11);
  });
});

describe('a table', () => {
  const contents = (text: string) => parseTable(text).examples.map((e) => e.messages.map((m) => m.content));

  test('is read by its plain column names, with quotes and line breaks', () => {
    const csv = 'Question,id,Answer\r\n"a, ""b""\nc",1,d\r\n\r\ne,2,f\r\n';
    const { examples, rows, format, issues, understood } = parseTable(csv);
    expect(examples).toEqual([
      {
        line: 2,
        messages: [
          { role: 'user', content: 'a, "b"\nc' },
          { role: 'assistant', content: 'd' },
        ],
      },
      {
        line: 5,
        messages: [
          { role: 'user', content: 'e' },
          { role: 'assistant', content: 'f' },
        ],
      },
    ]);
    expect([rows, format]).toEqual([2, 'prompt_completion']);
    expect(issues.find((i) => i.code === 'unused_key')?.message).toContain('“id”');
    expect(understood).toBe(
      '2 rows of prompts and completions, from a table (cells between commas); Question → user, Answer → assistant.',
    );
    expect(contents('system prompt\tinstruction\tinput\toutput\nS\tI\tX\tO\n\tI\t\tO2\n')).toEqual([
      ['S', 'I\nX', 'O'],
      ['I', 'O2'],
    ]);
  });

  test('may have any mark between its cells, and cells that hold the others', () => {
    for (const mark of [',', ';', '\t', '|']) {
      const cell = mark === ',' ? '"yes, it is"' : 'yes, it is';
      expect(contents(`prompt${mark}completion\nwho${mark}${cell}\n`)).toEqual([['who', 'yes, it is']]);
      // Names that do not tell.
      const two = parseTable(`Aufgabe${mark}Ergebnis\nwho${mark}${cell}\nwhat${mark}${cell}\n`);
      expect(two.examples.map((e) => e.messages[0]?.content)).toEqual(['who', 'what']);
      expect(two.issues.find((i) => i.code === 'columns_assumed')?.message).toMatch(
        /“Aufgabe” is read as the question and “Ergebnis” is read as the answer/,
      );
      expect(two.understood).toMatch(/Aufgabe → user, Ergebnis → assistant/);
    }
    // Beside columns of numbers.
    expect(contents('Nr;Aufgabe;Ergebnis;Punkte\n1;wer;ich;2,5\n2;was;das;3\n')).toEqual([
      ['wer', 'ich'],
      ['was', 'das'],
    ]);
    expect(contents('sep=;\nprompt;completion\na,b;c\n')).toEqual([['a,b', 'c']]);
    expect(contents('Ergebnis,prompt\nyes,who\n')).toEqual([['who', 'yes']]);
    expect(contents('Frage;Antwort\nWer?;Ich\n')).toEqual([['Wer?', 'Ich']]);
  });

  test('keeps or names the text of every column', () => {
    const { issues } = parseTable('prompt,completion,,prompt,,\na,b,one more thing,two more things,,\n');
    const told = issues.map((i) => i.message).join(' ');
    expect(told).toContain('“column 3”');
    expect(told).toContain('“prompt (column 4)”');
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
  });

  test('may hold conversations in its cells, as JSON or as Python prints them', () => {
    const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const messages = [say('user', "it's"), say('assistant', 'say "yes"')];
    for (const text of [JSON.stringify(messages), python(messages)]) {
      const { examples, issues } = parseTable(`id,messages\n7,${cell(text)}\n`);
      expect(examples[0]?.messages).toEqual(messages);
      expect(issues.map((i) => i.code)).toContain('nested_json');
    }
  });

  test('in Markdown is read, and the words around it are named', () => {
    const text = '# Mine\n\n| q | a |\n|---|:-:|\n| a \\| b | c<br>d |\n| `x|y` | z |\n\nThe end of it.\n';
    expect(layoutOf('rows.md', text)).toBe('markdown_table');
    const { examples, issues } = parseMarkdownTables(text);
    expect(examples.map((e) => [e.line, ...e.messages.map((m) => m.content)])).toEqual([
      [5, 'a | b', 'c\nd'],
      [6, '`x|y`', 'z'],
    ]);
    expect(issues.map((i) => i.code)).toEqual(['text_around', 'line_breaks', 'too_few_rows']);
    expect(issues[0]?.message).toMatch(/“# Mine” and “The end of it.”/);
  });

  test('tells broken rows, empty cells and columns it does not know', () => {
    const { issues, examples } = parseTable('prompt,completion\na,b\nonly one\nc,\nd,"e\n');
    expect(issues.map((i) => `${i.line} ${i.code}`)).toEqual([
      '0 too_few_rows',
      '3 invalid_csv',
      '4 missing_content',
      '5 invalid_csv',
    ]);
    expect(examples).toHaveLength(1);
    expect(parseTable('foo,bar,baz\n1,2,3\n4,5,6\n')).toMatchObject({
      rows: 2,
      issues: [
        {
          code: 'unknown_columns',
          severity: 'error',
          message: expect.stringContaining('“foo”, “bar” and “baz”'),
        },
      ],
    });
    expect(parseTable('foo,prompt,baz\n1,2,3\n').issues[0]?.message).toMatch(/none is plainly the answer/);
    expect(parseTable('').issues).toMatchObject([{ code: 'no_rows', message: 'The file is empty.' }]);
    expect(parseTable('prompt,completion\n').issues).toMatchObject([
      { code: 'no_rows', message: 'The file has no rows.' },
    ]);
  });
});

describe('a look into a file', () => {
  test.each<[string, string, string, string]>([
    ['JSONL', 'a.jsonl', good(1), 'json'],
    ['JSON under another name', 'a.txt', good(1), 'json'],
    ['JSON behind a comment', 'a.txt', `# mine\n${good(1)}`, 'json'],
    ['a list', 'a', '[\n  {"prompt": "a"}\n]', 'json'],
    ['JSON under the name of a table', 'a.csv', good(1), 'json'],
    ['rows in a code block', 'a.md', `Here you are:\n\n\`\`\`jsonl\n${good(1)}\n\`\`\``, 'json'],
    [
      'a chapter with a code block',
      'a.md',
      `${'Some words about it.\n\n'.repeat(9)}\`\`\`json\n{"a": 1}\n\`\`\``,
      'text',
    ],
    [
      'a program that is nothing but rows',
      'rows.js',
      'const rows = [\n  {prompt: "P", completion: "C"},\n];\n',
      'json',
    ],
    ['a program', 'a.py', 'rows = [1, 2]\nprint(rows)\n', 'text'],
    ['a text that starts with a bracket', 'a.txt', '[1] The boat is red.\n[2] So is the sail.', 'text'],
    ['a text that starts with a link', 'a.md', '[The boat](boat.html) is red.', 'text'],
    [
      'a text',
      'a.txt',
      'The boat is red, the sail is blue; so it goes.\nThe boat is red, the sail is blue.',
      'text',
    ],
    [
      'a text with a table in it',
      'a.md',
      `${'Some words about it.\n\n'.repeat(9)}| a | b |\n|---|---|\n| c | d |`,
      'text',
    ],
    ['CSV', 'a.csv', 'a,b\nc,d', 'table'],
    ['CSV pasted', 'pasted', 'prompt,completion\na,b', 'table'],
    ['CSV under the name of JSONL', 'a.jsonl', 'prompt;completion\na;b', 'table'],
    ['cells pasted from a spreadsheet', 'pasted', 'Frage zum Boot\tErgebnis\nWer?\tIch\nWas?\tDas', 'table'],
    ['cells with unknown names', 'pasted', 'eins\tzwei\tdrei\na\tb\tc\n', 'table'],
    ['nothing', 'a.jsonl', '', 'json'],
    ['nothing of a text', 'a.txt', '', 'text'],
    ['words under the name of JSONL', 'a.jsonl', 'hello, world', 'json'],
  ])('tells %s', (_, name, text, layout) => expect(layoutOf(name, text)).toBe(layout));
});

test('rows that are all cut off are not parsed again and again by the rows before them', () => {
  const rows = 2000;
  const parse = vi.spyOn(JSON, 'parse');
  try {
    const { groups } = parseExamples(
      Array.from({ length: rows }, (_, i) => `{"messages": [ ${i}`).join('\n'),
    );
    expect(groups.groups()).toMatchObject([{ code: 'invalid_json', rows }]);
    // A few readers try each line; what a line is by itself is asked once.
    expect(parse.mock.calls.length).toBeLessThan(12 * rows);
  } finally {
    parse.mockRestore();
  }
});
