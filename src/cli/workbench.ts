// What several commands start with: the engine, a model, an adapter, the rows of a file.
// Not here: the commands themselves, options (options.ts), the disk (disk.ts), the order of each thing (session/).

import { createRequire } from 'node:module';
import path from 'node:path';
import { ACCEPTED_LABELS } from '../acceptedFiles';
import type { BackendName, DeviceReport, Issue, TileReport } from '../contract';
import { formatLabels } from '../data/reading/rowFormats';
import { ENCODING_NAMES, isEncoding } from '../data/text/textEncoding';
import { startDevice } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import type { LoadedModel } from '../engine/model/artifacts';
import { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import { Dataset } from '../session/dataset';
import { type BaseModel, loadWeights, type OpenedModel, openAdapter, openModel } from '../session/model';
import type { Platform } from '../session/platform';
import { keptTiles } from '../session/tiles';
import { diskFolder, readBytes } from './disk';
import type { Arguments, Option } from './options';
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
  help: `Rows to learn from, as ${ACCEPTED_LABELS}. Each holds one of: ${formatLabels()}. A text without rows is cut at its paragraphs, and all of it is learned.`,
};
export const ENCODING_OPTION: Option = {
  name: 'encoding',
  value: 'NAME',
  kind: 'text',
  help: `Encoding of the data file, where it is told wrongly or cannot be told: ${ENCODING_NAMES.join(', ')}.`,
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
  const wasmPath = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  const fail = (error: PlaygroundError) => say(error.message);
  const device = await startDevice({
    requested: backend,
    wasmPath: `${wasmPath}/`,
    threads: platform.threads,
    onLost: fail,
    // Asked for with takeDeviceError where its result would be used.
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

/** The model's files and its chat format, without its weights. What is odd about them is said. */
export async function openModelFolder(folder: string, say: Say): Promise<OpenedModel> {
  const opened = await openModel(diskFolder(folder));
  for (const notice of opened.notices) say(notice);
  return opened;
}

/** The adapter that `--adapter` names; null without the option. What is odd about it is said. */
export async function adapterOf(args: Arguments, base: BaseModel, say: Say): Promise<Learner | null> {
  const folder = args.text('adapter');
  if (folder === null) return null;
  const { learner, notices } = await openAdapter(diskFolder(folder), base);
  for (const notice of notices) say(notice);
  return learner;
}

function issueLine(name: string, issue: Issue): string {
  const place = issue.line === 0 ? name : `${name}:${issue.line}${issue.column ? `:${issue.column}` : ''}`;
  return `${place}: ${issue.severity} ${issue.code}: ${issue.message} ${issue.fix}`;
}

/**
 * Reads, checks, encodes and splits the file of `--data` as the page does. All problems are said, one a line.
 * @throws PlaygroundError `rows_with_errors` unless bad rows may be left out; `no_rows` when none is usable
 */
export async function readRows(
  args: Arguments,
  { files, chat }: OpenedModel,
  h: Hyperparameters,
  say: Say,
): Promise<Dataset> {
  const file = args.text('data') as string;
  const name = path.basename(file);
  const encoding = args.text('encoding') ?? undefined;
  if (encoding !== undefined && !isEncoding(encoding)) {
    throw new PlaygroundError({
      code: 'bad_usage',
      message: `There is no encoding “${encoding}” here.`,
      fix: `Use one of ${ENCODING_NAMES.join(', ')}.`,
    });
  }
  const dataset = await Dataset.read(name, await readBytes(file), { encoding });
  const report = dataset.encode(chat, files.architecture, h);
  if (report.understood !== '') say(`${name}: ${report.understood}`);
  // The one problem of a file without rows is the error that ends the command.
  const told = report.issues.filter((issue) => report.rows > 0 || issue.severity === 'warning');
  for (const issue of told) say(issueLine(name, issue));
  if (args.has('leave_out_bad_rows')) dataset.leaveOutBadRows();
  dataset.assertTrainable('add --leave_out_bad_rows');
  return dataset;
}

/** Walks a generator to its end and gives what it returns. */
export async function finish<T>(walk: AsyncGenerator<unknown, T>): Promise<T> {
  while (true) {
    const next = await walk.next();
    if (next.done) return next.value;
  }
}
