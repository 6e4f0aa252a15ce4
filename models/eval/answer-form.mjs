// What the form of an answer does to what a tuned model reads: Harbor & Pine with passages, as it is (“Of the Grey Gull mug we have 7.”) and with
// the number first (“We have 7 of the Grey Gull mug.”), both by LoRA; the figures are in ../README.md.
// Not here: the cards' own measurements (measure-datasets.mjs).
//
// usage: node models/eval/answer-form.mjs [--model pebble-1m] [--seeds 1,2,3]

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ABOUT } from '../datasets/about.mjs';
import { catalogue } from '../datasets/harbor-catalogue.mjs';
import { passage } from '../datasets/harbor-conversations.mjs';
import { catalogueSearch } from '../datasets/harbor-search.mjs';
import { seeded } from '../datasets/seeded.mjs';
import { answers, bundle, house, run } from './commandLine.mjs';
import { isRight } from './scores.mjs';

const { values } = parseArgs({
  options: { model: { type: 'string', default: 'pebble-1m' }, seeds: { type: 'string', default: '1,2,3' } },
});
const read = (file) => readFileSync(path.join(house, 'public/datasets/harbor-and-pine', file), 'utf8');
const asItIs = read('conversations-with-passages.jsonl');
const numberFirst = asItIs.replace(
  /Of the ([^"]*?) we have (\d+)\. Fair winds!/g,
  'We have $2 of the $1. Fair winds!',
);

const questions = read('questions.jsonl')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line))
  .filter((q) => q.kind !== 'compare');
const products = catalogue();
const random = seeded(5); // the lines that measure-datasets.mjs draws
const find = (await catalogueSearch())(products);
const conversations = questions.map((q) => [
  { role: 'system', content: passage(random, find, q.question) },
  { role: 'user', content: q.question },
]);

const model = path.join(house, 'models', values.model);
const { settings } = ABOUT.find(({ id }) => id === 'harbor-and-pine-passages');
const work = mkdtempSync(path.join(tmpdir(), 'answer-form-'));
const cli = await bundle();
try {
  const data = path.join(work, 'rows.jsonl');
  const out = path.join(work, 'run');
  for (const seed of values.seeds.split(',')) {
    for (const [form, rows] of Object.entries({ 'as it is': asItIs, 'number first': numberFirst })) {
      writeFileSync(data, rows);
      const options = { model, data, out, weights: 'last', method: 'lora', ...settings.lora, seed };
      await run(cli, ['train', ...Object.entries(options).flatMap(([k, v]) => [`--${k}`, String(v)])]);
      const right = {};
      for (const [i, { said }] of (await answers(cli, { model, adapter: out }, conversations)).entries()) {
        const { kind, key } = questions[i];
        right[kind] ??= [0, 0];
        right[kind][0] += isRight(said, key) ? 1 : 0;
        right[kind][1]++;
      }
      const counts = Object.entries(right).map(([kind, [n, of]]) => `${kind} ${n}/${of}`);
      console.log(`${values.model} seed ${seed}, ${form}: ${counts.join(', ')}`);
      rmSync(out, { recursive: true });
    }
  }
} finally {
  rmSync(work, { recursive: true });
  rmSync(cli);
}
