// Conversations → token ids with a loss mask: the chat template, what is learned of each row, and the coloured preview.
// Not here: reading rows (jsonl.ts), rectangles of rows (batches.ts).

import type { EncodedExample, Example, Issue, Message, PreviewToken, Role } from '../contract';
import { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import { EndlessTemplate } from './jinja/budget';
import { type CompiledTemplate, compileTemplate } from './jinja/render';
import type { Tokenizer } from './tokenizer';

/** One template for training, talking and export, so that they cannot differ. */
export interface Chat {
  tokenizer: Tokenizer;
  /** The Jinja text in use. */
  template: string;
  /** The model's own, or ChatML because it has none. */
  source: 'own' | 'chatml';
  /** Ids that end an answer: those of the model's files and the one its template writes. */
  stopIds: readonly number[];
  /** The token that the template writes after an answer; '' when it writes none. */
  endOfTurn: string;
  /** Sentences about the choice of template; `checkTemplate` has those about its quality. */
  notices: string[];
  /** The conversation as text. Throws `template_refused` with the template's own words. */
  render(messages: readonly Message[], options?: { addGenerationPrompt?: boolean }): string;
}

export interface EncodeOptions extends Pick<Hyperparameters, 'max_length' | 'loss_on'> {
  /** Tokens the model can read at most; no setting lifts this limit. */
  contextLength?: number;
}

export interface EncodeResult {
  /** Null when the row cannot be trained on; an issue of severity error says why. */
  encoded: EncodedExample | null;
  issues: Issue[];
}

/**
 * ChatML for a tokenizer without a template. Where `<|im_end|>` is not one token the turn ends on the model's own end token:
 * an end mark of several ordinary tokens would never stop generation.
 */
function chatMl(tokenizer: Tokenizer): { template: string; notice: string } {
  const bos = tokenizer.addsBos ? '{{ bos_token }}' : '';
  const imEnd = tokenizer.tokenId('<|im_end|>');
  const own = tokenizer.eosToken ?? tokenizer.tokenName(tokenizer.endOfTurnIds[0] ?? -1);
  const end = imEnd !== undefined && tokenizer.isSpecial(imEnd) ? '<|im_end|>' : own;
  const template = `${bos}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + ${JSON.stringify(end)} + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
  const ending = end === '<|im_end|>' ? '' : ` Each turn ends on the model’s own end token ${end}.`;
  return { template, notice: `This model has no chat template, so ChatML is used.${ending}` };
}

function compile(template: string): CompiledTemplate {
  try {
    return compileTemplate(template);
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'bad_template',
        message: `The model’s chat template cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: 'Use the chat template that came with the model, or remove it to use ChatML.',
        where: 'chat_template',
      },
      { cause },
    );
  }
}

function refusal(cause: unknown): PlaygroundError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof EndlessTemplate) {
    return new PlaygroundError(
      {
        code: 'template_endless',
        message: `The model’s chat template was stopped: ${reason}.`,
        fix: 'Use the chat template that came with the model, or remove it to use ChatML.',
        where: 'chat_template',
      },
      { cause },
    );
  }
  return new PlaygroundError(
    {
      code: 'template_refused',
      message: `The model’s chat template refuses this conversation: ${reason}`,
      fix: 'Most templates want user and assistant in turn, and a system message only at the start, if at all.',
      where: 'chat_template',
    },
    { cause },
  );
}

/** A chat format from the tokenizer's template, or ChatML. Throws `bad_template`. */
export function createChat(tokenizer: Tokenizer): Chat {
  const fallback = tokenizer.chatTemplate === null ? chatMl(tokenizer) : null;
  const template = fallback?.template ?? tokenizer.chatTemplate ?? '';
  const compiled = compile(template);
  const notices = fallback ? [fallback.notice] : [];
  const variables: Record<string, unknown> = { tools: null, documents: null };
  if (tokenizer.bosToken !== null) variables.bos_token = tokenizer.bosToken;
  if (tokenizer.eosToken !== null) variables.eos_token = tokenizer.eosToken;
  // Data sets for answers hold no reasoning, so a template with a thinking switch (Qwen3) is asked to leave it out.
  if (template.includes('enable_thinking')) {
    variables.enable_thinking = false;
    notices.push('This model can think before it answers; here it learns and answers without thinking.');
  }

  const render: Chat['render'] = (messages, options = {}) => {
    try {
      return compiled.render({
        ...variables,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
      });
    } catch (cause) {
      throw refusal(cause);
    }
  };
  const draft: Chat = {
    tokenizer,
    template,
    source: fallback ? 'chatml' : 'own',
    stopIds: tokenizer.endOfTurnIds,
    endOfTurn: '',
    notices,
    render,
  };
  const end = findEndOfTurn(draft);
  const stopIds = end === null ? tokenizer.endOfTurnIds : [...new Set([end, ...tokenizer.endOfTurnIds])];
  return { ...draft, stopIds, endOfTurn: end === null ? '' : tokenizer.tokenName(end) };
}

