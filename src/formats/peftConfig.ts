// adapter_config.json of a LoRA adapter: every key is computed as PEFT 0.21 does, known to change nothing, or refused by its name and value.
// Not here: the adapter's tensors (peft.ts), how an adapter acts in a layer (engine/model/adapters.ts).

import {
  array,
  boolean,
  check,
  type GenericSchema,
  type InferOutput,
  integer,
  literal,
  minValue,
  null_,
  nullish,
  number,
  objectWithRest,
  optional,
  picklist,
  pipe,
  record,
  safeParse,
  string,
  toLowerCase,
  transform,
  union,
  unknown,
} from 'valibot';
import { PlaygroundError } from '../errors';
import type { Architecture } from '../modelArchitecture';
import { tensorNames } from './architecture';

const FILE = 'adapter_config.json';

export function badAdapter(message: string, fix: string, where?: string): PlaygroundError {
  return new PlaygroundError({ code: 'bad_adapter', message, fix, ...(where ? { where } : {}) });
}

/** A key that PEFT reads for training, saving or information, so that its value changes no result. */
const noEffect = optional(unknown());

/** Values that are false in Python: a key with such a value has no effect. */
const isFalsy = (value: unknown) =>
  !value || (typeof value === 'object' && Object.keys(value as object).length === 0);

/** A key that changes the result in a way that is not computed here; `reason` completes “… is set: ”. */
const refusedUnlessFalsy = (reason: string) => optional(pipe(unknown(), check(isFalsy, reason)));

/** The same for a nested configuration, where PEFT takes `{}` as “on, with default values”. */
const refusedUnlessNull = (reason: string) =>
  optional(
    pipe(
      unknown(),
      check((value) => value === null || value === undefined || value === false, reason),
    ),
  );

const changesBase = (method: string) =>
  `${method} also changes the base model’s weights, which are not in this folder`;

/** Values of `init_lora_weights` that PEFT turns into other base weights when it loads the adapter, by the start of the value. */
const INITS_THAT_CHANGE_THE_BASE: Readonly<Record<string, { method: string; convertible: boolean }>> = {
  pissa: { method: 'PiSSA', convertible: true },
  olora: { method: 'OLoRA', convertible: true },
  corda: { method: 'CorDA', convertible: true },
  lora_ga: { method: 'LoRA-GA', convertible: true },
  loftq: { method: 'LoftQ', convertible: false },
};

function initThatChangesTheBase(value: unknown) {
  const start = typeof value === 'string' ? value.toLowerCase() : '';
  const key = Object.keys(INITS_THAT_CHANGE_THE_BASE).find((name) => start.startsWith(name));
  return key === undefined ? undefined : INITS_THAT_CHANGE_THE_BASE[key];
}

/** Values that only say how A and B were initialised. */
const INITS_OF_A_AND_B = ['gaussian', 'eva', 'orthogonal', 'mica'] as const;

const initLoraWeights = union(
  [
    boolean(),
    pipe(
      null_(),
      transform(() => false),
    ),
    pipe(string(), toLowerCase(), picklist(INITS_OF_A_AND_B)),
  ],
  ({ input }) => {
    const found = initThatChangesTheBase(input);
    return found
      ? changesBase(found.method)
      : 'it is not known here whether such a start changes the base model’s weights';
  },
);

const expects = (what: string) => `it must be ${what}`;
const rank = pipe(
  number(expects('a whole number')),
  integer(expects('a whole number')),
  minValue(1, expects('1 or more')),
);
const alpha = number(expects('a number'));
const names = nullish(
  union([string(), array(string())], expects('a list of names, or one regular expression')),
  null,
);
const flag = nullish(boolean(expects('true or false')), false);

