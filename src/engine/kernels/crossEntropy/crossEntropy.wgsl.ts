// Cross-entropy from the last hidden states on WebGPU: logits by chunk, loss and gradient written over them in one read.
// Not here: which tokens count (data/tokens/chat.ts), the plain reference (crossEntropy.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';
import { gatherRows } from '../embedding/embedding.wgsl';
import { type Job, productFused, products } from '../matmul/matmul.wgsl';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty, upload } from '../webgpu/program';
import { reduction } from '../webgpu/reduce.wgsl';
import type { CrossEntropyOptions, CrossEntropyResult, Targets } from './crossEntropy';

// Logits are made for a chunk of target rows at a time and never all at once. For each chunk: gather the rows of `hidden` that predict a
// target; logits = rows · headᵀ; one program reads each row of logits once for its maximum, sum of exponentials, argmax and sum (an online
// reduction), writes loss and correctness, and overwrites the logits with their gradient (softmax − target) · weight · scale; two products give
// dhidden and dhead; a last program puts the rows of dhidden back at their positions and zeros elsewhere. The chunks add up into dhead in
// order. Memory: one chunk of logits (32 MB), states and dstates of a chunk, and what is returned.

/** Bytes of logits held at a time: with a vocabulary of 50,304, 167 rows. */
const CHUNK_BYTES = 32 * 2 ** 20;
const THREADS = 256;

/** A workgroup a row of logits. `plan` holds row, id and weight of every target, one list after the other (see `targetPlan`). */
const loss = variants(({ gradient }: { gradient: boolean }) => ({
  name: programName('cross_entropy', { gradient }),
  inputs: { plan: 'i32' },
  outputs: { logits: 'f32', rowLoss: 'f32', correct: 'f32' },
  uniforms: { first: 'u32', targets: 'u32', columns: 'u32', smoothing: 'f32' },
  live: { lossScale: 'f32' },
  workgroup: THREADS,
  declare: `
// (largest logit, Σ exp(z − largest), its index, Σ z); of equal logits the lowest index.
fn merge(a: vec4f, b: vec4f) -> vec4f {
  let top = max(a.x, b.x);
  let index = select(select(b.z, a.z, a.x > b.x), min(a.z, b.z), a.x == b.x);
  return vec4f(top, a.y * exp(a.x - top) + b.y * exp(b.x - top), index, a.w + b.w);
}
${reduction('whole', THREADS, { type: 'vec4f', combine: 'merge(a, b)' })}`,
  body: `
  let start = group * u.columns;
  let which = u.first + group;
  let id = u32(plan[u.targets + which]);
  let weight = bitcast<f32>(plan[2u * u.targets + which]);
  var part = vec4f(-3.4e38, 0.0, 3.4e38, 0.0);
  for (var c = thread; c < u.columns; c += ${THREADS}u) {
    let z = logits[start + c];
    if (z > part.x) {
      part = vec4f(z, part.y * exp(part.x - z) + 1.0, f32(c), part.w + z);
    } else {
      part.y += exp(z - part.x);
      part.w += z;
    }
  }
  let chosen = logits[start + id];
  let row = whole(part, thread);
  let logSum = log(row.y) + row.x;
  if (thread == 0u) {
    rowLoss[which] = (1.0 - u.smoothing) * (logSum - chosen) + u.smoothing * (logSum - row.w / f32(u.columns));
    correct[which] = select(0.0, 1.0, u32(row.z) == id);
  }
  ${
    gradient
      ? `
  storageBarrier();
  let factor = weight * live.lossScale;
  let spread = u.smoothing / f32(u.columns);
  for (var c = thread; c < u.columns; c += ${THREADS}u) {
    let wanted = spread + select(0.0, 1.0 - u.smoothing, c == id);
    logits[start + c] = (exp(logits[start + c] - row.x) / row.y - wanted) * factor;
  }`
      : ''
  }`,
}));

/** WGSL with which the first workgroup sums the weighted losses; needs `total` declared, and `rowLoss`, `plan` and `lossSum` bound. */
export const totalOf = (total: Spread['total'], threads: number): string =>
  total === 'no'
    ? ''
    : `
  if (group == 0u) {
    var sum = 0.0;
    for (var i = thread; i < u.targets; i += ${threads}u) {
      sum += rowLoss[i] * bitcast<f32>(plan[2u * u.targets + i]);
    }
    sum = total(sum, thread) * live.lossScale;
    if (thread == 0u) { lossSum[0] ${total === 'add' ? '+=' : '='} sum; }
  }`;

/** The gradient of a chunk's target rows, to be written at their positions. */
export interface Spread {
  tensors: { dstates: tf.Tensor2D; plan: tf.Tensor; dhidden: tf.Tensor2D } & Record<string, tf.Tensor>;
  numbers: { first: number; count: number; targets: number; lossScale: number };
  /** Whether the sum of weighted losses is also written, or added to what is there. */
  total: 'no' | 'write' | 'add';
}

/** How target rows are read from `hidden` and their gradients written back: unchanged, or through a norm. */
export interface Rows {
  /** The rows of targets [first, first + count). */
  fetch: (plan: tf.Tensor, count: number, first: number) => tf.Tensor2D;
  putBack: (spread: Spread) => void;
}

const SPREAD_THREADS = 64;
/**
 * Writes rows of dstates at their positions, and zeros at positions without a target unless a chunk came before (`later`). As the last
 * program of a chunk it can also sum the weighted losses (`total`).
 */