const PROBE: readonly Message[] = [
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: 'Yes.' },
  { role: 'user', content: 'And now?' },
  { role: 'assistant', content: 'No.' },
];

/** The first special token among those that follow the answer's words; null when the template writes none. */
function findEndOfTurn(chat: Chat): number | null {
  const { tokenizer } = chat;
  let found: number | null = null;
  try {
    const { ids } = encodeMessages(chat, PROBE.slice(0, 2), false);
    for (let t = ids.length - 1; t >= 0; t--) {
      const id = ids[t] as number;
      if (tokenizer.isSpecial(id) || tokenizer.endOfTurnIds.includes(id)) found = id;
      else if (tokenizer.decode([id]).trim() !== '') break;
    }
  } catch (cause) {
    // checkTemplate meets the same refusal and turns it into a notice.
    if (!(cause instanceof PlaygroundError)) throw cause;
  }
  return found;
}

/**
 * What is odd about a template, as sentences (pitfalls 2, 5, 7): an answer that does not end on a stop token, a doubled BOS,
 * history that is shown differently later. To be called once, when a model has been loaded.
 */
export function checkTemplate(chat: Chat): string[] {
  const { tokenizer } = chat;
  const notices: string[] = [];
  if (chat.endOfTurn === '') {
    notices.push(
      'The chat template writes no end token after an answer, so a tuned model will not learn where to stop.',
    );
  } else if (!tokenizer.endOfTurnIds.includes(tokenizer.tokenId(chat.endOfTurn) ?? -1)) {
    notices.push(
      `The chat template ends an answer on ${chat.endOfTurn}, which the model’s files do not list as an end token. It is treated as one here.`,
    );
  }
  const single = describe(chat, PROBE.slice(0, 2), [1]);
  if ('problem' in single) return [...notices, single.problem.message];
  if (startsWithTwoBos(chat, single.ids)) notices.push('The chat template writes the start token twice.');
  const several = describe(chat, PROBE, [1, 3]);
  if ('problem' in several) {
    notices.push(
      several.problem.code === 'template_rewrites_history'
        ? 'The chat template shows earlier answers differently from how they were given: conversations with several answers can only be trained with “Learn from: the last answer”.'
        : several.problem.message,
    );
  }
  return notices;
}

function startsWithTwoBos(chat: Chat, ids: readonly number[]): boolean {
  return ids.length > 1 && ids[0] === chat.tokenizer.bosTokenId && ids[1] === ids[0];
}

interface Rendered {
  /** The text with stand-ins where contents hold special tokens. */
  text: string;
  ids: number[];
}

/**
 * Renders and tokenises. Where no content holds a special token this is exactly what transformers does with the rendered text;
 * where one does, only the template's own become control tokens: contents are rendered with stand-ins, what is special in the
 * result is guarded, and the stand-ins turn back into the typed text.
 */
function encodeMessages(chat: Chat, messages: readonly Message[], addGenerationPrompt: boolean): Rendered {
  const { tokenizer } = chat;
  const typed = messages.some((m) => tokenizer.holdsSpecial(m.content));
  if (!typed) {
    const text = chat.render(messages, { addGenerationPrompt });
    return { text, ids: tokenizer.encode(text, { allowSpecial: true }) };
  }
  const hidden = messages.map((m) => ({ ...m, content: tokenizer.hide(m.content) }));
  const text = chat.render(hidden, { addGenerationPrompt });
  return { text, ids: tokenizer.encodeGuarded(tokenizer.reveal(tokenizer.guard(text))) };
}

