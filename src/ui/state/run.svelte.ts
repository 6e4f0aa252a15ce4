// One training run as the page sees it: frozen config, points as they arrive, progress, verdict, and where its weights are.
// Not here: starting or steering a run (workspace.svelte.ts), drawing it (ui/train/LossChart.svelte), keeping it over a reload (kept.svelte.ts).

import type {
  MetricName,
  MetricPoint,
  RunConfig,
  RunEvent,
  RunProgress,
  RunSummary,
  TunedWeights,
} from '../../contract';
import type { RowMeasurement } from '../../dataContract';
import type { ErrorDetails } from '../../errors';
import type { AnswerEvaluation } from '../../evaluationContract';
import {
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
} from '../../hyperparameters';
import type { CurvePoint } from '../../metrics/curves';
import { diagnose } from '../../metrics/diagnosis';
import type { ModelSource } from '../../modelContract';
import type { StepDetails } from '../../stepContract';
import type { PinnedColumn } from '../../stepsContract';
import type { RunMeasures, StoredRun } from '../../storedRuns';
import type { WeightChanges } from '../../weightContract';

/** Names of the settings that differ between two runs and mean something in at least one of them. */
export function differences(a: Hyperparameters, b: Hyperparameters): HyperparameterName[] {
  return HYPERPARAMETER_NAMES.filter((name) => {
    const applies = HYPERPARAMETERS[name].applies;
    return a[name] !== b[name] && (!applies || applies(a) || applies(b));
  });
}

/** Why the engine holds the weights of a run no longer. */
export type Loss = 'engine' | 'model' | 'reload' | 'run';

/** What is reported of a run that came back without an end. */
export const INTERRUPTED: ErrorDetails = {
  code: 'run_interrupted',
  message: 'The page was closed while this run was going on.',
  fix: 'Train again with the same settings: the same seed gives the same run.',
};

/** Colours of runs: the tokens `--run-1` to `--run-8` of app.css. */
const RUN_COLOURS = 8;

/** An answer of the tuned model, kept with its run. */
export interface KeptAnswer {
  /** Model, run and weights. */
  from: string;
  system: string;
  prompt: string;
  text: string;
}

/** The newest answers that are kept with a run. */
const MAX_ANSWERS = 20;

/** The newest evaluations that are kept with a run. */
const MAX_EVALUATIONS = 6;

export class RunView {
  config: RunConfig | null = $state.raw(null);
  progress: RunProgress | null = $state.raw(null);
  summary: RunSummary | null = $state.raw(null);
  /** The update that was made by hand last, as long as no other was made. */
  stepDetails: StepDetails | null = $state.raw(null);
  /** Of the fold that goes on after the run itself; null where none does. */
  folds: RunProgress | null = $state.raw(null);
  /** The folds were asked to stop. */
  stopping = $state(false);
  error: ErrorDetails | null = $state.raw(null);
  /** Null while the engine holds this run's weights. They may be stored all the same. */
  lost: Loss | null = $state(null);
  /** What the worker has stored of it; null where it has nothing. */
  stored: StoredRun | null = $state.raw(null);
  /** What is stored outlives the page. */
  lasting = $state(false);
  /** Why it could not be stored the last time. */
  saveProblem: ErrorDetails | null = $state.raw(null);
  /** Given by the visitor; '' for “Run 3”. */
  name = $state('');
  note = $state('');
  answers: KeptAnswer[] = $state.raw([]);
  /** Of its weights, newest first. */
  evaluations: AnswerEvaluation[] = $state.raw([]);
  /** Whether it is drawn beside the run that is shown: as the visitor chose, or where it is one of the newest. */
  overlay: 'auto' | 'on' | 'off' = $state('auto');
  /** They were downloaded. */
  saved = $state(false);
  /** Counts batches of points; whoever draws watches this instead of thousands of reactive numbers. */
  revision = $state(0);
  /** Counts the moments at which the verdict may have changed. */
  private judged = $state(0);

  readonly number: number;
  readonly modelName: string;
  /** The losses of single rows at every evaluation, in order; empty for a run of an earlier visit until its weights are read. */
  rows: readonly RowMeasurement[] = $state.raw([]);
  /** How far the weights had moved at every evaluation, as `rows`; of a run of an earlier visit as last measured. */
  weightChanges: readonly WeightChanges[] = $state.raw([]);
  /** The answers to its pinned prompts so far. */
  pinned: readonly PinnedColumn[] = $state.raw([]);
  /** Where its model came from in this visit; null for a run of an earlier one. */
  readonly modelSource: ModelSource | null;
  /** All points, in order of arrival. Not reactive: watch `revision`. */
  readonly points: MetricPoint[] = [];
  /** The next report begins at the start of the run again. */
  private reopened = false;
  private readonly lines = new Map<MetricName, CurvePoint[]>();

  readonly verdict = $derived.by(() => {
    this.judged;
    const ended = this.summary?.state ?? (this.error ? 'failed' : null);
    return diagnose(this.points, this.config, ended);
  });
  /** True until the worker has said that the run is over. */
  readonly active = $derived(this.summary === null && this.error === null);
  readonly paused = $derived(this.active && (this.folds ?? this.progress)?.state === 'paused');
  readonly step = $derived(this.summary?.step ?? this.progress?.step ?? 0);
  /** All that it has learned is stored. */
  private readonly isStored = $derived(this.stored !== null && this.stored.step >= this.step);
  /** Learned weights that the engine alone holds, and that nobody has downloaded. */
  readonly unsaved = $derived(
    !this.active && this.step > 0 && this.lost === null && !this.saved && !this.isStored,
  );
  /** Learned weights that are gone with the page. */
  readonly goneWithPage = $derived(this.unsaved || (this.isStored && !this.lasting && !this.saved));
  readonly title = $derived.by(() => (this.name === '' ? `Run ${this.number}` : this.name));

