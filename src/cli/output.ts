// What a run leaves in its folder: the adapter or the whole model, how it was made, and its metric points.
// Not here: the formats themselves (formats/), writing to disk (disk.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { MetricPoint, RunSummary } from '../contract';
import { type Learner, mergeAdapters } from '../engine/adapters';
import { PlaygroundError } from '../errors';
import { writePeftAdapter } from '../formats/peft';
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors';
import type { Hyperparameters } from '../hyperparameters';
import { series, toCsv } from '../metrics/curves';
import type { FileToWrite } from './disk';
import type { Rows, Workbench } from './workbench';

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/** @throws PlaygroundError `non_finite` rather than writing weights that are not numbers. */
async function readTensors(
  tensors: Iterable<[string, tf.Tensor]>,
  dtype: NonNullable<TensorToWrite['dtype']>,
): Promise<TensorToWrite[]> {
  const read: TensorToWrite[] = [];
  for (const [name, tensor] of tensors) {
    const data = (await tensor.data()) as Float32Array;
    if (data.some((x) => !Number.isFinite(x))) {
      throw new PlaygroundError({
        code: 'non_finite',
        message: `The weight ${name} is no longer a number, so nothing was written.`,
        fix: 'Train again with a lower learning rate.',
        where: name,
      });
    }
    read.push({ name, shape: tensor.shape, data, dtype });
  }
  return read;
}

export type StoredType = 'F32' | 'F16' | 'BF16';

const TORCH_NAMES: Record<StoredType, string> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** A whole Hugging Face folder with the learner's changes in it. */
export async function modelFiles(
  { model, files, chat }: Workbench,
  learner: Learner | null,
  stored: StoredType,
): Promise<FileToWrite[]> {
  const changed = learner
    ? mergeAdapters(model.architecture, model.weights, learner)
    : new Map<string, tf.Tensor>();
  try {
    const tensors = await readTensors(new Map([...model.weights, ...changed]), stored);
    const dtype = TORCH_NAMES[stored];
    const { tiedHead } = model.architecture;
    return [
      { path: 'model.safetensors', bytes: writeSafetensors(tensors, { format: 'pt' }) },
      {
        path: 'config.json',
        bytes: json({ ...files.config, torch_dtype: dtype, dtype, tie_word_embeddings: tiedHead }),
      },
      { path: 'tokenizer.json', bytes: json(files.tokenizerJson) },
      { path: 'tokenizer_config.json', bytes: json(files.tokenizerConfig) },
      // Other tools stop on these ids alone, so the end of a turn must be among them.
      {
        path: 'generation_config.json',
        bytes: json({ ...files.generationConfig, eos_token_id: [...chat.stopIds] }),
      },
      { path: 'chat_template.jinja', bytes: chat.template },
    ];
  } finally {
    for (const t of changed.values()) t.dispose();
  }
}

/** The losses of each evaluation, for the model card. */
function results(points: readonly MetricPoint[]) {
  const train = new Map(series(points, 'train_eval_loss').map((p) => [p.step, p.value]));
  return points
    .filter((p) => p.name === 'full_valid_loss')
    .map((p) => ({
      step: p.step,
      epoch: p.epoch,
      trainLoss: train.get(p.step) ?? null,
      validationLoss: p.value,
    }));
}

/** All that a training run writes. */
export async function runFiles(
  workbench: Workbench,
  learner: Learner,
  h: Hyperparameters,
  rows: Rows,
  summary: RunSummary,
  points: readonly MetricPoint[],
): Promise<FileToWrite[]> {
  const weights: FileToWrite[] = learner.adapters
    ? writePeftAdapter({
        architecture: workbench.model.architecture,
        tensors: await readTensors(learner.tensors, 'F32'),
        hyperparameters: h,
        baseModelId: workbench.modelId,
        chatTemplate: workbench.chat.template,
        endOfTurn: workbench.chat.endOfTurn,
        dataset: {
          name: rows.name,
          hash: rows.hash,
          trainRows: rows.train.length,
          validationRows: rows.validation.length,
        },
        results: results(points),
      })
    : await modelFiles(workbench, learner, 'F32');
  return [...weights, ...recordFiles(summary, points)];
}

/** How it went, without weights: all there is when a run failed before its first step. */
export function recordFiles(summary: RunSummary, points: readonly MetricPoint[]): FileToWrite[] {
  return [
    { path: 'run.json', bytes: json(summary) },
    { path: 'metrics.jsonl', bytes: points.map((p) => `${JSON.stringify(p)}\n`).join('') },
    { path: 'metrics.csv', bytes: toCsv(points) },
  ];
}
