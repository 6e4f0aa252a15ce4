// JSON text → rows: a row a line, a list of rows, rows inside an object, or rows that are written almost as JSON; each with its place.
// Not here: what a row must look like (rows.ts), tables (tabular.ts), texts (plainText.ts), tokens (data/tokens/chat.ts).

import { listed, quoted } from '../../wording';
import { besides, isRow, type RowGroup, rowsByColumn, rowsWithin } from './containers';
import { isObject } from './fields';
import { assignedValue, mendJson } from './jsonMend';
import { lineBreak, linePiece, linesPiece, type Piece, placesIn } from './jsonPieces';
import {
  arrayElements,
  childSpans,
  findJsonFault,
  type JsonPath,
  locate,
  parsed,
  repeatedKeys,
} from './jsonText';
import type { MendCode } from './mends';
import { onOneLine } from './rowPatches';
import type { SplitName } from './rows';
import { type ParsedData, type ReadOptions, RowsReader } from './rowsReader';
import { turnsIn } from './turns';

export type { ParsedData } from './rowsReader';

interface Span {
  start: number;
  end: number;
  side?: SplitName | undefined;
  raw?: string;
  mends?: readonly MendCode[];
}

/** A number, true or false as it is written; null where something else stands there. */
function literalAt(text: string, offset: number): string | null {
  const literal = /^(?:true|false|-?\d[\d.eE+-]*)/.exec(text.slice(offset, offset + 400));
  return literal ? literal[0] : null;
}

export class JsonReader {
  readonly rows: RowsReader;
  /** A list, one row a line, …, as the line on what was understood says it. */
  from = 'JSONL';

  /** Lines of which a mend was refused; each is counted once, however often it is tried. */
  readonly #refused = new Set<number>();

  constructor(options: ReadOptions = {}) {
    this.rows = new RowsReader(options);
  }

