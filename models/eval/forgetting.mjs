// Measures what runs forget, without and with general rows mixed in (replay): general loss and validation loss before and after, as a table.
// Not here: the general rows (../datasets/general_rows.py, ../datasets/general.mjs), how a run measures them (src/engine/training/generalProbe.ts).
//
// usage: node models/eval/forgetting.mjs [--model pebble-1m] [--sets pirate-voice,sentiment-label] [--methods lora,full] [--shares 0,0.1,0.25,0.5] [--seeds 1]
//   Each run has the settings that its data set recommends. Prints a Markdown table, a line a run; losses of the last weights, on all rows.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ABOUT } from '../datasets/about.mjs';
import { bundle, house, run } from './commandLine.mjs';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'pebble-1m' },
    sets: { type: 'string', default: 'pirate-voice,sentiment-label' },
    methods: { type: 'string', default: 'lora,full' },
    shares: { type: 'string', default: '0,0.1,0.25,0.5' },
    seeds: { type: 'string', default: '1' },
  },
});
const listOf = (text) => text.split(',');
const work = mkdtempSync(path.join(tmpdir(), 'forgetting-'));
const cli = await bundle();

/** Losses of one run, and the error of the rise. */
async function measured(set, options) {
  const out = path.join(work, 'run');
  const { file, settings } = ABOUT.find(({ id }) => id === set);
  const data = path.join(house, 'public/datasets', file ?? `${set}.jsonl`);
  const model = path.join(house, 'models', values.model);
  const all = { model, data, out, weights: 'last', ...settings[options.method], ...options };
  await run(cli, ['train', ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])]);
  const points = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { totalSteps, evaluation, general } = JSON.parse(
    readFileSync(path.join(out, 'run.json'), 'utf8'),
  ).config;
  rmSync(out, { recursive: true });
  const at = (name, step) => points.findLast((p) => p.name === name && p.step === step)?.value;
  return {
    before: at('full_general_loss', 0),
    after: at('full_general_loss', totalSteps),
    error: at('full_general_rise_standard_error', totalSteps),
    first: at('valid_loss', 0),
    last: at('full_valid_loss', totalSteps),
    best: Math.min(...points.filter((p) => p.name === 'full_valid_loss').map((p) => p.value)),
    steps: totalSteps,
    share: evaluation.share + general.share,
  };
}

console.log(
  '| set | method | replay share | seed | steps | general loss: before → after | rise ± standard error | validation loss: before → best → end | measuring, of the work |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
try {
  for (const set of listOf(values.sets))
    for (const method of listOf(values.methods))
      for (const replay_fraction of listOf(values.shares))
        for (const seed of listOf(values.seeds)) {
          const m = await measured(set, { method, replay_fraction, seed });
          const shown = (loss) => loss.toFixed(2);
          const rise = `${(m.after - m.before).toFixed(3)} ± ${m.error.toFixed(3)}`;
          const losses = `${shown(m.before)} → ${shown(m.after)} | ${rise} | ${shown(m.first)} → ${shown(m.best)} → ${shown(m.last)}`;
          console.log(
            `| ${[set, method, replay_fraction, seed, m.steps].join(' | ')} | ${losses} | ${(100 * m.share).toFixed(1)} % |`,
          );
        }
} finally {
  rmSync(work, { recursive: true });
  rmSync(cli);
}
