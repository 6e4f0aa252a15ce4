// Near-duplicate prompts: what is found beside an exact comparison of all pairs, and time by the number of rows.
// Not here: the split that keeps them on one side (data.test.ts).
// Run: npx vitest run --project node test/nearDuplicates.test.ts

import { describe, expect, test } from 'vitest';
import { nearDuplicates, normalised } from '../src/data/nearDuplicates';
import { createRandom } from '../src/data/random';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const wordOf = (n: number): string =>
  (n < 26 ? '' : wordOf(Math.floor(n / 26))) + (LETTERS[n % 26] as string);

/** Kinds of files: how a new prompt is made of words. */
const KINDS: [name: string, make: (random: () => number) => string[]][] = [
  ['free text', (random) => Array.from({ length: 14 }, () => wordOf(Math.floor(4000 * random() ** 2)))],
  [
    'one wording with few words of its own',
    (random) => [
      ...'please translate the following sentence into the french language for me'.split(' '),
      ...Array.from({ length: 4 }, () => wordOf(Math.floor(3000 * random()))),
    ],
  ],
  ['few words', (random) => Array.from({ length: 18 }, () => wordOf(Math.floor(40 * random())))],
  ['long texts', (random) => Array.from({ length: 150 }, () => wordOf(Math.floor(5000 * random() ** 2)))],
];

/** Prompts of which each third is an earlier one with a word changed, moved or left out. */
function prompts(rows: number, make: (random: () => number) => string[], seed = 3): string[] {
  const random = createRandom(seed);
  const all: string[][] = [];
  for (let i = 0; i < rows; i++) {
    const words = [...(i % 3 === 2 ? (all[Math.floor(random() * i)] as string[]) : make(random))];
    if (i % 3 === 2) {
      const at = Math.floor(random() * words.length);
      if (random() < 0.5) words.splice(at, 1);
      else words[at] = wordOf(Math.floor(5000 * random()));
    }
    all.push(words);
  }
  return all.map((words) => normalised(words.join(' ')));
}

/** Word pairs as plain strings, and their similarity by its definition. */
const pairsOf = (text: string) => {
  const words = ['^', ...text.split(' '), '$'];
  return new Set(words.slice(1).map((word, i) => `${words[i]} ${word}`));
};
const jaccard = (a: Set<string>, b: Set<string>) => {
  let both = 0;
  for (const pair of a) if (b.has(pair)) both++;
  return both / (a.size + b.size - both);
};

/** Every two prompts that are near by an exact comparison of all. */
function exactPairs(texts: readonly string[]): [number, number][] {
  const sets = texts.map(pairsOf);
  const found: [number, number][] = [];
  for (let j = 1; j < sets.length; j++)
    for (let i = 0; i < j; i++)
      if (jaccard(sets[i] as Set<string>, sets[j] as Set<string>) >= 0.8) found.push([i, j]);
  return found;
}

/** Connected parts of a relation, each named by its least member. */
function connected(count: number, pairs: readonly [number, number][]): number[] {
  const group = Array.from({ length: count }, (_, i) => i);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [i, j] of pairs) {
      const least = Math.min(group[i] as number, group[j] as number);
      if (group[i] !== least || group[j] !== least) changed = true;
      group[i] = least;
      group[j] = least;
    }
  }
  return group;
}

describe('groups of near-duplicates', () => {
  test.each(KINDS)('among 1,000 prompts of %s are those of an exact comparison', (_, make) => {
    const texts = prompts(1000, make);
    const pairs = exactPairs(texts);
    expect(pairs.length).toBeGreaterThan(100);
    expect([...nearDuplicates(texts)]).toEqual(connected(texts.length, pairs));
  });

  test('where every pair of words is in many prompts, 19 of 20 near pairs are found, and no others', () => {
    const make = (random: () => number) => Array.from({ length: 20 }, () => wordOf(Math.floor(8 * random())));
    const texts = prompts(3000, make);
    const pairs = exactPairs(texts);
    expect(pairs.length).toBeGreaterThan(500);
    const found = nearDuplicates(texts);
    const together = pairs.filter(([i, j]) => found[i] === found[j]).length;
    expect(together / pairs.length).toBeGreaterThan(0.95);
    const exact = connected(texts.length, pairs);
    for (const [i, group] of found.entries()) expect(exact[i]).toBe(exact[group]);
  });

  test('are named by their first row, whatever stands between', () => {
    expect([...nearDuplicates(['a b c d e f g h i j', 'x', 'a b c d e f g h i k j', 'x', ''])]).toEqual([
      0, 1, 2, 1, 4,
    ]);
    const text = 'the captain of the small boat asked once more for a little more light on the water';
    expect([...nearDuplicates([text, 'another', text.replace('captain', 'baker')])]).toEqual([0, 1, 0]);
    expect([...nearDuplicates([])]).toEqual([]);
  });
});

/** Processor time of the quickest of three, in ms. */
function processorTime(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

describe('time', { timeout: 120_000 }, () => {
  test.each(KINDS.slice(0, 3))('of %s grows about as the number of rows', (_, make) => {
    const few = prompts(3000, make);
    const many = prompts(30_000, make);
    nearDuplicates(few);
    const ratio = processorTime(() => nearDuplicates(many)) / processorTime(() => nearDuplicates(few));
    // Ten times the rows; comparing all pairs would take a hundred times as long.
    expect(ratio).toBeLessThan(35);
  });
});
