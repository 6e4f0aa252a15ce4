// Collects the rows of a file as they are read: examples, problems, what is reported once for all of them, and what was understood.
// Not here: where rows start and end in a file (jsonl.ts, tabular.ts, plainText.ts), what a row must look like (rows.ts).

import { ROW_FORMAT_LABELS, type RowFormat } from '../../acceptedFiles';
import type { Example, Issue, Role } from '../../contract';
import type { ColumnChoice, TableReport } from '../../dataReport';
import { listed, plural, quoted, shortened } from '../../wording';
import { IssueGroups } from '../issueGroups';
import { checkFile, noRows, rowHash } from './fileChecks';
import { FileNotes } from './fileNotes';
import { type MendCode, MendLog } from './mends';
import { applyPatches, chatRow, onOneLine } from './rowPatches';
import type { RowSource } from './rowReading';
import { type RowResult, readRow, type SplitName } from './rows';

export interface ParsedData {
  /** Rows without errors, in the order of the file. */
  examples: Example[];
  /** By line; those about the whole file (line 0) first. Of each code the first ones. */
  issues: Issue[];
  /** All of them, counted. */
  groups: IssueGroups;
  /** What was mended, and what could be. */
  mends: MendLog;
  /** Rows with something on them, sound or not. */
  rows: number;
  /** Rows that the file itself marks as not to be learned. */
  leftOut: number;
  /** The format of the rows; 'mixed' when there are several, 'unknown' when none was understood. */
  format: RowFormat | 'mixed' | 'unknown';
  /** Of a table: its columns, and what they became. */
  table?: TableReport;
  /** One line for people: how many rows of what, and which part became what. '' where nothing was understood. */
  understood: string;
}

/** What became of the keys or role words of the file. */
type Sources = Map<Role | 'text', Set<string>>;

/** Rows of a table shown before its columns are chosen. */
export const PREVIEW = 5;

/** Names shown for one role. */
const MAX_SOURCES = 4;

/** A row as the file that was read can be written again. */
export interface WrittenRow {
  /** Of the file it was read from. */
  line: number;
  /** What is kept of the file: the row with its mends, in its own format, on one line. What cannot be read stays as it is. */
  same: string;
  /** The row as chat messages, or {"text": …}. */
  chat: string;
}

/** Of one reading. */
export interface ReadOptions {
  mends?: MendLog;
  columns?: ColumnChoice;
  /** Called for each row that stays in the file, in its order, as soon as it is read. */
  write?: (row: WrittenRow) => void;
}

/** Rows of a file that comes in pieces. Gives up where only the whole text tells how it is to be read. */
export interface PiecewiseReader {
  /** @returns false where the file has to be read as a whole after all */
  push(text: string): boolean;
  /** Null where the file has to be read as a whole after all. */
  end(): ParsedData | null;
}

/** A row in the text of its file. */
export interface SourceOfRow extends Omit<RowSource, 'notes'> {
  /** As it is in the file. */
  raw: () => string;
  /** As sound JSON; of a table, an object of its cells. */
  json: () => string;
  /** What was mended so that it could be parsed. */
  mends?: readonly MendCode[];
}

export class RowsReader {
  readonly notes: FileNotes;
  readonly found = new IssueGroups();
  readonly #write: ReadOptions['write'];
  rows = 0;
  #leftOut = 0;
  #examples: (Example & { side?: SplitName })[] = [];
  /** Line of the first row of each content. */
  readonly #seen = new Map<number, number>();
  readonly #formats = new Map<RowFormat, number>();
  readonly #sources: Sources = new Map();

  /** What is reported of a table, where the file is one. */
  table: TableReport | undefined;
  /** Whether that is made of rows of JSON. */
  #flat = false;
  readonly columns: ColumnChoice | undefined;

  constructor({ mends = new MendLog(), write, columns }: ReadOptions = {}) {
    this.notes = new FileNotes(mends);
    this.#write = write;
    this.columns = columns;
  }

