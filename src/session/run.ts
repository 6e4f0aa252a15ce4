// One training run: pace (pause, single step, stop), clock, metric points, and reports at most ten a second.
// Not here: the training loop (engine/training/train.ts), what the numbers mean (metrics/), the files a run leaves (results.ts).

import type {
  DeviceReport,
  EncodedExample,
  Measuring,
  MemoryReport,
  MetricPoint,
  RunConfig,
  RunEvent,
  RunProgress,
  RunState,
  RunSummary,
  TileReport,
  TunedWeights,
} from '../contract';
import type { CrossValidation, RowMeasurement } from '../dataContract';
import { memoryReport, takeDeviceError } from '../engine/device/device';
import type { Learner } from '../engine/model/adapters';
import { type Checkpoint, writeCheckpoint } from '../engine/training/checkpoint';
import { FittedTrainer } from '../engine/training/fit';
import { type NamedTensors, readAll } from '../engine/training/namedTensors';
import type { TrainingData } from '../engine/training/plan';
import type { TrainEvent, Trainer } from '../engine/training/train';
import { errorDetails } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import { diagnose } from '../metrics/diagnosis';
import type { RateChange, StepDetails } from '../stepContract';
import type { WeightChanges } from '../weightContract';
import type { Dataset } from './dataset';
import { StepTaker } from './keptSteps';
import type { BaseModel } from './model';
import { PinnedAnswers, pinnedConfig } from './pinned';
import { createPace, type Platform } from './platform';
import { LearningRate } from './rateChanges';
import { frozenConfig } from './runConfig';
import { type CheckpointKeeper, fitToDevice, type RunExtras } from './runExtras';
import { RunMeasurements } from './runMeasurements';
import { assertSameRun } from './sameRun';
import { WatchedStep } from './watchedStep';

const REPORT_EVERY_MS = 100;
/** Updates that are dispatched ahead of their numbers, by time and by count. */
const MAX_AHEAD_MS = 60;
const MAX_AHEAD = 16;

/** Over the wire a callback answers with a promise, which resolves when the page has taken the report. */
type Listener = (e: RunEvent) => void | Promise<void>;

export class Run {
  active = false;
  readonly #fitted: FittedTrainer;
  readonly #platform: Platform;
  #config: RunConfig;
  #summary: RunSummary | null = null;
  readonly #measured: RunMeasurements;
  readonly #pace: () => Promise<void>;
  #stopRequested = false;
  /** The run of a fold that goes on for this one. */
  #fold: Run | null = null;
  #paused = false;
  #stepsAllowed = 0;
  #savedInPause = false;
  readonly #rate: LearningRate;
  readonly #trainRows: readonly EncodedExample[];
  /** The update that is made by hand, and what is to be reported of the last one. */
  #watched: WatchedStep | null = null;
  #stepDetails: StepDetails | null = null;
  #onConfig: (config: RunConfig) => void = () => {};
  #wake: (() => void) | null = null;

  #state: RunState = 'evaluating';
  #measuring: Measuring | null = null;
  /** Weights of single steps. */
  readonly steps: StepTaker;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #startedAt = 0;
  /** Time spent paused, which neither the clock nor the speed counts. */
  #idleMs = 0;
  /** Of the run before it was interrupted. */
  #earlierMs = 0;
  /** Updates made before it was interrupted. */
  #firstStep = 0;
  #savedAt = 0;
  /** After the last whole step: in the middle of one, gradients and activations come and go. */
  #memory: MemoryReport = memoryReport();

  /** @throws PlaygroundError for bad settings or empty splits. */
  private constructor(
    fitted: FittedTrainer,
    config: RunConfig,
    data: TrainingData,
    base: BaseModel,
    platform: Platform,
    keepSteps: number | undefined,
    rate: LearningRate,
  ) {
    this.#rate = rate;
    this.#trainRows = data.train;
    this.#fitted = fitted;
    this.steps = new StepTaker(fitted.trainer.plan, config.trainableParameters, keepSteps);
    const { plan } = fitted.trainer;
    const pinned = config.pinned ? new PinnedAnswers(config.pinned, base, plan, platform) : null;
    this.#measured = new RunMeasurements(data, pinned);
    this.#config = config;
    this.#platform = platform;
    this.#pace = createPace(platform);
  }

