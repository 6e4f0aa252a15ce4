// A conversation as one text or one an answer, its ids, where its answers lie in them, and which tokens are learned.
// Not here: the template's habits (chat.ts), rows of a file with their problems (encodeRows.ts), the preview (preview.ts).

import type { Message } from '../../contract';
import { PlaygroundError } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';
import type { Chat } from './chat';
import { layOut, type Place } from './layout';
import type { Encoding } from './tokenizer';
import { mapTexts } from './toolTemplate';

/** A conversation as one text, and which tokens of it are learned. */
export interface RowText {
  /** With stand-ins where somebody typed a control token. */
  text: string;
  encoding: Encoding;
  /** Where each message's words lie; null when the template changes them. */
  words: readonly Place[] | null;
  messages: readonly Message[];
  mask: Uint8Array;
  /** The message that this row teaches, where a conversation became several rows. */
  answer?: number;
  /** The answer holds reasoning, and the prompt has closed it already: it is not learned. */
  leavesOutReasoning?: boolean;
}

/** The conversation with the generation prompt. */
export const promptText = (chat: Chat, messages: readonly Message[]) =>
  chat.render(messages, { addGenerationPrompt: true });

/** Only the template's own special tokens become control tokens: what people typed gets stand-ins. */
export function hidden(chat: Chat, messages: readonly Message[]): readonly Message[] {
  const { tokenizer } = chat;
  const typed = ({ content, tool_calls }: Message) =>
    tokenizer.holdsSpecial(content) ||
    (tool_calls !== undefined && tokenizer.holdsSpecial(JSON.stringify(tool_calls)));
  if (!messages.some(typed)) return messages;
  return messages.map((m) => ({
    ...m,
    content: tokenizer.hide(m.content),
    ...(m.tool_calls && { tool_calls: mapTexts(m.tool_calls, tokenizer.hide) }),
  }));
}

// ───────────────────────────── where answers lie ─────────────────────────────

/** Prompts that are rendered to see whether they are how the conversation begins: the first answers, then ever fewer. */
const CHECKED = 8;

const isPowerOfTwo = (n: number) => (n & (n - 1)) === 0;

/**
 * Where in the text each of these answers starts: where the conversation before it, with the generation prompt, ends. Null when one is
 * shown otherwise than it is asked for. Of a long conversation not every prompt is rendered, which would take the square of its length:
 * what the template writes between question and answer must then be the same as in one that was.
 */
function findStarts(
  chat: Chat,
  { text, words, messages }: Pick<RowText, 'text' | 'words' | 'messages'>,
  answers: readonly number[],
): number[] | null {
  /** What stands between question and answer → where in it the prompt ends. */
  const bridges = new Map<string, number>();
  const starts: number[] = [];
  for (const [n, answer] of answers.entries()) {
    const from = answer === 0 ? 0 : words?.[answer - 1]?.end;
    const to = words?.[answer]?.start;
    const bridge = from === undefined || to === undefined ? null : text.slice(from, to);
    const known = bridge === null ? undefined : bridges.get(bridge);
    const rare = n >= CHECKED && !isPowerOfTwo(n) && n !== answers.length - 1;
    if (rare && known !== undefined && from !== undefined) {
      starts.push(from + known);
      continue;
    }
    const prompt = promptText(chat, messages.slice(0, answer));
    if (!text.startsWith(prompt)) return null;
    starts.push(prompt.length);
    if (
      bridge !== null &&
      from !== undefined &&
      prompt.length >= from &&
      prompt.length <= from + bridge.length
    )
      bridges.set(bridge, prompt.length - from);
  }
  return starts;
}

interface Span {
  /** First token of the answer. */
  start: number;
  /** One past its end token. */
  end: number;
  /** Whether the end token is there. */
  ended: boolean;
}

/**
 * An answer's tokens. It ends on the first stop token: typed ones never become ids, so it is the template's. What the template writes
 * after that (a newline, mostly) belongs to nobody. `limit` is where the next message's words begin.
 */
function spanOf(chat: Chat, { ids }: Encoding, start: number, limit: number): Span {
  let stop = start;
  while (stop < limit && !chat.stopIds.includes(ids[stop] as number)) stop++;
  return stop < limit ? { start, end: stop + 1, ended: true } : { start, end: limit, ended: false };
}

/** One past the words of the last message, the spaces that the template keeps included. Calls stand behind the words, at the end. */
function endOfWords(text: string, from: number, content: string, calls = false): number {
  if (calls) return text.trimEnd().length;
  const core = content.trim();
  const at = text.lastIndexOf(core);
  if (core === '' || at < from) return core === '' ? from : text.length;
  const tail = content.slice(content.indexOf(core) + core.length);
  const end = at + core.length;
  return text.startsWith(tail, end) ? end + tail.length : end;
}

type Encode = (text: string) => Encoding;

const wordsOf = (message: Message | undefined) => ({
  content: message?.content ?? '',
  calls: message?.tool_calls !== undefined,
});

