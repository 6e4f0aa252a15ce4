// A visitor's file on its way to training: read once, then encoded for a model and split, as often as settings change.
// Not here: reading rows (data/reading/jsonl.ts, data/reading/tabular.ts, data/reading/plainText.ts), encoding one (data/tokens/encodeRows.ts), where to split (batches.ts), agreeing to leave rows out.

import type { EncodedExample, Example, Issue } from '../contract';
import type { HeldOut, SplitOrigin } from '../dataContract';
import type { FileLayout, IssueGroup, MendedRow, ReadingChoices } from '../dataReport';
import type { RowSettings } from '../hyperparameters';
import { IssueGroups } from './issueGroups';
import { checkCount } from './reading/fileChecks';
import { layoutOf } from './reading/fileLayout';
import { parseExamples } from './reading/jsonl';
import { aroundChange, MendLog, type MendWindow } from './reading/mends';
import { checkRendered, cutExample, parsePlainText, understoodCut } from './reading/plainText';
import type { ParsedData, ReadOptions, WrittenRow } from './reading/rowsReader';
import { parseMarkdownTables, parseTable } from './reading/tabular';
import { contentHash } from './sha256';
import { givenSplit, splitExamples } from './split';
import { checkCharacters, linesOf, repairTwiceEncoded } from './text/characters';
import { decodeText } from './text/textEncoding';
import type { Chat } from './tokens/chat';
import { encodeExamples } from './tokens/encodeRows';
import { withoutUnseenCalls } from './tokens/toolTemplate';

export interface DataFile extends ParsedData {
  name: string;
  /** SHA-256 of the text, and of what was chosen about reading it. */
  hash: string;
  layout: FileLayout;
  /** What the bytes were read as; null when they were no text, undefined when there were none. */
  encoding?: string | null;
}

/** A row that can be used; of one example there may be several. */
export interface Row {
  example: Example;
  encoded: EncodedExample;
}

export interface PreparedRows {
  /** Rows of the file; of a text, those that it was cut into. */
  rows: number;
  /** As of `ParsedData`, for rows that were cut too. */
  understood: string;
  /** Those of the file and those of the encoding, in the order of lines; of each code the first ones. */
  issues: Issue[];
  /** All of them, by code. */
  issueGroups: IssueGroup[];
  /** As of `IssueGroups.linesByCode`. */
  linesByCode: ReadonlyMap<string, readonly number[]>;
  /** Both sides, in the order of the file. */
  usable: Row[];
  train: Row[];
  validation: Row[];
  validationFrom: SplitOrigin;
  nearDuplicateGroups: number;
  heldOut: HeldOut;
}

const READERS: Readonly<Record<FileLayout, (text: string, options: ReadOptions) => ParsedData>> = {
  json: parseExamples,
  table: parseTable,
  markdown_table: parseMarkdownTables,
  text: parsePlainText,
};

/** How a file is read, and what for. */
export interface FileOptions {
  reading?: ReadingChoices;
  /** What is odd about the characters, where that is known already. */
  characterIssues?: readonly Issue[];
  /** Mended rows whose texts are wanted. */
  window?: MendWindow;
  /** Called for each row as it can be written again. */
  write?: (row: WrittenRow) => void;
}

/** Never throws for what is wrong inside rows; that is in the issues. A look into the text tells how it is to be read. */
export async function readDataFile(name: string, text: string, options: FileOptions = {}): Promise<DataFile> {
  const { reading = {}, characterIssues = checkCharacters(text), window, write } = options;
  const mends = new MendLog(reading.mends, window);
  const repaired = noteCharacters(text, characterIssues, mends);
  const layout = reading.layout ?? layoutOf(name, text);
  const data = READERS[layout](repaired, {
    mends,
    ...(write && { write }),
    ...(reading.columns && { columns: reading.columns }),
  });
  const groups = new IssueGroups();
  groups.addAll(characterIssues.filter(({ code }) => code !== 'double_encoded' || repaired === text));
  groups.addGroups(data.groups);
  return {
    ...data,
    name,
    hash: await contentHash(hashed(text, reading)),
    layout,
    groups,
    issues: groups.issues(),
  };
}

/** What tells one reading from another: the text, and what the visitor chose about it. */
function hashed(text: string, reading: ReadingChoices): string {
  const { columns, mends, layout } = reading;
  const decided = mends && Object.keys({ ...mends.kinds, ...mends.rows }).length > 0;
  const chosen = [columns, decided && [mends.kinds, mends.rows], layout].map((choice) => choice || null);
  return chosen.every((choice) => choice === null) ? text : `${text}\n${JSON.stringify(chosen)}`;
}

