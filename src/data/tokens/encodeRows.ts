// Rows of a file → token ids with a loss mask, with every problem of a row; and the ids of a prompt.
// Not here: the text of a row and where its answers lie (rowText.ts), the template's habits (chat.ts), rectangles of rows (batches.ts).

import type { EncodedExample, Example, Issue, Message } from '../../contract';
import { PlaygroundError } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';
import { type Chat, foldSystem, startsWithTwoBos, withTools } from './chat';
import { hidden, promptText, type RowText, rowsOf } from './rowText';

export interface EncodeOptions extends Pick<Hyperparameters, 'max_length' | 'loss_on'> {
  /** Tokens the model can read at most; no setting lifts this limit. */
  contextLength?: number;
}

export interface EncodeResult {
  /** One row; or one for each answer, where the template shows earlier answers otherwise than it asks for them. None with an error. */
  encoded: EncodedExample[];
  issues: Issue[];
}

interface Problem {
  code: string;
  path: string;
  message: string;
  fix: string;
}

/** Ids of a conversation with the generation prompt, ready for `generate`. Throws `template_refused`, `text_too_long`, `token_beyond_vocabulary`. */
export function encodePrompt(chat: Chat, messages: readonly Message[]): readonly number[] {
  const long = tooLong(chat, messages);
  if (long) throw new PlaygroundError({ ...long, where: 'prompt' });
  const { ids } = chat.tokenizer.encodeRendered(promptText(chat, hidden(chat, foldSystem(chat, messages))));
  const beyond = beyondTable(chat, ids);
  if (beyond) {
    const { id: _, ...details } = beyond;
    throw new PlaygroundError({ ...details, where: 'prompt' });
  }
  return ids;
}

/** Whether white space, or what is none, goes on for longer than this. */
function hasRun(text: string, longest: number): boolean {
  let from = 0;
  for (const { index, 0: change } of text.matchAll(/\s(?=\S)|\S(?=\s)/g)) {
    if (index + change.length - from > longest) return true;
    from = index + change.length;
  }
  return text.length - from > longest;
}

function tooLong(chat: Chat, messages: readonly Message[]): Omit<Problem, 'path'> | null {
  const length = messages.reduce((sum, { content }) => sum + content.length, 0);
  const { longestRun } = chat.tokenizer;
  if (length > longestRun && messages.some(({ content }) => hasRun(content, longestRun))) {
    return {
      code: 'text_too_long',
      message: `The conversation has more than ${longestRun.toLocaleString('en')} letters, or spaces, in a row, which this model’s tokenizer takes minutes to cut up.`,
      fix: 'Break up what stands there: words of that length are a fault of the file, mostly.',
    };
  }
  if (length <= chat.longestText) return null;
  return {
    code: 'text_too_long',
    message: `The conversation has ${length.toLocaleString('en')} characters, and ${chat.longestText.toLocaleString('en')} is the limit.`,
    fix: 'Split it into shorter ones: a model reads a few thousand words at a time.',
  };
}

function beyondTable(chat: Chat, ids: readonly number[]): (Omit<Problem, 'path'> & { id: number }) | null {
  const id = ids.find((t) => t >= chat.vocabSize);
  if (id === undefined) return null;
  return {
    id,
    code: 'token_beyond_vocabulary',
    message: `The text needs token ${id} (“${chat.tokenizer.tokenName(id)}”), and the model’s table ends at token ${chat.vocabSize - 1}.`,
    fix: 'Take tokenizer and weights from the same place, or leave the word out. A token that was added needs a row in the model: resize_token_embeddings in transformers.',
  };
}

/**
 * A conversation as ids and mask. Learned are the assistant's words and the end-of-turn token, of the answers that `loss_on` names and
 * `weight` does not exclude; never the role header, never position 0. Rows longer than `max_length` (or the model's context) lose their end.
 * Where the template shows earlier answers otherwise than the model is asked for them, each answer becomes a row of its own.
 * Issues: `template_refused`, `template_endless`, `text_too_long`, `double_bos`, `token_beyond_vocabulary`,
 * `no_trained_tokens` (errors), `over_length`,
 * `control_token_text`, `message_left_out`, `reasoning_left_out` (warnings).
 */