/** The text with the end token after the last answer, which starts at `start`. */
function withEnd(
  chat: Chat,
  text: string,
  start: number,
  { content, calls }: { content: string; calls: boolean },
  encode: Encode = chat.tokenizer.encodeRendered,
): { text: string; encoding: Encoding; end: number } {
  const at = endOfWords(text, start, content, calls);
  const id = chat.stopIds[0] as number;
  if (chat.tokenizer.isSpecial(id)) {
    const made = text.slice(0, at) + chat.endOfTurn + text.slice(at);
    const encoding = encode(made);
    return { text: made, encoding, end: encoding.tokensBefore(at) + 1 };
  }
  // A token that is not read out of text as one: its id goes behind those of the words.
  const before = encode(text.slice(0, at));
  const ids = [...before.ids, id];
  return { text: text.slice(0, at), encoding: { ids, tokensBefore: before.tokensBefore }, end: ids.length };
}

/** A text that begins with a prompt, with the very ids that the prompt will have, even where letters would merge across its end. */
function afterPrompt({ tokenizer }: Chat, text: string, from: number): Encoding {
  const whole = tokenizer.encodeRendered(text);
  const prompt = tokenizer.encodeRendered(text.slice(0, from));
  if (whole.tokensBefore(from) === prompt.ids.length) return whole;
  const rest = tokenizer.encodeRendered(text.slice(from));
  return {
    ids: [...prompt.ids, ...rest.ids],
    tokensBefore: (at) =>
      at <= from ? prompt.tokensBefore(at) : prompt.ids.length + rest.tokensBefore(at - from),
  };
}

const addsEnd = (chat: Chat) => chat.ending === 'added' || chat.ending === 'before_next';

/**
 * The whole conversation as one row; null when some answer in it is not as the model will be asked for it, or has no end.
 * @param answers those that are learned (or, learning everything, all of them)
 */
function wholeRow(
  chat: Chat,
  messages: readonly Message[],
  answers: readonly number[],
  everything: boolean,
): RowText | null {
  const rendered = hidden(chat, messages);
  const single = answers.length === 1 && answers[0] === messages.length - 1;
  const layout = single ? { text: chat.render(rendered), words: null } : layOut(chat, rendered);
  const starts = findStarts(chat, { ...layout, messages: rendered }, answers);
  if (starts === null) return null;
  let { text } = layout;
  let encoding = chat.tokenizer.encodeRendered(text);
  const spans: Span[] = [];
  for (const [n, answer] of answers.entries()) {
    const last = answer === messages.length - 1;
    const from = starts[n] as number;
    const limit = last ? encoding.ids.length : limitOf(chat, layout, rendered, answer, encoding);
    let span = spanOf(chat, encoding, encoding.tokensBefore(from), limit);
    if (!span.ended && last && addsEnd(chat)) {
      const ended = withEnd(chat, text, from, wordsOf(rendered[answer]));
      ({ text, encoding } = ended);
      span = { start: span.start, end: ended.end, ended: true };
    }
    if (!span.ended && !last && chat.ending !== 'none') return null;
    spans.push(span);
  }
  const mask = new Uint8Array(encoding.ids.length);
  if (everything) mask.fill(1, 1);
  for (const [n, { start, end }] of spans.entries()) {
    const silent = messages[answers[n] as number]?.weight === 0;
    if (everything ? silent : !silent) mask.fill(everything ? 0 : 1, Math.max(1, start), end);
  }
  return { text, encoding, words: layout.words, messages: rendered, mask };
}

/** Where the words of the next message begin, in tokens. */
function limitOf(
  chat: Chat,
  { words }: { words: readonly Place[] | null },
  messages: readonly Message[],
  answer: number,
  encoding: Encoding,
): number {
  const next = words?.[answer + 1];
  if (next) return encoding.tokensBefore(next.start);
  const upToHere = chat.tokenizer.encodeRendered(chat.render(messages.slice(0, answer + 1))).ids;
  let n = 0;
  while (n < upToHere.length && upToHere[n] === encoding.ids[n]) n++;
  // The end may be written in front of the next message, after which there is white space or a header.
  return chat.ending === 'before_next' && chat.stopIds.includes(encoding.ids[n] as number) ? n + 1 : n;
}

/**
 * One answer of a conversation as a row of its own: the prompt as the model will get it, the answer, its end. Where the template shows the
 * answer as it asks for it, this is what transformers makes of the conversation up to there.
 */
