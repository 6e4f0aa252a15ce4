// Flash attention on WebGPU, forward and backward: causal, grouped queries, sliding window, rotary positions applied on the way in.
// Not here: the projections around it (engine/model/model.ts), the plain reference and cached decoding (attention.ts).

import * as tf from '@tensorflow/tfjs-core';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty, storageBufferLimit, webgpuBackend } from '../webgpu/program';
import {
  type AttentionForward,
  type AttentionShape,
  attentionBackward,
  attentionForward,
  type Rope,
} from './attention';

// FlashAttention (Dao et al. 2022), backward as FlashAttention-2 (Dao 2023): the score matrix is never stored.
// Forward, one dispatch: a workgroup of 8 × 8 threads holds one block of queries and loops over the blocks of keys that they see. For each it
// computes the scores, updates each row's maximum and sum (online softmax), scales the output summed so far and adds weights · values.
// Saved for backward: out, and lse = log Σ exp(score) of each row, [batch · heads, time].
// Backward, two dispatches, both recomputing p = exp(score − lse): a workgroup a block of queries makes dq, and delta = Σ dout ∘ out a row; then a
// workgroup a block of keys loops over the queries that see them, over all heads of its group, and makes dk and dv. No atomics, so sums repeat.
// Thread (tx, ty) holds the scores of rows ty, ty + 8, … with columns tx, tx + 8, …, and of each of its rows the vectors of four at tx, tx + 8, …
// of the head. Workgroup memory: two (forward) or three (backward) blocks of rows and one block × block matrix. Rows past the end are zero and masked.

const SIDE = 8;
const THREADS = SIDE * SIDE;

/** What the text of a program depends on. */
interface Layout {
  headDim: number;
  /** Half of the rotated dimensions; 0 = no rotation. */
  half: number;
  /** Rows of a block. */
  block: number;
}

// ───────────────────────────── pieces of WGSL ─────────────────────────────

/** Reads one vector of four of a row, rotated by its position when there is a rotation (RoPE, Su et al. 2021, half-split as Hugging Face). */
function loader(
  name: string,
  array: string,
  heads: string,
  { headDim, half }: Layout,
  rotates: boolean,
): string {
  const index = `((b * u.time + t) * ${heads} + head) * ${headDim}u`;
  const plain = `
fn ${name}(b: u32, t: u32, head: u32, d4: u32) -> vec4f {
  if (t >= u.time) { return vec4f(0.0); }
  let at = ${index} + d4 * 4u;
  return vec4f(${array}[at], ${array}[at + 1u], ${array}[at + 2u], ${array}[at + 3u]);
}`;
  if (!rotates || half === 0) return plain;
  return `
fn ${name}(b: u32, t: u32, head: u32, d4: u32) -> vec4f {
  if (t >= u.time) { return vec4f(0.0); }
  let at = ${index};
  var four: vec4f;
  for (var i = 0u; i < 4u; i++) {
    let d = d4 * 4u + i;
    let x = ${array}[at + d];
    if (d < ${half}u) {
      four[i] = x * cosine[t * ${half}u + d] - ${array}[at + d + ${half}u] * sine[t * ${half}u + d];
    } else if (d < ${2 * half}u) {
      let e = d - ${half}u;
      four[i] = x * cosine[t * ${half}u + e] + ${array}[at + e] * sine[t * ${half}u + e];
    } else {
      four[i] = x;
    }
  }
  return four;
}`;
}

/** Writes a block of gradient rows from the workgroup array `tile`, with the rotation undone. */
function unrotated(name: string, array: string, heads: string, layout: Layout, tile: string): string {
  const { headDim, half, block } = layout;
  const stride = strideOf(layout);
  return `
fn ${name}(b: u32, t0: u32, head: u32, thread: u32) {
  for (var e = thread; e < ${block * headDim}u; e += ${THREADS}u) {
    let row = e / ${headDim}u;
    let d = e % ${headDim}u;
    let t = t0 + row;
    if (t < u.time) {
      var x = ${tile}[row * ${stride}u + d / 4u][d % 4u];
      ${
        half === 0
          ? ''
          : `
      if (d < ${half}u) {
        let f = d + ${half}u;
        x = x * cosine[t * ${half}u + d] + ${tile}[row * ${stride}u + f / 4u][f % 4u] * sine[t * ${half}u + d];
      } else if (d < ${2 * half}u) {
        let f = d - ${half}u;
        x = x * cosine[t * ${half}u + f] - ${tile}[row * ${stride}u + f / 4u][f % 4u] * sine[t * ${half}u + f];
      }`
      }
      ${array}[((b * u.time + t) * ${heads} + head) * ${headDim}u + d] = x;
    }
  }
}`;
}

