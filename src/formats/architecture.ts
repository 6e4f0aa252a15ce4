// The list of families; config.json → Architecture, and from that: tensor names by role, expected tensors, linear layers.
// Not here: a family (families/), reading folders and weights (huggingface.ts), arithmetic (engine/).

import type { Architecture } from '../modelArchitecture';
import type { FamilyId } from '../modelFamilies';
import { type RawConfig, refuse } from './families/config';
import type { Family, TensorNames } from './families/family';
import { gemma3 } from './families/gemma3';
import { gpt2 } from './families/gpt2';
import { gptNeox } from './families/gptNeox';
import { llama } from './families/llama';
import { qwen2 } from './families/qwen2';
import { qwen3 } from './families/qwen3';
import { checkConfig } from './jsonSchemas';

/** A new family is a value here, and its name in modelFamilies.ts. */
export const FAMILIES: Readonly<Record<FamilyId, Family>> = {
  ...{ llama, qwen2, qwen3, gpt2 },
  gemma3_text: gemma3,
  gpt_neox: gptNeox,
};

/** A tensor that a model of some architecture stores. Shapes as stored: GPT-2's linear weights are [in, out], all others [out, in]. */
export interface ExpectedTensor {
  name: string;
  shape: number[];
}

export interface LinearModule {
  module: string;
  layer: number;
  part: 'attention' | 'mlp';
  inFeatures: number;
  outFeatures: number;
}

/** `eos_token_id` as a list, whichever way it is written. */
export function idList(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0);
}

function familyOf(config: RawConfig): Family {
  const type = config.model_type;
  const classes = Array.isArray(config.architectures)
    ? config.architectures.filter((n): n is string => typeof n === 'string')
    : [];
  const [named] = classes;
  const called = named ?? (typeof type === 'string' ? type : 'a model without a “model_type”');
  const family =
    typeof type === 'string'
      ? Object.hasOwn(FAMILIES, type) && FAMILIES[type as FamilyId]
      : Object.values(FAMILIES).find((f) => f.className === named);
  if (!family) throw refuse(`it is ${called}, which is not among the supported kinds`, 'model_type');
  // Every other class without a language-model head cannot write text.
  if (named !== undefined && named !== family.className && !family.otherClassNames?.includes(named)) {
    throw refuse(`it is ${named}, and of this kind only ${family.className} writes text`, 'architectures');
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

/**
 * The architecture that a config.json describes, old or new spelling, with the defaults of transformers 5.18.
 * Throws `unsupported_architecture` (says what is supported) or `bad_config`.
 */
export function architectureFromConfig(config: RawConfig): Architecture {
  checkConfig(config);
  return familyOf(config).architecture(config);
}

/** Tensor names by role. */
export function tensorNames(a: Architecture): TensorNames {
  return FAMILIES[a.family].names(a);
}

/** The name transformers saves for a tensor that an older file calls differently; null for buffers that hold no weights. */
export function canonicalName(name: string, family: FamilyId): string | null {
  if (/\.rotary_emb\.inv_freq$/.test(name) || /\.(attn|attention)\.(bias|masked_bias)$/.test(name))
    return null;
  return FAMILIES[family].canonicalName?.(name) ?? name;
}

/** Every linear layer inside the stack, in the order of the forward pass: what an adapter can go on. */
export function linearModules(a: Architecture): LinearModule[] {
  const names = tensorNames(a);
  const modules: LinearModule[] = [];
  for (let layer = 0; layer < a.layers; layer++) {
    for (const { biased: _, ...linear } of linearsOf(a, names, layer)) modules.push({ ...linear, layer });
  }
  return modules;
}

type Linear = Omit<LinearModule, 'layer'> & { biased: boolean };

function linearsOf(a: Architecture, names: TensorNames, layer: number): Linear[] {
  const n = names.layer(layer);
  const queries = a.heads * a.headDim;
  const keys = a.kvHeads * a.headDim;
  const linear = (
    part: LinearModule['part'],
    module: string,
    inFeatures: number,
    outFeatures: number,
    biased: boolean,
  ): Linear => ({ module, part, inFeatures, outFeatures, biased });
  return [
    ...(a.qkvLayout === 'separate'
      ? [
          linear('attention', n.q, a.hiddenSize, queries, a.qkvBias),
          linear('attention', n.k, a.hiddenSize, keys, a.qkvBias),
          linear('attention', n.v, a.hiddenSize, keys, a.qkvBias),
        ]
      : [linear('attention', n.qkv, a.hiddenSize, queries + 2 * keys, a.qkvBias)]),
    linear('attention', n.output, queries, a.hiddenSize, a.outputBias),
    ...(a.gated ? [linear('mlp', n.gate, a.hiddenSize, a.intermediateSize, a.mlpBias)] : []),
    linear('mlp', n.up, a.hiddenSize, a.intermediateSize, a.mlpBias),
    linear('mlp', n.down, a.intermediateSize, a.hiddenSize, a.mlpBias),
  ];
}

/** Every tensor of such a model under the name and in the shape that transformers saves. */
export function expectedTensors(a: Architecture): ExpectedTensor[] {
  const names = tensorNames(a);
  const tensors: ExpectedTensor[] = [];
  const add = (name: string, ...shape: number[]) => tensors.push({ name, shape });
  const norm = (name: string, size = a.hiddenSize) => {
    if (name === '') return;
    add(`${name}.weight`, size);
    if (a.norm === 'layer') add(`${name}.bias`, size);
  };
  add(names.embedding, a.vocabSize, a.hiddenSize);
  if (names.positions !== '') add(names.positions, a.contextLength, a.hiddenSize);
  for (let layer = 0; layer < a.layers; layer++) {
    const n = names.layer(layer);
    const linears = linearsOf(a, names, layer);
    const addLinears = (part: LinearModule['part']) => {
      for (const { module, inFeatures, outFeatures, biased } of linears.filter((l) => l.part === part)) {
        if (a.conv1d) add(`${module}.weight`, inFeatures, outFeatures);
        else add(`${module}.weight`, outFeatures, inFeatures);
        if (biased) add(`${module}.bias`, outFeatures);
      }
    };
    norm(n.inputNorm);
    addLinears('attention');
    norm(n.qNorm, a.headDim);
    norm(n.kNorm, a.headDim);
    norm(n.postAttentionNorm);
    norm(n.mlpNorm);
    norm(n.postMlpNorm);
    addLinears('mlp');
  }
  norm(names.finalNorm);
  if (!a.tiedHead) add(names.head, a.vocabSize, a.hiddenSize);
  return tensors;
}
