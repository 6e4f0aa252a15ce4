// Linear layers of one input on WebGPU: all of them in one dispatch each way, adapters as further terms of the same sums.
// Not here: the product itself (matmul.wgsl.ts), the plain reference (linearGroup.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from './destination';
import type {
  GroupedGradients,
  GroupedLinear,
  GroupedNeeds,
  LinearGroupBackward,
  LinearGroupForward,
  LinearGroupGradients,
} from './linearGroup';
import type { LinearGradients, WeightLayout } from './matmul';
import { type Job, products, type Transposes } from './matmul.wgsl';

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
  const lows = new Array<tf.Tensor2D | null>(layers.length).fill(null);
  const adapted = indices(layers, (l) => l.adapter !== null);
  if (adapted.length > 0) {
    const jobs = adapted.map((i): Job => {
      const { a, input } = adapterOf(layers, i);
      return { terms: [{ a: input, b: a }] };
    });
    const { results } = products(jobs, [{ a: false, b: true }]);
    for (const [at, i] of adapted.entries()) lows[i] = results[at] as tf.Tensor2D;
  }
  const ys = new Array<tf.Tensor2D>(layers.length);
  const own = { a: false, b: layout === 'out_in' };
  eachKind(layers, (some, hasAdapter) => {
    const jobs = some.map((i): Job => {
      const { weight, bias } = layers[i] as GroupedLinear;
      const terms: Job['terms'][number][] = [{ a: x, b: weight }];
      if (hasAdapter) {
        const { b, scaling } = adapterOf(layers, i);
        terms.push({ a: lows[i] as tf.Tensor2D, b, scale: scaling });
      }
      return { terms, bias, residual };
    });
    const { results } = products(jobs, hasAdapter ? [own, { a: false, b: true }] : [own]);
    for (const [at, i] of some.entries()) ys[i] = results[at] as tf.Tensor2D;
  });
  return { ys, lows };
}

/**
 * `linearGroupBackward`: one dispatch for dx, a sum over all layers; one for the gradients of the weights, which makes those of the
 * biases on the way; with adapters one each for A·input, B and A.
 */
export function linearGroupBackwardFused(inputs: LinearGroupBackward): LinearGroupGradients {
  const { dys, x, layers, layout, needs, to, before } = inputs;
  const outIn = layout === 'out_in';
  const gradients = layers.map(
    (): GroupedGradients => ({ weight: null, bias: null, a: null, b: null, input: null }),
  );
  const dlows = adapterGradients(inputs, gradients);

  let dx: tf.Tensor2D | null = null;
  if (needs.dx) {
    const terms = layers.map(({ weight }, i) => ({ a: dys[i] as tf.Tensor2D, b: weight }));
    const transposes: Transposes[] = layers.map(() => ({ a: false, b: !outIn }));
    for (const [i, { adapter }] of layers.entries()) {
      if (adapter === null || adapter.input !== x) continue;
      terms.push({ a: dlows[i] as tf.Tensor2D, b: adapter.a });
      transposes.push({ a: false, b: false });
    }
    dx = products([{ terms, residual: before }], transposes).results[0] as tf.Tensor2D;
  }
  const apart = indices(
    layers,
    (l, i) => l.adapter !== null && l.adapter.input !== x && needOf(needs, i).input,
  );
  if (apart.length > 0) {
    const jobs = apart.map(
      (i): Job => ({ terms: [{ a: dlows[i] as tf.Tensor2D, b: adapterOf(layers, i).a }] }),
    );
    const { results } = products(jobs, [{ a: false, b: false }]);
    for (const [at, i] of apart.entries()) gradient(gradients, i).input = results[at] as tf.Tensor2D;
  }
  tf.dispose(dlows.filter((d) => d !== null));

  const learned = indices(layers, (_, i) => needOf(needs, i).weight);
  for (const some of alike(
    learned,
    (i) => `${needOf(needs, i).bias}${adds(to[i]?.weight)}${adds(to[i]?.bias)}`,
  )) {
    const jobs = some.map((i): Job => {
      const dy = dys[i] as tf.Tensor2D;
      const terms = [outIn ? { a: dy, b: x } : { a: x, b: dy }];
      return { terms, to: to[i]?.weight ?? null, sumTo: to[i]?.bias ?? null };
    });
    const withBias = needOf(needs, some[0] as number).bias;
    const made = products(jobs, [{ a: true, b: false }], {
      sums: withBias ? (outIn ? 'a' : 'b') : 'none',
    });
    for (const [at, i] of some.entries()) {
      gradient(gradients, i).weight = made.results[at] as tf.Tensor2D;
      if (withBias) gradient(gradients, i).bias = made.sums[at] as tf.Tensor1D;
    }
  }
  for (const i of indices(layers, (_, i) => !needOf(needs, i).weight && needOf(needs, i).bias)) {
    gradient(gradients, i).bias = tf.sum(dys[i] as tf.Tensor2D, 0) as tf.Tensor1D;
  }
  return { dx, layers: gradients };
}

