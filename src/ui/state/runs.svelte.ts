// All runs that the page knows, of this visit and of earlier ones: which is shown, whose weights the engine holds, and what can be done with them.
// Not here: one run (run.svelte.ts), their curves over a reload (kept.svelte.ts), storing weights (worker/runKeeping.ts).

import type {
  DatasetReport,
  MetricPoint,
  RunConfig,
  RunProgress,
  Session,
  TunedWeights,
} from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { ExportCalls } from '../../exportContract';
import type { Hyperparameters } from '../../hyperparameters';
import type { CatalogEntry, ModelInfo, ModelSource } from '../../modelContract';
import { RUN_BUSY, type RunStorage, type StoredRuns } from '../../storedRuns';
import { plural } from '../parts/format';
import { save } from '../parts/save';
import { type Exportable, Exports } from './exports.svelte';
import type { Form } from './form.svelte';
import { GeneralQuestions } from './generalQuestions.svelte';
import { fromPage } from './pageFiles';
import type { Pins } from './pins.svelte';
import { INTERRUPTED, RunView } from './run.svelte';
import type { ShownStep } from './shownStep.svelte';
import { Unsaved } from './unsaved.svelte';

/** The newest runs are drawn beside the one that is shown, until the visitor chooses. */
const OVERLAID = 2;

/** How far a run was, by what is stored of it. */
function progressAt(config: RunConfig, step: number, points: readonly MetricPoint[]): RunProgress {
  return {
    ...{ state: 'training', measuring: null, step, totalSteps: config.totalSteps },
    ...{ epoch: step / config.stepsPerEpoch, elapsedMs: points.at(-1)?.elapsedMs ?? 0 },
    ...{ remainingMs: null, tokensPerSecond: null },
    memory: { tensors: 0, tensorBytes: 0, deviceBytes: null },
  };
}

/** The part of the workspace that runs depend on. */
interface Page {
  readonly session: Session & RunStorage & ExportCalls;
  readonly form: Form;
  readonly data: {
    readonly report: DatasetReport | null;
    readonly busy: boolean;
    encode(): Promise<void>;
    encodeIfDue(): Promise<void>;
  };
  readonly catalog: readonly CatalogEntry[];
  readonly model: ModelInfo | null;
  readonly modelName: string;
  readonly modelSource: ModelSource | null;
  readonly modelLoading: object | null;
  readonly dead: ErrorDetails | null;
  readonly settings: Hyperparameters;
  /** What is missing for a run, as a sentence; `blocked` also counts what the engine is busy with. */
  readonly missing: string | null;
  readonly blocked: string | null;
  readonly shownStep: ShownStep;
  readonly pins: Pins;
  readonly kept: {
    forgetRun(runId: string): Promise<void>;
    describeRun(run: RunView): void;
    addRuns(runs: readonly RunView[]): Promise<void>;
  };
}

/** Between two questions whether a run that another worker holds is free now. */
const ASK_AGAIN_MS = 3000;

export class Runs {
  /** Newest first. */
  all: RunView[] = $state.raw([]);
  shown: RunView | null = $state.raw(null);
  /** The run whose weights the engine holds: they answer and are downloaded. */
  holder: RunView | null = $state.raw(null);
  tunedWeights: TunedWeights = $state('last');
  error: ErrorDetails | null = $state.raw(null);
  /** What the worker stores, and the room it takes; null until it was asked. */
  stored: StoredRuns | null = $state.raw(null);
  /** A stored run is being read. */
  busy = $state(false);
  readonly unsaved = new Unsaved();
  readonly questions = new GeneralQuestions(() => this.page.session);
  readonly exports = new Exports({
    session: () => this.page.session,
    prepare: (run) => this.exportable(run),
  });
  private readonly page: Page;
  private asking: ReturnType<typeof setTimeout> | undefined;

