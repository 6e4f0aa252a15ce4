// How much memory a run will take, estimated before it starts.
// Not here: what is in use now (device/device.ts `memoryReport`), switching gradient checkpointing on so that a run fits (fit.ts).
//
// How it works: the bytes of all tensors that live at the peak of a step, counted from the architecture, the settings and the heaviest batch.
// Fixed: base weights; learner and its best copy; gradients and two moments. Per token: what the tape keeps of each layer (its input alone
// with gradient checkpointing), two gradients of the MLP's width, and one chunk of logits. The peak is at the start of the backward pass.

import type { DeviceReport, EncodedExample, MemoryEstimate } from '../../contract';
import { errorDetails, PlaygroundError } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';
import type { Architecture } from '../../modelArchitecture';
import { capturable, storedBytes } from '../kernels';
import { targetModules } from '../model/adapters';
import type { Model } from '../model/model';
import { widthOf } from './batch';

const F32 = 4;
/** As in kernels/crossEntropy/crossEntropy.ts. */
const CHUNK_BYTES = 32 * 2 ** 20;

/** Number of trainable weights, by method. */
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

/** The base model in memory: weights in 16 bits where the device stores them so. */
export interface BaseSize {
  parameters: number;
  weightBytes: number;
  /** Of the largest single tensor. */
  largestBytes: number;
}

export function baseSize({ parameters, weights }: Pick<Model, 'parameters' | 'weights'>): BaseSize {
  const bytes = [...weights.values()].map(storedBytes);
  return { parameters, weightBytes: bytes.reduce((a, b) => a + b, 0), largestBytes: Math.max(...bytes) };
}

/** Size of the heaviest batch of a run. */
export interface LongestBatch {
  rows: number;
  /** Tokens of its longest row, after cutting. */
  tokens: number;
  /** Positions in it that have a target. */
  targets: number;
}

/** Size of the batch that consists of the longest rows. */
export function longestBatch(train: readonly EncodedExample[], batchSize: number): LongestBatch {
  const rows = [...train].sort((a, b) => b.ids.length - a.ids.length).slice(0, batchSize);
  const targets = rows.reduce((sum, e) => sum + e.mask.reduce((n, m) => n + m, 0), 0);
  return { rows: rows.length, tokens: rows[0]?.ids.length ?? 1, targets };
}

/**
 * Bytes of all live tensors at the peak of a step: base weights; the learner, its best copy and two moments; gradients; what the
 * tape holds. test/memory.test.ts compares it with the measured peak.
 */
export function estimateMemory(
  a: Architecture,
  base: BaseSize,
  h: Hyperparameters,
  longest: LongestBatch,
): MemoryEstimate {
  const trainableParameters = trainableCount(a, base.parameters, h);
  const columns = Math.min(widthOf(longest.tokens, a.contextLength), a.contextLength);
  const weightBytes = base.weightBytes + F32 * 2 * trainableParameters;
  const optimizerBytes = F32 * 3 * trainableParameters;
  const activationBytes = F32 * activationFloats(a, h, longest, columns);
  return {
    weightBytes,
    trainableParameters,
    optimizerBytes,
    activationBytes,
    totalBytes: weightBytes + optimizerBytes + activationBytes,
  };
}

export const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;

/**
 * The error for a run that needs too much memory, with up to three ways to need less, each with its own estimate.
 * @param available bytes; ways that need more are not offered
 */
export function outOfMemory(
  a: Architecture,
  base: BaseSize,
  h: Hyperparameters,
  longest: LongestBatch,
  reason: string,
  available = Number.POSITIVE_INFINITY,
): PlaygroundError {
  const total = (change: Partial<Hyperparameters>, batch: Partial<LongestBatch> = {}) =>
    estimateMemory(a, base, { ...h, ...change }, { ...longest, ...batch }).totalBytes;
  const needed = total({});
  const rows = (count: number) => ({
    rows: count,
    targets: Math.ceil((longest.targets * count) / longest.rows),
  });
  const tokens = (count: number) => ({
    tokens: count,
    targets: Math.ceil((longest.targets * count) / longest.tokens),
  });
  const smallerBatch = (count: number) =>
    `batch size ${count} with accumulation ${Math.ceil((h.gradient_accumulation_steps * longest.rows) / count)}`;
  const half = Math.ceil(longest.rows / 2);
  const shorter = (part: number) => Math.max(8, Math.ceil(longest.tokens / part / 8) * 8);
  const checkpointed = { gradient_checkpointing: 'on' as const };
  const already = h.gradient_checkpointing === 'on' ? ', with gradient checkpointing too,' : '';
  const candidates: [words: string, bytes: number][] = [
    [smallerBatch(half), total({}, rows(half))],
    ['gradient checkpointing', total(checkpointed)],
    ['LoRA', total({ method: 'lora' })],
    [`“Longest row” ${shorter(2)}`, total({}, tokens(shorter(2)))],
    [smallerBatch(1), total({}, rows(1))],
    [`${smallerBatch(1)} and gradient checkpointing`, total(checkpointed, rows(1))],
    [
      `${smallerBatch(1)}, LoRA and gradient checkpointing`,
      total({ ...checkpointed, method: 'lora' }, rows(1)),
    ],
    [`“Longest row” ${shorter(4)}`, total({}, tokens(shorter(4)))],
  ];
  const ways = candidates
    .filter(([, bytes]) => bytes < needed && bytes <= available)
    .slice(0, 3)
    .map(([words, bytes]) => `${words} (${megabytes(bytes)})`);
  if (ways.length < 3) ways.push('a smaller model');
  return new PlaygroundError({
    code: 'out_of_memory',
    message: `This run needs about ${megabytes(needed)}${already} and does not fit: ${reason}`,
    fix: `Any of these makes it smaller: ${ways.join('; ')}.`,
  });
}

