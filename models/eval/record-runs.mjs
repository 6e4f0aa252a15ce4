// Records training runs of the command line for the page: the curve of the first screen, and the curves of the lessons' questions.
// Not here: running the command line (commandLine.mjs), what the page does with a recording (../../src/lessons/recording.ts).
//
// usage: node models/eval/record-runs.mjs [ID ...]
//   Writes public/recordings/ID.json for each named recording, or for all of them. A recording holds measured values only, and the
//   command that made it.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundle, house, run } from './commandLine.mjs';

/** What is recorded: sample and the settings that differ from the defaults. */
const RECORDINGS = {
  // The measured settings of the sample, with an evaluation after every epoch: what the first screen trains too.
  'twelve-rows': {
    data: 'twelve-rows.jsonl',
    settings: { method: 'lora', learning_rate: 5e-3, num_train_epochs: 50, eval_per_epoch: 1 },
  },
  // Curves for the questions of the lessons.
  'shuffled-labels': {
    data: 'shuffled-labels.jsonl',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 10 },
  },
  'pirate-two-epochs': {
    data: 'pirate-voice.jsonl',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 2 },
  },
  'brand-voice': {
    data: 'brand-voice-support.jsonl',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 4 },
  },
  'rate-too-low': {
    data: 'twelve-rows.jsonl',
    settings: { method: 'full', learning_rate: 2.5e-6, num_train_epochs: 12 },
  },
  'rate-too-high': {
    data: 'twelve-rows.jsonl',
    settings: {
      method: 'full',
      learning_rate: 0.1,
      num_train_epochs: 12,
      lr_scheduler_type: 'constant',
      warmup_ratio: 0,
      max_grad_norm: 0,
    },
  },
  'legal-definitions': {
    data: 'legal-definitions.jsonl',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 2 },
  },
  'sentence-to-json': {
    data: 'sentence-to-json.jsonl',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 5 },
  },
};

const MODEL = 'pebble-1m';
/** Both losses, and what the verdict needs beside them. */
const KEPT = ['train_eval_loss', 'valid_loss', 'valid_loss_standard_error', 'valid_rise_standard_error'];
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(RECORDINGS);
const unknown = wanted.filter((id) => !(id in RECORDINGS));
if (unknown.length > 0)
  throw new Error(
    `There is no recording ${unknown.join(', ')}; there are ${Object.keys(RECORDINGS).join(', ')}.`,
  );

const folder = path.join(house, 'public/recordings');
mkdirSync(folder, { recursive: true });
const work = mkdtempSync(path.join(tmpdir(), 'record-'));
const cli = await bundle();
const round = (value) => Number(value.toPrecision(5));

try {
  for (const id of wanted) {
    const { data, settings } = RECORDINGS[id];
    const out = path.join(work, id);
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const began = performance.now();
    const ended = run(cli, [
      'train',
      ...['--model', path.join(house, 'models', MODEL)],
      ...['--data', path.join(house, 'public/datasets', data)],
      ...['--out', out, '--backend', 'wasm', ...options],
    ]);
    // A run that diverged exits with an error, and leaves its curves all the same.
    await ended.catch((thrown) => {
      if (!existsSync(path.join(out, 'run.json'))) throw thrown;
    });
    const { config } = JSON.parse(readFileSync(path.join(out, 'run.json'), 'utf8'));
    const points = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ name }) => KEPT.includes(name))
      .map(({ name, step, epoch, tokens, value, elapsedMs }) => ({
        ...{ name, step, epoch: round(epoch), tokens, value: Number.isFinite(value) ? round(value) : null },
        elapsedMs: Math.round(elapsedMs),
      }));
    const { totalSteps, trainRows, validationRows, heldOut, evaluation, appVersion } = config;
    const recording = {
      command: `npm run -s cli -- train --model models/${MODEL} --data public/datasets/${data} --out OUT --backend wasm ${options.join(' ')}`,
      ...{ appVersion, model: MODEL, sample: path.basename(data, '.jsonl'), settings },
      run: { totalSteps, trainRows, validationRows, heldOut, evaluation },
      points,
    };
    writeFileSync(path.join(folder, `${id}.json`), `${JSON.stringify(recording)}\n`);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    console.log(`${id}: ${totalSteps} steps, ${points.length} points, ${seconds} s with starting`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
  rmSync(cli, { force: true });
}
