// What several commands share: options, starting the engine, opening a model and an adapter, reading the rows of a file.
// Not here: the commands themselves, options (options.ts), the disk (disk.ts), the order of each thing (session/).

import { createRequire } from 'node:module';
import path from 'node:path';
import { ACCEPTED_LABELS, ROW_FORMATS_TEXT } from '../acceptedFiles';
import type { BackendName, DatasetReport, DeviceReport, TileReport } from '../contract';
import { startDevice } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import type { LoadedModel } from '../engine/model/artifacts';
import type { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import { replaySentence } from '../metrics/claims';
import { Dataset } from '../session/dataset';
import { type BaseModel, loadWeights, type OpenedModel, openAdapter, openModel } from '../session/model';
import type { Platform } from '../session/platform';
import { keptTiles } from '../session/tiles';
import { choicesOf } from './dataOptions';
import { issueTable } from './dataTables';
import { diskFolder, openData } from './disk';
import type { Arguments, Option } from './options';
import { acceptRelaxedSimd } from './platform';
import { openWebGpu } from './webgpu';

/** Prints a sentence to standard error; only results go to standard output. */
export type Say = (sentence: string) => void;

export const MODEL_OPTION: Option = {
  name: 'model',
  value: 'DIR',
  kind: 'text',
  required: true,
  help: 'Hugging Face folder of the base model, or a GGUF file.',
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
  help: `Rows to learn from, as ${ACCEPTED_LABELS}. Each holds one of: ${ROW_FORMATS_TEXT}. A text without rows is cut at its paragraphs, and all of it is learned.`,
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

export interface Workbench extends OpenedModel, LoadedModel {
  device: DeviceReport;
  /** How matrix products are cut; null without WebGPU. */
  tiles: TileReport | null;
}

/** Starts a backend and loads a model folder. Its id is the folder's name: what the adapter calls its base model. */
export async function openWorkbench(
  folder: string,
  backend: BackendName,
  platform: Platform,
  say: Say,
): Promise<Workbench> {
  const opened = await openModelFolder(folder, say);
  if (backend === 'webgpu') await openWebGpu();
  else acceptRelaxedSimd();
  const wasmPath = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  const fail = (error: PlaygroundError) => say(error.message);
  const device = await startDevice({
    requested: backend,
    wasmPath: `${wasmPath}/`,
    threads: platform.threads,
    onLost: fail,
    // Checked with takeDeviceError where the result would be used.
    onError: () => {},
  });
  const tiles = await keptTiles(device, platform.records);
  if (tiles && tiles.chosen !== 'kept') say(`Matrix tiles: ${tiles.because}`);
  const base = await loadWeights(opened, { id: path.basename(path.resolve(folder)) });
  const threads = device.backend === 'wasm' && device.threads > 1 ? ` on ${device.threads} threads` : '';
  say(
    `${device.because.replace(/( was asked for)?\.$/, '')}${threads}; ${base.model.parameters.toLocaleString('en')} parameters.`,
  );
  return { ...base, device, tiles };
}

/** The model's files and its chat format, without its weights. Prints their notices. */
export async function openModelFolder(folder: string, say: Say): Promise<OpenedModel> {
  const opened = await openModel(diskFolder(folder));
  for (const notice of opened.notices) say(notice);
  return opened;
}

/** The adapter that `--adapter` names; null without the option. Prints its notices. */
export async function adapterOf(args: Arguments, base: BaseModel, say: Say): Promise<Learner | null> {
  const folder = args.text('adapter');
  if (folder === null) return null;
  const { learner, notices } = await openAdapter(diskFolder(folder), base);
  for (const notice of notices) say(notice);
  return learner;
}

/** The one problem of a file without rows is the error that ends the command, and is not said twice. */
export function endingError({ rows, issues, beside }: DatasetReport): ReadonlySet<string> {
  const empty = beside.filter((file) => file.rows === 0).map((file) => file.name);
  const error = issues.find(
    ({ severity, file }) => severity === 'error' && (file === undefined ? rows === 0 : empty.includes(file)),
  );
  return new Set(error ? [error.code] : []);
}

export interface ReadingForm {
  /** What is reported of the file, line by line; by default its problems. */
  tables?: (report: DatasetReport) => string[];
  /** The rows need not be fit to train on: the file is to be mended. */
  untrainable?: boolean;
}

/**
 * Reads, checks, encodes and splits the files of `--data`, `--validation` and `--test` as the page does. All problems are said.
 * @throws PlaygroundError `rows_with_errors` unless bad rows may be left out; `no_rows` when none is usable
 */
export async function readRows(
  args: Arguments,
  { files, chat }: OpenedModel,
  h: Hyperparameters,
  say: Say,
  platform: Pick<Platform, 'shippedText'>,
  { tables, untrainable = false }: ReadingForm = {},
): Promise<Dataset> {
  const file = args.text('data') as string;
  const name = path.basename(file);
  const choices = choicesOf(args);
  const beside = async (option: 'validation' | 'test') => {
    const other = args.text(option);
    if (other === null) return {};
    return { [option]: { name: path.basename(other), content: await openData(other), choices } };
  };
  const dataset = await Dataset.read(name, await openData(file), choices, {
    ...(await beside('validation')),
    ...(await beside('test')),
  });
  await dataset.provideReplay(h, platform);
  const report = dataset.encode(chat, files.architecture, h);
  for (const { name: read, understood } of [report, ...report.beside])
    if (understood !== '') say(`${read}: ${understood}`);
  if (args.text('validation') !== null && args.given.has('validation_fraction'))
    say('warning: --validation_fraction has no effect beside --validation.');
  for (const line of tables?.(report) ?? issueTable(report, endingError(report))) say(line);
  if (report.replay) say(replaySentence(report.replay));
  if (args.has('leave_out_bad_rows')) dataset.leaveOutBadRows();
  // Of a file that is no text there is nothing to write either.
  if (!untrainable || report.rows === 0) dataset.assertTrainable('add --leave_out_bad_rows');
  return dataset;
}
