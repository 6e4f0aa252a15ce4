// Types of what a visitor does with a run that goes on: another learning rate, one update by hand and what it moved. They cross the worker's boundary.
// Not here: measuring it (session/watchedStep.ts), showing it (ui/train/StepPanel.svelte).

import type { RowFile } from './dataContract';

/** A learning rate that was changed while the run went on. */
export interface RateChange {
  /** Updates made before it: from the next one on the schedule is that of `to` in place of `from`. */
  step: number;
  from: number;
  to: number;
}

/** A row of the batch. */
export interface StepRow {
  /** As `previewRows` counts the training rows; -1 for a general row that is mixed in. */
  index: number;
  line: number;
  file?: RowFile;
  /** Before the update, without dropout and noise: mean over the learned tokens, in nats. */
  loss: number;
  /** Learned tokens. */
  targets: number;
}

/** Frobenius norms; an adapter's matrices count as one module. */
export interface ModuleUpdate {
  module: string;
  /** ‖ΔW‖. */
  change: number;
  /** ‖ΔW‖ / ‖W‖ of the weights that learn; null where they were all zero. */
  relative: number | null;
}

export interface StepDetails {
  /** Updates made, this one included. */
  step: number;
  /** As it was trained on: with dropout, noise and weights of rows. */
  loss: number;
  learningRate: number;
  gradNorm: number;
  /** What the gradient was scaled to; null where it was not clipped. */
  clippedTo: number | null;
  rows: StepRow[];
  /** Over all weights that learn; null where there are too many to read them twice. */
  update: { norm: number; relative: number | null; modules: ModuleUpdate[] } | null;
}
