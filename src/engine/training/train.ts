// The training loop, one for every method: a generator that yields after each piece of work; a run is paused by not calling `next`.
// Not here: what learns (model/adapters.ts), one update (step.ts, capturedStep.ts), when to measure (plan.ts), pace and reports of a run (session/run.ts).
//
// How it works: at every step of `plan.evaluateAt` both losses are measured on the plan's sample, and the weights with the lowest validation
// loss are copied. Between those, updates: rows in the epoch's seeded order, micro-batches, one call of the stepper. Up to `lookahead` updates
// are issued before the numbers of the oldest are awaited. At the end the last and the best weights are measured on all rows.
// Every random number comes from (seed, step, micro-batch), so a run that was saved and restored gives the same numbers.
// Memory: learner, its best copy, two moments; what an update takes is said in step.ts.

import type * as tf from '@tensorflow/tfjs-core';
import type { EncodedExample, Measuring } from '../../contract';
import { PlaygroundError } from '../../errors';
import { assertHyperparameters } from '../../hyperparameterChecks';
import type { Hyperparameters } from '../../hyperparameters';
import type { RateChange } from '../../stepContract';
import type { WeightChanges } from '../../weightContract';
import { plural } from '../../wording';
import { keyOf } from '../kernels/dropout/noise';
import { copyOf, createLearner, disposeLearner, type Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { toBatch } from './batch';
import { createStepper } from './capturedStep';
import { EpochRows } from './epochRows';
import {
  type Evaluation,
  evaluate,
  impossibleLoss,
  lossError,
  type Measure,
  measureWith,
  namedRows,
  pairedStandardError,
  summary,
} from './evaluate';
import { GeneralProbe, type GeneralReport, type GeneralState } from './generalProbe';
import { longestBatch } from './memory';
import { type NamedTensors, otherTensor, readAll, replaceTensors, toTensors } from './namedTensors';
import { type OptimizerState, scheduleFactor } from './optimizer';
import { type MeasuredRows, planTraining, type TrainingData, type TrainPlan } from './plan';
import type { Stepper, UpdateResult, YieldPoint } from './step';
import { WeightChangeMeter } from './weightChanges';

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
  /** The weights that were measured: those after this step. At the end the best step is measured again, on everything. */
  step: number;
  epoch: number;
  tokens: number;
  /** `sample`: on `plan.sample`, during the run. `all`: on `plan.all`, at the end. `both`: during the run, and the sample is everything. */
  on: 'sample' | 'all' | 'both';
  train: Evaluation;
  validation: Evaluation;
  /** Lowest validation loss so far, of those on the same rows; its weights are kept. */
  isBest: boolean;
  /** Of the validation loss minus that of the best step before this one, on the same rows; 0 where there is none before. */
  riseStandardError: number;
  /** How far the live weights have moved; null at the end, where nothing has moved since the last evaluation. */
  weightChanges: WeightChanges | null;
}

export type TrainEvent = StepReport | EvaluationReport | GeneralReport | YieldPoint;

/** Both splits, evaluated with the same weights. */
interface Measured {
  train: Evaluation;
  validation: Evaluation;
}

/** The weights with the lowest validation loss on the sample. */
interface Best extends Measured {
  step: number;
  tokens: number;
  tensors: Map<string, tf.Tensor>;
  /** The same weights on all rows, measured at the end of the run. */
  all: Measured | null;
}

/** Learning rate of update `step` (0-based) of `totalSteps`. */
export type Schedule = (step: number, totalSteps: number) => number;

/** @param changes read at each update, so that one can be added while the run goes on; in order of steps */
export function scheduleOf(h: Hyperparameters, changes: readonly RateChange[] = []): Schedule {
  return (step, totalSteps) => rateAt(h, changes, step) * scheduleFactor(h, step, totalSteps);
}

/** The rate that the schedule of update `step` (0-based) multiplies. */
export const rateAt = (h: Hyperparameters, changes: readonly RateChange[], step: number): number =>
  changes.findLast((change) => change.step <= step)?.to ?? h.learning_rate;

/** An evaluation of earlier weights, without them. */
type EvaluatedStep = Measured & { step: number };

