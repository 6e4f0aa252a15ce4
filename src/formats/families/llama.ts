// Llama, and models that are Llamas by their config: SmolLM2, TinyLlama, the shipped Pebbles.
// Not here: what families share (config.ts, family.ts).

import type { Architecture } from '../../modelArchitecture';
import { activationOf, baseOf, Fields, flatRope, type RawConfig, withRope } from './config';
import { type Family, llamaNames } from './family';

function architecture(config: RawConfig): Architecture {
  const f = new Fields(config);
  const base = baseOf(config, 'llama');
  const attentionBias = f.flag('attention_bias', false);
  return withRope(
    {
      ...base,
      activation: activationOf(config, 'hidden_act', 'silu'),
      qkvBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: f.flag('mlp_bias', false),
      bosTokenId: f.tokenId('bos_token_id', 1),
      eosTokenIds: f.tokenIds('eos_token_id', 2),
    },
    flatRope(config, base.contextLength, 'rope_theta', 10000),
  );
}

export const llama: Family = { className: 'LlamaForCausalLM', architecture, names: llamaNames };
