// The embedding table on WebGPU: rows by id with their positions, and the gradients summed in a fixed order into their destination.
// Not here: the plain reference (embedding.ts), the loss (crossEntropy/crossEntropy.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { type Reading, readingOf, unpackText } from '../packing/packed.wgsl';
import { type Kernel, type KernelSource, kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty, type TensorLike } from '../webgpu/program';
import type { EmbeddingBackward, EmbeddingGradients, Positions } from './embedding';

const THREADS = 64;

// Forward gathers: a workgroup a row. Backward scatters without atomics, so that a run repeats to the bit: a workgroup takes each row of dy and
// looks whether an earlier row has the same id. If so it returns; else it owns the id, goes over all later rows 64 at a time, and adds those
// of its id to the table's gradient in order. That is O(rows²) comparisons of ids and no memory beside the result.

/** How a table's numbers are read: `plain` is float32, anything else packed in 16 bits. */
type TableReading = Reading | 'plain';

const numberAt = (array: string, reading: TableReading, at: string) =>
  reading === 'plain' ? `${array}[${at}]` : `${reading}_one(${array}[(${at}) / 2u], ${at})`;

const gather = variants(({ reading }: { reading: TableReading }) => {
  const number = numberAt('table', reading, 'row * u.columns + c');
  return {
    name: programName('rows_gather', { reading }),
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
  dispatch(
    gather({ reading: readingOf(table) ?? 'plain' }) as Kernel,
    { table, ids, y },
    { first, columns },
    count,
  );
  return y;
}

/** Scaled rows, plus the rows of a table of positions unless that is `none`. */
const embed = variants(
  ({ reading, positions }: { reading: TableReading; positions: TableReading | 'none' }) => {
    const readings = [...new Set([reading, positions])].filter((r) => r !== 'plain' && r !== 'none');
    const element = (r: TableReading) => (r === 'plain' ? 'f32' : 'u32');
    const added =
      positions === 'none' ? '' : ` + ${numberAt('positions', positions, 'position * u.columns + c')}`;
    return {
      name: programName('rows_embed', { reading, positions }),
      inputs: {
        table: element(reading),
        ids: 'i32',
        ...(positions === 'none' ? {} : { positions: element(positions), places: 'i32' as const }),
      },
      outputs: { y: 'f32' },
      uniforms: { columns: 'u32', scale: 'f32' },
      workgroup: THREADS,
      declare: readings.map((r) => unpackText(r as Reading)).join(''),
      body: `
  let row = u32(ids[group]);
  ${positions === 'none' ? '' : 'let position = u32(places[group]);'}
  for (var c = thread; c < u.columns; c += ${THREADS}u) {
    y[group * u.columns + c] = u.scale * ${numberAt('table', reading, 'row * u.columns + c')}${added};
  }`,
    } as KernelSource;
  },
);

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

/** Workgroups [0, count) each take a row of dy, those after them each a position. Ids without a row are not touched. */
const scatter = variants(({ table, positions }: { table: boolean; positions: 'no' | 'write' | 'add' }) => ({
  name: programName('rows_scatter_add', { table, positions }),
  inputs: { dy: 'f32', ...(table ? { ids: 'i32' as const } : {}) },
  outputs: {
    ...(table ? { dtable: 'f32' as const } : {}),
    ...(positions === 'no' ? {} : { dpositions: 'f32' as const }),
  },
  uniforms: { count: 'u32', columns: 'u32', rows: 'u32', time: 'u32', scale: 'f32' },
  workgroup: THREADS,
  declare: table
    ? `
var<workgroup> isOwner: u32;
var<workgroup> same: array<u32, ${THREADS}>;`
    : '',
  body: `
  ${
    positions === 'no'
      ? ''
      : `
  if (group >= u.count) {
    let position = group - u.count;
    for (var c = thread; c < u.columns; c += ${THREADS}u) {
      var sum = 0.0;
      if (position < u.time) {
        for (var p = position; p < u.rows; p += u.time) { sum += dy[p * u.columns + c]; }
      }
      dpositions[position * u.columns + c] ${positions === 'add' ? '+=' : '='} sum;
    }
    return;
  }`
  }
  ${
    table
      ? `
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
      var sum = 0.0;
      for (var t = 0u; t < ${THREADS}u; t++) {
        if (same[t] == 1u) { sum += dy[(base + t) * u.columns + c]; }
      }
      dtable[u32(id) * u.columns + c] += u.scale * sum;
    }
    workgroupBarrier();
  }`
      : ''
  }`,
}));

/** `embeddingForward` in one dispatch. table [V, D], ids [N] int32 → [N, D]; both tables may be packed. */
export function embeddingForwardFused(
  table: tf.Tensor2D,
  ids: tf.Tensor1D,
  scale: number,
  positions: Positions | null,
): tf.Tensor2D {
  const count = ids.shape[0];
  if (scale === 1 && positions === null) return gatherRows(table, ids, count);
  const columns = table.shape[1];
  const y = empty<tf.Tensor2D>([count, columns]);
  const readingOrPlain = (t: TensorLike) => readingOf(t) ?? 'plain';
  const program = embed({
    reading: readingOrPlain(table),
    positions: positions ? readingOrPlain(positions.table) : 'none',
  }) as Kernel;
  const placed = positions ? { positions: positions.table, places: positions.places } : {};
  dispatch(program, { table, ids, ...placed, y }, { columns, scale }, count);
  return y;
}

/**
 * `embeddingBackward`: rows of dy [N, D] summed by id → [V, D], and by position. One dispatch where the table's gradient exists already (the
 * tied output head's) and is added to, without a [V, D] temporary; else two, the first of which clears it.
 */
export function embeddingBackwardFused({
  dy,
  ids,
  scale,
  vocabSize,
  positions,
  needs,
  to,
}: EmbeddingBackward): EmbeddingGradients {
  const [rows, columns] = dy.shape;
  const made: EmbeddingGradients = { table: null, positions: null };
  if (needs.table) {
    made.table = (to.table?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([vocabSize, columns]);
    const { size } = made.table;
    if (!to.table?.add) dispatch(clear, { y: made.table }, { size }, Math.ceil(size / 256));
  }
  const own = needs.positions ? positions : null;
  if (own) {
    made.positions =
      (to.positions?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([own.count, columns]);
  }
  if (!made.table && !made.positions) return made;
  const tensors = {
    dy,
    ...(made.table ? { ids, dtable: made.table } : {}),
    ...(made.positions ? { dpositions: made.positions } : {}),
  };
  const count = made.table ? rows : 0;
  const numbers = { count, columns, rows, time: own?.time ?? 1, scale };
  const addPositions = to.positions?.add ? 'add' : 'write';
  const program = scatter({
    table: made.table !== null,
    positions: made.positions ? addPositions : 'no',
  }) as Kernel;
  dispatch(program, tensors, numbers, count + (made.positions ? (own?.count ?? 0) : 0));
  return made;
}