/** Every key of PEFT 0.21's `LoraConfig`, and what of earlier versions still occurs. */
const ENTRIES = {
  peft_type: literal('LORA', 'only LoRA adapters can be used here'),
  task_type: nullish(literal('CAUSAL_LM', 'only adapters of language models (CAUSAL_LM) can be used here')),

  // Computed.
  r: optional(rank, 8),
  lora_alpha: optional(alpha, 8),
  use_rslora: flag,
  use_dora: flag,
  target_modules: names,
  exclude_modules: names,
  layers_to_transform: nullish(
    union(
      [
        number(),
        pipe(
          array(number()),
          transform((list) => (list.length === 0 ? null : list)),
        ),
      ],
      expects('a layer’s number or a list of them'),
    ),
    null,
  ),
  layers_pattern: names,
  modules_to_save: nullish(array(string(), expects('a list of modules')), null),
  rank_pattern: nullish(record(string(), rank, expects('ranks by module')), {}),
  alpha_pattern: nullish(record(string(), alpha, expects('numbers by module')), {}),
  init_lora_weights: optional(initLoraWeights, true),
  // Trained biases are tensors of the adapter's file, where they are refused; without them there is nothing to compute.
  bias: nullish(picklist(['none', 'all', 'lora_only'], expects('none, all or lora_only')), 'none'),

  // Without effect on the result of a loaded adapter.
  auto_mapping: noEffect,
  base_model_name_or_path: noEffect,
  revision: noEffect,
  inference_mode: noEffect,
  peft_version: noEffect,
  lora_dropout: noEffect,
  // Of PEFT before 0.3: when adapters are merged.
  merge_weights: noEffect,
  // PEFT looks at the layer itself, Linear or Conv1D, and corrects the value.
  fan_in_fan_out: noEffect,
  runtime_config: noEffect,
  // With modules_to_save, of a model whose head is tied.
  ensure_weight_tying: flag,
  // Each belongs to one value of init_lora_weights, or to megatron_config or use_qalora, and counts only beside it.
  loftq_config: noEffect,
  eva_config: noEffect,
  corda_config: noEffect,
  lora_ga_config: noEffect,
  megatron_core: noEffect,
  qalora_group_size: noEffect,

  // Refused.
  trainable_token_indices: refusedUnlessFalsy('trained token embeddings are not supported'),
  target_parameters: refusedUnlessFalsy('LoRA on single parameters is not supported'),
  layer_replication: refusedUnlessFalsy('repeated layers are not supported'),
  megatron_config: refusedUnlessFalsy('layers of Megatron are not supported'),
  alora_invocation_tokens: refusedUnlessFalsy(
    'activated LoRA (aLoRA), which acts only after certain tokens, is not supported',
  ),
  use_qalora: refusedUnlessFalsy('QALoRA, which averages the input in groups, is not supported'),
  lora_bias: refusedUnlessFalsy('a bias in lora_B is not supported'),
  use_bdlora: refusedUnlessNull('block-diagonal LoRA is not supported'),
  arrow_config: refusedUnlessNull('Arrow, which routes between several adapters, is not supported'),
  kasa_config: refusedUnlessNull(changesBase('KaSA')),
  velora_config: refusedUnlessNull('VeLoRA is not supported'),
  monteclora_config: refusedUnlessNull('Monte Carlo LoRA is not supported'),
} satisfies Record<string, GenericSchema>;

const CONFIG = objectWithRest(
  ENTRIES,
  refusedUnlessFalsy('this key is not known here, so it is not known what it changes'),
);

const FIX = 'Use an adapter of A and B matrices (LoRA, rsLoRA or DoRA) alone.';
const FIX_CONVERT =
  'Save the adapter as plain LoRA: in PEFT, save_pretrained with path_initial_model_for_weight_conversion.';

/** A value as JSON, short enough for a sentence. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

type Values = InferOutput<typeof CONFIG>;

/** adapter_config.json, understood: which layers have an adapter, with which rank and scaling. Module names are paths in the base model, as in `linearModules`. */
export class LoraConfig {
  /** The file as it stands. */
  readonly raw: Record<string, unknown>;
  readonly r: number;
  readonly alpha: number;
  readonly rslora: boolean;
  readonly dora: boolean;
  /** Null when the file does not say. */
  readonly baseModelId: string | null;
  /** A targeted layer without tensors keeps its initial adapter in PEFT: one without effect, unless this is true. */
  readonly startsRandom: boolean;
  readonly #values: Values;
  readonly #targets: string | readonly string[];

  private constructor(raw: Record<string, unknown>, values: Values, architecture: Architecture) {
    this.raw = raw;
    this.r = values.r;
    this.alpha = values.lora_alpha;
    this.rslora = values.use_rslora;
    this.dora = values.use_dora;
    const id = raw.base_model_name_or_path;
    this.baseModelId = typeof id === 'string' ? id : null;
    this.startsRandom = values.init_lora_weights === false;
    this.#values = values;
    this.#targets = values.target_modules ?? defaultTargets(architecture);
  }

