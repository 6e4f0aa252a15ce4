// Rows as batches of the shapes that a model and a device take, and the positions of a batch that have a target.
// Not here: padding and shifting itself (data/batches.ts), what is computed with a batch (step.ts, evaluate.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../../contract';
import { bucketed, coarselyBucketed, makeBatch } from '../../data/batches';
import { capturable, type Targets } from '../kernels';
import type { Model } from '../model/model';

/** Rows as a batch for this model. Lengths are rounded up, so that masks, pipelines, buffers and graphs are made for few shapes. */
export function toBatch(model: Model, rows: readonly EncodedExample[]): Batch {
  const longest = rows.reduce((most, row) => Math.max(most, row.ids.length), 1);
  return makeBatch(rows, padOf(model), { columns: widthOf(longest, model.architecture.contextLength) });
}

/** Width of a batch whose longest row has so many tokens. */
export function widthOf(longest: number, contextLength: number): number {
  return (capturable() ? coarselyBucketed : bucketed)(longest, MIN_WIDTH, contextLength);
}

/** Columns of the narrowest batch. */
const MIN_WIDTH = 16;

/** The id that fills short rows. Its value has no effect: padding lies after every real token, and is never a target. */
function padOf(model: Model): number {
  const { padTokenId, eosTokenIds, vocabSize } = model.architecture;
  return [padTokenId, ...eosTokenIds].find((id) => id !== null && id < vocabSize) ?? 0;
}

/** Number of target tokens of these rows. The first token of a row is never one: nothing before it predicts it. */
export function targetTokens(rows: readonly EncodedExample[]): number {
  return rows.reduce((sum, { mask }) => sum + mask.subarray(1).reduce((n, bit) => n + bit, 0), 0);
}

/** Targets of the smallest padded list. */
const MIN_TARGETS = 32;

/** Positions of a batch that have a target; entries of weight 0 fill the list up to one of few sizes. `real`: how many have a weight. */
export function targetsOf(batch: Batch): Targets & { real: number } {
  let real = 0;
  for (const t of batch.targets) if (t >= 0) real++;
  const size = capturable()
    ? coarselyBucketed(real, MIN_TARGETS, batch.targets.length)
    : bucketed(Math.max(1, real), MIN_TARGETS);
  const targets = {
    rows: new Int32Array(size),
    ids: new Int32Array(size),
    weights: new Float32Array(size),
    real,
  };
  let at = 0;
  for (let i = 0; i < batch.targets.length; i++) {
    const id = batch.targets[i] as number;
    if (id < 0) continue;
    targets.rows[at] = i;
    targets.ids[at] = id;
    targets.weights[at] = batch.weights[i] as number;
    at++;
  }
  return targets;
}

/**
 * Target rows whose logits are computed in one piece: about 2^28 multiplications, a tenth of a second on a slow processor. A GPU computes
 * all in one piece: its work does not block this thread.
 */
export function targetsPerPiece(head: tf.Tensor2D): number {
  return capturable() ? Number.MAX_SAFE_INTEGER : Math.max(64, Math.floor(2 ** 28 / head.size));
}

/** Targets [start, start + size). */
export function partOf({ rows, ids, weights }: Targets, start: number, size: number): Targets {
  const end = start + size;
  return {
    rows: rows.subarray(start, end),
    ids: ids.subarray(start, end),
    weights: weights.subarray(start, end),
  };
}
