// A normalised branch added to the residual, and that sum normalised, on WebGPU: one dispatch each way, and one for the weights' gradients.
// Not here: the plain reference (postNorm.ts), one norm (norm/norm.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import { normBackwardFused } from '../norm/norm.wgsl';
import type { PairOptions } from '../normPair/normPair';
import { normPairBackwardFused } from '../normPair/normPair.wgsl';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction, threadsForRow } from '../webgpu/reduce.wgsl';
import type { PostNormBackward, PostNormForward, PostNormGradients } from './postNorm';

const gains = (addOne: boolean, hasNext: boolean) => `
fn gain(c: u32) -> f32 { return weight[c]${addOne ? ' + 1.0' : ''}; }
${hasNext ? `fn nextGain(c: u32) -> f32 { return next[c]${addOne ? ' + 1.0' : ''}; }` : ''}`;

// Forward, one dispatch: sum = residual + RMSNorm(branch); normed = RMSNorm(sum). Saved: rstd of both, [N, 1].
// Backward, one dispatch for rows: dsum + the gradient through the second norm is dresidual, which goes through the first norm to dbranch; and,
// where a weight learns, one for the sums over rows (normPair/normPair.wgsl.ts), which reads dresidual. Memory: nothing beside the results.

interface ForwardSettings {
  threads: number;
  addOne: boolean;
  /** With the norm of the sum. */
  hasNext: boolean;
}

/** A workgroup a row. Every thread reads only the elements of `sum` that it wrote itself, so no barrier is needed. */
const forward = variants(({ threads, addOne, hasNext }: ForwardSettings) => ({
  name: programName('post_norm_forward', { threads, addOne, hasNext }),
  inputs: { branch: 'f32', residual: 'f32', weight: 'f32', ...(hasNext ? { next: 'f32' as const } : {}) },
  outputs: {
    sum: 'f32',
    rstd: 'f32',
    ...(hasNext ? { normed: 'f32' as const, nextRstd: 'f32' as const } : {}),
  },
  uniforms: { columns: 'u32', epsilon: 'f32' },
  workgroup: threads,
  declare: reduction('total', threads) + gains(addOne, hasNext),
  body: `
  let start = group * u.columns;
  let columns = f32(u.columns);
  var squares = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) { squares += branch[start + c] * branch[start + c]; }
  let r = 1.0 / sqrt(total(squares, thread) / columns + u.epsilon);
  var sumSquares = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) {
    let s = residual[start + c] + branch[start + c] * r * gain(c);
    sum[start + c] = s;
    sumSquares += s * s;
  }
  if (thread == 0u) { rstd[group] = r; }
  ${
    hasNext
      ? `
  let n = 1.0 / sqrt(total(sumSquares, thread) / columns + u.epsilon);
  if (thread == 0u) { nextRstd[group] = n; }
  for (var c = thread; c < u.columns; c += ${threads}u) { normed[start + c] = sum[start + c] * n * nextGain(c); }`
      : ''
  }`,
}));

/** A workgroup a row: the gradient of the sum, then through the norm of the branch. */
const backward = variants(({ threads, addOne }: Omit<ForwardSettings, 'hasNext'>) => ({
  name: programName('post_norm_backward', { threads, addOne }),
  inputs: {
    dsum: 'f32',
    dnormed: 'f32',
    branch: 'f32',
    sum: 'f32',
    weight: 'f32',
    next: 'f32',
    rstd: 'f32',
    nextRstd: 'f32',
  },
  outputs: { dresidual: 'f32', dbranch: 'f32' },
  uniforms: { columns: 'u32' },
  workgroup: threads,
  declare: reduction('total', threads) + gains(addOne, true),
  body: `
  let start = group * u.columns;
  let columns = f32(u.columns);
  let n = nextRstd[group];
  var part = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) { part += dnormed[start + c] * nextGain(c) * sum[start + c] * n; }
  let alongSum = total(part, thread) / columns;
  let r = rstd[group];
  part = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) {
    let i = start + c;
    let d = dsum[i] + (dnormed[i] * nextGain(c) - sum[i] * n * alongSum) * n;
    dresidual[i] = d;
    part += d * gain(c) * branch[i] * r;
  }
  let alongBranch = total(part, thread) / columns;
  for (var c = thread; c < u.columns; c += ${threads}u) {
    let i = start + c;
    dbranch[i] = (dresidual[i] * gain(c) - branch[i] * r * alongBranch) * r;
  }`,
}));

/** `postNormForward` in one dispatch. [N, D] each; saved: rstd [N, 1] of the branch and, with `next`, of the sum. */
export function postNormForwardFused(
  branch: tf.Tensor2D,
  residual: tf.Tensor2D,
  weight: tf.Tensor1D,
  next: tf.Tensor1D | null,
  { addOne, epsilon }: PairOptions,
): PostNormForward {
  const [rows, columns] = branch.shape;
  const sum = empty<tf.Tensor2D>([rows, columns]);
  const rstd = empty([rows, 1]);
  const normed = next && empty<tf.Tensor2D>([rows, columns]);
  const nextRstd = next && empty([rows, 1]);
  const tensors = { branch, residual, weight, sum, rstd };
  const more = next && normed && nextRstd ? { next, normed, nextRstd } : {};
  const program = forward({ threads: threadsForRow(columns), addOne, hasNext: next !== null }) as Kernel;
  dispatch(program, { ...tensors, ...more }, { columns, epsilon }, rows);
  return { sum, normed, saved: nextRstd ? [rstd, nextRstd] : [rstd] };
}

/** `postNormBackward` in one dispatch, and one more where a weight learns. */
export function postNormBackwardFused(inputs: PostNormBackward, options: PairOptions): PostNormGradients {
  const { dsum, dnormed, branch, sum, weight, next, saved, needs, to } = inputs;
  const [rstd, nextRstd] = saved as [tf.Tensor, tf.Tensor | undefined];
  if (!dnormed || !next || !nextRstd) {
    const wanted = { dx: needs.branch, dweight: needs.weight, dbias: false };
    const place = to.weight && { weight: to.weight, bias: null };
    const all = { ...options, kind: 'rms' } as const;
    const made = normBackwardFused(dsum, branch, weight, saved, all, wanted, place);
    return {
      branch: made.dx,
      residual: needs.residual ? tf.clone(dsum) : null,
      weight: made.dweight,
      next: null,
    };
  }
  const [rows, columns] = branch.shape;
  const dresidual = empty<tf.Tensor2D>([rows, columns]);
  const dbranch = empty<tf.Tensor2D>([rows, columns]);
  const tensors = { dsum, dnormed, branch, sum, weight, next, rstd, nextRstd, dresidual, dbranch };
  const program = backward({ threads: threadsForRow(columns), addOne: options.addOne }) as Kernel;
  dispatch(program, tensors, { columns }, rows);
  // The sums over rows read what the dispatch above writes, so they are a dispatch of their own.
  const [inner, outer] = normPairBackwardFused(
    [
      {
        ...{ dy: dresidual, x: branch, weight, saved: [rstd], to: to.weight },
        needs: { dx: false, dweight: needs.weight },
      },
      {
        ...{ dy: dnormed, x: sum, weight: next, saved: [nextRstd], to: to.next },
        needs: { dx: false, dweight: needs.next },
      },
    ],
    options,
  );
  if (!needs.residual) dresidual.dispose();
  if (!needs.branch) dbranch.dispose();
  return {
    branch: needs.branch ? dbranch : null,
    residual: needs.residual ? dresidual : null,
    weight: inner.dweight,
    next: outer.dweight,
  };
}
