// Linear layers of one input on WebGPU: all of them in one dispatch forward, two backward; adapters are further terms of the same sums.
// Not here: the product itself (matmul/matmul.wgsl.ts), the plain reference (linearGroup.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { LinearGradients, WeightLayout } from '../matmul/matmul';
import { type Job, products, type Term, type Through } from '../matmul/matmul.wgsl';
import type { Transposes } from '../matmul/matmulProgram.wgsl';
import type {
  GroupedGradients,
  GroupedLinear,
  GroupedNeeds,
  LinearGroupBackward,
  LinearGroupForward,
  LinearGroupGradients,
} from './linearGroup';

/**
 * `linearGroupForward`: one dispatch for the layers; with adapters one more before it, for A·input, and B's products are second terms of the
 * layers' own sums. W + scaling·B·A is never stored.
 */
export function linearGroupForwardFused(
  x: tf.Tensor2D,
  layers: readonly GroupedLinear[],
  layout: WeightLayout,
  residual: tf.Tensor2D | null,
): LinearGroupForward {
  const lows = lowsOf(layers);
  const jobs = layers.map((layer, i): Job => {
    return { terms: layerTerms(x, layer, lows[i] ?? null, layout), bias: layer.bias, residual };
  });
  return { ys: products(jobs).results, lows };
}

/** A·input of every adapter, in one dispatch. [N, r] */
export function lowsOf(layers: readonly GroupedLinear[]): (tf.Tensor2D | null)[] {
  const adapters = layers.flatMap(({ adapter }) => adapter ?? []);
  if (adapters.length === 0) return layers.map(() => null);
  const { results } = products(
    adapters.map(({ a, input }): Job => ({ terms: [{ a: input, b: a, transposed: RIGHT }] })),
  );
  let at = 0;
  return layers.map(({ adapter }) => (adapter ? (results[at++] as tf.Tensor2D) : null));
}

/** The terms of the sum that makes a layer's result. */
export function layerTerms(
  x: tf.Tensor2D,
  { weight, adapter }: GroupedLinear,
  low: tf.Tensor2D | null,
  layout: WeightLayout,
): Term[] {
  const own = { a: x, b: weight, transposed: layout === 'out_in' ? RIGHT : NONE };
  if (!adapter || !low) return [own];
  return [own, { a: low, b: adapter.b, transposed: RIGHT, scale: adapter.scaling }];
}

/**
 * `linearGroupBackward` in two dispatches. Without adapters: dx, a sum over all layers; then the gradients of weights, with those of the
 * biases as sums over the same reads. With adapters: scaling·dy·B and the gradients of B; then dx and the gradients of A, which read it.
 * @param through the activation whose result x is: dx is then the gradient of its gate
 */
export function linearGroupBackwardFused(
  inputs: LinearGroupBackward,
  through: Through | null = null,
): LinearGroupGradients {
  const gradients = inputs.layers.map(
    (): GroupedGradients => ({ weight: null, bias: null, a: null, b: null, input: null }),
  );
  const dlows = inputs.layers.map(() => null as tf.Tensor2D | null);
  const first = lowRankPieces(inputs, gradients, dlows);
  run(first);

  let dx: tf.Tensor2D | null = null;
  const second: Piece[] = [];
  if (inputs.needs.dx) {
    second.push({
      job: { terms: inputTerms(inputs, dlows), residual: inputs.before, through },
      take: (result) => {
        dx = result;
      },
    });
  }
  for (const i of inputs.layers.keys()) {
    second.push(...layerPieces(inputs, i, dlows[i] ?? null, gradients[i] as GroupedGradients));
  }
  // Without adapters, one program for both kinds of products would take twice as long to compile, and the work is large enough for two.
  const adapted = first.length > 0;
  for (const part of adapted
    ? [second]
    : [second.filter(readsAcross), second.filter((p) => !readsAcross(p))]) {
    run(part);
  }
  tf.dispose(dlows.filter((d) => d !== null));
  return { dx, layers: gradients };
}

/** One product of the backward pass, and where its result goes. */
interface Piece {
  job: Job;
  take: (result: tf.Tensor2D, sum: tf.Tensor1D | null) => void;
}

