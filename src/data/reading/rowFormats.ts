// The list of row formats: how each is recognised and read, and a row of it.
// Not here: their names (acceptedFiles.ts), lists of messages (turns.ts), what is checked of every row (rows.ts), how rows lie in a file (jsonl.ts, tabular.ts).

import type { RowFormat } from '../../acceptedFiles';
import type { ColumnChoice, ColumnRole } from '../../dataReport';
import { quoted } from '../../wording';
import { type Field, Fields, isEmpty, isObject, type Json, plainName } from './fields';
import type { JsonPath } from './jsonText';
import {
  ADDITION_NAMES,
  ASSISTANT_NAMES,
  CHOSEN_NAMES,
  CHOSEN_PAIRS,
  HISTORY_NAMES,
  REJECTED_NAMES,
  SHAREGPT_NAMES,
  SYSTEM_NAMES,
  TEXT_NAMES,
  TEXT_USER_NAMES,
  USER_NAMES,
} from './keyNames';
import { type Draft, draft, type Row } from './rowReading';
import { OPENAI_WORDS, type OwnWords, readContent, readTurns, turnList, turnsIn } from './turns';

const SHAREGPT_WORDS: OwnWords = new Set([...OPENAI_WORDS, 'human', 'gpt', 'function_call', 'observation']);
const GEMINI_WORDS: OwnWords = new Set(['system', 'user', 'model', 'function']);

/** What a row turned out to hold. */
export type RowContent = { drafts: Draft[] } | { text: string } | null;

export interface RowFormatEntry {
  id: RowFormat;
  /** Whether a row with these keys is of it; the first of the list that says so reads it. */
  recognises(fields: Fields): boolean;
  /** Keys that name it even where they are empty, when no other format fits. */
  names?: readonly string[];
  /** Null where an error has been told. */
  read(row: Row, fields: Fields): RowContent;
  /** Rows of it, for help and tests. */
  samples: readonly Json[];
}

// ───────────────────────────── questions and answers ─────────────────────────────

/** Whether one text holds another, so that it need not be added; short ones must be the same. */
export function holds(whole: string, part: string): boolean {
  return whole === part || (part.length >= 12 && whole.includes(part));
}

function nonTextAnswer(row: Row, field: Field): null {
  const texts = field.value as unknown[];
  row.error(
    'missing_content',
    field.path,
    `${quoted(field.key)} is a list of ${texts.length} texts, not one text.`,
    'Keep the one that the model should give, or write a row for each.',
  );
  return null;
}

/** The text of a question's part; null where it is none. */
function textOf(row: Row, field: Field): string | null {
  const { value } = field;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join('\n');
  const { content } = readContent(row, value, field.path);
  return typeof content === 'string' ? content : null;
}

/** The question of a row and what belongs to it: a conversation, or a text with its additions. */
function readPrompt(row: Row, fields: Fields): Draft[] | null {
  const primary = promptField(fields);
  if (!primary) return null;
  const value = row.asJson(primary.value, primary.path, false);
  const turns = turnsIn(value);
  if (turns) {
    fields.use(primary);
    row.useJson(primary.path);
    return readTurns(
      row,
      turns,
      Array.isArray(value) ? primary.path : primary.path.slice(0, -1),
      SHAREGPT_WORDS,
    );
  }
  if (isObject(value) && !('text' in value && Object.keys(value).length <= 2)) {
    const inner = row.fields(value, primary.path);
    const list = inner.find(['messages', ...SHAREGPT_NAMES, 'contents']);
    const inside = list ? turnsIn(row.asJson(list.value, list.path)) : null;
    const read =
      list && inside ? readTurns(row, inside, inner.use(list).path, SHAREGPT_WORDS) : readPrompt(row, inner);
    if (read) {
      fields.use(primary);
      row.useJson(primary.path);
      return withSystem(row, inner, read);
    }
  }
  const parts: string[] = [];
  const used: Field[] = [];
  for (const field of [primary, ...additions(fields, primary)]) {
    const text = textOf(row, field);
    if (text === null) continue;
    fields.use(field);
    if (text.trim() === '' || parts.some((part) => holds(part, text))) continue;
    parts.push(text);
    used.push(field);
  }
  if (used.length === 0) {
    fields.use(primary);
    const { content } = readContent(row, primary.value, primary.path);
    row.became('user', primary.key);
    return [draft('user', content, primary.path)];
  }
  for (const { key } of used) row.became('user', key);
  return [draft('user', parts.join('\n'), (used[0] as Field).path)];
}