  /** Only one run at a time goes on, and it is the one that is shown. */
  readonly active = $derived(this.shown?.active ? this.shown : null);
  /** Runs drawn beside the one that is shown. */
  readonly overlaid = $derived.by(() => {
    const others = this.all.filter((run) => run !== this.shown && run.step > 0);
    return others.filter((run, i) => run.overlay === 'on' || (run.overlay === 'auto' && i < OVERLAID));
  });
  /** There are tuned weights to talk to. */
  readonly tuned = $derived(this.holder !== null && this.holder.step > 0);
  /** Closing the page would lose something that took time. */
  readonly wouldLose = $derived(this.active !== null || this.all.some((run) => run.goneWithPage));

  constructor(page: Page) {
    this.page = page;
  }

  private get nextNumber(): number {
    return 1 + Math.max(0, ...this.all.map((run) => run.number));
  }

  // ───────────────────────────── making runs ─────────────────────────────

  async train(): Promise<void> {
    const { page } = this;
    if (page.blocked || this.active || this.busy || !(await this.unsaved.mayDrop(this.holder, 'train')))
      return;
    if (page.blocked || this.active || this.busy) return;
    await this.questions.stop();
    await page.data.encodeIfDue();
    if (page.blocked) return;
    const before = { all: this.all, shown: this.shown, holder: this.holder, tunedWeights: this.tunedWeights };
    const run = this.begin();
    page.form.change = null;
    await this.watch(run, (onConfig) =>
      page.session.train(page.settings, (event) => run.take(event), onConfig, page.pins.request),
    );
    if (run.error && run.points.length === 0 && !page.dead) {
      // Refused before anything was measured, for example for memory: there is no run to show. One that was refused even before it was
      // configured has left the tuned weights of the run before it untouched.
      this.all = before.all;
      this.shown = run.config === null ? before.shown : null;
      if (run.config === null) this.hold(before.holder, before.tunedWeights);
      this.error = run.error;
    }
  }

  /** A new run, which is shown from now on. */
  begin(): RunView {
    const run = new RunView(this.nextNumber, this.page.modelName, this.page.modelSource);
    this.all = [run, ...this.all.filter((r) => r.config !== null && r.step > 0)];
    this.shown = run;
    this.error = null;
    return run;
  }

  /** Goes on with a run that was cut off or stopped. */
  async goOn(run: RunView): Promise<void> {
    const { page } = this;
    const config = run.config;
    if (!config || this.cannotGoOn(run) !== null || !(await this.mayDropHolder(run))) return;
    if (this.cannotGoOn(run) !== null) return;
    this.busy = true;
    this.error = null;
    page.form.replace(config.hyperparameters, null);
    await this.questions.stop();
    await page.data.encode();
    const before = run.error;
    let reopened = false;
    await this.watch(run, (onConfig) =>
      page.session.resumeRun(
        config.runId,
        (event) => run.take(event),
        (now) => {
          if (!reopened) {
            run.reopen(now);
            this.shown = run;
            this.busy = false;
          }
          reopened = true;
          onConfig(now);
        },
      ),
    );
    this.busy = false;
    if (reopened) return;
    // Refused: it is what it was.
    this.error = run.error;
    run.error = before;
  }

  /** From the call that begins it to its end, with what came of it. */
  async watch(
    run: RunView,
    begin: (onConfig: (config: RunConfig) => void) => ReturnType<Session['train']>,
  ): Promise<void> {
    const { page } = this;
    try {
      const summary = await begin((config) => {
        run.config = config;
        run.saveProblem = null;
        if (this.holder !== run) this.holder?.lose('run');
        this.hold(run, 'last');
      });
      if (summary.step > 0) this.tunedWeights = await page.session.tunedWeights();
      run.finish(summary);
    } catch (thrown) {
      run.fail(errorDetails(thrown));
    }
    if (!page.dead) await this.refresh();
  }

