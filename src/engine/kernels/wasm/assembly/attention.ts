// Causal attention in AssemblyScript, one head at a time: rotary positions, grouped queries, sliding window, scores of a few rows only.
// Not here: shapes and tensors (kernels/attention/attention.wasm.ts).

import { packEights, packFour, packFours, tile } from "./tile";
import { exp4, F, largestOf, log, sumOf, zeros } from "./vector";

/** Queries whose scores the backward pass holds at once. */
// @ts-ignore: decorator
@inline
const BLOCK: i32 = 64;

// @ts-ignore: decorator
@inline
function eights(n: i32): i32 {
  return (n + 7) & ~7;
}

/** Length of a row of scores. The eight floats more keep rows of 1024 from falling on the same cache lines. */
// @ts-ignore: decorator
@inline
function scoreStep(keys: i32): i32 {
  return eights(keys) + 8;
}

/** Bytes of scratch for one forward pass over `keys` positions. */
export function attentionForwardScratch(keys: i32, headDim: i32): i32 {
  const wide = eights(headDim);
  return 4 * (3 * eights(keys) * wide + 4 * wide + 4 * wide + 4 * scoreStep(keys) + 4 * eights(keys) + 4 * wide + 8);
}

/** Bytes of scratch for one backward pass. */
export function attentionBackwardScratch(time: i32, headDim: i32): i32 {
  const wide = eights(headDim);
  return 4 * (5 * eights(time) * wide + 4 * BLOCK * wide + 2 * BLOCK * scoreStep(time) + 4 * eights(time) + 4 * wide);
}

/**
 * Rows of one head, copied to rows of `wide` floats with zeros behind: turned by the rotary tables [rows, half] when there are any
 * (half > 0), forwards or, with `back`, backwards. Then rows of zeros up to `filled`.
 */
function loadHead(
  to: usize,
  wide: i32,
  filled: i32,
  from: usize,
  step: usize,
  rows: i32,
  headDim: i32,
  cos: usize,
  sin: usize,
  half: i32,
): void {
  const stepTo = <usize>wide * F;
  memory.fill(to, 0, <usize>filled * stepTo);
  for (let r = 0; r < rows; ++r) {
    turn(to, from, headDim, cos, sin, half, false);
    to += stepTo;
    from += step;
    cos += <usize>half * F;
    sin += <usize>half * F;
  }
}

