// Processor time of one update of the shipped model on the wasm backend, its kernels without and with relaxed SIMD: `node test/bench/run.mjs builds full 8 128`.
// Not here: numbers of threads (threads.ts), one op beside its reference (step.ts).

import { setFlagsFromString } from 'node:v8';
import { startDevice } from '../../src/engine/device/device';
import { chooseKernels } from '../../src/engine/kernels';
import { loadWasmKernels } from '../../src/engine/kernels/wasm/kernels.wasm';
import { isRelaxed } from '../../src/engine/kernels/wasm/memory.wasm';
import { defaultHyperparameters, type Hyperparameters } from '../../src/hyperparameters';
import { nodeWasmPath } from '../setup-node-webgpu';
import { openPebble, pebbleTrainer, processorMs } from './pebble';

const UPDATES = 4;

/** Prints, for both builds in turn in one process, the least and the median processor time of an update, and the ratios. One thread. */
export async function measure(
  method = 'full',
  rows = '8',
  columns = '128',
  rounds = '9',
  model = 'pebble-1m',
): Promise<void> {
  const fail = (error: Error) => {
    throw error;
  };
  await startDevice({
    requested: 'wasm',
    wasmPath: nodeWasmPath,
    threads: null,
    onLost: fail,
    onError: fail,
  });
  const base = await openPebble(model);
  const h: Hyperparameters = {
    ...defaultHyperparameters(),
    method: method as Hyperparameters['method'],
    batch_size: Number(rows),
  };
  const trainer = pebbleTrainer(base, h, Number(columns), 1);
  const times: [number[], number[]] = [[], []];
  // The first round warms up: V8 compiles the hot loops again while they run.
  for (let round = 0; round <= Number(rounds); round++) {
    for (const relaxed of [false, true]) {
      setFlagsFromString(`--${relaxed ? '' : 'no-'}experimental-wasm-relaxed-simd`);
      chooseKernels(await loadWasmKernels(null));
      if (isRelaxed() !== relaxed) throw new Error('This Node does not let its relaxed SIMD be switched.');
      for (let update = 0; update <= UPDATES; update++) {
        const before = processorMs();
        for await (const _ of trainer.rehearse());
        if (round > 0 && update > 0) times[Number(relaxed)]?.push(processorMs() - before);
      }
    }
  }
  const of = (list: number[]) => {
    const sorted = [...list].sort((a, b) => a - b);
    return { least: sorted[0] as number, median: sorted[sorted.length >> 1] as number };
  };
  const [plain, relaxed] = [of(times[0]), of(times[1])];
  console.log(`${model}, ${method}, ${rows} × ${columns} tokens, forward and backward, one thread`);
  console.log(`plain:   least ${plain.least.toFixed(1)} ms, median ${plain.median.toFixed(1)} ms`);
  console.log(
    `relaxed: least ${relaxed.least.toFixed(1)} ms (× ${(plain.least / relaxed.least).toFixed(2)}), median ${relaxed.median.toFixed(1)} ms (× ${(plain.median / relaxed.median).toFixed(2)})`,
  );
}
