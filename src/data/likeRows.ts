// Rows whose prompts are most like a given one: an index over words and word pairs.
// Not here: near-duplicates of a whole data set (nearDuplicates.ts), what a row's prompt is (split.ts).
//
// A prompt is the set of its normalised words and word pairs, borders included. The similarity of two is the weighted Jaccard index: the
// weights of what they share by those of what either has. A gram's weight is ln(1 + N / df), its inverse document frequency over the rows of
// the index, so that the wording that all rows share says little. An inverted index gives the rows that share a gram with the query; those
// with a gram of more than half of 2,000 or more rows are not followed, which bounds the time and loses only rows that share nothing rarer.
// Memory: 4 bytes a gram and row, and one map entry a gram.

import { nearPrompts, normalised } from './nearDuplicates';
import { hashText, mix } from './random';

/** Above so many rows a gram that stands in most of them is not followed. */
const MANY_ROWS = 2000;

const START = hashText('^');
const END = hashText('$');

/** Words and word pairs as hashes, each once; of characters where there are no words (CJK), as in `nearDuplicates`. */
function grams(text: string): Set<number> {
  const words = text.split(' ');
  const parts = words.length < 3 && text.length > 12 ? [...text] : words;
  const found = new Set<number>();
  let before = START;
  for (let i = 0; i <= parts.length; i++) {
    const now = i < parts.length ? hashText(parts[i] as string) : END;
    if (i < parts.length) found.add(now);
    found.add(mix(Math.imul(before, 0x9e3779b1) ^ now));
    before = now;
  }
  return found;
}

export interface Like {
  /** In the prompts of the index. */
  index: number;
  /** 0 to 1. */
  similarity: number;
  /** Near-duplicates, as the split understands them. */
  near: boolean;
}

export class LikeRows {
  readonly #prompts: string[];
  readonly #holders = new Map<number, number[]>();
  /** Sum of the weights of each prompt's grams. */
  readonly #weights: Float64Array;

  constructor(prompts: readonly string[]) {
    this.#prompts = prompts.map(normalised);
    const sets = this.#prompts.map(grams);
    for (const [i, set] of sets.entries()) {
      for (const gram of set) {
        const holders = this.#holders.get(gram);
        if (holders) holders.push(i);
        else this.#holders.set(gram, [i]);
      }
    }
    this.#weights = Float64Array.from(sets, (set) => {
      let sum = 0;
      for (const gram of set) sum += this.#weight(gram);
      return sum;
    });
  }

  /** The rows most like a prompt, the likest first; of equal ones the first. Rows that share nothing with it are left out. */
  nearest(prompt: string, count: number): Like[] {
    const text = normalised(prompt);
    const shared = new Map<number, number>();
    let own = 0;
    for (const gram of grams(text)) {
      const weight = this.#weight(gram);
      own += weight;
      const holders = this.#holders.get(gram) ?? [];
      if (this.#prompts.length >= MANY_ROWS && holders.length > this.#prompts.length / 2) continue;
      for (const i of holders) shared.set(i, (shared.get(i) ?? 0) + weight);
    }
    return [...shared]
      .map(([index, both]) => ({
        index,
        similarity: Math.min(1, both / (own + (this.#weights[index] as number) - both)),
      }))
      .sort((a, b) => b.similarity - a.similarity || a.index - b.index)
      .slice(0, count)
      .map((like) => ({ ...like, near: nearPrompts(text, this.#prompts[like.index] as string) }));
  }

  #weight(gram: number): number {
    return Math.log(1 + this.#prompts.length / (this.#holders.get(gram)?.length ?? 1));
  }
}