function answerRow(chat: Chat, all: readonly Message[], answer: number, everything: boolean): RowText {
  const messages = all.slice(0, answer + 1);
  const rendered = hidden(chat, messages);
  const prompt = layOut(chat, rendered.slice(0, answer), { addGenerationPrompt: true });
  const { content, calls } = wordsOf(rendered[answer]);
  const shown = chat.render(rendered);
  if (calls && !shown.startsWith(prompt.text)) throw callsNotAsked();
  const asked = shown.startsWith(prompt.text) ? null : answerText(chat, prompt.text, shown, content);
  let text = asked === null ? shown : prompt.text + asked.words + chat.afterAnswer;
  const from = prompt.text.length;
  const encode: Encode =
    asked === null ? chat.tokenizer.encodeRendered : (made) => afterPrompt(chat, made, from);
  let encoding = encode(text);
  const start = encoding.tokensBefore(from);
  let { end, ended } = spanOf(chat, encoding, start, encoding.ids.length);
  if (!ended && addsEnd(chat)) {
    ({ text, encoding, end } = withEnd(
      chat,
      text,
      from,
      { content: asked?.words ?? content, calls },
      encode,
    ));
    ended = true;
  }
  const mask = new Uint8Array(encoding.ids.length);
  const since = everything ? sincePreviousAnswer(chat, messages, prompt.words, encoding) : start;
  mask.fill(1, Math.max(1, since), everything ? mask.length : end);
  const place = { start: from, end: endOfWords(text, from, asked?.words ?? content, calls) };
  return {
    text,
    encoding,
    words: prompt.words && [...prompt.words, place],
    messages: rendered,
    mask,
    answer,
    leavesOutReasoning: asked?.leavesOutReasoning ?? false,
  };
}

/** An answer of words can be put behind the prompt; how calls would stand there only the template knows. */
function callsNotAsked(): PlaygroundError {
  return new PlaygroundError({
    code: 'tool_calls_unseen',
    message:
      'The model’s chat template asks for an answer otherwise than it shows one that calls tools, so the call cannot be learned.',
    fix: 'Choose a model whose chat template knows tools, or leave the row out.',
    where: 'chat_template',
  });
}

/** Learning everything, each token is learned once: a row begins where the one of the answer before it ended. */
function sincePreviousAnswer(
  chat: Chat,
  messages: readonly Message[],
  words: readonly Place[] | null,
  encoding: Encoding,
): number {
  const previous = messages.slice(0, -1).findLastIndex((m) => m.role === 'assistant');
  if (previous < 0) return 1;
  const place = words?.[previous];
  const next = words?.[previous + 1];
  if (!place || !next) return encoding.ids.length;
  return spanOf(chat, encoding, encoding.tokensBefore(place.end), encoding.tokensBefore(next.start)).end;
}

/**
 * An answer after a prompt that the template does not show: its words as the template trims them. A beginning that the prompt has
 * written already, `<think>` mostly, is not written twice; reasoning after a prompt that has closed it is left out.
 */
function answerText(
  chat: Chat,
  prompt: string,
  shown: string,
  content: string,
): { words: string; leavesOutReasoning: boolean } {
  const { afterAnswer } = chat;
  const trims = !shown.endsWith(content + afterAnswer) && shown.endsWith(content.trim() + afterAnswer);
  const words = trims ? content.trim() : content;
  const tag = prompt.trimEnd().match(/<(\/?)[^<>\s]+>$/);
  const begins = words.trimStart();
  if (tag && tag[1] === '' && begins.startsWith(tag[0])) {
    return { words: begins.slice(tag[0].length).replace(/^\n/, ''), leavesOutReasoning: false };
  }
  if (tag && tag[1] === '/' && words.includes(tag[0])) {
    const end = words.lastIndexOf(tag[0]) + tag[0].length;
    return { words: words.slice(end).trimStart(), leavesOutReasoning: true };
  }
  return { words, leavesOutReasoning: false };
}

// ───────────────────────────── rows ─────────────────────────────

const isAnswer = (m: Message) => m.role === 'assistant';

/** The text of a row again, for looking at it; `answer` as in `EncodedExample`, null for the whole conversation. */
export function rowTextOf(
  chat: Chat,
  messages: readonly Message[],
  answer: number | null,
): Pick<RowText, 'text' | 'encoding' | 'words' | 'messages'> {
  if (answer !== null) return answerRow(chat, messages, answer, false);
  const rendered = hidden(chat, messages);
  const layout = layOut(chat, rendered);
  return { ...layout, encoding: chat.tokenizer.encodeRendered(layout.text), messages: rendered };
}

/**
 * The rows that a conversation becomes.
 * @param options.max_length answers that start beyond are left out, but for the first such
 * @throws PlaygroundError when the template refuses it
 */
export function rowsOf(
  chat: Chat,
  messages: readonly Message[],
  { loss_on: lossOn, max_length: limit }: Pick<Hyperparameters, 'loss_on' | 'max_length'>,
): RowText[] {
  const everything = lossOn === 'all';
  const all = messages.flatMap((m, i) => (isAnswer(m) ? [i] : []));
  const wanted = all.filter((i) => messages[i]?.weight !== 0);
  const learned = lossOn === 'last_answer' ? wanted.slice(-1) : wanted;
  // Without a question before it an answer has no prompt; learning everything, it needs none.
  const located = everything ? all.filter((i) => i > 0 || messages[i]?.weight === 0) : learned;
  const whole = wholeRow(chat, messages, located, everything);
  if (whole) return [whole];
  const rows: RowText[] = [];
  for (const answer of learned) {
    const row = answerRow(chat, messages, answer, everything);
    rows.push(row);
    // Later answers start later still.
    if (row.mask.indexOf(1) >= limit) break;
  }
  return rows;
}
