// The list of mends: what is put right in a file, why nothing is guessed by it, and the count of the rows of each.
// Not here: doing it (jsonMend.ts, jsonl.ts, turns.ts, rows.ts, tabular.ts), the text that a row becomes (rowPatches.ts).

import type { MendChoices, MendedRow, MendGroup } from '../../dataReport';

interface MendEntry extends Pick<MendGroup, 'title' | 'does' | 'why' | 'choice'> {
  /** Done without being asked for. What changes that which is learned is offered instead. */
  byDefault: boolean;
}

const ROW = { choice: 'row', byDefault: true } as const;
const KIND = { choice: 'kind', byDefault: true } as const;
const OFFERED = { choice: 'row', byDefault: false } as const;
const ENCODING = { choice: 'encoding', byDefault: true } as const;

/** In the order in which a file is read. */
export const MENDS = {
  encoding_converted: {
    ...ENCODING,
    title: 'Another encoding',
    does: 'Reads the bytes in the encoding that they are in, and writes UTF-8.',
    why: 'The bytes are not UTF-8, and only this encoding makes words of them.',
  },
  encoding_mixed: {
    ...ENCODING,
    title: 'Lines in another encoding',
    does: 'Reads these lines in the encoding that they are in, and writes UTF-8.',
    why: 'The rest of the file is UTF-8, and these lines are not.',
  },
  double_encoded: {
    ...OFFERED,
    choice: 'kind',
    title: 'Letters encoded twice',
    does: 'Turns “WÃ¶rter” back into “Wörter”.',
    why: 'The characters are, as bytes, whole UTF-8. A text about such faults would be changed too, so it is offered.',
  },
  bom_removed: {
    ...ENCODING,
    title: 'Byte order mark',
    does: 'Removes the invisible mark at the start of the file.',
    why: 'It marks the encoding and is no text.',
  },
  code_fence: {
    ...KIND,
    title: 'Markdown code block',
    does: 'Removes the marks (```) around the rows.',
    why: 'No row starts with such a mark.',
  },
  text_around: {
    ...KIND,
    title: 'Text around the rows',
    does: 'Leaves out what stands before, between and behind the rows.',
    why: 'It stands outside of every row.',
  },
  comments: {
    ...ROW,
    title: 'Comments',
    does: 'Removes comments (//, # and /* */).',
    why: 'They stand outside of all texts, where JSON has nothing of the kind.',
  },
  list_brackets: {
    ...KIND,
    title: 'Brackets that are not whole',
    does: 'Removes the bracket that opens or closes a list but has no partner.',
    why: 'Each row inside is whole by itself.',
  },
  trailing_comma: {
    ...ROW,
    title: 'Commas too many',
    does: 'Removes a comma with nothing behind it.',
    why: 'A value would have to follow, and none does.',
  },
  missing_comma: {
    ...ROW,
    title: 'Commas missing between objects',
    does: 'Puts a comma between two objects of a list.',
    why: 'Nothing else can stand between them.',
  },
  single_quotes: {
    ...ROW,
    title: 'Single quotes',
    does: 'Writes keys and texts in double quotes.',
    why: 'Each text ends where a comma, colon or bracket follows, and the row is whole that way only.',
  },
  curly_quotes: {
    ...ROW,
    title: 'Curly quotes',
    does: 'Writes straight quotes around keys and texts. Those inside a text stay.',
    why: 'Each text ends where a comma, colon or bracket follows, and the row is whole that way only.',
  },
  unquoted_keys: {
    ...ROW,
    title: 'Keys without quotes',
    does: 'Puts keys in double quotes.',
    why: 'A word before a colon can only be a key.',
  },
  python_words: {
    ...ROW,
    title: 'None, NaN, True, False',
    does: 'Writes null, true and false. NaN, Infinity and undefined become null.',
    why: 'Outside of a text these words mean that, in Python and in JavaScript.',
  },
  escapes: {
    ...ROW,
    title: 'Escapes of other languages',
    does: 'Writes the character that \\xe9 or \\U0001F600 stands for.',
    why: 'Both name one character by its number.',
  },
  control_characters: {
    ...ROW,
    title: 'Tabs and line breaks inside texts',
    does: 'Writes them as \\t and \\n.',
    why: 'The quote that opens the text closes it later, so they belong to it.',
  },
  spread_rows: {
    ...ROW,
    title: 'Rows over several lines',
    does: 'Writes the row on one line.',
    why: 'The brackets that open on the first line close on the last one.',
  },
  rows_on_one_line: {
    ...ROW,
    title: 'Several rows on a line',
    does: 'Gives each row a line of its own.',
    why: 'Each of them is whole by itself.',
  },
  nested_json: {
    ...ROW,
    title: 'JSON written as a text',
    does: 'Reads the text as the list or object that it holds.',
    why: 'It stands where a list or an object belongs, and is whole JSON.',
  },
  wrapped_row: {
    ...ROW,
    title: 'Rows inside another object',
    does: 'Takes the row out of the object around it; the other keys stay beside it.',
    why: 'Only one of the keys holds something that is a row.',
  },
  role_names: {
    ...ROW,
    title: 'Role names',
    does: 'Writes “system”, “user”, “assistant” or “tool”.',
    why: 'Each of these names is used for one role only.',
  },
  roles_assumed: {
    ...ROW,
    title: 'Texts without roles',
    does: 'Reads the texts of a list as user and assistant in turn.',
    why: 'A conversation starts with the user and alternates. Check the first rows all the same.',
  },
  number_content: {
    ...ROW,
    title: 'Numbers in the place of texts',
    does: 'Puts the number, true or false in quotes, as it is written.',
    why: 'A model reads its characters.',
  },
  null_content: {
    ...ROW,
    title: 'Messages without a text',
    does: 'Leaves out messages whose content is null.',
    why: 'Without them the roles alternate and the row ends with an answer: they fill up a table.',
  },
  empty_system: {
    ...ROW,
    title: 'Empty system messages',
    does: 'Leaves the message out.',
    why: 'It says nothing.',
  },
  system_joined: {
    ...ROW,
    title: 'Two system messages',
    does: 'Joins them into one, that of the key first.',
    why: 'Both stand before the conversation, and chat templates take one.',
  },
  line_breaks: {
    ...ROW,
    title: '<br> in cells',
    does: 'Writes a line break.',
    why: 'A cell of a Markdown table has no other way to write one.',
  },
  missing_values: {
    ...ROW,
    title: 'Marks of missing values',
    does: 'Reads NaN, NULL, #N/A, #REF! and their like as an empty cell.',
    why: 'Programs write them where a cell has no value, or none that could be computed.',
  },
  line_marks: {
    ...ROW,
    title: 'Marks before or behind rows',
    does: 'Removes line numbers, bullets, “data:” and semicolons around a row, and takes a row out of the quotes of a table’s cell.',
    why: 'What stands between them is whole JSON.',
  },
  whitespace_edge: {
    ...OFFERED,
    title: 'White space at the edge',
    does: 'Removes spaces and line breaks at both ends of a text.',
    why: 'They are hardly ever meant. They are learned, so it is offered.',
  },
  duplicate_row: {
    ...OFFERED,
    title: 'The same row again',
    does: 'Keeps the first of equal rows and leaves the others out.',
    why: 'They are the same to the letter. To repeat a row may be meant, so it is offered.',
  },
} as const satisfies Record<string, MendEntry>;

