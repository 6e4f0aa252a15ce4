// What is reported of a visitor's rows across the worker boundary: the split and its files, statistics, losses of rows, folds, uses of the test rows.
// Types only, as in contract.ts, which has the rows themselves and the session.

// ───────────────────────────── split ─────────────────────────────

/** What a row is used for: learned from, measured during and after a run, or kept for an evaluation of the test rows alone. */
export type SplitSide = 'train' | 'validation' | 'test';

/**
 * A file that a row comes from, beside the data file itself: the two that a user may add; and two of this project's own, the general rows
 * that are mixed in (`replay`) and those that forgetting is measured on (`general_probe`).
 */
export type RowFile = 'validation' | 'test' | 'replay' | 'general_probe';

/** What decides which rows are on a side: a share in the settings, marks in the data file, or a file of its own. */
export type SplitOrigin = 'settings' | 'data' | 'file';

/** How alike held-out rows are to others. The three counts are held-out rows, each counted once, under the first that fits. */
export interface Leakage {
  /** The same row stands among the others. */
  copies: number;
  /** One of the others has the same prompt and another answer. */
  samePrompt: number;
  /** The prompt of one of the others differs in a few words, or in digits, case, punctuation or spacing only. */
  nearPrompt: number;
}

/** How alike the two sides of a split are: validation rows to training rows. */
export interface HeldOut extends Leakage {
  /** What is kept on one side. Each weaker one is taken when the one before leaves too few rows to hold out. */
  kept: 'near_prompts' | 'equal_prompts' | 'equal_rows' | 'nothing';
}

/** Rows that nothing reads during a run: neither training, evaluation, verdict nor early stopping. */
export interface TestSplit {
  /** Encoded rows. */
  rows: number;
  from: SplitOrigin;
  /** SHA-256 (hex) over the content of the rows, in their order: the same rows give the same one, whatever the file is called. */
  hash: string;
  /** To training and validation rows. */
  alike: Leakage;
}

/** A second data file that was read beside the first. */
export interface BesideFile {
  use: 'validation' | 'test';
  name: string;
  /** SHA-256 (hex) of its text. */
  hash: string;
  /** The four as of `DatasetReport`. */
  understood: string;
  rows: number;
  usableRows: number;
  badRows: number;
}

// ───────────────────────────── statistics ─────────────────────────────

/** A place of a row in one of the files. */
export interface RowPlace {
  line: number;
  /** Absent for the data file. */
  file?: RowFile;
  split: SplitSide;
}

/** Rows whose prompts are equal, or nearly. */
export interface DuplicateGroup {
  /** `row`: prompts and answers are the same. `prompt`: prompts are the same. `near`: prompts differ in a few words, or in digits, case, punctuation or spacing. */
  kind: 'row' | 'prompt' | 'near';
  /** Rows in the group; `rows` has the first of them, those of other sides before further ones of the same. */
  size: number;
  rows: (RowPlace & { prompt: string; answer: string })[];
  /** Rows of it stand on more than one side of the split. */
  across: boolean;
}

/** One thing that was looked for in the rows; `data/dataChecks.ts` has the list. */
export interface CheckResult {
  id: string;
  label: string;
  /** A warning never keeps a row out. `ok`: looked for and not found. */
  severity: 'warning' | 'note' | 'ok';
  /** Rows that it is about. */
  count: number;
  /** The first of them. */
  places: RowPlace[];
  /** What was found, and what may be done. */
  message: string;
}

/** How often a text occurs, and where first. */
export interface Occurrence {
  text: string;
  rows: number;
  first: RowPlace;
}

