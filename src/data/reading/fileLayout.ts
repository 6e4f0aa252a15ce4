// How a file is to be read: as JSON, as a table, or as a text, by a look into it; its name decides only where the text does not.
// Not here: the reading (jsonl.ts, tabular.ts, plainText.ts), bytes and encodings (data/text/textEncoding.ts).

import { acceptedFile } from '../../acceptedFiles';
import type { FileLayout } from '../../dataReport';
import { assignedValue } from './jsonMend';
import { startsMarkdownTable, tableLayout } from './tabular';

/** Characters of a program that holds rows and nothing else. */
const MAX_ASSIGNED = 5_000_000;
/** Lines examined. */
const LOOKED_AT = 200;

/** A list or an object, not “[1]” or “[link](…)”, which a text may start with. */
const JSON_START = /^\s*(?:\{\s*(?:["'“}]|[\p{L}_$][\p{L}\p{N}_$]*\s*:|$)|\[\s*(?:[[{"'\]]|$))/u;
const COMMENT = /^\s*(?:\/\/|#)/;
const FENCE = /^\s*(?:```|~~~)/;

const filled = (line: string) => line.trim() !== '';

/** Whether the rows are in a code block, with no more words around it than a chat program writes. */
function isFencedJson(lines: readonly string[]): boolean {
  const first = lines.findIndex((line) => FENCE.test(line));
  if (first < 0) return false;
  const after = lines.slice(first + 1);
  if (!JSON_START.test(after.find(filled) ?? '')) return false;
  const before = lines.slice(0, first).filter(filled).length;
  const inside = after
    .slice(
      0,
      Math.max(
        1,
        after.findIndex((line) => FENCE.test(line)),
      ),
    )
    .filter(filled).length;
  return before <= Math.max(3, inside);
}

/** A table that is most of the text: one in the middle of a chapter is part of the chapter. */
function isMarkdownTable(lines: readonly string[]): boolean {
  if (!lines.some((_, n) => startsMarkdownTable(lines, n))) return false;
  const all = lines.filter(filled);
  return 2 * all.filter((line) => line.includes('|')).length >= all.length;
}

/** Cells pasted from a spreadsheet, or a table under another name. Commas and semicolons are in every text, so there the names must be known. */
function isTable(text: string): boolean {
  const layout = tableLayout(text);
  if (layout.columns < 2 || layout.records < 2) return false;
  if (layout.known) return layout.even > 0.5;
  return layout.delimiter === '\t' && layout.even > 0.9;
}

export function layoutOf(name: string, text: string): FileLayout {
  const holds = acceptedFile(name)?.holds ?? 'text';
  // A look at the start is enough, cut at the end of a line.
  const head = text.slice(0, 200_000).replace(/^\uFEFF/, '');
  const lines = head.split(/\r\n|\n|\r/).slice(0, LOOKED_AT);
  const first = lines.find((line) => filled(line) && !COMMENT.test(line)) ?? '';
  if (JSON_START.test(first) || assignedValue(text.slice(0, MAX_ASSIGNED))) return 'json';
  if (isFencedJson(lines)) return 'json';
  if (isMarkdownTable(lines)) return 'markdown_table';
  if (holds === 'table') return 'table';
  if (isTable(lines.join('\n'))) return 'table';
  // Rows may follow a line that is none.
  if (holds === 'json' && lines.some((line) => JSON_START.test(line))) return 'json';
  return holds;
}
