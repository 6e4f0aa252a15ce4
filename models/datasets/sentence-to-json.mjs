// The set `sentence-to-json`: an order in a sentence → one line of JSON with item, count and colour.
// Not here: the check that scores answers; it belongs to whoever evaluates.

import { capitalise, row, seeded } from './seeded.mjs';

export const ITEMS = [
  ['cup', 'cups'],
  ['hat', 'hats'],
  ['coat', 'coats'],
  ['lamp', 'lamps'],
  ['chair', 'chairs'],
  ['book', 'books'],
  ['box', 'boxes'],
  ['bag', 'bags'],
  ['plate', 'plates'],
  ['bowl', 'bowls'],
  ['candle', 'candles'],
  ['ball', 'balls'],
  ['boat', 'boats'],
  ['clock', 'clocks'],
  ['table', 'tables'],
  ['shirt', 'shirts'],
];
export const COLOURS = [
  'red',
  'blue',
  'green',
  'yellow',
  'white',
  'black',
  'brown',
  'grey',
  'pink',
  'orange',
];
export const COUNTS = [
  [1, ['one', '1', 'a single']],
  [2, ['two', '2', 'a pair of']],
  [3, ['three', '3']],
  [4, ['four', '4']],
  [5, ['five', '5']],
  [6, ['six', '6', 'half a dozen']],
  [7, ['seven', '7']],
  [8, ['eight', '8']],
  [9, ['nine', '9']],
  [10, ['ten', '10']],
  [12, ['twelve', '12', 'a dozen']],
];

// n = how many, c = colour, i = item. Where the count stands alone, `n` may not be "a pair of".
const SENTENCES = [
  'I would like n c i, please.',
  'Please send me n c i.',
  'Can I have n c i?',
  'We need n c i for the school.',
  'Could you add n c i to my order?',
  'n c i, please.',
  'My mother wants n c i for her house.',
  'Put n c i in the box for me.',
  'Hello, I want to buy n c i.',
  'Good morning! Do you have n c i for us?',
  'I am looking for n c i.',
  'Send n c i to my house.',
  'He asked for n c i.',
  'She said she needs n c i by Friday.',
  'Let me take n c i today.',
  'May we order n c i?',
  'It is my birthday, so I will take n c i.',
  'n c i will do, thank you.',
  'I will have n c i this time.',
  'Our teacher wants n c i.',
  'Give me n c i, if you can.',
  'Please bring n c i tomorrow.',
  'I saw the i in c and would like n c i.',
  'The new shop needs n c i.',
  'Just n c i for today.',
  'For the party we want n c i.',
  'Is it too late to order n c i?',
  'My brother broke ours, so send n c i.',
  'Write down n c i for Sunday.',
  'I think n c i is right.',
];
const LOOSE = [
  'I want i, c ones, n in all.',
  'Please send i in c. We need n.',
  'Some c i, please. n is enough.',
  'Do you have i in c? I will take n.',
  'The c i are nice. Send me n.',
  'Colour c, i, n of them.',
  'How about i? n of them, and all c.',
  'I like the i. Make them c, and send n.',
  'n of the i in c, please.',
  'We saw your c i and want n.',
];

/** The answer, in the one spelling that counts as right: these keys, this order, these spaces. */
export const answerOf = ({ item, count, colour }) =>
  `{"item": "${item}", "count": ${count}, "colour": "${colour}"}`;

export function sentenceToJson(rows = 240) {
  const random = seeded(11);
  const [item, colour, count] = [random.deck(ITEMS), random.deck(COLOURS), random.deck(COUNTS)];
  const [sentence, loose] = [random.deck(SENTENCES), random.deck(LOOSE)];
  const seen = new Set();
  const out = [];
  while (out.length < rows) {
    const [one, many] = item();
    const c = colour();
    const [n, spellings] = count();
    const isLoose = random.next() < 0.3 && n > 1;
    const spelling = isLoose
      ? random.pick(spellings.filter((s) => !s.includes(' ')))
      : random.pick(spellings);
    const words = { n: spelling, c, i: n === 1 ? one : many };
    const text = capitalise(
      (isLoose ? loose() : sentence()).replace(/\b[nci]\b/g, (key) => words[key]),
    ).replace(/\. ([a-z])/g, (m) => m.toUpperCase());
    const answer = answerOf({ item: one, count: n, colour: c });
    if (seen.has(answer)) continue; // each combination once: a held-out answer was never seen whole
    seen.add(answer);
    out.push(row(text, answer));
  }
  return out;
}
