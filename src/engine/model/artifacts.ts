// What a run leaves behind, as files: a PEFT adapter with tokenizer and base model, or a whole Hugging Face folder with the changes in it.
// Not here: the formats themselves (formats/), zipping (worker/), writing to disk (cli/).

import type * as tf from '@tensorflow/tfjs-core';
import type { MetricPoint, RunConfig } from '../../contract';
import type { Chat } from '../../data/tokens/chat';
import { PlaygroundError } from '../../errors';
import type { ModelFiles } from '../../formats/huggingface';
import {
  BASE_FOLDER,
  BASE_PATH,
  type BasePlace,
  type EvaluationResult,
  modelCard,
  type Training,
} from '../../formats/modelCard';
import { writePeftAdapter } from '../../formats/peft';
import { type RawTensorToWrite, type TensorToWrite, writeSafetensors } from '../../formats/safetensors';
import { SINGLE_FILE } from '../../formats/weightFiles';
import { type AdapterOptions, hasOwnHead, type Learner, tunedTensors, zeroRows } from './adapters';
import type { Model } from './model';
import {
  type KeepFile,
  type OutFile,
  readNumbers,
  type StoredType,
  safetensorsFiles,
  type WritingHooks,
} from './weightFiles';

/** A loaded model with what it was read from. */
export interface LoadedModel {
  /** What a run and an adapter call it: a hub id, or the name of a folder. */
  id: string;
  /** Of a model from the hub. */
  commit?: string;
  model: Model;
  files: ModelFiles;
  chat: Chat;
}

const TORCH_NAMES: Record<StoredType, string> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

export const jsonText = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

async function readTensors(tensors: Iterable<[string, tf.Tensor]>): Promise<TensorToWrite[]> {
  const read: TensorToWrite[] = [];
  for (const [name, tensor] of tensors)
    read.push({ name, shape: tensor.shape, data: await readNumbers(name, tensor), dtype: 'F32' });
  return read;
}

/** The files of a Hugging Face folder beside README.md. */
function folderOf(
  { files, chat }: LoadedModel,
  weights: readonly OutFile[],
  config: Record<string, unknown>,
): OutFile[] {
  // Other tools stop on these ids alone, so the end of a turn must be among them.
  const generation = { ...files.generationConfig, eos_token_id: [...chat.stopIds] };
  return [
    ...weights,
    { path: 'config.json', bytes: jsonText(config) },
    { path: 'generation_config.json', bytes: jsonText(generation) },
    ...tokenizerFiles(files, chat),
  ];
}

/** With a class for AutoTokenizer, which else would look for one in a config.json. */
export function tokenizerFiles({ tokenizerJson, tokenizerConfig }: ModelFiles, chat: Chat): OutFile[] {
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', ...tokenizerConfig };
  return [
    { path: 'tokenizer.json', bytes: `${JSON.stringify(tokenizerJson)}\n` },
    { path: 'tokenizer_config.json', bytes: jsonText(config) },
    { path: 'chat_template.jinja', bytes: chat.template },
  ];
}

export interface ModelFilesOptions extends WritingHooks {
  /** For the model card; null where it is not known. */
  training?: Training | null;
  keep?: KeepFile;
  maxShardBytes?: number;
}

/** A whole Hugging Face folder with the learner's changes in it. @throws PlaygroundError of `safetensorsFiles` */
export async function modelFiles(
  loaded: LoadedModel,
  learner: Learner | null,
  stored: StoredType,
  { training = null, keep, maxShardBytes, ...hooks }: ModelFilesOptions = {},
): Promise<OutFile[]> {
  const { architecture, weights } = loaded.model;
  const tensors = tunedTensors(architecture, weights, learner);
  const dtype = TORCH_NAMES[stored];
  const config = {
    ...loaded.files.config,
    torch_dtype: dtype,
    dtype,
    tie_word_embeddings: architecture.tiedHead && !(learner && hasOwnHead(architecture, learner)),
  };
  const files = await safetensorsFiles(tensors, stored, keep, hooks, maxShardBytes);
  return [...folderOf(loaded, files, config), readme(loaded, placeOf(loaded, {}), 'whole model', training)];
}

