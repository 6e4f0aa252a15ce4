// `generate`: one answer at the terminal, and the settings of sampling as options.
// Not here: a conversation of several turns (chat.ts), training (train.ts), measuring (look.ts).

import type { BackendName, Message } from '../contract';
import { disposeLearner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import { GENERATION, GENERATION_NAMES, type GenerationSettings, generationProblem } from '../generation';
import { answer } from '../session/answer';
import type { Command } from './command';
import type { Arguments, Option } from './options';
import { ADAPTER_OPTION, adapterOf, BACKEND_OPTION, MODEL_OPTION, openWorkbench } from './workbench';

/** @throws PlaygroundError `bad_usage` */
export function settingsOf(args: Arguments, command: string): GenerationSettings {
  const settings = Object.fromEntries(
    GENERATION_NAMES.map((name) => [
      name,
      GENERATION[name].kind === 'boolean' ? args.has(name) : args.number(name),
    ]),
  ) as unknown as GenerationSettings;
  const problem = generationProblem(settings);
  if (problem === null) return settings;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `--${problem.message}`,
    fix: `See: npm run cli -- ${command} --help`,
  });
}

/** Sampling settings, for every command that generates. */
export const SAMPLING_OPTIONS: readonly Option[] = GENERATION_NAMES.map((name): Option => {
  const entry = GENERATION[name];
  if (entry.kind === 'boolean') return { name, kind: 'switch', help: entry.help };
  const { kind, help, sampledOnly } = entry;
  return {
    name,
    value: kind === 'integer' ? 'N' : 'X',
    kind: 'number',
    default: entry.default,
    help: sampledOnly ? `${help} With --do_sample.` : help,
  };
});

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
    const learner = await adapterOf(args, workbench, say);
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
