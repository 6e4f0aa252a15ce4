// Fused q|k|v projections split, and their gradients joined, in one dispatch each.
// Not here: the plain reference (qkvSplit.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import type { QkvOrder } from './qkvSplit';

const THREADS = 256;

/** A thread an element of x: copies it to its place in q, k or v, or with `back` from there. */
const move = variants(({ order, back }: { order: QkvOrder; back: boolean }) => ({
  name: programName(back ? 'qkv_join' : 'qkv_split', { order }),
  inputs: back ? { q: 'f32', k: 'f32', v: 'f32' } : { x: 'f32' },
  outputs: back ? { x: 'f32' } : { q: 'f32', k: 'f32', v: 'f32' },
  uniforms: { size: 'u32', width: 'u32', headDim: 'u32' },
  workgroup: THREADS,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i >= u.size) { return; }
  let row = i / (3u * u.width);
  let column = i % (3u * u.width);
  ${
    order === 'gpt2'
      ? `let part = column / u.width;
  let at = row * u.width + column % u.width;`
      : `let part = (column / u.headDim) % 3u;
  let at = row * u.width + (column / (3u * u.headDim)) * u.headDim + column % u.headDim;`
  }
  ${['q', 'k', 'v'].map((name, p) => `if (part == ${p}u) { ${back ? `x[i] = ${name}[at];` : `${name}[at] = x[i];`} }`).join(' else ')}`,
}));

/** `qkvSplit` in one dispatch. */
export function qkvSplitFused(
  x: tf.Tensor2D,
  heads: number,
  headDim: number,
  order: QkvOrder,
): tf.Tensor2D[] {
  const width = heads * headDim;
  const [q, k, v] = [0, 1, 2].map(() => empty<tf.Tensor2D>([x.shape[0], width])) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  dispatch(
    move({ order, back: false }) as Kernel,
    { x, q, k, v },
    { size: x.size, width, headDim },
    Math.ceil(x.size / THREADS),
  );
  return [q, k, v];
}

/** `qkvJoin` in one dispatch. */
export function qkvJoinFused(
  parts: readonly tf.Tensor2D[],
  heads: number,
  headDim: number,
  order: QkvOrder,
): tf.Tensor2D {
  const [q, k, v] = parts as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  const width = heads * headDim;
  const x = empty<tf.Tensor2D>([q.shape[0], 3 * width]);
  dispatch(
    move({ order, back: true }) as Kernel,
    { q, k, v, x },
    { size: x.size, width, headDim },
    Math.ceil(x.size / THREADS),
  );
  return x;
}
