// Settings that cause something on purpose, for teaching: one list that the form and links read.
// Not here: what a setting means (hyperparameters.ts), the settings that a sample was measured with (ui/state/samples.ts).

import { defaultHyperparameters, defaultLearningRate, type Hyperparameters } from './hyperparameters';

export interface Preset {
  id: string;
  label: string;
  /** What will be seen, in a sentence. */
  effect: string;
  /** All settings, for a model of so many weights; null before one is loaded. What is not named here has its default. */
  settings: (parameters: number | null) => Hyperparameters;
}

const rateOf = (method: Hyperparameters['method'], parameters: number | null, factor: number) =>
  Math.min(1, Number((factor * defaultLearningRate(method, parameters)).toPrecision(2)));

/** The method is a part of each: with another one, the same factors do not cause the same thing (AdamW on LoRA hardly ever diverges). */
export const PRESETS: readonly Preset[] = [
  {
    id: 'overfit',
    label: 'Overfit on purpose',
    effect: 'LoRA, 40 epochs: training loss falls to nothing, validation loss turns up.',
    settings: (parameters) => ({
      ...defaultHyperparameters(),
      method: 'lora',
      learning_rate: rateOf('lora', parameters, 1),
      num_train_epochs: 40,
    }),
  },
  {
    id: 'diverge',
    label: 'Diverge on purpose',
    effect:
      'Full fine-tuning, a learning rate two hundred times too high: the loss climbs instead of falling.',
    settings: (parameters) => ({
      ...defaultHyperparameters(),
      method: 'full',
      learning_rate: rateOf('full', parameters, 200),
      lr_scheduler_type: 'constant',
      warmup_ratio: 0,
      max_grad_norm: 0,
    }),
  },
  {
    id: 'underfit',
    label: 'Underfit on purpose',
    effect: 'LoRA, a learning rate two hundred times too low: both losses stay where they are.',
    settings: (parameters) => ({
      ...defaultHyperparameters(),
      method: 'lora',
      learning_rate: rateOf('lora', parameters, 1 / 200),
      num_train_epochs: 2,
    }),
  },
  {
    id: 'defaults',
    label: 'Start again',
    effect: 'Every setting at its default.',
    settings: (parameters) => ({
      ...defaultHyperparameters(),
      learning_rate: rateOf(defaultHyperparameters().method, parameters, 1),
    }),
  },
];
