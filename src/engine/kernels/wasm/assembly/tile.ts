// The inside of a matrix product in AssemblyScript: a 4 × 8 tile in registers, and panels in the order that it reads.
// Not here: blocking for the caches (gemm.ts).

import { F, loadSome, madd, zeros } from "./vector";

/**
 * c[4, 8] = a·b, or c += a·b. Step k reads four floats at a + k·stepA and eight at b + k·stepB (bytes); `stepC` is the length of a row of c.
 * Eight accumulators, two of b and one of a: what sixteen vector registers hold. More rows or columns spill and halve the speed.
 */
// @ts-ignore: decorator
@inline
export function tile(a: usize, stepA: usize, b: usize, stepB: usize, depth: i32, c: usize, stepC: usize, add: bool): void {
  let c00 = zeros();
  let c01 = zeros();
  let c10 = zeros();
  let c11 = zeros();
  let c20 = zeros();
  let c21 = zeros();
  let c30 = zeros();
  let c31 = zeros();
  for (; depth > 0; --depth) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load_splat<f32>(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load_splat<f32>(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load_splat<f32>(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
    s = v128.load_splat<f32>(a, 12);
    c30 = madd(s, b0, c30);
    c31 = madd(s, b1, c31);
    a += stepA;
    b += stepB;
  }
  const c1 = c + stepC;
  const c2 = c1 + stepC;
  const c3 = c2 + stepC;
  if (add) {
    c00 = f32x4.add(c00, v128.load(c));
    c01 = f32x4.add(c01, v128.load(c, 16));
    c10 = f32x4.add(c10, v128.load(c1));
    c11 = f32x4.add(c11, v128.load(c1, 16));
    c20 = f32x4.add(c20, v128.load(c2));
    c21 = f32x4.add(c21, v128.load(c2, 16));
    c30 = f32x4.add(c30, v128.load(c3));
    c31 = f32x4.add(c31, v128.load(c3, 16));
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c1, c10);
  v128.store(c1, c11, 16);
  v128.store(c2, c20);
  v128.store(c2, c21, 16);
  v128.store(c3, c30);
  v128.store(c3, c31, 16);
}

/**
 * Four lanes side by side: to[k·stepTo + l] = from[l·stepLane + k·stepDepth] for l < lanes ≤ 4, zeros in the other lanes.
 * All steps in bytes. One of stepLane and stepDepth must be 4.
 */
export function packFour(
  to: usize,
  stepTo: usize,
  from: usize,
  stepLane: usize,
  stepDepth: usize,
  lanes: i32,
  depth: i32,
): void {
  if (stepLane == F) {
    if (lanes >= 4) {
      for (; depth > 0; --depth) {
        v128.store(to, v128.load(from));
        to += stepTo;
        from += stepDepth;
      }
    } else {
      for (; depth > 0; --depth) {
        v128.store(to, lanes > 0 ? loadSome(from, lanes) : zeros());
        to += stepTo;
        from += stepDepth;
      }
    }
    return;
  }
  const p0 = from;
  const p1 = from + stepLane;
  const p2 = p1 + stepLane;
  const p3 = p2 + stepLane;
  let k: usize = 0;
  if (lanes >= 4) {
    for (; depth >= 4; depth -= 4) {
      const r0 = v128.load(p0 + k);
      const r1 = v128.load(p1 + k);
      const r2 = v128.load(p2 + k);
      const r3 = v128.load(p3 + k);
      const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
      const t1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const t2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
      const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
      v128.store(to + stepTo, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
      v128.store(to + 2 * stepTo, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
      v128.store(to + 3 * stepTo, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
      to += 4 * stepTo;
      k += 16;
    }
  }
  for (; depth > 0; --depth) {
    let x = zeros();
    if (lanes > 0) x = f32x4.replace_lane(x, 0, load<f32>(p0 + k));
    if (lanes > 1) x = f32x4.replace_lane(x, 1, load<f32>(p1 + k));
    if (lanes > 2) x = f32x4.replace_lane(x, 2, load<f32>(p2 + k));
    if (lanes > 3) x = f32x4.replace_lane(x, 3, load<f32>(p3 + k));
    v128.store(to, x);
    to += stepTo;
    k += F;
  }
}

/** Panels of eight lanes, each [depth, 8]; the last is filled up with zeros. */
export function packEights(to: usize, from: usize, stepLane: usize, stepDepth: usize, lanes: i32, depth: i32): void {
  for (; lanes > 0; lanes -= 8) {
    packFour(to, 32, from, stepLane, stepDepth, lanes, depth);
    packFour(to + 16, 32, from + 4 * stepLane, stepLane, stepDepth, lanes - 4, depth);
    to += 32 * <usize>depth;
    from += 8 * stepLane;
  }
}

/** Panels of four lanes, each [depth, 4]; the last is filled up with zeros. */
export function packFours(to: usize, from: usize, stepLane: usize, stepDepth: usize, lanes: i32, depth: i32): void {
  for (; lanes > 0; lanes -= 4) {
    packFour(to, 16, from, stepLane, stepDepth, lanes, depth);
    to += 16 * <usize>depth;
    from += 4 * stepLane;
  }
}
