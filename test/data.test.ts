// From the visitor's file to batches: every problem with its place, the split, order and rectangles.
// Conversations as ids are in chat.test.ts, tokenizers in tokenizer.test.ts.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Example, Issue, Message } from '../src/contract';
import {
  contentHash,
  createRandom,
  epochOrder,
  makeBatch,
  nextCursor,
  rowsOfStep,
  splitExamples,
  stepsPerEpoch,
  summarise,
} from '../src/data/batches';
import { parseExamples } from '../src/data/jsonl';
import { findJsonFault } from '../src/data/jsonText';
import { sha256 } from '../src/data/sha256';
import { isTabular, parseTable } from '../src/data/tabular';

// ───────────────────────────── reading rows ─────────────────────────────

const say = (role: string, content: unknown, more: object = {}) => ({ role, content, ...more });
const row = (...messages: object[]) => JSON.stringify({ messages });
const good = (n: number) => row(say('user', `question ${n}`), say('assistant', `answer ${n}`));
const tenGood = Array.from({ length: 10 }, (_, i) => good(i));

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
      expect(parsed.issues.map((i) => i.code)).toEqual(mixed);
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
    ['no messages', '{"text": "a"}', 'error', 'missing_messages_list', undefined, '{'],
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
    [
      'a key too many',
      row({ ...u, time: 5 }, a),
      'warning',
      'message_unrecognized_key',
      'messages[0].time',
      '5',
    ],
    ['an unknown role', row(say('usr', 'x'), a), 'error', 'unrecognized_role', 'messages[0].role', '"'],
    ['another tool’s role', row(u, say('bot', 'x')), 'error', 'unrecognized_role', 'messages[1].role', '"'],
    ['a tool message', row(u, say('tool', 'x'), a), 'error', 'unrecognized_role', 'messages[1].role', '"'],
    ['empty content', row(u, say('assistant', '')), 'error', 'missing_content', 'messages[1].content', '"'],
    ['content of spaces', row(say('user', ' \n'), a), 'error', 'missing_content', 'messages[0].content', '"'],
    ['content null', row(say('user', null), a), 'error', 'missing_content', 'messages[0].content', 'n'],
    ['content a number', row(say('user', 7), a), 'error', 'missing_content', 'messages[0].content', '7'],
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
    ['a weight on the user', row({ ...u, weight: 1 }, a), 'warning', 'bad_weight', 'messages[0].weight', '1'],
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
      "{'a': 1}",
      good(1),
      row(u),
      good(1),
    ].join('\n');
    expect(parseExamples(text).issues.map((i) => `${i.line} ${i.code}`)).toEqual([
      '0 too_few_rows',
      '1 unrecognized_role',
      '1 missing_content',
      '1 whitespace_edge',
      '1 bad_weight',
      '1 message_unrecognized_key',
      '2 invalid_json',
      '4 example_missing_assistant_message',
      '5 duplicate_row',
    ]);
  });
});

