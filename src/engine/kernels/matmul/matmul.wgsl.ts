// Matrix products on WebGPU: which of them share a dispatch, and what each binds.
// Not here: their WGSL (matmulProgram.wgsl.ts), linear layers (linearGroup/linearGroup.wgsl.ts), which tile (webgpu/tiles.ts), the reference (matmul.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Activation } from '../activation/activation';
import type { Destination } from '../destination';
import { readingOf } from '../packing/packed.wgsl';
import type { Kernel } from '../webgpu/kernel';
import { dispatch, empty, storageBufferLimit, webgpuBackend } from '../webgpu/program';
import { chooseTile, ENOUGH_TILES, type Shape, type Tile, tilesOf } from '../webgpu/tiles';
import {
  type JobVariant,
  type Place,
  program,
  type Sums,
  type Transposes,
  type Variant,
} from './matmulProgram.wgsl';

/** One product op(a)·op(b) in a sum of products; `scale` multiplies it. b may be a packed weight (packing.ts). */
export interface Term {
  a: tf.Tensor2D;
  b: tf.Tensor2D;
  transposed?: Transposes;
  scale?: number;
}

/** One result: Σ scale·a·b, + bias over columns, + residual. With `to` it is written into that tensor, or added to it. */
export interface Job {
  terms: readonly Term[];
  bias?: tf.Tensor1D | null;
  residual?: tf.Tensor2D | null;
  to?: Destination | null;
  /** Also sum the left ('a') or right ('b') side of the only term over the inner dimension: the gradient of a bias. */
  sums?: Sums;
  sumTo?: Destination | null;
  activates?: Activates | null;
  through?: Through | null;
}

/**
 * The result is act(gate)·up, or act(gate) alone. `gate` is the sum of the first terms and the bias; `up` that of the terms from
 * index `upTerms` on and `upBias`. Both are written too.
 */
interface Activates {
  activation: Activation;
  upTerms: number;
  upBias: tf.Tensor1D | null;
  gate: tf.Tensor2D;
  up: tf.Tensor2D | null;
}

/** The sum is the gradient of act(gate)·up, or of act(gate); the result is the gradient of gate, and that of up is written to `dup`. */
export interface Through {
  activation: Activation;
  gate: tf.Tensor2D;
  up: tf.Tensor2D | null;
  dup: tf.Tensor2D | null;
}

const PLAIN: Transposes = { a: false, b: false };
const storedAs = (term: Term) => term.transposed ?? PLAIN;

function shapeOf(job: Job): Shape {
  const sides = job.terms.map((term) => {
    const { a, b } = term;
    const t = storedAs(term);
    const [m, k] = t.a ? [a.shape[1], a.shape[0]] : a.shape;
    const [k2, n] = t.b ? [b.shape[1], b.shape[0]] : b.shape;
    if (k !== k2)
      throw new Error(`Product of ${describe(a, t.a)} and ${describe(b, t.b)}: inner sizes differ.`);
    return { m, n, k };
  });
  const [{ m, n }] = sides as [{ m: number; n: number; k: number }];
  if (sides.some((s) => s.m !== m || s.n !== n)) {
    throw new Error('The products of one sum have different shapes.');
  }
  return { m, n, depths: sides.map((s) => s.k) };
}

const describe = (x: tf.Tensor, transposed: boolean) => `[${x.shape.join(', ')}]${transposed ? 'ᵀ' : ''}`;

/** Each job's result, and the sum over a side where it was asked for. */
export interface Products {
  results: tf.Tensor2D[];
  sums: (tf.Tensor1D | null)[];
}

/**
 * Several sums of products of any shapes, in one dispatch where the device binds enough buffers, else in as few as it takes: jobs are halved,
 * and a single job's terms. No job may read what another writes. `tile` overrides the choice by shape.
 * @throws Error when shapes disagree
 */
