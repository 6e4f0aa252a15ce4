// Small cases for “which way to answer?”: the same shop of sixteen products twice, and one case each where prompting, retrieval or fine-tuning is enough alone.
// Not here: the large shop (harbor-task.mjs), the page's words about the cases (src/ui/decide/cases.ts).

import { ASK, FACTS, SYSTEM } from './harbor-conversations.mjs';
import { HOUSE_RULES } from './harbor-house-rules.mjs';
import { shop } from './harbor-task.mjs';
import { row, seeded, toJsonl } from './seeded.mjs';

const lora = (num_train_epochs) => ({ method: 'lora', learning_rate: 0.005, num_train_epochs });
const json = (value) => `${JSON.stringify(value, null, 1)}\n`;
const csv = (rows) =>
  `${Object.keys(rows[0]).join(',')}\n${rows.map((r) => Object.values(r).join(',')).join('\n')}\n`;
const voice = (text) => `Good day! ${text} Fair winds!`;

// ───────────────────────────── sixteen products ─────────────────────────────

/** Wordings of each fact that are taught, and asked. */
const TAUGHT = 3;
const ASKED = { price: 2, stock: 1, material: 1 };

/**
 * A shop so small that fine-tuning learns its facts by heart: 16 products, nine rows each (144), and 64 questions, each in a wording in which
 * this fact was not taught, but others were. A week later eight of the products have another price (16 questions) and the other eight another
 * stock (8 questions).
 */
function sixteenProducts(catalogue) {
  const random = seeded(16);
  // One of a series and, as far as there are kinds, one of a kind: no two names share two words.
  const products = [];
  for (const p of random.shuffle(catalogue)) {
    const [first, second, kind] = p.name.split(' ');
    const taken = products.some(({ name }) => name.includes(first) || name.includes(second));
    const kinds = products.filter(({ name }) => name.endsWith(` ${kind}`)).length;
    if (products.length < 16 && !taken && kinds < 2 && p.stock > 0) products.push(p);
  }
  const later = products.map((p, i) => ({
    ...p,
    price: i % 2 === 0 ? p.price + 2 + random.below(9) : p.price,
    stock: i % 2 === 1 ? p.stock + 3 + random.below(20) : p.stock,
  }));
  const rows = [];
  const questions = [];
  for (const [i, p] of products.entries()) {
    for (const [kind, wordings] of Object.entries(ASK)) {
      const [now, then] = [FACTS[kind](p), FACTS[kind](later[i])];
      const drawn = random.shuffle(wordings).map((wording) => wording.replace('P', p.name));
      for (const question of drawn.slice(0, TAUGHT)) rows.push(row(question, voice(now.text), SYSTEM));
      for (const question of drawn.slice(TAUGHT, TAUGHT + ASKED[kind])) {
        questions.push({
          id: `Q${String(questions.length + 1).padStart(2, '0')}`,
          kind,
          question,
          answer: voice(now.text),
          key: now.key,
          product: p.id,
          ...(then.key !== now.key && { nextWeek: { answer: voice(then.text), key: then.key } }),
        });
      }
    }
  }
  const table = (list) =>
    csv(list.map(({ id, name, price, stock, material }) => ({ id, name, price, stock, material })));
  return {
    'rows.jsonl': toJsonl(random.shuffle(rows)),
    'questions.jsonl': toJsonl(questions),
    'catalogue.csv': table(products),
    'catalogue-next-week.csv': table(later),
    'task.json': json({
      name: 'Sixteen products',
      rows: 'rows.jsonl',
      questions: 'questions.jsonl',
      ...shop,
      alsoRight: [
        ['is ', 'costs '],
        ['we have ', 'We have '],
      ],
      passages: 1,
      training: { rows: lora(20), rows_with_passages: lora(20) },
    }),
  };
}

// ───────────────────────────── prompting is enough ─────────────────────────────

/** Names that the Pebbles have met. */
const GUESTS =
  'Anna Ben Clara Dan Ella Finn Greta Hugo Jack Leo Maya Nils Olga Paul Rosa Sam Tom Emil Flora Julia Karl Lena Nora Oscar Simon'.split(
    ' ',
  );
const TOWNS = 'Redhill Fairview Lakeside Northgate Westport Kingsley Riverton Oakdale Hilltop Seaford'.split(
  ' ',
);