  /** Text that is sound JSON: a row, a list of rows, or, where it is the whole file, rows inside an object. */
  #value(value: unknown, piece: Piece): void {
    if (Array.isArray(value) && !turnsIn(value) && value.some(isRow)) {
      const spans: Span[] = this.withMends(piece, childSpans(piece.text, []));
      for (const { start, end, raw, mends } of spans) {
        this.read({
          text: piece.text.slice(start, end),
          line: piece.line,
          place: (offset) => piece.place(start + offset),
          ...(raw === undefined ? {} : { raw }),
          ...(mends ? { mends } : {}),
        });
      }
      return;
    }
    const holder = piece.whole && isObject(value) && !isRow(value) ? value : null;
    const groups = holder ? rowsWithin(holder) : [];
    const columns = piece.whole && isObject(value) && groups.length === 0 ? rowsByColumn(value) : null;
    if (columns) {
      this.from = 'a table by column in JSON';
      for (const [i, row] of columns.entries())
        this.rows.accept(row, i + 1, {
          locate: () => ({ line: i + 1 }),
          raw: () => JSON.stringify(row),
          json: () => JSON.stringify(row),
        });
      return;
    }
    if (groups.length > 0) {
      this.#groups(holder as Record<string, unknown>, groups, piece);
      return;
    }
    for (const { key, offset } of repeatedKeys(piece.text, value)) {
      const { excerpt, caret } = piece.place(offset);
      this.rows.notes.startRow(piece.line);
      this.rows.notes.add('duplicate_key', quoted(key), () => ({
        ...(excerpt === undefined ? {} : { excerpt }),
        ...(caret === undefined ? {} : { caret }),
      }));
    }
    this.rows.accept(
      value,
      piece.line,
      {
        locate: (path: JsonPath) => piece.place(locate(piece.text, path)),
        literal: (path, literal) => {
          const written = literalAt(piece.text, locate(piece.text, path));
          return written !== null && String(JSON.parse(written)) === String(literal)
            ? written
            : String(literal);
        },
        raw: () => piece.raw ?? piece.text,
        json: () => piece.text,
        ...(piece.mends && { mends: piece.mends }),
      },
      piece.side,
    );
  }

  /** Rows inside an object. */
  #groups(value: Record<string, unknown>, groups: readonly RowGroup[], piece: Piece): void {
    const names = groups.map(({ path, keys }) => quoted(String(path.at(-1) ?? keys[0])));
    const byName = groups.every(({ keys }) => typeof keys[0] === 'string');
    this.from = byName
      ? 'an object of rows by name'
      : `the ${groups.length > 1 ? 'lists' : 'list'} ${listed(names)} in JSON`;
    const spans = this.withMends(
      piece,
      groups
        .flatMap(({ path, side }): Span[] =>
          childSpans(piece.text, path).map(({ start, end }) => ({ start, end, side })),
        )
        .sort((a, b) => a.start - b.start),
    );
    const rest = besides(value, groups);
    if (rest.length > 0) {
      this.rows.found.add({
        code: 'unused_key',
        severity: 'warning',
        line: 0,
        message: `Beside the rows the file has ${listed(rest.map((key) => quoted(key)))}, which ${rest.length === 1 ? 'is' : 'are'} not used.`,
        fix: 'Nothing needs to be done, unless rows are among them.',
      });
    }
    this.readSpans(piece.text, spans, piece);
  }

  reject(piece: Piece, offset: number, message: string, fix: string): void {
    this.rows.reject({ code: 'invalid_json', ...piece.place(offset), message, fix }, piece.raw ?? piece.text);
  }

  /** Strictly, then with what is certain mended. False where neither reads it, or a mend that it needs is refused. */
  tryRead(piece: Piece, lines = 1): boolean {
    const whole = parsed(piece.text);
    const mended = whole ? null : mendJson(piece.text);
    const spread: MendCode[] = lines > 1 ? ['spread_rows'] : [];
    if (whole) {
      if (this.#refuses(piece, [...(piece.mends ?? []), ...spread], () => piece.text)) return false;
      this.#value(whole.value, { ...piece, mends: [...(piece.mends ?? []), ...spread] });
      return true;
    }
    if (!mended) return false;
    const several = mended.values.length > 1;
    const all: MendCode[] = [...mended.mends, ...spread, ...(several ? (['rows_on_one_line'] as const) : [])];
    if (this.#refuses(piece, all, () => mended.values.map(({ text }) => text).join('\n'))) return false;
    const spans = mended.values.map(({ text, origin }) => ({
      start: origin(0),
      end: origin(text.length - 1) + 1,
    }));
    for (const [i, { text, origin }] of mended.values.entries()) {
      const { start, end } = several ? (spans[i] as Span) : { start: 0, end: piece.text.length };
      const own = mended.places.filter(({ at }) => !several || (at >= start && at < end));
      this.#value(JSON.parse(text), {
        ...piece,
        text,
        ...(several
          ? {}
          : { mended: { source: piece.text, value: { text, origin }, places: mended.places } }),
        raw: piece.text.slice(start, end),
        mends: [
          ...(piece.mends ?? []),
          ...new Set(own.map(({ kind }) => kind)),
          ...spread,
          ...(several ? (['rows_on_one_line'] as const) : []),
        ],
        place: (offset: number) => piece.place(origin(offset)),
      });
    }
    return true;
  }

  /** Whether one of these mends is refused on the line; then it is noted what the text would become. */
  #refuses(piece: Piece, codes: readonly MendCode[], after: () => string): boolean {
    const { notes } = this.rows;
    notes.startRow(piece.line);
    const wanted = new Map(codes.map((code) => [code, notes.wants(code)]));
    if ([...wanted.values()].every((done) => done)) return false;
    if (this.#refused.has(piece.line)) return true;
    this.#refused.add(piece.line);
    const undone = new Map([...wanted].map(([code]) => [code, false]));
    notes.mends.add(piece.line, undone, () => ({ before: piece.text, after: onOneLine(after()) }));
    return true;
  }

  /**
   * The rows of a text that had to be mended as a whole, each with what was mended in it. What was mended between them is told by line.
   * @param spans in ascending order
   */
  withMends(piece: Piece, spans: readonly Span[]): Span[] {
    if (!piece.mended) return [...spans];
    const { source, value, places } = piece.mended;
    const sorted = [...places].sort((a, b) => a.at - b.at);
    let next = 0;
    const upTo = (offset: number) => {
      const from = next;
      while (next < sorted.length && (sorted[next]?.at ?? 0) < offset) next++;
      return sorted.slice(from, next);
    };
    const placeOf = placesIn(source);
    const between = (offset: number) => {
      for (const { kind, at } of upTo(offset)) {
        const { line, excerpt } = placeOf(at);
        this.rows.notes.leaveOut(kind, piece.line + line - 1, excerpt);
      }
    };
    const withOwn = spans.map((span): Span => {
      const from = value.origin(span.start);
      const to = value.origin(span.end - 1) + 1;
      between(from);
      return { ...span, mends: [...new Set(upTo(to).map(({ kind }) => kind))], raw: source.slice(from, to) };
    });
    between(source.length + 1);
    return withOwn;
  }

  tellSharedLines(): void {
    this.rows.found.add({
      code: 'json_array',
      severity: 'warning',
      line: 0,
      message: 'The file has several rows on a line, so the lines named here count rows.',
      fix: 'Nothing needs to be done. To get JSONL, put each row on a line of its own, without commas between them.',
    });
  }

  read(piece: Piece): void {
    if (this.tryRead(piece)) return;
    const fault = findJsonFault(piece.raw ?? piece.text);
    this.reject(
      piece,
      piece.raw === undefined ? (fault?.offset ?? 0) : 0,
      fault?.message ?? 'This is not valid JSON.',
      fault?.fix ?? 'Write the row with a JSON library.',
    );
  }

  /**
   * Rows that lie in one text. Each is read alone, so that one broken row does not hide the others. Where several share a line, they are
   * numbered instead.
   */
  readSpans(text: string, spans: readonly Span[], around?: Piece): void {
    const placeOf = around ? (offset: number) => around.place(offset) : placesIn(text);
    const startLines = spans.map(({ start }) => placeOf(start).line);
    const ownLines = new Set(startLines).size === spans.length;
    if (!ownLines) this.tellSharedLines();
    for (const [i, { start, end, side, raw, mends }] of spans.entries()) {
      const line = ownLines ? (startLines[i] as number) : i + 1;
      this.read({
        ...(raw === undefined ? {} : { raw }),
        ...(mends ? { mends } : {}),
        text: text.slice(start, end),
        line,
        place: (offset) => {
          const place = placeOf(start + offset);
          return ownLines ? place : { ...place, line, column: offset + 1 };
        },
        ...(side ? { side } : {}),
      });
    }
  }
}