export function encodeExample(plain: Chat, example: Example, options: EncodeOptions): EncodeResult {
  const { line } = example;
  const chat = withTools(plain, example.tools);
  const issues: Issue[] = controlTokenIssues(chat, example);
  const fail = (problem: Problem): EncodeResult => {
    issues.push({ severity: 'error', line, ...problem });
    return { encoded: [], issues };
  };
  const warn = (problem: Problem) => issues.push({ severity: 'warning', line, ...problem });
  const messages = foldSystem(chat, example.messages);
  const folded = example.messages.length - messages.length;
  const path = (message: number) => `messages[${message + folded}]`;
  const pathOf = (id: number) => {
    const at = messages.findIndex((m) => chat.tokenizer.encode(m.content).includes(id));
    return at < 0 ? 'messages' : `${path(at)}.content`;
  };
  const max_length = Math.min(options.max_length, options.contextLength ?? Number.POSITIVE_INFINITY);

  const long = tooLong(chat, messages);
  if (long) return fail({ ...long, path: 'messages' });
  const rows = textsOf(chat, messages, { ...options, max_length });
  if (!Array.isArray(rows)) return fail(rows);
  const encoded: EncodedExample[] = [];
  const lengths: Lengths[] = [];
  for (const row of rows) {
    const { ids } = row.encoding;
    if (startsWithTwoBos(chat.tokenizer, ids)) return fail(doubleBos(chat));
    const kept = Math.min(ids.length, max_length);
    const beyond = beyondTable(chat, ids.slice(0, kept));
    if (beyond) {
      const { id, ...problem } = beyond;
      return fail({ ...problem, path: pathOf(id) });
    }
    const mask = row.mask.slice(0, kept);
    const left = count(mask);
    lengths.push({ full: ids.length, kept, trained: count(row.mask), left });
    if (left === 0) continue;
    encoded.push({
      line,
      ids: Int32Array.from(ids.slice(0, kept)),
      mask,
      fullLength: ids.length,
      ...(example.weight !== undefined && { weight: example.weight }),
      ...(row.answer !== undefined && { answer: row.answer + folded }),
    });
    if (row.leavesOutReasoning) warn({ ...REASONING_LEFT_OUT, path: path(row.answer ?? 0) });
  }
  const lengthIssue = lengthProblem(lengths, max_length, options.contextLength);
  if (lengthIssue) {
    if (encoded.length === 0) return fail(lengthIssue);
    warn(lengthIssue);
  }
  const absent = leftOut(rows);
  if (absent !== null) warn({ ...MESSAGE_LEFT_OUT, path: path(absent) });
  return { encoded, issues };
}

/** The rows of a conversation as text; a problem where the template refuses it or does not end. */
function textsOf(
  chat: Chat,
  messages: Parameters<typeof rowsOf>[1],
  options: Parameters<typeof rowsOf>[2],
): RowText[] | Problem {
  try {
    return rowsOf(chat, messages, options);
  } catch (cause) {
    if (!(cause instanceof PlaygroundError)) throw cause;
    return { code: cause.code, path: 'messages', message: cause.message, fix: cause.fix };
  }
}

const doubleBos = ({ tokenizer }: Chat): Problem => ({
  code: 'double_bos',
  path: 'messages[0]',
  message: `The row starts with the start token ${tokenizer.bosToken} twice.`,
  fix: 'Remove the start token from the row’s text: the chat template writes it.',
});

const REASONING_LEFT_OUT = {
  code: 'reasoning_left_out',
  message:
    'The answer holds reasoning, and here the model is asked to answer without. The reasoning is not learned.',
  fix: 'Leave it as it is, or take a model whose template has no thinking switch.',
};

const MESSAGE_LEFT_OUT = {
  code: 'message_left_out',
  message: 'The model’s chat template leaves out this message or changes its words.',
  fix: 'Look at the row as the model sees it. If something is missing there, move it into a message that the template shows.',
};

interface Lengths {
  full: number;
  kept: number;
  /** Trained tokens before the row is cut, and after. */
  trained: number;
  left: number;
}

/** What is lost of a conversation's rows because they are too long; or that there is nothing to learn. */
function lengthProblem(
  rows: readonly Lengths[],
  limit: number,
  contextLength = Number.POSITIVE_INFINITY,
): Problem | null {
  const full = Math.max(...rows.map((row) => row.full), 0);
  const cut = rows.filter((row) => row.kept < row.full);
  const trained = rows.reduce((sum, row) => sum + row.trained, 0);
  const left = rows.reduce((sum, row) => sum + row.left, 0);
  const raise =
    full <= contextLength
      ? `Raise “Longest row” to ${full}, or s`
      : `The model reads ${contextLength} tokens at most: s`;
  if (trained === 0) {
    return {
      code: 'no_trained_tokens',
      path: 'messages',
      message: 'Nothing in this row is to be learned: every answer is empty or has weight 0.',
      fix: 'Give the row an answer, or set the weight of one to 1.',
    };
  }
  if (left === 0) {
    return {
      code: 'no_trained_tokens',
      path: 'messages',
      message: `The answer starts after the limit of ${limit} tokens (the row has ${full}), so nothing of it would be learned.`,
      fix: `${raise}horten what comes before the answer.`,
    };
  }
  if (cut.length === 0) return null;
  return {
    code: 'over_length',
    path: 'messages',
    message:
      rows.length === 1
        ? `The row has ${full} tokens and is cut at ${limit}; ${trained - left} of its ${trained} trained tokens are lost, and with them the end of the answer.`
        : `The conversation has more than ${limit} tokens and is cut there; the answers that start or end beyond are not learned, or without their end.`,
    fix: `${raise}horten the row or leave it out.`,
  };
}

