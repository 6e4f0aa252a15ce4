// The last norm on WebGPU, fused into the loss: only rows with a target are normalised, as they are gathered and as their gradients are written back.
// Not here: the loss between the two (crossEntropy/crossEntropy.wgsl.ts), the plain reference (headNorm.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { CrossEntropyOptions, Targets } from '../crossEntropy/crossEntropy';
import { crossEntropyThrough, type Rows, type Spread, totalOf } from '../crossEntropy/crossEntropy.wgsl';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction } from '../webgpu/reduce.wgsl';
import type { HeadNorm, NormedCrossEntropyResult } from './headNorm';

const THREADS = 64;
/** Columns that one workgroup sums over rows; THREADS / SLICE lanes share the rows of a column. */
const SLICE = 16;

// The loss gathers the rows of a chunk's targets and later writes their gradients back (crossEntropy/crossEntropy.wgsl.ts); the norm takes the place
// of both copies. `fetch` normalises a row as it gathers it, and keeps (rstd, mean) of each target, [targets, 2]. `putBack` sends the gradient
// through the norm as it writes it, zeros where there is no target, and further workgroups sum dweight and dbias over the chunk. So the norm
// costs no dispatch, and the normalised rows exist for one chunk only.

const gain = (addOne: boolean) => `fn gain(c: u32) -> f32 { return weight[c]${addOne ? ' + 1.0' : ''}; }`;

interface FetchSettings {
  /** LayerNorm, else RMSNorm. */
  layer: boolean;
  addOne: boolean;
  bias: boolean;
}

/** A workgroup a target: its row, normalised. */
const fetch = variants(({ layer, addOne, bias }: FetchSettings) => ({
  name: programName('head_norm', { layer, addOne, bias }),
  inputs: { x: 'f32', plan: 'i32', weight: 'f32', ...(bias ? { bias: 'f32' as const } : {}) },
  outputs: { y: 'f32', stats: 'vec2f' },
  uniforms: { first: 'u32', columns: 'u32', epsilon: 'f32' },
  workgroup: THREADS,
  declare: reduction('total', THREADS) + gain(addOne),
  body: `
  let start = u32(plan[u.first + group]) * u.columns;
  let columns = f32(u.columns);
  var sum = 0.0;
  ${layer ? `for (var c = thread; c < u.columns; c += ${THREADS}u) { sum += x[start + c]; }` : ''}
  let centre = ${layer ? 'total(sum, thread) / columns' : '0.0'};
  var squares = 0.0;
  for (var c = thread; c < u.columns; c += ${THREADS}u) {
    let d = x[start + c] - centre;
    squares += d * d;
  }
  let r = 1.0 / sqrt(total(squares, thread) / columns + u.epsilon);
  if (thread == 0u) { stats[u.first + group] = vec2f(r, centre); }
  for (var c = thread; c < u.columns; c += ${THREADS}u) {
    y[group * u.columns + c] = (x[start + c] - centre) * r * gain(c)${bias ? ' + bias[c]' : ''};
  }`,
}));

interface PutBackSettings {
  layer: boolean;
  addOne: boolean;
  /** Which gradients are made, and whether they are added to what is there. */
  dweight: boolean;
  dbias: boolean;
  addWeight: boolean;
  addBias: boolean;
  /** A chunk came before: its rows and the zeros are written already. */
  later: boolean;
  total: Spread['total'];
}

