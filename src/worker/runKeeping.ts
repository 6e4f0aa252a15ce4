// Runs that outlive their end: saved while they are running and when they have ended, listed, read back, deleted, packed into one file.
// Not here: how a state is written as a whole (runStore.ts), what a checkpoint is (engine/training/checkpoint.ts), the packed file (runsFile.ts).

import type { MetricPoint, RunSummary, TunedWeights } from '../contract';
import { type Checkpoint, readCheckpoint, writeStepWeights } from '../engine/training/checkpoint';
import { type ErrorDetails, errorDetails, PlaygroundError } from '../errors';
import type { StepsToStore } from '../session/keptSteps';
import type { Run } from '../session/run';
import type { CheckpointKeeper } from '../session/runExtras';
import type { PackedRun, SaveReport, StoredRun, StoredRuns } from '../storedRuns';
import type { FoundRun, RunFile, RunStore } from './runStore';
import { packRuns } from './runsFile';

/** Between two saves of a run in progress. */
const EVERY_MS = 3000;
/** A save takes at most this share of the time. */
const MAX_SHARE = 0.05;

/** One run, held by this tab from its start to its end. */
export interface Saving {
  readonly keeper: CheckpointKeeper;
  /** Puts what was learned in place and gives the run back. Never rejects: what is wrong was reported. */
  end(summary: RunSummary): Promise<void>;
}

export class RunKeeping {
  readonly #open: () => Promise<RunStore>;
  #store: Promise<RunStore> | null = null;
  #report: (report: SaveReport) => void = () => {};

  constructor(open: () => Promise<RunStore>) {
    this.#open = open;
  }

  watch(report: (report: SaveReport) => void): void {
    this.#report = report;
  }

  async list(): Promise<StoredRuns> {
    const store = await this.#opened();
    const { runs, busy, unreadable } = await store.list();
    const bytes = [...runs, ...unreadable].reduce((sum, run) => sum + run.bytes, 0);
    return {
      runs: runs.map((run) => storedRun(run, busy.has(run.runId))),
      notLasting: store.lasting
        ? null
        : 'This browser keeps no files for the page, so weights and checkpoints are gone when it is closed.',
      bytes,
      budgetBytes: store.budgetBytes,
      unreadable,
    };
  }

  /** @throws PlaygroundError `run_busy` when another tab trains it */
  async begin(run: Run): Promise<Saving> {
    const store = await this.#opened();
    const { runId } = run.config;
    const release = await store.hold(runId);
    let tookMs = 0;
    let failed = false;
    const fail = (problem: ErrorDetails) => {
      failed = true;
      this.#report({ runId, stored: null, problem });
    };
    const save = async (bytes: Uint8Array<ArrayBuffer>, steps: StepsToStore) => {
      const began = performance.now();
      const problem = await commitWithSteps(store, run, null, { checkpoint: bytes }, [], steps);
      tookMs = performance.now() - began;
      await this.#reportStored(store, runId, problem);
    };
    const end = async (summary: RunSummary) => {
      try {
        if (summary.step > 0) await this.#saveEnd(store, run, summary);
        else await store.remove(runId);
      } catch (thrown) {
        fail(errorDetails(thrown));
      } finally {
        release();
      }
    };
    return {
      keeper: {
        get everyMs() {
          // A store that was full once is tried again at the end, when less is to be kept.
          return failed || !store.lasting ? Number.POSITIVE_INFINITY : Math.max(EVERY_MS, tookMs / MAX_SHARE);
        },
        save: async (bytes, steps) => {
          // In memory it would be gone with whatever ends the run.
          if (!failed && store.lasting) await save(bytes, steps);
        },
        onFailure: fail,
      },
      end,
    };
  }

