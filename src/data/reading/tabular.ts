// Tables → rows: CSV, TSV, cells between semicolons or bars, tables pasted from a spreadsheet, tables in Markdown.
// Not here: what a row must look like (rows.ts), JSON (jsonl.ts), whether a text is a table (fileLayout.ts).

import Papa from 'papaparse';
import type { Issue } from '../../contract';
import type { ColumnChoice } from '../../dataReport';
import { listed, quoted, shortened } from '../../wording';
import { Fields, plainName } from './fields';
import { ASSISTANT_NAMES, USER_NAMES } from './keyNames';
import type { MendCode } from './mends';
import { formatOf } from './rowFormats';
import { type ParsedData, type PiecewiseReader, PREVIEW, type ReadOptions, RowsReader } from './rowsReader';

const DELIMITERS: readonly { mark: string; called: string }[] = [
  { mark: ',', called: 'commas' },
  { mark: ';', called: 'semicolons' },
  { mark: '\t', called: 'tabs' },
  { mark: '|', called: 'bars' },
];
/** Records looked at to tell what stands between the cells. */
const LOOKED_AT = 60;

/** A character that stands in no text. */
const NEVER = '\u001f';

/** A record of a table. */
interface TableRecord {
  line: number;
  cells: string[];
  /** As it stands in the file. */
  raw: () => string;
  /** Offset of its end in the text that was looked at. */
  end?: number;
  /** What is broken about its quotes. */
  error?: string;
  mends?: readonly MendCode[];
}

/** Line of each record: quoted cells may hold line breaks, so records are not lines. */
function recordLines(text: string, records: readonly { end: number }[]): number[] {
  const lines: number[] = [];
  let line = 1;
  let at = 0;
  for (const { end } of records) {
    // The break that ended the record before belongs to it, as do empty lines.
    while (text[at] === '\n' || text[at] === '\r') {
      if (text[at] === '\n' || text[at + 1] !== '\n') line++;
      at++;
    }
    lines.push(line);
    for (; at < end; at++) {
      if (text[at] === '\n' || (text[at] === '\r' && text[at + 1] !== '\n')) line++;
    }
  }
  return lines;
}

function recordsOf(text: string, delimiter: string, preview = 0, quotes = true): TableRecord[] {
  const records: { cells: string[]; end: number; error: string | undefined }[] = [];
  Papa.parse<string[]>(text, {
    delimiter,
    ...(quotes ? {} : { quoteChar: NEVER }),
    preview,
    skipEmptyLines: 'greedy',
    step: ({ data, errors, meta }) => {
      records.push({ cells: data, end: meta.cursor, error: errors[0]?.message });
    },
  });
  const lines = recordLines(text, records);
  return records.map(({ cells, end, error }, i) => ({
    line: lines[i] as number,
    cells,
    end,
    raw: () => text.slice(records[i - 1]?.end ?? 0, end).trim(),
    ...(error === undefined ? {} : { error }),
  }));
}

/** Whether a row under these names would be understood. */
function isKnown(headers: readonly string[]): boolean {
  return formatOf(new Fields(Object.fromEntries(headers.map((header) => [header, 'x'])), [])) !== undefined;
}

export interface TableLayout {
  delimiter: string;
  called: string;
  columns: number;
  /** Share of the records looked at that have as many cells as the first. */
  even: number;
  /** The names in the first line say which column is what. */
  known: boolean;
  records: number;
}

/** What stands between the cells, by what makes the first line's names known and the records equally long. */
export function tableLayout(text: string): TableLayout {
  const layouts = DELIMITERS.map(({ mark, called }): TableLayout => {
    const records = recordsOf(text, mark, LOOKED_AT);
    const columns = records[0]?.cells.length ?? 0;
    const even = records.filter(({ cells }) => cells.length === columns).length / Math.max(1, records.length);
    return {
      delimiter: mark,
      called,
      columns,
      even,
      known: columns > 1 && isKnown(records[0]?.cells ?? []),
      records: records.length,
    };
  });
  const score = (l: TableLayout) => (l.known ? 4 : 0) + (l.columns > 1 ? 1 + l.even : 0);
  return layouts.reduce((best, layout) => (score(layout) > score(best) ? layout : best));
}

