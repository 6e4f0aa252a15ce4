// The names that the Trainer of transformers and its TensorBoardCallback give to what a run measures.
// Not here: the files with these names (trainerState.ts, eventFile.ts), our own names (contract.ts).

import type { MetricName } from '../contract';

/** Keys of `log_history` in trainer_state.json. What transformers itself logs has its name; the rest follows its pattern. */
export const LOG_NAMES: Readonly<Record<MetricName, string>> = {
  train_loss: 'loss',
  learning_rate: 'learning_rate',
  grad_norm: 'grad_norm',
  tokens_per_second: 'tokens_per_second',
  memory_allocated: 'memory_allocated',
  valid_loss: 'eval_loss',
  valid_mean_token_accuracy: 'eval_mean_token_accuracy',
  valid_loss_standard_error: 'eval_loss_standard_error',
  valid_rise_standard_error: 'eval_rise_standard_error',
  train_eval_loss: 'eval_train_loss',
  train_eval_mean_token_accuracy: 'eval_train_mean_token_accuracy',
  full_valid_loss: 'eval_full_loss',
  full_valid_mean_token_accuracy: 'eval_full_mean_token_accuracy',
  full_valid_loss_standard_error: 'eval_full_loss_standard_error',
  full_valid_rise_standard_error: 'eval_full_rise_standard_error',
  full_train_eval_loss: 'eval_full_train_loss',
  full_train_eval_mean_token_accuracy: 'eval_full_train_mean_token_accuracy',
  general_loss: 'eval_general_loss',
  general_rise_standard_error: 'eval_general_rise_standard_error',
  full_general_loss: 'eval_full_general_loss',
  full_general_rise_standard_error: 'eval_full_general_rise_standard_error',
};

/** The tag of a metric in TensorBoard, as `rewrite_logs` of transformers makes it: `train/loss`, `eval/loss`. */
export function tagOf(name: MetricName): string {
  const logged = LOG_NAMES[name];
  return logged.startsWith('eval_') ? `eval/${logged.slice('eval_'.length)}` : `train/${logged}`;
}
