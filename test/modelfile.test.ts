// Ollama's Modelfile: its Go template, evaluated, gives the text of the model's own chat template; where it cannot, there is none.
// Not here: the GGUF file beside it (gguf.test.ts).

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Message } from '../src/contract';
import { createChat } from '../src/data/tokens/chat';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { modelfile } from '../src/session/modelfile';

const TOKENIZER = JSON.parse(readFileSync('models/pebble-1m/tokenizer.json', 'utf8'));

const chatWith = (chatTemplate: string) =>
  createChat(
    createTokenizer({
      tokenizerJson: TOKENIZER,
      tokenizerConfig: { eos_token: '<|im_end|>', bos_token: '<|endoftext|>' },
      chatTemplate,
      eosTokenIds: [3],
    }),
  );

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const ZEPHYR =
  "{{ bos_token }}{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] + '<|im_end|>' + '\\n\"' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}";
/** As Llama 2: nothing asks for the answer, and a system message lies inside the question. */
const INST =
  "{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + '<|im_end|>' }}{% else %}{{ raise_exception('no system') }}{% endif %}{% endfor %}";
const COUNTING =
  "{% for m in messages %}{{ loop.index0|string + m['role'] + m['content'] + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ messages|length|string + 'assistant' }}{% endif %}";

/** The part of Go's text/template that a Modelfile of ours uses. */
function goRender(template: string, messages: readonly Message[]): string {
  const body = /^([\s\S]*)\{\{ range \.Messages \}\}([\s\S]*?\{\{ end \}\})\{\{ end \}\}([\s\S]*)$/.exec(
    template,
  );
  if (!body) throw new Error(`not understood: ${template}`);
  const literals = (text: string) =>
    text.replace(/\{\{ ("(?:[^"\\]|\\.)*") \}\}/g, (_, json) => JSON.parse(json));
  const [, start, inner, end] = body as unknown as [string, string, string, string];
  const branches = [...inner.matchAll(/(?:else )?if eq \.Role "(\w+)" \}\}([\s\S]*?)\{\{ (?=else|end)/g)];
  const parts = messages.map(({ role, content }) => {
    const branch = branches.find(([, name]) => name === role)?.[2] ?? '';
    const [before, after] = branch.split('{{ .Content }}') as [string, string];
    return literals(before) + content + literals(after);
  });
  return literals(start) + parts.join('') + literals(end);
}

const CONVERSATIONS: Message[][] = [
  [{ role: 'user', content: 'Ahoy' }],
  [
    { role: 'user', content: 'a "quoted" {{ word }}' },
    { role: 'assistant', content: 'yes\nno' },
    { role: 'user', content: 'more' },
  ],
];
const WITH_SYSTEM: Message[] = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: 'Who?' },
];

const templateOf = (text: string) => /TEMPLATE """([\s\S]*?)"""/.exec(text)?.[1];

describe('a Modelfile', () => {
  test.each([
    ['ChatML', CHATML, [...CONVERSATIONS, WITH_SYSTEM]],
    ['a template with a beginning', ZEPHYR, [...CONVERSATIONS, WITH_SYSTEM]],
    ['a template without words before an answer', INST, CONVERSATIONS],
  ])('renders as the model’s template: %s', (_, template, conversations) => {
    const chat = chatWith(template);
    const { text, notices } = modelfile(chat);
    expect(notices).toEqual([]);
    expect(text).toContain('FROM ./model.gguf\n');
    expect(text).toContain('PARAMETER stop "<|im_end|>"\n');
    const go = templateOf(text) as string;
    for (const messages of conversations)
      expect(goRender(go, messages)).toBe(chat.render(messages, { addGenerationPrompt: true }));
  });

  test('has no template, and says so, where Go’s cannot say the same', () => {
    const { text, notices } = modelfile(chatWith(COUNTING));
    expect(templateOf(text)).toBeUndefined();
    expect(notices).toEqual([expect.stringContaining('Modelfile has none')]);
  });
});
