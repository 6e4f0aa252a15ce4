// Which prompts are nearly the same: rare word pairs and MinHash find candidates, Jaccard similarity decides.
// Not here: what a prompt is, and what is done with the groups (split.ts).
//
// A prompt is the set of its word pairs; two are near where their Jaccard similarity is at least 0.8. Groups are the connected parts of that
// relation. Three passes, each linear in the length of all prompts:
//
// 1. Sets. Equal prompts are joined at once, so that what follows sees each of them once.
// 2. Prefix filter (Chaudhuri et al. 2006; Bayardo et al. 2007, "Scaling up all pairs similarity search"): with the pairs of every set in one
//    order, the rarest first, two sets of similarity t share one of the first |x| - ⌈t·|x|⌉ + 1 pairs. So only prompts that share such a
//    pair are compared, and nothing is missed. The pairs of a wording that many prompts have in common are frequent, so they stand last and
//    are not examined.
// 3. A pair that stands among the first of more than 48 prompts (few words, many rows) would make this quadratic. Its prompts are compared
//    by MinHash bands in place of it (Broder 1997), each with at most 16 others a band: there a group may be missed.
//
// Memory: 4 bytes for each pair of a prompt, and 4 for each of its first fifth.

import { hashText, mix } from './random';

/** Case, digits, punctuation and spacing do not make two prompts different. */
export function normalised(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{N}+/gu, '0')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** Prompts with this share of common word pairs are near-duplicates. */
export const NEAR = 0.8;
/** A pair that is among the first of more prompts than this is left to MinHash. */
const CROWDED = 48;
/** 10 bands of 4 MinHashes: a pair at 0.8 meets in some band with 99.5 %, one at 0.3 with 8 %. */
const BANDS = 10;
const HASHES_PER_BAND = 4;
/** A prompt is compared with at most this many others that share a band with it. */
const COMPARED_PER_BUCKET = 16;
/** Slots of the table that counts how often a pair occurs; where two share one, both are taken for more frequent than they are. */
const COUNT_SLOTS = 2 ** 20;

const START = hashText('^');
const END = hashText('$');

/** Sets of numbers in one array. */
class Sets {
  #values = new Uint32Array(1024);
  readonly #ends: number[] = [];
  #length = 0;

