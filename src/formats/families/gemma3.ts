// Gemma 3, text.
// Not here: what families share (config.ts, family.ts).

import type { Architecture } from '../../modelArchitecture';
import {
  activationOf,
  baseOf,
  Fields,
  type RawConfig,
  record,
  refuse,
  ropeFrom,
  windowsOf,
  withRope,
} from './config';
import { type Family, llamaNames } from './family';

function architecture(config: RawConfig): Architecture {
  const f = new Fields(config);
  const base = baseOf(
    {
      head_dim: 256,
      num_key_value_heads: 4,
      max_position_embeddings: 131072,
      tie_word_embeddings: true,
      ...config,
    },
    'gemma3_text',
  );
  for (const key of ['final_logit_softcapping', 'attn_logit_softcapping']) {
    if (typeof config[key] === 'number') throw refuse(`it caps its logits (“${key}”), as Gemma 2 does`, key);
  }
  if (config.use_bidirectional_attention)
    throw refuse('its attention looks ahead', 'use_bidirectional_attention');
  const attentionBias = f.flag('attention_bias', false);
  const window = config.sliding_window === null ? null : f.size('sliding_window', 4096);
  const pattern = f.size('sliding_window_pattern', f.size('_sliding_window_pattern', 6));

  const parameters = record(config.rope_parameters);
  const global = ropeFrom(
    { ...record(parameters?.full_attention), ...record(config.rope_scaling) },
    f.number('rope_theta', 1_000_000),
    base.contextLength,
    'rope_parameters',
  );
  const local = ropeFrom(
    record(parameters?.sliding_attention) ?? {},
    f.number('rope_local_base_freq', 10000),
    base.contextLength,
    'rope_parameters',
  );
  if (local.scaling) throw refuse('it scales the RoPE of its sliding-window layers', 'rope_parameters');
  return {
    ...withRope(base, global),
    normAddsOne: true,
    postNorms: true,
    qkNorm: true,
    activation: activationOf(config, 'hidden_activation', 'gelu_pytorch_tanh'),
    ropeLocalTheta: local.theta,
    qkvBias: attentionBias,
    outputBias: attentionBias,
    embeddingScale: Math.sqrt(base.hiddenSize),
    attentionScale: f.number('query_pre_attn_scalar', 256) ** -0.5,
    slidingWindows: windowsOf(config, base.layers, window, (i) => (i + 1) % pattern !== 0),
    bosTokenId: f.tokenId('bos_token_id', 2),
    eosTokenIds: f.tokenIds('eos_token_id', 1),
    padTokenId: f.tokenId('pad_token_id', 0),
  };
}

export const gemma3: Family = {
  className: 'Gemma3ForCausalLM',
  architecture,
  names: llamaNames,
};
