// The embedding table in plain tfjs: rows by token id, scaled, with learned positions where a model has them; and the gradients of both.
// Not here: the tied output head (crossEntropy/crossEntropy.ts), the deterministic WGSL scatter (embedding.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';

/** Learned positions: table [P, D], and the position of each row [N] int32. */
export interface Positions {
  table: tf.Tensor2D;
  places: tf.Tensor1D;
}

/** Inputs of the backward pass. Without `positions` those are not learned. */
export interface EmbeddingBackward {
  dy: tf.Tensor2D; // [N, D]
  ids: tf.Tensor1D; // [N] int32
  scale: number;
  vocabSize: number;
  /** Row i is at position i % time of `count`. */
  positions: { time: number; places: tf.Tensor1D; count: number } | null;
  needs: { table: boolean; positions: boolean };
  /** Destinations of the gradients. The reference does not use them. */
  to: { table: Destination | null; positions: Destination | null };
}

export interface EmbeddingGradients {
  table: tf.Tensor2D | null; // [V, D]
  positions: tf.Tensor2D | null; // [P, D]
}

/** scale·table[ids] + positions. table [V, D], ids [N] int32 → [N, D]. */
export type EmbeddingForwardOp = (
  table: tf.Tensor2D,
  ids: tf.Tensor1D,
  scale: number,
  positions: Positions | null,
) => tf.Tensor2D;
export type EmbeddingBackwardOp = (inputs: EmbeddingBackward) => EmbeddingGradients;

/** Both ops from two parts: `fetch` reads rows by id, `addUp` sums rows of dy by id into [count, D]. */
export function composeEmbedding(
  fetch: (table: tf.Tensor2D, ids: tf.Tensor1D) => tf.Tensor2D,
  addUp: (dy: tf.Tensor2D, ids: tf.Tensor1D, count: number) => tf.Tensor2D,
): { embeddingForward: EmbeddingForwardOp; embeddingBackward: EmbeddingBackwardOp } {
  return {
    embeddingForward: (table, ids, scale, positions) =>
      tf.tidy(() => {
        const rows = fetch(table, ids);
        const scaled = scale === 1 ? rows : tf.mul(rows, scale);
        return (positions ? tf.add(scaled, fetch(positions.table, positions.places)) : scaled) as tf.Tensor2D;
      }),
    embeddingBackward: ({ dy, ids, scale, vocabSize, positions, needs }) => {
      const table = needs.table
        ? tf.tidy(() => addUp((scale === 1 ? dy : tf.mul(dy, scale)) as tf.Tensor2D, ids, vocabSize))
        : null;
      const own = needs.positions && positions ? addUp(dy, positions.places, positions.count) : null;
      return { table, positions: own };
    },
  };
}

export const { embeddingForward, embeddingBackward } = composeEmbedding(
  (table, ids) => tf.gather(table, ids),
  (dy, ids, count) =>
    tf.tidy(() => tf.scatterND(tf.reshape(ids, [-1, 1]), dy, [count, dy.shape[1]]) as tf.Tensor2D),
);