/** The base model as it was read, in a folder of its own. */
export async function baseFiles(loaded: LoadedModel): Promise<OutFile[]> {
  const { weights, config, architecture } = loaded.files;
  const tensors: RawTensorToWrite[] = [];
  for (const name of weights.names) tensors.push({ name, ...(await weights.readRaw(name)) });
  const stored = { path: SINGLE_FILE, bytes: writeSafetensors(tensors, { format: 'pt' }) };
  const folder = folderOf(loaded, [stored], { ...config, tie_word_embeddings: architecture.tiedHead });
  return folder.map(({ path, bytes }) => ({ path: `${BASE_FOLDER}/${path}`, bytes }));
}

/** A base that no hub has goes along up to this size: all models that ship with the page, and a zip that a page can still build. */
const INCLUDED_BYTES = 64e6;

/** Whether an exported adapter has its base model beside it. */
export function includesBase(
  { commit, files }: LoadedModel,
  { includeBase = false }: LearnedFilesOptions,
): boolean {
  return includeBase || (commit === undefined && files.weights.totalBytes <= INCLUDED_BYTES);
}

/** Where an adapter's base model will be found. */
export function placeOf(loaded: LoadedModel, options: LearnedFilesOptions): BasePlace {
  const { id, commit } = loaded;
  if (includesBase(loaded, options)) return { kind: 'included', name: id };
  return commit === undefined ? { kind: 'elsewhere', name: id } : { kind: 'hub', id, commit };
}

function readme(
  { files, chat }: LoadedModel,
  base: BasePlace,
  content: { adaptedLayers: number } | 'whole model',
  training: Training | null,
): OutFile {
  const penalty = files.generationConfig.repetition_penalty;
  const card = modelCard({
    base,
    content,
    stopIds: chat.stopIds,
    thinkingOff: chat.template.includes('enable_thinking'),
    repetitionPenalty: typeof penalty === 'number' && penalty !== 1,
    training,
  });
  return { path: 'README.md', bytes: card };
}

/** The losses of each evaluation for the model card: on all held-out rows where those were measured, else on the sample of the run. */
function results(
  points: readonly MetricPoint[],
  { validationRows, evaluation }: RunConfig,
): EvaluationResult[] {
  const on = (full: '' | 'full_', heldOutRows: number): EvaluationResult[] => {
    const train = new Map(
      points.filter((p) => p.name === `${full}train_eval_loss`).map((p) => [p.step, p.value]),
    );
    return points
      .filter((p) => p.name === `${full}valid_loss`)
      .map(({ step, epoch, value }) => ({
        step,
        epoch,
        trainLoss: train.get(step) ?? null,
        validationLoss: value,
        heldOutRows,
      }));
  };
  const all = on('full_', validationRows);
  return all.length > 0 ? all : on('', evaluation.validationRows);
}

/** What the model card says of a run. @param remarks sentences on what the validation losses are worth */
export function trainingOf(
  config: RunConfig,
  points: readonly MetricPoint[],
  remarks: readonly string[] = [],
): Training {
  return {
    // The card says what ran.
    hyperparameters: {
      ...config.hyperparameters,
      gradient_checkpointing: config.checkpointing.on ? 'on' : 'off',
    },
    dataset: {
      name: config.datasetName,
      hash: config.datasetHash,
      trainRows: config.trainRows,
      validationRows: config.validationRows,
      remarks,
    },
    results: results(points, config),
  };
}

export interface LearnedFilesOptions extends WritingHooks {
  keep?: KeepFile;
  /** Sentences on what the validation losses are worth, for the model card. */
  dataRemarks?: readonly string[];
  /** Puts the base model beside an adapter although it is large or on the hub. */
  includeBase?: boolean;
}

/**
 * The learned weights: an adapter folder for LoRA, otherwise the whole model. The Python in its README.md runs in the folder.
 * @throws PlaygroundError `non_finite` for weights that are not numbers; `zero_rows` for a DoRA adapter that PEFT could not use
 */
export async function learnedFiles(
  loaded: LoadedModel,
  learner: Learner,
  config: RunConfig,
  points: readonly MetricPoint[],
  options: LearnedFilesOptions = {},
): Promise<OutFile[]> {
  const training = trainingOf(config, points, options.dataRemarks);
  if (!learner.adapters) return modelFiles(loaded, learner, 'F32', { training, ...options });
  return adapterFiles(loaded, learner, training, options);
}

