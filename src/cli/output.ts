// The output folder of a command: checked before the work, written as a whole after it, with another folder as fallback.
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
} from '../engine/model/artifacts';
import type { OutFile } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import { BYTES_OF } from '../exportFormats';
import { reasonOf } from './disk';

/** The part of node:fs/promises that writing needs; tests replace it by a failing one. */
export type Files = Pick<typeof nodeFiles, 'mkdir' | 'open' | 'rename' | 'rm' | 'rmdir' | 'stat'>;

/** An adapter for a base model, or a whole model. */
export type ResultKind = 'adapter' | 'model';

/** Files that loaders of models and adapters look for: of two kinds in one folder, a loader takes one without a warning. */
const WEIGHT_FILES =
  /^(adapter_config\.json|(adapter_model|model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?)$/;
const WEIGHTS_OF: Record<ResultKind, readonly string[]> = {
  adapter: ['adapter_config.json', 'adapter_model.safetensors'],
  model: ['model.safetensors'],
};

/** Prefix of the folder inside the output folder in which files are written before they are renamed. */
export const STAGE = '.finetune-playground-';

function refused(folder: string, message: string, fix: string, cause?: unknown): PlaygroundError {
  return new PlaygroundError({ code: 'bad_output', message, fix, where: folder }, { cause });
}

/** Names of the files that the result now in the folder consists of, by its record; empty without one. */
export function recordedFiles(folder: string): Set<string> {
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

const isSameFolder = (a: string, b: string) => existsSync(b) && realpathSync(a) === realpathSync(b);

/**
 * Refuses an output folder before any work is done: it is not empty and `overwrite` is false, it is one of the inputs, it has weights
 * that this program did not write, or it is not writable. Writes nothing that stays.
 * @param inputs folders that the command reads
 * @throws PlaygroundError `bad_output`
 */
export async function assertOutput(
  folder: string,
  {
    overwrite,
    kind,
    inputs,
    say,
  }: { overwrite: boolean; kind: ResultKind; inputs: readonly string[]; say: (sentence: string) => void },
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
    const input = inputs.find((other) => isSameFolder(folder, other));
    if (input !== undefined) {
      throw refused(
        folder,
        `${folder} is the folder that the ${input === inputs[0] ? 'model' : 'adapter'} is read from; the output would replace it.`,
        'Give another folder to --out.',
      );
    }
    await completeMoves(folder, say, files);
    const there = readdirSync(folder).filter((name) => !isLeftover(folder, name));
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

/** The moves of a result into its place, in its staging folder: what is written before the first of them and read when they were cut off. */
const MOVES = 'moves.json';
interface Moves {
  /** Files of the new result, in the order in which they are moved in. */
  in: readonly string[];
  /** Files of the earlier result that have no successor. */
  out: readonly string[];
}

/** The list of moves in a staging folder; null where none was begun. */
function movesIn(stage: string): Moves | null {
  try {
    const moves = JSON.parse(readFileSync(path.join(stage, MOVES), 'utf8')) as Partial<Moves>;
    const lists = [moves.in, moves.out];
    const sound = lists.every((list) => Array.isArray(list) && list.every((n) => staysInside(String(n))));
    return sound ? (moves as Moves) : null;
  } catch {
    // It is not there, or it was cut off: then no file was moved.
    return null;
  }
}

/**
 * Completes the moves of a command that was killed while it put its result in place: the new files lie whole in its staging folder, so those
 * that are still there are moved in. Killed in its middle, it is begun again.
 */
async function completeMoves(folder: string, say: (sentence: string) => void, files: Files): Promise<void> {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(STAGE)) continue;
    const stage = path.join(folder, name);
    const moves = movesIn(stage);
    if (moves === null) continue;
    for (const gone of moves.out) await files.rm(path.join(folder, gone), { force: true });
    for (const file of moves.in) {
      if (!existsSync(path.join(stage, 'new', file))) continue;
      await files.mkdir(path.join(folder, path.dirname(file)), { recursive: true });
      await files.rename(path.join(stage, 'new', file), path.join(folder, file));
    }
    for (const inner of ['', ...foldersOf(moves.in)]) await syncFolder(path.join(folder, inner), files);
    await files.rm(stage, { recursive: true, force: true });
    say(
      `An earlier command was ended while it put its result into ${folder}. Its files were complete, and the rest of them are in place now.`,
    );
  }
}

/** Whether it was left by a command that was killed, and holds nothing that is not elsewhere. */
const isLeftover = (folder: string, name: string) =>
  name.startsWith(STAGE) && !holdsFiles(path.join(folder, name, 'old'));
const holdsFiles = (folder: string) => existsSync(folder) && readdirSync(folder).length > 0;

/** Refuses a folder in which an earlier write was killed between moving the old files away and moving the new ones in, without a list of them. */
function assertNotInterrupted(folder: string, there: readonly string[]): void {
  for (const name of there) {
    const old = path.join(folder, name, 'old');
    if (!name.startsWith(STAGE) || !holdsFiles(old)) continue;
    throw refused(
      folder,
      `An earlier command was ended while it put its files in place: ${old} holds the result from before, ${path.join(folder, name, 'new')} the rest of the new one.`,
      `Move the files you want to keep up into ${folder} and delete ${path.join(folder, name)}.`,
    );
  }
}

/** Creates the folder and a file, and removes both. @throws PlaygroundError `bad_output` when that fails */
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
    // Only folders that were created here, from the innermost outwards.
    for (let empty = path.resolve(folder); made !== undefined; empty = path.dirname(empty)) {
      await files.rmdir(empty);
      if (empty === path.resolve(made)) break;
    }
  }
}

