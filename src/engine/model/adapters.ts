// The trainable tensors of a run: all weights, LoRA adapters (rsLoRA, DoRA) or the last layers; their forward pass in a linear layer; merging.
// Not here: how they are trained (training/optimizer.ts, training/train.ts), the PEFT file (formats/peft.ts).

import * as tf from '@tensorflow/tfjs-core';
import { PlaygroundError } from '../../errors';
import { type LinearModule, linearModules, tensorNames } from '../../formats/architecture';
import type { AdapterFiles, AdapterScaling, AdapterTensor } from '../../formats/peft';
import type { Hyperparameters } from '../../hyperparameters';
import type { Architecture } from '../../modelArchitecture';
import { rankOf } from '../../rankPattern';
import { type Activation, asFloat32, type WeightLayout } from '../kernels';
import { keyOf, keyOfName, uniform } from '../kernels/dropout/noise';
import * as ops from './ops';
import { constant, type Tape, type Value } from './tape';

export type AdapterOptions = AdapterScaling;

/** The trainable tensors of a run. The base weights are never changed, so that the base model stays available beside the tuned one. */
export interface Learner {
  /** Trainable tensors: a base tensor's own name, or `<module>.lora_A`, `.lora_B`, `.lora_magnitude_vector`. */
  readonly tensors: Map<string, tf.Tensor>;
  readonly adapters: AdapterOptions | null;
  /** Layers below this one never change and need no gradient. */
  readonly firstLayer: number;
}

/** How the adapters of a run with these settings act. */
export const adaptersOf = (h: Hyperparameters): AdapterOptions => ({
  alpha: h.lora_alpha,
  rslora: h.use_rslora,
  dropout: h.lora_dropout,
  dora: h.use_dora,
});

/** Adapter tensors that were read, on the device. */
export const learnerOf = (adapters: AdapterOptions, tensors: readonly AdapterTensor[]): Learner => ({
  tensors: new Map(tensors.map((t) => [t.name, tf.tensor(t.data, t.shape, 'float32')])),
  adapters,
  firstLayer: 0,
});

/** A PEFT adapter that was read, as tensors on the device. */
export function learnerFromAdapter({ config, tensors, saved, modules }: AdapterFiles): Learner {
  const { alpha, rslora, dora } = config;
  const alphas = new Map([...modules].map(([module, its]) => [module, its.alpha]));
  return learnerOf({ alpha, alphas, rslora, dropout: 0, dora }, [...tensors, ...saved]);
}

/** What one forward pass reads (weights, learner), where it is recorded, and its random numbers. */
export interface Pass {
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  readonly learner: Learner | null;
  readonly tape: Tape | null;
  /** Null in evaluation and generation, which have neither dropout nor NEFTune. */
  readonly noise: { key: number; neftuneAlpha: number } | null;
}

/** A weight by its Hugging Face name: the learner's where it has one, else the base model's. */
export function weight<T extends tf.Tensor = tf.Tensor2D>(pass: Pass, name: string): Value<T> {
  const tuned = pass.learner?.tensors.get(name);
  if (tuned) return pass.tape ? pass.tape.parameter(name, tuned as T) : constant(tuned as T);
  const base = pass.weights.get(name);
  if (!base) {
    throw new PlaygroundError({
      code: 'missing_tensor',
      message: `The model needs a tensor named ${name}, and its file has none.`,
      fix: 'Load a complete copy of the model.',
      where: name,
    });
  }
  return constant(base as T);
}

/**
 * The linear layers `modules` of the model, which all read x, with their adapters; `residual` is added to a single one.
 * x [N, in] → [N, out] each.
 */
export function applyLinears(
  pass: Pass,
  modules: readonly string[],
  x: Value,
  hasBias: boolean,
  layout: WeightLayout,
  residual: Value | null = null,
): Value[] {
  const { tape, learner } = pass;
  const options = learner?.adapters ?? null;
  if (options?.dora && modules.some((module) => isAdapted(pass, module))) {
    return modules.map((module) => {
      const y = isAdapted(pass, module)
        ? doraLinear(pass, module, x, hasBias, layout, options)
        : (applyLinears({ ...pass, learner: null }, [module], x, hasBias, layout)[0] as Value);
      return residual ? ops.add(tape, residual, y) : y;
    });
  }
  const layers = modules.map((module) => layerOf(pass, module, x, hasBias));
  return ops.linears(tape, x, layers, layout, residual);
}

