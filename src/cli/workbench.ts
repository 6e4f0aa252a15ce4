// What several commands start with: the engine, a model, an adapter, the rows of a file.
// Not here: the commands themselves, options (options.ts), the disk (disk.ts).

import { createRequire } from 'node:module';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { BackendName, DeviceReport, Issue, TileReport } from '../contract';
import { type Chat, createChat } from '../data/chat';
import { type PreparedRows, prepareRows, readDataFile } from '../data/dataFile';
import { createTokenizer } from '../data/tokenizer';
import type { Learner } from '../engine/adapters';
import { startDevice } from '../engine/device';
import { loadModel } from '../engine/load';
import type { Model } from '../engine/model';
import { PlaygroundError } from '../errors';
import { type ModelFiles, readModelFolder } from '../formats/huggingface';
import { type AdapterFiles, readPeftAdapter } from '../formats/peft';
import type { Hyperparameters } from '../hyperparameters';
import { diskFolder, readText } from './disk';
import type { Option } from './options';
import { nodeThreads } from './threads';
import { settleKeptTiles } from './tiles';
import { openWebGpu } from './webgpu';

/** A sentence for the person at the terminal; results alone go to standard output. */
export type Say = (sentence: string) => void;

export const MODEL_OPTION: Option = {
  name: 'model',
  value: 'DIR',
  kind: 'text',
  required: true,
  help: 'Hugging Face folder of the base model.',
};
export const ADAPTER_OPTION: Option = {
  name: 'adapter',
  value: 'DIR',
  kind: 'text',
  help: 'PEFT adapter folder to use with the model.',
};
export const DATA_OPTION: Option = {
  name: 'data',
  value: 'FILE',
  kind: 'text',
  required: true,
  help: 'Rows: chat JSONL, a JSON array, or a CSV table.',
};
export const LEAVE_OUT_OPTION: Option = {
  name: 'leave_out_bad_rows',
  kind: 'switch',
  help: 'Go on without the rows that have errors; otherwise any error stops the command.',
};
export const BACKEND_OPTION: Option = {
  name: 'backend',
  value: 'NAME',
  kind: 'text',
  choices: ['wasm', 'cpu', 'webgpu'],
  default: 'wasm',
  help: 'What computes. webgpu needs the package webgpu (Dawn) and a graphics driver.',
};

export interface Workbench {
  model: Model;
  files: ModelFiles;
  chat: Chat;
  /** The folder's name: what the adapter calls its base model. */
  modelId: string;
  device: DeviceReport;
  /** How matrix products are cut; null without WebGPU. */
  tiles: TileReport | null;
}

/** Starts a backend and loads a model folder. */
export async function openWorkbench(folder: string, backend: BackendName, say: Say): Promise<Workbench> {
  const { files, chat } = await openModelFiles(folder, say);
  if (backend === 'webgpu') await openWebGpu();
  const wasmPath = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  const fail = (error: PlaygroundError) => say(error.message);
  const device = await startDevice({
    requested: backend,
    wasmPath: `${wasmPath}/`,
    threads: nodeThreads(),
    onLost: fail,
    // Asked for with takeDeviceError where its result would be used.
    onError: () => {},
  });
  const tiles = device.backend === 'webgpu' ? await settleKeptTiles(device, say) : null;
  const model = await loadModel(files, () => {});
  const threads = device.backend === 'wasm' && device.threads > 1 ? ` on ${device.threads} threads` : '';
  say(
    `${device.because.replace(/( was asked for)?\.$/, '')}${threads}; ${model.parameters.toLocaleString('en')} parameters.`,
  );
  return { model, files, chat, modelId: path.basename(path.resolve(folder)), device, tiles };
}

/** The model's files and its chat format, without its weights. */
export async function openModelFiles(folder: string, say: Say): Promise<{ files: ModelFiles; chat: Chat }> {
  const files = await readModelFolder(diskFolder(folder));
  const chat = createChat(createTokenizer({ ...files, eosTokenIds: files.architecture.eosTokenIds }));
  for (const notice of [...files.notices, ...chat.notices]) say(notice);
  return { files, chat };
}

/** A PEFT folder as a learner of this model. */
export async function openAdapter(
  folder: string,
  model: Model,
): Promise<{ learner: Learner; files: AdapterFiles }> {
  const disk = diskFolder(folder);
  const names = ['adapter_config.json', 'adapter_model.safetensors'];
  const found = [];
  for (const name of names) if (await disk.has(name)) found.push({ path: name, file: await disk.open(name) });
  const files = await readPeftAdapter(found, model.architecture);
  const tensors = new Map(files.tensors.map((t) => [t.name, tf.tensor(t.data, t.shape, 'float32')]));
  const learner = {
    tensors,
    adapters: { alpha: files.alpha, rslora: files.rslora, dropout: 0, dora: files.dora },
    firstLayer: 0,
  };
  return { learner, files };
}

export interface Rows extends PreparedRows {
  name: string;
  hash: string;
}

function issueLine(name: string, issue: Issue): string {
  const place = issue.line === 0 ? name : `${name}:${issue.line}${issue.column ? `:${issue.column}` : ''}`;
  return `${place}: ${issue.severity} ${issue.code}: ${issue.message} ${issue.fix}`;
}

/**
 * Reads, checks, encodes and splits a file as the page does. All problems are said, one a line.
 * @throws PlaygroundError `rows_with_errors` unless bad rows may be left out; `no_rows` when none is usable
 */
export async function readRows(
  file: string,
  { files, chat }: Pick<Workbench, 'files' | 'chat'>,
  h: Hyperparameters,
  leaveOutBadRows: boolean,
  say: Say,
): Promise<Rows> {
  const name = path.basename(file);
  const read = await readDataFile(name, await readText(file));
  const prepared = prepareRows(read, chat, files.architecture.contextLength, h);
  for (const issue of prepared.issues) say(issueLine(name, issue));
  const errors = new Set(prepared.issues.filter((i) => i.severity === 'error').map((i) => i.line));
  if (errors.size > 0 && !leaveOutBadRows) {
    throw new PlaygroundError({
      code: 'rows_with_errors',
      message: `${errors.size} of ${read.rows} rows have errors.`,
      fix: 'Mend them, or add --leave_out_bad_rows.',
      where: file,
    });
  }
  if (prepared.usable.length === 0) {
    throw new PlaygroundError({
      code: 'no_rows',
      message: `${file} has no row that can be used.`,
      fix: 'Each row needs a question and an answer; see the problems above.',
      where: file,
    });
  }
  return { ...prepared, name, hash: read.hash };
}

/** Walks a generator to its end and gives what it returns. */
export async function finish<T>(walk: AsyncGenerator<unknown, T>): Promise<T> {
  while (true) {
    const next = await walk.next();
    if (next.done) return next.value;
  }
}
