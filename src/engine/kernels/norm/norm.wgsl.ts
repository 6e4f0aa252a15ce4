// RMSNorm and LayerNorm on WebGPU: forward in one dispatch, all gradients in one more.
// Not here: the plain reference (norm.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction, threadsForRow } from '../webgpu/reduce.wgsl';
import type { NormDestinations, NormForward, NormGradients, NormOptions } from './norm';

// Forward: a workgroup a row, which is read twice (mean and variance; LayerNorm three times) and written once. Saved: rstd [N, 1] and, for
// LayerNorm, mean [N, 1]; backward computes x̂ again from x.
// Backward, one dispatch of two kinds of workgroups, since neither reads what the other writes: [0, rows) each make one row of
// dx = rstd · (g − [mean g] − x̂ · mean(g · x̂)), g = dy · gain; those after them each sum SLICE columns of dweight and dbias over all rows.
// Sums are trees of fixed shape, so that they repeat to the bit. Memory: nothing beside the results.

/** weight, or 1 + weight (Gemma). */
const gain = (addOne: boolean) => `fn gain(c: u32) -> f32 { return weight[c]${addOne ? ' + 1.0' : ''}; }`;

interface ForwardSettings {
  threads: number;
  /** LayerNorm, else RMSNorm. */
  layer: boolean;
  addOne: boolean;
  bias: boolean;
}

const forward = variants(({ threads, layer, addOne, bias }: ForwardSettings) => ({
  name: programName('norm_forward', { threads, layer, addOne, bias }),
  inputs: { x: 'f32', weight: 'f32', ...(bias ? { bias: 'f32' as const } : {}) },
  outputs: { y: 'f32', rstd: 'f32', ...(layer ? { mean: 'f32' as const } : {}) },
  uniforms: { columns: 'u32', epsilon: 'f32' },
  workgroup: threads,
  declare: reduction('total', threads) + gain(addOne),
  body: `
  let start = group * u.columns;
  let columns = f32(u.columns);
  var sum = 0.0;
  ${layer ? `for (var c = thread; c < u.columns; c += ${threads}u) { sum += x[start + c]; }` : ''}
  let centre = ${layer ? 'total(sum, thread) / columns' : '0.0'};
  var squares = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) {
    let d = x[start + c] - centre;
    squares += d * d;
  }
  let r = 1.0 / sqrt(total(squares, thread) / columns + u.epsilon);
  if (thread == 0u) {
    rstd[group] = r;
    ${layer ? 'mean[group] = centre;' : ''}
  }
  for (var c = thread; c < u.columns; c += ${threads}u) {
    y[start + c] = (x[start + c] - centre) * r * gain(c)${bias ? ' + bias[c]' : ''};
  }`,
}));

/** Columns that one workgroup sums over rows; threads / SLICE lanes share the rows of a column. */
const SLICE = 16;

interface BackwardSettings {
  threads: number;
  layer: boolean;
  addOne: boolean;
  /** Which gradients are made. */
  dx: boolean;
  dweight: boolean;
  dbias: boolean;
  /** A gradient that is added to dx. */
  before: boolean;
  /** Whether the destinations are added to, or overwritten. */
  addWeight: boolean;
  addBias: boolean;
}

