// Events of the trainer → metric points, and the speed of training.
// Not here: a clock (the caller passes times), what the numbers mean (metrics/).

import type { MemoryReport, MetricName, MetricPoint } from '../../contract';
import type { GeneralReport } from './generalProbe';
import type { YieldPoint } from './step';
import type { EvaluationReport, StepReport, TrainEvent } from './train';

export class Meter {
  /** Every point so far. */
  readonly points: MetricPoint[] = [];
  #trainingMs = 0;
  #tokens = 0;
  #epoch = 0;
  /** In bytes, as of the last point that says it. */
  #memory: number | null = null;

  /** Time in which the tokens counted here were trained on. */
  get trainingMs(): number {
    return this.#trainingMs;
  }

  /** Restores the points of an interrupted run. */
  restore(points: readonly MetricPoint[], trainingMs: number): void {
    this.points.push(...points);
    this.#trainingMs = trainingMs;
    for (const { name, epoch, tokens, value } of points) {
      this.#epoch = Math.max(this.#epoch, epoch);
      if (name === 'memory_allocated') this.#memory = value;
      if (name === 'train_loss') this.#tokens = tokens;
    }
  }

  /** Epoch of the last update or evaluation. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Mean over all training so far, without evaluations; null before the first update. */
  get tokensPerSecond(): number | null {
    return this.#trainingMs > 0 ? this.#tokens / (this.#trainingMs / 1000) : null;
  }

  /**
   * The points of one event, which are appended to `points`.
   * @param workedMs time the trainer took since the event before
   * @param elapsedMs time since the run began
   * @param memory after the event
   */
  take(event: TrainEvent, workedMs: number, elapsedMs: number, memory: MemoryReport): MetricPoint[] {
    if (event.kind === 'step' || (event.kind === 'yield' && event.during === 'training'))
      this.#trainingMs += workedMs;
    if (event.kind === 'yield') return [];
    const { step, epoch, tokens } = event;
    this.#epoch = Math.max(this.#epoch, epoch);
    if (event.kind === 'step') this.#tokens = tokens;
    const values = this.#valuesOf(event);
    const allocated = memory.deviceBytes ?? memory.tensorBytes;
    if (allocated !== this.#memory) values.push(['memory_allocated', allocated]);
    this.#memory = allocated;
    const points = values.map(([name, value]) => ({ name, step, epoch, tokens, elapsedMs, value }));
    this.points.push(...points);
    return points;
  }

  #valuesOf(event: Exclude<TrainEvent, YieldPoint>): [MetricName, number][] {
    if (event.kind === 'step') return this.#stepValues(event);
    return event.kind === 'evaluation' ? evaluationValues(event) : generalValues(event);
  }

  #stepValues({ loss, learningRate, gradNorm }: StepReport): [MetricName, number][] {
    return [
      ['train_loss', loss],
      ['learning_rate', learningRate],
      ['grad_norm', gradNorm],
      ['tokens_per_second', this.tokensPerSecond ?? 0],
    ];
  }
}

/** Metrics of all rows have names of their own (`full_…`), so that a sample's number is never shown as that of all rows. */
function evaluationValues({
  on,
  train,
  validation,
  riseStandardError,
}: EvaluationReport): [MetricName, number][] {
  const named = (full: '' | 'full_'): [MetricName, number][] => [
    [`${full}train_eval_loss`, train.loss],
    [`${full}train_eval_mean_token_accuracy`, train.meanTokenAccuracy],
    [`${full}valid_loss`, validation.loss],
    [`${full}valid_mean_token_accuracy`, validation.meanTokenAccuracy],
    [`${full}valid_loss_standard_error`, validation.standardError],
    [`${full}valid_rise_standard_error`, riseStandardError],
  ];
  return [...(on === 'all' ? [] : named('')), ...(on === 'sample' ? [] : named('full_'))];
}

function generalValues({ sample, all }: GeneralReport): [MetricName, number][] {
  const values: [MetricName, number][] = [];
  if (sample)
    values.push(['general_loss', sample.loss], ['general_rise_standard_error', sample.riseStandardError]);
  if (all)
    values.push(['full_general_loss', all.loss], ['full_general_rise_standard_error', all.riseStandardError]);
  return values;
}
