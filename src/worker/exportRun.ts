// What a run leaves behind, as one zip: a PEFT adapter, or a whole Hugging Face folder, and how it was made.
// Not here: the file formats (formats/), which weights (session.ts).

import { zipSync } from 'fflate';
import { type Learner, mergeAdapters } from '../engine/adapters';
import type { Model } from '../engine/model';
import { PlaygroundError } from '../errors';
import type { ModelFiles } from '../formats/huggingface';
import { writePeftAdapter } from '../formats/peft';
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors';
import type { Run } from './run';

interface OutFile {
  path: string;
  bytes: Uint8Array;
}

/** @throws PlaygroundError `non_finite` rather than writing weights that are not numbers. */
export async function exportFiles(
  model: Model,
  files: ModelFiles,
  learner: Learner,
  run: Run,
): Promise<Blob> {
  const out = learner.adapters
    ? await adapterFiles(model, files, learner, run)
    : await modelFiles(model, files, learner);
  out.push({ path: 'run.json', bytes: json(run.config) });
  const zip = zipSync(Object.fromEntries(out.map((f) => [f.path, f.bytes])), { level: 0 });
  return new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
}

async function adapterFiles(model: Model, files: ModelFiles, learner: Learner, run: Run): Promise<OutFile[]> {
  const tensors = await readAll(learner.tensors);
  return writePeftAdapter({
    architecture: model.architecture,
    tensors,
    hyperparameters: run.config.hyperparameters,
    baseModelId: run.config.modelId,
    chatTemplate: files.chatTemplate,
  });
}

async function modelFiles(model: Model, files: ModelFiles, learner: Learner): Promise<OutFile[]> {
  const changed = mergeAdapters(model.architecture, model.weights, learner);
  try {
    const all = new Map([...model.weights, ...changed]);
    const tensors = await readAll(all);
    const out: OutFile[] = [
      { path: 'model.safetensors', bytes: writeSafetensors(tensors, { format: 'pt' }) },
      { path: 'config.json', bytes: json({ ...files.config, torch_dtype: 'float32', dtype: 'float32' }) },
      { path: 'tokenizer.json', bytes: json(files.tokenizerJson) },
      { path: 'tokenizer_config.json', bytes: json(files.tokenizerConfig) },
      { path: 'generation_config.json', bytes: json(files.generationConfig) },
    ];
    if (files.chatTemplate !== null) {
      out.push({ path: 'chat_template.jinja', bytes: new TextEncoder().encode(files.chatTemplate) });
    }
    return out;
  } finally {
    for (const t of changed.values()) t.dispose();
  }
}

async function readAll(
  tensors: Iterable<[string, { shape: number[]; data(): Promise<unknown> }]>,
): Promise<TensorToWrite[]> {
  const read: TensorToWrite[] = [];
  for (const [name, t] of tensors) {
    const data = (await t.data()) as Float32Array;
    if (data.some((x) => !Number.isFinite(x))) {
      throw new PlaygroundError({
        code: 'non_finite',
        message: `The weight ${name} is no longer a number, so nothing was written.`,
        fix: 'Go back to the best step, or train again with a lower learning rate.',
        where: name,
      });
    }
    read.push({ name, shape: t.shape, data });
  }
  return read;
}

const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
