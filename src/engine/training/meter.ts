// What the trainer tells, turned into metric points; the speed of training beside it.
// Not here: a clock (whoever runs the trainer has one), what the numbers mean (metrics/).

import type { MetricName, MetricPoint } from '../../contract';
import type { TrainEvent } from './train';

export class Meter {
  /** All that has been measured. */
  readonly points: MetricPoint[] = [];
  #trainingMs = 0;
  #tokens = 0;
  #epoch = 0;

  /** Of the last update or evaluation. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Over all of the training so far, evaluations not counted; null before any. */
  get tokensPerSecond(): number | null {
    return this.#trainingMs > 0 ? this.#tokens / (this.#trainingMs / 1000) : null;
  }

  /**
   * The points of one event, which are kept in `points` too.
   * @param workedMs what the trainer took to get here from the event before
   * @param elapsedMs the run's age
   */
  take(event: TrainEvent, workedMs: number, elapsedMs: number): MetricPoint[] {
    if (event.kind === 'step' || (event.kind === 'breath' && event.during === 'training'))
      this.#trainingMs += workedMs;
    if (event.kind === 'breath') return [];
    const { step, epoch, tokens } = event;
    this.#epoch = epoch;
    if (event.kind === 'step') this.#tokens = tokens;
    const values: [MetricName, number][] =
      event.kind === 'step'
        ? [
            ['train_loss', event.loss],
            ['learning_rate', event.learningRate],
            ['grad_norm', event.gradNorm],
            ['tokens_per_second', this.tokensPerSecond ?? 0],
          ]
        : [
            ['train_eval_loss', event.train.loss],
            ['train_eval_mean_token_accuracy', event.train.meanTokenAccuracy],
            ['full_valid_loss', event.validation.loss],
            ['full_valid_mean_token_accuracy', event.validation.meanTokenAccuracy],
            ['full_valid_loss_standard_error', event.validation.standardError],
            ['full_valid_rise_standard_error', event.riseStandardError],
          ];
    const points = values.map(([name, value]) => ({ name, step, epoch, tokens, elapsedMs, value }));
    this.points.push(...points);
    return points;
  }
}
