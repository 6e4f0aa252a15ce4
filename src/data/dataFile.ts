// A visitor's file on its way to training: read once, then encoded for a model and split, as often as settings change.
// Not here: reading rows (jsonl.ts, tabular.ts), encoding one (encodeRows.ts), where to split (batches.ts), agreeing to leave rows out.

import type { EncodedExample, Example, HeldOut, Issue } from '../contract';
import type { Hyperparameters } from '../hyperparameters';
import { contentHash, splitExamples } from './batches';
import { checkCharacters } from './characters';
import type { Chat } from './chat';
import { encodeExamples } from './encodeRows';
import { parseExamples } from './jsonl';
import { isTabular, parseTable } from './tabular';
import { decodeText } from './textEncoding';

export interface DataFile {
  name: string;
  /** SHA-256 of the text. */
  hash: string;
  /** Rows with something on them, sound or not. */
  rows: number;
  examples: Example[];
  issues: Issue[];
  /** What the bytes were read as; null when they were no text, undefined when there were none. */
  encoding?: string | null;
}

/** A row that can be used; of one example there may be several. */
export interface Row {
  example: Example;
  encoded: EncodedExample;
}

/** The settings that decide which tokens a row has and on which side of the split it stands: nothing else of them is read here. */
export const ROW_SETTINGS = ['max_length', 'loss_on', 'validation_fraction', 'seed'] as const;
export type RowSettings = Pick<Hyperparameters, (typeof ROW_SETTINGS)[number]>;

export interface PreparedRows {
  /** Those of the file and those of the encoding, in the order of lines. */
  issues: Issue[];
  /** Both sides, in the order of the file. */
  usable: Row[];
  train: Row[];
  validation: Row[];
  nearDuplicateGroups: number;
  heldOut: HeldOut;
}

/**
 * Never throws for what is wrong inside rows; that is in the issues. The name's ending tells a table from JSON.
 * @param characterIssues what is odd about the characters, where that is known already
 */
export async function readDataFile(
  name: string,
  text: string,
  characterIssues: readonly Issue[] = checkCharacters(text),
): Promise<DataFile> {
  const { examples, issues, rows } = isTabular(name) ? parseTable(text) : parseExamples(text);
  return { name, hash: await contentHash(text), rows, examples, issues: [...characterIssues, ...issues] };
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
  return { name, hash: await contentHash(''), rows: 0, examples: [], issues: decoded.issues, encoding: null };
}

/** Encodes for this model and these settings, and splits. Rows longer than the model's context are cut to it. */
export function prepareRows(file: DataFile, chat: Chat, contextLength: number, h: RowSettings): PreparedRows {
  const { byExample, issues } = encodeExamples(chat, file.examples, {
    max_length: Math.min(h.max_length, contextLength),
    loss_on: h.loss_on,
    contextLength,
  });
  const rowsOf = (examples: readonly Example[]): Row[] =>
    examples.flatMap((example) => (byExample.get(example) ?? []).map((encoded) => ({ example, encoded })));
  // The rows of one conversation stay together: it is split by examples.
  const split = splitExamples(
    file.examples.filter((example) => byExample.get(example)?.length),
    { validation_fraction: h.validation_fraction, seed: h.seed },
  );
  const usable = rowsOf(file.examples);
  return {
    issues: [...file.issues, ...issues].sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0)),
    usable,
    train: rowsOf(split.train),
    validation: rowsOf(split.validation),
    nearDuplicateGroups: split.nearDuplicateGroups,
    heldOut: split.heldOut,
  };
}
