// A visitor's file, read: its text, its layout, its rows, what is wrong with them and what is mended.
// Not here: reading rows (data/reading/jsonl.ts, data/reading/tabular.ts, data/reading/plainText.ts), encoding and splitting them (prepareRows.ts), agreeing to leave rows out.

import type { Issue } from '../contract';
import type { FileLayout, MendedRow, ReadingChoices } from '../dataReport';
import { IssueGroups } from './issueGroups';
import { layoutOf } from './reading/fileLayout';
import { parseExamples } from './reading/jsonl';
import { aroundChange, MendLog, type MendWindow } from './reading/mends';
import { parsePlainText } from './reading/plainText';
import type { ParsedData, ReadOptions, WrittenRow } from './reading/rowsReader';
import { parseMarkdownTables, parseTable } from './reading/tabular';
import { contentHash } from './sha256';
import { checkCharacters, linesOf, repairTwiceEncoded } from './text/characters';
import { decodeText } from './text/textEncoding';

export interface DataFile extends ParsedData {
  name: string;
  /** SHA-256 of the text, and of what was chosen about reading it. */
  hash: string;
  layout: FileLayout;
  /** What the bytes were read as; null when they were no text, undefined when there were none. */
  encoding?: string | null;
  /** It was read piece by piece (streamedFile.ts). */
  inPieces?: boolean;
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
  const hash = await contentHash(text + choicesKey(reading));
  return { ...fileOf(name, data, layout, characterIssues, repaired !== text), hash };
}

/** @param repaired letters that were encoded twice have been put right */
export function fileOf(
  name: string,
  data: ParsedData,
  layout: FileLayout,
  characterIssues: readonly Issue[],
  repaired: boolean,
): Omit<DataFile, 'hash'> {
  const groups = new IssueGroups();
  groups.addAll(characterIssues.filter(({ code }) => code !== 'double_encoded' || !repaired));
  groups.addGroups(data.groups);
  return { ...data, name, layout, groups, issues: groups.issues() };
}

/** What tells one reading of a text from another: what the visitor chose. '' where that is nothing. */
export function choicesKey({ columns, mends, layout }: ReadingChoices): string {
  const decided = mends && Object.keys({ ...mends.kinds, ...mends.rows }).length > 0;
  const chosen = [columns, decided && [mends.kinds, mends.rows], layout].map((choice) => choice || null);
  return chosen.every((choice) => choice === null) ? '' : `\n${JSON.stringify(chosen)}`;
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
    const shown = shownRepairs(text, repaired, 1, lines ?? [], done);
    mends.addLines(code, lines ?? [], done, shown);
    if (done) read = repaired;
  }
  return read;
}

/** Lines whose letters were encoded twice, before and after. @param firstLine number of the text's first line */
export function shownRepairs(
  text: string,
  repaired: string,
  firstLine: number,
  lines: readonly number[],
  done: boolean,
): MendedRow[] {
  const wanted = new Set(lines);
  const after = repaired.split('\n');
  return text.split('\n').flatMap((before, n): MendedRow[] => {
    const line = firstLine + n;
    if (!wanted.has(line)) return [];
    const cut = aroundChange({ before, after: after[n] ?? '' });
    return [{ line, ...cut, done, codes: ['double_encoded'] }];
  });
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
