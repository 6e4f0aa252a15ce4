// One row, already parsed → messages: which of the known shapes it has, and everything that is wrong with it.
// Not here: text, lines and columns (jsonl.ts, tabular.ts), what concerns several rows (fileChecks.ts).

import type { Issue, Message, Role, Severity } from '../contract';
import type { JsonPath } from './jsonText';

/** The shapes of a row that are understood. */
export type RowFormat = 'messages' | 'prompt_completion' | 'instruction' | 'sharegpt';

/** Fills in line, column and excerpt of a place in the row. */
export type Locate = (path: JsonPath) => Pick<Issue, 'line' | 'column' | 'excerpt' | 'caret'>;

export interface RowResult {
  /** Null when an error takes the row out. */
  messages: Message[] | null;
  format: RowFormat | null;
  issues: Issue[];
  /** Present when the row has one. */
  weight?: number;
}

/** Column or key names that plainly hold the question or the answer, most telling first. */
export const USER_NAMES = ['prompt', 'question', 'input', 'query', 'user', 'human', 'request', 'instruction'];
export const ASSISTANT_NAMES = [
  'completion',
  'response',
  'answer',
  'output',
  'reply',
  'assistant',
  'target',
  'label',
];
export const SYSTEM_NAMES = ['system', 'system_prompt'];

const MAX_ROW_WEIGHT = 100;

const ROLES: readonly string[] = ['system', 'user', 'assistant'];

/** Names of roles in other tools' files. */
const ROLE_ALIASES: Readonly<Record<string, Role>> = {
  human: 'user',
  user: 'user',
  prompter: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  chatgpt: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  ai: 'assistant',
  system: 'system',
  developer: 'system',
};

function aliasOf(role: unknown): Role | undefined {
  return typeof role === 'string' ? ROLE_ALIASES[role.trim().toLowerCase()] : undefined;
}

const ROW_KEYS = new Set(['messages', 'tools', 'parallel_tool_calls', 'functions']);
const MESSAGE_KEYS = new Set(['role', 'content', 'name', 'function_call', 'tool_calls', 'weight', 'refusal']);

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function showPath(path: JsonPath): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return 'text';
  return typeof value === 'number' ? 'a number' : String(value);
}

/** A message on its way in: what it holds and where each part stands. */
interface Draft {
  role: unknown;
  content: unknown;
  weight?: unknown;
  path: JsonPath;
  rolePath: JsonPath;
  contentPath: JsonPath;
  /** False for roles that follow from the shape, not from the file. */
  checkRole: boolean;
}

class Row {
  readonly issues: Issue[] = [];
  failed = false;
  constructor(private readonly locate: Locate) {}

  report(severity: Severity, code: string, path: JsonPath, message: string, fix: string): void {
    if (severity === 'error') this.failed = true;
    const shown = path.length > 0 ? { path: showPath(path) } : {};
    this.issues.push({ code, severity, ...this.locate(path), ...shown, message, fix });
  }

  error(code: string, path: JsonPath, message: string, fix: string): void {
    this.report('error', code, path, message, fix);
  }

  warn(code: string, path: JsonPath, message: string, fix: string): void {
    this.report('warning', code, path, message, fix);
  }
}

/** The text of a content: a string, or OpenAI's list of text parts joined. */
function contentText(content: unknown): unknown {
  if (!Array.isArray(content) || content.length === 0) return content;
  const texts = content.map((part) => (isObject(part) && part.type === 'text' ? part.text : null));
  return texts.every((text) => typeof text === 'string') ? texts.join('') : content;
}

function draftMessages(row: Row, list: readonly unknown[], at: JsonPath): Draft[] {
  return list.flatMap((item, i): Draft[] => {
    const path = [...at, i];
    if (!isObject(item)) {
      row.error(
        'data_type',
        path,
        `This message is ${kindOf(item)}, not an object.`,
        'Write it as {"role": "user", "content": "…"}.',
      );
      return [];
    }
    const missing = ['role', 'content'].filter((key) => !(key in item));
    const calls = 'function_call' in item || 'tool_calls' in item;
    if (missing.length > 0 && !(missing.join() === 'content' && calls)) {
      row.error(
        'message_missing_key',
        path,
        `This message has no ${missing.map((key) => `“${key}”`).join(' and no ')}.`,
        'Each message needs "role" and "content".',
      );
      return [];
    }
    const strange = Object.keys(item).filter((key) => !MESSAGE_KEYS.has(key));
    if (strange.length > 0) {
      row.warn(
        'message_unrecognized_key',
        [...path, strange[0] as string],
        `This message has ${strange.map((key) => `“${key}”`).join(', ')}, which means nothing here and is left aside.`,
        'Keep to role, content, name and weight. Other tools refuse a file with such keys.',
      );
    }
    return [
      {
        role: item.role,
        content: contentText(item.content),
        ...('weight' in item ? { weight: item.weight } : {}),
        path,
        rolePath: [...path, 'role'],
        contentPath: [...path, 'content'],
        checkRole: true,
      },
    ];
  });
}