/** Lines looked at when one row seems to be spread over several. */
const MAX_JOINED = 400;
/** Characters looked at for that in the whole file: a large file in which every row is cut off must not take minutes. */
const MAX_LOOKED_AT = 30_000_000;
/** A character that was parsed as part of a row that is none costs as much as so many that were looked at. */
const PARSED = 10;

/** Last line of the row that starts on line `from` and ends on a later one. Null when it never ends, or a sound row comes first. */
function spreadOver(
  lines: readonly string[],
  from: number,
  budget: { characters: number },
  isRowLine: (line: string) => boolean,
): number | null {
  let depth = 0;
  let quote = '';
  const stop = Math.min(lines.length, from + MAX_JOINED);
  for (let n = from; n < stop; n++) {
    const line = lines[n] as string;
    budget.characters -= line.length;
    if (budget.characters < 0) return null;
    // A line that is a row by itself means that the one before was cut off, not spread.
    if (n > from && line.startsWith('{') && isRowLine(line)) return null;
    for (let i = 0; i < line.length; i++) {
      const c = line[i] as string;
      if (quote !== '') {
        if (c === '\\') i++;
        else if (c === quote) quote = '';
      } else if (c === '"') quote = c;
      else if (c === '{' || c === '[') depth++;
      else if (c === '}' || c === ']') depth--;
    }
    if (depth > 0 || quote !== '') continue;
    return n === from || depth < 0 ? null : n;
  }
  return null;
}

