// PEFT adapters as files: what is written is what PEFT reads; what is read is computed as PEFT does, or refused by name.
// Not here: real PEFT (interop/), the numbers of the engine (engine.test.ts), whole exported folders (artifacts.test.ts).

import { describe, expect, test } from 'vitest';
import { adaptersOf } from '../src/engine/model/adapters';
import { PlaygroundError } from '../src/errors';
import { architectureFromConfig, expectedTensors, linearModules } from '../src/formats/architecture';
import type { RawConfig } from '../src/formats/families/config';
import { readPeftAdapter, targetModuleNames, writePeftAdapter } from '../src/formats/peft';
import { LoraConfig } from '../src/formats/peftConfig';
import { readSafetensors, type TensorToWrite, writeSafetensors } from '../src/formats/safetensors';
import { defaultHyperparameters } from '../src/hyperparameters';

/** Models of a few hundred weights. */
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
};
const LLAMA = TINY.llama as RawConfig;

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

const blobOf = (value: unknown) => new Blob([JSON.stringify(value)]);

describe('a PEFT adapter', () => {
  const h = { ...defaultHyperparameters(), lora_r: 2, lora_alpha: 8 };

  /** Adapter tensors for the modules that a test picks. */
  function adapterFor(config: RawConfig, pick: RegExp, dora = false): TensorToWrite[] {
    const a = architectureFromConfig(config);
    return expectedTensors(a).flatMap(({ name, shape }): TensorToWrite[] => {
      const module = name.replace('.weight', '');
      if (shape.length !== 2 || !/\.\d+\./.test(name) || !pick.test(module)) return [];
      const [outFeatures, inFeatures] = (a.conv1d ? [...shape].reverse() : shape) as [number, number];
      const fill = (size: number) =>
        Float32Array.from({ length: size }, (_, i) => Math.fround(Math.sin(i + size)));
      return [
        { name: `${module}.lora_A`, shape: [2, inFeatures], data: fill(2 * inFeatures) },
        { name: `${module}.lora_B`, shape: [outFeatures, 2], data: fill(2 * outFeatures) },
        ...(dora
          ? [{ name: `${module}.lora_magnitude_vector`, shape: [outFeatures], data: fill(outFeatures) }]
          : []),
      ];
    });
  }
  const asFiles = (out: ReturnType<typeof writePeftAdapter>) =>
    out.map(({ path, bytes }) => ({ path: `adapter/${path}`, file: new Blob([bytes as BlobPart]) }));
  const jsonOf = (out: ReturnType<typeof writePeftAdapter>) =>
    JSON.parse(out[0]?.bytes as string) as Record<string, unknown>;
  const write = (config: RawConfig, tensors: TensorToWrite[], change = {}, more = {}) =>
    writePeftAdapter({
      architecture: architectureFromConfig(config),
      tensors,
      adapters: adaptersOf({ ...h, ...change }),
      base: { nameOrPath: 'someone/tiny', commit: null },
      ...more,
    });

  test('names the version of its base model where that is known', () => {
    const config = TINY.llama as RawConfig;
    const revision = (commit: string | null) =>
      jsonOf(
        write(config, adapterFor(config, /./, false), {}, { base: { nameOrPath: 'someone/tiny', commit } }),
      ).revision;
    expect(revision(null)).toBeNull();
    expect(revision('c0ffee')).toBe('c0ffee');
  });

  test.each(['llama', 'gpt2', 'neox'])('is read back as it was written (%s)', async (kind) => {
    const config = TINY[kind] as RawConfig;
    for (const dora of [false, true]) {
      const tensors = adapterFor(config, /./, dora);
      const out = write(config, tensors, { use_dora: dora, use_rslora: !dora });
      expect(out.map((f) => f.path)).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
      const back = await readPeftAdapter(asFiles(out), architectureFromConfig(config));
      expect(back.config).toMatchObject({
        r: 2,
        dora,
        baseModelId: 'someone/tiny',
        alpha: 8,
        rslora: !dora,
      });
      const byName = (list: readonly { name: string }[]) =>
        [...list].sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(byName(back.tensors)).toEqual(byName(tensors));
    }
  });

  test('has the names and keys that PEFT reads', async () => {
    const out = write(TINY.gpt2 as RawConfig, adapterFor(TINY.gpt2 as RawConfig, /./, true), {
      use_dora: true,
    });
    expect(jsonOf(out)).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      r: 2,
      lora_alpha: 8,
      fan_in_fan_out: true,
      use_dora: true,
      inference_mode: true,
      target_modules: ['c_attn', 'c_proj', 'c_fc'],
      base_model_name_or_path: 'someone/tiny',
      bias: 'none',
    });
    const file = await readSafetensors(new Blob([out[1]?.bytes as BlobPart]));
    const shapes = Object.fromEntries(file.entries.map((e) => [e.name, e.shape]));
    expect(shapes).toMatchObject({
      'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight': [2, 8],
      'base_model.model.transformer.h.0.attn.c_attn.lora_B.weight': [24, 2],
      'base_model.model.transformer.h.1.mlp.c_proj.lora_A.weight': [2, 32],
      'base_model.model.transformer.h.1.mlp.c_proj.lora_magnitude_vector': [8],
    });
    expect(file.metadata).toEqual({ format: 'pt' });
  });

  test('names only the layers that have an adapter', () => {
    const config = jsonOf(write(TINY.gpt2 as RawConfig, adapterFor(TINY.gpt2 as RawConfig, /attn/)));
    expect(config.target_modules).toEqual(['c_attn', 'attn.c_proj']);
    const all = ['h.0.a.up', 'h.0.b.up', 'h.1.a.up', 'h.1.b.up'];
    expect(targetModuleNames(['h.1.a.up'], all)).toEqual(['1.a.up']);
    expect(targetModuleNames(all, all)).toEqual(['up']);
  });

  test('is refused, not ignored, when it does not fit', async () => {
    const llama = TINY.llama as RawConfig;
    const tensors = adapterFor(llama, /q_proj/);
    const good = asFiles(write(llama, tensors));
    const read = (files: typeof good, config = llama) =>
      refusal(readPeftAdapter(files, architectureFromConfig(config)));
    const replace = (path: string, content: Blob) =>
      good.map((f) => (f.path.endsWith(path) ? { ...f, file: content } : f));
    const settings = JSON.parse((await good[0]?.file.text()) ?? '') as object;
    const bare = writeSafetensors(tensors.map((t) => ({ ...t, name: `${t.name}.weight` })));
    expect((await read(replace('adapter_model.safetensors', new Blob([bare])))).message).toMatch(
      /does not start with “base_model\.model\.”/,
    );
    expect((await read(good, TINY.gpt2)).message).toMatch(/no layer/);
    expect((await read(good, { ...llama, hidden_size: 16 })).message).toMatch(/should be \[2, 16\]/);
    expect((await read(good.slice(1))).message).toMatch(/the first is missing/);
    expect(
      (await read(replace('adapter_config.json', blobOf({ ...settings, peft_type: 'IA3' })))).message,
    ).toMatch(/IA3/);
    expect(
      (await read(replace('adapter_config.json', blobOf({ ...settings, modules_to_save: ['lm_head'] }))))
        .message,
    ).toMatch(/modules_to_save.*names lm_head, .*no such module/);
    expect((await read(replace('adapter_config.json', new Blob(['{'])))).message).toMatch(/not valid JSON/);
    expect(() => write(llama, tensors.slice(0, 1))).toThrow(/lora_B/);
    expect(() => write(llama, [])).toThrow(PlaygroundError);
  });
});

