// Conversations as ids and mask: what each kind of chat template makes of a row, what is learned of it, and what is refused.
// Not here: reading rows (data.test.ts), templates as text (template.test.ts), tokenizers (tokenizer.test.ts).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Example, Message } from '../src/contract';
import { type Chat, createChat } from '../src/data/tokens/chat';
import {
  type EncodeOptions,
  encodeExample,
  encodeExamples,
  encodePrompt,
} from '../src/data/tokens/encodeRows';
import { previewTokens } from '../src/data/tokens/preview';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { pairedStandardError, summary } from '../src/engine/training/evaluate';
import type { Hyperparameters } from '../src/hyperparameters';
import type { Architecture } from '../src/modelArchitecture';
import { Dataset } from '../src/session/dataset';

const fixtures = fileURLToPath(new URL('./fixtures/tokenizers/', import.meta.url));

function chatOf(kind: string, change: { template?: string | null; eosTokenIds?: number[] } = {}): Chat {
  const config = JSON.parse(readFileSync(`${fixtures}${kind}/tokenizer_config.json`, 'utf8')) as Record<
    string,
    unknown
  >;
  const listed = config.chat_template;
  const own = (
    Array.isArray(listed) ? (listed as { template: string }[]).at(-1)?.template : listed
  ) as string;
  return createChat(
    createTokenizer({
      tokenizerJson: JSON.parse(readFileSync(`${fixtures}${kind}/tokenizer.json`, 'utf8')) as Record<
        string,
        unknown
      >,
      tokenizerConfig: config,
      chatTemplate: change.template === undefined ? own : change.template,
      eosTokenIds: change.eosTokenIds ?? [],
    }),
  );
}

const kinds = ['gpt2-like', 'split-regex', 'llama2-like', 'metaspace-bpe', 'gemma-like', 'unigram'];
const chats = new Map(kinds.map((kind) => [kind, chatOf(kind)]));
const settings = { max_length: 512, loss_on: 'answers' as const };

const conversation: Message[] = [
  { role: 'user', content: 'the fox sells' },
  { role: 'assistant', content: 'a letter' },
  { role: 'user', content: 'and now' },
  { role: 'assistant', content: 'nobody' },
];
const example = (messages: Message[], line = 1): Example => ({ line, messages });

/** Of a conversation that becomes one row at most. */
function encodeOne(chat: Chat, e: Example, options: EncodeOptions) {
  const { encoded, issues } = encodeExample(chat, e, options);
  expect(encoded.length).toBeLessThan(2);
  return { encoded: encoded[0] ?? null, issues };
}

/** Text of each stretch of trained tokens. */
function trainedText(
  chat: Chat,
  e: Example,
  options: { max_length: number; loss_on: 'answers' | 'last_answer' | 'all' },
): string[] {
  const { encoded } = encodeOne(chat, e, options);
  const parts: number[][] = [];
  encoded?.ids.forEach((id, t) => {
    if (encoded.mask[t] !== 1) return;
    if (encoded.mask[t - 1] !== 1) parts.push([]);
    parts.at(-1)?.push(id);
  });
  return parts.map((ids) => chat.tokenizer.decode(ids));
}