/** An instruction is the question even where “input” stands beside it: that is its addition. */
function promptField(fields: Fields): Field | undefined {
  return fields.find(['instruction']) ?? fields.findFilled(USER_NAMES) ?? fields.findFilled(TEXT_USER_NAMES);
}

function additions(fields: Fields, primary: Field): Field[] {
  return ADDITION_NAMES.flatMap((name) => fields.find([name]) ?? []).filter(
    (field) => field.key !== primary.key && !isEmpty(field.value),
  );
}

/** The answer of a row under one of these names: a text, or messages. */
function readAnswer(row: Row, fields: Fields, names: readonly string[]): Draft[] | null {
  const field = fields.findFilled(names);
  if (!field) return null;
  fields.use(field);
  const value = row.asJson(field.value, field.path, false);
  const turns = turnsIn(value);
  if (turns) {
    row.useJson(field.path);
    return readTurns(row, turns, Array.isArray(value) ? field.path : field.path.slice(0, -1), SHAREGPT_WORDS);
  }
  row.became('assistant', field.key);
  if (Array.isArray(field.value) && field.value.every((item) => typeof item === 'string')) {
    const [only] = field.value as string[];
    return field.value.length === 1
      ? [draft('assistant', only, [...field.path, 0])]
      : nonTextAnswer(row, field);
  }
  if (isObject(value) && !isObject(field.value)) return [draft('assistant', field.value, field.path)];
  if (isObject(value)) {
    const text = new Fields(value, field.path).find([...ASSISTANT_NAMES, 'text', 'content']);
    // SQuAD: {"text": ["red", "red"], "answer_start": [4, 4]}, the same answer by several people.
    if (text && Array.isArray(text.value) && text.value.length > 0) {
      row.fields(value, field.path).use(text);
      if (new Set(text.value).size > 1) return nonTextAnswer(row, text);
      return [draft('assistant', text.value[0], [...text.path, 0])];
    }
    if (text && typeof text.value === 'string') {
      row.fields(value, field.path).use(text);
      return [draft('assistant', text.value, text.path)];
    }
  }
  return [draft('assistant', readContent(row, field.value, field.path).content, field.path)];
}

// ───────────────────────────── what stands beside ─────────────────────────────

/** The text of a system message: a string, a list of parts, an object that holds one. */
function readSystem(row: Row, fields: Fields): { text: string; field: Field } | null {
  const field = fields.findFilled(SYSTEM_NAMES);
  if (!field || isEmpty(field.value)) return null;
  const { content } = readContent(row, field.value, field.path);
  if (typeof content !== 'string') return null;
  fields.use(field);
  return content.trim() === '' ? null : { text: content, field };
}

/** Puts the system message that stands beside the others in front of them. */
export function withSystem(row: Row, fields: Fields, drafts: Draft[]): Draft[] {
  const system = readSystem(row, fields);
  if (!system) return drafts;
  const { text, field } = system;
  row.became('system', field.key);
  const [first, ...rest] = drafts;
  if (first?.role !== 'system' || typeof first.content !== 'string')
    return [draft('system', text, field.path), ...drafts];
  if (holds(first.content, text)) return drafts;
  if (!row.mend('system_joined', field.path, quoted(field.key)))
    return [draft('system', text, field.path), ...drafts];
  return [{ ...first, content: `${text}\n\n${first.content}` }, ...rest];
}