const spread = variants(({ later, total }: { later: boolean; total: Spread['total'] }) => ({
  name: programName('cross_entropy_spread', { later, total }),
  inputs: { dstates: 'f32', plan: 'i32', ...(total === 'no' ? {} : { rowLoss: 'f32' as const }) },
  outputs: { dhidden: 'f32', ...(total === 'no' ? {} : { lossSum: 'f32' as const }) },
  uniforms: { first: 'u32', count: 'u32', targets: 'u32', columns: 'u32' },
  ...(total === 'no' ? {} : { live: { lossScale: 'f32' as const } }),
  workgroup: SPREAD_THREADS,
  declare: total === 'no' ? '' : reduction('total', SPREAD_THREADS),
  body: `
  ${totalOf(total, SPREAD_THREADS)}
  let which = plan[3u * u.targets + group] - i32(u.first);
  let here = which >= 0 && which < i32(u.count);
  ${later ? 'if (!here) { return; }' : ''}
  for (var c = thread; c < u.columns; c += ${SPREAD_THREADS}u) {
    dhidden[group * u.columns + c] = select(0.0, dstates[u32(max(which, 0)) * u.columns + c], here);
  }`,
}));

/** rows [M] | ids [M] | weights as bits [M] | for each position the index of its target, or −1 [N]: one upload for all. */
export function targetPlan({ rows, ids, weights }: Targets, positions: number): Int32Array {
  const count = ids.length;
  const plan = new Int32Array(3 * count + positions);
  plan.set(rows, 0);
  plan.set(ids, count);
  plan.set(new Int32Array(weights.buffer, weights.byteOffset, count), 2 * count);
  plan.fill(-1, 3 * count);
  // Entries without weight are padding, and all point at position 0.
  for (let i = 0; i < count; i++) if (weights[i] !== 0) plan[3 * count + (rows[i] as number)] = i;
  return plan;
}

/**
 * `crossEntropy` with at most `chunkBytes` of logits in memory. hidden [N, D], head [V, D]. Five or six dispatches a chunk with both gradients.
 */
export function crossEntropyFused(
  hidden: tf.Tensor2D,
  head: tf.Tensor2D,
  targets: Targets,
  options: CrossEntropyOptions,
  chunkBytes?: number,
): CrossEntropyResult {
  const [positions, columns] = hidden.shape;
  const rows: Rows = {
    fetch: (plan, count, first) => gatherRows(hidden, plan, count, first),
    putBack: ({ tensors, numbers, total }) => {
      const program = spread({ later: numbers.first > 0, total }) as Kernel;
      dispatch(program, tensors, { ...numbers, columns }, positions);
    },
  };
  return crossEntropyThrough(rows, hidden.shape, head, targets, options, chunkBytes);
}

/** The same with `through` between the rows of `hidden` (its shape is the second argument) and the head. */
export function crossEntropyThrough(
  through: Rows,
  [positions, columns]: [number, number],
  head: tf.Tensor2D,
  targets: Targets,
  { scale, labelSmoothing, needs, headTo = null, lossTo = null }: CrossEntropyOptions,
  chunkBytes = CHUNK_BYTES,
): CrossEntropyResult {
  const vocabSize = head.shape[0];
  const count = targets.ids.length;
  const chunkRows = Math.max(1, Math.floor(chunkBytes / (4 * vocabSize)));
  const rowLoss = empty<tf.Tensor1D>([count]);
  const correct = empty<tf.Tensor1D>([count]);
  const dhidden = needs.dhidden ? empty<tf.Tensor2D>([positions, columns]) : null;
  let dheadTo = needs.dhead ? headTo : null;
  const gradient = needs.dhidden || needs.dhead;
  const plan = upload('targets', targetPlan(targets, positions), [3 * count + positions]);
  for (let first = 0; first < count; first += chunkRows) {
    const rows = Math.min(chunkRows, count - first);
    const states = through.fetch(plan, rows, first);
    const logits = productFused(states, head, false, true); // [rows, V]
    const numbers = {
      first,
      targets: count,
      columns: vocabSize,
      smoothing: labelSmoothing,
      lossScale: scale,
    };
    dispatch(loss({ gradient }), { plan, logits, rowLoss, correct }, numbers, rows);
    const jobs: Job[] = [];
    if (dhidden) jobs.push({ terms: [{ a: logits, b: head }] }); // [rows, D]
    if (needs.dhead) {
      jobs.push({ terms: [{ a: logits, b: states, transposed: { a: true, b: false } }], to: dheadTo });
    }
    const made = jobs.length > 0 ? products(jobs).results : [];
    if (needs.dhead) dheadTo = { ...dheadTo, tensor: made[made.length - 1] as tf.Tensor2D, add: true };
    if (dhidden) {
      const dstates = made[0] as tf.Tensor2D;
      const isLast = first + rows >= count;
      const total = isLast && lossTo ? (lossTo.add ? 'add' : 'write') : 'no';
      const sum = total === 'no' ? {} : { rowLoss, lossSum: (lossTo as Destination).tensor };
      const sizes = { first, count: rows, targets: count, lossScale: scale };
      through.putBack({ tensors: { dstates, plan, dhidden, ...sum }, numbers: sizes, total });
      dstates.dispose();
    }
    states.dispose();
    logits.dispose();
  }
  plan.dispose();
  return { rowLoss, correct, dhidden, dhead: (dheadTo?.tensor as tf.Tensor2D | undefined) ?? null };
}
