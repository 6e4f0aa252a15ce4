// The embedding table on WebGPU: rows by id, and the gradient added up by id in a fixed order, straight into a gradient that exists.
// Not here: the plain reference (embedding.ts), the loss (crossEntropy.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Destination } from './destination';
import { type Reading, readingOf, unpackText } from './packed.wgsl';
import {
  dispatch,
  empty,
  type Kernel,
  type KernelSource,
  kernel,
  type TensorLike,
  variants,
} from './program';

const THREADS = 64;

/** `plain` reads floats, anything else a packed table. */
const gather = variants((reading: Reading | 'plain') => {
  const at = 'row * u.columns + c';
  const number = reading === 'plain' ? `table[${at}]` : `${reading}_one(table[(${at}) / 2u], ${at})`;
  return {
    name: reading === 'plain' ? 'rows_gather' : `rows_gather_${reading}`,
    inputs: { table: reading === 'plain' ? 'f32' : 'u32', ids: 'i32' },
    outputs: { y: 'f32' },
    uniforms: { first: 'u32', columns: 'u32' },
    workgroup: THREADS,
    declare: reading === 'plain' ? '' : unpackText(reading),
    body: `
  let row = u32(ids[u.first + group]);
  for (var c = thread; c < u.columns; c += ${THREADS}u) { y[group * u.columns + c] = ${number}; }`,
  } as KernelSource;
});

/** Rows `ids[first … first + count)` of table [V, D], which may be packed → [count, D]. */
export function gatherRows(table: tf.Tensor2D, ids: TensorLike, count: number, first = 0): tf.Tensor2D {
  const columns = table.shape[1];
  const y = empty<tf.Tensor2D>([count, columns]);
  dispatch(gather(readingOf(table) ?? 'plain') as Kernel, { table, ids, y }, { first, columns }, count);
  return y;
}

const clear = kernel({
  name: 'fill_zero',
  inputs: {},
  outputs: { y: 'f32' },
  uniforms: { size: 'u32' },
  workgroup: 256,
  body: `
  let i = group * 256u + thread;
  if (i < u.size) { y[i] = 0.0; }`,
});

/**
 * One workgroup a position. The first position of an id owns it: it alone adds up all rows of that id, in order, so nothing is
 * atomic and the sum is the same every time. Ids without a position are not touched.
 */
const scatter = kernel({
  name: 'rows_scatter_add',
  inputs: { dy: 'f32', ids: 'i32' },
  outputs: { dtable: 'f32' },
  uniforms: { count: 'u32', columns: 'u32' },
  workgroup: THREADS,
  declare: `
var<workgroup> isOwner: u32;
var<workgroup> same: array<u32, ${THREADS}>;`,
  body: `
  let id = ids[group];
  if (thread == 0u) { isOwner = 1u; }
  workgroupBarrier();
  for (var p = thread; p < group; p += ${THREADS}u) { if (ids[p] == id) { same[thread] = 1u; } }
  workgroupBarrier();
  if (thread == 0u) {
    for (var t = 0u; t < ${THREADS}u; t++) { if (same[t] == 1u) { isOwner = 0u; } }
  }
  if (workgroupUniformLoad(&isOwner) == 0u) { return; }
  for (var base = group; base < u.count; base += ${THREADS}u) {
    let p = base + thread;
    same[thread] = select(0u, 1u, p < u.count && ids[min(p, u.count - 1u)] == id);
    workgroupBarrier();
    for (var c = thread; c < u.columns; c += ${THREADS}u) {
      var sum = dtable[u32(id) * u.columns + c];
      for (var t = 0u; t < ${THREADS}u; t++) {
        if (same[t] == 1u) { sum += dy[(base + t) * u.columns + c]; }
      }
      dtable[u32(id) * u.columns + c] = sum;
    }
    workgroupBarrier();
  }`,
});

/** `embeddingForward` in one dispatch. table [V, D], ids [N] int32 → [N, D]. */
export function embeddingForwardFused(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return gatherRows(table, ids, ids.shape[0]);
}

/**
 * `embeddingBackward`: rows of dy [N, D] added up by id → [V, D]. One dispatch where a gradient of the table exists (a tied output
 * head's) and is added to, without a V×D temporary; else two.
 */
export function embeddingBackwardFused(
  dy: tf.Tensor2D,
  ids: tf.Tensor1D,
  vocabSize: number,
  to: Destination | null = null,
): tf.Tensor2D {
  const [count, columns] = dy.shape;
  const dtable = (to?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([vocabSize, columns]);
  if (!to?.add) dispatch(clear, { y: dtable }, { size: dtable.size }, Math.ceil(dtable.size / 256));
  dispatch(scatter, { dy, ids, dtable }, { count, columns }, count);
  return dtable;
}
