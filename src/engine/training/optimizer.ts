// AdamW over named tensors: moments by name, weight decay, learning-rate schedule, global-norm clipping.
// Not here: the update of one tensor (kernels/adamw/adamw.ts), gradients (model/tape.ts), the same on a bank of GPU buffers (kernels/webgpu/gradientBank.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Hyperparameters } from '../../hyperparameters';
import { type AdamWItem, adamwUpdate, globalNorm } from '../kernels';

/** Whether weight decay applies: not to biases and norm gains (all that is one-dimensional), as in Hugging Face's Trainer. */
export function decays(name: string, tensor: tf.Tensor): boolean {
  return tensor.rank > 1 && !name.endsWith('.bias');
}

/**
 * Share of the peak learning rate at update `step` (0-based) of `totalSteps`.
 * Warm-up counts (s + 1)/warm-up, so that the first update of a short run does something; then cosine, linear or constant.
 */
export function scheduleFactor(
  { lr_scheduler_type: kind, warmup_ratio }: Pick<Hyperparameters, 'lr_scheduler_type' | 'warmup_ratio'>,
  step: number,
  totalSteps: number,
): number {
  const warmup = warmup_ratio > 0 ? Math.max(1, Math.round(warmup_ratio * totalSteps)) : 0;
  if (step < warmup) return (step + 1) / warmup;
  const progress = (step - warmup) / Math.max(1, totalSteps - warmup);
  if (kind === 'cosine') return 0.5 * (1 + Math.cos(Math.PI * progress));
  if (kind === 'linear') return 1 - progress;
  return 1;
}

/** PyTorch's clip_grad_norm_: min(1, max / (norm + 1e-6)); max 0 switches it off. */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
}

/** Moments of the parameters that have received a gradient, and how many updates were made. */
export interface OptimizerState {
  count: number;
  /** By parameter name, in the parameter's shape. */
  moments: Map<string, { m: Float32Array; v: Float32Array }>;
}

export class AdamW {
  readonly #moments = new Map<string, { m: tf.Tensor; v: tf.Tensor }>();
  #count = 0;

  /** Read from the device. */
  async state(): Promise<OptimizerState> {
    const moments: OptimizerState['moments'] = new Map();
    for (const [name, { m, v }] of this.#moments) {
      const [first, second] = await Promise.all([m.data(), v.data()]);
      moments.set(name, { m: first as Float32Array, v: second as Float32Array });
    }
    return { count: this.#count, moments };
  }

  /** Replaces moments and count. @param parameters for their shapes */
  restore({ count, moments }: OptimizerState, parameters: ReadonlyMap<string, tf.Tensor>): void {
    this.dispose();
    this.#count = count;
    for (const [name, { m, v }] of moments) {
      const { shape } = parameters.get(name) as tf.Tensor;
      this.#moments.set(name, { m: tf.tensor(m, shape, 'float32'), v: tf.tensor(v, shape, 'float32') });
    }
  }

  /** Updates made so far. */
  get count(): number {
    return this.#count;
  }

  /** Global L2 norm over all gradients. One readback. */
  async gradientNorm(gradients: ReadonlyMap<string, tf.Tensor>): Promise<number> {
    const total = globalNorm([...gradients.values()]);
    const [norm] = await total.data();
    total.dispose();
    return norm as number;
  }

  /** One update of every tensor that has a gradient. Replaces entries of `parameters` and frees the old ones; gradients stay. */
  update(
    parameters: Map<string, tf.Tensor>,
    gradients: ReadonlyMap<string, tf.Tensor>,
    h: Hyperparameters,
    learningRate: number,
    gradientScale: number,
  ): void {
    this.#count += 1;
    const names = [...gradients.keys()];
    const items = names.map((name): AdamWItem => {
      const parameter = parameters.get(name) as tf.Tensor;
      const moments = this.#moments.get(name) ?? { m: tf.zerosLike(parameter), v: tf.zerosLike(parameter) };
      const gradient = gradients.get(name) as tf.Tensor;
      return { parameter, gradient, ...moments, weightDecay: decays(name, parameter) ? h.weight_decay : 0 };
    });
    const results = adamwUpdate(items, {
      learningRate,
      beta1: h.adam_beta1,
      beta2: h.adam_beta2,
      epsilon: h.adam_epsilon,
      gradientScale,
      count: this.#count,
    });
    results.forEach((after, i) => {
      const before = items[i] as AdamWItem;
      const name = names[i] as string;
      parameters.set(name, after.parameter);
      this.#moments.set(name, { m: after.m, v: after.v });
      for (const part of ['parameter', 'm', 'v'] as const) {
        if (after[part] !== before[part]) before[part].dispose();
      }
    });
  }

  dispose(): void {
    for (const { m, v } of this.#moments.values()) {
      m.dispose();
      v.dispose();
    }
    this.#moments.clear();
  }
}
