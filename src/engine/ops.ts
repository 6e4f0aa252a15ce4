// The kernels as operations on tape values: each runs its forward and, when there is a tape, records its backward.
// Not here: arithmetic (kernels/), the order in which a model uses them (model.ts).

import * as tf from '@tensorflow/tfjs-core';
import * as kernels from './kernels';
import { constant, type Tape, type Value } from './tape';

type Vector = Value<tf.Tensor1D>;

/** x·Wᵀ + bias. x [N, in] → [N, out]. */
export function linear(
  tape: Tape | null,
  x: Value,
  weight: Value,
  bias: Vector | null,
  layout: kernels.WeightLayout,
): Value {
  const y = kernels.linearForward(x.tensor, weight.tensor, bias?.tensor ?? null, layout);
  if (!tape) return constant(y);
  const needs = {
    dx: x.needsGradient,
    dweight: weight.needsGradient,
    dbias: bias?.needsGradient ?? false,
  };
  return tape.record(bias ? [x, weight, bias] : [x, weight], y, [], (dy) => {
    const { dx, dweight, dbias } = kernels.linearBackward(dy, x.tensor, weight.tensor, layout, needs);
    return [dx, dweight, dbias];
  });
}

/**
 * x·Wᵀ + bias + scaling·B·A·dropped: a frozen linear layer with its LoRA branch. W never gets a gradient here.
 * Only A·dropped [N, r] is kept for the way back; `dropped` is x itself when there is no dropout.
 */
export function loraLinear(
  tape: Tape | null,
  x: Value,
  dropped: Value,
  frozen: { weight: Value; bias: Vector | null; layout: kernels.WeightLayout },
  adapter: { a: Value; b: Value; scaling: number },
): Value {
  const { weight, bias, layout } = frozen;
  const { a, b, scaling } = adapter;
  const low = kernels.linearForward(dropped.tensor, a.tensor, null, 'out_in'); // [N, r]
  const y = tf.tidy(() => {
    const base = kernels.linearForward(x.tensor, weight.tensor, bias?.tensor ?? null, layout);
    const scaled = tf.mul(low, scaling) as tf.Tensor2D;
    return tf.add(base, kernels.linearForward(scaled, b.tensor, null, 'out_in')) as tf.Tensor2D; // [N, out]
  });
  if (!tape) {
    low.dispose();
    return constant(y);
  }
  const needsB = { dx: true, dweight: b.needsGradient, dbias: false };
  const needsA = { dx: dropped.needsGradient, dweight: a.needsGradient, dbias: false };
  return tape.record([x, dropped, a, b], y, [low], (dy) => {
    const up = kernels.linearBackward(dy, low, b.tensor, 'out_in', needsB);
    const dlow = tf.mul(up.dx as tf.Tensor2D, scaling) as tf.Tensor2D;
    const db = up.dweight && tf.mul(up.dweight, scaling);
    up.dx?.dispose();
    up.dweight?.dispose();
    const down = kernels.linearBackward(dlow, dropped.tensor, a.tensor, 'out_in', needsA);
    dlow.dispose();
    const needs = { dx: x.needsGradient, dweight: false, dbias: false };
    const { dx } = kernels.linearBackward(dy, x.tensor, weight.tensor, layout, needs);
    return [dx, down.dx, down.dweight, db];
  });
}

export function norm(
  tape: Tape | null,
  x: Value,
  weight: Vector,
  bias: Vector | null,
  options: kernels.NormOptions,
): Value {
  const { y, saved } = kernels.normForward(x.tensor, weight.tensor, bias?.tensor ?? null, options);
  if (!tape) {
    for (const s of saved) s.dispose();
    return constant(y);
  }
  const needs = {
    dx: x.needsGradient,
    dweight: weight.needsGradient,
    dbias: bias?.needsGradient ?? false,
  };
  return tape.record(bias ? [x, weight, bias] : [x, weight], y, saved, (dy) => {
    const { dx, dweight, dbias } = kernels.normBackward(dy, x.tensor, weight.tensor, saved, options, needs);
    return [dx, dweight, dbias];
  });
}

export function attention(
  tape: Tape | null,
  q: Value,
  k: Value,
  v: Value,
  shape: kernels.AttentionShape,
  rope: kernels.Rope | null,
  mask: tf.Tensor3D,
): Value {
  const { out, saved } = kernels.attentionForward(q.tensor, k.tensor, v.tensor, shape, rope, mask);
  if (!tape) {
    for (const s of saved) s.dispose();
    return constant(out);
  }
  return tape.record([q, k, v], out, saved, (dout) => {
    const { dq, dk, dv } = kernels.attentionBackward(dout, saved, shape, rope);
    return [dq, dk, dv];
  });
}

/** act(gate)·up, or act(gate) without `up`. */
export function activation(
  tape: Tape | null,
  gate: Value,
  up: Value | null,
  kind: kernels.Activation,
): Value {
  const y = kernels.activationForward(gate.tensor, up?.tensor ?? null, kind);
  if (!tape) return constant(y);
  return tape.record(up ? [gate, up] : [gate], y, [], (dy) => {
    const { dgate, dup } = kernels.activationBackward(dy, gate.tensor, up?.tensor ?? null, kind);
    return [dgate, dup];
  });
}

