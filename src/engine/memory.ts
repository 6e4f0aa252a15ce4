// How much memory a run will take, before it starts.
// Not here: what is in use now (device.ts `memoryReport`).

import type { Architecture, MemoryEstimate } from '../contract';
import type { Hyperparameters } from '../hyperparameters';
import { targetModules } from './adapters';

const F32 = 4;

/** Weights that will learn, by method. */
export function trainableCount(a: Architecture, parameters: number, h: Hyperparameters): number {
  if (h.method === 'lora') {
    let count = 0;
    for (const m of targetModules(a, h)) {
      count += m.rank * (m.inFeatures + m.outFeatures) + (h.use_dora ? m.outFeatures : 0);
    }
    return count;
  }
  const table = a.vocabSize * a.hiddenSize;
  const learnedPositions = a.positions === 'learned' ? a.contextLength * a.hiddenSize : 0;
  if (h.method === 'full') return h.train_embeddings ? parameters : parameters - table - learnedPositions;
  const stack = parameters - table * (a.tiedHead ? 1 : 2) - learnedPositions;
  return Math.round((stack * Math.min(h.trainable_layers, a.layers)) / a.layers);
}

/**
 * Bytes at the peak of a step: weights, the trainable copy and the best one kept, gradients, two moments, and what the tape holds.
 * @param longestRow tokens of the longest row after cutting
 */
export function estimateMemory(
  a: Architecture,
  parameters: number,
  h: Hyperparameters,
  longestRow: number,
): MemoryEstimate {
  const trainableParameters = trainableCount(a, parameters, h);
  const weightBytes = F32 * (parameters + 2 * trainableParameters);
  const optimizerBytes = F32 * 3 * trainableParameters;
  const tokens = h.batch_size * Math.min(longestRow, h.max_length, a.contextLength);
  const activationBytes = F32 * tokens * activationsPerToken(a, h, Math.min(longestRow, h.max_length));
  return {
    weightBytes,
    trainableParameters,
    optimizerBytes,
    activationBytes,
    totalBytes: weightBytes + optimizerBytes + activationBytes,
  };
}

/** Floats the tape holds for each token: per layer the projections, norms and scores of the reference kernels; then the logits. */
function activationsPerToken(a: Architecture, h: Hyperparameters, columns: number): number {
  const attention = a.headDim * (3 * a.heads + 4 * a.kvHeads) + a.heads * columns;
  const adapters = h.method === 'lora' ? targetModules(a, h).length / a.layers : 0;
  const widths = 6 * a.hiddenSize + 3 * a.intermediateSize;
  const perLayer = attention + widths + adapters * (h.lora_r + a.hiddenSize);
  const working = 2 * perLayer + 3 * a.vocabSize;
  const kept = h.gradient_checkpointing ? a.hiddenSize : perLayer;
  return a.layers * kept + working;
}