  constructor(number: number, modelName: string, modelSource: ModelSource | null = null) {
    this.number = number;
    this.modelName = modelName;
    this.modelSource = modelSource;
  }

  /** The design token of its colour. */
  get colour(): string {
    return `--run-${1 + ((this.number - 1) % RUN_COLOURS)}`;
  }

  /** It goes on, from an earlier step than its curves may have reached; the first report brings the points up to there. */
  reopen(config: RunConfig): void {
    this.config = config;
    this.summary = null;
    this.error = null;
    this.lost = null;
    this.saved = false;
    this.reopened = true;
  }

  keepAnswer(answer: KeptAnswer): void {
    this.answers = [answer, ...this.answers].slice(0, MAX_ANSWERS);
  }

  keepEvaluation(evaluation: AnswerEvaluation): void {
    this.evaluations = [evaluation, ...this.evaluations].slice(0, MAX_EVALUATIONS);
  }

  /** One measured line, in step order. Not reactive: watch `revision`. */
  line(name: MetricName): CurvePoint[] {
    return this.lines.get(name) ?? [];
  }

  /** What was stored with its weights, of a run of an earlier visit. */
  takeMeasures({ rows, weights, pinned }: Pick<RunMeasures, 'rows' | 'weights' | 'pinned'>): void {
    if (this.rows.length === 0) this.rows = rows;
    if (this.pinned.length === 0) this.pinned = pinned;
    if (weights.length > this.weightChanges.length) this.weightChanges = weights;
  }

  /** The engine holds its weights no longer; its curves stay. The first reason counts. */
  lose(why: Loss): void {
    if (this.step > 0) this.lost ??= why;
  }

  /**
   * The weights that answer when `wanted` is asked for: during a run there are only those of now, and without a measurement only
   * the last ones.
   */
  weights(wanted: TunedWeights): { which: TunedWeights; step: number; label: string } {
    // Of a run that was cut off, the weights are those that were stored last.
    const cutOff = !this.active && this.summary === null ? this.stored : null;
    const last = cutOff?.step ?? this.step;
    const best = cutOff ? cutOff.bestStep : (this.summary?.best?.step ?? null);
    if (this.active) return { which: 'last', step: last, label: `step ${last}` };
    if (best === last) return { which: wanted, step: last, label: `best = last (step ${last})` };
    if (wanted === 'best' && best !== null)
      return {
        which: 'best',
        step: best,
        label: best === 0 ? 'best (step 0, before training)' : `best (step ${best})`,
      };
    return { which: 'last', step: last, label: `last (step ${last})` };
  }

  take(event: RunEvent): void {
    // The run itself is over then, and its curves stay as they are.
    if (event.progress.fold) {
      this.folds = event.progress;
      return;
    }
    if (event.stepDetails) this.stepDetails = event.stepDetails;
    else if (this.stepDetails && event.progress.step > this.stepDetails.step) this.stepDetails = null;
    let judge = false;
    if (this.reopened) {
      this.reopened = false;
      this.points.length = 0;
      this.rows = [];
      this.pinned = [];
      this.weightChanges = [];
      this.lines.clear();
    }
    for (const point of event.points) {
      this.points.push(point);
      const line = this.lines.get(point.name) ?? [];
      const entry = { step: point.step, epoch: point.epoch, value: point.value };
      if (line.at(-1)?.step === point.step) line[line.length - 1] = entry;
      else line.push(entry);
      this.lines.set(point.name, line);
      if (/^(full_)?(valid|general)_loss$/.test(point.name) || !Number.isFinite(point.value)) judge = true;
      if (point.name === 'train_loss' && point.value > (line[0] as CurvePoint).value + 1) judge = true;
    }
    if (event.rows.length > 0) this.rows = [...this.rows, ...event.rows];
    if (event.pinned.length > 0) this.pinned = [...this.pinned, ...event.pinned];
    if (event.weights.length > 0) this.weightChanges = [...this.weightChanges, ...event.weights];
    this.progress = event.progress;
    if (event.points.length > 0) this.revision++;
    if (judge) this.judged++;
  }

  /** A run of an earlier visit: everything but its weights. */
  restore(
    kept: Pick<RunView, 'config' | 'summary' | 'error' | 'progress'> &
      Partial<Pick<RunView, 'name' | 'note' | 'answers' | 'evaluations'>>,
    points: MetricPoint[],
  ): void {
    this.config = kept.config;
    this.name = kept.name ?? '';
    this.note = kept.note ?? '';
    this.answers = kept.answers ?? [];
    this.evaluations = kept.evaluations ?? [];
    if (kept.progress) this.take({ points, rows: [], weights: [], pinned: [], progress: kept.progress });
    this.summary = kept.summary;
    this.pinned = kept.summary?.pinned ?? [];
    if (kept.summary?.weightChanges) this.weightChanges = [kept.summary.weightChanges];
    this.error = kept.error ?? (kept.summary ? null : INTERRUPTED);
    this.lose('reload');
    this.judged++;
  }

  finish(summary: RunSummary): void {
    this.folds = null;
    this.stopping = false;
    this.summary = summary;
    this.config = summary.config;
    this.pinned = summary.pinned ?? [];
    if (summary.error) this.error = summary.error;
    this.judged++;
    this.revision++;
  }

  fail(error: ErrorDetails): void {
    this.folds = null;
    this.stopping = false;
    this.error = error;
    this.judged++;
    this.revision++;
  }
}
