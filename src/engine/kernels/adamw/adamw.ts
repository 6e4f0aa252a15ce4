// AdamW and the global gradient norm in plain tfjs.
// Not here: state by name, schedule, clipping (engine/training/optimizer.ts), the WGSL version over whole banks (webgpu/gradientBank.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';

export interface AdamWStep {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Multiplies the gradient first: the clip coefficient. */
  gradientScale: number;
  /** 1-based count of updates, for the bias corrections. */
  count: number;
}

/** One tensor of an update with its moments; all four of one shape. */
export interface AdamWItem {
  parameter: tf.Tensor;
  gradient: tf.Tensor;
  m: tf.Tensor;
  v: tf.Tensor;
  /** Decoupled: p ← p·(1 − learningRate·weightDecay) before the Adam step. 0 for biases and norms. */
  weightDecay: number;
}

export type AdamWResult = Pick<AdamWItem, 'parameter' | 'm' | 'v'>;

/** √Σg² over all gradients, a scalar. */
export function globalNorm(gradients: readonly tf.Tensor[]): tf.Scalar {
  return tf.tidy(() => {
    const squares = gradients.map((g) => tf.sum(tf.square(g)));
    // Stacked rather than addN: on WebGPU that binds every input at once, and a stage has ten storage buffers.
    return tf.sqrt(tf.sum(tf.stack(squares))) as tf.Scalar;
  });
}

/**
 * One AdamW update (Loshchilov & Hutter 2019, PyTorch's order of operations) of all items: m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g²,
 * p ← p·(1 − lr·weightDecay) − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
 * Returns new tensors here; a version that writes in place returns the item's own. The caller disposes what was replaced.
 */
export function adamwUpdate(items: readonly AdamWItem[], step: AdamWStep): AdamWResult[] {
  const correction1 = 1 - step.beta1 ** step.count;
  const correction2 = 1 - step.beta2 ** step.count;
  return items.map(({ parameter, gradient, m, v, weightDecay }) =>
    tf.tidy(() => {
      const g = step.gradientScale === 1 ? gradient : tf.mul(gradient, step.gradientScale);
      const nextM = tf.add(tf.mul(m, step.beta1), tf.mul(g, 1 - step.beta1));
      const nextV = tf.add(tf.mul(v, step.beta2), tf.mul(tf.square(g), 1 - step.beta2));
      const denominator = tf.add(tf.div(tf.sqrt(nextV), Math.sqrt(correction2)), step.epsilon);
      const move = tf.mul(tf.div(nextM, denominator), step.learningRate / correction1);
      const kept = weightDecay === 0 ? parameter : tf.mul(parameter, 1 - step.learningRate * weightDecay);
      return { parameter: tf.sub(kept, move), m: nextM, v: nextV };
    }),
  );
}
