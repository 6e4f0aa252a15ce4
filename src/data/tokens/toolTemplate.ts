// Whether a chat template shows tools, their calls and their results, found out by trying it; and messages in the form that templates read.
// Not here: reading calls out of a file (data/reading/toolCalls.ts), what is learned of a row (rowText.ts).

import type { Example, Issue, Message, ToolCall } from '../../contract';
import { PlaygroundError } from '../../errors';
import { listed, quoted } from '../../wording';
import { isObject } from '../reading/fields';
import { rowsText } from '../reading/fileNotes';

/** What a template shows of tools. */
export interface ToolHabits {
  definitions: boolean;
  calls: boolean;
  results: boolean;
  /** What an answer that is nothing but calls has for a content: some templates look for none, some cannot take it. */
  emptyContent: '' | null;
}

type Render = (
  messages: readonly Message[],
  options: { tools?: readonly unknown[]; emptyContent?: '' | null },
) => string;

const TOOL = {
  type: 'function',
  function: {
    name: 'water_level',
    description: 'Tells how high the water stands.',
    parameters: { type: 'object', properties: { harbour: { type: 'string', description: 'Its name.' } } },
  },
};
// Mistral's templates want ids of nine letters and digits.
const CALL: ToolCall = {
  type: 'function',
  id: 'abcd12345',
  function: { name: 'water_level', arguments: { harbour: 'Bergen' } },
};
const ASKED: Message = { role: 'user', content: 'How high is it?' };
const CALLED: Message = { role: 'assistant', content: '', tool_calls: [CALL] };
const RESULT: Message = { role: 'tool', content: '417 mm', tool_call_id: 'abcd12345', name: 'water_level' };

/** Tries a template on a short conversation with a tool. What it refuses it does not show. */
export function tryTools(render: Render): ToolHabits {
  const shows = (
    messages: readonly Message[],
    words: readonly string[],
    emptyContent: '' | null,
  ): boolean => {
    try {
      const text = render(messages, { tools: [TOOL], emptyContent });
      return words.every((word) => text.includes(word));
    } catch (cause) {
      if (cause instanceof PlaygroundError) return false;
      throw cause;
    }
  };
  const called = ['water_level', 'Bergen'];
  const emptyContent =
    !shows([ASKED, CALLED], called, '') && shows([ASKED, CALLED], called, null) ? null : '';
  const calls = shows([ASKED, CALLED], ['Bergen'], emptyContent);
  return {
    definitions: shows([ASKED], ['water_level'], emptyContent),
    calls,
    results:
      calls &&
      shows([ASKED, CALLED, RESULT, { role: 'assistant', content: 'High.' }], ['417 mm'], emptyContent),
    emptyContent,
  };
}

/** A message as templates of transformers read it. */
export function templateMessage(message: Message, emptyContent: '' | null): Record<string, unknown> {
  const { role, content, tool_calls, tool_call_id, name } = message;
  return {
    role,
    content: tool_calls && content === '' ? emptyContent : content,
    ...(tool_calls && { tool_calls }),
    ...(tool_call_id !== undefined && { tool_call_id }),
    ...(name !== undefined && { name }),
  };
}

/** Every text within a value replaced. */
export function mapTexts<T>(value: T, change: (text: string) => string): T {
  if (typeof value === 'string') return change(value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => mapTexts(item, change)) as T;
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, change)])) as T;
}

/** Names of tools that rows may call, as sentences have them. */
function toolNames(examples: readonly Example[]): string {
  const names = new Set<string>();
  for (const { tools, messages } of examples) {
    for (const tool of tools ?? []) {
      if (isObject(tool) && isObject(tool.function)) names.add(String(tool.function.name));
    }
    for (const { tool_calls } of messages) for (const call of tool_calls ?? []) names.add(call.function.name);
  }
  return listed([...names].map((name) => quoted(name)));
}

/**
 * Takes out rows that call tools, or hold a tool's result, where the model's chat template does not show them; tells once of all of them.
 * A row that only lists tools stays: its answers are whole, but the model does not see the list.
 */
export function withoutUnseenCalls(
  examples: readonly Example[],
  habits: ToolHabits,
): { examples: readonly Example[]; issues: Issue[] } {
  const unseen = ({ messages }: Example) =>
    messages.some(
      (m) => (m.tool_calls !== undefined && !habits.calls) || (m.role === 'tool' && !habits.results),
    );
  const refused = examples.filter(unseen);
  const kept = refused.length === 0 ? examples : examples.filter((example) => !unseen(example));
  const listing = habits.definitions ? [] : kept.filter(({ tools }) => tools !== undefined);
  const issues: Issue[] = [];
  if (refused.length > 0) {
    const lines = refused.map(({ line }) => line);
    const names = toolNames(refused);
    issues.push({
      code: 'tool_calls_unseen',
      severity: 'error',
      line: 0,
      lines,
      message: `${rowsText(lines, examples.length)} ${lines.length === 1 ? 'calls' : 'call'} tools${names === '' ? '' : ` (${names})`}. The model’s chat template shows no ${habits.calls ? 'results of calls' : 'calls'}, so they cannot be learned.`,
      fix: 'Choose a model whose chat template knows tools, or leave these rows out.',
    });
  }
  if (listing.length > 0) {
    const lines = listing.map(({ line }) => line);
    issues.push({
      code: 'tools_unseen',
      severity: 'warning',
      line: 0,
      lines,
      message: `${rowsText(lines, examples.length)} ${lines.length === 1 ? 'lists' : 'list'} tools (${toolNames(listing)}). The model’s chat template does not show them, so the model learns the answers without seeing them.`,
      fix: 'If an answer needs them, write them into the system message.',
    });
  }
  return { examples: kept, issues };
}