/**
 * A PEFT folder with tokenizer and card.
 * @param learner with adapters
 * @param training null where the adapter was made elsewhere
 * @throws as `learnedFiles`
 */
export async function adapterFiles(
  loaded: LoadedModel,
  learner: Learner,
  training: Training | null,
  options: LearnedFilesOptions = {},
): Promise<OutFile[]> {
  const { architecture } = loaded.model;
  const tensors = await withoutZeroRows(loaded.model, learner, await readTensors(learner.tensors));
  const place = placeOf(loaded, options);
  const base =
    place.kind === 'hub'
      ? { nameOrPath: place.id, commit: place.commit }
      : { nameOrPath: BASE_PATH, commit: null };
  const adaptedLayers = tensors.filter(({ name }) => name.endsWith('.lora_A')).length;
  const adapters = learner.adapters as AdapterOptions;
  return [
    ...writePeftAdapter({ architecture, tensors, adapters, base }),
    ...tokenizerFiles(loaded.files, loaded.chat),
    readme(loaded, place, { adaptedLayers }, training),
    ...(place.kind === 'included' ? await baseFiles(loaded) : []),
  ];
}

/**
 * The weights of a single step, as transformers saves `checkpoint-STEP` inside the folder of a run: an adapter with its tokenizer, whose
 * base model lies beside the folder of the step, or a whole model.
 * @throws PlaygroundError as `learnedFiles`
 */
export async function stepFiles(loaded: LoadedModel, learner: Learner): Promise<OutFile[]> {
  const { adapters } = learner;
  if (!adapters) return modelFiles(loaded, learner, 'F32');
  const tensors = await withoutZeroRows(loaded.model, learner, await readTensors(learner.tensors));
  const place = placeOf(loaded, {});
  const base =
    place.kind === 'hub'
      ? { nameOrPath: place.id, commit: place.commit }
      : { nameOrPath: `../${BASE_FOLDER}`, commit: null };
  const { architecture } = loaded.model;
  return [
    ...writePeftAdapter({ architecture, tensors, adapters, base }),
    ...tokenizerFiles(loaded.files, loaded.chat),
  ];
}

/** Norm that a filled row gets: far above what 16-bit floats round to zero. */
const FILLED_NORM = 1e-3;

/**
 * DoRA's m·(W + s·BA)/‖W + s·BA‖ is 0/0 where a row of W is zero and its adapter has learned nothing. This engine takes it as zero; PEFT
 * computes NaN, for the whole layer's output. Here such rows of lora_B get a number, so that the norm is not zero, and the magnitude 0, so
 * that the result is.
 * @param tensors of the learner; those with changes are replaced by copies
 */
async function withoutZeroRows(
  model: Model,
  learner: Learner,
  tensors: readonly TensorToWrite[],
): Promise<TensorToWrite[]> {
  const byName = new Map(tensors.map((t) => [t.name, t]));
  for (const { module, scaling, rows } of await zeroRows(model.architecture, model.weights, learner)) {
    const part = (name: string) => byName.get(`${module}.${name}`) as TensorToWrite;
    const copy = (t: TensorToWrite) => ({ ...t, data: Float32Array.from(t.data) });
    const [a, b, m] = [part('lora_A'), copy(part('lora_B')), copy(part('lora_magnitude_vector'))];
    const [rank, inFeatures] = a.shape as [number, number];
    const norms = Array.from({ length: rank }, (_, k) =>
      Math.hypot(...a.data.subarray(k * inFeatures, (k + 1) * inFeatures)),
    );
    const strongest = norms.indexOf(Math.max(...norms));
    const number = FILLED_NORM / (scaling * (norms[strongest] as number));
    if (!Number.isFinite(number)) {
      throw new PlaygroundError({
        code: 'zero_rows',
        message: `Row ${rows[0]} of ${module} is zero in the base model, and so is the adapter’s lora_A, so PEFT would divide by zero. Nothing was written.`,
        fix: 'Train without DoRA (use_dora), or with a LoRA alpha above zero.',
        where: module,
      });
    }
    for (const row of rows) {
      b.data.fill(0, row * rank, (row + 1) * rank);
      b.data[row * rank + strongest] = number;
      m.data[row] = 0;
    }
    byName.set(b.name, b).set(m.name, m);
  }
  return [...byName.values()];
}
