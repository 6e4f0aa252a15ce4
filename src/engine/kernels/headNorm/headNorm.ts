// The last norm and the cross-entropy behind it as one op, so that a fused version can normalise target rows only; made of norm and loss.
// Not here: the loss (crossEntropy/crossEntropy.ts), one norm (norm/norm.ts), the fused WGSL version (headNorm.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type {
  CrossEntropyOptions,
  CrossEntropyResult,
  crossEntropy,
  Targets,
} from '../crossEntropy/crossEntropy';
import type { NormDestinations, NormOptions, normBackward, normForward } from '../norm/norm';

/** The norm between the last layer and the head. */
export interface HeadNorm {
  weight: tf.Tensor1D; // [D]
  bias: tf.Tensor1D | null; // [D]
  options: NormOptions;
  needs: { dweight: boolean; dbias: boolean };
  /** Destinations of its parameters' gradients. */
  to: NormDestinations | null;
}

/** `dhidden` is the gradient of what comes before the norm. */
export interface NormedCrossEntropyResult extends CrossEntropyResult {
  dweight: tf.Tensor1D | null;
  dbias: tf.Tensor1D | null;
}

export type NormedCrossEntropyOp = (
  hidden: tf.Tensor2D, // [N, D]
  norm: HeadNorm,
  head: tf.Tensor2D, // [V, D]
  targets: Targets,
  options: CrossEntropyOptions,
) => NormedCrossEntropyResult;

export function composeNormedCrossEntropy(
  loss: typeof crossEntropy,
  forward: typeof normForward,
  backward: typeof normBackward,
): NormedCrossEntropyOp {
  return (hidden, { weight, bias, options: kind, needs, to }, head, targets, options) => {
    const { y, saved } = forward(hidden, weight, bias, kind);
    const result = loss(y, head, targets, options);
    const { dhidden } = result;
    const wanted = { ...needs, dx: true };
    const made = dhidden && backward(dhidden, hidden, weight, saved, kind, wanted, to);
    for (const t of [y, dhidden, ...saved]) t?.dispose();
    return {
      ...result,
      dhidden: made?.dx ?? null,
      dweight: made?.dweight ?? null,
      dbias: made?.dbias ?? null,
    };
  };
}
