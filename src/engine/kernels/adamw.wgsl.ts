// AdamW and the global gradient norm on WebGPU: several tensors a dispatch, parameters and moments written in place.
// Not here: which tensors decay, the schedule, clipping (engine/optimizer.ts), the plain reference (adamw.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { AdamWItem, AdamWResult, AdamWStep } from './adamw';
import { dispatch, empty, type Kernel, storageBufferLimit, variants } from './program';
import { reduction } from './reduce.wgsl';

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

/** `globalNorm` in two stages, a scalar left on the GPU. The same bits every time. */
export function globalNormFused(gradients: readonly tf.Tensor[]): tf.Scalar {
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
    const norm = empty<tf.Scalar>([]);
    dispatch(finish(), { partial, norm }, { count: first }, 1);
    return norm;
  });
}

// ───────────────────────────── update ─────────────────────────────

const UPDATE_THREADS = 256;

const update = variants((tensors: number) => ({
  name: `adamw_${tensors}`,
  inputs: named(tensors, 'g', 'f32'),
  outputs: { ...named(tensors, 'p', 'f32'), ...named(tensors, 'm', 'f32'), ...named(tensors, 'v', 'f32') },
  uniforms: { ...named(tensors, 'decay', 'f32'), ...named(tensors, 'end', 'u32') },
  live: {
    learningRate: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    epsilon: 'f32',
    gradientScale: 'f32',
    stepSize: 'f32',
    rootCorrection2: 'f32',
  },
  workgroup: UPDATE_THREADS,
  body: `
  let i = group * ${UPDATE_THREADS}u + thread;
  ${chain(
    tensors,
    'i',
    (t, start) => `
    let e = i - ${start};
    let g = g${t}[e] * live.gradientScale;
    let m = live.beta1 * m${t}[e] + (1.0 - live.beta1) * g;
    let v = live.beta2 * v${t}[e] + (1.0 - live.beta2) * g * g;
    m${t}[e] = m;
    v${t}[e] = v;
    let kept = p${t}[e] * (1.0 - live.learningRate * u.decay${t});
    p${t}[e] = kept - live.stepSize * m / (sqrt(v) / live.rootCorrection2 + live.epsilon);`,
  )}`,
}));

/**
 * `adamwUpdate` in place: returns the items' own tensors. Each takes four bindings, so two or four go into one dispatch; the learning
 * rate and what else changes from step to step are live values, which a captured step is replayed with.
 */
export function adamwUpdateFused(items: readonly AdamWItem[], step: AdamWStep): AdamWResult[] {
  const { learningRate, beta1, beta2, epsilon, gradientScale, count } = step;
  const stepSize = learningRate / (1 - beta1 ** count);
  const rootCorrection2 = Math.sqrt(1 - beta2 ** count);
  const live = { learningRate, beta1, beta2, epsilon, gradientScale, stepSize, rootCorrection2 };
  const perDispatch = Math.max(1, Math.floor(storageBufferLimit() / 4));
  for (let at = 0; at < items.length; at += perDispatch) {
    const some = items.slice(at, at + perDispatch);
    const ends = runningSums(some.map((item) => item.parameter.size));
    const part = (prefix: string, key: 'gradient' | keyof AdamWResult) =>
      keyed(
        prefix,
        some.map((item) => item[key]),
      );
    dispatch(
      update(some.length) as Kernel,
      { ...part('g', 'gradient'), ...part('p', 'parameter'), ...part('m', 'm'), ...part('v', 'v') },
      {
        ...keyed(
          'decay',
          some.map((item) => item.weightDecay),
        ),
        ...keyed('end', ends),
        ...live,
      },
      Math.ceil((ends[ends.length - 1] as number) / UPDATE_THREADS),
    );
  }
  return items.map(({ parameter, m, v }) => ({ parameter, m, v }));
}

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
