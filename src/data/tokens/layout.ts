// Where the words of each message lie in the text that a template makes of a conversation.
// Not here: what is learned of it (encodeRows.ts).

import type { Message } from '../../contract';
import type { Chat } from './chat';
import { MARKS } from './specialTokens';

export interface Place {
  start: number;
  end: number;
}

export interface Layout {
  text: string;
  /** Each message's words, without the white space around them; null when the template changes them or their order. */
  words: readonly Place[] | null;
}

const [OPEN, CLOSE] = MARKS;
const BOTH = new RegExp(`[${OPEN}${CLOSE}]`, 'gu');

/**
 * Renders a conversation twice, the second time with marks around the words. Where the template only copies them, the texts differ in
 * nothing but the marks, and those tell the places.
 * @throws PlaygroundError `template_refused`, `template_endless`
 */
export function layOut(
  chat: Pick<Chat, 'render'>,
  messages: readonly Message[],
  options: { addGenerationPrompt?: boolean } = {},
): Layout {
  const text = chat.render(messages, options);
  return { text, words: findWords(chat, messages, options, text) };
}

function findWords(
  chat: Pick<Chat, 'render'>,
  messages: readonly Message[],
  options: { addGenerationPrompt?: boolean },
  text: string,
): readonly Place[] | null {
  let marked: string;
  try {
    marked = chat.render(
      messages.map((m) => ({ ...m, content: withMarks(m.content) })),
      options,
    );
  } catch {
    // A template may look at a message's first letters. Then it is asked about each answer by itself.
    return null;
  }
  const words: Place[] = [];
  let unmarked = 0;
  let from = 0;
  for (const match of marked.matchAll(BOTH)) {
    unmarked += match.index - from;
    from = match.index + match[0].length;
    const open = match[0] === OPEN;
    const last = words.at(-1);
    if (open === (last !== undefined && last.end < 0)) return null;
    if (open) words.push({ start: unmarked, end: -1 });
    else if (last) last.end = unmarked;
  }
  const copied =
    words.length === messages.length &&
    marked.replace(BOTH, '') === text &&
    words.every(({ start, end }, i) => text.slice(start, end) === messages[i]?.content.trim());
  return copied ? words : null;
}

function withMarks(content: string): string {
  const words = content.trim();
  if (words === '') return OPEN + CLOSE + content;
  const at = content.indexOf(words);
  return content.slice(0, at) + OPEN + words + CLOSE + content.slice(at + words.length);
}
