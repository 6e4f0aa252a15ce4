// What only shows when all rows are seen together: mixed shapes, too few rows, one label for everything.
// Not here: problems of a single row (rows.ts).

import { ROW_FORMAT_LABELS, type RowFormat } from '../../acceptedFiles';
import type { Example, Issue } from '../../contract';
import { listed, plural, shortened } from '../../wording';

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

/** A number that is the same for rows with the same content. */
export function rowHash({ messages, text, tools }: Example): number {
  const parts = messages.map(
    (m) =>
      `${m.role}\u0000${m.content}\u0000${m.weight ?? 1}${m.tool_calls ? JSON.stringify(m.tool_calls) : ''}`,
  );
  return hash53([...parts, text ?? '', tools ? JSON.stringify(tools) : ''].join('\u0001'));
}

/** Answers that repeat like labels, of which one is nearly all there is. */
function imbalance(examples: readonly Example[]): Issue[] {
  if (examples.length < 10) return [];
  const counts = new Map<string, number>();
  for (const { messages } of examples) {
    const last = messages.findLast((m) => m.role === 'assistant');
    // Calls and texts are no labels.
    if (!last || last.tool_calls) return [];
    const answer = last.content.trim();
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  const looksLikeLabels = counts.size <= 20 && examples.length / counts.size >= 4;
  const [label, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ['', 0]);
  const share = count / examples.length;
  if (!looksLikeLabels || share <= 0.7) return [];
  const shown = shortened(label, 40);
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

/** Whether there are enough rows to learn from: `too_few_rows`. A file of which nothing can be used has greater problems. */
export function checkCount(usable: number, rows: number): Issue[] {
  if (usable === 0 || usable >= 10) return [];
  const count = usable === rows ? plural(rows, 'row') : `${usable} usable ${usable === 1 ? 'row' : 'rows'}`;
  return [
    ofFile(
      'too_few_rows',
      'warning',
      `The file has ${count}. 10 is the least, 50 to 100 is where it starts to work.`,
      `Write more rows; you can try it with ${usable === 1 ? 'this one' : 'these'} all the same.`,
    ),
  ];
}

/** That there is nothing in a file. @param anything whether it holds characters all the same */
export function noRows(anything: boolean): Issue {
  return ofFile(
    'no_rows',
    'error',
    anything ? 'The file has no rows.' : 'The file is empty.',
    'Put one {"messages": [ … ]} on each line; 50 to 100 lines are a good start.',
  );
}

/**
 * Issues of the rows as a whole: `too_few_rows`, `mixed_formats`, `label_imbalance` (warnings).
 * @param rows rows with something on them, sound or not
 */
export function checkFile(
  examples: readonly Example[],
  formats: ReadonlyMap<RowFormat, number>,
  rows: number,
): Issue[] {
  const issues = checkCount(examples.length, rows);
  if (formats.size > 1) {
    const list = listed([...formats].map(([format, count]) => `${count} × ${ROW_FORMAT_LABELS[format]}`));
    issues.push(
      ofFile(
        'mixed_formats',
        'warning',
        `The rows have several shapes: ${list}. Each was read in its own way.`,
        'Check in the preview that all of them look right.',
      ),
    );
  }
  return issues.concat(imbalance(examples));
}