  /** Why the run cannot be resumed, as a sentence; null when it can. */
  cannotGoOn(run: RunView): string | null {
    if (run.stored === null || run.stored.resumableAt === null) return 'It has come to its end.';
    if (run.stored.busy) return RUN_BUSY.message;
    return this.cannotRepeat(run);
  }

  /** Why the run cannot be made once more as it was, as a sentence; null when it can. */
  cannotRepeat(run: RunView | null): string | null {
    const { page } = this;
    const config = run?.config;
    if (!config || this.active || this.busy) return 'Another run is going on.';
    const model = this.otherModel(run);
    if (model !== null) return model;
    const { report } = page.data;
    if (page.data.busy) return page.missing;
    if (report?.hash !== config.datasetHash)
      return `It was made with ${config.datasetName}. Choose these rows first.`;
    return report.needsConsent ? page.missing : null;
  }

  /** Why the weights of the run cannot be used now, as a sentence; null when they can. */
  cannotUse(run: RunView): string | null {
    if (run.stored === null) return 'Its weights are not stored.';
    if (this.active || this.busy) return 'Another run is going on.';
    return this.otherModel(run);
  }

  private otherModel({ config, modelName }: RunView): string | null {
    const { page } = this;
    if (page.dead || !page.model || page.modelLoading) return page.missing;
    if (page.model.id === config?.modelId && page.model.commit === config.modelCommit) return null;
    const version = config?.modelCommit ? `, version ${config.modelCommit.slice(0, 7)}` : '';
    return `It was made with ${modelName}${version}. Load that model first.`;
  }

  /** The run once more, with its own settings but for those given. */
  async repeat(run: RunView | null, changes: Partial<Hyperparameters> = {}): Promise<void> {
    const config = run?.config;
    if (!config || this.cannotRepeat(run)) return;
    this.page.form.replace({ ...config.hyperparameters, ...changes }, null);
    await this.page.data.encode();
    await this.train();
  }

  async steer(action: 'pause' | 'resume' | 'singleStep' | 'stop'): Promise<void> {
    await this.tell(async () => {
      if (action === 'singleStep' && !this.shown?.paused) await this.page.session.pause();
      // The engine goes back to the weights of now.
      if (action !== 'pause') this.page.shownStep.forget();
      await this.page.session[action]();
    });
  }

  // ───────────────────────────── weights ─────────────────────────────

  async useTunedWeights(which: TunedWeights): Promise<void> {
    await this.tell(async () => {
      await this.page.session.useTunedWeights(which);
      this.tunedWeights = which;
      this.page.shownStep.forget();
      await this.page.shownStep.refresh();
    });
  }

  /** The stored weights of a run answer from now on. */
  async use(run: RunView): Promise<void> {
    const runId = run.config?.runId;
    if (!runId || this.holder === run || this.cannotUse(run) !== null || !(await this.mayDropHolder(run)))
      return;
    if (this.cannotUse(run) !== null) return;
    this.busy = true;
    await this.tell(async () => {
      await this.questions.stop();
      const { which, ...measures } = await this.page.session.useStoredRun(runId);
      run.takeMeasures(measures);
      this.holder?.lose('run');
      this.hold(run, which);
    });
    this.busy = false;
  }

  /** After a model was loaded: the weights of the run that is shown answer again, where they are stored and belong to that model. */
  async useShown(): Promise<void> {
    const { shown } = this;
    if (shown && !shown.active && shown.summary && this.holder === null && this.cannotUse(shown) === null)
      await this.use(shown);
  }

  /** @returns false when the visitor wants to keep weights that nothing else holds */
  private async mayDropHolder(next: RunView): Promise<boolean> {
    return this.holder === next || this.unsaved.mayDrop(this.holder, 'train');
  }

  private hold(run: RunView | null, which: TunedWeights): void {
    this.holder = run;
    this.tunedWeights = which;
    this.page.shownStep.forget();
    if (run) run.lost = null;
  }

