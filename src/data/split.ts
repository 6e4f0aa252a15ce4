// Rows → training rows and held-out rows: drawn by seed and content, near-duplicate prompts on one side; or as the file itself says.
// Not here: which prompts are near-duplicates (nearDuplicates.ts), the order of training rows (batches.ts).

import type { Example } from '../contract';
import type { HeldOut } from '../dataContract';
import type { Hyperparameters } from '../hyperparameters';
import { nearDuplicates, normalised } from './nearDuplicates';
import { hashText, mix } from './random';

export interface Split {
  train: Example[];
  validation: Example[];
  /** Groups of two or more rows that were kept on one side. */
  nearDuplicateGroups: number;
  heldOut: HeldOut;
}

/** What a row asks: its user messages. System prompts are left out, as whole files share one. All of a row that asks nothing, and of a text. */
function promptOf({ messages, text }: Example): string {
  if (text !== undefined) return text;
  const asked = messages.filter((m) => m.role === 'user' && m.content.trim() !== '');
  return (asked.length > 0 ? asked : messages).map((m) => m.content).join('\n');
}

const contentOf = ({ messages, text }: Example) =>
  text ?? JSON.stringify(messages.map((m) => [m.role, m.content, m.tool_calls]));

/** Rows that are the same after `keyOf` form a group. */
function sameKey(examples: readonly Example[], keyOf: (e: Example) => string): Int32Array {
  const first = new Map<string, number>();
  return Int32Array.from(examples, (example, i) => {
    const key = keyOf(example);
    const known = first.get(key);
    if (known === undefined) first.set(key, i);
    return known ?? i;
  });
}

/** Least rows for validation: an average over fewer says little, and tiny files have no more to give. */
function leastValidationRows(rows: number): number {
  if (rows >= 20) return 4;
  return Math.min(2, Math.floor(rows / 2));
}

/** Groups in an order drawn by seed and content, taken for validation while they fit. */
function chooseValidation(
  examples: readonly Example[],
  groups: Int32Array,
  target: number,
  seed: number,
): { chosen: Set<number>; rows: number; grouped: number } {
  const members = new Map<number, number[]>();
  for (const [i, group] of groups.entries()) {
    const list = members.get(group);
    if (list) list.push(i);
    else members.set(group, [i]);
  }
  const drawn = [...members].map(([group, list]) => {
    // The least hash of its rows names a group, so the draw does not depend on the order of the file.
    let key = Number.POSITIVE_INFINITY;
    for (const i of list) {
      const example = examples[i] as Example;
      const text = example.text ?? example.messages.map((m) => `${m.role}:${m.content}`).join('\n');
      key = Math.min(key, hashText(text, mix(seed)) * 2 ** 21 + (hashText(text, mix(~seed)) >>> 11));
    }
    return { group, size: list.length, key };
  });
  drawn.sort((a, b) => a.key - b.key || a.group - b.group);
  const chosen = new Set<number>();
  let rows = 0;
  for (const { group, size } of drawn) {
    if (rows + size > target) continue;
    chosen.add(group);
    rows += size;
  }
  return { chosen, rows, grouped: drawn.filter((g) => g.size > 1).length };
}

/**
 * Splits rows by seed and content, near-duplicate prompts on one side. Both sides keep the order of the file.
 * When so many rows are alike that validation would stay below its least size (numbers games, one repeated question), only equal
 * prompts are kept together, then only equal rows, then nothing; `heldOut` says what it came to. At least 2 validation rows from 4 rows
 * on, 4 from 20 on.
 * @param encodedRows how many rows an example became, for the counts in `heldOut`
 */
export function splitExamples(
  examples: readonly Example[],
  settings: Pick<Hyperparameters, 'validation_fraction' | 'seed'>,
  encodedRows: (example: Example) => number = () => 1,
): Split {
  const least = leastValidationRows(examples.length);
  const wanted = Math.round(examples.length * settings.validation_fraction);
  const target = Math.min(Math.max(wanted, least), Math.max(0, examples.length - 1));
  const near = nearDuplicates(examples.map((e) => normalised(promptOf(e))));
  const groupings: [HeldOut['kept'], () => Int32Array][] = [
    ['near_prompts', () => near],
    ['equal_prompts', () => sameKey(examples, (e) => promptOf(e).trim().toLowerCase())],
    ['equal_rows', () => sameKey(examples, contentOf)],
    ['nothing', () => Int32Array.from(examples, (_, i) => i)],
  ];
  for (const [kept, grouping] of groupings) {
    const groups = grouping();
    const { chosen, rows, grouped } = chooseValidation(examples, groups, target, settings.seed);
    // A few rows that are new say more than many copies, so copies are held out only where there is nothing else.
    const enough = kept === 'equal_rows' ? Math.min(1, least) : least;
    if (rows < enough && kept !== 'nothing') continue;
    const held = examples.map((_, i) => chosen.has(groups[i] as number));
    return {
      train: examples.filter((_, i) => !held[i]),
      validation: examples.filter((_, i) => held[i]),
      nearDuplicateGroups: grouped,
      heldOut: { kept, ...alikeAcross(examples, held, near, encodedRows) },
    };
  }
  throw new Error('The last grouping takes any number of rows.');
}

/** The split that the file itself makes (`Example.split`), however alike its two sides are; `heldOut` says how alike. */
export function givenSplit(
  examples: readonly Example[],
  encodedRows: (example: Example) => number = () => 1,
): Split {
  const held = examples.map(({ split }) => split === 'validation');
  const near = nearDuplicates(examples.map((e) => normalised(promptOf(e))));
  return {
    train: examples.filter((_, i) => !held[i]),
    validation: examples.filter((_, i) => held[i]),
    nearDuplicateGroups: 0,
    heldOut: { kept: 'nothing', ...alikeAcross(examples, held, near, encodedRows) },
  };
}

/** Held-out rows that have their like among the training rows. @param near group of near-duplicate prompts of each row */
function alikeAcross(
  examples: readonly Example[],
  held: readonly boolean[],
  near: Int32Array,
  encodedRows: (example: Example) => number,
): Omit<HeldOut, 'kept'> {
  const counts = { copies: 0, samePrompt: 0, nearPrompt: 0 };
  const askedBy = (e: Example) => promptOf(e).trim();
  const rows = new Set<string>();
  const prompts = new Set<string>();
  const groups = new Set<number>();
  for (const [i, example] of examples.entries()) {
    if (held[i]) continue;
    rows.add(contentOf(example));
    prompts.add(askedBy(example));
    groups.add(near[i] as number);
  }
  for (const [i, example] of examples.entries()) {
    if (!held[i]) continue;
    if (rows.has(contentOf(example))) counts.copies += encodedRows(example);
    else if (prompts.has(askedBy(example))) counts.samePrompt += encodedRows(example);
    else if (groups.has(near[i] as number)) counts.nearPrompt += encodedRows(example);
  }
  return counts;
}
