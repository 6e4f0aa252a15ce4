// Fits a run to the device's memory: decides gradient checkpointing by the estimate, then by running the heaviest batch.
// Not here: the estimate itself (memory.ts), the training loop (train.ts).
//
// How it works: (1) `fitRun` compares the estimate with the limits of the device; where `gradient_checkpointing` is `auto` and the estimate is
// too large, it switches it on. (2) `FittedTrainer.rehearse` runs forward and backward pass of the heaviest batch. If the device refuses the
// memory and the setting is `auto`, everything is freed and a second trainer runs it with checkpointing.

import type { Checkpointing, RunEstimate } from '../../contract';
import type { Hyperparameters } from '../../hyperparameters';
import { awaitDeviceError, freeUnused } from '../device/device';
import type { Model } from '../model/model';
import {
  assertFits,
  baseSize,
  estimateMemory,
  isOutOfMemory,
  type LongestBatch,
  type MemoryLimits,
  megabytes,
  outOfMemory,
} from './memory';
import type { TrainingData } from './plan';
import type { YieldPoint } from './step';
import { type Schedule, Trainer, type TrainerState } from './train';

/** Settings that fit the device: `gradient_checkpointing` of `h` is `on` or `off`. */
export interface FittedRun {
  h: Hyperparameters;
  checkpointing: Checkpointing;
  /** Checkpointing is off and was left to `auto`. */
  mayEnable: boolean;
  longest: LongestBatch;
}

type Sizes = Pick<Model, 'architecture' | 'parameters' | 'weights'>;

const PRICE = 'Each step computes the forward pass twice.';

/** Decides gradient checkpointing by the estimate. */
function decide(
  model: Sizes,
  asked: Hyperparameters,
  longest: LongestBatch,
  limits: MemoryLimits,
): FittedRun {
  const decided = (on: boolean, because: string | null, mayEnable: boolean): FittedRun => ({
    h: { ...asked, gradient_checkpointing: on ? 'on' : 'off' },
    checkpointing: { on, because },
    mayEnable,
    longest,
  });
  if (asked.gradient_checkpointing !== 'auto') {
    return decided(asked.gradient_checkpointing === 'on', null, false);
  }
  const off = decided(false, null, true);
  const { totalBytes } = estimateMemory(model.architecture, baseSize(model), off.h, longest);
  if (totalBytes <= limits.totalBytes) return off;
  const because = `Gradient checkpointing is on: without it this run would need about ${megabytes(totalBytes)} of the ${megabytes(limits.totalBytes)} there are. ${PRICE}`;
  return decided(true, because, false);
}

/** The memory that a run would take with the checkpointing it would get, whether it fits or not. */
export function estimateRun(
  model: Sizes,
  h: Hyperparameters,
  longest: LongestBatch,
  limits: MemoryLimits,
): RunEstimate {
  const fitted = decide(model, h, longest, limits);
  const estimate = estimateMemory(model.architecture, baseSize(model), fitted.h, longest);
  return { ...estimate, checkpointing: fitted.checkpointing };
}

/**
 * Fits a run by the estimate, before anything is allocated.
 * @throws PlaygroundError `out_of_memory` when it does not fit even with checkpointing
 */
export function fitRun(
  model: Sizes,
  h: Hyperparameters,
  longest: LongestBatch,
  limits: MemoryLimits,
): FittedRun {
  const fitted = decide(model, h, longest, limits);
  assertFits(model.architecture, baseSize(model), fitted.h, longest, limits);
  return fitted;
}

/** A trainer that is replaced by one with gradient checkpointing when memory runs out in the rehearsal. */
export class FittedTrainer {
  readonly #model: Model;
  readonly #data: TrainingData;
  readonly #schedule: Schedule | undefined;
  #fitted: FittedRun;
  #trainer: Trainer;
  /** The restored state, until the rehearsal has passed: a second trainer needs it too. */
  #restored: TrainerState | null = null;

