// The wasm backend's own versions of the ops, to hand to `chooseKernels`.
// Not here: the ops (the other *.wasm.ts), choosing (index.ts), their loops (assembly/; `npm run build:kernels` after a change there).

import { activationBackwardSimd, activationForwardSimd } from './activation.wasm';
import { adamwUpdateSimd, globalNormSimd } from './adamw.wasm';
import { attentionBackwardSimd, attentionCachedSimd, attentionForwardSimd } from './attention.wasm';
import { crossEntropySimd } from './crossEntropy.wasm';
import { embeddingBackwardSimd, embeddingForwardSimd } from './embedding.wasm';
import type { Kernels } from './index';
import { linearBackwardSimd, linearForwardSimd } from './matmul.wasm';
import { loadModule } from './memory.wasm';
import { normBackwardSimd, normForwardSimd } from './norm.wasm';

/**
 * Loads the SIMD module into the wasm backend that is in use. Nothing (so: the reference) where WebAssembly has no SIMD.
 * @throws Error when tfjs no longer shows its memory
 */
export async function loadWasmKernels(): Promise<Partial<Kernels>> {
  if (!(await loadModule())) return {};
  return {
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
}