  /**
   * A run of these rows with these settings on this device, ready to `go`.
   * @throws PlaygroundError `rows_with_errors` or `no_rows` (the data), `out_of_memory`, what `pinnedConfig` throws, or for bad settings
   */
  static prepare(
    base: BaseModel,
    dataset: Dataset,
    h: Hyperparameters,
    { device, tiles }: { device: DeviceReport; tiles: TileReport | null },
    platform: Platform,
    { sweep, pinned = null, keepSteps, rateChanges = [] }: RunExtras = {},
  ): Run {
    dataset.encode(base.chat, base.model.architecture, h);
    dataset.assertTrainable();
    dataset.assertFolds(h.folds);
    const data = dataset.trainingData();
    const tokens = h.num_train_epochs * data.train.reduce((sum, { ids }) => sum + ids.length, 0);
    const watched = pinned && pinned.prompts.length > 0 ? pinnedConfig(pinned, base, dataset, tokens) : null;
    const rate = new LearningRate(h, rateChanges);
    const fits = fitToDevice(base.model, dataset, h, device);
    const fitted = new FittedTrainer(base.model, data, fits, rate.schedule);
    const about = { base, dataset, fitted, device, tiles, appVersion: platform.appVersion };
    const config: RunConfig = {
      ...frozenConfig(h, data, about),
      ...rate.record,
      ...(sweep && { sweep }),
      ...(watched && { pinned: watched }),
    };
    return new Run(fitted, config, data, base, platform, keepSteps, rate);
  }

  /**
   * An interrupted run, ready to `go` on: on the same backend every number is the one that it would have given.
   * @throws PlaygroundError `bad_checkpoint` when rows, model or split are not those of the run; what `prepare` throws
   */
  static resume(
    base: BaseModel,
    dataset: Dataset,
    checkpoint: Checkpoint,
    at: { device: DeviceReport; tiles: TileReport | null },
    platform: Platform,
    { keepSteps }: Pick<RunExtras, 'keepSteps'> = {},
  ): Run {
    const { config, elapsedMs, trainer } = checkpoint;
    const run = Run.prepare(base, dataset, config.hyperparameters, at, platform, {
      pinned: config.pinned ?? null,
      rateChanges: config.rateChanges ?? [],
      ...(keepSteps !== undefined && { keepSteps }),
    });
    try {
      assertSameRun(config, run.config);
      run.#fitted.restore(trainer);
    } catch (thrown) {
      run.trainer.dispose();
      throw thrown;
    }
    const { backend, tiles, checkpointing, general } = run.config;
    const now = { backend, ...(tiles !== undefined && { tiles }), ...(general?.notice && { general }) };
    run.#config = { ...config, ...now, checkpointing };
    run.#measured.restore(checkpoint);
    run.#earlierMs = elapsedMs;
    run.#firstStep = trainer.step;
    return run;
  }

  get trainer(): Trainer {
    return this.#fitted.trainer;
  }

  get config(): RunConfig {
    return this.#config;
  }

  /** The losses of single rows at every evaluation. */
  get rows(): readonly RowMeasurement[] {
    return this.#measured.rows;
  }

  /** How far the weights had moved at every evaluation. */
  get weights(): readonly WeightChanges[] {
    return this.#measured.weights;
  }

  /** Null until the run has ended. */
  get summary(): RunSummary | null {
    return this.#summary;
  }

  /** What was learned, as a checkpoint without the optimizer's moments: it can be used again, but the run cannot be resumed from it. */
  async learnedCheckpoint(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#checkpoint(false);
  }

  /** Reports all that has been measured so far once more: whoever listens to a resumed run may not have heard of it. */
  async reportAgain(onEvent: Listener): Promise<void> {
    this.#startedAt = performance.now();
    this.#measured.reportAgain();
    await this.#report(onEvent, true);
  }

