// The visitor's JSONL (or JSON array) → examples, and every problem with its line, column, cause and cure.
// Not here: what a row must look like (rows.ts), tables (tabular.ts), tokens (chat.ts).

import type { Example, Issue } from '../contract';
import { checkFile } from './fileChecks';
import { arrayElements, findJsonFault, type JsonPath, locate } from './jsonText';
import { type Locate, type RowFormat, readRow } from './rows';

export interface ParsedData {
  /** Rows without errors, in the order of the file. */
  examples: Example[];
  /** By line; those about the whole file (line 0) first. */
  issues: Issue[];
  /** Rows with something on them, sound or not. */
  rows: number;
  /** The shape of the rows; 'mixed' when there are several, 'unknown' when none was understood. */
  format: RowFormat | 'mixed' | 'unknown';
}

/** Characters of a line shown with a problem. */
const EXCERPT = 72;

/** A window of the line around a place, and where in it the place is. */
export function excerptAt(line: string, column: number): { excerpt: string; caret: number } {
  const from = column <= EXCERPT - 12 ? 0 : column - Math.floor(EXCERPT / 2);
  const to = from + EXCERPT;
  const front = from > 0 ? '…' : '';
  const excerpt = front + line.slice(from, to) + (to < line.length ? '…' : '');
  return { excerpt: excerpt.replaceAll('\t', ' '), caret: column - from + front.length };
}

/** A piece of the file that should be one row. */
interface Piece {
  text: string;
  /** Reported as the row's line. */
  line: number;
  /** Line, column and excerpt of an offset into `text`. */
  place(offset: number): Pick<Issue, 'line' | 'column' | 'excerpt' | 'caret'>;
}

class Reader {
  readonly examples: Example[] = [];
  readonly issues: Issue[] = [];
  readonly formats = new Map<RowFormat, number>();
  rows = 0;

  /** One parsed row. */
  accept(value: unknown, piece: Piece): void {
    const at: Locate = (path: JsonPath) => piece.place(locate(piece.text, path));
    const { messages, format, issues, weight } = readRow(value, at);
    for (const issue of issues) this.issues.push(issue);
    if (format) this.formats.set(format, (this.formats.get(format) ?? 0) + 1);
    if (messages)
      this.examples.push({ line: piece.line, messages, ...(weight === undefined ? {} : { weight }) });
  }

  reject(piece: Piece, offset: number, message: string, fix: string): void {
    this.issues.push({ code: 'invalid_json', severity: 'error', ...piece.place(offset), message, fix });
  }

  /** One row as text. */
  read(piece: Piece): void {
    this.rows++;
    let value: unknown;
    try {
      value = JSON.parse(piece.text);
    } catch {
      const fault = findJsonFault(piece.text);
      this.reject(
        piece,
        fault?.offset ?? 0,
        fault?.message ?? 'This is not valid JSON.',
        fault?.fix ?? 'Write the row with a JSON library.',
      );
      return;
    }
    this.accept(value, piece);
  }

  finish(): ParsedData {
    const whole = checkFile(this.examples, this.formats, this.rows);
    const issues = [...this.issues, ...whole];
    // Sorting is stable: within a line the order of discovery stays.
    issues.sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0));
    const [only] = [...this.formats.keys()];
    const format = this.formats.size > 1 ? 'mixed' : (only ?? 'unknown');
    return { examples: this.examples, issues, rows: this.rows, format };
  }
}

function lineBreak(text: string): string {
  return !text.includes('\n') && text.includes('\r') ? '\r' : '\n';
}

/** A line as a piece; columns count from the start of the line. */
function linePiece(line: string, number: number): Piece {
  const text = line.trim();
  const lead = line.length - line.trimStart().length;
  return {
    text,
    line: number,
    place: (offset) => {
      const column = lead + offset + 1;
      return { line: number, column, ...excerptAt(line, column) };
    },
  };
}

/** Lines looked at when one row seems to be spread over several. */
const MOST_JOINED = 400;
/** Characters looked at for that in the whole file: a large file in which every row is cut off must not take minutes. */
const MOST_LOOKED_AT = 30_000_000;

function parsed(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}

function isRow(value: unknown): boolean {
  return value !== undefined && readRow(value, () => ({ line: 0 })).format !== null;
}

/**
 * The row that starts on line `from` and ends on a later one: its last line, and its value when joining the lines makes it sound.
 * Null when it never ends, when a sound row comes first, or when the budget is used up. Strings may run over lines.
 */
function spreadRow(
  lines: readonly string[],
  from: number,
  budget: { characters: number },
): { last: number; splitString: boolean; joined: { value: unknown } | null } | null {
  let depth = 0;
  let inString = false;
  let splitString = false;
  const stop = Math.min(lines.length, from + MOST_JOINED);
  for (let n = from; n < stop; n++) {
    const line = lines[n] as string;
    budget.characters -= line.length;
    if (budget.characters < 0) return null;
    // A line that is a row by itself means that the one before was cut off, not spread.
    if (n > from && line.startsWith('{') && isRow(parsed(line)?.value)) return null;
    if (inString) splitString = true;
    for (let i = 0; i < line.length; i++) {
      const c = line[i];
      if (inString) {
        if (c === '\\') i++;
        else if (c === '"') inString = false;
      } else if (c === '"') inString = true;
      else if (c === '{' || c === '[') depth++;
      else if (c === '}' || c === ']') depth--;
    }
    if (depth > 0 || inString) continue;
    if (n === from || depth < 0) return null;
    const part = lines.slice(from, n + 1).map((l) => l.replace(/\r$/, ''));
    const joined = parsed(part.join(splitString ? '\\n' : '\n'));
    return splitString && !joined ? null : { last: n, splitString, joined };
  }
  return null;
}

