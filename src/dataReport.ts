// What is reported of a data file beside its rows, and what a visitor may choose about reading it: types that cross the worker's boundary.
// Not here: single issues, rows and the report as a whole (contract.ts), finding any of it (data/).

/** All issues with one code, as one line of a table. */
export interface IssueGroup {
  code: string;
  /** As of `Issue`. */
  file?: string;
  severity: 'error' | 'warning';
  /** Issues; a row can have several. */
  count: number;
  /** Rows that have it; 0 where it is about the file itself. */
  rows: number;
  /** Lines of the first of these rows, at most 1,000. */
  lines: number[];
  /** One sentence for all of them. */
  message: string;
  fix: string;
}

/** What a column of a table, or a key, is read as. A role may take several columns, which are joined. */
export type ColumnRole = 'system' | 'user' | 'assistant' | 'text';
export type ColumnChoice = Partial<Record<ColumnRole, string[]>>;

/**
 * What the visitor has decided about the mends of a file. A row's own word goes before that for its kind; what is not named stands as
 * `MendGroup.byDefault` has it.
 */
export interface MendChoices {
  /** By `MendGroup.code`: whether all of a kind are done. */
  kinds: Readonly<Record<string, boolean>>;
  /** By `MendGroup.code` and line: whether this one is done. */
  rows: Readonly<Record<string, Readonly<Record<number, boolean>>>>;
}

/** How a file is to be read, where the visitor has said so; what is left out is found by a look into the file. */
export interface ReadingChoices {
  layout?: FileLayout;
  columns?: ColumnChoice;
  mends?: MendChoices;
}

export type FileLayout = 'json' | 'table' | 'markdown_table' | 'text';

/** One row before and after what was mended in it. */
export interface MendedRow {
  line: number;
  /** As it is in the file, cut short. */
  before: string;
  /** As one line of JSON, cut short; '' where it is left out. While it is not done: what it would become. */
  after: string;
  /** Whether the mend is done in this row. */
  done: boolean;
  /** Codes of all mends of the row. */
  codes: string[];
}

/** How a mended file is written: each row in the format that it has, or all of them as chat messages (texts: {"text": …}). One row a line. */
export type MendedForm = 'same' | 'chat';

/** Everything of one kind that is mended in a file, or could be. */
export interface MendGroup {
  code: string;
  /** "Trailing commas". */
  title: string;
  /** What is done, as a sentence. */
  does: string;
  /** Why nothing is guessed by it, as a sentence. */
  why: string;
  /** Rows that it is about, done or not; for what stands between rows, lines. */
  rows: number;
  done: number;
  /** Lines of the first rows, at most 1,000. */
  lines: number[];
  /** Whether it is done unless it is refused. Otherwise it is offered. */
  byDefault: boolean;
  /** Whether a single row can be chosen, only all of the kind, or only another encoding. */
  choice: 'row' | 'kind' | 'encoding';
  /** The first rows, at most 3; `Session.mendedRows` has more. */
  examples: MendedRow[];
}

/** A table as it was read: its columns, and which of them became what. */
export interface TableReport {
  /** Names as the file has them, numbered where there is none. */
  columns: string[];
  /** Cells of the first rows, cut short. */
  preview: string[][];
  /** Which columns became which part of a row. */
  chosen: ColumnChoice;
  /** Names that the file gives say it, the visitor does, or it was guessed; 'nothing' where no column is known. */
  by: 'names' | 'choice' | 'guess' | 'nothing';
}

/** How far reading has come. `total` is 0 while it is not known. */
export interface ReadProgress {
  /** Reading the file in bytes, or encoding and splitting its rows. */
  stage: 'read' | 'encode';
  done: number;
  total: number;
}

/** The part of the session that ends reading, shows and writes what is mended. */
export interface FileMending {
  /** Ends `readData`; the call that waits for it rejects with `reading_cancelled`. The data before stay. */
  cancelReading(): Promise<void>;
  /** Rows of one kind of mend (`MendGroup.code`), in the order of the file. The file is read once more for them. */
  mendedRows(range: { code: string; offset: number; count: number }): Promise<MendedRow[]>;
  /** The file with the mends that are done, as JSONL; a file that is one text as that text. */
  mendedFile(form: MendedForm): Promise<Blob>;
}
