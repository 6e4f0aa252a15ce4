// A model's configuration, chat template and end tokens as GGUF metadata and back; a GGUF file as the files of a model.
// Not here: the tokenizer (ggufTokenizer.ts), tensor names (names.ts), the container (container.ts), writing tensors (engine/model/ggufFiles.ts).

import { PlaygroundError } from '../../errors';
import type { Architecture } from '../../modelArchitecture';
import type { FamilyId } from '../../modelFamilies';
import { architectureFromConfig, expectedTensors } from '../architecture';
import type { RawConfig } from '../families/config';
import type { ModelFiles } from '../huggingface';
import { badGguf, type GgufFile, type Metadata, type MetadataValue, readGguf } from './container';
import { tokenizerFromMetadata, tokenizerMetadata } from './ggufTokenizer';
import { fromGguf, GGUF_ARCHITECTURES, type GgufTensor, ggufTensors } from './names';
import { dequantize } from './quants';

/** `general.file_type` by the type of most tensors. */
const FILE_TYPES = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 } as const;

const uint = (value: number): MetadataValue => ({ type: 'uint32', value });
const float = (value: number): MetadataValue => ({ type: 'float32', value });
const text = (value: string): MetadataValue => ({ type: 'string', value });
const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });

/** Names of scaled RoPE frequencies, which llama.cpp keeps as a tensor. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** The hyperparameters that llama.cpp reads for this architecture. */
function hyperparameters(a: Architecture): [string, MetadataValue][] {
  const rope: [string, MetadataValue][] =
    a.positions === 'rope'
      ? [
          ['rope.freq_base', float(a.ropeTheta)],
          ['rope.dimension_count', uint(a.rotaryDim)],
          ...(a.ropeScaling?.type === 'linear'
            ? ([
                ['rope.scaling.type', text('linear')],
                ['rope.scaling.factor', float(a.ropeScaling.factor)],
              ] as [string, MetadataValue][])
            : []),
        ]
      : [];
  const epsilon = a.norm === 'rms' ? 'attention.layer_norm_rms_epsilon' : 'attention.layer_norm_epsilon';
  const window = a.slidingWindows.find((one) => one !== null);
  return [
    ['vocab_size', uint(a.vocabSize)],
    ['context_length', uint(a.contextLength)],
    ['embedding_length', uint(a.hiddenSize)],
    ['block_count', uint(a.layers)],
    ['feed_forward_length', uint(a.intermediateSize)],
    ['attention.head_count', uint(a.heads)],
    ['attention.head_count_kv', uint(a.kvHeads)],
    ['attention.key_length', uint(a.headDim)],
    ['attention.value_length', uint(a.headDim)],
    [epsilon, float(a.normEpsilon)],
    ...rope,
    ...(a.family === 'gpt_neox'
      ? ([['use_parallel_residual', flag(a.parallelResidual)]] as [string, MetadataValue][])
      : []),
    ...(a.ropeLocalTheta !== null
      ? ([['rope.freq_base_swa', float(a.ropeLocalTheta)]] as [string, MetadataValue][])
      : []),
    ...(window !== undefined && window !== null
      ? ([['attention.sliding_window', uint(window)]] as [string, MetadataValue][])
      : []),
  ];
}

export interface ModelMetadata {
  name: string;
  architecture: Architecture;
  fileType: keyof typeof FILE_TYPES;
  tokenizerJson: Record<string, unknown>;
  template: string;
  /** Ids that end an answer; the first is the one that was trained. */
  stopIds: readonly number[];
  bosTokenId: number | null;
  padTokenId: number | null;
  addsBos: boolean;
}

/** @throws PlaygroundError `unsupported_in_gguf` */
export function modelMetadata(given: ModelMetadata): { metadata: Metadata; notices: string[] } {
  const { architecture: a, stopIds } = given;
  const arch = GGUF_ARCHITECTURES[a.family];
  const { metadata: tokenizer, notices } = tokenizerMetadata(given.tokenizerJson, a.vocabSize);
  const [end, second, third, ...more] = stopIds;
  if (more.length > 0)
    notices.push(`A GGUF file names three end tokens at most; ${more.join(', ')} are left out.`);
  const ids: [string, number | null | undefined][] = [
    ['bos_token_id', given.bosTokenId],
    ['eos_token_id', end],
    ['eot_token_id', second ?? end],
    ['eom_token_id', third],
    ['padding_token_id', given.padTokenId],
  ];
  const metadata = new Map<string, MetadataValue>([
    ['general.architecture', text(arch)],
    ['general.type', text('model')],
    ['general.name', text(given.name)],
    ['general.file_type', uint(FILE_TYPES[given.fileType])],
    ['general.quantization_version', uint(2)],
    ...hyperparameters(a).map(([key, value]): [string, MetadataValue] => [`${arch}.${key}`, value]),
    ...tokenizer,
    ...ids.flatMap(([key, id]): [string, MetadataValue][] =>
      typeof id === 'number' ? [[`tokenizer.ggml.${key}`, uint(id)]] : [],
    ),
    ['tokenizer.ggml.add_bos_token', flag(given.addsBos)],
    ['tokenizer.chat_template', text(given.template)],
  ]);
  return { metadata, notices };
}

