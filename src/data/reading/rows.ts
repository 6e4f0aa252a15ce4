// One row, already parsed → messages or a text: what is beside them, and everything that is wrong with it.
// Not here: the formats (rowFormats.ts), lines and columns (jsonl.ts, tabular.ts), what concerns several rows (fileChecks.ts, fileNotes.ts).

import type { RowFormat } from '../../acceptedFiles';
import type { Issue, Message, Role } from '../../contract';
import { listed, quoted, shortened } from '../../wording';
import { Fields, isEmpty, isObject, type Json, plainName } from './fields';
import { textsWithin } from './fileNotes';
import { USER_NAMES } from './keyNames';
import type { MendCode } from './mends';
import { formatOf, holds, readChosen, withHistory, withSystem } from './rowFormats';
import type { Patch } from './rowPatches';
import { type Draft, kindOf, Row, type RowSource } from './rowReading';
import { readTools } from './toolCalls';
import { flagOf, MEDIA_KEYS, turnsIn } from './turns';

export interface RowResult {
  /** Null when an error or a mark of the file takes the row out, or it is a plain text. */
  messages: Message[] | null;
  /** Of a plain text. */
  text?: string;
  tools?: unknown[];
  format: RowFormat | null;
  /** The file marks the row as not to be learned; that is no error. */
  leftOut: boolean;
  /** The side of the split that the row names. */
  split?: SplitName;
  issues: Issue[];
  /** Present when the row has one. */
  weight?: number;
  /** Keys, or role words, that became messages. */
  sources: ReadonlyMap<Role | 'text', ReadonlySet<string>>;
  /** Values that were mended, and mends that change more than a value. */
  patches: readonly Patch[];
  rewritten: ReadonlyMap<MendCode, boolean>;
  /** The row has to be written as chat messages to be read the same again. */
  anew: boolean;
  /** Keys of the row that no reader used. */
  beside: Json;
}

export type SplitName = 'train' | 'validation' | 'test';

const SPLIT_NAMES: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  train_sft: 'train',
  validation: 'validation',
  valid: 'validation',
  val: 'validation',
  dev: 'validation',
  eval: 'validation',
  evaluation: 'validation',
  test: 'test',
  testing: 'test',
  test_sft: 'test',
};

/** The side of a split that a name stands for. */
export function splitNamed(name: unknown): SplitName | undefined {
  const word = typeof name === 'string' ? name.trim().toLowerCase() : '';
  return Object.hasOwn(SPLIT_NAMES, word) ? SPLIT_NAMES[word] : undefined;
}

const MAX_ROW_WEIGHT = 100;
const LABEL_KEYS = [
  'label',
  'kto_tag',
  'desirable',
  'is_desirable',
  'is_good',
  'is_preferred',
  'liked',
  'thumbs_up',
  'feedback',
  'thumbs',
];
/** Keys whose 0 and 1 are no classes but a verdict on the answer. */
const VERDICT_KEYS = LABEL_KEYS.filter((key) => key !== 'label');
const WANTED_WORDS = ['true', 'desirable', 'good', 'thumbs_up', 'up', 'like', 'liked', '👍'];
const UNWANTED_WORDS = ['false', 'undesirable', 'bad', 'thumbs_down', 'down', 'dislike', 'disliked', '👎'];
const ROW_FLAG_KEYS = ['train', 'trainable', 'loss_mask'];
const PLACEHOLDER = /<(?:image|audio|video)>|<\|(?:image|audio|video)(?:_\w+)?\|>|\[IMG\]/;

/** Why a row is of no format, told as helpfully as its keys allow. */
function tellUnknown(row: Row, value: Json): void {
  const keys = Object.keys(value);
  const names = listed(
    keys.map((key) => quoted(key)),
    6,
  );
  const [message, fix] = ((): [string, string] => {
    if ('role' in value && ['content', 'value', 'text'].some((key) => key in value)) {
      return [
        'This row is one message, not a conversation.',
        'Put the messages of a conversation into one list: {"messages": [ … ]}.',
      ];
    }
    if (isObject(value.mapping)) {
      return [
        'This is ChatGPT’s own export of a conversation, a tree of all its versions, which is not read here.',
        'Write the version that you want as {"messages": [ … ]}.',
      ];
    }
    const asked = new Fields(value, []).findFilled(USER_NAMES);
    if (asked) {
      return [
        `This row has ${quoted(asked.key)} but no answer${keys.length > 1 ? `; its keys are ${names}` : ''}.`,
        'Add the answer that you want under “completion”, or give its key that name.',
      ];
    }
    if (keys.length === 0) return ['This row is empty.', 'Remove it, or write {"messages": [ … ]}.'];
    return [
      `This row has no “messages” but ${names}.`,
      `${keys.length > 1 ? 'Choose which key is what (below the file, or --columns "user=NAME,assistant=NAME" on the command line), or rename' : 'Rename'} the keys to "prompt" and "completion", or write {"messages": [{"role": "user", …}, {"role": "assistant", …}]}.`,
    ];
  })();
  row.error('missing_messages_list', [], message, fix);
}