/** The fields of `LoraConfig` in PEFT 0.21 with the values that it writes when nothing is chosen. */
const PEFT_DEFAULTS = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: 'someone/tiny',
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 16,
  lora_bias: false,
  lora_dropout: 0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: ['q_proj', 'v_proj'],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

describe('adapter_config.json', () => {
  const read = (change: object, base = LLAMA) =>
    LoraConfig.read(JSON.stringify({ ...PEFT_DEFAULTS, ...change }), architectureFromConfig(base));
  const refused = (change: object) => refusal((async () => read(change))());
  const targeted = (change: object, base = LLAMA) => {
    const config = read(change, base);
    return linearModules(architectureFromConfig(base))
      .map(({ module }) => module)
      .filter((module) => config.targets(module));
  };

  test('is read as PEFT writes it', () => {
    expect(read({})).toMatchObject({
      r: 8,
      alpha: 16,
      rslora: false,
      dora: false,
      baseModelId: 'someone/tiny',
    });
    expect(read({ r: undefined, lora_alpha: undefined })).toMatchObject({ r: 8, alpha: 8 });
  });

  test.each([
    ['init_lora_weights', 'pissa', /PiSSA also changes the base/],
    ['init_lora_weights', 'pissa_niter_16', /PiSSA/],
    ['init_lora_weights', 'olora', /OLoRA/],
    ['init_lora_weights', 'OLoRA', /OLoRA/],
    ['init_lora_weights', 'corda', /CorDA/],
    ['init_lora_weights', 'loftq', /LoftQ/],
    ['init_lora_weights', 'lora_ga', /LoRA-GA/],
    ['init_lora_weights', 'next_year', /not known/],
    ['alora_invocation_tokens', [1, 2], /aLoRA/],
    ['use_qalora', true, /QALoRA/],
    ['arrow_config', {}, /Arrow/],
    ['kasa_config', {}, /KaSA/],
    ['velora_config', {}, /VeLoRA/],
    ['monteclora_config', {}, /Monte Carlo/],
    ['use_bdlora', {}, /block-diagonal/],
    ['lora_bias', true, /bias in lora_B/],
    ['layer_replication', [[0, 1]], /repeated layers/],
    ['megatron_config', { x: 1 }, /Megatron/],
    ['trainable_token_indices', [1], /token embeddings/],
    ['target_parameters', ['experts.gate_up_proj'], /single parameters/],
    ['modules_to_save', 'lm_head', /list of modules/],
    ['bias', 'some', /none, all or lora_only/],
    ['task_type', 'SEQ_CLS', /CAUSAL_LM/],
    ['peft_type', 'IA3', /only LoRA/],
    ['r', 0, /1 or more/],
    ['r', '8', /whole number/],
    ['lora_alpha', null, /a number/],
    ['rank_pattern', { q_proj: 1.5 }, /whole number/],
    ['alpha_pattern', { q_proj: 'x' }, /a number/],
    ['a_key_of_next_year', 'on', /not known here/],
    ['a_key_of_next_year', 0.5, /not known here/],
  ])('refuses %s %j by name and value', async (key, value, reason) => {
    const error = await refused({ [key]: value });
    expect(error.code).toBe('bad_adapter');
    expect(error.message).toContain(`“${key}”`);
    expect(error.message).toContain(JSON.stringify(value));
    expect(error.message).toMatch(reason);
    expect(error.where).toBe(`adapter_config.json: ${key}`);
    expect(error.message + error.fix).not.toContain('trained on');
  });

  test('mentions the conversion only where PEFT has one', async () => {
    expect((await refused({ init_lora_weights: 'pissa' })).fix).toContain('path_initial_model');
    expect((await refused({ init_lora_weights: 'loftq' })).fix).not.toContain('path_initial_model');
  });

  test.each<[string, unknown]>([
    ['init_lora_weights', false],
    ['init_lora_weights', null],
    ['init_lora_weights', 'gaussian'],
    ['init_lora_weights', 'eva'],
    ['init_lora_weights', 'orthogonal'],
    ['init_lora_weights', 'mica'],
    ['modules_to_save', []],
    ['alora_invocation_tokens', []],
    ['trainable_token_indices', []],
    ['target_parameters', []],
    ['layer_replication', []],
    ['loftq_config', { loftq_bits: 4 }],
    ['eva_config', { rho: 2 }],
    ['corda_config', { verbose: false }],
    ['runtime_config', { ephemeral_gpu_offload: false }],
    ['fan_in_fan_out', true],
    ['lora_dropout', 0.1],
    ['megatron_core', 'other'],
    ['qalora_group_size', 32],
    ['bias', 'all'],
    ['task_type', null],
    ['merge_weights', true],
    ['a_key_of_next_year', null],
    ['a_key_of_next_year', false],
    ['a_key_of_next_year', {}],
  ])('takes %s %j, which changes no result', (key, value) => {
    expect(read({ [key]: value })).toMatchObject({ r: 8, alpha: 16 });
  });

  test('gives ranks and alphas by the first pattern that is the name or its end, as regular expressions', () => {
    const config = read({
      rank_pattern: { 'layers.0.self_attn.q_proj': 2, 'layers\\.[01]\\.mlp\\.(up|down)_proj': 3, q_proj: 4 },
      alpha_pattern: { '^model.layers.1.self_attn.v_proj': 32, up: 1 },
    });
    const q = (layer: number) => `model.layers.${layer}.self_attn.q_proj`;
    expect([q(0), q(1), 'model.layers.1.mlp.up_proj'].map((m) => config.rankOf(m))).toEqual([2, 4, 3]);
    expect(config.rankOf('model.layers.0.mlp.gate_proj')).toBe(8);
    expect(config.alphaOf('model.layers.1.self_attn.v_proj')).toBe(32);
    // A part of a name is not its end.
    expect(config.alphaOf('model.layers.1.mlp.up_proj')).toBe(16);
    // `^` is the beginning of the whole name.
    expect(read({ rank_pattern: { '^layers.0.x': 2 } }).rankOf('model.layers.0.x')).toBe(8);
  });

  test('selects the layers that PEFT puts adapters on', () => {
    const q = ['model.layers.0.self_attn.q_proj', 'model.layers.1.self_attn.q_proj'];
    expect(targeted({ target_modules: ['q_proj'] })).toEqual(q);
    expect(targeted({ target_modules: ['proj'] })).toEqual([]);
    expect(targeted({ target_modules: 'all-linear' })).toHaveLength(14);
    expect(targeted({ target_modules: '.*\\.q_proj' })).toEqual(q);
    expect(targeted({ target_modules: 'q_proj' })).toEqual([]);
    expect(targeted({ target_modules: '(?P<front>.*)layers\\.1.*(q|k)_proj\\Z' })).toHaveLength(2);
    expect(targeted({ target_modules: ['q_proj'], layers_to_transform: 1 })).toEqual(q.slice(1));
    expect(targeted({ target_modules: ['q_proj'], layers_to_transform: [0] })).toEqual(q.slice(0, 1));
    expect(targeted({ target_modules: ['q_proj'], layers_to_transform: [] })).toEqual(q);
    expect(
      targeted({ target_modules: ['q_proj'], layers_to_transform: [1], layers_pattern: 'layers' }),
    ).toEqual(q.slice(1));
    expect(
      targeted({ target_modules: ['q_proj'], layers_to_transform: [1], layers_pattern: ['blocks'] }),
    ).toEqual([]);
    expect(targeted({ target_modules: ['q_proj'], exclude_modules: ['0.self_attn.q_proj'] })).toEqual(
      q.slice(1),
    );
    expect(targeted({ target_modules: ['q_proj'], exclude_modules: '.*layers.1.*' })).toEqual(q.slice(0, 1));
    expect(targeted({ target_modules: null })).toHaveLength(4);
    expect(targeted({ target_modules: null }, TINY.gpt2)).toEqual([
      'transformer.h.0.attn.c_attn',
      'transformer.h.1.attn.c_attn',
    ]);
    expect(targeted({ target_modules: null }, TINY.neox)).toEqual([
      'gpt_neox.layers.0.attention.query_key_value',
    ]);
  });

  test('refuses a regular expression that JavaScript cannot compile', async () => {
    for (const key of ['rank_pattern', 'alpha_pattern']) {
      expect((await refused({ [key]: { '(?i:q_proj)++': 2 } })).message).toMatch(key);
    }
    expect((await refused({ target_modules: '[' })).message).toMatch(/target_modules/);
    expect((await refused({ exclude_modules: '(' })).message).toMatch(/exclude_modules/);
    expect((await refused({ target_modules: 'q_proj', layers_to_transform: [1] })).message).toMatch(
      /layers_to_transform/,
    );
    expect((await refused({ init_lora_weights: 'mica', use_dora: true })).message).toMatch(/MiCA/);
  });
});