/** Ids of a conversation with the generation prompt, ready for `generate`. Throws `template_refused`. */
export function encodePrompt(chat: Chat, messages: readonly Message[]): number[] {
  return encodeMessages(chat, messages, true).ids;
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

interface Span {
  message: number;
  /** First token of the answer. */
  start: number;
  /** One past its end-of-turn token. */
  end: number;
}

interface Described {
  text: string;
  ids: number[];
  spans: Span[];
}

interface Problem {
  code: string;
  path: string;
  message: string;
  fix: string;
}

/**
 * Ids of a conversation and where its answers lie, by longest common token prefix: an answer starts where the conversation before it
 * with the generation prompt ends, so tokens that merge across the border count as prompt. It ends on its stop token; what the
 * template writes after that (a newline, mostly) belongs to nobody.
 */
function describe(
  chat: Chat,
  messages: readonly Message[],
  answers: readonly number[],
): Described | { problem: Problem } {
  let full: Rendered;
  const spans: Span[] = [];
  try {
    full = encodeMessages(chat, messages, false);
    for (const message of answers) {
      const prompt = encodeMessages(chat, messages.slice(0, message), true);
      if (!full.text.startsWith(prompt.text)) {
        return {
          problem: {
            code: 'template_rewrites_history',
            path: `messages[${message}]`,
            message:
              'The model’s chat template shows this answer differently from how the model would be asked for it, so it cannot be told which tokens to learn.',
            fix: 'Set “Learn from” to “The last answer”, or split the conversation into rows with one answer each.',
          },
        };
      }
      const last = message === messages.length - 1;
      const upToHere = last ? full : encodeMessages(chat, messages.slice(0, message + 1), false);
      const start = commonPrefix(prompt.ids, full.ids);
      const reach = commonPrefix(upToHere.ids, full.ids);
      // The first stop token is where generation ends; typed ones never become ids, so it is the template's.
      let stop = start;
      while (stop < reach && !chat.stopIds.includes(full.ids[stop] as number)) stop++;
      spans.push({ message, start, end: Math.min(stop + 1, reach) });
    }
  } catch (cause) {
    if (!(cause instanceof PlaygroundError)) throw cause;
    return { problem: { code: cause.code, path: 'messages', message: cause.message, fix: cause.fix } };
  }
  return { ...full, spans };
}

function answersToLearn(messages: readonly Message[], lossOn: EncodeOptions['loss_on']): number[] {
  const answers = messages.flatMap((m, i) => (m.role === 'assistant' && m.weight !== 0 ? [i] : []));
  return lossOn === 'last_answer' ? answers.slice(-1) : answers;
}

/**
 * One row as ids and mask. Learned are the assistant's words and the end-of-turn token, of the answers that `loss_on` names and
 * `weight` does not exclude; never the role header, never position 0. Rows longer than `max_length` (or the model's context) lose their end.
 * Issues: `template_refused`, `template_rewrites_history`, `double_bos`, `no_trained_tokens` (errors), `over_length`,
 * `control_token_text` (warnings).
 */
export function encodeExample(chat: Chat, example: Example, options: EncodeOptions): EncodeResult {
  const { messages, line } = example;
  const issues: Issue[] = controlTokenIssues(chat, example);
  const fail = (problem: Problem): EncodeResult => {
    issues.push({ severity: 'error', line, ...problem });
    return { encoded: null, issues };
  };
  const everything = options.loss_on === 'all';
  const silent = everything
    ? messages.flatMap((m, i) => (m.role === 'assistant' && m.weight === 0 ? [i] : []))
    : [];
  const described = describe(chat, messages, everything ? silent : answersToLearn(messages, options.loss_on));
  if ('problem' in described) return fail(described.problem);
  const { ids, spans } = described;
  if (startsWithTwoBos(chat, ids)) {
    return fail({
      code: 'double_bos',
      path: 'messages[0]',
      message: `The row starts with the start token ${chat.tokenizer.bosToken} twice.`,
      fix: 'Remove the start token from the row’s text: the chat template writes it.',
    });
  }

  const mask = new Uint8Array(ids.length);
  if (everything) mask.fill(1, 1);
  for (const { start, end } of spans) mask.fill(everything ? 0 : 1, Math.max(1, start), end);

  const fullLength = ids.length;
  const limit = Math.min(options.max_length, options.contextLength ?? Number.POSITIVE_INFINITY);
  const kept = Math.min(fullLength, limit);
  const readable = options.contextLength === undefined || fullLength <= options.contextLength;
  const raise = readable
    ? `Raise “Longest row” to ${fullLength}, or s`
    : `The model reads ${options.contextLength} tokens at most: s`;
  const trained = count(mask);
  const encoded: EncodedExample = {
    line,
    ids: Int32Array.from(kept < fullLength ? ids.slice(0, kept) : ids),
    mask: mask.slice(0, kept),
    fullLength,
    ...(example.weight === undefined ? {} : { weight: example.weight }),
  };
  const left = count(encoded.mask);
  if (left === 0) {
    const cut = trained > 0;
    return fail({
      code: 'no_trained_tokens',
      path: 'messages',
      message: cut
        ? `The answer starts after the limit of ${limit} tokens (the row has ${fullLength}), so nothing of it would be learned.`
        : 'Nothing in this row is to be learned: every answer is empty or has weight 0.',
      fix: cut
        ? `${raise}horten what comes before the answer.`
        : 'Give the row an answer, or set the weight of one to 1.',
    });
  }
  if (kept < fullLength) {
    issues.push({
      code: 'over_length',
      severity: 'warning',
      line,
      path: 'messages',
      message: `The row has ${fullLength} tokens and is cut at ${kept}; ${trained - left} of its ${trained} trained tokens are lost, and with them the end of the answer.`,
      fix: `${raise}horten the row or leave it out.`,
    });
  }
  return { encoded, issues };
}

function count(mask: Uint8Array): number {
  let total = 0;
  for (const bit of mask) total += bit;
  return total;
}

function controlTokenIssues(chat: Chat, { messages, line }: Example): Issue[] {
  return messages.flatMap((message, i): Issue[] => {
    const first = chat.tokenizer.findSpecial(message.content)[0];
    if (!first) return [];
    return [
      {
        code: 'control_token_text',
        severity: 'warning',
        line,
        path: `messages[${i}].content`,
        excerpt: message.content.slice(Math.max(0, first.index - 20), first.index + first.token.length + 20),
        message: `The text holds ${first.token}, which is a control token of this model. It is learned as plain text, not as the token.`,
        fix: 'Remove it if the chat template should write it; leave it if you mean the characters.',
      },
    ];
  });
}

/** All rows, with every issue; rows that cannot be trained on are left out. About 20 ms for 1,000 short rows. */
export function encodeExamples(
  chat: Chat,
  examples: readonly Example[],
  options: EncodeOptions,
): { encoded: EncodedExample[]; issues: Issue[] } {
  const encoded: EncodedExample[] = [];
  const issues: Issue[] = [];
  for (const example of examples) {
    const result = encodeExample(chat, example, options);
    if (result.encoded) encoded.push(result.encoded);
    issues.push(...result.issues);
  }
  return { encoded, issues };
}

/** One past the last token of each message, from renderings of the conversation's beginnings. */
function messageEnds(chat: Chat, messages: readonly Message[], ids: readonly number[]): number[] {
  const ends = messages.map((_, i) => {
    if (i === messages.length - 1) return ids.length;
    try {
      return commonPrefix(encodeMessages(chat, messages.slice(0, i + 1), false).ids, ids);
    } catch (cause) {
      // A system message alone may be refused; it then belongs to the message after it, as the template puts it there.
      if (cause instanceof PlaygroundError) return 0;
      throw cause;
    }
  });
  for (let i = 1; i < ends.length; i++) ends[i] = Math.max(ends[i] ?? 0, ends[i - 1] ?? 0);
  return ends;
}

/** Tokens at the start that are a system message of the template's own (Qwen and SmolLM write one when a row has none). */
function templateSystemLength(chat: Chat, messages: readonly Message[], ids: readonly number[]): number {
  if (messages[0]?.role === 'system') return 0;
  const { tokenizer } = chat;
  const opens = ids.findIndex((id) => tokenizer.isSpecial(id) && id !== tokenizer.bosTokenId);
  if (opens < 0 || !/^\s*system\b/.test(tokenizer.decode(ids.slice(opens + 1, opens + 8)))) return 0;
  const next = ids.indexOf(ids[opens] as number, opens + 1);
  return next < 0 ? 0 : next;
}

/**
 * The row as the model sees it: text, role and whether it is learned, token by token. Ids and mask are those of `encodeExample`;
 * a character that needs several tokens shows at its last one.
 */
export function previewTokens(chat: Chat, encoded: EncodedExample, example: Example): PreviewToken[] {
  const { tokenizer } = chat;
  const ids = [...encoded.ids];
  const whole = encodeMessages(chat, example.messages, false).ids;
  const ends = messageEnds(chat, example.messages, whole);
  const systemLength = templateSystemLength(chat, example.messages, whole);
  const decoder = tokenizer.createStreamDecoder();
  let message = 0;
  return ids.map((id, t) => {
    while (message < ends.length - 1 && t >= (ends[message] ?? 0)) message++;
    const role: Role = t < systemLength ? 'system' : (example.messages[message]?.role ?? 'user');
    const text = decoder.push(id) + (t === ids.length - 1 ? decoder.flush() : '');
    return { id, text, role, trained: encoded.mask[t] === 1, special: tokenizer.isSpecial(id) };
  });
}
