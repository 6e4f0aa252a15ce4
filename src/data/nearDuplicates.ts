// Which prompts are nearly the same: MinHash over word pairs finds candidates, Jaccard similarity decides.
// Not here: what a prompt is, and what is done with the groups (split.ts).

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
export function nearDuplicates(prompts: readonly string[]): Int32Array {
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
