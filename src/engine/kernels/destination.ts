// Where a backward pass puts the gradient of a parameter, when it need not make a tensor of its own.
// Not here: who keeps such tensors (webgpu/gradientBank.wgsl.ts), which op fills which (model/ops.ts).

import type * as tf from '@tensorflow/tfjs-core';

/**
 * A tensor that exists and is to receive a gradient: over what it holds, or added to it. A kernel that writes there returns this very
 * tensor; one that cannot returns a new one, and whoever asked adds it up.
 */
export interface Destination {
  tensor: tf.Tensor;
  add: boolean;
  /** The larger tensor it is part of, and its first element there: a kernel with many results binds that one once. */
  within?: { tensor: tf.Tensor; start: number };
}
