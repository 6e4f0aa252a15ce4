// What a run is given beside its rows and settings: where it is saved, what it does beside training, how it fits the device.
// Not here: the run (run.ts).

import type { DeviceReport } from '../contract';
import type { Model } from '../engine/model/model';
import { type FittedRun, fitRun } from '../engine/training/fit';
import { memoryLimits } from '../engine/training/memory';
import type { ErrorDetails } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import type { RateChange } from '../stepContract';
import type { PinnedRequest } from '../stepsContract';
import type { SweepPlace } from '../sweepContract';
import type { Dataset } from './dataset';
import type { StepsToStore } from './keptSteps';

/** Where a run is saved while it is running, so that it can be resumed after the program has ended. */
export interface CheckpointKeeper {
  /** The least time between two saves; asked after each step. */
  readonly everyMs: number;
  /** Writes the file as a whole, or rejects and leaves the one before. With it the weights of single steps that are kept. */
  save(checkpoint: Uint8Array<ArrayBuffer>, steps: StepsToStore): Promise<void>;
  /** Called when a save failed; the run goes on. */
  onFailure(error: ErrorDetails): void;
}

/** What a run does beside training. */
export interface RunExtras {
  /** Prompts that are answered on the way. */
  pinned?: PinnedRequest | null;
  /** How many steps keep their weights, best and last among them, 0 for none; by default `mostSteps`. */
  keepSteps?: number;
  /** The sweep that it is made for. */
  sweep?: SweepPlace;
  /** Changes of its learning rate that are planned or were made. */
  rateChanges?: readonly RateChange[];
}

/** Decides about gradient checkpointing by the memory there is. @throws PlaygroundError `out_of_memory` */
export function fitToDevice(
  model: Model,
  dataset: Dataset,
  h: Hyperparameters,
  device: DeviceReport,
): FittedRun {
  return fitRun(model, h, dataset.longestBatch(h.batch_size), memoryLimits(device));
}
