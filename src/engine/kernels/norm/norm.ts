// RMSNorm and LayerNorm in plain tfjs, forward and backward over rows.
// Not here: where a model puts its norms (engine/model/model.ts), the fused WGSL version (norm.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../destination';

export interface NormOptions {
  kind: 'rms' | 'layer';
  epsilon: number;
  /** Gemma multiplies by (1 + weight). */
  addOne: boolean;
}

export interface NormForward {
  y: tf.Tensor2D;
  /** Row statistics for the backward pass: rstd [N, 1] and, for LayerNorm, mean [N, 1]. */
  saved: tf.Tensor[];
}

/**
 * y = (x − [mean x]) · rstd · gain [+ bias] by row, rstd = 1 / √(mean((x − [mean x])²) + epsilon); the mean only in LayerNorm.
 * x [N, D], weight [D], bias [D] or null → y [N, D]. RMSNorm: Zhang & Sennrich 2019; LayerNorm: Ba et al. 2016.
 */
export function normForward(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D | null,
  options: NormOptions,
): NormForward {
  const [y, rstd, mean] = tf.tidy(() => {
    const gain = options.addOne ? tf.add(weight, 1) : weight;
    const mean = options.kind === 'layer' ? tf.mean(x, 1, true) : null; // [N, 1]
    const centred = mean ? tf.sub(x, mean) : x;
    const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), options.epsilon)); // [N, 1]
    const scaled = tf.mul(tf.mul(centred, rstd), gain);
    const y = (bias ? tf.add(scaled, bias) : scaled) as tf.Tensor2D;
    return mean ? [y, rstd, mean] : [y, rstd];
  }) as [tf.Tensor2D, tf.Tensor, tf.Tensor | undefined];
  return { y, saved: mean ? [rstd, mean] : [rstd] };
}

export interface NormGradients {
  dx: tf.Tensor2D | null;
  dweight: tf.Tensor1D | null;
  dbias: tf.Tensor1D | null;
}

/** Destinations of the gradients of a norm's parameters. */
export interface NormDestinations {
  weight: Destination | null;
  bias: Destination | null;
}

/**
 * Gradients of `normForward`, only those asked for. With x̂ the normalised row and g = dy·gain: dx = rstd·(g − [mean(g)] − x̂·mean(g·x̂)).
 * `before` [N, D] is a gradient of x from elsewhere (the residual connection), added to dx. The reference does not use `to`.
 */
export function normBackward(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  saved: tf.Tensor[],
  options: NormOptions,
  needs: { dx: boolean; dweight: boolean; dbias: boolean },
  _to: NormDestinations | null = null,
  before: tf.Tensor2D | null = null,
): NormGradients {
  const [rstd, mean] = saved as [tf.Tensor, tf.Tensor | undefined];
  return tf.tidy(() => {
    const normalised = tf.mul(mean ? tf.sub(x, mean) : x, rstd); // [N, D]
    let dx: tf.Tensor2D | null = null;
    if (needs.dx) {
      const g = tf.mul(dy, options.addOne ? tf.add(weight, 1) : weight);
      const along = tf.mul(normalised, tf.mean(tf.mul(g, normalised), 1, true));
      const rest = mean ? tf.sub(tf.sub(g, tf.mean(g, 1, true)), along) : tf.sub(g, along);
      dx = tf.mul(rest, rstd) as tf.Tensor2D;
      if (before) dx = tf.add(dx, before);
    }
    const dweight = needs.dweight ? (tf.sum(tf.mul(dy, normalised), 0) as tf.Tensor1D) : null;
    const dbias = needs.dbias ? (tf.sum(dy, 0) as tf.Tensor1D) : null;
    return { dx, dweight, dbias } as unknown as tf.TensorContainer;
  }) as unknown as NormGradients;
}
