// The kernels as differentiable operations on tape values: each computes its result and, when there is a tape, records its backward function.
// Not here: arithmetic (kernels/), the order in which a model uses them (model.ts).

import * as tf from '@tensorflow/tfjs-core';
import * as kernels from '../kernels';
import { constant, type Tape, type Value } from './tape';

type Vector = Value<tf.Tensor1D>;

/** A linear layer as the tape sees it; `input` of the adapter is x itself when there is no dropout. */
export interface LinearLayer {
  weight: Value;
  bias: Vector | null;
  adapter: { a: Value; b: Value; scaling: number; input: Value } | null;
}

/** The layer behind an MLP's activation. */
export interface DownLayer {
  weight: Value;
  bias: Vector | null;
  adapter: { a: Value; b: Value; scaling: number } | null;
}

/**
 * Linear layers of one input, each with its LoRA branch if it has one: x·Wᵀ + bias + scaling·B·A·input (+ residual, for a single layer).
 * x [N, in] → [N, out] each. Of a branch only A·input [N, r] is kept for the backward pass.
 */
export function linears(
  tape: Tape | null,
  x: Value,
  layers: readonly LinearLayer[],
  layout: kernels.WeightLayout,
  residual: Value | null = null,
): Value[] {
  const plain = layers.map(tensorsOf);
  const { ys, lows } = kernels.linearGroupForward(x.tensor, plain, layout, residual?.tensor ?? null);
  if (!tape) {
    tf.dispose(lows.filter((low) => low !== null));
    return ys.map(constant);
  }
  return recordLinears(tape, x, layers, { ys, lows, layout, residual });
}

/** The layers' tensors, as the kernels take them. */
const tensorsOf = ({ weight, bias, adapter }: LinearLayer) => ({
  weight: weight.tensor,
  bias: bias?.tensor ?? null,
  adapter: adapter && {
    a: adapter.a.tensor,
    b: adapter.b.tensor,
    scaling: adapter.scaling,
    input: adapter.input.tensor,
  },
});

const PARTS = ['weight', 'bias', 'a', 'b', 'input'] as const;

/** The tensors of a layer that may need a gradient, in the order of PARTS; its adapter's input only where that is not x. */
function partsOf({ weight, bias, adapter }: LinearLayer, x: Value | null) {
  const input = adapter && adapter.input !== x ? adapter.input : null;
  return { weight, bias, a: adapter?.a ?? null, b: adapter?.b ?? null, input };
}

const needsOf = (layer: LinearLayer, x: Value | null) => {
  const parts = partsOf(layer, x);
  const need = (part: (typeof PARTS)[number]) => parts[part]?.needsGradient ?? false;
  return { weight: need('weight'), bias: need('bias'), a: need('a'), b: need('b'), input: need('input') };
};

const destinationsOf = (tape: Tape, { weight, bias, adapter }: LinearLayer) => ({
  weight: tape.destination(weight),
  bias: tape.destination(bias),
  a: tape.destination(adapter?.a ?? null),
  b: tape.destination(adapter?.b ?? null),
});

/** Records the layers: results `ys`, and of each LoRA branch A·input. */
function recordLinears(
  tape: Tape,
  x: Value,
  layers: readonly LinearLayer[],
  made: {
    ys: readonly tf.Tensor2D[];
    lows: readonly (tf.Tensor2D | null)[];
    layout: kernels.WeightLayout;
    residual: Value | null;
  },
): Value[] {
  const { ys, lows, layout, residual } = made;
  const kept = lows.filter((low) => low !== null);
  const parts = layers.map((layer) => partsOf(layer, x));
  // Each layer's parameters, in the order in which the backward function returns their gradients.
  const own = parts.flatMap((of, i) =>
    PARTS.flatMap((part) => (of[part] ? [{ i, part, value: of[part] }] : [])),
  );
  const inputs: Value<tf.Tensor>[] = [x, ...(residual ? [residual] : []), ...own.map(({ value }) => value)];
  return tape.recordMany(inputs, ys, kept, (dys, arrived) => {
    const before = x.needsGradient ? arrived.take(0) : null;
    const gradients = kernels.linearGroupBackward({
      ...{ dys, x: x.tensor, layers: layers.map(tensorsOf), lows, layout, before },
      needs: { dx: x.needsGradient, layers: layers.map((layer) => needsOf(layer, x)) },
      to: layers.map((layer) => destinationsOf(tape, layer)),
    });
    before?.dispose();
    const through = residual ? [residual.needsGradient ? tf.clone(dys[0] as tf.Tensor2D) : null] : [];
    return [gradients.dx, ...through, ...own.map(({ i, part }) => gradients.layers[i]?.[part] ?? null)];
  });
}

