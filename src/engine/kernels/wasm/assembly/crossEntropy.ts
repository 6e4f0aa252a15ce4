// Rows of logits to losses, hits and, in place, their gradients, in AssemblyScript.
// Not here: the products before and after, the chunks (kernels/crossEntropy/crossEntropy.wasm.ts).

import { exp4, F, largestOf, loadSome, log, storeSome, sumOf, zeros } from "./vector";

/**
 * logits [rows, vocab]; ids, weights (the factor of each row's gradient), losses and hits [rows].
 * loss = logsumexp(z) − z[id], with smoothing e (1 − e)·that + e·(logsumexp(z) − mean z). When `gradients`, the logits become
 * weight·(softmax(z) − (1 − e)·onehot − e / vocab).
 */
export function crossEntropyRows(
  logits: usize,
  ids: usize,
  weights: usize,
  losses: usize,
  hits: usize,
  rows: i32,
  vocab: i32,
  smoothing: f32,
  gradients: bool,
): void {
  for (let r = 0; r < rows; ++r) {
    const row = logits + <usize>r * <usize>vocab * F;
    const at = <usize>r * F;
    const id = load<i32>(ids + at);
    const chosen = load<f32>(row + <usize>id * F);
    const top = largest(row, vocab);
    store<f32>(hits + at, chosen == top && isFirst(row, id, top) ? 1 : 0);
    const average: f32 = smoothing > 0 ? total(row, vocab) / <f32>vocab : 0;
    const sum = exponentials(row, vocab, top, gradients);
    const logSum = <f32>(log(sum) + <f64>top);
    let loss = logSum - chosen;
    if (smoothing > 0) loss = (1 - smoothing) * loss + smoothing * (logSum - average);
    store<f32>(losses + at, loss);
    if (!gradients) continue;
    const weight = load<f32>(weights + at);
    scaleAndShift(row, vocab, <f32>(<f64>weight / sum), (-weight * smoothing) / <f32>vocab);
    const target = row + <usize>id * F;
    store<f32>(target, load<f32>(target) - weight * (1 - smoothing));
  }
}

function largest(row: usize, count: i32): f32 {
  let tops = f32x4.splat(-Infinity);
  for (; count >= 4; count -= 4) {
    tops = f32x4.pmax(tops, v128.load(row));
    row += 16;
  }
  let top = largestOf(tops);
  for (; count > 0; --count) {
    const x = load<f32>(row);
    if (x > top) top = x;
    row += F;
  }
  return top;
}

/** Whether no entry before `id` equals `top`: of equals the first one counts as the most likely. */
function isFirst(row: usize, id: i32, top: f32): bool {
  const wanted = f32x4.splat(top);
  for (; id >= 4; id -= 4) {
    if (v128.any_true(f32x4.eq(v128.load(row), wanted))) return false;
    row += 16;
  }
  for (; id > 0; --id) {
    if (load<f32>(row) == top) return false;
    row += F;
  }
  return true;
}

function total(row: usize, count: i32): f32 {
  let sums = zeros();
  for (; count >= 4; count -= 4) {
    sums = f32x4.add(sums, v128.load(row));
    row += 16;
  }
  let sum = sumOf(sums);
  for (; count > 0; --count) {
    sum += load<f32>(row);
    row += F;
  }
  return sum;
}

/** Σ exp(x − top), in double precision over blocks of 256; with `keep` the row becomes the exponentials. */
function exponentials(row: usize, count: i32, top: f32, keep: bool): f64 {
  const shift = f32x4.splat(top);
  let total: f64 = 0;
  while (count >= 4) {
    let block = min(count >> 2, 64);
    count -= block << 2;
    let sums = zeros();
    for (; block > 0; --block) {
      const e = exp4(f32x4.sub(v128.load(row), shift));
      if (keep) v128.store(row, e);
      sums = f32x4.add(sums, e);
      row += 16;
    }
    total += <f64>sumOf(sums);
  }
  if (count > 0) {
    const e = exp4(f32x4.sub(loadSome(row, count), shift));
    if (keep) storeSome(row, e, count);
    total += <f64>f32x4.extract_lane(e, 0);
    if (count > 1) total += <f64>f32x4.extract_lane(e, 1);
    if (count > 2) total += <f64>f32x4.extract_lane(e, 2);
  }
  return total;
}

function scaleAndShift(row: usize, count: i32, factor: f32, shift: f32): void {
  const factors = f32x4.splat(factor);
  const shifts = f32x4.splat(shift);
  for (; count >= 4; count -= 4) {
    v128.store(row, f32x4.add(f32x4.mul(v128.load(row), factors), shifts));
    row += 16;
  }
  for (; count > 0; --count) {
    store<f32>(row, load<f32>(row) * factor + shift);
    row += F;
  }
}