/** What a run is restored from, beside its settings, rows and base model. */
export interface TrainerState {
  step: number;
  tokens: number;
  /** Evaluations since the best one, for early stopping. */
  withoutGain: number;
  latest: EvaluatedStep | null;
  best: (EvaluatedStep & { tokens: number; tensors: NamedTensors }) | null;
  /** Absent in files of earlier versions. */
  general?: GeneralState;
  learner: NamedTensors;
  optimizer: OptimizerState;
}

/** An update that was issued, and what its report will say. */
interface PendingStep {
  report: Omit<StepReport, 'loss' | 'gradNorm'>;
  rows: readonly EncodedExample[];
  result: Promise<UpdateResult>;
}

export class Trainer {
  readonly model: Model;
  readonly learner: Learner;
  readonly plan: TrainPlan;
  readonly #h: Hyperparameters;
  readonly #rows: EpochRows;
  readonly #general: GeneralProbe;
  readonly #schedule: Schedule;
  readonly #stepper: Stepper;
  readonly #weightMeter: WeightChangeMeter;
  /** Updates whose numbers are not known yet, oldest first. */
  #pending: PendingStep[] = [];
  /** Tokens of the longest row that is trained on. */
  readonly #longest: number;
  #best: Best | null = null;
  /** The latest evaluation of the live weights on the sample. */
  #latest: EvaluatedStep | null = null;
  #tokens = 0;
  #step = 0;
  /** Evaluations since the best one. */
  #withoutGain = 0;
  /** An update has its learning rate and is not counted yet. */
  #issuing = false;

  /**
   * @param schedule learning rate of each update; by default the settings' own
   * @throws PlaygroundError for bad settings or when a side of the split is empty.
   */
  constructor(model: Model, data: TrainingData, h: Hyperparameters, schedule: Schedule = scheduleOf(h)) {
    assertHyperparameters(h);
    if (data.train.length === 0 || data.validation.length === 0) {
      throw new PlaygroundError({
        code: 'no_rows',
        message: `The data give ${plural(data.train.length, 'row')} to train on and ${data.validation.length} to validate with; both need at least one.`,
        fix: 'Add rows (10 is the least), or change the validation share.',
      });
    }
    this.model = model;
    this.#h = h;
    this.#schedule = schedule;
    this.#rows = new EpochRows(data, h);
    this.#longest = longestBatch(data.train, 1).tokens;
    this.plan = planTraining(data, h);
    this.#general = new GeneralProbe(this.plan.general);
    this.learner = createLearner(model.architecture, model.weights, h);
    this.#stepper = createStepper(model, this.learner, h);
    this.#weightMeter = new WeightChangeMeter(model, this.learner);
  }

  /** Updates made so far. */
  get step(): number {
    return this.#step;
  }

  /** Tokens that the model has read so far, padding not counted. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Updates that were issued and whose numbers are not known yet. */
  get pending(): number {
    return this.#pending.length;
  }

  /** The rows of the next update. */
  get nextRows(): EncodedExample[] {
    return this.#rowsOfStep(this.#step).flat();
  }

  /** The next update (0-based) that asks the schedule for its learning rate. */
  get nextUpdate(): number {
    return this.#step + (this.#issuing ? 1 : 0);
  }

