// Causal self-attention in plain tfjs: rotary positions, grouped queries, sliding window; training and cached decoding.
// Not here: the projections around it (engine/model/model.ts), the flash version (attention.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import { product } from '../matmul/matmul';

export interface AttentionShape {
  batch: number;
  time: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Softmax scale of the scores. */
  scale: number;
  /** Tokens each position may look back, itself included; null = all. */
  window: number | null;
}

/** Rotary tables, [positions, rotaryDim / 2] each; null where positions are learned. */
export interface Rope {
  cos: tf.Tensor2D;
  sin: tf.Tensor2D;
}

const MASKED = -1e9; // finite: an all −∞ row would be NaN, and WGSL may assume there are no infinities

/** 0 where position `past + i` may see j, −1e9 elsewhere. [1, time, past + time]. */
export function causalMask(time: number, past: number, window: number | null): tf.Tensor3D {
  const columns = past + time;
  const mask = new Float32Array(time * columns);
  for (let i = 0; i < time; i++) {
    const own = past + i;
    for (let j = 0; j < columns; j++) {
      if (j > own || (window !== null && own - j >= window)) mask[i * columns + j] = MASKED;
    }
  }
  return tf.tensor3d(mask, [1, time, columns]);
}

/** Rotates the leading rotaryDim dimensions of x [rows, T, headDim] (RoPE, Su et al. 2021, Hugging Face's half-split layout); direction −1 undoes it. */
export function rotate(x: tf.Tensor3D, rope: Rope, direction: 1 | -1): tf.Tensor3D {
  return tf.tidy(() => {
    const [rows, time, headDim] = x.shape;
    const half = rope.cos.shape[1];
    const a = tf.slice(x, [0, 0, 0], [rows, time, half]);
    const b = tf.slice(x, [0, 0, half], [rows, time, half]);
    const sin = direction === 1 ? rope.sin : tf.neg(rope.sin);
    const parts = [tf.sub(tf.mul(a, rope.cos), tf.mul(b, sin)), tf.add(tf.mul(b, rope.cos), tf.mul(a, sin))];
    if (2 * half < headDim) parts.push(tf.slice(x, [0, 0, 2 * half], [rows, time, headDim - 2 * half]));
    return tf.concat(parts, 2) as tf.Tensor3D;
  });
}

/** [batch·T, heads·headDim] → [batch·heads, T, headDim] */
function splitHeads(x: tf.Tensor2D, batch: number, time: number, heads: number): tf.Tensor3D {
  const headDim = x.shape[1] / heads;
  const apart = tf.transpose(tf.reshape(x, [batch, time, heads, headDim]), [0, 2, 1, 3]);
  return tf.reshape(apart, [batch * heads, time, headDim]);
}

/** [batch·heads, T, headDim] → [batch·T, heads·headDim] */
function joinHeads(x: tf.Tensor, batch: number, time: number, heads: number): tf.Tensor2D {
  const headDim = x.size / (batch * time * heads);
  const apart = tf.transpose(tf.reshape(x, [batch, heads, time, headDim]), [0, 2, 1, 3]);
  return tf.reshape(apart, [batch * time, heads * headDim]);
}

/** Softmax over the last axis. tfjs's own WebGPU kernel corrupts its last element beyond 65,535 rows, so not there. */
function softmax(x: tf.Tensor): tf.Tensor {
  const columns = x.shape[x.shape.length - 1] as number;
  if (x.size / columns <= 65535) return tf.softmax(x);
  const e = tf.exp(tf.sub(x, tf.max(x, -1, true)));
  return tf.div(e, tf.sum(e, -1, true));
}

export interface AttentionForward {
  out: tf.Tensor2D;
  saved: tf.Tensor[];
}

/** Query rows of one key head side by side: [batch·kvHeads, group·T, headDim], so keys need not be repeated. */
const grouped = (q: tf.Tensor, s: AttentionShape, time: number) =>
  tf.reshape(q, [s.batch * s.kvHeads, (s.heads / s.kvHeads) * time, s.headDim]);

function probabilities(q: tf.Tensor, k: tf.Tensor, mask: tf.Tensor3D, s: AttentionShape): tf.Tensor {
  const scores = tf.mul(product(q, k, false, true), s.scale);
  const [time, columns] = [mask.shape[1], mask.shape[2]];
  const open = tf.add(tf.reshape(scores, [s.batch * s.heads, time, columns]), mask);
  return tf.reshape(softmax(open), [s.batch * s.kvHeads, (s.heads / s.kvHeads) * time, columns]);
}

