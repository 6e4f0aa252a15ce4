// An MLP's activation fused with the layer before it (forward) and after it (backward); made of layers and activations.
// Not here: the layers (linearGroup/linearGroup.ts), the activation (activation/activation.ts), the fused WGSL version (mlp.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Activation, activationBackward, activationForward } from '../activation/activation';
import type {
  GroupedGradients,
  GroupedLinear,
  GroupedNeeds,
  LinearGroupBackward,
  LinearGroupBackwardOp,
  LinearGroupForward,
  LinearGroupForwardOp,
} from '../linearGroup/linearGroup';
import type { WeightLayout } from '../matmul/matmul';

/** `ys` are gate and up, or one alone. */
export interface ActivatedForward extends LinearGroupForward {
  active: tf.Tensor2D; // act(gate)·up or act(gate) [N, F]
}

/** Backward of the down projection, through the activation whose result it reads. */
export interface DownBackward {
  dy: tf.Tensor2D; // [N, D]
  gate: tf.Tensor2D; // [N, F]
  up: tf.Tensor2D | null; // [N, F]
  active: tf.Tensor2D; // [N, F]
  activation: Activation;
  /** Its adapter, if it has one, reads `active` itself. */
  layer: GroupedLinear;
  low: tf.Tensor2D | null;
  layout: WeightLayout;
  needs: { gate: boolean; layer: GroupedNeeds };
  to: LinearGroupBackward['to'][number];
}

export interface DownGradients {
  dgate: tf.Tensor2D | null;
  dup: tf.Tensor2D | null;
  layer: GroupedGradients;
}

export type ActivatedForwardOp = (
  x: tf.Tensor2D,
  layers: readonly GroupedLinear[],
  layout: WeightLayout,
  activation: Activation,
) => ActivatedForward;
export type DownBackwardOp = (inputs: DownBackward) => DownGradients;

export interface MlpOps {
  activatedForward: ActivatedForwardOp;
  downBackward: DownBackwardOp;
}

/** From groups of layers and activations: the reference, and any backend that has fast ones. */
export function composeMlp(
  layersForward: LinearGroupForwardOp,
  layersBackward: LinearGroupBackwardOp,
  forward: typeof activationForward,
  backward: typeof activationBackward,
): MlpOps {
  return {
    activatedForward: (x, layers, layout, activation) => {
      const made = layersForward(x, layers, layout, null);
      const [gate, up] = made.ys as [tf.Tensor2D, tf.Tensor2D | undefined];
      return { ...made, active: forward(gate, up ?? null, activation) };
    },
    downBackward: ({ dy, gate, up, active, activation, layer, low, layout, needs, to }) => {
      const { dx, layers } = layersBackward({
        ...{ dys: [dy], x: active, layers: [layer], lows: [low], layout, to: [to], before: null },
        needs: { dx: needs.gate, layers: [needs.layer] },
      });
      const own = layers[0] as GroupedGradients;
      if (!dx) return { dgate: null, dup: null, layer: own };
      const { dgate, dup } = backward(dx, gate, up, activation);
      dx.dispose();
      return { dgate, dup, layer: own };
    },
  };
}
