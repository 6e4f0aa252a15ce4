// Rows that call tools: what a template with tools makes of them, what is learned, and what is said where a template does not.
// Not here: calls as other tools write them (rowFormats.test.ts), conversations without tools (chat.test.ts).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Example, Message } from '../src/contract';
import { readDataFile } from '../src/data/dataFile';
import { prepareRows } from '../src/data/prepareRows';
import { type Chat, createChat, withTools } from '../src/data/tokens/chat';
import { encodeExample, encodePrompt } from '../src/data/tokens/encodeRows';
import { previewTokens } from '../src/data/tokens/preview';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { defaultHyperparameters } from '../src/hyperparameters';

const fixtures = fileURLToPath(new URL('./fixtures/tokenizers/gpt2-like/', import.meta.url));
const json = (file: string) =>
  JSON.parse(readFileSync(`${fixtures}${file}`, 'utf8')) as Record<string, unknown>;

function chatWith(chatTemplate: string): Chat {
  return createChat(
    createTokenizer({
      tokenizerJson: json('tokenizer.json'),
      tokenizerConfig: json('tokenizer_config.json'),
      chatTemplate,
      eosTokenIds: [],
    }),
  );
}

/** Tools in the system message, calls and results between marks; as Hermes, Qwen and SmolLM have them. */
const MARKED = `{%- if tools %}<|im_start|>system
Tools:{% for tool in tools %} {{ tool | tojson }}{% endfor %}<|im_end|>
{% endif %}{%- for m in messages %}{%- if m.role == 'tool' %}<|im_start|>user
<result>{{ m.content }}</result><|im_end|>
{% else %}<|im_start|>{{ m.role }}
{{ m.content }}{% if m.tool_calls %}{% for call in m.tool_calls %}<call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</call>{% endfor %}{% endif %}<|im_end|>
{% endif %}{%- endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** A call is the whole answer; the text beside it is left away, and one call is allowed; as Llama 3.1 has it. */
const ONE_CALL = `{%- for m in messages %}{%- if m.tool_calls %}{%- if m.tool_calls | length != 1 %}{{ raise_exception('One call only.') }}{% endif %}<|im_start|>assistant
{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}<|im_end|>
{% elif m.role == 'tool' %}<|im_start|>ipython
{{ m.content | tojson }}<|im_end|>
{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{%- endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** Calls only where there is no content at all; as DeepSeek has it. */
const NO_CONTENT = `{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' and m.content is none %}{% for call in m.tool_calls %}call {{ call.function.name }} {{ call.function.arguments | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

const PLAIN = `{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

const call = (args: object, name = 'lamp'): NonNullable<Message['tool_calls']>[number] => ({
  type: 'function',
  id: 'abcd12345',
  function: { name, arguments: args },
});
const tools = [
  { type: 'function', function: { name: 'lamp', parameters: { type: 'object', properties: {} } } },
];
const talk: Message[] = [
  { role: 'user', content: 'Light in the hall.' },
  { role: 'assistant', content: '', tool_calls: [call({ room: 'hall' })] },
  { role: 'tool', content: 'it is on', tool_call_id: 'abcd12345' },
  { role: 'assistant', content: 'The light is on.' },
];
const row = (messages: Message[] = talk): Example => ({ line: 1, messages, tools });
const options = { max_length: 512, loss_on: 'answers' as const };

/** Text of each stretch of learned tokens. */
function learned(chat: Chat, example: Example): string[] {
  const { encoded } = encodeExample(chat, example, options);
  expect(encoded).toHaveLength(1);
  const { ids, mask } = encoded[0] as (typeof encoded)[number];
  const parts: number[][] = [];
  ids.forEach((id, t) => {
    if (mask[t] !== 1) return;
    if (mask[t - 1] !== 1) parts.push([]);
    parts.at(-1)?.push(id);
  });
  return parts.map((part) => chat.tokenizer.decode(part));
}

describe('a template with tools', () => {
  test('is detected by rendering it', () => {
    expect(chatWith(MARKED).tools).toEqual({
      definitions: true,
      calls: true,
      results: true,
      emptyContent: '',
    });
    expect(chatWith(ONE_CALL).tools).toEqual({
      definitions: false,
      calls: true,
      results: true,
      emptyContent: '',
    });
    expect(chatWith(NO_CONTENT).tools).toEqual({
      definitions: false,
      calls: true,
      results: true,
      emptyContent: null,
    });
    expect(chatWith(PLAIN).tools).toMatchObject({ definitions: false, calls: false, results: false });
  });

  test.each([
    ['with marks', MARKED, '<call>{"name": "lamp", "arguments": {"room": "hall"}}</call><|im_end|>'],
    ['with one call an answer', ONE_CALL, '{"name": "lamp", "parameters": {"room": "hall"}}<|im_end|>'],
    ['with calls instead of content', NO_CONTENT, 'call lamp {"room": "hall"}<|im_end|>'],
  ])('%s has the call learned as the answer, and the result read only', (_, template, answer) => {
    const chat = chatWith(template);
    expect(learned(chat, row())).toEqual([answer, 'The light is on.<|im_end|>']);
    const { encoded, issues } = encodeExample(chat, row(), options);
    expect(issues).toEqual([]);
    const whole = chat.tokenizer.decode(encoded[0]?.ids ?? []);
    expect(whole).toContain('it is on');
    expect(whole.includes('"parameters": {"type": "object"')).toBe(chat.tools.definitions);
    // The prompt of the first answer is how the row begins.
    const prompt = encodePrompt(withTools(chat, tools), talk.slice(0, 1));
    expect([...(encoded[0]?.ids.subarray(0, prompt.length) ?? [])]).toEqual([...prompt]);
    expect(encoded[0]?.mask.indexOf(1)).toBe(prompt.length);
  });

  test('is shown in the preview as it is learned', () => {
    const chat = chatWith(MARKED);
    const [encoded] = encodeExample(chat, row(), options).encoded;
    if (!encoded) throw new Error('not encoded');
    const tokens = previewTokens(chat, encoded, row());
    expect(tokens.map((t) => t.text).join('')).toBe(chat.tokenizer.decode(encoded.ids));
    expect(tokens.filter((t) => t.trained).every((t) => t.role === 'assistant')).toBe(true);
    expect(new Set(tokens.map((t) => t.role))).toContain('tool');
  });

  test('keeps control tokens that somebody typed into a call as text', () => {
    const chat = chatWith(MARKED);
    const typed = row([
      { role: 'user', content: 'x' },
      { role: 'assistant', content: '', tool_calls: [call({ room: 'a<|im_end|>b' })] },
    ]);
    const { encoded, issues } = encodeExample(chat, typed, options);
    expect(issues.map((i) => i.code)).toEqual(['control_token_text']);
    const end = chat.tokenizer.tokenId('<|im_end|>') as number;
    // System, user, assistant.
    expect([...(encoded[0]?.ids ?? [])].filter((id) => id === end)).toHaveLength(3);
    expect(learned(chat, typed)).toEqual([expect.stringContaining('a<|im_end|>b')]);
  });

  test('that leaves out a part of a row is reported', () => {
    const chat = chatWith(ONE_CALL);
    const both: Message[] = [
      { role: 'user', content: 'Light in the hall.' },
      { role: 'assistant', content: 'One moment.', tool_calls: [call({ room: 'hall' })] },
    ];
    expect(encodeExample(chat, row(both), options).issues).toMatchObject([
      { code: 'message_left_out', path: 'messages[1]' },
    ]);
    const two: Message[] = [
      { role: 'user', content: 'Light.' },
      { role: 'assistant', content: '', tool_calls: [call({ room: 'hall' }), call({ room: 'bath' })] },
    ];
    expect(encodeExample(chat, row(two), options).issues).toMatchObject([
      { code: 'template_refused', message: expect.stringContaining('One call only.') },
    ]);
  });
});

describe('a template that does not', () => {
  const lines = (...rows: object[]) => rows.map((r) => JSON.stringify(r)).join('\n');
  const plainRow = (i: number) => ({
    messages: [
      { role: 'user', content: `question ${i}` },
      { role: 'assistant', content: `answer ${i}` },
    ],
  });

  test('refuses rows with calls once for the file, and reports those with a list of tools', async () => {
    const calls = (n: number) => ({
      messages: [
        { role: 'user', content: `x ${n}` },
        { role: 'assistant', content: 'One moment.', tool_calls: [call({ n })] },
      ],
    });
    const text = lines(calls(1), ...Array.from({ length: 10 }, (_, i) => plainRow(i)), calls(2), {
      ...plainRow(20),
      tools,
    });
    const file = await readDataFile('rows.jsonl', text);
    const chat = chatWith(PLAIN);
    const { usable, issues } = prepareRows(file, chat, 512, defaultHyperparameters());
    expect(usable.map(({ encoded }) => encoded.line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]);
    expect(issues.map((i) => [i.code, i.severity, i.line, i.lines])).toEqual([
      ['tool_calls_unseen', 'error', 0, [1, 12]],
      ['tools_unseen', 'warning', 0, [13]],
    ]);
    expect(issues[0]?.message).toMatch(
      /^2 rows \(lines 1 and 12\) call tools \(“lamp”\)\. .* shows no calls/,
    );
    expect(issues[0]?.fix).not.toMatch(/content/i);
    // With one that knows them all rows are learned, and nothing is to be told.
    const known = prepareRows(file, chatWith(MARKED), 512, defaultHyperparameters());
    expect(known.usable).toHaveLength(13);
    expect(known.issues).toEqual([]);
  });
});
