// A large JSON file, read piece by piece: one row a line, or a list of rows. Memory grows with the rows that are kept, and one row.
// Not here: files that are read as a whole (jsonl.ts), tables (tabular.ts), bytes (data/streamedFile.ts).

import { isRow } from './containers';
import { JsonReader, LineReader, tellMark } from './jsonl';
import { lineBreak, placesIn } from './jsonPieces';
import { ListScanner, parsed } from './jsonText';
import type { PiecewiseReader, ReadOptions } from './rowsReader';

/** One row a line. @param head the start of the text, up to the end of a line; null where it is not that */
function piecewiseLines(head: string, options: ReadOptions): PiecewiseReader | null {
  const first = /\S[^\r\n]*/.exec(head.replace(/^\uFEFF/, ''))?.[0] ?? '';
  if (!first.startsWith('{') || !isRow(parsed(first)?.value)) return null;
  const mark = lineBreak(head);
  const reader = new JsonReader(options);
  const rows = new LineReader(reader);
  let open = '';
  let started = false;
  return {
    push(text) {
      const whole = started ? open + text : withoutMark(reader, open + text);
      started = true;
      const lines = whole.split(mark);
      open = lines.pop() as string;
      rows.push(
        mark === '\n' ? lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line)) : lines,
      );
      return true;
    },
    end() {
      rows.push([open]);
      rows.end();
      return reader.rows.finish(reader.from, true);
    },
  };
}

/** A list of objects that are rows. Gives up where its brackets do not come out even. */
function piecewiseList(head: string, options: ReadOptions): PiecewiseReader | null {
  // Lines are counted by their \n.
  if (!/^\uFEFF?\s*\[\s*\{/.test(head) || lineBreak(head) !== '\n') return null;
  const start = new ListScanner();
  const elements = start.push(head);
  const [first] = elements;
  if (!first || !isRow(parsed(first.text)?.value)) return null;
  const reader = new JsonReader(options);
  reader.from = 'a list in JSON';
  const ownLines = new Set(elements.map(({ line }) => line)).size === elements.length;
  if (!ownLines) reader.tellSharedLines();
  const scanner = new ListScanner();
  let rows = 0;
  let started = false;
  return {
    push(text) {
      const found = scanner.push(started ? text : withoutMark(reader, text));
      started = true;
      for (const { text: row, line, column } of found) {
        rows++;
        const placeOf = placesIn(row);
        const place = (offset: number) => {
          const { line: below, column: within, ...shown } = placeOf(offset);
          return ownLines
            ? { line: line + below - 1, column: below === 1 ? column + within - 1 : within, ...shown }
            : { line: rows, column: offset + 1, ...shown };
        };
        reader.read({ text: row, line: ownLines ? line : rows, place });
      }
      return !scanner.broken;
    },
    end() {
      if (!scanner.closed) return null;
      if (scanner.trailingComma > 0) {
        reader.rows.notes.leaveOut('trailing_comma', scanner.trailingComma, ',');
      }
      return reader.rows.finish(reader.from, true);
    },
  };
}

function withoutMark(reader: JsonReader, text: string): string {
  if (!text.startsWith('\uFEFF')) return text;
  tellMark(reader);
  return text.slice(1);
}

/**
 * How a large JSON file is read piece by piece; null where it has to be read as a whole.
 * @param head the start of its text, of a megabyte or so, up to the end of a line
 */
export function piecewiseJson(head: string, options: ReadOptions): PiecewiseReader | null {
  return piecewiseLines(head, options) ?? piecewiseList(head, options);
}