/** Vectors of four from one row of a tile to the next; one more than the head has, to avoid bank conflicts. */
const strideOf = ({ headDim }: Layout) => headDim / 4 + 1;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Fills a tile with `block` rows from `t0` on. */
const fill = (tile: string, load: string, layout: Layout, t0: string, head: string) => `
  for (var e = thread; e < ${layout.block * (layout.headDim / 4)}u; e += ${THREADS}u) {
    let row = e / ${layout.headDim / 4}u;
    let d4 = e % ${layout.headDim / 4}u;
    ${tile}[row * ${strideOf(layout)}u + d4] = ${load}(b, ${t0} + row, ${head}, d4);
  }`;

/** Dot products of this thread's rows of one tile with its rows of another, into `name[i][j]` as variables. */
function scores(name: string, rowsTile: string, columnsTile: string, layout: Layout): string {
  const each = range(layout.block / SIDE);
  const stride = strideOf(layout);
  return `
  ${each.map((i) => each.map((j) => `var ${name}${i}${j} = 0.0;`).join(' ')).join(' ')}
  for (var d4 = 0u; d4 < ${layout.headDim / 4}u; d4++) {
    ${each.map((i) => `let r${i} = ${rowsTile}[(ty + ${SIDE * i}u) * ${stride}u + d4];`).join(' ')}
    ${each.map((j) => `let c${j} = ${columnsTile}[(tx + ${SIDE * j}u) * ${stride}u + d4];`).join(' ')}
    ${each.map((i) => each.map((j) => `${name}${i}${j} += dot(r${i}, c${j});`).join(' ')).join(' ')}
  }`;
}

/** Vectors of four of each row that one thread keeps; the last may lie beyond a narrow head. */
const vectorsOf = ({ headDim }: Layout) => Math.ceil(headDim / 4 / SIDE);

const accumulators = (name: string, layout: Layout) =>
  range(layout.block / SIDE)
    .map((i) =>
      range(vectorsOf(layout))
        .map((c) => `var ${name}${i}${c} = vec4f(0.0);`)
        .join(' '),
    )
    .join(' ');

/** name[row] += Σ over the other side of weight(row, other) · tile[other]; `weight` is a WGSL expression in `row` and `other`. */
function gather(
  name: string,
  layout: Layout,
  weight: (row: string, other: string) => string,
  tile: string,
): string {
  const each = range(layout.block / SIDE);
  const vectors = range(vectorsOf(layout));
  const guard = (c: number, text: string) =>
    (c + 1) * SIDE <= layout.headDim / 4
      ? text
      : `if (tx + ${SIDE * c}u < ${layout.headDim / 4}u) { ${text} }`;
  return `
  for (var other = 0u; other < ${layout.block}u; other++) {
    ${each.map((i) => `let w${i} = ${weight(`(ty + ${SIDE * i}u)`, 'other')};`).join(' ')}
    ${vectors
      .map((c) =>
        guard(
          c,
          `let x${c} = ${tile}[other * ${strideOf(layout)}u + tx + ${SIDE * c}u]; ${each.map((i) => `${name}${i}${c} += w${i} * x${c};`).join(' ')}`,
        ),
      )
      .join('\n    ')}
  }`;
}

/** Writes accumulated vectors into a tile, from which `unrotated` writes them out. */
const spill = (name: string, layout: Layout, tile: string) =>
  range(layout.block / SIDE)
    .flatMap((i) =>
      range(vectorsOf(layout)).map(
        (c) =>
          `if (tx + ${SIDE * c}u < ${layout.headDim / 4}u) { ${tile}[(ty + ${SIDE * i}u) * ${strideOf(layout)}u + tx + ${SIDE * c}u] = ${name}${i}${c}; }`,
      ),
    )
    .join('\n  ');

const tiles = (layout: Layout, ...names: string[]) =>
  names.map((name) => `var<workgroup> ${name}: array<vec4f, ${layout.block * strideOf(layout)}>;`).join('\n');

/** A matrix of block × block weights, its rows padded by one. */
const matrix = (name: string, { block }: Layout) =>
  `var<workgroup> ${name}: array<f32, ${block * (block + 1)}>;`;

