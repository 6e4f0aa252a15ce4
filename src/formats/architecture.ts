// config.json → Architecture: every switch derived as transformers 5.18 derives it, and the tensors such a model must have.
// Not here: reading folders and weights (huggingface.ts), arithmetic (engine/).

import type { Architecture, RopeScaling } from '../contract';
import { PlaygroundError } from '../errors';

export type RawConfig = Record<string, unknown>;

/** A tensor that a model of some architecture stores. Shapes as stored: GPT-2's linear weights are [in, out], all others [out, in]. */
export interface ExpectedTensor {
  name: string;
  shape: number[];
}

const FAMILIES: Readonly<Record<string, Architecture['family']>> = {
  llama: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gpt2: 'gpt2',
  gpt_neox: 'gpt_neox',
  gemma3_text: 'gemma3_text',
};

const CLASS_NAMES: Readonly<Record<Architecture['family'], string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  gpt2: 'GPT2LMHeadModel',
  gpt_neox: 'GPTNeoXForCausalLM',
  gemma3_text: 'Gemma3ForCausalLM',
};

/** What a refusal says is possible. */
const SUPPORTED =
  'Llama (SmolLM2, TinyLlama …), Qwen2, Qwen2.5, Qwen3, GPT-2 and DistilGPT-2, GPT-NeoX (Pythia) and Gemma 3 text models, dense, in F32, F16 or BF16';

function refuse(what: string, where: string): PlaygroundError {
  return new PlaygroundError({
    code: 'unsupported_architecture',
    message: `This page cannot run this model: ${what}.`,
    fix: `Choose one of these: ${SUPPORTED}.`,
    where,
  });
}

function badConfig(message: string, where: string): PlaygroundError {
  return new PlaygroundError({
    code: 'bad_config',
    message: `config.json does not make sense: ${message}`,
    fix: 'Use the config.json that came with the weights.',
    where,
  });
}

/** Reads fields of a config, with the class default of transformers where the key is absent. */
class Fields {
  constructor(private readonly config: RawConfig) {}

  /** A positive whole number; without a default the key must be there. */
  size(key: string, fallback?: number): number {
    const value = this.config[key] ?? fallback;
    if (value === undefined) throw badConfig(`“${key}” is missing.`, key);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
      throw badConfig(`“${key}” is ${JSON.stringify(value)}; it must be a whole number above zero.`, key);
    }
    return value;
  }

  number(key: string, fallback: number): number {
    const value = this.config[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw badConfig(`“${key}” is ${JSON.stringify(value)}; it must be a number.`, key);
    }
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.config[key] ?? fallback;
    if (typeof value !== 'boolean')
      throw badConfig(`“${key}” is ${JSON.stringify(value)}; it must be true or false.`, key);
    return value;
  }

  /** An explicit null stays null; an absent key gets the default. */
  tokenId(key: string, fallback: number | null): number | null {
    const value = this.config[key] === undefined ? fallback : this.config[key];
    const first = Array.isArray(value) ? value[0] : value;
    return typeof first === 'number' ? first : null;
  }

  tokenIds(key: string, fallback: number | null): number[] {
    const value = this.config[key] === undefined ? fallback : this.config[key];
    return idList(value);
  }
}

/** `eos_token_id` as a list, whichever way it is written. */
export function idList(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0);
}

const ACTIVATIONS: Readonly<Record<string, Architecture['activation']>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
};

function activationOf(config: RawConfig, key: string, fallback: string): Architecture['activation'] {
  const name = config[key] ?? fallback;
  const activation = typeof name === 'string' ? ACTIVATIONS[name] : undefined;
  if (!activation) {
    throw refuse(
      `its activation function is “${String(name)}”, and silu, gelu, gelu_new and relu are known here`,
      key,
    );
  }
  return activation;
}

