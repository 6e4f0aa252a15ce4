// Dropout by counter on WebGPU: the mask is computed where it is used, from a key and the element's index, and never stands in memory.
// Not here: the same numbers on the CPU, and how keys are made (engine/noise.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { dispatch, empty, kernel } from './program';

const THREADS = 256;

const program = kernel({
  name: 'dropout',
  inputs: { x: 'f32' },
  outputs: { y: 'f32' },
  uniforms: { size: 'u32', place: 'u32', threshold: 'u32', kept: 'f32' },
  live: { noiseKey: 'u32' },
  workgroup: THREADS,
  declare: `
// "lowbias32" (C. Wellons 2018), as in engine/noise.ts.
fn hash(x: u32) -> u32 {
  var h = (x ^ (x >> 16u)) * 0x7feb352du;
  h = (h ^ (h >> 15u)) * 0x846ca68bu;
  return h ^ (h >> 16u);
}`,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  let key = hash(hash(0x243f6a88u ^ hash(live.noiseKey + 0x9e3779b9u)) ^ hash(u.place + 0x9e3779b9u));
  y[i] = select(x[i] * u.kept, 0.0, hash(key ^ (i * 0x9e3779b1u)) < u.threshold);`,
});

/**
 * x with each element zero with probability p, else times 1 / (1 − p): the elements that `dropoutMask(keyOf(noiseKey, place), …)` of
 * engine/noise.ts drops. Its gradient is the same function of dy. `noiseKey` is a live value; `place` tells one use from another.
 */
export function dropoutFused<T extends tf.Tensor>(x: T, p: number, noiseKey: number, place: number): T {
  const y = empty<T>(x.shape);
  const threshold = Math.min(2 ** 32 - 1, Math.ceil(p * 2 ** 32));
  const numbers = {
    size: x.size,
    place: place >>> 0,
    threshold,
    kept: 1 / (1 - p),
    noiseKey: noiseKey >>> 0,
  };
  dispatch(program, { x, y }, numbers, Math.ceil(x.size / THREADS));
  return y;
}
