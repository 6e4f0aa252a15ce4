// chrF and chrF++: how alike two texts are by their character and word n-grams, from 0 to 100.
// Not here: whether that is enough for an answer to pass (checks.ts).

export interface ChrfSettings {
  /** The longest character n-gram; white space is no character. */
  char_order: number;
  /** The longest word n-gram; 0 for chrF, 2 for chrF++. */
  word_order: number;
  /** How many times as much recall counts as precision. */
  beta: number;
}

/**
 * chrF of one sentence: for each n, precision and recall of the n-grams of the answer against those of the reference; their means P and R
 * over the n for which both texts have n-grams; (1 + β²)·P·R / (β²·P + R). Source: Popović 2015, "chrF: character n-gram F-score for
 * automatic MT evaluation"; Popović 2017 for word n-grams; settings and the mean over n as sacreBLEU computes it (`CHRF`, no smoothing).
 * One pass a text and n; memory for the n-grams of one n.
 * @returns 0 to 100; 0 where a text is empty
 */
export function chrf(
  answer: string,
  reference: string,
  { char_order, word_order, beta }: ChrfSettings,
): number {
  let precision = 0;
  let recall = 0;
  let orders = 0;
  const add = (a: readonly string[], r: readonly string[], longest: number) => {
    for (let n = 1; n <= longest; n++) {
      const [found, wanted] = [a.length - n + 1, r.length - n + 1];
      if (found <= 0 || wanted <= 0) continue;
      const matches = sharedGrams(a, r, n);
      precision += matches / found;
      recall += matches / wanted;
      orders++;
    }
  };
  add(characters(answer), characters(reference), char_order);
  if (word_order > 0) add(words(answer), words(reference), word_order);
  if (orders === 0 || precision === 0) return 0;
  const [p, r, weight] = [precision / orders, recall / orders, beta * beta];
  return (100 * (1 + weight) * p * r) / (weight * p + r);
}

const characters = (text: string) => [...text.replaceAll(/\s+/gu, '')];

const PUNCTUATION = new Set('!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~');

/** Words between white space, with one punctuation mark at the end, or else at the start, as a word of its own. */
function words(text: string): string[] {
  return text.split(/\s+/u).flatMap((word) => {
    const letters = [...word];
    if (letters.length === 0) return [];
    if (letters.length === 1) return [word];
    const [first, last] = [letters[0] as string, letters.at(-1) as string];
    if (PUNCTUATION.has(last)) return [letters.slice(0, -1).join(''), last];
    if (PUNCTUATION.has(first)) return [first, letters.slice(1).join('')];
    return [word];
  });
}

/** How many n-grams the two share, each as often as both have it. */
function sharedGrams(a: readonly string[], b: readonly string[], n: number): number {
  const counts = new Map<string, number>();
  // No text of a gram has the separator within it: it is white space.
  const gram = (units: readonly string[], at: number) => units.slice(at, at + n).join('\n');
  for (let i = 0; i + n <= b.length; i++) {
    const key = gram(b, i);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  let shared = 0;
  for (let i = 0; i + n <= a.length; i++) {
    const key = gram(a, i);
    const left = counts.get(key) ?? 0;
    if (left > 0) {
      shared++;
      counts.set(key, left - 1);
    }
  }
  return shared;
}
