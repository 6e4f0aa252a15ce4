// GPT-2 and DistilGPT-2: learned positions, linear weights stored as [in, out], q, k and v in one module.
// Not here: what families share (config.ts, family.ts).

import type { Architecture } from '../../modelArchitecture';
import { activationOf, baseOf, Fields, type RawConfig, refuse } from './config';
import { type Family, layerNames, type TensorNames } from './family';

function architecture(config: RawConfig): Architecture {
  const f = new Fields(config);
  const hiddenSize = f.size('n_embd', f.size('hidden_size', 768));
  const base = baseOf(
    {
      ...config,
      hidden_size: hiddenSize,
      num_attention_heads: f.size('n_head', f.size('num_attention_heads', 12)),
      num_hidden_layers: f.size('n_layer', f.size('num_hidden_layers', 12)),
      max_position_embeddings: f.size('n_positions', f.size('max_position_embeddings', 1024)),
      intermediate_size: f.size('n_inner', 4 * hiddenSize),
      vocab_size: f.size('vocab_size', 50257),
    },
    'gpt2',
  );
  if (config.scale_attn_by_inverse_layer_idx === true) {
    throw refuse('it scales attention by the layer’s number', 'scale_attn_by_inverse_layer_idx');
  }
  if (config.add_cross_attention === true) throw refuse('it has cross-attention', 'add_cross_attention');
  return {
    ...base,
    norm: 'layer',
    normEpsilon: f.number('layer_norm_epsilon', 1e-5),
    activation: activationOf(config, 'activation_function', 'gelu_new'),
    gated: false,
    positions: 'learned',
    rotaryDim: 0,
    qkvLayout: 'gpt2',
    conv1d: true,
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    tiedHead: f.flag('tie_word_embeddings', true),
    attentionScale: f.flag('scale_attn_weights', true) ? base.headDim ** -0.5 : 1,
    bosTokenId: f.tokenId('bos_token_id', 50256),
    eosTokenIds: f.tokenIds('eos_token_id', 50256),
  };
}

const names = (): TensorNames => ({
  embedding: 'transformer.wte.weight',
  positions: 'transformer.wpe.weight',
  finalNorm: 'transformer.ln_f',
  head: 'lm_head.weight',
  layer: (i) =>
    layerNames(`transformer.h.${i}`, {
      inputNorm: 'ln_1',
      qkv: 'attn.c_attn',
      output: 'attn.c_proj',
      mlpNorm: 'ln_2',
      up: 'mlp.c_fc',
      down: 'mlp.c_proj',
    }),
});

export const gpt2: Family = {
  className: 'GPT2LMHeadModel',
  // What the first GPT-2 files declare.
  otherClassNames: ['GPT2Model'],
  architecture,
  names,
  canonicalName: (name) => (/^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name),
};
