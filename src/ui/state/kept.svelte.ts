// What this page keeps in the browser over a reload: rows, model choice, settings, curves. Brought back at the start, written as they change, deleted on request.
// Not here: the records and their bounds (keptRecords.ts), the database (keptStore.ts), weights, which the worker stores (worker/runKeeping.ts).

import { untrack } from 'svelte';
import type { BesideSources, DataSource, Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { CatalogEntry, HubSource, ModelSource } from '../../modelContract';
import { bytes } from '../parts/format';
import type { Form } from './form.svelte';
import type { Reading } from './keptReading';
import {
  KEPT_VERSION,
  type KeptData,
  type KeptModel,
  type KeptRun,
  type KeptSettings,
  MAX_DATA_BYTES,
  packPoints,
  unpackPoints,
  withinBounds,
} from './keptRecords';
import { besideOf, dataRecord, type LastingData, sizeOf, sourceOf } from './keptSources';
import type { KeptStore, PageKey } from './keptStore';
import { forgetLearning } from './localKeys';
import { RunView } from './run.svelte';
import type { SampleData } from './samples';

/** The part of the workspace that is kept and brought back. */
interface Page {
  readonly form: Form;
  readonly runs: {
    readonly shown: RunView | null;
    readonly all: readonly RunView[];
    add(newestFirst: readonly RunView[]): void;
    removeAllStored(): Promise<void>;
  };
  readonly catalog: readonly CatalogEntry[];
  readonly data: {
    readonly samples: readonly SampleData[];
    readonly samplesError: ErrorDetails | null;
    readonly source: DataSource | null;
    readonly lasting: LastingData | null;
    read(source: DataSource, consent: boolean): Promise<void>;
    loadSample(
      sample: SampleData,
      how: { restored: boolean; consent: boolean; beside: BesideSources },
    ): Promise<void>;
    beside: BesideSources;
  };
  readonly modelSource: ModelSource | null;
  readonly session: Pick<Session, 'cachedModels'>;
  loadFromCatalog(entry: CatalogEntry): Promise<void>;
  loadFromHub(source: HubSource): Promise<boolean>;
}

/** Not needed for the first view of the page, and loaded beside it. */
const loadReading = () => import('./keptReading');
const openStore = async () => (await import('./keptStore')).openKeptStore();

/** A change is written when nothing has changed for so long. */
const SETTLE_MS = 300;
/** A run in progress is written once in this time. */
const RUN_EVERY_MS = 5000;

export class Kept {
  /** What came back from the last visit, in a few words; empty on a first one. */
  restored: string[] = $state.raw([]);
  /** Sentences: what could not be kept or brought back, and why. */
  problems: string[] = $state.raw([]);
  /** Something is kept that “Start fresh” would delete. */
  holding = $state(false);
  /** The rows are larger than what is kept. */
  tooLarge = $state(false);

  private store: KeptStore | null = null;
  /** Nothing is written before everything was read, or after everything was deleted. */
  private writing = $state(false);
  private model: KeptModel | null = null;
  private data: KeptData | null = null;
  private readonly workspace: Page;
  private readonly pending = new Map<
    string,
    { timer: ReturnType<typeof setTimeout>; write: () => Promise<void> }
  >();
  private writtenRun: { id: string; at: number } | null = null;

  constructor(workspace: Page) {
    this.workspace = workspace;
  }

  /** Opens the database and brings back settings and curves. Never rejects: what is wrong is in `problems`. */
  async open(): Promise<void> {
    try {
      const [store, { readKeptData, readKeptModel, readKeptSettings }] = await Promise.all([
        openStore(),
        loadReading(),
      ]);
      this.store = store;
      this.model = await this.readPage('model', 'choice of model', readKeptModel);
      this.data = await this.readPage('data', 'rows', readKeptData);
      this.restoreSettings(await this.readPage('settings', 'settings', readKeptSettings));
      await this.restoreRuns(store);
      this.holding = this.restored.length > 0 || this.data !== null || this.model !== null;
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** The rows of the last visit, when none were chosen meanwhile. They are read when the model is there. */
  async restoreData(): Promise<void> {
    const { data, workspace } = this;
    if (data === null || workspace.data.source !== null) return;
    if (data.kind !== 'sample') {
      this.cameBack('rows');
      workspace.data.beside = besideOf(data);
      await workspace.data.read(sourceOf(data), data.consent);
      return;
    }
    const sample = workspace.data.samples.find((s) => s.id === data.id);
    if (!sample) {
      // Where the list itself is missing, its own message says so.
      if (workspace.data.samplesError === null)
        this.say(`The sample “${data.id}” of your last visit is no longer offered.`);
      return;
    }
    this.cameBack('sample');
    await workspace.data.loadSample(sample, {
      restored: true,
      consent: data.consent,
      beside: besideOf(data),
    });
  }

  /** The model of the last visit. @returns true when it is loaded, or when loading it has failed with an error that is shown */
  async restoreModel(): Promise<boolean> {
    const { model, workspace } = this;
    try {
      if (model === null) return false;
      if (model.kind === 'files') {
        this.say(
          `Your own model, ${model.id}, is not kept, and a page cannot open its folder by itself: choose it again under Model, Change.`,
        );
        return false;
      }
      if (model.kind === 'folder') {
        const entry = workspace.catalog.find((e) => e.id === model.id);
        if (entry) await workspace.loadFromCatalog(entry);
        else this.say(`The model ${model.id} of your last visit is no longer offered.`);
        return entry !== undefined;
      }
      const kept = (await workspace.session.cachedModels()).find(
        (m) => m.complete && m.id === model.id && (model.commit === undefined || m.commit === model.commit),
      );
      if (!kept) {
        // Nothing is asked of a hub unless a visitor asks for it.
        this.say(
          `The model ${model.id} of your last visit is no longer on this device: download it again under Model, Change.`,
        );
        return false;
      }
      const { id, revision, endpoint, commit } = kept;
      return await workspace.loadFromHub({ kind: 'hub', id, revision, endpoint, commit });
    } catch (thrown) {
      this.fail(thrown);
      return false;
    }
  }

  /** From now on what changes is written. */
  begin(): void {
    this.writing = this.store !== null;
  }

  /** Writes what changes from now on. To be called while a component is being set up. */
  follow(): void {
    $effect(() => {
      const data = this.workspace.data.lasting;
      if (this.writing && data) untrack(() => this.soon('data', () => this.writeData(data)));
    });
    $effect(() => {
      const source = this.workspace.modelSource;
      if (this.writing && source)
        untrack(() => this.soon('model', () => this.writePage('model', modelRecord(source))));
    });
    $effect(() => {
      const { settings, sizedFor, beforeSample } = this.workspace.form;
      const record: KeptSettings = { version: KEPT_VERSION, settings, sizedFor, beforeSample };
      if (this.writing) untrack(() => this.soon('settings', () => this.writePage('settings', record)));
    });
    $effect(() => {
      const run = this.workspace.runs.shown;
      if (!this.writing || !run?.config || run.step === 0 || run.lost === 'reload') return;
      const over = !run.active;
      untrack(() => this.runChanged(run, over));
    });
  }

  /** The visitor wants other rows: these are not kept any longer. */
  forgetData(): void {
    this.tooLarge = false;
    if (this.writing) this.soon('data', async () => this.store?.removePage('data'));
  }

  /** Writes at once what would be written soon: the page is being left. */
  flush(): void {
    for (const [key, { timer, write }] of this.pending) {
      clearTimeout(timer);
      this.pending.delete(key);
      void write();
    }
  }

  /** Deletes everything that is kept; nothing more is written until the page is loaded again. Rejects when it could not be deleted. */
  async deleteAll(): Promise<void> {
    for (const { timer } of this.pending.values()) clearTimeout(timer);
    this.pending.clear();
    this.writing = false;
    await this.workspace.runs.removeAllStored();
    await (this.store ?? (await openStore())).clear();
    forgetLearning();
    this.holding = false;
  }

  private restoreSettings(record: KeptSettings | null): void {
    if (record === null) return;
    this.workspace.form.restore(record);
    this.cameBack('settings');
  }

  private async restoreRuns(store: KeptStore): Promise<void> {
    const runs: RunView[] = [];
    const readable: KeptRun[] = [];
    const problems: string[] = [];
    const { readKeptRun } = await loadReading();
    for (const { key, value } of await store.runs()) {
      const { record, problem } = readKeptRun(value);
      if (record) readable.push(record);
      else {
        problems.push(problem);
        await store.removeRun(key);
      }
    }
    let number = 0;
    for (const record of withinBounds(readable).reverse()) {
      // Two tabs count their runs apart; here each number must be one run's.
      number = Math.max(record.number, number + 1);
      try {
        runs.unshift(runFrom(record, number));
      } catch (thrown) {
        problems.push(errorDetails(thrown).message);
        await store.removeRun(record.config.runId);
      }
    }
    if (problems.length > 0) {
      const count = problems.length === 1 ? 'one run' : `${problems.length} runs`;
      this.say(`Kept curves of ${count} ignored and deleted: ${[...new Set(problems)].join('; ')}.`);
    }
    if (runs.length === 0) return;
    this.workspace.runs.add(runs);
    this.cameBack(runs.length === 1 ? 'the curves of one run' : `the curves of ${runs.length} runs`);
  }

  private async readPage<T>(
    key: PageKey,
    what: string,
    read: (value: unknown) => Reading<T>,
  ): Promise<T | null> {
    const value = await this.store?.page(key);
    if (value === undefined) return null;
    const { record, problem } = read(value);
    if (record === null) await this.store?.removePage(key);
    if (problem !== undefined) {
      this.say(`Kept ${what}${record === null ? ' ignored and deleted' : ''}: ${problem}.`);
    }
    return record;
  }

  private async writeData(data: LastingData): Promise<void> {
    this.tooLarge =
      (data.sample === null || Object.keys(data.beside).length > 0) && sizeOf(data) > MAX_DATA_BYTES;
    if (this.tooLarge) {
      await this.store?.removePage('data');
      return;
    }
    await this.writePage('data', await dataRecord(data));
  }

  private async writePage(key: PageKey, record: KeptData | KeptModel | KeptSettings): Promise<void> {
    await this.store?.setPage(key, record);
    this.holding = true;
  }

  private runChanged(run: RunView, over: boolean): void {
    const id = run.config?.runId as string;
    const now = performance.now();
    if (!over && this.writtenRun?.id === id && now - this.writtenRun.at < RUN_EVERY_MS) return;
    this.writtenRun = { id, at: now };
    this.soon(`run ${id}`, () => this.writeRun(run));
  }

  private async writeRun(run: RunView): Promise<void> {
    const { store } = this;
    const record = runRecord(run);
    if (!record || !store) return;
    await store.setRun(record.config.runId, { ...record, points: packPoints(run.points) });
    this.holding = true;
    if (run.active) return;
    const { readKeptRun } = await loadReading();
    const all = (await store.runs()).flatMap(({ value }) => readKeptRun(value).record ?? []);
    const stored = this.workspace.runs.all.flatMap((r) => (r.stored ? [r.stored.runId] : []));
    const inside = new Set(withinBounds(all, new Set(stored)).map((r) => r.config.runId));
    for (const { config: other } of all) if (!inside.has(other.runId)) await store.removeRun(other.runId);
  }

  /** The visitor gave a run another name or note, or it has answered: only that is written, for another tab may know more of its curves. */
  describeRun(run: RunView): void {
    const { name, note, answers, evaluations, config } = run;
    if (!this.writing || !config) return;
    this.soon(`words of ${config.runId}`, async () => {
      if (await this.store?.patchRun(config.runId, { name, note, answers, evaluations })) return;
      await this.writeRun(run);
    });
  }

  /** Writes runs that came from a file. */
  async addRuns(runs: readonly RunView[]): Promise<void> {
    for (const run of runs) await this.writeRun(run);
  }

  /** The visitor deleted a run. */
  async forgetRun(runId: string): Promise<void> {
    const { pending } = this;
    for (const key of [`run ${runId}`, `words of ${runId}`]) {
      clearTimeout(pending.get(key)?.timer);
      pending.delete(key);
    }
    await this.store?.removeRun(runId);
  }

  private soon(key: string, write: () => Promise<void>): void {
    clearTimeout(this.pending.get(key)?.timer);
    const guarded = () => write().catch((thrown: unknown) => this.fail(thrown));
    const timer = setTimeout(() => {
      this.pending.delete(key);
      void guarded();
    }, SETTLE_MS);
    this.pending.set(key, { timer, write: guarded });
  }

  private cameBack(what: string): void {
    this.restored = [...this.restored, what];
  }

  private say(problem: string): void {
    if (!this.problems.includes(problem)) this.problems = [...this.problems, problem];
  }

  /** After the first failure nothing more is tried: what is reported once must stay true. */
  private fail(thrown: unknown): void {
    const full = thrown instanceof DOMException && thrown.name === 'QuotaExceededError';
    this.writing = false;
    this.store = null;
    this.say(
      full
        ? 'This browser has no more room for the page: changes from now on are not kept over a reload.'
        : `This browser keeps nothing for the page, so a reload starts anew (${thrown instanceof Error ? thrown.message : String(thrown)}).`,
    );
  }
}

function modelRecord(source: ModelSource): KeptModel {
  const version = KEPT_VERSION;
  if (source.kind !== 'hub') return { version, kind: source.kind, id: source.id };
  const { kind, id, revision, endpoint, commit } = source;
  return {
    version,
    kind,
    id,
    ...(revision !== undefined && { revision }),
    ...(endpoint !== undefined && { endpoint }),
    ...(commit !== undefined && { commit }),
  };
}

/** All of a run but its points; null before it has a configuration. */
export function runRecord(run: RunView): Omit<KeptRun, 'points'> | null {
  const { config, summary, error, progress, number, modelName, name, note, answers, evaluations } = run;
  const version = KEPT_VERSION;
  return (
    config && {
      version,
      number,
      modelName,
      config,
      summary,
      error,
      progress,
      name,
      note,
      answers: [...answers],
      evaluations: [...evaluations],
    }
  );
}

/** The run as it was, without its weights. @throws when its points cannot be read as curves */
export function runFrom(record: KeptRun, number: number): RunView {
  const run = new RunView(number, record.modelName);
  run.restore(record, unpackPoints(record.points));
  return run;
}

/** For the sentence that says how much is kept. */
export const KEPT_ROWS = bytes(MAX_DATA_BYTES);
