// `generate` and `export`: one answer at the terminal, and an adapter merged into a model of its own.
// Not here: a conversation of several turns (chat.ts), training (train.ts), measuring (look.ts).

import type { BackendName, GenerationSettings, Message } from '../contract';
import { disposeLearner, type Learner } from '../engine/adapters';
import { modelFiles, type StoredType } from '../engine/artifacts';
import { PlaygroundError } from '../errors';
import { answer } from '../session/answer';
import type { Command } from './command';
import { assertWritable, writeFiles } from './disk';
import type { Arguments, Option } from './options';
import { ADAPTER_OPTION, adapterOf, BACKEND_OPTION, MODEL_OPTION, openWorkbench } from './workbench';

/** @throws PlaygroundError `bad_usage` */
export function settingsOf(args: Arguments, command: string): GenerationSettings {
  const settings = {
    do_sample: args.has('do_sample'),
    temperature: args.number('temperature'),
    top_k: args.number('top_k'),
    top_p: args.number('top_p'),
    seed: args.number('seed'),
    max_new_tokens: args.number('max_new_tokens'),
  };
  const bad =
    (settings.temperature <= 0 && 'temperature must be above 0') ||
    ((settings.top_p <= 0 || settings.top_p > 1) && 'top_p must be above 0 and at most 1') ||
    ((settings.top_k < 0 || !Number.isInteger(settings.top_k)) && 'top_k must be a whole number from 0 on') ||
    ((settings.max_new_tokens < 1 || !Number.isInteger(settings.max_new_tokens)) &&
      'max_new_tokens must be a whole number from 1 on');
  if (!bad) return settings;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `--${bad}.`,
    fix: `See: npm run cli -- ${command} --help`,
  });
}

/** How an answer is drawn, for every command that gives one. */
export const SAMPLING_OPTIONS: readonly Option[] = [
  { name: 'max_new_tokens', value: 'N', kind: 'number', default: 200, help: 'Longest answer, in tokens.' },
  {
    name: 'do_sample',
    kind: 'switch',
    help: 'Draw each token by its probability; otherwise always the likeliest.',
  },
  { name: 'temperature', value: 'X', kind: 'number', default: 1, help: 'Below 1 surer, above 1 wilder.' },
  { name: 'top_k', value: 'N', kind: 'number', default: 0, help: 'Draw among the N likeliest; 0 = all.' },
  {
    name: 'top_p',
    value: 'X',
    kind: 'number',
    default: 1,
    help: 'Draw among the likeliest that together reach X.',
  },
  { name: 'seed', value: 'N', kind: 'number', default: 42, help: 'The same seed draws the same answer.' },
];

export const generate: Command = {
  name: 'generate',
  summary: 'Answers one prompt through the chat template. The answer goes to standard output as it comes.',
  example: 'generate --model models/pebble --adapter my-adapter --prompt "Hello!"',
  options: [
    MODEL_OPTION,
    ADAPTER_OPTION,
    {
      name: 'prompt',
      value: 'TEXT',
      kind: 'text',
      required: true,
      help: 'What the user says; - reads it from standard input.',
    },
    { name: 'system', value: 'TEXT', kind: 'text', help: 'A system message before it.' },
    ...SAMPLING_OPTIONS,
    { name: 'json', kind: 'switch', help: 'Print one JSON object with the answer and how it ended.' },
    BACKEND_OPTION,
  ],
  settings: [],

  async run(args, { print, write, say, platform, readStandardInput }) {
    const settings = settingsOf(args, 'generate');
    const given = args.text('prompt') as string;
    const prompt = given === '-' ? (await readStandardInput()).replace(/\r?\n$/, '') : given;
    const system = args.text('system');
    const messages: Message[] = [
      ...(system === null ? [] : [{ role: 'system' as const, content: system }]),
      { role: 'user', content: prompt },
    ];
    const workbench = await openWorkbench(
      args.text('model') as string,
      args.text('backend') as BackendName,
      platform,
      say,
    );
    const learner = await adapterOf(args, workbench);
    const streamed = !args.has('json');
    const result = await answer(workbench, learner, messages, settings, platform, {
      onText: streamed ? write : () => {},
    });
    if (learner) disposeLearner(learner);
    if (streamed) {
      print('');
      say(
        `${result.tokens} tokens, ${result.tokensPerSecond.toFixed(1)} a second, stopped by ${result.stoppedBy.replace('_', ' ')}.`,
      );
    } else print(JSON.stringify(result));
    return 0;
  },
};

export const exportModel: Command = {
  name: 'export',
  summary:
    'Merges an adapter into its model and writes a Hugging Face folder that needs no adapter any more.',
  example: 'export --model models/pebble --adapter my-adapter --out my-model',
  options: [
    MODEL_OPTION,
    { ...ADAPTER_OPTION, required: true },
    { name: 'out', value: 'DIR', kind: 'text', required: true, help: 'Folder for the merged model.' },
    {
      name: 'dtype',
      value: 'TYPE',
      kind: 'text',
      choices: ['F32', 'F16', 'BF16'],
      default: 'F32',
      help: 'How the weights are stored.',
    },
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
  ],
  settings: [],

  async run(args, { say, platform }) {
    const out = args.text('out') as string;
    assertWritable(out, args.has('overwrite'));
    const workbench = await openWorkbench(args.text('model') as string, 'wasm', platform, say);
    const learner = (await adapterOf(args, workbench)) as Learner;
    const files = await modelFiles(workbench, learner, args.text('dtype') as StoredType);
    disposeLearner(learner);
    await writeFiles(out, files);
    say(`Written to ${out}.`);
    return 0;
  },
};
