// The MLP's non-linearity in plain tfjs: act(gate)·up, or act(x) alone, forward and backward.
// Not here: the projections around it (engine/model/model.ts), the fused WGSL version (activation.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';

export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu';

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

/** Value of the activation, elementwise. `gelu` uses erf; `gelu_tanh` is the approximation of Hendrycks & Gimpel 2016. */
function activate(x: tf.Tensor, activation: Activation): tf.Tensor {
  switch (activation) {
    case 'silu':
      return tf.mul(x, tf.sigmoid(x));
    case 'gelu':
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
    case 'gelu_tanh':
      return tf.mul(tf.mul(x, 0.5), tf.add(geluTanh(x), 1));
    case 'relu':
      return tf.relu(x);
  }
}

/** tanh(√(2/π)·(x + 0.044715·x³)), its argument clamped: WGSL's tanh may return NaN beyond ±88. */
function geluTanh(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(tf.mul(x, tf.add(tf.mul(tf.square(x), GELU_CUBIC), 1)), SQRT_2_OVER_PI);
  return tf.tanh(tf.clipByValue(inner, -15, 15));
}

/** Derivative of the activation at x, elementwise. */
function slope(x: tf.Tensor, activation: Activation): tf.Tensor {
  switch (activation) {
    case 'silu': {
      const s = tf.sigmoid(x);
      return tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1));
    }
    case 'gelu': {
      const cumulative = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return tf.add(cumulative, tf.mul(x, density));
    }
    case 'gelu_tanh': {
      const t = geluTanh(x);
      const inner = tf.mul(tf.add(tf.mul(tf.square(x), 3 * GELU_CUBIC), 1), SQRT_2_OVER_PI);
      const rise = tf.mul(tf.mul(tf.mul(x, 0.5), tf.sub(1, tf.square(t))), inner);
      return tf.add(tf.mul(tf.add(t, 1), 0.5), rise);
    }
    case 'relu':
      return tf.step(x);
  }
}

/** act(gate)·up. gate, up [N, F] → [N, F]; without `up`, act(gate). */
export function activationForward(
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): tf.Tensor2D {
  return tf.tidy(() => {
    const y = activate(gate, activation);
    return (up ? tf.mul(y, up) : y) as tf.Tensor2D;
  });
}

/** Gradients of `activationForward`. dy [N, F]. */
export function activationBackward(
  dy: tf.Tensor2D,
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): { dgate: tf.Tensor2D; dup: tf.Tensor2D | null } {
  return tf.tidy(() => {
    const dup = up ? (tf.mul(dy, activate(gate, activation)) as tf.Tensor2D) : null;
    const through = up ? tf.mul(dy, up) : dy;
    return {
      dgate: tf.mul(through, slope(gate, activation)) as tf.Tensor2D,
      dup,
    } as unknown as tf.TensorContainer;
  }) as unknown as { dgate: tf.Tensor2D; dup: tf.Tensor2D | null };
}
