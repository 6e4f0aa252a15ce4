// Pieces of a JSON text that should be one row, and where in the file each of their characters stands.
// Not here: reading them (jsonl.ts), where values stand within sound JSON (jsonText.ts).

import type { Issue } from '../../contract';
import type { MendedJson, MendedValue } from './jsonMend';
import type { MendCode } from './mends';
import type { SplitName } from './rows';

/** Characters of a line shown with a problem. */
const EXCERPT = 72;

/** A window of the line around a place, and where in it the place is. */
export function excerptAt(line: string, column: number): { excerpt: string; caret: number } {
  const from = column <= EXCERPT - 12 ? 0 : column - Math.floor(EXCERPT / 2);
  const to = from + EXCERPT;
  const front = from > 0 ? '…' : '';
  const excerpt = front + line.slice(from, to) + (to < line.length ? '…' : '');
  return { excerpt: excerpt.replaceAll('\t', ' '), caret: column - from + front.length };
}

/** A piece of the file that should be one row, or hold rows. */
export interface Piece {
  text: string;
  /** Reported as the row's line. */
  line: number;
  /** Line, column and excerpt of an offset into `text`. */
  place(offset: number): Pick<Issue, 'line' | 'column' | 'excerpt' | 'caret'>;
  side?: SplitName;
  /** It is all that the file holds. */
  whole?: boolean;
  /** As it stands in the file, where `text` is no longer that. */
  raw?: string;
  /** What was mended in it already. */
  mends?: readonly MendCode[];
  /** The text that it was mended from, and where. */
  mended?: { source: string; value: MendedValue; places: MendedJson['places'] };
}

export function lineBreak(text: string): string {
  return !text.includes('\n') && text.includes('\r') ? '\r' : '\n';
}

/** Places of a text, found by bisection of its lines. */
export function placesIn(
  text: string,
): (offset: number) => { line: number; column: number; excerpt: string; caret: number } {
  const lineBreaks: number[] = [];
  const mark = lineBreak(text);
  for (let i = text.indexOf(mark); i >= 0; i = text.indexOf(mark, i + 1)) lineBreaks.push(i);
  return (offset) => {
    let low = 0;
    let high = lineBreaks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((lineBreaks[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    const start = low === 0 ? 0 : (lineBreaks[low - 1] as number) + 1;
    const column = offset - start + 1;
    const line = text.slice(start, Math.min(lineBreaks[low] ?? text.length, offset + 2 * EXCERPT));
    return { line: low + 1, column, ...excerptAt(line.replace(/\r$/, ''), column) };
  };
}

/** A line as a piece; columns count from the start of the line. */
export function linePiece(line: string, number: number): Piece {
  const text = line.trim();
  const lead = line.length - line.trimStart().length;
  return {
    text,
    line: number,
    place: (offset) => {
      const column = lead + offset + 1;
      return { line: number, column, ...excerptAt(line, column) };
    },
  };
}

/** Several lines as a piece. */
export function linesPiece(lines: readonly string[], from: number, to: number, firstLine: number): Piece {
  const text = lines.slice(from, to + 1).join('\n');
  const placeOf = placesIn(text);
  return {
    text,
    line: firstLine + from,
    place: (offset) => {
      const place = placeOf(offset);
      return { ...place, line: place.line + firstLine + from - 1 };
    },
  };
}