describe('the tensors of a PEFT adapter', () => {
  const architecture = architectureFromConfig(LLAMA);
  const Q = 'model.layers.0.self_attn.q_proj';
  const B = 'base_model.model.';
  type Shapes = Record<string, number[]>;
  const plain: Shapes = { [`${B}${Q}.lora_A.weight`]: [2, 8], [`${B}${Q}.lora_B.weight`]: [8, 2] };
  const filesOf = (shapes: Shapes, config: object, value = 0.5) => [
    {
      path: 'adapter_config.json',
      file: blobOf({ ...PEFT_DEFAULTS, r: 2, target_modules: ['q_proj', 'v_proj'], ...config }),
    },
    {
      path: 'adapter_model.safetensors',
      file: new Blob([
        writeSafetensors(
          Object.entries(shapes).map(([name, shape]) => ({
            name,
            shape,
            data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
          })),
        ),
      ]),
    },
  ];
  const read = (shapes: Shapes, config: object = {}, value = 0.5) =>
    readPeftAdapter(filesOf(shapes, config, value), architecture);
  const OTHER_BASE = /base model that it was trained on \(someone\/tiny\)/;

  test('are read with rank and alpha of each layer', async () => {
    const adapter = await read(plain, { r: 4, rank_pattern: { q_proj: 2 }, alpha_pattern: { q_proj: 5 } });
    expect([...adapter.modules]).toEqual([[Q, { rank: 2, alpha: 5 }]]);
  });

  test.each<[string, Shapes, object, RegExp]>([
    ['the head', { ...plain, [`${B}lm_head.lora_A.weight`]: [2, 8] }, {}, /output head \(lm_head\) is not/],
    ['the saved head', { ...plain, [`${B}lm_head.base_layer.weight`]: [6, 8] }, {}, /output head/],
    [
      'the embedding',
      { ...plain, [`${B}model.embed_tokens.lora_embedding_A`]: [2, 6] },
      {},
      /embedding \(model\.embed_tokens\)/,
    ],
    [
      'a norm',
      { ...plain, [`${B}model.layers.0.input_layernorm.lora_A.weight`]: [2, 8] },
      {},
      /no linear layer/,
    ],
    ['biases', { ...plain, [`${B}${Q}.bias`]: [8] }, { bias: 'lora_only' }, /trained biases/],
    ['a bias of B', { ...plain, [`${B}${Q}.lora_B.bias`]: [8] }, {}, /lora_bias/],
    ['another matrix', { ...plain, [`${B}${Q}.lora_diag`]: [2] }, {}, /lora_diag/],
    ['a layer that is not targeted', plain, { target_modules: ['v_proj'] }, /does not target.*ignore/],
    ['another rank than the config has', plain, { r: 8 }, /says rank 8/],
    [
      'a magnitude without DoRA',
      { ...plain, [`${B}${Q}.lora_magnitude_vector`]: [8] },
      {},
      /not DoRA.*ignore/,
    ],
    ['DoRA without magnitude', plain, { use_dora: true }, /no lora_magnitude_vector/],
    ['A without B', { [`${B}${Q}.lora_A.weight`]: [2, 8] }, {}, /no lora_B/],
    ['no tensors', {}, {}, /holds no tensors/],
    ['layers that PEFT would fill at random', plain, { init_lora_weights: false }, /at random/],
  ])('are refused for %s, without blaming the base model', async (_, shapes, config, reason) => {
    const error = await refusal(read(shapes, config));
    expect(error.code).toBe('bad_adapter');
    expect(error.message).toMatch(reason);
    expect(error.fix).not.toMatch(/trained on/);
  });

  test.each<[string, Shapes, RegExp]>([
    [
      'a layer that the base has not',
      { [`${B}model.layers.7.self_attn.q_proj.lora_A.weight`]: [2, 8] },
      /no layer “model\.layers\.7/,
    ],
    [
      'a layer of another family',
      { [`${B}transformer.h.0.attn.c_attn.lora_A.weight`]: [2, 8] },
      /no layer “transformer/,
    ],
    [
      'another width',
      { [`${B}${Q}.lora_A.weight`]: [2, 16], [`${B}${Q}.lora_B.weight`]: [16, 2] },
      /should be \[2, 8\]/,
    ],
  ])('blame the base model for %s', async (_, shapes, reason) => {
    const error = await refusal(read(shapes));
    expect(error.message).toMatch(reason);
    expect(error.fix).toMatch(OTHER_BASE);
  });

  test('may be missing where PEFT starts with B = 0', async () => {
    expect((await read(plain)).modules.size).toBe(1);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('are refused when they are %d', async (value) => {
    const error = await refusal(read(plain, {}, value));
    expect(error.message).toMatch(/All numbers of “model\.layers\.0\.self_attn\.q_proj\.lora_A” are NaN/);
  });
});
