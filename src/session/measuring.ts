// Walks over rows that somebody waits for: with progress, a way to cancel, and other things done in between.
// Not here: what is measured in a run (run.ts), the measuring itself (engine/training/evaluate.ts, data/rowStatistics.ts).

import type { EncodedExample } from '../contract';
import { takeDeviceError } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import { type Evaluation, evaluate, measureWith } from '../engine/training/evaluate';
import { PlaygroundError } from '../errors';
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

/** Walks work over rows to its end, and lets other things happen between its pieces. @throws PlaygroundError `measuring_cancelled` */
export async function walkRows<T>(
  walk: Generator<number, T>,
  platform: Pick<Platform, 'yieldToEvents'>,
  { onProgress, cancelled }: MeasuringHooks,
): Promise<T> {
  const pace = createPace(platform);
  for (;;) {
    if (cancelled()) throw measuringCancelled();
    const next = walk.next();
    if (next.done) return next.value;
    onProgress(next.value);
    await pace();
  }
}

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
  { onProgress, cancelled }: MeasuringHooks,
): Promise<Evaluation> {
  const pace = createPace(platform);
  const walk = evaluate(model, measureWith(model, learner), rows, batchSize);
  try {
    for (;;) {
      if (cancelled()) throw measuringCancelled();
      const next = await walk.next();
      const gpuError = takeDeviceError();
      if (gpuError) throw gpuError;
      if (next.done) return next.value;
      onProgress(next.value / rows.length);
      await pace();
    }
  } finally {
    await walk.return(undefined as never);
  }
}
