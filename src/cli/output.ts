// Where the result of a command goes: looked at before the work, put in place as a whole after it, and elsewhere when that fails.
// Not here: what the files are (session/results.ts, engine/model/artifacts.ts), reading folders (disk.ts).

import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import * as nodeFiles from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RunConfig } from '../contract';
import {
  includesBase,
  jsonText,
  type LearnedFilesOptions,
  type LoadedModel,
  type OutFile,
  type StoredType,
} from '../engine/model/artifacts';
import { PlaygroundError } from '../errors';
import { reasonOf } from './disk';

/** The part of node:fs/promises that writing needs; tests put a failing one in its place. */
export type Files = Pick<typeof nodeFiles, 'mkdir' | 'open' | 'rename' | 'rm' | 'rmdir' | 'stat'>;

/** An adapter for a base model, or a whole model. */
export type ResultKind = 'adapter' | 'model';

/** Files that loaders of models and adapters look for: where two kinds lie together, a loader takes one and nobody says which. */
const WEIGHT_FILES =
  /^(adapter_config\.json|(adapter_model|model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?)$/;
const WEIGHTS_OF: Record<ResultKind, readonly string[]> = {
  adapter: ['adapter_config.json', 'adapter_model.safetensors'],
  model: ['model.safetensors'],
};

/** Of the folder inside the output folder in which files are written before they are put in place. */
const STAGE = '.finetune-playground-';

function refused(folder: string, message: string, fix: string, cause?: unknown): PlaygroundError {
  return new PlaygroundError({ code: 'bad_output', message, fix, where: folder }, { cause });
}

/** Names of the files that the result now in the folder consists of, by its record; empty without one. */
function recordedFiles(folder: string): Set<string> {
  try {
    const record: unknown = JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8'));
    const { files } = record as { files?: unknown };
    if (!Array.isArray(files)) return new Set();
    return new Set(files.filter((name): name is string => typeof name === 'string' && staysInside(name)));
  } catch {
    return new Set();
  }
}

/** Whether a path with `/` is one of a file in the folder or below. */
const staysInside = (name: string) =>
  name === path.posix.normalize(name) && !/^(\.\.?(\/|$)|\/)|[\\:]|\/$/.test(name);

/** Folders inside the output folder that these files lie in. */
const foldersOf = (names: Iterable<string>) =>
  [...new Set([...names].map((name) => path.posix.dirname(name)))].filter((folder) => folder !== '.');

/** Whether weights lie in the folder that a write would replace. */
export function holdsResult(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => WEIGHT_FILES.test(name));
}

const samePlace = (a: string, b: string) => existsSync(b) && realpathSync(a) === realpathSync(b);

/**
 * Refuses an output folder that cannot or should not take the result, before any work is done that would be lost: it holds something
 * and may not be overwritten, it is one of the inputs, weights of another origin lie in it, or nothing can be written there. Leaves
 * nothing behind.
 * @param inputs folders that the command reads
 * @throws PlaygroundError `bad_output`
 */
export async function assertOutput(
  folder: string,
  { overwrite, kind, inputs }: { overwrite: boolean; kind: ResultKind; inputs: readonly string[] },
  files: Files = nodeFiles,
): Promise<void> {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) {
      throw refused(
        folder,
        `${folder} is a file, and the output is a folder.`,
        'Give another name to --out.',
      );
    }
    const input = inputs.find((other) => samePlace(folder, other));
    if (input !== undefined) {
      throw refused(
        folder,
        `${folder} is the folder that the ${input === inputs[0] ? 'model' : 'adapter'} is read from; the output would replace it.`,
        'Give another folder to --out.',
      );
    }
    const there = readdirSync(folder);
    if (there.length > 0 && !overwrite) {
      throw there.includes(CHECKPOINT_FILE)
        ? refused(
            folder,
            `${folder} holds a run that was interrupted.`,
            'Add --resume to go on with it, or --overwrite to start anew.',
          )
        : refused(folder, `${folder} is not empty.`, 'Give another folder to --out, or add --overwrite.');
    }
    assertNotInterrupted(folder, there);
    const own = new Set([...recordedFiles(folder), ...WEIGHTS_OF[kind]]);
    const foreign = there.filter((name) => WEIGHT_FILES.test(name) && !own.has(name));
    if (foreign.length > 0) {
      throw refused(
        folder,
        `${folder} holds ${foreign.join(', ')}, which this run would not replace; beside its result a loader may take the wrong weights.`,
        'Give another folder to --out, or remove the file.',
      );
    }
  }
  await probe(folder, files);
}

/** A write that was ended between taking the old files away and putting the new ones in place leaves both. */
function assertNotInterrupted(folder: string, there: readonly string[]): void {
  for (const name of there) {
    const old = path.join(folder, name, 'old');
    if (!name.startsWith(STAGE) || !existsSync(old) || readdirSync(old).length === 0) continue;
    throw refused(
      folder,
      `An earlier command was ended while it put its files in place: ${old} holds the result from before, ${path.join(folder, name, 'new')} the rest of the new one.`,
      `Move the files you want to keep up into ${folder} and delete ${path.join(folder, name)}.`,
    );
  }
}