/** The first message whose words are not in the text; of an answer with reasoning, what follows it. */
function leftOut(rows: readonly RowText[]): number | null {
  const row = rows.at(-1);
  if (row === undefined) return null;
  // Names are written as they are, whatever a template does with the arguments.
  const uncalled = row.messages.findIndex((m) =>
    m.tool_calls?.some((call) => !row.text.includes(call.function.name)),
  );
  if (uncalled >= 0) return uncalled;
  if (row.words !== null) return null;
  let from = 0;
  for (const [i, { content }] of row.messages.entries()) {
    const at = [content, content.split('</think>').at(-1) ?? ''].map((words) => {
      const next = row.text.indexOf(words.trim(), from);
      return next >= 0 ? next + words.trim().length : row.text.includes(words.trim()) ? from : -1;
    });
    const found = at.find((place) => place >= 0);
    if (found === undefined) return i;
    from = found;
  }
  return null;
}

function count(mask: Uint8Array): number {
  let total = 0;
  for (const bit of mask) total += bit;
  return total;
}

function controlTokenIssues(chat: Chat, { messages, line }: Example): Issue[] {
  return messages.flatMap((message, i): Issue[] => {
    const calls = message.tool_calls ? JSON.stringify(message.tool_calls) : '';
    const first = chat.tokenizer.findSpecial(message.content)[0] ?? chat.tokenizer.findSpecial(calls)[0];
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

/** After so many rows on which a template did not end, it is not tried on the others. */
const ENDLESS_ROWS = 3;

export interface EncodedRows {
  encoded: EncodedExample[];
  byExample: ReadonlyMap<Example, readonly EncodedExample[]>;
  issues: Issue[];
}

interface CachedEncoding {
  chat: Chat;
  key: string;
  result: EncodeResult;
}

/** What rows were encoded to last, so that another split or seed, or rows encoded ahead, need no tokenizer. It goes with the rows. */
const kept = new WeakMap<Example, CachedEncoding>();

const keyOf = ({ max_length, loss_on, contextLength = Number.POSITIVE_INFINITY }: EncodeOptions) =>
  `${Math.min(max_length, contextLength)} ${loss_on} ${contextLength}`;

function encodeKept(chat: Chat, example: Example, options: EncodeOptions, key: string): EncodeResult {
  const known = kept.get(example);
  if (known?.chat === chat && known.key === key) return known.result;
  const result = encodeExample(chat, example, options);
  kept.set(example, { chat, key, result });
  return result;
}

const isEndless = (issue: Issue) => issue.code === 'template_endless';

/** All rows, with every issue; rows that cannot be trained on are left out. About 20 ms for 1,000 short rows. */
export function encodeExamples(
  chat: Chat,
  examples: readonly Example[],
  options: EncodeOptions,
): EncodedRows {
  const key = keyOf(options);
  const encoded: EncodedExample[] = [];
  const byExample = new Map<Example, readonly EncodedExample[]>();
  const issues: Issue[] = [];
  const endless: Issue[] = [];
  let split = 0;
  for (const example of examples) {
    const [known] = endless;
    if (known && endless.length >= ENDLESS_ROWS) {
      issues.push({ ...known, line: example.line });
      continue;
    }
    const result = encodeKept(chat, example, options, key);
    encoded.push(...result.encoded);
    byExample.set(example, result.encoded);
    if (result.encoded.length > 1) split++;
    issues.push(...result.issues);
    endless.push(...result.issues.filter(isEndless));
  }
  if (split > 0) issues.push(splitIssue(chat, split, examples.length, encoded.length));
  return { encoded, byExample, issues };
}

/** Rows encoded between two pauses. */
const ROWS_A_STEP = 16;

/**
 * Encodes rows for an `encodeExamples` with the same options that follows, with a pause after every few rows. Texts are left out: they
 * are cut first.
 * @param pause told how many rows are done; rejects where the work is to end
 */
export async function encodeAhead(
  chat: Chat,
  examples: readonly Example[],
  options: EncodeOptions,
  pause: (done: number) => Promise<void>,
): Promise<void> {
  const key = keyOf(options);
  let endless = 0;
  for (const [n, example] of examples.entries()) {
    if (n > 0 && n % ROWS_A_STEP === 0) await pause(n);
    if (example.text !== undefined) continue;
    endless += encodeKept(chat, example, options, key).issues.filter(isEndless).length;
    if (endless >= ENDLESS_ROWS) return;
  }
}

function splitIssue(chat: Chat, split: number, rows: number, encoded: number): Issue {
  const because =
    chat.ending === 'added'
      ? 'writes no end after an answer'
      : 'shows earlier answers differently from how the model is asked for them';
  return {
    code: 'one_row_an_answer',
    severity: 'warning',
    line: 0,
    message: `The model’s chat template ${because}, so each answer of a conversation became a row of its own: ${split} of ${rows} ${rows === 1 ? 'row' : 'rows'} had several answers, and there are ${encoded} rows to learn from now.`,
    fix: 'Leave it so: all answers are learned. To learn one answer a conversation, set “Learn from” to “The last answer”.',
  };
}
