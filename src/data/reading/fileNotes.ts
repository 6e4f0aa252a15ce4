// What is reported once for a whole file: texts mended on the way in, keys that are not used, rows that the file marks as not to be learned.
// Not here: problems of one row (rows.ts), what only shows when all rows are seen together (fileChecks.ts).

import type { Issue, Severity } from '../../contract';
import { linesText, listed, plural, quoted, shortened } from '../../wording';
import { isObject } from './fields';
import type { JsonPath } from './jsonText';
import { type MendCode, MendLog } from './mends';

/** Column and excerpt of the first place. */
export type Place = Pick<Issue, 'excerpt' | 'caret'>;

interface Facts {
  /** "12 rows", "All 12 rows", "1 row (line 3)"; starts a sentence. */
  rows: string;
  /** "line 3", "lines 1 and 2". */
  where: string;
  count: number;
  /** The details of all rows, quoted by whoever noted them. */
  details: string;
}

interface NoteText {
  severity: Severity;
  message(facts: Facts): string;
  fix: string;
}

const READ = 'Nothing needs to be done.';
const has = (count: number) => (count === 1 ? 'has' : 'have');
const is = (count: number) => (count === 1 ? 'is' : 'are');
const was = (count: number) => (count === 1 ? 'was' : 'were');

function mended(what: string, fix = READ): NoteText {
  return {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${has(count)} ${what}. ${count === 1 ? 'It was' : 'They were'} read all the same.`,
    fix,
  };
}

/** Every note there is, by its code. */
const NOTES = {
  trailing_comma: mended('a comma too many'),
  missing_comma: mended('no comma between two objects of a list'),
  single_quotes: mended(
    'single quotes, as in a printed Python dict',
    `${READ} In Python, json.dumps(row) writes JSON.`,
  ),
  curly_quotes: mended('curly quotation marks around keys or texts'),
  unquoted_keys: mended('keys without quotation marks'),
  python_words: mended(
    'None, True, False, NaN or undefined, which JSON calls null, true, false, null and null',
  ),
  escapes: mended('escapes that JSON does not know, such as \\xe9'),
  control_characters: mended('tabs or line breaks inside a text that are not escaped'),
  comments: {
    severity: 'warning',
    message: ({ where, count }) =>
      `${plural(count, 'comment')} (${where}) ${was(count)} left out; JSON does not know comments.`,
    fix: READ,
  },
  code_fence: {
    severity: 'warning',
    message: () => 'The rows stand in a Markdown code block. Its marks (```) were left out.',
    fix: READ,
  },
  text_around: {
    severity: 'warning',
    message: ({ where, count, details }) =>
      `${plural(count, 'line')} around the rows (${where}) ${is(count)} not used: ${details}.`,
    fix: 'Nothing needs to be done, unless a row is among them.',
  },
  list_brackets: {
    severity: 'warning',
    message: ({ where }) =>
      `The brackets of the list around the rows are not whole (${where}). The rows were read without them.`,
    fix: 'Check that no rows are missing at the end.',
  },
  spread_rows: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${is(count)} spread over several lines. ${count === 1 ? 'It was' : 'They were'} joined.`,
    fix: `${READ} Other tools want each row on one line: json.dumps(row) in Python, JSON.stringify(row) in JavaScript.`,
  },
  rows_on_one_line: {
    severity: 'warning',
    message: ({ rows, count }) => `${rows} ${count === 1 ? 'shares' : 'share'} a line with another row.`,
    fix: `${READ} Other tools want each row on a line of its own.`,
  },
  role_names: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${count === 1 ? 'writes' : 'write'} roles in another way, read as ${details}.`,
    fix: `${READ} The usual names are "system", "user" and "assistant".`,
  },
  roles_assumed: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${is(count)} a list of texts without roles, read as user and assistant in turn.`,
    fix: 'Check in the preview that the right texts are learned.',
  },
  number_content: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${has(count)} a number, true or false in the place of a text. It was read as its characters.`,
    fix: `${READ} To be safe, write it in double quotes.`,
  },
  nested_json: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${has(count)} JSON written as a text in ${details}. It was read as JSON.`,
    fix: READ,
  },
  null_content: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${has(count)} messages whose content is null. They were left out; what is left is whole.`,
    fix: READ,
  },
  missing_values: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${has(count)} NaN, NULL, #N/A or the like in a cell, which was read as an empty one.`,
    fix: READ,
  },
  line_marks: mended('marks around the JSON: a line number, a bullet, “data:”, a semicolon, or quotes'),
  whitespace_edge: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${has(count)} texts that start or end with white space, which was removed.`,
    fix: READ,
  },
  duplicate_row: {
    severity: 'warning',
    message: ({ rows, count }) =>
      `${rows} ${is(count)} the same as an earlier one, and ${was(count)} left out.`,
    fix: READ,
  },
  empty_system: {
    severity: 'warning',
    message: ({ rows, count }) => `${rows} ${has(count)} an empty system message, which was left out.`,
    fix: READ,
  },
  system_joined: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${has(count)} ${details} beside a system message. Both were joined into one.`,
    fix: 'Check in the preview that the system message reads well.',
  },
  preference_chosen: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${count === 1 ? 'compares' : 'compare'} two answers. The model learns ${details}.`,
    fix: `${READ} Learning from both at once (DPO) is not done here.`,
  },
  label_false: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${is(count)} marked as not wanted (${details}), and ${was(count)} left out.`,
    fix: `${READ} If the model should learn such rows too, remove the mark.`,
  },
  row_not_trained: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${is(count)} marked as not to be learned (${details}), and ${was(count)} left out.`,
    fix: `${READ} If the model should learn such rows, remove the mark.`,
  },
  train_flag_on_prompt: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${count === 1 ? 'marks' : 'mark'} a message as to be learned that is not an answer (${details}). Only answers are learned.`,
    fix: 'Set “Learn from” to “Everything” to learn the other messages too.',
  },
  media_unused: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${count === 1 ? 'comes' : 'come'} with pictures, sound or files (${details}). The model reads text only and never sees them.`,
    fix: 'Keep only rows that make sense without them, or describe them in the prompt.',
  },
  media_placeholder: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${count === 1 ? 'holds' : 'hold'} ${details} in the text, the mark of a picture, sound or film. It is read as these characters.`,
    fix: 'Remove the mark, or describe in words what stands there.',
  },
  duplicate_key: {
    severity: 'warning',
    message: ({ rows, count, details }) =>
      `${rows} ${has(count)} a key twice in one object: ${details}. Only the last one was used.`,
    fix: 'Give each key once.',
  },
  columns_assumed: {
    severity: 'warning',
    message: ({ details }) => `The names of the columns do not say which is which: ${details}.`,
    fix: 'If this is wrong, choose the columns (below the file, or --columns "user=NAME,assistant=NAME" on the command line), or name them “prompt” and “completion” in the first line. If the first line is a row and not names, put a line of names above it.',
  },
  line_breaks: {
    severity: 'warning',
    message: ({ rows, count }) => `${rows} ${has(count)} <br> in a cell, which was read as a line break.`,
    fix: READ,
  },
} as const satisfies Record<string, NoteText>;

