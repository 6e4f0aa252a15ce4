// One run as the page sees it: pace (pause, step, stop), clock, and reports at most ten a second.
// Not here: the training itself (engine/train.ts), what the numbers mean (metrics/).

import type {
  BackendName,
  MemoryReport,
  MetricPoint,
  RunConfig,
  RunEvent,
  RunProgress,
  RunState,
  RunSummary,
} from '../contract';
import { trainableParameters } from '../engine/adapters';
import { memoryReport, takeDeviceError } from '../engine/device';
import { FittedTrainer, type SettledRun } from '../engine/fit';
import { Meter } from '../engine/meter';
import type { Model } from '../engine/model';
import type { TrainEvent, Trainer, TrainingData } from '../engine/train';
import { errorDetails } from '../errors';
import type { Hyperparameters } from '../hyperparameters';

const REPORT_EVERY_MS = 100;

/** Lets waiting messages (stop, pause, a question to the model) be served. A message to oneself is not throttled, as timers are. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Stop is heard within this, on top of the engine's longest piece of work. */
const LOOK_EVERY_MS = 20;

/** Breathes, but not more often than that: the engine offers far more moments (a layer, an op) than a small model's step is worth. */
export function createPace(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < LOOK_EVERY_MS) return;
    await breathe();
    last = performance.now();
  };
}

/** Over the wire a callback answers with a promise, which settles when the page has taken the report. */
type Listener = (e: RunEvent) => void | Promise<void>;

export interface RunOrigin {
  modelId: string;
  modelCommit?: string;
  datasetName: string;
  datasetHash: string;
  backend: BackendName;
  tiles?: string;
}

const LOOKAHEAD_MS = 60;
const MOST_UNDER_WAY = 16;

export class Run {
  active = false;
  readonly #fitted: FittedTrainer;
  #config: RunConfig;
  readonly #meter = new Meter();
  readonly #pace = createPace();
  #stopRequested = false;
  #paused = false;
  #stepsAllowed = 0;
  #wake: (() => void) | null = null;

  #state: RunState = 'evaluating';
  /** How many of `points` the page has been told. */
  #told = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #startedAt = 0;
  /** Time spent paused, which neither the clock nor the speed counts. */
  #idleMs = 0;
  /** After the last whole step: in the middle of one, gradients and activations come and go. */
  #memory: MemoryReport = memoryReport();

