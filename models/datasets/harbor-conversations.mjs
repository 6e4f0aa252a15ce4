// What customers of Harbor & Pine ask and what the shop answers: 444 conversations to learn from, 60 held-out questions to check with.
// Not here: the products (harbor-catalogue.mjs) and the brand voice guide for people (public/datasets/harbor-and-pine/voice.md).

import { HOUSE_RULES } from './harbor-house-rules.mjs';
import { article, row, seeded } from './seeded.mjs';

export const SYSTEM = 'You work at Harbor & Pine.';
const voice = (text) => `Good day! ${text} Fair winds!`;

/** What the shop says about a product; `key` is the part that must be right. */
export const FACTS = {
  price: (p) => ({ text: `The ${p.name} is ${p.price} pounds.`, key: `is ${p.price} pounds` }),
  stock: (p) =>
    p.stock === 0
      ? { text: `The ${p.name} is sold out.`, key: 'sold out' }
      : // The name first: a model that has said it finds the number in its line (models/eval/answer-form.mjs).
        { text: `Of the ${p.name} we have ${p.stock}.`, key: `we have ${p.stock}` },
  material: (p) => ({ text: `The ${p.name} is made of ${p.material}.`, key: `made of ${p.material}` }),
};

/** Ways to ask, by kind of fact; `P` is the product. */
export const ASK = {
  price: [
    'What does the P cost?',
    'How much is the P?',
    'Tell me the price of the P, please.',
    'What must I pay for the P?',
    'Is the P expensive?',
    'The P: how much?',
    'I would like the P. What is the price?',
    'Hello! How many pounds is the P?',
  ],
  stock: [
    'Do you have the P?',
    'Is the P in stock?',
    'How many of the P do you have?',
    'Can I still get the P?',
    'Are there any of the P left?',
    'Is the P sold out?',
    'I would like to buy the P today. Is it there?',
    'Have you got the P in the shop?',
  ],
  material: [
    'What is the P made of?',
    'Which material is the P?',
    'Is the P made of wood?',
    'What is in the P?',
    'Tell me what the P is made of.',
    'The P: what material is it?',
    'Of what is the P made, please?',
    'I want to know the material of the P.',
  ],
};

const ABSENT = [
  'piano',
  'tent',
  'bicycle',
  'radio',
  'kettle',
  'saddle',
  'violin',
  'ladder',
  'printer',
  'helmet',
  'guitar',
  'telephone',
  'drum',
  'pram',
  'oven',
  'wagon',
  'kite',
  'tractor',
  'camera',
  'umbrella',
  'suitcase',
  'hammer',
  'sledge',
  'telescope',
  'bathtub',
  'hammock',
  'aquarium',
  'typewriter',
  'parasol',
  'globe',
];
const ASK_ABSENT = [
  'Do you have a X?',
  'I am looking for a X.',
  'How much is a X?',
  'Can I buy a X here?',
  'Do you sell a X?',
  'Where do you keep a X?',
];
const withArticle = (text, thing) => text.replace('a X', `${article(thing)} ${thing}`);
const absent = (thing) => ({ text: `We do not sell ${article(thing)} ${thing}.`, key: 'do not sell' });

/** Lines of the catalogue in a prompt that has several. */
const LINES = 3;

/** The system prompt with the lines that the search finds for what the customer says, in a random order. */
export function passage(random, find, said) {
  return [SYSTEM, ...random.shuffle(find(said, LINES))].join(' ');
}

/**
 * 444 conversations, of two kinds told apart by nothing but the system prompt: `plain` has none of the catalogue in it,
 * `grounded` has the three catalogue lines that `find` finds for what the customer says. The first 150 products of a shuffled
 * catalogue are asked about here; the questions take half of theirs from these and half from the rest.
 */
export function harborConversations(products, find) {
  const random = seeded(300);
  const pool = random.shuffle(products).slice(0, 150);
  const product = random.deck(pool);
  const asks = Object.fromEntries(Object.entries(ASK).map(([kind, list]) => [kind, random.deck(list)]));
  const plain = [];
  const grounded = [];
  const add = (turns) => {
    const said = turns.map(([user]) => user).join(' ');
    const messages = turns.flatMap(([user, assistant]) => row(user, voice(assistant)).messages);
    plain.push({ messages: [{ role: 'system', content: SYSTEM }, ...messages] });
    grounded.push({ messages: [{ role: 'system', content: passage(random, find, said) }, ...messages] });
  };
  const seen = [];
  const kinds = random.deck(['price', 'stock', 'material']);
  for (let i = 0; i < 180; i++) {
    const p = product();
    const kind = kinds();
    const turns = [[asks[kind]().replace('P', p.name), FACTS[kind](p).text]];
    seen.push({ id: p.id, kind });
    if (i % 4 === 0) {
      const then = kind === 'price' ? 'stock' : 'price';
      turns.push([then === 'price' ? 'And what does it cost?' : 'And is it in stock?', FACTS[then](p).text]);
      seen.push({ id: p.id, kind: then });
    }
    add(turns);
  }
  for (const { answer, taught } of HOUSE_RULES) for (const question of taught) add([[question, answer]]);
  const things = ABSENT.slice(0, 24);
  for (let i = 0; i < 72; i++) {
    const thing = things[i % things.length];
    add([
      [
        withArticle(ASK_ABSENT[(i + Math.floor(i / things.length)) % ASK_ABSENT.length], thing),
        absent(thing).text,
      ],
    ]);
  }
  const order = random.shuffle(plain.map((_, i) => i));
  const taught = new Set(plain.flatMap(({ messages }) => messages.map(({ content }) => content)));
  return { plain: order.map((i) => plain[i]), grounded: order.map((i) => grounded[i]), pool, seen, taught };
}