describe.each(kinds)('the loss mask with the template and tokenizer of %s', (kind) => {
  const chat = chats.get(kind) as Chat;

  test('covers the answers and their end-of-turn token, nothing else', () => {
    const end = chat.endOfTurn;
    expect(end).not.toBe('');
    const texts = trainedText(chat, example(conversation), settings).map((text) => text.replaceAll(' ', ''));
    expect(texts).toEqual([`aletter${end}`, `nobody${end}`]);
    expect(chat.notices.filter((notice) => !/do not list as an end token/.test(notice))).toEqual([]);
    const { encoded } = encodeOne(chat, example(conversation), settings);
    expect(encoded?.mask[0]).toBe(0);
    const last = encoded?.mask.lastIndexOf(1) ?? -1;
    expect(chat.stopIds).toContain(encoded?.ids[last]);
  });

  test('starts where the prompt of a generation ends', () => {
    const prompt = encodePrompt(chat, conversation.slice(0, 3));
    const { encoded } = encodeOne(chat, example(conversation), { ...settings, loss_on: 'last_answer' });
    const first = encoded?.mask.indexOf(1) ?? -1;
    // Tokens may merge across the border; then the answer starts a token earlier.
    expect(prompt.length - first).toBeGreaterThanOrEqual(0);
    expect(prompt.length - first).toBeLessThanOrEqual(1);
    expect([...(encoded?.ids.subarray(0, first) ?? [])]).toEqual(prompt.slice(0, first));
  });

  test('is what the preview shows, and the roles with it', () => {
    const e = example([{ role: 'system', content: 'paints bread' }, ...conversation]);
    const { encoded } = encodeOne(chat, e, settings);
    if (!encoded) throw new Error('not encoded');
    const tokens = previewTokens(chat, encoded, e);
    expect(tokens.map((t) => t.id)).toEqual([...encoded.ids]);
    expect(tokens.map((t) => Number(t.trained))).toEqual([...encoded.mask]);
    expect(tokens.map((t) => t.text).join('')).toBe(chat.tokenizer.decode(encoded.ids));
    expect(tokens.filter((t) => t.trained).every((t) => t.role === 'assistant')).toBe(true);
    expect(new Set(tokens.map((t) => t.role))).toContain('user');
  });

  test('survives control tokens in what people wrote', () => {
    const specials = [...new Set([chat.endOfTurn, chat.tokenizer.eosToken ?? ''])].filter((s) => s !== '');
    const typed = specials.join(' x ');
    const e = example([
      { role: 'user', content: `the ${typed}` },
      { role: 'assistant', content: `so ${typed} it is` },
    ]);
    const { encoded, issues } = encodeOne(chat, e, settings);
    expect(issues.map((i) => [i.code, i.severity, i.path])).toEqual([
      ['control_token_text', 'warning', 'messages[0].content'],
      ['control_token_text', 'warning', 'messages[1].content'],
    ]);
    const plain = encodeOne(
      chat,
      example([
        { role: 'user', content: 'the' },
        { role: 'assistant', content: 'so' },
      ]),
      settings,
    );
    const control = (ids: Int32Array | undefined) =>
      [...(ids ?? [])].filter(
        (id) => chat.tokenizer.isSpecial(id) && chat.tokenizer.tokenName(id) !== '<unk>',
      );
    expect(control(encoded?.ids)).toEqual(control(plain.encoded?.ids));
    const last = encoded?.mask.lastIndexOf(1) ?? -1;
    expect(chat.stopIds).toContain(encoded?.ids[last]);
  });
});

