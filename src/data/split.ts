// Rows → training, validation and test rows: drawn by seed and content, near-duplicate prompts on one side; or as the files say.
// Not here: which prompts are near-duplicates (nearDuplicates.ts), the order of training rows (batches.ts).

import type { Example } from '../contract';
import type { Fold, HeldOut, Leakage, SplitSide } from '../dataContract';
import type { Hyperparameters } from '../hyperparameters';
import { nearDuplicates, normalised } from './nearDuplicates';
import { hashText, mix } from './random';

export interface Split {
  train: Example[];
  /** Training rows that `train_fraction` leaves out: no run reads them. */
  spare: Example[];
  validation: Example[];
  test: Example[];
  /** Groups of two or more rows that were kept on one side. */
  nearDuplicateGroups: number;
  /** Validation rows beside training rows. */
  heldOut: HeldOut;
  /** Test rows beside all others. */
  testAlike: Leakage;
}

type SplitSettings = Pick<Hyperparameters, 'validation_fraction' | 'seed'> &
  Partial<Pick<Hyperparameters, 'test_fraction' | 'train_fraction'>>;

/** What a row asks: its user messages. System prompts are left out, as whole files share one. All of a row that asks nothing, and of a text. */
export function promptOf({ messages, text }: Example): string {
  if (text !== undefined) return text;
  const asked = messages.filter((m) => m.role === 'user' && m.content.trim() !== '');
  return (asked.length > 0 ? asked : messages).map((m) => m.content).join('\n');
}

/** All that a row says, as one text: two rows are the same where these are. */
export const contentOf = ({ messages, text }: Example) =>
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

interface Group {
  /** Indexes of its rows. */
  rows: number[];
  /** Its place in the draw. */
  key: number;
}

/** The groups among these rows in an order drawn by seed and content; the order of the file does not matter. */
function drawnGroups(
  examples: readonly Example[],
  groups: Int32Array,
  among: readonly number[],
  seed: number,
): Group[] {
  const members = new Map<number, number[]>();
  for (const i of among) {
    const group = groups[i] as number;
    const list = members.get(group);
    if (list) list.push(i);
    else members.set(group, [i]);
  }
  const drawn = [...members.values()].map((rows): Group => {
    // The least hash of its rows names a group.
    let key = Number.POSITIVE_INFINITY;
    for (const i of rows) {
      const example = examples[i] as Example;
      const text = example.text ?? example.messages.map((m) => `${m.role}:${m.content}`).join('\n');
      key = Math.min(key, hashText(text, mix(seed)) * 2 ** 21 + (hashText(text, mix(~seed)) >>> 11));
    }
    return { rows, key };
  });
  return drawn.sort((a, b) => a.key - b.key || (a.rows[0] as number) - (b.rows[0] as number));
}

/** Rows of the first groups that fit into `target` rows. */
function takeGroups(drawn: readonly Group[], target: number): number[] {
  const taken: number[] = [];
  for (const { rows } of drawn) if (taken.length + rows.length <= target) taken.push(...rows);
  return taken;
}

/** Rows of one of several folds: groups are dealt to the fold that has the fewest rows, the largest groups first. */
function foldOf(drawn: readonly Group[], { number, of }: Fold): { rows: number[]; smallest: number } {
  const folds = Array.from({ length: of }, (): number[] => []);
  const bySize = [...drawn].sort((a, b) => b.rows.length - a.rows.length || a.key - b.key);
  for (const { rows } of bySize) {
    const least = folds.reduce((best, fold) => (fold.length < best.length ? fold : best));
    least.push(...rows);
  }
  return {
    rows: folds[number - 1] as number[],
    smallest: Math.min(...folds.map((fold) => fold.length)),
  };
}

const TRAIN_SALT = 0x7472616e;

/**
 * Which of these rows are left out when only a share is learned from. Each row has a place in an order that seed and content decide, and
 * the first ones are taken, so that a smaller share is a part of every larger one and moves no other row. At least one row is taken.
 * @param among indexes into `examples`
 * @returns indexes of the rows that are left out
 */
