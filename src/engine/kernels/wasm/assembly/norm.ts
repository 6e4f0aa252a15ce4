// RMSNorm and LayerNorm over rows, forward and backward, in AssemblyScript.
// Not here: tensors (kernels/norm/norm.wasm.ts).

import { F, sumOf, zeros } from "./vector";

/**
 * x [rows, size] to y = (x − mean)·rstd·gain + bias. `means` is 0 for RMSNorm (no mean) and bias may be 0 (none); gain is weight, or
 * 1 + weight when `addOne`. Leaves rstd and, for LayerNorm, the mean of each row.
 */
export function normForward(
  x: usize,
  weight: usize,
  bias: usize,
  y: usize,
  rstds: usize,
  means: usize,
  rows: i32,
  size: i32,
  epsilon: f32,
  addOne: bool,
): void {
  const one: f32 = addOne ? 1 : 0;
  for (; rows > 0; --rows) {
    let mean: f32 = 0;
    if (means) {
      mean = sum(x, size) / <f32>size;
      store<f32>(means, mean);
      means += F;
    }
    const rstd: f32 = 1 / sqrt<f32>(squares(x, size, mean) / <f32>size + epsilon);
    store<f32>(rstds, rstd);
    rstds += F;
    let at: usize = 0;
    let left = size;
    const ones = f32x4.splat(one);
    const centre = f32x4.splat(mean);
    const factor = f32x4.splat(rstd);
    for (; left >= 4; left -= 4) {
      const gain = f32x4.add(v128.load(weight + at), ones);
      let v = f32x4.mul(f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor), gain);
      if (bias) v = f32x4.add(v, v128.load(bias + at));
      v128.store(y + at, v);
      at += 16;
    }
    for (; left > 0; --left) {
      let v = (load<f32>(x + at) - mean) * rstd * (load<f32>(weight + at) + one);
      if (bias) v += load<f32>(bias + at);
      store<f32>(y + at, v);
      at += F;
    }
    x += <usize>size * F;
    y += <usize>size * F;
  }
}

/**
 * With x̂ the normalised row and g = dy·gain: dx = rstd·(g − [mean g] − x̂·mean(g·x̂)); dweight += dy·x̂; dbias += dy. Each of the three
 * may be 0, not wanted. dweight and dbias must hold numbers (zeros) already.
 */
export function normBackward(
  dy: usize,
  x: usize,
  weight: usize,
  rstds: usize,
  means: usize,
  dx: usize,
  dweight: usize,
  dbias: usize,
  rows: i32,
  size: i32,
  addOne: bool,
): void {
  const one: f32 = addOne ? 1 : 0;
  const ones = f32x4.splat(one);
  const step = <usize>size * F;
  const whole = size & ~3;
  for (let r = 0; r < rows; ++r) {
    const rstd = load<f32>(rstds + <usize>r * F);
    const mean: f32 = means ? load<f32>(means + <usize>r * F) : 0;
    const factor = f32x4.splat(rstd);
    const centre = f32x4.splat(mean);
    let sumsG = zeros();
    let sumsGx = zeros();
    let at: usize = 0;
    let left = whole;
    for (; left > 0; left -= 4) {
      const d = v128.load(dy + at);
      const n = f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor);
      const g = f32x4.mul(d, f32x4.add(v128.load(weight + at), ones));
      sumsG = f32x4.add(sumsG, g);
      sumsGx = f32x4.add(sumsGx, f32x4.mul(g, n));
      if (dweight) v128.store(dweight + at, f32x4.add(v128.load(dweight + at), f32x4.mul(d, n)));
      if (dbias) v128.store(dbias + at, f32x4.add(v128.load(dbias + at), d));
      at += 16;
    }
    let sumG = sumOf(sumsG);
    let sumGx = sumOf(sumsGx);
    for (left = size - whole; left > 0; --left) {
      const d = load<f32>(dy + at);
      const n = (load<f32>(x + at) - mean) * rstd;
      const g = d * (load<f32>(weight + at) + one);
      sumG += g;
      sumGx += g * n;
      if (dweight) store<f32>(dweight + at, load<f32>(dweight + at) + d * n);
      if (dbias) store<f32>(dbias + at, load<f32>(dbias + at) + d);
      at += F;
    }
    if (dx) {
      const meanG: f32 = means ? sumG / <f32>size : 0;
      const meanGx: f32 = sumGx / <f32>size;
      const shift = f32x4.splat(meanG);
      const along = f32x4.splat(meanGx);
      at = 0;
      for (left = whole; left > 0; left -= 4) {
        const n = f32x4.mul(f32x4.sub(v128.load(x + at), centre), factor);
        const g = f32x4.mul(v128.load(dy + at), f32x4.add(v128.load(weight + at), ones));
        const v = f32x4.sub(f32x4.sub(g, shift), f32x4.mul(n, along));
        v128.store(dx + at, f32x4.mul(v, factor));
        at += 16;
      }
      for (left = size - whole; left > 0; --left) {
        const n = (load<f32>(x + at) - mean) * rstd;
        const g = load<f32>(dy + at) * (load<f32>(weight + at) + one);
        store<f32>(dx + at, (g - meanG - n * meanGx) * rstd);
        at += F;
      }
      dx += step;
    }
    dy += step;
    x += step;
  }
}

function sum(x: usize, count: i32): f32 {
  let sums = zeros();
  for (; count >= 4; count -= 4) {
    sums = f32x4.add(sums, v128.load(x));
    x += 16;
  }
  let total = sumOf(sums);
  for (; count > 0; --count) {
    total += load<f32>(x);
    x += F;
  }
  return total;
}

/** Σ (x − centre)² */
function squares(x: usize, count: i32, centre: f32): f32 {
  const centres = f32x4.splat(centre);
  let sums = zeros();
  for (; count >= 4; count -= 4) {
    const v = f32x4.sub(v128.load(x), centres);
    sums = f32x4.add(sums, f32x4.mul(v, v));
    x += 16;
  }
  let total = sumOf(sums);
  for (; count > 0; --count) {
    const v = load<f32>(x) - centre;
    total += v * v;
    x += F;
  }
  return total;
}
