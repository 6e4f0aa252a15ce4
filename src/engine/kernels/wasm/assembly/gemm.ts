// Matrix products in AssemblyScript: any mix of transposes, blocked for the caches.
// Not here: the innermost loop (tile.ts), which product a layer needs (kernels/matmul/matmul.wasm.ts).

import { packEights, packFours, tile } from "./tile";
import { F, madd, sumOf, zeros } from "./vector";

/** Depth of a block: a 256 × 8 panel of b is 8 KiB and stays in the first-level cache. */
// @ts-ignore: decorator
@inline
const DEPTH: i32 = 256;
// @ts-ignore: decorator
@inline
const HEIGHT: i32 = 128;
// @ts-ignore: decorator
@inline
const WIDTH: i32 = 512;

/** Bytes of scratch that `gemm` needs. */
export function gemmScratch(): i32 {
  return 4 * (DEPTH * WIDTH + HEIGHT * DEPTH + 32);
}

/** Copies the leading [rows ≤ 4, columns ≤ 8] of a tile to c, or adds it. */
function keepCorner(c: usize, stepC: usize, from: usize, rows: i32, columns: i32, add: bool): void {
  for (; rows > 0; --rows) {
    for (let j = 0; j < columns; ++j) {
      const at = c + <usize>j * F;
      const x = load<f32>(from + <usize>j * F);
      store<f32>(at, add ? load<f32>(at) + x : x);
    }
    c += stepC;
    from += 32;
  }
}

/**
 * c[m, n] = a·b, or c += a·b. a is [m, k] with element (i, l) at a + i·rowA + l·columnA, b is [k, n] alike: transposing is swapping the two
 * steps, one of which must be 1. Rows of c lie `rowC` apart. Steps are in floats. With m > 2 every element is added up in the same order
 * whatever part of c is asked for, so a product may be cut into parts (of more than 2 rows) without changing a bit.
 */
export function gemm(
  m: i32,
  n: i32,
  k: i32,
  a: usize,
  rowA: i32,
  columnA: i32,
  b: usize,
  rowB: i32,
  columnB: i32,
  c: usize,
  rowC: i32,
  add: bool,
  scratch: usize,
): void {
  const ra = <usize>rowA * F;
  const ca = <usize>columnA * F;
  const rb = <usize>rowB * F;
  const cb = <usize>columnB * F;
  const stepC = <usize>rowC * F;
  if (m <= 2) {
    for (let i = 0; i < m; ++i) {
      if (rowB == 1 && columnA == 1) dots(n, k, a + <usize>i * ra, b, cb, c + <usize>i * stepC, add);
      else row(n, k, a + <usize>i * ra, ca, b, rb, cb, c + <usize>i * stepC, add);
    }
    return;
  }
  const packedB = scratch;
  const packedA = packedB + <usize>(DEPTH * WIDTH) * F;
  const corner = packedA + <usize>(HEIGHT * DEPTH) * F;
  for (let j0 = 0; j0 < n; j0 += WIDTH) {
    const width = min(WIDTH, n - j0);
    for (let k0 = 0; k0 < k; k0 += DEPTH) {
      const depth = min(DEPTH, k - k0);
      const adding = add || k0 > 0;
      packEights(packedB, b + <usize>k0 * rb + <usize>j0 * cb, cb, rb, width, depth);
      for (let i0 = 0; i0 < m; i0 += HEIGHT) {
        const height = min(HEIGHT, m - i0);
        packFours(packedA, a + <usize>i0 * ra + <usize>k0 * ca, ra, ca, height, depth);
        for (let j = 0; j < width; j += 8) {
          const panelB = packedB + <usize>(j * depth) * F;
          for (let i = 0; i < height; i += 4) {
            const panelA = packedA + <usize>(i * depth) * F;
            const at = c + <usize>(i0 + i) * stepC + <usize>(j0 + j) * F;
            const whole = i + 4 <= height && j + 8 <= width;
            tile(panelA, 16, panelB, 32, depth, whole ? at : corner, whole ? stepC : 32, whole && adding);
            if (!whole) keepCorner(at, stepC, corner, min(4, height - i), min(8, width - j), adding);
          }
        }
      }
    }
  }
}

/** One row of c where b is stored as [n, k]: dot products, b read once and never packed. */
function dots(n: i32, k: i32, a: usize, b: usize, stepB: usize, c: usize, add: bool): void {
  for (let j = 0; j < n; ++j) {
    let s0 = zeros();
    let s1 = zeros();
    let p = a;
    let q = b;
    let left = k;
    for (; left >= 8; left -= 8) {
      s0 = madd(v128.load(p), v128.load(q), s0);
      s1 = madd(v128.load(p, 16), v128.load(q, 16), s1);
      p += 32;
      q += 32;
    }
    let sum = sumOf(f32x4.add(s0, s1));
    for (; left > 0; --left) {
      sum += load<f32>(p) * load<f32>(q);
      p += F;
      q += F;
    }
    store<f32>(c, add ? load<f32>(c) + sum : sum);
    b += stepB;
    c += F;
  }
}

/** One row of c for any steps; where b is stored as [k, n] its rows are added up, read once from front to back. */
function row(n: i32, k: i32, a: usize, stepA: usize, b: usize, rb: usize, cb: usize, c: usize, add: bool): void {
  if (!add) memory.fill(c, 0, <usize>n * F);
  if (cb == F) {
    for (; k > 0; --k) {
      const s = v128.load_splat<f32>(a);
      let q = b;
      let at = c;
      let left = n;
      for (; left >= 4; left -= 4) {
        v128.store(at, madd(s, v128.load(q), v128.load(at)));
        at += 16;
        q += 16;
      }
      for (; left > 0; --left) {
        store<f32>(at, load<f32>(at) + load<f32>(a) * load<f32>(q));
        at += F;
        q += F;
      }
      a += stepA;
      b += rb;
    }
    return;
  }
  for (; n > 0; --n) {
    let sum: f32 = load<f32>(c);
    let p = a;
    let q = b;
    for (let l = k; l > 0; --l) {
      sum += load<f32>(p) * load<f32>(q);
      p += stepA;
      q += rb;
    }
    store<f32>(c, sum);
    b += cb;
    c += F;
  }
}
