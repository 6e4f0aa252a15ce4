// The session in the worker: implements the page's calls; holds the model, data set and run of one visitor, and allows one run at a time.
// Not here: the order of each thing (session/), where models come from (hub.ts), the wire (main.ts, client.ts).

import type {
  DeviceReport,
  GenerateRequest,
  GenerateResult,
  MetricPoint,
  RatePoint,
  RunConfig,
  RunEstimate,
  RunEvent,
  RunSummary,
  Session,
  SweepOutcome,
  TileReport,
  TunedWeights,
} from '../contract';
import { startDevice } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import { estimateRun } from '../engine/training/fit';
import { memoryLimits } from '../engine/training/memory';
import type { ErrorDetails } from '../errors';
import type { EvaluationCalls } from '../evaluationContract';
import type { ExportCalls, ExportedFile, ExportOption, ExportTarget } from '../exportContract';
import type { GeneralAnswers } from '../generalContract';
import type { Hyperparameters } from '../hyperparameters';
import type {
  CachedModel,
  HubOffer,
  HubSource,
  LoadProgress,
  ModelInfo,
  ModelSource,
} from '../modelContract';
import { answer } from '../session/answer';
import { crossValidate } from '../session/crossValidation';
import { exportOptions } from '../session/exports';
import { type BaseModel, loadWeights, modelInfo } from '../session/model';
import { searchRate } from '../session/rateSearch';
import { RestoredRun } from '../session/restoredRun';
import type { LearnedWeights } from '../session/results';
import { taughtAnswer } from '../session/rowEditing';
import { Run } from '../session/run';
import { Sweep } from '../session/sweep';
import { keptTiles } from '../session/tiles';
import type { RateChange } from '../stepContract';
import type { PinnedRequest } from '../stepsContract';
import type { RunMeasures, RunStorage } from '../storedRuns';
import { DataCalls } from './dataCalls';
import type { EngineParts } from './engineParts';
import { Evaluations } from './evaluations';
import { exportedFile, rowsOf } from './exporting';
import { HeldRun } from './heldRun';
import { cachedModels, deleteCachedModel, inspectHub } from './hub';
import { pagePlatform } from './platform';
import { assertIdle, needed } from './refusals';
import { RunKeeping } from './runKeeping';
import { openRunStore, type RunStore } from './runStore';
import { loadCancelled, openSource, siteOf } from './sources';
import { openStore, type Store } from './storage';

const measuresOf = ({ points, rows, weights, pinned }: RunMeasures): RunMeasures => ({
  points,
  rows,
  weights,
  pinned,
});

export class EngineSession extends DataCalls implements Session, RunStorage, EvaluationCalls, ExportCalls {
  readonly #onLost: (error: ErrorDetails) => void;
  #device: DeviceReport | null = null;
  #wasmPath = '';
  protected readonly platform = pagePlatform(() => siteOf(this.#wasmPath));
  #loaded: BaseModel | null = null;
  readonly #keeping: RunKeeping;
  readonly #evaluations = new Evaluations(this.platform, (summary) => this.#keeping.setSummary(summary));
  readonly #held: HeldRun;
  #cancelGeneration = false;
  #tiles: Promise<TileReport | null> = Promise.resolve(null);
  #store: Promise<Store> | null = null;
  #loading = new AbortController();
  #searching = false;
  #sweep: Sweep | null = null;
  /** What is being measured of rows; the engine does one of these at a time, and none during a run. */
  readonly #measuring = new Set<{ cancelled: boolean; byEngine: boolean }>();

  constructor(onLost: (error: ErrorDetails) => void, openRuns: () => Promise<RunStore> = openRunStore) {
    super();
    this.#onLost = onLost;
    this.#keeping = new RunKeeping(openRuns);
    this.#held = new HeldRun(this.#keeping);
  }

  async start(options: {
    backend?: DeviceReport['backend'] | undefined;
    wasmPath: string;
  }): Promise<DeviceReport> {
    this.#wasmPath = options.wasmPath;
    this.#device = await startDevice({
      requested: options.backend,
      wasmPath: options.wasmPath,
      threads: this.platform.threads,
      onLost: (error) => this.#onLost(error.toJSON()),
      onError: () => {}, // checked with takeDeviceError where the result would be used
    });
    this.#chooseTiles(false);
    return this.#device;
  }

  async tiles(): Promise<TileReport | null> {
    return this.#tiles;
  }

  async measureTiles(): Promise<TileReport | null> {
    this.assertIdle('measure its tiles');
    await this.#tiles;
    return this.#chooseTiles(true);
  }

