// Lists of messages, in the spellings of OpenAI, ShareGPT, Gemini, Bedrock, Anthropic, Cohere and others → drafts: roles, contents, calls, flags.
// Not here: which key of a row holds the list (rowFormats.ts), whether the messages make sense together (rows.ts).

import type { Role, ToolCall } from '../../contract';
import { quoted } from '../../wording';
import { type Field, type Fields, isEmpty, isObject, type Json } from './fields';
import type { JsonPath } from './jsonText';
import { type Draft, draft, kindOf, type Row } from './rowReading';
import { badCall, readCall } from './toolCalls';

/** Words for roles in files of all kinds. */
const ROLE_WORDS: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  system_prompt: 'system',
  system_message: 'system',
  instructions: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  question: 'user',
  customer: 'user',
  client: 'user',
  benutzer: 'user',
  nutzer: 'user',
  utilisateur: 'user',
  usuario: 'user',
  usuário: 'user',
  utente: 'user',
  gebruiker: 'user',
  пользователь: 'user',
  用户: 'user',
  ユーザー: 'user',
  assistent: 'assistant',
  asistente: 'assistant',
  assistente: 'assistant',
  ассистент: 'assistant',
  助手: 'assistant',
  アシスタント: 'assistant',
  agent: 'assistant',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  chatbot: 'assistant',
  ai: 'assistant',
  llm: 'assistant',
  answer: 'assistant',
  function_call: 'assistant',
  tool_call: 'assistant',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
  ipython: 'tool',
  tool_response: 'tool',
  tool_result: 'tool',
  function_response: 'tool',
};
/** A model in the place of the assistant: gpt-4, claude-3, llama2. */
const MODEL_NAME = /^(?:gpt|chatgpt|claude|llama|gemini|mistral|qwen|deepseek|bard)[-_ ]?[\w.-]*$/;
/** Roles whose text is a call, written as JSON. */
const CALL_ROLES: readonly string[] = ['function_call', 'tool_call'];

export function roleOf(word: unknown): Role | undefined {
  if (typeof word !== 'string') return undefined;
  // “User:”, “ assistant ”
  const name = word.trim().toLowerCase().replace(/\s*:$/, '');
  if (Object.hasOwn(ROLE_WORDS, name)) return ROLE_WORDS[name];
  return MODEL_NAME.test(name) ? 'assistant' : undefined;
}

/** Role words that are the format's own: reading them is nothing to tell. */
export type OwnWords = ReadonlySet<string>;
export const OPENAI_WORDS: OwnWords = new Set(['system', 'user', 'assistant', 'tool', 'function']);

const ROLE_KEYS = ['role', 'from', 'author', 'speaker', 'sender'];
const CONTENT_KEYS = ['content', 'value', 'text', 'parts', 'message', 'utterance', 'refusal'];
const CALL_KEYS = ['tool_calls', 'function_call', 'function_calls'];
/** Keys that say whether a message is learned. */
const FLAG_KEYS = ['weight', 'train', 'training', 'trainable', 'loss_mask', 'loss'];
const PAIR_USER = ['user', 'human', 'question', 'prompt', 'input', 'query', 'instruction'];
const PAIR_ASSISTANT = ['assistant', 'gpt', 'bot', 'answer', 'output', 'response', 'completion', 'model'];

const MEDIA_TYPES = /^(input_)?(image|audio|video|file|document|media)(_url|_file)?$/;
export const MEDIA_KEYS = [
  'images',
  'image',
  'image_url',
  'image_path',
  'image_file',
  'audio',
  'audios',
  'input_audio',
  'video',
  'videos',
  'inline_data',
  'file_data',
];

const MEDIA_PART_KEYS = [...MEDIA_KEYS, 'type', 'source', 'file', 'url', 'data', 'mime_type', 'media_type'];

/** Whether a value is a message or could be one. */
function isTurn(value: unknown): boolean {
  if (!isObject(value)) return false;
  const has = (keys: readonly string[]) => keys.some((key) => key in value);
  return (has(ROLE_KEYS) || roleOf(value.type) !== undefined) && (has(CONTENT_KEYS) || has(CALL_KEYS));
}