/** What can be said of the rows of all sides. Lists are bounded; counts are of everything. */
export interface DatasetStatistics {
  /** Encoded rows. */
  rows: number;
  /** Of all rows, after they were cut. */
  tokens: number;
  /** Tokens that are targets of the loss. */
  learnedTokens: number;
  /** Tokens that stand behind the cut and are not read. */
  cutTokens: number;
  /** Encoded rows by length before the cut: `counts[i]` of them have `edges[i]` to `edges[i + 1] - 1` tokens. */
  lengths: { edges: number[]; counts: number[]; cut: number; beyondCut: number };
  /** Rows of the file by their number of messages; 0 for texts. */
  turns: { messages: number; rows: number }[];
  /** The answers, most frequent first, where they are a few different ones; null where they are no labels. */
  labels: { text: string; train: number; validation: number; test: number }[] | null;
  /** The most frequent ones. Rows without one are in none of them. */
  systemPrompts: Occurrence[];
  systemPromptCount: number;
  rowsWithSystemPrompt: number;
  /** First words that many answers share, the longest that so many share. */
  openings: Occurrence[];
  /** Groups of equal and nearly equal rows: those across the split first, then the largest. */
  duplicates: DuplicateGroup[];
  duplicateGroupCount: number;
  checks: CheckResult[];
}

// ───────────────────────────── losses of rows ─────────────────────────────

/** A row of a side, counted from 0 as `previewRows` counts them. Test rows are measured by `evaluateAnswers` alone, which counts each look. */
export interface RowNumber {
  split: 'train' | 'validation';
  index: number;
}

interface LossesOfRow extends RowNumber {
  line: number;
  /** As of `Example`. */
  file?: RowFile;
  /** As of `EncodedExample`. */
  answer?: number;
}

/** Loss of one learned token, in nats. */
export interface TokenLoss {
  /** In `RowPreview.tokens`. */
  position: number;
  id: number;
  text: string;
  base: number;
  /** With the tuned weights that are chosen; null before a run. */
  tuned: number | null;
}

export interface RowTokenLosses extends LossesOfRow {
  tokens: TokenLoss[];
}

/** Mean loss of one row over its learned tokens, in nats. */
export interface RowMeanLoss extends LossesOfRow {
  targets: number;
  base: number;
  /** As of `TokenLoss`. */
  tuned: number | null;
}

// ───────────────────────────── folds and test rows ─────────────────────────────

/** Which of several runs of a cross-validation, from 1. */
export interface Fold {
  number: number;
  of: number;
}

/** One run of a cross-validation. */
export interface FoldResult {
  /** From 1. */
  fold: number;
  trainRows: number;
  validationRows: number;
  /** The lowest validation loss of the run and its step, and the loss after the last step: on all held-out rows of the fold. */
  best: { step: number; loss: number };
  last: number;
}

export interface FailedFold {
  /** From 1. */
  fold: number;
  message: string;
}

/**
 * The runs that rotate the held-out rows (`folds`), and what they come to. Standard errors are those of the mean over folds, sd / √folds;
 * as folds share training rows, they are somewhat too small (Bengio & Grandvalet 2004).
 */
export interface CrossValidation {
  of: number;
  /** Fewer than `of` when it was stopped. */
  folds: FoldResult[];
  /** Folds whose run failed, and why. */
  failed: FailedFold[];
  /** Each fold at its own best step, which looks a little better than one step for all would. Null with fewer than two folds. */
  best: { mean: number; standardError: number } | null;
  last: { mean: number; standardError: number } | null;
}

/** One measurement of the test rows. */
export interface TestUse {
  /** ISO 8601. */
  at: string;
  weights: 'base' | 'last' | 'best' | 'step';
  /** Where `weights` is `step`: the step after which they are those of the run. */
  step?: number;
  /** Mean over all target tokens, in nats. */
  loss: number;
  standardError: number;
  meanTokenAccuracy: number;
  /** Null where the learned tokens have no text. */
  bitsPerByte: number | null;
  rows: number;
}

// ───────────────────────────── the part of the session ─────────────────────────────

/** What the session measures of rows. One at a time, and never during a run. */
export interface RowMeasuring {
  /** Of the rows as they are encoded now; seconds for 100,000 rows. Rejects with `measuring_cancelled` after `cancelMeasuring`. */
  statistics(onProgress: (share: number) => void): Promise<DatasetStatistics>;
  /** The loss of each learned token of a row, with the base model and the tuned weights. */
  rowLosses(row: RowNumber): Promise<RowTokenLosses>;
  /** The loss of every row of a side, in the order of `previewRows`. */
  sideLosses(split: RowNumber['split'], onProgress: (share: number) => void): Promise<RowMeanLoss[]>;
  /** Ends `statistics`, `sideLosses` and evaluations. */
  cancelMeasuring(): Promise<void>;
}

