// A recorded training run, as models/eval/record-runs.mjs writes it beside the page, and its points as a run has them.
// Not here: fetching it (ui/state/recordings.ts), drawing it (ui/parts/CurvePlot.svelte), the verdict on it (metrics/diagnosis.ts).

import type { MetricPoint, RunConfig } from '../contract';
import type { Hyperparameters } from '../hyperparameters';

export interface Recording {
  /** The command that made it. */
  command: string;
  appVersion: string;
  /** Ids of the catalogue and of the samples. */
  model: string;
  sample: string;
  /** Those that differ from the defaults. */
  settings: Partial<Hyperparameters>;
  /** What a verdict needs to know of the run. */
  run: Pick<RunConfig, 'totalSteps' | 'trainRows' | 'validationRows' | 'heldOut' | 'evaluation'>;
  /** Losses of both splits at every evaluation; null for one that was no number. */
  points: (Omit<MetricPoint, 'value'> & { value: number | null })[];
}

/** The points as a run reports them: a loss that was no number is NaN again. */
export const recordedPoints = ({ points }: Recording): MetricPoint[] =>
  points.map((point) => ({ ...point, value: point.value ?? Number.NaN }));