/**
 * Refuses a disk without space for the result: an old result is kept until the new one is complete, so both must fit.
 * @throws PlaygroundError `disk_full`
 */
export async function assertRoom(
  folder: string,
  neededBytes: number,
  statfs: typeof nodeFiles.statfs = nodeFiles.statfs,
): Promise<void> {
  let existing = path.resolve(folder);
  while (!existsSync(existing) && path.dirname(existing) !== existing) existing = path.dirname(existing);
  const { bavail, bsize, blocks } = await statfs(existing);
  // Some network file systems report no sizes.
  if (blocks === 0 || bavail * bsize >= neededBytes) return;
  throw new PlaygroundError({
    code: 'disk_full',
    message: `The result needs about ${megabytes(neededBytes)}, and ${existing} has ${megabytes(bavail * bsize)} left.`,
    fix: 'Make room, or give a folder on another disk to --out.',
    where: folder,
  });
}

/** Bytes of configuration, model card and chat template together. */
const SMALL_FILES_BYTES = 100_000;

/** Estimated bytes of a whole model as files. */
export function modelBytes({ model, files }: LoadedModel, stored: keyof typeof BYTES_OF): number {
  const weights = model.parameters * BYTES_OF[stored];
  return weights + Buffer.byteLength(jsonText(files.tokenizerJson)) + SMALL_FILES_BYTES;
}

/** In the output folder during a run. */
export const CHECKPOINT_FILE = 'checkpoint.safetensors';
/** Learner, best weights and two moments. */
const CHECKPOINT_COPIES = 4;

/** Bytes of one step in metrics.jsonl, metrics.csv, trainer_state.json and, twice, the event file. */
const STEP_BYTES = 2500;

/** Estimated bytes that a training run writes. */
export function runBytes(
  loaded: LoadedModel,
  kind: ResultKind,
  config: RunConfig,
  { keepSteps, ...options }: LearnedFilesOptions & { keepSteps: number },
): number {
  const weights =
    kind === 'model' ? modelBytes(loaded, 'F32') : adapterBytes(loaded, config.trainableParameters, options);
  const steps = STEP_BYTES * config.totalSteps;
  // The checkpoint before is kept until the new one is complete.
  const checkpoints = 2 * (CHECKPOINT_COPIES * 4 * config.trainableParameters + steps);
  // Without a base model beside each.
  const folders =
    keepSteps * (kind === 'model' ? weights : 4 * config.trainableParameters + tokenizerBytes(loaded));
  return weights + steps + checkpoints + folders;
}

const tokenizerBytes = ({ files }: LoadedModel) =>
  Buffer.byteLength(JSON.stringify(files.tokenizerJson)) + SMALL_FILES_BYTES;