// ───────────────────────────── reading ─────────────────────────────

/** config.json as transformers has it, from metadata. @throws PlaygroundError `unsupported_architecture`, `bad_gguf` */
function configOf(file: GgufFile, name: string): RawConfig {
  const { metadata } = file;
  const arch = metadata.get('general.architecture');
  const family = (Object.keys(GGUF_ARCHITECTURES) as FamilyId[]).find((f) => GGUF_ARCHITECTURES[f] === arch);
  if (!family) {
    throw new PlaygroundError({
      code: 'unsupported_architecture',
      message: `This page cannot run this model: ${name} is a GGUF file of “${String(arch)}”, and ${Object.values(GGUF_ARCHITECTURES).join(', ')} are read here.`,
      fix: 'Choose a model of one of these kinds.',
      where: 'general.architecture',
    });
  }
  const get = (key: string) => metadata.get(`${String(arch)}.${key}`);
  const need = (key: string): number => {
    const value = get(key);
    if (typeof value !== 'number') throw badGguf(name, `it has no “${String(arch)}.${key}”.`);
    return value;
  };
  const has = (tensor: string) => file.entries.some((entry) => entry.name === tensor);
  const embedding = file.entries.find((entry) => entry.name === 'token_embd.weight');
  const [hidden, heads, layers] = [
    need('embedding_length'),
    need('attention.head_count'),
    need('block_count'),
  ];
  const [vocabSize] = embedding?.shape ?? [];
  const headDim = get('attention.key_length') ?? hidden / heads;
  const common = {
    vocab_size: vocabSize,
    tie_word_embeddings: !has('output.weight'),
    bos_token_id: metadata.get('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: metadata.get('tokenizer.ggml.eos_token_id') ?? null,
    pad_token_id: metadata.get('tokenizer.ggml.padding_token_id') ?? null,
  };
  const epsilon = get('attention.layer_norm_rms_epsilon') ?? get('attention.layer_norm_epsilon');
  if (family === 'gpt2') {
    return {
      model_type: family,
      architectures: ['GPT2LMHeadModel'],
      n_embd: hidden,
      n_head: heads,
      n_layer: layers,
      n_positions: need('context_length'),
      n_inner: need('feed_forward_length'),
      layer_norm_epsilon: epsilon,
      activation_function: 'gelu_new',
      ...common,
    };
  }
  const shared = {
    model_type: family,
    hidden_size: hidden,
    intermediate_size: need('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    max_position_embeddings: need('context_length'),
    ...common,
  };
  if (family === 'gpt_neox') {
    return {
      ...shared,
      architectures: ['GPTNeoXForCausalLM'],
      hidden_act: 'gelu',
      layer_norm_eps: epsilon,
      rotary_pct: need('rope.dimension_count') / (hidden / heads),
      rotary_emb_base: get('rope.freq_base') ?? 10000,
      use_parallel_residual: get('use_parallel_residual') ?? true,
    };
  }
  const bias = has('blk.0.attn_q.bias');
  const scaling = get('rope.scaling.type') === 'linear' ? Number(get('rope.scaling.factor') ?? 1) : null;
  return {
    ...shared,
    num_key_value_heads: get('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    rms_norm_eps: epsilon,
    hidden_act: 'silu',
    rope_theta: get('rope.freq_base') ?? (family === 'gemma3_text' ? 1_000_000 : 10000),
    ...(scaling !== null && { rope_scaling: { rope_type: 'linear', factor: scaling } }),
    ...(family === 'llama' && { attention_bias: bias, mlp_bias: has('blk.0.ffn_up.bias') }),
    ...(family === 'gemma3_text' && {
      architectures: ['Gemma3ForCausalLM'],
      hidden_activation: 'gelu_pytorch_tanh',
      query_pre_attn_scalar: headDim,
      sliding_window: get('attention.sliding_window') ?? 512,
      sliding_window_pattern: 6,
      rope_local_base_freq: get('rope.freq_base_swa') ?? 10000,
    }),
  };
}

/**
 * RoPE scaling from the factors that the file holds as a tensor: Llama 3's formula with the numbers of its models.
 * @throws PlaygroundError `unsupported_architecture` for factors of another formula
 */
async function withRopeFactors(file: GgufFile, config: RawConfig): Promise<RawConfig> {
  const entry = file.entries.find(({ name }) => name === ROPE_FACTORS);
  if (!entry) return config;
  const factors = dequantize(entry.type, await file.readRaw(ROPE_FACTORS));
  const rope_scaling = {
    rope_type: 'llama3',
    factor: Math.round(Math.max(...factors)),
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const half = factors.length;
  const theta = config.rope_theta as number;
  const wrong = factors.findIndex((factor, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / half);
    const { factor: f, original_max_position_embeddings: length } = rope_scaling;
    if (wavelength > length) return Math.abs(factor - f) > 1e-3 * f;
    if (wavelength < length / 4) return Math.abs(factor - 1) > 1e-3;
    const smooth = (length / wavelength - 1) / 3;
    return Math.abs(factor - 1 / ((1 - smooth) / f + smooth)) > 1e-3 * factor;
  });
  if (wrong < 0) return { ...config, rope_scaling };
  throw new PlaygroundError({
    code: 'unsupported_architecture',
    message: `This page cannot run this model: its RoPE factor ${wrong} is ${factors[wrong]}, which is not Llama 3’s scaling.`,
    fix: 'Take the model’s Hugging Face folder instead.',
    where: ROPE_FACTORS,
  });
}

/** Where each tensor of the model lies in the file. @throws PlaygroundError `weights_do_not_fit` */
function located(file: GgufFile, a: Architecture): Map<string, GgufTensor> {
  const entries = new Map(file.entries.map((entry) => [entry.name, entry]));
  const found = new Map<string, GgufTensor>();
  for (const tensor of ggufTensors(a)) {
    const entry = entries.get(tensor.name);
    if (entry && entry.shape.join() === tensor.shape.join()) found.set(tensor.from, tensor);
    else {
      throw new PlaygroundError({
        code: 'weights_do_not_fit',
        message: entry
          ? `${tensor.name} is [${entry.shape.join(', ')}] and should be [${tensor.shape.join(', ')}].`
          : `The GGUF file has no ${tensor.name}.`,
        fix: 'Take a complete file of the model.',
        where: tensor.name,
      });
    }
  }
  return found;
}

/**
 * A GGUF file as the files of a model; tensors are dequantised when they are read.
 * @throws PlaygroundError `bad_gguf`, `unsupported_dtype`, `unsupported_architecture`, `unsupported_tokenizer`, `weights_do_not_fit`
 */
export async function readGgufModel(blob: Blob, name: string): Promise<ModelFiles> {
  const file = await readGguf(blob, name);
  const { metadata } = file;
  if (metadata.get('general.type') === 'adapter')
    throw badGguf(name, 'it holds a LoRA adapter and no model. Take the GGUF file of its base model.');
  const config = await withRopeFactors(file, configOf(file, name));
  const architecture = architectureFromConfig(config);
  const tensors = located(file, architecture);
  const entries = new Map(file.entries.map((entry) => [entry.name, entry]));
  const used = new Set([...[...tensors.values()].map((tensor) => tensor.name), ROPE_FACTORS]);
  const surplus = file.entries.filter((entry) => !used.has(entry.name)).map((entry) => entry.name);
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[] | undefined;
  const tokenOf = (key: string) => {
    const id = metadata.get(`tokenizer.ggml.${key}`);
    return typeof id === 'number' ? (tokens?.[id] ?? null) : null;
  };
  const ends = ['eos_token_id', 'eot_token_id', 'eom_token_id'].flatMap((key) => {
    const id = metadata.get(`tokenizer.ggml.${key}`);
    return typeof id === 'number' && id < architecture.vocabSize ? [id] : [];
  });
  const template = metadata.get('tokenizer.chat_template');
  const byBytes = new Map<string, number>();
  for (const { name: tensor, type, byteLength } of file.entries)
    if (used.has(tensor)) byBytes.set(type, (byBytes.get(type) ?? 0) + byteLength);
  const read = async (wanted: string) => {
    const tensor = tensors.get(wanted) as GgufTensor;
    const entry = entries.get(tensor.name) as GgufFile['entries'][number];
    const data = fromGguf(tensor, dequantize(entry.type, await file.readRaw(tensor.name)));
    const shape = tensor.transposed ? [...tensor.shape].reverse() : tensor.shape;
    return { shape, data };
  };
  return {
    architecture: { ...architecture, eosTokenIds: [...new Set([...architecture.eosTokenIds, ...ends])] },
    config,
    tokenizerJson: tokenizerFromMetadata(metadata),
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: tokenOf('bos_token_id'),
      eos_token: tokenOf('eos_token_id'),
      pad_token: tokenOf('padding_token_id'),
    },
    chatTemplate: typeof template === 'string' ? template : null,
    generationConfig: ends.length > 0 ? { eos_token_id: [...new Set(ends)] } : {},
    weights: {
      names: [...tensors.keys()],
      dtype: [...byBytes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'F32',
      totalBytes: [...byBytes.values()].reduce((sum, bytes) => sum + bytes, 0),
      parameters: expectedTensors(architecture).reduce(
        (total, { shape }) => total + shape.reduce((x, y) => x * y, 1),
        0,
      ),
      read,
      readRaw: async (wanted) => {
        const { shape, data } = await read(wanted);
        return { shape, dtype: 'F32', bytes: new Uint8Array(data.buffer) };
      },
    },
    notices:
      surplus.length === 0
        ? []
        : [
            `The file holds tensors that this kind of model does not use; they are left out: ${surplus.slice(0, 5).join(', ')}.`,
          ],
  };
}
