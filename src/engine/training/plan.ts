// The plan of a run, made before it begins by counting tokens: its steps, when its losses are measured, and on which rows.
// Not here: the training loop (train.ts), the measuring itself (evaluate.ts). No clock: the same rows and settings give the same plan.
//
// How it works: evaluations may take `MAX_SHARE` of the work of training, counted in tokens. The number of evaluations is the one that this
// budget pays for with the fewest rows, damped by a cube root; the rows of each are as many as the budget then pays for, a stratified sample
// of each split. Evaluations come more often at the start ((k / n)^1.5 of the steps), unless `eval_per_epoch` spaces them evenly.
// At the end the last and the best weights are measured on all held-out rows and as many training rows.

import type { EncodedExample } from '../../contract';
import { createRandom } from '../../data/random';
import { replayRows, stepsPerEpoch } from '../../epochSteps';
import type { Hyperparameters } from '../../hyperparameters';
import { keyOf } from '../kernels/dropout/noise';

export interface TrainingData {
  train: EncodedExample[];
  validation: EncodedExample[];
  /** General rows that training draws from where `replay_fraction` asks for them. They are not measured. */
  replay?: EncodedExample[];
  /** General rows that forgetting is measured on. They are not learned from. */
  general?: EncodedExample[];
}

/** What is measured of the visitor's rows. */
export type MeasuredRows = Pick<TrainingData, 'train' | 'validation'>;

export interface TrainPlan {
  stepsPerEpoch: number;
  totalSteps: number;
  /** Steps after which both losses are measured on `sample`; 0 and the last are always among them. */
  evaluateAt: Set<number>;
  /** The rows of both splits that are measured at each of those steps: always the same ones. */
  sample: MeasuredRows;
  /** The rows that are measured once at the end, with the last weights and with the best: all held-out rows, and as many training rows. */
  all: MeasuredRows;
  /** `sample` is `all`: nothing is left for the end. */
  sampleIsAll: boolean;
  /** Share of the run's work that measuring on `sample` takes, by the count of tokens. */
  evaluationShare: number;
  /** General rows: those of each evaluation, those before the first and after the last update, and the share of the run's work of both. */
  general: { sample: EncodedExample[]; all: EncodedExample[]; share: number };
}

/** Share of a run's work that evaluations during the run may take, unless `MIN_ROWS` and `MIN_EVALUATIONS` need more. */
const MAX_SHARE = 0.1;
/**
 * Cost of measuring a token, where training on one is 1. Counting operations gives 1/3 for full fine-tuning and 1/2 for LoRA, whose
 * backward pass makes no weight gradients; updates, noise and padding count too. Measured: processor time of default runs on wasm, real
 * tokens, Pebble-1M on 240 and 1,000 rows of 20 to 60 tokens and Pebble-3M on 240: LoRA 0.36 to 0.45, DoRA 0.37, full 0.26, last layer 0.50.
 */
const COST_OF_MEASURING: Record<Hyperparameters['method'], number> = {
  lora: 0.4,
  full: 0.28,
  last_layers: 0.5,
};
/** Rows of a split that are measured at least: fewer are too noisy. */
const MIN_ROWS = 8;
/** Rows of a split that are measured at most during the run: more delay the first step, and the end measures all. */
const MAX_ROWS = 64;
/** Share of a run's work that general rows may take at its evaluations, unless `MIN_GENERAL_ROWS` need more. At its ends all are measured. */
const MAX_GENERAL_SHARE = 0.02;
/** Fewer are too noisy: rises are paired, so that eight rows show one of a twentieth (models/eval/forgetting.mjs). */
const MIN_GENERAL_ROWS = 8;
/** With fewer points a curve does not show where it turns. */
const MIN_EVALUATIONS = 9;
const MAX_EVALUATIONS = 25;
/** From this share of its split on a sample saves little: all rows are taken. */
const NEARLY_ALL = 0.75;
/** Training rows that are measured at the end at least, where fewer are held out. */
const MIN_TRAIN_ROWS = 16;

/** Evaluation k of n (from 0) comes after (k / n)^1.5 of the steps: the loss changes most at the start, and a dozen rows are overfitted early. */
const SPACING_POWER = 1.5;

/** Decides how many updates a run makes, when it is evaluated, and on which rows. */
export function planTraining(data: TrainingData, h: Hyperparameters): TrainPlan {
  const epochSteps = stepsPerEpoch(data.train.length, h);
  const totalSteps = epochSteps * h.num_train_epochs;
  const all = {
    train: trainRowsAtEnd(data.train, data.validation.length, h.seed),
    validation: data.validation,
  };

  const { replay = [] } = data;
  const replayed = replayRows(data.train.length, h) * (tokensOf(replay) / Math.max(1, replay.length));
  const trainingWork = h.num_train_epochs * (tokensOf(data.train) + replayed);
  const rowWork = (rows: readonly EncodedExample[]) =>
    (COST_OF_MEASURING[h.method] * tokensOf(rows)) / Math.max(1, rows.length);
  /** Work of one evaluation on at most so many rows of each split. */
  const workOf = (size: number) =>
    Math.min(size, all.train.length) * rowWork(all.train) +
    Math.min(size, all.validation.length) * rowWork(all.validation);
  const budget = MAX_SHARE * trainingWork;
  const evaluateAt =
    h.eval_per_epoch > 0
      ? evenly(epochSteps, h)
      : moreAtTheStart(totalSteps, evaluationCount(budget / workOf(MIN_ROWS)));

  const size = h.max_eval_samples > 0 ? h.max_eval_samples : rowsWithin(budget / evaluateAt.size, workOf);
  const least = h.max_eval_samples > 0 ? 1 : NEARLY_ALL;
  const sample = {
    train: sampleRows(all.train, size, h.seed, least),
    validation: sampleRows(all.validation, size, h.seed, least),
  };
  const work =
    evaluateAt.size *
    (rowWork(sample.train) * sample.train.length + rowWork(sample.validation) * sample.validation.length);
  return {
    stepsPerEpoch: epochSteps,
    totalSteps,
    evaluateAt,
    sample,
    all,
    sampleIsAll: sample.train === all.train && sample.validation === all.validation,
    evaluationShare: work / (work + trainingWork),
    general: planGeneral(data.general ?? [], evaluateAt.size, trainingWork, COST_OF_MEASURING[h.method]),
  };
}

