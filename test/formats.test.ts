// Files of other people's tools: safetensors, model folders (dropped or behind an address), config.json.
// Sound ones are read to the last bit; each kind of fault ends in its own code. The wire is a real server.

import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PlaygroundError } from '../src/errors';
import { architectureFromConfig, expectedTensors } from '../src/formats/architecture';
import type { RawConfig } from '../src/formats/families/config';
import { folderFromFiles, folderFromUrl, readModelFolder } from '../src/formats/huggingface';
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  readSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../src/formats/safetensors';
import type { LoadProgress } from '../src/modelContract';
import { FAMILY_LABELS } from '../src/modelFamilies';

/** A safetensors file from a header as it stands and some data. */
function rawFile(header: string, data: Uint8Array = new Uint8Array()): Blob {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return new Blob([bytes]);
}

async function refusal(promise: Promise<unknown>): Promise<PlaygroundError> {
  const thrown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(PlaygroundError);
  const error = thrown as PlaygroundError;
  for (const sentence of [error.message, error.fix]) expect(sentence).toMatch(/^[\p{Lu}“\w].*[.]$/su);
  return error;
}

describe('16-bit floats', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

  test('every half and every bfloat16 survives the way to float and back', () => {
    const halves = float16ToFloat32(all);
    const brains = bfloat16ToFloat32(all);
    const wrongHalves = all.filter(
      (h, i) => !Number.isNaN(halves[i]) && float32ToFloat16(halves.subarray(i, i + 1))[0] !== h,
    );
    const wrongBrains = all.filter(
      (b, i) => !Number.isNaN(brains[i]) && float32ToBfloat16(brains.subarray(i, i + 1))[0] !== b,
    );
    expect([...wrongHalves, ...wrongBrains]).toEqual([]);
    expect(float16ToFloat32(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x3555))).toEqual(
      Float32Array.of(1, -2, 65504, 2 ** -24, Number.POSITIVE_INFINITY, 0.333251953125),
    );
    expect(float16ToFloat32(float32ToFloat16(Float32Array.of(Number.NaN)))[0]).toBeNaN();
    expect(bfloat16ToFloat32(float32ToBfloat16(Float32Array.of(Number.NaN)))[0]).toBeNaN();
  });

  /** The nearest of the 16-bit values, ties to the even one: by definition, not by bit tricks. */
  function nearest(value: number, table: Float32Array): number[] {
    let best: number[] = [];
    let distance = Number.POSITIVE_INFINITY;
    for (let code = 0; code < 65536; code++) {
      const candidate = table[code] as number;
      if (!Number.isFinite(candidate)) continue;
      const away = Math.abs(candidate - value);
      if (away < distance) [best, distance] = [[code], away];
      else if (away === distance) best.push(code);
    }
    const even = best.filter((code) => code % 2 === 0);
    return even.length > 0 ? even : best;
  }

  test('rounding goes to the nearest value, ties to even', () => {
    const halves = float16ToFloat32(all);
    const brains = bfloat16ToFloat32(all);
    const value = fc.oneof(
      fc.float({ noNaN: true, noDefaultInfinity: true, min: -65504, max: 65504 }),
      fc.float({ noNaN: true, noDefaultInfinity: true, min: -Math.fround(1e-4), max: Math.fround(1e-4) }),
      // Exact halfway points between two neighbours.
      fc
        .integer({ min: 0, max: 0x7bfe })
        .map((h) => Math.fround(((halves[h] as number) + (halves[h + 1] as number)) / 2)),
    );
    fc.assert(
      fc.property(value, (x) => {
        expect(nearest(x, halves)).toContain(float32ToFloat16(Float32Array.of(x))[0]);
        expect(nearest(x, brains)).toContain(float32ToBfloat16(Float32Array.of(x))[0]);
      }),
      { numRuns: 150 },
    );
    expect(float32ToFloat16(Float32Array.of(65519.99, 65520, -1e10, 2 ** -25, 2 ** -25 * 1.001))).toEqual(
      Uint16Array.of(0x7bff, 0x7c00, 0xfc00, 0, 1),
    );
  });
});

