// Where each architecture keeps its tensors: Hugging Face names by role, and the linear layers that can carry an adapter.
// Not here: shapes on disk and their check (formats/huggingface.ts).

import type { Architecture } from '../contract';

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

export interface TensorNames {
  embedding: string;
  positions: string;
  finalNorm: string;
  /** The untied output head's weight. */
  head: string;
  layer(i: number): LayerNames;
}

/** Names without `.weight` / `.bias`, except `embedding`, `positions` and `head`, which are whole tensor names. */
export function tensorNames(a: Architecture): TensorNames {
  if (a.family === 'gpt2') {
    return {
      embedding: 'transformer.wte.weight',
      positions: 'transformer.wpe.weight',
      finalNorm: 'transformer.ln_f',
      head: 'lm_head.weight',
      layer: (i) => {
        const at = `transformer.h.${i}`;
        return layerNames({
          inputNorm: `${at}.ln_1`,
          qkv: `${at}.attn.c_attn`,
          output: `${at}.attn.c_proj`,
          mlpNorm: `${at}.ln_2`,
          up: `${at}.mlp.c_fc`,
          down: `${at}.mlp.c_proj`,
        });
      },
    };
  }
  if (a.family === 'gpt_neox') {
    return {
      embedding: 'gpt_neox.embed_in.weight',
      positions: '',
      finalNorm: 'gpt_neox.final_layer_norm',
      head: 'embed_out.weight',
      layer: (i) => {
        const at = `gpt_neox.layers.${i}`;
        return layerNames({
          inputNorm: `${at}.input_layernorm`,
          qkv: `${at}.attention.query_key_value`,
          output: `${at}.attention.dense`,
          mlpNorm: `${at}.post_attention_layernorm`,
          up: `${at}.mlp.dense_h_to_4h`,
          down: `${at}.mlp.dense_4h_to_h`,
        });
      },
    };
  }
  return {
    embedding: 'model.embed_tokens.weight',
    positions: '',
    finalNorm: 'model.norm',
    head: 'lm_head.weight',
    layer: (i) => {
      const at = `model.layers.${i}`;
      return layerNames({
        inputNorm: `${at}.input_layernorm`,
        q: `${at}.self_attn.q_proj`,
        k: `${at}.self_attn.k_proj`,
        v: `${at}.self_attn.v_proj`,
        output: `${at}.self_attn.o_proj`,
        qNorm: `${at}.self_attn.q_norm`,
        kNorm: `${at}.self_attn.k_norm`,
        mlpNorm: a.postNorms ? `${at}.pre_feedforward_layernorm` : `${at}.post_attention_layernorm`,
        postAttentionNorm: `${at}.post_attention_layernorm`,
        postMlpNorm: `${at}.post_feedforward_layernorm`,
        gate: `${at}.mlp.gate_proj`,
        up: `${at}.mlp.up_proj`,
        down: `${at}.mlp.down_proj`,
      });
    },
  };
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

function layerNames(some: Partial<LayerNames>): LayerNames {
  return { ...NONE, ...some };
}

export interface LinearModule {
  module: string;
  layer: number;
  part: 'attention' | 'mlp';
  inFeatures: number;
  outFeatures: number;
}

/** Every linear layer inside the stack, in the order of the forward pass. */
export function linearModules(a: Architecture): LinearModule[] {
  const names = tensorNames(a);
  const queryWidth = a.heads * a.headDim;
  const keyWidth = a.kvHeads * a.headDim;
  const modules: LinearModule[] = [];
  for (let layer = 0; layer < a.layers; layer++) {
    const n = names.layer(layer);
    const put = (module: string, part: 'attention' | 'mlp', inFeatures: number, outFeatures: number) =>
      modules.push({ module, layer, part, inFeatures, outFeatures });
    if (a.qkvLayout === 'separate') {
      put(n.q, 'attention', a.hiddenSize, queryWidth);
      put(n.k, 'attention', a.hiddenSize, keyWidth);
      put(n.v, 'attention', a.hiddenSize, keyWidth);
    } else {
      put(n.qkv, 'attention', a.hiddenSize, queryWidth + 2 * keyWidth);
    }
    put(n.output, 'attention', queryWidth, a.hiddenSize);
    if (a.gated) put(n.gate, 'mlp', a.hiddenSize, a.intermediateSize);
    put(n.up, 'mlp', a.hiddenSize, a.intermediateSize);
    put(n.down, 'mlp', a.intermediateSize, a.hiddenSize);
  }
  return modules;
}
