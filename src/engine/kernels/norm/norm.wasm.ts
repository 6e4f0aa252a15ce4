// RMSNorm and LayerNorm on the wasm backend, row by row.
// Not here: the plain reference (norm.ts), the loops (wasm/assembly/norm.ts).

import * as tf from '@tensorflow/tfjs-core';
import { at, empty, simd, zeros } from '../wasm/memory.wasm';
import type { NormDestinations, NormForward, NormGradients, NormOptions } from './norm';

/** `normForward` of norm.ts. */
export function normForwardSimd(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D | null,
  { kind, epsilon, addOne }: NormOptions,
): NormForward {
  const [rows, size] = x.shape;
  const y = empty<tf.Tensor2D>([rows, size]);
  const rstd = empty([rows, 1]);
  const mean = kind === 'layer' ? empty([rows, 1]) : null;
  simd().normForward(at(x), at(weight), at(bias), at(y), at(rstd), at(mean), rows, size, epsilon, addOne);
  return { y, saved: mean ? [rstd, mean] : [rstd] };
}

/** `normBackward` of norm.ts. */
export function normBackwardSimd(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  saved: tf.Tensor[],
  { addOne }: NormOptions,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
  _to: NormDestinations | null = null,
  before: tf.Tensor2D | null = null,
): NormGradients {
  const [rstd, mean] = saved;
  const [rows, size] = x.shape;
  const dx = needs.dx ? empty<tf.Tensor2D>([rows, size]) : null;
  const dweight = needs.dweight ? zeros<tf.Tensor1D>([size]) : null;
  const dbias = needs.dbias ? zeros<tf.Tensor1D>([size]) : null;
  simd().normBackward(
    at(dy),
    at(x),
    at(weight),
    at(rstd),
    at(mean),
    at(dx),
    at(dweight),
    at(dbias),
    rows,
    size,
    addOne,
  );
  if (!dx || !before) return { dx, dweight, dbias };
  const sum = tf.add(dx, before) as tf.Tensor2D;
  dx.dispose();
  return { dx: sum, dweight, dbias };
}