const weightAt = (name: string, { block }: Layout, row: string, column: string) =>
  `${name}[${row} * ${block + 1}u + ${column}]`;

/** Whether the token at `i` sees the one at `j`. window 0 = no limit. */
const SEES = `
fn sees(i: u32, j: u32) -> bool {
  return i < u.time && j <= i && (u.window == 0u || i - j < u.window);
}`;

const UNIFORMS = {
  time: 'u32',
  heads: 'u32',
  kvHeads: 'u32',
  window: 'u32',
  scale: 'f32',
  blocks: 'u32',
} as const;
const rotation = (half: number) => (half > 0 ? { cosine: 'f32' as const, sine: 'f32' as const } : {});

const place = (own: string, block: number) => `
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let t0 = (group % u.blocks) * ${block}u;
  let ${own} = (group / u.blocks) % ${own === 'head' ? 'u.heads' : 'u.kvHeads'};
  let b = group / u.blocks / ${own === 'head' ? 'u.heads' : 'u.kvHeads'};`;

/** First and last block of keys that the queries from t0 on see. */
const keyRange = (block: number) => `
  let firstKey = select(0u, (max(t0 + 1u, u.window) - u.window) / ${block}u, u.window > 0u);
  let lastKey = min(t0 / ${block}u, u.blocks - 1u);`;

// ───────────────────────────── forward ─────────────────────────────

const forward = variants((l: Layout) => {
  const { headDim, half, block } = l;
  const each = range(block / SIDE);
  return {
    name: programName('attention_forward', { headDim, half, block }),
    inputs: { q: 'f32', k: 'f32', v: 'f32', ...rotation(half) },
    outputs: { out: 'f32', lse: 'f32' },
    uniforms: UNIFORMS,
    workgroup: THREADS,
    declare: `
${tiles(l, 'queries', 'stream')}
${matrix('weights', l)}
var<workgroup> rowTop: array<f32, ${block}>;
var<workgroup> rowSum: array<f32, ${block}>;
var<workgroup> rowFade: array<f32, ${block}>;
${SEES}
${loader('loadQuery', 'q', 'u.heads', l, true)}
${loader('loadKey', 'k', 'u.kvHeads', l, true)}
${loader('loadValue', 'v', 'u.kvHeads', l, false)}`,
    body: `
  ${place('head', block)}
  let kvHead = head / (u.heads / u.kvHeads);
  ${keyRange(block)}
  ${fill('queries', 'loadQuery', l, 't0', 'head')}
  if (thread < ${block}u) { rowTop[thread] = -3.4e38; rowSum[thread] = 0.0; }
  ${accumulators('o', l)}
  for (var kb = firstKey; kb <= lastKey; kb++) {
    let s0 = kb * ${block}u;
    workgroupBarrier();
    ${fill('stream', 'loadKey', l, 's0', 'kvHead')}
    workgroupBarrier();
    ${scores('s', 'queries', 'stream', l)}
    ${each
      .map((i) =>
        each
          .map(
            (j) =>
              `${weightAt('weights', l, `(ty + ${SIDE * i}u)`, `tx + ${SIDE * j}u`)} = select(-3.4e38, s${i}${j} * u.scale, sees(t0 + ty + ${SIDE * i}u, s0 + tx + ${SIDE * j}u));`,
          )
          .join(' '),
      )
      .join('\n    ')}
    workgroupBarrier();
    ${fill('stream', 'loadValue', l, 's0', 'kvHead')}
    if (thread < ${block}u) {
      let before = rowTop[thread];
      var top = before;
      for (var j = 0u; j < ${block}u; j++) { top = max(top, ${weightAt('weights', l, 'thread', 'j')}); }
      var sum = 0.0;
      for (var j = 0u; j < ${block}u; j++) {
        let s = ${weightAt('weights', l, 'thread', 'j')};
        // A row that sees none of these keys keeps its maximum; a masked score must not become exp(0).
        let p = select(0.0, exp(s - top), s > -3.0e38);
        ${weightAt('weights', l, 'thread', 'j')} = p;
        sum += p;
      }
      let fade = exp(before - top);
      rowFade[thread] = fade;
      rowSum[thread] = rowSum[thread] * fade + sum;
      rowTop[thread] = top;
    }
    workgroupBarrier();
    ${each
      .map(
        (i) =>
          `let fade${i} = rowFade[ty + ${SIDE * i}u]; ${range(vectorsOf(l))
            .map((c) => `o${i}${c} *= fade${i};`)
            .join(' ')}`,
      )
      .join(' ')}
    ${gather('o', l, (row, other) => weightAt('weights', l, row, other), 'stream')}
  }
  ${each
    .map(
      (i) => `{
    let row = ty + ${SIDE * i}u;
    let t = t0 + row;
    if (t < u.time) {
      let norm = 1.0 / rowSum[row];
      let at = ((b * u.time + t) * u.heads + head) * ${headDim}u;
      ${range(vectorsOf(l))
        .map(
          (c) =>
            `if (tx + ${SIDE * c}u < ${headDim / 4}u) { for (var i = 0u; i < 4u; i++) { out[at + (tx + ${SIDE * c}u) * 4u + i] = o${i}${c}[i] * norm; } }`,
        )
        .join('\n      ')}
      if (tx == 0u) { lse[(b * u.heads + head) * u.time + t] = rowTop[row] + log(rowSum[row]); }
    }
  }`,
    )
    .join('\n  ')}`,
  };
});