/** Makes the folder, writes a file and takes both away again. */
async function probe(folder: string, files: Files): Promise<void> {
  let made: string | undefined;
  try {
    made = await files.mkdir(folder, { recursive: true });
    const file = path.join(folder, `${STAGE}probe-${process.pid}`);
    try {
      await writeThrough(file, 'x', files);
    } finally {
      await files.rm(file, { force: true });
    }
  } catch (cause) {
    throw refused(
      folder,
      `Nothing can be written to ${folder}: ${reasonOf(cause)}`,
      'Give another folder to --out, or check that you may write there and that the disk has room.',
      cause,
    );
  } finally {
    // Only what was made here, from the innermost outwards.
    for (let empty = path.resolve(folder); made !== undefined; empty = path.dirname(empty)) {
      await files.rmdir(empty);
      if (empty === path.resolve(made)) break;
    }
  }
}

/**
 * Refuses a disk that has not room for the result: an old one stays until the new one is whole, so all of it must fit beside that.
 * @throws PlaygroundError `disk_full`
 */
export async function assertRoom(
  folder: string,
  neededBytes: number,
  statfs: typeof nodeFiles.statfs = nodeFiles.statfs,
): Promise<void> {
  let place = path.resolve(folder);
  while (!existsSync(place) && path.dirname(place) !== place) place = path.dirname(place);
  const { bavail, bsize, blocks } = await statfs(place);
  // Some network file systems tell nothing.
  if (blocks === 0 || bavail * bsize >= neededBytes) return;
  throw new PlaygroundError({
    code: 'disk_full',
    message: `The result needs about ${megabytes(neededBytes)}, and ${place} has ${megabytes(bavail * bsize)} left.`,
    fix: 'Make room, or give a folder on another disk to --out.',
    where: folder,
  });
}

/** Of a configuration, a card, a chat template. */
const SMALL_FILES_BYTES = 100_000;

/** About how much a whole model takes as files. */
export function modelBytes({ model, files }: LoadedModel, stored: StoredType): number {
  const weights = model.parameters * (stored === 'F32' ? 4 : 2);
  return weights + Buffer.byteLength(jsonText(files.tokenizerJson)) + SMALL_FILES_BYTES;
}

/** In the output folder while a run goes on. */
export const CHECKPOINT_FILE = 'checkpoint.safetensors';
/** Learner, best weights and two moments. */
const CHECKPOINT_COPIES = 4;

/** Of one step in metrics.jsonl and metrics.csv. */
const STEP_BYTES = 1500;

/** About how much a training run leaves behind. */
export function runBytes(
  loaded: LoadedModel,
  kind: ResultKind,
  config: RunConfig,
  options: LearnedFilesOptions,
): number {
  const weights =
    kind === 'model' ? modelBytes(loaded, 'F32') : adapterBytes(loaded, config.trainableParameters, options);
  const steps = STEP_BYTES * config.totalSteps;
  // A new checkpoint lies beside the one before until it is whole.
  const checkpoints = 2 * (CHECKPOINT_COPIES * 4 * config.trainableParameters + steps);
  return weights + steps + checkpoints;
}

/** About how much an adapter takes as files, with its tokenizer and the base model where that goes along. */
function adapterBytes({ files, ...loaded }: LoadedModel, parameters: number, options: LearnedFilesOptions) {
  const tokenizer = Buffer.byteLength(JSON.stringify(files.tokenizerJson)) + SMALL_FILES_BYTES;
  const base = includesBase({ files, ...loaded }, options) ? files.weights.totalBytes + tokenizer : 0;
  return 4 * parameters + tokenizer + base;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** Writes a file and waits until the disk has it, all of it. */
async function writeThrough(file: string, bytes: Uint8Array | string, files: Files): Promise<void> {
  const handle = await files.open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const expected = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.byteLength;
  const { size } = await files.stat(file);
  if (size !== expected) throw new Error(`${file} has ${size} bytes after writing ${expected}.`);
}

/** Puts one file into a folder that is made when it is not there: written aside, flushed, then renamed over the one before. */
export async function replaceFile(
  folder: string,
  name: string,
  bytes: Uint8Array,
  files: Files = nodeFiles,
): Promise<void> {
  await files.mkdir(folder, { recursive: true });
  const aside = path.join(folder, `${STAGE}${process.pid}-${name}`);
  try {
    await writeThrough(aside, bytes, files);
    await files.rename(aside, path.join(folder, name));
    await syncFolder(folder, files);
  } catch (thrown) {
    await files.rm(aside, { force: true });
    throw thrown;
  }
}

/** Waits until the disk has the names in a folder. Windows cannot, and some file systems do it by themselves. */
async function syncFolder(folder: string, files: Files): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await files.open(folder, 'r');
  try {
    await handle.sync();
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== 'EINVAL' && code !== 'ENOTSUP') throw thrown;
  } finally {
    await handle.close();
  }
}

