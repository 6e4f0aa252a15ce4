// act(gate)·up and its gradients in AssemblyScript, elementwise.
// Not here: tensors (kernels/activation/activation.wasm.ts).

import { exp4, loadSome, madd, sigmoid4, storeSome, zeros } from "./vector";

/** As kernels/activation/activation.wasm.ts numbers them. */
// @ts-ignore: decorator
@inline
const SILU: i32 = 0;
// @ts-ignore: decorator
@inline
const GELU: i32 = 1;
// @ts-ignore: decorator
@inline
const GELU_TANH: i32 = 2;

// @ts-ignore: decorator
@inline
const SQRT_2_OVER_PI: f32 = 0.7978845608028654;
// @ts-ignore: decorator
@inline
const CUBIC: f32 = 0.044715;

/** Φ(x), the normal distribution: erfc after Abramowitz & Stegun 7.1.26, whose absolute error is 1.5e-7. */
// @ts-ignore: decorator
@inline
function normal4(x: v128): v128 {
  const one = f32x4.splat(1);
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.7071067811865476));
  const t = f32x4.div(one, madd(z, f32x4.splat(0.3275911), one));
  let p = f32x4.splat(1.061405429);
  p = madd(p, t, f32x4.splat(-1.453152027));
  p = madd(p, t, f32x4.splat(1.421413741));
  p = madd(p, t, f32x4.splat(-0.284496736));
  p = madd(p, t, f32x4.splat(0.254829592));
  const tail = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(z, z))));
  const half = f32x4.mul(tail, f32x4.splat(0.5));
  return v128.bitselect(half, f32x4.sub(one, half), f32x4.lt(x, zeros()));
}

/** (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2, which is σ of twice that. */
// @ts-ignore: decorator
@inline
function tanhGate4(x: v128): v128 {
  const inner = madd(f32x4.mul(x, x), f32x4.splat(CUBIC), f32x4.splat(1));
  return sigmoid4(f32x4.mul(f32x4.mul(x, inner), f32x4.splat(2 * SQRT_2_OVER_PI)));
}

/** The factor s(x) of act(x) = x·s(x); for ReLU the step, which is no use to NaN. */
// @ts-ignore: decorator
@inline
function gate4(kind: i32, x: v128): v128 {
  if (kind == SILU) return sigmoid4(x);
  if (kind == GELU) return normal4(x);
  return tanhGate4(x);
}

// @ts-ignore: decorator
@inline
function act4(kind: i32, x: v128): v128 {
  if (kind > GELU_TANH) return f32x4.max(x, zeros());
  return f32x4.mul(x, gate4(kind, x));
}

/** The derivative at x, given `gate4` there. */
// @ts-ignore: decorator
@inline
function slope4(kind: i32, x: v128, s: v128): v128 {
  const one = f32x4.splat(1);
  if (kind == SILU) return f32x4.mul(s, madd(x, f32x4.sub(one, s), one));
  if (kind == GELU) {
    const density = f32x4.mul(exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5))), f32x4.splat(0.3989422804014327));
    return madd(x, density, s);
  }
  const inner = madd(f32x4.mul(x, x), f32x4.splat(3 * CUBIC), one);
  const rise = f32x4.mul(f32x4.mul(s, f32x4.sub(one, s)), f32x4.mul(inner, f32x4.splat(2 * SQRT_2_OVER_PI)));
  return madd(x, rise, s);
}

/** y = act(gate), times `up` when that is not 0. */
export function activationForward(kind: i32, gate: usize, up: usize, y: usize, count: i32): void {
  for (; count > 0; count -= 4) {
    const whole = count >= 4;
    let a = act4(kind, whole ? v128.load(gate) : loadSome(gate, count));
    if (up) {
      a = f32x4.mul(a, whole ? v128.load(up) : loadSome(up, count));
      up += 16;
    }
    if (whole) v128.store(y, a);
    else storeSome(y, a, count);
    gate += 16;
    y += 16;
  }
}

/** dgate = dy·up·act′(gate) and dup = dy·act(gate); without `up` (0) only dgate = dy·act′(gate). */
export function activationBackward(
  kind: i32,
  dy: usize,
  gate: usize,
  up: usize,
  dgate: usize,
  dup: usize,
  count: i32,
): void {
  for (; count > 0; count -= 4) {
    const whole = count >= 4;
    const x = whole ? v128.load(gate) : loadSome(gate, count);
    let d = whole ? v128.load(dy) : loadSome(dy, count);
    let a: v128;
    let slope: v128;
    if (kind > GELU_TANH) {
      a = f32x4.max(x, zeros());
      slope = v128.and(f32x4.splat(1), f32x4.gt(x, zeros()));
    } else {
      const s = gate4(kind, x);
      a = f32x4.mul(x, s);
      slope = slope4(kind, x, s);
    }
    if (up) {
      a = f32x4.mul(d, a);
      if (whole) v128.store(dup, a);
      else storeSome(dup, a, count);
      d = f32x4.mul(d, whole ? v128.load(up) : loadSome(up, count));
      up += 16;
      dup += 16;
    }
    slope = f32x4.mul(d, slope);
    if (whole) v128.store(dgate, slope);
    else storeSome(dgate, slope, count);
    dy += 16;
    gate += 16;
    dgate += 16;
  }
}