/** Gradients of B and A of every adapter; returns scaling·dy·B [N, r], which dx reads too. */
function adapterGradients(
  { dys, layers, lows, needs, to }: LinearGroupBackward,
  gradients: GroupedGradients[],
): (tf.Tensor2D | null)[] {
  const dlows = new Array<tf.Tensor2D | null>(layers.length).fill(null);
  const adapted = indices(layers, (l) => l.adapter !== null);
  if (adapted.length === 0) return dlows;
  const scaled = (i: number, a: tf.Tensor2D, b: tf.Tensor2D) => [
    { a, b, scale: adapterOf(layers, i).scaling },
  ];
  const made = products(
    adapted.map((i): Job => ({ terms: scaled(i, dys[i] as tf.Tensor2D, adapterOf(layers, i).b) })),
    [{ a: false, b: false }],
  );
  for (const [at, i] of adapted.entries()) dlows[i] = made.results[at] as tf.Tensor2D;
  const learned = (part: 'a' | 'b', job: (i: number) => Job['terms']) => {
    const wanted = adapted.filter((i) => needOf(needs, i)[part]);
    for (const some of alike(wanted, (i) => adds(to[i]?.[part]))) {
      const jobs = some.map((i): Job => ({ terms: job(i), to: to[i]?.[part] ?? null }));
      const { results } = products(jobs, [{ a: true, b: false }]);
      for (const [at, i] of some.entries()) gradient(gradients, i)[part] = results[at] as tf.Tensor2D;
    }
  };
  learned('b', (i) => scaled(i, dys[i] as tf.Tensor2D, lows[i] as tf.Tensor2D));
  learned('a', (i) => [{ a: dlows[i] as tf.Tensor2D, b: adapterOf(layers, i).input }]);
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

// ───────────────────────────── lists of layers ─────────────────────────────

function indices<T>(items: readonly T[], wanted: (item: T, i: number) => boolean): number[] {
  return [...items.keys()].filter((i) => wanted(items[i] as T, i));
}

/** Layers with an adapter have two terms, the others one: each kind is a dispatch. */
function eachKind(
  layers: readonly GroupedLinear[],
  visit: (some: number[], hasAdapter: boolean) => void,
): void {
  for (const hasAdapter of [true, false]) {
    const some = indices(layers, (l) => (l.adapter !== null) === hasAdapter);
    if (some.length > 0) visit(some, hasAdapter);
  }
}

/** Groups of one key, since the jobs of a dispatch are all made alike. */
function alike(items: readonly number[], keyOf: (i: number) => string): number[][] {
  const groups = new Map<string, number[]>();
  for (const i of items) {
    const key = keyOf(i);
    groups.set(key, [...(groups.get(key) ?? []), i]);
  }
  return [...groups.values()];
}

const adds = (to: Destination | null | undefined) => String(to?.add ?? false);
const needOf = (needs: LinearGroupBackward['needs'], i: number) => needs.layers[i] as GroupedNeeds;
const gradient = (gradients: GroupedGradients[], i: number) => gradients[i] as GroupedGradients;
const adapterOf = (layers: readonly GroupedLinear[], i: number) =>
  (layers[i] as GroupedLinear).adapter as NonNullable<GroupedLinear['adapter']>;
