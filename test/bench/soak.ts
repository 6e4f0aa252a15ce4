// A long run in Node, with tensors, their bytes and the heap after every so many steps, as JSON lines. Bundled and started by soak.mjs.
// Not here: what is said of the numbers, the page (soak.mjs).

import path from 'node:path';
import process from 'node:process';
import { parseArguments, settingsFor } from '../../src/cli/options';
import { nodePlatform } from '../../src/cli/platform';
import { train } from '../../src/cli/train';
import { openWorkbench, readRows } from '../../src/cli/workbench';
import { Run } from '../../src/session/run';

const [house = '', steps = '5000'] = process.argv.slice(2);
const model = path.join(house, 'test', 'fixtures', 'engine', 'chat');
const platform = { ...nodePlatform('soak', house), threads: null };
const say = () => {};
// 12 rows, ten of them to train on: ten steps an epoch.
const args = parseArguments(train, [
  ...['--model', model, '--data', path.join(model, 'rows.jsonl'), '--out', 'none', '--batch_size', '1'],
  ...['--num_train_epochs', String(Math.ceil(Number(steps) / 10)), '--learning_rate', '1e-4'],
]);
const workbench = await openWorkbench(model, 'wasm', platform, say);
const h = settingsFor(args, workbench.model.parameters);
const dataset = await readRows(args, workbench, h, say, platform);
const run = Run.prepare(workbench, dataset, h, workbench, platform);
const every = Math.ceil(run.config.totalSteps / 20);
let next = 0;
const collect = globalThis.gc as () => void;
const summary = await run.go(
  ({ progress }) => {
    if (progress.step < next || progress.state !== 'training') return;
    next = progress.step + every;
    collect();
    const { tensors, tensorBytes } = progress.memory;
    console.log(
      JSON.stringify({ step: progress.step, tensors, tensorBytes, heap: process.memoryUsage().heapUsed }),
    );
  },
  () => {},
);
console.log(JSON.stringify({ state: summary.state, step: summary.step }));
