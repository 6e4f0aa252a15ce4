// The type of a model family: one value with its model types, how its config is read, and its tensor names.
// Not here: the families (one file each), the list of them (../architecture.ts), arithmetic (engine/).

import type { Architecture } from '../../modelArchitecture';
import type { RawConfig } from './config';

export interface Family {
  /** The class of transformers with a language-model head. */
  className: string;
  /** Other classes that declare the same model. */
  otherClassNames?: readonly string[];
  /** Every switch as transformers 5.18 derives it. @throws PlaygroundError `unsupported_architecture`, `bad_config` */
  architecture(config: RawConfig): Architecture;
  /** Tensor names by role. */
  names(a: Architecture): TensorNames;
  /** The name transformers saves for a tensor that an older file of this family calls differently. */
  canonicalName?(name: string): string;
}

/** Module names by role; '' where the family has no such part. */
export interface LayerNames {
  inputNorm: string;
  /** Separate q, k, v; or one module under `qkv`. */
  q: string;
  k: string;
  v: string;
  qkv: string;
  output: string;
  qNorm: string;
  kNorm: string;
  /** Norm before the MLP. */
  mlpNorm: string;
  /** Gemma: norms on what attention and MLP return. */
  postAttentionNorm: string;
  postMlpNorm: string;
  gate: string;
  up: string;
  down: string;
}

/** Names without `.weight` / `.bias`, except `embedding`, `positions` and `head`, which are whole tensor names. */
export interface TensorNames {
  embedding: string;
  /** '' without learned positions. */
  positions: string;
  finalNorm: string;
  /** The untied output head's weight. */
  head: string;
  layer(i: number): LayerNames;
}

const NONE: LayerNames = {
  inputNorm: '',
  q: '',
  k: '',
  v: '',
  qkv: '',
  output: '',
  qNorm: '',
  kNorm: '',
  mlpNorm: '',
  postAttentionNorm: '',
  postMlpNorm: '',
  gate: '',
  up: '',
  down: '',
};

/** Names of a layer: `parts` below `at`. */
export function layerNames(at: string, parts: Partial<LayerNames>): LayerNames {
  const below = Object.entries(parts).map(([role, name]) => [role, `${at}.${name}`]);
  return { ...NONE, ...Object.fromEntries(below) };
}

/** The names that Llama gave its parts, which Qwen and Gemma kept. */
export function llamaNames(a: Architecture): TensorNames {
  return {
    embedding: 'model.embed_tokens.weight',
    positions: '',
    finalNorm: 'model.norm',
    head: 'lm_head.weight',
    layer: (i) =>
      layerNames(`model.layers.${i}`, {
        inputNorm: 'input_layernorm',
        q: 'self_attn.q_proj',
        k: 'self_attn.k_proj',
        v: 'self_attn.v_proj',
        output: 'self_attn.o_proj',
        ...(a.qkNorm && { qNorm: 'self_attn.q_norm', kNorm: 'self_attn.k_norm' }),
        ...(a.postNorms
          ? {
              postAttentionNorm: 'post_attention_layernorm',
              mlpNorm: 'pre_feedforward_layernorm',
              postMlpNorm: 'post_feedforward_layernorm',
            }
          : { mlpNorm: 'post_attention_layernorm' }),
        gate: 'mlp.gate_proj',
        up: 'mlp.up_proj',
        down: 'mlp.down_proj',
      }),
  };
}
