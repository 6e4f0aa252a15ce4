// Sums, gathers and scatters of rows, in AssemblyScript.
// Not here: what the rows mean.

import { F, zeros } from "./vector";

/** Σx² in double precision over blocks of 256. */
export function sumOfSquares(x: usize, count: i32): f64 {
  let total: f64 = 0;
  while (count >= 4) {
    let block = count >> 2;
    if (block > 64) block = 64;
    count -= block << 2;
    let sum = zeros();
    for (; block > 0; --block) {
      const v = v128.load(x);
      sum = f32x4.add(sum, f32x4.mul(v, v));
      x += 16;
    }
    total +=
      <f64>f32x4.extract_lane(sum, 0) +
      <f64>f32x4.extract_lane(sum, 1) +
      (<f64>f32x4.extract_lane(sum, 2) + <f64>f32x4.extract_lane(sum, 3));
  }
  for (; count > 0; --count) {
    const v = <f64>load<f32>(x);
    total += v * v;
    x += F;
  }
  return total;
}

/** y += x */
// @ts-ignore: decorator
@inline
function addTo(y: usize, x: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
    y += 16;
    x += 16;
  }
  for (; count > 0; --count) {
    store<f32>(y, load<f32>(y) + load<f32>(x));
    y += F;
    x += F;
  }
}

/** Adds bias [columns] to every row of y [rows, columns]. */
export function addToRows(y: usize, bias: usize, rows: i32, columns: i32): void {
  for (; rows > 0; --rows) {
    addTo(y, bias, columns);
    y += <usize>columns * F;
  }
}

/** Adds all rows of x [rows, columns] to y [columns]. */
export function addUpRows(y: usize, x: usize, rows: i32, columns: i32): void {
  for (; rows > 0; --rows) {
    addTo(y, x, columns);
    x += <usize>columns * F;
  }
}

/** y[r] = x[ids[r]], rows of `columns`; zeros for ids outside [0, height). */
export function gatherRows(y: usize, x: usize, ids: usize, rows: i32, columns: i32, height: i32): void {
  const bytes = <usize>columns * F;
  for (; rows > 0; --rows) {
    const id = load<i32>(ids);
    if (id >= 0 && id < height) memory.copy(y, x + <usize>id * bytes, bytes);
    else memory.fill(y, 0, bytes);
    y += bytes;
    ids += 4;
  }
}

/** y[ids[r]] += x[r], one after the other: the sum is the same every time. Ids outside [0, height) are left out. */
export function scatterAddRows(y: usize, x: usize, ids: usize, rows: i32, columns: i32, height: i32): void {
  const bytes = <usize>columns * F;
  for (; rows > 0; --rows) {
    const id = load<i32>(ids);
    if (id >= 0 && id < height) addTo(y + <usize>id * bytes, x, columns);
    x += bytes;
    ids += 4;
  }
}

export function fillZero(x: usize, count: i32): void {
  memory.fill(x, 0, <usize>count * F);
}