/** An MLP's layers by name: `ups` are gate and up, or one alone. */
export interface MlpModules {
  ups: readonly string[];
  down: string;
}

/** The MLP between x [N, D] and its result [N, D], to which `residual` is added; with the adapters of its layers. */
export function applyMlp(
  pass: Pass,
  { ups, down }: MlpModules,
  x: Value,
  { hasBias, layout, activation }: { hasBias: boolean; layout: WeightLayout; activation: Activation },
  residual: Value | null,
): Value {
  const { tape, learner } = pass;
  const options = learner?.adapters ?? null;
  const drops = pass.noise !== null && (options?.dropout ?? 0) > 0;
  if ((options?.dora && [...ups, down].some((m) => isAdapted(pass, m))) || (drops && isAdapted(pass, down))) {
    // The activation's result is needed as a tensor: for dropout, or as the input of a DoRA layer.
    const [first, second] = applyLinears(pass, ups, x, hasBias, layout) as [Value, Value?];
    const active = ops.activation(tape, first, second ?? null, activation);
    return applyLinears(pass, [down], active, hasBias, layout, residual)[0] as Value;
  }
  const layers = ups.map((module) => layerOf(pass, module, x, hasBias));
  return ops.mlp(tape, x, layers, plainLayerOf(pass, down, hasBias), layout, activation, residual);
}

const isAdapted = ({ learner }: Pass, module: string): boolean =>
  learner !== null && learner.adapters !== null && learner.tensors.has(`${module}.lora_A`);

/** A layer and its adapter, if it has one, by name. */
function plainLayerOf(pass: Pass, module: string, hasBias: boolean): ops.DownLayer {
  const options = pass.learner?.adapters ?? null;
  const layer = {
    weight: weight(pass, `${module}.weight`),
    bias: hasBias ? weight<tf.Tensor1D>(pass, `${module}.bias`) : null,
  };
  if (!isAdapted(pass, module) || options === null) return { ...layer, adapter: null };
  const a = weight(pass, `${module}.lora_A`);
  const b = weight(pass, `${module}.lora_B`);
  return { ...layer, adapter: { a, b, scaling: scalingOf(options, module, a.tensor.shape[0]) } };
}

/** As `plainLayerOf`, with the adapter's input: x after dropout. */
function layerOf(pass: Pass, module: string, x: Value, hasBias: boolean): ops.LinearLayer {
  const { adapter, ...layer } = plainLayerOf(pass, module, hasBias);
  const p = pass.learner?.adapters?.dropout ?? 0;
  return { ...layer, adapter: adapter && { ...adapter, input: dropout(pass, x, module, p) } };
}

/** DoRA (Liu et al. 2024): m·(W + sBA)x / ‖W + sBA‖, the norm taken as a constant. As in PEFT, dropout applies to the whole branch. */
function doraLinear(
  pass: Pass,
  module: string,
  x: Value,
  hasBias: boolean,
  layout: WeightLayout,
  options: AdapterOptions,
): Value {
  const { tape } = pass;
  const w = weight(pass, `${module}.weight`);
  const bias = hasBias ? weight<tf.Tensor1D>(pass, `${module}.bias`) : null;
  const a = weight(pass, `${module}.lora_A`);
  const b = weight(pass, `${module}.lora_B`);
  const scaling = scalingOf(options, module, a.tensor.shape[0]);
  const dropped = dropout(pass, x, module, options.dropout);
  const magnitude = weight<tf.Tensor1D>(pass, `${module}.lora_magnitude_vector`);
  const inverseNorm = doraInverseNorm(w.tensor, a.tensor, b.tensor, scaling, layout);
  const low = ops.linear(tape, dropped, a, null, 'out_in'); // [N, r]
  const branch = ops.linear(tape, low, b, null, 'out_in'); // [N, out]
  const direct = ops.linear(tape, dropped, w, null, layout);
  const direction = ops.addScaled(tape, direct, branch, scaling);
  const turned = ops.scaleColumns(tape, direction, magnitude, inverseNorm);
  if (dropped === x) return bias ? ops.addBias(tape, turned, bias) : turned;
  const change = ops.addScaled(tape, turned, direct, -1);
  return ops.add(tape, ops.linear(tape, x, w, bias, layout), change);
}