/** Names of all columns, each different: those without one are numbered, and so is a name that stands twice. */
function columnNames(headers: readonly string[]): string[] {
  const seen = new Set<string>();
  return headers.map((header, i) => {
    const plain = plainName(header);
    const name = plain === '' ? `column ${i + 1}` : seen.has(plain) ? `${header} (column ${i + 1})` : header;
    seen.add(plain);
    return name;
  });
}

/** Columns that say who speaks. */
const ROLE_NAMES: readonly string[] = ['role', 'from', 'speaker', 'author', 'sender'];

/** What spreadsheets and pandas write for a cell without a value, or with one that could not be computed. */
const NO_VALUE = /^(?:NaN|nan|<NA>|NaT|NULL|#N\/A|#NV|#REF!|#VALUE!|#NAME\?|#DIV\/0!|#NULL!|#NUM!)$/;

/** Numbers, dates and nothing: no question and no answer where other columns have words. */
const NO_WORDS = /^[\d\s.,:;/%+-]*$/;

/**
 * Names under which two columns are read whose own names do not say it: the first is the question, unless one of them is plainly
 * something. Null where there are not just two columns with words.
 */
function assumedNames(names: readonly string[], rows: readonly TableRecord[]): Map<string, string> | null {
  const plain = names.map(plainName);
  // One message a row: neither is a question.
  if (plain.some((name) => ROLE_NAMES.includes(name))) return null;
  const looked = rows.slice(0, LOOKED_AT);
  const wordy = names.filter((_, i) => looked.some(({ cells }) => !NO_WORDS.test(cells[i] ?? '')));
  const two = names.length === 2 ? names : wordy;
  if (two.length !== 2) return null;
  const [first, second] = two as [string, string];
  const says = (list: readonly string[], name: string) => name.length > 1 && list.includes(plainName(name));
  const swapped = says(ASSISTANT_NAMES, first) || says(USER_NAMES, second);
  return new Map(
    swapped
      ? [
          [first, 'completion'],
          [second, 'prompt'],
        ]
      : [
          [first, 'prompt'],
          [second, 'completion'],
        ],
  );
}

/** A sentence rather than the name of a column. */
const looksLikeRow = (cells: readonly string[]) =>
  cells.length > 1 &&
  cells.filter((cell) => cell.trim().length > 60 || /\S\s+\S.*[.?!。？！]["”’)]?$/.test(cell.trim()))
    .length >= 2;

/** Columns that were chosen and are not there. */
function missingColumns(choice: ColumnChoice, names: readonly string[]): string[] {
  const there = new Set(names.flatMap((name) => [name, plainName(name)]));
  const chosen = Object.values(choice).flat();
  return chosen.filter((name) => !there.has(name) && !there.has(plainName(name)));
}

const HOW_TO_CHOOSE =
  'choose the columns (below the file, or --columns "user=NAME,assistant=NAME" on the command line)';

function unknownColumns(
  names: readonly string[],
  cells: readonly string[],
  choice: ColumnChoice | undefined,
): Issue {
  const shown = listed(
    names.map((name) => quoted(name)),
    8,
  );
  if (choice) {
    const missing = missingColumns(choice, names).map((name) => quoted(name));
    return {
      code: 'unknown_columns',
      severity: 'error',
      line: 1,
      excerpt: shortened(cells.join(', '), 72),
      message: `The table has no ${missing.length === 1 ? 'column' : 'columns'} ${listed(missing)}; its columns are ${shown}.`,
      fix: 'Choose among these.',
    };
  }
  const plain = names.map(plainName);
  const asked = plain.findIndex((name) => USER_NAMES.includes(name));
  const answered = plain.findIndex((name) => ASSISTANT_NAMES.includes(name));
  const found = asked >= 0 ? 'the answer' : answered >= 0 ? 'the question' : 'the question or the answer';
  return {
    code: 'unknown_columns',
    severity: 'error',
    line: 1,
    excerpt: shortened(cells.join(', '), 72),
    message: `Of the columns ${shown} none is plainly ${found}.`,
    fix: plain.some((name) => ROLE_NAMES.includes(name))
      ? 'A row of the table is one message here. Write one row a conversation, with columns “prompt” and “completion”, or JSONL.'
      : `Please ${HOW_TO_CHOOSE}, or name two of them “prompt” and “completion” in the first line.`,
  };
}

/** What is wrong with the cells of a record; null where nothing is. */
function brokenCells({ cells, error }: TableRecord, columns: number): string | null {
  if (error !== undefined) return error;
  if (cells.length === columns) return null;
  // Spreadsheets write empty cells at the end.
  if (cells.length > columns && cells.slice(columns).every((cell) => cell.trim() === '')) return null;
  return `it has ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'}, and the first line has ${columns}`;
}

/** Takes further records of a table. */
type Take = (records: readonly TableRecord[]) => void;

/**
 * Starts a table, the first of whose records holds the names, and reads these records.
 * @param records the first ones, enough to tell what the columns hold
 */
function startTable(reader: RowsReader, records: readonly TableRecord[]): Take {
  const [head] = records;
  if (!head) return () => {};
  const headers = [...head.cells];
  while (headers.length > 1 && headers.at(-1)?.trim() === '') headers.pop();
  const { columns: choice } = reader;
  // Of a table whose first line is a row, the columns have numbers.
  const headless = !choice && !isKnown(columnNames(headers)) && looksLikeRow(headers);
  const names = columnNames(headless ? headers.map(() => '') : headers);
  const rest = headless ? records : records.slice(1);
  const known = choice ? missingColumns(choice, names).length === 0 : isKnown(names);
  const assumed = choice || known ? null : assumedNames(names, rest);
  reader.table ??= {
    columns: names,
    preview: rest.slice(0, PREVIEW).map(({ cells }) => names.map((_, i) => shortened(cells[i] ?? '', 200))),
    chosen: known ? (choice ?? {}) : {},
    by: known ? (choice ? 'choice' : 'names') : assumed ? 'guess' : 'nothing',
  };
  if (!known && !assumed) {
    if (rest.length > 0) reader.reject(unknownColumns(names, head.cells, choice), head.raw());
    reader.rows = Math.max(reader.rows, rest.length);
    return (more) => {
      reader.rows += more.length;
    };
  }
  const keys = names.map((name) => assumed?.get(name) ?? name);
  const shown = new Map([...(assumed ?? [])].map(([name, key]) => [key, name]));
  if (assumed && rest.length > 0) {
    reader.notes.startRow(head.line);
    const told = [...assumed].map(
      ([name, key]) => `${quoted(name)} is read as the ${key === 'prompt' ? 'question' : 'answer'}`,
    );
    const first = headless ? ['the first line is read as a row, as it holds whole sentences'] : [];
    reader.notes.add('columns_assumed', listed([...told, ...first]));
  }
  const take: Take = (more) => {
    for (const record of more) readRecord(reader, record, { keys, shown, columns: headers.length });
  };
  take(rest);
  return take;
}

interface TableColumns {
  /** What each column is read as. */
  keys: readonly string[];
  shown: ReadonlyMap<string, string>;
  /** How many the first line has. */
  columns: number;
}

function readRecord(reader: RowsReader, record: TableRecord, { keys, shown, columns }: TableColumns): void {
  const { line, cells } = record;
  const problem = brokenCells(record, columns);
  if (problem !== null) {
    reader.reject(
      {
        code: 'invalid_csv',
        line,
        excerpt: shortened(cells.join(', '), 72),
        message: `This row of the table is broken: ${problem.charAt(0).toLowerCase()}${problem.slice(1)}.`,
        fix: 'Put a cell that holds commas, quotes or line breaks in double quotes, and double the quotes inside it.',
      },
      record.raw(),
    );
    return;
  }
  const missing = cells.some((cell) => NO_VALUE.test(cell));
  const emptied = missing && reader.notes.mends.wants('missing_values', line);
  const value = Object.fromEntries(
    keys.map((key, i) => [key, emptied && NO_VALUE.test(cells[i] ?? '') ? '' : (cells[i] ?? '')]),
  );
  if (missing && !emptied) {
    const after = JSON.stringify(cells.map((cell) => (NO_VALUE.test(cell) ? '' : cell)));
    reader.notes.mends.add(line, new Map([['missing_values', false]]), () => ({
      before: record.raw(),
      after,
    }));
  }
  const mends: readonly MendCode[] = [
    ...(record.mends ?? []),
    ...(emptied ? (['missing_values'] as const) : []),
  ];
  reader.accept(value, line, {
    shown,
    locate: ([name]) => {
      const cell = typeof name === 'string' ? value[name] : undefined;
      return cell === undefined ? { line } : { line, excerpt: shortened(cell, 72) };
    },
    raw: record.raw,
    json: () => JSON.stringify(value),
    ...(mends.length > 0 && { mends }),
  });
}

/** Cells between tabs often hold quotation marks that mean nothing; they are read as such where that leaves fewer broken records. */
function bestRecords(text: string, delimiter: string): TableRecord[] {
  const records = recordsOf(text, delimiter);
  if (delimiter !== '\t' && delimiter !== NEVER) return records;
  const broken = (list: readonly TableRecord[]) =>
    list.filter((record) => brokenCells(record, list[0]?.cells.length ?? 0) !== null).length;
  if (broken(records) === 0) return records;
  const plain = recordsOf(text, delimiter, 0, false);
  return broken(plain) < broken(records) ? plain : records;
}

/**
 * Reads a table whose first line names the columns. Never throws; codes as in `parseExamples`, and `invalid_csv` (a row whose quotes
 * or number of cells do not come out), `unknown_columns` (no column is plainly the question or the answer).
 */
export function parseTable(text: string, options: ReadOptions = {}): ParsedData {
  const reader = new RowsReader(options);
  const { body, delimiter, from } = tableStart(text);
  startTable(reader, bestRecords(body, delimiter));
  return reader.finish(from, body.trim() !== '');
}

/** Lines that end in \r\n and lines that end in \n stand in one table where it was edited on two systems. */
const withLineFeeds = (text: string) => (text.includes('\r\n') ? text.replaceAll('\r\n', '\n') : text);

/** What stands between the cells of a table, told by its start. */
function tableStart(text: string): { body: string; delimiter: string; from: string } {
  let body = withLineFeeds(text.replace(/^\uFEFF/, ''));
  // Excel's own way to say what stands between the cells. The line stays, empty, so that the others keep their number.
  const said = /^sep=(.)\r?\n/i.exec(body.slice(0, 8))?.[1];
  if (said !== undefined) body = body.replace(/^sep=./i, '');
  const layout = tableLayout(body);
  // A single column has nothing between its cells, whatever stands in them.
  const delimiter = said ?? (layout.columns > 1 ? layout.delimiter : NEVER);
  const called = DELIMITERS.find(({ mark }) => mark === delimiter)?.called ?? quoted(delimiter);
  const from = delimiter === NEVER ? 'a table of one column' : `a table (cells between ${called})`;
  return { body, delimiter, from };
}

/** Characters of a record after which a quote that never closes is assumed. */
const LONGEST_RECORD = 4_000_000;

/**
 * A large table, read piece by piece. Gives up where a record does not end, since a quote is open then that never closes.
 * @param head the start of the text, up to the end of a line
 */
export function piecewiseTable(head: string, options: ReadOptions): PiecewiseReader | null {
  const { delimiter, from } = tableStart(head);
  // Quotes mean nothing in some tables between tabs; which it is, the whole of it tells.
  if (delimiter === '\t' || delimiter === NEVER || /^\uFEFF?sep=/i.test(head) || !head.includes('\n'))
    return null;
  const reader = new RowsReader(options);
  let open = '';
  let line = 1;
  let take: Take | null = null;
  const read = (text: string, last: boolean) => {
    const records = recordsOf(text, delimiter);
    // The last record may go on in the next piece.
    const whole = last ? records : records.slice(0, -1);
    const placed = whole.map((record) => ({ ...record, line: record.line + line - 1 }));
    if (take) take(placed);
    else take = startTable(reader, placed);
    const end = whole.at(-1)?.end ?? 0;
    for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) line++;
    open = text.slice(end);
  };
  return {
    push(text) {
      const all = open + withLineFeeds(text);
      read(line === 1 && open === '' ? all.replace(/^\uFEFF/, '') : all, false);
      return open.length <= LONGEST_RECORD;
    },
    end() {
      read(open, true);
      return reader.finish(from, true);
    },
  };
}

// ───────────────────────────── Markdown ─────────────────────────────

const RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** Whether the lines `n` and `n + 1` start a table: names, and the rule below them. */
export function startsMarkdownTable(lines: readonly string[], n: number): boolean {
  const [head = '', rule = ''] = [lines[n], lines[n + 1]];
  return (
    head.includes('|') &&
    rule.includes('-') &&
    RULE.test(rule) &&
    (rule.includes('|') || head.trim().startsWith('|')) &&
    markdownCells(head).length === markdownCells(rule).length
  );
}

/** Cells of a line; bars that are escaped or stand in code belong to their cell. */
function markdownCells(line: string): string[] {
  const cells: string[] = [];
  let cell = '';
  let code = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i] as string;
    if (c === '\\' && line[i + 1] === '|') {
      cell += '|';
      i++;
    } else if (c === '|' && !code) {
      cells.push(cell.trim());
      cell = '';
    } else {
      if (c === '`' && (code || line.includes('`', i + 1))) code = !code;
      cell += c;
    }
  }
  cells.push(cell.trim());
  if (cells[0] === '') cells.shift();
  if (cells.at(-1) === '' && line.trimEnd().endsWith('|')) cells.pop();
  return cells;
}

