// Which learning rate to begin with: every method on three sample sets over a grid of rates, as rows of a table for ../README.md.
// Not here: scores of answers (measure-datasets.mjs), the rates that the page proposes (src/hyperparameters.ts).
//
// usage: node models/eval/calibrate.mjs --model pebble-1m [--seed 1] [--epochs 5] [--sets ID,ID]

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, house, run } from './commandLine.mjs';

const GRID = {
  full: [3e-4, 5e-4, 1e-3, 2e-3],
  lora: [2e-3, 5e-3, 1e-2, 2e-2],
  last_layers: [1e-3, 3e-3, 1e-2],
};
const NAMES = { full: 'full', lora: 'LoRA', last_layers: 'last layers' };

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'pebble-1m' },
    seed: { type: 'string', default: '1' },
    epochs: { type: 'string', default: '5' },
    sets: { type: 'string', default: 'sentence-to-json,sentiment-label,pirate-voice' },
  },
});

const losses = (file) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((point) => point.name === 'full_valid_loss')
    .map((point) => point.value);

const cells = Object.entries(GRID).flatMap(([method, rates]) => rates.map((rate) => ({ method, rate })));
const work = mkdtempSync(path.join(tmpdir(), 'calibrate-'));
const cli = await bundle();
try {
  const heads = cells.map(({ method, rate }) => `${NAMES[method]} ${rate.toExponential()}`);
  console.log(`| set (${values.model}) | before | ${heads.join(' | ')} |`);
  console.log(`| --- ${'| --- '.repeat(cells.length + 1)}|`);
  for (const set of values.sets.split(',')) {
    let before = 0;
    const best = [];
    for (const { method, rate } of cells) {
      const options = {
        model: path.join(house, 'models', values.model),
        data: path.join(house, `public/datasets/${set}.jsonl`),
        out: path.join(work, 'run'),
        method,
        learning_rate: rate,
        num_train_epochs: values.epochs,
        seed: values.seed,
        eval_per_epoch: 2,
        // All held-out rows, each time: the figures are the cards'.
        max_eval_samples: 1_000_000,
      };
      const line = ['train', ...Object.entries(options).flatMap(([k, v]) => [`--${k}`, String(v)])];
      // A rate that is too high makes the run diverge, and the command fail; its losses are written and belong into the table.
      await run(cli, line).catch((error) => {
        if (!existsSync(path.join(options.out, 'metrics.jsonl'))) throw error;
      });
      const curve = losses(path.join(options.out, 'metrics.jsonl'));
      before = curve[0];
      best.push(Math.min(...curve.slice(1)));
      rmSync(options.out, { recursive: true });
    }
    const lowest = (method) => Math.min(...best.filter((_, i) => cells[i].method === method));
    const row = best.map((loss, i) => {
      const said = loss.toFixed(2);
      return loss === lowest(cells[i].method) ? `**${said}**` : said;
    });
    console.log(`| ${set} | ${before.toFixed(2)} | ${row.join(' | ')} |`);
  }
} finally {
  rmSync(work, { recursive: true });
  rmSync(cli);
}