// ───────────────────────────── backward ─────────────────────────────

/** p, and ds = p·(dp − delta)·scale, for this thread's rows (queries) and columns (keys), from s and dp. */
const gradientsOfScores = (l: Layout, rowsAreQueries: boolean, query0: string, key0: string) =>
  range(l.block / SIDE)
    .map((i) =>
      range(l.block / SIDE)
        .map((j) => {
          const [qi, ki] = rowsAreQueries
            ? [`ty + ${SIDE * i}u`, `tx + ${SIDE * j}u`]
            : [`tx + ${SIDE * j}u`, `ty + ${SIDE * i}u`];
          return `
    let p${i}${j} = select(0.0, exp(s${i}${j} * u.scale - rowLse[${qi}]), sees(${query0} + ${qi}, ${key0} + ${ki}));
    let ds${i}${j} = p${i}${j} * (dp${i}${j} - rowDelta[${qi}]) * u.scale;`;
        })
        .join(''),
    )
    .join('');

const keep = (l: Layout, value: string) =>
  range(l.block / SIDE)
    .map((i) =>
      range(l.block / SIDE)
        .map(
          (j) => `${weightAt('weights', l, `(ty + ${SIDE * i}u)`, `tx + ${SIDE * j}u`)} = ${value}${i}${j};`,
        )
        .join(' '),
    )
    .join('\n    ');

/** A workgroup a block of queries: dq, and delta = Σ dout∘out of each row, which `backwardKeys` reads. */
const backwardQueries = variants((l: Layout) => {
  const { headDim, half, block } = l;
  return {
    name: programName('attention_dq', { headDim, half, block }),
    inputs: { q: 'f32', k: 'f32', v: 'f32', out: 'f32', dout: 'f32', lse: 'f32', ...rotation(half) },
    outputs: { dq: 'f32', delta: 'f32' },
    uniforms: UNIFORMS,
    workgroup: THREADS,
    declare: `
${tiles(l, 'queries', 'douts', 'stream')}
${matrix('weights', l)}
var<workgroup> rowLse: array<f32, ${block}>;
var<workgroup> rowDelta: array<f32, ${block}>;
${SEES}
${loader('loadQuery', 'q', 'u.heads', l, true)}
${loader('loadKey', 'k', 'u.kvHeads', l, true)}
${loader('loadValue', 'v', 'u.kvHeads', l, false)}
${loader('loadOut', 'out', 'u.heads', l, false)}
${loader('loadDout', 'dout', 'u.heads', l, false)}
${unrotated('writeQuery', 'dq', 'u.heads', l, 'stream')}`,
    body: `
  ${place('head', block)}
  let kvHead = head / (u.heads / u.kvHeads);
  ${keyRange(block)}
  ${fill('queries', 'loadQuery', l, 't0', 'head')}
  ${fill('douts', 'loadDout', l, 't0', 'head')}
  ${fill('stream', 'loadOut', l, 't0', 'head')}
  workgroupBarrier();
  if (thread < ${block}u) {
    var sum = 0.0;
    for (var d4 = 0u; d4 < ${headDim / 4}u; d4++) {
      sum += dot(douts[thread * ${strideOf(l)}u + d4], stream[thread * ${strideOf(l)}u + d4]);
    }
    rowDelta[thread] = sum;
    let t = t0 + thread;
    let at = (b * u.heads + head) * u.time + t;
    rowLse[thread] = 0.0;
    if (t < u.time) {
      delta[at] = sum;
      rowLse[thread] = lse[at];
    }
  }
  ${accumulators('g', l)}
  for (var kb = firstKey; kb <= lastKey; kb++) {
    let s0 = kb * ${block}u;
    workgroupBarrier();
    ${fill('stream', 'loadValue', l, 's0', 'kvHead')}
    workgroupBarrier();
    ${scores('dp', 'douts', 'stream', l)}
    workgroupBarrier();
    ${fill('stream', 'loadKey', l, 's0', 'kvHead')}
    workgroupBarrier();
    ${scores('s', 'queries', 'stream', l)}
    ${gradientsOfScores(l, true, 't0', 's0')}
    ${keep(l, 'ds')}
    workgroupBarrier();
    ${gather('g', l, (row, other) => weightAt('weights', l, row, other), 'stream')}
  }
  workgroupBarrier();
  ${spill('g', l, 'stream')}
  workgroupBarrier();
  writeQuery(b, t0, head, thread);`,
  };
});

