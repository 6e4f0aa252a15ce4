// AdamW and the global gradient norm on WebGPU: many tensors a dispatch, parameters and moments in place, clipping without readback.
// Not here: which tensors decay, the schedule (engine/optimizer.ts), the plain reference (adamw.ts).

import * as tf from '@tensorflow/tfjs-core';
import { dispatch, empty, type Kernel, storageBufferLimit, variants } from './program';
import { reduction } from './reduce.wgsl';

export interface AdamWTensor {
  name: string;
  parameter: tf.Tensor;
  /** Decoupled: p ← p·(1 − learningRate·weightDecay) before the Adam step. */
  weightDecay: number;
}

/** What changes from update to update. */
export interface AdamWSettings {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** 1-based count of updates, for the bias corrections. */
  count: number;
  /** Clip to this global norm; 0 switches clipping off. */
  maxNorm: number;
}

// ───────────────────────────── global norm ─────────────────────────────

const NORM_THREADS = 256;
/** Elements one workgroup squares and adds: a fixed partition, so that the sum does not depend on timing. */
const NORM_SPAN = NORM_THREADS * 32;

const squares = variants((tensors: number) => ({
  name: `norm_squares_${tensors}`,
  inputs: named(tensors, 'g', 'f32'),
  outputs: { partial: 'f32' },
  uniforms: { first: 'u32', ...named(tensors, 'n', 'u32'), ...named(tensors, 'end', 'u32') },
  workgroup: NORM_THREADS,
  declare: reduction('total', NORM_THREADS),
  body: `
  var sum = 0.0;
  ${chain(
    tensors,
    'group',
    (i, start) => `
    let begin = (group - ${start}) * ${NORM_SPAN}u;
    let to = min(begin + ${NORM_SPAN}u, u.n${i});
    for (var e = begin + thread; e < to; e += ${NORM_THREADS}u) { sum += g${i}[e] * g${i}[e]; }`,
  )}
  sum = total(sum, thread);
  if (thread == 0u) { partial[u.first + group] = sum; }`,
}));

const finish = variants(() => ({
  name: 'norm_finish',
  inputs: { partial: 'f32' },
  outputs: { norm: 'f32' },
  uniforms: { count: 'u32' },
  workgroup: NORM_THREADS,
  declare: reduction('total', NORM_THREADS),
  body: `
  var sum = 0.0;
  for (var e = thread; e < u.count; e += ${NORM_THREADS}u) { sum += partial[e]; }
  sum = total(sum, thread);
  if (thread == 0u) { norm[0] = sqrt(sum); }`,
}));

/** Global L2 norm over all tensors, [1], left on the GPU. The same bits every time. */
export function globalNorm(gradients: readonly tf.Tensor[]): tf.Tensor1D {
  return tf.tidy(() => {
    const spans = gradients.map((g) => Math.ceil(g.size / NORM_SPAN));
    const partial = empty([spans.reduce((a, b) => a + b, 0)]);
    const perDispatch = storageBufferLimit() - 1;
    let first = 0;
    for (let at = 0; at < gradients.length; at += perDispatch) {
      const some = gradients.slice(at, at + perDispatch);
      const ends = runningSums(spans.slice(at, at + perDispatch));
      const groups = ends[ends.length - 1] as number;
      dispatch(
        squares(some.length) as Kernel,
        { ...keyed('g', some), partial },
        {
          first,
          ...keyed(
            'n',
            some.map((g) => g.size),
          ),
          ...keyed('end', ends),
        },
        groups,
      );
      first += groups;
    }
    const norm = empty<tf.Tensor1D>([1]);
    dispatch(finish(), { partial, norm }, { count: first }, 1);
    return norm;
  });
}

// ───────────────────────────── update ─────────────────────────────

const UPDATE_THREADS = 256;

const update = variants((tensors: number) => ({
  name: `adamw_${tensors}`,
  inputs: { norm: 'f32', ...named(tensors, 'g', 'f32') },
  outputs: { moments: 'vec2f', ...named(tensors, 'p', 'f32') },
  uniforms: { ...named(tensors, 'decay', 'f32'), ...named(tensors, 'end', 'u32') },
  live: {
    learningRate: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    epsilon: 'f32',
    correction1: 'f32',
    rootCorrection2: 'f32',
    maxNorm: 'f32',
  },
  workgroup: UPDATE_THREADS,
  declare: `
fn updated(place: u32, parameter: f32, gradient: f32, decay: f32, clip: f32) -> f32 {
  let g = gradient * clip;
  let before = moments[place];
  let m = live.beta1 * before.x + (1.0 - live.beta1) * g;
  let v = live.beta2 * before.y + (1.0 - live.beta2) * g * g;
  moments[place] = vec2f(m, v);
  let step = m / (sqrt(v) / live.rootCorrection2 + live.epsilon);
  return parameter * (1.0 - live.learningRate * decay) - live.learningRate / live.correction1 * step;
}`,
  body: `
  let i = group * ${UPDATE_THREADS}u + thread;
  // A norm that is no number (compared by its bits: WGSL may assume there are none) leaves the weights as they were.
  if ((bitcast<u32>(norm[0]) & 0x7f800000u) == 0x7f800000u) { return; }
  let clip = select(1.0, min(1.0, live.maxNorm / (norm[0] + 1e-6)), live.maxNorm > 0.0);
  ${chain(
    tensors,
    'i',
    (t, start) => `
    let e = i - ${start};
    p${t}[e] = updated(i, p${t}[e], g${t}[e], u.decay${t}, clip);`,
  )}`,
}));

