// A file with its mends written out: read once more, each row written as it is read. A pure function of the text and of what was chosen.
// Not here: the mends (data/reading/mends.ts), the text that one row becomes (data/reading/rowPatches.ts), saving (session/dataset.ts).

import type { MendedForm } from '../dataReport';
import { type DataFile, type FileOptions, readDataFile } from './dataFile';

/** About how many characters are handed on at once. */
const PIECE = 1 << 20;

/** Collects lines into pieces of about a megabyte, so that a large file is never one string. */
export class MendedLines {
  readonly pieces: string[] = [];
  #open: string[] = [];
  #length = 0;

  add(line: string): void {
    this.#open.push(line, '\n');
    this.#length += line.length + 1;
    if (this.#length >= PIECE) this.#close();
  }

  #close(): void {
    if (this.#open.length > 0) this.pieces.push(this.#open.join(''));
    this.#open = [];
    this.#length = 0;
  }

  end(): string[] {
    this.#close();
    return this.pieces;
  }
}

/**
 * The text of a file as it is after its mends: JSONL, one row a line. Rows that cannot be read stay as they are, and so do rows that the
 * file marks as not to be learned; comments, fences and brackets between the rows go. A file that is one text stays a text.
 * Writing is idempotent: the text that comes out needs none of the mends that were done.
 * @param options.reading what was chosen; as in `readDataFile`
 */
export async function mendFile(
  name: string,
  text: string,
  form: MendedForm,
  options: Omit<FileOptions, 'write'> = {},
): Promise<{ text: string; file: DataFile }> {
  const lines = new MendedLines();
  const file = await readDataFile(name, text, { ...options, write: (row) => lines.add(row[form]) });
  return { text: file.layout === 'text' ? (file.examples[0]?.text ?? '') : lines.end().join(''), file };
}