export type NoteCode = keyof typeof NOTES;

function isNote(code: string): code is NoteCode {
  return Object.hasOwn(NOTES, code);
}

/** Rows of a note, and what they noted. */
class Noted {
  readonly lines: number[] = [];
  readonly details = new Set<string>();
  #row = -1;

  constructor(readonly place: Place) {}

  /** @param row its number, as several rows can stand on one line */
  add(row: number, line: number): void {
    if (row === this.#row) return;
    this.#row = row;
    this.lines.push(line);
  }
}

class Unused extends Noted {
  /** The model could have learned something from it: more than an id, a number, a date. */
  holdsText = false;
}

/** Ids, scores, dates, addresses: what a program writes for itself. */
const FOR_PROGRAMS =
  /^(?:[\w.:/+@#%&=?~|,;-]{0,64}|https?:\/\/\S+|\d{4}-\d\d?-\d\d?[ T][\d:.]+(?: ?[+-]\d\d:?\d\d| ?UTC|Z)?)$/;

/** Texts within a value that a model could have learned. At most a few are examined. */
export function textsWithin(value: unknown, found: string[] = [], depth = 0): string[] {
  if (found.length >= 64 || depth > 8) return found;
  if (typeof value === 'string') {
    if (!FOR_PROGRAMS.test(value)) found.push(value);
  } else if (Array.isArray(value)) {
    for (const item of value) textsWithin(item, found, depth + 1);
  } else if (isObject(value)) {
    for (const item of Object.values(value)) textsWithin(item, found, depth + 1);
  }
  return found;
}

/** `messages[2].content[0].title` of all messages is one key: `messages[].content[].title`. */
function keyPath(path: JsonPath): string {
  const steps = path.map((step, i) =>
    typeof step === 'number' ? '[]' : `${i === 0 ? '' : '.'}${shortened(step, 40)}`,
  );
  return steps.join('');
}

/** Keys with text that get a sentence of their own; beyond that they share one. */
const MAX_UNUSED = 40;
/** Names in one sentence. */
const MAX_NAMES = 12;

export class FileNotes {
  readonly #notes = new Map<NoteCode, Noted>();
  readonly #unused = new Map<string, Unused>();
  #row = 0;
  #line = 0;
  /** Mends of the row that is being read, and whether they are done. */
  #mends = new Map<MendCode, boolean>();

  constructor(readonly mends: MendLog = new MendLog()) {}

  /** What follows is about this row. */
  startRow(line: number): void {
    this.#row++;
    this.#line = line;
    this.#mends = new Map();
  }

  /** All mends of the row so far. */
  get rowMends(): ReadonlyMap<MendCode, boolean> {
    return this.#mends;
  }

  /** Whether a mend of this row is to be done. */
  wants(code: MendCode): boolean {
    return this.mends.wants(code, this.#line);
  }

  /** A mend that the row needs. @returns whether it is to be done; the caller tells what is wrong where it is not */
  mend(code: MendCode, detail?: string, place?: () => Place): boolean {
    const done = this.mends.wants(code, this.#line);
    // One that is not done in a part of the row is not done.
    this.#mends.set(code, done && (this.#mends.get(code) ?? true));
    if (done && isNote(code)) this.add(code, detail, place);
    return done;
  }

  /**
   * A line outside of rows that is left out.
   * @returns whether it is
   */
  leaveOut(code: MendCode, line: number, text: string, detail?: string): boolean {
    this.startRow(line);
    const done = this.mend(code, detail);
    this.mends.add(line, this.#mends, () => ({ before: text.trim(), after: '' }));
    return done;
  }

  /** @param detail what the sentence shows of the row, e.g. a name in quotation marks */
  add(code: NoteCode, detail?: string, place: () => Place = () => ({})): void {
    let noted = this.#notes.get(code);
    if (!noted) {
      noted = new Noted(place());
      this.#notes.set(code, noted);
    }
    noted.add(this.#row, this.#line);
    if (detail !== undefined && noted.details.size < 1000) noted.details.add(detail);
  }

  /** A key that no reader used. */
  addUnused(path: JsonPath, value: unknown, place: () => Place): void {
    const key = keyPath(path);
    let unused = this.#unused.get(key);
    if (!unused) {
      unused = new Unused(place());
      this.#unused.set(key, unused);
    }
    unused.add(this.#row, this.#line);
    unused.holdsText ||= textsWithin(value).length > 0;
  }

  /** @param total rows of the file */
  issues(total: number): Issue[] {
    const notes = [...this.#notes].map(([code, { lines, details, place }]): Issue => {
      const { severity, message, fix }: NoteText = NOTES[code];
      const facts = {
        rows: rowsText(lines, total),
        where: linesText(lines),
        count: lines.length,
        details: listed([...details]),
      };
      return { code, severity, line: 0, lines, ...place, message: message(facts), fix };
    });
    const [withText, others] = [true, false].map((holds) =>
      [...this.#unused].filter(([, unused]) => unused.holdsText === holds),
    ) as [[string, Unused][], [string, Unused][]];
    const own = withText.slice(0, MAX_UNUSED).map((entry) => unusedIssue([entry], total));
    const shared = withText.slice(MAX_UNUSED);
    if (shared.length > 0) own.push(unusedIssue(shared, total));
    if (others.length > 0) own.push(unusedIssue(others, total));
    return [...notes, ...own];
  }
}

function unusedIssue(entries: readonly [string, Unused][], total: number): Issue {
  const names = entries.map(([key]) => quoted(key, 60));
  const [first] = entries as [[string, Unused]];
  const lines =
    entries.length === 1
      ? first[1].lines
      : [...new Set(entries.flatMap(([, unused]) => unused.lines))].sort((a, b) => a - b);
  const count = lines.length;
  const text = first[1].holdsText;
  return {
    code: 'unused_key',
    severity: 'warning',
    line: 0,
    lines,
    ...first[1].place,
    message: `${rowsText(lines, total)} also ${has(count)} ${listed(names, MAX_NAMES)}, which ${
      text
        ? `${is(names.length)} not used: the model never sees ${names.length === 1 ? 'it' : 'them'}`
        : `${is(names.length)} not used`
    }.`,
    fix: text
      ? 'If the model should learn from it, write it into the prompt or the answer.'
      : 'Nothing needs to be done, unless the model should know them.',
  };
}

/** "The row", "Both rows", "All 12 rows", "1 row (line 3)", "7 rows (lines 1, 2, 3, 4, 5 and 2 more)". */
export function rowsText(lines: readonly number[], total: number): string {
  if (lines.length === total) {
    return total === 1 ? 'The row' : total === 2 ? 'Both rows' : `All ${plural(total, 'row')}`;
  }
  return `${plural(lines.length, 'row')} (${linesText(lines)})`;
}