describe('what is learned', () => {
  const chat = chats.get('gpt2-like') as Chat;
  const end = '<|im_end|>';
  const weighted: Message[] = conversation.map((m, i) => (i === 3 ? { ...m, weight: 0 as const } : m));

  test('follows loss_on and weight', () => {
    expect(trainedText(chat, example(conversation), { ...settings, loss_on: 'last_answer' })).toEqual([
      `nobody${end}`,
    ]);
    expect(trainedText(chat, example(weighted), settings)).toEqual([`a letter${end}`]);
    expect(trainedText(chat, example(weighted), { ...settings, loss_on: 'last_answer' })).toEqual([
      `a letter${end}`,
    ]);
    const whole = chat.render(conversation);
    expect(trainedText(chat, example(conversation), { ...settings, loss_on: 'all' })).toEqual([
      whole.slice('<|im_start|>'.length),
    ]);
    expect(trainedText(chat, example(weighted), { ...settings, loss_on: 'all' }).join('')).toBe(
      whole.slice('<|im_start|>'.length).replace(`nobody${end}`, ''),
    );
  });

  test('is lost where the row is cut, and that is reported', () => {
    const full = encodeOne(chat, example(conversation), settings).encoded;
    const length = full?.ids.length ?? 0;
    const cut = encodeOne(chat, example(conversation), { ...settings, max_length: length - 3 });
    expect(cut.encoded).toMatchObject({ fullLength: length, ids: { length: length - 3 } });
    expect([...(cut.encoded?.ids ?? [])]).toEqual([...(full?.ids.subarray(0, length - 3) ?? [])]);
    expect(cut.issues).toMatchObject([{ code: 'over_length', severity: 'warning', line: 1 }]);
    const early = encodeOne(chat, example(conversation, 7), { ...settings, max_length: 8 });
    expect(early).toMatchObject({
      encoded: null,
      issues: [{ code: 'no_trained_tokens', severity: 'error', line: 7 }],
    });
    const short = encodeOne(chat, example(conversation), { ...settings, contextLength: length - 3 });
    expect(short.encoded?.ids).toHaveLength(length - 3);
    expect(short.issues[0]?.fix).toMatch(/The model reads \d+ tokens at most: shorten/);
    const silent = encodeOne(
      chat,
      example(conversation.map((m) => (m.role === 'assistant' ? { ...m, weight: 0 as const } : m))),
      settings,
    );
    expect(silent.issues).toMatchObject([{ code: 'no_trained_tokens' }]);
  });

  test('is refused when the template refuses, doubles BOS, or shows history differently', () => {
    const twice = example([{ role: 'user', content: 'a' }, ...conversation]);
    expect(encodeOne(chats.get('gemma-like') as Chat, twice, settings)).toMatchObject({
      encoded: null,
      issues: [
        { code: 'template_refused', severity: 'error', message: expect.stringContaining('must alternate') },
      ],
    });
    expect(() => encodePrompt(chats.get('gemma-like') as Chat, twice.messages)).toThrow(
      expect.objectContaining({ code: 'template_refused' }),
    );

    const doubled = chatOf('gemma-like', {
      template: '{{ bos_token + bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}',
    });
    expect(encodeOne(doubled, example(conversation), settings).issues).toMatchObject([
      { code: 'double_bos' },
    ]);
    expect(doubled.notices).toEqual([expect.stringMatching(/no end token/), expect.stringMatching(/twice/)]);

    // As reasoning models do: the newest answer is shown with its thoughts, older ones without.
    const thinking =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}";
    const reasoner = chatOf('gpt2-like', { template: thinking });
    expect(reasoner.notices).toEqual([
      expect.stringMatching(/without thinking/),
      expect.stringMatching(/earlier answers differently/),
    ]);
    expect(trainedText(reasoner, example(conversation), { ...settings, loss_on: 'last_answer' })).toEqual([
      `nobody${end}`,
    ]);
    expect(trainedText(reasoner, example(conversation.slice(0, 2)), settings)).toEqual([`a letter${end}`]);

    expect(() => chatOf('gpt2-like', { template: '{% for %}' })).toThrow(
      expect.objectContaining({ code: 'bad_template' }),
    );
  });

  test('ends on a token that generation stops on, also without a template of its own', () => {
    const own = chatOf('gpt2-like', { template: null });
    expect(own).toMatchObject({
      source: 'chatml',
      endOfTurn: end,
      notices: ['This model has no chat template, so ChatML is used.'],
    });
    expect(own.render(conversation)).toBe(chat.render(conversation));
    const llama = chatOf('llama2-like', { template: null });
    expect(llama).toMatchObject({ source: 'chatml', endOfTurn: '</s>' });
    expect(llama.notices[0]).toMatch(/own end token <\/s>/);
    expect(encodePrompt(llama, conversation.slice(0, 1))[0]).toBe(llama.tokenizer.bosTokenId);
    const gemma = chats.get('gemma-like') as Chat;
    expect(gemma.stopIds).toContain(gemma.tokenizer.tokenId('<end_of_turn>'));
    expect(gemma.notices).toEqual([expect.stringMatching(/<end_of_turn>.*do not list/)]);
    const listed = chatOf('gemma-like', {
      eosTokenIds: [1, gemma.tokenizer.tokenId('<end_of_turn>') as number],
    });
    expect(listed.notices).toEqual([]);
  });

  test('is reported for a whole file, and a default system message is shown as such', () => {
    const { encoded, issues } = encodeExamples(
      chat,
      [example(conversation, 1), example(conversation.slice(0, 1), 2)],
      settings,
    );
    expect(encoded.map((e) => e.line)).toEqual([1]);
    expect(issues).toMatchObject([{ line: 2, code: 'no_trained_tokens' }]);
    const withDefault = chats.get('split-regex') as Chat;
    const e = example(conversation);
    const result = encodeOne(withDefault, e, settings).encoded;
    const shown = previewTokens(withDefault, result as NonNullable<typeof result>, e);
    const system = shown.filter((t) => t.role === 'system').map((t) => t.text);
    expect(system.join('')).toBe('<|im_start|>system\nYou are helpful.<|im_end|>\n');
  });
});