export type MendCode = keyof typeof MENDS;

export function isMend(code: string): code is MendCode {
  return Object.hasOwn(MENDS, code);
}

export const NO_CHOICES: MendChoices = { kinds: {}, rows: {} };

/** Whether a mend is done on a line. */
export function isWanted(choices: MendChoices, code: MendCode, line: number): boolean {
  const { choice, byDefault }: MendEntry = MENDS[code];
  if (choice === 'encoding') return true;
  const own = choice === 'row' ? choices.rows[code]?.[line] : undefined;
  return own ?? choices.kinds[code] ?? byDefault;
}

/** Rows of a group that are shown with it. */
const EXAMPLES = 3;
const MAX_LINES = 1000;

interface Counted {
  rows: number;
  done: number;
  lines: number[];
  line: number;
  shown: MendedRow[];
}

/** Which rows of a mend are wanted with their texts. */
export interface MendWindow {
  code: string;
  offset: number;
  count: number;
}

/** Counts the rows of each mend. Texts are kept of the first rows, and of a window where one is asked for. */
export class MendLog {
  readonly #kinds = new Map<MendCode, Counted>();
  readonly windowRows: MendedRow[] = [];

  constructor(
    readonly choices: MendChoices = NO_CHOICES,
    private readonly window?: MendWindow,
  ) {}