/** Reads every table of a Markdown text. Lines that stand in none are told. Codes as in `parseTable`. */
export function parseMarkdownTables(text: string, options: ReadOptions = {}): ParsedData {
  const reader = new RowsReader(options);
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  for (let n = 0; n < lines.length; n++) {
    if (!startsMarkdownTable(lines, n)) {
      if ((lines[n] as string).trim() === '') continue;
      reader.notes.leaveOut('text_around', n + 1, lines[n] as string, quoted(lines[n] as string, 60));
      continue;
    }
    const records: TableRecord[] = [
      { line: n + 1, cells: markdownCells(lines[n] as string), raw: () => lines[n] as string },
    ];
    n++;
    while (
      n + 1 < lines.length &&
      (lines[n + 1] as string).includes('|') &&
      !startsMarkdownTable(lines, n + 1)
    ) {
      n++;
      const line = lines[n] as string;
      const cells = markdownCells(line);
      const breaks = /<br\s*\/?>/i.test(line);
      const mended = breaks && reader.notes.mends.wants('line_breaks', n + 1);
      if (breaks && !mended) {
        const after = line.replaceAll(/\s*<br\s*\/?>\s*/gi, '\\n');
        reader.notes.mends.add(n + 1, new Map([['line_breaks', false]]), () => ({ before: line, after }));
      }
      records.push({
        line: n + 1,
        cells: mended ? cells.map((cell) => cell.replaceAll(/\s*<br\s*\/?>\s*/gi, '\n')) : cells,
        raw: () => line,
        ...(mended && { mends: ['line_breaks'] }),
      });
    }
    startTable(reader, records);
  }
  return reader.finish('a table in Markdown');
}