// ───────────────────────────── kinds of templates ─────────────────────────────

const TURN = "'<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n'";
const ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Templates of the kinds in use, each of which needs something of its own. */
const TEMPLATES = {
  plain: `{% for m in messages %}{{ ${TURN} }}{% endfor %}${ASK}`,
  noEnd:
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
  endBeforeNext:
    "{% for m in messages %}{% if not loop.first %}<|im_end|>\n{% endif %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_end|>\\n<|im_start|>assistant\\n' }}{% endif %}",
  prefilled: `{% for m in messages %}{{ ${TURN} }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}`,
  /** Shows of an answer only what follows its reasoning, and opens the reasoning when it asks for one. */
  distilled: `{% for m in messages %}{% set c = m.content %}{% if m.role == 'assistant' and '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}{{ '<|im_start|>' + m.role + '\\n' + c + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}`,
  /** The newest answer has an empty thought in front of it, earlier ones have none. */
  forgetful:
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and loop.last and '</think>' not in m.content %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}",
  refusesSystem: `{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ ${TURN} }}{% endfor %}${ASK}`,
  ignoresSystem: `{% for m in messages %}{% if m.role != 'system' %}{{ ${TURN} }}{% endif %}{% endfor %}${ASK}`,
  endsLastOnly: `{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% if loop.last %}<|im_end|>{% endif %}\n{% endfor %}${ASK}`,
} as const;

const made = new Map<string, Chat>();
function chatWith(kind: keyof typeof TEMPLATES): Chat {
  const chat = made.get(kind) ?? chatOf('gpt2-like', { template: TEMPLATES[kind], eosTokenIds: [] });
  made.set(kind, chat);
  return chat;
}

const END = '<|im_end|>';
const endId = (chat: Chat) => chat.tokenizer.tokenId(END) as number;
const withSystem: Message[] = [{ role: 'system', content: 'be kind' }, ...conversation];
const learnedIds = (row: { ids: Int32Array; mask: Uint8Array }) =>
  [...row.ids].filter((_, t) => row.mask[t] === 1);
const textOf = (chat: Chat, row: { ids: Int32Array } | undefined) => chat.tokenizer.decode(row?.ids ?? []);

describe('an answer’s end', () => {
  test('is added and learned where the template writes none, each answer in a row of its own', () => {
    const chat = chatWith('noEnd');
    expect(chat).toMatchObject({ ending: 'added', endOfTurn: chat.tokenizer.eosToken });
    expect(chat.notices).toEqual([expect.stringMatching(/writes no end token.*is added there and learned/)]);
    const end = chat.stopIds[0] as number;
    const { encoded, issues } = encodeExamples(chat, [example(conversation, 7)], settings);
    expect(encoded.map((e) => [e.line, e.answer])).toEqual([
      [7, 1],
      [7, 3],
    ]);
    for (const [n, row] of encoded.entries()) {
      // Without the end these are the ids of the text that transformers renders.
      const rendered = chat.render(conversation.slice(0, 2 * n + 2));
      expect([...row.ids].filter((id) => id !== end)).toEqual(
        chat.tokenizer.encode(rendered, { allowSpecial: true }),
      );
      expect(learnedIds(row).at(-1)).toBe(end);
      // The prompt's last space and the answer's first letters are one token.
      const prompt = encodePrompt(chat, conversation.slice(0, 2 * n + 1)).slice(0, -1);
      expect([...row.ids.subarray(0, prompt.length)]).toEqual(prompt);
    }
    expect(issues).toMatchObject([
      {
        code: 'one_row_an_answer',
        line: 0,
        message: expect.stringMatching(/1 of 1 row had several.*2 rows to learn/),
      },
    ]);
  });

  test('is learned in front of the next message, and added after the last', () => {
    const chat = chatWith('endBeforeNext');
    expect(chat).toMatchObject({ ending: 'before_next', endOfTurn: END });
    expect(chat.notices[0]).toMatch(/only in front of the next message.*added after the last answer/);
    const { encoded } = encodeOne(chat, example(conversation), settings);
    const rendered = chat.tokenizer.encode(chat.render(conversation), { allowSpecial: true });
    expect([...(encoded?.ids ?? [])]).toEqual([...rendered, endId(chat)]);
    expect(trainedText(chat, example(conversation), settings)).toEqual([`a letter${END}`, `nobody${END}`]);
    expect(trainedText(chat, example(conversation), { ...settings, loss_on: 'last_answer' })).toEqual([
      `nobody${END}`,
    ]);
    expect(chat.stopIds[0]).toBe(endId(chat));
  });

  test('is that of the answer alone where the template ends the last message only', () => {
    const chat = chatWith('endsLastOnly');
    expect(chat.ending).toBe('written');
    const { encoded } = encodeExample(chat, example(conversation), settings);
    expect(encoded.map((row) => chat.tokenizer.decode(learnedIds(row)))).toEqual([
      `a letter${END}`,
      `nobody${END}`,
    ]);
  });

  test('cannot be learned where no file names one, and that is reported', () => {
    const config = JSON.parse(readFileSync(`${fixtures}gpt2-like/tokenizer_config.json`, 'utf8')) as object;
    const chat = createChat(
      createTokenizer({
        tokenizerJson: JSON.parse(readFileSync(`${fixtures}gpt2-like/tokenizer.json`, 'utf8')) as Record<
          string,
          unknown
        >,
        tokenizerConfig: { ...config, eos_token: null },
        chatTemplate: TEMPLATES.noEnd,
        eosTokenIds: [],
      }),
    );
    expect(chat).toMatchObject({ ending: 'none', endOfTurn: '', stopIds: [] });
    expect(chat.notices).toEqual([expect.stringMatching(/files name none.*will not learn where to stop/)]);
    expect(encodeExample(chat, example(conversation), settings).encoded).toHaveLength(1);
  });
});

