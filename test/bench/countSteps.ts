// The figures of a step that do not depend on the hardware, for one kind of model: a layer's share is the difference of two depths.
// Not here: times, other engines (measure.ts), which kinds are counted (counts.mjs).

import { architectureFromConfig } from '../../src/formats/architecture';
import type { Architecture } from '../../src/modelArchitecture';
import { createTrainer, startBackend, update } from './engines/ours';
import {
  type AdapterName,
  adapterName,
  countsSince,
  gpuDone,
  readAliveBytes,
  readCounts,
  readPeakBytes,
  resetPeakBytes,
  startCounting,
  type WorkCounts,
} from './instruments';
import type { Shape } from './shapes';

export interface StepFigures {
  kind: string;
  adapter: AdapterName | null;
  dispatchesPerLayer: number;
  dispatchesOutside: number;
  /** These three are the deeper model's. */
  submitsPerStep: number;
  bindGroupsPerStep: number;
  buffersPerStep: number;
  writtenBytesPerStep: number;
  readbacksPerStep: number;
  /** Whether all counted steps were alike, at both depths. */
  steady: boolean;
  layers: readonly [number, number];
  /** Null where only the counts were asked for. */
  memory: MemoryFigures | null;
}

export interface MemoryFigures {
  /** Most bytes of buffers made and not destroyed, from loading the model through its steps, less `selfTestBytes`. */
  peakBytes: number;
  idealBytes: number;
  peakByIdeal: number;
  /** What the start-up test had left before: in the pools, and not the model's. */
  selfTestBytes: number;
  /** The untouched weights that the product keeps beside the tuned ones, for before and after; not in `idealBytes`. */
  baseCopyBytes: number;
  parameters: number;
  tokens: number;
}

/** Enough layers and threads for every kernel, and little to compute: a software adapter takes part. */
export const SMALL: Shape = {
  name: 'counts',
  vocab: 64,
  layers: 2,
  hidden: 64,
  heads: 2,
  kvHeads: 2,
  intermediate: 96,
  time: 32,
  batch: 1,
};
const DEPTHS = [4, 2] as const;
/** Enough for whatever is captured, and for the pools to fill. */
const WARM_UP = 3;
const COUNTED = 2;

/** For the memory: weights and activations in the proportion of a real run. */
const ROOMY: Shape = {
  name: 'memory',
  vocab: 512,
  layers: 4,
  hidden: 128,
  heads: 4,
  kvHeads: 4,
  intermediate: 384,
  time: 128,
  batch: 8,
};
/** For the memory where a product takes seconds (SwiftShader): weights outweigh activations here. */
const FLAT: Shape = { ...SMALL, vocab: 1024, layers: 4, intermediate: 192, batch: 2 };

export function architectureOf(kind: string, s: Shape): Architecture {
  const { layers } = s;
  const common = {
    vocab_size: s.vocab,
    hidden_size: s.hidden,
    intermediate_size: s.intermediate,
    num_hidden_layers: layers,
    num_attention_heads: s.heads,
    num_key_value_heads: s.kvHeads,
    head_dim: s.hidden / s.heads,
    max_position_embeddings: s.time,
    tie_word_embeddings: true,
  };
  const special: Record<string, object> = {
    llama: { model_type: 'llama' },
    lora: { model_type: 'llama' },
    gpt2: {
      model_type: 'gpt2',
      n_embd: s.hidden,
      n_head: s.heads,
      n_layer: layers,
      n_positions: s.time,
      n_inner: 4 * s.hidden,
    },
    qwen3: { model_type: 'qwen3', num_key_value_heads: s.kvHeads / 2 },
    gpt_neox: { model_type: 'gpt_neox', hidden_act: 'gelu', intermediate_size: 4 * s.hidden },
    gemma3_text: {
      model_type: 'gemma3_text',
      num_key_value_heads: 1,
      sliding_window: 64,
      query_pre_attn_scalar: s.hidden / s.heads,
    },
  };
  const own = special[kind];
  if (own === undefined) throw new Error(`There is no kind “${kind}” to count.`);
  return architectureFromConfig({ ...common, ...own });
}

/**
 * Bytes below which a step cannot go without computing a product twice, in f32:
 * weights that the step reads (all, or the base and its adapters) + one gradient and two moments for each weight that learns
 * + for each token and layer what the backward pass needs: the input of every product and norm, q, k, v, the mixed values, the row sums of
 * attention and norms, and the MLP before and after its activation, each counted once (a norm's input is the sum before it; no
 * output of a projection is kept beside that sum)
 * + input and output of the last norm, and the gradient that comes back from the head.
 * The logits are not in it, since a chunked loss need not hold them; nor are a second copy of the weights (kept for comparing before
 * and after), staging or pools: those are what the ratio shows. The shape of src/engine/training/memory.ts, which estimates what is really held.
 */
