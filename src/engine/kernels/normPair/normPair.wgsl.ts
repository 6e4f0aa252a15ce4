// Two RMSNorms of different inputs on WebGPU: both in one dispatch, and all their gradients in one more.
// Not here: the plain reference (normPair.ts), one norm (norm/norm.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { normBackwardFused, normForwardFused } from '../norm/norm.wgsl';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty, storageBufferLimit } from '../webgpu/program';
import { reduction, threadsForRow } from '../webgpu/reduce.wgsl';
import {
  type Both,
  composeNormPair,
  mapBoth,
  type NormSide,
  type NormSideBack,
  type NormSideGradients,
  type PairOptions,
} from './normPair';

const SIDES = [0, 1] as const;
const gain = (side: number, addOne: boolean) => `weight${side}[c]${addOne ? ' + 1.0' : ''}`;
const each = <T extends string>(names: readonly string[], type: T) =>
  Object.fromEntries(SIDES.flatMap((side) => names.map((name) => [`${name}${side}`, type])));

// The arithmetic is that of one norm (norm/norm.wgsl.ts), twice in one dispatch: workgroups [0, rows0) take a row of the first input, those
// after them one of the second. Backward likewise: for each side the workgroups that make a row of dx each, then those that sum SLICE columns
// of dweight over all rows. `end` and `dxEnd` of each side say which workgroups are whose. Memory: nothing beside the results.

const forward = variants(({ threads, addOne }: { threads: number; addOne: boolean }) => ({
  name: programName('norm_pair_forward', { threads, addOne }),
  inputs: each(['x', 'weight'], 'f32'),
  outputs: each(['y', 'rstd'], 'f32'),
  uniforms: { rows0: 'u32', columns0: 'u32', columns1: 'u32', epsilon: 'f32' },
  workgroup: threads,
  declare: reduction('total', threads),
  body: SIDES.map(
    (side) => `
  ${side === 0 ? 'if (group < u.rows0)' : 'else'} {
    let row = group${side === 0 ? '' : ' - u.rows0'};
    let start = row * u.columns${side};
    var squares = 0.0;
    for (var c = thread; c < u.columns${side}; c += ${threads}u) { squares += x${side}[start + c] * x${side}[start + c]; }
    let r = 1.0 / sqrt(total(squares, thread) / f32(u.columns${side}) + u.epsilon);
    if (thread == 0u) { rstd${side}[row] = r; }
    for (var c = thread; c < u.columns${side}; c += ${threads}u) {
      y${side}[start + c] = x${side}[start + c] * r * (${gain(side, addOne)});
    }
  }`,
  ).join(''),
}));

/** Columns that one workgroup sums over rows; threads / SLICE lanes share the rows of a column. */
const SLICE = 16;

interface BackwardSettings {
  threads: number;
  addOne: boolean;
  /** Which gradients are made, and whether that of the weight is added to its destination; of each side. */
  dx: Both<boolean>;
  dweight: Both<boolean>;
  add: Both<boolean>;
}

const backward = variants(
  ({ threads, addOne, dx: makesX, dweight: makesWeight, add: adds }: BackwardSettings) => {
    const outputs = SIDES.flatMap((side) => [
      ...(makesX[side] ? [`dx${side}`] : []),
      ...(makesWeight[side] ? [`dweight${side}`] : []),
    ]);
    const switches = { dx: makesX, dweight: makesWeight, add: adds };
    const named = Object.entries(switches).flatMap(([key, both]) =>
      both.map((on, side) => [`${key}${side}`, on]),
    );
    return {
      name: programName('norm_pair_backward', { threads, addOne, ...Object.fromEntries(named) }),
      inputs: each(['dy', 'x', 'weight', 'rstd'], 'f32'),
      outputs: Object.fromEntries(outputs.map((name) => [name, 'f32'])) as Record<string, 'f32'>,
      uniforms: Object.fromEntries(
        ['rows', 'columns', 'dxEnd', 'end'].flatMap((name) => SIDES.map((side) => [`${name}${side}`, 'u32'])),
      ) as Record<string, 'u32'>,
      workgroup: threads,
      declare: `
${reduction('total', threads)}
var<workgroup> lanes: array<f32, ${threads}>;`,
      body: SIDES.map((side) => {
        const [dx, dweight, add] = [makesX[side], makesWeight[side], adds[side]];
        return `
  ${
    dx
      ? `if (group >= ${side === 0 ? '0u' : 'u.end0'} && group < u.dxEnd${side}) {
    let row = group - ${side === 0 ? '0u' : 'u.end0'};
    let start = row * u.columns${side};
    let r = rstd${side}[row];
    var sum = 0.0; // of g·x̂
    for (var c = thread; c < u.columns${side}; c += ${threads}u) {
      sum += dy${side}[start + c] * (${gain(side, addOne)}) * x${side}[start + c] * r;
    }
    let along = total(sum, thread) / f32(u.columns${side});
    for (var c = thread; c < u.columns${side}; c += ${threads}u) {
      dx${side}[start + c] = (dy${side}[start + c] * (${gain(side, addOne)}) - x${side}[start + c] * r * along) * r;
    }
  }`
      : ''
  }
  ${
    dweight
      ? `if (group >= u.dxEnd${side} && group < u.end${side}) {
    let c = (group - u.dxEnd${side}) * ${SLICE}u + thread % ${SLICE}u;
    var sum = 0.0; // of dy·x̂
    if (c < u.columns${side}) {
      for (var row = thread / ${SLICE}u; row < u.rows${side}; row += ${threads / SLICE}u) {
        sum += dy${side}[row * u.columns${side} + c] * x${side}[row * u.columns${side} + c] * rstd${side}[row];
      }
    }
    lanes[thread] = sum;
    workgroupBarrier();
    if (thread < ${SLICE}u && c < u.columns${side}) {
      for (var lane = 1u; lane < ${threads / SLICE}u; lane++) { sum += lanes[lane * ${SLICE}u + thread]; }
      dweight${side}[c] ${add ? '+=' : '='} sum;
    }
  }`
      : ''
  }`;
      }).join(''),
    };
  },
);