export function products(jobs: readonly Job[], tile?: Tile): Products {
  const apart = jobs.length > 1 && worthSeparating(jobs);
  if (apart) {
    // Results in the order of the jobs, whatever was made together.
    const made: Products = { results: new Array(jobs.length), sums: new Array(jobs.length).fill(null) };
    for (const some of apart) {
      const part = products(
        some.map((j) => jobs[j] as Job),
        tile,
      );
      for (const [at, j] of some.entries()) {
        made.results[j] = part.results[at] as tf.Tensor2D;
        made.sums[j] = part.sums[at] ?? null;
      }
    }
    return made;
  }
  if (bindings(jobs) <= storageBufferLimit()) return together(jobs, tile);
  if (jobs.length > 1) {
    const middle = Math.ceil(jobs.length / 2);
    const halves = [jobs.slice(0, middle), jobs.slice(middle)].map((half) => products(half, tile));
    return { results: halves.flatMap((h) => h.results), sums: halves.flatMap((h) => h.sums) };
  }
  const [job] = jobs as [Job];
  if (job.activates || job.through) throw new Error('A product with an activation binds too many buffers.');
  const middle = Math.ceil(job.terms.length / 2);
  const { results } = products([{ ...job, terms: job.terms.slice(0, middle) }], tile);
  const rest = { terms: job.terms.slice(middle), to: { tensor: results[0] as tf.Tensor2D, add: true } };
  return products([rest], tile);
}

/**
 * Indices of the jobs by kind (how their sides are stored), when there are several kinds and each has enough work to fill a GPU: every kind then
 * gets the tile that suits it. Null when they should stay in one dispatch, as small jobs should: they run side by side on the GPU.
 */
function worthSeparating(jobs: readonly Job[]): number[][] | null {
  const kinds = new Map<string, number[]>();
  for (const [j, job] of jobs.entries()) {
    const key = job.terms.map((t) => `${storedAs(t).a}${storedAs(t).b}`).join();
    kinds.set(key, [...(kinds.get(key) ?? []), j]);
  }
  if (kinds.size === 1 || tilesOf(jobs.map(shapeOf), 64) < ENOUGH_TILES) return null;
  return [...kinds.values()];
}

/** Whether the device can bind all that these jobs read and write in one dispatch. */
export const fitTogether = (jobs: readonly Job[]): boolean => bindings(jobs) <= storageBufferLimit();

/** Storage buffers that the jobs bind together. */
function bindings(jobs: readonly Job[]): number {
  const distinct = (side: 'a' | 'b') =>
    new Set(jobs.flatMap((job) => job.terms.map((t) => t[side].dataId))).size;
  const each = ({ bias, residual, activates, through }: Job) =>
    [bias, residual, activates?.gate, activates?.up, activates?.upBias].filter(Boolean).length +
    [through?.gate, through?.up, through?.dup].filter(Boolean).length;
  const results = jobs.flatMap(({ to, sums = 'none', sumTo }) => [
    wholeOf(to),
    ...(sums === 'none' ? [] : [wholeOf(sumTo)]),
  ]);
  const own = results.filter((whole) => whole === null).length;
  const written = own + new Set(results.filter((whole) => whole !== null)).size;
  return distinct('a') + distinct('b') + written + jobs.reduce((total, job) => total + each(job), 0);
}

/** The data id of the tensor that a result is written into; null for a new tensor. */
const wholeOf = (to: Destination | null | undefined): object | null =>
  (to?.within?.tensor ?? to?.tensor)?.dataId ?? null;

/** For each term of each job, the index of the first that has the same tensor on this side. */
function firstWithSame(jobs: readonly Job[], side: 'a' | 'b'): number[] {
  const ids = jobs.flatMap((job) => job.terms.map((t) => t[side].dataId));
  return ids.map((id) => ids.indexOf(id));
}

const NOWHERE: Place = { array: '', shared: false };

