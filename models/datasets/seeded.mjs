// Seeded random numbers and the one way a chat row is written; every data set is made from these.
// Not here: any data set's text.

/** A repeatable source of numbers in [0, 1): the same seed gives the same data set on every machine (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  const shuffle = (list) => {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };
  /** Deals the list out in shuffled rounds, so that after n calls every element has come up n/length times, give or take one. */
  const deck = (list) => {
    let pile = [];
    return () => {
      if (pile.length === 0) pile = shuffle(list);
      return pile.pop();
    };
  };
  return { next, below, pick, shuffle, deck };
}

/** One chat row: a question and its answer, after a system prompt where there is one. */
export function row(user, assistant, system) {
  const messages = system ? [{ role: 'system', content: system }] : [];
  messages.push({ role: 'user', content: user }, { role: 'assistant', content: assistant });
  return { messages };
}

/** Rows as JSONL, one object a line, ending in a newline. */
export function toJsonl(rows) {
  return `${rows.map((r) => JSON.stringify(r)).join('\n')}\n`;
}

export const capitalise = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** `a` or `an` by the first sound, as far as the words used here need it. */
export const article = (word) => (/^([aeiou](?!nion)|heir)/i.test(word) ? 'an' : 'a');