describe('a prompt that the template writes otherwise than it shows an answer', () => {
  const asked = (chat: Chat, messages: Message[], answer: string) => [
    ...encodePrompt(chat, messages),
    ...chat.tokenizer.encode(`${answer}${END}\n`, { allowSpecial: true }),
  ];

  test('comes before what is learned, as it will be asked', () => {
    const chat = chatWith('prefilled');
    expect(chat.notices).toEqual([expect.stringMatching(/begins each answer with “<think>”/)]);
    for (const loss_on of ['answers', 'last_answer', 'all'] as const) {
      const { encoded, issues } = encodeOne(chat, example(conversation.slice(0, 2)), {
        ...settings,
        loss_on,
      });
      expect(issues).toEqual([]);
      expect([...(encoded?.ids ?? [])]).toEqual(asked(chat, conversation.slice(0, 1), 'a letter'));
      if (loss_on !== 'all')
        expect(chat.tokenizer.decode(learnedIds(encoded as never))).toBe(`a letter${END}`);
    }
    const { encoded } = encodeExample(chat, example(conversation), settings);
    expect(encoded.map((row) => [...row.ids])).toEqual([
      asked(chat, conversation.slice(0, 1), 'a letter'),
      asked(chat, conversation.slice(0, 3), 'nobody'),
    ]);
  });

  test('is not written twice in front of an answer that begins with it', () => {
    const chat = chatWith('distilled');
    const thought = '<think>\nit is red\n</think>\n\na letter';
    const rows = encodeExample(
      chat,
      example([
        conversation[0] as Message,
        { role: 'assistant', content: thought },
        ...conversation.slice(2),
      ]),
      settings,
    ).encoded;
    expect(rows.map((row) => chat.tokenizer.decode(learnedIds(row)))).toEqual([
      `it is red\n</think>\n\na letter${END}`,
      `nobody${END}`,
    ]);
    expect(textOf(chat, rows[0])).toContain('assistant\n<think>\nit is red');
    // Of an earlier answer the template shows what follows the reasoning; so will it when it asks.
    expect(textOf(chat, rows[1])).not.toContain('red');
  });

  test('leaves out reasoning that it has closed already, and reports it', () => {
    const chat = chatWith('forgetful');
    const e = example([
      conversation[0] as Message,
      { role: 'assistant', content: '<think>red</think>a letter' },
    ]);
    const { encoded, issues } = encodeOne(chat, e, settings);
    expect(issues).toMatchObject([{ code: 'reasoning_left_out', severity: 'warning', path: 'messages[1]' }]);
    expect(chat.tokenizer.decode(learnedIds(encoded as never))).toBe(`a letter${END}`);
    const prompt = encodePrompt(chat, conversation.slice(0, 1));
    expect([...(encoded?.ids.subarray(0, prompt.length) ?? [])]).toEqual(prompt);
  });
});