/**
 * down(act(gate)·up) + residual, or down(act(gate)) + residual, with gate and up (`layers`) of x. Every adapter reads its layer's own
 * input, so that of `down` is null here: it is the result of the activation.
 */
export function mlp(
  tape: Tape | null,
  x: Value,
  layers: readonly LinearLayer[],
  down: DownLayer,
  layout: kernels.WeightLayout,
  activation: kernels.Activation,
  residual: Value | null,
): Value {
  const { ys, lows, active } = kernels.activatedForward(x.tensor, layers.map(tensorsOf), layout, activation);
  const layer: LinearLayer = {
    ...down,
    adapter: down.adapter && { ...down.adapter, input: constant(active) },
  };
  const plain = tensorsOf(layer);
  const forward = kernels.linearGroupForward(active, [plain], layout, residual?.tensor ?? null);
  const [y] = forward.ys as [tf.Tensor2D];
  const low = forward.lows[0] ?? null;
  if (!tape) {
    for (const t of [...ys, ...lows, low, active]) t?.dispose();
    return constant(y);
  }
  const [gate, up] = recordLinears(tape, x, layers, { ys, lows, layout, residual: null }) as [Value, Value?];
  const parts = partsOf({ ...layer, adapter: down.adapter && { ...down.adapter, input: gate } }, gate);
  const own = PARTS.flatMap((part) => (parts[part] ? [{ part, value: parts[part] }] : []));
  const inputs: Value<tf.Tensor>[] = [gate, ...(up ? [up] : []), ...(residual ? [residual] : [])];
  inputs.push(...own.map(({ value }) => value));
  return tape.record(inputs, y, low ? [active, low] : [active], (dy) => {
    const made = kernels.downBackward({
      ...{ dy, gate: gate.tensor, up: up?.tensor ?? null, active, activation, layer: plain, low, layout },
      needs: { gate: gate.needsGradient, layer: { ...needsOf(layer, null), input: false } },
      to: destinationsOf(tape, layer),
    });
    const through = residual ? [residual.needsGradient ? tf.clone(dy) : null] : [];
    return [made.dgate, ...(up ? [made.dup] : []), ...through, ...own.map(({ part }) => made.layer[part])];
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
    // The gradient that has arrived along the residual is added in this kernel.
    const before = needs.dx ? arrived.take(0) : null;
    const made = kernels.normBackward(dy, x.tensor, weight.tensor, saved, options, needs, to, before);
    before?.dispose();
    return [made.dx, made.dweight, made.dbias];
  });
}

/** RMSNorms of two inputs, each with its own gain. */
export function normPair(
  tape: Tape | null,
  values: readonly [Value, Value],
  gains: readonly [Vector, Vector],
  options: kernels.PairOptions,
): [Value, Value] {
  const sides = kernels.normPairForward(
    [
      { x: values[0].tensor, weight: gains[0].tensor },
      { x: values[1].tensor, weight: gains[1].tensor },
    ],
    options,
  );
  const ys = [sides[0].y, sides[1].y];
  const saved = [...sides[0].saved, ...sides[1].saved];
  if (!tape) {
    tf.dispose(saved);
    return ys.map(constant) as [Value, Value];
  }
  const side = (i: 0 | 1, dys: tf.Tensor2D[]) => ({
    x: values[i].tensor,
    weight: gains[i].tensor,
    dy: dys[i] as tf.Tensor2D,
    saved: sides[i].saved,
    needs: { dx: values[i].needsGradient, dweight: gains[i].needsGradient },
    to: tape.destination(gains[i]),
  });
  const made = tape.recordMany([...values, ...gains], ys, saved, (dys) => {
    const [a, b] = kernels.normPairBackward([side(0, dys), side(1, dys)], options);
    return [a.dx, b.dx, a.dweight, b.dweight];
  });
  return made as [Value, Value];
}

