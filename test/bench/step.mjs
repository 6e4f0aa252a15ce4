// How long one training step takes on the wasm backend, own kernels against the plain references, and which op takes what share.
// Not here: pass or fail. `node test/bench/step.mjs [full|lora] [rounds]` prints processor time in ms: the least and the median of all rounds.

import path from 'node:path';
import { createServer } from 'vite';
import { house } from '../../src/cli/prerequisites.mjs';

const method = process.argv[2] ?? 'full';
const rounds = Number(process.argv[3] ?? 5);
const ROWS = 8;
const COLUMNS = 128;

const server = await createServer({
  configFile: path.join(house, 'vite.config.ts'),
  root: house,
  server: { middlewareMode: true, hmr: false, ws: false },
  optimizeDeps: { noDiscovery: true },
  logLevel: 'error',
});
const load = (file) => server.ssrLoadModule(file);
const tf = await import('@tensorflow/tfjs-core');
const { startDevice } = await load('/src/engine/device.ts');
const kernels = await load('/src/engine/kernels/index.ts');
const { loadWasmKernels } = await load('/src/engine/kernels/kernels.wasm.ts');
const { loadModel } = await load('/src/engine/load.ts');
const { readModelFolder } = await load('/src/formats/huggingface.ts');
const { createLearner } = await load('/src/engine/adapters.ts');
const { AdamW } = await load('/src/engine/optimizer.ts');
const { Tape } = await load('/src/engine/tape.ts');
const { defaultHyperparameters } = await load('/src/hyperparameters.ts');
const { diskFolder } = await load('/test/nodeFolders.ts');
const { nodeWasmPath } = await load('/test/setup-node-webgpu.ts');

const fail = (error) => {
  throw error;
};
const device = await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: fail });
const own = { ...kernels.REFERENCE, ...(await loadWasmKernels()) };
const model = await loadModel(
  await readModelFolder(diskFolder(path.join(house, 'models/pebble-1m'))),
  () => {},
);
const h = { ...defaultHyperparameters(), method };
const learner = createLearner(model.architecture, model.weights, h);
const optimizer = new AdamW();
const size = ROWS * COLUMNS;
const ids = Int32Array.from({ length: size }, (_, i) => (i * 7919 + 13) % model.architecture.vocabSize);
const targets = {
  rows: Int32Array.from({ length: size }, (_, i) => i),
  ids: Int32Array.from({ length: size }, (_, i) => ids[(i + 1) % size]),
  weights: new Float32Array(size).fill(1),
};

async function step() {
  const gradients = new Map();
  const tape = new Tape(gradients);
  const input = tf.tensor1d(ids, 'int32');
  const pass = { weights: model.weights, learner, tape, noise: null };
  const hidden = model.forward(pass, input, { batch: ROWS, time: COLUMNS, checkpointing: false });
  const head = model.head(pass);
  const result = kernels.crossEntropy(hidden.tensor, head.tensor, targets, {
    scale: 1 / size,
    labelSmoothing: 0,
    needs: { dhidden: true, dhead: head.needsGradient },
  });
  if (result.dhead) tape.addParameterGradient(head, result.dhead);
  tape.backward(hidden, result.dhidden);
  const losses = await result.rowLoss.data();
  await optimizer.gradientNorm(gradients);
  optimizer.update(learner.tensors, gradients, h, 1e-5, 1);
  for (const t of [...gradients.values(), result.rowLoss, result.correct, input]) t.dispose();
  return losses.reduce((a, b) => a + b) / size;
}

const now = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const times = {};
const note = (name, ms) => {
  times[name] ??= [];
  times[name].push(ms);
};
const least = (list) => Math.min(...list);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** The same kernels, with the time of each noted. */
function timed(some, spent) {
  return Object.fromEntries(
    Object.entries(some).map(([name, run]) => [
      name,
      (...a) => {
        const start = now();
        const result = run(...a);
        spent[name] = (spent[name] ?? 0) + now() - start;
        return result;
      },
    ]),
  );
}

const shares = [];
for (let round = -1; round < rounds; round++) {
  for (const [name, some, repeats] of [
    ['own', own, 5],
    ['reference', kernels.REFERENCE, 1],
  ]) {
    kernels.chooseKernels(some);
    for (let i = 0; i < repeats; i++) {
      const start = now();
      await step();
      if (round >= 0) note(name, now() - start);
    }
  }
  const spent = {};
  kernels.chooseKernels(timed(own, spent));
  const start = now();
  await step();
  spent.rest = now() - start - Object.values(spent).reduce((a, b) => a + b, 0);
  if (round >= 0) shares.push(spent);
}
console.log(`${method}, ${ROWS} × ${COLUMNS} tokens, ${device.threads} thread(s)`);
for (const [name, list] of Object.entries(times)) {
  console.log(`${name.padEnd(10)} least ${least(list).toFixed(1)} ms, median ${median(list).toFixed(1)} ms`);
}
console.log(
  `own is ${(least(times.reference) / least(times.own)).toFixed(1)} (least), ${(median(times.reference) / median(times.own)).toFixed(1)} (median) times as fast`,
);
const total = median(shares.map((s) => Object.values(s).reduce((a, b) => a + b, 0)));
for (const name of Object.keys(shares[0]).sort((a, b) => shares[0][b] - shares[0][a])) {
  console.log(`  ${name.padEnd(20)} ${((100 * median(shares.map((s) => s[name]))) / total).toFixed(1)} %`);
}
await server.close();
process.exit(0);