  /** The lowest validation loss so far: on `rows` held-out rows, which are those of the sample until all have been measured at the end. */
  get best(): { step: number; loss: number; rows: number } | null {
    if (this.#best === null) return null;
    const { step, all } = this.#best;
    const { loss, rows } = (all ?? this.#best).validation;
    return { step, loss, rows: rows.length };
  }

  /** The learner with the weights of the best step; shares no tensor with the live one. */
  get bestLearner(): Learner | null {
    return this.#best && { ...this.learner, tensors: this.#best.tensors };
  }

  /**
   * Read from the device, for `restore`. Correct only with no update pending: run `pendingReports` to its end first.
   * @param moments without the optimizer's moments the weights can be used, and the run cannot be resumed
   */
  async state(moments = true): Promise<TrainerState> {
    const best = this.#best;
    return {
      step: this.#step,
      tokens: this.#tokens,
      withoutGain: this.#withoutGain,
      latest: this.#latest,
      general: this.#general.state,
      best: best && {
        ...{ step: best.step, tokens: best.tokens, train: best.train, validation: best.validation },
        tensors: await readAll(best.tensors),
      },
      learner: await readAll(this.learner.tensors),
      optimizer: moments ? await this.#stepper.optimizerState() : { count: this.#step, moments: new Map() },
    };
  }

  /**
   * Restores a state of a run with the same settings, rows and base model: every later number is the one that the run would have
   * given. Before `rehearse` and `run`.
   * @throws PlaygroundError `bad_checkpoint` when the state is of another run
   */
  restore(state: TrainerState): void {
    const other = otherTensor(this.learner.tensors, state.learner);
    if (other !== undefined || state.step > this.plan.totalSteps) {
      throw new PlaygroundError({
        code: 'bad_checkpoint',
        message: `The checkpoint is of another run: ${other ?? `step ${state.step} of ${this.plan.totalSteps}`} does not fit.`,
        fix: 'Resume with the model, rows and settings that the run began with.',
      });
    }
    replaceTensors(this.learner.tensors, state.learner);
    for (const t of this.#best?.tensors.values() ?? []) t.dispose();
    this.#best = state.best && { ...state.best, all: null, tensors: toTensors(state.best.tensors) };
    this.#latest = state.latest;
    this.#general.restore(state.general);
    this.#step = state.step;
    this.#tokens = state.tokens;
    this.#withoutGain = state.withoutGain;
    this.#stepper.restoreOptimizer(state.optimizer);
  }

  /** Frees moments; the learner and the best weights stay for generation and export. */
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
   * The whole run, and at its end both losses on all rows. Stopped by closing the generator. Ends early after `early_stopping_patience`
   * evaluations without a lower validation loss.
   * @param lookahead how many updates may be pending before the numbers of the oldest are awaited. On a fast GPU reading them takes longer
   *   than an update.
   */
  async *run(lookahead: () => number = () => 1): AsyncGenerator<TrainEvent, void> {
    const patience = this.#h.early_stopping_patience;
    while (true) {
      if (this.plan.evaluateAt.has(this.#step)) {
        yield* this.pendingReports();
        // The state of a restored run may have been saved after this evaluation.
        if (this.#latest?.step !== this.#step) yield yield* this.#evaluate();
        if (this.#general.wants(this.#step)) yield yield* this.#measureGeneral();
        if (patience > 0 && this.#withoutGain >= patience) break;
      }
      if (this.#step >= this.plan.totalSteps) break;
      yield* this.#issue();
      while (this.#pending.length >= lookahead()) yield await this.#oldestReport();
    }
    if (!this.plan.sampleIsAll) yield* this.#measureAll();
    yield* this.#measureGeneralAtEnd();
  }

  /** One update on the next rows, with its numbers. */
  async *update(): AsyncGenerator<YieldPoint, StepReport> {
    yield* this.#issue();
    return this.#oldestReport();
  }

  /**
   * Forward and backward pass on the heaviest batch, without an update, so that a lack of memory is found before the run begins.
   * Leaves weights, step and random numbers as they were.
   */
  async *rehearse(): AsyncGenerator<YieldPoint, void> {
    const rows = this.#rows.all.sort((a, b) => b.ids.length - a.ids.length).slice(0, this.#h.batch_size);
    const batch = toBatch(this.model, rows);
    yield* this.#stepper.rehearse(batch, keyOf(this.#h.seed));
  }

  /** Reports of the updates that are pending when a run is stopped: they have been applied, and one of them may have failed. */
  async *pendingReports(): AsyncGenerator<StepReport, void> {
    while (this.#pending.length > 0) yield await this.#oldestReport();
  }

  /** The live weights on the sample. */
  async *#evaluate(): AsyncGenerator<YieldPoint, EvaluationReport> {
    const measured = yield* this.#measure(this.plan.sample, 'sample', this.#step);
    const { validation } = measured;
    const best = this.#best;
    const isBest = best === null || validation.loss < best.validation.loss;
    const riseStandardError = best ? pairedStandardError(validation, best.validation) : 0;
    const weightChanges = yield* this.#measureWeights();
    this.#latest = { ...measured, step: this.#step };
    if (isBest) this.#keepBest(measured, null);
    this.#withoutGain = isBest ? 0 : this.#withoutGain + 1;
    return {
      kind: 'evaluation',
      step: this.#step,
      epoch: this.#epoch,
      tokens: this.#tokens,
      on: this.plan.sampleIsAll ? 'both' : 'sample',
      ...measured,
      isBest,
      riseStandardError,
      weightChanges,
    };
  }

  async *#measureWeights(): AsyncGenerator<YieldPoint, WeightChanges> {
    const work = this.#weightMeter.measure(this.#step);
    try {
      for (;;) {
        const next = await work.next();
        if (next.done) return next.value;
        yield { kind: 'yield', during: 'evaluating' };
      }
    } finally {
      await work.return(undefined as never);
    }
  }

  /** The live weights on general rows. */
  async *#measureGeneral(): AsyncGenerator<YieldPoint, GeneralReport> {
    const at = { step: this.#step, epoch: this.#epoch, tokens: this.#tokens };
    const losses = (rows: EncodedExample[]) => this.#losses(rows, { what: 'general', step: at.step });
    return yield* this.#general.measure(at, losses);
  }

  /** The best and the last weights on all general rows, in the order of their steps. */
  async *#measureGeneralAtEnd(): AsyncGenerator<TrainEvent, void> {
    const last = { step: this.#step, tokens: this.#tokens, learner: this.learner };
    const best = this.#best && { ...this.#best, learner: this.bestLearner };
    for (const { step, tokens, learner } of best && best.step !== last.step ? [best, last] : [last]) {
      if (!this.#general.wantsAll(step)) continue;
      const own = measureWith(this.model, learner);
      const losses = (rows: EncodedExample[]) => this.#losses(rows, { what: 'general', step }, own);
      const at = { step, tokens, epoch: step / this.plan.stepsPerEpoch };
      yield yield* this.#general.measureAll(at, losses);
    }
  }

  /** The last weights and the best ones on all rows: those of the sample are known, so the others are measured. The lower loss is the best. */
  async *#measureAll(): AsyncGenerator<TrainEvent, void> {
    const [latest, best] = [this.#latest, this.#best];
    if (latest === null || best === null) return;
    const reportOf = (step: number, tokens: number) => ({
      ...{ kind: 'evaluation' as const, on: 'all' as const, weightChanges: null },
      ...{ step, tokens, epoch: step / this.plan.stepsPerEpoch },
    });
    const last = yield* this.#measureRest(latest, 'last', latest.step);
    if (best.step === latest.step) {
      this.#best = { ...best, all: last };
      yield { ...reportOf(best.step, best.tokens), ...last, isBest: true, riseStandardError: 0 };
      return;
    }
    // Moments are no longer needed, and the best weights need memory beside the last ones.
    this.#stepper.dispose();
    const before = yield* this.#measureRest(
      best,
      'best',
      best.step,
      measureWith(this.model, this.bestLearner),
    );
    this.#best = { ...best, all: before };
    yield { ...reportOf(best.step, best.tokens), ...before, isBest: true, riseStandardError: 0 };
    const isBest = last.validation.loss < before.validation.loss;
    const riseStandardError = pairedStandardError(last.validation, before.validation);
    if (isBest) this.#keepBest(latest, last);
    yield { ...reportOf(latest.step, this.#tokens), ...last, isBest, riseStandardError };
  }

  /** `known`, the evaluation of the sample, joined with an evaluation of all other rows. */
  async *#measureRest(
    known: Measured,
    what: Measuring['what'],
    step: number,
    own?: Measure,
  ): AsyncGenerator<YieldPoint, Measured> {
    const { sample, all } = this.plan;
    const rest = {
      train: withoutRows(all.train, sample.train),
      validation: withoutRows(all.validation, sample.validation),
    };
    const found = yield* this.#measure(rest, what, step, own);
    const joined = (a: Evaluation, b: Evaluation) =>
      summary([...a.rows, ...b.rows].sort((x, y) => x.line - y.line));
    return {
      train: joined(known.train, found.train),
      validation: joined(known.validation, found.validation),
    };
  }

  async *#measure(
    { train, validation }: MeasuredRows,
    what: Measuring['what'],
    step: number,
    own?: Measure,
  ): AsyncGenerator<YieldPoint, Measured> {
    const of = train.length + validation.length;
    return {
      train: yield* this.#losses(train, { what, step, of }, own),
      validation: yield* this.#losses(validation, { what, step, of, before: train.length }, own),
    };
  }

  /** @param at.before rows measured before these, of the `of` that are measured in all */
  async *#losses(
    rows: EncodedExample[],
    {
      what,
      step,
      of = rows.length,
      before = 0,
    }: Omit<Measuring, 'done' | 'of'> & { of?: number; before?: number },
    own: Measure = (batch, targets) => this.#stepper.measure(batch, targets),
  ): AsyncGenerator<YieldPoint, Evaluation> {
    // Longer rows than those that are trained on are measured fewer at a time: an update is what the memory was found to be enough for.
    const batchSize = Math.max(8, this.#h.batch_size);
    const when = `while measuring after step ${step}`;
    const evaluation = evaluate(this.model, own, rows, batchSize, when, batchSize * this.#longest);
    try {
      for (;;) {
        const next = await evaluation.next();
        if (next.done) return next.value;
        const measuring = { what, step, done: before + next.value, of };
        yield { kind: 'yield', during: 'evaluating', measuring };
      }
    } finally {
      await evaluation.return(undefined as never);
    }
  }

  get #epoch(): number {
    return this.#step / this.plan.stepsPerEpoch;
  }

  #keepBest({ train, validation }: Measured, all: Measured | null): void {
    const tensors = new Map<string, tf.Tensor>();
    for (const [name, t] of this.learner.tensors) tensors.set(name, copyOf(t));
    for (const t of this.#best?.tensors.values() ?? []) t.dispose();
    this.#best = { train, validation, all, step: this.#step, tokens: this.#tokens, tensors };
  }

  /** The rows of the micro-batches of update `step`, in this epoch's seeded order. */
  #rowsOfStep(step: number): EncodedExample[][] {
    const { stepsPerEpoch } = this.plan;
    return this.#rows.ofStep(Math.floor(step / stepsPerEpoch), step % stepsPerEpoch);
  }

  /** Starts one update: gradients of all micro-batches, normalised by their target tokens together; clip; AdamW. */
  async *#issue(): AsyncGenerator<YieldPoint, void> {
    const h = this.#h;
    const rows = this.#rowsOfStep(this.#step);
    const batches = rows.map((micro) => toBatch(this.model, micro));
    let weightSum = 0;
    for (const b of batches) for (const w of b.weights) weightSum += w;
    const learningRate = this.#schedule(this.#step, this.plan.totalSteps);
    const noiseKeys = batches.map((_, micro) => keyOf(h.seed, this.#step, micro));
    this.#issuing = true;
    try {
      const { result } = yield* this.#stepper.update({ batches, weightSum, noiseKeys, learningRate });
      // Awaited in #oldestReport; until then a rejection must not count as unhandled.
      result.catch(() => {});
      for (const b of batches) for (const length of b.lengths) this.#tokens += length;
      this.#step += 1;
      this.#pend(rows.flat(), learningRate, result);
    } finally {
      this.#issuing = false;
    }
  }

  #pend(rows: EncodedExample[], learningRate: number, result: Promise<UpdateResult>): void {
    const report = {
      kind: 'step' as const,
      step: this.#step,
      epoch: this.#epoch,
      tokens: this.#tokens,
      learningRate,
    };
    this.#pending.push({ report, rows, result });
  }

  /** Awaits the numbers of the oldest pending update. @throws PlaygroundError `non_finite` or `negative_loss`; `step` is then the one before it */
  async #oldestReport(): Promise<StepReport> {
    const { report, rows, result } = this.#pending.shift() as PendingStep;
    const { loss, gradNorm, applied } = await result;
    if (!applied) {
      this.#step = report.step - 1;
      this.#pending = [];
      throw this.#stepError(report.step, loss, rows);
    }
    return { ...report, loss, gradNorm };
  }

  #stepError(step: number, loss: number, rows: readonly EncodedExample[]): PlaygroundError {
    const rate = Number((this.#h.learning_rate / 10).toPrecision(2));
    const fix = `Try a learning rate ten times lower (${rate}), and look at those rows.`;
    const named = namedRows(rows);
    const kept = `The weights of step ${step - 1} were kept.`;
    if (impossibleLoss(loss)) return lossError({ loss, rows }, { when: `at step ${step}`, fix, after: kept });
    return new PlaygroundError({
      code: 'non_finite',
      message: `The gradient stopped being a number at step ${step}, on ${named.sentence}. ${kept}`,
      fix,
      where: `step ${step}, ${named.where}`,
    });
  }
}

/** The rows that are not among `known`, in their order. */
function withoutRows(rows: EncodedExample[], known: readonly EncodedExample[]): EncodedExample[] {
  const measured = new Set(known);
  return rows.filter((row) => !measured.has(row));
}
