// The PyTorch fixtures as the tests read them: a model folder through the real reader, its expected numbers, trainers that see fixed rows.
// Not here: how the fixtures were made (fixtures/make_engine.py), what is expected of the engine (engine.test.ts, training.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, EncodedExample } from '../src/contract';
import { epochOrder, makeBatch } from '../src/data/batches';
import { asFloat32, crossEntropy } from '../src/engine/kernels';
import { product } from '../src/engine/kernels/matmul/matmul';
import type { Learner } from '../src/engine/model/adapters';
import { loadModel } from '../src/engine/model/load';
import type { Model } from '../src/engine/model/model';
import { GradientMap, Tape } from '../src/engine/model/tape';
import { targetsOf } from '../src/engine/training/batch';
import { type EvaluationReport, type StepReport, Trainer } from '../src/engine/training/train';
import { type ModelFiles, type ModelFolder, readModelFolder } from '../src/formats/huggingface';
import { readSafetensors, type SafetensorsFile } from '../src/formats/safetensors';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';

export const FAMILIES = [
  'llama',
  'llama-tied',
  'llama-rope-llama3',
  'llama-rope-linear-bias',
  'qwen2',
  'qwen3',
  'gpt2',
  'gpt-neox',
  'gpt-neox-serial',
  'gemma3',
] as const;
export type Family = (typeof FAMILIES)[number];

interface ExpectedBatch {
  ids: number[][];
  targets: number[][];
  lengths: number[];
}

export interface Trajectory {
  settings: {
    steps: number;
    learning_rate: number;
    weight_decay: number;
    lr_scheduler_type: Hyperparameters['lr_scheduler_type'];
    warmup_ratio: number;
    label_smoothing_factor: number;
    gradient_accumulation_steps: number;
    max_grad_norm: number;
  };
  loss: number[];
  grad_norm: number[];
  learning_rate: number[];
  after: { loss: number; accuracy: number };
  trainable?: string[];
}

export interface Expected {
  dtype: string;
  parameters: number;
  batches: ExpectedBatch[];
  loss: number;
  grad_norm: number;
  evaluation: { loss: number; tokens: number; row_losses: number[]; accuracy: number };
  weighted: { row_weights: number[]; loss: number; grad_norm: number };
  greedy: { prompt: number[]; tokens: number[]; smallest_margin: number };
  trajectories: Record<string, Trajectory>;
  adapters: Record<string, { targets: string[]; trainable: number }>;
}

export interface Fixture {
  name: string;
  folder: ModelFolder;
  files: ModelFiles;
  expected: Expected;
  arrays: SafetensorsFile;
  /** All rows, two a batch, in the order of the batches. Row i has line i + 1. */
  rows: EncodedExample[];
}

/** The fixture folders have no tokenizer, which the reader rightly insists on; this one is empty. */
function withTokenizer(folder: ModelFolder): ModelFolder {
  const name = 'tokenizer.json';
  return {
    list: folder.list.bind(folder),
    has: (path) => path === name || folder.has(path),
    open: async (path) => (path === name ? new Blob(['{"model":{"vocab":{}}}']) : folder.open(path)),
  };
}

export async function readFixture(name: string, folder: ModelFolder): Promise<Fixture> {
  const expected = JSON.parse(await (await folder.open('expected.json')).text()) as Expected;
  const rows = expected.batches.flatMap(({ ids, targets, lengths }) =>
    ids.map((row, r): EncodedExample => {
      const length = lengths[r] as number;
      const mask = Uint8Array.from({ length }, (_, t) =>
        t > 0 && (targets[r] as number[])[t - 1] !== -100 ? 1 : 0,
      );
      return { line: 0, ids: Int32Array.from(row.slice(0, length)), mask, fullLength: length };
    }),
  );
  rows.forEach((row, i) => {
    row.line = i + 1;
  });
  return {
    name,
    folder,
    files: await readModelFolder(withTokenizer(folder)),
    expected,
    arrays: await readSafetensors(await folder.open('expected.safetensors'), 'expected.safetensors'),
    rows,
  };
}

export function modelOf(fixture: Fixture): Promise<Model> {
  return loadModel(fixture.files, () => {});
}

/** Batch `i` of the fixture as our own code makes it. */
export function batchOf(fixture: Fixture, i: number): Batch {
  return makeBatch(fixture.rows.slice(2 * i, 2 * i + 2), fixture.files.architecture.padTokenId ?? 0);
}

