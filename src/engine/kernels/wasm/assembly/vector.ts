// Four floats at a time, in AssemblyScript: exponential, sums of lanes, the ends of rows. Inlined where they are used.
// Not here: loops over whole arrays (rows.ts).

/** JavaScript's Math.log: AssemblyScript's own would put its tables into the memory that belongs to tfjs. */
// @ts-ignore: decorator
@external("env", "log")
export declare function log(x: f64): f64;

// @ts-ignore: decorator
@inline
export const F: usize = 4; // bytes of a float

// @ts-ignore: decorator
@inline
export function zeros(): v128 {
  return f32x4.splat(0);
}

/**
 * a·b + c. In the relaxed build one instruction, which every machine with fused multiply-add rounds once; other machines, and the plain
 * build, round twice. So the two builds, and different machines, may differ in the last bit; one build on one machine never does.
 */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<f32>(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c − a·b, rounded as `madd`. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_nmadd<f32>(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** The first `count` (1 to 3) floats at `p`, zeros behind them. Reads nothing beyond. */
// @ts-ignore: decorator
@inline
export function loadSome(p: usize, count: i32): v128 {
  let x = f32x4.replace_lane(zeros(), 0, load<f32>(p));
  if (count > 1) x = f32x4.replace_lane(x, 1, load<f32>(p, 4));
  if (count > 2) x = f32x4.replace_lane(x, 2, load<f32>(p, 8));
  return x;
}

/** Writes the first `count` (1 to 3) lanes. */
// @ts-ignore: decorator
@inline
export function storeSome(p: usize, x: v128, count: i32): void {
  store<f32>(p, f32x4.extract_lane(x, 0));
  if (count > 1) store<f32>(p, f32x4.extract_lane(x, 1), 4);
  if (count > 2) store<f32>(p, f32x4.extract_lane(x, 2), 8);
}

// @ts-ignore: decorator
@inline
export function sumOf(x: v128): f32 {
  return (
    f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
  );
}

/** Largest lane. A lane that is no number is passed over unless it stands first; who sums exponentials meets it there. */
// @ts-ignore: decorator
@inline
export function largestOf(x: v128): f32 {
  let top = f32x4.extract_lane(x, 0);
  let other = f32x4.extract_lane(x, 1);
  if (other > top) top = other;
  other = f32x4.extract_lane(x, 2);
  if (other > top) top = other;
  other = f32x4.extract_lane(x, 3);
  if (other > top) top = other;
  return top;
}

/**
 * e^x to about 2 units in the last place: x = n·ln 2 + r, a polynomial in r (the minimax one of Moshier's Cephes), then n into the
 * exponent bits. Below −87.3 it is 0, above 88.3 it stays at 2.4e38, and NaN stays NaN.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const gone = f32x4.lt(x, f32x4.splat(-87.33654));
  // pmin and pmax keep their first operand when it is NaN.
  const y = f32x4.pmax(f32x4.pmin(x, f32x4.splat(88.37626)), f32x4.splat(-87.33654));
  const n = f32x4.nearest(f32x4.mul(y, f32x4.splat(1.44269504088896341)));
  let r = nmadd(n, f32x4.splat(0.693359375), y);
  r = nmadd(n, f32x4.splat(-2.12194440e-4), r);
  let p = f32x4.splat(1.9875691500e-4);
  p = madd(p, r, f32x4.splat(1.3981999507e-3));
  p = madd(p, r, f32x4.splat(8.3334519073e-3));
  p = madd(p, r, f32x4.splat(4.1665795894e-2));
  p = madd(p, r, f32x4.splat(1.6666665459e-1));
  p = madd(p, r, f32x4.splat(5.0000001201e-1));
  p = f32x4.add(madd(f32x4.mul(p, r), r, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(p, power), gone);
}

/** 1 / (1 + e^−x) */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}
