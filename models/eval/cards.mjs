// Writes what datasets.jsonl holds into the cards of the sample data sets, between the lines that mark it: `node models/eval/cards.mjs`.
// Not here: measuring (measure-datasets.mjs), the words of the cards, which people write.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ABOUT } from '../datasets/about.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const house = path.resolve(here, '../..');
const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);

/** Columns of each set: what the head says, and the name of the count (scores.mjs). */
const COLUMNS = {
  'sentence-to-json': [
    ['right keys', 'keys'],
    ['wholly right', 'exact'],
    ['item', 'item'],
    ['colour', 'colour'],
    ['count', 'count'],
  ],
  'sentiment-label': [['right label', 'exact']],
  'pirate-voice': [['answers with pirate words', 'voice']],
  'intent-json': [
    ['valid JSON', 'valid'],
    ['right intent', 'intent'],
    ['wholly right', 'exact'],
  ],
  'brand-voice-support': [
    ['in the voice', 'voice'],
    ['wholly right', 'exact'],
  ],
  'legal-definitions': [
    ['in the form of a definition', 'form'],
    ['names the right term', 'term'],
    ['wholly right', 'exact'],
  ],
  'shuffled-labels': [['“right” label', 'exact']],
  'imbalanced-labels': [
    ['right label', 'exact'],
    ['`urgent` found', 'urgent', 'count'],
  ],
  'near-duplicates': [['wholly right', 'exact']],
  'twelve-rows': [
    ['wholly right, training rows', 'exact on training rows', 'count'],
    ['wholly right, held-out rows', 'exact', 'count'],
  ],
  'harbor-and-pine': [
    ['in the voice', 'voice'],
    ['wholly right', 'exact'],
  ],
  'harbor-and-pine-passages': [
    ['in the voice', 'voice'],
    ['wholly right', 'exact'],
  ],
};
/** The count that the page shows of a set; the first column where none is named. */
const SHOWN = { 'sentence-to-json': 'exact', 'intent-json': 'intent' };
const METHODS = { full: 'full', lora: 'LoRA r 8, alpha 16' };
const SPLITS = { groups: 'near-duplicates together', rows: 'row by row (leaks)' };
const QUESTIONS = [
  ['in the voice', 'voice'],
  ['price, stated in training', 'price told'],
  ['price, not stated', 'price new'],
  ['stock', 'stock'],
  ['material', 'material'],
  ['house rules', 'policy'],
  ['not sold', 'absent'],
  ['“cheapest”', 'compare'],
  ['all', 'all'],
];
const ASKED = {
  plain: 'nothing of the catalogue in the prompt',
  now: 'three catalogue lines in the prompt',
  next: 'the same with next week’s catalogue',
};

