// Groups of equal and nearly equal rows, for people to look at, and which of them stand on both sides of the split.
// Not here: which prompts are near (nearDuplicates.ts), keeping groups on one side (split.ts).

import type { Example } from '../contract';
import type { DuplicateGroup, RowPlace, SplitSide } from '../dataContract';
import { shortened } from '../wording';
import { nearDuplicates, normalised } from './nearDuplicates';
import { contentOf, promptOf } from './split';

/** Groups that are listed. */
const MAX_GROUPS = 100;
/** Rows of a group that are listed. */
const MAX_ROWS = 6;
/** Characters of a prompt or an answer that are shown. */
const MAX_CHARACTERS = 200;

/** An example and the side of the split that it is on. */
export interface SidedExample {
  example: Example;
  side: SplitSide;
}

export const placeOf = ({ example, side }: SidedExample): RowPlace => ({
  line: example.line,
  ...(example.file !== undefined && { file: example.file }),
  split: side,
});

/** The last answer of a row; '' of a text. */
export const answerOf = ({ messages }: Example): string =>
  messages.findLast((m) => m.role === 'assistant')?.content ?? '';

export interface DuplicateGroups {
  /** The first groups: those across the split, then the largest. */
  groups: DuplicateGroup[];
  /** All groups. */
  count: number;
  /** All rows in them, by kind. */
  rows: Record<DuplicateGroup['kind'], number>;
  examples: Record<DuplicateGroup['kind'], SidedExample[]>;
  /** Held-out rows of groups that stand on more than one side. */
  across: SidedExample[];
}

/** Rows whose prompts are near-duplicates, in groups of two and more. */
export function duplicateGroups(rows: readonly SidedExample[]): DuplicateGroups {
  const near = nearDuplicates(rows.map(({ example }) => normalised(promptOf(example))));
  const members = new Map<number, SidedExample[]>();
  for (const [i, row] of rows.entries()) {
    const list = members.get(near[i] as number);
    if (list) list.push(row);
    else members.set(near[i] as number, [row]);
  }
  const counts = { row: 0, prompt: 0, near: 0 };
  const examples: DuplicateGroups['examples'] = { row: [], prompt: [], near: [] };
  const across: SidedExample[] = [];
  const found: { kind: DuplicateGroup['kind']; rows: SidedExample[]; across: boolean }[] = [];
  for (const list of members.values()) {
    if (list.length < 2) continue;
    const kind = kindOf(list);
    const sides = new Set(list.map(({ side }) => side));
    counts[kind] += list.length;
    examples[kind].push(...list);
    found.push({ kind, rows: list, across: sides.size > 1 });
    // The held-out ones are those whose loss says less.
    if (sides.size > 1) across.push(...list.filter(({ side }) => side !== 'train'));
  }
  found.sort((a, b) => Number(b.across) - Number(a.across) || b.rows.length - a.rows.length);
  return {
    groups: found.slice(0, MAX_GROUPS).map(({ kind, rows: list, across: apart }) => ({
      kind,
      size: list.length,
      rows: firstOfEachSide(list).map((row) => ({
        ...placeOf(row),
        prompt: shortened(promptOf(row.example), MAX_CHARACTERS),
        answer: shortened(answerOf(row.example), MAX_CHARACTERS),
      })),
      across: apart,
    })),
    count: found.length,
    rows: counts,
    examples,
    across,
  };
}

function kindOf(rows: readonly SidedExample[]): DuplicateGroup['kind'] {
  const same = (keyOf: (example: Example) => string) =>
    new Set(rows.map(({ example }) => keyOf(example))).size === 1;
  if (same(contentOf)) return 'row';
  return same((example) => promptOf(example).trim()) ? 'prompt' : 'near';
}

/** The first rows, one of each side before others. */
function firstOfEachSide(rows: readonly SidedExample[]): SidedExample[] {
  const first = new Set<SidedExample>();
  for (const side of ['train', 'validation', 'test'] as const) {
    const row = rows.find((r) => r.side === side);
    if (row) first.add(row);
  }
  for (const row of rows) if (first.size < MAX_ROWS) first.add(row);
  return rows.filter((row) => first.has(row));
}
