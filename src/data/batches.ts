// Rows → rectangles: the seeded order of an epoch, the rows of a step, padding and shifting.
// Not here: which rows are trained on (split.ts), what fits a model and a device (engine/training/batch.ts).

import type { Batch, EncodedExample } from '../contract';
import type { Hyperparameters } from '../hyperparameters';
import { createRandom, mix } from './random';

/** The order in which an epoch visits rows 0 … n-1: a permutation that depends on nothing but these three numbers. */
export function epochOrder(n: number, seed: number, epoch: number): number[] {
  const random = createRandom(mix(seed) ^ mix(epoch + 0x9e3779b9));
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

type StepSettings = Pick<Hyperparameters, 'batch_size' | 'gradient_accumulation_steps'>;

/**
 * Rows of each micro-batch of one step of an epoch. No row is dropped: the last batch of an epoch keeps whatever is left.
 * @param order the epoch's rows (or their numbers), as `epochOrder` has them
 * @param step within the epoch, from 0
 */
export function rowsOfStep<T>(order: readonly T[], settings: StepSettings, step: number): T[][] {
  const { batch_size: size, gradient_accumulation_steps: micro } = settings;
  const batches: T[][] = [];
  for (let m = 0; m < micro; m++) {
    const from = (step * micro + m) * size;
    if (from < order.length) batches.push(order.slice(from, from + size));
  }
  return batches;
}

/** Columns for rows of this length: rounded up so that few shapes occur, never beyond the cap. */
export function bucketed(longest: number, bucket: number, cap = Number.POSITIVE_INFINITY): number {
  return Math.max(longest, Math.min(Math.ceil(longest / bucket) * bucket, cap));
}

/**
 * A size out of few: `least` times 1, 2, 3, 4, 6, 8, 12, 16 …, at most a half more than asked for beyond the first. Few different
 * sizes are worth some padding where each needs a program of its own.
 */
export function coarselyBucketed(count: number, least: number, cap = Number.POSITIVE_INFINITY): number {
  let power = 2 * least;
  while (1.5 * power < count) power *= 2;
  const size = count <= least ? least : count <= power ? power : 1.5 * power;
  return Math.max(count, Math.min(size, cap));
}

/**
 * A rectangle: right-padded, targets shifted by one (`targets[t]` is the token after `ids[t]` when it is to be learned, else -100).
 * Padding is known by length, never by id, so a pad token that is also the end token keeps its targets.
 * @param options.columns exact width (rows that are longer lose their end); otherwise the longest row, rounded up to `bucket`.
 */
export function makeBatch(
  encoded: readonly EncodedExample[],
  padId: number,
  options: { columns?: number; bucket?: number; maxColumns?: number } = {},
): Batch {
  const longest = encoded.reduce((most, row) => Math.max(most, row.ids.length), 1);
  const columns = options.columns ?? bucketed(longest, options.bucket ?? 1, options.maxColumns);
  const rows = encoded.length;
  const ids = new Int32Array(rows * columns).fill(padId); // [rows, columns]
  const targets = new Int32Array(rows * columns).fill(-100); // [rows, columns]
  const weights = new Float32Array(rows * columns); // [rows, columns]
  let targetTokens = 0;
  for (const [r, row] of encoded.entries()) {
    const length = Math.min(row.ids.length, columns);
    ids.set(row.ids.subarray(0, length), r * columns);
    for (let t = 0; t + 1 < length; t++) {
      if (row.mask[t + 1] !== 1) continue;
      targets[r * columns + t] = row.ids[t + 1] as number;
      weights[r * columns + t] = row.weight ?? 1;
      targetTokens++;
    }
  }
  const lines = encoded.map((row) => row.line);
  const lengths = encoded.map((row) => Math.min(row.ids.length, columns));
  return { ids, targets, weights, rows, columns, lines, lengths, targetTokens };
}
