// The MLP's non-linearity on the wasm backend: one pass forward and one backward.
// Not here: the plain reference (activation.ts), the loops (wasm/assembly/activation.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { at, empty, runShares, shares } from '../wasm/memory.wasm';
import type { Activation } from './activation';

/** The numbers of wasm/assembly/activation.ts. */
const KINDS: Record<Activation, number> = { silu: 0, gelu: 1, gelu_tanh: 2, relu: 3 };

/** Cost of one exponential, in multiplications. */
const WORK = 16;

/** `activationForward` of activation.ts. */
export function activationForwardSimd(
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): tf.Tensor2D {
  const y = empty<tf.Tensor2D>([...gate.shape]);
  const [from, by, to, kind] = [at(gate), at(up), at(y), KINDS[activation]];
  runShares('activationForward', shares(gate.size, 4, gate.size * WORK), ({ start, size }) => {
    const skip = 4 * start;
    return [kind, from + skip, by && by + skip, to + skip, size];
  });
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
  const [slopes, from, by, to, toUp] = [at(dy), at(gate), at(up), at(dgate), at(dup)];
  const kind = KINDS[activation];
  runShares('activationBackward', shares(gate.size, 4, gate.size * WORK), ({ start, size }) => {
    const skip = 4 * start;
    return [kind, slopes + skip, from + skip, by && by + skip, to + skip, toUp && toUp + skip, size];
  });
  return { dgate, dup };
}