/** What reads dy through the adapters: scaling·dy·B into `dlows`, and the gradients of B. */
function lowRankPieces(
  { dys, layers, lows, needs, to }: LinearGroupBackward,
  gradients: readonly GroupedGradients[],
  dlows: (tf.Tensor2D | null)[],
): Piece[] {
  return layers.flatMap(({ adapter }, i): Piece[] => {
    if (!adapter) return [];
    const dy = dys[i] as tf.Tensor2D;
    const own = gradients[i] as GroupedGradients;
    const { b, scaling: scale } = adapter;
    const pieces: Piece[] = [
      {
        job: { terms: [{ a: dy, b, scale }] },
        take: (result) => {
          dlows[i] = result;
        },
      },
    ];
    if (needs.layers[i]?.b) {
      const terms = [{ a: dy, b: lows[i] as tf.Tensor2D, transposed: LEFT, scale }];
      pieces.push({
        job: { terms, to: to[i]?.b ?? null },
        take: (result) => {
          own.b = result;
        },
      });
    }
    return pieces;
  });
}

/** The terms of dx: dy·W of every layer, and dlow·A of every adapter that reads x itself. */
function inputTerms(
  { dys, x, layers, layout }: LinearGroupBackward,
  dlows: readonly (tf.Tensor2D | null)[],
): Term[] {
  const terms: Term[] = layers.map(({ weight }, i) => ({
    a: dys[i] as tf.Tensor2D,
    b: weight,
    transposed: layout === 'out_in' ? NONE : RIGHT,
  }));
  for (const [i, { adapter }] of layers.entries()) {
    if (adapter && adapter.input === x) terms.push({ a: dlows[i] as tf.Tensor2D, b: adapter.a });
  }
  return terms;
}

/** The gradients of one layer's weight and bias, of its A, and of an input that its adapter alone reads. A bias alone is summed at once. */
function layerPieces(
  { dys, x, layers, layout, needs, to }: LinearGroupBackward,
  i: number,
  dlow: tf.Tensor2D | null,
  own: GroupedGradients,
): Piece[] {
  const pieces: Piece[] = [];
  const dy = dys[i] as tf.Tensor2D;
  const need = needs.layers[i] as GroupedNeeds;
  const where = to[i];
  const outIn = layout === 'out_in';
  if (need.weight) {
    const sides = outIn ? { a: dy, b: x } : { a: x, b: dy };
    const sums = need.bias ? (outIn ? 'a' : 'b') : 'none';
    const terms = [{ ...sides, transposed: LEFT }];
    pieces.push({
      job: { terms, to: where?.weight ?? null, sums, sumTo: where?.bias ?? null },
      take: (result, sum) => {
        own.weight = result;
        own.bias = sum;
      },
    });
  } else if (need.bias) {
    own.bias = tf.sum(dy, 0) as tf.Tensor1D;
  }
  const { adapter } = layers[i] as GroupedLinear;
  if (!adapter) return pieces;
  const { a, input } = adapter;
  if (need.a) {
    pieces.push({
      job: { terms: [{ a: dlow as tf.Tensor2D, b: input, transposed: LEFT }], to: where?.a ?? null },
      take: (result) => {
        own.a = result;
      },
    });
  }
  if (input !== x && need.input) {
    pieces.push({
      job: { terms: [{ a: dlow as tf.Tensor2D, b: a }] },
      take: (result) => {
        own.input = result;
      },
    });
  }
  return pieces;
}

const readsAcross = ({ job }: Piece) => !(job.terms[0]?.transposed?.a ?? false);

function run(pieces: readonly Piece[]): void {
  if (pieces.length === 0) return;
  const { results, sums } = products(pieces.map(({ job }) => job));
  for (const [i, { take }] of pieces.entries()) take(results[i] as tf.Tensor2D, sums[i] ?? null);
}

/** `linearForward` in one dispatch. */
export function linearForwardFused(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D | null,
  layout: WeightLayout,
): tf.Tensor2D {
  return linearGroupForwardFused(x, [{ weight, bias, adapter: null }], layout, null).ys[0] as tf.Tensor2D;
}

/** `linearBackward`, one dispatch for dx and one for dweight. */
export function linearBackwardFused(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  layout: WeightLayout,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
): LinearGradients {
  const { dx, layers } = linearGroupBackwardFused({
    dys: [dy],
    x,
    layers: [{ weight, bias: null, adapter: null }],
    lows: [null],
    layout,
    needs: {
      dx: needs.dx,
      layers: [{ weight: needs.dweight, bias: needs.dbias, a: false, b: false, input: false }],
    },
    to: [],
    before: null,
  });
  const [{ weight: dweight, bias: dbias }] = layers as [GroupedGradients];
  return { dx, dweight, dbias };
}

const NONE: Transposes = { a: false, b: false };
const LEFT: Transposes = { a: true, b: false };
const RIGHT: Transposes = { a: false, b: true };
