// Ollama's Modelfile for an exported GGUF file: a Go template that renders conversations as the model's own chat template does, and end tokens.
// Not here: the GGUF file (engine/model/ggufFiles.ts), chat templates (data/tokens/chat.ts).
//
// How it works: the model's template is tried with marks as contents. What stands before and after a mark is taken as that role's frame; the
// Go template made of the frames is then evaluated on conversations beside the model's own. Where one of them differs, no TEMPLATE is written.

import type { Message } from '../contract';
import type { Chat } from '../data/tokens/chat';
import { PlaygroundError } from '../errors';

type FramedRole = 'system' | 'user' | 'assistant';

interface Frames {
  /** Before the first message. */
  start: string;
  roles: Record<FramedRole, { before: string; after: string } | null>;
  /** After the last message, where an answer begins. */
  answer: string;
}

const MARK: Record<FramedRole, string> = { system: 'Sx1', user: 'Ux2', assistant: 'Ax3' };
const message = (role: FramedRole, content = MARK[role]): Message => ({ role, content });

/** The text, or null where the template refuses the conversation. */
function rendered(chat: Chat, messages: readonly Message[], addGenerationPrompt: boolean): string | null {
  try {
    return chat.render(messages, { addGenerationPrompt });
  } catch (thrown) {
    if (thrown instanceof PlaygroundError) return null;
    throw thrown;
  }
}

/** The longest end that two texts share. */
function sharedEnd(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++;
  return length === 0 ? '' : a.slice(-length);
}

/** Frames of a template that writes one message after the other; null for another kind. */
function framesOf(chat: Chat): Frames | null {
  const conversation = [
    message('user'),
    message('assistant'),
    message('user', 'Uy4'),
    message('assistant', 'Ay5'),
  ];
  const text = rendered(chat, conversation, false);
  const asked = rendered(chat, conversation.slice(0, 1), true);
  const only = rendered(chat, conversation.slice(0, 1), false);
  if (text === null || asked === null || only === null || !asked.startsWith(only)) return null;
  const [u1, a1, u2, a2] = ['Ux2', 'Ax3', 'Uy4', 'Ay5'].map((mark) => text.indexOf(mark)) as [
    number,
    number,
    number,
    number,
  ];
  if (u1 < 0 || a1 < u1 || u2 < a1 || a2 < u2) return null;
  const [head, toAnswer, toUser, tail] = [
    text.slice(0, u1),
    text.slice(u1 + 3, a1),
    text.slice(a1 + 3, u2),
    text.slice(a2 + 3),
  ];
  const userAfter = only.slice(only.indexOf('Ux2') + 3);
  if (!toAnswer.startsWith(userAfter)) return null;
  const userBefore = toUser.startsWith(tail) ? toUser.slice(tail.length) : sharedEnd(head, toUser);
  if (!head.endsWith(userBefore)) return null;
  const start = head.slice(0, head.length - userBefore.length);
  const frames: Frames = {
    start,
    roles: {
      system: null,
      user: { before: userBefore, after: userAfter },
      assistant: {
        before: toAnswer.slice(userAfter.length),
        after: toUser.slice(0, toUser.length - userBefore.length),
      },
    },
    answer: asked.slice(only.length),
  };
  const withSystem = rendered(chat, [message('system'), message('user')], false);
  const at = withSystem?.indexOf('Sx1') ?? -1;
  const rest = `${userBefore}Ux2${userAfter}`;
  if (withSystem && at >= start.length && withSystem.startsWith(start) && withSystem.endsWith(rest)) {
    const end = withSystem.length - rest.length;
    if (end >= at + 3)
      frames.roles.system = {
        before: withSystem.slice(start.length, at),
        after: withSystem.slice(at + 3, end),
      };
  }
  return frames;
}

/** What the Go template of `goTemplate` gives for a conversation that ends with a question. */
export function renderFrames({ start, roles, answer }: Frames, messages: readonly Message[]): string {
  const parts = messages.map(({ role, content }) => {
    const frame = roles[role as FramedRole];
    return frame ? `${frame.before}${content}${frame.after}` : '';
  });
  return `${start}${parts.join('')}${answer}`;
}

/** Text in a Go template: what Go would read as an action or trim stays text. */
const goText = (text: string) => (text === '' ? '' : `{{ ${JSON.stringify(text)} }}`);

/** The frames as a template of Go's text/template with Ollama's variables. */
function goTemplate({ start, roles, answer }: Frames): string {
  const cases = (['system', 'user', 'assistant'] as const).flatMap((role) => {
    const frame = roles[role];
    return frame
      ? [`if eq .Role "${role}" }}${goText(frame.before)}{{ .Content }}${goText(frame.after)}{{ `]
      : [];
  });
  return `${goText(start)}{{ range .Messages }}{{ ${cases.join('else ')}end }}{{ end }}${goText(answer)}`;
}

/** Conversations on which both must agree. */
const TRIED: readonly Message[][] = [
  [{ role: 'user', content: 'Hello!' }],
  [{ role: 'user', content: '  spaces, "quotes", {{ braces }} and\nlines \\n ' }],
  [
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: 'One.' },
    { role: 'user', content: 'Two?' },
  ],
  [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
    { role: 'user', content: 'c' },
    { role: 'assistant', content: 'd' },
    { role: 'user', content: 'e' },
  ],
  [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Who are you?' },
  ],
  [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello.' },
    { role: 'user', content: 'Bye' },
  ],
];

/** A parameter's value in quotation marks. */
const quoted = (text: string) => JSON.stringify(text);

/**
 * @returns the file, and a sentence where Ollama cannot be given the same template
 */
export function modelfile(chat: Chat): { text: string; notices: string[] } {
  const frames = framesOf(chat);
  const differs =
    frames === null ||
    TRIED.some((messages) => {
      if (!frames.roles.system && messages[0]?.role === 'system') return false;
      const ours = rendered(chat, messages, true);
      // Templates trim in their own ways; what Ollama is given must be the same text.
      return ours !== null && ours !== renderFrames(frames, messages);
    });
  const { tokenizer } = chat;
  const stops = [...new Set([chat.endOfTurn, ...chat.stopIds.map((id) => tokenizer.tokenName(id))])].filter(
    (stop) => stop !== '',
  );
  const lines = [
    '# ollama create my-model -f Modelfile',
    'FROM ./model.gguf',
    ...(differs || frames === null ? [] : [`TEMPLATE """${goTemplate(withoutBos(frames, chat))}"""`]),
    ...stops.map((stop) => `PARAMETER stop ${quoted(stop)}`),
    '# As the page answers: the most likely token each time, without a penalty.',
    'PARAMETER temperature 0',
    'PARAMETER repeat_penalty 1',
  ];
  const notices = differs
    ? [
        'Ollama’s templates cannot say what this chat template does, so the Modelfile has none: Ollama then looks for one that it knows. Compare an answer before you rely on it.',
      ]
    : [];
  return { text: `${lines.join('\n')}\n`, notices };
}

/** Ollama writes the token that begins a text itself. */
function withoutBos(frames: Frames, { tokenizer }: Chat): Frames {
  const { bosToken } = tokenizer;
  if (bosToken === null || !tokenizer.addsBos || !frames.start.startsWith(bosToken)) return frames;
  return { ...frames, start: frames.start.slice(bosToken.length) };
}