/** Earlier messages under a key of their own: pairs, messages, or texts in turn. Left over where it is none of them. */
function readHistory(row: Row, fields: Fields): Draft[] {
  const field = fields.findFilled(HISTORY_NAMES);
  if (!field || isEmpty(field.value)) return [];
  const value = row.asJson(field.value, field.path, false);
  if (!Array.isArray(value)) return [];
  const pairs = value.every(
    (item) =>
      Array.isArray(item) &&
      item.length === 2 &&
      item.every((text) => typeof text === 'string' || text === null),
  );
  const texts = value.length % 2 === 0 && value.every((item) => typeof item === 'string');
  if (!pairs && !texts && !value.every(isObject)) return [];
  fields.use(field);
  row.useJson(field.path);
  if (!pairs) return readTurns(row, value, field.path, SHAREGPT_WORDS);
  // A pair without its question is a greeting.
  return (value as (string | null)[][]).flatMap((pair, i) =>
    pair.flatMap((text, side) =>
      text === null || text === ''
        ? []
        : [draft(side === 0 ? 'user' : 'assistant', text, [...field.path, i, side])],
    ),
  );
}

/** Puts the earlier messages in front, behind a system message. */
export function withHistory(row: Row, fields: Fields, drafts: Draft[]): Draft[] {
  const system = drafts[0]?.role === 'system' ? 1 : 0;
  return [...drafts.slice(0, system), ...readHistory(row, fields), ...drafts.slice(system)];
}

function turnsFormat<Id extends RowFormat>(
  id: Id,
  names: readonly string[],
  own: OwnWords,
  samples: readonly Json[],
): RowFormatEntry & { id: Id } {
  return {
    id,
    names,
    recognises: (fields) => fields.hasFilled(...names),
    read(row, fields) {
      const field = fields.findFilled(names) as Field;
      fields.use(field);
      const list = turnList(row, field);
      return list && { drafts: readTurns(row, list, field.path, own) };
    },
    samples,
  };
}

const question = (fields: Fields) => fields.has(...USER_NAMES, ...TEXT_USER_NAMES);
const answered = (fields: Fields) => fields.has(...ASSISTANT_NAMES);

function readPair(row: Row, fields: Fields): RowContent {
  const answer = readAnswer(row, fields, ASSISTANT_NAMES);
  const asked = readPrompt(row, fields);
  return asked && answer && { drafts: [...asked, ...answer] };
}

// ───────────────────────────── columns that the visitor names ─────────────────────────────

/** Name of a column or key as the file has it, or in another case. */
function fieldNamed(fields: Fields, name: string): Field | undefined {
  return fields.leftOver().find(({ key }) => key === name) ?? fields.find([plainName(name)]);
}

/** A row whose columns or keys the visitor has named; undefined where it has none of those that are learned. */
export function readChosen(
  row: Row,
  fields: Fields,
  columns: ColumnChoice,
): { id: 'text' | 'prompt_completion'; content: RowContent } | undefined {
  const named = (role: ColumnRole) => (columns[role] ?? []).flatMap((name) => fieldNamed(fields, name) ?? []);
  const text = (role: ColumnRole): { text: string; field: Field } | null => {
    const parts = named(role).map((field) => {
      row.became(role, field.key);
      return { field: fields.use(field), text: textOf(row, field) ?? '' };
    });
    const filled = parts.filter((part) => part.text.trim() !== '');
    const [first] = filled.length > 0 ? filled : parts;
    return first ? { text: filled.map((part) => part.text).join('\n'), field: first.field } : null;
  };
  const learned: ColumnRole = columns.text ? 'text' : 'assistant';
  if (named(learned).length === 0) return undefined;
  row.anew = true;
  const answer = text(learned) as { text: string; field: Field };
  if (learned === 'text') return { id: 'text', content: plainTextOf(row, answer.field, answer.text) };
  const drafts = (['system', 'user'] as const).flatMap((role) => {
    const part = text(role);
    return part ? [draft(role, part.text, part.field.path)] : [];
  });
  return {
    id: 'prompt_completion',
    content: { drafts: [...drafts, draft('assistant', answer.text, answer.field.path)] },
  };
}

function plainTextOf(row: Row, field: Field, value: unknown): RowContent {
  if (typeof value === 'string' && value.trim() !== '') return { text: value };
  row.error(
    'missing_content',
    field.path,
    `${quoted(field.key)} ${typeof value === 'string' ? 'is empty' : 'is not a text'}.`,
    'Write the text, or remove the row.',
  );
  return null;
}

