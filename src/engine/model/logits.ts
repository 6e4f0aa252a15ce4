// The logits of one sequence at its last positions, to compare two models.
// Not here: losses (training/evaluate.ts), generation with a cache (generation/).

import * as tf from '@tensorflow/tfjs-core';
import { asFloat32 } from '../kernels';
import { product } from '../kernels/matmul/matmul';
import type { Learner } from './adapters';
import type { Model } from './model';

/**
 * Logits after each of the last `count` tokens, in evaluation mode and without a cache.
 * @param ids at least `count`, at most the context
 * @returns [count · V]
 */
export async function lastLogits(
  model: Model,
  learner: Learner | null,
  ids: readonly number[],
  count: number,
): Promise<Float32Array> {
  const logits = tf.tidy(() => {
    const pass = { weights: model.weights, learner, tape: null, noise: null };
    const input = tf.tensor1d(Int32Array.from(ids), 'int32');
    const hidden = model.forward(pass, input, { batch: 1, time: ids.length, checkpointing: false });
    const last = tf.slice2d(hidden.tensor as tf.Tensor2D, [ids.length - count, 0], [count, -1]);
    return product(last, asFloat32(model.head(pass).tensor) as tf.Tensor2D, false, true);
  });
  try {
    return (await logits.data()) as Float32Array;
  } finally {
    logits.dispose();
  }
}
