// README.md of an exported folder: what it is, Python code to load it, how it was trained. test/interop/ runs that Python.
// Not here: the other files of the folder (peft.ts, engine/model/artifacts.ts).

import { HYPERPARAMETER_NAMES, HYPERPARAMETERS, type Hyperparameters } from '../hyperparameters';

/** The folder of the base model inside an exported adapter. */
export const BASE_FOLDER = 'base_model';

/** The same for Python: without `./` a folder that is missing would be looked up on the hub. */
export const BASE_PATH = `./${BASE_FOLDER}`;

/** Where the base model of an adapter is: on the hub at a commit, in `BASE_FOLDER`, or still to be put there. */
export type BasePlace =
  | { kind: 'hub'; id: string; commit: string }
  | { kind: 'included'; name: string }
  | { kind: 'elsewhere'; name: string };

export interface Training {
  hyperparameters: Hyperparameters;
  dataset: {
    name: string;
    hash: string;
    trainRows: number;
    validationRows: number;
    /** Sentences on how far its validation losses can be trusted. */
    remarks: readonly string[];
  };
  /** Losses at the evaluations. */
  results: readonly EvaluationResult[];
}

export interface EvaluationResult {
  step: number;
  epoch: number;
  trainLoss: number | null;
  validationLoss: number;
  /** Rows behind the validation loss. */
  heldOutRows: number;
}

export interface ModelCard {
  base: BasePlace;
  /** Kind of the folder: an adapter with the number of its layers, or the whole model. */
  content: { adaptedLayers: number } | 'whole model';
  /** Ids that end an answer. */
  stopIds: readonly number[];
  /** Whether generation_config.json of the base model asks for a repetition penalty, which the program here does not know. */
  repetitionPenalty: boolean;
  /** Whether the chat template can turn thinking off, as it is here. */
  thinkingOff: boolean;
  /** Null when the folder was merged from an adapter whose training is not known. */
  training: Training | null;
}

const nameOf = (base: BasePlace) => (base.kind === 'hub' ? base.id : base.name);

/** Text of one line, so that a name breaks neither YAML nor a table. */
const oneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

export function modelCard(card: ModelCard): string {
  const whole = card.content === 'whole model';
  const name = oneLine(nameOf(card.base));
  const training = card.training === null ? [] : trainingSection(card.training, card.content);
  return [
    ...metadata(card.base, whole),
    '',
    whole ? `# ${name}, fine-tuned` : `# LoRA adapter for ${name}`,
    '',
    'Made with Finetune Playground.',
    '',
    '## Use',
    '',
    ...useSection(card, whole),
    '',
    'Use it with the chat template of this folder and with the system message it was trained with; others give poor answers.',
    '',
    ...training,
  ].join('\n');
}

/** A hub looks `base_model` up among its own models, so that it is named only where it is one of them. */
function metadata(base: BasePlace, whole: boolean): string[] {
  const relation = whole ? 'finetune' : 'adapter';
  const hub =
    base.kind === 'hub'
      ? [
          // YAML reads a quoted JSON string as it is, whatever the name holds.
          `base_model: ${JSON.stringify(base.id)}`,
          `base_model_relation: ${relation}`,
          'tags:',
          `- ${JSON.stringify(`base_model:${relation}:${base.id}`)}`,
          ...(whole ? [] : ['- lora']),
        ]
      : [];
  return [
    '---',
    `library_name: ${whole ? 'transformers' : 'peft'}`,
    'pipeline_tag: text-generation',
    ...hub,
    '---',
  ];
}

function useSection({ base, stopIds, repetitionPenalty, thinkingOff }: ModelCard, whole: boolean): string[] {
  const packages = whole ? 'torch transformers' : 'torch transformers peft';
  const put =
    !whole && base.kind === 'elsewhere'
      ? [
          `First put the folder of the base model, ${oneLine(base.name)}, into this folder and call it \`${BASE_FOLDER}\`.`,
          '',
        ]
      : [];
  const load = (from: string) => `AutoModelForCausalLM.from_pretrained(${from}).float()`;
  const model = whole
    ? [`model = ${load('"."')}`]
    : [
        base.kind === 'hub'
          ? `base = ${load(`${JSON.stringify(base.id)}, revision=${JSON.stringify(base.commit)}`)}`
          : `base = ${load(JSON.stringify(BASE_PATH))}`,
        'model = PeftModel.from_pretrained(base, ".")',
      ];
  const settings = [
    'do_sample=False',
    'max_new_tokens=100',
    ...(repetitionPenalty ? ['repetition_penalty=1.0'] : []),
    ...(stopIds.length > 0 ? [`eos_token_id=${JSON.stringify(stopIds).replaceAll(',', ', ')}`] : []),
  ];
  return [
    ...put,
    `Start Python in this folder, after \`pip install ${packages}\`:`,
    '',
    '```python',
    ...(whole ? [] : ['from peft import PeftModel']),
    'from transformers import AutoModelForCausalLM, AutoTokenizer',
    '',
    'tokenizer = AutoTokenizer.from_pretrained(".")',
    ...model,
    '',
    'messages = [{"role": "user", "content": "Hello!"}]',
    'inputs = tokenizer.apply_chat_template(',
    `    messages, add_generation_prompt=True, ${thinkingOff ? 'enable_thinking=False, ' : ''}return_tensors="pt", return_dict=True`,
    ')',
    `output = model.generate(**inputs, ${settings.join(', ')})`,
    'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))',
    '```',
  ];
}

function trainingSection(
  { hyperparameters: h, dataset, results }: Training,
  content: ModelCard['content'],
): string[] {
  const settings = HYPERPARAMETER_NAMES.filter((name) => HYPERPARAMETERS[name].applies?.(h) ?? true);
  const lines = [
    '## Training',
    '',
    ...(content === 'whole model' ? [] : [`On ${content.adaptedLayers} linear layers.`, '']),
    '| setting | value |',
    '| --- | --- |',
    ...settings.map((name) => `| ${name} | ${oneLine(String(h[name]))} |`),
    '',
    `Data: ${oneLine(dataset.name)}, ${dataset.trainRows} rows to train, ${dataset.validationRows} to validate, SHA-256 \`${dataset.hash}\`.`,
    ...dataset.remarks,
    '',
  ];
  if (results.length > 0) {
    lines.push(
      '| Training Loss | Epoch | Step | Validation Loss | Held-out Rows |',
      '| --- | --- | --- | --- | --- |',
    );
    for (const row of results) {
      const train = row.trainLoss === null ? '' : row.trainLoss.toFixed(4);
      lines.push(
        `| ${train} | ${row.epoch.toFixed(2)} | ${row.step} | ${row.validationLoss.toFixed(4)} | ${row.heldOutRows} |`,
      );
    }
    lines.push('');
  }
  return lines;
}