  /**
   * @param schedule as of Trainer
   * @throws PlaygroundError for bad settings or empty splits
   */
  constructor(model: Model, data: TrainingData, fitted: FittedRun, schedule?: Schedule) {
    this.#model = model;
    this.#data = data;
    this.#fitted = fitted;
    this.#schedule = schedule;
    this.#trainer = this.#newTrainer();
  }

  /** The trainer to run, after `rehearse`. */
  get trainer(): Trainer {
    return this.#trainer;
  }

  /** Restores a saved state. Before `rehearse`. @throws PlaygroundError `bad_checkpoint` */
  restore(state: TrainerState): void {
    this.#trainer.restore(state);
    this.#restored = state;
  }

  get checkpointing(): Checkpointing {
    return this.#fitted.checkpointing;
  }

  /**
   * Runs the heaviest batch and discards its gradients, so that a lack of memory is found before the run begins. If memory runs out and
   * checkpointing is left to `auto`, frees everything and runs it once more with checkpointing.
   * @throws PlaygroundError `out_of_memory`, with ways that need less
   */
  async *rehearse(): AsyncGenerator<YieldPoint, void> {
    try {
      yield* this.#try();
    } catch (thrown) {
      if (!this.#fitted.mayEnable || !isOutOfMemory(thrown)) throw await this.releaseAfter(thrown);
      await this.#enableCheckpointing();
      try {
        this.#trainer = this.#newTrainer();
        yield* this.#try();
      } catch (again) {
        throw await this.releaseAfter(again);
      }
    }
    this.#restored = null;
  }

  /**
   * After an error: frees all but the learned weights. @returns the error to report: a lack of memory comes with ways that need less; an error
   * in JavaScript that a GPU error has caused (an aborted mapping, an invalid buffer) is replaced by the GPU error.
   */
  async releaseAfter(thrown: unknown): Promise<unknown> {
    const cause = (await awaitDeviceError()) ?? thrown;
    const { step } = this.#trainer;
    if (step === 0) this.#trainer.dispose();
    else this.#trainer.disposeOptimizer();
    if (!isOutOfMemory(cause)) return cause;
    await this.#freeUnused();
    const reason =
      step === 0
        ? 'the device refused the memory for its heaviest batch.'
        : `memory ran out after step ${step}, and what was computed since then is wrong.`;
    const { h, longest } = this.#fitted;
    return outOfMemory(this.#model.architecture, baseSize(this.#model), h, longest, reason);
  }

  async *#try(): AsyncGenerator<YieldPoint, void> {
    try {
      yield* this.#trainer.rehearse();
    } catch (thrown) {
      throw (await awaitDeviceError()) ?? thrown;
    }
    const gpuError = await awaitDeviceError();
    if (gpuError) throw gpuError;
  }

  /** Frees the trainer's memory for the next one. */
  async #enableCheckpointing(): Promise<void> {
    const { h, longest } = this.#fitted;
    const { totalBytes } = estimateMemory(this.#model.architecture, baseSize(this.#model), h, longest);
    const because = `Gradient checkpointing is on: the device refused the memory for the heaviest batch without it (about ${megabytes(totalBytes)} for the whole run). ${PRICE}`;
    this.#fitted = {
      ...this.#fitted,
      h: { ...h, gradient_checkpointing: 'on' },
      checkpointing: { on: true, because },
      mayEnable: false,
    };
    this.#trainer.dispose();
    await this.#freeUnused();
  }

  async #freeUnused(): Promise<void> {
    // Tables that were created while memory was short may be invalid; they are created again.
    this.#model.disposeConstants();
    await freeUnused();
  }

  #newTrainer(): Trainer {
    const trainer = new Trainer(this.#model, this.#data, this.#fitted.h, this.#schedule);
    if (this.#restored !== null) trainer.restore(this.#restored);
    return trainer;
  }
}
