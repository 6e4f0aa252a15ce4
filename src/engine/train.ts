// The training loop, one for every method: a generator that yields after each piece of work, so pausing is not calling it.
// Not here: what learns (adapters.ts), the arithmetic of an update (optimizer.ts), the wire (worker/session.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../contract';
import { createRandom, epochOrder, makeBatch } from '../data/batches';
import { PlaygroundError } from '../errors';
import { assertHyperparameters, type Hyperparameters } from '../hyperparameters';
import { copyOf, createLearner, disposeLearner, type Learner } from './adapters';
import { bucketOf, type Evaluation, evaluate, padOf, pairedStandardError, targetsOf } from './evaluate';
import { crossEntropy } from './kernels';
import type { Model } from './model';
import { keyOf } from './noise';
import { AdamW, clipCoefficient, scheduleFactor } from './optimizer';
import { Tape } from './tape';

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

/** A place to breathe inside a step or an evaluation; nothing to tell. */
export interface Breath {
  kind: 'breath';
  during: 'training' | 'evaluating';
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

export class Trainer {
  readonly model: Model;
  readonly learner: Learner;
  readonly plan: TrainPlan;
  readonly #h: Hyperparameters;
  readonly #data: TrainingData;
  readonly #sample: EncodedExample[];
  readonly #schedule: Schedule;
  readonly #optimizer = new AdamW();
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
    this.#optimizer.dispose();
  }

  dispose(): void {
    this.#optimizer.dispose();
    disposeLearner(this.learner);
    for (const t of this.#best?.tensors.values() ?? []) t.dispose();
    this.#best = null;
  }

  /** The whole run. Stop by not asking for more (and calling `return`). Ends early when patience runs out. */
  async *run(): AsyncGenerator<TrainEvent, void> {
    const patience = this.#h.early_stopping_patience;
    let withoutGain = 0;
    while (true) {
      if (this.plan.evaluateAt.has(this.#step)) {
        const report = yield* this.#evaluate();
        yield report;
        withoutGain = report.isBest ? 0 : withoutGain + 1;
        if (patience > 0 && withoutGain >= patience) return;
      }
      if (this.#step >= this.plan.totalSteps) return;
      yield yield* this.update();
    }
  }

  /**
   * Forward and backward on the heaviest batch, without an update: what does not fit shows itself before the run has begun.
   * Leaves weights, step and random numbers as they were.
   */
  async *rehearse(): AsyncGenerator<Breath, void> {
    const rows = [...this.#data.train]
      .sort((a, b) => b.ids.length - a.ids.length)
      .slice(0, this.#h.batch_size);
    const gradients = new Map<string, tf.Tensor>();
    try {
      const batch = makeBatch(rows, padOf(this.model), bucketOf(this.model));
      yield* this.#gradientsOf(batch, 1, keyOf(this.#h.seed), gradients);
    } finally {
      for (const g of gradients.values()) g.dispose();
    }
  }

  /** Measure now, wherever the run stands: after a stop. */
  evaluateNow(): AsyncGenerator<Breath, EvaluationReport> {
    return this.#evaluate();
  }

  async *#evaluate(): AsyncGenerator<Breath, EvaluationReport> {
    const measure = async function* (
      this: Trainer,
      rows: EncodedExample[],
    ): AsyncGenerator<Breath, Evaluation> {
      const walk = evaluate(this.model, this.learner, rows, Math.max(8, this.#h.batch_size));
      while (true) {
        const next = await walk.next();
        if (next.done) return next.value;
        yield { kind: 'breath', during: 'evaluating' };
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
      batches.push(makeBatch(rows.slice(i, i + this.#h.batch_size), padOf(this.model), bucketOf(this.model)));
    }
    return batches;
  }

  /** One update on the next rows: gradients of all micro-batches, normalised by their target tokens together; clip; AdamW. */
  async *update(): AsyncGenerator<Breath, StepReport> {
    const h = this.#h;
    const batches = this.#microBatches(this.#step);
    const lines = batches.flatMap((b) => b.lines);
    let weightSum = 0;
    for (const b of batches) for (const w of b.weights) weightSum += w;
    const gradients = new Map<string, tf.Tensor>();
    try {
      let lossSum = 0;
      for (const [micro, batch] of batches.entries()) {
        lossSum += yield* this.#gradientsOf(
          batch,
          1 / weightSum,
          keyOf(h.seed, this.#step, micro),
          gradients,
        );
        for (const length of batch.lengths) this.#tokens += length;
        yield { kind: 'breath', during: 'training' };
      }
      const loss = lossSum / weightSum;
      const gradNorm = await this.#optimizer.gradientNorm(gradients);
      this.#assertFinite(loss, gradNorm, lines);
      const learningRate = this.#schedule(this.#step, this.plan.totalSteps);
      const clip = clipCoefficient(gradNorm, h.max_grad_norm);
      this.#optimizer.update(this.learner.tensors, gradients, h, learningRate, clip);
      this.#step += 1;
      return {
        kind: 'step',
        step: this.#step,
        epoch: this.#epoch,
        tokens: this.#tokens,
        loss,
        learningRate,
        gradNorm,
      };
    } finally {
      for (const g of gradients.values()) g.dispose();
    }
  }

  /** Adds one micro-batch's gradients to `gradients`; returns its weighted loss sum in nats. */
  async *#gradientsOf(
    batch: Batch,
    scale: number,
    noiseKey: number,
    gradients: Map<string, tf.Tensor>,
  ): AsyncGenerator<Breath, number> {
    const targets = targetsOf(batch);
    if (targets.real === 0) return 0;
    const h = this.#h;
    const tape = new Tape(gradients);
    const ids = tf.tensor1d(batch.ids, 'int32');
    let rowLoss: tf.Tensor1D | null = null;
    try {
      const pass = {
        weights: this.model.weights,
        learner: this.learner,
        tape,
        noise: { key: noiseKey, neftuneAlpha: h.neftune_noise_alpha },
      };
      const options = { batch: batch.rows, time: batch.columns, checkpointing: h.gradient_checkpointing };
      const hidden = this.model.forward(pass, ids, options);
      const head = this.model.head(pass);
      const result = crossEntropy(hidden.tensor, head.tensor, targets, {
        scale,
        labelSmoothing: h.label_smoothing_factor,
        needs: { dhidden: true, dhead: head.needsGradient },
      });
      result.correct.dispose();
      if (result.dhead) tape.addParameterGradient(head, result.dhead);
      rowLoss = result.rowLoss;
      tape.own(result.dhidden as tf.Tensor2D);
      yield { kind: 'breath', during: 'training' };
      tape.backward(hidden, tf.clone(result.dhidden as tf.Tensor2D));
      let sum = 0;
      for (const [i, loss] of (await rowLoss.data()).entries()) sum += loss * (targets.weights[i] as number);
      return sum;
    } finally {
      tape.dispose();
      ids.dispose();
      rowLoss?.dispose();
    }
  }

  #assertFinite(loss: number, gradNorm: number, lines: number[]): void {
    if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
    const what = Number.isFinite(loss) ? 'gradient' : 'loss';
    const rate = Number((this.#h.learning_rate / 10).toPrecision(2));
    throw new PlaygroundError({
      code: 'non_finite',
      message: `The ${what} stopped being a number at step ${this.#step + 1}, on the rows from lines ${lines.join(', ')}. The weights of step ${this.#step} were kept.`,
      fix: `Try a learning rate ten times lower (${rate}), and look at those lines.`,
      where: `step ${this.#step + 1}, lines ${lines.join(', ')}`,
    });
  }
}