  /**
   * @param text of adapter_config.json
   * @throws PlaygroundError `bad_adapter`, naming the first key that is not understood and its value
   */
  static read(text: string, architecture: Architecture): LoraConfig {
    let raw: unknown;
    try {
      raw = JSON.parse(text);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw badAdapter(`${FILE} is not valid JSON: ${reason}.`, 'Copy the file again.', FILE);
    }
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      throw badAdapter(`${FILE} must hold one JSON object.`, 'Copy the file again.', FILE);
    }
    const found = safeParse(CONFIG, raw);
    if (!found.success) throw refusal(raw as Record<string, unknown>, found.issues[0]);
    const config = new LoraConfig(raw as Record<string, unknown>, found.output, architecture);
    config.#assertPatterns();
    return config;
  }

  /** `r`, or the rank that `rank_pattern` gives the module. */
  rankOf(module: string): number {
    return this.#patterned('rank_pattern', module) ?? this.r;
  }

  /** `lora_alpha`, or what `alpha_pattern` gives the module. */
  alphaOf(module: string): number {
    return this.#patterned('alpha_pattern', module) ?? this.alpha;
  }

  /**
   * Whether PEFT puts an adapter on this linear layer: `target_modules` as suffixes or one regular expression, less `exclude_modules`,
   * on the layers of `layers_to_transform` (`check_target_module_exists` in PEFT's tuners_utils.py).
   */
  targets(module: string): boolean {
    if (matchesName(this.#values.exclude_modules, module, 'exclude_modules')) return false;
    const targets = this.#targets;
    if (typeof targets === 'string' && targets.toLowerCase() === 'all-linear') return true;
    if (!matchesName(targets, module, 'target_modules')) return false;
    const layers = this.#values.layers_to_transform;
    if (typeof targets === 'string' || layers === null || targets.includes(module)) return true;
    const layer = this.#layerOf(module);
    return layer !== null && (Array.isArray(layers) ? layers.includes(layer) : layers === layer);
  }

  /** Whether the adapter's file may hold this module whole (`modules_to_save`: ends of names, as PEFT's `_set_trainable` compares them). */
  saves(module: string): boolean {
    return this.#values.modules_to_save?.some((name) => module.endsWith(name)) ?? false;
  }

  /** The first name of `modules_to_save` that is none of these modules; undefined where each has one. */
  unsaved(modules: readonly string[]): string | undefined {
    return this.#values.modules_to_save?.find((name) => !modules.some((module) => module.endsWith(name)));
  }

  /** Whether head and embedding stay one tensor where one of them is saved whole and the base model ties them. */
  get tiesSaved(): boolean {
    return this.#values.ensure_weight_tying;
  }

  /** The first number after a name of `layers_pattern`, or after any name. */
  #layerOf(module: string): number | null {
    const given = this.#values.layers_pattern ?? [];
    const patterns = typeof given === 'string' ? (given === '' ? [] : [given]) : given;
    const all = patterns.length === 0 ? ['.*?\\.[^.]*'] : patterns.map((p) => `(?:.*?\\.)?${p}`);
    for (const pattern of all) {
      const match = regularExpression(`^${pattern}\\.(\\d+)\\.`, 'layers_pattern').exec(module);
      if (match) return Number(match.at(-1));
    }
    return null;
  }

  /** The value of the first pattern that is the module's name or the end of it, as PEFT's `get_pattern_key` finds it. */
  #patterned(key: 'rank_pattern' | 'alpha_pattern', module: string): number | undefined {
    for (const [pattern, value] of Object.entries(this.#values[key])) {
      if (regularExpression(`^(?:.*\\.)?(?:${pattern})$`, key).test(module)) return value;
    }
    return undefined;
  }

  /** Checks all patterns when the file is read. @throws PlaygroundError `bad_adapter` */
  #assertPatterns(): void {
    this.targets('');
    this.#layerOf('');
    this.rankOf('');
    this.alphaOf('');
    const { init_lora_weights: init, use_dora: dora, layers_to_transform: layers } = this.#values;
    if (init === 'mica' && dora) {
      throw refusal(this.raw, issueAt('init_lora_weights', 'PEFT knows no MiCA with DoRA'));
    }
    if (typeof this.#targets === 'string' && layers !== null) {
      const reason = 'PEFT takes it only beside a list of target_modules';
      throw refusal(this.raw, issueAt('layers_to_transform', reason));
    }
  }
}

type Refused = { message: string; path?: readonly { key: unknown }[] | undefined };
const issueAt = (key: string, message: string): Refused => ({ message, path: [{ key }] });

function refusal(raw: Record<string, unknown>, { message, path }: Refused): PlaygroundError {
  const key = String(path?.[0]?.key);
  const value = Object.hasOwn(raw, key) ? shown(raw[key]) : 'missing';
  return badAdapter(
    `This adapter cannot be used: “${key}” in ${FILE} is ${value}, and ${message}.`,
    key === 'init_lora_weights' && initThatChangesTheBase(raw[key])?.convertible ? FIX_CONVERT : FIX,
    `${FILE}: ${key}`,
  );
}

/** What PEFT adapts when `target_modules` is null: the query and value projections, or the one that holds both. */
function defaultTargets(a: Architecture): string[] {
  const layer = tensorNames(a).layer(0);
  const modules = a.qkvLayout === 'separate' ? [layer.q, layer.v] : [layer.qkv];
  return modules.map((module) => module.slice(module.lastIndexOf('.') + 1));
}

/** A list holds whole names or ends of them; text is one regular expression for the whole name. */
function matchesName(given: string | readonly string[] | null, module: string, key: string): boolean {
  if (given === null || given === '') return false;
  if (typeof given === 'string') return regularExpression(`^(?:${given})$`, key).test(module);
  return given.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Python's regular expression as JavaScript's; with the flag `u`, what JavaScript does not know is an error and not a letter. */
function regularExpression(pattern: string, key: string): RegExp {
  const ours = pattern
    .replaceAll('(?P<', '(?<')
    .replaceAll(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('\\Z', '$')
    .replaceAll('\\A', '^');
  try {
    return new RegExp(ours, 'u');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw badAdapter(
      `The regular expression of “${key}” in ${FILE} cannot be read: ${reason}.`,
      'Write the names of the modules instead.',
      `${FILE}: ${key}`,
    );
  }
}
