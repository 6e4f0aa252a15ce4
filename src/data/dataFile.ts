// A visitor's file on its way to training: read once, then encoded for a model and split, as often as settings change.
// Not here: reading rows (data/reading/jsonl.ts, data/reading/tabular.ts, data/reading/plainText.ts), encoding one (data/tokens/encodeRows.ts), where to split (batches.ts), agreeing to leave rows out.

import type { EncodedExample, Example, Issue } from '../contract';
import type { HeldOut, SplitOrigin } from '../dataContract';
import type { RowSettings } from '../hyperparameters';
import { checkCount } from './reading/fileChecks';
import { type FileLayout, layoutOf } from './reading/fileLayout';
import { parseExamples } from './reading/jsonl';
import { checkRendered, cutExample, parsePlainText, understoodCut } from './reading/plainText';
import type { ParsedData } from './reading/rowsReader';
import { parseMarkdownTables, parseTable } from './reading/tabular';
import { contentHash } from './sha256';
import { givenSplit, splitExamples } from './split';
import { checkCharacters } from './text/characters';
import { decodeText } from './text/textEncoding';
import type { Chat } from './tokens/chat';
import { encodeExamples } from './tokens/encodeRows';
import { withoutUnseenCalls } from './tokens/toolTemplate';

export interface DataFile extends ParsedData {
  name: string;
  /** SHA-256 of the text. */
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
  /** Those of the file and those of the encoding, in the order of lines. */
  issues: Issue[];
  /** Both sides, in the order of the file. */
  usable: Row[];
  train: Row[];
  validation: Row[];
  validationFrom: SplitOrigin;
  nearDuplicateGroups: number;
  heldOut: HeldOut;
}

const READERS: Readonly<Record<FileLayout, (text: string) => ParsedData>> = {
  json: parseExamples,
  table: parseTable,
  markdown_table: parseMarkdownTables,
  text: parsePlainText,
};

/**
 * Never throws for what is wrong inside rows; that is in the issues. A look into the text tells how it is to be read.
 * @param characterIssues what is odd about the characters, where that is known already
 */
export async function readDataFile(
  name: string,
  text: string,
  characterIssues: readonly Issue[] = checkCharacters(text),
): Promise<DataFile> {
  const layout = layoutOf(name, text);
  const data = READERS[layout](text);
  return {
    ...data,
    name,
    hash: await contentHash(text),
    layout,
    issues: characterIssues.concat(data.issues),
  };
}

/**
 * The same from a file's bytes; the hash is that of the decoded text. What cannot be read as text has no rows, and the reason is an
 * error about the whole file.
 * @param encoding as of `decodeText`
 */
export async function readDataBytes(name: string, bytes: Uint8Array, encoding?: string): Promise<DataFile> {
  const decoded = decodeText(bytes, encoding);
  if (decoded.text !== null) {
    return { ...(await readDataFile(name, decoded.text, decoded.issues)), encoding: decoded.encoding };
  }
  const nothing = await readDataFile(name, '', []);
  return { ...nothing, issues: decoded.issues, encoding: null };
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
  let issues = file.issues.concat(seen.issues, encoding.issues);
  const byExample = new Map(encoding.byExample);
  let cut = 0;
  const examples = seen.examples.flatMap((example): Example[] => {
    if (example.text === undefined) return [example];
    const text = cutExample(example, chat.tokenizer, longest, { file: file.layout === 'text' });
    issues = issues.concat(text.issues);
    cut += text.rows.length + text.issues.length - 1;
    for (const row of text.rows) byExample.set(row.example, [row.encoded]);
    return text.rows.map((row) => row.example);
  });
  const rows = file.rows + cut;
  const rowsOf = (side: readonly Example[]): Row[] =>
    side.flatMap((example) => (byExample.get(example) ?? []).map((encoded) => ({ example, encoded })));
  const usable = rowsOf(examples);
  if (file.layout === 'text') issues = issues.concat(checkCount(usable.length, rows));
  issues = issues.concat(checkRendered(file.examples, chat.tokenizer));
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
    issues: issues.sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0)),
    usable,
    train: rowsOf(split.train),
    validation: rowsOf(split.validation),
    validationFrom: given ? 'data' : 'settings',
    nearDuplicateGroups: split.nearDuplicateGroups,
    heldOut: split.heldOut,
  };
}
