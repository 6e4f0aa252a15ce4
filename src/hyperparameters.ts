// ONE table of everything that can be turned: the form, validation, the run record, the docs and the command line read it.
// Not here: checking values (hyperparameterChecks.ts), what a setting does (engine/), how it looks (ui/).

import { readRankPattern } from './rankPattern';

/** Every setting of a run, by its Hugging Face / PEFT name where one exists. */
export interface Hyperparameters {
  method: 'lora' | 'full' | 'last_layers';
  learning_rate: number;
  num_train_epochs: number;
  batch_size: number;
  gradient_accumulation_steps: number;
  lr_scheduler_type: 'cosine' | 'linear' | 'constant';
  warmup_ratio: number;
  lora_r: number;
  rank_pattern: string;
  lora_alpha: number;
  lora_dropout: number;
  use_rslora: boolean;
  use_dora: boolean;
  target_modules: 'all-linear' | 'attention' | 'mlp';
  trainable_layers: number;
  train_embeddings: boolean;
  max_length: number;
  loss_on: 'answers' | 'last_answer' | 'all';
  validation_fraction: number;
  test_fraction: number;
  train_fraction: number;
  replay_fraction: number;
  folds: number;
  eval_per_epoch: number;
  max_eval_samples: number;
  early_stopping_patience: number;
  weight_decay: number;
  max_grad_norm: number;
  adam_beta1: number;
  adam_beta2: number;
  adam_epsilon: number;
  label_smoothing_factor: number;
  neftune_noise_alpha: number;
  gradient_checkpointing: 'auto' | 'on' | 'off';
  seed: number;
}

export type HyperparameterName = keyof Hyperparameters;

export type Group = 'method' | 'learning' | 'data' | 'advanced';

interface EntryBase {
  label: string;
  group: Group;
  help: string;
  unit?: string;
  /** Whether it has any effect, given the others. */
  applies?: (h: Hyperparameters) => boolean;
  /** False where it changes which tokens are held out or when they are measured, or no number at all: runs cannot be compared over it. */
  comparable?: false;
}
export interface NumberEntry extends EntryBase {
  kind: 'number' | 'integer';
  default: number;
  min: number;
  max: number;
  /** Outside this the page warns, and runs all the same. */
  sensible?: (h: Hyperparameters) => [number, number];
  /** Form step; 'log' when each nudge should multiply. */
  step: number | 'log';
}
export interface ChoiceEntry extends EntryBase {
  kind: 'choice';
  default: string;
  options: readonly { value: string; label: string }[];
}
export interface BooleanEntry extends EntryBase {
  kind: 'boolean';
  default: boolean;
}
export interface TextEntry extends EntryBase {
  kind: 'text';
  default: string;
  placeholder: string;
  /** What is wrong with this text, as a sentence; null when nothing is. */
  check: (text: string) => string | null;
}
export type Entry = NumberEntry | ChoiceEntry | BooleanEntry | TextEntry;

const usesAdapters = (h: Hyperparameters) => h.method === 'lora';

/**
 * Learning rate by method. Measured on the shipped models: see `models/README.md`, "Calibration".
 * LoRA wants about ten times what full fine-tuning wants (Schulman et al. 2025, "LoRA Without Regret").
 */
export const LEARNING_RATES: Record<Hyperparameters['method'], number> = {
  lora: 5e-3,
  full: 5e-4,
  last_layers: 1e-3,
};