  /** The engine holds no weights any more. */
  letGo(why: 'engine' | 'model', error: ErrorDetails | null = null): void {
    if (error && this.active) this.active.fail(error);
    this.holder?.lose(why);
    this.holder = null;
    this.page.shownStep.forget();
  }

  /** Whether its weights can be downloaded: the engine holds them, or they are stored and their model can be found. */
  canDownload(run: RunView): boolean {
    return !run.active && (run === this.holder || (run.stored !== null && this.sourceOf(run) !== undefined));
  }

  /** Hands weights to the browser as a file. @returns false when that failed (the reason is in `error`) */
  async download(run: RunView | null): Promise<boolean> {
    if (!run?.config) return false;
    return this.tell(() => this.exports.download(run));
  }

  /** The weights of a run that `canDownload`, once the engine is free for them. */
  private async exportable(run: RunView): Promise<Exportable> {
    await this.questions.stop();
    const { runId } = run.config as RunConfig;
    const held = run === this.holder;
    const wanted = held ? this.tunedWeights : (run.stored?.kept ?? 'last');
    const step = held ? this.page.shownStep.answering : null;
    return {
      run,
      target: held
        ? { of: 'answering' }
        : { of: 'stored', runId, which: wanted, source: this.sourceOf(run) ?? null },
      which: step === null ? run.weights(wanted).which : `step-${step}`,
    };
  }

  /** Where the model of a run is read from; null where it is the loaded one, undefined where it cannot be found. */
  private sourceOf(run: RunView): ModelSource | null | undefined {
    const { page } = this;
    if (this.otherModel(run) === null) return null;
    if (run.modelSource) return run.modelSource;
    const { modelId, modelCommit } = run.config as RunConfig;
    if (modelCommit !== undefined) return { kind: 'hub', id: modelId, commit: modelCommit };
    const entry = page.catalog.find((e) => e.id === modelId);
    return (
      entry && { kind: 'folder', id: entry.id, url: new URL(`${entry.path}/`, fromPage('models/')).href }
    );
  }

  // ───────────────────────────── the table ─────────────────────────────

  show(run: RunView): void {
    if (!this.active) this.shown = run;
  }

  describe(run: RunView, words: Partial<Pick<RunView, 'name' | 'note'>>): void {
    Object.assign(run, words);
    this.page.kept.describeRun(run);
  }

  /** Deletes curves, weights and all else of a run. @returns false when that failed (the reason is in `error`) */
  async remove(run: RunView): Promise<boolean> {
    const runId = run.config?.runId;
    if (run.active || !runId) return false;
    return this.tell(async () => {
      await this.page.session.deleteStoredRun(runId);
      await this.page.kept.forgetRun(runId);
      this.all = this.all.filter((r) => r !== run);
      if (this.holder === run) {
        // The engine still holds them; without their run they have no name.
        this.holder = null;
      }
      if (this.shown === run) this.shown = this.all[0] ?? null;
      await this.refresh();
    });
  }

  /** Deletes what is stored of all runs but those that another tab trains. */
  async removeAllStored(): Promise<void> {
    const { runs, unreadable } = await this.page.session.storedRuns();
    for (const { runId } of [...runs.filter((run) => !run.busy), ...unreadable])
      await this.page.session.deleteStoredRun(runId);
  }

  /** All runs as one file, handed to the browser. @returns false when that failed (the reason is in `error`) */
  async exportAll(): Promise<boolean> {
    return this.tell(async () => {
      const ended = this.all.filter((run) => !run.active);
      const { packed } = await import('./runTransfer');
      save(await packed(this.page.session, ended), 'finetune-playground-runs.zip');
      for (const run of ended) if (run.stored || run.step === 0) run.saved = true;
    });
  }