/** A role in a sentence: as JSON where it is no text. */
const roleText = (role: unknown) => (typeof role === 'string' ? role : JSON.stringify(role));

/** The row inside a row: {"data": {"messages": […]}}, {"row": {…}}, {"body": {…}}. */
function unwrap(row: Row, fields: Fields): Fields {
  if (formatOf(fields)) return fields;
  // A message with its answers below it is no row.
  const talk = fields.has('role', 'from')
    ? []
    : fields.leftOver().filter(({ value }) => Array.isArray(value) && turnsIn(value) !== null);
  const [conversation] = talk;
  if (conversation && talk.length === 1) {
    if (!row.mend('wrapped_row', conversation.path, quoted(conversation.key))) return fields;
    fields.use(conversation);
    return row.fields({ messages: conversation.value }, conversation.path.slice(0, -1));
  }
  const inside = fields
    .leftOver()
    .filter(({ value, path }) => isObject(value) && formatOf(new Fields(value, path)) !== undefined);
  const [only] = inside;
  if (!only || inside.length > 1) return fields;
  if (!row.mend('wrapped_row', only.path, quoted(only.key))) return fields;
  fields.use(only);
  return row.fields(only.value as Json, only.path);
}

function checkWeight(row: Row, d: Draft): 0 | 1 | undefined {
  if (d.weight === undefined) return undefined;
  const path = [...d.path, 'weight'];
  if (d.weight !== 0 && d.weight !== 1) {
    row.error(
      'bad_weight',
      path,
      `A weight of ${shortened(JSON.stringify(d.weight), 40)} does not exist.`,
      'Use 0 (keep it as context only) or 1 (learn it).',
    );
    return undefined;
  }
  if (d.role === 'assistant') return d.weight;
  if (d.weight === 1) row.note('train_flag_on_prompt', d.path, quoted(roleText(d.roleWord ?? d.role)));
  return undefined;
}

/** White space, and characters that show nothing: zero-width spaces and joiners, byte order marks. */
const INVISIBLE = /[\s\u200B-\u200D\u2060\uFEFF]+/g;

/** Whether the content is a text with something in it; tells what is wrong with it. */
function checkContent(row: Row, d: Draft): boolean {
  const { content } = d;
  if (d.calls && (content === null || content === undefined || content === '')) return true;
  // An empty result is what a tool may answer.
  if (d.role === 'tool' && content === '') return true;
  if (typeof content === 'string' && content.replaceAll(INVISIBLE, '') !== '') {
    const trimmed = content.trim();
    if (content !== trimmed) {
      if (row.mend('whitespace_edge', d.contentPath, undefined, { from: content, to: trimmed })) {
        d.content = trimmed;
        return true;
      }
      row.warn(
        'whitespace_edge',
        d.contentPath,
        `The text ${content !== content.trimStart() ? 'starts' : 'ends'} with a space or line break, which the model would learn.`,
        'Remove it at both ends, unless you mean it.',
      );
    }
    return true;
  }
  const [message, fix] = ((): [string, string] => {
    if (content === '') return ['The content is empty.', 'Write the text, or remove the message.'];
    if (content === undefined)
      return ['The message has no content.', 'Write the content as text in double quotes.'];
    if (typeof content === 'string')
      return ['The content is nothing but spaces.', 'Write the text, or remove the message.'];
    return [
      `The content is ${kindOf(content)}, not text.`,
      content !== null && typeof content === 'object'
        ? 'If the model should write JSON, put it into a text: json.dumps(…) in Python.'
        : 'Write the content as text in double quotes.',
    ];
  })();
  row.error('missing_content', d.contentPath, message, fix);
  return false;
}

function checkMessage(row: Row, d: Draft): Message | null {
  if (d.role === null) {
    row.error(
      'unrecognized_role',
      d.rolePath,
      typeof d.roleWord === 'string'
        ? `${quoted(d.roleWord)} is not a role.`
        : `The role is ${kindOf(d.roleWord)}, not text.`,
      'Roles are "system", "user" and "assistant".',
    );
  }
  const sound = checkContent(row, d);
  const weight = checkWeight(row, d);
  if (!sound || d.role === null) return null;
  const message: Message = { role: d.role, content: typeof d.content === 'string' ? d.content : '' };
  if (weight !== undefined) message.weight = weight;
  if (d.calls && d.calls.length > 0 && d.role === 'assistant') message.tool_calls = d.calls;
  if (d.callId !== undefined) message.tool_call_id = d.callId;
  if (d.name !== undefined) message.name = d.name;
  return message;
}

