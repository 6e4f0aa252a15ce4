// A row as the model sees it, for the eye: text, role and whether it is learned, token by token.
// Not here: which tokens are learned (rowText.ts).

import type { EncodedExample, Example, Message, PreviewToken, Role } from '../../contract';
import { PlaygroundError } from '../../errors';
import { type Chat, foldSystem, withTools } from './chat';
import { rowTextOf } from './rowText';

type Row = ReturnType<typeof rowTextOf>;

/** What the template writes after a message, by its role, from the first one of that role. */
function suffixes(chat: Chat, { messages, text, words }: Row): Map<Role, string> {
  const found = new Map<Role, string>();
  for (const [i, { role }] of messages.entries()) {
    const place = words?.[i];
    if (found.has(role) || !place) continue;
    let shown = '';
    try {
      shown = chat.render(messages.slice(0, i + 1));
    } catch (cause) {
      // A system message alone may be refused; what follows it then belongs to the message after it, as the template puts it there.
      if (!(cause instanceof PlaygroundError)) throw cause;
    }
    found.set(role, shown.startsWith(text.slice(0, place.end)) ? shown.slice(place.end) : '');
  }
  return found;
}

const commonLength = (a: string, b: string) => {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
};

/** One past the last token of each message, as far as `kept` tokens reach. */
function messageEnds(chat: Chat, row: Row, kept: number): number[] {
  const { messages, words, text, encoding } = row;
  const after = suffixes(chat, row);
  const ends: number[] = [];
  let least = 0;
  for (const [i, { role }] of messages.slice(0, -1).entries()) {
    const place = words?.[i];
    const next = words?.[i + 1];
    if (place && next) {
      const between = text.slice(place.end, next.start);
      least = encoding.tokensBefore(place.end + commonLength(after.get(role) ?? '', between));
    } else least = Math.max(least, endOf(chat, messages.slice(0, i + 1), encoding.ids));
    ends.push(least);
    if (least >= kept) break;
  }
  return ends;
}

/** Tokens that the conversation up to a message has in common with the whole; 0 where the template refuses it. */
function endOf(chat: Chat, messages: readonly Message[], ids: readonly number[]): number {
  try {
    const shown = chat.tokenizer.encodeRendered(chat.render(messages)).ids;
    let n = 0;
    while (n < shown.length && shown[n] === ids[n]) n++;
    return n;
  } catch (cause) {
    if (cause instanceof PlaygroundError) return 0;
    throw cause;
  }
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
export function previewTokens(plain: Chat, encoded: EncodedExample, example: Example): PreviewToken[] {
  const chat = withTools(plain, example.tools);
  const { tokenizer } = chat;
  const ids = [...encoded.ids];
  const messages = foldSystem(chat, example.messages);
  const folded = example.messages.length - messages.length;
  const row = rowTextOf(chat, messages, encoded.answer === undefined ? null : encoded.answer - folded);
  const ends = messageEnds(chat, row, ids.length);
  const systemLength = templateSystemLength(chat, messages, row.encoding.ids);
  const decoder = tokenizer.createStreamDecoder();
  let message = 0;
  return ids.map((id, t) => {
    while (message < ends.length && t >= (ends[message] ?? 0)) message++;
    const role: Role = t < systemLength ? 'system' : (row.messages[message]?.role ?? 'user');
    const text = decoder.push(id) + (t === ids.length - 1 ? decoder.flush() : '');
    return { id, text, role, trained: encoded.mask[t] === 1, special: tokenizer.isSpecial(id) };
  });
}