  /** Takes the runs of such a file. @returns sentences to be said; empty when it failed (the reason is in `error`) */
  async importFile(file: Blob): Promise<string[]> {
    const said: string[] = [];
    await this.tell(async () => {
      const known = new Set(this.all.flatMap((run) => run.config?.runId ?? []));
      const { unpacked } = await import('./runTransfer');
      const { runs, remarks } = await unpacked(this.page.session, file, known, this.nextNumber);
      this.add(runs);
      await this.page.kept.addRuns(runs);
      await this.refresh();
      said.push(`${plural(runs.length, 'run')} taken from the file.`, ...remarks);
    });
    return said;
  }

  /** Deletes what no version of this page that is here can read. */
  async removeUnreadable(runId: string): Promise<void> {
    await this.tell(async () => {
      await this.page.session.deleteStoredRun(runId);
      await this.refresh();
    });
  }

  /** @returns whether it succeeded; what went wrong is in `error` */
  async tell(work: () => Promise<void>): Promise<boolean> {
    this.error = null;
    try {
      await work();
      return true;
    } catch (thrown) {
      this.error = errorDetails(thrown);
      return false;
    }
  }

  // ───────────────────────────── what is stored ─────────────────────────────

  /** To be called for each new engine. */
  async connect(): Promise<void> {
    await this.page.session.watchSaving(({ runId, stored, problem }) => {
      const run = this.all.find((r) => r.config?.runId === runId);
      if (!run) return;
      run.saveProblem = problem;
      if (stored) run.stored = stored;
    });
    await this.refresh();
    await this.adopt();
  }

  /** Asks the worker what is stored now. */
  async refresh(): Promise<void> {
    try {
      this.stored = await this.page.session.storedRuns();
    } catch (thrown) {
      this.error = errorDetails(thrown);
      return;
    }
    const { runs, notLasting } = this.stored;
    const byId = new Map(runs.map((run) => [run.runId, run]));
    for (const run of this.all) {
      run.stored = byId.get(run.config?.runId ?? '') ?? null;
      run.lasting = notLasting === null;
      // Left while its last weights were being stored: the store knows how it ended, the page's own record does not.
      const ended = run.stored?.summary ?? null;
      if (ended && !run.summary && !run.active) {
        run.error = null;
        run.finish(ended);
      }
      if (run.stored?.busy && !run.active) run.error = RUN_BUSY;
      else if (run.error === RUN_BUSY) run.error = run.summary ? null : INTERRUPTED;
    }
    this.askAgain(runs.some((run) => run.busy && run.runId !== this.active?.config?.runId));
  }

  /** While another worker holds a run: it may be another tab, which ends some time, or one of ours that was just terminated. */
  private askAgain(wanted: boolean): void {
    clearTimeout(this.asking);
    if (!wanted) return;
    this.asking = setTimeout(() => {
      if (this.page.dead || this.active) return this.askAgain(true);
      void this.refresh()
        .then(() => this.adopt())
        .then(() => this.useShown());
    }, ASK_AGAIN_MS);
  }

  /** Stored runs whose curves were not kept, for example because the page was closed too early, come back with what is stored of them. */
  private async adopt(): Promise<void> {
    const known = new Set(this.all.map((run) => run.config?.runId));
    const unknown = (this.stored?.runs ?? []).filter((run) => !known.has(run.runId) && !run.busy);
    const found: RunView[] = [];
    for (const { runId, config, summary, step } of unknown) {
      try {
        const { points, ...measures } = await this.page.session.storedMeasures(runId);
        const run = new RunView(this.nextNumber + found.length, config.modelId);
        run.restore({ config, summary, error: null, progress: progressAt(config, step, points) }, points);
        run.takeMeasures(measures);
        found.unshift(run);
      } catch (thrown) {
        this.error = errorDetails(thrown);
      }
    }
    if (found.length === 0) return;
    this.add(found);
    await this.refresh();
  }

  /** Runs of earlier visits, or from a file; the newest is shown where none is. */
  add(newestFirst: readonly RunView[]): void {
    this.all = [...newestFirst, ...this.all].sort((a, b) => b.number - a.number);
    this.shown ??= this.all[0] ?? null;
  }
}