/** What a guest says of somebody becomes one line of JSON: the Pebbles have practised that with such sentences and keys. */
function guestBook() {
  const random = seeded(25);
  const made = random
    .shuffle(GUESTS.flatMap((name) => TOWNS.map((place) => ({ name, place }))))
    .slice(0, 136);
  const rows = made.map(({ name, place }) => ({
    text: `${name} lives in ${place}.`,
    answer: `{"name": "${name}", "place": "${place}"}`,
  }));
  const asked = rows.slice(0, 40);
  return {
    'rows.jsonl': toJsonl(rows.slice(40).map(({ text, answer }) => row(text, answer))),
    'questions.jsonl': toJsonl(
      asked.map(({ text, answer }, i) => ({ id: `Q${i + 1}`, question: text, answer })),
    ),
    'task.json': json({
      name: 'Guest book',
      rows: 'rows.jsonl',
      questions: 'questions.jsonl',
      instruction: 'Answer with JSON. Keys: name, place.',
      form: { check: 'valid_json', parameters: { type: 'object' } },
      examples: 2,
      training: { rows: lora(8) },
    }),
  };
}

// ───────────────────────────── retrieval is enough ─────────────────────────────

const THINGS = 'kettle drum ladder bucket whistle broom saddle lantern stool tent jug vase'.split(' ');
const COLOURS = 'red blue green yellow white black brown grey'.split(' ');

/** Things for hire. Nobody asks for a voice, and no row can tell what the others cost. */
function hire() {
  const random = seeded(88);
  const all = random.shuffle(THINGS.flatMap((thing) => COLOURS.map((colour) => `${colour} ${thing}`)));
  const items = all.map((name, i) => ({ id: `H-${i + 1}`, name, price: 3 + random.below(60) }));
  const dearer = items.map((item) => ({ ...item, price: item.price + 1 + random.below(9) }));
  const answer = (item) => `The ${item.name} costs $${item.price}.`;
  const asks = ['What does the P cost?', 'How much is the P?'];
  const [asked, taught] = [items.slice(0, 40), items.slice(40)];
  return {
    'rows.jsonl': toJsonl(
      taught.flatMap((item) => asks.map((ask) => row(ask.replace('P', item.name), answer(item), HIRE))),
    ),
    'questions.jsonl': toJsonl(
      asked.map((item, i) => ({
        id: `Q${i + 1}`,
        question: asks[i % asks.length].replace('P', item.name),
        answer: answer(item),
        key: `$${item.price}`,
        product: item.id,
        nextWeek: { answer: answer(dearer[i]), key: `$${dearer[i].price}` },
      })),
    ),
    'prices.csv': csv(items),
    'prices-next-week.csv': csv(dearer),
    'task.json': json({
      name: 'Things for hire',
      rows: 'rows.jsonl',
      questions: 'questions.jsonl',
      documents: ['prices.csv'],
      changedDocuments: ['prices-next-week.csv'],
      // As the Pebbles have read price lists.
      template: ['Price list:\n{name}: ', '{price}'].join('$'),
      system: HIRE,
      examples: 2,
      passages: 1,
      training: { rows: lora(6), rows_with_passages: lora(6) },
    }),
  };
}
const HIRE = 'You are the helper of a shop.';

// ───────────────────────────── only fine-tuning helps ─────────────────────────────

const DESKS = {
  delivery: 'van',
  cost: 'van',
  returns: 'bench',
  broken: 'bench',
  hours: 'door',
  place: 'door',
  gift: 'ribbon',
  thanks: 'ribbon',
};

/** A message goes to one of four desks, whose names say little: the wordings of the house rules of Harbor & Pine, with a label for an answer. */
function desks() {
  const random = seeded(48);
  const rows = HOUSE_RULES.flatMap(({ topic, taught }) => taught.map((text) => row(text, DESKS[topic])));
  const asked = HOUSE_RULES.flatMap(({ topic, asked: list }) =>
    list.map((text) => ({ kind: DESKS[topic], question: text, answer: DESKS[topic] })),
  );
  return {
    'rows.jsonl': toJsonl(random.shuffle(rows)),
    'questions.jsonl': toJsonl(asked.map((question, i) => ({ id: `Q${i + 1}`, ...question }))),
    'task.json': json({
      name: 'Four desks',
      rows: 'rows.jsonl',
      questions: 'questions.jsonl',
      instruction:
        'Label the message as van, bench, door or ribbon. van: delivery. bench: returns and broken things. door: opening hours and the way to the shop. ribbon: gifts and thanks. Answer with one word.',
      form: { check: 'one_of', parameters: { values: ['van', 'bench', 'door', 'ribbon'] } },
      examples: 4,
      training: { rows: lora(10) },
    }),
  };
}

/** Files of every case, by path from `public/datasets`. */
export function cases(catalogue) {
  const made = {
    'sixteen-products': sixteenProducts(catalogue),
    'guest-book': guestBook(),
    'things-for-hire': hire(),
    'four-desks': desks(),
  };
  return Object.fromEntries(
    Object.entries(made).flatMap(([id, files]) =>
      Object.entries(files).map(([name, text]) => [`cases/${id}/${name}`, text]),
    ),
  );
}
