// The 64 likeliest next tokens on WebGPU: each workgroup sorts a piece of the vocabulary, and lists are merged until one is left.
// Not here: drawing from them (engine/generation/sampling.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { kernel } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction } from '../webgpu/reduce.wgsl';
import { LIST_SIZE, LISTED } from './shortlist';

const THREADS = 256;
// First dispatch: a workgroup a piece of 1,024 logits, sorted by a bitonic network in workgroup memory (55 rounds, a barrier each); it writes the first
// 64, the piece's Σ exp((logit − largest) / T) and how many logits are not finite. Each further dispatch sorts 16 lists of 64 into one the same
// way and rescales their sums to the new largest. Memory: 130 floats a list, so the processor reads 520 bytes instead of the vocabulary.

/** Logits sorted by one workgroup: 8 KiB of its memory. */
const PIECE = 1024;
const LISTS = PIECE / LISTED;
/** The id of an empty place: sorted last. Ids are exact in f32 below this. */
const NOTHING = 16_777_216;

/** WGSL: `sort(thread)` sorts `value` and `id` with a bitonic network, largest first, of equal values the lower id; `write` writes a list. */
const SORTED = `
var<workgroup> value: array<f32, ${PIECE}>;
var<workgroup> id: array<f32, ${PIECE}>;
fn before(a: u32, b: u32) -> bool {
  return value[a] > value[b] || (value[a] == value[b] && id[a] < id[b]);
}
fn sort(thread: u32) {
  for (var run = 2u; run <= ${PIECE}u; run <<= 1u) {
    for (var apart = run >> 1u; apart > 0u; apart >>= 1u) {
      workgroupBarrier();
      for (var n = thread; n < ${PIECE / 2}u; n += ${THREADS}u) {
        let i = 2u * n - (n & (apart - 1u));
        let other = i + apart;
        if (before(other, i) == ((i & run) == 0u)) {
          let v = value[i]; value[i] = value[other]; value[other] = v;
          let which = id[i]; id[i] = id[other]; id[other] = which;
        }
      }
    }
  }
  workgroupBarrier();
}
fn write(to: u32, thread: u32, mass: f32, not_finite: f32) {
  if (thread < ${LISTED}u) {
    lists[to + thread] = id[thread];
    lists[to + ${LISTED}u + thread] = value[thread];
  }
  if (thread == 0u) {
    lists[to + ${2 * LISTED}u] = mass;
    lists[to + ${2 * LISTED + 1}u] = not_finite;
  }
}`;

const pieces = kernel({
  name: 'shortlist_pieces',
  inputs: { x: 'f32' },
  outputs: { lists: 'f32' },
  uniforms: { count: 'u32', temperature: 'f32' },
  workgroup: THREADS,
  declare: `${SORTED}${reduction('total', THREADS, { type: 'vec2f' })}`,
  body: `
  let start = group * ${PIECE}u;
  var notFinite = 0.0;
  for (var i = thread; i < ${PIECE}u; i += ${THREADS}u) {
    value[i] = -3.4e38;
    id[i] = ${NOTHING}.0;
    if (start + i < u.count) {
      let logit = x[start + i];
      // Bits are compared: compilers may assume that there are no NaN.
      if ((bitcast<u32>(logit) & 0x7f800000u) == 0x7f800000u) { notFinite += 1.0; } else {
        value[i] = logit;
        id[i] = f32(start + i);
      }
    }
  }
  sort(thread);
  let top = value[0];
  var mass = 0.0;
  for (var i = thread; i < ${PIECE}u; i += ${THREADS}u) {
    if (id[i] < ${NOTHING}.0) { mass += exp((value[i] - top) / u.temperature); }
  }
  let sums = total(vec2f(mass, notFinite), thread);
  write(group * ${LIST_SIZE}u, thread, sums.x, sums.y);`,
});

const merge = kernel({
  name: 'shortlist_merge',
  inputs: { parts: 'f32' },
  outputs: { lists: 'f32' },
  uniforms: { count: 'u32', temperature: 'f32' },
  workgroup: THREADS,
  declare: SORTED,
  body: `
  let first = group * ${LISTS}u;
  for (var i = thread; i < ${PIECE}u; i += ${THREADS}u) {
    let list = first + i / ${LISTED}u;
    value[i] = -3.4e38;
    id[i] = ${NOTHING}.0;
    if (list < u.count) {
      id[i] = parts[list * ${LIST_SIZE}u + i % ${LISTED}u];
      value[i] = parts[list * ${LIST_SIZE}u + ${LISTED}u + i % ${LISTED}u];
    }
  }
  sort(thread);
  var mass = 0.0;
  var notFinite = 0.0;
  if (thread == 0u) {
    for (var list = first; list < min(first + ${LISTS}u, u.count); list++) {
      let of_list = list * ${LIST_SIZE}u;
      if (parts[of_list] < ${NOTHING}.0) {
        mass += parts[of_list + ${2 * LISTED}u] * exp((parts[of_list + ${LISTED}u] - value[0]) / u.temperature);
      }
      notFinite += parts[of_list + ${2 * LISTED + 1}u];
    }
  }
  write(group * ${LIST_SIZE}u, thread, mass, notFinite);`,
});

/** `shortlist` of x [V] → [130]: three dispatches for a vocabulary of 16 to 262 thousand. */
export function shortlistFused(x: tf.Tensor, temperature: number): tf.Tensor1D {
  let count = Math.ceil(x.size / PIECE);
  let lists = empty<tf.Tensor1D>([count * LIST_SIZE]);
  dispatch(pieces, { x, lists }, { count: x.size, temperature }, count);
  while (count > 1) {
    const parts = lists;
    const next = Math.ceil(count / LISTS);
    lists = empty<tf.Tensor1D>([next * LIST_SIZE]);
    dispatch(merge, { parts, lists }, { count, temperature }, next);
    parts.dispose();
    count = next;
  }
  return lists;
}