describe('broken JSON', () => {
  const sound = good(1);
  test.each<[string, string, RegExp, string]>([
    ['a Python dict', "{'messages': []}", /single quotes.*Python/, "'"],
    ['a trailing comma', sound.replace('}]}', '},]}'), /comma before “]”/, ','],
    ['a trailing comma in an object', `${sound.slice(0, -1)},}`, /comma before “}”/, ','],
    ['a comma after the row', `${sound},`, /comma after the row/, ','],
    ['two rows on a line', sound + sound, /second row/, '{'],
    ['text after the row', `${sound} ok`, /after the end/, 'o'],
    ['Python’s None', '{"messages": None}', /None.*not JSON/, 'N'],
    ['True', '{"a": True}', /True/, 'T'],
    ['NaN', '{"a": NaN}', /NaN/, 'N'],
    ['a bare key', '{messages: []}', /key without quotation marks/, 'm'],
    ['bare text', '{"a": hello}', /“hello” is not in quotation marks/, 'h'],
    ['curly quotes', '{“messages”: []}', /[Cc]urly/, '“'],
    ['a quote inside a string', '{"a": "he said "hi" to me"}', /not escaped/, 'h'],
    ['a Windows path', '{"a": "C:\\dir"}', /escape/, '\\'],
    ['a raw tab', '{"a": "b\tc"}', /raw tab/, ' '],
    ['a missing comma', '{"a": 1 "b": 2}', /comma is missing/, '"'],
    ['a missing colon', '{"a" 1}', /no colon/, '1'],
    ['a missing value', '{"a": }', /value is missing/, '}'],
    ['the wrong bracket', '{"a": [1}', /closes a bracket/, '}'],
    ['a comment', '{"a": 1} // note', /after the end/, '/'],
    ['a comment inside', '{ // note', /comments/, '/'],
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

  test('names a row spread over lines once, and goes on behind it', () => {
    const pretty = JSON.stringify(JSON.parse(good(0)), null, 2);
    const issue = onlyIssue(pretty);
    expect(issue).toMatchObject({ line: 1, code: 'invalid_json' });
    expect(issue.message).toMatch(/lines 1 to 12.*pretty-printed/);
    const split =
      '{"messages": [{"role": "user", "content": "one\ntwo"}, {"role": "assistant", "content": "x"}]}';
    expect(onlyIssue(split).message).toMatch(/real line break.*lines 1 to 2/);
    expect(parseExamples([pretty, split, ...tenGood].join('\n'))).toMatchObject({
      rows: 12,
      examples: { length: 10 },
    });
    // Nothing but beginnings: told line by line, and in no time.
    const endless = Array.from(
      { length: 3000 },
      (_, i) => `{"messages": [{"role": "user", "content": "${'word '.repeat(60)}${i}`,
    );
    expect(parseExamples(endless.join('\n')).issues.filter((i) => i.code === 'invalid_json')).toHaveLength(
      3000,
    );
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

describe('a problem of the whole file', () => {
  test('a byte order mark, too few rows, no rows', () => {
    expect(parseExamples(`\uFEFF${tenGood.join('\n')}`).issues.map((i) => i.code)).toEqual(['bom_removed']);
    const few = parseExamples(tenGood.slice(1).join('\n'));
    expect(few.issues).toMatchObject([{ code: 'too_few_rows', severity: 'warning', line: 0 }]);
    expect(few.issues[0]?.message).toMatch(/10 is the least, 50 to 100 is where it starts to work/);
    for (const text of ['', ' \n \n', '\uFEFF']) {
      expect(
        parseExamples(text).issues.at(-1)?.code === 'bom_removed' ||
          parseExamples(text).issues.some((i) => i.code === 'no_rows'),
      ).toBe(true);
      expect(parseExamples(text).examples).toEqual([]);
    }
  });

  test('rows inside an object, one label for everything, the same row twice', () => {
    const wrapped = parseExamples(
      JSON.stringify({ data: tenGood.map((line) => JSON.parse(line) as object) }, null, 1),
    );
    expect(wrapped.issues.find((i) => i.severity === 'error')).toMatchObject({
      code: 'missing_messages_list',
      line: 1,
    });
    expect(wrapped.issues.find((i) => i.severity === 'error')?.fix).toMatch(/inside “data”/);
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
  test('is read by its plain column names, with quotes and line breaks', () => {
    expect([isTabular('a.CSV'), isTabular('b.tsv'), isTabular('c.jsonl')]).toEqual([true, true, false]);
    const csv = 'Question,id,Answer\r\n"a, ""b""\nc",1,d\r\n\r\ne,2,f\r\n';
    const { examples, rows, format } = parseTable(csv);
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
    const tsv = parseTable('system prompt\tinstruction\tinput\toutput\nS\tI\tX\tO\n\tI\t\tO2\n');
    expect(tsv.examples.map((e) => e.messages.map((m) => m.content))).toEqual([
      ['S', 'I\nX', 'O'],
      ['I', 'O2'],
    ]);
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
    expect(parseTable('foo,bar\n1,2\n').issues).toMatchObject([
      { code: 'unknown_columns', severity: 'error', message: expect.stringContaining('“foo”, “bar”') },
    ]);
    expect(parseTable('').issues).toMatchObject([{ code: 'no_rows' }]);
  });
});

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

  test('a cursor walks over every row of every epoch once, the last partial batch too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (rows, size, micro) => {
          const h = { batch_size: size, gradient_accumulation_steps: micro, seed: 3 };
          let cursor = { epoch: 0, step: 0 };
          for (const epoch of [0, 1]) {
            const seen: number[] = [];
            for (let s = 0; s < stepsPerEpoch(rows, h); s++) {
              expect(cursor).toEqual({ epoch, step: s });
              const batches = rowsOfStep(rows, h, cursor);
              expect(batches.length).toBeGreaterThan(0);
              for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(size);
              seen.push(...batches.flat());
              cursor = nextCursor(rows, h, cursor);
            }
            expect(seen).toEqual(epochOrder(rows, 3, epoch));
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
