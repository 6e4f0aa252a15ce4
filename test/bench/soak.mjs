// `npm run soak`: a long run, in which tensors, device bytes and heap must stay flat.
// Not here: the run in Node (soak.ts), times (bench.mjs).
//
// How it works: numbers are taken some twenty times, after a garbage collection. From the first fifth on (by then everything that is kept for
// the whole run exists) tensors must be the same, and the heap may grow by what a step leaves: its metric points, which the curves are drawn from.
// Options: --steps N (5000).

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { house } from '../../src/launch/prerequisites.mjs';

const { values: options } = parseArgs({
  options: { steps: { type: 'string', default: '5000' } },
});
const steps = Number(options.steps);
/** Six metric points of 100 to 200 bytes each, and what collections of the engine add to them. */
const MOST_BYTES_A_STEP = 4000;

/** @typedef {{ step: number, tensors: number, tensorBytes: number, heap: number }} Sample */

/** @returns {Promise<Sample[]>} */
async function inNode() {
  const outDir = path.join(house, 'node_modules', '.cache', 'finetune-playground', 'soak');
  await build({
    ...{ configFile: false, root: house, publicDir: false, logLevel: 'warn' },
    build: {
      ...{ ssr: path.join(house, 'test', 'bench', 'soak.ts'), outDir, emptyOutDir: true, target: 'node20' },
      rolldownOptions: { output: { codeSplitting: false, entryFileNames: 'soak.mjs' } },
    },
  });
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--expose-gc', path.join(outDir, 'soak.mjs'), house, String(steps)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const end = lines.pop();
  if (status !== 0 || end?.state !== 'finished')
    throw new Error(`The run ended with ${status}: ${JSON.stringify(end)}`);
  console.log(`Node, wasm: ${end.step} steps.`);
  return lines;
}

const samples = await inNode();
for (const { step, tensors, tensorBytes, heap } of samples)
  console.log(
    `step ${step}: ${tensors} tensors, ${tensorBytes} bytes in them, heap ${(heap / 1e6).toFixed(1)} MB`,
  );
const settled = samples.filter(({ step }) => step >= steps / 5);
const [first, last] = [settled[0], settled.at(-1)];
if (!first || !last || first === last) throw new Error('There are too few steps to tell.');
const perStep = (last.heap - first.heap) / (last.step - first.step);
const same = settled.every((s) => s.tensors === first.tensors && s.tensorBytes === first.tensorBytes);
console.log(
  `From step ${first.step} on: ${same ? 'the same tensors' : 'TENSORS CHANGE'}; the heap grows by ${perStep.toFixed(0)} bytes a step.`,
);
process.exitCode = same && perStep <= MOST_BYTES_A_STEP ? 0 : 1;
