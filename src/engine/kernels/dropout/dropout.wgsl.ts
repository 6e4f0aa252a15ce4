// Dropout and NEFTune's noise on WebGPU: random numbers are computed where they are used and never stored.
// Not here: the same numbers on the CPU (noise.ts), the plain reference (dropout.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { kernel } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import type { NoiseSource } from './dropout';

const THREADS = 256;

// The number of element i is hash(key, i), so backward computes the forward's mask again from the key and nothing is saved. The hash is
// "lowbias32" (C. Wellons 2018), as in noise.ts.
const declare = `
fn hash(x: u32) -> u32 {
  var h = (x ^ (x >> 16u)) * 0x7feb352du;
  h = (h ^ (h >> 15u)) * 0x846ca68bu;
  return h ^ (h >> 16u);
}
fn random(i: u32) -> u32 {
  let key = hash(hash(0x243f6a88u ^ hash(live.noiseKey + 0x9e3779b9u)) ^ hash(u.place + 0x9e3779b9u));
  return hash(key ^ (i * 0x9e3779b1u));
}`;

const drop = kernel({
  name: 'dropout',
  inputs: { x: 'f32' },
  outputs: { y: 'f32' },
  uniforms: { size: 'u32', place: 'u32', threshold: 'u32', kept: 'f32' },
  live: { noiseKey: 'u32' },
  workgroup: THREADS,
  declare,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  y[i] = select(x[i] * u.kept, 0.0, random(i) < u.threshold);`,
});

const noise = kernel({
  name: 'add_noise',
  inputs: { x: 'f32' },
  outputs: { y: 'f32' },
  uniforms: { size: 'u32', place: 'u32', width: 'f32' },
  live: { noiseKey: 'u32' },
  workgroup: THREADS,
  declare,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  y[i] = x[i] + (f32(random(i)) / 4294967296.0 * 2.0 - 1.0) * u.width;`,
});

/** `dropout` in one dispatch. The key is a live uniform, so a captured step drops other elements at every replay. */
export function dropoutFused(x: tf.Tensor2D, p: number, { key, place }: NoiseSource): tf.Tensor2D {
  const y = empty<tf.Tensor2D>(x.shape);
  const threshold = Math.min(2 ** 32 - 1, Math.ceil(p * 2 ** 32));
  const numbers = { size: x.size, place: place >>> 0, threshold, kept: 1 / (1 - p), noiseKey: key >>> 0 };
  dispatch(drop, { x, y }, numbers, Math.ceil(x.size / THREADS));
  return y;
}

/** `addNoise` in one dispatch. */
export function addNoiseFused(x: tf.Tensor2D, size: number, { key, place }: NoiseSource): tf.Tensor2D {
  const y = empty<tf.Tensor2D>(x.shape);
  const numbers = { size: x.size, place: place >>> 0, width: size, noiseKey: key >>> 0 };
  dispatch(noise, { x, y }, numbers, Math.ceil(x.size / THREADS));
  return y;
}
