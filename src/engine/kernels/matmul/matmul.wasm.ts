// Linear layers on the wasm backend: blocked products of our own for every mix of transposes.
// Not here: the plain reference (matmul.ts), the loops (wasm/assembly/gemm.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { at, empty, runSharesWithScratch, shares, simd, zeros } from '../wasm/memory.wasm';
import type { LinearGradients, WeightLayout } from './matmul';

// A product is cut over threads along its longer result dimension; each share is a product of its own (wasm/assembly/gemm.ts) that packs both
// sides block by block into scratch, so a share reads the whole of the side that is not cut. Memory: one thread's scratch each.

/** Fewest rows (columns) of a share beyond one a thread: at 128, packing the other side is a fifth of the share's work. */
const FINE = 128;

/** One side of a product: its address, and whether it is stored transposed. */
interface Factor {
  at: number;
  transposed?: boolean;
}

/**
 * c = a·b, or c += a·b with `add`, on all threads. a is stored [m, k], or [k, m] when transposed; b [k, n], or [n, k] when transposed;
 * c [m, n]. All row-major, by address.
 */
export function multiply(
  [m, n, k]: readonly [number, number, number],
  { at: a, transposed: transposedA = false }: Factor,
  { at: b, transposed: transposedB = false }: Factor,
  { at: c, add = false }: { at: number; add?: boolean },
): void {
  const [rowA, columnA] = transposedA ? [1, m] : [k, 1];
  const [rowB, columnB] = transposedB ? [1, k] : [n, 1];
  // gemm sums in another order with two rows or fewer, so rows are cut in multiples of four, and the result does not depend on the cuts.
  const byRows = m > 2 && m >= n;
  const parts = byRows ? shares(m, 4, m * n * k, FINE) : shares(n, 8, m * n * k, FINE);
  runSharesWithScratch('gemm', parts, simd().gemmScratch(), ({ start, size }) =>
    byRows
      ? [size, n, k, a + 4 * start * rowA, rowA, columnA, b, rowB, columnB, c + 4 * start * n, n, add]
      : [m, size, k, a, rowA, columnA, b + 4 * start * columnB, rowB, columnB, c + 4 * start, n, add],
  );
}

/** `linearForward` of matmul.ts. */
export function linearForwardSimd(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D | null,
  layout: WeightLayout,
): tf.Tensor2D {
  const [rows, width] = x.shape;
  const size = weight.size / width;
  const y = empty<tf.Tensor2D>([rows, size]);
  multiply(
    [rows, size, width],
    { at: at(x) },
    { at: at(weight), transposed: layout === 'out_in' },
    { at: at(y) },
  );
  if (bias) simd().addToRows(at(y), at(bias), rows, size);
  return y;
}

/** `linearBackward` of matmul.ts. */
export function linearBackwardSimd(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  layout: WeightLayout,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
): LinearGradients {
  const [rows, size] = dy.shape;
  const width = x.shape[1];
  const dx = needs.dx ? empty<tf.Tensor2D>([rows, width]) : null;
  const dweight = needs.dweight ? empty<tf.Tensor2D>([...weight.shape]) : null;
  const dbias = needs.dbias ? zeros<tf.Tensor1D>([size]) : null;
  if (dx)
    multiply(
      [rows, width, size],
      { at: at(dy) },
      { at: at(weight), transposed: layout === 'in_out' },
      { at: at(dx) },
    );
  if (dweight) {
    if (layout === 'out_in')
      multiply([size, width, rows], { at: at(dy), transposed: true }, { at: at(x) }, { at: at(dweight) });
    else multiply([width, size, rows], { at: at(x), transposed: true }, { at: at(dy) }, { at: at(dweight) });
  }
  if (dbias) simd().addUpRows(at(dbias), at(dy), rows, size);
  return { dx, dweight, dbias };
}
