// The files of a training project that say how to train: README.md, settings, requirements, accelerate configurations, an Axolotl file, Python.
// Not here: its rows, tokens, order and weights (session/trainingProject.ts), training and comparing (train.py, compare.py).

import type { Example, Message, MetricPoint } from '../../contract';
import { HYPERPARAMETER_NAMES, HYPERPARAMETERS, type Hyperparameters } from '../../hyperparameters';
import type { RateChange } from '../../stepContract';
import { plural } from '../../wording';
import { BASE_FOLDER, type BasePlace } from '../modelCard';
import compareScript from './compare.py?raw';
import trainScript from './train.py?raw';

/** settings.json: all that train.py reads beside tokens and order. */
export interface ProjectSettings {
  base_model: { folder: string } | { id: string; commit: string };
  hyperparameters: Hyperparameters;
  /** Names of the base model's tensors that learn; null for an adapter. */
  trainable: string[] | null;
  gradient_checkpointing: boolean;
  /** Peak learning rates that hold from the update with this number (from 0) on. */
  rate_changes: Pick<RateChange, 'step' | 'to'>[];
  total_steps: number;
  steps_per_epoch: number;
  /** Updates made before each evaluation. */
  evaluate_at: number[];
  /** Numbers of the lines of `tokens/` that are measured each time. */
  evaluation_rows: { train: number[]; validation: number[] };
}

export interface ProjectFacts {
  settings: ProjectSettings;
  base: BasePlace;
  /** adapter_config.json of the adapter before its first update; null without adapter. */
  adapterConfig: { target_modules: string[]; rank_pattern?: Record<string, number> } | null;
  rows: { train: number; validation: number; test: number; replay: number };
  /** Whether rows are conversations, plain texts, or some of each. */
  form: 'chat' | 'text' | 'both';
  points: readonly MetricPoint[];
  /** What this project leaves out of the run. */
  notices: readonly string[];
}

/** Versions that the scripts were run with. */
export const REQUIREMENTS = {
  torch: '2.13.0',
  transformers: '5.18.0',
  trl: '1.13.0',
  peft: '0.21.0',
  accelerate: '1.15.0',
  datasets: '5.0.1',
} as const;

/** A message in the form of OpenAI's chat API, in which the arguments of a call are JSON in a string. */
const openAiMessage = ({ role, content, tool_calls, ...message }: Message) => ({
  role,
  content: content === '' && tool_calls ? null : content,
  ...(tool_calls && {
    tool_calls: tool_calls.map((call) => ({
      ...call,
      function: {
        name: call.function.name,
        arguments:
          typeof call.function.arguments === 'string'
            ? call.function.arguments
            : JSON.stringify(call.function.arguments),
      },
    })),
  }),
  ...message,
});

/** A line of JSONL: a conversation in OpenAI's format, or `{"text": …}`. */
export function openAiRow({ messages, text, tools, weight }: Example): string {
  const about = weight === undefined ? {} : { weight };
  if (text !== undefined) return `${JSON.stringify({ text, ...about })}\n`;
  return `${JSON.stringify({ messages: messages.map(openAiMessage), ...(tools && { tools }), ...about })}\n`;
}

/** Losses at the evaluations, on the rows that train.py measures too. */
export function curveCsv(points: readonly MetricPoint[]): string {
  const train = new Map(points.filter((p) => p.name === 'train_eval_loss').map((p) => [p.step, p.value]));
  const lines = points.flatMap(({ name, step, value }) =>
    name === 'valid_loss' && train.has(step) ? [`${step},${train.get(step)},${value}\n`] : [],
  );
  return `step,train_loss,validation_loss\n${lines.join('')}`;
}

const ACCELERATE = {
  cpu: { what: 'CPU, one process', values: { distributed_type: 'NO', use_cpu: true, num_processes: 1 } },
  gpu: { what: 'One GPU', values: { distributed_type: 'NO', use_cpu: false, num_processes: 1 } },
  ddp: {
    what: 'Several GPUs, the whole model on each (DDP). Set num_processes to their number',
    values: { distributed_type: 'MULTI_GPU', use_cpu: false, num_processes: 2, num_machines: 1 },
  },
  fsdp: {
    what: 'Several GPUs, the model cut among them (FSDP). Set num_processes to their number',
    values: {
      distributed_type: 'FSDP',
      use_cpu: false,
      num_processes: 2,
      num_machines: 1,
      fsdp_config: {
        fsdp_version: 2,
        fsdp_auto_wrap_policy: 'TRANSFORMER_BASED_WRAP',
        fsdp_reshard_after_forward: true,
        fsdp_state_dict_type: 'FULL_STATE_DICT',
      },
    },
  },
} as const;

/** Of JSON nearly all is YAML; but 1e-8 without a point is a text to the YAML 1.1 that PyYAML reads. */
const scalar = (value: unknown) =>
  typeof value === 'number' ? String(value).replace(/^(-?\d+)e/, '$1.0e') : JSON.stringify(value);

