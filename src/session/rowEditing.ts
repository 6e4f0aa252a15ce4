// A row of the visitor's data, changed: its text, what would become of what is typed, and the whole data with the change.
// Not here: reading rows (data/), writing them again (data/mending.ts), the table that a row is chosen from (data/rowTable.ts).

import type { Issue, Message, RowCheck } from '../contract';
import { MendedLines } from '../data/mending';
import { prepareRows, type Row } from '../data/prepareRows';
import { parseExamples } from '../data/reading/jsonl';
import { onOneLine } from '../data/reading/rowPatches';
import type { WrittenRow } from '../data/reading/rowsReader';
import type { Chat } from '../data/tokens/chat';
import type { ChangedData, RowChange, RowText, SplitSide } from '../dataContract';
import { PlaygroundError } from '../errors';
import type { RowSettings } from '../hyperparameters';
import type { Dataset } from './dataset';

/**
 * Rows are written as JSON objects with the keys that they have; those of a table as chat messages, so that nothing has to tell
 * again which column is what.
 */
function formOf({ layout }: Dataset): 'same' | 'chat' {
  return layout === 'json' ? 'same' : 'chat';
}

/** @throws PlaygroundError `text_without_rows` for a file that is one text */
function assertRows({ layout, report }: Dataset): void {
  if (layout !== 'text') return;
  throw new PlaygroundError({
    code: 'text_without_rows',
    message: `${report.name} is one text, cut into rows by this page.`,
    fix: 'Change the text itself.',
  });
}

/** The rows at a line. The file is read once more for them. @throws as `assertRows` */
export async function rowTexts(dataset: Dataset, line: number): Promise<RowText[]> {
  assertRows(dataset);
  const found: RowText[] = [];
  const same = formOf(dataset);
  await dataset.writeRows((row: WrittenRow) => {
    if (row.line === line) found.push({ same: row[same], chat: row.chat });
  });
  return found;
}

/** Codes of what is reported of a file as a whole, and means nothing of one row. */
const OF_FILES = ['too_few_rows', 'mixed_formats', 'label_imbalance'];

/** What a text comes to as a row, for this model and these settings. */
export function checkRow(text: string, chat: Chat, contextLength: number, h: RowSettings): RowCheck {
  // Sound JSON on one line, so that nothing is said of how it is laid out while it is typed.
  const parsed = parseExamples(isJson(text) ? asOneRow(text) : text);
  const prepared = prepareRows({ ...parsed, name: '', hash: '', layout: 'json' }, chat, contextLength, {
    ...h,
    test_fraction: 0,
    train_fraction: 1,
  });
  const issues: Issue[] = prepared.issues.filter(({ code }) => !OF_FILES.includes(code));
  const encoded = prepared.usable.map((row) => row.encoded);
  const sum = (of: (row: (typeof encoded)[number]) => number) =>
    encoded.reduce((total, row) => total + of(row), 0);
  const messages = parsed.examples[0]?.messages ?? [];
  return {
    issues,
    rows: parsed.rows,
    messages: messages.length > 0 ? messages : null,
    tokens: encoded.length > 0 ? sum((row) => row.fullLength) : null,
    cut: sum((row) => row.fullLength - row.ids.length),
    learned: sum((row) => row.mask.reduce((count, m) => count + m, 0)),
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON on one line; what is no JSON with its line breaks as spaces, so that it stays one row. */
function asOneRow(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return onOneLine(text);
  }
}

/**
 * The data with one row changed, added or taken away. All others stay as `Dataset.mendedFile` writes them. One pass over the file; the
 * text that comes out is held in memory as a whole.
 * @throws PlaygroundError `row_not_alone` where several rows stand at the line, `row_not_found` where none does; as `assertRows`
 */
export async function changeRow(dataset: Dataset, { line, text }: RowChange): Promise<ChangedData> {
  assertRows(dataset);
  const lines = new MendedLines();
  const form = formOf(dataset);
  const changed = text === null ? null : asOneRow(text);
  let written = 0;
  let hits = 0;
  let at = 0;
  const write = (row: string) => {
    lines.add(row);
    written++;
  };
  await dataset.writeRows((row: WrittenRow) => {
    if (row.line !== line) return write(row[form]);
    hits++;
    at = written + 1;
    if (changed !== null) write(changed);
  });
  if (line === null && changed !== null) {
    write(changed);
    at = written;
  } else if (hits !== 1) {
    throw new PlaygroundError({
      code: hits === 0 ? 'row_not_found' : 'row_not_alone',
      message: hits === 0 ? `There is no row at line ${line}.` : `${hits} rows stand at line ${line}.`,
      fix:
        hits === 0
          ? 'Choose the row again.'
          : 'Write the rows one a line first; then each can be changed by itself.',
    });
  }
  return {
    name: editedName(dataset.report.name),
    text: lines.end().join(''),
    line: Math.max(1, Math.min(at, written)),
  };
}

/** The name says that rows were changed here: it is in the record of every run with them. "rows.csv" → "rows-edited.jsonl". */
function editedName(name: string): string {
  return `${name.replace(/(-edited)?(\.[^.]*)?$/, '')}-edited.jsonl`;
}

/**
 * The change that makes a row teach another answer and be learned from: it leaves the side that it was on, and as its mark keeps rows with
 * nearly its prompt out of the draw (`splitExamples`), no test or validation row is left with that prompt.
 * @param row by the prompt before its answer; `index`, as `Dataset.rows` counts the side, where several have the same
 * @throws PlaygroundError `row_in_other_file`, `row_not_found`; as `rowTexts`
 */
export async function taughtAnswer(
  dataset: Dataset,
  { split, index, prompt }: { split: SplitSide; index: number; prompt: readonly Message[] },
  answer: string,
): Promise<RowChange> {
  const rows = dataset.rows(split);
  const asked = JSON.stringify(prompt);
  const asks = (one: Row | undefined) =>
    one !== undefined &&
    prompt.length > 0 &&
    JSON.stringify(one.example.messages.slice(0, prompt.length)) === asked;
  const row = asks(rows[index]) ? rows[index] : rows.find(asks);
  if (!row) {
    throw new PlaygroundError({
      code: 'row_not_found',
      message: `No row on the ${split} side asks this any more.`,
      fix: 'Evaluate again; the data have changed.',
    });
  }
  const { line, file } = row.encoded;
  if (file !== undefined) {
    throw new PlaygroundError({
      code: 'row_in_other_file',
      message: `The row is in the ${file} file. Teaching it would put a held-out prompt among the training rows.`,
      fix: `Take it out of the ${file} file and add it to the data file.`,
    });
  }
  const texts = await rowTexts(dataset, line);
  const at = prompt.length;
  const written = texts.length === 1 ? (JSON.parse(texts[0]?.chat ?? 'null') as unknown) : null;
  const messages = (written as { messages?: { content?: unknown }[] } | null)?.messages;
  const taught = messages?.[at];
  if (!messages || !taught || typeof taught.content !== 'string') {
    throw new PlaygroundError({
      code: 'row_not_alone',
      message: `The row at line ${line} cannot be changed by itself.`,
      fix: 'Open it in the row editor.',
    });
  }
  taught.content = answer;
  return { line, text: JSON.stringify({ ...(written as object), split: 'train' }) };
}
