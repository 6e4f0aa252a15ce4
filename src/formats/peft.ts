// A LoRA adapter as a PEFT folder (adapter_config.json, adapter_model.safetensors), written and read.
// Not here: the config's keys (peftConfig.ts), its README (modelCard.ts), merging and training adapters (engine/).

import type { Architecture } from '../modelArchitecture';
import { expectedTensors, type LinearModule, linearModules, tensorNames } from './architecture';
import { badAdapter, LoraConfig } from './peftConfig';
import { readSafetensors, type TensorToWrite, writeSafetensors } from './safetensors';

/** In front of every module path: PEFT's own wrapping of the model. A file without it loads as a no-op, with a warning only. */
const PREFIX = 'base_model.model.';

/** What PEFT loads as the base model: a hub id with its commit, or a folder beside the adapter. */
export interface BaseReference {
  nameOrPath: string;
  commit: string | null;
}

/** How adapters act on their layers. */
export interface AdapterScaling {
  alpha: number;
  /** By module, where it has its own (`alpha_pattern`). */
  alphas?: ReadonlyMap<string, number>;
  /** Scale by alpha / √r instead of alpha / r. */
  rslora: boolean;
  dropout: number;
  dora: boolean;
}

export interface AdapterToWrite {
  architecture: Architecture;
  /** Named `<module path>.lora_A` [r, in], `.lora_B` [out, r], `.lora_magnitude_vector` [out]. */
  tensors: readonly TensorToWrite[];
  adapters: AdapterScaling;
  base: BaseReference;
}

export interface AdapterTensor {
  name: string;
  shape: number[];
  data: Float32Array<ArrayBuffer>;
}

export interface AdapterFiles {
  config: LoraConfig;
  /** Under the names that `writePeftAdapter` takes; all numbers are finite. */
  tensors: AdapterTensor[];
  /** Adapted layers with rank and alpha. */
  modules: Map<string, { rank: number; alpha: number }>;
  /** Whole tensors that replace those of the base model (`modules_to_save`), under its names. */
  saved: AdapterTensor[];
  /** Layers that adapter_config.json targets and the file has no tensors for; as in PEFT they stay those of the base model. */
  untouched: string[];
}

/** Linear layers inside the stack, by module path: those that can have an adapter. */
const linearLayers = (a: Architecture): Map<string, LinearModule> =>
  new Map(linearModules(a).map((linear) => [linear.module, linear]));

const PARTS = ['lora_A', 'lora_B', 'lora_magnitude_vector'] as const;
type Part = (typeof PARTS)[number];

/** `model.layers.3.mlp.up_proj` + `lora_A` */
function splitName(name: string): { module: string; part: Part } | null {
  const match = /^(.+)\.(lora_A|lora_B|lora_magnitude_vector)$/.exec(name);
  return match ? { module: match[1] as string, part: match[2] as Part } : null;
}

/**
 * The shortest names that PEFT's suffix match turns into exactly these modules: `c_proj` alone would hit attention and MLP of GPT-2.
 */
export function targetModuleNames(adapted: readonly string[], all: Iterable<string>): string[] {
  const others = [...all].filter((module) => !adapted.includes(module));
  const names = new Set<string>();
  for (const module of adapted) {
    const parts = module.split('.');
    let take = 1;
    const suffix = () => parts.slice(-take).join('.');
    while (take < parts.length && others.some((o) => o === suffix() || o.endsWith(`.${suffix()}`))) take++;
    names.add(suffix());
  }
  return [...names];
}

const shapeOf = (part: Part, rank: number, { inFeatures, outFeatures }: LinearModule): number[] =>
  ({ lora_A: [rank, inFeatures], lora_B: [outFeatures, rank], lora_magnitude_vector: [outFeatures] })[part];

/** Shapes by adapted layer, and by part in it. @throws PlaygroundError `bad_adapter` for the name of no adapter tensor */
function partsByModule(
  tensors: readonly { name: string; shape: readonly number[] }[],
): Map<string, Partial<Record<Part, readonly number[]>>> {
  const modules = new Map<string, Partial<Record<Part, readonly number[]>>>();
  for (const { name, shape } of tensors) {
    const split = splitName(name);
    if (!split) throw badAdapter(`“${name}” is not the name of an adapter tensor.`, FIX_FILE, name);
    const parts = modules.get(split.module) ?? {};
    parts[split.part] = shape;
    modules.set(split.module, parts);
  }
  return modules;
}

const FIX_FILE = 'Save the adapter again with PEFT’s save_pretrained.';
const FIX_PAIR = 'Take adapter_config.json and adapter_model.safetensors from the same folder.';

const moduleOf = (tensor: string) => tensor.replace(/\.(weight|bias)$/, '');

