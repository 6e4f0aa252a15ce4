// Reading config.json, for all families: typed fields with the defaults of transformers 5.18, RoPE, windows, refusals.
// Not here: which family a config is of (../architecture.ts), the rules of one family (its own file).

import { PlaygroundError } from '../../errors';
import type { Architecture, RopeScaling } from '../../modelArchitecture';
import { FAMILY_LABELS, type FamilyId } from '../../modelFamilies';
import { quoted } from '../../wording';

export type RawConfig = Record<string, unknown>;

export function refuse(what: string, where: string): PlaygroundError {
  return new PlaygroundError({
    code: 'unsupported_architecture',
    message: `This page cannot run this model: ${what}.`,
    fix: `Choose a model of one of these kinds: ${FAMILY_LABELS}; dense, with weights in F32, F16 or BF16.`,
    where,
  });
}

export function badConfig(message: string, where: string): PlaygroundError {
  return new PlaygroundError({
    code: 'bad_config',
    message: `config.json does not make sense: ${message}`,
    fix: 'Use the config.json that came with the weights.',
    where,
  });
}

/** Reads fields of a config, with the class default of transformers where the key is absent. */
export class Fields {
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
    // -1 stands for none in some older files.
    return typeof first === 'number' && first >= 0 ? first : null;
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

export function activationOf(config: RawConfig, key: string, fallback: string): Architecture['activation'] {
  const name = config[key] ?? fallback;
  const activation =
    typeof name === 'string' && Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (!activation) {
    throw refuse(
      `its activation function is “${String(name)}”, and silu, gelu, gelu_new and relu are known here`,
      key,
    );
  }
  return activation;
}

export interface Rope {
  theta: number;
  scaling: RopeScaling | null;
  partialFactor: number;
}

/** One RoPE dictionary, old (`type`) or new (`rope_type`) spelling. */
export function ropeFrom(parameters: RawConfig, theta: number, contextLength: number, where: string): Rope {
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
  throw refuse(
    `its RoPE scaling is ${quoted(String(type))}, and default, linear and llama3 are known here`,
    where,
  );
}

export function record(value: unknown): RawConfig | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as RawConfig) : null;
}

/** Flat RoPE parameters of a config: `rope_scaling` wins over `rope_parameters`, as in transformers; old keys fill in. */
export function flatRope(
  config: RawConfig,
  contextLength: number,
  oldTheta: string,
  defaultTheta: number,
): Rope {
  const scaling = record(config.rope_scaling);
  const parameters = record(config.rope_parameters);
  const chosen = scaling && Object.keys(scaling).length > 0 ? scaling : (parameters ?? {});
  const nested = record(chosen.full_attention);
  const theta = new Fields(config).number(oldTheta, defaultTheta);
  // The base in rope_parameters is used even beside an old-style rope_scaling.
  const fallback = typeof parameters?.rope_theta === 'number' ? parameters.rope_theta : theta;
  return ropeFrom(nested ?? chosen, fallback, contextLength, scaling ? 'rope_scaling' : 'rope_parameters');
}

/** Window per layer from `layer_types`, else from a rule for layer i. */
export function windowsOf(
  config: RawConfig,
  layers: number,
  window: number | null,
  slides: (i: number) => boolean,
): (number | null)[] {
  const types = config.layer_types;
  if (types !== undefined && types !== null) {
    if (!Array.isArray(types) || types.length !== layers) {
      throw badConfig(
        `“layer_types” must name a type for each layer, and there are ${layers}.`,
        'layer_types',
      );
    }
    const strange = types.find((t) => t !== 'full_attention' && t !== 'sliding_attention');
    if (strange !== undefined) throw refuse(`it has layers of type “${String(strange)}”`, 'layer_types');
    slides = (i) => types[i] === 'sliding_attention';
  }
  return Array.from({ length: layers }, (_, i) => (window !== null && slides(i) ? window : null));
}

/** The fields in which the families agree, with Llama's values where they differ. */
export function baseOf(config: RawConfig, family: FamilyId): Architecture {
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

export function withRope(a: Architecture, rope: Rope): Architecture {
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