function together(jobs: readonly Job[], tile?: Tile): Products {
  const shapes = jobs.map(shapeOf);
  const terms = jobs.flatMap((job, j) =>
    job.terms.map((term, i) => {
      const { m, n, depths } = shapes[j] as Shape;
      return { ...term, ...storedAs(term), left: term.a, right: term.b, m, n, depth: depths[i] as number };
    }),
  );
  const multiple = (sizes: number[]) => sizes.every((size) => size % 4 === 0);
  const arrays = new Map<object, string>();
  const placeOf = (name: string, to: Destination | null | undefined): Place => {
    const whole = wholeOf(to);
    if (whole === null) return { array: name, shared: false };
    const array = arrays.get(whole) ?? name;
    arrays.set(whole, array);
    return { array, shared: to?.within !== undefined };
  };
  const variant: Variant = {
    tile: tile ?? chooseTile(shapes, webgpuBackend().device.limits),
    jobs: jobs.map((job, j) => ({
      terms: job.terms.map(storedAs),
      bias: Boolean(job.bias),
      residual: Boolean(job.residual),
      accumulate: job.to?.add ?? false,
      sums: job.sums ?? 'none',
      accumulateSums: job.sumTo?.add ?? false,
      to: placeOf(`c${j}`, job.to),
      sumTo: job.sums && job.sums !== 'none' ? placeOf(`sum${j}`, job.sumTo) : NOWHERE,
      activates: job.activates
        ? {
            activation: job.activates.activation,
            upTerms: job.activates.up ? job.activates.upTerms : 0,
            bias: job.activates.upBias !== null,
          }
        : null,
      through: job.through ? { activation: job.through.activation, gated: job.through.up !== null } : null,
    })),
    sameA: firstWithSame(jobs, 'a'),
    sameB: firstWithSame(jobs, 'b'),
    readB: jobs.flatMap((job) => job.terms.map((t) => readingOf(t.b))),
    vectorA: multiple(terms.map((t) => (t.a ? t.m : t.depth))),
    vectorB: multiple(terms.map((t) => (t.b ? t.depth : t.n))),
    vectorC: multiple(shapes.map((s) => s.n)),
  };
  const tensors: Record<string, tf.Tensor> = {};
  const numbers: Record<string, number> = {};
  for (const [index, { left, right, depth, scale = 1 }] of terms.entries()) {
    tensors[`a${variant.sameA[index]}`] = left;
    tensors[`b${variant.sameB[index]}`] = right;
    Object.assign(numbers, { [`depth${index}`]: depth, [`scale${index}`]: scale });
  }
  const made: Products = { results: [], sums: [] };
  let end = 0;
  for (const [j, { bias, residual, to, sums = 'none', sumTo, activates, through }] of jobs.entries()) {
    const { m, n } = shapes[j] as Shape;
    for (const [name, tensor] of Object.entries({
      ...{ gate: activates?.gate ?? through?.gate, up: activates?.up ?? through?.up },
      ...{ upBias: activates?.upBias, dup: through?.dup },
    })) {
      if (tensor) tensors[`${name}${j}`] = tensor;
    }
    const result = (to?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([m, n]);
    made.results.push(result);
    const { to: place, sumTo: sumPlace } = variant.jobs[j] as JobVariant;
    tensors[place.array] = to?.within?.tensor ?? result;
    if (place.shared) numbers[`at${j}`] = to?.within?.start as number;
    if (bias) tensors[`bias${j}`] = bias;
    if (residual) tensors[`residual${j}`] = residual;
    if (sums === 'none') made.sums.push(null);
    else {
      const sum = (sumTo?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([sums === 'a' ? m : n]);
      made.sums.push(sum);
      tensors[sumPlace.array] = sumTo?.within?.tensor ?? sum;
      if (sumPlace.shared) numbers[`sumAt${j}`] = sumTo?.within?.start as number;
    }
    const across = Math.ceil(n / variant.tile.columns);
    end += across * Math.ceil(m / variant.tile.rows);
    Object.assign(numbers, { [`m${j}`]: m, [`n${j}`]: n, [`across${j}`]: across, [`end${j}`]: end });
  }
  dispatch(program(variant) as Kernel, tensors, numbers, end);
  return made;
}

/** op(a)·op(b), one dispatch. */
export function productFused(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  transposeA = false,
  transposeB = false,
  epilogue: Omit<Job, 'terms'> = {},
): tf.Tensor2D {
  const { results } = products([
    { terms: [{ a, b, transposed: { a: transposeA, b: transposeB } }], ...epilogue },
  ]);
  return results[0] as tf.Tensor2D;
}

/**
 * The program of a·b alone with this tile, for measuring tiles: arrays `a0`, `b0`, `c0`, and the values of its uniforms for
 * [m, k]·[k, n], all multiples of four. `groups` fit one dimension of a dispatch.
 */
export function plainProduct(
  tile: Tile,
  { m, n, k }: { m: number; n: number; k: number },
): { program: Kernel; numbers: Record<string, number>; groups: number } {
  const job = { terms: [PLAIN], bias: false, residual: false, accumulate: false, accumulateSums: false };
  const variant: Variant = {
    tile,
    jobs: [
      {
        ...job,
        sums: 'none',
        to: { array: 'c0', shared: false },
        sumTo: NOWHERE,
        activates: null,
        through: null,
      },
    ],
    sameA: [0],
    sameB: [0],
    readB: [null],
    vectorA: true,
    vectorB: true,
    vectorC: true,
  };
  const across0 = Math.ceil(n / tile.columns);
  const end0 = across0 * Math.ceil(m / tile.rows);
  const numbers = { m0: m, n0: n, across0, end0, depth0: k, scale0: 1 };
  return { program: program(variant) as Kernel, numbers, groups: end0 };
}
