// Attention of new tokens over a key-value cache on WebGPU: one dispatch writes them into the cache, one attends.
// Not here: training's attention (attention.wgsl.ts), the plain reference (attention.ts).

import * as tf from '@tensorflow/tfjs-core';
import { type Kernel, kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction } from '../webgpu/reduce.wgsl';
import { type AttentionShape, attentionCached, type LayerCache, type Rope } from './attention';

// Decoding, batch 1. A cache has a capacity, and new keys (rotated) and values are written behind the `past` ones, so nothing is copied until
// it is full. Attention is one pass with an online softmax (Milakov & Gimelshein 2018): a workgroup takes one new token of one head and walks
// over its keys 64 at a time, a thread a key for the scores and a thread a dimension for the sum of values; when a larger score
// appears, what was summed up so far is scaled by exp(old maximum − new). Memory: no scores are stored beyond the 64 of a step.

/** Tokens a cache has room for at first; it doubles when it is full, so that few sizes of buffer are ever allocated. */
const FIRST_CAPACITY = 128;
const THREADS = 64;

interface Settings {
  headDim: number;
  /** Half of the rotated dimensions; 0 = no rotation. */
  half: number;
}

const rotation = (half: number) => (half > 0 ? { cosine: 'f32' as const, sine: 'f32' as const } : {});

/** `fn rotated(t, d, x, partner)`: dimension d of a row at new position t, rotated; `partner` is the number it is rotated with. */
const rotated = (half: number) => `
fn partnerOf(d: u32) -> u32 { return ${half === 0 ? 'd' : `select(select(d, d - ${half}u, d < ${2 * half}u), d + ${half}u, d < ${half}u)`}; }
fn rotated(t: u32, d: u32, x: f32, partner: f32) -> f32 {
  ${
    half === 0
      ? ''
      : `let at = (live.past + t) * ${half}u;
  if (d < ${half}u) { return x * cosine[at + d] - partner * sine[at + d]; }
  if (d < ${2 * half}u) { return x * cosine[at + d - ${half}u] + partner * sine[at + d - ${half}u]; }`
  }
  return x;
}`;

