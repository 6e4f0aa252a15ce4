// A branch of a layer normalised and added to the residual, and that sum normalised for the next branch (Gemma's norms on both sides).
// Not here: one norm (norm/norm.ts), where a model has them (engine/model/model.ts), the fused WGSL version (postNorm.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';
import type { normBackward, normForward } from '../norm/norm';
import type { PairOptions } from '../normPair/normPair';

export interface PostNormForward {
  sum: tf.Tensor2D; // residual + RMSNorm(branch)
  /** RMSNorm(sum), where a weight for it was given. */
  normed: tf.Tensor2D | null;
  /** rstd of branch and of sum. */
  saved: tf.Tensor[];
}

export interface PostNormBackward {
  dsum: tf.Tensor2D;
  /** Null where nothing was `normed`. */
  dnormed: tf.Tensor2D | null;
  branch: tf.Tensor2D;
  sum: tf.Tensor2D;
  weight: tf.Tensor1D;
  next: tf.Tensor1D | null;
  saved: tf.Tensor[];
  needs: { branch: boolean; residual: boolean; weight: boolean; next: boolean };
  /** Destinations of the weights' gradients. */
  to: { weight: Destination | null; next: Destination | null };
}

export interface PostNormGradients {
  branch: tf.Tensor2D | null;
  residual: tf.Tensor2D | null;
  weight: tf.Tensor1D | null;
  next: tf.Tensor1D | null;
}

export type PostNormForwardOp = (
  branch: tf.Tensor2D, // [N, D]
  residual: tf.Tensor2D, // [N, D]
  weight: tf.Tensor1D, // [D]
  next: tf.Tensor1D | null, // [D]
  options: PairOptions,
) => PostNormForward;
export type PostNormBackwardOp = (inputs: PostNormBackward, options: PairOptions) => PostNormGradients;

/** From single norms: the reference, and any backend that has a fast norm. */
export function composePostNorm(
  forward: typeof normForward,
  backward: typeof normBackward,
): { postNormForward: PostNormForwardOp; postNormBackward: PostNormBackwardOp } {
  return {
    postNormForward: (branch, residual, weight, next, pairOptions) => {
      const options = { ...pairOptions, kind: 'rms' } as const;
      const inner = forward(branch, weight, null, options);
      const sum = tf.add(residual, inner.y) as tf.Tensor2D;
      inner.y.dispose();
      if (next === null) return { sum, normed: null, saved: inner.saved };
      const outer = forward(sum, next, null, options);
      return { sum, normed: outer.y, saved: [...inner.saved, ...outer.saved] };
    },
    postNormBackward: ({ dsum, dnormed, branch, sum, weight, next, saved, needs, to }, pairOptions) => {
      const options = { ...pairOptions, kind: 'rms' } as const;
      let through = { dx: tf.clone(dsum), dweight: null as tf.Tensor1D | null };
      if (dnormed && next) {
        through.dx.dispose();
        const wanted = { dx: true, dweight: needs.next, dbias: false };
        const place = to.next && { weight: to.next, bias: null };
        const made = backward(dnormed, sum, next, saved.slice(1), options, wanted, place, dsum);
        through = { dx: made.dx as tf.Tensor2D, dweight: made.dweight };
      }
      const wanted = { dx: needs.branch, dweight: needs.weight, dbias: false };
      const place = to.weight && { weight: to.weight, bias: null };
      const inner = backward(through.dx, branch, weight, saved.slice(0, 1), options, wanted, place);
      if (!needs.residual) through.dx.dispose();
      return {
        branch: inner.dx,
        residual: needs.residual ? through.dx : null,
        weight: inner.dweight,
        next: through.dweight,
      };
    },
  };
}