  /** One parsed row. @param side where the file lists its rows by side */
  accept(value: unknown, line: number, source: SourceOfRow, side?: SplitName): void {
    this.rows++;
    this.notes.startRow(line);
    for (const code of source.mends ?? []) this.notes.mend(code);
    const row = readRow(value, {
      ...source,
      ...(this.columns && { columns: this.columns }),
      notes: this.notes,
    });
    this.found.addAll(row.issues);
    if (row.format) this.#formats.set(row.format, (this.#formats.get(row.format) ?? 0) + 1);
    for (const [role, names] of row.sources) {
      const known = this.#sources.get(role) ?? new Set();
      this.#sources.set(role, known);
      for (const name of names) if (known.size <= MAX_SOURCES) known.add(name);
    }
    if (row.leftOut) this.#leftOut++;
    const split = row.split ?? side;
    const example: Example | null =
      row.messages || row.text !== undefined
        ? {
            line,
            messages: row.messages ?? [],
            ...(row.text === undefined ? {} : { text: row.text }),
            ...(row.tools === undefined ? {} : { tools: row.tools }),
            ...(row.weight === undefined ? {} : { weight: row.weight }),
          }
        : null;
    const repeated = example !== null && this.#isRepeated(example);
    if (repeated) this.#leftOut++;
    else if (example) this.#examples.push(split === undefined ? example : { ...example, side: split });
    if (row.format === null || row.anew) this.#offerColumns(value);
    this.#record(row, line, source, example, repeated, split);
  }