function spareRows(
  examples: readonly Example[],
  among: readonly number[],
  fraction: number,
  seed: number,
): number[] {
  if (fraction >= 1) return [];
  const keyed = among.map((i) => ({
    i,
    key: hashText(contentOf(examples[i] as Example), mix(seed ^ TRAIN_SALT)),
  }));
  keyed.sort((a, b) => a.key - b.key || a.i - b.i);
  return keyed.slice(Math.max(1, Math.round(among.length * fraction))).map(({ i }) => i);
}

/** The draw for test rows is another one than that for validation rows, so that neither share moves the rows of the other. */
const TEST_SALT = 0x74657374;

/**
 * Splits rows. A side that the files give (`Example.split`) is taken as it is, however alike it is to the others; the rest is drawn by
 * seed and content, near-duplicate prompts on one side: first the test rows, then, of what is left, the validation rows. So no setting but
 * `test_fraction` and `seed` moves a row into the test or out of it. Each side keeps the order of the file.
 *
 * Where some rows are marked to be learned from and others not at all, those marks hold: neither they nor rows with nearly their prompt are
 * drawn. Where all are marked so, the mark says nothing, and rows are drawn from them.
 *
 * When so many rows are alike that a drawn side would stay below its least size (numbers games, one repeated question), only equal prompts
 * are kept together, then only equal rows, then nothing; `heldOut` says what it came to. At least 2 rows of a side from 4 rows on, 4
 * from 20 on; a test takes none where training or validation would be left without. Last, `train_fraction` of the training rows is taken.
 * @param encodedRows how many rows an example became, for the counts of rows that are alike
 * @param fold validation rows are those of this fold, in place of a share; nothing where the files give them
 */
export function splitExamples(
  examples: readonly Example[],
  settings: SplitSettings,
  encodedRows: (example: Example) => number = () => 1,
  fold: Fold | null = null,
): Split {
  const sides: (SplitSide | 'spare')[] = examples.map(({ split }) => split ?? 'train');
  const given = { validation: sides.includes('validation'), test: sides.includes('test') };
  const near = nearDuplicates(examples.map((e) => normalised(promptOf(e))));
  const taught = taughtGroups(examples, near);
  const pool = [...examples.keys()].filter((i) => sides[i] === 'train' && !taught.has(near[i] as number));
  const least = leastValidationRows(pool.length);
  const groupings = groupingsOf(examples, near);
  const groupsOf = (groups: Int32Array, among: readonly number[], seed: number) =>
    drawnGroups(examples, groups, among, seed);

  let test: number[] = [];
  if (!given.test && (settings.test_fraction ?? 0) > 0) {
    const wanted = Math.round(pool.length * (settings.test_fraction ?? 0));
    const room = pool.length - 1 - (given.validation ? 0 : least);
    const target = Math.min(Math.max(wanted, least), Math.max(0, room));
    test = strongest(groupings, Math.min(least, target), (groups) => {
      const taken = takeGroups(groupsOf(groups, pool, settings.seed ^ TEST_SALT), target);
      return { result: taken, rows: taken.length };
    }).result;
    for (const i of test) sides[i] = 'test';
  }

  let kept: HeldOut['kept'] = 'nothing';
  let nearDuplicateGroups = 0;
  if (!given.validation) {
    const rest = pool.filter((i) => sides[i] === 'train');
    const wanted = Math.round(pool.length * settings.validation_fraction);
    const target = Math.min(Math.max(wanted, least), Math.max(0, rest.length - 1));
    const drawn = strongest(groupings, fold ? 1 : least, (grouping) => {
      const groups = groupsOf(grouping, rest, settings.seed);
      const dealt = fold ? foldOf(groups, fold) : null;
      const rows = dealt ? dealt.rows : takeGroups(groups, target);
      return { result: { groups, rows }, rows: dealt ? dealt.smallest : rows.length };
    });
    kept = drawn.kept;
    for (const i of drawn.result.rows) sides[i] = 'validation';
    nearDuplicateGroups = drawn.result.groups.filter((group) => group.rows.length > 1).length;
  }
  const trained = [...examples.keys()].filter((i) => sides[i] === 'train');
  for (const i of spareRows(examples, trained, settings.train_fraction ?? 1, settings.seed))
    sides[i] = 'spare';
  const of = (side: SplitSide | 'spare') => examples.filter((_, i) => sides[i] === side);
  const alike = (held: SplitSide, others: readonly SplitSide[]) =>
    alikeAcross(examples, sides, { held, others, near }, encodedRows);
  return {
    train: of('train'),
    spare: of('spare'),
    validation: of('validation'),
    test: of('test'),
    nearDuplicateGroups,
    heldOut: { kept, ...alike('validation', ['train']) },
    testAlike: alike('test', ['train', 'validation']),
  };
}