/** A thread an element of the new keys and values, keys rotated by their position. */
const append = variants(({ headDim, half }: Settings) => ({
  name: programName('cache_append', { headDim, half }),
  inputs: { k: 'f32', v: 'f32', ...rotation(half) },
  outputs: { keys: 'f32', values: 'f32' },
  uniforms: { size: 'u32', kvHeads: 'u32', capacity: 'u32' },
  live: { past: 'u32' },
  workgroup: THREADS,
  declare: rotated(half),
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  let d = i % ${headDim}u;
  let head = (i / ${headDim}u) % u.kvHeads;
  let t = i / ${headDim}u / u.kvHeads;
  let to = (head * u.capacity + live.past + t) * ${headDim}u + d;
  keys[to] = rotated(t, d, k[i], k[i - d + partnerOf(d)]);
  values[to] = v[i];`,
}));

/** Copies what a smaller cache holds into a larger one. */
const grow = kernel({
  name: 'cache_grow',
  inputs: { oldKeys: 'f32', oldValues: 'f32' },
  outputs: { keys: 'f32', values: 'f32' },
  uniforms: { size: 'u32', oldRow: 'u32', row: 'u32' },
  workgroup: THREADS,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  let to = (i / u.oldRow) * u.row + i % u.oldRow;
  keys[to] = oldKeys[i];
  values[to] = oldValues[i];`,
});

/** A workgroup for each new token and head. */
const attend = variants(({ headDim, half }: Settings) => {
  const lanes = Array.from({ length: Math.ceil(headDim / THREADS) }, (_, c) => c);
  const inside = (c: number, text: string) =>
    (c + 1) * THREADS <= headDim ? text : `if (thread + ${c * THREADS}u < ${headDim}u) { ${text} }`;
  return {
    name: programName('cache_attend', { headDim, half }),
    inputs: { q: 'f32', keys: 'vec4f', values: 'f32', ...rotation(half) },
    outputs: { out: 'f32' },
    uniforms: { heads: 'u32', kvHeads: 'u32', capacity: 'u32', window: 'u32', scale: 'f32' },
    live: { past: 'u32' },
    workgroup: THREADS,
    declare: `
${rotated(half)}
${reduction('total', THREADS)}
${reduction('largest', THREADS, { combine: 'max(a, b)' })}
var<workgroup> query: array<f32, ${headDim}>;
var<workgroup> weights: array<f32, ${THREADS}>;`,
    body: `
  let head = group % u.heads;
  let t = group / u.heads;
  let rows = (head / (u.heads / u.kvHeads)) * u.capacity;
  let at = group * ${headDim}u;
  for (var d = thread; d < ${headDim}u; d += ${THREADS}u) {
    query[d] = rotated(t, d, q[at + d], q[at + partnerOf(d)]) * u.scale;
  }
  workgroupBarrier();
  let own = live.past + t;
  let first = select(0u, max(own + 1u, u.window) - u.window, u.window > 0u);
  var top = -3.4e38;
  var sum = 0.0;
  ${lanes.map((c) => `var o${c} = 0.0;`).join(' ')}
  for (var base = first; base <= own; base += ${THREADS}u) {
    let j = base + thread;
    var s = -3.4e38;
    if (j <= own) {
      s = 0.0;
      for (var d4 = 0u; d4 < ${headDim / 4}u; d4++) {
        let four = vec4f(query[d4 * 4u], query[d4 * 4u + 1u], query[d4 * 4u + 2u], query[d4 * 4u + 3u]);
        s += dot(four, keys[(rows + j) * ${headDim / 4}u + d4]);
      }
    }
    let next = max(top, largest(s, thread));
    let fade = exp(top - next);
    let p = select(0.0, exp(s - next), j <= own);
    weights[thread] = p;
    sum = sum * fade + total(p, thread);
    top = next;
    ${lanes.map((c) => `o${c} *= fade;`).join(' ')}
    for (var i = 0u; i < min(${THREADS}u, own - base + 1u); i++) {
      let from_row = (rows + base + i) * ${headDim}u + thread;
      ${lanes.map((c) => inside(c, `o${c} += weights[i] * values[from_row + ${c * THREADS}u];`)).join('\n      ')}
    }
    workgroupBarrier();
  }
  ${lanes.map((c) => inside(c, `out[at + thread + ${c * THREADS}u] = o${c} / sum;`)).join('\n  ')}`,
  };
});

const capacityFor = (length: number) => {
  let capacity = FIRST_CAPACITY;
  while (capacity < length) capacity *= 2;
  return capacity;
};

/**
 * `attentionCached` in two dispatches, batch 1. The cache is [kvHeads, capacity, headDim] with capacity ≥ past + time, and is written in
 * place: the one returned shares its buffers with the one given, which must not be used again. `past` is a live uniform: while the
 * cache has room, one captured step serves every token.
 */
export function attentionCachedFused(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  cache: LayerCache | null,
  shape: AttentionShape,
  rope: Rope | null,
  past: number,
): { out: tf.Tensor2D; cache: LayerCache } {
  const { time, heads, kvHeads, headDim, scale, window } = shape;
  if (headDim % 4 !== 0) return attentionCached(q, k, v, cache, shape, rope, past);
  const next = withRoom(cache, past, shape);
  const half = rope ? rope.cos.shape[1] : 0;
  const tables = rope ? { cosine: rope.cos, sine: rope.sin } : {};
  const capacity = next.keys.shape[1];
  dispatch(
    append({ headDim, half }) as Kernel,
    { k, v, ...tables, ...next },
    { size: k.size, kvHeads, capacity, past },
    Math.ceil(k.size / THREADS),
  );
  const out = empty<tf.Tensor2D>([time, heads * headDim]);
  dispatch(
    attend({ headDim, half }) as Kernel,
    { q, ...next, ...tables, out },
    { heads, kvHeads, capacity, window: window ?? 0, scale, past },
    time * heads,
  );
  return { out, cache: next };
}

/** The same cache when the new tokens fit, else a larger one with what it held. */
function withRoom(cache: LayerCache | null, past: number, shape: AttentionShape): LayerCache {
  const { time, kvHeads, headDim } = shape;
  if (cache && past + time <= cache.keys.shape[1]) {
    return { keys: tf.clone(cache.keys), values: tf.clone(cache.values) };
  }
  const capacity = capacityFor(past + time);
  const make = () => empty<tf.Tensor3D>([kvHeads, capacity, headDim]);
  const next = { keys: make(), values: make() };
  if (cache) {
    const [oldRow, row] = [cache.keys.shape[1] * headDim, capacity * headDim];
    const size = cache.keys.size;
    const tensors = { oldKeys: cache.keys, oldValues: cache.values, ...next };
    dispatch(grow, tensors, { size, oldRow, row }, Math.ceil(size / THREADS));
  }
  return next;
}