/** a + b, same shapes. */
export function add(tape: Tape | null, a: Value, b: Value): Value {
  const y = tf.add(a.tensor, b.tensor) as tf.Tensor2D;
  if (!tape) return constant(y);
  return tape.record([a, b], y, [], (dy) => [
    a.needsGradient ? tf.clone(dy) : null,
    b.needsGradient ? tf.clone(dy) : null,
  ]);
}

/** a + factor·b, same shapes: how a LoRA branch joins. */
export function addScaled(tape: Tape | null, a: Value, b: Value, factor: number): Value {
  const y = tf.tidy(() => tf.add(a.tensor, tf.mul(b.tensor, factor)) as tf.Tensor2D);
  if (!tape) return constant(y);
  return tape.record([a, b], y, [], (dy) => [
    a.needsGradient ? tf.clone(dy) : null,
    b.needsGradient ? tf.mul(dy, factor) : null,
  ]);
}

export function scale(tape: Tape | null, x: Value, factor: number): Value {
  if (factor === 1) return x;
  const y = tf.mul(x.tensor, factor) as tf.Tensor2D;
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [tf.mul(dy, factor)]);
}

/** x[N, D]·gain[D]·fixed[D]; `fixed` is a constant the tape takes over (or frees at once without a tape). */
export function scaleColumns(tape: Tape | null, x: Value, gain: Vector, fixed: tf.Tensor1D): Value {
  const y = tf.tidy(() => tf.mul(x.tensor, tf.mul(gain.tensor, fixed)) as tf.Tensor2D);
  if (!tape) {
    fixed.dispose();
    return constant(y);
  }
  return tape.record([x, gain], y, [fixed], (dy) => [
    x.needsGradient ? tf.tidy(() => tf.mul(dy, tf.mul(gain.tensor, fixed))) : null,
    gain.needsGradient ? tf.tidy(() => tf.mul(tf.sum(tf.mul(dy, x.tensor), 0), fixed)) : null,
  ]);
}

/** x[N, D] + bias[D]. */
export function addBias(tape: Tape | null, x: Value, bias: Vector): Value {
  const y = tf.add(x.tensor, bias.tensor) as tf.Tensor2D;
  if (!tape) return constant(y);
  return tape.record([x, bias], y, [], (dy) => [
    x.needsGradient ? tf.clone(dy) : null,
    bias.needsGradient ? tf.sum(dy, 0) : null,
  ]);
}

/** x∘mask: dropout, whose mask the caller made; the tape owns it. */
export function multiplyConstant(tape: Tape | null, x: Value, mask: tf.Tensor2D): Value {
  const y = tf.mul(x.tensor, mask) as tf.Tensor2D;
  if (!tape) {
    mask.dispose();
    return constant(y);
  }
  return tape.record([x], y, [mask], (dy) => [tf.mul(dy, mask)]);
}

/** x + c for a constant the caller made; freed at once. */
export function addConstant(tape: Tape | null, x: Value, c: tf.Tensor2D): Value {
  const y = tf.add(x.tensor, c) as tf.Tensor2D;
  c.dispose();
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [tf.clone(dy)]);
}

/** Rows of the table by id; `ids` [N] int32 stays the caller's. */
export function embedding(tape: Tape | null, table: Value, ids: tf.Tensor1D): Value {
  const y = kernels.embeddingForward(table.tensor, ids);
  if (!tape) return constant(y);
  const vocabSize = table.tensor.shape[0];
  return tape.record([table], y, [], (dy) => [
    table.needsGradient ? kernels.embeddingBackward(dy, ids, vocabSize) : null,
  ]);
}

/** View the same elements as [rows, columns]: how per-head norms see one head a row. */
export function reshape(tape: Tape | null, x: Value, shape: [number, number]): Value {
  const y = tf.reshape(x.tensor, shape) as tf.Tensor2D;
  if (!tape) return constant(y);
  const before = x.tensor.shape;
  return tape.record([x], y, [], (dy) => [tf.reshape(dy, before)]);
}

/** Columns [start, start + size) of x: one part of GPT-2's fused q|k|v. */
export function columns(tape: Tape | null, x: Value, start: number, size: number): Value {
  const [rows, width] = x.tensor.shape;
  const y = tf.slice(x.tensor, [0, start], [rows, size]);
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [
    tf.pad(dy, [
      [0, 0],
      [start, width - start - size],
    ]),
  ]);
}

/** GPT-NeoX keeps q, k, v of one head together: [N, heads, 3, headDim] → part `which` as [N, heads·headDim]. */
export function headPart(
  tape: Tape | null,
  x: Value,
  heads: number,
  headDim: number,
  which: 0 | 1 | 2,
): Value {
  const rows = x.tensor.shape[0];
  const y = tf.tidy(() => {
    const apart = tf.reshape(x.tensor, [rows * heads, 3 * headDim]);
    return tf.reshape(tf.slice(apart, [0, which * headDim], [rows * heads, headDim]), [
      rows,
      heads * headDim,
    ]);
  }) as tf.Tensor2D;
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [
    tf.tidy(() => {
      const apart = tf.reshape(dy, [rows * heads, headDim]);
      const padded = tf.pad(apart, [
        [0, 0],
        [which * headDim, (2 - which) * headDim],
      ]);
      return tf.reshape(padded, [rows, 3 * heads * headDim]);
    }),
  ]);
}
