// The training loop, one for every method: a generator that yields after each piece of work, so pausing is not calling it.
// Not here: what learns (model/adapters.ts), the arithmetic of an update (optimizer.ts), pace and reports of a run (session/run.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../../contract';
import { createRandom, epochOrder } from '../../data/batches';
import { PlaygroundError } from '../../errors';
import { assertHyperparameters, type Hyperparameters } from '../../hyperparameters';
import { keyOf } from '../kernels/dropout/noise';
import { copyOf, createLearner, disposeLearner, type Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { createStepper } from './capturedStep';
import { type Evaluation, evaluate, type Measure, pairedStandardError, toBatch } from './evaluate';
import { scheduleFactor } from './optimizer';
import type { Breath, Stepper, UpdateResult } from './step';

export interface TrainingData {
  train: EncodedExample[];
  validation: EncodedExample[];
}

export interface StepReport {
  kind: 'step';
  /** 1-based: updates made. */
  step: number;
  epoch: number;
  /** Tokens the model has read so far, padding not counted. */
  tokens: number;
  /** Mean loss per target token of this update's rows, measured before the update. */
  loss: number;
  learningRate: number;
  gradNorm: number;
}

export interface EvaluationReport {
  kind: 'evaluation';
  step: number;
  epoch: number;
  tokens: number;
  train: Evaluation;
  validation: Evaluation;
  /** Lowest validation loss so far; its weights are kept. */
  isBest: boolean;
  /** Of the validation loss minus that of the best step before this one, on the same rows; 0 at the first evaluation. */
  riseStandardError: number;
}

export type TrainEvent = StepReport | EvaluationReport | Breath;

export interface TrainPlan {
  stepsPerEpoch: number;
  totalSteps: number;
  /** Steps after which both losses are measured; 0 and the last are always among them. */
  evaluateAt: Set<number>;
}

/** How many updates a run makes and when it is evaluated. */
export function planTraining(trainRows: number, h: Hyperparameters): TrainPlan {
  const rowsPerStep = h.batch_size * h.gradient_accumulation_steps;
  const stepsPerEpoch = Math.ceil(trainRows / rowsPerStep);
  const totalSteps = stepsPerEpoch * h.num_train_epochs;
  const evaluateAt = new Set([0, totalSteps]);
  const perEpoch = Math.min(h.eval_per_epoch, stepsPerEpoch);
  for (let epoch = 0; epoch < h.num_train_epochs; epoch++) {
    for (let i = 1; i <= perEpoch; i++) {
      evaluateAt.add(epoch * stepsPerEpoch + Math.round((i * stepsPerEpoch) / perEpoch));
    }
  }
  return { stepsPerEpoch, totalSteps, evaluateAt };
}

const LEAST_SAMPLE_ROWS = 16;

/** The training rows that are measured at every evaluation: a fixed seeded sample as large as the validation set, so as noisy as it. */
export function trainSample(train: EncodedExample[], validationRows: number, seed: number): EncodedExample[] {
  const size = Math.max(LEAST_SAMPLE_ROWS, validationRows);
  if (train.length <= size) return train;
  const random = createRandom(keyOf(seed, 0x73616d70));
  const pool = [...train];
  for (let i = 0; i < size; i++) {
    const j = i + Math.floor(random() * (pool.length - i));
    [pool[i], pool[j]] = [pool[j] as EncodedExample, pool[i] as EncodedExample];
  }
  return pool.slice(0, size);
}

/** Learning rate of update `step` (0-based) of `totalSteps`. */
export type Schedule = (step: number, totalSteps: number) => number;

export function scheduleOf(h: Hyperparameters): Schedule {
  return (step, totalSteps) =>
    h.learning_rate * scheduleFactor(h.lr_scheduler_type, step, totalSteps, h.warmup_ratio);
}

/** An update that was asked for and whose numbers may not be known yet. */
interface Pending {
  report: Omit<StepReport, 'loss' | 'gradNorm'>;
  lines: number[];
  result: Promise<UpdateResult>;
}

export class Trainer {
  readonly model: Model;
  readonly learner: Learner;
  readonly plan: TrainPlan;
  readonly #h: Hyperparameters;
  readonly #data: TrainingData;
  readonly #sample: EncodedExample[];
  readonly #schedule: Schedule;
  readonly #stepper: Stepper;
  /** Updates under way, oldest first. */
  #pending: Pending[] = [];
  #best: { step: number; validation: Evaluation; tensors: Map<string, tf.Tensor> } | null = null;
  #tokens = 0;
  #step = 0;

  /**
   * @param schedule learning rate of each update; by default the settings' own
   * @throws PlaygroundError for bad settings or when a side of the split is empty.
   */
  constructor(model: Model, data: TrainingData, h: Hyperparameters, schedule: Schedule = scheduleOf(h)) {
    assertHyperparameters(h);
    if (data.train.length === 0 || data.validation.length === 0) {
      throw new PlaygroundError({
        code: 'no_rows',
        message: `There are ${data.train.length} rows to train on and ${data.validation.length} to validate with; both need at least one.`,
        fix: 'Add rows (10 is the least), or change the validation share.',
      });
    }
    this.model = model;
    this.#h = h;
    this.#schedule = schedule;
    this.#data = data;
    this.#sample = trainSample(data.train, data.validation.length, h.seed);
    this.plan = planTraining(data.train.length, h);
    this.learner = createLearner(model.architecture, model.weights, h);
    this.#stepper = createStepper(model, this.learner, h);
  }

  /** Updates made so far. */
  get step(): number {
    return this.#step;
  }

  get best(): { step: number; loss: number } | null {
    return this.#best && { step: this.#best.step, loss: this.#best.validation.loss };
  }

  /** The learner with the weights of the best step; shares nothing with the live one. */
  get bestLearner(): Learner | null {
    return this.#best && { ...this.learner, tensors: this.#best.tensors };
  }

  /** Frees moments; the learner and the best weights stay for talking and export. */
  disposeOptimizer(): void {
    this.#stepper.dispose();
  }

  dispose(): void {
    this.#stepper.dispose();
    disposeLearner(this.learner);
    for (const t of this.#best?.tensors.values() ?? []) t.dispose();
    this.#best = null;
  }

  /**
   * The whole run. Stop by not asking for more (and calling `return`). Ends early when patience runs out.
   * @param lookahead how many updates may be under way before the numbers of the oldest are waited for. On a fast GPU they take longer
   *   to arrive than an update takes.
   */
  async *run(lookahead: () => number = () => 1): AsyncGenerator<TrainEvent, void> {
    const patience = this.#h.early_stopping_patience;
    let withoutGain = 0;
    while (true) {
      if (this.plan.evaluateAt.has(this.#step)) {
        yield* this.underWay();
        const report = yield* this.#evaluate();
        yield report;
        withoutGain = report.isBest ? 0 : withoutGain + 1;
        if (patience > 0 && withoutGain >= patience) return;
      }
      if (this.#step >= this.plan.totalSteps) return;
      yield* this.#issue();
      while (this.#pending.length >= lookahead()) yield await this.#settle();
    }
  }

  /** One update on the next rows, with its numbers. */
  async *update(): AsyncGenerator<Breath, StepReport> {
    yield* this.#issue();
    return this.#settle();
  }

  /**
   * Forward and backward on the heaviest batch, without an update: what does not fit shows itself before the run has begun.
   * Leaves weights, step and random numbers as they were.
   */
  async *rehearse(): AsyncGenerator<Breath, void> {
    const rows = [...this.#data.train]
      .sort((a, b) => b.ids.length - a.ids.length)
      .slice(0, this.#h.batch_size);
    const batch = toBatch(this.model, rows);
    yield* this.#stepper.rehearse(batch, keyOf(this.#h.seed));
  }

  /** The numbers of updates that are under way when a run is left: they are made, and one of them may have failed. */
  async *underWay(): AsyncGenerator<StepReport, void> {
    while (this.#pending.length > 0) yield await this.#settle();
  }

  async *#evaluate(): AsyncGenerator<Breath, EvaluationReport> {
    const measure = async function* (
      this: Trainer,
      rows: EncodedExample[],
    ): AsyncGenerator<Breath, Evaluation> {
      const own: Measure = (batch, targets) => this.#stepper.measure(batch, targets);
      const walk = evaluate(this.model, own, rows, Math.max(8, this.#h.batch_size));
      try {
        while (true) {
          const next = await walk.next();
          if (next.done) return next.value;
          yield { kind: 'breath', during: 'evaluating' };
        }
      } finally {
        await walk.return(undefined as never);
      }
    }.bind(this);
    const train = yield* measure(this.#sample);
    const validation = yield* measure(this.#data.validation);
    const isBest =
      Number.isFinite(validation.loss) && validation.loss < (this.#best?.validation.loss ?? Infinity);
    const riseStandardError = this.#best ? pairedStandardError(validation, this.#best.validation) : 0;
    if (isBest) this.#keepBest(validation);
    return {
      kind: 'evaluation',
      step: this.#step,
      epoch: this.#epoch,
      tokens: this.#tokens,
      train,
      validation,
      isBest,
      riseStandardError,
    };
  }

  get #epoch(): number {
    return this.#step / this.plan.stepsPerEpoch;
  }

  #keepBest(validation: Evaluation): void {
    const tensors = new Map<string, tf.Tensor>();
    for (const [name, t] of this.learner.tensors) tensors.set(name, copyOf(t));
    for (const t of this.#best?.tensors.values() ?? []) t.dispose();
    this.#best = { step: this.#step, validation, tensors };
  }

  /** The micro-batches of update `step`, rows in this epoch's seeded order. */
  #microBatches(step: number): Batch[] {
    const { stepsPerEpoch } = this.plan;
    const rowsPerStep = this.#h.batch_size * this.#h.gradient_accumulation_steps;
    const epoch = Math.floor(step / stepsPerEpoch);
    const order = epochOrder(this.#data.train.length, this.#h.seed, epoch);
    const first = (step % stepsPerEpoch) * rowsPerStep;
    const rows = Array.from(
      order.slice(first, first + rowsPerStep),
      (i) => this.#data.train[i] as EncodedExample,
    );
    const batches: Batch[] = [];
    for (let i = 0; i < rows.length; i += this.#h.batch_size) {
      batches.push(toBatch(this.model, rows.slice(i, i + this.#h.batch_size)));
    }
    return batches;
  }

  /** Starts one update: gradients of all micro-batches, normalised by their target tokens together; clip; AdamW. */
  async *#issue(): AsyncGenerator<Breath, void> {
    const h = this.#h;
    const batches = this.#microBatches(this.#step);
    let weightSum = 0;
    for (const b of batches) for (const w of b.weights) weightSum += w;
    const learningRate = this.#schedule(this.#step, this.plan.totalSteps);
    const noiseKeys = batches.map((_, micro) => keyOf(h.seed, this.#step, micro));
    const { result } = yield* this.#stepper.update({ batches, weightSum, noiseKeys, learningRate });
    // Looked at in #settle; until then a failure is nobody's.
    result.catch(() => {});
    for (const b of batches) for (const length of b.lengths) this.#tokens += length;
    this.#step += 1;
    const report = {
      kind: 'step' as const,
      step: this.#step,
      epoch: this.#epoch,
      tokens: this.#tokens,
      learningRate,
    };
    this.#pending.push({ report, lines: batches.flatMap((b) => b.lines), result });
  }

  /** The numbers of the oldest update under way. @throws PlaygroundError `non_finite`, with the step before it as the state */
  async #settle(): Promise<StepReport> {
    const { report, lines, result } = this.#pending.shift() as Pending;
    const { loss, gradNorm, applied } = await result;
    if (!applied) {
      this.#step = report.step - 1;
      this.#pending = [];
      this.#refuse(report.step, loss, lines);
    }
    return { ...report, loss, gradNorm };
  }

  #refuse(step: number, loss: number, lines: number[]): never {
    const what = Number.isFinite(loss) ? 'gradient' : 'loss';
    const rate = Number((this.#h.learning_rate / 10).toPrecision(2));
    throw new PlaygroundError({
      code: 'non_finite',
      message: `The ${what} stopped being a number at step ${step}, on the rows from lines ${lines.join(', ')}. The weights of step ${step - 1} were kept.`,
      fix: `Try a learning rate ten times lower (${rate}), and look at those lines.`,
      where: `step ${step}, lines ${lines.join(', ')}`,
    });
  }
}