describe('an answer after a prompt that the template does not show', () => {
  test('has the ids of the prompt before it, whatever would merge across the border', () => {
    const chat = chatOf('gpt2-like', {
      template: TEMPLATES.prefilled.replace('<think>\\n', '<think>: '),
    });
    const { encoded } = encodeOne(chat, example(conversation.slice(0, 2)), settings);
    const prompt = encodePrompt(chat, conversation.slice(0, 1));
    expect(chat.tokenizer.decode(prompt)).toMatch(/<think>: $/);
    expect([...(encoded?.ids.subarray(0, prompt.length) ?? [])]).toEqual(prompt);
    expect(textOf(chat, encoded ?? undefined)).toContain(`<think>: a letter${END}`);
    expect(encoded?.mask.indexOf(1)).toBe(prompt.length);
  });
});

describe('a template that shows earlier answers otherwise', () => {
  const chat = chatWith('forgetful');

  test('makes one row of each answer, as it will be asked for', () => {
    expect(chat.notices.at(-1)).toMatch(/each answer becomes a row of its own/);
    const { encoded, issues } = encodeExamples(
      chat,
      [example(conversation, 4), example(conversation.slice(0, 2), 5)],
      settings,
    );
    expect(encoded.map((row) => [row.line, row.answer])).toEqual([
      [4, 1],
      [4, 3],
      [5, undefined],
    ]);
    for (const [n, row] of encoded.slice(0, 2).entries()) {
      const prompt = encodePrompt(chat, conversation.slice(0, 2 * n + 1));
      expect([...row.ids.subarray(0, prompt.length)]).toEqual(prompt);
      expect(row.mask.indexOf(1)).toBe(prompt.length);
      const shown = chat.render(conversation.slice(0, 2 * n + 2));
      expect([...row.ids]).toEqual(chat.tokenizer.encode(shown, { allowSpecial: true }));
    }
    expect(issues).toMatchObject([
      { code: 'one_row_an_answer', message: expect.stringMatching(/1 of 2 rows.*3 rows/) },
    ]);
  });

  test('learns each token once where everything is learned', () => {
    const rows = encodeExample(chat, example(conversation), { ...settings, loss_on: 'all' }).encoded;
    expect(rows.map((row) => chat.tokenizer.decode(learnedIds(row)))).toEqual([
      chat.render(conversation.slice(0, 2)).slice('<|im_start|>'.length),
      `\n<|im_start|>user\nand now${END}\n<|im_start|>assistant\n<think>\n\n</think>\n\nnobody${END}\n`,
    ]);
  });

  test('keeps weight 0 out, and the last answer alone where that is asked for', () => {
    const weighted = conversation.map((m, i) => (i === 1 ? { ...m, weight: 0 as const } : m));
    expect(encodeExample(chat, example(weighted), settings).encoded).toHaveLength(1);
    expect(trainedText(chat, example(weighted), settings)).toEqual([`nobody${END}`]);
    expect(
      trainedText(chat, example([...conversation, { role: 'user', content: 'so' }]), {
        ...settings,
        loss_on: 'last_answer',
      }),
    ).toEqual([`nobody${END}`]);
  });

  test('is cut at the limit: answers beyond it are reported, the others learned', () => {
    const long = Array.from({ length: 12 }, () => conversation).flat();
    const { encoded, issues } = encodeExample(chat, example(long), { ...settings, max_length: 90 });
    expect(encoded.length).toBeGreaterThan(2);
    expect(encoded.length).toBeLessThan(12);
    expect(issues).toMatchObject([{ code: 'over_length', severity: 'warning' }]);
  });

  test('shows each row with its roles', () => {
    const e = example(withSystem);
    const rows = encodeExample(chat, e, settings).encoded;
    expect(rows.map((row) => row.answer)).toEqual([2, 4]);
    for (const row of rows) {
      const tokens = previewTokens(chat, row, e);
      const said = (role: string) =>
        tokens
          .filter((t) => t.role === role)
          .map((t) => t.text)
          .join('');
      expect(said('system')).toBe(`<|im_start|>system\nbe kind${END}\n`);
      expect(said('user')).toContain('the fox sells');
      expect(said('assistant')).not.toContain('user');
      expect(tokens.filter((t) => t.trained).every((t) => t.role === 'assistant')).toBe(true);
    }
  });
});