/** Factor on the output of a module's adapter. */
export function scalingOf({ alpha, alphas, rslora }: AdapterOptions, module: string, rank: number): number {
  return (alphas?.get(module) ?? alpha) / (rslora ? Math.sqrt(rank) : rank);
}

function dropout(pass: Pass, x: Value, module: string, p: number): Value {
  if (!pass.noise || p === 0) return x;
  return ops.dropout(pass.tape, x, p, { key: pass.noise.key, place: keyOfName(module) });
}

/** ‖W + s·BA‖² per output. [out] */
function squaredNorms(
  w: tf.Tensor2D,
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  scaling: number,
  layout: WeightLayout,
): tf.Tensor1D {
  return tf.tidy(() => {
    const merged = mergedWeight(w, a, b, scaling, layout);
    return tf.sum(tf.square(merged), layout === 'out_in' ? 1 : 0) as tf.Tensor1D;
  });
}

/** Below it a row counts as zero: just above the smallest normal float32, so that no row whose norm PEFT can divide by is affected. */
export const MIN_SQUARED_NORM = 1e-37;

/** 1 / ‖W + s·BA‖ per output. [out] */
function doraInverseNorm(...layer: Parameters<typeof squaredNorms>): tf.Tensor1D {
  // A row of zeros (a dead unit) has no direction: its magnitude is 0 too, and 0·∞ would be NaN.
  return tf.tidy(() => tf.rsqrt(tf.maximum(squaredNorms(...layer), MIN_SQUARED_NORM)) as tf.Tensor1D);
}

/** An adapted layer, with the outputs where W + s·BA is zero: there DoRA's m·(W + s·BA)/‖W + s·BA‖ is 0/0. */
export interface ZeroRows {
  module: string;
  /** s */
  scaling: number;
  /** Ascending; never empty. */
  rows: number[];
}

/** The zero rows of a DoRA learner's layers; none for another learner. PEFT computes NaN with each of them, this engine zero. */
export async function zeroRows(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  learner: Learner,
): Promise<ZeroRows[]> {
  const found: ZeroRows[] = [];
  if (!learner.adapters?.dora) return found;
  for (const { module, w, loraA, loraB, scaling, layout } of adaptedLayers(a, weights, learner)) {
    const squared = squaredNorms(w, loraA, loraB, scaling, layout);
    const norms = await squared.data();
    squared.dispose();
    const rows = [...norms.keys()].filter((row) => (norms[row] as number) < MIN_SQUARED_NORM);
    if (rows.length > 0) found.push({ module, scaling, rows });
  }
  return found;
}

/** Relative difference below which two numbers that were rounded to 16 bits and computed in another order are the same. */
const ROUNDING = 1e-2;

/** Whether the tuned model is the base model: every s·BA is zero and, with DoRA, every magnitude is the norm of its row. */
export async function changesNothing(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  learner: Learner,
): Promise<boolean> {
  if (!learner.adapters) return false;
  if ([...learner.tensors.keys()].some((name) => weights.has(name)) || hasOwnHead(a, learner)) return false;
  for (const { module, w, loraA, loraB, scaling, layout } of adaptedLayers(a, weights, learner)) {
    const change = tf.tidy(() => {
      const update = tf.max(tf.abs(tf.mul(tf.matMul(loraB, loraA), scaling)));
      const m = learner.tensors.get(`${module}.lora_magnitude_vector`) as tf.Tensor1D | undefined;
      if (!m) return update;
      const norms = tf.sqrt(squaredNorms(w, loraA, loraB, scaling, layout));
      const off = tf.sub(tf.abs(tf.sub(m, norms)), tf.mul(norms, ROUNDING));
      return tf.maximum(update, tf.max(off));
    });
    const [largest] = await change.data();
    change.dispose();
    if ((largest as number) > 0) return false;
  }
  return true;
}