/** Whole tensors that are trained beside the adapters (`modules_to_save`), under the base model's names; the head of a tied model too. */
function savedApart<T extends { name: string }>(
  tensors: readonly T[],
  a: Architecture,
): { saved: T[]; tensors: T[] } {
  const whole = new Set([...expectedTensors(a).map(({ name }) => name), tensorNames(a).head]);
  return {
    saved: tensors.filter(({ name }) => whole.has(name)),
    tensors: tensors.filter(({ name }) => !whole.has(name)),
  };
}

function mostCommon(numbers: Iterable<number>): number {
  const counts = new Map<number, number>();
  for (const n of numbers) counts.set(n, (counts.get(n) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

/**
 * adapter_config.json and adapter_model.safetensors. test/interop/ loads them with peft and compares the outputs.
 * Throws `bad_adapter` when a tensor is none of an adapter for this architecture.
 */
export function writePeftAdapter(adapter: AdapterToWrite): { path: string; bytes: Uint8Array | string }[] {
  const { architecture, adapters, base } = adapter;
  const { saved, tensors } = savedApart(adapter.tensors, architecture);
  const layers = linearLayers(architecture);
  const modules = new Map<string, number>();
  for (const [module, parts] of partsByModule(tensors)) {
    const layer = layers.get(module);
    const rank = parts.lora_A?.[0] ?? 0;
    const fits = (part: Part) => layer && parts[part]?.join() === shapeOf(part, rank, layer).join();
    const needed = (part: Part) => part !== 'lora_magnitude_vector' || adapters.dora;
    const wrong = PARTS.find((part) =>
      needed(part) ? rank === 0 || !fits(part) : parts[part] !== undefined,
    );
    if (wrong !== undefined) {
      const fix = 'This is a fault of the program that saves; report it.';
      throw badAdapter(`“${module}” has no ${wrong} that fits the model.`, fix, module);
    }
    modules.set(module, rank);
  }
  if (modules.size === 0)
    throw badAdapter('There are no adapter tensors to write.', 'Train with LoRA first.');
  const r = mostCommon(modules.values());
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base.nameOrPath,
    // PEFT loads the base model at this version.
    revision: base.commit,
    r,
    lora_alpha: adapters.alpha,
    lora_dropout: adapters.dropout,
    use_rslora: adapters.rslora,
    use_dora: adapters.dora,
    bias: 'none',
    // GPT-2 stores its linear weights as [in, out].
    fan_in_fan_out: architecture.conv1d,
    target_modules: targetModuleNames([...modules.keys()], layers.keys()),
    modules_to_save: saved.length === 0 ? null : [...new Set(saved.map(({ name }) => moduleOf(name)))],
    init_lora_weights: true,
    rank_pattern: Object.fromEntries([...modules].filter(([, rank]) => rank !== r)),
    alpha_pattern: Object.fromEntries(
      [...(adapters.alphas ?? [])].filter(
        ([module, alpha]) => modules.has(module) && alpha !== adapters.alpha,
      ),
    ),
    layers_to_transform: null,
    layers_pattern: null,
    inference_mode: true,
  };
  const stored = tensors.map((t) => {
    const weight = t.name.endsWith('.lora_magnitude_vector') ? '' : '.weight';
    return { ...t, name: `${PREFIX}${t.name}${weight}` };
  });
  stored.push(...saved.map((t) => ({ ...t, name: `${PREFIX}${t.name}` })));
  return [
    { path: 'adapter_config.json', bytes: `${JSON.stringify(config, null, 2)}\n` },
    { path: 'adapter_model.safetensors', bytes: writeSafetensors(stored, { format: 'pt' }) },
  ];
}

/**
 * Reads a PEFT adapter folder and checks it against the base model, module by module and shape by shape, so that it is either computed
 * as PEFT computes it or refused. Throws `bad_adapter` or `bad_safetensors`.
 */
export async function readPeftAdapter(
  files: readonly { path: string; file: Blob }[],
  architecture: Architecture,
): Promise<AdapterFiles> {
  const find = (name: string) => files.find((f) => f.path === name || f.path.endsWith(`/${name}`))?.file;
  const configFile = find('adapter_config.json');
  const weightFile = find('adapter_model.safetensors');
  if (!configFile || !weightFile) {
    throw badAdapter(
      `An adapter folder holds adapter_config.json and adapter_model.safetensors; ${configFile ? 'the second' : 'the first'} is missing.`,
      find('adapter_model.bin')
        ? 'This adapter is saved as a pickle (.bin); save it again with safe_serialization=True.'
        : 'Choose all files of the folder.',
    );
  }
  const config = LoraConfig.read(await configFile.text(), architecture);
  const opened = await readSafetensors(weightFile, 'adapter_model.safetensors');
  const whole = savedNames(opened.entries, config, architecture);
  const stored = new Map<string, string>();
  const ofLora = opened.entries.filter(({ name }) => !whole.has(name));
  for (const { name } of ofLora) stored.set(plainName(name, architecture), name);
  const shapes = ofLora.map(({ name, shape }) => ({ name: plainName(name, architecture), shape }));
  const modules = checkModules(partsByModule(shapes), config, architecture);
  const untouched = [...linearLayers(architecture).keys()].filter(
    (module) => config.targets(module) && !modules.has(module),
  );
  const [first] = untouched;
  if (first !== undefined && config.startsRandom) {
    throw badAdapter(
      `The adapter has no tensors for “${first}”, and with “init_lora_weights” ${JSON.stringify(config.raw.init_lora_weights)} PEFT would fill it at random.`,
      FIX_PAIR,
      first,
    );
  }

  const read = async (name: string, storedName: string): Promise<AdapterTensor> => {
    const { shape, data } = await opened.read(storedName);
    const floats = data instanceof Float32Array ? data : Float32Array.from(data);
    assertFinite(name, floats);
    return { name, shape, data: floats };
  };
  const tensors: AdapterTensor[] = [];
  for (const [name, storedName] of stored) tensors.push(await read(name, storedName));
  const saved: AdapterTensor[] = [];
  for (const [storedName, name] of whole) saved.push(await read(name, storedName));
  if (config.tiesSaved && architecture.tiedHead) saved.push(...tiedCopies(saved, architecture));
  return { config, tensors, modules, saved, untouched };
}

/** Head or embedding, where only the other one is saved and PEFT keeps them one tensor. */
function tiedCopies(saved: readonly AdapterTensor[], a: Architecture): AdapterTensor[] {
  const { head, embedding } = tensorNames(a);
  const one = saved.filter(({ name }) => name === head || name === embedding);
  const [only] = one;
  if (!only || one.length > 1) return [];
  return [{ ...only, name: only.name === head ? embedding : head }];
}

/**
 * Tensors that are whole modules of the base model, by stored name.
 * @throws PlaygroundError `bad_adapter` where modules_to_save does not name the module, or the shape is another one
 */
function savedNames(
  entries: readonly { name: string; shape: readonly number[] }[],
  config: LoraConfig,
  a: Architecture,
): Map<string, string> {
  const { head, embedding } = tensorNames(a);
  const shapes = new Map(expectedTensors(a).map(({ name, shape }) => [name, shape]));
  if (a.tiedHead) shapes.set(head, shapes.get(embedding) as number[]);
  const saved = new Map<string, string>();
  for (const { name: stored, shape } of entries) {
    const name = stored.slice(PREFIX.length);
    const wanted = shapes.get(name);
    const module = moduleOf(name);
    // With tied weights PEFT writes the one of the two that modules_to_save does not name, too.
    const tied = config.tiesSaved && a.tiedHead && (name === head || name === embedding);
    if (!stored.startsWith(PREFIX) || !wanted || !(config.saves(module) || tied)) continue;
    if (shape.join() !== wanted.join()) {
      const trainedOn = config.baseModelId === null ? '' : ` (${config.baseModelId})`;
      throw badAdapter(
        `“${name}” is [${shape.join(', ')}] in the adapter and [${wanted.join(', ')}] in this base model.`,
        `Use the adapter with the base model that it was trained on${trainedOn}; one with added tokens needs the model with those tokens.`,
        name,
      );
    }
    saved.set(stored, name);
  }
  const absent = config.unsaved([...saved.values()].map(moduleOf));
  if (absent === undefined) return saved;
  throw badAdapter(
    `“modules_to_save” in adapter_config.json names ${absent}, and adapter_model.safetensors holds no such module of this base model.`,
    FIX_PAIR,
    `adapter_config.json: modules_to_save`,
  );
}

function assertFinite(name: string, data: Float32Array): void {
  const bad = data.reduce((count, x) => (Number.isFinite(x) ? count : count + 1), 0);
  if (bad === 0) return;
  const count = bad === data.length ? 'All' : `${bad} of ${data.length}`;
  throw badAdapter(
    `The adapter is broken: ${count} numbers of “${name}” are NaN or infinite.`,
    'Use an adapter of an earlier step, or train again with a lower learning rate.',
    name,
  );
}

/** A stored tensor's name without PEFT's wrapping. @throws PlaygroundError `bad_adapter` for what is not LoRA on a linear layer */
function plainName(stored: string, a: Architecture): string {
  if (!stored.startsWith(PREFIX)) {
    throw badAdapter(
      `The tensor “${stored}” does not start with “${PREFIX}”, so PEFT would silently ignore it.`,
      'Save the adapter with PEFT’s save_pretrained.',
      stored,
    );
  }
  const name = stored.slice(PREFIX.length);
  const what = unsupported(name, a);
  if (what === null) return name.replace(/\.weight$/, '');
  throw badAdapter(
    `This adapter cannot be used: ${what} not supported here.`,
    'Use an adapter that is on the linear layers of attention and MLP alone.',
    stored,
  );
}

/** Description of an adapter's tensor that is not LoRA on a linear layer of the stack, before “is/are not supported here”. */
function unsupported(name: string, a: Architecture): string | null {
  const { head, embedding, positions } = tensorNames(a);
  const module = (tensor: string) => tensor.replace(/\.weight$/, '');
  if (name.startsWith(`${module(head)}.`)) return `LoRA on the output head (${module(head)}) is`;
  const embeddings = [embedding, positions].filter((tensor) => tensor !== '').map(module);
  const embedded = embeddings.find((path) => name.startsWith(`${path}.`));
  if (embedded !== undefined || /\.lora_embedding_[AB]$/.test(name))
    return `LoRA on the embedding (${embedded ?? name.replace(/\.lora_embedding_[AB]$/, '')}) is`;
  if (/\.lora_B\.bias$/.test(name)) return 'a bias in lora_B (lora_bias) is';
  if (/\.bias$/.test(name)) return `trained biases (“bias” in adapter_config.json; here ${name}) are`;
  if (/\.(lora_A|lora_B)\.weight$|\.lora_magnitude_vector(\.weight)?$/.test(name)) return null;
  return `the tensor “${name}”, which is no lora_A, lora_B or lora_magnitude_vector, is`;
}

/** @throws PlaygroundError `bad_adapter` for what PEFT would ignore or refuse, and for an adapter of another model */
function checkModules(
  found: Map<string, Partial<Record<Part, readonly number[]>>>,
  config: LoraConfig,
  a: Architecture,
): AdapterFiles['modules'] {
  if (found.size === 0)
    throw badAdapter('adapter_model.safetensors holds no tensors, so the adapter does nothing.', FIX_PAIR);
  const layers = linearLayers(a);
  const others = new Set(expectedTensors(a).map(({ name }) => name.replace(/\.(weight|bias)$/, '')));
  const trainedOn = config.baseModelId === null ? '' : ` (${config.baseModelId})`;
  const fixBase = `Use the adapter with the base model that it was trained on${trainedOn}.`;
  const modules: AdapterFiles['modules'] = new Map();
  for (const [module, parts] of found) {
    const layer = layers.get(module);
    if (!layer) {
      if (!others.has(module))
        throw badAdapter(
          `The base model has no layer “${module}”, so the adapter is of another model.`,
          fixBase,
          module,
        );
      const fix = 'Use an adapter that is on the linear layers of attention and MLP alone.';
      throw badAdapter(`LoRA on “${module}”, which is no linear layer, is not supported here.`, fix, module);
    }
    if (!config.targets(module)) {
      throw badAdapter(
        `adapter_config.json does not target “${module}” (target_modules, exclude_modules, layers_to_transform), so PEFT would ignore the adapter’s tensors for it.`,
        FIX_PAIR,
        module,
      );
    }
    const rank = config.rankOf(module);
    checkParts(module, parts, layer, config, rank, fixBase);
    modules.set(module, { rank, alpha: config.alphaOf(module) });
  }
  return modules;
}

function checkParts(
  module: string,
  parts: Partial<Record<Part, readonly number[]>>,
  layer: LinearModule,
  { dora }: LoraConfig,
  rank: number,
  fixBase: string,
): void {
  for (const part of PARTS) {
    const shape = parts[part];
    const name = `${module}.${part}`;
    const needed = part !== 'lora_magnitude_vector' || dora;
    if (shape === undefined) {
      if (needed) throw badAdapter(`“${module}” has no ${part}.`, FIX_FILE, name);
      continue;
    }
    if (!needed) {
      throw badAdapter(
        `The adapter holds “${name}”, and adapter_config.json says that it is not DoRA (“use_dora”), so PEFT would ignore it.`,
        FIX_PAIR,
        name,
      );
    }
    const wanted = shapeOf(part, rank, layer);
    if (shape.join() === wanted.join()) continue;
    const stated = part === 'lora_A' ? shape[0] : part === 'lora_B' ? shape[1] : rank;
    const message = `“${name}” is [${shape.join(', ')}] and should be [${wanted.join(', ')}]`;
    if (stated !== rank)
      throw badAdapter(
        `${message}: adapter_config.json says rank ${rank} (r, rank_pattern).`,
        FIX_PAIR,
        name,
      );
    throw badAdapter(`${message} for this base model.`, fixBase, name);
  }
}
