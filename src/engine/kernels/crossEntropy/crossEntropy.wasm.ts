// Cross-entropy on the wasm backend: logits of one chunk at a time, overwritten with their gradients.
// Not here: the plain reference (crossEntropy.ts), the loops (wasm/assembly/crossEntropy.ts).

import * as tf from '@tensorflow/tfjs-core';
import { multiply } from '../matmul/matmul.wasm';
import { at, empty, runShares, shares, simd, zeros } from '../wasm/memory.wasm';
import type { CrossEntropyOptions, CrossEntropyResult, Targets } from './crossEntropy';

// Chunk by chunk of target rows: gather, logits = rows · headᵀ, then each row of logits gives its loss and is overwritten with its gradient,
// then two products for dhead and dhidden. Memory: one chunk of logits and of states.

/** Bytes of logits held at once: enough rows that repacking the head for each chunk costs little. */
const CHUNK_BYTES = 8 * 2 ** 20;
const MIN_ROWS = 64;

/** Cost of one logit's exponential, in multiplications. */
const WORK = 8;

/** `crossEntropy` of crossEntropy.ts. */
export function crossEntropySimd(
  hidden: tf.Tensor2D,
  head: tf.Tensor2D,
  targets: Targets,
  { scale, labelSmoothing, needs }: CrossEntropyOptions,
): CrossEntropyResult {
  return tf.tidy(() => {
    const [vocabSize, width] = head.shape;
    const count = targets.ids.length;
    const rowLoss = empty<tf.Tensor1D>([count]);
    const correct = empty<tf.Tensor1D>([count]);
    const dhidden = needs.dhidden ? zeros<tf.Tensor2D>([hidden.shape[0], width]) : null;
    const dhead = needs.dhead ? zeros<tf.Tensor2D>([vocabSize, width]) : null;
    const gradients = needs.dhidden || needs.dhead;
    const rows = tf.tensor1d(targets.rows, 'int32');
    const ids = tf.tensor1d(targets.ids, 'int32');
    const weights = tf.tensor1d(targets.weights.map((w) => w * scale));
    const chunk = Math.min(count, Math.max(MIN_ROWS, Math.floor(CHUNK_BYTES / (4 * vocabSize))));
    const states = empty([chunk, width]);
    const logits = empty([chunk, vocabSize]);
    const { gatherRows, scatterAddRows } = simd();
    for (let start = 0; start < count; start += chunk) {
      const size = Math.min(chunk, count - start);
      const offset = 4 * start;
      gatherRows(at(states), at(hidden), at(rows) + offset, size, width, hidden.shape[0]);
      multiply(
        [size, vocabSize, width],
        { at: at(states) },
        { at: at(head), transposed: true },
        { at: at(logits) },
      );
      const [z, id, weight, loss, hit] = [at(logits), at(ids), at(weights), at(rowLoss), at(correct)];
      const parts = shares(size, 1, size * vocabSize * WORK);
      runShares('crossEntropyRows', parts, ({ start: first, size: count }) => {
        const skip = offset + 4 * first;
        const row = z + 4 * first * vocabSize;
        return [
          row,
          id + skip,
          weight + skip,
          loss + skip,
          hit + skip,
          count,
          vocabSize,
          labelSmoothing,
          gradients,
        ];
      });
      if (dhead)
        multiply(
          [vocabSize, width, size],
          { at: at(logits), transposed: true },
          { at: at(states) },
          { at: at(dhead), add: true },
        );
      if (dhidden) {
        multiply([size, width, vocabSize], { at: at(logits) }, { at: at(head) }, { at: at(states) });
        scatterAddRows(at(dhidden), at(states), at(rows) + offset, size, width, hidden.shape[0]);
      }
    }
    return { rowLoss, correct, dhidden, dhead } as unknown as tf.TensorContainer;
  }) as unknown as CrossEntropyResult;
}
