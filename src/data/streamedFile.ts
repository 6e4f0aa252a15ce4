// A file of any size → its rows: small ones as a whole, large ones piece by piece, with progress, pauses and an end on demand.
// Not here: reading rows (data/reading/), whole files (dataFile.ts), where pauses come from (session/platform.ts).
//
// Passes: one over the bytes. A piece of 1 MiB is decoded, cut at the end of its last line, and its rows are read; only the rows stay.
// A file is read as a whole instead where only all of it tells what it is: another encoding than UTF-8, plain text, Markdown, rows inside
// an object, brackets or quotes that do not come out even. What was read until that shows is thrown away.

import type { MendedRow } from '../dataReport';
import { choicesKey, type DataFile, type FileOptions, fileOf, readDataBytes, shownRepairs } from './dataFile';
import { layoutOf } from './reading/fileLayout';
import { MendLog } from './reading/mends';
import { piecewiseJson } from './reading/piecewiseJson';
import type { PiecewiseReader } from './reading/rowsReader';
import { piecewiseTable } from './reading/tabular';
import { Sha256 } from './sha256';
import { CharacterCheck, repairTwiceEncoded } from './text/characters';
import { fileKind } from './text/fileKinds';

/** Bytes up to which a file is read as a whole. */
export const WHOLE = 4 << 20;
/** Bytes of a piece. */
const PIECE = 1 << 20;
/** Lines kept of those whose letters were encoded twice. */
const MAX_REPAIRS = 1000;
/** Bytes looked at to tell what a file is. */
const HEAD = 1 << 20;

export interface ReadControl {
  /** Called after each piece, in bytes. */
  onProgress?: (done: number, total: number) => void;
  /** Lets others have their turn; rejects where reading is to end. */
  pause?: () => Promise<void>;
  /** Not in pieces: where rows are written as they are read, and the file was no one for pieces before. */
  whole?: boolean;
}

/** The file has to be read as a whole after all. Never leaves this file. */
class NotPiecewise extends Error {}

/**
 * Reads a file. Never throws for what is wrong inside of it; the result is that of `readDataBytes`.
 * @param encoding as of `decodeText`
 * @throws whatever `control.pause` rejects with
 */
export async function readDataBlob(
  name: string,
  file: Blob,
  encoding: string | undefined,
  options: FileOptions = {},
  control: ReadControl = {},
): Promise<DataFile> {
  if (control.whole !== true && file.size > WHOLE && (encoding === undefined || /^utf-?8$/i.test(encoding))) {
    try {
      return await readPieces(name, file, options, control);
    } catch (thrown) {
      if (!(thrown instanceof NotPiecewise)) throw thrown;
    }
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  await control.pause?.();
  return readDataBytes(name, bytes, encoding, options);
}

/** The start of the file as text, up to the end of a line. Null where it is not UTF-8. */
async function headOf(file: Blob): Promise<string | null> {
  const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  if (bytes.includes(0) || fileKind(bytes)) return null;
  try {
    // The last character may be cut off, which a decoder that expects more does not mind.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r'));
    return end < 0 ? text : text.slice(0, end + 1);
  } catch (thrown) {
    if (thrown instanceof TypeError) return null;
    throw thrown;
  }
}

function readerFor(name: string, head: string, options: FileOptions, mends: MendLog): PiecewiseReader | null {
  const { reading = {}, write } = options;
  const layout = reading.layout ?? layoutOf(name, head);
  const reads = {
    mends,
    ...(write && { write }),
    ...(reading.columns && { columns: reading.columns }),
  };
  if (layout === 'json') return piecewiseJson(head, reads);
  return layout === 'table' ? piecewiseTable(head, reads) : null;
}

async function readPieces(
  name: string,
  file: Blob,
  options: FileOptions,
  { onProgress, pause }: ReadControl,
): Promise<DataFile> {
  const head = await headOf(file);
  const mends = new MendLog(options.reading?.mends, options.window);
  const reader = head === null ? null : readerFor(name, head, options, mends);
  if (head === null || !reader) throw new NotPiecewise();
  const layout = options.reading?.layout ?? layoutOf(name, head);
  const repairs = mends.wants('double_encoded', 0);
  const check = new CharacterCheck();
  const repaired: MendedRow[] = [];
  const hash = new Sha256();
  let open = new Uint8Array();
  let line = 1;
  const take = (text: string) => {
    const twice = check.add(text, line);
    const once = twice.length > 0 ? repairTwiceEncoded(text) : text;
    // As many as are shown, or may be asked for.
    if (repaired.length < MAX_REPAIRS) repaired.push(...shownRepairs(text, once, line, twice, repairs));
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line++;
    if (!reader.push(repairs ? once : text)) throw new NotPiecewise();
  };
  for (let start = 0; start < file.size; start += PIECE) {
    const bytes = new Uint8Array(await file.slice(start, start + PIECE).arrayBuffer());
    hash.update(bytes);
    // NUL bytes are UTF-8, and no text; the escape sequences of ISO-2022-JP are ASCII, and another encoding.
    if (bytes.includes(0) || bytes.includes(0x1b)) throw new NotPiecewise();
    const all = joined(open, bytes);
    const end = start + PIECE >= file.size ? all.length : cutOf(all);
    open = all.subarray(end);
    if (end > 0) take(decodeStrictly(all.subarray(0, end)));
    onProgress?.(Math.min(start + PIECE, file.size), file.size);
    await pause?.();
  }
  const data = reader.end();
  if (!data) throw new NotPiecewise();
  hash.update(new TextEncoder().encode(choicesKey(options.reading ?? {})));
  const issues = check.issues();
  const [twice] = issues.filter(({ code }) => code === 'double_encoded');
  if (twice) mends.addLines('double_encoded', twice.lines ?? [], repairs, repaired);
  return {
    ...fileOf(name, data, layout, issues, repairs),
    hash: hash.hex(),
    encoding: 'utf-8',
    inPieces: true,
  };
}

function joined(a: Uint8Array, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (a.length === 0) return b;
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Where a piece may end: behind a line, or behind a word where there is one line only; 0 where it may not. No character is cut. */
function cutOf(bytes: Uint8Array): number {
  // A \r at the end may be half of a \r\n.
  const line = Math.max(bytes.lastIndexOf(0x0a), bytes.lastIndexOf(0x0d, -2));
  return (line >= 0 ? line : Math.max(bytes.lastIndexOf(0x20), bytes.lastIndexOf(0x2c))) + 1;
}

/** Without the decoder's `stream`, which gives strings of two bytes a character in Node, whatever is in them. */
function decodeStrictly(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (thrown) {
    if (thrown instanceof TypeError) throw new NotPiecewise();
    throw thrown;
  }
}
