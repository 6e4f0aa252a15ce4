// For each op: which version runs on this backend. Chosen once, when the device starts; the reference where the backend has none of its own.
// Not here: any arithmetic (the folders of the ops).

import * as activation from './activation/activation';
import * as adamw from './adamw/adamw';
import * as attention from './attention/attention';
import * as crossEntropies from './crossEntropy/crossEntropy';
import * as dropouts from './dropout/dropout';
import * as embedding from './embedding/embedding';
import { composeNormedCrossEntropy, type NormedCrossEntropyOp } from './headNorm/headNorm';
import {
  composeLinearGroup,
  type LinearGroupBackwardOp,
  type LinearGroupForwardOp,
} from './linearGroup/linearGroup';
import * as matmul from './matmul/matmul';
import { composeMlp, type MlpOps } from './mlp/mlp';
import * as norm from './norm/norm';
import { composeNormPair, type NormPairBackwardOp, type NormPairForwardOp } from './normPair/normPair';
import * as packing from './packing/packing';
import { composePostNorm, type PostNormBackwardOp, type PostNormForwardOp } from './postNorm/postNorm';
import * as qkv from './qkvSplit/qkvSplit';

export type { Activation } from './activation/activation';
export type { AdamWItem, AdamWResult, AdamWStep } from './adamw/adamw';
export type { AttentionForward, AttentionShape, LayerCache, Rope } from './attention/attention';
export { causalMask } from './attention/attention';
export type { CrossEntropyOptions, CrossEntropyResult, Targets } from './crossEntropy/crossEntropy';
export type { Destination } from './destination';
export type { NoiseSource } from './dropout/dropout';
export type { LinearGradients, WeightLayout } from './matmul/matmul';
export type { NormForward, NormGradients, NormOptions } from './norm/norm';
export type { PairOptions } from './normPair/normPair';
export { type Packing, storedBytes } from './packing/packing';
export type { QkvOrder } from './qkvSplit/qkvSplit';

/** Every op that a backend may replace. What a forward returns as `saved` is for the backward of the same version only. */
export interface Kernels extends MlpOps {
  linearForward: typeof matmul.linearForward;
  linearBackward: typeof matmul.linearBackward;
  linearGroupForward: LinearGroupForwardOp;
  linearGroupBackward: LinearGroupBackwardOp;
  normForward: typeof norm.normForward;
  normBackward: typeof norm.normBackward;
  normPairForward: NormPairForwardOp;
  normPairBackward: NormPairBackwardOp;
  postNormForward: PostNormForwardOp;
  postNormBackward: PostNormBackwardOp;
  activationForward: typeof activation.activationForward;
  activationBackward: typeof activation.activationBackward;
  qkvSplit: typeof qkv.qkvSplit;
  qkvJoin: typeof qkv.qkvJoin;
  attentionForward: typeof attention.attentionForward;
  attentionBackward: typeof attention.attentionBackward;
  attentionCached: typeof attention.attentionCached;
  embeddingForward: embedding.EmbeddingForwardOp;
  embeddingBackward: embedding.EmbeddingBackwardOp;
  dropout: typeof dropouts.dropout;
  addNoise: typeof dropouts.addNoise;
  crossEntropy: typeof crossEntropies.crossEntropy;
  normedCrossEntropy: NormedCrossEntropyOp;
  globalNorm: typeof adamw.globalNorm;
  adamwUpdate: typeof adamw.adamwUpdate;
  packWeight: typeof packing.packWeight;
  asFloat32: typeof packing.asFloat32;
  /** A step of these can be captured and replayed: they read nothing back, and write gradients to their destinations. */
  capturable: boolean;
}

const groups = composeLinearGroup(matmul.linearForward, matmul.linearBackward);

/** Plain tfjs: correct on every backend, and what every other version is tested against. */
export const REFERENCE: Kernels = {
  linearForward: matmul.linearForward,
  linearBackward: matmul.linearBackward,
  ...groups,
  normForward: norm.normForward,
  normBackward: norm.normBackward,
  ...composeNormPair(norm.normForward, norm.normBackward),
  ...composePostNorm(norm.normForward, norm.normBackward),
  ...composeMlp(
    groups.linearGroupForward,
    groups.linearGroupBackward,
    activation.activationForward,
    activation.activationBackward,
  ),
  activationForward: activation.activationForward,
  activationBackward: activation.activationBackward,
  qkvSplit: qkv.qkvSplit,
  qkvJoin: qkv.qkvJoin,
  attentionForward: attention.attentionForward,
  attentionBackward: attention.attentionBackward,
  attentionCached: attention.attentionCached,
  embeddingForward: embedding.embeddingForward,
  embeddingBackward: embedding.embeddingBackward,
  dropout: dropouts.dropout,
  addNoise: dropouts.addNoise,
  crossEntropy: crossEntropies.crossEntropy,
  normedCrossEntropy: composeNormedCrossEntropy(
    crossEntropies.crossEntropy,
    norm.normForward,
    norm.normBackward,
  ),
  globalNorm: adamw.globalNorm,
  adamwUpdate: adamw.adamwUpdate,
  packWeight: packing.packWeight,
  asFloat32: packing.asFloat32,
  capturable: false,
};

