// The thread that tries cases one after another and tells which one it is at, so that the thread beside it can end it.
// Not here: the command (fuzz.mjs), a single case (loop.ts).

import { parentPort, workerData } from 'node:worker_threads';
import { drawCase, tryCase } from './loop';
import type { TargetName } from './targets';

const { from, to, targets, at } = workerData as {
  from: number;
  to: number;
  targets: TargetName[] | undefined;
  /** [the seed that is tried] */
  at: Int32Array;
};

for (let seed = from; seed < to; seed++) {
  Atomics.store(at, 0, seed);
  const drawn = drawCase(seed, targets);
  let outcome = await tryCase(drawn);
  // Once more where it was only slow: the first case of a kind compiles what it runs.
  if (outcome.fault?.startsWith('took')) outcome = await tryCase(drawn);
  parentPort?.postMessage({
    seed,
    target: drawn.target,
    ...outcome,
    ...(outcome.fault && { files: drawn.files }),
  });
}