/** YAML of nested records, with lists on one line. */
function yaml(values: Readonly<Record<string, unknown>>, indent = ''): string {
  return Object.entries(values)
    .map(([key, value]) =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? `${indent}${key}:\n${yaml(value as Record<string, unknown>, `${indent}  `)}`
        : `${indent}${key}: ${scalar(value)}\n`,
    )
    .join('');
}

/** A regular expression that matches a name and nothing else. */
const exactly = (name: string) => `^${name.replaceAll('.', '\\.')}$`;

/** Settings that have the same name and meaning in Axolotl. */
const SAME_IN_AXOLOTL =
  /^(adam_.*|lora_.*|learning_rate|warmup_ratio|weight_decay|max_grad_norm|gradient_accumulation_steps|seed)$/;

function axolotl({ settings, base, adapterConfig, form, rows }: ProjectFacts): string {
  const { hyperparameters: h } = settings;
  const type =
    form === 'text'
      ? { type: 'completion', field: 'text' }
      : {
          type: 'chat_template',
          field_messages: 'messages',
          roles_to_train: h.loss_on === 'all' ? ['system', 'user', 'assistant', 'tool'] : ['assistant'],
          train_on_eos: h.loss_on === 'last_answer' ? 'last' : 'turn',
        };
  const file = (side: string) => [{ path: `data/${side}.jsonl`, ds_type: 'json', split: 'train', ...type }];
  const learns = adapterConfig
    ? {
        adapter: 'lora',
        lora_target_modules: adapterConfig.target_modules,
        peft_use_dora: h.use_dora,
        peft_use_rslora: h.use_rslora,
      }
    : { unfrozen_parameters: (settings.trainable ?? []).map(exactly) };
  const same = HYPERPARAMETER_NAMES.filter(
    (name) => SAME_IN_AXOLOTL.test(name) && (HYPERPARAMETERS[name].applies?.(h) ?? true),
  );
  const missing = [
    'Loss mask, order and evaluation are Axolotl’s own, so its curve is near to curve.csv and not the same.',
    'HF’s warm-up starts with a rate of 0, and its evaluation loss is a mean of batch means.',
    ...(form === 'both'
      ? ['Some rows of data/ are plain texts ({"text": …}), which this type does not read.']
      : []),
    ...(rows.replay > 0 ? ['General rows that the run mixed in are left out.'] : []),
    ...(Object.keys(adapterConfig?.rank_pattern ?? {}).length > 0
      ? ['The ranks by layer are left out: lora_r is that of all.']
      : []),
    ...(h.label_smoothing_factor > 0 ? ['Label smoothing is left out.'] : []),
    ...(settings.rate_changes.length > 0 ? ['Changes of the learning rate are left out.'] : []),
  ];
  return [
    '# The same settings for Axolotl: axolotl train axolotl.yaml. This file was not run by the program that wrote it.',
    ...missing.map((sentence) => `# ${sentence}`),
    yaml({
      base_model: base.kind === 'hub' ? base.id : `./${BASE_FOLDER}`,
      ...(base.kind === 'hub' && { revision_of_model: base.commit }),
      chat_template: 'tokenizer_default',
      datasets: file('train'),
      test_datasets: file('validation'),
      output_dir: './axolotl_result',
      ...learns,
      sequence_len: h.max_length,
      sample_packing: false,
      pad_to_sequence_len: false,
      micro_batch_size: h.batch_size,
      num_epochs: h.num_train_epochs,
      lr_scheduler: h.lr_scheduler_type === 'constant' ? 'constant_with_warmup' : h.lr_scheduler_type,
      optimizer: 'adamw_torch',
      ...Object.fromEntries(same.map((name) => [name, h[name]])),
      ...(h.neftune_noise_alpha > 0 && { neftune_noise_alpha: h.neftune_noise_alpha }),
      evals_per_epoch: Math.max(1, h.eval_per_epoch),
      gradient_checkpointing: settings.gradient_checkpointing,
      bf16: false,
      fp16: false,
    }),
  ].join('\n');
}

