// A model's chat format: its template, how that template ends an answer, starts one and treats a system message; found out by trying it.
// Not here: rows as ids and mask (rowText.ts, encodeRows.ts), the preview (preview.ts), evaluating a template (jinja/).

import type { Message } from '../../contract';
import { PlaygroundError } from '../../errors';
import { EndlessTemplate } from '../jinja/budget';
import { type CompiledTemplate, compileTemplate } from '../jinja/render';
import type { Tokenizer } from './tokenizer';
import { mapTexts, type ToolHabits, templateMessage, tryTools } from './toolTemplate';

/** Who writes the token that ends an answer. */
export type Ending =
  /** The template, right after the answer. */
  | 'written'
  /** The template, but only in front of the next message: the last answer of a row gets it here. */
  | 'before_next'
  /** Nobody but this program, which puts the model's own end token there. */
  | 'added'
  /** Nobody: the model's files name no end token either. */
  | 'none';

/** One template for training, talking and export, so that they cannot differ. */
export interface Chat {
  tokenizer: Tokenizer;
  /** The Jinja text in use. */
  template: string;
  /** The model's own, or ChatML because it has none. */
  source: 'own' | 'chatml';
  /** Ids that end an answer: those of the model's files and the one its template writes. */
  stopIds: readonly number[];
  /** The token that is learned as the end of an answer; '' where there is none. */
  endOfTurn: string;
  ending: Ending;
  /** What the template writes after an answer, its end token included. */
  afterAnswer: string;
  /** The template has no place for a system message, so it is put in front of the first question. */
  foldsSystem: boolean;
  /** What the template shows of tools. */
  tools: ToolHabits;
  /** Rows of the model's embedding; ids beyond are refused. Infinite where it is not known. */
  vocabSize: number;
  /** Characters of the longest conversation that is rendered: more than any model reads, and encoded within seconds. */
  longestText: number;
  /** What a visitor should know about the template, as sentences. */
  notices: readonly string[];
  /** The conversation as text. Throws `template_refused` with the template's own words, `template_endless`. */
  render(messages: readonly Message[], options?: RenderOptions): string;
}

interface RenderOptions {
  addGenerationPrompt?: boolean;
  /** JSON Schemas of the tools that an answer may call. */
  tools?: readonly unknown[];
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

const USE_ANOTHER = 'Use the chat template that came with the model, or remove it to use ChatML.';

function compile(template: string): CompiledTemplate {
  try {
    return compileTemplate(template);
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'bad_template',
        message: `The model’s chat template cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`,
        fix: USE_ANOTHER,
        where: 'chat_template',
      },
      { cause },
    );
  }
}

function refusal(cause: unknown): PlaygroundError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const endless = cause instanceof EndlessTemplate;
  return new PlaygroundError(
    {
      code: endless ? 'template_endless' : 'template_refused',
      message: endless
        ? `The model’s chat template was stopped: ${reason}.`
        : `The model’s chat template refuses this conversation: ${reason}`,
      fix: endless
        ? USE_ANOTHER
        : 'Most templates want user and assistant in turn, and a system message only at the start, if at all.',
      where: 'chat_template',
    },
    { cause },
  );
}

/**
 * A chat format from the tokenizer's template, or ChatML.
 * @param options.vocabSize rows of the model's embedding
 * @param options.contextLength tokens that the model reads at most
 * @throws PlaygroundError `bad_template`; `template_endless`; `token_beyond_vocabulary` when the template's own tokens have no row
 */
