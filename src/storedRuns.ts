// Types of what the worker keeps of runs beyond their end and beyond the page: checkpoints and learned weights. Cross the worker's boundary.
// Not here: the session itself (contract.ts), how it is kept (worker/runStore.ts).

import type { MetricPoint, RunConfig, RunEvent, RunSummary, TunedWeights } from './contract';
import type { RowMeasurement } from './dataContract';
import type { ErrorDetails } from './errors';
import type { PinnedColumn } from './stepsContract';
import type { WeightChanges } from './weightContract';

/** A run that another worker may write: that of another tab, or one that was just ended and still has its lock. */
/** Prefix of the browser's lock on a run that is being trained; its id follows. */
export const RUN_LOCK = 'stored-run ';

export const RUN_BUSY: ErrorDetails = {
  code: 'run_busy',
  message:
    'This run is held elsewhere: by another tab of this page, or by an engine that has been ended and is not gone yet.',
  fix: 'Go on there, or wait: what it has learned is stored, and can be used here as soon as it is free.',
};

/** What is kept of one run. */
export interface StoredRun {
  runId: string;
  config: RunConfig;
  /** Null where the run was cut off before it ended. */
  summary: RunSummary | null;
  /** Of the weights that are kept as the last ones. */
  step: number;
  /** Of the best weights among them; null without an evaluation. */
  bestStep: number | null;
  /** Which weights are worth using, as after the run itself. */
  kept: TunedWeights;
  /** The step after which the run can be resumed; null where it has come to its end. */
  resumableAt: number | null;
  /** Steps whose weights are kept beside those of `step` and of `bestStep`, in order. */
  steps: number[];
  /** Of all its files. */
  bytes: number;
  /** Another tab, or this one, is training it now. */
  busy: boolean;
}

/** All runs that are kept, and the room they take. */
export interface StoredRuns {
  runs: StoredRun[];
  /** A sentence where what is kept is gone with the page; null where it lasts. */
  notLasting: string | null;
  /** Of all runs together, and how many there may be. */
  bytes: number;
  budgetBytes: number;
  /** Folders that no version of this program that is here can read, by run id. */
  unreadable: { runId: string; reason: string; bytes: number }[];
}

/** All that was measured until a run was saved last. */
export interface RunMeasures {
  points: MetricPoint[];
  rows: RowMeasurement[];
  weights: WeightChanges[];
  /** Answers to the pinned prompts. */
  pinned: PinnedColumn[];
}

/** What became of saving a run while it goes on, or at its end. */
export interface SaveReport {
  runId: string;
  /** What is stored now; null when saving failed. */
  stored: StoredRun | null;
  /** Null when it was saved. */
  problem: ErrorDetails | null;
}

/** A run in the file that holds several. */
export interface PackedRun {
  /** The page's own record of it; checked by the page. */
  record: unknown;
  points: MetricPoint[];
  /** A checkpoint file; null where only the curves are in the file. */
  weights: Blob | null;
  /** Weights of single steps, each a file of its own. */
  steps: Blob[];
}

/** What the worker offers beside `Session`. */
export interface RunStorage {
  storedRuns(): Promise<StoredRuns>;
  /** `onSave` is called after each attempt to save a run. */
  watchSaving(onSave: (report: SaveReport) => void): Promise<void>;
  /** All that was measured until the run was saved last. */
  storedMeasures(runId: string): Promise<RunMeasures>;
  /**
   * Goes on with a run that was cut off or stopped; the first report holds all points before. Model and rows must be those of the run.
   * Rejects with `bad_checkpoint`, `run_busy` (another tab trains it) or `no_stored_run`, and leaves the run before untouched.
   */
  resumeRun(
    runId: string,
    onEvent: (e: RunEvent) => void,
    onConfig: (c: RunConfig) => void,
  ): Promise<RunSummary>;
  /** From now on the weights of that run answer and are exported. The model must be that of the run. */
  useStoredRun(runId: string): Promise<RunMeasures & { which: TunedWeights }>;
  /** Rejects with `run_busy` while it is trained. Nothing happens when it is not there. */
  deleteStoredRun(runId: string): Promise<void>;
  /** One file with all these runs: records, points, and what is kept of their weights. */
  packRuns(runs: { runId: string; record: unknown; points: MetricPoint[] }[]): Promise<Blob>;
  /** Reads such a file. Rejects with `bad_runs_file`. Nothing is kept yet. */
  unpackRuns(file: Blob): Promise<PackedRun[]>;
  /**
   * Keeps the weights of an unpacked run, those of single steps among them. Rejects with `bad_checkpoint` where they are damaged or of another run than `runId`, with
   * `run_exists` where that run has stored weights already, or when there is no room.
   */
  storeWeights(
    runId: string,
    weights: Blob,
    steps: Blob[],
    summary: RunSummary | null,
    kept: TunedWeights,
  ): Promise<void>;
}
