// Measures every sample data set with a model: trains with the command line, asks held-out rows before and after, writes a line a run
// into datasets.jsonl. What is there already is not run again, so it can be stopped at any time.
// Not here: scores (scores.mjs), the tables of the cards (cards.mjs, run at the end), the settings (../datasets/about.mjs).
//
// usage: node models/eval/measure-datasets.mjs --model pebble-1m [--seeds 1,2,3] [--sets ID,ID] [--methods full,lora] [--epochs N]
//   --prompted asks only the base model, with an instruction in its prompt (../datasets/instructions.mjs), and trains nothing.
//   --epochs N runs so many instead of the recommended number, which shows what stopping early or going on too long does.

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ABOUT } from '../datasets/about.mjs';
import { catalogue, nextWeek } from '../datasets/harbor-catalogue.mjs';
import { passage, SYSTEM } from '../datasets/harbor-conversations.mjs';
import { catalogueSearch } from '../datasets/harbor-search.mjs';
import { INSTRUCTIONS } from '../datasets/instructions.mjs';
import { seeded } from '../datasets/seeded.mjs';
import { writeCards } from './cards.mjs';
import { answers, bundle, house, run } from './commandLine.mjs';
import { countRight, isRight } from './scores.mjs';

const RESULTS = path.join(house, 'models/eval/datasets.jsonl');
/** Share of rows held out of the near-duplicates when they are split row by row. */
const HELD_OUT = 0.2;

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'pebble-1m' },
    seeds: { type: 'string', default: '1,2,3' },
    sets: { type: 'string' },
    methods: { type: 'string', default: 'full,lora' },
    epochs: { type: 'string' },
    prompted: { type: 'boolean', default: false },
  },
});
const modelFolder = path.join(house, 'models', values.model);
const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
const weights = hashOf(path.join(modelFolder, 'model.safetensors'));
const work = mkdtempSync(path.join(tmpdir(), 'measure-'));
const cli = await bundle();

const readRows = (file) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const done = new Set();
const keyOf = (r) =>
  [
    r.weights,
    r.data,
    r.set,
    r.split,
    r.method,
    r.learning_rate,
    r.num_train_epochs,
    r.seed,
    r.instruction,
  ].join(' ');
if (existsSync(RESULTS)) for (const record of readRows(RESULTS)) done.add(keyOf(record));

function keep(record) {
  appendFileSync(RESULTS, `${JSON.stringify(record)}\n`);
  done.add(keyOf(record));
  const right = Object.entries(record.scores).map(([name, [n, of]]) => `${name} ${n}/${of}`);
  if (record.bits)
    right.push(`bits per byte ${record.bits.before} → ${record.bits.best} → ${record.bits.end}`);
  console.log(
    `${new Date().toTimeString().slice(0, 8)} ${record.set} ${record.split} ${record.method} seed ${record.seed}:`,
    right.join(', '),
  );
}

/** Greedy answers to the last turn of rows, scored. */
async function ask(set, model, rows) {
  const said = await answers(
    cli,
    model,
    rows.map((r) => r.messages.slice(0, -1)),
  );
  const pairs = rows.map((r, i) => ({ wanted: r.messages.at(-1).content, ...said[i] }));
  const samples = pairs.slice(0, 3).map(({ wanted, said: answer }) => [wanted, answer]);
  return { scores: countRight(set, pairs), samples };
}

const products = catalogue();
const week = nextWeek(products);
const searchOf = await catalogueSearch();
const FIND = { now: searchOf(products), next: searchOf(week.products) };

/** The 60 questions of Harbor & Pine: `plain`, with three catalogue lines (`now`), and with those of next week (`next`). */
async function askHarbor(model, how) {
  const random = seeded(5);
  const asked = readRows(path.join(house, 'public/datasets/harbor-and-pine/questions.jsonl')).filter(
    (q) => how === 'plain' || (q.kind !== 'compare' && (how === 'now' || q.nextWeek)),
  );
  const conversations = asked.map((q) => {
    const find = FIND[how];
    const system = find ? passage(random, find, q.question) : SYSTEM;
    return [
      { role: 'system', content: system },
      { role: 'user', content: q.question },
    ];
  });
  const counts = {};
  const count = (name, right) => {
    counts[name] ??= [0, 0];
    counts[name][0] += right ? 1 : 0;
    counts[name][1]++;
  };
  for (const [i, { said, ended }] of (await answers(cli, model, conversations)).entries()) {
    const q = asked[i];
    const right = isRight(said, how === 'next' ? q.nextWeek.key : q.key);
    count('voice', ended && said.startsWith('Good day! ') && said.endsWith(' Fair winds!'));
    count('all', right);
    count(q.kind === 'price' ? `price ${q.seen ? 'told' : 'new'}` : q.kind, right);
  }
  return counts;
}