  wants(code: MendCode, line: number): boolean {
    return isWanted(this.choices, code, line);
  }

  /**
   * A row, or a line outside of rows, with all its mends.
   * @param texts before and after; asked for only where they are kept
   */
  add(
    line: number,
    mends: ReadonlyMap<MendCode, boolean>,
    texts: () => { before: string; after: string },
  ): void {
    let cut: { before: string; after: string } | null = null;
    for (const [code, done] of mends) {
      const kind = this.#kinds.get(code) ?? { rows: 0, done: 0, lines: [], line: -1, shown: [] };
      this.#kinds.set(code, kind);
      const number = kind.rows++;
      if (done) kind.done++;
      if (kind.lines.length < MAX_LINES && kind.lines.at(-1) !== line) kind.lines.push(line);
      const { window } = this;
      const inWindow =
        window?.code === code && number >= window.offset && number < window.offset + window.count;
      if (number >= EXAMPLES && !inWindow) continue;
      cut ??= aroundChange(texts());
      const row: MendedRow = { line, ...cut, done, codes: [...mends.keys()] };
      if (number < EXAMPLES) kind.shown.push(row);
      if (inWindow) this.windowRows.push(row);
    }
  }

  /** Counts that were made elsewhere: those of bytes and characters. */
  addLines(code: MendCode, lines: readonly number[], done: boolean, shown: readonly MendedRow[] = []): void {
    const rows = Math.max(1, lines.length);
    this.#kinds.set(code, {
      rows,
      done: done ? rows : 0,
      lines: lines.slice(0, MAX_LINES),
      line: -1,
      shown: shown.slice(0, EXAMPLES),
    });
    if (this.window?.code !== code) return;
    const { offset, count } = this.window;
    this.windowRows.push(...shown.slice(offset, offset + count));
  }

  /** In the order of the list. */
  groups(): MendGroup[] {
    return (Object.keys(MENDS) as MendCode[]).flatMap((code) => {
      const found = this.#kinds.get(code);
      if (!found) return [];
      const { title, does, why, byDefault, choice }: MendEntry = MENDS[code];
      const { rows, done, lines, shown } = found;
      return [{ code, title, does, why, rows, done, lines, byDefault, choice, examples: shown }];
    });
  }
}

/** Characters of a text that are shown. */
const SHOWN = 400;
/** Of them, those before the first difference. */
const BEFORE = 80;

/** Two texts cut to what differs first, with some of what stands around it. */
export function aroundChange({ before, after }: { before: string; after: string }): {
  before: string;
  after: string;
} {
  let same = 0;
  while (same < before.length && before[same] === after[same]) same++;
  const from = same <= BEFORE || Math.max(before.length, after.length) <= SHOWN ? 0 : same - BEFORE;
  // Half of a surrogate pair is no character.
  const whole = (text: string) => text.replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, '');
  const cut = (text: string) =>
    (from > 0 ? '…' : '') + whole(text.slice(from, from + SHOWN)) + (text.length > from + SHOWN ? '…' : '');
  return { before: cut(before), after: cut(after) };
}