  /**
   * A stopped run keeps the checkpoint of its last step, which holds all that was learned; any other run its weights, and one that failed
   * the checkpoint before that as well.
   */
  async #saveEnd(store: RunStore, run: Run, summary: RunSummary): Promise<void> {
    const { runId } = summary.config;
    const before = await store.find(runId);
    const mayGoOn = summary.state !== 'finished' && before?.files.checkpoint !== undefined;
    const holdsAll = mayGoOn && before?.files.checkpoint?.step === summary.step;
    const add = holdsAll ? {} : { learned: await run.learnedCheckpoint() };
    const steps = run.steps.toStore(summary.step, summary.best?.step ?? null);
    const problem = await commitWithSteps(store, run, summary, add, mayGoOn ? ['checkpoint'] : [], steps);
    await this.#reportStored(store, runId, problem);
  }

  async #reportStored(store: RunStore, runId: string, problem: ErrorDetails | null): Promise<void> {
    const found = await store.find(runId);
    this.#report({ runId, stored: found && storedRun(found, true), problem });
  }

  /** Steps whose weights are kept beside the best and the last. */
  async steps(runId: string): Promise<number[]> {
    return stepsOf(await (await this.#opened()).find(runId));
  }

  /** The weights after a single step. @throws PlaygroundError `no_stored_run`, `bad_checkpoint` */
  async stepWeights(runId: string, step: number): Promise<Checkpoint> {
    const { file } = await (await this.#opened()).read(runId, step);
    return readCheckpoint(file);
  }

  /** To resume from. @throws PlaygroundError `no_stored_run`, `bad_checkpoint` */
  async checkpoint(runId: string): Promise<Checkpoint> {
    const { file } = await (await this.#opened()).read(runId, 'checkpoint');
    return readCheckpoint(file);
  }

  /** What was learned. @throws PlaygroundError `no_stored_run`, `bad_checkpoint` */
  async learned(runId: string): Promise<{ run: FoundRun; checkpoint: Checkpoint; file: Blob }> {
    const store = await this.#opened();
    const found = await store.find(runId);
    const { run, file } = await store.read(runId, found?.files.learned ? 'learned' : 'checkpoint');
    return { run, file, checkpoint: await readCheckpoint(file) };
  }

  /** Replaces the summary of a kept run; its weights stay. Nothing happens to a run that is not kept. */
  async setSummary(summary: RunSummary): Promise<void> {
    const store = await this.#opened();
    const { runId } = summary.config;
    const found = await store.find(runId);
    if (!found) return;
    const release = await store.hold(runId);
    try {
      const { config, step, bestStep, kept, files } = found;
      const keep = (['checkpoint', 'learned'] as const).filter((kind) => files[kind] !== undefined);
      await store.commit(runId, { config, summary, step, bestStep, kept }, {}, keep);
    } finally {
      release();
    }
  }

  async remove(runId: string): Promise<void> {
    await (await this.#opened()).remove(runId);
  }

  async pack(runs: readonly { runId: string; record: unknown; points: MetricPoint[] }[]): Promise<Blob> {
    const store = await this.#opened();
    const packed: PackedRun[] = [];
    for (const { runId, record, points } of runs) {
      const found = await store.find(runId);
      const steps: Blob[] = [];
      for (const step of stepsOf(found)) steps.push((await store.read(runId, step)).file);
      packed.push({ record, points, weights: found && (await this.learned(runId)).file, steps });
    }
    return packRuns(packed);
  }

  /**
   * Keeps weights from elsewhere.
   * @throws PlaygroundError `bad_checkpoint`, `run_exists`, `run_busy`, `runs_full`, `storage_full`
   */
  async add(
    runId: string,
    weights: Blob,
    steps: readonly Blob[],
    summary: RunSummary | null,
    kept: TunedWeights,
  ): Promise<void> {
    const store = await this.#opened();
    const { config, trainer } = await readCheckpoint(weights);
    const add = new Map<number, Uint8Array<ArrayBuffer>>();
    for (const file of steps) {
      const one = await readCheckpoint(file);
      if (one.config.runId !== runId) throw otherRun();
      add.set(one.trainer.step, new Uint8Array(await file.arrayBuffer()));
    }
    // It becomes the name of a folder.
    if (config.runId !== runId || !/^[\w-]{1,64}$/.test(runId)) throw otherRun();
    const release = await store.hold(runId);
    try {
      if (await store.find(runId)) throw runExists();
      const kind = trainer.optimizer.moments.size > 0 ? 'checkpoint' : 'learned';
      const state = { config, summary, step: trainer.step, bestStep: trainer.best?.step ?? null, kept };
      const bytes = new Uint8Array(await weights.arrayBuffer());
      await store.commit(runId, state, { [kind]: bytes }, [], { keep: [], add });
    } finally {
      release();
    }
  }

  #opened(): Promise<RunStore> {
    this.#store ??= this.#open();
    return this.#store;
  }
}

const otherRun = () =>
  new PlaygroundError({
    code: 'bad_checkpoint',
    message: 'The weights cannot be stored: they are of another run than the curves beside them.',
    fix: 'Take the file as this page wrote it.',
  });

const runExists = () =>
  new PlaygroundError({
    code: 'run_exists',
    message: 'This run is stored already, and its weights were left as they are.',
    fix: 'Delete the run first to take those of the file.',
  });

const stateOf = (run: Run, summary: RunSummary | null) => ({
  config: run.config,
  summary,
  step: run.trainer.step,
  bestStep: run.trainer.best?.step ?? null,
  kept: run.kept,
});

const stepsOf = (found: FoundRun | null): number[] => (found?.files.steps ?? []).map(({ step }) => step);

/**
 * Commits a state with the weights of single steps. Where there is no room for them, first the new ones and then all of them are left out,
 * for the best and the last weights matter more. @returns that, to be said; null when all is stored
 */
async function commitWithSteps(
  store: RunStore,
  run: Run,
  summary: RunSummary | null,
  files: Partial<Record<RunFile, Uint8Array<ArrayBuffer>>>,
  keep: readonly RunFile[],
  steps: StepsToStore,
): Promise<ErrorDetails | null> {
  const { runId } = run.config;
  const state = stateOf(run, summary);
  const commit = (stay: readonly number[], add: ReadonlyMap<number, Uint8Array<ArrayBuffer>>) =>
    store.commit(runId, state, files, keep, { keep: stay, add });
  const none = new Map<number, Uint8Array<ArrayBuffer>>();
  const add = new Map<number, Uint8Array<ArrayBuffer>>();
  for (const { step, learner } of steps.fresh)
    add.set(step, await writeStepWeights(run.config, step, learner));
  const full = (thrown: unknown) => {
    const noRoom =
      thrown instanceof PlaygroundError && (thrown.code === 'runs_full' || thrown.code === 'storage_full');
    if (!noRoom) throw thrown;
  };
  try {
    await commit(steps.keep, add);
    run.steps.stored(steps.fresh);
    return null;
  } catch (thrown) {
    full(thrown);
  }
  await commit(steps.keep, none).catch((thrown: unknown) => {
    full(thrown);
    return commit([], none);
  });
  return STEPS_NOT_STORED;
}

const STEPS_NOT_STORED: ErrorDetails = {
  code: 'steps_not_stored',
  message: 'There is no room for the weights of single steps; the best and the last ones are stored.',
  fix: 'Delete runs or models that you no longer need, and train again to have them.',
};

function storedRun({ files, ...run }: FoundRun, busy: boolean): StoredRun {
  // Of a run that failed it is of an earlier step than the weights.
  const resumableAt = files.checkpoint?.step ?? null;
  const steps = (files.steps ?? []).map(({ step }) => step);
  return { ...run, resumableAt, steps, busy };
}