const HARBOR_ASKS = { 'harbor-and-pine': ['plain'], 'harbor-and-pine-passages': ['now', 'next'] };
async function harborQuestions(set, model) {
  const asks = HARBOR_ASKS[set];
  if (!asks) return {};
  const questions = {};
  for (const how of asks) questions[how] = await askHarbor(model, how);
  return { questions };
}

const isText = (file) => !file.endsWith('.jsonl');

const round = (value) => Number(value.toPrecision(4));

/** [epoch, loss on training rows, loss on held-out rows] for every evaluation. */
function curveOf(folder) {
  const points = readRows(path.join(folder, 'metrics.jsonl'));
  const training = points.filter((p) => p.name === 'train_eval_loss');
  const validation = points.filter((p) => p.name === 'full_valid_loss');
  return validation.map((v, i) => [round(v.epoch), round(training[i].value), round(v.value)]);
}

function trainLine(data, out, { method, learning_rate, num_train_epochs, seed }, more = []) {
  const evaluations = num_train_epochs > 20 ? 1 : 2;
  // The weights of the cards' answers are those after the last step.
  const options = {
    model: modelFolder,
    data,
    out,
    weights: 'last',
    method,
    learning_rate,
    num_train_epochs,
    seed,
  };
  return [
    'train',
    // All held-out rows, each time: a card's curve and its figures are of the same rows.
    ...Object.entries({ ...options, eval_per_epoch: evaluations, max_eval_samples: 1_000_000 }).flatMap(
      ([k, v]) => [`--${k}`, String(v)],
    ),
    ...more,
  ];
}
const tuned = (method, out) => (method === 'lora' ? { model: modelFolder, adapter: out } : { model: out });

/** The rows that the page holds out with this seed. */
async function heldOut(file, seed) {
  const split = ['--model', modelFolder, '--data', file, '--split', 'validation', '--seed', String(seed)];
  const inspected = (await run(cli, ['inspect', ...split])).trim().split('\n');
  return new Set(inspected.map((line) => JSON.parse(line).line));
}

/** Asks the base model the same held-out rows with an instruction: what a person tries before any training. */
async function measurePrompted(set, file, seed) {
  const instruction = INSTRUCTIONS[set];
  if (instruction === undefined) return;
  const settings = { method: 'prompted', learning_rate: 0, num_train_epochs: 0, seed, instruction };
  const record = { model: values.model, weights, data: hashOf(file), set, split: 'groups', ...settings };
  if (done.has(keyOf(record))) return;
  const rows = readRows(file);
  const held = await heldOut(file, seed);
  const validation = rows.filter((_, i) => held.has(i + 1));
  const told = validation.map(({ messages }) => ({ messages: instructed(messages, instruction) }));
  keep({
    ...record,
    rows: [rows.length - validation.length, validation.length],
    ...(await ask(set, { model: modelFolder }, told)),
  });
}

/** The instruction at the end of the system message, as src/session/passages.ts `withSystem` puts it. */
function instructed([first, ...rest], instruction) {
  if (first.role !== 'system') return [{ role: 'system', content: instruction }, first, ...rest];
  return [{ role: 'system', content: `${first.content} ${instruction}` }, ...rest];
}

/** Trains on a plain text: nothing is asked, and bits per byte on its held-out parts stand for right answers. */
async function measureText(set, file, settings) {
  const record = { model: values.model, weights, data: hashOf(file), set, split: 'groups', ...settings };
  if (done.has(keyOf(record))) return;
  const out = path.join(work, 'run');
  const started = performance.now();
  await run(cli, trainLine(file, out, settings));
  const seconds = Math.round((performance.now() - started) / 1000);
  const { trainRows, validationRows, evaluation } = JSON.parse(
    readFileSync(path.join(out, 'run.json'), 'utf8'),
  ).config;
  const curve = curveOf(out);
  const { allValidationTokens: tokens, allValidationBytes: bytes } = evaluation;
  const bitsOf = (loss) => round((loss * tokens) / bytes / Math.LN2);
  const losses = curve.map(([, , loss]) => loss);
  const bits = { before: bitsOf(losses[0]), best: bitsOf(Math.min(...losses)), end: bitsOf(losses.at(-1)) };
  keep({ ...record, rows: [trainRows, validationRows], scores: {}, bits, curve, seconds });
  rmSync(out, { recursive: true });
}