/** A workgroup a block of keys, over all heads of its group and all queries that see it: dk and dv, in a fixed order. */
const backwardKeys = variants((l: Layout) => {
  const { headDim, half, block } = l;
  return {
    name: programName('attention_dkv', { headDim, half, block }),
    inputs: { q: 'f32', k: 'f32', v: 'f32', dout: 'f32', lse: 'f32', delta: 'f32', ...rotation(half) },
    outputs: { dk: 'f32', dv: 'f32' },
    uniforms: UNIFORMS,
    workgroup: THREADS,
    declare: `
${tiles(l, 'keys', 'values', 'stream')}
${matrix('weights', l)}
var<workgroup> rowLse: array<f32, ${block}>;
var<workgroup> rowDelta: array<f32, ${block}>;
${SEES}
${loader('loadQuery', 'q', 'u.heads', l, true)}
${loader('loadKey', 'k', 'u.kvHeads', l, true)}
${loader('loadValue', 'v', 'u.kvHeads', l, false)}
${loader('loadDout', 'dout', 'u.heads', l, false)}
${unrotated('writeKey', 'dk', 'u.kvHeads', l, 'keys')}
${unrotated('writeValue', 'dv', 'u.kvHeads', { ...l, half: 0 }, 'values')}`,
    body: `
  ${place('kvHead', block)}
  let perGroup = u.heads / u.kvHeads;
  ${fill('keys', 'loadKey', l, 't0', 'kvHead')}
  ${fill('values', 'loadValue', l, 't0', 'kvHead')}
  ${accumulators('gk', l)}
  ${accumulators('gv', l)}
  let lastSeen = select(u.time - 1u, min(u.time - 1u, t0 + ${block - 1}u + u.window - 1u), u.window > 0u);
  for (var head = kvHead * perGroup; head < (kvHead + 1u) * perGroup; head++) {
    for (var qb = t0 / ${block}u; qb <= lastSeen / ${block}u; qb++) {
      let q0 = qb * ${block}u;
      workgroupBarrier();
      ${fill('stream', 'loadQuery', l, 'q0', 'head')}
      if (thread < ${block}u) {
        let at = (b * u.heads + head) * u.time + min(q0 + thread, u.time - 1u);
        rowLse[thread] = lse[at];
        rowDelta[thread] = delta[at];
      }
      workgroupBarrier();
      ${scores('s', 'keys', 'stream', l)}
      workgroupBarrier();
      ${fill('stream', 'loadDout', l, 'q0', 'head')}
      workgroupBarrier();
      ${scores('dp', 'values', 'stream', l)}
      ${gradientsOfScores(l, false, 'q0', 't0')}
      ${keep(l, 'p')}
      workgroupBarrier();
      ${gather('gv', l, (row, other) => weightAt('weights', l, row, other), 'stream')}
      workgroupBarrier();
      ${fill('stream', 'loadQuery', l, 'q0', 'head')}
      ${keep(l, 'ds')}
      workgroupBarrier();
      ${gather('gk', l, (row, other) => weightAt('weights', l, row, other), 'stream')}
    }
  }
  workgroupBarrier();
  ${spill('gk', l, 'keys')}
  ${spill('gv', l, 'values')}
  workgroupBarrier();
  writeKey(b, t0, kvHead, thread);
  writeValue(b, t0, kvHead, thread);`,
  };
});

