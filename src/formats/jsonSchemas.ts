// Schemas of config.json, generation_config.json and the template in tokenizer_config.json, checked key by key before they are used.
// Not here: what the keys mean (architecture.ts, families/), tokenizer.json (data/tokens/tokenizerJson.ts).

import * as v from 'valibot';
import { PlaygroundError } from '../errors';

/** A whole number from 1 to `most`. */
const size = (most: number) =>
  v.nullish(
    v.custom<number>(
      (value) => Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most,
      `a whole number from 1 to ${most.toLocaleString('en')}`,
    ),
  );

const above = (least: number, most: number, words: string) =>
  v.nullish(
    v.custom<number>(
      (value) => typeof value === 'number' && Number.isFinite(value) && value > least && value <= most,
      words,
    ),
  );

const positive = above(0, Number.MAX_VALUE, 'a number above zero');
const share = above(0, 1, 'a number above zero, at most 1');
const epsilon = above(0, 1, 'a small number above zero');
const flag = v.nullish(v.boolean('true or false'));
const text = v.nullish(v.string('a text'));

/** -1 stands for none in some older files. */
const isId = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= -1;
const tokenId = v.nullish(
  v.custom<number | number[]>(
    (value) => isId(value) || (Array.isArray(value) && value.length <= 1000 && value.every(isId)),
    'a token’s number, or a list of them',
  ),
);

// Many times what the largest models have, and little enough to count through.
const LAYERS = 1_000;
const HEADS = 10_000;
const WIDTH = 1_000_000;
const TOKENS = 4_000_000;
const CONTEXT = 1_000_000_000;

const ropeEntries = {
  rope_type: text,
  type: text,
  rope_theta: positive,
  factor: positive,
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings: size(CONTEXT),
  partial_rotary_factor: share,
};
const ropeParameters = v.nullish(
  v.looseObject(
    {
      ...ropeEntries,
      full_attention: v.nullish(v.looseObject(ropeEntries, 'an object')),
      sliding_attention: v.nullish(v.looseObject(ropeEntries, 'an object')),
    },
    'an object',
  ),
);

/** Every key that a family reads. Which are required, and the defaults of the others, are the family's. */
const CONFIG = v.looseObject({
  model_type: text,
  architectures: v.nullish(v.array(v.string('a text'), 'a list of names')),
  num_hidden_layers: size(LAYERS),
  n_layer: size(LAYERS),
  num_attention_heads: size(HEADS),
  n_head: size(HEADS),
  num_key_value_heads: size(HEADS),
  hidden_size: size(WIDTH),
  n_embd: size(WIDTH),
  head_dim: size(WIDTH),
  intermediate_size: size(16 * WIDTH),
  n_inner: size(16 * WIDTH),
  vocab_size: size(TOKENS),
  max_position_embeddings: size(CONTEXT),
  n_positions: size(CONTEXT),
  sliding_window: size(CONTEXT),
  sliding_window_pattern: size(LAYERS),
  _sliding_window_pattern: size(LAYERS),
  layer_types: v.nullish(
    v.pipe(v.array(v.string('a text'), 'a list of names'), v.maxLength(LAYERS, `at most ${LAYERS} names`)),
  ),
  rms_norm_eps: epsilon,
  layer_norm_eps: epsilon,
  layer_norm_epsilon: epsilon,
  rope_theta: positive,
  rotary_emb_base: positive,
  rope_local_base_freq: positive,
  rotary_pct: share,
  partial_rotary_factor: share,
  query_pre_attn_scalar: positive,
  rope_scaling: ropeParameters,
  rope_parameters: ropeParameters,
  hidden_act: text,
  hidden_activation: text,
  activation_function: text,
  tie_word_embeddings: flag,
  attention_bias: flag,
  mlp_bias: flag,
  use_sliding_window: flag,
  use_parallel_residual: flag,
  scale_attn_weights: flag,
  bos_token_id: tokenId,
  eos_token_id: tokenId,
  pad_token_id: tokenId,
});

const GENERATION_CONFIG = v.looseObject({
  bos_token_id: tokenId,
  eos_token_id: tokenId,
  pad_token_id: tokenId,
});

const TEMPLATES = v.looseObject({
  chat_template: v.nullish(
    v.union(
      [v.string(), v.array(v.looseObject({ name: v.string(), template: v.string() }))],
      'a template, or a list of templates with names',
    ),
  ),
});

function shown(value: unknown): string {
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 60 ? `${written.slice(0, 60)}…` : written;
}

function check(schema: v.GenericSchema, file: string, value: unknown): void {
  const found = v.safeParse(schema, value, { abortEarly: true });
  if (found.success) return;
  const [issue] = found.issues;
  const parts = (issue.path ?? []).map(({ key }) =>
    typeof key === 'number' ? `[${key}]` : `.${String(key)}`,
  );
  const key = parts.join('').replace(/^\./, '');
  throw new PlaygroundError({
    code: 'bad_config',
    message: `${file} does not make sense: “${key}” is ${shown(issue.path?.at(-1)?.value)}, and must be ${issue.message}.`,
    fix: `Use the ${file} that came with the weights.`,
    where: file === 'config.json' ? key : `${file}: ${key}`,
  });
}

/** @throws PlaygroundError `bad_config` that names the key and its value */
export const checkConfig = (config: Record<string, unknown>): void => check(CONFIG, 'config.json', config);

/** @throws PlaygroundError `bad_config` */
export const checkGenerationConfig = (config: Record<string, unknown>): void =>
  check(GENERATION_CONFIG, 'generation_config.json', config);

/** @throws PlaygroundError `bad_config` */
export const checkTemplates = (tokenizerConfig: Record<string, unknown>): void =>
  check(TEMPLATES, 'tokenizer_config.json', tokenizerConfig);