  /** @param values each once */
  add(values: Uint32Array): void {
    while (this.#length + values.length > this.#values.length) {
      const larger = new Uint32Array(2 * this.#values.length);
      larger.set(this.#values.subarray(0, this.#length));
      this.#values = larger;
    }
    this.#values.set(values, this.#length);
    this.#length += values.length;
    this.#ends.push(this.#length);
  }

  get count(): number {
    return this.#ends.length;
  }

  at(i: number): Uint32Array {
    return this.#values.subarray(i === 0 ? 0 : this.#ends[i - 1], this.#ends[i]);
  }
}

/** Sorted hashes of the word pairs of a normalised text, its borders included; of characters where there are no words (CJK). */
function wordPairs(text: string): Uint32Array {
  const words = text.split(' ');
  const parts = words.length < 3 && text.length > 12 ? [...text] : words;
  const hashes = new Uint32Array(parts.length + 1);
  let before = START;
  for (let i = 0; i <= parts.length; i++) {
    const now = i < parts.length ? hashText(parts[i] as string) : END;
    hashes[i] = mix(Math.imul(before, 0x9e3779b1) ^ now);
    before = now;
  }
  hashes.sort();
  let size = 0;
  for (const hash of hashes) if (size === 0 || hash !== hashes[size - 1]) hashes[size++] = hash;
  return hashes.subarray(0, size);
}

/** Whether the size of the intersection of two sorted sets by that of their union reaches `NEAR`. */
function isNear(a: Uint32Array, b: Uint32Array): boolean {
  // |a ∩ b| / |a ∪ b| ≥ t, where the union is |a| + |b| less the intersection.
  const wanted = Math.ceil((NEAR / (1 + NEAR)) * (a.length + b.length) - 1e-9);
  let i = 0;
  let j = 0;
  let both = 0;
  while (both + Math.min(a.length - i, b.length - j) >= wanted) {
    if (both === wanted) return true;
    const x = a[i] as number;
    const y = b[j] as number;
    if (x === y) both++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return false;
}

/** Whether two prompts are near-duplicates. @param a @param b of `normalised` */
export function nearPrompts(a: string, b: string): boolean {
  return a === b || isNear(wordPairs(a), wordPairs(b));
}

/** Groups of things that were joined, each named by its least member. */
class Groups {
  readonly #parent: Int32Array;

  constructor(count: number) {
    this.#parent = Int32Array.from({ length: count }, (_, i) => i);
  }

  root(i: number): number {
    const parent = this.#parent;
    let root = i;
    while (parent[root] !== root) root = parent[root] as number;
    for (let at = i; at !== root; ) {
      const next = parent[at] as number;
      parent[at] = root;
      at = next;
    }
    return root;
  }

  join(a: number, b: number): void {
    const [x, y] = [this.root(a), this.root(b)];
    this.#parent[Math.max(x, y)] = Math.min(x, y);
  }
}

/** The first pairs of each set in the order of rarity: as many as two near sets must share one of. */
function prefixes(sets: Sets): Sets {
  const counts = new Uint32Array(COUNT_SLOTS);
  for (let i = 0; i < sets.count; i++) {
    for (const hash of sets.at(i)) counts[hash % COUNT_SLOTS] = (counts[hash % COUNT_SLOTS] as number) + 1;
  }
  const first = new Sets();
  for (let i = 0; i < sets.count; i++) {
    const set = sets.at(i);
    // Sorted as one number each: how often it occurs, then the hash.
    const keys = Float64Array.from(set, (hash) => (counts[hash % COUNT_SLOTS] as number) * 2 ** 32 + hash);
    keys.sort();
    const length = set.length - Math.ceil(NEAR * set.length - 1e-9) + 1;
    first.add(Uint32Array.from(keys.subarray(0, length), (key) => key % 2 ** 32));
  }
  return first;
}

/** Compares sets that share one of their first pairs. @returns those of which some pair is in too many sets, by number */
function compareByPrefix(sets: Sets, join: (a: number, b: number) => void): number[] {
  const first = prefixes(sets);
  const counts = new Map<number, number>();
  for (let i = 0; i < first.count; i++)
    for (const pair of first.at(i)) counts.set(pair, (counts.get(pair) ?? 0) + 1);
  const holders = new Map<number, number[]>();
  const compared = new Int32Array(sets.count).fill(-1);
  const crowded: number[] = [];
  for (let i = 0; i < first.count; i++) {
    const set = sets.at(i);
    let isCrowded = false;
    for (const pair of first.at(i)) {
      const count = counts.get(pair) as number;
      if (count === 1) continue;
      if (count > CROWDED) {
        isCrowded = true;
        continue;
      }
      const others = holders.get(pair);
      if (!others) {
        holders.set(pair, [i]);
        continue;
      }
      for (const other of others) {
        if (compared[other] === i) continue;
        compared[other] = i;
        if (isNear(sets.at(other), set)) join(other, i);
      }
      others.push(i);
    }
    if (isCrowded) crowded.push(i);
  }
  return crowded;
}

/** One number for the least hashes of a set under each seed: sets that agree in all of them have the same. */
function bandKey(set: Uint32Array, seeds: readonly number[]): number {
  let key = 0;
  for (const seed of seeds) {
    let least = 0xffffffff;
    for (const hash of set) {
      const value = mix(hash ^ seed);
      if (value < least) least = value;
    }
    key = mix(Math.imul(key, 0x9e3779b1) ^ least);
  }
  return key;
}

/** Compares sets that share a band of MinHashes with the few before them that share it. */
function compareByBands(
  sets: Sets,
  among: readonly number[],
  { join, joined }: { join: (a: number, b: number) => void; joined: (a: number, b: number) => boolean },
): void {
  // Key and place as one number of 53 bits, so that sorting lays those of one key side by side, in their order.
  const places = 2 ** Math.ceil(Math.log2(Math.max(2, among.length)));
  const keys = 2 ** Math.min(32, 53 - Math.log2(places));
  for (let band = 0; band < BANDS; band++) {
    const seeds = Array.from({ length: HASHES_PER_BAND }, (_, k) => mix(band * HASHES_PER_BAND + k + 1));
    const sorted = Float64Array.from(
      among,
      (i, place) => (bandKey(sets.at(i), seeds) % keys) * places + place,
    ).sort();
    let start = 0;
    for (let at = 1; at < sorted.length; at++) {
      const now = sorted[at] as number;
      if (Math.floor(now / places) !== Math.floor((sorted[start] as number) / places)) start = at;
      const i = among[now % places] as number;
      for (let before = Math.max(start, at - COMPARED_PER_BUCKET); before < at; before++) {
        const other = among[(sorted[before] as number) % places] as number;
        if (!joined(other, i) && isNear(sets.at(other), sets.at(i))) join(other, i);
      }
    }
  }
}

/** Group number of each row: the lowest row index in its group. @param prompts of `normalised` */
export function nearDuplicates(prompts: readonly string[]): Int32Array {
  const groups = new Groups(prompts.length);
  const firstWith = new Map<string, number>();
  const rows: number[] = [];
  const sets = new Sets();
  for (const [i, prompt] of prompts.entries()) {
    const first = firstWith.get(prompt);
    if (first !== undefined) {
      groups.join(first, i);
      continue;
    }
    firstWith.set(prompt, i);
    rows.push(i);
    sets.add(wordPairs(prompt));
  }
  const rowOf = (set: number) => rows[set] as number;
  const join = (a: number, b: number) => groups.join(rowOf(a), rowOf(b));
  const joined = (a: number, b: number) => groups.root(rowOf(a)) === groups.root(rowOf(b));
  compareByBands(sets, compareByPrefix(sets, join), { join, joined });
  return Int32Array.from(prompts, (_, i) => groups.root(i));
}