/** One row of a head turned by its angles; the dimensions behind 2·half are copied. */
function turn(to: usize, from: usize, headDim: i32, cos: usize, sin: usize, half: i32, back: bool): void {
  const other = <usize>half * F;
  let i = 0;
  for (; i + 4 <= half; i += 4) {
    const at = <usize>i * F;
    const a = v128.load(from + at);
    const b = v128.load(from + other + at);
    const c = v128.load(cos + at);
    let s = v128.load(sin + at);
    if (back) s = f32x4.neg(s);
    v128.store(to + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
    v128.store(to + other + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
  }
  for (; i < half; ++i) {
    const at = <usize>i * F;
    const a = load<f32>(from + at);
    const b = load<f32>(from + other + at);
    const c = load<f32>(cos + at);
    let s = load<f32>(sin + at);
    if (back) s = -s;
    store<f32>(to + at, a * c - b * s);
    store<f32>(to + other + at, b * c + a * s);
  }
  const done = other + other;
  memory.copy(to + done, from + done, <usize>(headDim - 2 * half) * F);
}

/**
 * Keys or values seen so far and `time` new ones behind them: to [kvHeads, past + time, headDim] from `cached` [kvHeads, past, headDim]
 * and x [time, kvHeads·headDim], which the tables [time, half] turn.
 */
export function appendToCache(
  to: usize,
  cached: usize,
  x: usize,
  past: i32,
  time: i32,
  kvHeads: i32,
  headDim: i32,
  cos: usize,
  sin: usize,
  half: i32,
): void {
  const row = <usize>headDim * F;
  const old = <usize>past * row;
  for (let h = 0; h < kvHeads; ++h) {
    memory.copy(to, cached + <usize>h * old, old);
    to += old;
    for (let t = 0; t < time; ++t) {
      const angles = <usize>(t * half) * F;
      turn(to, x + <usize>(t * kvHeads + h) * row, headDim, cos + angles, sin + angles, half, false);
      to += row;
    }
  }
}

/** The first key that the query at `own` sees. */
// @ts-ignore: decorator
@inline
function firstKey(own: i32, window: i32): i32 {
  return window > 0 ? max(0, own - window + 1) : 0;
}

/** All ones in the lanes whose key (`key` and the three behind it) lies in [first, end). */
// @ts-ignore: decorator
@inline
function visible(key: i32, first: i32, end: i32): v128 {
  const keys = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
  return v128.and(i32x4.ge_s(keys, i32x4.splat(first)), i32x4.lt_s(keys, i32x4.splat(end)));
}

/**
 * q [batch·time, heads·headDim] over keys and values of `past + time` positions; position i of the queries is past + i.
 * Row j of key head h of batch b lies at k + b·keyBatch + h·keyHead + j·keyStep (bytes), values alike. Tables [time, half] turn the queries
 * and, when `turnKeys` (then past is 0), the keys. Writes out like q and, when asked for (not 0), log Σ exp of each row, [batch, heads, time].
 * Works on the key heads [first, end) of batch·kvHeads, with their queries: what one thread does.
 */
export function attentionForward(
  q: usize,
  k: usize,
  v: usize,
  keyBatch: usize,
  keyHead: usize,
  keyStep: usize,
  out: usize,
  logSums: usize,
  time: i32,
  past: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  scale: f32,
  window: i32,
  cos: usize,
  sin: usize,
  half: i32,
  turnKeys: bool,
  first: i32,
  end: i32,
  scratch: usize,
): void {
  const keys = past + time;
  const group = heads / kvHeads;
  const wide = eights(headDim);
  const filled = eights(keys);
  const stepQ = <usize>(heads * headDim) * F;
  const stepS = <usize>scoreStep(keys) * F;
  const stepW = <usize>wide * F;
  const plain = scratch; // keys, then values: [filled, wide]
  const panels = plain + <usize>filled * stepW; // keys: [filled / 8][headDim, 8]
  const values = panels + <usize>filled * stepW; // [filled, wide]
  const few = values + <usize>filled * stepW; // queries [4, wide]
  const turned = few + 4 * stepW; // the same, [headDim, 4]
  const scores = turned + 4 * stepW; // [4, scoreStep]
  const columns = scores + 4 * stepS; // the same, [filled, 4]
  const mixed = columns + <usize>filled * 16; // [4, wide]
  const inverse = mixed + 4 * stepW; // 1 / Σ exp of the four rows
  for (let unit = first; unit < end; ++unit) {
    const b = unit / kvHeads;
    const h = unit % kvHeads;
    const place = <usize>b * keyBatch + <usize>h * keyHead;
    loadHead(plain, wide, filled, k + place, keyStep, keys, headDim, cos, sin, turnKeys ? half : 0);
    packEights(panels, plain, stepW, F, filled, headDim);
    loadHead(values, wide, filled, v + place, keyStep, keys, headDim, 0, 0, 0);
    for (let g = h * group; g < (h + 1) * group; ++g) {
      for (let i = 0; i < time; i += 4) {
        const rows = min(4, time - i);
        const corner = <usize>(b * time + i) * stepQ + <usize>(g * headDim) * F;
        const table = <usize>(i * half) * F;
        loadHead(few, wide, 4, q + corner, stepQ, rows, headDim, cos + table, sin + table, half);
        packFour(turned, 16, few, stepW, F, 4, headDim);
        const low = firstKey(past + i, window) & ~7;
        const high = eights(past + i + rows);
        for (let j = low; j < high; j += 8) {
          tile(turned, 16, panels + <usize>(j * headDim) * F, 32, headDim, scores + <usize>j * F, stepS, false);
        }
        for (let r = 0; r < 4; ++r) {
          const row = scores + <usize>r * stepS;
          if (r < rows) {
            const own = past + i + r;
            const sum = weigh(row, low, high, firstKey(own, window), own + 1, scale, inverse + 16);
            store<f32>(inverse + <usize>r * F, 1 / sum);
            if (logSums) {
              const logSum = <f64>load<f32>(inverse, 16) + log(<f64>sum);
              store<f32>(logSums + <usize>((b * heads + g) * time + i + r) * F, <f32>logSum);
            }
          } else {
            memory.fill(row + <usize>low * F, 0, <usize>(high - low) * F);
            store<f32>(inverse + <usize>r * F, 0);
          }
        }
        packFour(columns, 16, scores + <usize>low * F, stepS, F, 4, high - low);
        for (let d = 0; d < wide; d += 8) {
          const at = <usize>d * F;
          tile(columns, 16, values + <usize>low * stepW + at, stepW, high - low, mixed + at, stepW, false);
        }
        for (let r = 0; r < rows; ++r) {
          const factor = load<f32>(inverse + <usize>r * F);
          copyScaled(out + corner + <usize>r * stepQ, mixed + <usize>r * stepW, headDim, factor);
        }
      }
    }
  }
}

/**
 * Scores [low, high) of one row to exp(score·scale − top), zero outside [first, end). Returns their sum and leaves `top` at `keep`.
 */
function weigh(row: usize, low: i32, high: i32, first: i32, end: i32, scale: f32, keep: usize): f32 {
  const factor = f32x4.splat(scale);
  const none = f32x4.splat(-Infinity);
  let tops = none;
  for (let j = low; j < high; j += 4) {
    const at = row + <usize>j * F;
    const x = v128.bitselect(f32x4.mul(v128.load(at), factor), none, visible(j, first, end));
    v128.store(at, x);
    tops = f32x4.pmax(tops, x);
  }
  const top = largestOf(tops);
  store<f32>(keep, top);
  const shift = f32x4.splat(top);
  let sums = zeros();
  for (let j = low; j < high; j += 4) {
    const at = row + <usize>j * F;
    const e = exp4(f32x4.sub(v128.load(at), shift));
    v128.store(at, e);
    sums = f32x4.add(sums, e);
  }
  return sumOf(sums);
}

function copyScaled(to: usize, from: usize, count: i32, factor: f32): void {
  for (; count > 0; --count) {
    store<f32>(to, load<f32>(from) * factor);
    to += F;
    from += F;
  }
}

/**
 * Gradients of `attentionForward` without a past, from dout [batch·time, heads·headDim] and the row sums it left. The probabilities are
 * computed again, 64 rows at a time. dq like q; k, v, dk, dv [batch·time, kvHeads·headDim]. Key heads [first, end) as above.
 */
export function attentionBackward(
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  logSums: usize,
  dq: usize,
  dk: usize,
  dv: usize,
  time: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  scale: f32,
  window: i32,
  cos: usize,
  sin: usize,
  half: i32,
  first: i32,
  end: i32,
  scratch: usize,
): void {
  const group = heads / kvHeads;
  const wide = eights(headDim);
  const filled = eights(time);
  const stepQ = <usize>(heads * headDim) * F;
  const stepK = <usize>(kvHeads * headDim) * F;
  const stepS = <usize>scoreStep(time) * F;
  const stepW = <usize>wide * F;
  const big = <usize>filled * stepW;
  const keys = scratch; // turned, [filled, wide]
  const keyPanels = keys + big; // [filled / 8][headDim, 8]
  const valuePanels = keyPanels + big; // alike
  const sumK = valuePanels + big; // gradients of the turned keys, [filled, wide]; first the values
  const sumV = sumK + big;
  const queries = sumV + big; // turned, [BLOCK, wide]
  const queryPanels = queries + <usize>BLOCK * stepW; // [BLOCK / 4][headDim, 4]
  const douts = queryPanels + <usize>BLOCK * stepW;
  const doutPanels = douts + <usize>BLOCK * stepW;
  const p = doutPanels + <usize>BLOCK * stepW; // scores, then probabilities [BLOCK, scoreStep]
  const ds = p + <usize>BLOCK * stepS; // gradients of the probabilities, then of the scores
  const columns = ds + <usize>BLOCK * stepS; // four rows of ds, [filled, 4]
  const mixed = columns + <usize>filled * 16; // [4, wide]
  for (let unit = first; unit < end; ++unit) {
    const b = unit / kvHeads;
    const h = unit % kvHeads;
    const place = <usize>(b * time) * stepK + <usize>(h * headDim) * F;
    loadHead(keys, wide, filled, k + place, stepK, time, headDim, cos, sin, half);
    packEights(keyPanels, keys, stepW, F, filled, headDim);
    loadHead(sumK, wide, filled, v + place, stepK, time, headDim, 0, 0, 0);
    packEights(valuePanels, sumK, stepW, F, filled, headDim);
    memory.fill(sumK, 0, 2 * big);
    for (let g = h * group; g < (h + 1) * group; ++g) {
      const sums = logSums + <usize>((b * heads + g) * time) * F;
      for (let i0 = 0; i0 < time; i0 += BLOCK) {
        const count = min(BLOCK, time - i0);
        const fours = (count + 3) & ~3;
        const corner = <usize>(b * time + i0) * stepQ + <usize>(g * headDim) * F;
        const table = <usize>(i0 * half) * F;
        loadHead(queries, wide, fours, q + corner, stepQ, count, headDim, cos + table, sin + table, half);
        packFours(queryPanels, queries, stepW, F, fours, headDim);
        loadHead(douts, wide, fours, dout + corner, stepQ, count, headDim, 0, 0, 0);
        packFours(doutPanels, douts, stepW, F, fours, headDim);
        const low = firstKey(i0, window) & ~7;
        const high = eights(i0 + count);
        for (let i = 0; i < fours; i += 4) {
          const rows = min(4, count - i);
          const from = firstKey(i0 + i, window) & ~7;
          const to = eights(i0 + i + rows);
          const panel = <usize>(i * headDim) * F;
          const four = <usize>i * stepS;
          for (let j = from; j < to; j += 8) {
            const across = <usize>(j * headDim) * F;
            const at = four + <usize>j * F;
            tile(queryPanels + panel, 16, keyPanels + across, 32, headDim, p + at, stepS, false);
            tile(doutPanels + panel, 16, valuePanels + across, 32, headDim, ds + at, stepS, false);
          }
          for (let r = 0; r < 4; ++r) {
            const row = four + <usize>r * stepS;
            const own = i0 + i + r;
            const gone = r < rows ? from : high; // a row behind the last is all zeros
            memory.fill(p + row + <usize>low * F, 0, <usize>(gone - low) * F);
            memory.fill(ds + row + <usize>low * F, 0, <usize>(gone - low) * F);
            if (r >= rows) continue;
            memory.fill(p + row + <usize>to * F, 0, <usize>(high - to) * F);
            memory.fill(ds + row + <usize>to * F, 0, <usize>(high - to) * F);
            const logSum = load<f32>(sums + <usize>own * F);
            slopes(p + row, ds + row, from, to, firstKey(own, window), own + 1, scale, logSum);
          }
          packFour(columns, 16, ds + four + <usize>from * F, stepS, F, 4, to - from);
          for (let d = 0; d < wide; d += 8) {
            const at = <usize>d * F;
            tile(columns, 16, keys + <usize>from * stepW + at, stepW, to - from, mixed + at, stepW, false);
          }
          for (let r = 0; r < rows; ++r) {
            const angles = <usize>((i0 + i + r) * half) * F;
            const target = dq + corner + <usize>(i + r) * stepQ;
            turn(target, mixed + <usize>r * stepW, headDim, cos + angles, sin + angles, half, true);
          }
        }
        for (let j = low; j < high; j += 4) {
          const skipped = max(0, j - i0); // queries before key j do not see it
          if (skipped >= fours) break;
          const rows = fours - skipped;
          const at = <usize>skipped * stepS + <usize>j * F;
          const start = <usize>skipped * stepW;
          for (let d = 0; d < wide; d += 8) {
            const across = <usize>d * F;
            const target = <usize>j * stepW + across;
            tile(p + at, stepS, douts + start + across, stepW, rows, sumV + target, stepW, true);
            tile(ds + at, stepS, queries + start + across, stepW, rows, sumK + target, stepW, true);
          }
        }
      }
    }
    for (let j = 0; j < time; ++j) {
      const angles = <usize>(j * half) * F;
      const from = <usize>j * stepW;
      const to = place + <usize>j * stepK;
      turn(dk + to, sumK + from, headDim, cos + angles, sin + angles, half, true);
      memory.copy(dv + to, sumV + from, <usize>headDim * F);
    }
  }
}

/**
 * One row: p from scores to probabilities exp(score·scale − logSum), ds from dP to p∘(dP − Σ p∘dP)·scale. Keys in [low, high), zero outside
 * [first, end).
 */
function slopes(p: usize, ds: usize, low: i32, high: i32, first: i32, end: i32, scale: f32, logSum: f32): void {
  const factor = f32x4.splat(scale);
  const shift = f32x4.splat(logSum);
  let sums = zeros();
  for (let j = low; j < high; j += 4) {
    const at = <usize>j * F;
    const seen = visible(j, first, end);
    const e = v128.and(exp4(f32x4.sub(f32x4.mul(v128.load(p + at), factor), shift)), seen);
    v128.store(p + at, e);
    sums = f32x4.add(sums, v128.and(f32x4.mul(e, v128.load(ds + at)), seen));
  }
  const mean = f32x4.splat(sumOf(sums));
  for (let j = low; j < high; j += 4) {
    const at = <usize>j * F;
    const rise = f32x4.mul(f32x4.sub(v128.load(ds + at), mean), factor);
    v128.store(ds + at, v128.and(f32x4.mul(rise, v128.load(p + at)), visible(j, first, end)));
  }
}