/** Two dispatches, for a device that binds too few buffers for one. */
const apart = composeNormPair(normForwardFused, normBackwardFused);

/** `normPairForward` in one dispatch. saved: rstd [N, 1] of each side. */
export function normPairForwardFused(
  sides: Both<NormSide>,
  { addOne, epsilon }: PairOptions,
): Both<{ y: tf.Tensor2D; saved: tf.Tensor[] }> {
  const made = mapBoth(sides, ({ x }) => ({
    y: empty<tf.Tensor2D>(x.shape),
    saved: [empty([x.shape[0], 1])],
  }));
  const tensors: Record<string, tf.Tensor> = {};
  for (const side of SIDES) {
    const [{ x, weight }, { y, saved }] = [sides[side], made[side]];
    Object.assign(tensors, {
      [`x${side}`]: x,
      [`weight${side}`]: weight,
      [`y${side}`]: y,
      [`rstd${side}`]: saved[0],
    });
  }
  const [{ shape: first }, { shape: second }] = mapBoth(sides, ({ x }) => x);
  const numbers = { rows0: first[0], columns0: first[1], columns1: second[1], epsilon };
  const threads = threadsForRow(Math.max(first[1], second[1]));
  dispatch(forward({ threads, addOne }) as Kernel, tensors, numbers, first[0] + second[0]);
  return made;
}

/** `normPairBackward` in one dispatch, or in two where the device binds few buffers. */
export function normPairBackwardFused(
  sides: Both<NormSideBack>,
  options: PairOptions,
): Both<NormSideGradients> {
  const outputs = sides.reduce((sum, { needs }) => sum + Number(needs.dx) + Number(needs.dweight), 0);
  if (outputs === 0) return mapBoth(sides, () => ({ dx: null, dweight: null }));
  if (4 * SIDES.length + outputs > storageBufferLimit()) return apart.normPairBackward(sides, options);
  const tensors: Record<string, tf.Tensor> = {};
  const numbers: Record<string, number> = {};
  let end = 0;
  const made = mapBoth(sides, ({ x, weight, dy, saved, needs, to }, side): NormSideGradients => {
    const [rows, columns] = x.shape;
    const dx = needs.dx ? empty<tf.Tensor2D>(x.shape) : null;
    const dweight = needs.dweight
      ? ((to?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([columns]))
      : null;
    const dxEnd = end + (dx ? rows : 0);
    end = dxEnd + (dweight ? Math.ceil(columns / SLICE) : 0);
    const own = { dy, x, weight, rstd: saved[0], ...(dx ? { dx } : {}), ...(dweight ? { dweight } : {}) };
    for (const [name, tensor] of Object.entries(own)) tensors[`${name}${side}`] = tensor as tf.Tensor;
    for (const [name, n] of Object.entries({ rows, columns, dxEnd, end })) numbers[`${name}${side}`] = n;
    return { dx, dweight };
  });
  const [a, b] = sides;
  const many = Math.max(a.x.shape[0], b.x.shape[0]) >= 256;
  // Sums over many rows of few columns need more lanes than a short row needs threads.
  const threads = many && (a.needs.dweight || b.needs.dweight) ? 256 : threadsForRow(a.x.shape[1]);
  const program = backward({
    threads,
    addOne: options.addOne,
    dx: mapBoth(sides, ({ needs }) => needs.dx),
    dweight: mapBoth(sides, ({ needs }) => needs.dweight),
    add: mapBoth(sides, ({ to }) => to?.add ?? false),
  }) as Kernel;
  dispatch(program, tensors, numbers, end);
  return made;
}
