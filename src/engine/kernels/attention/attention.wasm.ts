// Causal attention on the wasm backend: scores of a few rows at a time, so that no [time, time] matrix is ever kept.
// Not here: the plain reference (attention.ts), the loops (wasm/assembly/attention.ts).

import * as tf from '@tensorflow/tfjs-core';
import { at, empty, runSharesWithScratch, shares, simd } from '../wasm/memory.wasm';
import type { AttentionForward, AttentionShape, LayerCache, Rope } from './attention';

// The loops take one query head's few rows at a time: scores into scratch, softmax, weights · values. Kept: q, k, v and log Σ exp of each row;
// backward computes the probabilities again from them. Work is shared out by batch and key head, so each thread writes rows of its own.

const FLOAT_BYTES = 4;

const halfOf = (rope: Rope | null) => rope?.cos.shape[1] ?? 0;

/** `attentionForward` of attention.ts. The mask is not read: it follows from the shape. Saves q, k, v and log Σ exp of each row. */
export function attentionForwardSimd(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  { batch, time, heads, kvHeads, headDim, scale, window }: AttentionShape,
  rope: Rope | null,
): AttentionForward {
  const out = empty<tf.Tensor2D>([batch * time, heads * headDim]);
  const logSums = empty([batch, heads, time]);
  const step = FLOAT_BYTES * kvHeads * headDim;
  const parts = shares(batch * kvHeads, 1, 2 * batch * heads * time * time * headDim);
  const bytes = simd().attentionForwardScratch(time, headDim);
  runSharesWithScratch('attentionForward', parts, bytes, ({ start, size }) => [
    at(q),
    at(k),
    at(v),
    time * step,
    FLOAT_BYTES * headDim,
    step,
    at(out),
    at(logSums),
    time,
    0,
    heads,
    kvHeads,
    headDim,
    scale,
    window ?? 0,
    at(rope?.cos),
    at(rope?.sin),
    halfOf(rope),
    true,
    start,
    start + size,
  ]);
  // Clones share memory with q, k and v, which the tape may dispose before or after these.
  return { out, saved: [tf.clone(q), tf.clone(k), tf.clone(v), logSums] };
}

/** `attentionBackward` of attention.ts, on what `attentionForwardSimd` saved. */
export function attentionBackwardSimd(
  dout: tf.Tensor2D,
  saved: tf.Tensor[],
  { batch, time, heads, kvHeads, headDim, scale, window }: AttentionShape,
  rope: Rope | null,
): { dq: tf.Tensor2D; dk: tf.Tensor2D; dv: tf.Tensor2D } {
  const [q, k, v, logSums] = saved;
  const dq = empty<tf.Tensor2D>([batch * time, heads * headDim]);
  const dk = empty<tf.Tensor2D>([batch * time, kvHeads * headDim]);
  const dv = empty<tf.Tensor2D>([batch * time, kvHeads * headDim]);
  const parts = shares(batch * kvHeads, 1, 5 * batch * heads * time * time * headDim);
  const bytes = simd().attentionBackwardScratch(time, headDim);
  runSharesWithScratch('attentionBackward', parts, bytes, ({ start, size }) => [
    at(dout),
    at(q),
    at(k),
    at(v),
    at(logSums),
    at(dq),
    at(dk),
    at(dv),
    time,
    heads,
    kvHeads,
    headDim,
    scale,
    window ?? 0,
    at(rope?.cos),
    at(rope?.sin),
    halfOf(rope),
    start,
    start + size,
  ]);
  return { dq, dk, dv };
}

/** `attentionCached` of attention.ts. */
export function attentionCachedSimd(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  cache: LayerCache | null,
  { time, heads, kvHeads, headDim, scale, window }: AttentionShape,
  rope: Rope | null,
  past: number,
): { out: tf.Tensor2D; cache: LayerCache } {
  const length = past + time;
  const keys = empty<tf.Tensor3D>([kvHeads, length, headDim]);
  const values = empty<tf.Tensor3D>([kvHeads, length, headDim]);
  const half = halfOf(rope);
  // The tables from the first new position on.
  const from = FLOAT_BYTES * past * half;
  const [cos, sin] = rope ? [at(rope.cos) + from, at(rope.sin) + from] : [0, 0];
  const append = simd().appendToCache;
  append(at(keys), at(cache?.keys), at(k), past, time, kvHeads, headDim, cos, sin, half);
  append(at(values), at(cache?.values), at(v), past, time, kvHeads, headDim, 0, 0, 0);
  const out = empty<tf.Tensor2D>([time, heads * headDim]);
  const step = FLOAT_BYTES * headDim;
  const parts = shares(kvHeads, 1, 2 * heads * time * length * headDim);
  const bytes = simd().attentionForwardScratch(length, headDim);
  runSharesWithScratch('attentionForward', parts, bytes, ({ start, size }) => [
    at(q),
    at(keys),
    at(values),
    0,
    length * step,
    step,
    at(out),
    0,
    time,
    past,
    heads,
    kvHeads,
    headDim,
    scale,
    window ?? 0,
    cos,
    sin,
    half,
    false,
    start,
    start + size,
  ]);
  return { out, cache: { keys, values } };
}