/** Whether a value is a conversation: a list of messages, or a single one. */
export function turnsIn(value: unknown): readonly unknown[] | null {
  if (Array.isArray(value)) return value.length > 0 && value.every(isTurn) ? value : null;
  return isTurn(value) ? [value] : null;
}

/** 0 or 1 for any way to write it; undefined for null; the value itself where it is none. */
export function flagOf(value: unknown): unknown {
  if (value === null) return undefined;
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  const word = typeof value === 'string' ? value.trim().toLowerCase() : '';
  if (word === 'true' || word === '1') return 1;
  if (word === 'false' || word === '0') return 0;
  return value;
}

export interface Content {
  /** Text, or what stood in its place. */
  content: unknown;
  calls: ToolCall[];
  /** Results of tools that stood among the parts. */
  results: Draft[];
}

const PART_TEXT = ['text', 'content', 'value', 'refusal', 'input_text', 'output_text'];

/** A part of a content that is an object: adds to the calls and results, and gives its text; null where it has none. */
function readPart(row: Row, part: Json, path: JsonPath, found: Content): string | null {
  const nestedCall = ['functionCall', 'function_call', 'toolUse', 'tool_use'].find((key) =>
    isObject(part[key]),
  );
  const nestedResult = ['functionResponse', 'function_response', 'toolResult', 'tool_result'].find((key) =>
    isObject(part[key]),
  );
  const fields = row.fields(part, path);
  const type = typeof part.type === 'string' ? part.type : '';
  if (nestedCall !== undefined || type === 'tool_use' || type === 'tool_call') {
    const field = nestedCall === undefined ? undefined : fields.take([nestedCall, ...plain(nestedCall)]);
    const [value, at] = field ? [field.value, field.path] : [part, path];
    const call = readCall(row, value, at);
    if (call) found.calls.push(call);
    else badCall(row, at);
    if (!field) useAll(fields);
    return '';
  }
  if (nestedResult !== undefined || type === 'tool_result') {
    const field =
      nestedResult === undefined ? undefined : fields.take([nestedResult, ...plain(nestedResult)]);
    if (field) readResult(row, field.value as Json, field.path, found);
    else {
      useAll(fields);
      readResult(row, part, path, found);
    }
    return '';
  }
  const media = fields.find(MEDIA_KEYS);
  if (MEDIA_TYPES.test(type) || (media && !('text' in part))) {
    row.note('media_unused', path, quoted(media?.key ?? type));
    for (const key of MEDIA_PART_KEYS) fields.take([key]);
    return '';
  }
  const text = fields.find(PART_TEXT);
  if (text === undefined || (type !== '' && !/^(input_|output_)?text$|^refusal$/.test(type))) {
    // Left over, and reported: reasoning, citations, whatever comes next.
    fields.take(['type']);
    return type === '' ? null : '';
  }
  fields.use(text);
  fields.take(['type']);
  const value = row.asText(text.value, text.path);
  return typeof value === 'string' ? value : null;
}

/** Whether an object in the place of a text is a part of a content, and not data that was meant to be written as a text. */
function isPart(value: Json): boolean {
  const keys = [
    ...PART_TEXT,
    ...MEDIA_KEYS,
    'type',
    'functionCall',
    'functionResponse',
    'toolUse',
    'toolResult',
  ];
  return keys.some((key) => key in value);
}

/** The name as `Fields` spells it. */
function plain(key: string): string[] {
  return [key.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase()];
}

function useAll(fields: Fields): void {
  for (const field of fields.leftOver()) fields.use(field);
}

/** A tool's result: Anthropic's {tool_use_id, content}, Gemini's {name, response}, Bedrock's {toolUseId, content: [{json}]}. */
function readResult(row: Row, item: Json, path: JsonPath, found: Content): void {
  const fields = row.fields(item, path);
  fields.take(['type']);
  const id = fields.take(['tool_use_id', 'tool_call_id', 'id']);
  const name = fields.take(['name']);
  const body = fields.take(['content', 'response', 'output', 'result']);
  const parts = Array.isArray(body?.value) ? body.value : [body?.value];
  const texts = parts.map((part) => {
    if (isObject(part) && typeof part.text === 'string') return part.text;
    if (isObject(part) && 'json' in part) return JSON.stringify(part.json);
    return typeof part === 'string' ? part : JSON.stringify(part ?? '');
  });
  found.results.push({
    ...draft('tool', texts.join('\n'), body?.path ?? path),
    ...(typeof id?.value === 'string' ? { callId: id.value } : {}),
    ...(typeof name?.value === 'string' ? { name: name.value } : {}),
  });
}

