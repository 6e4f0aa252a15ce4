// Linear layers of one input on WebGPU: all of them in one dispatch each way, adapters as further terms of the same sums.
// Not here: the product itself (matmul.wgsl.ts), the plain reference (linearGroup.ts).

import * as tf from '@tensorflow/tfjs-core';
import type {
  GroupedGradients,
  GroupedLinear,
  GroupedNeeds,
  LinearGroupBackward,
  LinearGroupForward,
  LinearGroupGradients,
} from './linearGroup';
import type { LinearGradients, WeightLayout } from './matmul';
import { type Job, products, type Term, type Transposes } from './matmul.wgsl';

/**
 * `linearGroupForward`: one dispatch for the layers; with adapters one more, for A·input, and B's products are second terms of the
 * layers' own sums. W + BA never stands anywhere.
 */
export function linearGroupForwardFused(
  x: tf.Tensor2D,
  layers: readonly GroupedLinear[],
  layout: WeightLayout,
  residual: tf.Tensor2D | null,
): LinearGroupForward {
  const lows = layers.map(() => null as tf.Tensor2D | null);
  const adapted = [...layers.keys()].filter((i) => layers[i]?.adapter);
  if (adapted.length > 0) {
    const { results } = products(
      adapted.map((i): Job => {
        const { a, input } = adapterOf(layers, i);
        return { terms: [{ a: input, b: a, transposed: RIGHT }] };
      }),
    );
    for (const [at, i] of adapted.entries()) lows[i] = results[at] as tf.Tensor2D;
  }
  const jobs = layers.map(({ weight, bias, adapter }, i): Job => {
    const own = { a: x, b: weight, transposed: layout === 'out_in' ? RIGHT : NONE };
    if (!adapter) return { terms: [own], bias, residual };
    const { b, scaling: scale } = adapter;
    return { terms: [own, { a: lows[i] as tf.Tensor2D, b, transposed: RIGHT, scale }], bias, residual };
  });
  return { ys: products(jobs).results, lows };
}

/**
 * `linearGroupBackward`: one dispatch for dx, a sum over all layers; one for the gradients of weights, A and B, which makes those of the
 * biases on the way; with adapters one before both, for scaling·dy·B.
 */
export function linearGroupBackwardFused(inputs: LinearGroupBackward): LinearGroupGradients {
  const { dys, x, layers, lows, layout, needs, to, before } = inputs;
  const outIn = layout === 'out_in';
  const gradients = layers.map(
    (): GroupedGradients => ({ weight: null, bias: null, a: null, b: null, input: null }),
  );
  const dlows = scaledDlows(inputs);
  const jobs: Job[] = [];
  const keep: ((result: tf.Tensor2D, sum: tf.Tensor1D | null) => void)[] = [];
  const add = (job: Job, taken: (typeof keep)[number]) => {
    jobs.push(job);
    keep.push(taken);
  };

  let dx: tf.Tensor2D | null = null;
  if (needs.dx) {
    const terms: Term[] = layers.map(({ weight }, i) => ({
      a: dys[i] as tf.Tensor2D,
      b: weight,
      transposed: outIn ? NONE : RIGHT,
    }));
    for (const [i, { adapter }] of layers.entries()) {
      if (adapter && adapter.input === x) terms.push({ a: dlows[i] as tf.Tensor2D, b: adapter.a });
    }
    add({ terms, residual: before }, (result) => {
      dx = result;
    });
  }
  for (const [i, { adapter }] of layers.entries()) {
    const dy = dys[i] as tf.Tensor2D;
    const need = needs.layers[i] as GroupedNeeds;
    const own = gradients[i] as GroupedGradients;
    const where = to[i];
    if (need.weight) {
      const sides = outIn ? { a: dy, b: x } : { a: x, b: dy };
      const sums = need.bias ? (outIn ? 'a' : 'b') : 'none';
      const terms = [{ ...sides, transposed: LEFT }];
      add({ terms, to: where?.weight ?? null, sums, sumTo: where?.bias ?? null }, (result, sum) => {
        own.weight = result;
        own.bias = sum;
      });
    } else if (need.bias) {
      own.bias = tf.sum(dy, 0) as tf.Tensor1D;
    }
    if (!adapter) continue;
    const { a, scaling: scale, input } = adapter;
    const low = lows[i] as tf.Tensor2D;
    const dlow = dlows[i] as tf.Tensor2D;
    if (need.b) {
      add({ terms: [{ a: dy, b: low, transposed: LEFT, scale }], to: where?.b ?? null }, (result) => {
        own.b = result;
      });
    }
    if (need.a) {
      add({ terms: [{ a: dlow, b: input, transposed: LEFT }], to: where?.a ?? null }, (result) => {
        own.a = result;
      });
    }
    if (input !== x && need.input) {
      add({ terms: [{ a: dlow, b: a }] }, (result) => {
        own.input = result;
      });
    }
  }
  // Gradients of inputs and those of parameters could share a dispatch, but the program for both takes twice as long to compile.
  for (const side of [false, true]) {
    const some = [...jobs.keys()].filter((j) => (jobs[j]?.terms[0]?.transposed?.a ?? false) === side);
    if (some.length === 0) continue;
    const { results, sums } = products(some.map((j) => jobs[j] as Job));
    for (const [at, j] of some.entries()) keep[j]?.(results[at] as tf.Tensor2D, sums[at] ?? null);
  }
  tf.dispose(dlows.filter((d) => d !== null));
  return { dx, layers: gradients };
}

/** scaling·dy·B of every adapter. [N, r] */
function scaledDlows({ dys, layers }: LinearGroupBackward): (tf.Tensor2D | null)[] {
  const dlows = layers.map(() => null as tf.Tensor2D | null);
  const adapted = [...layers.keys()].filter((i) => layers[i]?.adapter);
  if (adapted.length === 0) return dlows;
  const { results } = products(
    adapted.map((i): Job => {
      const { b, scaling: scale } = adapterOf(layers, i);
      return { terms: [{ a: dys[i] as tf.Tensor2D, b, scale }] };
    }),
  );
  for (const [at, i] of adapted.entries()) dlows[i] = results[at] as tf.Tensor2D;
  return dlows;
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

const adapterOf = (layers: readonly GroupedLinear[], i: number) =>
  (layers[i] as GroupedLinear).adapter as NonNullable<GroupedLinear['adapter']>;
