// Cross-validation: after a run, as many more runs as there are folds, each with other rows held out; and what they come to.
// Not here: which rows a fold holds out (data/split.ts), one run (run.ts).
//
// The run itself comes first and is kept, so that stopping the folds loses nothing. The runs of the folds are not kept: each gives its
// validation losses and is freed before the next. Time: `folds` times that of the run; memory: that of one more run beside the first.

import type { DeviceReport, RunEvent, RunProgress, RunSummary, TileReport } from '../contract';
import type { CrossValidation, FailedFold, Fold, FoldResult } from '../dataContract';
import { errorDetails } from '../errors';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import type { Platform } from './platform';
import { Run } from './run';

/** Mean, and standard error sd / √n with n - 1 in the variance. Null of fewer than two. */
export function meanOf(values: readonly number[]): { mean: number; standardError: number } | null {
  const n = values.length;
  if (n < 2) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardError: Math.sqrt(squares / (n - 1) / n) };
}

function resultOf(folds: readonly FoldResult[], failed: readonly FailedFold[], of: number): CrossValidation {
  return {
    of,
    folds: [...folds],
    failed: [...failed],
    best: meanOf(folds.map((fold) => fold.best.loss)),
    last: meanOf(folds.map((fold) => fold.last)),
  };
}

/** The losses of a fold's run on all of its held-out rows. */
function foldResult(run: Run, summary: RunSummary, { number }: Fold): FoldResult | FailedFold {
  const last = run.points.findLast((p) => p.name === 'full_valid_loss' && p.step === summary.step);
  if (summary.state !== 'finished' || !last || !summary.best)
    return { fold: number, message: summary.error?.message ?? 'Its held-out rows were not measured.' };
  const { trainRows, validationRows } = run.config;
  const { step, loss } = summary.best;
  return { fold: number, trainRows, validationRows, best: { step, loss }, last: last.value };
}

export interface CrossValidationHooks {
  /** Progress of the fold that runs; no points. */
  onEvent: (event: RunEvent) => void | Promise<void>;
  /** A fold has ended. */
  onFold: (result: FoldResult | FailedFold, fold: Fold) => void;
}

/**
 * Makes the runs of the folds for a run that has come to its end, where its settings ask for them. While they go on the run counts as
 * active, and pause, single step and stop of it reach the run of the fold. Stopped, it has the folds that have ended.
 * @returns the summary of the run, with what the folds came to
 */
export async function crossValidate(
  run: Run,
  base: BaseModel,
  dataset: Dataset,
  at: { device: DeviceReport; tiles: TileReport | null },
  platform: Platform,
  { onEvent, onFold }: CrossValidationHooks,
): Promise<RunSummary> {
  const { hyperparameters: h } = run.config;
  const of = h.folds;
  const results: FoldResult[] = [];
  const failed: FailedFold[] = [];
  const report = (progress: RunProgress, fold: Fold) =>
    onEvent({
      points: [],
      rows: [],
      weights: [],
      pinned: [],
      progress: { ...progress, fold, foldsDone: [...results, ...failed] },
    });
  return run.crossValidate(async (steer) => {
    for (let number = 1; number <= of && !run.stopRequested; number++) {
      const fold = { number, of };
      const result = await runFold(fold, steer).catch((thrown: unknown): FailedFold => {
        return { fold: number, message: errorDetails(thrown).message };
      });
      // Stopped in its middle: what it was about to give is unknown.
      if (run.stopRequested) break;
      if ('message' in result) failed.push(result);
      else results.push(result);
      onFold(result, fold);
    }
    return resultOf(results, failed, of);
  });

  async function runFold(fold: Fold, steer: (run: Run | null) => void): Promise<FoldResult | FailedFold> {
    const other = Run.prepare(base, dataset.ofFold(fold), h, at, platform);
    steer(other);
    try {
      const summary = await other.go(
        ({ progress }) => report(progress, fold),
        () => {},
      );
      return foldResult(other, summary, fold);
    } finally {
      steer(null);
      other.trainer.dispose();
    }
  }
}