/** The sample is the first rows of the file, in which kinds of rows take turns. */
function planGeneral(
  all: EncodedExample[],
  evaluations: number,
  trainingWork: number,
  cost: number,
): TrainPlan['general'] {
  const rowWork = (cost * tokensOf(all)) / Math.max(1, all.length);
  // The first evaluation measures all rows, of which the sample is a part.
  const later = Math.max(1, evaluations - 1);
  const affordable = Math.floor((MAX_GENERAL_SHARE * trainingWork) / (later * Math.max(1, rowWork)));
  const sample = all.slice(0, Math.max(MIN_GENERAL_ROWS, affordable));
  const work = later * cost * tokensOf(sample) + 2 * cost * tokensOf(all);
  return { sample, all, share: work / (work + trainingWork) };
}

/** With a cube root the rows of an evaluation grow as the square of the number of evaluations. @param affordable evaluations on `MIN_ROWS` */
function evaluationCount(affordable: number): number {
  const count = Math.round(MIN_EVALUATIONS * Math.cbrt(affordable / MIN_EVALUATIONS));
  return Math.max(MIN_EVALUATIONS, Math.min(MAX_EVALUATIONS, count));
}

/** The most rows of each split that cost no more than `budget`. */
function rowsWithin(budget: number, workOf: (size: number) => number): number {
  let size = MIN_ROWS;
  while (size < MAX_ROWS && workOf(size + 1) <= budget) size++;
  return size;
}

function moreAtTheStart(totalSteps: number, count: number): Set<number> {
  const last = Math.min(count - 1, totalSteps);
  const steps = new Set([0, totalSteps]);
  for (let k = 1; k < last; k++) steps.add(Math.round(totalSteps * (k / last) ** SPACING_POWER));
  return steps;
}

function evenly(epochSteps: number, h: Hyperparameters): Set<number> {
  const steps = new Set([0, epochSteps * h.num_train_epochs]);
  const perEpoch = Math.min(h.eval_per_epoch, epochSteps);
  for (let epoch = 0; epoch < h.num_train_epochs; epoch++) {
    for (let i = 1; i <= perEpoch; i++) {
      steps.add(epoch * epochSteps + Math.round((i * epochSteps) / perEpoch));
    }
  }
  return steps;
}

const tokensOf = (rows: readonly EncodedExample[]) => rows.reduce((sum, row) => sum + row.ids.length, 0);

/** The training rows that are measured at the end: a seeded draw as large as the validation split, so that both losses have about the same noise. */
function trainRowsAtEnd(train: EncodedExample[], validationRows: number, seed: number): EncodedExample[] {
  const size = Math.max(MIN_TRAIN_ROWS, validationRows);
  if (train.length <= size) return train;
  const random = createRandom(keyOf(seed, 0x73616d70));
  const pool = [...train];
  for (let i = 0; i < size; i++) {
    const j = i + Math.floor(random() * (pool.length - i));
    [pool[i], pool[j]] = [pool[j] as EncodedExample, pool[i] as EncodedExample];
  }
  return pool.slice(0, size);
}

/**
 * A stratified sample: rows sorted by the length of their answer, then by the answer, are cut into `size` strata of equal size, and one
 * row is drawn from each by the seed and its content. So lengths and labels occur as often as in the whole.
 * @param nearlyAll all rows are taken where the sample would be at least this share of them
 * @returns `rows` itself where all are taken
 */
export function sampleRows(
  rows: EncodedExample[],
  size: number,
  seed: number,
  nearlyAll = 1,
): EncodedExample[] {
  if (size >= nearlyAll * rows.length) return rows;
  const drawn = rows.map((row) => {
    let targets = 0;
    let answer = keyOf(1);
    let key = keyOf(seed);
    for (let t = 0; t < row.ids.length; t++) {
      const id = row.ids[t] as number;
      key = keyOf(key, id);
      if (row.mask[t] !== 1) continue;
      targets++;
      answer = keyOf(answer, id);
    }
    return { row, targets, answer, key };
  });
  drawn.sort(
    (a, b) => a.targets - b.targets || a.answer - b.answer || a.key - b.key || a.row.line - b.row.line,
  );
  return Array.from({ length: size }, (_, i) => {
    const from = Math.floor((i * drawn.length) / size);
    const stratum = drawn.slice(from, Math.floor(((i + 1) * drawn.length) / size));
    return stratum.reduce((least, other) => (other.key < least.key ? other : least)).row;
  });
}