/** Rows of one side that were measured, at most a thousand, in the order of the file. */
export interface RowLosses {
  lines: number[];
  /** As `previewRows` counts the rows of the side. */
  places: number[];
  /** Mean over the learned tokens of the row, in nats. */
  losses: number[];
  /** Learned tokens of the row: the weight of its loss in a mean. Absent in records of earlier versions. */
  targets?: number[];
}

/** The losses of single rows at one evaluation. Their means, weighted by tokens, are the metric points of that step. */
export interface RowMeasurement {
  /** The weights that were measured: those after this step. */
  step: number;
  /** `sample`: on the rows of the sample. `all`: on all rows, at the end. `both`: the sample is all rows. */
  on: 'sample' | 'all' | 'both';
  train: RowLosses;
  validation: RowLosses;
}

// ───────────────────────────── the table of rows ─────────────────────────────

/** Where a row of the table is used; 'unused' where it has errors. */
export type RowUse = SplitSide | 'unused';

export interface RowQuery {
  /** Rows that hold this text, whatever its case; '' for all. */
  search: string;
  /** Null for all. */
  use: RowUse | null;
  /** Rows with an issue of this code; null for all. */
  code: string | null;
  /** By line, by tokens before the cut, or by learned tokens. Rows without tokens come last. */
  sort: 'place' | 'length' | 'learned';
  descending: boolean;
}

/** Rows of the table that a query finds, in its order. `ids` are their places in the table; the others are as in `RowItem`. */
export interface FoundRows {
  ids: Int32Array;
  lines: Int32Array;
  /** 0 train, 1 validation, 2 test, 3 unused. */
  uses: Uint8Array;
  /** As `previewRows` counts the rows of a side; -1 where the row is unused. */
  indices: Int32Array;
  /** Codes of issues that rows have, with their numbers of rows: what can be filtered by. */
  codes: { code: string; rows: number }[];
}

export interface RowItem {
  id: number;
  line: number;
  /** As of `Example`. */
  file?: RowFile;
  /** As of `EncodedExample`. */
  answer?: number;
  use: RowUse;
  /** As of `FoundRows`. */
  index: number;
  /** The last question, or the row itself where it has none; cut short. */
  prompt: string;
  /** The last answer, cut short; '' where there is none. */
  reply: string;
  messages: number;
  /** Before the cut; null where the row is unused. */
  tokens: number | null;
  learned: number | null;
  /** Tokens behind the cut. */
  cut: number;
  /** Codes of its issues. */
  codes: string[];
}

/** What the session tells of single rows of the data as they are encoded now. */
export interface RowListing {
  findRows(query: RowQuery): Promise<FoundRows>;
  /** In the order of `ids`. */
  rowItems(ids: number[]): Promise<RowItem[]>;
}

// ───────────────────────────── changing a row ─────────────────────────────

/** A row of the file as it can be written again, on one line. */
export interface RowText {
  /** In the format that it has, with the mends that are done; what cannot be read as it is in the file. */
  same: string;
  /** As chat messages. The same as `same` where the row cannot be read. */
  chat: string;
}

export interface RowChange {
  /** Of the row that changes; null for a row that comes at the end. */
  line: number | null;
  /** What it becomes; null takes it away. */
  text: string | null;
}

/** The whole data with a row changed: JSONL, one row a line, mends that are done included. */
export interface ChangedData {
  name: string;
  text: string;
  /** Line of the row in it; of the row behind it, where it was taken away. */
  line: number;
}

/** What the session does for the row editor. It changes nothing: the page reads the changed data as it reads any. */
export interface RowEditing {
  /** The rows that stand at a line: one, but in files with several rows on a line. */
  rowTexts(line: number): Promise<RowText[]>;
  /** Rejects with `row_not_alone` where several rows stand at the line. */
  changeRow(change: RowChange): Promise<ChangedData>;
}