const backward = variants((settings: BackwardSettings) => {
  const { threads, layer, addOne, dx, dweight, dbias, before, addWeight, addBias } = settings;
  return {
    name: programName('norm_backward', { ...settings }),
    inputs: {
      dy: 'f32',
      x: 'f32',
      weight: 'f32',
      rstd: 'f32',
      ...(layer ? { mean: 'f32' as const } : {}),
      ...(before ? { before: 'f32' as const } : {}),
    },
    outputs: {
      ...(dx ? { dx: 'f32' as const } : {}),
      ...(dweight ? { dweight: 'f32' as const } : {}),
      ...(dbias ? { dbias: 'f32' as const } : {}),
    },
    uniforms: { rows: 'u32', columns: 'u32', dxGroups: 'u32' },
    workgroup: threads,
    declare: `
${reduction('total', threads, { type: 'vec2f' })}
${gain(addOne)}
fn normalised(row: u32, c: u32) -> f32 {
  return (x[row * u.columns + c]${layer ? ' - mean[row]' : ''}) * rstd[row];
}
var<workgroup> lanes: array<vec2f, ${threads}>;`,
    body: `
  if (group < u.dxGroups) {
    ${
      dx
        ? `
    let start = group * u.columns;
    var sums = vec2f(0.0); // of g and of g·x̂
    for (var c = thread; c < u.columns; c += ${threads}u) {
      let g = dy[start + c] * gain(c);
      sums += vec2f(g, g * normalised(group, c));
    }
    sums = total(sums, thread) / f32(u.columns);
    for (var c = thread; c < u.columns; c += ${threads}u) {
      let g = dy[start + c] * gain(c);
      dx[start + c] = (g${layer ? ' - sums.x' : ''} - normalised(group, c) * sums.y) * rstd[group]${before ? ' + before[start + c]' : ''};
    }`
        : ''
    }
  } else {
    ${
      dweight || dbias
        ? `
    let c = (group - u.dxGroups) * ${SLICE}u + thread % ${SLICE}u;
    var sums = vec2f(0.0); // of dy·x̂ and of dy
    if (c < u.columns) {
      for (var row = thread / ${SLICE}u; row < u.rows; row += ${threads / SLICE}u) {
        let d = dy[row * u.columns + c];
        sums += vec2f(d * normalised(row, c), d);
      }
    }
    lanes[thread] = sums;
    workgroupBarrier();
    if (thread < ${SLICE}u && c < u.columns) {
      for (var lane = 1u; lane < ${threads / SLICE}u; lane++) { sums += lanes[lane * ${SLICE}u + thread]; }
      ${dweight ? `dweight[c] ${addWeight ? '+=' : '='} sums.x;` : ''}
      ${dbias ? `dbias[c] ${addBias ? '+=' : '='} sums.y;` : ''}
    }`
        : ''
    }
  }`,
  };
});

/** `normForward` in one dispatch. x [N, D], weight [D], bias [D] or null → y [N, D]; saved: rstd [N, 1] and, for LayerNorm, mean [N, 1]. */
export function normForwardFused(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D | null,
  { kind, epsilon, addOne }: NormOptions,
): NormForward {
  const [rows, columns] = x.shape;
  const layer = kind === 'layer';
  const y = empty<tf.Tensor2D>([rows, columns]);
  const rstd = empty([rows, 1]);
  const mean = layer ? empty([rows, 1]) : null;
  const settings = { threads: threadsForRow(columns), layer, addOne, bias: bias !== null };
  const tensors = { x, weight, ...(bias ? { bias } : {}), y, rstd, ...(mean ? { mean } : {}) };
  dispatch(forward(settings) as Kernel, tensors, { columns, epsilon }, rows);
  return { y, saved: mean ? [rstd, mean] : [rstd] };
}

/** `normBackward` in one dispatch: only the gradients asked for. */
export function normBackwardFused(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  saved: tf.Tensor[],
  { kind, addOne }: NormOptions,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
  to: NormDestinations | null = null,
  before: tf.Tensor2D | null = null,
): NormGradients {
  const [rows, columns] = x.shape;
  const layer = kind === 'layer';
  const dx = needs.dx ? empty<tf.Tensor2D>([rows, columns]) : null;
  const dweight = needs.dweight
    ? ((to?.weight?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([columns]))
    : null;
  const dbias = needs.dbias
    ? ((to?.bias?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([columns]))
    : null;
  const dxGroups = dx ? rows : 0;
  const sumGroups = dweight || dbias ? Math.ceil(columns / SLICE) : 0;
  if (dxGroups + sumGroups > 0) {
    // Sums over many rows of few columns need more lanes than a short row needs threads.
    const threads = rows >= 256 ? 256 : threadsForRow(columns);
    dispatch(
      backward({
        threads,
        layer,
        addOne,
        ...needs,
        before: needs.dx && before !== null,
        addWeight: needs.dweight && (to?.weight?.add ?? false),
        addBias: needs.dbias && (to?.bias?.add ?? false),
      }) as Kernel,
      {
        ...{ dy, x, weight, rstd: saved[0] as tf.Tensor },
        ...(layer ? { mean: saved[1] as tf.Tensor } : {}),
        ...(dx && before ? { before } : {}),
        ...(dx ? { dx } : {}),
        ...(dweight ? { dweight } : {}),
        ...(dbias ? { dbias } : {}),
      },
      { rows, columns, dxGroups },
      dxGroups + sumGroups,
    );
  }
  return { dx, dweight, dbias };
}