/** W + s·BA in the layout of W. */
function mergedWeight(
  w: tf.Tensor2D,
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  scaling: number,
  layout: WeightLayout,
): tf.Tensor2D {
  return tf.tidy(() => {
    const change = tf.mul(tf.matMul(b, a), scaling); // [out, in]
    return tf.add(asFloat32(w), layout === 'out_in' ? change : tf.transpose(change)) as tf.Tensor2D;
  });
}

/** Layers that get an adapter, and its rank: by `target_modules`, `lora_r` and `rank_pattern`. */
export function targetModules(a: Architecture, h: Hyperparameters): (LinearModule & { rank: number })[] {
  return linearModules(a)
    .filter((m) => h.target_modules === 'all-linear' || m.part === h.target_modules)
    .map((m) => ({ ...m, rank: rankOf(m.module, h) }))
    .filter((m) => m.rank > 0);
}

/** Names of the base tensors that full or last-layers fine-tuning changes. */
function changingNames(a: Architecture, names: Iterable<string>, h: Hyperparameters): string[] {
  const roles = tensorNames(a);
  if (h.method === 'full') {
    const frozen = new Set(h.train_embeddings ? [] : [roles.embedding, roles.positions]);
    return [...names].filter((n) => !frozen.has(n));
  }
  const first = Math.max(0, a.layers - h.trainable_layers);
  const prefixes: string[] = [`${roles.finalNorm}.`];
  for (let i = first; i < a.layers; i++) {
    const sample = roles.layer(i).inputNorm; // e.g. model.layers.3.input_layernorm
    prefixes.push(sample.slice(0, sample.lastIndexOf('.') + 1));
  }
  return [...names].filter((n) => prefixes.some((p) => n.startsWith(p)));
}

/**
 * A fresh learner. LoRA: A ~ U(±1/√in) (Kaiming uniform with a = √5, PEFT's default), B = 0, so step 0 equals the base.
 * The caller disposes it with `disposeLearner`.
 */
export function createLearner(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  h: Hyperparameters,
): Learner {
  const tensors = new Map<string, tf.Tensor>();
  if (h.method !== 'lora') {
    for (const name of changingNames(a, weights.keys(), h)) {
      tensors.set(name, copyOf(weights.get(name) as tf.Tensor));
    }
    const firstLayer = h.method === 'full' ? 0 : Math.max(0, a.layers - h.trainable_layers);
    return { tensors, adapters: null, firstLayer };
  }
  for (const { module, inFeatures, outFeatures, rank } of targetModules(a, h)) {
    const bound = 1 / Math.sqrt(inFeatures);
    const init = uniform(keyOf(h.seed, keyOfName(module)), rank * inFeatures, -bound, bound);
    tensors.set(`${module}.lora_A`, tf.tensor2d(init, [rank, inFeatures]));
    tensors.set(`${module}.lora_B`, tf.zeros([outFeatures, rank]));
    if (h.use_dora) {
      const w = weights.get(`${module}.weight`) as tf.Tensor2D;
      const norms = tf.tidy(() => tf.sqrt(tf.sum(tf.square(asFloat32(w)), a.conv1d ? 0 : 1)));
      tensors.set(`${module}.lora_magnitude_vector`, norms);
    }
  }
  if (tensors.size === 0) {
    throw new PlaygroundError({
      code: 'no_adapters',
      message: 'With these targets and ranks no layer has an adapter, so nothing would learn.',
      fix: 'Choose other LoRA targets, or change “Rank by layer”.',
      where: 'rank_pattern',
    });
  }
  return { tensors, adapters: adaptersOf(h), firstLayer: 0 };
}

/** A float32 tensor of its own with the same numbers (tf.clone would share the buffer, which in-place updates write to). */
export function copyOf<T extends tf.Tensor>(x: T): T {
  const floats = asFloat32(x);
  return floats === x ? (tf.tidy(() => tf.add(x, 0)) as T) : floats;
}