/** Estimated bytes of an adapter as files, with its tokenizer and, where it is included, the base model. */
function adapterBytes({ files, ...loaded }: LoadedModel, parameters: number, options: LearnedFilesOptions) {
  const tokenizer = Buffer.byteLength(JSON.stringify(files.tokenizerJson)) + SMALL_FILES_BYTES;
  const base = includesBase({ files, ...loaded }, options) ? files.weights.totalBytes + tokenizer : 0;
  return 4 * parameters + tokenizer + base;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** Writes a new file, waits until it is on the disk (fsync), and checks its size. */
export async function writeThrough(file: string, bytes: OutFile['bytes'], files: Files): Promise<void> {
  // Of a command that was killed and had the number of this process: in a container it often has.
  if (existsSync(file)) await files.rm(file);
  const handle = await files.open(file, 'wx');
  try {
    if (bytes instanceof Blob)
      for await (const piece of bytes.stream() as unknown as AsyncIterable<Uint8Array>)
        await handle.write(piece);
    else await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const expected =
    typeof bytes === 'string'
      ? Buffer.byteLength(bytes)
      : bytes instanceof Blob
        ? bytes.size
        : bytes.byteLength;
  const { size } = await files.stat(file);
  if (size !== expected) throw new Error(`${file} has ${size} bytes after writing ${expected}.`);
}

/** Replaces one file at once: writes a temporary file, flushes it, and renames it over the one before. Creates the folder. */
export async function replaceFile(
  folder: string,
  name: string,
  bytes: Uint8Array,
  files: Files = nodeFiles,
): Promise<void> {
  await files.mkdir(folder, { recursive: true });
  const temporary = path.join(folder, `${STAGE}${process.pid}-${name}`);
  try {
    await writeThrough(temporary, bytes, files);
    await files.rename(temporary, path.join(folder, name));
    await syncFolder(folder, files);
  } catch (thrown) {
    await files.rm(temporary, { force: true });
    throw thrown;
  }
}

/** Waits until the entries of a folder are on the disk (fsync). Windows cannot, and some file systems do it by themselves. */
export async function syncFolder(folder: string, files: Files): Promise<void> {
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
 * Writes a result into the folder, which is created if needed.
 * How it works: (1) all files are written to a staging folder and flushed, and then a list of the moves that follow; (2) the files of the
 * earlier result (by its record, and those of the same names) are moved to the staging folder, weights first; (3) the new files are moved in,
 * weights last, so that weights are never beside another model's configuration; (4) the folders are flushed and the staging folder is removed.
 * When anything fails, the moves are undone. When the process is killed from the list on, the next command completes them (`completeMoves`).
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
    if (existsSync(stage) && isLeftover(folder, path.basename(stage)))
      await files.rm(stage, { recursive: true });
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
    const order = weightsFirst(names).reverse();
    const moves: Moves = { in: order, out: before.filter((name) => !names.includes(name)) };
    await writeThrough(path.join(stage, MOVES), jsonText(moves), files);
    await syncFolder(stage, files);
    for (const name of weightsFirst(before)) {
      await files.mkdir(path.join(stage, 'old', path.dirname(name)), { recursive: true });
      await files.rename(path.join(folder, name), path.join(stage, 'old', name));
      taken.push(name);
    }
    for (const name of order) {
      await files.rename(path.join(stage, 'new', name), path.join(folder, name));
      placed.push(name);
    }
    for (const inner of ['', ...foldersOf(names)]) await syncFolder(path.join(folder, inner), files);
  } catch (cause) {
    await files.rm(path.join(stage, MOVES), { force: true }).catch(() => {
      // As below.
    });
    for (const name of placed) await files.rm(path.join(folder, name), { force: true });
    for (const name of taken.reverse())
      await files.rename(path.join(stage, 'old', name), path.join(folder, name));
    for (const inner of made) await files.rm(inner, { recursive: true, force: true });
    await files.rm(stage, { recursive: true, force: true }).catch(() => {
      // If the disk is gone this fails too; the first error is thrown below.
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
      // It is not empty: files of the new result, or of someone else.
    });
  }
  for (const name of readdirSync(folder)) {
    if (name.startsWith(STAGE)) await files.rm(path.join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Writes a result; if that fails, writes it to a new folder in the working directory or among the temporary files, so that the trained
 * weights are not lost.
 * @returns the folder written to, and the error where it is not the one asked for
 * @throws PlaygroundError `bad_output` when all three fail
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
  for (const parent of [process.cwd(), tmpdir()]) {
    const other = path.join(parent, name);
    try {
      await writeOutput(other, outFiles, files);
      return { folder: other, failure };
    } catch (thrown) {
      if (!(thrown instanceof PlaygroundError)) throw thrown;
      await files.rmdir(other).catch(() => {
        // It was not created.
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