// ───────────────────────────── the ops ─────────────────────────────

/** Bytes of workgroup memory for `tileCount` tiles and the weights. */
const workgroupBytes = (headDim: number, block: number, tileCount: number) =>
  tileCount * block * (headDim + 4) * 4 + block * (block + 1) * 4 + block * 3 * 4;

/** The largest block of 32, 16 or 8 rows whose tiles fit the device's workgroup memory, or 0. */
function blockFor(headDim: number, tileCount: number): number {
  const room = webgpuBackend().device.limits.maxComputeWorkgroupStorageSize;
  return [32, 16, 8].find((block) => workgroupBytes(headDim, block, tileCount) <= room) ?? 0;
}

/** Null when the fused attention can take this shape, else why not. */
export function attentionRefusal({ headDim }: Pick<AttentionShape, 'headDim'>): string | null {
  if (headDim % 4 !== 0) return `a head of ${headDim} dimensions is no multiple of 4`;
  if (headDim > 256) return `a head of ${headDim} dimensions is wider than 256`;
  if (storageBufferLimit() < 10)
    return `this GPU binds only ${storageBufferLimit()} storage buffers at a time`;
  if (blockFor(headDim, 3) === 0)
    return `a head of ${headDim} dimensions does not fit this GPU's workgroup memory`;
  return null;
}

function numbersOf(shape: AttentionShape, block: number) {
  const { time, heads, kvHeads, window, scale } = shape;
  return { time, heads, kvHeads, window: window ?? 0, scale, blocks: Math.ceil(time / block) };
}

const tables = (rope: Rope | null) => (rope ? { cosine: rope.cos, sine: rope.sin } : {});

/**
 * `attentionForward` in one dispatch; the mask is not read, since it follows from `shape`. saved: q, k, v and out (sharing their
 * buffers with the originals), and lse [batch·heads, time]. Shapes that `attentionRefusal` names run the reference.
 */
export function attentionForwardFused(
  q: tf.Tensor2D,
  k: tf.Tensor2D,
  v: tf.Tensor2D,
  shape: AttentionShape,
  rope: Rope | null,
  mask: tf.Tensor3D,
): AttentionForward {
  if (attentionRefusal(shape)) return attentionForward(q, k, v, shape, rope, mask);
  const { batch, time, heads, headDim } = shape;
  const block = blockFor(headDim, 2);
  const out = empty<tf.Tensor2D>(q.shape);
  const lse = empty<tf.Tensor2D>([batch * heads, time]);
  const program = forward({ headDim, half: rope ? rope.cos.shape[1] : 0, block }) as Kernel;
  const numbers = numbersOf(shape, block);
  dispatch(program, { q, k, v, ...tables(rope), out, lse }, numbers, numbers.blocks * heads * batch);
  return { out, saved: [tf.clone(q), tf.clone(k), tf.clone(v), tf.clone(out), lse] };
}

/** `attentionBackward` in two dispatches, from what the fused forward saved. */
export function attentionBackwardFused(
  dout: tf.Tensor2D,
  saved: tf.Tensor[],
  shape: AttentionShape,
  rope: Rope | null,
): { dq: tf.Tensor2D; dk: tf.Tensor2D; dv: tf.Tensor2D } {
  if (attentionRefusal(shape)) return attentionBackward(dout, saved, shape, rope);
  const [q, k, v, out, lse] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  const { batch, heads, kvHeads, headDim } = shape;
  const block = blockFor(headDim, 3);
  const half = rope ? rope.cos.shape[1] : 0;
  const numbers = numbersOf(shape, block);
  const dq = empty<tf.Tensor2D>(q.shape);
  const dk = empty<tf.Tensor2D>(k.shape);
  const dv = empty<tf.Tensor2D>(v.shape);
  const delta = empty(lse.shape);
  dispatch(
    backwardQueries({ headDim, half, block }) as Kernel,
    { q, k, v, out, dout, lse, ...tables(rope), dq, delta },
    numbers,
    numbers.blocks * heads * batch,
  );
  dispatch(
    backwardKeys({ headDim, half, block }) as Kernel,
    { q, k, v, dout, lse, delta, ...tables(rope), dk, dv },
    numbers,
    numbers.blocks * kvHeads * batch,
  );
  delta.dispose();
  return { dq, dk, dv };
}