describe('safetensors', () => {
  test('reads what it writes, in every float dtype, whatever the sizes', async () => {
    const tensor = fc.record({
      shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
      dtype: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
      seed: fc.integer({ min: 0, max: 1000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(tensor, { maxLength: 6 }), async (specs) => {
        const tensors = specs.map(({ shape, dtype, seed }, i): TensorToWrite => {
          const size = shape.reduce((a, b) => a * b, 1);
          // Multiples of 1/8 below 16 are exact in all three.
          return {
            name: `t.${i}`,
            shape,
            dtype,
            data: Float32Array.from({ length: size }, (_, k) => ((seed + 7 * k) % 128) / 8),
          };
        });
        const bytes = writeSafetensors(tensors, { format: 'pt', note: 'ä' });
        expect(bytes.length % 2).toBe(0);
        const file = await readSafetensors(new Blob([bytes]));
        expect(file.metadata).toEqual({ format: 'pt', note: 'ä' });
        expect(file.entries.length).toBe(tensors.length);
        for (const { name, shape, dtype, data } of tensors) {
          expect(await file.read(name)).toEqual({ shape, dtype, data });
        }
      }),
      { numRuns: 60 },
    );
  });

  test('reads integers, booleans and doubles, and data that no padding aligns', async () => {
    const header =
      '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"I64","shape":[2],"data_offsets":[8,24]},"c":{"dtype":"BOOL","shape":[3],"data_offsets":[24,27]},"d":{"dtype":"I32","shape":[],"data_offsets":[27,31]},"e":{"dtype":"F32","shape":[1],"data_offsets":[31,35]}}';
    const view = new DataView(new ArrayBuffer(35));
    view.setFloat64(0, 1.5, true);
    view.setBigInt64(8, -3n, true);
    view.setBigInt64(16, 7n, true);
    view.setUint8(25, 1);
    view.setInt32(27, -9, true);
    view.setFloat32(31, 0.25, true);
    for (const pad of ['', ' ', '  ']) {
      const file = await readSafetensors(rawFile(header + pad, new Uint8Array(view.buffer)));
      const read = async (name: string) => [...(await file.read(name)).data];
      expect(await Promise.all(['a', 'b', 'c', 'd', 'e'].map(read))).toEqual([
        [1.5],
        [-3, 7],
        [0, 1, 0],
        [-9],
        [0.25],
      ]);
    }
    const raw = await (await readSafetensors(rawFile(header, new Uint8Array(view.buffer)))).readRaw('c');
    expect(raw).toEqual({
      entry: { name: 'c', dtype: 'BOOL', shape: [3], byteLength: 3 },
      bytes: Uint8Array.of(0, 1, 0),
    });
  });

  const entry = (fields: object) =>
    `{"x":${JSON.stringify({ dtype: 'F32', shape: [1], data_offsets: [0, 4], ...fields })}}`;
  test.each([
    ['is empty', new Blob([])],
    ['claims a header longer than itself', new Blob([new Uint8Array(12).fill(255)])],
    ['has a header that is no JSON', rawFile('{"x":', new Uint8Array(4))],
    ['has a header that is no object', rawFile('[]')],
    ['has a header that is not UTF-8', new Blob([Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d)])],
    ['is cut short', rawFile(entry({ shape: [4], data_offsets: [0, 16] }), new Uint8Array(9))],
    ['has too few bytes for a shape', rawFile(entry({ shape: [2] }), new Uint8Array(4))],
    ['has a negative size', rawFile(entry({ shape: [-1] }), new Uint8Array(4))],
    ['has offsets the wrong way round', rawFile(entry({ data_offsets: [4, 0] }), new Uint8Array(4))],
    ['has bytes that belong to nothing', rawFile(entry({}), new Uint8Array(9))],
    ['has a gap', rawFile(entry({ data_offsets: [4, 8] }), new Uint8Array(8))],
    [
      'names a tensor twice',
      rawFile(
        '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
    ],
    ['has metadata that are not text', rawFile('{"__metadata__":{"a":1}}')],
    [
      'overlaps',
      rawFile(
        '{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
        new Uint8Array(4),
      ),
    ],
  ])('refuses a file that %s', async (_, blob) => {
    expect((await refusal(readSafetensors(blob, 'model.safetensors'))).code).toBe('bad_safetensors');
  });

  test('names a Git LFS pointer and a quantised tensor', async () => {
    const pointer = new Blob(['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n']);
    expect((await refusal(readSafetensors(pointer))).code).toBe('git_lfs_pointer');
    const file = await readSafetensors(
      rawFile('{"q":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1)),
    );
    expect((await refusal(file.read('q'))).code).toBe('unsupported_dtype');
    expect((await refusal(file.read('r'))).code).toBe('tensor_missing');
    expect(() => writeSafetensors([{ name: 'a', shape: [2], data: new Float32Array(3) }])).toThrow(
      PlaygroundError,
    );
  });
});

/** What the configuration files of well-known models say about their architecture. */
const CONFIGS = JSON.parse(
  readFileSync(fileURLToPath(new URL('./fixtures/configs.json', import.meta.url)), 'utf8'),
) as Record<string, RawConfig>;

describe('config.json', () => {
  test.each([
    ['SmolLM2-135M', 134_515_008],
    ['Llama-3.2-1B', 1_235_814_400],
    ['Qwen2.5-0.5B', 494_032_768],
    ['Qwen3-0.6B', 596_049_920],
    ['gpt2', 124_439_808],
    ['distilgpt2', 81_912_576],
    ['pythia-14m', 14_067_712],
    ['pythia-70m', 70_426_624],
    ['gemma-3-270m', 268_098_176],
  ])('%s has its published number of weights', (name, parameters) => {
    const tensors = expectedTensors(architectureFromConfig(CONFIGS[name] as RawConfig));
    expect(tensors.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0)).toBe(
      parameters,
    );
    expect(new Set(tensors.map((t) => t.name)).size).toBe(tensors.length);
  });

  const of = (name: string, change: RawConfig = {}) =>
    architectureFromConfig({ ...CONFIGS[name], ...change });

  test('sets the switches of each family', () => {
    expect(of('SmolLM2-135M')).toMatchObject({
      norm: 'rms',
      normEpsilon: 1e-5,
      gated: true,
      activation: 'silu',
      ropeTheta: 100000,
      rotaryDim: 64,
      tiedHead: true,
      qkvLayout: 'separate',
      conv1d: false,
      qkvBias: false,
      attentionScale: 0.125,
      eosTokenIds: [0],
      ropeScaling: null,
    });
    expect(of('Llama-3.2-1B')).toMatchObject({
      eosTokenIds: [128001, 128008, 128009],
      ropeScaling: {
        type: 'llama3',
        factor: 32,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalContextLength: 8192,
      },
    });
    expect(of('Qwen2.5-0.5B')).toMatchObject({
      qkvBias: true,
      outputBias: false,
      qkNorm: false,
      normEpsilon: 1e-6,
    });
    expect(of('Qwen2.5-0.5B').slidingWindows.every((w) => w === null)).toBe(true);
    expect(of('Qwen3-0.6B')).toMatchObject({
      qkvBias: false,
      qkNorm: true,
      headDim: 128,
      contextLength: 40960,
    });
    expect(of('gpt2')).toMatchObject({
      norm: 'layer',
      positions: 'learned',
      gated: false,
      activation: 'gelu_tanh',
      conv1d: true,
      qkvLayout: 'gpt2',
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
      tiedHead: true,
      intermediateSize: 3072,
      contextLength: 1024,
      rotaryDim: 0,
    });
    for (const name of ['pythia-14m', 'pythia-70m']) {
      expect(of(name)).toMatchObject({
        norm: 'layer',
        parallelResidual: true,
        qkvLayout: 'gpt_neox',
        activation: 'gelu',
        gated: false,
        tiedHead: false,
        rotaryDim: of(name).headDim / 4,
        ropeTheta: 10000,
        mlpBias: true,
        qkvBias: true,
        outputBias: true,
      });
    }
    const gemma = of('gemma-3-270m');
    expect(gemma).toMatchObject({
      normAddsOne: true,
      postNorms: true,
      qkNorm: true,
      activation: 'gelu_tanh',
      ropeTheta: 1e6,
      ropeLocalTheta: 1e4,
      attentionScale: 1 / 16,
      tiedHead: true,
      eosTokenIds: [1, 106],
      padTokenId: 0,
    });
    expect(gemma.embeddingScale).toBeCloseTo(Math.sqrt(640), 12);
    expect(gemma.slidingWindows.map((w) => w === null)).toEqual(
      Array.from({ length: 18 }, (_, i) => i % 6 === 5),
    );
  });

  test('reads the spelling of transformers 5 like the old one', () => {
    const modern = (name: string, rope: object) => {
      const {
        rope_theta: _t,
        rope_scaling: _s,
        rope_local_base_freq: _l,
        torch_dtype: _d,
        ...rest
      } = CONFIGS[name] as RawConfig;
      return architectureFromConfig({ ...rest, rope_parameters: rope, dtype: 'bfloat16' });
    };
    expect(modern('SmolLM2-135M', { rope_theta: 100000, rope_type: 'default' })).toEqual(of('SmolLM2-135M'));
    const llama3 = {
      rope_theta: 500000,
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    };
    expect(modern('Llama-3.2-1B', llama3)).toEqual(of('Llama-3.2-1B'));
    const nested = {
      full_attention: { rope_theta: 1e6, rope_type: 'default' },
      sliding_attention: { rope_theta: 1e4, rope_type: 'default' },
    };
    expect(modern('gemma-3-270m', nested)).toEqual(of('gemma-3-270m'));
    expect(of('SmolLM2-135M', { rope_scaling: { type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      type: 'linear',
      factor: 2,
    });
    const types = Array.from({ length: 24 }, (_, i) => (i < 20 ? 'full_attention' : 'sliding_attention'));
    expect(
      of('Qwen2.5-0.5B', {
        use_sliding_window: true,
        sliding_window: 8,
        layer_types: types,
      }).slidingWindows.filter((w) => w === 8),
    ).toHaveLength(4);
  });

  test.each([
    [
      'mixture of experts',
      { model_type: 'qwen2_moe', architectures: ['Qwen2MoeForCausalLM'] },
      /Qwen2MoeForCausalLM/,
    ],
    ['attention sinks', { model_type: 'gpt_oss', architectures: ['GptOssForCausalLM'] }, /GptOssForCausalLM/],
    [
      'an image model',
      { model_type: 'gemma3', architectures: ['Gemma3ForConditionalGeneration'] },
      /Gemma3ForConditionalGeneration/,
    ],
    ['a classifier', { architectures: ['LlamaForSequenceClassification'] }, /LlamaForSequenceClassification/],
    ['no kind', { model_type: undefined, architectures: undefined }, /without a “model_type”/],
    ['yarn', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /yarn/],
    ['dynamic rope', { rope_scaling: { type: 'dynamic', factor: 4 } }, /dynamic/],
    ['a strange activation', { hidden_act: 'xielu' }, /xielu/],
    ['quantised weights', { quantization_config: { quant_method: 'gptq' } }, /gptq/],
    ['partial rotation', { rope_parameters: { partial_rotary_factor: 0.5 } }, /rotates only part/],
  ])('refuses %s by name and lists what is supported', async (_, change, name) => {
    const error = await refusal((async () => of('SmolLM2-135M', change as RawConfig))());
    expect(error.code).toBe('unsupported_architecture');
    expect(error.message).toMatch(name);
    expect(error.fix).toMatch(/Llama.*Qwen.*GPT-2.*Pythia.*Gemma/);
  });

  test('and README.md names the same', () => {
    const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
    expect(readme.replaceAll(/\s+/g, ' ')).toContain(FAMILY_LABELS);
  });

  test('refuses sizes that make no sense', async () => {
    for (const change of [
      { hidden_size: 0 },
      { hidden_size: '576' },
      { num_key_value_heads: 4 },
      { vocab_size: undefined },
      { rope_scaling: { rope_type: 'linear' } },
    ]) {
      expect((await refusal((async () => of('SmolLM2-135M', change))())).code).toBe('bad_config');
    }
    for (const change of [{ scale_attn_by_inverse_layer_idx: true }, { add_cross_attention: true }]) {
      expect((await refusal((async () => of('gpt2', change))())).code).toBe('unsupported_architecture');
    }
    expect((await refusal((async () => of('gemma-3-270m', { final_logit_softcapping: 30 }))())).code).toBe(
      'unsupported_architecture',
    );
  });
});

// A model of a few hundred weights, as files.

const TINY: Record<string, RawConfig> = {
  llama: {
    model_type: 'llama',
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: 6,
    eos_token_id: 2,
  },
  gpt2: {
    model_type: 'gpt2',
    n_embd: 8,
    n_layer: 2,
    n_head: 2,
    n_positions: 4,
    vocab_size: 6,
    bos_token_id: 0,
    eos_token_id: 1,
  },
  neox: {
    model_type: 'gpt_neox',
    hidden_size: 16,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 6,
  },
  tied: {
    model_type: 'llama',
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 6,
    tie_word_embeddings: true,
  },
};
const TOKENIZER = {
  model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
  added_tokens: [{ id: 2, content: '<e>', special: true }],
};

function tensorsOf(config: RawConfig): TensorToWrite[] {
  return expectedTensors(architectureFromConfig(config)).map(({ name, shape }, n) => ({
    name,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => n + i / 8),
  }));
}

type Files = Record<string, string | Uint8Array<ArrayBuffer> | object>;

function filesOf(config: RawConfig, more: Files = {}): Files {
  return {
    'config.json': config,
    'tokenizer.json': TOKENIZER,
    'model.safetensors': writeSafetensors(tensorsOf(config)),
    ...more,
  };
}

function blobOf(content: Files[string]): Blob {
  return new Blob([
    typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
  ]);
}

function dropped(files: Files, directory = 'some/model/') {
  return folderFromFiles(
    Object.entries(files).map(([path, content]) => ({ path: directory + path, file: blobOf(content) })),
  );
}

describe('a model folder', () => {
  test('is read whole, wherever its files were dropped from', async () => {
    for (const directory of ['', 'model/', 'a/b/c/', './model/']) {
      const model = await readModelFolder(dropped(filesOf(TINY.llama as RawConfig), directory));
      expect(model.weights.names).toEqual(tensorsOf(TINY.llama as RawConfig).map((t) => t.name));
      expect(model.weights).toMatchObject({ dtype: 'F32', parameters: 1224 });
      for (const { name, shape, data } of tensorsOf(TINY.llama as RawConfig)) {
        expect(await model.weights.read(name)).toEqual({ shape, data });
      }
      expect(model).toMatchObject({
        chatTemplate: null,
        tokenizerConfig: {},
        generationConfig: {},
        notices: [],
      });
    }
  });

  test('is found in a dropped parent folder or cache', async () => {
    const files = Object.entries(filesOf(TINY.llama as RawConfig)).map(([path, content]) => ({
      path,
      file: blobOf(content),
    }));
    const cache = files.map((f) => ({ ...f, path: `models--x/snapshots/abc/${f.path}` }));
    const refs = { path: 'models--x/refs/main', file: new Blob(['abc']) };
    const model = await readModelFolder(folderFromFiles([refs, ...cache]));
    expect(model.weights.parameters).toBe(1224);
    const two = [...cache, ...files.map((f) => ({ ...f, path: `models--x/snapshots/def/${f.path}` })), refs];
    expect((await refusal(readModelFolder(folderFromFiles(two)))).code).toBe('file_missing');
  });

  test('may be in shards, and names the one that lacks a tensor of the index', async () => {
    const { 'model.safetensors': _, ...rest } = filesOf(TINY.llama as RawConfig);
    const tensors = tensorsOf(TINY.llama as RawConfig);
    const half = Math.floor(tensors.length / 2);
    const map = Object.fromEntries(
      tensors.map((t, i) => [t.name, `model-0000${i < half ? 1 : 2}-of-00002.safetensors`]),
    );
    const shards = {
      ...rest,
      'model.safetensors.index.json': { metadata: { total_size: 1 }, weight_map: map },
      'model-00001-of-00002.safetensors': writeSafetensors(tensors.slice(0, half)),
      'model-00002-of-00002.safetensors': writeSafetensors(
        tensors.slice(half).map((t) => ({ ...t, dtype: 'BF16' as const })),
      ),
    };
    const model = await readModelFolder(dropped(shards));
    expect(await model.weights.read('model.layers.0.mlp.up_proj.weight')).toMatchObject({ shape: [12, 8] });
    expect((await model.weights.readRaw('model.norm.weight')).dtype).toBe('BF16');
    const { 'model-00002-of-00002.safetensors': __, ...incomplete } = shards;
    expect(await refusal(readModelFolder(dropped(incomplete)))).toMatchObject({
      code: 'file_missing',
      where: 'model-00002-of-00002.safetensors',
    });
    const swapped = {
      ...shards,
      'model-00002-of-00002.safetensors': shards['model-00001-of-00002.safetensors'],
    };
    expect((await refusal(readModelFolder(dropped(swapped)))).code).toBe('tensor_missing');
  });

  test('keeps canonical names: GPT-2 without prefix and with mask buffers, NeoX heads of both names', async () => {
    const old = tensorsOf(TINY.gpt2 as RawConfig).map((t) => ({
      ...t,
      name: t.name.replace('transformer.', ''),
    }));
    const mask = { name: 'h.0.attn.bias', shape: [1, 1, 4, 4], data: new Float32Array(16) };
    const files = filesOf(TINY.gpt2 as RawConfig, { 'model.safetensors': writeSafetensors([...old, mask]) });
    const model = await readModelFolder(dropped(files));
    expect(model.weights.names).toContain('transformer.h.1.attn.c_attn.weight');
    expect(model.notices).toEqual([]);
    expect(await model.weights.read('transformer.wpe.weight')).toEqual(
      await readModelFolder(dropped(filesOf(TINY.gpt2 as RawConfig))).then((m) =>
        m.weights.read('transformer.wpe.weight'),
      ),
    );
    const renamed = tensorsOf(TINY.neox as RawConfig).map((t) => ({
      ...t,
      name: t.name.replace('embed_out', 'lm_head'),
    }));
    const neox = await readModelFolder(
      dropped(filesOf(TINY.neox as RawConfig, { 'model.safetensors': writeSafetensors(renamed) })),
    );
    expect(neox.weights.names).toContain('embed_out.weight');
  });

  test('treats a head beside a tied embedding as transformers does', async () => {
    const tensors = tensorsOf(TINY.tied as RawConfig);
    const embedding = tensors[0] as TensorToWrite;
    const same = await readModelFolder(
      dropped(
        filesOf(TINY.tied as RawConfig, {
          'model.safetensors': writeSafetensors([...tensors, { ...embedding, name: 'lm_head.weight' }]),
        }),
      ),
    );
    expect(same.architecture.tiedHead).toBe(true);
    expect(same.weights.names).not.toContain('lm_head.weight');
    const other = { ...embedding, name: 'lm_head.weight', data: embedding.data.map((x) => x + 1) };
    const untied = await readModelFolder(
      dropped(
        filesOf(TINY.tied as RawConfig, { 'model.safetensors': writeSafetensors([...tensors, other]) }),
      ),
    );
    expect(untied.architecture.tiedHead).toBe(false);
    expect(untied.notices).toHaveLength(1);
  });

  test('takes the template from its own file first, then the text, then the list', async () => {
    const config = TINY.llama as RawConfig;
    const read = async (more: Files) => (await readModelFolder(dropped(filesOf(config, more)))).chatTemplate;
    const list = [
      { name: 'tool_use', template: 'T' },
      { name: 'default', template: 'D' },
    ];
    expect(await read({ 'tokenizer_config.json': { chat_template: 'S' }, 'chat_template.jinja': 'J' })).toBe(
      'J',
    );
    expect(await read({ 'tokenizer_config.json': { chat_template: 'S' } })).toBe('S');
    expect(await read({ 'tokenizer_config.json': { chat_template: list } })).toBe('D');
    expect(await read({ 'tokenizer_config.json': { chat_template: list.slice(0, 1) } })).toBe('T');
    expect(await read({ 'tokenizer_config.json': {} })).toBe(null);
  });

  test('joins the end tokens of both files, and mentions ids the model does not have', async () => {
    const model = await readModelFolder(
      dropped(filesOf(TINY.llama as RawConfig, { 'generation_config.json': { eos_token_id: [2, 4, 99] } })),
    );
    expect(model.architecture.eosTokenIds).toEqual([2, 4]);
    const large = { ...TOKENIZER, added_tokens: [{ id: 6, content: '<x>', special: true }] };
    const noted = await readModelFolder(
      dropped(filesOf(TINY.llama as RawConfig, { 'tokenizer.json': large })),
    );
    expect(noted.notices).toEqual([expect.stringMatching(/ids up to 6/)]);
  });

  const without = (name: string): Files => {
    const files = filesOf(TINY.llama as RawConfig);
    delete files[name];
    return files;
  };
  const llamaTensors = tensorsOf(TINY.llama as RawConfig);
  test.each<[string, Files, string, RegExp]>([
    ['no config.json', without('config.json'), 'file_missing', /config\.json.*It has: tokenizer\.json/],
    ['no tokenizer.json', without('tokenizer.json'), 'file_missing', /tokenizer\.json/],
    [
      'a SentencePiece model only',
      { ...without('tokenizer.json'), 'tokenizer.model': 'x' },
      'file_missing',
      /tokenizer\.model but no/,
    ],
    ['no weights', without('model.safetensors'), 'file_missing', /model\.safetensors/],
    [
      'pickled weights only',
      { ...without('model.safetensors'), 'pytorch_model.bin': 'x' },
      'weights_not_safetensors',
      /pytorch_model\.bin/,
    ],
    [
      'a broken config.json',
      { ...without('config.json'), 'config.json': '{' },
      'bad_json_file',
      /config\.json is not valid JSON/,
    ],
    [
      'a config.json that is a list',
      { ...without('config.json'), 'config.json': '[]' },
      'bad_json_file',
      /one JSON object/,
    ],
    [
      'a pointer for a tokenizer',
      { ...without('tokenizer.json'), 'tokenizer.json': 'version https://git-lfs.github.com/spec/v1\n' },
      'git_lfs_pointer',
      /tokenizer\.json/,
    ],
    [
      'a missing tensor',
      filesOf(TINY.llama as RawConfig, { 'model.safetensors': writeSafetensors(llamaTensors.slice(1)) }),
      'weights_do_not_fit',
      /missing: model\.embed_tokens\.weight/,
    ],
    [
      'another size',
      { ...filesOf(TINY.llama as RawConfig), 'config.json': { ...TINY.llama, intermediate_size: 13 } },
      'weights_do_not_fit',
      /gate_proj\.weight is \[12, 8\] and should be \[13, 8\]/,
    ],
  ])('with %s is refused', async (_, files, code, message) => {
    const error = await refusal(readModelFolder(dropped(files)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test('leaves out tensors that the architecture does not have, and reports them', async () => {
    const extra = { name: 'model.vision.weight', shape: [1], data: Float32Array.of(1) };
    const model = await readModelFolder(
      dropped(
        filesOf(TINY.llama as RawConfig, { 'model.safetensors': writeSafetensors([...llamaTensors, extra]) }),
      ),
    );
    expect(model.notices).toEqual([expect.stringMatching(/model\.vision\.weight/)]);
    expect(model.weights.names).not.toContain('model.vision.weight');
  });
});

describe('a model behind an address', () => {
  const files = filesOf(TINY.llama as RawConfig);
  let server: Server;
  let base: string;
  let asked: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      const [, kind, ...rest] = (request.url ?? '').split('/');
      const path = rest.join('/');
      asked.push(path);
      const content = files[path];
      const bytes =
        content === undefined
          ? null
          : content instanceof Uint8Array
            ? content
            : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
      if (kind === 'broken' && path === 'model.safetensors') {
        response.writeHead(500).end();
      } else if (kind === 'dropped' && path === 'model.safetensors' && bytes) {
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.slice(0, 100), () => response.destroy());
      } else if (bytes) {
        response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      } else if (kind === 'page') {
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html>');
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  test.each(['plain', 'page'])('is fetched once, file by file, with progress (%s)', async (kind) => {
    asked = [];
    const progress: LoadProgress[] = [];
    const folder = folderFromUrl(`${base}/${kind}`, fetch, (p) => progress.push(p));
    const model = await readModelFolder(folder);
    expect(model.chatTemplate).toBeNull();
    expect(new Set(asked).size).toBe(asked.length);
    const size = (files['model.safetensors'] as Uint8Array).length;
    expect(progress.at(-1)).toMatchObject({ loadedBytes: size, totalBytes: size });
    expect(progress.some((p) => p.file === 'model.safetensors' && p.stage === 'download')).toBe(true);
    expect(await folder.list()).toContain('tokenizer.json');
  });

  test('is not asked for a template of its own where the tokenizer’s configuration has one', async () => {
    files['tokenizer_config.json'] = { chat_template: 'from the configuration' };
    asked = [];
    const model = await readModelFolder(folderFromUrl(`${base}/plain`));
    delete files['tokenizer_config.json'];
    expect(model.chatTemplate).toBe('from the configuration');
    expect(asked).not.toContain('chat_template.jinja');
  });

  test('distinguishes a server’s failure, a broken connection, a missing file and an unreachable server', async () => {
    const open = (kind: string, path = 'model.safetensors') =>
      refusal(folderFromUrl(`${base}/${kind}/`).open(path));
    expect(await open('broken')).toMatchObject({
      code: 'download_failed',
      message: expect.stringContaining('500'),
    });
    expect((await open('dropped')).code).toBe('download_failed');
    expect(await open('plain', 'nowhere.json')).toMatchObject({
      code: 'file_missing',
      where: 'nowhere.json',
    });
    expect((await refusal(folderFromUrl('http://127.0.0.1:9/').open('config.json'))).code).toBe(
      'download_failed',
    );
  });
});

describe('the shipped model', () => {
  const root = fileURLToPath(new URL('../models/pebble-1m/', import.meta.url));

  test('is a sound folder', async () => {
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];
    const model = await readModelFolder(
      folderFromFiles(names.map((path) => ({ path, file: new Blob([readFileSync(root + path)]) }))),
    );
    expect(model.architecture).toMatchObject({
      family: 'llama',
      vocabSize: 4096,
      hiddenSize: 128,
      layers: 4,
      tiedHead: true,
    });
    expect(model.notices).toEqual([]);
    const { data } = await model.weights.read('model.embed_tokens.weight');
    expect(data.every(Number.isFinite)).toBe(true);
  });
});
