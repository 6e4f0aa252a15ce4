// A LoRA adapter as a PEFT folder (adapter_config.json, adapter_model.safetensors, README.md), written and read.
// Not here: merging and training adapters (engine/), zipping (worker/).

import type { Architecture } from '../contract';
import { PlaygroundError } from '../errors';
import { HYPERPARAMETER_NAMES, HYPERPARAMETERS, type Hyperparameters } from '../hyperparameters';
import { type LinearModule, linearModules } from './architecture';
import { readSafetensors, type TensorToWrite, writeSafetensors } from './safetensors';

/** In front of every module path: PEFT's own wrapping of the model. A file without it loads as a no-op, with a warning only. */
const PREFIX = 'base_model.model.';

export interface OutFile {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface AdapterToWrite {
  architecture: Architecture;
  /** Named `<module path>.lora_A` [r, in], `.lora_B` [out, r], `.lora_magnitude_vector` [out]. */
  tensors: readonly TensorToWrite[];
  hyperparameters: Hyperparameters;
  /** Hub id or name of the base model. */
  baseModelId: string;
  /** Its version on the hub. */
  baseModelCommit?: string;
  /** Written beside the adapter so that it is used with the template it was trained with. */
  chatTemplate?: string | null;
  /** The token an answer ends on, for the model card. */
  endOfTurn?: string;
  dataset?: {
    name: string;
    hash: string;
    trainRows: number;
    validationRows: number;
    /** Sentences on what its validation losses are worth. */
    remarks?: readonly string[];
  };
  /** Losses at the evaluations, for the model card. */
  results?: readonly AdapterResult[];
}

export interface AdapterResult {
  step: number;
  epoch: number;
  trainLoss: number | null;
  validationLoss: number;
  /** Rows behind the validation loss. */
  heldOutRows: number;
}

export interface AdapterFiles {
  /** adapter_config.json as it stands. */
  config: Record<string, unknown>;
  baseModelId: string | null;
  r: number;
  alpha: number;
  rslora: boolean;
  dora: boolean;
  /** Under the names that `writePeftAdapter` takes. */
  tensors: { name: string; shape: number[]; data: Float32Array<ArrayBuffer> }[];
}

function bad(message: string, fix: string, where?: string): PlaygroundError {
  return new PlaygroundError({ code: 'bad_adapter', message, fix, ...(where ? { where } : {}) });
}

type LinearSize = Pick<LinearModule, 'inFeatures' | 'outFeatures'>;

/** Linear layers inside the stack, by module path: what an adapter can go on. */
const linearLayers = (a: Architecture): Map<string, LinearSize> =>
  new Map(linearModules(a).map((linear) => [linear.module, linear]));

/** `model.layers.3.mlp.up_proj` + `lora_A` */
function splitName(name: string): { module: string; part: string } | null {
  const match = /^(.+)\.(lora_A|lora_B|lora_magnitude_vector)$/.exec(name);
  return match ? { module: match[1] as string, part: match[2] as string } : null;
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

function checkedShapes(
  a: AdapterToWrite | { architecture: Architecture; tensors: AdapterFiles['tensors'] },
): {
  modules: Map<string, number>;
  layers: ReturnType<typeof linearLayers>;
} {
  const layers = linearLayers(a.architecture);
  const shapes = new Map<string, readonly number[]>(a.tensors.map((t) => [t.name, t.shape]));
  const modules = new Map<string, number>();
  const fix = 'Use the adapter with the base model that it was trained on.';
  for (const [name, shape] of shapes) {
    const split = splitName(name);
    if (!split) throw bad(`“${name}” is not the name of an adapter tensor.`, fix, name);
    const layer = layers.get(split.module);
    if (!layer) throw bad(`The base model has no linear layer “${split.module}”.`, fix, name);
    const rank = shapes.get(`${split.module}.lora_A`)?.[0] ?? 0;
    const wanted = {
      lora_A: [rank, layer.inFeatures],
      lora_B: [layer.outFeatures, rank],
      lora_magnitude_vector: [layer.outFeatures],
    }[split.part] as number[];
    if (rank === 0 || shape.join() !== wanted.join()) {
      throw bad(`“${name}” is [${shape.join(', ')}] and should be [${wanted.join(', ')}].`, fix, name);
    }
    if (!shapes.has(`${split.module}.lora_B`)) throw bad(`“${split.module}” has no lora_B.`, fix, name);
    modules.set(split.module, rank);
  }
  return { modules, layers };
}

function mostCommon(numbers: Iterable<number>): number {
  const counts = new Map<number, number>();
  for (const n of numbers) counts.set(n, (counts.get(n) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

/**
 * The files of a PEFT adapter folder. test/fixtures/check_peft.py loads one with peft and compares logits.
 * Throws `bad_adapter` when a tensor is none of an adapter for this architecture.
 */
export function writePeftAdapter(adapter: AdapterToWrite): OutFile[] {
  const { architecture, hyperparameters: h, tensors } = adapter;
  const { modules, layers } = checkedShapes(adapter);
  if (modules.size === 0) throw bad('There are no adapter tensors to write.', 'Train with LoRA first.');
  const r = mostCommon(modules.values());
  const rankPattern = Object.fromEntries([...modules].filter(([, rank]) => rank !== r));
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: adapter.baseModelId,
    // PEFT loads the base model at this version.
    revision: adapter.baseModelCommit ?? null,
    r,
    lora_alpha: h.lora_alpha,
    lora_dropout: h.lora_dropout,
    use_rslora: h.use_rslora,
    use_dora: h.use_dora,
    bias: 'none',
    // GPT-2 stores its linear weights as [in, out].
    fan_in_fan_out: architecture.conv1d,
    target_modules: targetModuleNames([...modules.keys()], layers.keys()),
    modules_to_save: null,
    init_lora_weights: true,
    rank_pattern: rankPattern,
    alpha_pattern: {},
    layers_to_transform: null,
    layers_pattern: null,
    inference_mode: true,
  };
  const stored = tensors.map((t) => {
    const weight = t.name.endsWith('.lora_magnitude_vector') ? '' : '.weight';
    return { ...t, name: `${PREFIX}${t.name}${weight}` };
  });
  const text = (value: string) => new TextEncoder().encode(value);
  const files: OutFile[] = [
    { path: 'adapter_config.json', bytes: text(`${JSON.stringify(config, null, 2)}\n`) },
    { path: 'adapter_model.safetensors', bytes: writeSafetensors(stored, { format: 'pt' }) },
    { path: 'README.md', bytes: text(modelCard(adapter, r, modules.size)) },
  ];
  if (adapter.chatTemplate) files.push({ path: 'chat_template.jinja', bytes: text(adapter.chatTemplate) });
  return files;
}

function modelCard(adapter: AdapterToWrite, r: number, modules: number): string {
  const { hyperparameters: h, dataset, results, endOfTurn } = adapter;
  const settings = HYPERPARAMETER_NAMES.filter((name) => HYPERPARAMETERS[name].applies?.(h) ?? true);
  const at = adapter.baseModelCommit ? `, revision=${JSON.stringify(adapter.baseModelCommit)}` : '';
  // YAML reads a quoted JSON string as it is, whatever the name holds.
  const lines = [
    '---',
    `base_model: ${JSON.stringify(adapter.baseModelId)}`,
    'base_model_relation: adapter',
    'library_name: peft',
    'pipeline_tag: text-generation',
    'tags:',
    `- ${JSON.stringify(`base_model:adapter:${adapter.baseModelId}`)}`,
    '- lora',
    '- transformers',
    '---',
    '',
    `# LoRA adapter for ${adapter.baseModelId}`,
    '',
    'Trained in the browser with Finetune Playground.',
    '',
    '## Use',
    '',
    '```python',
    'from peft import PeftModel',
    'from transformers import AutoModelForCausalLM, AutoTokenizer',
    '',
    `base = ${JSON.stringify(adapter.baseModelId)}  # hub id, or the folder of the base model`,
    `tokenizer = AutoTokenizer.from_pretrained(base${at})`,
    ...(adapter.chatTemplate ? ['tokenizer.chat_template = open("chat_template.jinja").read()'] : []),
    `model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base${at}), ".")`,
    'prompt = [{"role": "user", "content": "Hello!"}]',
    'ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)',
    `answer = model.generate(**ids, max_new_tokens=100${endOfTurn ? `, eos_token_id=tokenizer.convert_tokens_to_ids(${JSON.stringify(endOfTurn)})` : ''})`,
    'print(tokenizer.decode(answer[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))',
    '```',
    '',
    'Use it with the chat template and system prompt it was trained with; another template gives poor answers.',
    '',
    '## Training',
    '',
    `Rank ${r} on ${modules} linear layers. Loss on: ${h.loss_on === 'all' ? 'all tokens' : 'the assistant’s words and the end-of-turn token'}.`,
    '',
    '| setting | value |',
    '| --- | --- |',
    ...settings.map((name) => `| ${name} | ${String(h[name])} |`),
    '',
  ];
  if (dataset) {
    lines.push(
      `Data: ${dataset.name.replaceAll(/[\r\n]+/g, ' ')}, ${dataset.trainRows} rows to train, ${dataset.validationRows} to validate, SHA-256 \`${dataset.hash}\`.`,
      ...(dataset.remarks ?? []),
      '',
    );
  }
  if (results && results.length > 0) {
    lines.push(
      '| Training Loss | Epoch | Step | Validation Loss | Held-out Rows |',
      '| --- | --- | --- | --- | --- |',
    );
    for (const row of results) {
      const train = row.trainLoss === null ? '' : row.trainLoss.toFixed(4);
      lines.push(
        `| ${train} | ${row.epoch.toFixed(2)} | ${row.step} | ${row.validationLoss.toFixed(4)} | ${row.heldOutRows} |`,
      );
    }
    lines.push('');
  }
  return lines.join('\n');
}

/**
 * Reads a PEFT adapter folder and checks it against the base model: module by module, shape by shape, so that an adapter of another
 * model is refused rather than ignored. Throws `bad_adapter` or `bad_safetensors`.
 */
export async function readPeftAdapter(
  files: readonly { path: string; file: Blob }[],
  architecture: Architecture,
): Promise<AdapterFiles> {
  const find = (name: string) => files.find((f) => f.path === name || f.path.endsWith(`/${name}`))?.file;
  const configFile = find('adapter_config.json');
  const weightFile = find('adapter_model.safetensors');
  if (!configFile || !weightFile) {
    throw bad(
      `An adapter folder holds adapter_config.json and adapter_model.safetensors; ${configFile ? 'the second' : 'the first'} is missing.`,
      find('adapter_model.bin')
        ? 'This adapter is saved as a pickle (.bin); save it again with safe_serialization=True.'
        : 'Choose all files of the folder.',
    );
  }
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(await configFile.text()) as Record<string, unknown>;
  } catch (cause) {
    throw bad(
      `adapter_config.json is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}.`,
      'Copy the file again.',
    );
  }
  if (config.peft_type !== 'LORA') {
    throw bad(
      `This adapter is of the kind ${String(config.peft_type)}; only LORA is known here.`,
      'Use a LoRA adapter.',
    );
  }
  const unsupported = [
    'modules_to_save',
    'target_parameters',
    'trainable_token_indices',
    'layer_replication',
  ].find((key) => config[key] !== undefined && config[key] !== null);
  const patterned = Object.keys((config.alpha_pattern ?? {}) as object).length > 0;
  if (unsupported !== undefined || patterned || (config.bias ?? 'none') !== 'none') {
    const what = unsupported ?? (patterned ? 'alpha_pattern' : 'bias');
    throw bad(
      `This adapter uses “${what}”, which is not supported here.`,
      'Use an adapter of A and B matrices only.',
      what,
    );
  }

  const opened = await readSafetensors(weightFile, 'adapter_model.safetensors');
  const tensors: AdapterFiles['tensors'] = [];
  for (const { name: stored } of opened.entries) {
    if (!stored.startsWith(PREFIX)) {
      throw bad(
        `The tensor “${stored}” does not start with “${PREFIX}”, so PEFT would silently ignore it.`,
        'Save the adapter with PEFT’s save_pretrained.',
        stored,
      );
    }
    const name = stored.slice(PREFIX.length).replace(/\.weight$/, '');
    const { shape, data } = await opened.read(stored);
    tensors.push({ name, shape, data: data instanceof Float32Array ? data : Float32Array.from(data) });
  }
  const { modules } = checkedShapes({ architecture, tensors });
  const r = typeof config.r === 'number' ? config.r : mostCommon(modules.values());
  const alpha = typeof config.lora_alpha === 'number' ? config.lora_alpha : 8;
  return {
    config,
    baseModelId: typeof config.base_model_name_or_path === 'string' ? config.base_model_name_or_path : null,
    r,
    alpha,
    rslora: config.use_rslora === true,
    dora: config.use_dora === true,
    tensors,
  };
}