function familyOf(config: RawConfig): Architecture['family'] {
  const type = config.model_type;
  const names = Array.isArray(config.architectures)
    ? config.architectures.filter((n) => typeof n === 'string')
    : [];
  const named: string | undefined = names[0];
  const called = named ?? (typeof type === 'string' ? type : 'a model without a “model_type”');
  const family =
    typeof type === 'string'
      ? FAMILIES[type]
      : (Object.keys(CLASS_NAMES) as Architecture['family'][]).find((f) => CLASS_NAMES[f] === named);
  if (!family) throw refuse(`it is ${called}, which is not among the supported kinds`, 'model_type');
  // GPT2Model is what the first GPT-2 files declare; every other class without a language-model head cannot write text.
  if (named !== undefined && named !== CLASS_NAMES[family] && !(family === 'gpt2' && named === 'GPT2Model')) {
    throw refuse(`it is ${named}, and of this kind only ${CLASS_NAMES[family]} writes text`, 'architectures');
  }
  if (config.quantization_config) {
    const method = (config.quantization_config as RawConfig).quant_method;
    throw refuse(
      `its weights are quantised${typeof method === 'string' ? ` (${method})` : ''}`,
      'quantization_config',
    );
  }
  return family;
}

interface Rope {
  theta: number;
  scaling: RopeScaling | null;
  partialFactor: number;
}

/** One RoPE dictionary, old (`type`) or new (`rope_type`) spelling. */
function ropeFrom(parameters: RawConfig, theta: number, contextLength: number, where: string): Rope {
  const fields = new Fields(parameters);
  const type = parameters.rope_type ?? parameters.type ?? 'default';
  const base = fields.number('rope_theta', theta);
  const partialFactor = fields.number('partial_rotary_factor', 1);
  if (type === 'default') return { theta: base, scaling: null, partialFactor };
  if (type === 'linear') {
    return {
      theta: base,
      scaling: { type: 'linear', factor: fields.number('factor', Number.NaN) },
      partialFactor,
    };
  }
  if (type === 'llama3') {
    return {
      theta: base,
      scaling: {
        type: 'llama3',
        factor: fields.number('factor', Number.NaN),
        lowFrequencyFactor: fields.number('low_freq_factor', Number.NaN),
        highFrequencyFactor: fields.number('high_freq_factor', Number.NaN),
        originalContextLength: fields.number('original_max_position_embeddings', contextLength),
      },
      partialFactor,
    };
  }
  throw refuse(`its RoPE scaling is “${String(type)}”, and default, linear and llama3 are known here`, where);
}

function record(value: unknown): RawConfig | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as RawConfig) : null;
}

/** Flat RoPE parameters of a config: `rope_scaling` wins over `rope_parameters`, as in transformers; old keys fill in. */
function flatRope(config: RawConfig, contextLength: number, oldTheta: string, defaultTheta: number): Rope {
  const scaling = record(config.rope_scaling);
  const parameters = record(config.rope_parameters);
  const chosen = scaling && Object.keys(scaling).length > 0 ? scaling : (parameters ?? {});
  const nested = record(chosen.full_attention);
  const theta = new Fields(config).number(oldTheta, defaultTheta);
  // A base inside rope_parameters still counts when an old-style rope_scaling stands beside it.
  const fallback = typeof parameters?.rope_theta === 'number' ? parameters.rope_theta : theta;
  return ropeFrom(nested ?? chosen, fallback, contextLength, scaling ? 'rope_scaling' : 'rope_parameters');
}

/** Window per layer from `layer_types`, else from a rule for layer i. */
function windowsOf(
  config: RawConfig,
  layers: number,
  window: number | null,
  slides: (i: number) => boolean,
): (number | null)[] {
  const types = config.layer_types;
  if (types !== undefined && types !== null) {
    if (!Array.isArray(types) || types.length !== layers) {
      throw badConfig(`“layer_types” must name each of the ${layers} layers.`, 'layer_types');
    }
    const strange = types.find((t) => t !== 'full_attention' && t !== 'sliding_attention');
    if (strange !== undefined) throw refuse(`it has layers of type “${String(strange)}”`, 'layer_types');
    slides = (i) => types[i] === 'sliding_attention';
  }
  return Array.from({ length: layers }, (_, i) => (window !== null && slides(i) ? window : null));
}

