// Formats of rows: no text that stands beside the keys of one is lost without a word, and each form that other tools write is understood.
// Not here: JSON and tables as such (rows.test.ts), texts (plainText.test.ts), what a template makes of messages (data.test.ts).

import { describe, expect, test } from 'vitest';
import { ROW_FORMAT_LABELS } from '../src/acceptedFiles';
import type { Example, Message } from '../src/contract';
import { parseExamples } from '../src/data/reading/jsonl';
import { ROW_FORMATS } from '../src/data/reading/rowFormats';
import type { ParsedData } from '../src/data/reading/rowsReader';
import { parseTable } from '../src/data/reading/tabular';

type Json = Record<string, unknown>;

/** Every object within a value, with the way to it. */
function objectsIn(value: unknown, path: string[] = []): { path: string[]; object: Json }[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => objectsIn(item, [...path, String(i)]));
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.entries(value).flatMap(([key, item]) => objectsIn(item, [...path, key]));
  return [{ path, object: value as Json }, ...inside];
}

/** What the model would see of the rows. */
const seen = (examples: readonly Example[]) =>
  JSON.stringify(
    examples.map(({ messages, text, tools }) => [
      messages.map((m) => [m.content, m.tool_calls]),
      text,
      tools,
    ]),
  );

const isTold = ({ issues }: ParsedData, key: string) => issues.some((issue) => issue.message.includes(key));

const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n');

const cases = ROW_FORMATS.flatMap(({ id, samples }) =>
  samples.flatMap((sample) =>
    objectsIn(sample).map(({ path }) => ({
      id,
      sample,
      path,
      name: `${id} ${JSON.stringify(Object.keys(sample))}: ${path.join('.') || 'row'}`,
    })),
  ),
);

describe('a key that no format knows', () => {
  test('is tried in every object of every sample', () => {
    expect([...new Set(cases.map(({ id }) => id))].sort()).toEqual(Object.keys(ROW_FORMAT_LABELS).sort());
    expect(cases.length).toBeGreaterThan(40);
  });

  test.each(cases)('$name is seen by the model or named', ({ sample, path }) => {
    for (const [key, value] of [
      ['zanzibar', 'A green lantern hangs above the quay.'],
      ['zanzibar', { deep: ['A green lantern hangs above the quay.'] }],
      ['zanzibar', 17],
      ['zanzibar', '绿色的灯笼挂在码头上'],
    ] as const) {
      const row = structuredClone(sample) as unknown as Json;
      const target = path.reduce<Json>((inner, step) => inner[step] as Json, row);
      target[key] = value;
      const data = parseExamples(lines(row, sample, row));
      expect(data.examples, 'the row is still of its format').toHaveLength(3);
      const held = seen(data.examples).includes(JSON.stringify(value).slice(1, -1));
      // What is not used as a whole is named as a whole.
      const whole = path[0] !== undefined && isTold(data, `not “${path[0]}”`);
      if (!held && !whole) expect(isTold(data, key)).toBe(true);
      // Once for the file, and the count is that of the rows.
      const told = data.issues.filter((issue) => issue.message.includes(key));
      expect(told.length).toBeLessThanOrEqual(1);
      for (const issue of told)
        expect(issue).toMatchObject({ code: 'unused_key', line: 0, lines: [1, 3], severity: 'warning' });
    }
  });

  test.each(
    cases.filter(
      ({ path, sample }) => path.length === 0 && Object.values(sample).every((v) => typeof v === 'string'),
    ),
  )('$name as a column of a table', ({ sample }) => {
    const columns = [...Object.keys(sample), 'zanzibar'];
    const cells = [...Object.values(sample), 'A green lantern hangs above the quay.'];
    const data = parseTable(`${columns.join(',')}\n${cells.map((cell) => `"${String(cell)}"`).join(',')}\n`);
    expect(data.examples).toHaveLength(1);
    if (!seen(data.examples).includes('lantern')) expect(isTold(data, 'zanzibar')).toBe(true);
  });

  test('has its own sentence where it holds text; ids and numbers share one', () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({
      prompt: `ask ${i}`,
      completion: `say ${i}`,
      id: i,
      source: 'web',
      url: 'https://example.org/a?b=c',
      made: '2024-05-06 07:08:09',
      note: 'Written by hand in spring.',
      ...(i < 3 ? { hint: 'Look at the sail first.' } : {}),
    }));
    const { issues } = parseExamples(lines(...rows));
    expect(issues.map((i) => i.message)).toEqual([
      'All 12 rows also have “note”, which is not used: the model never sees it.',
      '3 rows (lines 1, 2 and 3) also have “hint”, which is not used: the model never sees it.',
      'All 12 rows also have “id”, “source”, “url” and “made”, which are not used.',
    ]);
    expect(issues[1]?.lines).toEqual([1, 2, 3]);
  });

  test('is nothing to tell where the messages hold its text, or it is empty', () => {
    const row = {
      prompt: 'Which of the boats is red?',
      messages: [
        { role: 'user', content: 'Which of the boats is red?' },
        { role: 'assistant', content: 'The small one.', refusal: null, tool_calls: [], annotations: [] },
      ],
      extra: {},
    };
    expect(parseExamples(lines(row)).issues.map((i) => i.code)).toEqual(['too_few_rows']);
  });
});

