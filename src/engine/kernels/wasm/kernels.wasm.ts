// The table of wasm versions of the ops, for `chooseKernels`.
// Not here: the ops (the other *.wasm.ts), choosing (index.ts), their loops (assembly/; run `npm run build:kernels` after a change there).

import { activationBackwardSimd, activationForwardSimd } from '../activation/activation.wasm';
import { adamwUpdateSimd, globalNormSimd } from '../adamw/adamw.wasm';
import {
  attentionBackwardSimd,
  attentionCachedSimd,
  attentionForwardSimd,
} from '../attention/attention.wasm';
import { crossEntropySimd } from '../crossEntropy/crossEntropy.wasm';
import { embeddingBackwardSimd, embeddingForwardSimd } from '../embedding/embedding.wasm';
import type { Kernels } from '../index';
import { linearBackwardSimd, linearForwardSimd } from '../matmul/matmul.wasm';
import { normBackwardSimd, normForwardSimd } from '../norm/norm.wasm';
import { loadModule } from './memory.wasm';
import type { ThreadHost } from './threads.wasm';

/**
 * Loads the SIMD module into the wasm backend in use, on threads of `host` where that backend's memory is shared. An empty table (so: the
 * reference, on one thread) where WebAssembly has no SIMD.
 * @throws Error when tfjs's memory cannot be reached, or what the host throws when a thread does not start
 */
export async function loadWasmKernels(host: ThreadHost | null = null): Promise<Partial<Kernels>> {
  return (await loadModule(host)) ? SIMD : {};
}

const SIMD: Partial<Kernels> = {
  linearForward: linearForwardSimd,
  linearBackward: linearBackwardSimd,
  normForward: normForwardSimd,
  normBackward: normBackwardSimd,
  activationForward: activationForwardSimd,
  activationBackward: activationBackwardSimd,
  attentionForward: attentionForwardSimd,
  attentionBackward: attentionBackwardSimd,
  attentionCached: attentionCachedSimd,
  embeddingForward: embeddingForwardSimd,
  embeddingBackward: embeddingBackwardSimd,
  crossEntropy: crossEntropySimd,
  globalNorm: globalNormSimd,
  adamwUpdate: adamwUpdateSimd,
};