export function disposeLearner(learner: Learner): void {
  for (const t of learner.tensors.values()) t.dispose();
  learner.tensors.clear();
}

export function trainableParameters(learner: Learner): number {
  let count = 0;
  for (const t of learner.tensors.values()) count += t.size;
  return count;
}

/** A tensor of the tuned model, computed when it is asked for. */
export interface TunedTensor {
  name: string;
  shape: readonly number[];
  /** The caller disposes it where `fresh` says that it is a new one. */
  read(): { tensor: tf.Tensor; fresh: boolean };
}

/**
 * The tuned model's tensors, adapters merged one by one: LoRA W + s·BA, DoRA m·(W + s·BA)/‖W + s·BA‖. Memory: one tensor at a time.
 * Where the learner has an embedding or a head of its own beside adapters (PEFT's modules_to_save), a tied head becomes a tensor too.
 */
export function tunedTensors(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  learner: Learner | null,
): TunedTensor[] {
  const given = (name: string, tensor: tf.Tensor): TunedTensor => ({
    name,
    shape: tensor.shape,
    read: () => ({ tensor, fresh: false }),
  });
  const adapted = new Map(
    (learner ? adaptedLayers(a, weights, learner) : []).map((layer) => [`${layer.module}.weight`, layer]),
  );
  const tensors = [...weights].map(([name, base]): TunedTensor => {
    const own = learner?.tensors.get(name);
    const layer = adapted.get(name);
    if (own || !layer) return given(name, own ?? base);
    const m = learner?.tensors.get(`${layer.module}.lora_magnitude_vector`) as tf.Tensor1D | undefined;
    return { name, shape: base.shape, read: () => ({ tensor: mergedLayer(layer, m), fresh: true }) };
  });
  const { head, embedding } = tensorNames(a);
  if (a.tiedHead && learner && hasOwnHead(a, learner)) {
    const tensor = learner.tensors.get(head) ?? (weights.get(embedding) as tf.Tensor);
    tensors.push(given(head, tensor));
  }
  return tensors;
}

function mergedLayer({ w, loraA, loraB, scaling, layout }: AdaptedLayer, m?: tf.Tensor1D): tf.Tensor2D {
  return tf.tidy(() => {
    const plain = mergedWeight(w, loraA, loraB, scaling, layout);
    if (!m) return plain;
    const factor = tf.mul(m, doraInverseNorm(w, loraA, loraB, scaling, layout));
    return tf.mul(plain, layout === 'out_in' ? tf.reshape(factor, [-1, 1]) : factor);
  });
}

/**
 * Whether input and output of a model whose head is tied no longer share a tensor: PEFT trains a copy of the one that modules_to_save
 * names, and the other one stays the base model's.
 */
export function hasOwnHead(a: Architecture, { tensors, adapters }: Learner): boolean {
  const { head, embedding } = tensorNames(a);
  return tensors.has(head) || (adapters !== null && tensors.has(embedding));
}

export interface AdaptedLayer {
  module: string;
  w: tf.Tensor2D;
  /** [r, in] */
  loraA: tf.Tensor2D;
  /** [out, r] */
  loraB: tf.Tensor2D;
  scaling: number;
  layout: WeightLayout;
}

/** The layers that have an adapter, in the order of the forward pass. */
export function adaptedLayers(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  { tensors, adapters }: Learner,
): AdaptedLayer[] {
  if (adapters === null) return [];
  const layout: WeightLayout = a.conv1d ? 'in_out' : 'out_in';
  return linearModules(a).flatMap(({ module }) => {
    const loraA = tensors.get(`${module}.lora_A`) as tf.Tensor2D | undefined;
    if (!loraA) return [];
    const loraB = tensors.get(`${module}.lora_B`) as tf.Tensor2D;
    const w = weights.get(`${module}.weight`) as tf.Tensor2D;
    return [{ module, w, loraA, loraB, scaling: scalingOf(adapters, module, loraA.shape[0]), layout }];
  });
}
