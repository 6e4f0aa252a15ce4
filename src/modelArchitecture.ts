// The architecture of a model: the switches of the one decoder that the engine has.
// Types only, as in contract.ts. Not here: reading them from a config.json (formats/families/).

import type { FamilyId } from './modelFamilies';

export type RopeScaling =
  | { type: 'linear'; factor: number }
  | {
      type: 'llama3';
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalContextLength: number;
    };

/** The switches that make one decoder a Llama, a Qwen, a GPT-2, a GPT-NeoX or a Gemma. */
export interface Architecture {
  family: FamilyId;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  contextLength: number;
  norm: 'rms' | 'layer';
  normEpsilon: number;
  /** Gemma multiplies by (1 + weight). */
  normAddsOne: boolean;
  /** Gemma also normalises what attention and MLP return, before the residual. */
  postNorms: boolean;
  /** Qwen3 and Gemma3 normalise each head of q and k before RoPE. */
  qkNorm: boolean;
  activation: 'silu' | 'gelu' | 'gelu_tanh' | 'relu';
  /** down(act(gate(x)) · up(x)) rather than down(act(up(x))). */
  gated: boolean;
  positions: 'rope' | 'learned';
  ropeTheta: number;
  /** Gemma3: layers with a sliding window use this base instead. */
  ropeLocalTheta: number | null;
  /** Leading dimensions of each head that rotate; the rest pass through. */
  rotaryDim: number;
  ropeScaling: RopeScaling | null;
  /** x + attn(n1(x)) + mlp(n2(x)) in one go (GPT-NeoX). */
  parallelResidual: boolean;
  /** Stored q, k, v: three tensors; one tensor [q|k|v] (GPT-2); one tensor by head (GPT-NeoX). */
  qkvLayout: 'separate' | 'gpt2' | 'gpt_neox';
  /** GPT-2 stores linear weights as [in, out]. */
  conv1d: boolean;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  tiedHead: boolean;
  /** The embedding is multiplied by this (Gemma: √hidden). */
  embeddingScale: number;
  /** Softmax scale of the attention scores. */
  attentionScale: number;
  /** Window in tokens per layer; null = full attention. Length = layers. */
  slidingWindows: (number | null)[];
  bosTokenId: number | null;
  eosTokenIds: number[];
  padTokenId: number | null;
}
