// Making a run fit the memory there is: gradient checkpointing where it is needed, by the estimate first, then by trying the heaviest batch.
// Not here: the estimate itself (memory.ts), the training loop (train.ts).

import type { Checkpointing, RunEstimate } from '../../contract';
import type { Hyperparameters } from '../../hyperparameters';
import { freeUnused, settledDeviceError } from '../device/device';
import type { Model } from '../model/model';
import {
  assertFits,
  baseSize,
  type DeviceRoom,
  estimateMemory,
  type LongestBatch,
  megabytes,
  outOfMemory,
  ranOut,
} from './memory';
import type { TrainingData } from './plan';
import type { Breath } from './step';
import { type Schedule, Trainer, type TrainerState } from './train';

/** A run as it can be made: `gradient_checkpointing` of `h` is decided. */
export interface SettledRun {
  h: Hyperparameters;
  checkpointing: Checkpointing;
  /** Checkpointing is off, and the visitor leaves that to us. */
  mayTurnOn: boolean;
  longest: LongestBatch;
}

type Sizes = Pick<Model, 'architecture' | 'parameters' | 'weights'>;

const PRICE = 'Each step computes the forward pass twice.';

/** What `gradient_checkpointing` comes to by the estimate. */
function decide(model: Sizes, asked: Hyperparameters, longest: LongestBatch, room: DeviceRoom): SettledRun {
  const decided = (on: boolean, because: string | null, mayTurnOn: boolean): SettledRun => ({
    h: { ...asked, gradient_checkpointing: on ? 'on' : 'off' },
    checkpointing: { on, because },
    mayTurnOn,
    longest,
  });
  if (asked.gradient_checkpointing !== 'auto') {
    return decided(asked.gradient_checkpointing === 'on', null, false);
  }
  const off = decided(false, null, true);
  const { totalBytes } = estimateMemory(model.architecture, baseSize(model), off.h, longest);
  if (totalBytes <= room.totalBytes) return off;
  const because = `Gradient checkpointing is on: without it this run would need about ${megabytes(totalBytes)} of the ${megabytes(room.totalBytes)} there are. ${PRICE}`;
  return decided(true, because, false);
}

/** The memory a run would take as it would be made, whether it fits or not. */
export function estimateRun(
  model: Sizes,
  h: Hyperparameters,
  longest: LongestBatch,
  room: DeviceRoom,
): RunEstimate {
  const settled = decide(model, h, longest, room);
  const estimate = estimateMemory(model.architecture, baseSize(model), settled.h, longest);
  return { ...estimate, checkpointing: settled.checkpointing };
}

/**
 * Makes a run fit by the estimate, before anything is allocated.
 * @throws PlaygroundError `out_of_memory` when it cannot
 */
export function settle(
  model: Sizes,
  h: Hyperparameters,
  longest: LongestBatch,
  room: DeviceRoom,
): SettledRun {
  const settled = decide(model, h, longest, room);
  assertFits(model.architecture, baseSize(model), settled.h, longest, room);
  return settled;
}

/** A trainer, and another in its place when memory asks for it. */
export class FittedTrainer {
  readonly #model: Model;
  readonly #data: TrainingData;
  readonly #schedule: Schedule | undefined;
  #settled: SettledRun;
  #trainer: Trainer;
  /** What the run goes on from, until it has been rehearsed: a second trainer needs it too. */
  #restored: TrainerState | null = null;

  /**
   * @param schedule as of Trainer
   * @throws PlaygroundError for bad settings or empty splits
   */
  constructor(model: Model, data: TrainingData, settled: SettledRun, schedule?: Schedule) {
    this.#model = model;
    this.#data = data;
    this.#settled = settled;
    this.#schedule = schedule;
    this.#trainer = this.#newTrainer();
  }

  /** The one that is to run: rehearse first. */
  get trainer(): Trainer {
    return this.#trainer;
  }

  /** Goes on from a saved state. Before `rehearse`. @throws PlaygroundError `bad_checkpoint` */
  restore(state: TrainerState): void {
    this.#trainer.restore(state);
    this.#restored = state;
  }

  get checkpointing(): Checkpointing {
    return this.#settled.checkpointing;
  }

  /**
   * The heaviest batch first, thrown away: memory that is not there is missed now and not in the middle of the run. Where it is, and
   * checkpointing may be switched on, everything is given back and tried once more with it.
   * @throws PlaygroundError `out_of_memory`, with ways that need less
   */
  async *rehearse(): AsyncGenerator<Breath, void> {
    try {
      yield* this.#try();
    } catch (thrown) {
      if (!this.#settled.mayTurnOn || !ranOut(thrown)) throw await this.giveUp(thrown);
      await this.#turnOn();
      try {
        this.#trainer = this.#newTrainer();
        yield* this.#try();
      } catch (again) {
        throw await this.giveUp(again);
      }
    }
    this.#restored = null;
  }

  /**
   * After an error: frees all but what was learned, and says what is to be told. A lack of memory comes with ways that need less; what
   * JavaScript met in consequence of a GPU error (a mapping that was aborted, a buffer that is invalid) gives way to that error.
   */
  async giveUp(thrown: unknown): Promise<unknown> {
    const cause = (await settledDeviceError()) ?? thrown;
    const { step } = this.#trainer;
    if (step === 0) this.#trainer.dispose();
    else this.#trainer.disposeOptimizer();
    if (!ranOut(cause)) return cause;
    await this.#giveBack();
    const reason =
      step === 0
        ? 'the device refused the memory for its heaviest batch.'
        : `memory ran out after step ${step}, and what was computed since then is wrong.`;
    const { h, longest } = this.#settled;
    return outOfMemory(this.#model.architecture, baseSize(this.#model), h, longest, reason);
  }

  async *#try(): AsyncGenerator<Breath, void> {
    try {
      yield* this.#trainer.rehearse();
    } catch (thrown) {
      throw (await settledDeviceError()) ?? thrown;
    }
    const gpuError = await settledDeviceError();
    if (gpuError) throw gpuError;
  }

  /** Gives everything back, so that the next trainer finds the memory this one had. */
  async #turnOn(): Promise<void> {
    const { h, longest } = this.#settled;
    const { totalBytes } = estimateMemory(this.#model.architecture, baseSize(this.#model), h, longest);
    const because = `Gradient checkpointing is on: the device refused the memory for the heaviest batch without it (about ${megabytes(totalBytes)} for the whole run). ${PRICE}`;
    this.#settled = {
      ...this.#settled,
      h: { ...h, gradient_checkpointing: 'on' },
      checkpointing: { on: true, because },
      mayTurnOn: false,
    };
    this.#trainer.dispose();
    await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    // Tables that were made while memory was short may hold nothing; they are made again.
    this.#model.disposeConstants();
    await freeUnused();
  }

  #newTrainer(): Trainer {
    const trainer = new Trainer(this.#model, this.#data, this.#settled.h, this.#schedule);
    if (this.#restored !== null) trainer.restore(this.#restored);
    return trainer;
  }
}