  /**
   * @param asked the settings before `settled` decided about them
   * @throws PlaygroundError for bad settings or empty splits.
   */
  constructor(
    model: Model,
    data: TrainingData,
    asked: Hyperparameters,
    settled: SettledRun,
    origin: RunOrigin,
  ) {
    this.#fitted = new FittedTrainer(model, data, settled);
    const { stepsPerEpoch, totalSteps } = this.trainer.plan;
    this.#config = {
      ...origin,
      runId: crypto.randomUUID(),
      hyperparameters: { ...asked },
      checkpointing: this.#fitted.checkpointing,
      trainRows: data.train.length,
      validationRows: data.validation.length,
      stepsPerEpoch,
      totalSteps,
      trainableParameters: trainableParameters(this.trainer.learner),
      appVersion: __APP_VERSION__,
      startedAt: new Date().toISOString(),
    };
  }

  get trainer(): Trainer {
    return this.#fitted.trainer;
  }

  get config(): RunConfig {
    return this.#config;
  }

  /** All that has been measured, for the export. */
  get points(): readonly MetricPoint[] {
    return this.#meter.points;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#stepsAllowed = 0;
    this.#wake?.();
  }

  singleStep(): void {
    this.#paused = true;
    this.#stepsAllowed += 1;
    this.#wake?.();
  }

  stop(): void {
    this.#stopRequested = true;
    this.#wake?.();
  }

  /**
   * Runs to the end, to a stop or to an error; never rejects. What was learned stays in `trainer`.
   * @param onConfig told when memory made it another run than `config` said before
   */
  async go(onEvent: Listener, onConfig: (config: RunConfig) => void): Promise<RunSummary> {
    this.active = true;
    this.#startedAt = performance.now();
    try {
      await this.#rehearse(onConfig);
      return await this.#walk(onEvent);
    } catch (thrown) {
      const cause = await this.#fitted.giveUp(thrown);
      return { ...(await this.#finish('failed', onEvent)), error: errorDetails(cause) };
    } finally {
      this.trainer.disposeOptimizer();
      this.active = false;
    }
  }

  async #walk(onEvent: Listener): Promise<RunSummary> {
    const walk = this.trainer.run(() => this.#lookahead());
    try {
      while (!this.#stopRequested) {
        const next = await this.#hear(walk);
        if (next === null) return await this.#finish('finished', onEvent);
        this.#report(onEvent, false);
        await (next.kind === 'breath' ? this.#pace() : breathe());
        if (next.kind === 'step') await this.#waitWhilePaused(onEvent);
      }
      await this.#settle();
      return await this.#finish('stopped', onEvent);
    } finally {
      await walk.return(undefined);
    }
  }

  /** What the trainer tells next, taken down; null at its end. @throws PlaygroundError when the GPU dropped what it was made of */
  async #hear(walk: AsyncGenerator<TrainEvent, void>): Promise<TrainEvent | null> {
    const before = performance.now();
    const next = await walk.next();
    const gpuError = takeDeviceError();
    if (gpuError) throw gpuError;
    if (next.done) return null;
    this.#take(next.value, performance.now() - before);
    return next.value;
  }

  /** Takes down the numbers of all updates that are made and not yet told. */
  async #settle(): Promise<void> {
    const underWay = this.trainer.underWay();
    while ((await this.#hear(underWay)) !== null);
  }

  /**
   * On a fast GPU the numbers of an update take longer to arrive than the update, so several are under way; but never more than it
   * makes in the blink of an eye, or the chart would lag behind and a pause would come late.
   */
  #lookahead(): number {
    if (this.#paused) return 1;
    const stepMs = (performance.now() - this.#startedAt) / Math.max(1, this.trainer.step);
    return Math.max(1, Math.min(MOST_UNDER_WAY, Math.floor(LOOKAHEAD_MS / stepMs)));
  }

  async #rehearse(onConfig: (config: RunConfig) => void): Promise<void> {
    for await (const _ of this.#fitted.rehearse()) {
      await this.#pace();
      if (this.#stopRequested) return;
    }
    const { checkpointing } = this.#fitted;
    if (checkpointing.on === this.#config.checkpointing.on) return;
    this.#config = { ...this.#config, checkpointing };
    onConfig(this.#config);
  }

  /** The last report is waited for: on the wire it would otherwise arrive after the summary. */
  async #finish(state: 'finished' | 'stopped' | 'failed', onEvent: Listener): Promise<RunSummary> {
    this.#state = state;
    await this.#report(onEvent, true);
    return { config: this.config, state, step: this.trainer.step, best: this.trainer.best };
  }

  /** Waits with nothing under way: the chart then ends where the weights are, and a single step makes an update, not only its numbers. */
  async #waitWhilePaused(onEvent: Listener): Promise<void> {
    if (!this.#paused) return;
    await this.#settle();
    const since = performance.now();
    while (this.#paused && this.#stepsAllowed === 0 && !this.#stopRequested) {
      this.#state = 'paused';
      this.#report(onEvent, true);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    if (this.#paused && this.#stepsAllowed > 0) this.#stepsAllowed -= 1;
    this.#idleMs += performance.now() - since;
  }

  get #elapsedMs(): number {
    return performance.now() - this.#startedAt - this.#idleMs;
  }

  #take(event: TrainEvent, workedMs: number): void {
    this.#meter.take(event, workedMs, this.#elapsedMs);
    if (event.kind === 'breath') this.#state = event.during;
    else this.#memory = memoryReport();
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
      step,
      totalSteps: plan.totalSteps,
      epoch: this.#meter.epoch,
      elapsedMs,
      remainingMs: step > 0 ? (elapsedMs / step) * (plan.totalSteps - step) : null,
      tokensPerSecond: this.#meter.tokensPerSecond,
      memory: this.#memory,
    };
    const points = this.points.slice(this.#told);
    this.#told = this.points.length;
    return onEvent({ points, progress });
  }
}