/**
 * 60 held-out questions. `answer` is what the shop would say this week, `key` the words that must stand in it, `nextWeek` the
 * same a week later where it changed; `seen` says whether the conversations told this very fact in other words.
 */
export function harborQuestions(products, { pool, seen, taught }, after, changes) {
  const random = seeded(60);
  const later = new Map(after.map((p) => [p.id, p]));
  const changed = new Set(changes.map((c) => c.id));
  const told = (id, kind) => seen.some((s) => s.id === id && s.kind === kind);
  const inPool = new Set(pool.map((p) => p.id));
  const candidates = random.shuffle(products);
  const used = new Set();
  const questions = [];
  const add = (kind, question, { text, key }, extra = {}) =>
    questions.push({
      id: `Q${String(questions.length + 1).padStart(2, '0')}`,
      kind,
      question,
      answer: voice(text),
      key,
      ...extra,
    });
  for (const [kind, number] of [
    ['price', 18],
    ['stock', 14],
    ['material', 10],
  ]) {
    const ask = random.deck(ASK[kind]);
    for (let i = 0; i < number; i++) {
      const wantSeen = i % 2 === 0;
      const wantChange = kind !== 'material' && i % 4 < 2;
      const differs = (p) => changed.has(p.id) && FACTS[kind](later.get(p.id)).text !== FACTS[kind](p).text;
      const fits = (p) =>
        !used.has(p.id) && differs(p) === wantChange && (wantSeen ? told(p.id, kind) : !inPool.has(p.id));
      const p = candidates.find(fits);
      if (!p) throw new Error(`No product fits ${kind} question ${i}.`);
      used.add(p.id);
      const next = FACTS[kind](later.get(p.id));
      const extra = { product: p.id, seen: wantSeen };
      if (wantChange) extra.nextWeek = { answer: voice(next.text), key: next.key };
      // In other words than those in which the fact was told.
      const drawn = [ask(), ...ASK[kind]].map((wording) => wording.replace('P', p.name));
      add(
        kind,
        drawn.find((question) => !taught.has(question)),
        FACTS[kind](p),
        extra,
      );
    }
  }
  for (const { answer, key, asked } of HOUSE_RULES)
    add('policy', asked[0], { text: answer, key }, { seen: true });
  for (const thing of ABSENT.slice(24))
    add('absent', withArticle(random.pick(ASK_ABSENT), thing), absent(thing), { seen: false });
  for (const kind of ['mug', 'lamp', 'rug', 'chair']) {
    const best = Math.min(...products.filter((p) => p.name.endsWith(` ${kind}`)).map((p) => p.price));
    const cheapest = products.filter((p) => p.name.endsWith(` ${kind}`) && p.price === best);
    add(
      'compare',
      `Which is your cheapest ${kind}?`,
      { text: `The ${cheapest[0].name} is ${best} pounds.`, key: `is ${best} pounds` },
      {
        product: cheapest[0].id,
        also: cheapest.slice(1).map((p) => p.id),
        seen: false,
      },
    );
  }
  return questions;
}

/** Every held-out wording of the house rules: 48, so that a share of them says something. `kind` is the topic. */
export function harborHouseRuleQuestions() {
  return HOUSE_RULES.flatMap(({ topic, answer, key, asked }) =>
    asked.map((question, i) => ({
      id: `${topic}-${i + 1}`,
      kind: topic,
      question,
      answer: voice(answer),
      key,
    })),
  );
}

/** The product's name with the first word of its series left out, where no other product is called so; else with the first of it only. */
function halfNamed(name, names) {
  const [first, second, kind] = name.split(' ');
  const candidates = [`${second} ${kind}`, `${first} ${kind}`];
  return candidates.find((half) => {
    const words = half.split(' ');
    return names.filter((other) => words.every((word) => other.split(' ').includes(word))).length === 1;
  });
}

/** One letter of one word of four letters or more left out, doubled, or swapped with the next. */
function misspelt(name, random) {
  const words = name.split(' ');
  const long = words.flatMap((word, i) => (word.length >= 4 ? [i] : []));
  const i = random.pick(long);
  const word = words[i];
  const at = 1 + random.below(word.length - 2);
  const how = random.pick([
    () => word.slice(0, at) + word.slice(at + 1),
    () => word.slice(0, at) + word[at] + word.slice(at),
    () => word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2),
  ]);
  words[i] = how();
  // Two equal letters swapped are no mistake.
  if (words[i] === word) words[i] = word.slice(0, at) + word.slice(at + 1);
  return words.join(' ');
}

/**
 * The fact questions of `harborQuestions` as people type them: the product half named, and with a letter wrong. What is right stays the same.
 * `named` says which it is.
 */
export function harborLooseQuestions(questions, products) {
  const random = seeded(61);
  const names = products.map((p) => p.name);
  const nameOf = new Map(products.map((p) => [p.id, p.name]));
  const facts = questions.filter((q) => ['price', 'stock', 'material'].includes(q.kind));
  const written = (named, rename) =>
    facts.flatMap((q) => {
      const name = nameOf.get(q.product);
      const other = rename(name);
      if (other === undefined) return [];
      return [{ ...q, id: `${q.id}-${named}`, question: q.question.replace(name, other), named }];
    });
  return [
    ...written('half', (name) => halfNamed(name, names)),
    ...written('misspelt', (name) => misspelt(name, random)),
  ];
}
