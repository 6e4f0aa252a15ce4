// How long one training step takes on the wasm backend, own kernels against the plain references, and which op takes what share.
// Not here: pass or fail, starting it (run.mjs).

import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { startDevice } from '../../src/engine/device/device';
import { chooseKernels, crossEntropy, type Kernels, REFERENCE } from '../../src/engine/kernels';
import { loadWasmKernels } from '../../src/engine/kernels/wasm/kernels.wasm';
import { createLearner } from '../../src/engine/model/adapters';
import { loadModel } from '../../src/engine/model/load';
import { GradientMap, Tape } from '../../src/engine/model/tape';
import { AdamW } from '../../src/engine/training/optimizer';
import { readModelFolder } from '../../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../../src/hyperparameters';
import { house } from '../../src/launch/prerequisites.mjs';
import { diskFolder } from '../nodeFolders';
import { nodeWasmPath } from '../setup-node-webgpu';
import { processorMs } from './pebble';

const ROWS = 8;
const COLUMNS = 128;

const least = (list: number[]) => Math.min(...list);
const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] as number;
const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);

/** The same kernels, adding the time of each to `spent`. */
function timed(kernels: Kernels, spent: Record<string, number>): Kernels {
  const pairs = Object.entries(kernels).map(([name, run]) => [
    name,
    (...inputs: unknown[]) => {
      const start = processorMs();
      const result = (run as (...inputs: unknown[]) => unknown)(...inputs);
      spent[name] = (spent[name] ?? 0) + processorMs() - start;
      return result;
    },
  ]);
  return Object.fromEntries(pairs) as Kernels;
}

/** Prints the least and the median step of both versions, then the share of each op. `method` is full or lora. */
export async function measure(method = 'full', rounds = '5'): Promise<void> {
  const fail = (error: Error) => {
    throw error;
  };
  const report = await startDevice({
    requested: 'wasm',
    wasmPath: nodeWasmPath,
    onLost: fail,
    onError: fail,
  });
  const own = { ...REFERENCE, ...(await loadWasmKernels()) };
  const files = await readModelFolder(diskFolder(path.join(house, 'models/pebble-1m')));
  const model = await loadModel(files, () => {});
  const h = { ...defaultHyperparameters(), method: method as Hyperparameters['method'] };
  const learner = createLearner(model.architecture, model.weights, h);
  const optimizer = new AdamW();
  const size = ROWS * COLUMNS;
  const tokens = Array.from({ length: size }, (_, i) => (i * 7919 + 13) % model.architecture.vocabSize);
  const targets = {
    rows: Int32Array.from(tokens, (_, i) => i),
    ids: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % size] as number),
    weights: new Float32Array(size).fill(1),
  };

  const step = async () => {
    const gradients = new GradientMap();
    const tape = new Tape(gradients);
    const ids = tf.tensor1d(tokens, 'int32');
    const pass = { weights: model.weights, learner, tape, noise: null };
    const hidden = model.forward(pass, ids, { batch: ROWS, time: COLUMNS, checkpointing: false });
    const head = model.head(pass);
    const result = crossEntropy(hidden.tensor, head.tensor, targets, {
      scale: 1 / size,
      labelSmoothing: 0,
      needs: { dhidden: true, dhead: head.needsGradient },
    });
    if (result.dhead) tape.addParameterGradient(head, result.dhead);
    tape.backward(hidden, result.dhidden as tf.Tensor2D);
    await result.rowLoss.data();
    await optimizer.gradientNorm(gradients);
    optimizer.update(learner.tensors, gradients, h, 1e-5, 1);
    for (const t of [...gradients.values(), result.rowLoss, result.correct, ids]) t.dispose();
  };

  const times = { own: [] as number[], reference: [] as number[] };
  const shares: Record<string, number>[] = [];
  // The first round warms up: V8 compiles the hot loops again while they run.
  for (let round = 0; round <= Number(rounds); round++) {
    for (const [list, kernels, repeats] of [
      [times.own, own, 5],
      [times.reference, REFERENCE, 1],
    ] as const) {
      chooseKernels(kernels);
      for (let i = 0; i < repeats; i++) {
        const start = processorMs();
        await step();
        if (round > 0) list.push(processorMs() - start);
      }
    }
    const spent: Record<string, number> = {};
    chooseKernels(timed(own, spent));
    const start = processorMs();
    await step();
    spent.rest = processorMs() - start - sum(Object.values(spent));
    if (round > 0) shares.push(spent);
  }

  const show = (name: string, list: number[]) =>
    console.log(
      `${name.padEnd(10)} least ${least(list).toFixed(1)} ms, median ${median(list).toFixed(1)} ms`,
    );
  console.log(`${method}, ${ROWS} × ${COLUMNS} tokens, ${report.threads} thread(s)`);
  show('own', times.own);
  show('reference', times.reference);
  const ratios = [least, median].map((of) => (of(times.reference) / of(times.own)).toFixed(1));
  console.log(`times as fast: ${ratios[0]} (least), ${ratios[1]} (median)`);
  const total = median(shares.map((spent) => sum(Object.values(spent))));
  const names = Object.keys(shares[0] ?? {});
  const shareOf = (name: string) => median(shares.map((spent) => spent[name] ?? 0)) / total;
  for (const name of names.sort((a, b) => shareOf(b) - shareOf(a))) {
    console.log(`  ${name.padEnd(20)} ${(100 * shareOf(name)).toFixed(1)} %`);
  }
}
