// Dropout and NEFTune's noise in plain tfjs, with numbers by counter: the same on every backend, and again on the way back.
// Not here: where a model uses them (engine/model/model.ts, model/adapters.ts), the fused WGSL version (dropout.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import { dropoutMask, keyOf, uniform } from './noise';

/** Which random numbers: `key` changes with every micro-batch, `place` tells one use in the model from another. */
export interface NoiseSource {
  key: number;
  place: number;
}

/** x with each element zero with probability p, else times 1 / (1 − p). Its gradient is the same function of dy. */
export function dropout(x: tf.Tensor2D, p: number, { key, place }: NoiseSource): tf.Tensor2D {
  return tf.tidy(() => tf.mul(x, tf.tensor2d(dropoutMask(keyOf(key, place), x.size, p), x.shape)));
}

/** x + noise, uniform in [−size, size). */
export function addNoise(x: tf.Tensor2D, size: number, { key, place }: NoiseSource): tf.Tensor2D {
  return tf.tidy(() => tf.add(x, tf.tensor2d(uniform(keyOf(key, place), x.size, -size, size), x.shape)));
}