// ───────────────────────────── preference data ─────────────────────────────

/** “\n\nHuman: … \n\nAssistant: …”, as files of Anthropic's have it; null where it is not one. */
function readTranscript(text: string, path: JsonPath): Draft[] | null {
  const parts = text.split(/(?:^|\n\n)(Human|Assistant): ?/);
  if (parts.length < 5 || parts[0]?.trim() !== '') return null;
  const drafts: Draft[] = [];
  for (let i = 1; i + 1 < parts.length; i += 2) {
    drafts.push(draft(parts[i] === 'Human' ? 'user' : 'assistant', (parts[i + 1] as string).trim(), path));
  }
  return drafts;
}

/** The names of the chosen and the rejected answer in this row. */
function preferenceNames(fields: Fields): { chosen: readonly string[]; rejected: readonly string[] } | null {
  if (fields.hasFilled(...CHOSEN_NAMES)) return { chosen: CHOSEN_NAMES, rejected: REJECTED_NAMES };
  const pair = CHOSEN_PAIRS.find(
    ([chosen, rejected]) => fields.hasFilled(chosen) && fields.hasFilled(rejected),
  );
  return pair ? { chosen: [pair[0]], rejected: [pair[1]] } : null;
}

/** {"responses": ["…", "…"], "chosen": 1}: the number of the answer, from 0. */
function readChosenNumber(row: Row, fields: Fields, chosen: Field): RowContent | undefined {
  const answers = fields.find(['responses', 'answers', 'completions', 'outputs', 'choices']);
  if (typeof chosen.value !== 'number' || !Array.isArray(answers?.value)) return undefined;
  const answer: unknown = answers.value[chosen.value];
  fields.use(chosen);
  fields.use(answers);
  if (typeof answer !== 'string') {
    row.error(
      'missing_content',
      chosen.path,
      `${quoted(answers.key)} has no text with the number ${chosen.value}, counted from 0.`,
      'Write the answer itself under “chosen”.',
    );
    return null;
  }
  row.became('assistant', chosen.key);
  const asked = readPrompt(row, fields);
  return asked && { drafts: [...asked, draft('assistant', answer, [...answers.path, chosen.value])] };
}

function readPreference(row: Row, fields: Fields): RowContent {
  const names = preferenceNames(fields) as NonNullable<ReturnType<typeof preferenceNames>>;
  const chosen = fields.findFilled(names.chosen) as Field;
  const rejected = fields.take(names.rejected);
  row.note(
    'preference_chosen',
    chosen.path,
    `${quoted(chosen.key)}${rejected ? ` and not ${quoted(rejected.key)}` : ''}`,
  );
  const numbered = readChosenNumber(row, fields, chosen);
  if (numbered !== undefined) return numbered;
  const transcript = typeof chosen.value === 'string' ? readTranscript(chosen.value, chosen.path) : null;
  if (transcript) {
    fields.use(chosen);
    return { drafts: transcript };
  }
  const answer = readAnswer(row, fields, names.chosen);
  if (!answer) return null;
  const whole = answer.some((d) => d.role === 'user');
  const list = fields.find(['messages', ...SHAREGPT_NAMES]);
  let before: Draft[] | null = null;
  if (list && !whole) {
    fields.use(list);
    const turns = turnList(row, list);
    if (!turns) return null;
    before = readTurns(row, turns, list.path, SHAREGPT_WORDS);
  } else if (question(fields) && !list) before = readPrompt(row, fields);
  // A prompt that the chosen conversation starts with stands there already.
  const told = before?.every((d) => answer.some((a) => a.content === d.content)) ?? true;
  if (whole && told) return { drafts: answer };
  if (!before && !whole) {
    row.error(
      'missing_messages_list',
      [],
      `This row has ${quoted(chosen.key)}${rejected ? ` and ${quoted(rejected.key)}` : ''} but no prompt.`,
      'Add the question under “prompt”, or write “chosen” as a list of messages that starts with it.',
    );
    return null;
  }
  return { drafts: [...(before ?? []), ...answer] };
}