/** The fields in which the families agree, with Llama's values where they differ. */
function baseOf(config: RawConfig, family: Architecture['family']): Architecture {
  const f = new Fields(config);
  const hiddenSize = f.size('hidden_size');
  const heads = f.size('num_attention_heads');
  const layers = f.size('num_hidden_layers');
  const contextLength = f.size(
    'max_position_embeddings',
    family === 'llama' || family === 'gpt_neox' ? 2048 : 32768,
  );
  const kvHeads = f.size('num_key_value_heads', heads);
  if (heads % kvHeads !== 0)
    throw badConfig(`${heads} heads cannot share ${kvHeads} key/value heads.`, 'num_key_value_heads');
  if (config.head_dim === undefined && hiddenSize % heads !== 0) {
    throw badConfig(`hidden_size ${hiddenSize} is not a multiple of ${heads} heads.`, 'num_attention_heads');
  }
  const headDim = f.size('head_dim', Math.floor(hiddenSize / heads));
  return {
    family,
    vocabSize: f.size('vocab_size'),
    hiddenSize,
    intermediateSize: f.size('intermediate_size'),
    layers,
    heads,
    kvHeads,
    headDim,
    contextLength,
    norm: 'rms',
    normEpsilon: f.number('rms_norm_eps', 1e-6),
    normAddsOne: false,
    postNorms: false,
    qkNorm: false,
    activation: 'silu',
    gated: true,
    positions: 'rope',
    ropeTheta: 10000,
    ropeLocalTheta: null,
    rotaryDim: headDim,
    ropeScaling: null,
    parallelResidual: false,
    qkvLayout: 'separate',
    conv1d: false,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    tiedHead: f.flag('tie_word_embeddings', false),
    embeddingScale: 1,
    attentionScale: headDim ** -0.5,
    slidingWindows: new Array<number | null>(layers).fill(null),
    bosTokenId: f.tokenId('bos_token_id', null),
    eosTokenIds: f.tokenIds('eos_token_id', null),
    padTokenId: f.tokenId('pad_token_id', null),
  };
}

function withRope(a: Architecture, rope: Rope): Architecture {
  if (rope.partialFactor !== 1) {
    throw refuse(
      'it rotates only part of each head, which is known here for GPT-NeoX only',
      'partial_rotary_factor',
    );
  }
  if (a.headDim % 2 !== 0)
    throw badConfig(`RoPE needs an even head size, and it is ${a.headDim}.`, 'head_dim');
  return { ...a, ropeTheta: rope.theta, ropeScaling: rope.scaling };
}

