// CSV and TSV → examples: columns with plain names, read by papaparse.
// Not here: what a row must look like (rows.ts), JSONL (jsonl.ts).

import Papa from 'papaparse';
import type { Example, Issue } from '../contract';
import { checkFile } from './fileChecks';
import type { ParsedData } from './jsonl';
import { ASSISTANT_NAMES, type RowFormat, readRow, SYSTEM_NAMES, USER_NAMES } from './rows';

/** Whether a file of this name is read as a table. */
export function isTabular(name: string): boolean {
  return /\.(csv|tsv|tab)$/i.test(name);
}

/** A header as the name tables spell it. */
function plainName(header: string): string {
  return header
    .trim()
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_');
}

/** Which column is what; null when question or answer cannot be told. */
export function columnsOf(
  headers: readonly string[],
): { user: string; assistant: string; extra: string[] } | null {
  const plain = new Map(headers.map((header) => [plainName(header), header]));
  const pick = (names: readonly string[]) =>
    names.map((name) => plain.get(name)).find((h) => h !== undefined);
  const assistant = pick(ASSISTANT_NAMES);
  // An instruction is the question even where “input” stands beside it: that is its addition.
  const user = plain.get('instruction') ?? pick(USER_NAMES);
  if (user === undefined || assistant === undefined) return null;
  const extra = [pick(SYSTEM_NAMES), plainName(user) === 'instruction' ? plain.get('input') : undefined];
  return { user, assistant, extra: extra.filter((h) => h !== undefined) };
}

function cut(text: string): string {
  return text.length > 72 ? `${text.slice(0, 72)}…` : text;
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

/**
 * Reads a table whose first line names the columns. Never throws; codes as in `parseExamples`, and `invalid_csv` (a row whose quotes
 * or number of cells do not come out), `unknown_columns` (no column is plainly the question or the answer).
 */
export function parseTable(text: string): ParsedData {
  const issues: Issue[] = [];
  const examples: Example[] = [];
  const formats = new Map<RowFormat, number>();
  if (text.startsWith('\uFEFF')) text = text.slice(1);

  const records: { cells: string[]; end: number; errors: string[] }[] = [];
  Papa.parse<string[]>(text, {
    skipEmptyLines: 'greedy',
    step: ({ data, errors, meta }) => {
      records.push({ cells: data, end: meta.cursor, errors: errors.map((e) => e.message) });
    },
  });
  const lines = recordLines(text, records);
  const headers = records[0]?.cells ?? [];
  const columns = columnsOf(headers);
  const rows = Math.max(0, records.length - 1);
  if (!columns) {
    issues.push({
      code: rows === 0 ? 'no_rows' : 'unknown_columns',
      severity: 'error',
      line: rows === 0 ? 0 : 1,
      ...(rows === 0 ? {} : { excerpt: cut(headers.join(', ')) }),
      message:
        rows === 0
          ? 'The file has no rows.'
          : `Of the columns ${headers.map((h) => `“${cut(h)}”`).join(', ')} none is plainly the question or the answer.`,
      fix: 'Name two columns “prompt” and “completion” in the first line (and one “system”, if you like).',
    });
    return { examples, issues, rows, format: 'unknown' };
  }

  const indexOf = new Map(headers.map((header, i) => [header, i]));
  for (const [r, record] of records.entries()) {
    if (r === 0) continue;
    const line = lines[r] as number;
    const problem =
      record.errors[0] ??
      (record.cells.length === headers.length
        ? null
        : `It has ${record.cells.length} cells, and the first line has ${headers.length}`);
    if (problem !== null) {
      issues.push({
        code: 'invalid_csv',
        severity: 'error',
        line,
        excerpt: cut(record.cells.join(', ')),
        message: `This row of the table is broken: ${problem}.`,
        fix: 'Put a cell that holds commas, quotes or line breaks in double quotes, and double the quotes inside it.',
      });
      continue;
    }
    const value: Record<string, string> = {};
    for (const header of [columns.user, columns.assistant, ...columns.extra]) {
      const cell = record.cells[indexOf.get(header) as number] ?? '';
      if (cell !== '' || !columns.extra.includes(header)) value[plainName(header)] = cell;
    }
    const result = readRow(value, ([name]) => {
      const cell = typeof name === 'string' ? value[name] : undefined;
      return cell === undefined ? { line } : { line, excerpt: cut(cell) };
    });
    issues.push(...result.issues);
    if (result.format) formats.set(result.format, (formats.get(result.format) ?? 0) + 1);
    if (result.messages) examples.push({ line, messages: result.messages });
  }
  issues.push(...checkFile(examples, formats, rows));
  issues.sort((a, b) => a.line - b.line);
  return { examples, issues, rows, format: [...formats.keys()][0] ?? 'unknown' };
}