function readLines(reader: Reader, text: string): void {
  const lines = text.split(lineBreak(text));
  const budget = { characters: MOST_LOOKED_AT };
  for (let n = 0; n < lines.length; n++) {
    const line = (lines[n] as string).replace(/\r$/, '');
    if (line.trim() === '') continue;
    const piece = linePiece(line, n + 1);
    const whole = parsed(piece.text);
    if (whole) {
      reader.rows++;
      reader.accept(whole.value, piece);
      continue;
    }
    const spread = /^[[{]/.test(piece.text) ? spreadRow(lines, n, budget) : null;
    if (!spread) {
      reader.read(piece);
      continue;
    }
    readSpread(reader, piece, spread, n);
    n = spread.last;
  }
}

function readSpread(
  reader: Reader,
  piece: Piece,
  { last, splitString, joined }: NonNullable<ReturnType<typeof spreadRow>>,
  from: number,
): void {
  reader.rows++;
  const where = `lines ${from + 1} to ${last + 1}`;
  // What is no row at all (an object with the rows inside it) is told as that.
  const row = joined && !splitString ? readRow(joined.value, () => piece.place(0)) : null;
  if (row?.format === null) {
    for (const issue of row.issues) reader.issues.push(issue);
  } else if (splitString) {
    reader.reject(
      piece,
      piece.text.length,
      `A real line break inside a string splits this row over ${where}.`,
      'Write \\n for a line break inside a string.',
    );
  } else {
    reader.reject(
      piece,
      0,
      `This row is spread over ${where} (pretty-printed JSON). In JSONL a row is one line.`,
      'Write each row without indentation, on one line: json.dumps(row) in Python, JSON.stringify(row) in JavaScript.',
    );
  }
}

/** A file that is one JSON array: an element is a row. Each is read alone, so that one broken element does not hide the others. */
function readArray(reader: Reader, text: string, elements: readonly { start: number; end: number }[]): void {
  const lineBreaks: number[] = [];
  const mark = lineBreak(text);
  for (let i = text.indexOf(mark); i >= 0; i = text.indexOf(mark, i + 1)) lineBreaks.push(i);
  const placeOf = (offset: number) => {
    let low = 0;
    let high = lineBreaks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((lineBreaks[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    const start = low === 0 ? 0 : (lineBreaks[low - 1] as number) + 1;
    return {
      line: low + 1,
      column: offset - start + 1,
      text: text.slice(start, lineBreaks[low] ?? text.length),
    };
  };
  const startLines = elements.map(({ start }) => placeOf(start).line);
  const ownLines = new Set(startLines).size === elements.length;
  if (!ownLines) {
    reader.issues.push({
      code: 'json_array',
      severity: 'warning',
      line: 0,
      message: 'The file is one JSON array with several rows on a line, so the lines named here count rows.',
      fix: 'Nothing needs to be done. To get JSONL, put each row on a line of its own, without commas between them.',
    });
  }
  for (const [i, { start, end }] of elements.entries()) {
    const line = ownLines ? (startLines[i] as number) : i + 1;
    reader.read({
      text: text.slice(start, end),
      line,
      place: (offset) => {
        const place = placeOf(start + offset);
        const column = ownLines ? place.column : offset + 1;
        return { line: ownLines ? place.line : line, column, ...excerptAt(place.text, place.column) };
      },
    });
  }
}

/**
 * Reads a whole file: JSONL, or one JSON array of rows. Never throws: what is wrong is an issue, all of them at once.
 * Codes: OpenAI's `data_type`, `missing_messages_list`, `message_missing_key`, `message_unrecognized_key`, `unrecognized_role`,
 * `missing_content`, `example_missing_assistant_message`; ours `invalid_json`, `bom_removed`, `duplicate_row`, `role_order`,
 * `system_not_first`, `last_not_assistant`, `bad_weight`, `whitespace_edge`, `too_few_rows`, `no_rows`, `mixed_formats`,
 * `label_imbalance`, `json_array`. Empty lines are ignored.
 */
export function parseExamples(text: string): ParsedData {
  const reader = new Reader();
  if (text.startsWith('\uFEFF')) {
    text = text.slice(1);
    reader.issues.push({
      code: 'bom_removed',
      severity: 'warning',
      line: 1,
      column: 1,
      message: 'The file starts with a byte order mark, which was removed.',
      fix: 'Nothing needs to be done here. Other tools may refuse it: save the file as “UTF-8”, not “UTF-8 with BOM”.',
    });
  }
  // An array of objects is a file of rows; a line such as ["a"] is a row of the wrong kind.
  const elements = /^\s*\[\s*\{/.test(text) ? arrayElements(text) : null;
  const firstLine = text.slice(0, text.search(/[\r\n]|$/));
  const oneObject = /^\s*\{/.test(text) && !parsed(firstLine) ? parsed(text) : null;
  if (elements) readArray(reader, text, elements);
  else if (oneObject) {
    const last = text.trimEnd().split(lineBreak(text)).length - 1;
    readSpread(reader, linePiece(firstLine, 1), { last, splitString: false, joined: oneObject }, 0);
  } else readLines(reader, text);
  return reader.finish();
}