/** The text of a content: a string, a number as its characters, a list of parts joined. */
export function readContent(row: Row, value: unknown, path: JsonPath): Content {
  const found: Content = { content: row.asText(value, path), calls: [], results: [] };
  if (isObject(value)) {
    const inner = ['parts', 'content'].find((key) => Array.isArray(value[key]));
    if (inner !== undefined) {
      const fields = row.fields(value, path);
      for (const key of [inner, 'role', 'type']) fields.take([key]);
      return readContent(row, value[inner], [...path, inner]);
    }
    const text = isPart(value) ? readPart(row, value, path, found) : null;
    if (text !== null) found.content = text;
  } else if (Array.isArray(value) && value.length > 0) {
    const texts = value.map((part, i) =>
      isObject(part) ? readPart(row, part, [...path, i], found) : typeof part === 'string' ? part : null,
    );
    if (texts.every((text) => text !== null)) found.content = texts.join('');
  }
  return found;
}

/** The flag of a message; the first of its keys counts, the others are left over. */
function readFlag(fields: Fields): { weight?: unknown } {
  const field = fields.find(FLAG_KEYS);
  if (!field) return {};
  const flag = flagOf(field.value);
  // A loss of 1.37 is a measurement and no flag.
  if (field.key !== 'weight' && flag !== 0 && flag !== 1 && flag !== undefined) return {};
  fields.use(field);
  return flag === undefined ? {} : { weight: flag };
}

function readCalls(row: Row, fields: Fields): ToolCall[] {
  const calls: ToolCall[] = [];
  for (const key of CALL_KEYS) {
    const field = fields.find([key]);
    if (!field || isEmpty(field.value)) continue;
    fields.use(field);
    const value = row.asJson(field.value, field.path);
    const items = Array.isArray(value) ? value : [value];
    for (const [i, item] of items.entries()) {
      const path = Array.isArray(value) ? [...field.path, i] : field.path;
      const call = readCall(row, item, path);
      if (call) calls.push(call);
      else badCall(row, path);
    }
  }
  return calls;
}

/** A call written as the text of its message, as ShareGPT files have it. */
function callInText(row: Row, text: unknown, path: JsonPath): ToolCall[] | null {
  const value = row.asJson(text, path, false);
  const items = Array.isArray(value) ? value : [value];
  const calls = items.map((item, i) => readCall(row, item, Array.isArray(value) ? [...path, i] : path));
  return calls.every((call) => call !== null) ? (calls as ToolCall[]) : null;
}

/** The role, under its usual keys or, as LangChain has it, as the type. OpenAI's `type: "message"` says nothing. */
function takeRole(fields: Fields): Field | undefined {
  const role = fields.take(ROLE_KEYS);
  const type = fields.find(['type']);
  if (type && (role ? type.value === 'message' : roleOf(type.value) !== undefined)) fields.use(type);
  return role ?? (type && roleOf(type.value) !== undefined ? type : undefined);
}

