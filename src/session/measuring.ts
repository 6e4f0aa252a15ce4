// Iterates over rows that somebody waits for: with progress, a way to cancel, and other things done in between.
// Not here: what is measured in a run (run.ts), the measuring itself (engine/training/evaluate.ts, data/rowStatistics.ts).

import type { EncodedExample } from '../contract';
import type { RowMeanLoss, RowNumber, RowTokenLosses, TokenLoss } from '../dataContract';
import { takeDeviceError } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import {
  type Evaluation,
  evaluate,
  lossesByRow,
  measureWith,
  type RowLoss,
  tokenLosses,
} from '../engine/training/evaluate';
import { PlaygroundError } from '../errors';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import { createPace, type Platform } from './platform';

/** Looked at between pieces of work. */
export interface MeasuringHooks {
  /** @param share of the rows that are done, 0 to 1 */
  onProgress: (share: number) => void;
  cancelled: () => boolean;
}

export const measuringCancelled = () =>
  new PlaygroundError({
    code: 'measuring_cancelled',
    message: 'Measuring was cancelled.',
    fix: 'Start it again when you want its numbers.',
  });

/** Runs work over rows to its end, yielding to events between its pieces. @throws PlaygroundError `measuring_cancelled` */
export async function finishRows<T>(
  work: Generator<number, T>,
  platform: Pick<Platform, 'yieldToEvents'>,
  { onProgress, cancelled }: MeasuringHooks,
): Promise<T> {
  const pace = createPace(platform);
  for (;;) {
    if (cancelled()) throw measuringCancelled();
    const next = work.next();
    if (next.done) return next.value;
    onProgress(next.value);
    await pace();
  }
}

/** Runs work of the engine to its end, as `finishRows`. @throws PlaygroundError `measuring_cancelled`, or what the work or the device reports */
async function walkEngine<T>(
  work: AsyncGenerator<unknown, T>,
  platform: Pick<Platform, 'yieldToEvents'>,
  { onProgress, cancelled }: MeasuringHooks,
): Promise<T> {
  const pace = createPace(platform);
  try {
    for (;;) {
      if (cancelled()) throw measuringCancelled();
      const next = await work.next();
      const gpuError = takeDeviceError();
      if (gpuError) throw gpuError;
      if (next.done) return next.value;
      if (typeof next.value === 'number') onProgress(next.value);
      await pace();
    }
  } finally {
    await work.return(undefined as never);
  }
}

/** Hooks of one part of several that follow each other. @param part from 0 */
export const partHooks = ({ onProgress, cancelled }: MeasuringHooks, part: number, parts: number) => ({
  onProgress: (share: number) => onProgress((part + share) / parts),
  cancelled,
});

const inShares = (rows: number, { onProgress, cancelled }: MeasuringHooks): MeasuringHooks => ({
  onProgress: (done) => onProgress(done / Math.max(1, rows)),
  cancelled,
});

/**
 * The losses of rows with the base model (`learner` null) or with what was learned.
 * @throws PlaygroundError `measuring_cancelled`, `non_finite`, or what the device reports
 */
export async function measureRows(
  { model }: BaseModel,
  learner: Learner | null,
  rows: readonly EncodedExample[],
  batchSize: number,
  platform: Pick<Platform, 'yieldToEvents'>,
  hooks: MeasuringHooks,
): Promise<Evaluation> {
  const work = evaluate(model, measureWith(model, learner), rows, batchSize);
  return walkEngine(work, platform, inShares(rows.length, hooks));
}

/** Rows measured at a time. */
const BATCH_SIZE = 8;

/**
 * The losses of each row, in the order of `rows`.
 * @param learner null for the base model
 * @throws PlaygroundError as `measureRows`
 */
export async function lossesInOrder(
  model: BaseModel['model'],
  learner: Learner | null,
  rows: readonly EncodedExample[],
  platform: Pick<Platform, 'yieldToEvents'>,
  hooks: MeasuringHooks,
): Promise<RowLoss[]> {
  const work = lossesByRow(model, measureWith(model, learner), rows, BATCH_SIZE);
  const found = await walkEngine(work, platform, inShares(rows.length, hooks));
  const byRow = new Map(found.order.map((row, i) => [row, found.rows[i] as RowLoss]));
  return rows.map((row) => byRow.get(row) as RowLoss);
}

/**
 * The mean loss of each row of a side, in the order of `Dataset.rows`, with the base model and with what was learned.
 * @param learner null before a run
 * @throws PlaygroundError as `measureRows`
 */
export async function sideLosses(
  { model }: BaseModel,
  learner: Learner | null,
  { split, rows }: { split: RowNumber['split']; rows: readonly EncodedExample[] },
  platform: Pick<Platform, 'yieldToEvents'>,
  hooks: MeasuringHooks,
): Promise<RowMeanLoss[]> {
  const parts = learner === null ? 1 : 2;
  const lossesWith = (which: Learner | null, part: number) =>
    lossesInOrder(model, which, rows, platform, partHooks(hooks, part, parts));
  const base = await lossesWith(null, 0);
  const tuned = learner === null ? null : await lossesWith(learner, 1);
  const mean = ({ lossSum, targets }: RowLoss) => (targets > 0 ? lossSum / targets : Number.NaN);
  return rows.map((row, index) => ({
    ...rowNumber(row, split, index),
    targets: base[index]?.targets ?? 0,
    base: mean(base[index] as RowLoss),
    tuned: tuned && mean(tuned[index] as RowLoss),
  }));
}

/**
 * The loss of each target of a row, with the base model and with what was learned.
 * @param learner null before a run
 * @throws PlaygroundError `no_such_row`, or as `measureRows`
 */
export async function rowTokenLosses(
  { model, chat }: BaseModel,
  learner: Learner | null,
  dataset: Dataset,
  { split, index }: RowNumber,
  platform: Pick<Platform, 'yieldToEvents'>,
): Promise<RowTokenLosses> {
  const row = dataset.rows(split)[index]?.encoded;
  const [preview] = dataset.preview(chat, { offset: index, count: 1, split });
  if (!row || !preview) {
    throw new PlaygroundError({
      code: 'no_such_row',
      message: `There is no row ${index + 1} on the ${split} side.`,
      fix: 'Look at the rows again; the split may have changed.',
    });
  }
  const hooks = { onProgress: () => {}, cancelled: () => false };
  const lossesWith = (which: Learner | null) =>
    walkEngine(tokenLosses(model, measureWith(model, which), row), platform, hooks);
  const base = await lossesWith(null);
  const tuned = learner === null ? null : await lossesWith(learner);
  const tokens: TokenLoss[] = [];
  for (const [position, loss] of base.entries()) {
    if (Number.isNaN(loss)) continue;
    tokens.push({
      position,
      id: row.ids[position] as number,
      text: preview.tokens[position]?.text ?? '',
      base: loss,
      tuned: tuned && (tuned[position] as number),
    });
  }
  return { ...rowNumber(row, split, index), tokens };
}

const rowNumber = ({ line, file, answer }: EncodedExample, split: RowNumber['split'], index: number) => ({
  split,
  index,
  line,
  ...(file !== undefined && { file }),
  ...(answer !== undefined && { answer }),
});
