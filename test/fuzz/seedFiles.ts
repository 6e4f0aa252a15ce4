// Sound files that hostile ones are made from: model folders of every family, adapters, templates, rows, run files.
// Not here: the mutations (draw.ts), the kinds of cases (targets.ts).

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export type Files = Record<string, Uint8Array>;

/** Of the repository's root, in which both the tests and the command run: a bundle cannot tell from its own place. */
const fixtures = path.resolve('test', 'fixtures');
const kept = new Map<string, Uint8Array>();

function read(...parts: string[]): Uint8Array {
  const file = path.join(fixtures, ...parts);
  const known = kept.get(file) ?? new Uint8Array(readFileSync(file));
  kept.set(file, known);
  return known;
}

const encoder = new TextEncoder();
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

export const MODELS = ['chat', 'llama', 'llama-rope-llama3', 'qwen3', 'gpt2', 'gpt-neox', 'gemma3'] as const;
const TOKENIZERS = readdirSync(path.join(fixtures, 'tokenizers')).filter(
  (name) => !name.endsWith('.json') && name !== 'shipped',
);

export const TEMPLATES = [
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
  "{% set ns = namespace(n=0) %}{% macro turn(m) %}{{ m.role | upper }}: {{ m.content.split('</think>')[-1].strip() }}\n{% endmacro %}{% for m in messages %}{% set ns.n = ns.n + loop.index0 %}{{ turn(m) }}{% endfor %}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}A:",
  "{% for m in messages[::-1] %}{% if loop.first and m.role != 'user' %}{% continue %}{% endif %}{{ m | tojson }}{{ loop.length - loop.revindex0 }}{% endfor %}",
];

/** A whole model folder; its weights and its tokenizer need not fit each other. */
export function modelFolder(model: string, tokenizer: number, template: string): Files {
  const own = model === 'chat' && tokenizer === 0;
  const from = own ? ['engine', 'chat'] : ['tokenizers', TOKENIZERS[tokenizer % TOKENIZERS.length] as string];
  return {
    'config.json': read('engine', model, 'config.json'),
    'generation_config.json': bytesOf('{"eos_token_id": [3], "pad_token_id": 1}'),
    'tokenizer.json': read(...from, 'tokenizer.json'),
    'tokenizer_config.json': read(...from, 'tokenizer_config.json'),
    'chat_template.jinja': bytesOf(template),
    'model.safetensors': read('engine', model, 'model.safetensors'),
  };
}

export const ADAPTERS = [
  ['llama', 'adapter-lora'],
  ['llama', 'adapter-dora'],
  ['llama', 'adapter-rslora'],
  ['gpt2', 'adapter-lora'],
  ['gpt-neox', 'adapter-dora'],
  ['qwen3', 'adapter-lora'],
] as const;

export const adapterFolder = (model: string, adapter: string): Files => ({
  'adapter_config.json': read('engine', model, adapter, 'adapter_config.json'),
  'adapter_model.safetensors': read('engine', model, adapter, 'adapter_model.safetensors'),
});

export const configOf = (model: string) => read('engine', model, 'config.json');

/** Rows of every format, as objects of JSON. */
export const ROWS = [
  {
    messages: [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Ahoy!' },
    ],
  },
  {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ type: 'function', function: { name: 'f', arguments: '{"a": 1}' } }],
      },
      { role: 'tool', content: 'rain', name: 'f' },
      { role: 'assistant', content: 'It rains.', weight: 1 },
    ],
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
  },
  {
    contents: [
      { role: 'user', parts: [{ text: 'Hello' }] },
      { role: 'model', parts: [{ text: 'Ahoy!' }] },
    ],
  },
  {
    conversations: [
      { from: 'human', value: 'Hello' },
      { from: 'gpt', value: 'Ahoy!' },
    ],
    system: 'Be brief.',
  },
  { instruction: 'Say this like a pirate.', input: 'Hello', output: 'Ahoy!' },
  { prompt: 'Hello', completion: 'Ahoy!', split: 'train', weight: 0.5 },
  { prompt: 'Hello', chosen: 'Ahoy!', rejected: 'Hi.' },
  { question: 'Hello', answer: 'Ahoy!', context: 'At sea.', history: [['Who?', 'Me.']] },
  { text: 'Ahoy, said the captain.' },
];

export const RUN_RECORD = {
  version: 1,
  state: 'finished',
  step: 4,
  best: { step: 2, loss: 1.5, rows: 2 },
  weights: 'best',
  files: ['run.json', 'metrics.jsonl'],
  config: {
    runId: 'a',
    hyperparameters: { seed: 7, batch_size: 4 },
    checkpointing: { on: false, because: null },
    modelId: 'chat',
    datasetName: 'rows.jsonl',
    datasetHash: 'f00',
    trainRows: 10,
    validationRows: 2,
    heldOut: { copies: 0, samePrompt: 0, nearPrompt: 0 },
    evaluation: { evaluations: 2, validationRows: 2, trainRows: 2 },
    stepsPerEpoch: 2,
    totalSteps: 4,
    trainableParameters: 100,
    backend: 'wasm',
    appVersion: '0.1.0',
    startedAt: '2026-01-01T00:00:00Z',
  },
};

export const METRIC_POINT = {
  name: 'train_loss',
  step: 1,
  epoch: 0.5,
  tokens: 60,
  elapsedMs: 12,
  value: 2.5,
};
