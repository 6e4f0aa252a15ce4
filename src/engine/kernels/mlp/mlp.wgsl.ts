// An MLP's layers around its activation on WebGPU: the activation is the epilogue of the product before it, forward and backward.
// Not here: the product (matmul/matmul.wgsl.ts), the plain reference (mlp.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Activation } from '../activation/activation';
import { activationBackwardFused, activationForwardFused } from '../activation/activation.wgsl';
import type { GroupedGradients, GroupedLinear } from '../linearGroup/linearGroup';
import {
  layerTerms,
  linearGroupBackwardFused,
  linearGroupForwardFused,
  lowsOf,
} from '../linearGroup/linearGroup.wgsl';
import type { WeightLayout } from '../matmul/matmul';
import { fitTogether, type Job, products } from '../matmul/matmul.wgsl';
import { empty } from '../webgpu/program';
import { type ActivatedForward, composeMlp, type DownBackward, type DownGradients } from './mlp';

/** For a device that binds too few buffers. */
const apart = composeMlp(
  linearGroupForwardFused,
  linearGroupBackwardFused,
  activationForwardFused,
  activationBackwardFused,
);

/** `activatedForward` in one dispatch, and with adapters one more before it. */
export function activatedForwardFused(
  x: tf.Tensor2D,
  layers: readonly GroupedLinear[],
  layout: WeightLayout,
  activation: Activation,
): ActivatedForward {
  const [first, second] = layers as [GroupedLinear, GroupedLinear | undefined];
  const outside = layout === 'out_in' ? first.weight.shape[0] : first.weight.shape[1];
  const lows = lowsOf(layers);
  const [gateTerms, upTerms = []] = layers.map((layer, i) => layerTerms(x, layer, lows[i] ?? null, layout));
  const gate = empty<tf.Tensor2D>([x.shape[0], outside]);
  const up = second ? empty<tf.Tensor2D>(gate.shape) : null;
  const job: Job = {
    terms: [...(gateTerms ?? []), ...upTerms],
    bias: first.bias,
    activates: { activation, upTerms: gateTerms?.length ?? 0, upBias: second?.bias ?? null, gate, up },
  };
  if (!fitTogether([job])) {
    for (const t of [gate, up, ...lows]) t?.dispose();
    return apart.activatedForward(x, layers, layout, activation);
  }
  const [active] = products([job]).results as [tf.Tensor2D];
  return { ys: up ? [gate, up] : [gate], lows, active };
}

/** `downBackward` in as many dispatches as the backward pass of the layer alone. */
export function downBackwardFused(inputs: DownBackward): DownGradients {
  const { dy, gate, up, active, activation, layer, low, layout, needs, to } = inputs;
  const dup = needs.gate && up ? empty<tf.Tensor2D>(up.shape) : null;
  const { dx, layers } = linearGroupBackwardFused(
    {
      ...{ dys: [dy], x: active, layers: [layer], lows: [low], layout, to: [to], before: null },
      needs: { dx: needs.gate, layers: [needs.layer] },
    },
    { activation, gate, up, dup },
  );
  return { dgate: dx, dup, layer: layers[0] as GroupedGradients };
}