/** Trains on the split that the page makes, and asks its held-out rows. */
async function measure(set, file, settings) {
  const record = { model: values.model, weights, data: hashOf(file), set, split: 'groups', ...settings };
  const base = { ...record, method: 'none', learning_rate: 0, num_train_epochs: 0 };
  if (done.has(keyOf(record))) return;
  const rows = readRows(file);
  const held = await heldOut(file, settings.seed);
  const validation = rows.filter((_, i) => held.has(i + 1));
  const sizes = { rows: [rows.length - validation.length, validation.length] };
  if (!done.has(keyOf(base))) {
    const asked = await ask(set, { model: modelFolder }, validation);
    const questions = settings.seed === 1 ? await harborQuestions(set, { model: modelFolder }) : {};
    keep({ ...base, ...sizes, ...asked, ...questions });
  }
  const out = path.join(work, 'run');
  const started = performance.now();
  await run(cli, trainLine(file, out, settings));
  const seconds = Math.round((performance.now() - started) / 1000);
  const model = tuned(settings.method, out);
  const asked = await ask(set, model, validation);
  if (set === 'twelve-rows') {
    const learned = await ask(
      set,
      model,
      rows.filter((_, i) => !held.has(i + 1)),
    );
    asked.scores['exact on training rows'] = learned.scores.exact;
  }
  const questions = await harborQuestions(set, model);
  keep({ ...record, ...sizes, ...asked, ...questions, curve: curveOf(out), seconds });
  rmSync(out, { recursive: true });
}

/**
 * Near-duplicates torn apart: a fifth of the rows, drawn one by one, is kept out of the file; the command line trains on the rest (and holds
 * the least that it can back from it), then measures the rows kept out. So there is a loss before and after, but no curve between.
 */
async function measureTorn(set, file, settings) {
  const record = { model: values.model, weights, data: hashOf(file), set, split: 'rows', ...settings };
  if (done.has(keyOf(record))) return;
  const rows = readRows(file);
  const order = seeded(settings.seed).shuffle(rows.map((_, i) => i));
  const held = new Set(order.slice(0, Math.round(rows.length * HELD_OUT)));
  const [kept, asked, out] = ['kept.jsonl', 'held.jsonl', 'run'].map((name) => path.join(work, name));
  const write = (name, list) => writeFileSync(name, `${list.map((r) => JSON.stringify(r)).join('\n')}\n`);
  write(
    kept,
    rows.filter((_, i) => !held.has(i)),
  );
  write(
    asked,
    rows.filter((_, i) => held.has(i)),
  );
  const lossOf = async (folders) => {
    const options = Object.entries({ ...folders, data: asked }).flatMap(([k, v]) => [`--${k}`, v]);
    return round(JSON.parse(await run(cli, ['evaluate', ...options])).loss);
  };
  const before = await lossOf({ model: modelFolder });
  await run(cli, trainLine(kept, out, settings, ['--validation_fraction', '0.05']));
  const model = tuned(settings.method, out);
  const curve = curveOf(out);
  const scored = await ask(
    set,
    model,
    rows.filter((_, i) => held.has(i)),
  );
  const ends = [
    [0, curve[0][1], before],
    [settings.num_train_epochs, curve.at(-1)[1], await lossOf(model)],
  ];
  keep({ ...record, rows: [rows.length - held.size, held.size], ...scored, curve: ends });
  rmSync(out, { recursive: true });
}

const chosen = values.sets?.split(',');
const methods = values.methods.split(',');
const sets = ABOUT.filter(({ id }) => !chosen || chosen.includes(id)).map(({ id, file, settings }) => {
  const data = path.join(house, 'public/datasets', file ?? `${id}.jsonl`);
  return { id, data, settings, size: readFileSync(data).length * settings.lora.num_train_epochs };
});
// Shortest first, and the first seed of everything before the second of anything.
sets.sort((a, b) => a.size - b.size);
try {
  for (const seed of values.seeds.split(',').map(Number)) {
    for (const { id, data, settings } of sets) {
      if (values.prompted) await measurePrompted(id, data, seed);
      for (const method of values.prompted ? [] : methods) {
        const chosenSettings = { method, ...settings[method], seed };
        if (values.epochs) chosenSettings.num_train_epochs = Number(values.epochs);
        await (isText(data) ? measureText : measure)(id, data, chosenSettings);
        if (id === 'near-duplicates') await measureTorn(id, data, chosenSettings);
      }
    }
  }
  writeCards();
} finally {
  rmSync(work, { recursive: true });
  rmSync(cli);
}