export function createChat(
  tokenizer: Tokenizer,
  options: { vocabSize?: number; contextLength?: number } = {},
): Chat {
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

  const renderAs = (
    messages: readonly Message[],
    {
      addGenerationPrompt = false,
      tools,
      emptyContent = '',
    }: RenderOptions & { emptyContent?: '' | null } = {},
  ) => {
    try {
      return compiled.render({
        ...variables,
        ...(tools && { tools }),
        messages: messages.map((message) => templateMessage(message, emptyContent)),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (cause) {
      throw refusal(cause);
    }
  };
  const vocabSize = options.vocabSize ?? Number.POSITIVE_INFINITY;
  const tools = tryTools(renderAs);
  const render: Chat['render'] = (messages, given) =>
    renderAs(messages, { ...given, emptyContent: tools.emptyContent });
  const habits = tryOut(tokenizer, render, vocabSize);
  const listed = tokenizer.endOfTurnIds.filter((id) => id < vocabSize);
  return {
    tokenizer,
    template,
    source: fallback ? 'chatml' : 'own',
    stopIds: habits.end === null ? listed : [...new Set([habits.end, ...listed])],
    endOfTurn: habits.end === null ? '' : tokenizer.tokenName(habits.end),
    ending: habits.ending,
    afterAnswer: habits.afterAnswer,
    foldsSystem: habits.foldsSystem,
    tools,
    vocabSize,
    longestText: Math.max(MIN_LONGEST_TEXT, 16 * (options.contextLength ?? 0)),
    notices: [...notices, ...habits.notices],
    render,
  };
}

/** 250,000 characters of words that nobody has seen take a tokenizer a second or two. */
const MIN_LONGEST_TEXT = 250_000;

const ANSWER = 'Yes.';
const SYSTEM: Message = { role: 'system', content: 'Answer in few words.' };
const TALK: readonly Message[] = [
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: ANSWER },
  { role: 'user', content: 'And now?' },
  { role: 'assistant', content: 'No.' },
];

/** What a template does with a conversation, found out on a short one. */
interface Habits {
  end: number | null;
  ending: Ending;
  afterAnswer: string;
  foldsSystem: boolean;
  notices: string[];
}

function tryOut(tokenizer: Tokenizer, render: Chat['render'], vocabSize: number): Habits {
  const tried = attempt(() => render(TALK.slice(0, 2)));
  // Some templates want a system message.
  const start: readonly Message[] = tried instanceof PlaygroundError ? [SYSTEM] : [];
  const question = [...start, ...TALK.slice(0, 1)];
  const single = start.length > 0 ? attempt(() => render([...start, ...TALK.slice(0, 2)])) : tried;
  if (single instanceof PlaygroundError || !single.includes(ANSWER)) {
    const end = ownEnd(tokenizer, vocabSize);
    const ending = end === null ? 'none' : 'added';
    const notice =
      typeof single === 'string'
        ? 'The chat template leaves out what the assistant says, so nothing can be learned with it.'
        : single.message;
    return { end, ending, afterAnswer: '', foldsSystem: false, notices: [notice] };
  }
  const { ids } = tokenizer.encodeRendered(single);
  assertInTable(tokenizer, ids, vocabSize);

  const several = attempt(() => render([...start, ...TALK]));
  const afterAnswer = single.slice(single.lastIndexOf(ANSWER) + ANSWER.length);
  const { end, ending } = findEnd(tokenizer, single, several, vocabSize);
  const foldsSystem = start.length === 0 && !showsSystem(render);
  const notices = [
    ...endNotices(tokenizer, end, ending),
    ...promptNotices(render, question, single, several),
  ];
  if (foldsSystem)
    notices.push(
      'The chat template has no place for a system message. One is put in front of the first question, in rows and in answers alike.',
    );
  if (startsWithTwoBos(tokenizer, ids)) notices.push('The chat template writes the start token twice.');
  return { end, ending, afterAnswer, foldsSystem, notices };
}

/** What it gives, or the template's refusal. @throws PlaygroundError `template_endless`, anything that is no refusal */
function attempt(rendering: () => string): string | PlaygroundError {
  try {
    return rendering();
  } catch (cause) {
    if (cause instanceof PlaygroundError && cause.code === 'template_refused') return cause;
    throw cause;
  }
}

function showsSystem(render: Chat['render']): boolean {
  const text = attempt(() => render([SYSTEM, ...TALK.slice(0, 2)]));
  return typeof text === 'string' && text.includes(SYSTEM.content);
}

/** The end token that the model's files name. */
function ownEnd(tokenizer: Tokenizer, vocabSize: number): number | null {
  const eos = tokenizer.eosToken === null ? undefined : tokenizer.tokenId(tokenizer.eosToken);
  return [eos, ...tokenizer.endOfTurnIds].find((id) => id !== undefined && id < vocabSize) ?? null;
}

/** The first control token of these; null where there is none. */
function firstControl(tokenizer: Tokenizer, ids: readonly number[]): number | null {
  return ids.find((id) => tokenizer.isSpecial(id) || tokenizer.endOfTurnIds.includes(id)) ?? null;
}

/**
 * The token that ends an answer, and who writes it. In front of the next message it must be one that the model's files list, or one that
 * does not also begin a conversation: `<|user|>` alone is a header, unless the model stops on it, as GLM does.
 */
function findEnd(
  tokenizer: Tokenizer,
  single: string,
  several: string | PlaygroundError,
  vocabSize: number,
): { end: number | null; ending: Ending } {
  const between = (text: string, from: number, to: number) => {
    const { ids, tokensBefore } = tokenizer.encodeRendered(text);
    return ids.slice(tokensBefore(from), tokensBefore(to));
  };
  const after = single.lastIndexOf(ANSWER) + ANSWER.length;
  const written = firstControl(tokenizer, between(single, after, single.length));
  if (written !== null) return { end: written, ending: 'written' };
  if (typeof several === 'string') {
    const answered = several.indexOf(ANSWER) + ANSWER.length;
    const next = several.indexOf(TALK[2]?.content ?? '', answered);
    const beforeNext = firstControl(tokenizer, between(several, answered, next));
    const opening = between(several, 0, several.indexOf(TALK[0]?.content ?? ''));
    if (beforeNext !== null && (tokenizer.endOfTurnIds.includes(beforeNext) || !opening.includes(beforeNext)))
      return { end: beforeNext, ending: 'before_next' };
  }
  const own = ownEnd(tokenizer, vocabSize);
  return { end: own, ending: own === null ? 'none' : 'added' };
}

function endNotices(tokenizer: Tokenizer, end: number | null, ending: Ending): string[] {
  if (end === null) {
    return [
      'The chat template writes no end token after an answer, and the model’s files name none, so a tuned model will not learn where to stop.',
    ];
  }
  const name = tokenizer.tokenName(end);
  if (ending === 'added') {
    return [
      `The chat template writes no end token after an answer. The model’s own, ${name}, is added there and learned, so that a tuned model stops.`,
    ];
  }
  const unlisted = tokenizer.endOfTurnIds.includes(end)
    ? []
    : [
        `The chat template ends an answer on ${name}, which the model’s files do not list as an end token. It is treated as one here.`,
      ];
  if (ending === 'written') return unlisted;
  return [
    `The chat template writes the end of an answer, ${name}, only in front of the next message. It is added after the last answer too and learned, so that a tuned model stops.`,
    ...unlisted,
  ];
}

/** How the template asks for an answer, where that is not how it shows one. */
function promptNotices(
  render: Chat['render'],
  question: readonly Message[],
  single: string,
  several: string | PlaygroundError,
): string[] {
  const prompt = attempt(() => render(question, { addGenerationPrompt: true }));
  if (typeof prompt !== 'string') return [prompt.message];
  const shown = single.slice(0, single.lastIndexOf(ANSWER));
  if (!single.startsWith(prompt)) {
    const prefill = prompt.startsWith(shown.trimEnd()) ? prompt.slice(shown.trimEnd().length).trim() : '';
    return [
      prefill === ''
        ? 'The chat template asks for an answer in other words than those in which it shows one. Answers are learned as they are asked for.'
        : `The chat template begins each answer with “${prefill}” when it asks for one. Answers are learned after it, as they are asked for.`,
    ];
  }
  if (typeof several !== 'string') return [several.message];
  const asked = attempt(() => render([...question, ...TALK.slice(1, 3)], { addGenerationPrompt: true }));
  if (typeof asked === 'string' && several.startsWith(prompt) && several.startsWith(asked)) return [];
  return [
    'The chat template shows earlier answers differently from how they were given. Where a row has several, each answer becomes a row of its own.',
  ];
}

export function startsWithTwoBos(tokenizer: Tokenizer, ids: readonly number[]): boolean {
  return ids.length > 1 && ids[0] === tokenizer.bosTokenId && ids[1] === ids[0];
}

/** @throws PlaygroundError `token_beyond_vocabulary`: no row could be trained on */
function assertInTable(tokenizer: Tokenizer, ids: readonly number[], vocabSize: number): void {
  const beyond = ids.find((id) => id >= vocabSize);
  if (beyond === undefined) return;
  throw new PlaygroundError({
    code: 'token_beyond_vocabulary',
    message: `The chat template writes ${tokenizer.tokenName(beyond)} (token ${beyond}), and the model’s table ends at token ${vocabSize - 1}. Nothing could be trained with it.`,
    fix: 'Take tokenizer and weights from the same place. A token that was added needs a row in the model: resize_token_embeddings in transformers.',
    where: 'tokenizer.json',
  });
}

/**
 * The conversation as the template takes it: where it has no place for a system message, this one and the first question are one
 * message, with a blank line between them.
 */
export function foldSystem(
  chat: Pick<Chat, 'foldsSystem'>,
  messages: readonly Message[],
): readonly Message[] {
  if (!chat.foldsSystem || messages[0]?.role !== 'system') return messages;
  const first = messages.findIndex((m) => m.role !== 'system');
  const question = messages[first];
  if (question?.role !== 'user') return messages;
  const parts = [...messages.slice(0, first), question].map((m) => m.content);
  return [{ ...question, content: parts.join('\n\n') }, ...messages.slice(first + 1)];
}

/** The chat format with these tools in every conversation; the same where there are none. */
export function withTools(chat: Chat, tools: readonly unknown[] | undefined): Chat {
  if (tools === undefined || !chat.tools.definitions) return chat;
  const hidden = mapTexts(tools, chat.tokenizer.hide);
  return { ...chat, render: (messages, options) => chat.render(messages, { ...options, tools: hidden }) };
}
