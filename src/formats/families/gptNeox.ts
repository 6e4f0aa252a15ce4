// GPT-NeoX, Pythia: attention and MLP side by side, part of each head rotates, q, k and v in one module by head.
// Not here: what families share (config.ts, family.ts).

import type { Architecture } from '../../modelArchitecture';
import { activationOf, badConfig, baseOf, Fields, flatRope, type RawConfig, record } from './config';
import { type Family, layerNames, type TensorNames } from './family';

function architecture(config: RawConfig): Architecture {
  const f = new Fields(config);
  const base = baseOf(config, 'gpt_neox');
  const rope = flatRope(config, base.contextLength, 'rotary_emb_base', 10000);
  const stated = [record(config.rope_scaling), record(config.rope_parameters)].some(
    (p) => typeof p?.partial_rotary_factor === 'number',
  );
  const rotaryDim = Math.trunc(base.headDim * (stated ? rope.partialFactor : f.number('rotary_pct', 0.25)));
  if (rotaryDim % 2 !== 0)
    throw badConfig(`${rotaryDim} rotating dimensions a head are not a whole number of pairs.`, 'rotary_pct');
  const attentionBias = f.flag('attention_bias', true);
  return {
    ...base,
    norm: 'layer',
    normEpsilon: f.number('layer_norm_eps', 1e-5),
    activation: activationOf(config, 'hidden_act', 'gelu'),
    gated: false,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    rotaryDim,
    parallelResidual: f.flag('use_parallel_residual', true),
    qkvLayout: 'gpt_neox',
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: true,
    bosTokenId: f.tokenId('bos_token_id', 0),
    eosTokenIds: f.tokenIds('eos_token_id', 2),
  };
}

const names = (): TensorNames => ({
  embedding: 'gpt_neox.embed_in.weight',
  positions: '',
  finalNorm: 'gpt_neox.final_layer_norm',
  head: 'embed_out.weight',
  layer: (i) =>
    layerNames(`gpt_neox.layers.${i}`, {
      inputNorm: 'input_layernorm',
      qkv: 'attention.query_key_value',
      output: 'attention.dense',
      mlpNorm: 'post_attention_layernorm',
      up: 'mlp.dense_h_to_4h',
      down: 'mlp.dense_4h_to_h',
    }),
});

export const gptNeox: Family = {
  className: 'GPTNeoXForCausalLM',
  architecture,
  names,
  canonicalName: (name) => (name === 'lm_head.weight' ? 'embed_out.weight' : name),
};
