// A sweep as it crosses the worker's boundary: several runs that differ in one setting, made one after the other.
// Types only. Not here: the call itself and how a run ended (contract.ts), what can be swept (sweeps.ts), the order (session/sweep.ts), what the runs come to (metrics/sweep.ts).

import type { HyperparameterName } from './hyperparameters';
import type { SettingValue } from './settingText';

export interface SweepRequest {
  setting: HyperparameterName;
  values: SettingValue[];
}

/** In the record of a run: the sweep that it was made for, so that the runs of a sweep find each other. */
export interface SweepPlace extends SweepRequest {
  /** The same for all runs of the sweep. */
  id: string;
  /** Which of `values`, from 1. */
  number: number;
}

/** How far all runs together are. Steps of runs that have not begun are estimated from the counts of rows. */
export interface SweepProgress {
  /** The run that goes on, from 1. */
  number: number;
  of: number;
  step: number;
  totalSteps: number;
  /** Null before the first step. */
  remainingMs: number | null;
}
