// The kernels as operations on tape values: each runs its forward and, when there is a tape, records its backward.
// Not here: arithmetic (kernels/), the order in which a model uses them (model.ts).

import * as tf from '@tensorflow/tfjs-core';
import * as kernels from './kernels';
import { constant, type Tape, type Value } from './tape';

type Vector = Value<tf.Tensor1D>;

/** A linear layer as the tape sees it; `input` of the adapter is x itself when there is no dropout. */
export interface LinearLayer {
  weight: Value;
  bias: Vector | null;
  adapter: { a: Value; b: Value; scaling: number; input: Value } | null;
}

/**
 * Linear layers of one input, each with its LoRA branch if it has one: x·Wᵀ + bias + scaling·B·A·input (+ residual, for a single layer).
 * x [N, in] → [N, out] each. Of a branch only A·input [N, r] is kept for the way back.
 */
export function linears(
  tape: Tape | null,
  x: Value,
  layers: readonly LinearLayer[],
  layout: kernels.WeightLayout,
  residual: Value | null = null,
): Value[] {
  const plain = layers.map(({ weight, bias, adapter }) => ({
    weight: weight.tensor,
    bias: bias?.tensor ?? null,
    adapter: adapter && {
      a: adapter.a.tensor,
      b: adapter.b.tensor,
      scaling: adapter.scaling,
      input: adapter.input.tensor,
    },
  }));
  const { ys, lows } = kernels.linearGroupForward(x.tensor, plain, layout, residual?.tensor ?? null);
  const kept = lows.filter((low) => low !== null);
  if (!tape) {
    tf.dispose(kept);
    return ys.map(constant);
  }
  // Each layer's parameters, in the order in which the way back returns their gradients.
  const inputs: Value<tf.Tensor>[] = residual ? [x, residual] : [x];
  const order: [layer: number, part: 'weight' | 'bias' | 'a' | 'b' | 'input'][] = [];
  for (const [i, { weight, bias, adapter }] of layers.entries()) {
    const add = (part: (typeof order)[number][1], value: Value<tf.Tensor>) => {
      order.push([i, part]);
      inputs.push(value);
    };
    add('weight', weight);
    if (bias) add('bias', bias);
    if (!adapter) continue;
    add('a', adapter.a);
    add('b', adapter.b);
    if (adapter.input !== x) add('input', adapter.input);
  }
  const needs = layers.map(({ weight, bias, adapter }) => ({
    weight: weight.needsGradient,
    bias: bias?.needsGradient ?? false,
    a: adapter?.a.needsGradient ?? false,
    b: adapter?.b.needsGradient ?? false,
    input: adapter !== null && adapter.input !== x && adapter.input.needsGradient,
  }));
  return tape.recordMany(inputs, ys, kept, (dys, arrived) => {
    const before = x.needsGradient ? arrived.take(0) : null;
    const { dx, layers: made } = kernels.linearGroupBackward({
      dys,
      x: x.tensor,
      layers: plain,
      lows,
      layout,
      needs: { dx: x.needsGradient, layers: needs },
      to: layers.map(({ weight, bias, adapter }) => ({
        weight: tape.destination(weight),
        bias: tape.destination(bias),
        a: tape.destination(adapter?.a ?? null),
        b: tape.destination(adapter?.b ?? null),
      })),
      before,
    });
    before?.dispose();
    const own = order.map(([i, part]) => made[i]?.[part] ?? null);
    const through = residual ? [residual.needsGradient ? tf.clone(dys[0] as tf.Tensor2D) : null] : [];
    return [dx, ...through, ...own];
  });
}

/** One linear layer without an adapter. */
export function linear(
  tape: Tape | null,
  x: Value,
  weight: Value,
  bias: Vector | null,
  layout: kernels.WeightLayout,
): Value {
  return linears(tape, x, [{ weight, bias, adapter: null }], layout)[0] as Value;
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
  return tape.record(bias ? [x, weight, bias] : [x, weight], y, saved, (dy, arrived) => {
    const to = { weight: tape.destination(weight), bias: tape.destination(bias) };
    // What came along the residual becomes part of this gradient on the way.
    const before = needs.dx ? arrived.take(0) : null;
    const made = kernels.normBackward(dy, x.tensor, weight.tensor, saved, options, needs, to, before);
    before?.dispose();
    return [made.dx, made.dweight, made.dbias];
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

/** Dropout with probability p; the way back makes the same random numbers again. */
export function dropout(tape: Tape | null, x: Value, p: number, source: kernels.NoiseSource): Value {
  const y = kernels.dropout(x.tensor, p, source);
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [x.needsGradient ? kernels.dropout(dy, p, source) : null]);
}

/** x + uniform noise in [−size, size). */
export function addNoise(tape: Tape | null, x: Value, size: number, source: kernels.NoiseSource): Value {
  const y = kernels.addNoise(x.tensor, size, source);
  if (!tape) return constant(y);
  return tape.record([x], y, [], (dy) => [tf.clone(dy)]);
}

/** Rows of the table by id; `ids` [N] int32 stays the caller's. */
export function embedding(tape: Tape | null, table: Value, ids: tf.Tensor1D): Value {
  const y = kernels.embeddingForward(table.tensor, ids);
  if (!tape) return constant(y);
  const vocabSize = table.tensor.shape[0];
  return tape.record([table], y, [], (dy) => [
    table.needsGradient ? kernels.embeddingBackward(dy, ids, vocabSize, tape.destination(table)) : null,
  ]);
}

/** View the same elements as [rows, columns]: how per-head norms see one head a row. */
export function reshape(tape: Tape | null, x: Value, shape: [number, number]): Value {
  const y = tf.reshape(x.tensor, shape) as tf.Tensor2D;
  if (!tape) return constant(y);
  const before = x.tensor.shape;
  return tape.record([x], y, [], (dy) => [tf.reshape(dy, before)]);
}

/**
 * A fused projection [N, 3·heads·headDim] → q, k and v [N, heads·headDim]. Takes x over: nothing on the way back reads it, so it is freed
 * here, where the tape would keep it to the end.
 */
export function qkvSplit(
  tape: Tape | null,
  x: Value,
  heads: number,
  headDim: number,
  order: kernels.QkvOrder,
): [Value, Value, Value] {
  const parts = kernels.qkvSplit(x.tensor, heads, headDim, order);
  x.tensor.dispose();
  const values = tape
    ? tape.recordMany([x], parts, [], (dys) => [kernels.qkvJoin(dys, heads, headDim, order)])
    : parts.map(constant);
  return values as [Value, Value, Value];
}
