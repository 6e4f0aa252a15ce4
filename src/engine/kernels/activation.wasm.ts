// The MLP's non-linearity on the wasm backend: one pass forward and one backward.
// Not here: the plain reference (activation.ts), the loops (assembly/activation.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Activation } from './activation';
import { at, empty, simd } from './memory.wasm';

/** As assembly/activation.ts numbers them. */
const KINDS: Record<Activation, number> = { silu: 0, gelu: 1, gelu_tanh: 2, relu: 3 };

/** `activationForward` of activation.ts. */
export function activationForwardSimd(
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): tf.Tensor2D {
  const y = empty<tf.Tensor2D>([...gate.shape]);
  simd().activationForward(KINDS[activation], at(gate), at(up), at(y), gate.size);
  return y;
}

/** `activationBackward` of activation.ts. */
export function activationBackwardSimd(
  dy: tf.Tensor2D,
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): { dgate: tf.Tensor2D; dup: tf.Tensor2D | null } {
  const dgate = empty<tf.Tensor2D>([...gate.shape]);
  const dup = up ? empty<tf.Tensor2D>([...gate.shape]) : null;
  simd().activationBackward(KINDS[activation], at(dy), at(gate), at(up), at(dgate), at(dup), gate.size);
  return { dgate, dup };
}
