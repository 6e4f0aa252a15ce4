// Two RMSNorms of different inputs side by side (the heads of q and of k), made of single norms.
// Not here: one norm (norm/norm.ts), which heads have one (engine/model/model.ts), the fused WGSL version (normPair.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';
import type { NormOptions, normBackward, normForward } from '../norm/norm';

export type PairOptions = Omit<NormOptions, 'kind'>;

/** One of the two; the numbers of rows may differ, and the widths too. */
export interface NormSide {
  x: tf.Tensor2D; // [N, D]
  weight: tf.Tensor1D; // [D]
}

/** One of the two in the backward pass. */
export interface NormSideBack extends NormSide {
  dy: tf.Tensor2D;
  /** What the forward of this side saved. */
  saved: tf.Tensor[];
  needs: { dx: boolean; dweight: boolean };
  /** Destination of the weight's gradient. */
  to: Destination | null;
}

export interface NormSideGradients {
  dx: tf.Tensor2D | null;
  dweight: tf.Tensor1D | null;
}

export type Both<T> = readonly [T, T];
export type NormPairForwardOp = (
  sides: Both<NormSide>,
  options: PairOptions,
) => Both<{ y: tf.Tensor2D; saved: tf.Tensor[] }>;
export type NormPairBackwardOp = (sides: Both<NormSideBack>, options: PairOptions) => Both<NormSideGradients>;

export const mapBoth = <T, R>([a, b]: Both<T>, f: (side: T, i: 0 | 1) => R): Both<R> => [f(a, 0), f(b, 1)];

/** The pair from single norms: the reference, and any backend that has a fast norm. */
export function composeNormPair(
  forward: typeof normForward,
  backward: typeof normBackward,
): { normPairForward: NormPairForwardOp; normPairBackward: NormPairBackwardOp } {
  return {
    normPairForward: (sides, options) =>
      mapBoth(sides, ({ x, weight }) => forward(x, weight, null, { ...options, kind: 'rms' })),
    normPairBackward: (sides, options) =>
      mapBoth(sides, ({ dy, x, weight, saved, needs, to }) => {
        const place = to && { weight: to, bias: null };
        const all = { ...needs, dbias: false };
        const { dx, dweight } = backward(dy, x, weight, saved, { ...options, kind: 'rms' }, all, place);
        return { dx, dweight };
      }),
  };
}