export function idealBytes(
  a: Architecture,
  tokens: number,
  parameters: number,
  trained: number,
  rank: number,
): number {
  const d = a.hiddenSize;
  const q = a.heads * a.headDim;
  const kv = a.kvHeads * a.headDim;
  const norms = a.parallelResidual ? 3 : 4; // in and out of two norms; a parallel residual shares the input
  let perLayer = norms * d + 2 * q + 2 * kv + a.heads + 2 + (a.gated ? 3 : 2) * a.intermediateSize;
  if (a.qkNorm) perLayer += q + kv + a.heads + a.kvHeads;
  if (a.postNorms) perLayer += 2 * d + 2;
  if (rank > 0) perLayer += (a.gated ? 7 : 6) * rank;
  const activations = tokens * (a.layers * perLayer + 3 * d + 1);
  const weights = rank > 0 ? parameters + trained : parameters;
  return 4 * (weights + 3 * trained + activations);
}

const methodOf = (kind: string) => (kind === 'lora' ? 'lora' : 'full');

/** The steady state of one depth. */
async function countDepth(kind: string, layers: number): Promise<{ counts: WorkCounts; steady: boolean }> {
  const shape = { ...SMALL, layers };
  const { model, trainer } = await createTrainer(architectureOf(kind, shape), shape, methodOf(kind));
  for (let i = 0; i < WARM_UP; i++) await update(trainer);
  const all: WorkCounts[] = [];
  for (let i = 0; i < COUNTED; i++) {
    const before = readCounts();
    await update(trainer);
    all.push(countsSince(before));
  }
  trainer.dispose();
  model.dispose();
  return { counts: all[0] as WorkCounts, steady: new Set(all.map((c) => JSON.stringify(c))).size === 1 };
}

async function measureMemory(kind: string, shape: Shape, selfTestBytes: number): Promise<MemoryFigures> {
  const architecture = architectureOf(kind, shape);
  const { model, trainer, parameters } = await createTrainer(architecture, shape, methodOf(kind));
  for (let i = 0; i < WARM_UP; i++) await update(trainer);
  await gpuDone();
  const peakBytes = readPeakBytes() - selfTestBytes;
  let trained = 0;
  for (const t of trainer.learner.tensors.values()) trained += t.size;
  const [first] = trainer.learner.tensors.values();
  const rank = kind === 'lora' && first ? Math.min(...first.shape) : 0;
  const ideal = idealBytes(architecture, shape.batch * shape.time, parameters, trained, rank);
  trainer.dispose();
  model.dispose();
  return {
    peakBytes,
    idealBytes: ideal,
    peakByIdeal: Number((peakBytes / ideal).toFixed(3)),
    selfTestBytes,
    baseCopyBytes: kind === 'lora' ? 0 : 4 * parameters,
    parameters,
    tokens: shape.batch * shape.time,
  };
}

/**
 * Figures of one kind after the other in one process. The memory is the first kind's, before anything else has filled the pools.
 * @param slow the adapter takes seconds for a product
 * @param patienceMs no further kind is begun after this time
 */
export async function countSteps(
  kinds: string[],
  slow: boolean,
  patienceMs = Number.POSITIVE_INFINITY,
): Promise<StepFigures[]> {
  const adapter = await adapterName();
  startCounting();
  await startBackend('webgpu', '');
  await gpuDone();
  const selfTestBytes = readAliveBytes();
  resetPeakBytes();
  const figures: StepFigures[] = [];
  for (const kind of kinds) {
    if (performance.now() > patienceMs) break;
    const memory = kind === kinds[0] ? await measureMemory(kind, slow ? FLAT : ROOMY, selfTestBytes) : null;
    const deep = await countDepth(kind, DEPTHS[0]);
    const shallow = await countDepth(kind, DEPTHS[1]);
    const dispatchesPerLayer = (deep.counts.dispatches - shallow.counts.dispatches) / (DEPTHS[0] - DEPTHS[1]);
    figures.push({
      kind,
      adapter,
      dispatchesPerLayer,
      dispatchesOutside: deep.counts.dispatches - DEPTHS[0] * dispatchesPerLayer,
      submitsPerStep: deep.counts.submits,
      bindGroupsPerStep: deep.counts.bindGroups,
      buffersPerStep: deep.counts.buffers,
      writtenBytesPerStep: deep.counts.writtenBytes,
      readbacksPerStep: deep.counts.readbacks,
      steady: deep.steady && shallow.steady,
      layers: DEPTHS,
      memory,
    });
  }
  return figures;
}
