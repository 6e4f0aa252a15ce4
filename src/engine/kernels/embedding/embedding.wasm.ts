// The embedding table on the wasm backend; its gradient adds rows in order, so the sum is the same every time.
// Not here: the plain reference (embedding.ts), the tied output head (crossEntropy/crossEntropy.wasm.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { at, empty, simd, zeros } from '../wasm/memory.wasm';
import { composeEmbedding } from './embedding';

function fetchRows(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  const [vocabSize, width] = table.shape;
  const rows = ids.size;
  const y = empty<tf.Tensor2D>([rows, width]);
  simd().gatherRows(at(y), at(table), at(ids), rows, width, vocabSize);
  return y;
}

function addUpRows(dy: tf.Tensor2D, ids: tf.Tensor1D, vocabSize: number): tf.Tensor2D {
  const [rows, width] = dy.shape;
  const table = zeros<tf.Tensor2D>([vocabSize, width]);
  simd().scatterAddRows(at(table), at(dy), at(ids), rows, width, vocabSize);
  return table;
}

/** `embeddingForward` and `embeddingBackward` of embedding.ts. */
export const { embeddingForward: embeddingForwardSimd, embeddingBackward: embeddingBackwardSimd } =
  composeEmbedding(fetchRows, addUpRows);