export const HYPERPARAMETERS: { readonly [K in HyperparameterName]: Entry } = {
  method: {
    kind: 'choice',
    label: 'Method',
    group: 'method',
    default: 'lora',
    options: [
      { value: 'lora', label: 'LoRA adapter' },
      { value: 'full', label: 'Full fine-tuning' },
      { value: 'last_layers', label: 'Last layers only' },
    ],
    help: 'What learns. LoRA freezes the model and trains small matrices beside it: a small file, less forgetting. Full changes every weight. Last layers changes only the top of the stack.',
  },
  learning_rate: {
    kind: 'number',
    label: 'Learning rate',
    group: 'learning',
    default: LEARNING_RATES.lora,
    min: 0,
    max: 1,
    step: 'log',
    sensible: (h) => [LEARNING_RATES[h.method] / 20, LEARNING_RATES[h.method] * 5],
    help: 'How far each step moves the weights. Too high and the loss jumps or explodes; too low and nothing happens in the time you have. Its default follows the method.',
  },
  num_train_epochs: {
    kind: 'integer',
    label: 'Epochs',
    group: 'learning',
    default: 3,
    min: 1,
    max: 1000,
    step: 1,
    // A dozen rows take 50 to be learned by heart with LoRA (the card of “Twelve rows”), which is what that sample is for.
    sensible: () => [1, 50],
    help: 'How often the model sees every training row. 1 to 3 is usual with thousands of rows, 5 to 15 with a few hundred; more makes a small data set be learned by heart, which the validation curve shows.',
  },
  batch_size: {
    kind: 'integer',
    label: 'Batch size',
    group: 'learning',
    unit: 'rows',
    default: 8,
    min: 1,
    max: 256,
    step: 1,
    sensible: () => [1, 32],
    help: 'Rows whose gradients are averaged before the weights move. Small batches are noisy and make more steps; large ones are smooth and need more memory.',
  },
  gradient_accumulation_steps: {
    kind: 'integer',
    label: 'Accumulation',
    group: 'advanced',
    unit: 'batches',
    default: 1,
    min: 1,
    max: 64,
    step: 1,
    help: 'Adds up the gradients of this many batches before one update: the effect of a larger batch without its memory.',
  },
  lr_scheduler_type: {
    kind: 'choice',
    label: 'Schedule',
    group: 'learning',
    default: 'cosine',
    options: [
      { value: 'cosine', label: 'Cosine to zero' },
      { value: 'linear', label: 'Linear to zero' },
      { value: 'constant', label: 'Constant' },
    ],
    help: 'How the learning rate falls after the warm-up. Falling to zero lets the weights settle; constant keeps on pushing.',
  },
  warmup_ratio: {
    kind: 'number',
    label: 'Warm-up',
    group: 'advanced',
    unit: 'of all steps',
    default: 0.05,
    min: 0,
    max: 0.9,
    step: 0.01,
    sensible: () => [0, 0.3],
    help: 'Share of the run during which the learning rate climbs from near zero, so that the first noisy steps do no harm.',
  },
  lora_r: {
    kind: 'integer',
    label: 'LoRA rank (r)',
    group: 'method',
    default: 8,
    min: 1,
    max: 256,
    step: 1,
    sensible: () => [1, 64],
    applies: usesAdapters,
    help: 'Width of the adapter. Higher learns more and forgets more; 8 to 16 is plenty for a style or a format.',
  },
  rank_pattern: {
    kind: 'text',
    label: 'Rank by layer',
    group: 'advanced',
    default: '',
    placeholder: 'mlp=16, layers.0=4',
    applies: usesAdapters,
    check: (text) => readRankPattern(text).problem,
    help: 'Other ranks for some layers: part of a layer’s name, an equals sign, a rank; several with commas. The first that fits counts; 0 leaves a layer without an adapter.',
  },
  lora_alpha: {
    kind: 'number',
    label: 'LoRA alpha',
    group: 'method',
    default: 16,
    min: 0.1,
    max: 1024,
    step: 1,
    applies: usesAdapters,
    help: 'The adapter’s output is multiplied by alpha / r. Twice the rank is a common choice.',
  },
  lora_dropout: {
    kind: 'number',
    label: 'LoRA dropout',
    group: 'advanced',
    default: 0,
    min: 0,
    max: 0.9,
    step: 0.05,
    sensible: () => [0, 0.3],
    applies: usesAdapters,
    help: 'Share of the adapter’s inputs set to zero at random while training: a brake on learning by heart. Off while evaluating and talking.',
  },
  use_rslora: {
    kind: 'boolean',
    label: 'rsLoRA scaling',
    group: 'advanced',
    default: false,
    applies: usesAdapters,
    help: 'Scales by alpha / √r instead of alpha / r, so that high ranks learn as fast as low ones (Kalajdzievski 2023).',
  },
  use_dora: {
    kind: 'boolean',
    label: 'DoRA',
    group: 'advanced',
    default: false,
    applies: usesAdapters,
    help: 'Learns the length and the direction of each weight row apart (Liu et al. 2024). Slower; sometimes closer to full fine-tuning.',
  },
  target_modules: {
    kind: 'choice',
    label: 'LoRA targets',
    group: 'advanced',
    default: 'all-linear',
    options: [
      { value: 'all-linear', label: 'All linear layers' },
      { value: 'attention', label: 'Attention only' },
      { value: 'mlp', label: 'MLP only' },
    ],
    applies: usesAdapters,
    help: 'Which layers get an adapter. All linear layers learn best for the same size of file.',
  },
  trainable_layers: {
    kind: 'integer',
    label: 'Layers to train',
    group: 'method',
    default: 1,
    min: 1,
    max: 128,
    step: 1,
    applies: (h) => h.method === 'last_layers',
    help: 'How many layers, counted from the output, may change. The rest stays frozen.',
  },
  train_embeddings: {
    kind: 'boolean',
    label: 'Train embeddings',
    group: 'advanced',
    default: true,
    applies: (h) => h.method === 'full',
    help: 'Whether the table that turns tokens into vectors (and, where tied, the output head) learns too.',
  },
  max_length: {
    kind: 'integer',
    label: 'Longest row',
    group: 'data',
    comparable: false,
    unit: 'tokens',
    default: 256,
    min: 8,
    max: 32768,
    step: 8,
    help: 'Rows with more tokens are cut at the end. It may not exceed the model’s context length.',
  },
  loss_on: {
    kind: 'choice',
    label: 'Learn from',
    group: 'data',
    comparable: false,
    default: 'answers',
    options: [
      { value: 'answers', label: 'Every answer' },
      { value: 'last_answer', label: 'The last answer' },
      { value: 'all', label: 'Everything' },
    ],
    help: 'Which tokens count in the loss. Usually only the assistant’s words and its end-of-turn token.',
  },
  validation_fraction: {
    kind: 'number',
    label: 'Validation share',
    group: 'data',
    comparable: false,
    default: 0.2,
    min: 0.05,
    max: 0.5,
    step: 0.05,
    sensible: () => [0.1, 0.3],
    help: 'Share of the rows that are held out: the model is measured on them and does not train on them. Near-duplicates stay on one side while there are enough other rows.',
  },
  test_fraction: {
    kind: 'number',
    label: 'Test share',
    group: 'data',
    comparable: false,
    default: 0,
    min: 0,
    max: 0.5,
    step: 0.05,
    sensible: () => [0, 0.3],
    help: 'Share of the rows that is kept aside for one last measurement, after all choices are made. No run reads them: neither training, the curves, the verdict nor early stopping. 0 keeps none.',
  },
  train_fraction: {
    kind: 'number',
    label: 'Training rows used',
    group: 'data',
    unit: 'share',
    default: 1,
    min: 0.01,
    max: 1,
    step: 0.05,
    help: 'Share of the training rows that a run learns from, drawn by the seed; the held-out rows stay the same. A smaller share is a part of every larger one, so runs with 0.5 and 1 show whether more rows help. 1 uses all.',
  },
  replay_fraction: {
    kind: 'number',
    label: 'Replay share',
    group: 'data',
    default: 0,
    min: 0,
    max: 0.5,
    step: 0.05,
    help: 'Share of the rows of each epoch that are general ones, which are shipped with this program: conversations and short texts of other kinds, mixed in against forgetting. Your rows are still seen once an epoch, so epochs get longer. 0 mixes in none.',
  },
  folds: {
    kind: 'integer',
    label: 'Folds',
    group: 'advanced',
    comparable: false,
    unit: 'runs',
    default: 1,
    min: 1,
    max: 20,
    step: 1,
    sensible: () => [1, 10],
    help: 'After the run, so many more with each part of the rows held out in turn (cross-validation): the mean of their validation losses and its standard error say more than one split where rows are few (under 40). Takes as many times as long; 1 makes none.',
  },
  eval_per_epoch: {
    kind: 'integer',
    label: 'Evaluations per epoch',
    group: 'data',
    comparable: false,
    default: 0,
    min: 0,
    max: 50,
    step: 1,
    help: 'How often both losses are measured. 0 decides by itself: 9 to 25 times a run, more often at the start, so that measuring takes about a tenth of the run. There is always one before the first step and one after the last.',
  },
  max_eval_samples: {
    kind: 'integer',
    label: 'Rows per evaluation',
    group: 'data',
    comparable: false,
    unit: 'rows of each split',
    default: 0,
    min: 0,
    max: 1_000_000,
    step: 1,
    help: 'At most so many held-out rows, and as many training rows, are measured during the run, the same each time. 0 decides by itself: 8 to 64, as many as about a tenth of the run allows. At the end, all held-out rows are measured.',
  },
  early_stopping_patience: {
    kind: 'integer',
    label: 'Early stopping',
    group: 'advanced',
    unit: 'evaluations',
    default: 0,
    min: 0,
    max: 100,
    step: 1,
    help: 'Stop after this many evaluations without a better validation loss. 0 never stops early: then you can watch the overfitting.',
  },
  weight_decay: {
    kind: 'number',
    label: 'Weight decay',
    group: 'advanced',
    default: 0,
    min: 0,
    max: 1,
    step: 0.01,
    sensible: () => [0, 0.2],
    help: 'Pulls weights towards zero at every step, apart from the gradient (AdamW). Norms and biases are spared.',
  },
  max_grad_norm: {
    kind: 'number',
    label: 'Gradient clipping',
    group: 'advanced',
    default: 1,
    min: 0,
    max: 1000,
    step: 0.1,
    help: 'Scales the gradient down when its length over all weights exceeds this. 0 switches it off.',
  },
  adam_beta1: {
    kind: 'number',
    label: 'Adam β₁',
    group: 'advanced',
    default: 0.9,
    min: 0,
    max: 0.9999,
    step: 0.01,
    help: 'Memory of the mean gradient.',
  },
  adam_beta2: {
    kind: 'number',
    label: 'Adam β₂',
    group: 'advanced',
    default: 0.999,
    min: 0,
    max: 0.99999,
    step: 0.001,
    help: 'Memory of the mean squared gradient.',
  },
  adam_epsilon: {
    kind: 'number',
    label: 'Adam ε',
    group: 'advanced',
    default: 1e-8,
    min: 1e-12,
    max: 0.1,
    step: 'log',
    help: 'Keeps the division safe when gradients are tiny.',
  },
  label_smoothing_factor: {
    kind: 'number',
    label: 'Label smoothing',
    group: 'advanced',
    default: 0,
    min: 0,
    max: 0.5,
    step: 0.01,
    help: 'Moves this share of each target to all other tokens. It lifts the training loss by design; evaluation stays without it.',
  },
  neftune_noise_alpha: {
    kind: 'number',
    label: 'NEFTune noise',
    group: 'advanced',
    default: 0,
    min: 0,
    max: 50,
    step: 1,
    sensible: () => [0, 15],
    help: 'Adds uniform noise to the embeddings while training (Jain et al. 2023); 5 is usual. 0 switches it off.',
  },
  gradient_checkpointing: {
    kind: 'choice',
    label: 'Gradient checkpointing',
    group: 'advanced',
    comparable: false,
    default: 'auto',
    options: [
      { value: 'auto', label: 'When needed' },
      { value: 'on', label: 'On' },
      { value: 'off', label: 'Off' },
    ],
    help: 'Keeps only each layer’s input and computes the rest again on the way back: much less memory, about a third more work, the same gradients. “When needed” switches it on only where a run does not fit without it.',
  },
  seed: {
    kind: 'integer',
    label: 'Seed',
    group: 'advanced',
    default: 42,
    min: 0,
    max: 2 ** 31 - 1,
    step: 1,
    help: 'The same seed, data and settings give the same run.',
  },
};