const table = (rows) => {
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`);
  return [lines[0], `|${' --- |'.repeat(rows[0].length)}`, ...lines.slice(1)].join('\n');
};
const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
/** Right and asked, added up over runs. */
const total = (counts) => counts.filter(Boolean).reduce(([a, b], [n, of]) => [a + n, b + of], [0, 0]);
const percent = ([n, of]) => `${Math.round((100 * n) / of)} %`;
const ratio = ([n, of]) => (of === 0 ? '–' : `${n} of ${of}`);
const seedsOf = (runs) => {
  const seeds = [...new Set(runs.map((r) => r.seed))].sort((a, b) => a - b);
  return seeds.length > 1 ? `${seeds[0]}–${seeds.at(-1)}` : `${seeds[0]} only`;
};

/** Runs that differ in nothing but the seed. */
function groupsOf(runs) {
  const groups = new Map();
  for (const r of runs) {
    const key = [r.model, r.set, r.method, r.split, r.learning_rate, r.num_train_epochs].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), r]);
  }
  return [...groups.values()];
}

/** Of runs that differ by their seed alone. */
function settingCells(runs, names) {
  const [{ model, method, learning_rate, num_train_epochs }] = runs;
  return [names.get(model), METHODS[method], String(learning_rate), String(num_train_epochs), seedsOf(runs)];
}

function lossCell(runs) {
  const [before, best, at, end] = [
    mean(runs.map((r) => r.curve[0][2])),
    mean(runs.map((r) => Math.min(...r.curve.map((p) => p[2])))),
    mean(runs.map((r) => r.curve.reduce((low, p) => (p[2] < low[2] ? p : low))[0])),
    mean(runs.map((r) => r.curve.at(-1)[2])),
  ].map((x, i) => x.toFixed(i === 2 ? 1 : 2));
  return runs[0].split === 'rows' ? `${before} → ${end}` : `${before} → **${best}** (${at}) → ${end}`;
}

/** A plain text: bits per byte on its held-out parts, in place of right answers. */
function measuredText(of, names) {
  const rows = [
    [
      ...['model', 'method', 'learning rate', 'epochs', 'seeds'],
      'bits per byte, held-out parts: before → best (epoch) → end',
      'validation loss: before → best → end',
      'training loss at end',
    ],
  ];
  for (const runs of groupsOf(of)) {
    const bits = (name) => mean(runs.map((r) => r.bits[name])).toFixed(3);
    const best = mean(runs.map((r) => r.curve.reduce((low, p) => (p[2] < low[2] ? p : low))[0])).toFixed(1);
    rows.push([
      ...settingCells(runs, names),
      `${bits('before')} → **${bits('best')}** (${best}) → ${bits('end')}`,
      lossCell(runs).replace(/ \([\d.]+\)/, ''),
      mean(runs.map((r) => r.curve.at(-1)[1])).toFixed(2),
    ]);
  }
  const parts = of.map((r) => r.rows);
  const held = [...new Set(parts.map(([, count]) => count))].sort((a, b) => a - b).join(' or ');
  return `Held-out parts of the text, before and after: ${held} of ${parts[0][0] + parts[0][1]} are held out, others with each seed; figures are means over the seeds.

${table(rows)}

Measured with the command line (\`models/eval/measure-datasets.mjs\`, wasm) on the shipped weights, in f32: AdamW without weight decay, batch 8, cosine
to zero after 5 % warm-up, gradients clipped at 1, loss on every token, weights of the last step. Whole curves: \`models/eval/datasets.jsonl\`.`;
}

function measured(id, records, names) {
  const of = records.filter((r) => r.set === id);
  if (of.length === 0) return 'Not measured yet.';
  if (of.some((r) => r.bits)) return measuredText(of, names);
  const torn = of.some((r) => r.split === 'rows');
  const head = ['model', 'method', 'learning rate', 'epochs', 'seeds', ...(torn ? ['split'] : [])];
  const columns = COLUMNS[id];
  const rows = [
    [
      ...head,
      'validation loss: before → best (epoch) → end',
      'training loss at end',
      ...columns.map(([name]) => name),
    ],
  ];
  const groups = groupsOf(of.filter((r) => r.method in METHODS));
  for (const runs of groups) {
    const [{ model, split }] = runs;
    const seeds = new Set(runs.map((r) => r.seed));
    const base = of.filter((r) => r.method === 'none' && r.model === model && seeds.has(r.seed));
    const cells = columns.map(([, name, as]) => {
      const after = total(runs.map((r) => r.scores[name]));
      if (as === 'count') return `**${ratio(after)}**`;
      const before = split === 'rows' ? null : total(base.map((r) => r.scores[name]));
      return `${before === null ? '' : `${percent(before)} → `}**${percent(after)}**`;
    });
    rows.push([
      ...settingCells(runs, names),
      ...(torn ? [SPLITS[split]] : []),
      lossCell(runs),
      mean(runs.map((r) => r.curve.at(-1)[1])).toFixed(2),
      ...cells,
    ]);
  }
  if (groups.length === 0) return 'Not measured yet.';
  const held = [...new Set(of.map((r) => r.rows[1]))].sort((a, b) => a - b);
  return `${promptedSentence(of, columns, names)}Answers on held-out rows, base → tuned; this base is told nothing. ${held.join(' or ')} rows are held out, others with each seed; shares and losses are means over the seeds.

${table(rows)}

Measured with the command line (\`models/eval/measure-datasets.mjs\`, wasm) on the shipped weights, in f32: AdamW without weight decay, batch 8, cosine
to zero after 5 % warm-up, gradients clipped at 1, loss on answers and their end-of-turn token, weights of the last step, greedy answers. Whole curves and samples
of the answers: \`models/eval/datasets.jsonl\`.${prompted(of, columns, names)}`;
}

/** What the base model does with an instruction, beside the tuned ones; '' where it was not asked so. */
function prompted(records, columns, names) {
  const asked = records.filter((r) => r.method === 'prompted');
  const shown = columns.filter(([, name]) => asked.some((r) => r.scores[name]));
  if (asked.length === 0 || shown.length === 0) return '';
  const rows = groupsOf(asked).map((runs) => [
    names.get(runs[0].model),
    `“${runs[0].instruction}”`,
    seedsOf(runs),
    ...shown.map(([, name]) => ratio(total(runs.map((r) => r.scores[name])))),
  ]);
  return `

The base model with an instruction in its system message, on the same held-out rows; nothing is trained:

${table([['model', 'instruction', 'seeds', ...shown.map(([name]) => name)], ...rows])}`;
}

/** Right and asked over the seeds that were both prompted and tuned by LoRA as the page does; null where one of them is missing. */
function againstPrompt(records, model, name) {
  const of = records.filter((r) => r.model === model && r.scores[name] && r.split === 'groups');
  const asked = of.filter((r) => r.method === 'prompted');
  const { lora } = ABOUT.find(({ id }) => id === of[0]?.set)?.settings ?? {};
  const recommended = (r) =>
    r.learning_rate === lora.learning_rate && r.num_train_epochs === lora.num_train_epochs;
  const tuned = of.filter(
    (r) => r.method === 'lora' && recommended(r) && asked.some(({ seed }) => seed === r.seed),
  );
  if (asked.length === 0 || tuned.length !== asked.length) return null;
  return {
    prompted: total(asked.map((r) => r.scores[name])),
    tuned: total(tuned.map((r) => r.scores[name])),
  };
}

/** What the instruction alone does beside tuning, in a sentence a model; '' where it was not asked so. */
function promptedSentence(records, columns, names) {
  const sentences = [...names].flatMap(([model, title]) => {
    const found = columns.flatMap(([column, name]) => {
      const counts = againstPrompt(records, model, name);
      return counts ? [{ column, ...counts }] : [];
    });
    if (found.length === 0) return [];
    const list = (side) => found.map((f) => `${f.column} ${ratio(f[side])}`).join(', ');
    return [
      `With the instruction in its prompt the base ${title} gets: ${list('prompted')}. Tuned (LoRA) it gets: ${list('tuned')}.`,
    ];
  });
  return sentences.length === 0 ? '' : `${sentences.join('\n')}\n\n`;
}

/** The 60 questions of Harbor & Pine. */
function questions(records, names) {
  const rows = [['model', 'asked with', 'tuned by', 'seeds', ...QUESTIONS.map(([name]) => name)]];
  for (const runs of groupsOf(records.filter((r) => r.questions))) {
    const [{ model, method, num_train_epochs }] = runs;
    for (const how of Object.keys(runs[0].questions)) {
      const count = (name) => total(runs.map((r) => r.questions[how][name]));
      const by =
        method === 'none' ? 'nothing: base' : `${METHODS[method].split(' ')[0]}, ${num_train_epochs} epochs`;
      const cells = QUESTIONS.map(([, name]) => ratio(count(name)));
      rows.push([names.get(model), ASKED[how], by, method === 'none' ? '–' : seedsOf(runs), ...cells, how]);
    }
  }
  const order = Object.keys(ASKED);
  const [head, ...body] = rows;
  body.sort((a, b) => order.indexOf(a.at(-1)) - order.indexOf(b.at(-1)) || a[0].localeCompare(b[0]));
  return table([head, ...body.map((cells) => cells.slice(0, -1))]);
}

/** Puts `text` between the two lines that mark the place. */
function between(card, name, text) {
  const [start, end] = [`<!-- ${name}: written by models/eval/cards.mjs -->`, `<!-- /${name} -->`];
  const [from, to] = [card.indexOf(start), card.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`The card has no place for “${name}”: ${start} … ${end}`);
  return `${card.slice(0, from + start.length)}\n${text}\n${card.slice(to)}`;
}

/**
 * Weights whose runs stand for those of others: before and after fill_zero_rows.py. Of 28 runs made again with Pebble-1M (seed 1) 24 have the
 * same scores and four differ by one to three answers of 48; curves agree to three digits at their start and within the noise of seeds later.
 */
const SAME_FIGURES = { bbc7b13c5e54: '54f3bb652fa8', aa99b473860b: '2cc2816505e9' };

/** The shipped models' names by id, and the runs with their weights as they are now. */
function currentRuns() {
  const catalog = JSON.parse(readFileSync(path.join(house, 'models/catalog.json'), 'utf8'));
  const shipped = catalog.map((e) => hashOf(path.join(house, 'models', e.path, 'model.safetensors')));
  // Runs with the weights as they are, and those that stand for them.
  const current = new Set([...shipped, ...shipped.map((hash) => SAME_FIGURES[hash] ?? hash)]);
  const results = path.join(here, 'datasets.jsonl');
  const lines = existsSync(results) ? readFileSync(results, 'utf8').trimEnd().split('\n') : [];
  return {
    names: new Map(catalog.map((e) => [e.id, e.name])),
    runs: lines.map((line) => JSON.parse(line)).filter((r) => current.has(r.weights)),
  };
}

/**
 * What the page says of a set: right answers of the first model of the catalogue, with an instruction alone and tuned by LoRA.
 * @param {string} id
 * @param {string} data its rows, as text
 * @returns {{ model: string, what: string, prompted: number[], tuned: number[] } | null} null where it was not measured with both
 */
export function promptedFigures(id, data) {
  const columns = COLUMNS[id];
  if (!columns) return null;
  const { names, runs } = currentRuns();
  const hash = createHash('sha256').update(data).digest('hex').slice(0, 12);
  const [[model, title]] = names;
  const [what, name] = columns.find((column) => column[1] === SHOWN[id]) ?? columns[0];
  const counts = againstPrompt(
    runs.filter((r) => r.set === id && r.data === hash),
    model,
    name,
  );
  return counts && { model: title, what, ...counts };
}

/** Rewrites the tables of every card from the runs with the weights and rows as they are now. */
export function writeCards() {
  const { names, runs } = currentRuns();
  const rowsNow = new Map(
    ABOUT.map(({ id, file = `${id}.jsonl` }) => [id, hashOf(path.join(house, 'public/datasets', file))]),
  );
  for (const { id } of ABOUT) {
    const place = path.join(house, 'public/datasets', `${id}.md`);
    const records = [...runs];
    const rank = ({ model, method, split, num_train_epochs }) =>
      [...names.keys()].indexOf(model) * 1e6 +
      (method === 'lora' ? 1e4 : 0) +
      (split === 'rows' ? 1e3 : 0) +
      num_train_epochs;
    records.sort((a, b) => rank(a) - rank(b));
    const mine = records.filter((r) => r.data === rowsNow.get(r.set));
    let card = between(readFileSync(place, 'utf8'), 'measured', measured(id, mine, names));
    if (id === 'harbor-and-pine') card = between(card, 'questions', questions(mine, names));
    writeFileSync(place, card);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeCards();