/** `sum` = residual + RMSNorm(branch) and, with `next`, RMSNorm(sum) by that gain, for the branch that follows. */
export function postNorm(
  tape: Tape | null,
  branch: Value,
  residual: Value,
  gain: Vector,
  next: Vector | null,
  options: kernels.PairOptions,
): { sum: Value; normed: Value | null } {
  const nextGain = next?.tensor ?? null;
  const made = kernels.postNormForward(branch.tensor, residual.tensor, gain.tensor, nextGain, options);
  const { sum, normed, saved } = made;
  if (!tape) {
    tf.dispose(saved);
    return { sum: constant(sum), normed: normed && constant(normed) };
  }
  const needs = {
    branch: branch.needsGradient,
    residual: residual.needsGradient,
    weight: gain.needsGradient,
    next: next?.needsGradient ?? false,
  };
  const inputs = next ? [branch, residual, gain, next] : [branch, residual, gain];
  const outputs = tape.recordMany(inputs, normed ? [sum, normed] : [sum], saved, ([dsum, dnormed]) => {
    const gradients = kernels.postNormBackward(
      {
        ...{ dsum: dsum as tf.Tensor2D, dnormed: dnormed ?? null },
        ...{ branch: branch.tensor, sum, weight: gain.tensor, next: nextGain, saved, needs },
        to: { weight: tape.destination(gain), next: tape.destination(next) },
      },
      options,
    );
    return [gradients.branch, gradients.residual, gradients.weight, gradients.next];
  });
  return { sum: outputs[0] as Value, normed: outputs[1] ?? null };
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

/** a + factor·b, same shapes. */
export function addScaled(tape: Tape | null, a: Value, b: Value, factor: number): Value {
  const y = tf.tidy(() => tf.add(a.tensor, tf.mul(b.tensor, factor)) as tf.Tensor2D);
  if (!tape) return constant(y);
  return tape.record([a, b], y, [], (dy) => [
    a.needsGradient ? tf.clone(dy) : null,
    b.needsGradient ? tf.mul(dy, factor) : null,
  ]);
}

/** x[N, D]·gain[D]·fixed[D]; `fixed` is a constant that the tape owns (without a tape it is freed at once). */
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

/** Dropout with probability p; the backward function computes the same random numbers again. */
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

/** Learned positions; row i of a batch is at position i % time. */
export interface Positions {
  table: Value;
  positionIds: tf.Tensor1D;
  time: number;
}

/** scale·(rows of the table by id) + positions; `ids` and `positionIds` [N] int32 are disposed by the caller. */
export function embedding(
  tape: Tape | null,
  table: Value,
  ids: tf.Tensor1D,
  scale: number,
  positions: Positions | null,
): Value {
  const placed = positions && { table: positions.table.tensor, places: positions.positionIds };
  const y = kernels.embeddingForward(table.tensor, ids, scale, placed);
  if (!tape) return constant(y);
  return tape.record(positions ? [table, positions.table] : [table], y, [], (dy) => {
    const made = kernels.embeddingBackward({
      ...{ dy, ids, scale, vocabSize: table.tensor.shape[0] },
      positions: positions && {
        time: positions.time,
        places: positions.positionIds,
        count: positions.table.tensor.shape[0],
      },
      needs: { table: table.needsGradient, positions: positions?.table.needsGradient ?? false },
      to: { table: tape.destination(table), positions: tape.destination(positions?.table ?? null) },
    });
    return [made.table, made.positions];
  });
}

/** View the same elements as [rows, columns]: how per-head norms see one head a row. */
export function reshape(tape: Tape | null, x: Value, shape: [number, number]): Value {
  const y = tf.reshape(x.tensor, shape) as tf.Tensor2D;
  if (!tape) return constant(y);
  const before = x.tensor.shape;
  return tape.record([x], y, [], (dy) => [tf.reshape(dy, before)]);
}

/**
 * A fused projection [N, 3·heads·headDim] → q, k and v [N, heads·headDim]. Owns x: no backward function reads it, so it is freed
 * here; the tape would keep it until the end.
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