/** Workgroups [0, positions) each write one position's row; those after them each sum SLICE columns of dweight and dbias. */
const putBack = variants((settings: PutBackSettings) => {
  const { layer, addOne, dweight, dbias, addWeight, addBias, later, total } = settings;
  return {
    name: programName('head_norm_back', { ...settings }),
    inputs: {
      dstates: 'f32',
      plan: 'i32',
      x: 'f32',
      weight: 'f32',
      stats: 'vec2f',
      ...(total === 'no' ? {} : { rowLoss: 'f32' as const }),
    },
    outputs: {
      dhidden: 'f32',
      ...(dweight ? { dweight: 'f32' as const } : {}),
      ...(dbias ? { dbias: 'f32' as const } : {}),
      ...(total === 'no' ? {} : { lossSum: 'f32' as const }),
    },
    uniforms: { first: 'u32', count: 'u32', targets: 'u32', columns: 'u32', positions: 'u32' },
    ...(total === 'no' ? {} : { live: { lossScale: 'f32' as const } }),
    workgroup: THREADS,
    declare: `
${total === 'no' ? '' : reduction('total', THREADS)}
${reduction('both', THREADS, { type: 'vec2f' })}
${gain(addOne)}
var<workgroup> lanes: array<vec2f, ${THREADS}>;`,
    body: `
  ${totalOf(total, THREADS)}
  if (group < u.positions) {
    let which = plan[3u * u.targets + group] - i32(u.first);
    let here = which >= 0 && which < i32(u.count);
    ${later ? 'if (!here) { return; }' : ''}
    let start = group * u.columns;
    let source = u32(max(which, 0)) * u.columns;
    let stat = stats[u.first + u32(clamp(which, 0, i32(u.count) - 1))];
    var sums = vec2f(0.0); // of g and of g·x̂
    for (var c = thread; c < u.columns; c += ${THREADS}u) {
      let g = select(0.0, dstates[source + c], here) * gain(c);
      sums += vec2f(g, g * (x[start + c] - stat.y) * stat.x);
    }
    sums = both(sums, thread) / f32(u.columns);
    for (var c = thread; c < u.columns; c += ${THREADS}u) {
      let g = select(0.0, dstates[source + c], here) * gain(c);
      dhidden[start + c] = select(0.0, (g${layer ? ' - sums.x' : ''} - (x[start + c] - stat.y) * stat.x * sums.y) * stat.x, here);
    }
    return;
  }
  ${
    dweight || dbias
      ? `
  let c = (group - u.positions) * ${SLICE}u + thread % ${SLICE}u;
  var sums = vec2f(0.0); // of dy·x̂ and of dy
  if (c < u.columns) {
    for (var i = thread / ${SLICE}u; i < u.count; i += ${THREADS / SLICE}u) {
      let d = dstates[i * u.columns + c];
      let stat = stats[u.first + i];
      sums += vec2f(d * (x[u32(plan[u.first + i]) * u.columns + c] - stat.y) * stat.x, d);
    }
  }
  lanes[thread] = sums;
  workgroupBarrier();
  if (thread < ${SLICE}u && c < u.columns) {
    for (var lane = 1u; lane < ${THREADS / SLICE}u; lane++) { sums += lanes[lane * ${SLICE}u + thread]; }
    ${dweight ? `dweight[c] ${addWeight ? '+=' : '='} sums.x;` : ''}
    ${dbias ? `dbias[c] ${addBias ? '+=' : '='} sums.y;` : ''}
  }`
      : ''
  }`,
  };
});

/** `normedCrossEntropy` in no more dispatches than the loss takes without a norm. */
export function normedCrossEntropyFused(
  hidden: tf.Tensor2D,
  norm: HeadNorm,
  head: tf.Tensor2D,
  targets: Targets,
  options: CrossEntropyOptions,
  chunkBytes?: number,
): NormedCrossEntropyResult {
  const { weight, bias, needs, to } = norm;
  const { kind, addOne, epsilon } = norm.options;
  const layer = kind === 'layer';
  const columns = hidden.shape[1];
  const stats = empty([targets.ids.length, 2]);
  const gradient = (wanted: boolean, place: tf.Tensor | undefined) =>
    wanted && options.needs.dhidden
      ? ((place as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([columns]))
      : null;
  const dweight = gradient(needs.dweight, to?.weight?.tensor);
  const dbias = gradient(needs.dbias, to?.bias?.tensor);
  const rows: Rows = {
    fetch: (plan, count, first) => {
      const y = empty<tf.Tensor2D>([count, columns]);
      const tensors = { x: hidden, plan, weight, ...(bias ? { bias } : {}), y, stats };
      const program = fetch({ layer, addOne, bias: bias !== null }) as Kernel;
      dispatch(program, tensors, { first, columns, epsilon }, count);
      return y;
    },
    putBack: ({ tensors, numbers, total }) => {
      const later = numbers.first > 0;
      const program = putBack({
        layer,
        addOne,
        dweight: dweight !== null,
        dbias: dbias !== null,
        addWeight: later || (to?.weight?.add ?? false),
        addBias: later || (to?.bias?.add ?? false),
        later,
        total,
      }) as Kernel;
      const own = { x: hidden, weight, stats, ...(dweight ? { dweight } : {}), ...(dbias ? { dbias } : {}) };
      const positions = hidden.shape[0];
      const groups = positions + (dweight || dbias ? Math.ceil(columns / SLICE) : 0);
      dispatch(program, { ...tensors, ...own }, { ...numbers, columns, positions }, groups);
    },
  };
  const result = crossEntropyThrough(rows, hidden.shape, head, targets, options, chunkBytes);
  stats.dispose();
  return { ...result, dweight, dbias };
}
