// What only shows when all rows are seen together: duplicates, mixed shapes, too few rows, one label for everything.
// Not here: problems of a single row (rows.ts).

import type { Example, Issue } from '../contract';
import type { RowFormat } from './rows';

const FORMAT_NAMES: Readonly<Record<RowFormat, string>> = {
  messages: 'chat messages',
  prompt_completion: 'prompt and completion',
  instruction: 'instruction and output',
  sharegpt: 'ShareGPT conversations',
};

function ofFile(code: string, severity: Issue['severity'], message: string, fix: string): Issue {
  return { code, severity, line: 0, message, fix };
}

/** A 53-bit hash; a false duplicate among 100,000 rows has a chance of about one in a million. */
function hash53(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 2654435761);
    b = Math.imul(b ^ c, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}

function duplicates(examples: readonly Example[]): Issue[] {
  const first = new Map<number, number>();
  const issues: Issue[] = [];
  for (const { line, messages } of examples) {
    const key = hash53(
      messages.map((m) => `${m.role}\u0000${m.content}\u0000${m.weight ?? 1}`).join('\u0001'),
    );
    const known = first.get(key);
    if (known === undefined) first.set(key, line);
    else {
      issues.push({
        code: 'duplicate_row',
        severity: 'warning',
        line,
        message: `This row is the same as line ${known}.`,
        fix: 'Remove one of the two, unless the model should see it twice as often.',
      });
    }
  }
  return issues;
}

/** Answers that repeat like labels, of which one is nearly all there is. */
function imbalance(examples: readonly Example[]): Issue[] {
  if (examples.length < 10) return [];
  const counts = new Map<string, number>();
  for (const { messages } of examples) {
    const answer = messages.findLast((m) => m.role === 'assistant')?.content.trim() ?? '';
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  const looksLikeLabels = counts.size <= 20 && examples.length / counts.size >= 4;
  const [label, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ['', 0]);
  const share = count / examples.length;
  if (!looksLikeLabels || share <= 0.7) return [];
  const shown = label.length > 40 ? `${label.slice(0, 40)}…` : label;
  const percent = Math.round(share * 100);
  return [
    ofFile(
      'label_imbalance',
      'warning',
      counts.size === 1
        ? `Every answer is “${shown}”, so the model only has to learn to say that.`
        : `${percent} % of the answers are “${shown}”. A model that always says so is right that often.`,
      'Add rows with the other answers, until none is much more common than the rest.',
    ),
  ];
}

/**
 * Issues of the file as a whole: `no_rows` (error), `too_few_rows`, `mixed_formats`, `label_imbalance`, `duplicate_row` (warnings).
 * @param rows rows with something on them, sound or not
 */
export function checkFile(
  examples: readonly Example[],
  formats: ReadonlyMap<RowFormat, number>,
  rows: number,
): Issue[] {
  const issues: Issue[] = [];
  if (rows === 0) {
    issues.push(
      ofFile(
        'no_rows',
        'error',
        'The file has no rows.',
        'Put one {"messages": [ … ]} on each line; 50 to 100 lines are a good start.',
      ),
    );
  } else if (examples.length < 10) {
    const usable = examples.length === rows ? `${rows}` : `${examples.length} usable`;
    issues.push(
      ofFile(
        'too_few_rows',
        'warning',
        `The file has ${usable} ${examples.length === 1 ? 'row' : 'rows'}. 10 is the least, 50 to 100 is where it starts to work.`,
        'Write more rows; you can try it with these all the same.',
      ),
    );
  }
  if (formats.size > 1) {
    const list = [...formats].map(([format, count]) => `${count} × ${FORMAT_NAMES[format]}`).join(', ');
    issues.push(
      ofFile(
        'mixed_formats',
        'warning',
        `The rows have several shapes: ${list}. Each was read in its own way.`,
        'Check in the preview that all of them look right.',
      ),
    );
  }
  return [...issues, ...imbalance(examples), ...duplicates(examples)];
}
