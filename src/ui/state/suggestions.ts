// Prompts to try, taken from rows that the model does not train on.
// Not here: asking them (talk.svelte.ts).

import type { RowPreview } from '../../contract';

/** A conversation to try, and what its row answers. */
export interface Suggestion {
  line: number;
  system: string;
  prompt: string;
  expected: string;
}

/** The last user message before the first answer of each row; a prompt that stands there twice comes once. */
export function suggestionsFrom(rows: readonly RowPreview[]): Suggestion[] {
  const seen = new Set<string>();
  return rows.flatMap(({ line, messages }) => {
    const answer = messages.findIndex((m) => m.role === 'assistant');
    const before = answer < 0 ? messages : messages.slice(0, answer);
    const prompt = before.findLast((m) => m.role === 'user')?.content ?? '';
    // A call answers to tools that the talk does not have.
    const calls = messages[answer]?.tool_calls !== undefined;
    if (prompt.trim() === '' || seen.has(prompt) || calls) return [];
    seen.add(prompt);
    const system = before.find((m) => m.role === 'system')?.content ?? '';
    return [{ line, system, prompt, expected: messages[answer]?.content ?? '' }];
  });
}
