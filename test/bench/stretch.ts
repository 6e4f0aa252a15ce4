// How long the worker is away at most between two looks at its stop flag, on the wasm backend: `node test/bench/run.mjs stretch lora 8 256`.
// Not here: the looks themselves (src/session/run.ts), where the engine breathes (src/engine/training/train.ts).

import { nodeThreads } from '../../src/cli/threads';
import { startDevice } from '../../src/engine/device/device';
import { defaultHyperparameters, type Hyperparameters } from '../../src/hyperparameters';
import { nodeWasmPath } from '../setup-node-webgpu';
import { openPebble, pebbleTrainer, processorMs } from './pebble';

/** Prints the longest stretches of a run of the shipped model, by what the engine says it was doing. The first update warms up. */
export async function measure(
  method = 'lora',
  rows = '8',
  columns = '256',
  threads = '1',
  updates = '6',
): Promise<void> {
  const fail = (error: Error) => {
    throw error;
  };
  const report = await startDevice({
    requested: 'wasm',
    wasmPath: nodeWasmPath,
    threads: nodeThreads(Number(threads)),
    onLost: fail,
    onError: fail,
  });
  const model = await openPebble();
  const h: Hyperparameters = {
    ...defaultHyperparameters(),
    method: method as Hyperparameters['method'],
    batch_size: Number(rows),
    num_train_epochs: 1,
    eval_per_epoch: 2,
  };
  const trainer = pebbleTrainer(model, h, Number(columns), Number(updates));
  const stretches = new Map<string, { clock: number[]; processor: number[] }>();
  let [clock, processor] = [performance.now(), processorMs()];
  for await (const event of trainer.run()) {
    const kind = event.kind === 'yield' ? event.during : event.kind;
    const list = stretches.get(kind) ?? { clock: [], processor: [] };
    if (trainer.step > 0) {
      list.clock.push(performance.now() - clock);
      list.processor.push(processorMs() - processor);
    }
    stretches.set(kind, list);
    await new Promise((resolve) => setImmediate(resolve));
    [clock, processor] = [performance.now(), processorMs()];
  }
  trainer.dispose();
  console.log(
    `${method}, ${rows} × ${columns} tokens, ${report.threads} thread(s), ms (least / median / most of each kind)`,
  );
  for (const [kind, times] of stretches) {
    const show = (list: number[]) => {
      const sorted = [...list].sort((a, b) => a - b);
      return [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map((ms) => ms?.toFixed(0)).join(' / ');
    };
    console.log(`  until ${kind.padEnd(11)} clock ${show(times.clock)}, processor ${show(times.processor)}`);
  }
}
