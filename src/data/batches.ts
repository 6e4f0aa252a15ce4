// Rows → rectangles: the leak-free split, seeded order, steps of an epoch, padding and shifting, and the numbers about them.
// Not here: tokenising (chat.ts), what is computed with a batch (engine/).

import type { Batch, Distribution, EncodedExample, Example, HeldOut } from '../contract';
import type { Hyperparameters } from '../hyperparameters';
import { digestHex } from './sha256';

// ───────────────────────────── chance, from a seed ─────────────────────────────

/** Uniform numbers in [0, 1) from a seed: mulberry32 (Tommy Ettinger's 32-bit mixer), the same everywhere. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Murmur3's finaliser: every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A 32-bit hash of a text (FNV-1a over UTF-16 units, then mixed); for grouping, not for security. */
function hashText(text: string, seed = 0): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

/** The order in which an epoch visits rows 0 … n-1: a permutation that depends on nothing but these three numbers. */
export function epochOrder(n: number, seed: number, epoch: number): number[] {
  const random = createRandom(mix(seed) ^ mix(epoch + 0x9e3779b9));
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

// ───────────────────────────── steps of an epoch ─────────────────────────────

type StepSettings = Pick<Hyperparameters, 'batch_size' | 'gradient_accumulation_steps'>;

/**
 * Rows of each micro-batch of one step of an epoch. No row is dropped: the last batch of an epoch keeps whatever is left.
 * @param order the epoch's rows, of `epochOrder`
 * @param step within the epoch, from 0
 */
export function rowsOfStep(order: readonly number[], settings: StepSettings, step: number): number[][] {
  const { batch_size: size, gradient_accumulation_steps: micro } = settings;
  const batches: number[][] = [];
  for (let m = 0; m < micro; m++) {
    const from = (step * micro + m) * size;
    if (from < order.length) batches.push(order.slice(from, from + size));
  }
  return batches;
}

/** Columns for rows of this length: rounded up so that few shapes occur, never beyond the cap. */
export function bucketed(longest: number, bucket: number, cap = Number.POSITIVE_INFINITY): number {
  return Math.max(longest, Math.min(Math.ceil(longest / bucket) * bucket, cap));
}

/**
 * A size out of few: `least` times 1, 2, 3, 4, 6, 8, 12, 16 …, at most a half more than asked for beyond the first. Few different
 * sizes are worth some padding where each needs a program of its own.
 */
export function coarselyBucketed(count: number, least: number, cap = Number.POSITIVE_INFINITY): number {
  let power = 2 * least;
  while (1.5 * power < count) power *= 2;
  const size = count <= least ? least : count <= power ? power : 1.5 * power;
  return Math.max(count, Math.min(size, cap));
}

/**
 * A rectangle: right-padded, targets shifted by one (`targets[t]` is the token after `ids[t]` when it is to be learned, else -100).
 * Padding is known by length, never by id, so a pad token that is also the end token keeps its targets.
 * @param options.columns exact width (rows that are longer lose their end); otherwise the longest row, rounded up to `bucket`.
 */
export function makeBatch(
  encoded: readonly EncodedExample[],
  padId: number,
  options: { columns?: number; bucket?: number; maxColumns?: number } = {},
): Batch {
  const longest = encoded.reduce((most, row) => Math.max(most, row.ids.length), 1);
  const columns = options.columns ?? bucketed(longest, options.bucket ?? 1, options.maxColumns);
  const rows = encoded.length;
  const ids = new Int32Array(rows * columns).fill(padId); // [rows, columns]
  const targets = new Int32Array(rows * columns).fill(-100); // [rows, columns]
  const weights = new Float32Array(rows * columns); // [rows, columns]
  let targetTokens = 0;
  for (const [r, row] of encoded.entries()) {
    const length = Math.min(row.ids.length, columns);
    ids.set(row.ids.subarray(0, length), r * columns);
    for (let t = 0; t + 1 < length; t++) {
      if (row.mask[t + 1] !== 1) continue;
      targets[r * columns + t] = row.ids[t + 1] as number;
      weights[r * columns + t] = row.weight ?? 1;
      targetTokens++;
    }
  }
  const lines = encoded.map((row) => row.line);
  const lengths = encoded.map((row) => Math.min(row.ids.length, columns));
  return { ids, targets, weights, rows, columns, lines, lengths, targetTokens };
}

// ───────────────────────────── the split ─────────────────────────────

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

/** Case, digits, punctuation and spacing do not make two prompts different. */
function normalised(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{N}+/gu, '0')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** Sorted hashes of the word pairs of a normalised text, its borders included; characters where there are no words (CJK). */
function shingles(text: string): Uint32Array {
  const words = text.split(' ');
  const parts = words.length < 3 && text.length > 12 ? [...text] : words;
  const hashes = new Set<number>();
  let before = '^';
  for (const part of [...parts, '$']) {
    hashes.add(hashText(`${before} ${part}`));
    before = part;
  }
  return Uint32Array.from(hashes).sort();
}

/** Size of the intersection by that of the union, of two sorted lists. */
function jaccard(a: Uint32Array, b: Uint32Array): number {
  let i = 0;
  let j = 0;
  let both = 0;
  while (i < a.length && j < b.length) {
    const x = a[i] as number;
    const y = b[j] as number;
    if (x === y) both++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return both / (a.length + b.length - both);
}

/** Prompts with this share of common word pairs are near-duplicates. */
const NEAR = 0.8;
/** 8 bands of 4 MinHashes: a pair at 0.8 meets in some band with 98.5 %, one at 0.3 with 6 %. */
const BANDS = 8;
const HASHES_PER_BAND = 4;
/** A prompt is compared with at most this many groups that share a band with it, which bounds the work for large files. */
const COMPARED_PER_BUCKET = 8;

/** Group number of each row (the lowest row index in its group). */
function nearDuplicates(prompts: readonly string[]): Int32Array {
  const parent = Int32Array.from(prompts, (_, i) => i);
  const root = (i: number): number => {
    let r = i;
    while (parent[r] !== r) r = parent[r] as number;
    for (let at = i; at !== r; ) {
      const next = parent[at] as number;
      parent[at] = r;
      at = next;
    }
    return r;
  };
  const join = (a: number, b: number) => {
    const [low, high] = [root(a), root(b)].sort((x, y) => x - y) as [number, number];
    parent[high] = low;
  };

  const firstWith = new Map<string, number>();
  const distinct: number[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const first = firstWith.get(prompt);
    if (first === undefined) {
      firstWith.set(prompt, i);
      distinct.push(i);
    } else join(first, i);
  }

  const sets = new Map<number, Uint32Array>(distinct.map((i) => [i, shingles(prompts[i] as string)]));
  const seeds = Array.from({ length: BANDS * HASHES_PER_BAND }, (_, k) => mix(k + 1));
  const buckets = new Map<string, number[]>();
  for (const i of distinct) {
    const set = sets.get(i) as Uint32Array;
    for (let band = 0; band < BANDS; band++) {
      let key = String(band);
      for (let k = 0; k < HASHES_PER_BAND; k++) {
        const seed = seeds[band * HASHES_PER_BAND + k] as number;
        let least = 0xffffffff;
        for (const hash of set) least = Math.min(least, mix(hash ^ seed));
        key += `,${least}`;
      }
      const others = buckets.get(key);
      if (!others) {
        buckets.set(key, [i]);
        continue;
      }
      if (others.some((o) => root(o) === root(i))) continue;
      const near = others.find((o) => jaccard(sets.get(o) as Uint32Array, set) >= NEAR);
      if (near !== undefined) join(near, i);
      else if (others.length < COMPARED_PER_BUCKET) others.push(i);
    }
  }
  return Int32Array.from(prompts, (_, i) => root(i));
}

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

// ───────────────────────────── numbers about rows ─────────────────────────────

/** Least, most and between; percentiles interpolate linearly, as NumPy's do. All zero for no numbers. */
export function summarise(numbers: readonly number[]): Distribution {
  if (numbers.length === 0) return { min: 0, p10: 0, median: 0, mean: 0, p90: 0, max: 0, total: 0 };
  const sorted = Float64Array.from(numbers).sort();
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const low = sorted[Math.floor(place)] as number;
    return low + ((sorted[Math.ceil(place)] as number) - low) * (place % 1);
  };
  const total = sorted.reduce((sum, value) => sum + value, 0);
  return {
    min: at(0),
    p10: at(0.1),
    median: at(0.5),
    mean: total / sorted.length,
    p90: at(0.9),
    max: at(1),
    total,
  };
}

/** SHA-256 of the text's UTF-8 bytes, in hex. */
export async function contentHash(text: string): Promise<string> {
  return digestHex(new TextEncoder().encode(text));
}
