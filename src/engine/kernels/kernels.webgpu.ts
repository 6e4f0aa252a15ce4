// The WebGPU backend's own versions of the ops, to hand to `chooseKernels`.
// Not here: the ops (the *.wgsl.ts), choosing (index.ts).

import { activationBackwardFused, activationForwardFused } from './activation.wgsl';
import { adamwUpdateFused, globalNormFused } from './adamw.wgsl';
import { attentionBackwardFused, attentionForwardFused } from './attention.wgsl';
import { attentionCachedFused } from './attentionCached.wgsl';
import { crossEntropyFused } from './crossEntropy.wgsl';
import { embeddingBackwardFused, embeddingForwardFused } from './embedding.wgsl';
import type { Kernels } from './index';
import { linearBackwardFused, linearForwardFused } from './matmul.wgsl';
import { normBackwardFused, normForwardFused } from './norm.wgsl';

/** For the webgpu backend in use. Shapes that an op does not take it hands to its reference itself. */
export function webGpuKernels(): Partial<Kernels> {
  return {
    linearForward: linearForwardFused,
    linearBackward: linearBackwardFused,
    normForward: normForwardFused,
    normBackward: normBackwardFused,
    activationForward: activationForwardFused,
    activationBackward: activationBackwardFused,
    attentionForward: attentionForwardFused,
    attentionBackward: attentionBackwardFused,
    attentionCached: attentionCachedFused,
    embeddingForward: embeddingForwardFused,
    embeddingBackward: embeddingBackwardFused,
    crossEntropy: crossEntropyFused,
    globalNorm: globalNormFused,
    adamwUpdate: adamwUpdateFused,
  };
}
