// The table of WebGPU versions of the ops, for `chooseKernels`.
// Not here: the ops (the *.wgsl.ts), choosing (index.ts).

import { activationBackwardFused, activationForwardFused } from '../activation/activation.wgsl';
import { attentionBackwardFused, attentionForwardFused } from '../attention/attention.wgsl';
import { attentionCachedFused } from '../attention/attentionCached.wgsl';
import { crossEntropyFused } from '../crossEntropy/crossEntropy.wgsl';
import { addNoiseFused, dropoutFused } from '../dropout/dropout.wgsl';
import { embeddingBackwardFused, embeddingForwardFused } from '../embedding/embedding.wgsl';
import { normedCrossEntropyFused } from '../headNorm/headNorm.wgsl';
import type { Kernels } from '../index';
import {
  linearBackwardFused,
  linearForwardFused,
  linearGroupBackwardFused,
  linearGroupForwardFused,
} from '../linearGroup/linearGroup.wgsl';
import { activatedForwardFused, downBackwardFused } from '../mlp/mlp.wgsl';
import { normBackwardFused, normForwardFused } from '../norm/norm.wgsl';
import { normPairBackwardFused, normPairForwardFused } from '../normPair/normPair.wgsl';
import { asFloat32Unpacked, packWeightPacked } from '../packing/packed.wgsl';
import { postNormBackwardFused, postNormForwardFused } from '../postNorm/postNorm.wgsl';
import { qkvJoinFused, qkvSplitFused } from '../qkvSplit/qkvSplit.wgsl';

/**
 * For the webgpu backend in use. An op that does not support a shape calls its reference. The AdamW update is not among them: on WebGPU a
 * GradientBank does it.
 */
export function webGpuKernels(): Partial<Kernels> {
  return {
    linearForward: linearForwardFused,
    linearBackward: linearBackwardFused,
    linearGroupForward: linearGroupForwardFused,
    linearGroupBackward: linearGroupBackwardFused,
    normForward: normForwardFused,
    normBackward: normBackwardFused,
    normPairForward: normPairForwardFused,
    normPairBackward: normPairBackwardFused,
    postNormForward: postNormForwardFused,
    postNormBackward: postNormBackwardFused,
    activatedForward: activatedForwardFused,
    downBackward: downBackwardFused,
    activationForward: activationForwardFused,
    activationBackward: activationBackwardFused,
    qkvSplit: qkvSplitFused,
    qkvJoin: qkvJoinFused,
    attentionForward: attentionForwardFused,
    attentionBackward: attentionBackwardFused,
    attentionCached: attentionCachedFused,
    embeddingForward: embeddingForwardFused,
    embeddingBackward: embeddingBackwardFused,
    dropout: dropoutFused,
    addNoise: addNoiseFused,
    crossEntropy: crossEntropyFused,
    normedCrossEntropy: normedCrossEntropyFused,
    packWeight: packWeightPacked,
    asFloat32: asFloat32Unpacked,
    capturable: true,
  };
}
