// How an answer to a held-out row of a sample data set is scored: exact, and by what the set is about (JSON keys, label, voice).
// Not here: asking (measure-datasets.mjs), tables (cards.mjs).

const object = (text) => {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    // Most answers of a base model are no JSON: that is what is being counted.
    return null;
  }
};
const sameKeys = (a, b) => JSON.stringify(Object.keys(a)) === JSON.stringify(Object.keys(b));
const subject = (definition) => definition.split(/ (?:is|are) /)[0];
const PIRATE = /\b(ahoy|aye|arr+|matey|ye|yer|me hearty|hearties|lad|cap'n|lubber|scurvy|avast)\b/i;

/** Measures of one answer beside `exact`, by kind of set: (wanted, said, ended) → { name: true or false }. */
const MEASURES = {
  json(wanted, said) {
    const [w, s] = [object(wanted), object(said)];
    const keys = s !== null && sameKeys(w, s);
    return { keys, ...Object.fromEntries(Object.keys(w).map((k) => [k, keys && s[k] === w[k]])) };
  },
  intent(wanted, said) {
    const [w, s] = [object(wanted), object(said)];
    return { valid: s !== null, intent: s?.intent === w.intent };
  },
  label: () => ({}),
  /** The rare label alone: only rows that want it count. */
  urgent: (wanted, said, ended) => (wanted === 'urgent' ? { urgent: ended && said.trim() === wanted } : {}),
  legal: (wanted, said, ended) => ({
    form: ended && /^[A-Z][\w ]+ (is|are) [^.]*\.$/.test(said),
    term: subject(said) === subject(wanted),
  }),
  pirate: (_, said) => ({ voice: PIRATE.test(said) }),
  brand: (_, said, ended) => ({ voice: ended && /^Hello, puddle friend! .* Stay dry!$/s.test(said) }),
  harbor: (_, said, ended) => ({ voice: ended && /^Good day! .* Fair winds!$/s.test(said) }),
};

/** Which kind of measure belongs to a set, by its id. Sets that are not named only count exact answers. */
export const KIND = {
  'sentence-to-json': 'json',
  'intent-json': 'intent',
  'imbalanced-labels': 'urgent',
  'legal-definitions': 'legal',
  'pirate-voice': 'pirate',
  'brand-voice-support': 'brand',
  'harbor-and-pine': 'harbor',
  'harbor-and-pine-passages': 'harbor',
};

/**
 * Counts over answers.
 * @param {string} set id of the data set
 * @param {{ wanted: string, said: string, ended: boolean }[]} answers
 * @returns {Record<string, [right: number, asked: number]>} `exact`, `ends`, and the measures of the set
 */
export function countRight(set, answers) {
  const measure = MEASURES[KIND[set] ?? 'label'];
  const counts = {};
  for (const { wanted, said, ended } of answers) {
    const measured = {
      exact: ended && said.trim() === wanted.trim(),
      ends: ended,
      ...measure(wanted, said, ended),
    };
    for (const [name, right] of Object.entries(measured)) {
      counts[name] ??= [0, 0];
      counts[name][0] += right ? 1 : 0;
      counts[name][1]++;
    }
  }
  return counts;
}

/** Whether the words of `key` stand in an answer as whole words. */
export function holds(answer, key) {
  const escaped = key.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<!\\w)${escaped}(?!\\w)`).test(answer);
}

/** What a model that has not learned the shop's sentences says for the same: the beginning of a key, and the other words for it. */
const OTHER_WORDS = [
  [/^is (?=\d)/, 'costs '],
  [/^we have (?=\d)/, 'We have '],
  [/^do not sell$/, 'do not have'],
];

/** Whether an answer to a question of Harbor & Pine is right: its `key` stands in it, in the shop's words or in the base models' own. */
export function isRight(answer, key) {
  return [key, ...OTHER_WORDS.map(([from, to]) => key.replace(from, to))].some((words) =>
    holds(answer, words),
  );
}
