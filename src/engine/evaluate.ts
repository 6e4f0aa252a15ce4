// The loss over a whole set of rows, in evaluation mode: no noise, no gradient, weighted by target tokens.
// Not here: the training loss (train.ts), when to evaluate (train.ts), what it means (metrics/diagnosis.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../contract';
import { makeBatch } from '../data/batches';
import type { Learner } from './adapters';
import { crossEntropy, type Targets } from './kernels';
import type { Model } from './model';

export interface RowLoss {
  line: number;
  /** Sum over the row's targets, in nats. */
  lossSum: number;
  targets: number;
  correct: number;
}

export interface Evaluation {
  /** Mean loss per target token, in nats. */
  loss: number;
  meanTokenAccuracy: number;
  /** Standard error of `loss` with rows as the unit of chance: √Σ(sᵢ − L·nᵢ)² / Σnᵢ. */
  standardError: number;
  targets: number;
  rows: RowLoss[];
}

const TARGET_MULTIPLE = 32; // few distinct counts keep the GPU's buffer pool and pipelines small

/** Positions of a batch that have a target, padded with weightless entries so that few distinct sizes occur. */
export function targetsOf(batch: Batch): Targets & { real: number } {
  let real = 0;
  for (const t of batch.targets) if (t >= 0) real++;
  const size = Math.max(TARGET_MULTIPLE, Math.ceil(real / TARGET_MULTIPLE) * TARGET_MULTIPLE);
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
 * Evaluate `encoded` with the base model (`learner` null) or the tuned one. Yields between batches, so that the caller can breathe or
 * give up (calling `return` on the generator frees everything).
 */
export async function* evaluate(
  model: Model,
  learner: Learner | null,
  encoded: readonly EncodedExample[],
  batchSize: number,
): AsyncGenerator<void, Evaluation> {
  const rows: RowLoss[] = [];
  // Rows of like length share a batch: less padding.
  const order = [...encoded].sort((a, b) => a.ids.length - b.ids.length);
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = makeBatch(order.slice(start, start + batchSize), padOf(model), bucketOf(model));
    rows.push(...(await rowLosses(model, learner, batch)));
    yield;
  }
  rows.sort((a, b) => a.line - b.line);
  return summary(rows);
}

async function rowLosses(model: Model, learner: Learner | null, batch: Batch): Promise<RowLoss[]> {
  const targets = targetsOf(batch);
  const rows = batch.lines.map((line) => ({ line, lossSum: 0, targets: 0, correct: 0 }));
  if (targets.real === 0) return rows;
  const result = tf.tidy(() => {
    const pass = { weights: model.weights, learner, tape: null, noise: null };
    const ids = tf.tensor1d(batch.ids, 'int32');
    const hidden = model.forward(pass, ids, { batch: batch.rows, time: batch.columns, checkpointing: false });
    const { rowLoss, correct } = crossEntropy(hidden.tensor, model.head(pass).tensor, targets, {
      scale: 1,
      labelSmoothing: 0,
      needs: { dhidden: false, dhead: false },
    });
    return tf.stack([rowLoss, correct]);
  });
  const values = await result.data();
  result.dispose();
  const count = targets.ids.length;
  for (let i = 0; i < targets.real; i++) {
    const row = rows[Math.floor((targets.rows[i] as number) / batch.columns)] as RowLoss;
    row.lossSum += values[i] as number;
    row.correct += values[count + i] as number;
    row.targets += 1;
  }
  return rows;
}

export function summary(rows: RowLoss[]): Evaluation {
  let lossSum = 0;
  let correct = 0;
  let targets = 0;
  for (const r of rows) {
    lossSum += r.lossSum;
    correct += r.correct;
    targets += r.targets;
  }
  const loss = targets > 0 ? lossSum / targets : Number.NaN;
  let squares = 0;
  for (const r of rows) squares += (r.lossSum - loss * r.targets) ** 2;
  return {
    loss,
    meanTokenAccuracy: targets > 0 ? correct / targets : Number.NaN,
    standardError: targets > 0 ? Math.sqrt(squares) / targets : Number.NaN,
    targets,
    rows,
  };
}

/** Standard error of `now.loss − before.loss` over the same rows: what rows share cancels, so a rise shows where levels would hide it. */
export function pairedStandardError(now: Evaluation, before: Evaluation): number {
  const earlier = new Map(before.rows.map((r) => [r.line, r.lossSum]));
  const mean = now.loss - before.loss;
  let squares = 0;
  for (const r of now.rows) squares += (r.lossSum - (earlier.get(r.line) ?? 0) - mean * r.targets) ** 2;
  return now.targets > 0 ? Math.sqrt(squares) / now.targets : Number.NaN;
}

/** What fills short rows. Its value never matters: padding lies after every real token and is never a target. */
export function padOf(model: Model): number {
  const { padTokenId, eosTokenIds } = model.architecture;
  return padTokenId ?? eosTokenIds[0] ?? 0;
}

/** Lengths are rounded up, so that masks, pipelines and buffers are made for a few shapes and not for every length. */
export function bucketOf(model: Model): { bucket: number; maxColumns: number } {
  return { bucket: 16, maxColumns: model.architecture.contextLength };
}