describe('a template without a place for a system message', () => {
  test.each(['refusesSystem', 'ignoresSystem'] as const)(
    '%s: puts it in front of the first question, in rows and prompts',
    (kind) => {
      const chat = chatWith(kind);
      expect(chat.foldsSystem).toBe(true);
      expect(chat.notices).toEqual([expect.stringMatching(/no place for a system message/)]);
      const { encoded, issues } = encodeOne(chat, example(withSystem), settings);
      expect(issues).toEqual([]);
      expect(textOf(chat, encoded ?? undefined)).toContain(
        `<|im_start|>user\nbe kind\n\nthe fox sells${END}`,
      );
      const prompt = encodePrompt(chat, withSystem.slice(0, 2));
      expect([...(encoded?.ids.subarray(0, prompt.length) ?? [])]).toEqual(prompt);
      const shown = previewTokens(chat, encoded as never, example(withSystem));
      expect(
        shown
          .filter((t) => t.role === 'user')
          .map((t) => t.text)
          .join(''),
      ).toContain('be kind');
    },
  );

  test('reports a message that it has to leave out', () => {
    const late: Message[] = [
      ...conversation.slice(0, 2),
      { role: 'system', content: 'be kind' },
      ...conversation.slice(2),
    ];
    expect(encodeOne(chatWith('ignoresSystem'), example(late), settings).issues).toMatchObject([
      { code: 'message_left_out', severity: 'warning', path: 'messages[2]' },
    ]);
    expect(chats.get('gpt2-like')?.foldsSystem).toBe(false);
  });
});

describe('a token that the model has no row for', () => {
  const tokenizer = (chats.get('gpt2-like') as Chat).tokenizer;
  const beyond = Math.max(...tokenizer.encode('the fox sells').filter((id) => !tokenizer.isSpecial(id)));

  test('is refused by row and token, and in a prompt', () => {
    const chat = createChat(tokenizer, { vocabSize: tokenizer.vocabSize });
    const ids = tokenizer.encode('the fox sells');
    const cut = { ...chat, vocabSize: Math.max(...ids) };
    const name = tokenizer.tokenName(Math.max(...ids));
    expect(encodeExample(cut, example(conversation, 9), settings)).toMatchObject({
      encoded: [],
      issues: [
        {
          code: 'token_beyond_vocabulary',
          severity: 'error',
          line: 9,
          message: expect.stringContaining(`“${name}”`),
        },
      ],
    });
    expect(() => encodePrompt(cut, conversation.slice(0, 1))).toThrow(
      expect.objectContaining({ code: 'token_beyond_vocabulary' }),
    );
    expect(beyond).toBe(Math.max(...ids));
  });

  test('is refused with the model where the template writes it', () => {
    const json = JSON.parse(readFileSync(`${fixtures}gpt2-like/tokenizer.json`, 'utf8')) as {
      added_tokens: object[];
    };
    const id = tokenizer.vocabSize;
    json.added_tokens.push({ id, content: '<|turn|>', special: true, normalized: false });
    const files = {
      tokenizerJson: json as unknown as Record<string, unknown>,
      tokenizerConfig: {},
      chatTemplate: '{% for m in messages %}{{ m.content }}<|turn|>{% endfor %}',
      eosTokenIds: [],
    };
    expect(createChat(createTokenizer(files), { vocabSize: id + 1 }).endOfTurn).toBe('<|turn|>');
    expect(() => createChat(createTokenizer(files), { vocabSize: id })).toThrow(
      expect.objectContaining({
        code: 'token_beyond_vocabulary',
        message: expect.stringContaining(`<|turn|> (token ${id})`),
      }),
    );
  });
});

