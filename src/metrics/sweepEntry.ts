// One run of a sweep, as an entry: its value, how far it came, and its losses.
// Not here: comparing entries (sweep.ts).

import type { MetricPoint, RunConfig, RunSummary } from '../contract';
import type { RowLosses, RowMeasurement } from '../dataContract';
import type { SettingValue } from '../settingText';
import type { SweepRequest } from '../sweepContract';
import { diagnose } from './diagnosis';

export type SweepState =
  | 'not_started'
  | 'running'
  /** Cut off or stopped before its end: its losses are those of a part of the run. */
  | 'stopped'
  | 'finished'
  | 'diverged'
  | 'failed';

export interface SweepEntry {
  /** From 1. */
  number: number;
  value: SettingValue;
  state: SweepState;
  /** Why it failed; null where it did not. */
  error: string | null;
  trainRows: number | null;
  epochs: number | null;
  /** Steps made. */
  step: number;
  totalSteps: number | null;
  /** The lowest validation loss; `onAll` where it is that of all held-out rows. */
  best: { step: number; loss: number; standardError: number | null; onAll: boolean } | null;
  last: number | null;
  elapsedMs: number | null;
  /** The held-out rows with the weights of the best step. */
  rows: RowLosses | null;
}

/** What is known of one run of a sweep. */
export interface SweepRunFacts {
  config: RunConfig;
  summary: RunSummary | null;
  active: boolean;
  step: number;
  points: readonly MetricPoint[];
  rows: readonly RowMeasurement[];
  error: string | null;
}

/** The entry of a value without a run. */
export const emptyEntry = (
  { values }: SweepRequest,
  number: number,
  state: SweepState = 'not_started',
  error: string | null = null,
): SweepEntry => ({
  number,
  value: values[number - 1] as SettingValue,
  state,
  error,
  ...{ trainRows: null, epochs: null, step: 0, totalSteps: null, best: null, last: null },
  ...{ elapsedMs: null, rows: null },
});

/** What a run of the sweep came to so far. */
export function sweepEntry(request: SweepRequest, number: number, run: SweepRunFacts): SweepEntry {
  const { config, summary, active, points, error } = run;
  const verdict = diagnose(points, config, summary?.state ?? (error === null ? null : 'failed'));
  const state = (): SweepState => {
    if (active) return 'running';
    if (verdict.state === 'diverged') return 'diverged';
    if (summary === null) return 'stopped';
    return summary.state;
  };
  const { best } = verdict;
  const prefix = verdict.measuredAll ? 'full_valid_loss' : 'valid_loss';
  const at = (name: string, step: number | undefined) =>
    points.findLast((p) => p.name === name && p.step === step)?.value ?? null;
  const measured = run.rows.filter(({ on, step }) => step === best?.step && on !== 'sample').at(-1);
  const lastStep = Math.max(...points.filter((p) => p.name.endsWith('valid_loss')).map((p) => p.step));
  return {
    ...emptyEntry(request, number, state(), error),
    trainRows: config.trainRows,
    epochs: config.hyperparameters.num_train_epochs,
    step: run.step,
    totalSteps: config.totalSteps,
    best: best && {
      ...best,
      standardError: at(`${prefix}_standard_error`, best.step),
      onAll: verdict.measuredAll,
    },
    last: at('full_valid_loss', lastStep) ?? at('valid_loss', lastStep),
    elapsedMs: points.at(-1)?.elapsedMs ?? null,
    rows: measured?.validation ?? null,
  };
}
