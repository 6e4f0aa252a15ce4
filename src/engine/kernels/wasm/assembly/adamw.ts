// One AdamW update of one tensor, in place, in AssemblyScript.
// Not here: which tensors decay, the corrections (kernels/adamw/adamw.wasm.ts).

import { F } from "./vector";

/**
 * g ← scale·g; m ← beta1·m + (1 − beta1)·g; v ← beta2·v + (1 − beta2)·g²; p ← keep·p − rate·m / (√v / root + epsilon).
 * `rest1` and `rest2` are 1 − beta, rounded once from double precision.
 */
export function adamwUpdate(
  p: usize,
  g: usize,
  m: usize,
  v: usize,
  count: i32,
  scale: f32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  root: f32,
  epsilon: f32,
  rate: f32,
  keep: f32,
): void {
  const s = f32x4.splat(scale);
  const b1 = f32x4.splat(beta1);
  const r1 = f32x4.splat(rest1);
  const b2 = f32x4.splat(beta2);
  const r2 = f32x4.splat(rest2);
  const roots = f32x4.splat(root);
  const e = f32x4.splat(epsilon);
  const rates = f32x4.splat(rate);
  const kept = f32x4.splat(keep);
  for (; count >= 4; count -= 4) {
    const slope = f32x4.mul(v128.load(g), s);
    const first = f32x4.add(f32x4.mul(v128.load(m), b1), f32x4.mul(slope, r1));
    const second = f32x4.add(f32x4.mul(v128.load(v), b2), f32x4.mul(f32x4.mul(slope, slope), r2));
    const size = f32x4.add(f32x4.div(f32x4.sqrt(second), roots), e);
    const move = f32x4.mul(f32x4.div(first, size), rates);
    v128.store(m, first);
    v128.store(v, second);
    v128.store(p, f32x4.sub(f32x4.mul(v128.load(p), kept), move));
    p += 16;
    g += 16;
    m += 16;
    v += 16;
  }
  for (; count > 0; --count) {
    const slope = load<f32>(g) * scale;
    const first = load<f32>(m) * beta1 + slope * rest1;
    const second = load<f32>(v) * beta2 + slope * slope * rest2;
    store<f32>(m, first);
    store<f32>(v, second);
    store<f32>(p, load<f32>(p) * keep - (first / (sqrt<f32>(second) / root + epsilon)) * rate);
    p += F;
    g += F;
    m += F;
    v += F;
  }
}