// ───────────────────────────── the list ─────────────────────────────

const asks = (content: unknown) => ({ role: 'user', content });
const says = (content: unknown) => ({ role: 'assistant', content });
const call = { type: 'function', id: 'c1', function: { name: 'lamp', arguments: '{"room": "hall"}' } };

/** In the order in which they are tried. */
export const ROW_FORMATS = [
  {
    id: 'preference',
    recognises: (fields) => preferenceNames(fields) !== null,
    read: readPreference,
    samples: [
      { prompt: 'Which boat is red?', chosen: 'The small one.', rejected: 'No idea.' },
      {
        chosen: [asks('Which boat is red?'), says('The small one.')],
        rejected: [asks('Which boat is red?'), says('No idea.')],
      },
      {
        input: { messages: [asks('Which boat is red?')] },
        preferred_output: [says('The small one.')],
        non_preferred_output: [says('No idea.')],
      },
      {
        conversations: [{ from: 'human', value: 'Which boat is red?' }],
        chosen: { from: 'gpt', value: 'The small one.' },
        rejected: { from: 'gpt', value: 'No idea.' },
      },
    ],
  },
  turnsFormat('messages', ['messages'], OPENAI_WORDS, [
    { messages: [asks('Which boat is red?'), says('The small one.')] },
    { messages: [asks([{ type: 'text', text: 'Which boat is red?' }]), says([{ text: 'The small one.' }])] },
    {
      messages: [
        asks('Light in the hall, please.'),
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c1', content: 'on' },
        says('The light is on.'),
      ],
      tools: [{ type: 'function', function: { name: 'lamp', parameters: { type: 'object' } } }],
    },
  ]),
  turnsFormat('gemini', ['contents'], GEMINI_WORDS, [
    {
      systemInstruction: { role: 'system', parts: [{ text: 'Answer in a few words.' }] },
      contents: [
        { role: 'user', parts: [{ text: 'Which boat is red?' }] },
        { role: 'model', parts: [{ text: 'The small one.' }] },
      ],
    },
  ]),
  turnsFormat('sharegpt', SHAREGPT_NAMES, SHAREGPT_WORDS, [
    {
      system: 'Answer in a few words.',
      conversations: [
        { from: 'human', value: 'Which boat is red?' },
        { from: 'gpt', value: 'The small one.' },
      ],
    },
    { conversation: [{ input: 'Which boat is red?', output: 'The small one.' }] },
  ]),
  {
    id: 'instruction',
    recognises: (fields) => fields.has('instruction') && answered(fields),
    read: readPair,
    samples: [
      {
        instruction: 'Name the colour.',
        input: 'The boat is red.',
        output: 'Red.',
        history: [['Hello there.', 'Hello to you.']],
      },
      { instruction: 'Name the colour.', context: 'The boat is red.', response: 'Red.' },
    ],
  },
  {
    id: 'prompt_completion',
    recognises: (fields) => question(fields) && answered(fields),
    read: readPair,
    samples: [
      { prompt: 'Which boat is red?', completion: 'The small one.' },
      { prompt: [asks('Which boat is red?')], completion: [says('The small one.')] },
      { question: 'Which boat is red?', context: 'The small boat is red.', answer: 'The small one.' },
    ],
  },
  {
    id: 'text',
    recognises: (fields) => fields.has(...TEXT_NAMES) && !fields.has('role', 'from') && !answered(fields),
    read(row, fields) {
      const field = fields.findFilled(TEXT_NAMES) as Field;
      fields.use(field);
      const content = plainTextOf(row, field, row.asText(field.value, field.path));
      if (content) row.became('text', field.key);
      return content;
    },
    samples: [{ text: 'The small boat is red. It was painted last spring.' }],
  },
] as const satisfies readonly RowFormatEntry[];

export function formatOf(fields: Fields): RowFormatEntry | undefined {
  const formats: readonly RowFormatEntry[] = ROW_FORMATS;
  return (
    formats.find((format) => format.recognises(fields)) ??
    formats.find(({ names }) => names !== undefined && fields.has(...names))
  );
}
