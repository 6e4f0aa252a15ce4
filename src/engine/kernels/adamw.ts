// AdamW and the global gradient norm in plain tfjs, one tensor at a time.
// Not here: state by name, schedule, clipping (engine/optimizer.ts), the fused WGSL version (adamw.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';

export interface AdamWStep {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled: p ← p·(1 − learningRate·weightDecay) before the Adam step. */
  weightDecay: number;
  /** Multiplies the gradient first: the clip coefficient. */
  gradientScale: number;
  /** 1-based count of updates, for the bias corrections. */
  count: number;
}

/** Sum of squares of all elements, a scalar. */
export function squaredNorm(gradient: tf.Tensor): tf.Scalar {
  return tf.tidy(() => tf.sum(tf.square(gradient)));
}

/** One AdamW update (Loshchilov & Hutter 2019, PyTorch's order of operations). Returns new tensors; the inputs stay. */
export function adamwStep(
  parameter: tf.Tensor,
  gradient: tf.Tensor,
  m: tf.Tensor,
  v: tf.Tensor,
  step: AdamWStep,
): { parameter: tf.Tensor; m: tf.Tensor; v: tf.Tensor } {
  return tf.tidy(() => {
    const g = step.gradientScale === 1 ? gradient : tf.mul(gradient, step.gradientScale);
    const nextM = tf.add(tf.mul(m, step.beta1), tf.mul(g, 1 - step.beta1));
    const nextV = tf.add(tf.mul(v, step.beta2), tf.mul(tf.square(g), 1 - step.beta2));
    const correction1 = 1 - step.beta1 ** step.count;
    const correction2 = 1 - step.beta2 ** step.count;
    const denominator = tf.add(tf.div(tf.sqrt(nextV), Math.sqrt(correction2)), step.epsilon);
    const move = tf.mul(tf.div(nextM, denominator), step.learningRate / correction1);
    const kept = step.weightDecay === 0 ? parameter : tf.mul(parameter, 1 - step.learningRate * step.weightDecay);
    return { parameter: tf.sub(kept, move), m: nextM, v: nextV };
  });
}