/** Groups of near-duplicate prompts with a row that is marked to be learned from, in data that have rows without a mark. */
function taughtGroups(examples: readonly Example[], near: Int32Array): Set<number> {
  if (examples.every(({ split }) => split !== undefined)) return new Set();
  return new Set(examples.flatMap(({ split }, i) => (split === 'train' ? [near[i] as number] : [])));
}

/** A rule of what is kept on one side, and the group of each row by it. */
interface Grouping {
  kept: HeldOut['kept'];
  groups: () => Int32Array;
}

/** Each keeps less together than the one before. */
function groupingsOf(examples: readonly Example[], near: Int32Array): Grouping[] {
  return [
    { kept: 'near_prompts', groups: () => near },
    { kept: 'equal_prompts', groups: () => sameKey(examples, (e) => promptOf(e).trim().toLowerCase()) },
    { kept: 'equal_rows', groups: () => sameKey(examples, contentOf) },
    { kept: 'nothing', groups: () => Int32Array.from(examples, (_, i) => i) },
  ];
}

/** What the strongest grouping gives that leaves at least so many rows to draw. */
function strongest<T>(
  groupings: readonly Grouping[],
  least: number,
  draw: (groups: Int32Array) => { result: T; rows: number },
): { kept: HeldOut['kept']; result: T } {
  for (const { kept, groups } of groupings) {
    const { result, rows } = draw(groups());
    // A few rows that are new say more than many copies, so copies are held out only where there is nothing else.
    const enough = kept === 'nothing' ? 0 : kept === 'equal_rows' ? Math.min(1, least) : least;
    if (rows >= enough) return { kept, result };
  }
  throw new Error('The last grouping takes any number of rows.');
}

/** Rows of one side that have their like among those of others. @param near group of near-duplicate prompts of each row */
function alikeAcross(
  examples: readonly Example[],
  sides: readonly (SplitSide | 'spare')[],
  { held, others, near }: { held: SplitSide; others: readonly SplitSide[]; near: Int32Array },
  encodedRows: (example: Example) => number,
): Leakage {
  const counts = { copies: 0, samePrompt: 0, nearPrompt: 0 };
  if (!sides.includes(held)) return counts;
  const askedBy = (e: Example) => promptOf(e).trim();
  const rows = new Set<string>();
  const prompts = new Set<string>();
  const groups = new Set<number>();
  for (const [i, example] of examples.entries()) {
    if (!others.includes(sides[i] as SplitSide)) continue;
    rows.add(contentOf(example));
    prompts.add(askedBy(example));
    groups.add(near[i] as number);
  }
  for (const [i, example] of examples.entries()) {
    if (sides[i] !== held) continue;
    if (rows.has(contentOf(example))) counts.copies += encodedRows(example);
    else if (prompts.has(askedBy(example))) counts.samePrompt += encodedRows(example);
    else if (groups.has(near[i] as number)) counts.nearPrompt += encodedRows(example);
  }
  return counts;
}