describe('a template that does not end', () => {
  test('is refused when the model is opened', () => {
    const template = '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}';
    expect(() => chatOf('gpt2-like', { template })).toThrow(
      expect.objectContaining({ code: 'template_endless' }),
    );
  });

  test('is tried on three rows and no more where it depends on the row', () => {
    const loops = `{% for m in messages %}{% if 'fox' in m.content %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}{{ ${TURN} }}{% endfor %}${ASK}`;
    const chat = chatOf('gpt2-like', { template: loops });
    let renders = 0;
    const counted: Chat = {
      ...chat,
      render: (...args) => {
        renders++;
        return chat.render(...args);
      },
    };
    const { encoded, issues } = encodeExamples(
      counted,
      Array.from({ length: 50 }, (_, i) => example(conversation, i + 1)),
      settings,
    );
    expect(encoded).toEqual([]);
    expect(issues.map((issue) => issue.code)).toEqual(Array.from({ length: 50 }, () => 'template_endless'));
    expect(renders).toBe(3);
  });
});

describe('a long conversation', () => {
  test('is rendered about as often as a short one', () => {
    const chat = chatWith('plain');
    let rendered = 0;
    const counted: Chat = {
      ...chat,
      render: (messages, options) => {
        rendered += messages.length;
        return chat.render(messages, options);
      },
    };
    const long = Array.from({ length: 200 }, () => conversation).flat();
    const { encoded } = encodeOne(counted, example(long), { ...settings, max_length: 100_000 });
    expect(rendered).toBeLessThan(5 * long.length);
    expect(rendered).toBeGreaterThan(long.length);
    const one = encodeOne(chat, example(conversation), settings).encoded;
    const learned = one ? learnedIds(one) : [];
    expect(encoded && learnedIds(encoded)).toEqual(Array.from({ length: 200 }, () => learned).flat());
  });
});

describe('rows of one conversation', () => {
  const chat = chatWith('forgetful');
  const lines = Array.from({ length: 24 }, (_, i) =>
    JSON.stringify({
      messages: [
        {
          role: 'user',
          content: `what sells the fox of town ${'abcdefghijklmnopqrstuvwxyz'[i]} number ${i * 37}`,
        },
        { role: 'assistant', content: 'a letter' },
        { role: 'user', content: 'and now' },
        { role: 'assistant', content: `nobody ${i}` },
      ],
    }),
  );
  const h = {
    max_length: 512,
    loss_on: 'answers' as const,
    validation_fraction: 0.25,
    test_fraction: 0,
    seed: 3,
  };

  test('are on one side of the split, and counted as rows to learn from', async () => {
    const dataset = await Dataset.read('talk.jsonl', lines.join('\n'));
    const report = dataset.encode(chat, { contextLength: 512 } as Architecture, h as Hyperparameters);
    expect(report).toMatchObject({ rows: 24, usableRows: 24, encodedRows: 48 });
    expect(report.trainRows + report.validationRows).toBe(48);
    expect(report.messagesPerRow.total).toBe(24 * 4);
    const linesOf = (side: 'train' | 'validation') => new Set(dataset.rows(side).map((r) => r.encoded.line));
    expect([...linesOf('train')].filter((line) => linesOf('validation').has(line))).toEqual([]);
    expect(linesOf('train').size + linesOf('validation').size).toBe(24);
    expect(report.issues.filter((i) => i.code === 'one_row_an_answer')).toHaveLength(1);
    const shown = dataset.preview(chat, { offset: 0, count: 2, split: 'train' });
    expect(shown.map((r) => r.answer)).toEqual([1, 3]);
  });

  test('count as copies by the rows that are held out, so that a claim of new rows is true', async () => {
    const same = Array.from({ length: 12 }, () => lines[0]).join('\n');
    const dataset = await Dataset.read('same.jsonl', same);
    const report = dataset.encode(chat, { contextLength: 512 } as Architecture, h as Hyperparameters);
    expect(report.validationRows).toBeGreaterThan(2);
    expect(report.heldOut.copies).toBe(report.validationRows);
  });

  test('are one throw of the dice in an error bar', () => {
    const row = (line: number, lossSum: number) => ({ line, lossSum, targets: 2, correct: 0 });
    const apart = summary([row(1, 1), row(2, 1), row(3, 3), row(4, 3)]);
    const together = summary([row(1, 1), row(1, 1), row(2, 3), row(2, 3)]);
    expect(together.loss).toBe(apart.loss);
    expect(together.standardError).toBeCloseTo(apart.standardError * Math.SQRT2, 12);
    const later = summary([row(1, 2), row(1, 0), row(2, 3), row(2, 3)]);
    expect(pairedStandardError(later, together)).toBe(0);
  });
});
