// What a run leaves behind, as files: a PEFT adapter, or a whole Hugging Face folder with the changes in it.
// Not here: the formats themselves (formats/), zipping (worker/), writing to disk (cli/).

import type * as tf from '@tensorflow/tfjs-core';
import type { MetricPoint, RunConfig } from '../../contract';
import type { Chat } from '../../data/chat';
import { PlaygroundError } from '../../errors';
import type { ModelFiles } from '../../formats/huggingface';
import { type AdapterResult, writePeftAdapter } from '../../formats/peft';
import { type TensorToWrite, writeSafetensors } from '../../formats/safetensors';
import { asFloat32 } from '../kernels';
import { type Learner, mergeAdapters } from './adapters';
import type { Model } from './model';

export interface OutFile {
  path: string;
  bytes: Uint8Array | string;
}

/** A loaded model with what it was read from. */
export interface LoadedModel {
  model: Model;
  files: ModelFiles;
  chat: Chat;
}

export type StoredType = 'F32' | 'F16' | 'BF16';

const TORCH_NAMES: Record<StoredType, string> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

export const jsonText = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/** @throws PlaygroundError `non_finite` rather than writing weights that are not numbers. */
async function readTensors(
  tensors: Iterable<[string, tf.Tensor]>,
  dtype: StoredType,
): Promise<TensorToWrite[]> {
  const read: TensorToWrite[] = [];
  for (const [name, tensor] of tensors) {
    const floats = asFloat32(tensor);
    const data = (await floats.data()) as Float32Array;
    if (floats !== tensor) floats.dispose();
    if (data.some((x) => !Number.isFinite(x))) {
      throw new PlaygroundError({
        code: 'non_finite',
        message: `The weight ${name} is no longer a number, so nothing was written.`,
        fix: 'Go back to the best step, or train again with a lower learning rate.',
        where: name,
      });
    }
    read.push({ name, shape: tensor.shape, data, dtype });
  }
  return read;
}

/** A whole Hugging Face folder with the learner's changes in it. */
export async function modelFiles(
  { model, files, chat }: LoadedModel,
  learner: Learner | null,
  stored: StoredType,
): Promise<OutFile[]> {
  const changed = learner
    ? mergeAdapters(model.architecture, model.weights, learner)
    : new Map<string, tf.Tensor>();
  try {
    const tensors = await readTensors(new Map([...model.weights, ...changed]), stored);
    const dtype = TORCH_NAMES[stored];
    const config = {
      ...files.config,
      torch_dtype: dtype,
      dtype,
      tie_word_embeddings: model.architecture.tiedHead,
    };
    // Other tools stop on these ids alone, so the end of a turn must be among them.
    const generation = { ...files.generationConfig, eos_token_id: [...chat.stopIds] };
    return [
      { path: 'model.safetensors', bytes: writeSafetensors(tensors, { format: 'pt' }) },
      { path: 'config.json', bytes: jsonText(config) },
      { path: 'tokenizer.json', bytes: jsonText(files.tokenizerJson) },
      { path: 'tokenizer_config.json', bytes: jsonText(files.tokenizerConfig) },
      { path: 'generation_config.json', bytes: jsonText(generation) },
      { path: 'chat_template.jinja', bytes: chat.template },
    ];
  } finally {
    for (const t of changed.values()) t.dispose();
  }
}

/** The losses of each evaluation for the model card: on all held-out rows where those were measured, else on the sample of the run. */
function results(points: readonly MetricPoint[], { validationRows, evaluation }: RunConfig): AdapterResult[] {
  const on = (full: '' | 'full_', heldOutRows: number): AdapterResult[] => {
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

/**
 * The learned weights: an adapter folder for LoRA, otherwise the whole model.
 * @param dataRemarks sentences on what the validation losses are worth, for the model card
 */
export async function learnedFiles(
  loaded: LoadedModel,
  learner: Learner,
  config: RunConfig,
  points: readonly MetricPoint[],
  dataRemarks: readonly string[] = [],
): Promise<OutFile[]> {
  if (!learner.adapters) return modelFiles(loaded, learner, 'F32');
  return writePeftAdapter({
    architecture: loaded.model.architecture,
    tensors: await readTensors(learner.tensors, 'F32'),
    // The card says what ran.
    hyperparameters: {
      ...config.hyperparameters,
      gradient_checkpointing: config.checkpointing.on ? 'on' : 'off',
    },
    baseModelId: config.modelId,
    ...(config.modelCommit !== undefined && { baseModelCommit: config.modelCommit }),
    chatTemplate: loaded.chat.template,
    endOfTurn: loaded.chat.endOfTurn,
    dataset: {
      name: config.datasetName,
      hash: config.datasetHash,
      trainRows: config.trainRows,
      validationRows: config.validationRows,
      remarks: dataRemarks,
    },
    results: results(points, config),
  });
}
