// The embedding table in plain tfjs: rows by token id, and the gradient scattered back.
// Not here: the tied output head (crossEntropy.ts), the deterministic WGSL scatter (embedding.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from './destination';

/** table [V, D], ids [N] int32 → [N, D]. */
export function embeddingForward(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return tf.gather(table, ids);
}

/** Gradient of the table: rows of dy [N, D] summed by id → [V, D]. The reference leaves `to` unused. */
export function embeddingBackward(
  dy: tf.Tensor2D,
  ids: tf.Tensor1D,
  vocabSize: number,
  _to: Destination | null = null,
): tf.Tensor2D {
  return tf.tidy(() => tf.scatterND(tf.reshape(ids, [-1, 1]), dy, [vocabSize, dy.shape[1]]) as tf.Tensor2D);
}
