// Fused q|k|v projections split, and joined for the backward pass, in plain tfjs.
// Not here: the projection (linearGroup/linearGroup.ts), attention (attention/attention.ts), the fused WGSL version (qkvSplit.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';

/** gpt2: all of q, then all of k, then all of v. gpt_neox: q, k and v of one head beside each other, head after head. */
export type QkvOrder = 'gpt2' | 'gpt_neox';

/** x [N, 3·heads·headDim] → q, k, v [N, heads·headDim]. */
export function qkvSplit(x: tf.Tensor2D, heads: number, headDim: number, order: QkvOrder): tf.Tensor2D[] {
  const rows = x.shape[0];
  return tf.tidy(() => {
    const apart =
      order === 'gpt2'
        ? tf.reshape(x, [rows, 3, heads * headDim])
        : tf.transpose(tf.reshape(x, [rows, heads, 3, headDim]), [0, 2, 1, 3]);
    return [0, 1, 2].map((part) => {
      const begin = [0, part, ...(order === 'gpt2' ? [0] : [0, 0])];
      const size = [rows, 1, ...(order === 'gpt2' ? [heads * headDim] : [heads, headDim])];
      return tf.reshape(tf.slice(apart, begin, size), [rows, heads * headDim]) as tf.Tensor2D;
    });
  });
}

/** Gradients of q, k, v [N, heads·headDim] → that of x [N, 3·heads·headDim]. */
export function qkvJoin(
  parts: readonly tf.Tensor2D[],
  heads: number,
  headDim: number,
  order: QkvOrder,
): tf.Tensor2D {
  const rows = (parts[0] as tf.Tensor2D).shape[0];
  return tf.tidy(() => {
    if (order === 'gpt2') return tf.concat([...parts], 1);
    const apart = parts.map((p) => tf.reshape(p, [rows, heads, 1, headDim]));
    return tf.reshape(tf.concat(apart, 2), [rows, 3 * heads * headDim]) as tf.Tensor2D;
  });
}