  /** Notes in the record of a run that has ended what was measured or asked after it. */
  note(later: Pick<RunSummary, 'testUses' | 'generalAnswers'>): void {
    if (this.#summary !== null) this.#summary = { ...this.#summary, ...later };
  }

  /** All that has been measured. */
  get points(): readonly MetricPoint[] {
    return this.#measured.points;
  }

  /**
   * The weights to keep of a run that has ended. The best ones; but where it was stopped some steps after its last evaluation and that
   * was the best one, nothing measured speaks against the steps since, and the last ones hold what was learned in them.
   */
  get kept(): TunedWeights {
    const { best, step } = this.trainer;
    if (best === null) return 'last';
    const unmeasured = best.step === this.measuredStep && step > best.step;
    const diverged = diagnose(this.points, this.config, this.#summary?.state ?? null).state === 'diverged';
    return unmeasured && !diverged ? 'last' : 'best';
  }

  /** Step of the last evaluation; null before the first. */
  get measuredStep(): number | null {
    return this.#measured.lastStep;
  }

  /** The weights of that name. Where no evaluation was made there are no best ones, and the last ones are given. */
  learned(which: TunedWeights): { learner: Learner; which: TunedWeights } {
    const best = which === 'best' ? this.trainer.bestLearner : null;
    return best ? { learner: best, which: 'best' } : { learner: this.trainer.learner, which: 'last' };
  }

  /** Updates made. */
  get step(): number {
    return this.trainer.step;
  }

  get best(): Trainer['best'] {
    return this.trainer.best;
  }

  /** Waits for `resume` or a single step, or will after the update that is being made. */
  get paused(): boolean {
    return this.#paused;
  }

  /** The numbers of the last or of the best weights, read from the device; in a run only while it waits. */
  async tensorsOf(which: TunedWeights): Promise<NamedTensors> {
    return readAll(this.learned(which).learner.tensors);
  }

  get stopRequested(): boolean {
    return this.#stopRequested;
  }

  /**
   * Counts as active while other runs are made for it, which pause, single step and stop reach; what they come to goes into its summary.
   * Only after its end.
   * @param work is given a way to name the run that goes on
   */
  async crossValidate(
    work: (steer: (fold: Run | null) => void) => Promise<CrossValidation>,
  ): Promise<RunSummary> {
    const summary = this.#summary as RunSummary;
    this.active = true;
    try {
      const crossValidation = await work((fold) => {
        this.#fold = fold;
        if (this.#paused) fold?.pause();
      });
      this.#summary = { ...summary, crossValidation };
    } finally {
      this.active = false;
    }
    return this.#summary;
  }

  pause(): void {
    this.#fold?.pause();
    this.#savedInPause &&= this.#paused;
    this.#paused = true;
  }

  resume(): void {
    this.#fold?.resume();
    this.#paused = false;
    this.#stepsAllowed = 0;
    this.#wake?.();
  }

  singleStep(): void {
    this.#fold?.singleStep();
    this.#paused = true;
    this.#stepsAllowed += 1;
    this.#wake?.();
  }

  stop(): void {
    this.#fold?.stop();
    this.#stopRequested = true;
    this.#wake?.();
  }

  /**
   * From the next update on the schedule is that of another learning rate. What was changed stands in `config`, so that the record tells it
   * and a resumed run repeats it.
   * @throws PlaygroundError `run_ended`, `bad_hyperparameter`
   */
  changeLearningRate(to: number): RateChange {
    const step = this.trainer.nextUpdate;
    const left = this.active && this.#summary === null && step < this.#config.totalSteps;
    const change = this.#rate.change(left ? step : null, to);
    this.#config = { ...this.#config, ...this.#rate.record };
    this.#onConfig(this.#config);
    // What was saved in a pause would go on without it.
    this.#savedInPause = false;
    this.#wake?.();
    return change;
  }

  /**
   * Runs to the end, to a stop or to an error; never rejects. What was learned stays in `trainer`.
   * @param onConfig called when memory made it another run than `config` said before, and when its learning rate is changed
   * @param keeper saves the run while it is running
   */
  async go(
    onEvent: Listener,
    onConfig: (config: RunConfig) => void,
    keeper: CheckpointKeeper | null = null,
  ): Promise<RunSummary> {
    this.active = true;
    this.#onConfig = onConfig;
    this.#startedAt = performance.now();
    this.#savedAt = this.#startedAt;
    try {
      await this.#rehearse();
      this.#summary = await this.#train(onEvent, keeper);
    } catch (thrown) {
      const cause = await this.#fitted.releaseAfter(thrown);
      this.#summary = { ...(await this.#end('failed', onEvent)), error: errorDetails(cause) };
    } finally {
      this.trainer.disposeOptimizer();
      this.active = false;
    }
    return this.#summary;
  }

  async #train(onEvent: Listener, keeper: CheckpointKeeper | null): Promise<RunSummary> {
    const events = this.trainer.run(() => this.#stepsAhead());
    try {
      // Of a run that was saved after this evaluation and before its answers.
      if (this.measuredStep === this.trainer.step) await this.#answerPinned(onEvent);
      while (!this.#stopRequested) {
        const next = await this.#take(events);
        if (next === null) {
          await this.#answerPinned(onEvent, true);
          return await this.#end('finished', onEvent);
        }
        this.#report(onEvent, false);
        await (next.kind === 'yield' ? this.#pace() : this.#platform.yieldToEvents());
        if (next.kind === 'evaluation' && next.on !== 'all') await this.#answerPinned(onEvent);
        if (next.kind !== 'step') continue;
        if (this.#watched) {
          this.#stepDetails = await this.#watched.end(next, this.#config.hyperparameters.max_grad_norm);
          this.#watched = null;
        }
        await this.#takeStep();
        if (keeper) await this.#saveWhenDue(keeper);
        await this.#waitWhilePaused(onEvent, keeper);
      }
      await this.#drain();
      if (keeper) await this.#save(keeper);
      return await this.#end('stopped', onEvent);
    } finally {
      await events.return(undefined);
    }
  }

  /** The trainer's next event, recorded; null at its end. @throws PlaygroundError when the GPU dropped the work behind it */
  async #take(events: AsyncGenerator<TrainEvent, void>): Promise<TrainEvent | null> {
    const before = performance.now();
    const next = await events.next();
    const gpuError = takeDeviceError();
    if (gpuError) throw gpuError;
    if (next.done) return null;
    this.#record(next.value, performance.now() - before);
    return next.value;
  }

  /** The weights after the last step, where they are to be kept: `#stepsAhead` sees to it that nothing is in flight then. */
  async #takeStep(): Promise<void> {
    const { step, learner } = this.trainer;
    if (!this.steps.isDue(step) || this.trainer.pending > 0) return;
    await this.steps.take(step, this.#elapsedMs, () => readAll(learner.tensors));
  }

  /** Pinned prompts with the weights as they are, where that is due. @param last the run ends here */
  async #answerPinned(onEvent: Listener, last = false): Promise<void> {
    const { step, plan, tokens, learner } = this.trainer;
    const { pinned } = this.#measured;
    const due = last ? pinned?.isMissing(step) : pinned?.isDue(step, tokens);
    if (!pinned || !due) return;
    this.#state = 'evaluating';
    const of = pinned.config.prompts.length;
    await pinned.make({ step, epoch: step / plan.stepsPerEpoch }, learner, {
      onPrompt: (done) => {
        this.#measuring = { what: 'pinned', step, done, of };
        this.#report(onEvent, false);
      },
      cancelled: () => this.#stopRequested,
    });
    this.#measuring = null;
  }

  /** Saves the run after a step, with nothing in flight. A save takes time of its own, so the interval counts from its end. */
  async #saveWhenDue(keeper: CheckpointKeeper): Promise<void> {
    if (performance.now() - this.#savedAt < keeper.everyMs || this.#stopRequested) return;
    await this.#drain();
    await this.#save(keeper);
  }

  async #save(keeper: CheckpointKeeper): Promise<void> {
    const before = performance.now();
    try {
      const { step, best } = this.trainer;
      await keeper.save(await this.#checkpoint(), this.steps.toStore(step, best?.step ?? null));
    } catch (thrown) {
      keeper.onFailure(errorDetails(thrown));
    }
    this.#savedAt = performance.now();
    this.#idleMs += this.#savedAt - before;
  }

  async #checkpoint(moments = true): Promise<Uint8Array<ArrayBuffer>> {
    return writeCheckpoint({
      config: this.#config,
      ...this.#measured.all,
      points: [...this.points],
      elapsedMs: this.#elapsedMs,
      trainingMs: this.#measured.meter.trainingMs,
      trainer: await this.trainer.state(moments),
    });
  }

  /** Records the numbers of all updates that were dispatched and not yet reported; the last of them may be a step whose weights are kept. */
  async #drain(): Promise<void> {
    if (this.trainer.pending === 0) return;
    const pending = this.trainer.pendingReports();
    while ((await this.#take(pending)) !== null);
    await this.#takeStep();
  }

  /**
   * How many updates may be dispatched before the numbers of the first are read. On a fast GPU the numbers take longer to arrive than
   * the update, so several are in flight; but never more than 60 ms of them, or the chart would lag and a pause would come late.
   */
  #stepsAhead(): number {
    // Weights that are kept are read before the next update changes them.
    if (this.#paused || this.steps.isDue(this.trainer.step)) return 1;
    const steps = this.trainer.step - this.#firstStep;
    const stepMs = (performance.now() - this.#startedAt) / Math.max(1, steps);
    return Math.max(1, Math.min(MAX_AHEAD, Math.floor(MAX_AHEAD_MS / stepMs)));
  }

  async #rehearse(): Promise<void> {
    for await (const _ of this.#fitted.rehearse()) {
      await this.#pace();
      if (this.#stopRequested) return;
    }
    const { checkpointing } = this.#fitted;
    if (checkpointing.on === this.#config.checkpointing.on) return;
    this.#config = { ...this.#config, checkpointing };
    this.#onConfig(this.#config);
  }

  /** The last report is waited for: on the wire it would otherwise arrive after the summary. */
  async #end(state: RunSummary['state'], onEvent: Listener): Promise<RunSummary> {
    this.#state = state;
    await this.#report(onEvent, true);
    const { columns, weights } = this.#measured;
    const weightChanges = weights.at(-1);
    const { step, best } = this.trainer;
    return {
      ...{ config: this.config, state, step, best },
      ...(weightChanges && { weightChanges }),
      ...(columns && { pinned: columns }),
    };
  }

  /** Waits with nothing in flight: the chart then ends where the weights are, and a single step makes a whole update. */
  async #waitWhilePaused(onEvent: Listener, keeper: CheckpointKeeper | null): Promise<void> {
    if (!this.#paused) return;
    await this.#drain();
    await this.#saveInPause(keeper);
    const since = performance.now();
    const idleMs = this.#idleMs;
    const waits = () => this.#paused && this.#stepsAllowed === 0 && !this.#stopRequested;
    while (waits()) {
      if (!this.#savedInPause) {
        await this.#saveInPause(keeper);
        continue;
      }
      this.#state = 'paused';
      this.#report(onEvent, true);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        // Asked for while this pause was being reported.
        if (!waits() || !this.#savedInPause) resolve();
      });
      this.#wake = null;
    }
    if (this.#paused && this.#stepsAllowed > 0 && !this.#stopRequested) {
      this.#stepsAllowed -= 1;
      this.#watched = await WatchedStep.begin(this.trainer, this.#trainRows);
    }
    this.#idleMs = idleMs + performance.now() - since;
  }

  /** Who pauses may leave. Single steps by hand are saved when that is due. */
  async #saveInPause(keeper: CheckpointKeeper | null): Promise<void> {
    if (keeper && !this.#savedInPause) await this.#save(keeper);
    this.#savedInPause = true;
  }

  get #elapsedMs(): number {
    return this.#earlierMs + performance.now() - this.#startedAt - this.#idleMs;
  }

  #record(event: TrainEvent, workedMs: number): void {
    if (event.kind !== 'yield') this.#memory = memoryReport();
    this.#measured.meter.take(event, workedMs, this.#elapsedMs, this.#memory);
    this.#measuring = event.kind === 'yield' ? (event.measuring ?? null) : null;
    if (event.kind === 'yield') this.#state = event.during;
    if (event.kind === 'evaluation') this.#measured.takeEvaluation(event);
    if (event.kind === 'step') this.#state = 'training';
  }

  #report(onEvent: Listener, always: boolean): void | Promise<void> {
    const now = performance.now();
    if (!always && now - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = now;
    const { step, plan } = this.trainer;
    const elapsedMs = this.#elapsedMs;
    const progress: RunProgress = {
      state: this.#state,
      measuring: this.#measuring,
      step,
      totalSteps: plan.totalSteps,
      epoch: this.#measured.meter.epoch,
      elapsedMs,
      // After the last step all rows are measured, which takes what it takes.
      remainingMs: step > 0 && step < plan.totalSteps ? (elapsedMs / step) * (plan.totalSteps - step) : null,
      tokensPerSecond: this.#measured.meter.tokensPerSecond,
      memory: this.#memory,
    };
    const made = this.#stepDetails && { stepDetails: this.#stepDetails };
    this.#stepDetails = null;
    return onEvent({ ...this.#measured.unreported(), progress, ...made });
  }
}
