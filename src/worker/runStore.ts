// What is kept of runs: one folder a run, in which a new state takes the place of the one before as a whole, or not at all.
// Not here: the file system (storage.ts), what a checkpoint is (engine/training/checkpoint.ts), when a run is saved (runKeeping.ts).
//
// A state of a run is a number of files and a manifest that names them with size and SHA-256. Every file has the number of its state in its
// name and is never changed. To commit: 1. write the new files, 2. read them back and compare, 3. write the manifest, whose first line is
// the SHA-256 of the rest, 4. read it back, 5. delete what it does not name. Whatever is cut off between two of these, the newest manifest
// that is whole names files that are whole: files of the state before go only in step 5. A failed commit takes its own files away.
// Memory: one file at a time, twice while it is compared.

import {
  array,
  literal,
  looseObject,
  nullable,
  number,
  object,
  optional,
  picklist,
  safeParse,
  string,
} from 'valibot';
import type { RunConfig, RunSummary, TunedWeights } from '../contract';
import { digestHex } from '../data/sha256';
import { PlaygroundError } from '../errors';
import { RUN_BUSY } from '../storedRuns';
import { plural } from '../wording';
import { type RunLocks, runLocks } from './runLocks';
import { memoryStore, openStore, type Store } from './storage';

/** Increased when a reader of an earlier version would misread a manifest. */
const VERSION = 1;
/** Of all runs together. */
export const RUNS_BUDGET_BYTES = 1_000_000_000;

/** `checkpoint`: with the optimizer's moments, to resume from. `learned`: weights alone, of a run that has come to its end. */
export type RunFile = 'checkpoint' | 'learned';

/** Weights of single steps, each a file of its own. */
export interface StepFiles {
  /** Which of those of the state before stay. */
  keep: readonly number[] | 'all';
  /** To be written, by step. */
  add: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;
}

/** What is committed without a word on single steps leaves them as they are. */
const STEPS_AS_BEFORE: StepFiles = { keep: 'all', add: new Map() };

export interface RunState {
  config: RunConfig;
  summary: RunSummary | null;
  /** Of the files that are committed with it. */
  step: number;
  bestStep: number | null;
  kept: TunedWeights;
}

interface FileEntry {
  name: string;
  /** Of the run that it is the state of. */
  step: number;
  bytes: number;
  sha256: string;
}

/** `steps`: absent where no weights of single steps are kept. */
type Files = Partial<Record<RunFile, FileEntry>> & { steps?: FileEntry[] };

interface Manifest extends RunState {
  version: typeof VERSION;
  runId: string;
  generation: number;
  files: Files;
}

/** A run as the folder shows it. */
export interface FoundRun extends RunState {
  runId: string;
  files: Files;
  /** Of all files in the folder. */
  bytes: number;
}

type Look = { bytes: number } & (
  | { run: FoundRun; manifest: string; reason: null }
  /** `reason`: something is there that this program cannot read. */
  | { run: null; manifest: null; reason: string | null }
);

const FILE = object({ name: string(), step: number(), bytes: number(), sha256: string() });
const MANIFEST = looseObject({
  version: literal(VERSION),
  runId: string(),
  generation: number(),
  config: looseObject({ runId: string(), modelId: string(), hyperparameters: looseObject({}) }),
  summary: nullable(looseObject({ state: picklist(['finished', 'stopped', 'failed']), step: number() })),
  step: number(),
  bestStep: nullable(number()),
  kept: picklist(['last', 'best']),
  files: object({ checkpoint: optional(FILE), learned: optional(FILE), steps: optional(array(FILE)) }),
});

const manifestName = (generation: number) => `manifest-${String(generation).padStart(8, '0')}.json`;
const fileName = (kind: RunFile | `step-${number}`, generation: number) =>
  `${kind}-${String(generation).padStart(8, '0')}.safetensors`;
const generationOf = (name: string) =>
  Number(/^[a-z]+(?:-\d+)?-(\d{8})\.(json|safetensors)$/.exec(name)?.[1] ?? 0);
const entriesOf = ({ checkpoint, learned, steps = [] }: Files): FileEntry[] =>
  [checkpoint, learned, ...steps].filter((entry) => entry !== undefined);
const sum = (sizes: Iterable<number>) => [...sizes].reduce((total, size) => total + size, 0);

export class RunStore {
  readonly #store: Store;
  readonly #locks: RunLocks;
  readonly #budgetBytes: number;

  constructor(store: Store, locks: RunLocks, budgetBytes = RUNS_BUDGET_BYTES) {
    this.#store = store;
    this.#locks = locks;
    this.#budgetBytes = budgetBytes;
  }

  get budgetBytes(): number {
    return this.#budgetBytes;
  }

  get lasting(): boolean {
    return this.#store.lasting;
  }

  /**
   * The run for this tab alone, until the answer is called or the worker ends.
   * @throws PlaygroundError `run_busy` when another tab holds it
   */
  async hold(runId: string): Promise<() => void> {
    const release = await this.#locks.take(runId);
    if (release) return release;
    throw new PlaygroundError(RUN_BUSY);
  }