/** A message whose role follows from the key it stood under. */
function draft(role: Role, content: unknown, path: JsonPath): Draft {
  return { role, content, path, rolePath: path, contentPath: path, checkRole: false };
}

function draftShareGpt(row: Row, list: readonly unknown[], at: JsonPath): Draft[] {
  return list.flatMap((item, i): Draft[] => {
    const path = [...at, i];
    if (isObject(item) && 'role' in item) return draftMessages(row, [item], at).map((d) => ({ ...d, path }));
    if (!isObject(item) || !('from' in item) || !('value' in item)) {
      row.error(
        'message_missing_key',
        path,
        'This turn has no “from” and “value”.',
        'Write turns as {"from": "human", "value": "…"}.',
      );
      return [];
    }
    const alias = aliasOf(item.from);
    return [
      {
        role: alias ?? item.from,
        content: item.value,
        ...('weight' in item ? { weight: item.weight } : {}),
        path,
        rolePath: [...path, 'from'],
        contentPath: [...path, 'value'],
        checkRole: true,
      },
    ];
  });
}

/** `history` of instruction rows: earlier [question, answer] pairs. */
function draftHistory(history: unknown): Draft[] {
  if (!Array.isArray(history)) return [];
  return history.flatMap((pair, i): Draft[] =>
    Array.isArray(pair) && pair.length === 2
      ? [draft('user', pair[0], ['history', i, 0]), draft('assistant', pair[1], ['history', i, 1])]
      : [],
  );
}

function withSystem(value: Json, drafts: Draft[]): Draft[] {
  const key = SYSTEM_NAMES.find((name) => typeof value[name] === 'string' && value[name] !== '');
  return key === undefined ? drafts : [draft('system', value[key], [key]), ...drafts];
}

function recognise(row: Row, value: Json): { format: RowFormat; drafts: Draft[] } | null {
  if ('messages' in value) {
    if (!Array.isArray(value.messages) || value.messages.length === 0) {
      row.error(
        'missing_messages_list',
        ['messages'],
        Array.isArray(value.messages)
          ? '“messages” is empty.'
          : `“messages” is ${kindOf(value.messages)}, not a list.`,
        'Write "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].',
      );
      return null;
    }
    return { format: 'messages', drafts: draftMessages(row, value.messages, ['messages']) };
  }
  for (const key of ['conversations', 'conversation']) {
    const list = value[key];
    if (Array.isArray(list) && list.length > 0) {
      return { format: 'sharegpt', drafts: withSystem(value, draftShareGpt(row, list, [key])) };
    }
  }
  if (Array.isArray(value.prompt) && Array.isArray(value.completion)) {
    const drafts = [
      ...draftMessages(row, value.prompt, ['prompt']),
      ...draftMessages(row, value.completion, ['completion']),
    ];
    return { format: 'prompt_completion', drafts };
  }
  const answer = ASSISTANT_NAMES.find((name) => name in value);
  if ('instruction' in value && answer !== undefined) {
    const extra = typeof value.input === 'string' && value.input !== '' ? `\n${value.input}` : '';
    const asked = typeof value.instruction === 'string' ? value.instruction + extra : value.instruction;
    const drafts = [
      ...draftHistory(value.history),
      draft('user', asked, ['instruction']),
      draft('assistant', value[answer], [answer]),
    ];
    return { format: 'instruction', drafts: withSystem(value, drafts) };
  }
  const question = USER_NAMES.find((name) => name in value);
  if (question !== undefined && answer !== undefined) {
    const drafts = [draft('user', value[question], [question]), draft('assistant', value[answer], [answer])];
    return { format: 'prompt_completion', drafts: withSystem(value, drafts) };
  }
  const keys = Object.keys(value).filter((key) => !ROW_KEYS.has(key));
  const inside = keys.find((key) => Array.isArray(value[key]) && isObject((value[key] as unknown[])[0]));
  row.error(
    'missing_messages_list',
    [],
    `This row has no “messages”${
      keys.length > 0
        ? ` but ${keys
            .slice(0, 6)
            .map((key) => `“${key}”`)
            .join(', ')}`
        : ''
    }.`,
    inside !== undefined && (value[inside] as unknown[]).length > 1
      ? `If the rows are inside “${inside}”, save that list alone as the file.`
      : 'Rename the keys to "prompt" and "completion", or write {"messages": [{"role": "user", …}, {"role": "assistant", …}]}.',
  );
  return null;
}

function checkWeight(row: Row, d: Draft): 0 | 1 | undefined {
  if (d.weight === undefined || d.weight === null) return undefined;
  const path = [...d.path, 'weight'];
  if (d.weight !== 0 && d.weight !== 1) {
    row.error(
      'bad_weight',
      path,
      `A weight of ${JSON.stringify(d.weight)} does not exist.`,
      'Use 0 (keep it as context only) or 1 (learn it).',
    );
    return undefined;
  }
  if (d.role !== 'assistant') {
    row.warn('bad_weight', path, 'A weight does something on assistant messages only.', 'Remove it here.');
    return undefined;
  }
  return d.weight;
}