interface Bundle {
  tensors: AdamWTensor[];
  /** Where each tensor ends in `moments`. */
  ends: number[];
  /** m and v side by side. [elements, 2] */
  moments: tf.Tensor2D;
}

/** AdamW over a fixed list of tensors, which it writes in place. The caller keeps the tensors; `dispose` frees the moments. */
export class FusedAdamW {
  readonly #bundles: Bundle[];

  constructor(tensors: readonly AdamWTensor[]) {
    this.#bundles = bundle(tensors).map((some) => {
      const ends = runningSums(some.map((t) => t.parameter.size));
      const moments = tf.keep(tf.zeros<tf.Rank.R2>([ends[ends.length - 1] as number, 2]));
      return { tensors: some, ends, moments };
    });
  }

  /** Dispatches one update takes. */
  get dispatches(): number {
    return this.#bundles.length;
  }

  /**
   * One update (Loshchilov & Hutter 2019, PyTorch's order of operations). `norm` [1] is the global norm from `globalNorm`: the
   * gradients are clipped by it, and when it is not finite nothing is changed at all.
   * @throws Error when a tensor has no gradient
   */
  update(gradients: ReadonlyMap<string, tf.Tensor>, norm: tf.Tensor, settings: AdamWSettings): void {
    const { learningRate, beta1, beta2, epsilon, count, maxNorm } = settings;
    const correction1 = 1 - beta1 ** count;
    const rootCorrection2 = Math.sqrt(1 - beta2 ** count);
    const live = { learningRate, beta1, beta2, epsilon, correction1, rootCorrection2, maxNorm };
    for (const { tensors, ends, moments } of this.#bundles) {
      const found = tensors.map(({ name }) => {
        const gradient = gradients.get(name);
        if (!gradient) throw new Error(`AdamW: ${name} has no gradient in this update.`);
        return gradient;
      });
      const decays = tensors.map((t) => t.weightDecay);
      dispatch(
        update(tensors.length) as Kernel,
        {
          norm,
          ...keyed('g', found),
          moments,
          ...keyed(
            'p',
            tensors.map((t) => t.parameter),
          ),
        },
        { ...keyed('decay', decays), ...keyed('end', ends), ...live },
        Math.ceil((ends[ends.length - 1] as number) / UPDATE_THREADS),
      );
    }
  }

  /** Copies of one tensor's moments, for a checkpoint; null for a name it does not know. */
  moments(name: string): { m: tf.Tensor; v: tf.Tensor } | null {
    for (const { tensors, ends, moments } of this.#bundles) {
      const i = tensors.findIndex((t) => t.name === name);
      if (i < 0) continue;
      const { shape, size } = (tensors[i] as AdamWTensor).parameter;
      const start = (ends[i] as number) - size;
      const part = (column: number) =>
        tf.tidy(() => tf.reshape(tf.slice(moments, [start, column], [size, 1]), shape));
      return { m: part(0), v: part(1) };
    }
    return null;
  }

  /** Puts moments back, as a checkpoint had them. */
  restore(state: ReadonlyMap<string, { m: tf.Tensor; v: tf.Tensor }>): void {
    for (const b of this.#bundles) {
      const parts = b.tensors.map(({ name, parameter }) => {
        const known = state.get(name);
        if (!known) throw new Error(`AdamW: the saved state has no moments of ${name}.`);
        return tf.stack([tf.reshape(known.m, [parameter.size]), tf.reshape(known.v, [parameter.size])], 1);
      });
      const next = tf.keep(tf.concat(parts, 0)) as tf.Tensor2D;
      for (const p of parts) p.dispose();
      b.moments.dispose();
      b.moments = next;
    }
  }

  dispose(): void {
    for (const b of this.#bundles) b.moments.dispose();
    this.#bundles.length = 0;
  }
}

/** As many tensors together as storage bindings allow (p and g each, and norm and moments), and one buffer holds moments of. */
function bundle(tensors: readonly AdamWTensor[]): AdamWTensor[][] {
  const most = Math.max(1, Math.floor((storageBufferLimit() - 2) / 2));
  const bytes = (t: AdamWTensor) => t.parameter.size * 8;
  const bundles: AdamWTensor[][] = [];
  let room = 0;
  for (const t of tensors) {
    const last = bundles[bundles.length - 1];
    if (last && last.length < most && bytes(t) <= room) {
      last.push(t);
      room -= bytes(t);
    } else {
      bundles.push([t]);
      room = MOMENT_BYTES - bytes(t);
    }
  }
  return bundles;
}

/** Moments of more than one tensor share a buffer up to this size: every device binds that much. */
const MOMENT_BYTES = 128 * 2 ** 20;

// ───────────────────────────── lists of tensors in WGSL ─────────────────────────────

function named<T extends string>(count: number, prefix: string, type: T): Record<string, T> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, type]));
}

function keyed<T>(prefix: string, values: readonly T[]): Record<string, T> {
  return Object.fromEntries(values.map((value, i) => [`${prefix}${i}`, value]));
}

/** An if-chain over `u.end0 …`: WGSL cannot index an array of buffers. */
function chain(count: number, index: string, body: (i: number, start: string) => string): string {
  const branch = (i: number) => `if (${index} < u.end${i}) {${body(i, i === 0 ? '0u' : `u.end${i - 1}`)} }`;
  return Array.from({ length: count }, (_, i) => branch(i)).join(' else ');
}

function runningSums(sizes: readonly number[]): number[] {
  let sum = 0;
  return sizes.map((size) => (sum += size));
}
