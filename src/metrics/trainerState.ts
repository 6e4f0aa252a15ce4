// trainer_state.json, as the Trainer of transformers saves it: what ran, and one entry of `log_history` a step and an evaluation.
// Not here: the names in it (logNames.ts), writing the file (session/results.ts).

import type { MetricPoint, RunConfig } from '../contract';
import { lowest, series } from './curves';
import { LOG_NAMES } from './logNames';

/** A fresh entry of `log_history`; a number that is none is null, since JSON has no other word for it. */
type Logged = Record<string, number | null>;

/**
 * The text of trainer_state.json (transformers 5.18, `TrainerState`). Steps and evaluations have entries of their own, by step, the step's
 * first. The best step is the one whose weights are kept, or before the end the one with the lowest loss so far.
 * @param best of the run's summary; null while there is none
 */
export function trainerState(
  config: RunConfig,
  points: readonly MetricPoint[],
  best: { step: number; loss: number } | null,
): string {
  const { hyperparameters: h, totalSteps, evaluation } = config;
  const history = logHistory(points);
  const soFar = lowest(series(points, 'valid_loss'));
  const kept = best ?? (soFar && { step: soFar.step, loss: soFar.value });
  const most = (of: (point: MetricPoint) => number) =>
    points.reduce((max, point) => Math.max(max, of(point)), 0);
  const state = {
    best_global_step: kept?.step ?? null,
    best_metric: kept?.loss ?? null,
    best_model_checkpoint: null,
    epoch: most((point) => point.epoch),
    eval_steps: Math.max(1, Math.round(totalSteps / Math.max(1, evaluation.evaluations - 1))),
    global_step: most((point) => point.step),
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: history,
    logging_steps: 1,
    max_steps: totalSteps,
    num_input_tokens_seen: most((point) => point.tokens),
    num_train_epochs: h.num_train_epochs,
    save_steps: totalSteps,
    stateful_callbacks: {},
    // Not counted.
    total_flos: 0,
    train_batch_size: h.batch_size,
    trial_name: null,
    trial_params: null,
  };
  return `${JSON.stringify(state, null, 2)}\n`;
}

function logHistory(points: readonly MetricPoint[]): Logged[] {
  const entries = new Map<string, { step: number; evaluation: boolean; logged: Logged }>();
  for (const { name, step, epoch, value } of points) {
    const logged = LOG_NAMES[name];
    const evaluation = logged.startsWith('eval_');
    const key = `${step} ${evaluation}`;
    const entry = entries.get(key) ?? { step, evaluation, logged: { epoch, step } };
    entry.logged[logged] = Number.isFinite(value) ? value : null;
    entries.set(key, entry);
  }
  return [...entries.values()]
    .sort((a, b) => a.step - b.step || Number(a.evaluation) - Number(b.evaluation))
    .map(({ logged }) => logged);
}