/**
 * softmax(scale · q·kᵀ + mask)·v for each head (Vaswani et al. 2017), q and k rotated first where `rope` is given.
 * q [N, heads·headDim], k and v [N, kvHeads·headDim], N = batch·time; mask from `causalMask` → out [N, heads·headDim].
 * Saves rotated q and k, v and the probabilities: O(batch·heads·time²) memory, which the fused versions avoid.
 */
export function attentionForward(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  shape: AttentionShape,
  rope: Rope | null,
  mask: tf.Tensor3D,
): AttentionForward {
  const { batch, time, heads, kvHeads } = shape;
  const [out, ...saved] = tf.tidy(() => {
    let queries = splitHeads(q, batch, time, heads);
    let keys = splitHeads(k, batch, time, kvHeads);
    const values = splitHeads(v, batch, time, kvHeads);
    if (rope) {
      queries = rotate(queries, rope, 1);
      keys = rotate(keys, rope, 1);
    }
    const rows = grouped(queries, shape, time);
    const p = probabilities(rows, keys, mask, shape); // [batch·kvHeads, group·T, T]
    const mixed = product(p, values); // [batch·kvHeads, group·T, headDim]
    return [joinHeads(mixed, batch, time, heads), rows, keys, values, p];
  }) as [tf.Tensor2D, ...tf.Tensor[]];
  return { out, saved };
}

/** Gradients of `attentionForward`: dS = P∘(dP − rowsum(dP∘P)). dout [N, heads·headDim]. */
export function attentionBackward(
  dout: tf.Tensor2D,
  saved: tf.Tensor[],
  shape: AttentionShape,
  rope: Rope | null,
): { dq: tf.Tensor2D; dk: tf.Tensor2D; dv: tf.Tensor2D } {
  const { batch, time, heads, kvHeads, headDim } = shape;
  const [rows, keys, values, p] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  return tf.tidy(() => {
    const d = grouped(splitHeads(dout, batch, time, heads), shape, time);
    const dv = product(p, d, true, false); // [batch·kvHeads, T, headDim]
    const dp = product(d, values, false, true); // [batch·kvHeads, group·T, T]
    const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), -1, true))), shape.scale);
    let dq = tf.reshape(product(ds, keys), [batch * heads, time, headDim]) as tf.Tensor3D;
    let dk = product(ds, rows, true, false) as tf.Tensor3D;
    if (rope) {
      dq = rotate(dq, rope, -1);
      dk = rotate(dk, rope, -1);
    }
    return {
      dq: joinHeads(dq, batch, time, heads),
      dk: joinHeads(dk, batch, time, kvHeads),
      dv: joinHeads(dv, batch, time, kvHeads),
    };
  });
}

/** Keys (rotated) and values of the tokens so far of one layer, [kvHeads, past, headDim] each. */
export interface LayerCache {
  keys: tf.Tensor3D;
  values: tf.Tensor3D;
}

/**
 * Attention of `time` new positions over the cache and themselves, batch 1.
 * `past` tokens are in the cache; `rope` holds the tables of at least past + time positions. The caller disposes the old cache.
 */
export function attentionCached(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  cache: LayerCache | null,
  shape: AttentionShape,
  rope: Rope | null,
  past: number,
): { out: tf.Tensor2D; cache: LayerCache } {
  const { time, heads, kvHeads, window } = shape;
  return tf.tidy(() => {
    let queries = splitHeads(q, 1, time, heads);
    let keys = splitHeads(k, 1, time, kvHeads);
    let values = splitHeads(v, 1, time, kvHeads);
    if (rope) {
      const half = rope.cos.shape[1];
      const cos = tf.slice(rope.cos, [past, 0], [time, half]);
      const own = { cos, sin: tf.slice(rope.sin, [past, 0], [time, half]) };
      queries = rotate(queries, own, 1);
      keys = rotate(keys, own, 1);
    }
    if (cache) {
      keys = tf.concat([cache.keys, keys], 1);
      values = tf.concat([cache.values, values], 1);
    }
    const mask = causalMask(time, past, window);
    const p = probabilities(grouped(queries, shape, time), keys, mask, shape);
    const out = joinHeads(product(p, values), 1, time, heads);
    return { out, cache: { keys, values } } as unknown as tf.TensorContainer;
  }) as unknown as { out: tf.Tensor2D; cache: LayerCache };
}