export const HYPERPARAMETER_NAMES = Object.keys(HYPERPARAMETERS) as HyperparameterName[];

/** All defaults. */
export function defaultHyperparameters(): Hyperparameters {
  const values = HYPERPARAMETER_NAMES.map((name) => [name, HYPERPARAMETERS[name].default]);
  return Object.fromEntries(values) as unknown as Hyperparameters;
}

/** Weights of the model that LEARNING_RATES were measured on; up to four times as many they stand as they are. */
const MEASURED_ON = 1.4e6;

/**
 * The learning rate to begin with. Larger models want smaller steps: here (measured size / size)^0.4, to one digit, which meets the usual
 * values (LoRA about 5e-4 at half a billion weights). Beyond the shipped models it is an estimate; the range test is the measurement.
 * @param parameters weights of the model; null = none chosen
 */
export function defaultLearningRate(method: Hyperparameters['method'], parameters: number | null): number {
  const measured = LEARNING_RATES[method];
  if (parameters === null || parameters <= 4 * MEASURED_ON) return measured;
  return Number((measured * (MEASURED_ON / parameters) ** 0.4).toPrecision(1));
}

/** Change one setting; a learning rate that still has its default follows the method. */
export function withChange<K extends HyperparameterName>(
  h: Hyperparameters,
  name: K,
  value: Hyperparameters[K],
  parameters: number | null = null,
): Hyperparameters {
  const next = { ...h, [name]: value };
  if (name === 'method' && h.learning_rate === defaultLearningRate(h.method, parameters)) {
    next.learning_rate = defaultLearningRate(next.method, parameters);
  }
  return next;
}

/** Settings for another model: a learning rate that still has its default follows the size. */
export function forModel(h: Hyperparameters, before: number | null, after: number): Hyperparameters {
  if (h.learning_rate !== defaultLearningRate(h.method, before)) return h;
  return { ...h, learning_rate: defaultLearningRate(h.method, after) };
}

/** The settings that decide which tokens a row has and on which side of the split it stands. */
export const ROW_SETTINGS = [
  'max_length',
  'loss_on',
  'validation_fraction',
  'test_fraction',
  'train_fraction',
  'seed',
] as const;
export type RowSettings = Pick<Hyperparameters, (typeof ROW_SETTINGS)[number]>;

/** The settings that decide which rows a run learns from: with one of them changed, the rows are encoded again. */
export const DATA_SETTINGS = [...ROW_SETTINGS, 'replay_fraction'] as const;
