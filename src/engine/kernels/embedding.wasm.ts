// The gradient of the embedding table on the wasm backend: rows added one after the other, so the sum is the same every time.
// Not here: the plain reference (embedding.ts), the tied output head (crossEntropy.wasm.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { at, simd, zeros } from './memory.wasm';

/** `embeddingBackward` of embedding.ts. */
export function embeddingBackwardSimd(dy: tf.Tensor2D, ids: tf.Tensor1D, vocabSize: number): tf.Tensor2D {
  const [rows, width] = dy.shape;
  const table = zeros<tf.Tensor2D>([vocabSize, width]);
  simd().scatterAddRows(at(table), at(dy), at(ids), rows, width, vocabSize);
  return table;
}
