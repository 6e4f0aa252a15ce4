// Linear layers that read one input (q, k and v; gate and up; or a single one), each with its LoRA adapter if it has one, and a residual.
// Not here: one plain layer (matmul/matmul.ts), which layers stand together (engine/model/model.ts), the fused WGSL version (linearGroup.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';
import type { linearBackward, linearForward, WeightLayout } from '../matmul/matmul';

/** One layer of the group: y = x·Wᵀ + bias + scaling·B·A·input (Hu et al. 2022). */
export interface GroupedLinear {
  weight: tf.Tensor2D;
  bias: tf.Tensor1D | null;
  /** `input` is x itself, or x after the adapter's dropout. a [r, in], b [out, r]. */
  adapter: { a: tf.Tensor2D; b: tf.Tensor2D; scaling: number; input: tf.Tensor2D } | null;
}

export interface LinearGroupForward {
  ys: tf.Tensor2D[]; // [N, out] each
  /** A·input of each adapter, saved for the backward pass. [N, r] */
  lows: (tf.Tensor2D | null)[];
}

/** Which gradients of one layer are made; `input` only where the adapter reads something else than x. */
export interface GroupedNeeds {
  weight: boolean;
  bias: boolean;
  a: boolean;
  b: boolean;
  input: boolean;
}

export interface GroupedGradients {
  weight: tf.Tensor2D | null;
  bias: tf.Tensor1D | null;
  a: tf.Tensor2D | null;
  b: tf.Tensor2D | null;
  input: tf.Tensor2D | null;
}

export interface LinearGroupGradients {
  dx: tf.Tensor2D | null;
  layers: GroupedGradients[];
}

export interface LinearGroupBackward {
  /** Gradients of `ys`. */
  dys: readonly tf.Tensor2D[];
  x: tf.Tensor2D;
  layers: readonly GroupedLinear[];
  lows: readonly (tf.Tensor2D | null)[];
  layout: WeightLayout;
  needs: { dx: boolean; layers: readonly GroupedNeeds[] };
  /** Destinations of the parameters' gradients, layer by layer. */
  to: readonly {
    weight: Destination | null;
    bias: Destination | null;
    a: Destination | null;
    b: Destination | null;
  }[];
  /** A gradient of x from elsewhere, added to dx; the caller disposes it. */
  before: tf.Tensor2D | null;
}

export type LinearGroupForwardOp = (
  x: tf.Tensor2D,
  layers: readonly GroupedLinear[],
  layout: WeightLayout,
  residual: tf.Tensor2D | null,
) => LinearGroupForward;
export type LinearGroupBackwardOp = (inputs: LinearGroupBackward) => LinearGroupGradients;

/** The group from single layers: the reference, and any backend that has a fast layer. `residual` [N, out] is added, for a group of one layer. */
export function composeLinearGroup(
  forward: typeof linearForward,
  backward: typeof linearBackward,
): { linearGroupForward: LinearGroupForwardOp; linearGroupBackward: LinearGroupBackwardOp } {
  return {
    linearGroupForward: (x, layers, layout, residual) => {
      const made = layers.map(({ weight, bias, adapter }) => {
        const low = adapter && forward(adapter.input, adapter.a, null, 'out_in'); // [N, r]
        const y = tf.tidy(() => {
          let sum = forward(x, weight, bias, layout);
          if (adapter && low) {
            const scaled = tf.mul(low, adapter.scaling) as tf.Tensor2D;
            sum = tf.add(sum, forward(scaled, adapter.b, null, 'out_in'));
          }
          return residual ? (tf.add(sum, residual) as tf.Tensor2D) : sum;
        });
        return { y, low };
      });
      return { ys: made.map((m) => m.y), lows: made.map((m) => m.low) };
    },

    linearGroupBackward: ({ dys, x, layers, lows, layout, needs, before }) => {
      let dx: tf.Tensor2D | null = before && needs.dx ? tf.clone(before) : null;
      const addToDx = (part: tf.Tensor2D | null) => {
        if (part === null) return;
        if (dx === null) dx = part;
        else {
          const sum = tf.add(dx, part) as tf.Tensor2D;
          tf.dispose([dx, part]);
          dx = sum;
        }
      };
      const gradients = layers.map(({ weight, bias, adapter }, i): GroupedGradients => {
        const dy = dys[i] as tf.Tensor2D;
        const need = needs.layers[i] as GroupedNeeds;
        const own = { dx: needs.dx, dweight: need.weight, dbias: need.bias && bias !== null };
        const made = backward(dy, x, weight, layout, own);
        addToDx(made.dx);
        const result: GroupedGradients = {
          weight: made.dweight,
          bias: made.dbias,
          a: null,
          b: null,
          input: null,
        };
        if (!adapter) return result;
        const { a, b, scaling, input } = adapter;
        const low = lows[i] as tf.Tensor2D;
        const up = backward(dy, low, b, 'out_in', { dx: true, dweight: need.b, dbias: false });
        const dlow = tf.mul(up.dx as tf.Tensor2D, scaling) as tf.Tensor2D;
        result.b = up.dweight && tf.mul(up.dweight, scaling);
        tf.dispose([up.dx as tf.Tensor2D, ...(up.dweight ? [up.dweight] : [])]);
        const wantsInput = input === x ? needs.dx : need.input;
        const down = backward(dlow, input, a, 'out_in', { dx: wantsInput, dweight: need.a, dbias: false });
        dlow.dispose();
        result.a = down.dweight;
        if (input === x) addToDx(down.dx);
        else result.input = down.dx;
        return result;
      });
      return { dx, layers: gradients };
    },
  };
}
