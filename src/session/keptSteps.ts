// Which steps of a run keep their weights, and those weights until they are stored.
// Not here: where they are stored (worker/runKeeping.ts), going on with a run (engine/training/checkpoint.ts).
//
// How it works: `stepsToKeep` names the steps whose weights are kept once a run has come to a step. The best and the last are always among
// them. The others come in three classes, each of which gets what the one before leaves: ends of epochs; evaluations, at which the losses
// of rows are known; and steps in between on an even grid. A class that does not fit keeps every 2nd, 4th, 8th … of its members, and those
// after it get nothing. As a run grows these strides only grow, so a step that is kept at the end was kept since it was made: none is
// missed, and none has to be made twice. Time O(kept) a call; no state.

import type { NamedTensors } from '../engine/training/namedTensors';
import type { TrainPlan } from '../engine/training/plan';

/** Steps with weights of their own at most, best and last among them. */
const MAX_STEPS = 32;
/** Bytes that the weights of all kept steps of a run may take beside the best and the last. */
const MAX_BYTES = 64_000_000;
/** Share of a run's time that reading weights may take before steps other than ends of epochs are passed over. */
const MAX_SHARE = 0.05;
/** So much is never too much: in a run of a few seconds a moment of a busy machine would decide which steps are kept. */
const FREE_MS = 1000;

type Grid = Pick<TrainPlan, 'stepsPerEpoch' | 'evaluateAt'>;

/** How many steps of a run keep their weights: adapters are small, all weights of a model are not. @returns at least 2: the best and the last */
export function mostSteps(parameters: number): number {
  return Math.min(MAX_STEPS, 2 + Math.floor(MAX_BYTES / (4 * Math.max(1, parameters))));
}

/**
 * The steps whose weights are kept when a run has come to `reached`, in order. Step 0 is the base model and needs none.
 * @param best step of the lowest validation loss; null where nothing was measured
 * @param most of `mostSteps`
 */
export function stepsToKeep(
  grid: Grid,
  { reached, best, most }: { reached: number; best: number | null; most: number },
): number[] {
  const ends = [reached, ...(best === null ? [] : [best])].filter((step) => step > 0);
  return [...new Set([...ends, ...stepsBetween(grid, reached, most - 2)])].sort((a, b) => a - b);
}

/** Those beside the best and the last, at most `room`. */
function stepsBetween({ stepsPerEpoch, evaluateAt }: Grid, reached: number, room: number): number[] {
  if (room <= 0) return [];
  const epochEnds = Array.from(
    { length: Math.floor(reached / stepsPerEpoch) },
    (_, i) => (i + 1) * stepsPerEpoch,
  );
  const evaluations = [...evaluateAt]
    .filter((step) => step > 0 && step <= reached && step % stepsPerEpoch !== 0)
    .sort((a, b) => a - b);
  const kept: number[] = [];
  for (const members of [epochEnds, evaluations]) {
    const stride = strideFor(members.length, room - kept.length);
    kept.push(...members.filter((_, i) => (i + 1) % stride === 0));
    if (stride > 1) return kept;
  }
  return [...kept, ...gridBetween({ stepsPerEpoch, evaluateAt }, reached, room - kept.length)];
}

/** The least power of two that leaves at most `room` of `count` members. */
function strideFor(count: number, room: number): number {
  let stride = 1;
  while (Math.floor(count / stride) > room) stride *= 2;
  return stride;
}

/** Multiples of the least power of two that fit, but for those that lie nearer than half of it to an epoch's end or an evaluation. */
function gridBetween({ stepsPerEpoch, evaluateAt }: Grid, reached: number, room: number): number[] {
  const evaluations = [...evaluateAt].sort((a, b) => a - b);
  for (let stride = 1; stride <= reached; stride *= 2) {
    const near = (step: number) => {
      const toEpoch = Math.min(step % stepsPerEpoch, stepsPerEpoch - (step % stepsPerEpoch));
      return (
        toEpoch === 0 ||
        2 * toEpoch < stride ||
        evaluations.some((e) => e === step || 2 * Math.abs(e - step) < stride)
      );
    };
    // Most multiples are far from the others: where there are many times too many, none is looked at.
    const multiples = Math.floor(reached / stride);
    if (multiples > 4 * (room + reached / stepsPerEpoch + evaluations.length)) continue;
    const kept = Array.from({ length: multiples }, (_, i) => (i + 1) * stride).filter((step) => !near(step));
    if (kept.length <= room) return kept;
  }
  return [];
}

/** The learned tensors after a step. */
export interface StepWeights {
  step: number;
  learner: NamedTensors;
}

/** What a keeper of checkpoints does about single steps. */
export interface StepsToStore {
  /** The steps that stay, in order; stored ones that are not among them are deleted. */
  keep: readonly number[];
  /** Those of them that are not stored yet. */
  fresh: readonly StepWeights[];
}

/** Takes the weights of a run at the steps that are kept, and holds them until they are stored. */
export class StepTaker {
  readonly #grid: Grid;
  readonly #most: number;
  readonly #waiting = new Map<number, StepWeights>();
  #tookMs = 0;
  #asked = { step: -1, due: false };

  /** @param parameters that learn @param most steps with weights of their own; 0 for none, else at least 2 */
  constructor(grid: Grid, parameters: number, most = mostSteps(parameters)) {
    this.#grid = grid;
    this.#most = most;
  }

  /** Whether the weights after this step are to be kept beyond it. */
  isDue(step: number): boolean {
    // Asked several times a step.
    if (this.#asked.step !== step) {
      const due = step > 0 && stepsBetween(this.#grid, step, this.#most - 2).includes(step);
      this.#asked = { step, due };
    }
    return this.#asked.due;
  }

  /**
   * Takes the weights of a step that is due. Where taking them has cost too much of the run's time, only ends of epochs are taken.
   * @param read reads the tensors from the device, with no update in flight
   */
  async take(step: number, elapsedMs: number, read: () => Promise<NamedTensors>): Promise<void> {
    const slow =
      this.#tookMs > Math.max(FREE_MS, MAX_SHARE * elapsedMs) && step % this.#grid.stepsPerEpoch !== 0;
    if (slow) return;
    const began = performance.now();
    this.#waiting.set(step, { step, learner: await read() });
    this.#tookMs += performance.now() - began;
    const keep = new Set(this.#keep(step, null));
    for (const other of this.#waiting.keys()) if (!keep.has(other)) this.#waiting.delete(other);
  }

  #keep(reached: number, best: number | null): number[] {
    if (this.#most === 0) return [];
    return stepsToKeep(this.#grid, { reached, best, most: this.#most });
  }

  /** What is to be stored when the run has come to `reached`. */
  toStore(reached: number, best: number | null): StepsToStore {
    const keep = this.#keep(reached, best);
    return { keep, fresh: keep.flatMap((step) => this.#waiting.get(step) ?? []) };
  }

  /** They are stored and need not be held any longer. */
  stored(fresh: readonly StepWeights[]): void {
    for (const { step } of fresh) this.#waiting.delete(step);
  }

  /** Steps that are held and not stored. */
  get waiting(): ReadonlyMap<number, StepWeights> {
    return this.#waiting;
  }
}
