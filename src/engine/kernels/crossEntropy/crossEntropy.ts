// Cross-entropy straight from the last hidden states, value and gradient together, in chunks that never hold all logits.
// Not here: which tokens count (data/tokens/chat.ts), the fused WGSL version (crossEntropy.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';
import { product } from '../matmul/matmul';

/** The target positions of a batch, gathered: padding rows point at row 0 with weight 0. */
export interface Targets {
  /** Row of `hidden` that predicts the target. */
  rows: Int32Array; // [M]
  ids: Int32Array; // [M]
  weights: Float32Array; // [M]
}

export interface CrossEntropyOptions {
  /** Multiplies the gradient: 1 / (target weight of the whole update), so that accumulation averages over tokens. */
  scale: number;
  labelSmoothing: number;
  needs: { dhidden: boolean; dhead: boolean };
  /** Destination of the head's gradient. The reference does not use it. */
  headTo?: Destination | null;
  /** Scalar that scale·Σ weight·loss is written or added to, without waiting for it. Fused version with a gradient only. */
  lossTo?: Destination | null;
}

export interface CrossEntropyResult {
  /** Unscaled loss of each target, in nats. [M] */
  rowLoss: tf.Tensor1D;
  /** 1 where the most likely token is the target. [M] */
  correct: tf.Tensor1D;
  dhidden: tf.Tensor2D | null; // [N, D]
  dhead: tf.Tensor2D | null; // [V, D]
}

/**
 * No cross-entropy is below zero, but f32 may round one to a little less: logits of 1e4 are known to 1e-3. Below this, in nats a target,
 * the numbers are wrong (a target's id beyond the table, for one).
 */
export const MIN_LOSS = -0.01;

const CHUNK_BYTES = 32 * 2 ** 20;

/**
 * hidden [N, D], head [V, D]. loss = logsumexp(z) − z[target]; with smoothing e it is
 * (1 − e)·nll + e·mean(−log p), as in torch.nn.CrossEntropyLoss.
 * dz = weight·scale·(softmax(z) − (1 − e)·onehot − e/V).
 */
export function crossEntropy(
  hidden: tf.Tensor2D,
  head: tf.Tensor2D,
  targets: Targets,
  options: CrossEntropyOptions,
): CrossEntropyResult {
  const vocabSize = head.shape[0];
  const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / (4 * vocabSize)));
  const { needs } = options;
  return tf.tidy(() => {
    const losses: tf.Tensor1D[] = [];
    const hits: tf.Tensor1D[] = [];
    let dhidden: tf.Tensor2D | null = null;
    let dhead: tf.Tensor2D | null = null;
    for (let start = 0; start < targets.ids.length; start += chunkRows) {
      const chunk = slice(targets, start, start + chunkRows);
      const result = tf.tidy(() => chunkOf(hidden, head, chunk, options) as unknown as tf.TensorContainer);
      const part = result as unknown as CrossEntropyResult;
      losses.push(part.rowLoss);
      hits.push(part.correct);
      if (needs.dhidden) dhidden = dhidden ? tf.add(dhidden, part.dhidden as tf.Tensor2D) : part.dhidden;
      if (needs.dhead) dhead = dhead ? tf.add(dhead, part.dhead as tf.Tensor2D) : part.dhead;
    }
    const join = (parts: tf.Tensor1D[]) => (parts.length === 1 ? parts[0] : tf.concat(parts, 0));
    return { rowLoss: join(losses), correct: join(hits), dhidden, dhead } as unknown as tf.TensorContainer;
  }) as unknown as CrossEntropyResult;
}

function slice(targets: Targets, from: number, to: number): Targets {
  return {
    rows: targets.rows.slice(from, to),
    ids: targets.ids.slice(from, to),
    weights: targets.weights.slice(from, to),
  };
}

function chunkOf(
  hidden: tf.Tensor2D,
  head: tf.Tensor2D,
  targets: Targets,
  { scale, labelSmoothing, needs }: CrossEntropyOptions,
): CrossEntropyResult {
  const count = targets.ids.length;
  const vocabSize = head.shape[0];
  const rows = tf.tensor1d(targets.rows, 'int32');
  const states = tf.gather(hidden, rows); // [M, D]
  const logits = product(states, head, false, true) as tf.Tensor2D; // [M, V]
  const top = tf.max(logits, 1, true);
  const exps = tf.exp(tf.sub(logits, top));
  const sums = tf.sum(exps, 1, true); // [M, 1]
  const logSumExp = tf.reshape(tf.add(tf.log(sums), top), [count]);
  const places = new Int32Array(2 * count);
  for (let i = 0; i < count; i++) {
    places[2 * i] = i;
    places[2 * i + 1] = targets.ids[i] as number;
  }
  const chosen = tf.gatherND(logits, tf.tensor2d(places, [count, 2], 'int32')); // [M]
  const ids = tf.tensor1d(targets.ids, 'int32');
  const correct = tf.cast(tf.equal(tf.argMax(logits, 1), ids), 'float32') as tf.Tensor1D;
  let rowLoss = tf.sub(logSumExp, chosen) as tf.Tensor1D;
  if (labelSmoothing > 0) {
    const spread = tf.sub(logSumExp, tf.mean(logits, 1));
    rowLoss = tf.add(tf.mul(rowLoss, 1 - labelSmoothing), tf.mul(spread, labelSmoothing)) as tf.Tensor1D;
  }
  let dhidden: tf.Tensor2D | null = null;
  let dhead: tf.Tensor2D | null = null;
  if (needs.dhidden || needs.dhead) {
    const weight = tf.reshape(tf.tensor1d(targets.weights.map((w) => w * scale)), [count, 1]);
    // The wasm backend's oneHot knows whole numbers only, so smoothing is applied to its 0 and 1.
    const hot = tf.cast(tf.oneHot(ids, vocabSize), 'float32');
    const wanted =
      labelSmoothing > 0 ? tf.add(tf.mul(hot, 1 - labelSmoothing), labelSmoothing / vocabSize) : hot;
    const dlogits = tf.mul(tf.sub(tf.div(exps, sums), wanted), weight) as tf.Tensor2D;
    if (needs.dhidden) {
      const dstates = product(dlogits, head);
      dhidden = tf.scatterND(tf.reshape(rows, [count, 1]), dstates, hidden.shape) as tf.Tensor2D;
    }
    if (needs.dhead) dhead = product(dlogits, states, true, false) as tf.Tensor2D;
  }
  return { rowLoss, correct, dhidden, dhead };
}
