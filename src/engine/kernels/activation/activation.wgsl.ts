// The MLP's non-linearity on WebGPU: act(gate)·up or act(x), one dispatch forward and one backward.
// Not here: the plain reference (activation.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { type Kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import type { Activation } from './activation';

/**
 * WGSL: `fn act(x)` and its derivative `fn slope(x)`. erf after Abramowitz & Stegun 7.1.26 (absolute error 1.5e-7); the argument of tanh is clamped,
 * because WGSL's may return NaN beyond ±88.
 */
export function activationFunctions(activation: Activation): string {
  switch (activation) {
    case 'silu':
      return `
fn act(x: f32) -> f32 { return x / (1.0 + exp(-x)); }
fn slope(x: f32) -> f32 { let s = 1.0 / (1.0 + exp(-x)); return s * (1.0 + x * (1.0 - s)); }`;
    case 'gelu':
      return `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - p * exp(-x * x));
}
fn act(x: f32) -> f32 { return 0.5 * x * (1.0 + erf(x * 0.70710678118654752)); }
fn slope(x: f32) -> f32 {
  return 0.5 * (1.0 + erf(x * 0.70710678118654752)) + x * exp(-0.5 * x * x) * 0.39894228040143268;
}`;
    case 'gelu_tanh':
      return `
fn bend(x: f32) -> f32 { return tanh(clamp(0.79788456080286536 * x * (1.0 + 0.044715 * x * x), -15.0, 15.0)); }
fn act(x: f32) -> f32 { return 0.5 * x * (1.0 + bend(x)); }
fn slope(x: f32) -> f32 {
  let t = bend(x);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.79788456080286536 * (1.0 + 0.134145 * x * x);
}`;
    case 'relu':
      return `
fn act(x: f32) -> f32 { return max(x, 0.0); }
fn slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0); }`;
  }
}

const THREADS = 256;

/** `gated`: the result is act(gate)·up, else act(gate). */
interface Settings {
  activation: Activation;
  gated: boolean;
}

// Elementwise: a thread an element, nothing kept between the passes; backward computes act again from the gate.

const forward = variants(({ activation, gated }: Settings) => ({
  name: programName('activation_forward', { activation, gated }),
  inputs: { gate: 'f32', ...(gated ? { up: 'f32' as const } : {}) },
  outputs: { y: 'f32' },
  uniforms: { size: 'u32' },
  workgroup: THREADS,
  declare: activationFunctions(activation),
  body: `
  let i = group * ${THREADS}u + thread;
  if (i < u.size) { y[i] = act(gate[i])${gated ? ' * up[i]' : ''}; }`,
}));

const backward = variants(({ activation, gated }: Settings) => ({
  name: programName('activation_backward', { activation, gated }),
  inputs: { dy: 'f32', gate: 'f32', ...(gated ? { up: 'f32' as const } : {}) },
  outputs: { dgate: 'f32', ...(gated ? { dup: 'f32' as const } : {}) },
  uniforms: { size: 'u32' },
  workgroup: THREADS,
  declare: activationFunctions(activation),
  body: `
  let i = group * ${THREADS}u + thread;
  if (i < u.size) {
    let x = gate[i];
    ${gated ? 'dup[i] = dy[i] * act(x);' : ''}
    dgate[i] = dy[i] * slope(x)${gated ? ' * up[i]' : ''};
  }`,
}));

/** `activationForward` in one dispatch. gate, up [N, F] → [N, F]. */
export function activationForwardFused(
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): tf.Tensor2D {
  const y = empty<tf.Tensor2D>(gate.shape);
  const program = forward({ activation, gated: up !== null }) as Kernel;
  dispatch(program, { gate, ...(up ? { up } : {}), y }, { size: gate.size }, Math.ceil(gate.size / THREADS));
  return y;
}

/** `activationBackward` in one dispatch. */
export function activationBackwardFused(
  dy: tf.Tensor2D,
  gate: tf.Tensor2D,
  up: tf.Tensor2D | null,
  activation: Activation,
): { dgate: tf.Tensor2D; dup: tf.Tensor2D | null } {
  const dgate = empty<tf.Tensor2D>(gate.shape);
  const dup = up ? empty<tf.Tensor2D>(gate.shape) : null;
  const tensors = { dy, gate, ...(up ? { up } : {}), dgate, ...(dup ? { dup } : {}) };
  const program = backward({ activation, gated: up !== null }) as Kernel;
  dispatch(program, tensors, { size: gate.size }, Math.ceil(gate.size / THREADS));
  return { dgate, dup };
}