let chosen: Kernels = REFERENCE;

/** Replaces ops by a backend's own versions; an empty object goes back to the reference. Ops composed of others use the chosen ones. */
export function chooseKernels(own: Partial<Kernels>): void {
  const { linearForward, linearBackward, normForward, normBackward } = own;
  // Ops composed of single layers and norms are composed of the backend's own, unless it has a version of the composed op too.
  const layers = linearForward && linearBackward ? composeLinearGroup(linearForward, linearBackward) : {};
  const norms =
    normForward && normBackward
      ? { ...composeNormPair(normForward, normBackward), ...composePostNorm(normForward, normBackward) }
      : {};
  const all = { ...REFERENCE, ...layers, ...norms, ...own };
  const { linearGroupForward, linearGroupBackward, activationForward, activationBackward } = all;
  const mlps = composeMlp(linearGroupForward, linearGroupBackward, activationForward, activationBackward);
  const normedCrossEntropy = composeNormedCrossEntropy(all.crossEntropy, all.normForward, all.normBackward);
  chosen = { ...all, ...mlps, normedCrossEntropy, ...own };
}

export const capturable = (): boolean => chosen.capturable;
export const linearForward: Kernels['linearForward'] = (...a) => chosen.linearForward(...a);
export const linearBackward: Kernels['linearBackward'] = (...a) => chosen.linearBackward(...a);
export const linearGroupForward: Kernels['linearGroupForward'] = (...a) => chosen.linearGroupForward(...a);
export const linearGroupBackward: Kernels['linearGroupBackward'] = (...a) => chosen.linearGroupBackward(...a);
export const normForward: Kernels['normForward'] = (...a) => chosen.normForward(...a);
export const normBackward: Kernels['normBackward'] = (...a) => chosen.normBackward(...a);
export const normPairForward: Kernels['normPairForward'] = (...a) => chosen.normPairForward(...a);
export const normPairBackward: Kernels['normPairBackward'] = (...a) => chosen.normPairBackward(...a);
export const postNormForward: Kernels['postNormForward'] = (...a) => chosen.postNormForward(...a);
export const postNormBackward: Kernels['postNormBackward'] = (...a) => chosen.postNormBackward(...a);
export const activatedForward: Kernels['activatedForward'] = (...a) => chosen.activatedForward(...a);
export const downBackward: Kernels['downBackward'] = (...a) => chosen.downBackward(...a);
export const activationForward: Kernels['activationForward'] = (...a) => chosen.activationForward(...a);
export const activationBackward: Kernels['activationBackward'] = (...a) => chosen.activationBackward(...a);
export const qkvSplit: Kernels['qkvSplit'] = (...a) => chosen.qkvSplit(...a);
export const qkvJoin: Kernels['qkvJoin'] = (...a) => chosen.qkvJoin(...a);
export const attentionForward: Kernels['attentionForward'] = (...a) => chosen.attentionForward(...a);
export const attentionBackward: Kernels['attentionBackward'] = (...a) => chosen.attentionBackward(...a);
export const attentionCached: Kernels['attentionCached'] = (...a) => chosen.attentionCached(...a);
export const embeddingForward: Kernels['embeddingForward'] = (...a) => chosen.embeddingForward(...a);
export const embeddingBackward: Kernels['embeddingBackward'] = (...a) => chosen.embeddingBackward(...a);
export const dropout: Kernels['dropout'] = (...a) => chosen.dropout(...a);
export const addNoise: Kernels['addNoise'] = (...a) => chosen.addNoise(...a);
export const crossEntropy: Kernels['crossEntropy'] = (...a) => chosen.crossEntropy(...a);
export const normedCrossEntropy: Kernels['normedCrossEntropy'] = (...a) => chosen.normedCrossEntropy(...a);
export const globalNorm: Kernels['globalNorm'] = (...a) => chosen.globalNorm(...a);
export const adamwUpdate: Kernels['adamwUpdate'] = (...a) => chosen.adamwUpdate(...a);
export const packWeight: Kernels['packWeight'] = (...a) => chosen.packWeight(...a);
export const asFloat32: Kernels['asFloat32'] = (x) => chosen.asFloat32(x);
