// Dropout and NEFTune's noise in plain tfjs, with counter-based random numbers: the same on every backend, and again in the backward pass.
// Not here: where a model uses them (engine/model/model.ts, model/adapters.ts), the fused WGSL version (dropout.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import { dropoutMask, keyOf, uniform } from './noise';

/** Seeds the random numbers: `key` changes with every micro-batch, `place` identifies the use in the model. */
export interface NoiseSource {
  key: number;
  place: number;
}

/** x with each element zero with probability p, else times 1 / (1 − p). Its gradient is the same function of dy. */
export function dropout(x: tf.Tensor2D, p: number, { key, place }: NoiseSource): tf.Tensor2D {
  return tf.tidy(() => tf.mul(x, tf.tensor2d(dropoutMask(keyOf(key, place), x.size, p), x.shape)));
}

/** x + noise, uniform in [−size, size) (NEFTune, Jain et al. 2023). */
export function addNoise(x: tf.Tensor2D, size: number, { key, place }: NoiseSource): tf.Tensor2D {
  return tf.tidy(() => tf.add(x, tf.tensor2d(uniform(keyOf(key, place), x.size, -size, size), x.shape)));
}