  /** All runs, and the folders that cannot be read. What a save that was cut off has left behind is deleted. */
  async list(): Promise<{
    runs: FoundRun[];
    busy: Set<string>;
    unreadable: { runId: string; reason: string; bytes: number }[];
  }> {
    const busy = await this.#locks.held();
    const runs: FoundRun[] = [];
    const unreadable: { runId: string; reason: string; bytes: number }[] = [];
    for (const runId of await this.#store.folders()) {
      const { run, reason, bytes } = await this.#look(runId);
      if (run) runs.push(run);
      else if (reason !== null) unreadable.push({ runId, reason, bytes });
      else await this.#sweepAlone(runId);
    }
    return { runs, busy, unreadable };
  }

  /** Null when nothing complete is kept of it. */
  async find(runId: string): Promise<FoundRun | null> {
    return (await this.#look(runId)).run;
  }

  /**
   * A file of the newest state that is whole.
   * @param kind or the step whose weights are wanted
   * @throws PlaygroundError `no_stored_run` when there is none; `bad_checkpoint` when it is not what was written
   */
  async read(runId: string, kind: RunFile | number): Promise<{ run: FoundRun; file: Blob }> {
    let damaged = '';
    // Another tab may put a newer state in place between looking and opening.
    for (let attempt = 0; attempt < 3; attempt++) {
      const run = await this.find(runId);
      const entry =
        typeof kind === 'number' ? run?.files.steps?.find(({ step }) => step === kind) : run?.files[kind];
      if (!run || !entry) break;
      const file = await this.#store.read(runId, entry.name);
      if (file === null || file.size !== entry.bytes) continue;
      const bytes = new Uint8Array(await file.arrayBuffer());
      if ((await digestHex(bytes)) === entry.sha256) return { run, file: new Blob([bytes]) };
      damaged = entry.name;
    }
    if (damaged !== '') {
      throw new PlaygroundError({
        code: 'bad_checkpoint',
        message: 'The weights of this run cannot be used: the file is not what was written.',
        fix: 'Train once more with the same settings: the same seed gives the same run.',
        where: damaged,
      });
    }
    throw new PlaygroundError({
      code: 'no_stored_run',
      message: 'The weights of this run are no longer stored.',
      fix: 'Train once more with the same settings: the same seed gives the same run.',
    });
  }

  /**
   * Puts a new state of a run in the place of the one before. The caller holds the run.
   * @param add files to write; those of the state before that are neither written anew nor in `keep` go
   * @param steps as before where nothing is said
   * @throws PlaygroundError `runs_full` (the budget), `storage_full` (the browser) or `bad_write`; the state before is then untouched
   */
  async commit(
    runId: string,
    state: RunState,
    add: Partial<Record<RunFile, Uint8Array<ArrayBuffer>>>,
    keep: readonly RunFile[] = [],
    steps: StepFiles = STEPS_AS_BEFORE,
  ): Promise<void> {
    const before = (await this.#look(runId)).run;
    const names = [...(await this.#store.files(runId)).keys()];
    const generation = Math.max(0, ...names.map(generationOf)) + 1;
    const files: Files = {};
    for (const kind of keep) if (before?.files[kind]) files[kind] = before.files[kind];
    const stay = (before?.files.steps ?? []).filter(
      ({ step }) => !steps.add.has(step) && (steps.keep === 'all' || steps.keep.includes(step)),
    );
    const more = [...Object.values(add), ...steps.add.values()].map((bytes) => bytes.length);
    await this.#assertRoom(runId, sum(entriesOf({ ...files, steps: stay }).map((f) => f.bytes)), sum(more));
    const written: string[] = [];
    const put = async (
      kind: Parameters<typeof fileName>[0],
      step: number,
      bytes: Uint8Array<ArrayBuffer>,
    ): Promise<FileEntry> => {
      const name = fileName(kind, generation);
      written.push(name);
      return { name, step, bytes: bytes.length, sha256: await this.#write(runId, name, bytes) };
    };
    try {
      for (const [step, bytes] of steps.add) stay.push(await put(`step-${step}`, step, bytes));
      if (stay.length > 0) files.steps = stay.sort((a, b) => a.step - b.step);
      for (const [kind, bytes] of Object.entries(add) as [RunFile, Uint8Array<ArrayBuffer>][])
        files[kind] = await put(kind, state.step, bytes);
      const manifest: Manifest = { version: VERSION, runId, generation, ...state, files };
      const json = JSON.stringify(manifest);
      const digest = await digestHex(new TextEncoder().encode(json));
      written.push(manifestName(generation));
      await this.#write(runId, manifestName(generation), new TextEncoder().encode(`${digest}\n${json}`));
    } catch (thrown) {
      for (const name of written) await this.#store.remove(runId, name).catch(() => {}); // the next sweep takes it
      throw thrown;
    }
    await this.#sweep(runId);
  }

  /** @throws PlaygroundError `run_busy` */
  async remove(runId: string): Promise<void> {
    const release = await this.hold(runId);
    try {
      await this.#store.remove(runId);
    } finally {
      release();
    }
  }

  /** Writes a file and compares what the disk gives back. @returns its SHA-256 */
  async #write(runId: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    try {
      const file = await this.#store.append(runId, name, 0);
      try {
        await file.write(bytes);
      } finally {
        await file.close();
      }
    } catch (thrown) {
      throw withRunFix(thrown);
    }
    const digest = await digestHex(bytes);
    const back = await this.#store.read(runId, name);
    if (back !== null && (await digestHex(new Uint8Array(await back.arrayBuffer()))) === digest)
      return digest;
    throw new PlaygroundError({
      code: 'bad_write',
      message: 'The browser did not store the weights as they were written.',
      fix: 'Download what was learned, and look at the disk of this device.',
      where: name,
    });
  }

  /** @param kept bytes of files of this run that stay @param more bytes to be written */
  async #assertRoom(runId: string, kept: number, more: number): Promise<void> {
    let held = 0;
    for (const folder of await this.#store.folders()) held += sum((await this.#store.files(folder)).values());
    const own = sum((await this.#store.files(runId)).values());
    if (held - own + kept + more > this.#budgetBytes) {
      throw new PlaygroundError({
        code: 'runs_full',
        message: `Stored runs may take ${megabytes(this.#budgetBytes)} together; they take ${megabytes(held)}, and this one needs ${megabytes(kept + more)}.`,
        fix: 'Delete runs that you no longer need.',
      });
    }
    const free = await this.#store.freeBytes();
    if (free === null || free >= more) return;
    throw new PlaygroundError({
      code: 'storage_full',
      message: `The browser has ${megabytes(free)} left for this page, and the run needs ${megabytes(more)}.`,
      fix: 'Delete runs or models that you no longer need, or make room on this device.',
    });
  }

  async #sweepAlone(runId: string): Promise<void> {
    const release = await this.#locks.take(runId);
    // A locked folder is the first save of a run in progress.
    if (release === null) return;
    try {
      await this.#sweep(runId);
    } finally {
      release();
    }
  }

  /** The newest state that is whole; `reason` where there is one that this program cannot read. */
  async #look(runId: string): Promise<Look> {
    const sizes = await this.#store.files(runId);
    const bytes = sum(sizes.values());
    const manifests = [...sizes.keys()]
      .filter((name) => name.startsWith('manifest-'))
      .sort()
      .reverse();
    let reason: string | null = null;
    for (const name of manifests) {
      const { manifest, problem } = await this.#readManifest(runId, name);
      if (problem !== null) reason ??= problem;
      if (manifest === null) continue;
      const files = entriesOf(manifest.files);
      if (!files.every((file) => sizes.get(file.name) === file.bytes)) {
        reason ??= `a file is missing or cut off (${plural(files.length, 'file')} expected)`;
        continue;
      }
      const { files: named, config, summary, step, bestStep, kept } = manifest;
      const run = { runId, config, summary, step, bestStep, kept, files: named, bytes };
      return { run, manifest: name, reason: null, bytes };
    }
    return { run: null, manifest: null, reason, bytes };
  }

  /** `problem` only for a manifest that was written whole: one that was cut off is none. */
  async #readManifest(
    runId: string,
    name: string,
  ): Promise<{ manifest: Manifest | null; problem: string | null }> {
    const file = await this.#store.read(runId, name);
    const text = file === null ? '' : await file.text();
    const end = text.indexOf('\n');
    const json = text.slice(end + 1);
    if (end < 0 || (await digestHex(new TextEncoder().encode(json))) !== text.slice(0, end))
      return { manifest: null, problem: null };
    const found = safeParse(MANIFEST, JSON.parse(json));
    if (found.success && found.output.runId === runId)
      return { manifest: found.output as unknown as Manifest, problem: null };
    return { manifest: null, problem: 'written by another version of this page' };
  }

  /** Deletes what the newest whole state does not name; all of it where there is none. The caller holds the run. */
  async #sweep(runId: string): Promise<void> {
    const { run, manifest, reason } = await this.#look(runId);
    if (run === null) {
      if (reason === null) await this.#store.remove(runId);
      return;
    }
    const named = new Set([manifest, ...entriesOf(run.files).map(({ name }) => name)]);
    const names = [...(await this.#store.files(runId)).keys()];
    for (const name of names) if (!named.has(name)) await this.#store.remove(runId, name);
  }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** A full disk in the words of runs: what the file system says is meant for downloads. */
function withRunFix(thrown: unknown): unknown {
  if (!(thrown instanceof PlaygroundError) || thrown.code !== 'storage_full') return thrown;
  return new PlaygroundError(
    { code: thrown.code, message: thrown.message, fix: 'Delete runs or models that you no longer need.' },
    { cause: thrown },
  );
}

/** In memory where the browser's files cannot be opened: `StoredRuns.notLasting` says so, and runs go on. */
export const openRunStore = async () =>
  new RunStore(await openStore('runs').catch(() => memoryStore()), runLocks());