/** Counts what was mended in the bytes and characters of a file. @returns the text to read: letters that were encoded twice put right, where that is wanted */
function noteCharacters(text: string, issues: readonly Issue[], mends: MendLog): string {
  let read = text;
  for (const { code, lines } of issues) {
    if (code === 'encoding_mixed') mends.addLines(code, lines ?? [], true);
    if (code === 'encoding_converted') {
      mends.addLines(
        code,
        linesOf(
          text,
          Array.from(text.matchAll(/[^\0-\x7f]+/g), (m) => m.index),
        ),
        true,
      );
    }
    if (code !== 'double_encoded') continue;
    const done = mends.wants(code, 0);
    const repaired = repairTwiceEncoded(text);
    const wanted = new Set(lines);
    const shown: MendedRow[] = [];
    const after = repaired.split('\n');
    for (const [n, before] of text.split('\n').entries()) {
      if (!wanted.has(n + 1)) continue;
      shown.push({ line: n + 1, ...aroundChange({ before, after: after[n] ?? '' }), done, codes: [code] });
    }
    mends.addLines(code, lines ?? [], done, shown);
    if (done) read = repaired;
  }
  return read;
}

/**
 * The same from a file's bytes; the hash is that of the decoded text. What cannot be read as text has no rows, and the reason is an
 * error about the whole file.
 * @param encoding as of `decodeText`
 */
export async function readDataBytes(
  name: string,
  bytes: Uint8Array,
  encoding?: string,
  options: FileOptions = {},
): Promise<DataFile> {
  const decoded = decodeText(bytes, encoding);
  if (decoded.text !== null) {
    const file = await readDataFile(name, decoded.text, { ...options, characterIssues: decoded.issues });
    return { ...file, encoding: decoded.encoding };
  }
  const nothing = await readDataFile(name, '', { characterIssues: [] });
  const groups = new IssueGroups();
  groups.addAll(decoded.issues);
  return { ...nothing, groups, issues: groups.issues(), encoding: null };
}

/**
 * Encodes for this model and these settings, and splits. Conversations longer than the model's context are cut to it; texts are cut into
 * as many rows as they need.
 */
export function prepareRows(file: DataFile, chat: Chat, contextLength: number, h: RowSettings): PreparedRows {
  const longest = Math.min(h.max_length, contextLength);
  const seen = withoutUnseenCalls(file.examples, chat.tools);
  const encoding = encodeExamples(
    chat,
    seen.examples.filter(({ text }) => text === undefined),
    { max_length: longest, loss_on: h.loss_on, contextLength },
  );
  const groups = new IssueGroups();
  groups.addGroups(file.groups);
  groups.addAll(seen.issues);
  groups.addAll(encoding.issues);
  const byExample = new Map(encoding.byExample);
  let cut = 0;
  const examples = seen.examples.flatMap((example): Example[] => {
    if (example.text === undefined) return [example];
    const text = cutExample(example, chat.tokenizer, longest, { file: file.layout === 'text' });
    groups.addAll(text.issues);
    cut += text.rows.length + text.issues.length - 1;
    for (const row of text.rows) byExample.set(row.example, [row.encoded]);
    return text.rows.map((row) => row.example);
  });
  const rows = file.rows + cut;
  const rowsOf = (side: readonly Example[]): Row[] =>
    side.flatMap((example) => (byExample.get(example) ?? []).map((encoded) => ({ example, encoded })));
  const usable = rowsOf(examples);
  if (file.layout === 'text') groups.addAll(checkCount(usable.length, rows));
  groups.addAll(checkRendered(file.examples, chat.tokenizer));
  // The rows of one conversation stay together: it is split by examples.
  const rowsFrom = (example: Example) => byExample.get(example)?.length ?? 0;
  const encoded = examples.filter((example) => rowsFrom(example) > 0);
  const given = encoded.some((example) => example.split !== undefined);
  const split = given
    ? givenSplit(encoded, rowsFrom)
    : splitExamples(encoded, { validation_fraction: h.validation_fraction, seed: h.seed }, rowsFrom);
  return {
    rows,
    understood: understoodCut(file.understood, rows, cut),
    issues: groups.issues(),
    issueGroups: groups.groups(),
    linesByCode: groups.linesByCode(),
    usable,
    train: rowsOf(split.train),
    validation: rowsOf(split.validation),
    validationFrom: given ? 'data' : 'settings',
    nearDuplicateGroups: split.nearDuplicateGroups,
    heldOut: split.heldOut,
  };
}
