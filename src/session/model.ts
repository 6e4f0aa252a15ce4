// A base model, opened: its files, its chat format, what is odd about them; then its weights on the device.
// Not here: where the folder comes from (worker/, cli/), file formats (formats/), tensors (engine/model/load.ts).

import { type Chat, createChat } from '../data/tokens/chat';
import { createTokenizer } from '../data/tokens/tokenizer';
import { changesNothing, type Learner, learnerFromAdapter, zeroRows } from '../engine/model/adapters';
import type { LoadedModel } from '../engine/model/artifacts';
import { loadModel } from '../engine/model/load';
import type { Model } from '../engine/model/model';
import { readGgufModel } from '../formats/gguf/ggufModel';
import { type ModelFiles, type ModelFolder, readModelFolder } from '../formats/huggingface';
import { type AdapterFiles, readPeftAdapter } from '../formats/peft';
import type { LoadProgress, ModelInfo } from '../modelContract';

/** A model folder that was read, without its weights. */
export interface OpenedModel {
  files: ModelFiles;
  chat: Chat;
  /** Sentences the user should see; nothing that stops the model from working. */
  notices: string[];
}

export type BaseModel = OpenedModel & LoadedModel;

/** @throws PlaygroundError when a file is missing or cannot be understood */
export async function openModel(folder: ModelFolder): Promise<OpenedModel> {
  const gguf = await ggufOf(folder);
  const files =
    gguf === null ? await readModelFolder(folder) : await readGgufModel(await folder.open(gguf), gguf);
  const { eosTokenIds, vocabSize, contextLength } = files.architecture;
  const chat = createChat(createTokenizer({ ...files, eosTokenIds }), { vocabSize, contextLength });
  return { files, chat, notices: [...files.notices, ...chat.notices] };
}

/** The one GGUF file of a folder without a config.json; null where it is a Hugging Face folder. */
async function ggufOf(folder: ModelFolder): Promise<string | null> {
  const found = (await folder.list()).filter((path) => /\.gguf$/i.test(path));
  if (found.length !== 1 || (await folder.has('config.json'))) return null;
  return found[0] as string;
}

/** Puts the weights on the device. @throws PlaygroundError of engine/model/load.ts */
export async function loadWeights(
  opened: OpenedModel,
  origin: { id: string; commit?: string },
  onProgress: (p: LoadProgress) => void = () => {},
): Promise<BaseModel> {
  return { ...opened, ...origin, model: await loadModel(opened.files, onProgress) };
}

export function modelInfo({ id, commit, files, chat, notices }: BaseModel): ModelInfo {
  return {
    id,
    ...(commit === undefined ? {} : { commit }),
    architecture: files.architecture,
    parameters: files.weights.parameters,
    sizeBytes: files.weights.totalBytes,
    dtype: files.weights.dtype,
    chatTemplate: chat.source,
    endOfTurn: chat.endOfTurn,
    notices,
  };
}

const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'];

export interface OpenedAdapter {
  learner: Learner;
  /** Sentences the user should see; nothing that stops the adapter from working. */
  notices: string[];
}

/** A PEFT folder as a learner of this model. @throws PlaygroundError of formats/peft.ts */
export async function openAdapter(folder: ModelFolder, { model }: LoadedModel): Promise<OpenedAdapter> {
  const found = [];
  for (const path of ADAPTER_FILES)
    if (await folder.has(path)) found.push({ path, file: await folder.open(path) });
  const adapter = await readPeftAdapter(found, model.architecture);
  const learner = learnerFromAdapter(adapter);
  return { learner, notices: await adapterNotices(model, adapter, learner) };
}

async function adapterNotices(
  { architecture, weights }: Model,
  { modules, untouched }: AdapterFiles,
  learner: Learner,
): Promise<string[]> {
  const notices: string[] = [];
  if (untouched.length > 0) {
    notices.push(
      `The adapter has tensors for ${modules.size} of the ${modules.size + untouched.length} layers that its adapter_config.json names; the others stay as in the base model, the first of them ${untouched[0]}.`,
    );
  }
  if (await changesNothing(architecture, weights, learner)) {
    notices.push(
      'This adapter changes nothing (lora_B is zero everywhere): answers and losses are those of the base model.',
    );
  }
  const zero = await zeroRows(architecture, weights, learner);
  const [first] = zero;
  if (first) {
    const rows = zero.reduce((sum, layer) => sum + layer.rows.length, 0);
    notices.push(
      `${rows} rows of the tuned weights are zero, the first in ${first.module}. DoRA divides by their norm: PEFT computes NaN with this adapter and base model; here such rows count as zero.`,
    );
  }
  return notices;
}