  /** Flat rows of JSON whose keys say nothing, or are chosen, are a table whose columns can be chosen. */
  #offerColumns(value: unknown): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    const cells = Object.entries(value).filter(
      ([, cell]) => typeof cell === 'string' || typeof cell === 'number',
    );
    if (cells.length < (this.columns ? 1 : 2)) return;
    const by = this.columns ? 'choice' : 'nothing';
    this.#flat ||= this.table === undefined;
    if (!this.#flat) return;
    this.table ??= { columns: cells.map(([key]) => key), preview: [], chosen: this.columns ?? {}, by };
    const { columns, preview } = this.table;
    if (preview.length >= PREVIEW) return;
    const own = Object.fromEntries(cells);
    preview.push(columns.map((name) => shortened(String(own[name] ?? ''), 200)));
  }

  /** Whether the row is a copy that is left out. A copy that stays is reported. */
  #isRepeated(example: Example): boolean {
    const key = rowHash(example);
    const known = this.#seen.get(key);
    if (known === undefined) {
      this.#seen.set(key, example.line);
      return false;
    }
    if (this.notes.mend('duplicate_row')) return true;
    this.found.add({
      code: 'duplicate_row',
      severity: 'warning',
      line: example.line,
      message: `This row is the same as line ${known}.`,
      fix: 'Remove one of the two, unless the model should see it twice as often.',
    });
    return false;
  }

  /** Counts the mends of the row, and writes what it becomes. */
  #record(
    row: RowResult,
    line: number,
    source: SourceOfRow,
    example: Example | null,
    repeated: boolean,
    split: SplitName | undefined,
  ): void {
    const mends = this.notes.rowMends;
    if (mends.size === 0 && !this.#write) return;
    const become = (all: boolean): string => {
      const json = source.json();
      const anew = row.anew || [...row.rewritten.values()].some((done) => done);
      const patched = anew ? null : applyPatches(json, all ? row.patches : row.patches.filter((p) => p.done));
      if (patched !== null) return onOneLine(patched);
      return example ? chatRow(example, undefined, row.beside) : onOneLine(json);
    };
    // What is not done is shown as if it were.
    const undone = [...mends.values()].some((done) => !done);
    if (mends.size > 0) {
      this.notes.mends.add(line, mends, () => ({
        before: source.raw(),
        after: mends.has('duplicate_row') ? '' : become(undone),
      }));
    }
    if (!this.#write || repeated) return;
    const same = withSplit(become(false), split, example, row);
    const asChat = example && !(row.format === 'messages' && [...mends.values()].every((done) => !done));
    this.#write({ line, same, chat: asChat ? chatRow(example, split, row.beside) : same });
  }

  /** Which columns of a table became what, as it turned out. */
  #chosenColumns({ columns, chosen, by }: TableReport): ColumnChoice {
    if (by === 'choice' || by === 'nothing') return chosen;
    const roles = ['system', 'user', 'assistant', 'text'] as const;
    return Object.fromEntries(
      roles.flatMap((role) => {
        const names = [...(this.#sources.get(role) ?? [])].filter((name) => columns.includes(name));
        return names.length > 0 ? [[role, names]] : [];
      }),
    );
  }

  /**
   * A row that could not even be parsed.
   * @param raw as it is in the file
   */
  reject(issue: Omit<Issue, 'severity'>, raw: string): void {
    this.rows++;
    this.found.add({ severity: 'error', ...issue });
    if (this.#write) {
      const same = onOneLine(raw);
      this.#write({ line: issue.line, same, chat: same });
    }
  }

  /** The split that the file itself makes, where it has rows to train on and others. */
  #ownSplit(): Issue[] {
    const count = (side: SplitName) => this.#examples.filter((e) => e.side === side).length;
    const [train, validation, test] = [count('train'), count('validation'), count('test')];
    const used = train > 0 && validation + test > 0;
    // Without rows of their own to validate with, those for the test are the ones to measure.
    const heldOut: SplitName = validation > 0 ? 'validation' : 'test';
    const kept = heldOut === 'validation' ? test : 0;
    const held = heldOut === 'validation' ? validation : test;
    const sideOf = (side: SplitName | undefined): SplitName => {
      if (side === heldOut) return 'validation';
      return side === 'test' ? 'test' : 'train';
    };
    const learned = this.#examples.length - held - kept;
    this.#examples = this.#examples.map(({ side, ...example }) =>
      used ? { ...example, split: sideOf(side) } : example,
    );
    if (!used) return [];
    return [
      {
        code: 'own_split',
        severity: 'warning',
        line: 0,
        message: `The file says itself which rows are held out: ${plural(learned, 'row')} to train on, ${plural(held, 'row')} (${quoted(heldOut)}) to validate with. That is used as it is${kept > 0 ? `; ${plural(kept, 'row')} of “test” ${kept === 1 ? 'is' : 'are'} kept aside, and no run reads ${kept === 1 ? 'it' : 'them'}` : ''}.`,
        fix: 'Nothing needs to be done. The share of held-out rows in the settings has no effect.',
      },
    ];
  }

  /**
   * @param from the kind of file: "a list in JSON", "a table"
   * @param anything whether the file holds characters
   */
  finish(from: string, anything = true): ParsedData {
    const empty = this.rows === 0 && !this.found.hasErrors;
    const groups = new IssueGroups();
    groups.addAll(this.#ownSplit());
    if (empty) groups.add(noRows(anything));
    groups.addAll(this.notes.issues(this.rows));
    groups.addGroups(this.found);
    groups.addAll(checkFile(this.#examples, this.#formats, this.rows));
    const [only] = [...this.#formats.keys()];
    const format = this.#formats.size > 1 ? 'mixed' : (only ?? 'unknown');
    return {
      examples: this.#examples,
      issues: groups.issues(),
      groups,
      mends: this.notes.mends,
      rows: this.rows,
      leftOut: this.#leftOut,
      format,
      ...(this.table && { table: { ...this.table, chosen: this.#chosenColumns(this.table) } }),
      understood: understood(this.#examples.length, this.rows, this.#formats, this.#sources, from),
    };
  }
}

/** Says in the row which side of the split it is on, where the file said it around the rows. */
function withSplit(
  same: string,
  split: SplitName | undefined,
  example: Example | null,
  row: RowResult,
): string {
  if (split === undefined || row.split !== undefined) return same;
  if (same.startsWith('{'))
    return same.replace(/^\{\s*(\}?)/, (_, end) => `{"split": "${split}"${end || ', '}`);
  return example ? chatRow(example, split, row.beside) : same;
}

const ORDER: readonly (Role | 'text')[] = ['system', 'user', 'assistant', 'tool', 'text'];

/** "197 rows of Alpaca instructions, from a list in JSON; instruction + input → user, output → assistant." */
function understood(
  usable: number,
  rows: number,
  formats: ReadonlyMap<RowFormat, number>,
  sources: Sources,
  from: string,
): string {
  if (formats.size === 0) return '';
  const count =
    usable === rows ? plural(rows, 'row') : `${usable.toLocaleString('en')} of ${plural(rows, 'row')}`;
  const what = listed([...formats.keys()].map((format) => ROW_FORMAT_LABELS[format]));
  const became = ORDER.flatMap((role) => {
    const all = [...(sources.get(role) ?? [])];
    if (role === 'text' && all.length > 0) return [`every token of ${quoted(all[0] as string)} is learned`];
    // Nothing needs to be said of what is called by its role.
    const names = all.filter((name) => name !== role);
    if (names.length === 0) return [];
    const shown = names.slice(0, MAX_SOURCES).map((name) => shortened(name, 30));
    if (names.length > MAX_SOURCES) shown.push('…');
    // Keys of a question are joined; other names are one or the other.
    return [
      `${shown.join(role === 'user' && formats.size === 1 && !isTurns(formats) ? ' + ' : ', ')} → ${role}`,
    ];
  });
  return `${count} of ${what}, from ${from}${became.length > 0 ? `; ${became.join(', ')}` : ''}.`;
}

/** Whether the names are role words rather than keys. */
function isTurns(formats: ReadonlyMap<RowFormat, number>): boolean {
  return ['messages', 'gemini', 'sharegpt'].includes([...formats.keys()][0] ?? '');
}
