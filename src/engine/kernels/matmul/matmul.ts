// Linear layers in plain tfjs: y = x·Wᵀ + b and its gradient, for both ways a checkpoint stores W.
// Not here: LoRA (engine/model/adapters.ts), the fused WGSL version (matmul.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';

/** How W is stored: [out, in] as in torch.nn.Linear, or [in, out] as in GPT-2's Conv1D. */
export type WeightLayout = 'out_in' | 'in_out';

/**
 * a·b with optional transposes, batched over leading dimensions.
 * tfjs's wasm backend has its fast (XNNPACK) path only without transposes, so there they are made first.
 */
export function product(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() => tf.matMul(transposeA ? swapLast(a) : a, transposeB ? swapLast(b) : b));
}

function swapLast(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, i) => i);
  const last = axes.length - 1;
  axes[last] = last - 1;
  axes[last - 1] = last;
  return tf.transpose(x, axes);
}

/** y = x·Wᵀ + bias. x [N, in], bias [out] or null → [N, out]. */
export function linearForward(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D | null,
  layout: WeightLayout,
): tf.Tensor2D {
  return tf.tidy(() => {
    const y = product(x, weight, false, layout === 'out_in'); // [N, out]
    return (bias ? tf.add(y, bias) : y) as tf.Tensor2D;
  });
}

export interface LinearGradients {
  dx: tf.Tensor2D | null;
  dweight: tf.Tensor2D | null;
  dbias: tf.Tensor1D | null;
}

/** Gradients of `linearForward`, only those in `needs`: dx = dy·W, dW = dyᵀ·x, db = Σ dy over rows. dy [N, out], x [N, in]. */
export function linearBackward(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  layout: WeightLayout,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
): LinearGradients {
  const dx = needs.dx ? (product(dy, weight, false, layout === 'in_out') as tf.Tensor2D) : null; // [N, in]
  const dweight = needs.dweight
    ? ((layout === 'out_in' ? product(dy, x, true, false) : product(x, dy, true, false)) as tf.Tensor2D)
    : null;
  const dbias = needs.dbias ? (tf.sum(dy, 0) as tf.Tensor1D) : null;
  return { dx, dweight, dbias };
}