/**
 * Puts a result into the folder, which is made when it is not there. All files are written aside and flushed first; then the files of
 * the result before (by its record, and those of the same names) are taken away and the new ones put in place, weights first out and
 * last in: at no moment do weights lie beside a configuration that is not theirs. When anything fails, the folder is as it was.
 * @throws PlaygroundError `bad_output`
 */
export async function writeOutput(
  folder: string,
  outFiles: readonly OutFile[],
  files: Files = nodeFiles,
): Promise<void> {
  const stage = path.join(folder, `${STAGE}${process.pid}`);
  const names = outFiles.map((file) => file.path);
  const placed: string[] = [];
  const taken: string[] = [];
  const made: string[] = [];
  try {
    await files.mkdir(path.join(stage, 'new'), { recursive: true });
    await files.mkdir(path.join(stage, 'old'));
    for (const inner of foldersOf(names))
      await files.mkdir(path.join(stage, 'new', inner), { recursive: true });
    for (const { path: name, bytes } of outFiles)
      await writeThrough(path.join(stage, 'new', name), bytes, files);
    for (const inner of ['', ...foldersOf(names)]) await syncFolder(path.join(stage, 'new', inner), files);
    const before = [...new Set([...recordedFiles(folder), ...names])].filter((name) =>
      existsSync(path.join(folder, name)),
    );
    for (const inner of foldersOf(names)) {
      const first = await files.mkdir(path.join(folder, inner), { recursive: true });
      if (first !== undefined) made.push(first);
    }
    const isWeights = (name: string) => WEIGHT_FILES.test(path.basename(name));
    const weightsFirst = (list: readonly string[]) =>
      [...list].sort((a, b) => Number(isWeights(b)) - Number(isWeights(a)));
    for (const name of weightsFirst(before)) {
      await files.mkdir(path.join(stage, 'old', path.dirname(name)), { recursive: true });
      await files.rename(path.join(folder, name), path.join(stage, 'old', name));
      taken.push(name);
    }
    for (const name of weightsFirst(names).reverse()) {
      await files.rename(path.join(stage, 'new', name), path.join(folder, name));
      placed.push(name);
    }
    for (const inner of ['', ...foldersOf(names)]) await syncFolder(path.join(folder, inner), files);
  } catch (cause) {
    for (const name of placed) await files.rm(path.join(folder, name), { force: true });
    for (const name of taken.reverse())
      await files.rename(path.join(stage, 'old', name), path.join(folder, name));
    for (const inner of made) await files.rm(inner, { recursive: true, force: true });
    await files.rm(stage, { recursive: true, force: true }).catch(() => {
      // What cannot be removed either is a disk that is gone; the reason is told below.
    });
    throw refused(
      folder,
      `The output cannot be written to ${folder}: ${reasonOf(cause)}`,
      'Check that the disk has room and that you may write there.',
      cause,
    );
  }
  for (const inner of foldersOf(taken)) {
    await files.rmdir(path.join(folder, inner)).catch(() => {
      // Something lies in it: files of the new result, or someone else's.
    });
  }
  for (const name of readdirSync(folder)) {
    if (name.startsWith(STAGE)) await files.rm(path.join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Writes a result; when its folder cannot take it any more, to a new folder in the working directory or among the temporary files, so
 * that what took hours to learn is not lost.
 * @returns the folder it lies in, and the reason where that is another than asked for
 * @throws PlaygroundError `bad_output` when it can be written nowhere
 */
export async function writeSomewhere(
  folder: string,
  outFiles: readonly OutFile[],
  files: Files = nodeFiles,
): Promise<{ folder: string; failure: PlaygroundError | null }> {
  let failure: PlaygroundError;
  try {
    await writeOutput(folder, outFiles, files);
    return { folder, failure: null };
  } catch (thrown) {
    if (!(thrown instanceof PlaygroundError)) throw thrown;
    failure = thrown;
  }
  const name = `${path.basename(path.resolve(folder))}-rescued-${Date.now().toString(36)}`;
  for (const place of [process.cwd(), tmpdir()]) {
    const other = path.join(place, name);
    try {
      await writeOutput(other, outFiles, files);
      return { folder: other, failure };
    } catch (thrown) {
      if (!(thrown instanceof PlaygroundError)) throw thrown;
      await files.rmdir(other).catch(() => {
        // It was not made.
      });
    }
  }
  throw refused(
    folder,
    `${failure.message} Nor could it be written to ${process.cwd()} or ${tmpdir()}: what was learned is lost.`,
    failure.fix,
    failure,
  );
}