/** How a message is taken out of its list; a text beside the messages is written anew with the row. */
function takenOut(d: Draft, row: Row): { from: unknown; to: undefined } | undefined {
  return typeof d.path.at(-1) === 'number' ? { from: row.valueAt(d.path), to: undefined } : undefined;
}

/** A system message without a text says nothing, and files are full of them. */
function dropEmptySystem(row: Row, drafts: Draft[]): Draft[] {
  return drafts.filter((d) => {
    const empty =
      d.role === 'system' &&
      (isEmpty(d.content) || (typeof d.content === 'string' && d.content.trim() === ''));
    return !(empty && row.mend('empty_system', d.path, undefined, takenOut(d, row)));
  });
}

/** Whether these roles are a whole conversation: user and assistant in turn, and an answer at the end. */
function alternates(drafts: readonly Draft[]): boolean {
  const roles = drafts.map(({ role }) => role).filter((role) => role !== 'system');
  return (
    roles.length > 0 &&
    roles.length % 2 === 0 &&
    roles.every((role, i) => role === (i % 2 === 0 ? 'user' : 'assistant'))
  );
}

/** Messages that say null, as tables with a fixed number of turns have them, where nothing is missed without them. */
function dropNullMessages(row: Row, drafts: Draft[]): Draft[] {
  const isNull = (d: Draft) => d.content === null && !d.calls && d.contentPath.length > d.path.length;
  const nulls = drafts.filter(isNull);
  const rest = drafts.filter((d) => !isNull(d));
  if (nulls.length === 0 || !alternates(rest)) return drafts;
  const done = nulls.map((d) => row.mend('null_content', d.path, undefined, takenOut(d, row)));
  return done.every((each) => each) ? rest : drafts;
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
    } else if (role === before && role !== 'tool') {
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
    } else if (role === 'tool' && !messages.slice(0, i).some((m) => m.tool_calls)) {
      row.warn(
        'role_order',
        pathOf(i),
        'A tool’s result without a call before it.',
        'Put the assistant’s call in front: “tool_calls” of a message.',
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
function readRowWeight(row: Row, fields: Fields): number | undefined {
  const field = fields.take(['weight']);
  if (!field || isEmpty(field.value)) return undefined;
  // A cell of a table is text.
  const weight = typeof field.value === 'string' ? Number(field.value) : field.value;
  if (typeof weight === 'number' && weight > 0 && weight <= MAX_ROW_WEIGHT) return weight;
  row.error(
    'bad_weight',
    field.path,
    `A row weight of ${shortened(JSON.stringify(field.value), 40)} does not exist.`,
    `Use a number above 0 and up to ${MAX_ROW_WEIGHT}: 2 counts double, 0.5 half. To leave a row out, remove it.`,
  );
  return undefined;
}

/** KTO's `label` beside an answer: whether the answer is a wanted one. 0 and 1 may be classes, and are left over. */
function isUnwanted(row: Row, fields: Fields): boolean {
  const field = fields.find(LABEL_KEYS);
  if (!field) return false;
  const verdict = VERDICT_KEYS.includes(plainName(field.key));
  const word = plainName(String(field.value));
  const wanted = WANTED_WORDS.includes(word) || (verdict && field.value === 1);
  const unwanted = UNWANTED_WORDS.includes(word) || (verdict && field.value === 0);
  if (!wanted && !unwanted) return false;
  // It is the answer itself where no other key holds one.
  if (!fields.leftOver().some(({ key }) => key === field.key)) return false;
  fields.use(field);
  if (wanted) return false;
  row.note('label_false', field.path, quoted(`${field.key}: ${String(field.value)}`));
  return true;
}

/**
 * Flags of the whole row: `train: false` leaves it out; `loss_mask: [0, 1, …]` names the messages that are learned, or the answers.
 * Anything else is left over.
 */
function readRowFlags(row: Row, fields: Fields, drafts: readonly Draft[]): boolean {
  const field = fields.find(ROW_FLAG_KEYS);
  if (!field) return false;
  const value = row.asJson(field.value, field.path);
  if (Array.isArray(value)) {
    const flags = value.map(flagOf);
    const answers = drafts.filter((d) => d.role === 'assistant');
    const meant = [drafts, answers].find((list) => list.length === flags.length);
    if (!meant || flags.some((flag) => flag !== 0 && flag !== 1)) return false;
    fields.use(field);
    for (const [i, d] of meant.entries()) if (d.role === 'assistant') d.weight = flags[i];
    return false;
  }
  const flag = flagOf(value);
  if (flag !== 0 && flag !== 1) return false;
  fields.use(field);
  if (flag === 1) return false;
  row.note('row_not_trained', field.path, quoted(`${field.key}: ${String(field.value)}`));
  return true;
}

/** Tools of the row, under the key of OpenAI or an older one. Left over where they cannot be read. */
function readRowTools(row: Row, fields: Fields): unknown[] | undefined {
  for (const name of ['tools', 'functions', 'tool_config']) {
    const field = fields.find([name]);
    if (!field || isEmpty(field.value)) continue;
    const tools = readTools(row.asJson(field.value, field.path));
    if (!tools) continue;
    fields.use(field);
    return tools;
  }
  return undefined;
}

/** Tells of every key that no reader used, but for texts that the messages hold anyway. */
function tellLeftOver(row: Row, contents: readonly string[]): void {
  for (const { key, value, path } of row.leftOver()) {
    if (MEDIA_KEYS.includes(plainName(key))) {
      row.note('media_unused', path, quoted(key));
      continue;
    }
    const texts = textsWithin(value);
    if (texts.length > 0 && texts.every((text) => contents.some((content) => holds(content, text)))) continue;
    row.notes.addUnused(path, value, () => row.place(path));
  }
}

function tellPlaceholders(row: Row, drafts: readonly Draft[]): void {
  for (const { content, contentPath } of drafts) {
    const found = typeof content === 'string' ? PLACEHOLDER.exec(content)?.[0] : undefined;
    if (found !== undefined) row.note('media_placeholder', contentPath, quoted(found));
  }
}

/** Reads one row; never throws. All problems of the row are reported at once; those of many rows go to `source.notes`. */
export function readRow(given: unknown, source: RowSource): RowResult {
  const row = new Row(source, given);
  const nothing = () => ({
    messages: null,
    format: null,
    leftOut: false,
    issues: row.told(),
    sources: row.sources,
    patches: row.patches,
    rewritten: row.rewritten,
    anew: row.anew,
    beside: {},
  });
  // A row that was written as JSON twice, or is nothing but the list of its messages.
  const once = row.asJson(given, []);
  const value = Array.isArray(once) && turnsIn(once) ? { messages: once } : once;
  if (!isObject(value)) {
    row.error('data_type', [], `This row is ${kindOf(value)}, not an object.`, 'Write {"messages": [ … ]}.');
    return nothing();
  }
  const outer = row.fields(value, []);
  const chosen = source.columns && readChosen(row, outer, source.columns);
  const fields = chosen ? outer : unwrap(row, outer);
  const format = chosen ?? formatOf(fields);
  if (!format) {
    tellUnknown(row, value);
    return nothing();
  }
  // A setting of the API, not a text.
  fields.take(['parallel_tool_calls']);
  const read = 'content' in format ? format.content : format.read(row, fields);
  const drafts =
    read && 'drafts' in read
      ? dropNullMessages(
          row,
          dropEmptySystem(
            row,
            chosen ? read.drafts : withSystem(row, fields, withHistory(row, fields, read.drafts)),
          ),
        )
      : [];
  const tools = readRowTools(row, fields);
  const unwanted = isUnwanted(row, fields);
  const leftOut = readRowFlags(row, fields, drafts) || unwanted;
  const weight = readRowWeight(row, fields);
  const split = splitOf(fields);
  const messages = drafts.map((d) => checkMessage(row, d)).filter((m) => m !== null);
  if (read && 'drafts' in read) {
    // A misspelt role may be the assistant's, and is reported as that already.
    if (!drafts.some((d) => d.role === 'assistant' || d.role === null)) {
      row.error(
        'example_missing_assistant_message',
        format.id === 'messages' ? ['messages'] : [],
        'There is no assistant message, so there is nothing to learn.',
        'Add the answer you want as a message with "role": "assistant".',
      );
    }
    if (messages.length === drafts.length) checkOrder(row, messages, drafts);
    tellPlaceholders(row, drafts);
  }
  const text = read && 'text' in read ? read.text : undefined;
  tellLeftOver(row, text === undefined ? messages.map((m) => m.content) : [text]);
  const out = row.failed || leftOut;
  return {
    messages: out || text !== undefined ? null : messages,
    ...(text === undefined || out ? {} : { text }),
    ...(tools === undefined ? {} : { tools }),
    ...(split === undefined ? {} : { split }),
    format: format.id,
    leftOut: leftOut && !row.failed,
    issues: row.told(),
    ...(weight === undefined ? {} : { weight }),
    sources: row.sources,
    patches: row.patches,
    rewritten: row.rewritten,
    anew: row.anew,
    beside: Object.fromEntries(
      row
        .leftOver()
        .filter(({ path }) => path.length === outer.path.length + 1 || path.length === fields.path.length + 1)
        .map(({ key, value: kept }) => [key, kept]),
    ),
  };
}

function splitOf(fields: Fields): SplitName | undefined {
  const field = fields.find(['split']);
  const split = splitNamed(field?.value);
  if (field && split) fields.use(field);
  return split;
}