function readme({ settings, base, rows, points, notices }: ProjectFacts): string {
  const { hyperparameters: h, total_steps, steps_per_epoch } = settings;
  const losses = points.filter((p) => p.name === 'valid_loss');
  const [first, last] = [losses[0], losses.at(-1)];
  const lowest = losses.reduce<MetricPoint | undefined>(
    (least, p) => (least && least.value <= p.value ? least : p),
    undefined,
  );
  const loss = (p?: MetricPoint) => (p ? `${p.value.toFixed(4)} at step ${p.step}` : 'not measured');
  const update = h.batch_size * h.gradient_accumulation_steps;
  const baseSentence = {
    hub: `The base model is ${base.kind === 'hub' ? `${base.id} at commit ${base.commit}` : ''}, which is downloaded.`,
    included: `The base model is in \`${BASE_FOLDER}\`.`,
    elsewhere: `First put the folder of the base model, ${base.kind === 'elsewhere' ? base.name : ''}, here and call it \`${BASE_FOLDER}\`.`,
  }[base.kind];
  return `# Training project

A run of Finetune Playground, to be trained again or further on a larger machine with TRL, PEFT and accelerate.

## Start

${baseSentence} Use Python 3.10 or later:

\`\`\`sh
pip install -r requirements.txt
accelerate launch --config_file accelerate/cpu.yaml train.py
python compare.py
\`\`\`

${Object.entries(ACCELERATE)
  .map(([name, { what }]) => `- \`accelerate/${name}.yaml\`: ${what}.`)
  .join('\n')}

Without a GPU, \`accelerate launch --config_file accelerate/ddp.yaml train.py --cpu\` shows what several devices do: two processes with the same curve. (With \`use_cpu\` accelerate itself starts one process.)
An update has ${plural(update, 'row')} however many processes there are; their number must divide ${update}. Where memory is short: \`train.py --rows_per_device 1\`. On a GPU \`--bf16\` is faster and a little less exact.
Hugging Face’s \`trl-jobs\` runs TRL’s own script on rented machines. It takes the rows of \`data/\`, but not the learned tokens, the order and the first weights of this project.

## What to expect

${plural(total_steps, 'update')}, ${steps_per_epoch} an epoch. Validation loss of the run in the browser: ${loss(first)}, lowest ${loss(lowest)}, last ${loss(last)}.
\`train.py\` measures the same rows after the same updates and writes \`curve_here.csv\`; \`compare.py\` prints both and draws \`compare.svg\`.
On a CPU in float32 the validation losses agree within 1 %, mostly in four digits. A difference at step 0 means other weights or tokens; one that grows means other arithmetic.
The weights after the last update go to \`result/\`.

## What is here

| | |
| --- | --- |
| \`data/\` | the rows as they were split: ${rows.train} to train, ${rows.validation} to validate, ${rows.test} for a test; JSONL in OpenAI's chat format |
| \`tokens/\` | the same rows as token ids, with a label where a token is learned and -100 where not${rows.replay > 0 ? `; \`replay.jsonl\` holds the ${plural(rows.replay, 'general row')} that are mixed in` : ''} |
| \`order.jsonl\` | the rows of each update |
| \`settings.json\` | all settings of the run |
${settings.trainable === null ? '| `start_adapter/` | the adapter before its first update |\n' : ''}| \`tokenizer/\` | tokenizer and chat template |
| \`curve.csv\` | the losses of the run |
| \`axolotl.yaml\` | the same settings for Axolotl |

No run has read \`data/test.jsonl\`, nor does \`train.py\`.

## What the libraries do differently

\`train.py\` follows the run in the browser in these points:

- HF's Trainer reports as evaluation loss the mean of the means of batches. Here it is the mean over all learned tokens.
- HF's warm-up gives the first update a rate of 0. Here update s of w has s / w of the rate, from s = 1.
- TRL's own chat templates also learn the line break after the end token. Here the learned tokens are those of \`tokens/\`.
- TRL computes in bfloat16 unless told otherwise, and GPT-2's configuration has dropout in every layer. Here neither.
- HF decides by name which tensors have weight decay. Here all that have more than one dimension, except biases.

And it does not follow it in these:

- Dropout and NEFTune draw other random numbers.
- There is no early stopping, and the last weights are kept, not the best.
- Two GPUs, or bfloat16, add up in another order, so digits differ further down. The configurations for GPUs were not run before this was written: \`ddp.yaml\` was, on two processes of a CPU.
${notices.map((sentence) => `- ${sentence}\n`).join('')}`;
}

/** The files that are text and not rows. */
export function projectFiles(facts: ProjectFacts): { path: string; bytes: string }[] {
  const requirements = Object.entries(REQUIREMENTS).map(([name, version]) => `${name}==${version}\n`);
  return [
    { path: 'README.md', bytes: readme(facts) },
    { path: 'settings.json', bytes: `${JSON.stringify(facts.settings, null, 2)}\n` },
    { path: 'requirements.txt', bytes: requirements.join('') },
    { path: 'train.py', bytes: trainScript },
    { path: 'compare.py', bytes: compareScript },
    { path: 'curve.csv', bytes: curveCsv(facts.points) },
    { path: 'axolotl.yaml', bytes: axolotl(facts) },
    ...Object.entries(ACCELERATE).map(([name, { what, values }]) => ({
      path: `accelerate/${name}.yaml`,
      bytes: `# ${what}.\n${yaml({ compute_environment: 'LOCAL_MACHINE', ...values, mixed_precision: 'no' })}`,
    })),
  ];
}
