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
import {
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
} from '../../hyperparameters';
import type { CurvePoint } from '../../metrics/curves';
import { diagnose } from '../../metrics/diagnosis';

/** Names of the settings that differ between two runs and mean something in at least one of them. */
export function differences(a: Hyperparameters, b: Hyperparameters): HyperparameterName[] {
  return HYPERPARAMETER_NAMES.filter((name) => {
    const applies = HYPERPARAMETERS[name].applies;
    return a[name] !== b[name] && (!applies || applies(a) || applies(b));
  });
}

/** Why the weights of a run are gone. */
export type Loss = 'engine' | 'model' | 'reload';

export class Run {
  config: RunConfig | null = $state.raw(null);
  progress: RunProgress | null = $state.raw(null);
  summary: RunSummary | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  /** Null while the engine holds this run's weights. */
  lost: Loss | null = $state(null);
  /** They were downloaded. */
  saved = $state(false);
  /** Counts batches of points; whoever draws watches this instead of thousands of reactive numbers. */
  revision = $state(0);
  /** Counts the moments at which the verdict may have changed. */
  private judged = $state(0);

  readonly number: number;
  readonly modelName: string;
  /** The losses of single rows at every evaluation, in order; empty for a run of an earlier visit. */
  rows: readonly RowMeasurement[] = $state.raw([]);
  /** All points, in order of arrival. Not reactive: watch `revision`. */
  readonly points: MetricPoint[] = [];
  private readonly lines = new Map<MetricName, CurvePoint[]>();

  readonly verdict = $derived.by(() => {
    this.judged;
    const ended = this.summary?.state ?? (this.error ? 'failed' : null);
    return diagnose(this.points, this.config, ended);
  });
  /** True until the worker has said that the run is over. */
  readonly active = $derived(this.summary === null && this.error === null);
  readonly paused = $derived(this.active && this.progress?.state === 'paused');
  readonly step = $derived(this.summary?.step ?? this.progress?.step ?? 0);
  /** Learned weights that nobody has downloaded. */
  readonly unsaved = $derived(!this.active && this.step > 0 && this.lost === null && !this.saved);

  constructor(number: number, modelName: string) {
    this.number = number;
    this.modelName = modelName;
  }

  /** One measured line, in step order. Not reactive: watch `revision`. */
  line(name: MetricName): CurvePoint[] {
    return this.lines.get(name) ?? [];
  }

  /** Its weights are gone; its curves are not. The first reason counts. */
  lose(why: Loss): void {
    if (this.step > 0) this.lost ??= why;
  }

  /**
   * The weights that answer when `wanted` is asked for: while a run goes on there are only those of now, and without a measurement only
   * the last ones.
   */
  weights(wanted: TunedWeights): { which: TunedWeights; step: number; label: string } {
    const last = this.step;
    const best = this.summary?.best?.step ?? null;
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
    let judge = false;
    for (const point of event.points) {
      this.points.push(point);
      const line = this.lines.get(point.name) ?? [];
      const entry = { step: point.step, epoch: point.epoch, value: point.value };
      if (line.at(-1)?.step === point.step) line[line.length - 1] = entry;
      else line.push(entry);
      this.lines.set(point.name, line);
      if (/^(full_)?valid_loss$/.test(point.name) || !Number.isFinite(point.value)) judge = true;
      if (point.name === 'train_loss' && point.value > (line[0] as CurvePoint).value + 1) judge = true;
    }
    if (event.rows.length > 0) this.rows = [...this.rows, ...event.rows];
    this.progress = event.progress;
    if (event.points.length > 0) this.revision++;
    if (judge) this.judged++;
  }

  /**
   * A run of an earlier visit: everything but its weights.
   * @param interrupted what is said of a run that had not ended
   */
  restore(
    kept: Pick<Run, 'config' | 'summary' | 'error' | 'progress'>,
    points: MetricPoint[],
    interrupted: ErrorDetails,
  ): void {
    this.config = kept.config;
    if (kept.progress) this.take({ points, rows: [], progress: kept.progress });
    this.summary = kept.summary;
    this.error = kept.error ?? (kept.summary ? null : interrupted);
    this.lose('reload');
    this.judged++;
  }

  finish(summary: RunSummary): void {
    this.summary = summary;
    this.config = summary.config;
    if (summary.error) this.error = summary.error;
    this.judged++;
    this.revision++;
  }

  fail(error: ErrorDetails): void {
    this.error = error;
    this.judged++;
    this.revision++;
  }
}
