// The loss over a set of rows, in evaluation mode: no noise, no gradient, weighted by target tokens.
// Not here: the training loss (train.ts), when to evaluate and on which rows (plan.ts), what it means (metrics/diagnosis.ts).
//
// How it works: rows sorted by length, in batches, so that there is little padding; a forward pass a batch; the loss of every target read
// back, and added up by row in float64. The mean is over target tokens, not over rows.
// Memory: two batches are in flight, so that a GPU does not wait until the numbers of one are read; logits of one piece at a time.

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../../contract';
import type { RowFile } from '../../dataContract';
import { PlaygroundError } from '../../errors';
import { plural } from '../../wording';
import { crossEntropy, type Targets } from '../kernels';
import { MIN_LOSS } from '../kernels/crossEntropy/crossEntropy';
import type { Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { partOf, targetsOf, targetsPerPiece, toBatch } from './batch';

export interface RowLoss {
  line: number;
  /** As of `EncodedExample`. */
  file?: RowFile;
  /** Sum over the row's targets, in nats. */
  lossSum: number;
  targets: number;
  correct: number;
}

export interface Evaluation {
  /** Mean loss per target token, in nats. */
  loss: number;
  meanTokenAccuracy: number;
  /** Standard error of `loss` with conversations (lines of a file) as the unit of chance: √Σ(sᵢ − L·nᵢ)² / Σnᵢ. */
  standardError: number;
  targets: number;
  rows: RowLoss[];
}

/** A measurement whose numbers may not be known yet. (An object around the promise: a generator would wait for a bare one.) */
export interface Measured {
  /** Loss of every target, then whether it was the most likely token: [2·targets]. */
  values: Promise<Float32Array>;
}

/** Measures one batch; yields between pieces of work. */
export type Measure = (batch: Batch, targets: Targets) => AsyncGenerator<void, Measured>;

/** Measures op by op, the base model (`learner` null) or the tuned one. */
export function measureWith(model: Model, learner: Learner | null): Measure {
  return async function* (batch, targets) {
    const pass = { weights: model.weights, learner, tape: null, noise: null };
    const ids = tf.tensor1d(batch.ids, 'int32');
    let hidden: tf.Tensor2D | null = null;
    try {
      hidden = (yield* model.forwardByLayer(pass, ids, shapeOf(batch))).tensor;
      const head = model.head(pass).tensor;
      const count = targets.ids.length;
      const values = new Float32Array(2 * count);
      const piece = targetsPerPiece(head);
      for (let start = 0; start < count; start += piece) {
        if (start > 0) yield;
        const { rowLoss, correct } = lossesOf(hidden, head, partOf(targets, start, piece));
        const [losses, hits] = await Promise.all([rowLoss.data(), correct.data()]);
        values.set(losses, start);
        values.set(hits, count + start);
        tf.dispose([rowLoss, correct]);
      }
      return { values: Promise.resolve(values) };
    } finally {
      hidden?.dispose();
      ids.dispose();
    }
  };
}

const shapeOf = (batch: Batch) => ({ batch: batch.rows, time: batch.columns, checkpointing: false });

const lossesOf = (hidden: tf.Tensor2D, head: tf.Tensor2D, targets: Targets) =>
  crossEntropy(hidden, head, targets, {
    scale: 1,
    labelSmoothing: 0,
    needs: { dhidden: false, dhead: false },
  });

/** The values of a `Measured`, on the device: losses, then hits. The caller disposes `ids`. [2, targets] */
export function targetLosses(
  model: Model,
  learner: Learner | null,
  batch: Batch,
  targets: Targets,
  ids: tf.Tensor1D,
): tf.Tensor {
  const pass = { weights: model.weights, learner, tape: null, noise: null };
  const hidden = model.forward(pass, ids, shapeOf(batch));
  const { rowLoss, correct } = lossesOf(hidden.tensor, model.head(pass).tensor, targets);
  return tf.stack([rowLoss, correct]);
}

/** The rows from `start` on that fit one batch, at least one. @param order the shortest first, so that the last one is the width of the batch */
function batchFrom(
  order: readonly EncodedExample[],
  start: number,
  batchSize: number,
  mostTokens: number,
): EncodedExample[] {
  let end = start + 1;
  const fits = (row: EncodedExample | undefined) =>
    row !== undefined && (end + 1 - start) * row.ids.length <= mostTokens;
  while (end - start < batchSize && fits(order[end])) end++;
  return order.slice(start, end);
}

/**
 * The loss over a set of rows. Yields the number of rows done, between pieces of work. If the generator is closed early, all it allocated is freed.
 * @param when for the error, e.g. `while measuring after step 3`
 * @param mostTokens of a batch, padding among them; a longer row is a batch of its own
 * @throws PlaygroundError `non_finite` or `negative_loss` with the lines of the rows, where a target's loss is no cross-entropy
 */
export async function* evaluate(
  model: Model,
  measure: Measure,
  encoded: readonly EncodedExample[],
  batchSize: number,
  when = 'while measuring',
  mostTokens = Number.POSITIVE_INFINITY,
): AsyncGenerator<number, Evaluation> {
  const { rows } = yield* lossesByRow(model, measure, encoded, batchSize, when, mostTokens);
  rows.sort((a, b) => a.line - b.line);
  return summary(rows);
}

/**
 * What `evaluate` adds up, row by row.
 * @returns the rows by length, and the losses of each
 * @throws PlaygroundError as `evaluate`
 */
export async function* lossesByRow(
  model: Model,
  measure: Measure,
  encoded: readonly EncodedExample[],
  batchSize: number,
  when = 'while measuring',
  mostTokens = Number.POSITIVE_INFINITY,
): AsyncGenerator<number, { order: EncodedExample[]; rows: RowLoss[] }> {
  const rows: RowLoss[] = [];
  // Rows of like length share a batch: less padding.
  const order = [...encoded].sort((a, b) => a.ids.length - b.ids.length);
  let before: Promise<RowLoss[]> | null = null;
  for (let start = 0; start < order.length; ) {
    const inBatch = batchFrom(order, start, batchSize, mostTokens);
    const batch = toBatch(model, inBatch);
    const targets = targetsOf(batch);
    const { values } = targets.real > 0 ? yield* counting(measure(batch, targets), start) : NOTHING;
    const now = values.then((v) => rowLosses(batch, inBatch, targets, v, when));
    // Awaited below; if the generator is closed before that, a rejection must not count as unhandled.
    now.catch(() => {});
    if (before) rows.push(...(await before));
    before = now;
    start += inBatch.length;
    yield start;
  }
  if (before) rows.push(...(await before));
  return { order, rows };
}

/**
 * The loss of each target of one row, in nats: what `lossesByRow` adds up for it.
 * @returns [tokens of the row]; NaN where a token is no target, the first one among them
 * @throws PlaygroundError as `evaluate`
 */
export async function* tokenLosses(
  model: Model,
  measure: Measure,
  row: EncodedExample,
): AsyncGenerator<void, Float64Array> {
  const losses = new Float64Array(row.ids.length).fill(Number.NaN);
  const batch = toBatch(model, [row]);
  const targets = targetsOf(batch);
  if (targets.real === 0) return losses;
  const values = await (yield* measure(batch, targets)).values;
  const impossible = findImpossible(batch, [row], targets, values);
  if (impossible) throw lossError(impossible, { when: 'while measuring', fix: NO_NUMBER });
  // The target at position t is the token after it.
  for (let i = 0; i < targets.real; i++) losses[(targets.rows[i] as number) + 1] = values[i] as number;
  return losses;
}

const NOTHING: Measured = { values: Promise.resolve(new Float32Array(0)) };

/** Runs `work`, yielding `done` at each of its pauses. */
async function* counting<T>(work: AsyncGenerator<void, T>, done: number): AsyncGenerator<number, T> {
  try {
    for (;;) {
      const next = await work.next();
      if (next.done) return next.value;
      yield done;
    }
  } finally {
    await work.return(undefined as never);
  }
}

type RowPlace = Pick<EncodedExample, 'line' | 'file'>;

interface ImpossibleLoss {
  loss: number;
  /** All rows with such a loss. */
  rows: readonly RowPlace[];
}

/** "the row from line 7", "the rows from lines 3, 9 and 2 general rows"; and shorter, for `where`. Only the visitor's rows have lines that he knows. */
export function namedRows(rows: readonly RowPlace[]): { sentence: string; where: string } {
  const isGeneral = ({ file }: RowPlace) => file === 'replay' || file === 'general_probe';
  const general = plural(rows.filter(isGeneral).length, 'general row');
  const lines = linesOf(rows.filter((row) => !isGeneral(row)));
  if (lines.length === 0) return { sentence: general, where: general };
  const more = rows.some(isGeneral) ? ` and ${general}` : '';
  return {
    sentence: `the ${lines.length === 1 ? 'row from line' : 'rows from lines'} ${lines.join(', ')}${more}`,
    where: `lines ${lines.join(', ')}${more}`,
  };
}

const linesOf = (rows: readonly RowPlace[]) =>
  [...new Set(rows.map(({ line }) => line))].sort((a, b) => a - b);

/** Whether a number cannot be a cross-entropy: NaN, infinite, or below zero. */
export const impossibleLoss = (loss: number) => !(Number.isFinite(loss) && loss >= MIN_LOSS);

/**
 * The error for a number that cannot be a cross-entropy.
 * @param found the number, in nats a target, and the rows it came from
 * @param text `when`: e.g. `at step 3`. `fix`: what to do where the loss is not finite. `after`: a sentence on the state of the weights
 */
export function lossError(
  { loss, rows }: ImpossibleLoss,
  { when, fix, after = '' }: { when: string; fix: string; after?: string },
): PlaygroundError {
  const named = namedRows(rows);
  const end = after === '' ? '' : ` ${after}`;
  const where = `${when.replace(/^at /, '')}, ${named.where}`;
  if (!Number.isFinite(loss)) {
    const message = `The loss stopped being a number ${when}, on ${named.sentence}.${end}`;
    return new PlaygroundError({ code: 'non_finite', message, fix, where });
  }
  return new PlaygroundError({
    code: 'negative_loss',
    message: `The loss came out as ${Number(loss.toPrecision(3))} ${when}, on ${named.sentence}. A cross-entropy cannot be below zero, so these numbers are wrong.${end}`,
    fix: 'A token id beyond the model’s table does this: check that tokenizer and model belong together. If they do, try another backend.',
    where,
  });
}

/** The losses of a batch's targets, added up by row. @throws PlaygroundError of `lossError` */
function rowLosses(
  batch: Batch,
  encoded: readonly EncodedExample[],
  targets: Targets & { real: number },
  values: Float32Array,
  when: string,
): RowLoss[] {
  const rows = encoded.map(
    ({ line, file }): RowLoss => ({ line, ...(file && { file }), lossSum: 0, targets: 0, correct: 0 }),
  );
  const count = targets.ids.length;
  for (let i = 0; i < targets.real; i++) {
    const row = rows[Math.floor((targets.rows[i] as number) / batch.columns)] as RowLoss;
    row.lossSum += values[i] as number;
    row.correct += values[count + i] as number;
    row.targets += 1;
  }
  const impossible = findImpossible(batch, encoded, targets, values);
  if (impossible) throw lossError(impossible, { when, fix: NO_NUMBER });
  return rows;
}

const NO_NUMBER =
  'The weights are no longer numbers or too large for them: take earlier ones, or train with a lower learning rate.';

/** The first impossible loss of a batch, and all rows with one; null where there is none. */
function findImpossible(
  batch: Batch,
  encoded: readonly EncodedExample[],
  targets: Targets & { real: number },
  values: Float32Array,
): ImpossibleLoss | null {
  const rows = new Set<EncodedExample>();
  let loss: number | null = null;
  for (let i = 0; i < targets.real; i++) {
    const value = values[i] as number;
    if (!impossibleLoss(value)) continue;
    loss ??= value;
    rows.add(encoded[Math.floor((targets.rows[i] as number) / batch.columns)] as EncodedExample);
  }
  return loss === null ? null : { loss, rows: [...rows] };
}

/** Sums by line of a file: the answers of one conversation, which may be rows of their own, are one sample for the standard error. */
function conversations(rows: readonly RowLoss[]): Map<string, { lossSum: number; targets: number }> {
  const sums = new Map<string, { lossSum: number; targets: number }>();
  for (const { line, file, lossSum, targets } of rows) {
    const key = `${file ?? ''}:${line}`;
    const sum = sums.get(key);
    if (sum) {
      sum.lossSum += lossSum;
      sum.targets += targets;
    } else sums.set(key, { lossSum, targets });
  }
  return sums;
}

/** Sums and means over rows. */
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
  for (const c of conversations(rows).values()) squares += (c.lossSum - loss * c.targets) ** 2;
  return {
    loss,
    meanTokenAccuracy: targets > 0 ? correct / targets : Number.NaN,
    standardError: targets > 0 ? Math.sqrt(squares) / targets : Number.NaN,
    targets,
    rows,
  };
}

/** Standard error of `now.loss − before.loss` over the same rows. Paired: the differences between rows cancel, so it is much smaller than that of either loss. */
export function pairedStandardError(now: Evaluation, before: Evaluation): number {
  const earlier = conversations(before.rows);
  const mean = now.loss - before.loss;
  let squares = 0;
  for (const [key, { lossSum, targets }] of conversations(now.rows))
    squares += (lossSum - (earlier.get(key)?.lossSum ?? 0) - mean * targets) ** 2;
  return now.targets > 0 ? Math.sqrt(squares) / now.targets : Number.NaN;
}