/** All logits of a batch, in evaluation mode. [rows · columns · V] */
export async function logitsOf(model: Model, learner: Learner | null, batch: Batch): Promise<Float32Array> {
  const logits = tf.tidy(() => {
    const pass = { weights: model.weights, learner, tape: null, noise: null };
    const ids = tf.tensor1d(batch.ids, 'int32');
    const hidden = model.forward(pass, ids, { batch: batch.rows, time: batch.columns, checkpointing: false });
    return product(hidden.tensor, asFloat32(model.head(pass).tensor), false, true);
  });
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

/** Mean loss per target weight of one batch, and the gradient of every tensor that learns. */
export async function lossAndGradients(
  model: Model,
  learner: Learner,
  batch: Batch,
  checkpointing = false,
): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
  const collected = new GradientMap();
  const tape = new Tape(collected);
  const ids = tf.tensor1d(batch.ids, 'int32');
  const targets = targetsOf(batch);
  const weightSum = batch.weights.reduce((a, b) => a + b, 0);
  const pass = { weights: model.weights, learner, tape, noise: null };
  const hidden = model.forward(pass, ids, { batch: batch.rows, time: batch.columns, checkpointing });
  const head = model.head(pass);
  const result = crossEntropy(hidden.tensor, head.tensor, targets, {
    scale: 1 / weightSum,
    labelSmoothing: 0,
    needs: { dhidden: true, dhead: head.needsGradient },
  });
  if (result.dhead) tape.addParameterGradient(head, result.dhead);
  tape.backward(hidden, result.dhidden as tf.Tensor2D);
  const losses = await result.rowLoss.data();
  let loss = 0;
  for (let i = 0; i < targets.real; i++) loss += (losses[i] as number) * (targets.weights[i] as number);
  const gradients = new Map<string, Float32Array>();
  for (const [name, gradient] of collected) gradients.set(name, (await gradient.data()) as Float32Array);
  for (const t of [...collected.values(), result.rowLoss, result.correct, ids]) t.dispose();
  return { loss: loss / weightSum, gradients };
}

/** Settings of a trajectory by our names: batches of two rows, one pass over a list as long as the run. */
export function settingsOf(trajectory: Trajectory, more: Partial<Hyperparameters>): Hyperparameters {
  const { steps: _steps, ...settings } = trajectory.settings;
  return {
    ...defaultHyperparameters(),
    ...settings,
    batch_size: 2,
    num_train_epochs: 1,
    eval_per_epoch: 1,
    lora_r: 4,
    lora_alpha: 8,
    ...more,
  };
}

/**
 * A trainer that meets the fixture's batches in their order, over and over: the list of rows is laid out so that
 * its own seeded shuffle brings it into that order.
 */
export function trainerOf(fixture: Fixture, model: Model, h: Hyperparameters, steps: number): Trainer {
  const count = steps * h.batch_size * h.gradient_accumulation_steps;
  const order = epochOrder(count, h.seed, 0);
  const train: EncodedExample[] = [];
  order.forEach((place, i) => {
    train[place] = fixture.rows[i % fixture.rows.length] as EncodedExample;
  });
  return new Trainer(model, { train, validation: fixture.rows }, h);
}

/** Puts PEFT's first A matrices where ours are. */
export async function startFrom(fixture: Fixture, learner: Learner): Promise<void> {
  let replaced = 0;
  for (const [name, before] of learner.tensors) {
    if (!name.endsWith('.lora_A')) continue;
    const { data, shape } = await fixture.arrays.read(`start.base_model.model.${name}.weight`);
    if (shape.join() !== before.shape.join())
      throw new Error(`${name} is [${before.shape}], PEFT's is [${shape}]`);
    learner.tensors.set(name, tf.tensor(data, shape, 'float32'));
    before.dispose();
    replaced++;
  }
  if (replaced === 0) throw new Error('the learner has no adapters');
}

export interface TrainingRecord {
  steps: StepReport[];
  losses: {
    step: number;
    on: EvaluationReport['on'];
    train: number;
    validation: number;
    accuracy: number;
  }[];
  /** Live tensors after each update. */
  tensors: number[];
}

/** Runs a trainer to its end, or for so many updates, and writes down what it says. */
export async function record(trainer: Trainer, most = Number.POSITIVE_INFINITY): Promise<TrainingRecord> {
  const steps: StepReport[] = [];
  const losses: TrainingRecord['losses'] = [];
  const tensors: number[] = [];
  for await (const event of trainer.run()) {
    if (event.kind === 'step') {
      steps.push(event);
      tensors.push(tf.memory().numTensors);
      if (steps.length >= most) break;
    } else if (event.kind === 'evaluation') {
      const { step, on, train, validation } = event;
      losses.push({
        step,
        on,
        train: train.loss,
        validation: validation.loss,
        accuracy: validation.meanTokenAccuracy,
      });
    }
  }
  return { steps, losses, tensors };
}

/** Largest absolute difference; a NaN or a missing value counts as infinite. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs((actual[i] as number) - (expected[i] as number));
    if (Number.isNaN(off)) return Infinity;
    worst = Math.max(worst, off);
  }
  return worst;
}

/** Largest difference as a share of the largest expected magnitude. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let magnitude = Number.MIN_VALUE;
  for (let i = 0; i < expected.length; i++) magnitude = Math.max(magnitude, Math.abs(expected[i] as number));
  return maxDifference(actual, expected) / magnitude;
}

/** Largest |a − b| / |b| over a curve. */
export function worstRatio(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return Infinity;
  return expected.reduce(
    (worst, b, i) => Math.max(worst, Math.abs((actual[i] as number) - b) / Math.abs(b)),
    0,
  );
}