function readTurn(row: Row, item: Json, path: JsonPath, own: OwnWords): Draft[] {
  const fields = row.fields(item, path);
  const role = takeRole(fields);
  const content = fields.findFilled(CONTENT_KEYS);
  const word = role?.value;
  const before = row.issues.length;
  const calls = readCalls(row, fields);
  if (!role || (!content && calls.length === 0)) {
    const pair = role ? null : readPair(row, fields);
    if (pair) return pair;
    const missing = [role ? null : 'role', content || calls.length > 0 ? null : 'content'].filter(
      (k) => k !== null,
    );
    row.error(
      'message_missing_key',
      path,
      `This message has no ${missing.map((key) => `“${key}”`).join(' and no ')}.`,
      'Each message needs "role" and "content".',
    );
    return [];
  }
  if (content) fields.use(content);
  const name = typeof word === 'string' ? word.trim().toLowerCase() : '';
  let known = roleOf(word);
  if (known !== undefined && !own.has(String(word))) {
    // A call written as the text of its message is no text of the assistant: the row is written anew.
    const change = CALL_ROLES.includes(name) ? undefined : { from: word, to: known };
    if (!row.mend('role_names', role.path, `${quoted(String(word))} → ${known}`, change)) known = undefined;
  }
  if (known !== undefined) row.became(known, String(word));
  const read = readContent(row, content?.value ?? null, content?.path ?? path);
  calls.push(...read.calls);
  if (CALL_ROLES.includes(name)) {
    const written = callInText(row, read.content, content?.path ?? path);
    if (written) {
      calls.push(...written);
      read.content = '';
    }
  }
  const tool = known === 'tool';
  const callId = tool ? fields.take(['tool_call_id', 'tool_use_id']) : undefined;
  const toolName = tool ? fields.take(['name', 'tool_name']) : undefined;
  // Results come before what is said beside them.
  if (read.results.length > 0 && (read.content === '' || read.content === null)) return read.results;
  return [
    ...read.results,
    {
      role: known ?? null,
      roleWord: word,
      content: read.content,
      ...readFlag(fields),
      // A call that could not be read has been reported; the missing text beside it is not a second problem.
      ...(calls.length > 0 || row.issues.length > before ? { calls } : {}),
      ...(typeof callId?.value === 'string' ? { callId: callId.value } : {}),
      ...(typeof toolName?.value === 'string' ? { name: toolName.value } : {}),
      path,
      rolePath: role.path,
      contentPath: content?.path ?? path,
    },
  ];
}

/** {"user": "…", "assistant": "…"}, or {"user": "…"} alone: the keys are the roles. */
function readPair(row: Row, fields: Fields): Draft[] | null {
  const system = fields.find(['system']);
  const user = fields.find(PAIR_USER);
  const assistant = fields.find(PAIR_ASSISTANT);
  if (!user && !assistant && !system) return null;
  const drafts: Draft[] = [];
  for (const [role, field] of [
    ['system', system],
    ['user', user],
    ['assistant', assistant],
  ] as const) {
    if (!field || (role === 'system' && isEmpty(field.value))) continue;
    fields.use(field);
    row.became(role, field.key);
    drafts.push(draft(role, readContent(row, field.value, field.path).content, field.path));
  }
  return drafts;
}

/**
 * The messages of a list: objects with a role, objects whose keys are the roles, [question, answer] pairs, or nothing but texts, which
 * are then user and assistant in turn.
 * @param own role words that are nothing to tell in this format
 */
export function readTurns(row: Row, list: readonly unknown[], at: JsonPath, own: OwnWords): Draft[] {
  if (list.every((item) => typeof item === 'string') && row.mend('roles_assumed', at)) {
    return list.map((text, i) => draft(i % 2 === 0 ? 'user' : 'assistant', text, [...at, i]));
  }
  return list.flatMap((item, i): Draft[] => {
    const path = [...at, i];
    if (isObject(item)) return readTurn(row, item, path, own);
    if (Array.isArray(item) && item.length === 2 && item.every((text) => typeof text === 'string')) {
      return [draft('user', item[0], [...path, 0]), draft('assistant', item[1], [...path, 1])];
    }
    row.error(
      'data_type',
      path,
      `This message is ${kindOf(item)}, not an object.`,
      'Write it as {"role": "user", "content": "…"}.',
    );
    return [];
  });
}

/** The list of messages under a key; null, with the problem told, where it is no list or has nothing in it. */
export function turnList(row: Row, field: Field): readonly unknown[] | null {
  const value = row.asJson(field.value, field.path);
  if (Array.isArray(value) && value.length > 0) return value;
  if (isTurn(value)) return [value];
  // {"0": {…}, "1": {…}}: a list that went through a table.
  if (
    isObject(value) &&
    turnsIn(Object.values(value)) &&
    Object.keys(value).every((key) => /^\d+$/.test(key))
  ) {
    return Object.values(value);
  }
  row.error(
    'missing_messages_list',
    field.path,
    Array.isArray(value)
      ? `${quoted(field.key)} is empty.`
      : `${quoted(field.key)} is ${kindOf(value)}, not a list.`,
    'Write "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].',
  );
  return null;
}
