// How long one update of the shipped model takes on the wasm backend, by number of threads: `node test/bench/run.mjs threads full 2 8 128`.
// Not here: the threads themselves (src/engine/kernels/wasm/threads.wasm.ts), one thread by op (step.ts).

import { nodeThreads } from '../../src/cli/threads';
import { startDevice } from '../../src/engine/device/device';
import { chooseKernels } from '../../src/engine/kernels';
import { loadWasmKernels } from '../../src/engine/kernels/wasm/kernels.wasm';
import { defaultHyperparameters, type Hyperparameters } from '../../src/hyperparameters';
import { nodeWasmPath } from '../setup-node-webgpu';
import { openPebble, pebbleTrainer, processorMs } from './pebble';

const UPDATES = 4;

/** Prints, for 1 to `most` threads, the least and the median on the clock with the ratio to one thread, and the processor time of all. */
export async function measure(
  method = 'full',
  most = '2',
  rows = '8',
  columns = '128',
  rounds = '5',
): Promise<void> {
  const fail = (error: Error) => {
    throw error;
  };
  const threads = nodeThreads(Number(most));
  const report = await startDevice({
    requested: 'wasm',
    wasmPath: nodeWasmPath,
    threads,
    onLost: fail,
    onError: fail,
  });
  const model = await openPebble();
  const h: Hyperparameters = {
    ...defaultHyperparameters(),
    method: method as Hyperparameters['method'],
    batch_size: Number(rows),
  };
  const counts = Array.from({ length: report.threads }, (_, i) => i + 1);
  const times = counts.map(() => [] as number[]);
  const worked = counts.map(() => [] as number[]);
  const trainer = pebbleTrainer(model, h, Number(columns), 1);
  // The first round warms up: V8 compiles the hot loops again while they run.
  for (let round = 0; round <= Number(rounds); round++) {
    for (const [i, count] of counts.entries()) {
      chooseKernels(await loadWasmKernels(nodeThreads(count)));
      for (let update = 0; update <= UPDATES; update++) {
        const [start, before] = [performance.now(), processorMs()];
        for await (const _ of trainer.rehearse());
        if (round === 0 || update === 0) continue;
        times[i]?.push(performance.now() - start);
        worked[i]?.push(processorMs() - before);
      }
    }
  }
  const least = times.map((list) => Math.min(...list));
  const median = times.map((list) => [...list].sort((a, b) => a - b)[list.length >> 1] as number);
  console.log(`${method}, ${rows} × ${columns} tokens, forward and backward`);
  for (const [i, count] of counts.entries()) {
    const ratios = [least, median].map((of) => ((of[0] as number) / (of[i] as number)).toFixed(2));
    console.log(
      `${count} thread(s): least ${least[i]?.toFixed(1)} ms (× ${ratios[0]}), median ${median[i]?.toFixed(1)} ms (× ${ratios[1]}); ` +
        `processor least ${Math.min(...(worked[i] ?? [])).toFixed(1)} ms`,
    );
  }
}