/** Whether an error means that memory ran out: WebGPU, V8's typed arrays, wasm's growth. */
export function isOutOfMemory(thrown: unknown): boolean {
  const { code, message } = errorDetails(thrown);
  return (
    code === 'gpu_memory' ||
    /out.?of.?(device.|host.)?memory|allocation failed|cannot enlarge|memory access out of bounds|too large for the implementation/i.test(
      message,
    )
  );
}

/** What the device can hold. */
export interface MemoryLimits {
  /** Largest single buffer, in bytes. */
  maxBufferBytes: number;
  /** All buffers together, in bytes; Infinity where the device does not report it. */
  totalBytes: number;
}

/** tfjs's wasm modules may grow to 2 GiB; WebGPU reports the largest buffer and never the total. */
export function memoryLimits(device: Pick<DeviceReport, 'backend' | 'limits'>): MemoryLimits {
  if (device.backend !== 'webgpu') return { maxBufferBytes: 2 ** 31, totalBytes: 2 ** 31 };
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const maxBufferBytes = Math.min(maxStorageBufferBindingSize ?? 2 ** 27, maxBufferSize ?? 2 ** 28);
  return { maxBufferBytes, totalBytes: Number.POSITIVE_INFINITY };
}

/** @throws PlaygroundError `out_of_memory` when the run cannot fit, before anything is allocated. */
export function assertFits(
  a: Architecture,
  base: BaseSize,
  h: Hyperparameters,
  longest: LongestBatch,
  limits: MemoryLimits,
): void {
  const refuse = (reason: string) => outOfMemory(a, base, h, longest, reason, limits.totalBytes);
  const { totalBytes } = estimateMemory(a, base, h, longest);
  if (totalBytes > limits.totalBytes) throw refuse(`there is room for ${megabytes(limits.totalBytes)}.`);
  const columns = widthOf(longest.tokens, a.contextLength);
  const widest = F32 * longest.rows * columns * Math.max(a.intermediateSize, a.hiddenSize);
  const table = h.method === 'full' ? F32 * a.vocabSize * a.hiddenSize : base.largestBytes;
  if (Math.max(widest, table) > limits.maxBufferBytes) {
    throw refuse(
      `one tensor alone would take ${megabytes(Math.max(widest, table))}, and this device holds at most ${megabytes(limits.maxBufferBytes)} in one piece.`,
    );
  }
}

/** Floats at the peak of a forward and backward pass: what the tape keeps, and the temporaries of one layer. */
function activationFloats(
  a: Architecture,
  h: Hyperparameters,
  longest: LongestBatch,
  columns: number,
): number {
  const d = a.hiddenSize;
  const tokens = longest.rows * columns;
  const first = h.method === 'last_layers' ? Math.max(0, a.layers - h.trainable_layers) : 0;
  const recorded = a.layers - first;
  const layer = layerFloats(a, h);
  const recomputes = h.gradient_checkpointing === 'on';
  const kept = tokens * (recorded * (recomputes ? d : layer) + 2 * d);
  // The backward pass of a layer holds two gradients of the MLP's width at a time.
  const back = tokens * ((recomputes ? layer : 0) + 2 * a.intermediateSize);
  const head = headFloats(a, longest);
  const gradient = tokens * d;
  // In a captured step no layer can reuse the head's large buffers; elsewhere they are freed before the layers' backward pass.
  return kept + gradient + (capturable() ? head + back : Math.max(head, back));
}

/** Floats for each position that the tape holds of one layer after its forward pass, with the fused kernels. */
function layerFloats(a: Architecture, h: Hyperparameters): number {
  const d = a.hiddenSize;
  const q = a.heads * a.headDim;
  const kv = a.kvHeads * a.headDim;
  // Two norms and two projections with the residual added, of width d; q, k, v and the mixed values; the MLP's products.
  let perLayer = 4 * d + 2 * q + 2 * kv + a.heads + 2;
  perLayer += (a.gated ? 3 : 2) * a.intermediateSize;
  if (a.qkvLayout !== 'separate') perLayer += q + 2 * kv;
  if (a.qkNorm) perLayer += q + kv;
  if (a.postNorms) perLayer += 4 * d;
  if (h.method === 'lora') {
    for (const m of targetModules(a, h)) {
      let extra = m.rank;
      if (h.use_dora) extra += 3 * m.outFeatures;
      if (h.lora_dropout > 0) extra += m.inFeatures;
      perLayer += extra / a.layers;
    }
  }
  // tfjs's wasm backend copies what it clones: q, k and v, saved by the attention.
  if (!capturable()) perLayer += q + 2 * kv;
  return perLayer;
}

/** Floats of the output head: one chunk of logits, overwritten by its gradient, and the rows it is computed from. */
function headFloats(a: Architecture, longest: LongestBatch): number {
  const rows = Math.min(longest.targets, Math.floor(CHUNK_BYTES / (F32 * a.vocabSize)));
  return rows * (a.vocabSize + 2 * a.hiddenSize);
}
