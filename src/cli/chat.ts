// `chat`: a conversation of several turns at the terminal, or from lines that are piped in.
// Not here: one answer (session/answer.ts).

import type { BackendName, Message } from '../contract';
import { encodePrompt } from '../data/tokens/encodeRows';
import { disposeLearner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import { answer } from '../session/answer';
import type { Command } from './command';
import { SAMPLING_OPTIONS, settingsOf } from './talk';
import {
  ADAPTER_OPTION,
  adapterOf,
  BACKEND_OPTION,
  MODEL_OPTION,
  openWorkbench,
  type Workbench,
} from './workbench';

/** Share of the context that is reserved for the answer; less where `max_new_tokens` is smaller. */
const ANSWER_SHARE = 1 / 4;

/** Drops the oldest turns, but never the system message and the last turn, until the answer fits the context. */
function fitToContext(
  { model, chat }: Workbench,
  messages: readonly Message[],
  maxNewTokens: number,
): { messages: Message[]; forgotten: number } {
  const { contextLength } = model.architecture;
  const reserved = Math.min(maxNewTokens, Math.floor(contextLength * ANSWER_SHARE));
  const kept = [...messages];
  const first = kept[0]?.role === 'system' ? 1 : 0;
  let forgotten = 0;
  while (kept.length > first + 1 && encodePrompt(chat, kept).length + reserved > contextLength) {
    kept.splice(first, 2);
    forgotten++;
  }
  return { messages: kept, forgotten };
}

export const chat: Command = {
  name: 'chat',
  summary: 'Talks with a model, turn by turn. Each line of standard input is one turn of the user.',
  example: 'chat --model models/pebble-3m --adapter my-adapter',
  options: [
    MODEL_OPTION,
    ADAPTER_OPTION,
    { name: 'system', value: 'TEXT', kind: 'text', help: 'A system message before the first turn.' },
    ...SAMPLING_OPTIONS,
    { name: 'json', kind: 'switch', help: 'Print one JSON object a turn: the answer and how it ended.' },
    BACKEND_OPTION,
  ],
  settings: [],

  async run(args, { print, write, say, platform, readLines, interactive }) {
    const settings = settingsOf(args, 'chat');
    const workbench = await openWorkbench(
      args.text('model') as string,
      args.text('backend') as BackendName,
      platform,
      say,
    );
    const { contextLength } = workbench.model.architecture;
    const learner = await adapterOf(args, workbench, say);
    const streamed = !args.has('json');
    const system = args.text('system');
    const opening: Message[] = system === null ? [] : [{ role: 'system', content: system }];
    let messages = opening;
    let turns = 0;
    say(
      `This model reads at most ${contextLength} tokens of a conversation; older turns are forgotten beyond that. /new begins again, /end ends.`,
    );
    const ask = () => interactive && process.stderr.write('> ');
    ask();
    for await (const line of readLines()) {
      const content = line.trim();
      if (content === '/end') break;
      if (content === '/new') {
        messages = opening;
        say('A new conversation.');
      } else if (content !== '') {
        const asked = fitToContext(
          workbench,
          [...messages, { role: 'user', content }],
          settings.max_new_tokens,
        );
        if (asked.forgotten > 0) {
          say(`The oldest ${asked.forgotten === 1 ? 'turn is' : `${asked.forgotten} turns are`} forgotten.`);
        }
        try {
          // Every turn has random numbers of its own; the same seed still gives the same conversation.
          const own = { ...settings, seed: settings.seed + turns };
          const result = await answer(workbench, learner, asked.messages, own, platform, {
            onText: streamed ? write : () => {},
          });
          turns++;
          messages = [...asked.messages, { role: 'assistant', content: result.text }];
          if (streamed) print('');
          else print(JSON.stringify({ ...result, forgottenTurns: asked.forgotten }));
          say(`(${result.promptTokens + result.tokens} of ${contextLength} tokens)`);
        } catch (thrown) {
          // In a terminal a turn that is too long does not end the conversation.
          if (!(interactive && thrown instanceof PlaygroundError && thrown.code === 'context_exceeded'))
            throw thrown;
          say(`${thrown.message} ${thrown.fix}`);
        }
      }
      ask();
    }
    if (learner) disposeLearner(learner);
    return 0;
  },
};