const u = (content: unknown, more: object = {}) => ({ role: 'user', content, ...more });
const a = (content: unknown, more: object = {}) => ({ role: 'assistant', content, ...more });
const s = (content: unknown) => ({ role: 'system', content });

/** Rows of other tools, what they mean, and what is said about them beside that. */
const FORMS: [string, unknown, Message[], string[]][] = [
  [
    'Dolly',
    { instruction: 'I', context: 'C', response: 'R', category: 'open_qa' },
    [u('I\nC'), a('R')] as Message[],
    ['unused_key'],
  ],
  [
    'Alpaca without an instruction',
    { instruction: '', input: 'X', output: 'O' },
    [u('X'), a('O')] as Message[],
    [],
  ],
  [
    'LLaMA-Factory: prompt and query',
    { prompt: 'P', query: 'Q', response: 'R' },
    [u('P\nQ'), a('R')] as Message[],
    [],
  ],
  [
    'LLaMA-Factory: system and history',
    {
      instruction: 'I',
      input: '',
      output: 'O',
      system: 'S',
      history: [
        ['a', 'b'],
        ['c', 'd'],
      ],
    },
    [s('S'), u('a'), a('b'), u('c'), a('d'), u('I'), a('O')] as Message[],
    [],
  ],
  [
    'an instruction of spaces',
    { instruction: ' ', input: 'X', output: 'O' },
    [u('X'), a('O')] as Message[],
    [],
  ],
  [
    'history as ShareGPT',
    {
      prompt: 'P',
      completion: 'C',
      history: [
        { from: 'human', value: 'a' },
        { from: 'gpt', value: 'b' },
      ],
    },
    [u('a'), a('b'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'history as messages',
    { instruction: 'I', output: 'O', history: [u('a'), a('b')] },
    [u('a'), a('b'), u('I'), a('O')] as Message[],
    [],
  ],
  [
    'history as texts',
    { prompt: 'P', completion: 'C', history: ['a', 'b'] },
    [u('a'), a('b'), u('P'), a('C')] as Message[],
    ['roles_assumed'],
  ],
  [
    'history with a greeting',
    {
      prompt: 'P',
      completion: 'C',
      history: [
        [null, 'Welcome.'],
        ['a', 'b'],
      ],
    },
    [a('Welcome.'), u('a'), a('b'), u('P'), a('C')] as Message[],
    ['role_order'],
  ],
  [
    'Bedrock',
    {
      schemaVersion: 'bedrock-conversation-2024',
      system: [{ text: 'S' }],
      messages: [u([{ text: 'P' }]), a([{ text: 'C' }])],
    },
    [s('S'), u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  [
    'Claude on Bedrock',
    { system: 'S', messages: [u('P'), a('C')] },
    [s('S'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'system_prompt',
    { system_prompt: 'S', prompt: 'P', completion: 'C' },
    [s('S'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'two system messages',
    { system: 'S one.', messages: [s('S two.'), u('P'), a('C')] },
    [s('S one.\n\nS two.'), u('P'), a('C')] as Message[],
    ['system_joined'],
  ],
  [
    'the same system message twice',
    { system: 'S', messages: [s('S'), u('P'), a('C')] },
    [s('S'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'an empty system message',
    { messages: [s(''), u('P'), a('C')] },
    [u('P'), a('C')] as Message[],
    ['empty_system'],
  ],
  [
    'Gemini',
    {
      systemInstruction: { role: 'system', parts: [{ text: 'S' }] },
      contents: [
        { role: 'user', parts: [{ text: 'P' }] },
        { role: 'model', parts: [{ text: 'C' }] },
      ],
    },
    [s('S'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'Vertex with snake case',
    {
      system_instruction: { parts: [{ text: 'S' }] },
      contents: [
        { role: 'user', parts: [{ text: 'P' }, { text: 'Q' }] },
        { role: 'model', parts: [{ text: 'C' }] },
      ],
    },
    [s('S'), u('PQ'), a('C')] as Message[],
    [],
  ],
  ['PaLM', { input_text: 'P', output_text: 'C' }, [u('P'), a('C')] as Message[], []],
  ['AI Studio', { text_input: 'P', output: 'C' }, [u('P'), a('C')] as Message[], []],
  [
    'Cohere',
    {
      messages: [
        { role: 'System', content: 'S' },
        { role: 'User', content: 'P' },
        { role: 'Chatbot', content: 'C' },
      ],
    },
    [s('S'), u('P'), a('C')] as Message[],
    ['role_names'],
  ],
  [
    'developer',
    { messages: [{ role: 'developer', content: 'S' }, u('P'), a('C')] },
    [s('S'), u('P'), a('C')] as Message[],
    ['role_names'],
  ],
  [
    'roles in capitals',
    {
      messages: [
        { role: 'USER', content: 'P' },
        { role: 'Assistant', content: 'C' },
      ],
    },
    [u('P'), a('C')] as Message[],
    ['role_names'],
  ],
  [
    'role and value',
    {
      conversations: [
        { role: 'user', value: 'P' },
        { role: 'assistant', value: 'C' },
      ],
    },
    [u('P'), a('C')] as Message[],
    [],
  ],
  [
    'from and content',
    {
      conversation: [
        { from: 'human', content: 'P' },
        { from: 'gpt', content: 'C' },
      ],
    },
    [u('P'), a('C')] as Message[],
    [],
  ],
  [
    'XTuner',
    {
      conversation: [
        { system: 'S', input: 'P', output: 'C' },
        { input: 'Q', output: 'D' },
      ],
    },
    [s('S'), u('P'), a('C'), u('Q'), a('D')] as Message[],
    [],
  ],
  ['Firefly', { conversation: [{ human: 'P', assistant: 'C' }] }, [u('P'), a('C')] as Message[], []],
  [
    'keys that are roles',
    { messages: [{ user: 'P' }, { assistant: 'C' }] },
    [u('P'), a('C')] as Message[],
    [],
  ],
  [
    'texts in turn',
    { dialog: ['P', 'C', 'Q', 'D'] },
    [u('P'), a('C'), u('Q'), a('D')] as Message[],
    ['roles_assumed'],
  ],
  ['nothing but the messages', [u('P'), a('C')], [u('P'), a('C')] as Message[], []],
  ['an object around the row', { data: { messages: [u('P'), a('C')] } }, [u('P'), a('C')] as Message[], []],
  [
    'OpenAI’s batch requests',
    { custom_id: 'r1', method: 'POST', body: { model: 'm', messages: [u('P'), a('C')] } },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  ['LangSmith', { inputs: { question: 'P' }, outputs: { answer: 'C' } }, [u('P'), a('C')] as Message[], []],
  [
    'a prompt of messages',
    { prompt: [s('S'), u('P')], completion: [a('C')] },
    [s('S'), u('P'), a('C')] as Message[],
    [],
  ],
  [
    'a prompt of messages with a text',
    { prompt: [u('P')], completion: 'C' },
    [u('P'), a('C')] as Message[],
    [],
  ],
  [
    'a message for an answer',
    { prompt: 'P', completion: { role: 'assistant', content: 'C' } },
    [u('P'), a('C')] as Message[],
    [],
  ],
  ['a list with one answer', { question: 'P', answer: ['C'] }, [u('P'), a('C')] as Message[], []],
  ['names in capitals', { Question: 'P', Answer: 'C' }, [u('P'), a('C')] as Message[], []],
  ['classes', { text: 'P', label: 'positive' }, [u('P'), a('positive')] as Message[], []],
  ['classes with numbers', { text: 'P', label: 1 }, [u('P'), a('1')] as Message[], ['number_content']],
  [
    'columns of several formats',
    { messages: null, prompt: 'P', completion: 'C', chosen: null },
    [u('P'), a('C')] as Message[],
    [],
  ],
  [
    'numbers',
    { messages: [u(12345678901234567890n), a(true)] },
    [u('12345678901234567890'), a('true')] as Message[],
    ['number_content'],
  ],
  ['a refusal', { messages: [u('P'), a(null, { refusal: 'No.' })] }, [u('P'), a('No.')] as Message[], []],
  [
    'messages as a text',
    { messages: JSON.stringify([u('P'), a('C')]) },
    [u('P'), a('C')] as Message[],
    ['nested_json'],
  ],
  [
    'train: false in ShareGPT',
    {
      conversations: [
        { from: 'human', value: 'P' },
        { from: 'gpt', value: 'C', train: false },
        { from: 'human', value: 'Q' },
        { from: 'gpt', value: 'D' },
      ],
    },
    [u('P'), a('C', { weight: 0 }), u('Q'), a('D')] as Message[],
    [],
  ],
  [
    'loss: false',
    { messages: [u('P'), a('C', { loss: false }), u('Q'), a('D', { loss: true })] },
    [u('P'), a('C', { weight: 0 }), u('Q'), a('D', { weight: 1 })] as Message[],
    [],
  ],
  [
    'loss_mask of a message',
    { messages: [u('P', { loss_mask: 0 }), a('C', { loss_mask: 0 }), u('Q'), a('D', { loss_mask: 1 })] },
    [u('P'), a('C', { weight: 0 }), u('Q'), a('D', { weight: 1 })] as Message[],
    [],
  ],
  [
    'loss_mask of a row',
    { messages: [u('P'), a('C'), u('Q'), a('D')], loss_mask: [0, 0, 0, 1] },
    [u('P'), a('C', { weight: 0 }), u('Q'), a('D', { weight: 1 })] as Message[],
    [],
  ],
  [
    'a question that is to be learned',
    { messages: [u('P', { train: true }), a('C')] },
    [u('P'), a('C')] as Message[],
    ['train_flag_on_prompt'],
  ],
  [
    'TRL preferences',
    { prompt: 'P', chosen: 'C', rejected: 'D' },
    [u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'TRL preferences as conversations',
    { chosen: [u('P'), a('C')], rejected: [u('P'), a('D')] },
    [u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'TRL preferences with a prompt of messages',
    { prompt: [u('P')], chosen: [a('C')], rejected: [a('D')] },
    [u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'UltraFeedback',
    {
      prompt: 'P',
      prompt_id: 'x1',
      chosen: [u('P'), a('C')],
      rejected: [u('P'), a('D')],
      messages: [u('P'), a('C')],
      score_chosen: 8.5,
    },
    [u('P'), a('C')] as Message[],
    ['preference_chosen', 'unused_key'],
  ],
  [
    'OpenAI preferences',
    {
      input: { messages: [s('S'), u('P')], tools: [] },
      preferred_output: [a('C')],
      non_preferred_output: [a('D')],
    },
    [s('S'), u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'ShareGPT preferences',
    {
      conversations: [{ from: 'human', value: 'P' }],
      chosen: { from: 'gpt', value: 'C' },
      rejected: { from: 'gpt', value: 'D' },
    },
    [u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'Alpaca preferences',
    { instruction: 'I', input: 'X', chosen: 'C', rejected: 'D' },
    [u('I\nX'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'Orca preferences',
    { system: 'S', question: 'P', chosen: 'C', rejected: 'D' },
    [s('S'), u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  [
    'HH-RLHF',
    { chosen: '\n\nHuman: P\n\nAssistant: C', rejected: '\n\nHuman: P\n\nAssistant: D' },
    [u('P'), a('C')] as Message[],
    ['preference_chosen'],
  ],
  ['KTO, wanted', { prompt: 'P', completion: 'C', label: true }, [u('P'), a('C')] as Message[], []],
  [
    'images',
    { messages: [u('<image>P'), a('C')], images: ['a.jpg'] },
    [u('<image>P'), a('C')] as Message[],
    ['media_placeholder', 'media_unused'],
  ],
  [
    'an image among the parts',
    {
      messages: [
        u([
          { type: 'text', text: 'P' },
          { type: 'image_url', image_url: { url: 'a.jpg' } },
        ]),
        a('C'),
      ],
    },
    [u('P'), a('C')] as Message[],
    ['media_unused'],
  ],
  [
    'speaker names',
    { messages: [u('P', { name: 'Ana' }), a('C')] },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  [
    'Claude’s export',
    {
      chat_messages: [
        { sender: 'human', text: 'P', content: [{ type: 'text', text: 'P' }] },
        { sender: 'assistant', text: 'C', content: [{ type: 'text', text: 'C' }] },
      ],
    },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  [
    'LangChain',
    {
      messages: [
        { type: 'human', content: 'P' },
        { type: 'ai', content: 'C' },
      ],
    },
    [u('P'), a('C')] as Message[],
    ['role_names'],
  ],
  [
    'SQuAD',
    { context: 'X', question: 'P', answers: { text: ['C', 'C'], answer_start: [4, 4] } },
    [u('P\nX'), a('C')] as Message[],
    ['unused_key'],
  ],
  [
    'OpenAI’s stored answers',
    {
      input: [u('P')],
      output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'C' }] }],
    },
    [u('P'), a('C')] as Message[],
    [],
  ],
  ['OpenAI’s evals', { input: [s('S'), u('P')], ideal: 'C' }, [s('S'), u('P'), a('C')] as Message[], []],
  [
    'Cohere with chat_history',
    {
      message: 'P',
      chat_history: [
        { role: 'USER', message: 'a' },
        { role: 'CHATBOT', message: 'b' },
      ],
      preamble: 'S',
      response: 'C',
    },
    [s('S'), u('a'), a('b'), u('P'), a('C')] as Message[],
    ['role_names'],
  ],
  [
    'PaLM’s chat',
    {
      context: 'Talk like the sea.',
      messages: [
        { author: 'user', content: 'P' },
        { author: 'bot', content: 'C' },
      ],
    },
    [u('P'), a('C')] as Message[],
    ['role_names', 'unused_key'],
  ],
  [
    'Label Studio',
    { id: 1, data: { prompt: 'P', response: 'C' } },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  ['messages by index', { messages: { 0: u('P'), 1: a('C') } }, [u('P'), a('C')] as Message[], []],
  [
    'pairs of texts',
    {
      conversations: [
        ['P', 'C'],
        ['Q', 'D'],
      ],
    },
    [u('P'), a('C'), u('Q'), a('D')] as Message[],
    [],
  ],
  [
    'reasoning beside the answer',
    { messages: [u('P'), a('C', { reasoning_content: 'First of all, think.' })] },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  [
    'thinking among the parts',
    {
      messages: [
        u('P'),
        a([
          { type: 'thinking', thinking: 'First of all, think.' },
          { type: 'text', text: 'C' },
        ]),
      ],
    },
    [u('P'), a('C')] as Message[],
    ['unused_key'],
  ],
  ['metharme', { prompt: 'P', generation: 'C' }, [u('P'), a('C')] as Message[], []],
  [
    'Alpaca with its rendered text',
    { instruction: 'I', input: '', output: 'O', text: 'Below is an instruction. I O' },
    [u('I'), a('O')] as Message[],
    ['unused_key'],
  ],
];

describe('a row as other tools write it', () => {
  test.each(FORMS)('%s', (_, row, messages, codes) => {
    const text = JSON.stringify(row, (_key, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value,
    ).replaceAll(/"(\d+)n"/g, '$1');
    const { examples, issues } = parseExamples(text);
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
    expect(examples.map((e) => e.messages)).toEqual([messages]);
    expect(
      issues
        .map((i) => i.code)
        .filter((code) => code !== 'too_few_rows')
        .sort(),
    ).toEqual([...codes].sort());
  });

  test('is left out where the file says that it is not to be learned', () => {
    const rows = [
      { prompt: 'P', completion: 'C', label: false },
      { messages: [u('P'), a('D')], label: false },
      { instruction: 'P', output: 'E', kto_tag: false },
      { prompt: 'P', completion: 'G', train: false },
      { prompt: 'P', completion: 'F', label: true },
    ];
    const { examples, issues, leftOut } = parseExamples(lines(...rows));
    expect(examples.map((e) => e.line)).toEqual([5]);
    expect(leftOut).toBe(4);
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
    expect(issues.find((i) => i.code === 'label_false')?.lines).toEqual([1, 2, 3]);
    expect(issues.find((i) => i.code === 'row_not_trained')?.lines).toEqual([4]);
    expect(parseTable('prompt,completion,label\na,b,True\nc,d,False\n').examples.map((e) => e.line)).toEqual([
      2,
    ]);
  });

  test('is refused in its own words where it holds no conversation', () => {
    const sentence = (row: unknown) => {
      const errors = parseExamples(lines(row)).issues.filter((i) => i.severity === 'error');
      const [error] = errors;
      expect(errors).toHaveLength(1);
      return `${error?.code}: ${error?.message}`;
    };
    expect(sentence({ role: 'user', content: 'P' })).toMatch(
      /missing_messages_list: This row is one message/,
    );
    expect(sentence({ foo: 'a', bar: 'b' })).toMatch(/no “messages” but “foo” and “bar”/);
    expect(sentence({})).toMatch(/This row is empty/);
    expect(sentence({ chosen: 'C', rejected: 'D' })).toMatch(/“chosen” and “rejected” but no prompt/);
    expect(sentence({ instruction: 'I', output: ['C', 'D'] })).toMatch(/“output” is a list of 2 texts/);
    expect(sentence({ messages: [u('P'), a(null)] })).toMatch(/missing_content: The content is null/);
    expect(sentence({ messages: [u('P'), a({ city: 'Lodz' })] })).toMatch(/The content is an object/);
    expect(sentence({ messages: [u('P'), a(null, { tool_calls: [{ id: 'c' }] })] })).toMatch(/bad_tool_call/);
  });
});

describe('calls of tools', () => {
  const messages = [
    u('Light, please.'),
    a('', {
      tool_calls: [{ type: 'function', id: 'c1', function: { name: 'lamp', arguments: { room: 'hall' } } }],
    }),
    { role: 'tool', content: 'on', tool_call_id: 'c1' },
    a('It is on.'),
  ];
  const tools = [
    {
      type: 'function',
      function: { name: 'lamp', description: 'Switches it.', parameters: { type: 'object' } },
    },
  ];
  const call = { name: 'lamp', arguments: { room: 'hall' } };

  test.each<[string, Json]>([
    [
      'OpenAI',
      {
        messages: [
          u('Light, please.'),
          {
            role: 'assistant',
            tool_calls: [
              { id: 'c1', type: 'function', function: { name: 'lamp', arguments: '{"room": "hall"}' } },
            ],
          },
          { role: 'tool', tool_call_id: 'c1', content: 'on' },
          a('It is on.'),
        ],
        tools,
        parallel_tool_calls: false,
      },
    ],
    [
      'Anthropic',
      {
        messages: [
          u('Light, please.'),
          a([{ type: 'tool_use', id: 'c1', name: 'lamp', input: { room: 'hall' } }]),
          u([{ type: 'tool_result', tool_use_id: 'c1', content: 'on' }]),
          a('It is on.'),
        ],
        tools: [{ name: 'lamp', description: 'Switches it.', input_schema: { type: 'object' } }],
      },
    ],
    [
      'Bedrock',
      {
        messages: [
          u([{ text: 'Light, please.' }]),
          a([{ toolUse: { toolUseId: 'c1', name: 'lamp', input: { room: 'hall' } } }]),
          u([{ toolResult: { toolUseId: 'c1', content: [{ text: 'on' }] } }]),
          a([{ text: 'It is on.' }]),
        ],
        toolConfig: {
          tools: [
            {
              toolSpec: {
                name: 'lamp',
                description: 'Switches it.',
                inputSchema: { json: { type: 'object' } },
              },
            },
          ],
        },
      },
    ],
  ])('are read as %s writes them', (_, row) => {
    const { examples, issues } = parseExamples(lines(row));
    expect(issues.map((i) => i.code)).toEqual(['too_few_rows']);
    expect(examples[0]).toMatchObject({ messages, tools });
    expect(JSON.stringify(examples[0]?.messages.map((m) => m.tool_calls))).toEqual(
      JSON.stringify(messages.map((m) => ('tool_calls' in m ? m.tool_calls : undefined))),
    );
  });

  test.each<[string, Json]>([
    [
      'Gemini',
      {
        contents: [
          { role: 'user', parts: [{ text: 'Light, please.' }] },
          { role: 'model', parts: [{ functionCall: { name: 'lamp', args: { room: 'hall' } } }] },
          { role: 'function', parts: [{ functionResponse: { name: 'lamp', response: 'on' } }] },
          { role: 'model', parts: [{ text: 'It is on.' }] },
        ],
        tools: [
          {
            functionDeclarations: [
              { name: 'lamp', description: 'Switches it.', parameters: { type: 'object' } },
            ],
          },
        ],
      },
    ],
    [
      'ShareGPT',
      {
        conversations: [
          { from: 'human', value: 'Light, please.' },
          { from: 'function_call', value: JSON.stringify(call) },
          { from: 'observation', value: 'on' },
          { from: 'gpt', value: 'It is on.' },
        ],
        tools: JSON.stringify([
          { name: 'lamp', description: 'Switches it.', parameters: { type: 'object' } },
        ]),
      },
    ],
    [
      'OpenAI before tools',
      {
        messages: [
          u('Light, please.'),
          a(null, { function_call: { name: 'lamp', arguments: '{"room": "hall"}' } }),
          { role: 'function', name: 'lamp', content: 'on' },
          a('It is on.'),
        ],
        functions: [{ name: 'lamp', description: 'Switches it.', parameters: { type: 'object' } }],
      },
    ],
  ])('are read as %s writes them', (_, row) => {
    const { examples, issues } = parseExamples(lines(row));
    expect(issues.map((i) => i.code).filter((code) => code !== 'nested_json')).toEqual(['too_few_rows']);
    expect(examples[0]?.messages.map((m) => [m.role, m.content, m.tool_calls?.[0]?.function])).toEqual([
      ['user', 'Light, please.', undefined],
      ['assistant', '', call],
      ['tool', 'on', undefined],
      ['assistant', 'It is on.', undefined],
    ]);
    expect(examples[0]?.tools).toEqual(tools);
  });
});

describe('what was understood', () => {
  test.each<[string, unknown[], string]>([
    ['chat messages', [{ messages: [u('P'), a('C')] }], '1 row of chat messages, from JSONL.'],
    [
      'an Alpaca list',
      [
        { instruction: 'I', input: 'X', output: 'O' },
        { instruction: 'J', output: 'O' },
      ],
      '2 rows of Alpaca instructions, from JSONL; instruction + input → user, output → assistant.',
    ],
    [
      'ShareGPT',
      [
        {
          system: 'S',
          conversations: [
            { from: 'human', value: 'P' },
            { from: 'gpt', value: 'C' },
          ],
        },
      ],
      '1 row of ShareGPT conversations, from JSONL; human → user, gpt → assistant.',
    ],
    ['texts', [{ text: 'One text.' }], '1 row of plain texts, from JSONL; every token of “text” is learned.'],
    [
      'some of them',
      [
        { prompt: 'P', completion: 'C' },
        { prompt: 'Q', completion: '' },
      ],
      '1 of 2 rows of prompts and completions, from JSONL; prompt → user, completion → assistant.',
    ],
    [
      'several formats',
      [{ prompt: 'P', completion: 'C' }, { messages: [u('P'), a('C')] }],
      '2 rows of prompts and completions and chat messages, from JSONL; prompt → user, completion → assistant.',
    ],
  ])('of %s', (_, rows, sentence) => {
    expect(parseExamples(lines(...rows)).understood).toBe(sentence);
  });
});