  async loadModel(source: ModelSource, onProgress: (p: LoadProgress) => void): Promise<ModelInfo> {
    this.#started();
    this.assertIdle('load another model');
    const signal = this.#nextLoad();
    const throwIfCancelled = () => {
      if (signal.aborted) throw loadCancelled(source.id);
    };
    // A cancelled load ends at its next report: the error thrown here makes the loader free what it has allocated.
    const report = (progress: LoadProgress) => {
      throwIfCancelled();
      onProgress(progress);
    };
    const loaded = await this.#load(source, signal, report).catch((thrown: unknown) => {
      // An aborted request fails with an error of its own, which is replaced.
      throwIfCancelled();
      throw thrown;
    });
    this.#loaded?.model.dispose();
    this.#held.forget();
    this.#loaded = loaded;
    return modelInfo(loaded);
  }

  async cancelLoad(): Promise<void> {
    this.#loading.abort();
  }

  async inspectHub(source: HubSource): Promise<HubOffer> {
    return inspectHub(source, { store: await this.#hubStore(), signal: this.#nextLoad() });
  }

  async cachedModels(): Promise<CachedModel[]> {
    return cachedModels(await this.#hubStore());
  }

  async deleteCachedModel(key: string): Promise<void> {
    return deleteCachedModel(await this.#hubStore(), key);
  }

  async generalAnswers(): Promise<GeneralAnswers> {
    const at = { base: this.model(), run: this.#held.trained, which: this.#held.tuned };
    this.assertIdle('answer general questions');
    return this.measure(true, (cancelled) => this.#evaluations.generalAnswers(at, cancelled));
  }

  readonly proposeChecks: EvaluationCalls['proposeChecks'] = async () =>
    this.#evaluations.propose(this.data(), this.model());
  readonly likeRows: EvaluationCalls['likeRows'] = async (prompt, count) =>
    this.#evaluations.likeRows(this.data(), prompt, count);
  readonly taughtAnswer: EvaluationCalls['taughtAnswer'] = async (row, text) =>
    taughtAnswer(this.data(), row, text);

  async evaluateAnswers(
    ...[request, onRow]: Parameters<EvaluationCalls['evaluateAnswers']>
  ): ReturnType<EvaluationCalls['evaluateAnswers']> {
    const base = this.model();
    this.assertIdle('evaluate answers');
    const dataset = this.data();
    const { run } = this.#held;
    return this.measure(true, (cancelled) => {
      const evaluate = (learned: LearnedWeights | null) =>
        this.#evaluations.evaluate({ base, dataset, run, learned }, request, { onRow, cancelled });
      return run === null ? evaluate(null) : this.#held.with(evaluate);
    });
  }

  /** Work of the engine that is written beside this class: alone, and ended by `cancelMeasuring`. */
  protected async alone<T>(purpose: string, work: (engine: EngineParts) => Promise<T>): Promise<T> {
    const tiles = await this.#tiles;
    const [base, device] = [this.model(), this.#started()];
    this.assertIdle(purpose);
    const parts = { base, device, tiles, platform: this.platform, data: () => this.data() };
    return this.measure(true, (cancelled) => work({ ...parts, cancelled }));
  }

  async cancelMeasuring(): Promise<void> {
    for (const one of this.#measuring) one.cancelled = true;
  }

  async estimateMemory(h: Hyperparameters): Promise<RunEstimate> {
    const { model } = this.model();
    return estimateRun(model, h, this.data().longestBatch(h.batch_size), memoryLimits(this.#started()));
  }

  async train(
    h: Hyperparameters,
    onEvent: (e: RunEvent) => void,
    onConfig: (c: RunConfig) => void,
    pinned: PinnedRequest | null = null,
  ): Promise<RunSummary> {
    const tiles = await this.#tiles;
    const base = this.model();
    const dataset = await this.rowsFor(h);
    this.assertIdle('start another run');
    const at = { device: this.#started(), tiles };
    const run = Run.prepare(base, dataset, h, at, this.platform, { pinned });
    return this.#go(run, onEvent, onConfig);
  }

  async resumeRun(...[runId, onEvent, onConfig]: Parameters<RunStorage['resumeRun']>): Promise<RunSummary> {
    const tiles = await this.#tiles;
    const base = this.model();
    this.assertIdle('go on with another run');
    const checkpoint = await this.#keeping.checkpoint(runId);
    const at = { device: this.#started(), tiles };
    const dataset = await this.rowsFor(checkpoint.config.hyperparameters);
    this.assertIdle('go on with another run');
    const run = Run.resume(base, dataset, checkpoint, at, this.platform);
    return this.#go(run, onEvent, onConfig, true);
  }

  /** Runs to the end, and keeps what was learned on the way and at the end. */
  async #go(
    run: Run,
    onEvent: (e: RunEvent) => void,
    onConfig: (c: RunConfig) => void,
    resumed = false,
  ): Promise<RunSummary> {
    const saving = await this.#keeping.begin(run).catch((thrown: unknown) => {
      run.trainer.dispose();
      throw thrown;
    });
    this.#held.hold(run, 'last');
    onConfig(run.config);
    if (resumed) await run.reportAgain(onEvent);
    const summary = await run.go(onEvent, onConfig, saving.keeper);
    this.#held.use(run.kept);
    await saving.end(summary);
    if (summary.state === 'finished' && summary.config.hyperparameters.folds > 1) {
      const at = { device: this.#started(), tiles: await this.#tiles };
      const validated = await crossValidate(run, this.model(), this.data(), at, this.platform, {
        onEvent,
        onFold: () => {},
      });
      await this.#keeping.setSummary(validated);
      return validated;
    }
    // The run failed before its first step, and its weights are freed.
    if (summary.state === 'failed' && summary.step === 0) this.#held.forget();
    return summary;
  }

  async findLearningRate(h: Hyperparameters, onPoint: (p: RatePoint) => void): Promise<number | null> {
    const base = this.model();
    this.assertIdle('look for a learning rate');
    this.#searching = true;
    try {
      return await searchRate(base, await this.rowsFor(h), h, this.#started(), this.platform, {
        onPoint,
        stopped: () => !this.#searching,
      });
    } finally {
      this.#searching = false;
    }
  }

  async sweep(
    ...[h, request, onConfig, onEvent, onEnd]: Parameters<Session['sweep']>
  ): Promise<SweepOutcome[]> {
    const tiles = await this.#tiles;
    const base = this.model();
    this.assertIdle('start a sweep');
    const at = { device: this.#started(), tiles };
    this.#sweep = new Sweep(base, await this.rowsFor(h), h, request, at, this.platform);
    try {
      return await this.#sweep.go({
        train: (run, report) => this.#go(run, report, onConfig),
        onEvent,
        onEnd,
      });
    } finally {
      this.#sweep = null;
    }
  }

  async pause(): Promise<void> {
    if (this.#sweep) this.#sweep.paused = true;
    this.#held.made?.pause();
  }

  async resume(): Promise<void> {
    if (this.#sweep) this.#sweep.paused = false;
    this.#held.unshow();
    this.#held.made?.resume();
  }

  async changeLearningRate(rate: number): Promise<RateChange> {
    return needed('run', this.#held.made).changeLearningRate(rate);
  }

  async singleStep(): Promise<void> {
    this.#held.unshow();
    this.#held.made?.singleStep();
  }

  async stop(): Promise<void> {
    this.#searching = false;
    this.#sweep?.stop();
    this.#held.made?.stop();
  }

  async tunedWeights(): Promise<TunedWeights> {
    return this.#held.tuned;
  }

  async useTunedWeights(which: TunedWeights): Promise<void> {
    if (this.#held.trained) this.#held.use(which);
  }

  async shownSteps(): Promise<number[]> {
    return this.#held.steps();
  }

  async showStep(step: number | null): Promise<void> {
    if (step === null) this.#held.unshow();
    else await this.#held.show(step, this.model());
  }

  async generate(request: GenerateRequest, onToken: (text: string) => void): Promise<GenerateResult> {
    const base = this.model();
    this.#cancelGeneration = false;
    const answerWith = (learner: Learner | null) =>
      answer(base, learner, request.messages, request.settings, this.platform, {
        onText: onToken,
        cancelled: () => this.#cancelGeneration,
      });
    return request.which === 'base'
      ? answerWith(null)
      : this.#held.with(({ learner }) => answerWith(learner));
  }

  async cancelGeneration(): Promise<void> {
    this.#cancelGeneration = true;
  }

  async exportOptions(target: ExportTarget): Promise<ExportOption[]> {
    const ofLoaded = (config: RunConfig) =>
      exportOptions(this.model(), config, rowsOf(config, this.dataOrNull));
    if (target.of === 'answering') return ofLoaded(this.#held.trained.config);
    const { config } = (await this.#keeping.learned(target.runId)).checkpoint;
    return target.source === null ? ofLoaded(config) : exportOptions(null, config, null);
  }

  async exportWeights(
    ...[target, request, onProgress]: Parameters<ExportCalls['exportWeights']>
  ): Promise<ExportedFile> {
    this.assertIdle('export weights');
    return this.measure(true, async (cancelled) => {
      const make = (base: BaseModel, run: Run | RestoredRun, learned: LearnedWeights) => {
        // The rows are encoded for the loaded model.
        const dataset = base === this.#loaded ? this.dataOrNull : null;
        return exportedFile(base, run, learned, dataset, request, this.platform, { onProgress, cancelled });
      };
      if (target.of === 'answering')
        return this.#held.with((learned) => make(this.model(), this.#held.trained, learned));
      return this.#withStored(target, (base, run) => make(base, run, run.learned(target.which)));
    });
  }

  /** Something with a kept run on its model, both of which are freed afterwards, but for the loaded model. */
  async #withStored<T>(
    { runId, source }: Extract<ExportTarget, { of: 'stored' }>,
    work: (base: BaseModel, run: RestoredRun) => Promise<T>,
  ): Promise<T> {
    const { run, checkpoint } = await this.#keeping.learned(runId);
    const base = source === null ? this.model() : await this.#load(source, this.#nextLoad(), () => {});
    try {
      const restored = new RestoredRun(base, checkpoint, run.summary);
      try {
        return await work(base, restored);
      } finally {
        restored.dispose();
      }
    } finally {
      if (base !== this.#loaded) base.model.dispose();
    }
  }

  readonly storedRuns: RunStorage['storedRuns'] = async () => this.#keeping.list();
  readonly watchSaving: RunStorage['watchSaving'] = async (onSave) => this.#keeping.watch(onSave);

  async storedMeasures(runId: string): Promise<RunMeasures> {
    return measuresOf((await this.#keeping.learned(runId)).checkpoint);
  }

  async useStoredRun(runId: string): Promise<RunMeasures & { which: TunedWeights }> {
    const base = this.model();
    this.assertIdle('use other weights');
    const { run, checkpoint } = await this.#keeping.learned(runId);
    this.#held.hold(new RestoredRun(base, checkpoint, run.summary), run.kept);
    return { which: run.kept, ...measuresOf(checkpoint) };
  }

  readonly deleteStoredRun: RunStorage['deleteStoredRun'] = async (runId) => this.#keeping.remove(runId);

  async packRuns(runs: { runId: string; record: unknown; points: MetricPoint[] }[]): Promise<Blob> {
    return this.#keeping.pack(runs);
  }

  async storeWeights(
    runId: string,
    weights: Blob,
    steps: Blob[],
    summary: RunSummary | null,
    kept: TunedWeights,
  ): Promise<void> {
    await this.#keeping.add(runId, weights, steps, summary, kept);
  }

  async #load(
    source: ModelSource,
    signal: AbortSignal,
    onProgress: (p: LoadProgress) => void,
  ): Promise<BaseModel> {
    const { opened, ...origin } = await openSource(source, () => this.#hubStore(), signal, onProgress);
    // The tiles are measured while files download; weights are uploaded after that.
    await this.#tiles;
    return loadWeights(opened, origin, onProgress);
  }

  #chooseTiles(again: boolean): Promise<TileReport | null> {
    this.#tiles = keptTiles(this.#device as DeviceReport, this.platform.records, again);
    this.#tiles.catch(() => {}); // `tiles` and `loadModel` await it; without them it must not count as unhandled
    return this.#tiles;
  }

  #hubStore(): Promise<Store> {
    this.#store ??= openStore('hub');
    return this.#store;
  }

  #nextLoad(): AbortSignal {
    this.#loading = new AbortController();
    return this.#loading.signal;
  }

  protected async measure<T>(byEngine: boolean, work: (cancelled: () => boolean) => Promise<T>): Promise<T> {
    const measuring = { cancelled: false, byEngine };
    this.#measuring.add(measuring);
    try {
      return await work(() => measuring.cancelled);
    } finally {
      this.#measuring.delete(measuring);
    }
  }

  protected withLearned<T>(work: (learner: Learner | null) => Promise<T>): Promise<T> {
    return this.#held.withOrNull(work);
  }

  protected assertIdle(purpose: string): void {
    assertIdle(purpose, {
      measuring: [...this.#measuring].some((one) => one.byEngine),
      running: this.#held.made?.active === true || this.#searching || this.#sweep !== null,
    });
  }

  #started(): DeviceReport {
    return needed('device', this.#device);
  }

  protected model(): BaseModel {
    return needed('model', this.#loaded);
  }
}