const FENCE = /^\s*(?:```|~~~)[\w+-]*\s*$/;
const COMMENT = /^\s*(?:\/\/|#|\/\*.*\*\/\s*$)/;

/** A line number, a bullet, the mark of a stream of events or of RFC 7464; and what may stand behind the row. */
const MARKED = /^(\s*(?:\p{Cc}|data:\s*|\d+\s*[:.)\t]\s*|[-*•]\s+)?)([[{].*[\]}])(\s*;?\s*)$/u;
/** A row in the quotes of a table's cell, each of its own quotes doubled. */
const QUOTED = /^\s*"(\{""(?:[^"]|"")*\})"\s*$/;

/** A line without the marks around its row; null where it has none. */
function unmarked(line: string): { text: string; lead: number } | null {
  const cell = QUOTED.exec(line)?.[1];
  if (cell !== undefined) return { text: cell.replaceAll('""', '"'), lead: line.indexOf('"') + 1 };
  const [, before = '', text] = MARKED.exec(line) ?? [];
  return text === undefined || text.length === line.trim().length ? null : { text, lead: before.length };
}

/** Whether no line could be JSON: a text or a table under the wrong name has one problem, not one a line. */
function tellNoJson(reader: JsonReader, lines: readonly string[]): boolean {
  const words = lines.filter((line) => line.trim() !== '' && !COMMENT.test(line));
  if (words.length < 2 || words.some((line) => /^\s*[[{"'“„«]/.test(line) || unmarked(line))) return false;
  reader.rows.found.add({
    code: 'invalid_json',
    severity: 'error',
    line: 0,
    message: `The file holds no JSON. It starts with ${quoted(words[0] as string, 60)}.`,
    fix: 'Rename it: to .txt if it is a text to learn from, to .csv if it is a table.',
  });
  return true;
}

/**
 * Reads lines as they come. A row that starts on one line may end on a later one, so the last lines that are known wait until
 * enough follow them, or none do. Holds that many lines.
 */
export class LineReader {
  #waiting: string[] = [];
  /** Number of the first line that waits. */
  #first = 1;
  readonly #budget = { characters: MAX_LOOKED_AT };
  readonly #rowLines = new Map<string, boolean>();
  /** Whether a line is a row by itself. Remembered: every row that is cut off asks it of the same 400 lines behind it. */
  readonly #isRowLine = (line: string): boolean => {
    let known = this.#rowLines.get(line);
    if (known === undefined) {
      known = isRow(parsed(line)?.value);
      if (this.#rowLines.size >= 2 * MAX_JOINED) this.#rowLines.clear();
      this.#rowLines.set(line, known);
    }
    return known;
  };

  constructor(readonly reader: JsonReader) {}

  push(lines: readonly string[]): void {
    for (const line of lines) this.#waiting.push(line);
    this.#read(this.#waiting.length - MAX_JOINED);
  }

  end(): void {
    this.#read(this.#waiting.length);
  }

  /** A row with marks around it. */
  #readMarked(line: string, number: number): boolean {
    const found = unmarked(line);
    if (!found) return false;
    const place = linePiece(line, number).place;
    const lead = found.lead - (line.length - line.trimStart().length);
    return this.reader.tryRead({
      text: found.text,
      line: number,
      raw: line.trim(),
      mends: ['line_marks'],
      place: (offset) => place(lead + offset),
    });
  }

  /** A row that is spread over these of the lines that wait. What is no row counts as looked at, and parsing takes longer than looking. */
  #readJoined(first: number, last: number): boolean {
    const piece = linesPiece(this.#waiting, first, last, this.#first);
    if (this.reader.tryRead(piece, last - first + 1)) return true;
    this.#budget.characters -= PARSED * piece.text.length;
    return false;
  }

  /** Reads rows that start before this one of the lines that wait. */
  #read(stop: number): void {
    const { notes } = this.reader.rows;
    const lines = this.#waiting;
    let n = 0;
    for (; n < stop; n++) {
      const line = lines[n] as string;
      if (line.trim() === '') continue;
      const number = this.#first + n;
      const piece = linePiece(line, number);
      const mark = COMMENT.test(line) ? 'comments' : FENCE.test(line) ? 'code_fence' : null;
      if (mark && notes.leaveOut(mark, number, line)) continue;
      if (this.reader.tryRead(piece) || this.#readMarked(line, number)) continue;
      const last = /^[[{]/.test(piece.text) ? spreadOver(lines, n, this.#budget, this.#isRowLine) : null;
      if (last !== null && this.#readJoined(n, last)) n = last;
      else this.reader.read(piece);
    }
    if (n === 0) return;
    this.#first += n;
    this.#waiting = lines.slice(n);
  }
}

function readLines(reader: JsonReader, lines: readonly string[]): void {
  if (tellNoJson(reader, lines)) return;
  const rows = new LineReader(reader);
  rows.push(lines);
  rows.end();
}

/**
 * Leaves the rows of a Markdown code block: its marks and the words around it become empty lines, so that all others keep their number.
 * Null where the text has no code block with JSON in it.
 */
function unfenced(reader: JsonReader, lines: readonly string[]): string[] | null {
  const first = lines.findIndex((line) => FENCE.test(line));
  const inside = lines.slice(first + 1).find((line) => line.trim() !== '');
  if (first < 0 || !/^\s*[[{]/.test(inside ?? '')) return null;
  const { notes } = reader.rows;
  let open = false;
  return lines.map((line, n) => {
    if (FENCE.test(line)) {
      open = !open;
      return notes.leaveOut('code_fence', n + 1, line) ? '' : line;
    }
    if (open || line.trim() === '' || /^\s*[[{]/.test(line)) return line;
    return notes.leaveOut('text_around', n + 1, line, quoted(line, 60)) ? '' : line;
  });
}

/** Comments before the first row become empty lines: what the file starts with tells how it is read. */
function withoutHead(reader: JsonReader, lines: readonly string[]): string[] {
  const start = lines.findIndex((line) => line.trim() !== '' && !COMMENT.test(line));
  return lines.map((line, n) => {
    if (n >= start || line.trim() === '') return line;
    return reader.rows.notes.leaveOut('comments', n + 1, line) ? '' : line;
  });
}

/** A list whose brackets are not whole, as a file that is cut off has it: the lines without the brackets. */
function withoutBrackets(reader: JsonReader, lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line.trim() !== '');
  const line = lines[first] ?? '';
  if (!/^\s*\[/.test(line) || parsed(line.trim()) || mendJson(line.trim())) return [...lines];
  if (!reader.rows.notes.leaveOut('list_brackets', first + 1, line)) return [...lines];
  return lines.map((text, n) => {
    if (n === first) return text.replace('[', ' ');
    return n > first && /^\s*\],?\s*$/.test(text) ? '' : text;
  });
}

/** Longest text that is mended as a whole, in characters; longer ones are read line by line. */
const MAX_MENDED = 20_000_000;

/** What a text that is one value, almost in JSON, stands for; undefined where it is none. */
function mendedValue(text: string): unknown {
  const [only, ...more] = mendJson(text)?.values ?? [];
  return only && more.length === 0 ? JSON.parse(only.text) : undefined;
}

/** A list without rows, or an object of such lists. */
function holdsNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length > 0 && Object.values(value).every(holdsNothing);
}

/** A file that is one value: a list of rows, or an object with rows in it. False where it is none. */
function readWhole(reader: JsonReader, text: string): boolean {
  if (text.length < 1000 && holdsNothing(parsed(text)?.value)) return true;
  if (/^\s*\[\s*[[{]/.test(text)) {
    const list = arrayElements(text);
    if (list) {
      const { elements, trailingComma } = list;
      reader.from = 'a list in JSON';
      if (trailingComma > 0) reader.rows.notes.leaveOut('trailing_comma', trailingComma, ',');
      // A list of nothing but messages is one conversation.
      const first = elements[0] && parsed(text.slice(elements[0].start, elements[0].end))?.value;
      const whole =
        turnsIn(first) && !Array.isArray(first) && !isRow(first) ? parsed(text)?.value : undefined;
      if (turnsIn(whole)) reader.readSpans(text, [{ start: text.indexOf('['), end: text.trimEnd().length }]);
      else reader.readSpans(text, elements);
      return true;
    }
    if (text.length > MAX_MENDED) return false;
    const mended = mendJson(text);
    const [only] = mended?.values ?? [];
    if (!mended || !only || mended.values.length > 1) return false;
    reader.from = 'a list in JSON';
    const placeOf = placesIn(text);
    const piece = {
      text: only.text,
      line: 1,
      place: (offset: number) => placeOf(only.origin(offset)),
      mended: { source: text, value: only, places: mended.places },
    };
    reader.readSpans(only.text, reader.withMends(piece, childSpans(only.text, [])), piece);
    return true;
  }
  const end = text.search(/[\r\n]\s*\S/);
  if (!/^\s*\{/.test(text) || (end >= 0 && parsed(text.slice(0, end)))) return false;
  const value = parsed(text)?.value ?? (text.length <= MAX_MENDED ? mendedValue(text) : undefined);
  if (!isObject(value)) return false;
  const lines = text.split(lineBreak(text));
  const placeOf = placesIn(text);
  const start = text.search(/\S/);
  const line = placeOf(start).line;
  const piece: Piece = { text: text.trim(), line, place: (offset) => placeOf(start + offset), whole: true };
  const spread = isRow(value) ? lines.filter((l) => l.trim() !== '').length : undefined;
  return reader.tryRead(piece, spread);
}

export function tellMark(reader: JsonReader): void {
  reader.rows.notes.mends.addLines('bom_removed', [1], true);
  reader.rows.found.add({
    code: 'bom_removed',
    severity: 'warning',
    line: 1,
    column: 1,
    message: 'The file starts with a byte order mark, which was removed.',
    fix: 'Nothing needs to be done here. Other tools may refuse it: save the file as “UTF-8”, not “UTF-8 with BOM”.',
  });
}

/**
 * Reads a whole JSON file. Never throws: what is wrong is an issue, all of them at once.
 * Codes: OpenAI's `data_type`, `missing_messages_list`, `message_missing_key`, `unrecognized_role`, `missing_content`,
 * `example_missing_assistant_message`; ours `invalid_json`, `bom_removed`, `duplicate_row`, `role_order`, `system_not_first`,
 * `last_not_assistant`, `bad_weight`, `bad_tool_call`, `whitespace_edge`, `too_few_rows`, `no_rows`, `mixed_formats`,
 * `label_imbalance`, `json_array`, `more_issues`, `own_split`, and those of fileNotes.ts. Empty lines are ignored.
 */
export function parseExamples(text: string, options: ReadOptions = {}): ParsedData {
  const reader = new JsonReader(options);
  if (text.startsWith('\uFEFF')) {
    text = text.slice(1);
    tellMark(reader);
  }
  const mark = lineBreak(text);
  let lines = text.split(mark);
  if (mark === '\n' && text.includes('\r')) lines = lines.map((line) => line.replace(/\r$/, ''));
  const assigned = /^\s*[[{]/.test(text) ? null : assignedValue(text);
  if (
    assigned &&
    reader.rows.notes.leaveOut('text_around', 1, assigned.around, quoted(assigned.around, 60))
  ) {
    text = assigned.value;
    lines = text.split(mark);
  } else if (!/^\s*[[{]/.test(text)) {
    lines = withoutHead(reader, unfenced(reader, lines) ?? lines);
    text = lines.join(mark);
  }
  if (!readWhole(reader, text)) readLines(reader, withoutBrackets(reader, lines));
  return reader.rows.finish(reader.from, text.trim() !== '');
}
