// The existing tensor that a backward kernel writes a parameter's gradient into, instead of allocating one.
// Not here: who keeps such tensors (webgpu/gradientBank.wgsl.ts), which op fills which (engine/model/ops.ts).

import type * as tf from '@tensorflow/tfjs-core';

/**
 * A tensor that is to receive a gradient. A kernel that writes there returns this very tensor; one that cannot returns a new tensor, which the
 * caller then adds. Parameters alone have destinations: their gradient is a sum over uses and micro-batches, so it is kept in one place
 * for the whole update, and `add` says whether something of this update is in it already. The gradient of an activation belongs to one
 * micro-batch and is freed in the middle of the backward pass, so it is always a tensor of its own.
 */
export interface Destination {
  tensor: tf.Tensor;
  /** Add to what the tensor holds, else overwrite it. */
  add: boolean;
  /** The larger tensor of which it is a part, and its first element there: a kernel with many results binds the larger one once. */
  within?: { tensor: tf.Tensor; start: number };
}