function checkMessage(row: Row, d: Draft): Message | null {
  let sound = true;
  if (d.checkRole && (typeof d.role !== 'string' || !ROLES.includes(d.role))) {
    sound = false;
    const meant = aliasOf(d.role);
    const tool = d.role === 'tool' || d.role === 'function';
    row.error(
      'unrecognized_role',
      d.rolePath,
      tool
        ? `The role “${String(d.role)}” is for calling tools, which small models here do not learn.`
        : `“${String(d.role)}” is not a role.`,
      meant
        ? `Write "${meant}".`
        : tool
          ? 'Leave the row out, or write the result into a user message.'
          : 'Roles are "system", "user" and "assistant".',
    );
  }
  if (typeof d.content !== 'string' || d.content === '') {
    sound = false;
    row.error(
      'missing_content',
      d.contentPath,
      d.content === ''
        ? 'The content is empty.'
        : d.content === undefined
          ? 'The message has no content.'
          : `The content is ${kindOf(d.content)}, not text.`,
      d.content === ''
        ? 'Write the text, or remove the message.'
        : 'Write the content as text in double quotes.',
    );
  } else if (d.content.trim() === '') {
    sound = false;
    row.error(
      'missing_content',
      d.contentPath,
      'The content is nothing but spaces.',
      'Write the text, or remove the message.',
    );
  } else if (d.content !== d.content.trim()) {
    row.warn(
      'whitespace_edge',
      d.contentPath,
      `The text ${d.content !== d.content.trimStart() ? 'starts' : 'ends'} with a space or line break, which the model would learn.`,
      'Remove it at both ends, unless you mean it.',
    );
  }
  const weight = checkWeight(row, d);
  if (!sound) return null;
  const message: Message = { role: d.role as Role, content: d.content as string };
  if (weight !== undefined) message.weight = weight;
  return message;
}

/** The order of roles: what most chat templates want, and what makes sense. */
function checkOrder(row: Row, messages: readonly Message[], drafts: readonly Draft[]): void {
  const pathOf = (i: number) => drafts[i]?.path ?? [];
  let before: Role | null = null;
  for (const [i, { role }] of messages.entries()) {
    if (role === 'system' && i > 0) {
      row.warn(
        'system_not_first',
        pathOf(i),
        'A system message in the middle; many chat templates refuse that.',
        'Put it first.',
      );
    } else if (role === before) {
      row.warn(
        'role_order',
        pathOf(i),
        `Two ${role} messages in a row; some chat templates refuse that.`,
        'Join them into one.',
      );
    } else if (role === 'assistant' && (before === null || before === 'system')) {
      row.warn(
        'role_order',
        pathOf(i),
        'The assistant speaks before the user has.',
        'Put a user message in front.',
      );
    }
    before = role;
  }
  const last = messages.at(-1);
  const answered = messages.some((m) => m.role === 'assistant');
  if (answered && last && last.role !== 'assistant') {
    row.warn(
      'last_not_assistant',
      pathOf(messages.length - 1),
      'The row does not end with an answer, so nothing is learned from its last message.',
      'Add the assistant’s answer, or remove the last message.',
    );
  }
}

/** How much the row counts in the loss, beside others: our addition to OpenAI's format, which weighs messages only. */
function checkRowWeight(row: Row, value: Json): number | undefined {
  if (!('weight' in value)) return undefined;
  const { weight } = value;
  if (typeof weight === 'number' && weight > 0 && weight <= MAX_ROW_WEIGHT) return weight;
  row.error(
    'bad_weight',
    ['weight'],
    `A row weight of ${JSON.stringify(weight)} does not exist.`,
    `Use a number above 0 and up to ${MAX_ROW_WEIGHT}: 2 counts double, 0.5 half. To leave a row out, remove it.`,
  );
  return undefined;
}

/** Reads one row; never throws. All problems of the row are told at once. */
export function readRow(value: unknown, locate: Locate): RowResult {
  const row = new Row(locate);
  if (!isObject(value)) {
    row.error('data_type', [], `This row is ${kindOf(value)}, not an object.`, 'Write {"messages": [ … ]}.');
    return { messages: null, format: null, issues: row.issues };
  }
  const recognised = recognise(row, value);
  if (!recognised) return { messages: null, format: null, issues: row.issues };
  const { format, drafts } = recognised;
  const messages = drafts.map((d) => checkMessage(row, d)).filter((m) => m !== null);
  // A misspelt assistant is told as that already.
  if (!drafts.some((d) => aliasOf(d.role) === 'assistant')) {
    row.error(
      'example_missing_assistant_message',
      format === 'messages' ? ['messages'] : [],
      'There is no assistant message, so there is nothing to learn.',
      'Add the answer you want as a message with "role": "assistant".',
    );
  }
  if (messages.length === drafts.length) checkOrder(row, messages, drafts);
  const weight = checkRowWeight(row, value);
  return {
    messages: row.failed ? null : messages,
    format,
    issues: row.issues,
    ...(weight === undefined ? {} : { weight }),
  };
}
