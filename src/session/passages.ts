// Passages in prompts: the same form and the same search for a question that is asked and for a row that is trained on.
// Not here: cutting documents (data/passages.ts), the search (data/passageSearch.ts).

import type { Example, Message } from '../contract';
import type { PassageSearch } from '../data/passageSearch';
import { contentHash } from '../data/sha256';
import { PlaygroundError } from '../errors';
import type { FoundPassage, Passage } from '../ways';
import { plural } from '../wording';
import type { Dataset } from './dataset';

/** What is searched for: all that the user says. Of a row of several turns too, since its passages stand before the first. */
export function searchText(messages: readonly Message[]): string {
  return messages.flatMap(({ role, content }) => (role === 'user' ? [content] : [])).join(' ');
}

/** The messages with a text at the end of their system message, which is made where there is none. */
export function withSystem(messages: readonly Message[], text: string): Message[] {
  if (text === '') return [...messages];
  const [first, ...rest] = messages;
  if (first?.role !== 'system') return [{ role: 'system', content: text }, ...messages];
  const content = first.content.trim() === '' ? text : `${first.content} ${text}`;
  return [{ ...first, content }, ...rest];
}

/** The messages with passages in the system message, the best first. */
export function withPassages(messages: readonly Message[], passages: readonly Passage[]): Message[] {
  return withSystem(messages, passages.map(({ text }) => text).join(' '));
}

/** The messages with what the search finds for them. */
export function lookUp(
  messages: readonly Message[],
  search: PassageSearch,
  count: number,
): { messages: Message[]; found: FoundPassage[] } {
  const found = search.find(searchText(messages), count);
  return { messages: withPassages(messages, found), found };
}

/**
 * The rows of a data set with passages in them, in the form in which a question gets them. Name and hash say so: it is other data.
 * @throws PlaygroundError `passages_need_questions` for rows that are plain text
 */
export async function rowsWithPassages(
  dataset: Dataset,
  search: PassageSearch,
  count: number,
): Promise<Dataset> {
  const files = [...new Set(search.passages.map(({ file }) => file))].join(', ');
  const put = (example: Example): Example => {
    if (example.text !== undefined) {
      throw new PlaygroundError({
        code: 'passages_need_questions',
        message: 'Passages are searched for with the question of a row, and these rows are plain text.',
        fix: 'Take rows of questions and answers, or no documents.',
      });
    }
    return { ...example, messages: lookUp(example.messages, search, count).messages };
  };
  const marker = JSON.stringify([search.settings, count, search.passages.map(({ text }) => text)]);
  return dataset.changed(put, {
    name: (name) => `${name} with up to ${plural(count, 'passage')} of ${files}`,
    hash: (hash) => contentHash(`${hash}\n${marker}`),
  });
}
