// Collects the rows of a file as they are read: examples, problems, what is said once for all of them, and what was understood.
// Not here: where rows start and end in a file (jsonl.ts, tabular.ts, plainText.ts), what a row must look like (rows.ts).

import type { Example, Issue, Role } from '../../contract';
import { listed, plural, quoted, shortened } from '../../wording';
import { checkFile, noRows } from './fileChecks';
import { FileNotes } from './fileNotes';
import { ROW_FORMATS, type RowFormat } from './rowFormats';
import type { RowSource } from './rowReading';
import { readRow, type SplitName } from './rows';

export interface ParsedData {
  /** Rows without errors, in the order of the file. */
  examples: Example[];
  /** By line; those about the whole file (line 0) first. */
  issues: Issue[];
  /** Rows with something on them, sound or not. */
  rows: number;
  /** Rows that the file itself marks as not to be learned, or as a test that is not run here. */
  leftOut: number;
  /** The format of the rows; 'mixed' when there are several, 'unknown' when none was understood. */
  format: RowFormat | 'mixed' | 'unknown';
  /** One line for people: how many rows of what, and which part became what. '' where nothing was understood. */
  understood: string;
}

/** What became of the keys or role words of the file. */
type Sources = Map<Role | 'text', Set<string>>;

/** Names shown for one role. */
const MOST_SOURCES = 4;

export class RowsReader {
  readonly notes = new FileNotes();
  readonly issues: Issue[] = [];
  rows = 0;
  #leftOut = 0;
  #examples: (Example & { side?: SplitName })[] = [];
  readonly #formats = new Map<RowFormat, number>();
  readonly #sources: Sources = new Map();

  /** One parsed row. @param side where the file lists its rows by side */
  accept(value: unknown, line: number, source: Omit<RowSource, 'notes'>, side?: SplitName): void {
    this.rows++;
    this.notes.startRow(line);
    const row = readRow(value, { ...source, notes: this.notes });
    for (const issue of row.issues) this.issues.push(issue);
    if (row.format) this.#formats.set(row.format, (this.#formats.get(row.format) ?? 0) + 1);
    for (const [role, names] of row.sources) {
      const known = this.#sources.get(role) ?? new Set();
      this.#sources.set(role, known);
      for (const name of names) if (known.size <= MOST_SOURCES) known.add(name);
    }
    if (row.leftOut) this.#leftOut++;
    if (!row.messages && row.text === undefined) return;
    const split = row.split ?? side;
    this.#examples.push({
      line,
      messages: row.messages ?? [],
      ...(row.text === undefined ? {} : { text: row.text }),
      ...(row.tools === undefined ? {} : { tools: row.tools }),
      ...(row.weight === undefined ? {} : { weight: row.weight }),
      ...(split === undefined ? {} : { side: split }),
    });
  }

  /** A row that could not even be parsed. */
  reject(issue: Omit<Issue, 'severity'>): void {
    this.rows++;
    this.issues.push({ severity: 'error', ...issue });
  }

  /** The split that the file itself makes, where it has rows to train on and others. */
  #ownSplit(): Issue[] {
    const count = (side: SplitName) => this.#examples.filter((e) => e.side === side).length;
    const [train, validation, test] = [count('train'), count('validation'), count('test')];
    const used = train > 0 && validation + test > 0;
    // Without rows of their own to validate with, those for the test are the ones to measure.
    const heldOut: SplitName = validation > 0 ? 'validation' : 'test';
    const kept = this.#examples.filter(({ side }) => !used || side !== 'test' || heldOut === 'test');
    const out = this.#examples.length - kept.length;
    const held = heldOut === 'validation' ? validation : test;
    this.#leftOut += out;
    this.#examples = kept.map(({ side, ...example }) =>
      used ? { ...example, split: side === heldOut ? 'validation' : 'train' } : example,
    );
    if (!used) return [];
    return [
      {
        code: 'own_split',
        severity: 'warning',
        line: 0,
        message: `The file says itself which rows are held out: ${plural(kept.length - held, 'row')} to train on, ${plural(held, 'row')} (${quoted(heldOut)}) to validate with. That is used as it is${out > 0 ? `; ${plural(out, 'row')} of “test” ${out === 1 ? 'is' : 'are'} left out` : ''}.`,
        fix: 'Nothing needs to be done. The share of held-out rows in the settings has no effect.',
      },
    ];
  }

  /**
   * @param from the kind of file: "a list in JSON", "a table"
   * @param anything whether the file holds characters
   */
  finish(from: string, anything = true): ParsedData {
    const empty = this.rows === 0 && !this.issues.some((i) => i.severity === 'error');
    const issues = this.#ownSplit().concat(
      empty ? [noRows(anything)] : [],
      this.notes.issues(this.rows),
      this.issues,
      checkFile(this.#examples, this.#formats, this.rows),
    );
    // Sorting is stable: within a line the order of discovery stays.
    issues.sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0));
    const [only] = [...this.#formats.keys()];
    const format = this.#formats.size > 1 ? 'mixed' : (only ?? 'unknown');
    return {
      examples: this.#examples,
      issues,
      rows: this.rows,
      leftOut: this.#leftOut,
      format,
      understood: understood(this.#examples.length, this.rows, this.#formats, this.#sources, from),
    };
  }
}

const ORDER: readonly (Role | 'text')[] = ['system', 'user', 'assistant', 'tool', 'text'];
const LABELS: Readonly<Record<string, string>> = Object.fromEntries(
  ROW_FORMATS.map(({ id, label }) => [id, label]),
);

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
  const what = listed([...formats.keys()].map((format) => LABELS[format] as string));
  const became = ORDER.flatMap((role) => {
    const all = [...(sources.get(role) ?? [])];
    if (role === 'text' && all.length > 0) return [`every token of ${quoted(all[0] as string)} is learned`];
    // Nothing needs to be said of what is called by its role.
    const names = all.filter((name) => name !== role);
    if (names.length === 0) return [];
    const shown = names.slice(0, MOST_SOURCES).map((name) => shortened(name, 30));
    if (names.length > MOST_SOURCES) shown.push('…');
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