function llama(config: RawConfig): Architecture {
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

function qwen(config: RawConfig, family: 'qwen2' | 'qwen3'): Architecture {
  const f = new Fields(config);
  // Qwen3's head size is 128 whatever the hidden size, unless the file says otherwise.
  const given = family === 'qwen3' ? { head_dim: 128, ...config } : config;
  const base = baseOf(given, family);
  const slides = f.flag('use_sliding_window', false);
  const window = slides && config.sliding_window !== null ? f.size('sliding_window', 4096) : null;
  const firstSliding = f.number('max_window_layers', 28);
  const attentionBias = family === 'qwen3' && f.flag('attention_bias', false);
  return withRope(
    {
      ...base,
      qkNorm: family === 'qwen3',
      activation: activationOf(config, 'hidden_act', 'silu'),
      qkvBias: family === 'qwen2' || attentionBias,
      outputBias: attentionBias,
      slidingWindows: windowsOf(config, base.layers, window, (i) => i >= firstSliding),
    },
    flatRope(config, base.contextLength, 'rope_theta', 10000),
  );
}

function gemma3(config: RawConfig): Architecture {
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

function gpt2(config: RawConfig): Architecture {
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

function gptNeox(config: RawConfig): Architecture {
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

/**
 * The architecture that a config.json describes, old or new spelling, with the defaults of transformers 5.18.
 * Throws `unsupported_architecture` (says what is supported) or `bad_config`.
 */
export function architectureFromConfig(config: RawConfig): Architecture {
  const family = familyOf(config);
  switch (family) {
    case 'llama':
      return llama(config);
    case 'qwen2':
    case 'qwen3':
      return qwen(config, family);
    case 'gemma3_text':
      return gemma3(config);
    case 'gpt2':
      return gpt2(config);
    case 'gpt_neox':
      return gptNeox(config);
  }
}

/** Where each family keeps things: prefix of a layer and the names of the parts. */
export function embeddingName(a: Architecture): string {
  if (a.family === 'gpt2') return 'transformer.wte.weight';
  return a.family === 'gpt_neox' ? 'gpt_neox.embed_in.weight' : 'model.embed_tokens.weight';
}

/** Name of the output head when it is a tensor of its own. */
export function headName(a: Architecture): string {
  return a.family === 'gpt_neox' ? 'embed_out.weight' : 'lm_head.weight';
}

/** Every tensor of such a model under the name and in the shape that transformers saves. */
export function expectedTensors(a: Architecture): ExpectedTensor[] {
  const tensors: ExpectedTensor[] = [];
  const add = (name: string, ...shape: number[]) => tensors.push({ name, shape });
  const linear = (name: string, inSize: number, outSize: number, bias: boolean) => {
    if (a.conv1d) add(`${name}.weight`, inSize, outSize);
    else add(`${name}.weight`, outSize, inSize);
    if (bias) add(`${name}.bias`, outSize);
  };
  const norm = (name: string, size = a.hiddenSize) => {
    add(`${name}.weight`, size);
    if (a.norm === 'layer') add(`${name}.bias`, size);
  };
  const d = a.hiddenSize;
  const queries = a.heads * a.headDim;
  const keys = a.kvHeads * a.headDim;

  add(embeddingName(a), a.vocabSize, d);
  if (a.positions === 'learned') add('transformer.wpe.weight', a.contextLength, d);
  for (let i = 0; i < a.layers; i++) {
    if (a.family === 'gpt2') {
      const layer = `transformer.h.${i}`;
      norm(`${layer}.ln_1`);
      linear(`${layer}.attn.c_attn`, d, queries + 2 * keys, a.qkvBias);
      linear(`${layer}.attn.c_proj`, queries, d, a.outputBias);
      norm(`${layer}.ln_2`);
      linear(`${layer}.mlp.c_fc`, d, a.intermediateSize, a.mlpBias);
      linear(`${layer}.mlp.c_proj`, a.intermediateSize, d, a.mlpBias);
    } else if (a.family === 'gpt_neox') {
      const layer = `gpt_neox.layers.${i}`;
      norm(`${layer}.input_layernorm`);
      norm(`${layer}.post_attention_layernorm`);
      linear(`${layer}.attention.query_key_value`, d, queries + 2 * keys, a.qkvBias);
      linear(`${layer}.attention.dense`, queries, d, a.outputBias);
      linear(`${layer}.mlp.dense_h_to_4h`, d, a.intermediateSize, a.mlpBias);
      linear(`${layer}.mlp.dense_4h_to_h`, a.intermediateSize, d, a.mlpBias);
    } else {
      const layer = `model.layers.${i}`;
      norm(`${layer}.input_layernorm`);
      linear(`${layer}.self_attn.q_proj`, d, queries, a.qkvBias);
      linear(`${layer}.self_attn.k_proj`, d, keys, a.qkvBias);
      linear(`${layer}.self_attn.v_proj`, d, keys, a.qkvBias);
      linear(`${layer}.self_attn.o_proj`, queries, d, a.outputBias);
      if (a.qkNorm) {
        norm(`${layer}.self_attn.q_norm`, a.headDim);
        norm(`${layer}.self_attn.k_norm`, a.headDim);
      }
      norm(`${layer}.post_attention_layernorm`);
      if (a.postNorms) {
        norm(`${layer}.pre_feedforward_layernorm`);
        norm(`${layer}.post_feedforward_layernorm`);
      }
      linear(`${layer}.mlp.gate_proj`, d, a.intermediateSize, a.mlpBias);
      linear(`${layer}.mlp.up_proj`, d, a.intermediateSize, a.mlpBias);
      linear(`${layer}.mlp.down_proj`, a.intermediateSize, d, a.mlpBias);
    }
  }
  if (a.family === 'gpt2') norm('transformer.ln_f');
  else if (a.family === 'gpt_neox') norm('gpt_neox.final_layer_norm');
  else norm('model.norm');
  if (!a.tiedHead) add(headName(a), a.vocabSize, d);
  return tensors;
}

/** The name transformers saves for a tensor that an older file calls differently; null for buffers that hold no weights. */
export function canonicalName(name: string, family: Architecture['family']): string | null {
  if (/\.rotary_emb\.inv_freq$/.test(name) || /\.(attn|attention)\.(bias|masked_bias)$/.test(name))
    return null;
  if (family === 'gpt2') return /^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name;
  if (family === 'gpt_neox' && name === 'lm_head.weight') return 'embed_out.weight';
  return name;
}
