// Texts without roles, for learning how something is written: a whole text file, or rows {"text": …}; cut into rows at paragraphs, all learned.
// Not here: conversations (data/tokens/chat.ts), telling a text from a table (fileLayout.ts).

import type { EncodedExample, Example, Issue, PreviewToken } from '../../contract';
import { plural, quoted } from '../../wording';
import { IssueGroups } from '../issueGroups';
import type { Tokenizer } from '../tokens/tokenizer';
import { noRows } from './fileChecks';
import { rowsText } from './fileNotes';
import { MendLog } from './mends';
import type { ParsedData, ReadOptions } from './rowsReader';

/** A file that is one text. `understood` is completed when the text has been cut (`understoodCut`). */
export function parsePlainText(text: string, { mends = new MendLog() }: ReadOptions = {}): ParsedData {
  const groups = new IssueGroups();
  const whole = text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
  const start = whole.search(/\S/);
  if (start < 0) {
    groups.add(noRows(false));
    const issues = groups.issues();
    return { examples: [], issues, groups, mends, rows: 0, leftOut: 0, format: 'unknown', understood: '' };
  }
  const line = whole.slice(0, start).split('\n').length;
  const example = { line, messages: [], text: whole.slice(start).trimEnd() };
  return {
    examples: [example],
    issues: [],
    groups,
    mends,
    rows: 1,
    leftOut: 0,
    format: 'text',
    understood: `a plain text of ${plural(whole.trim().length, 'character')}`,
  };
}

// ───────────────────────────── cutting ─────────────────────────────

/** Where a text may be cut, the best first: between paragraphs, lines, sentences, words, characters. */
const BORDERS: readonly RegExp[] = [
  /\n[^\S\n]*\n\s*/gu,
  /\n\s*/gu,
  /(?<=[.!?…]["”’)\]]?)\s+|(?<=[。！？])/gu,
  /\s+/gu,
  /(?<=[\s\S])(?=[\s\S])/gu,
];

/** A part of a text: [start, end). */
export interface Part {
  start: number;
  end: number;
}

/** Parts of a text between borders of this kind, white space at the borders left away. */
function partsBetween(text: string, { start, end }: Part, border: RegExp): Part[] {
  const parts: Part[] = [];
  let from = start;
  for (const match of text.slice(start, end).matchAll(border)) {
    const at = start + match.index;
    // Half of a surrogate pair is no character.
    if (match[0] === '' && /[\uDC00-\uDFFF]/.test(text[at] ?? '')) continue;
    if (at > from) parts.push({ start: from, end: at });
    from = at + match[0].length;
  }
  if (end > from) parts.push({ start: from, end });
  return parts;
}

/** No token stands for more characters than this, so a longer text need not be counted to be too long. */
const LONGEST_TOKEN = 64;

/**
 * Cuts a text at the best borders into parts that are no longer than `limit`, as long as they can be, in order, without overlap. Only
 * white space between two parts is left away.
 * @param lengthOf length of a stretch of the text, in the unit of the limit (tokens)
 */
export function cutText(text: string, limit: number, lengthOf: (part: string) => number): Part[] {
  const parts: Part[] = [];
  const fits = ({ start, end }: Part) =>
    end - start <= limit * LONGEST_TOKEN && lengthOf(text.slice(start, end)) <= limit;
  const cut = (whole: Part, level: number): void => {
    const border = BORDERS[level];
    if (!border || fits(whole)) {
      parts.push(whole);
      return;
    }
    let open: Part | null = null;
    let length = 0;
    // Lengths of neighbours add up nearly; where they do not, the part is cut once more.
    const close = () => {
      if (open) cut(open, level + 1);
      open = null;
    };
    for (const piece of partsBetween(text, whole, border)) {
      const own =
        piece.end - piece.start > limit * LONGEST_TOKEN
          ? limit + 1
          : lengthOf(text.slice(open?.end ?? piece.start, piece.end));
      if (open && length + own <= limit) {
        open = { start: open.start, end: piece.end };
        length += own;
        continue;
      }
      close();
      open = piece;
      length = own;
    }
    close();
  };
  const start = text.search(/\S/);
  if (start < 0) return [];
  const whole = { start: 0, end: text.length };
  if (fits(whole)) return [whole];
  cut({ start, end: text.trimEnd().length }, 0);
  return parts;
}

/** Rows that a text file should be cut into at least, where it is long enough: some to learn from and some to measure with. */
const WANTED_ROWS = 50;
/** Tokens of the shortest row that a text file is cut into for that. */
const SHORTEST = 32;

export interface TextRow {
  example: Example;
  encoded: EncodedExample;
}

export interface CutText {
  rows: TextRow[];
  /** `no_trained_tokens` (error). */
  issues: Issue[];
}

/** The token that ends a text; null where the model has none. */
function endOfText(tokenizer: Tokenizer): number | null {
  const named = tokenizer.eosToken === null ? undefined : tokenizer.tokenId(tokenizer.eosToken);
  return named ?? tokenizer.endOfTurnIds[0] ?? null;
}

/** Ids of a row: the start token where the tokenizer adds one, and the end token where the text ends with the row. */
function idsOf(tokenizer: Tokenizer, text: string, ends: boolean): number[] {
  const ids = tokenizer.encode(text, { allowSpecial: true });
  const { bosTokenId } = tokenizer;
  const end = endOfText(tokenizer);
  const first = tokenizer.addsBos && bosTokenId !== null && ids[0] !== bosTokenId ? [bosTokenId] : [];
  // A text that a chat template has written ends on it, and a line break.
  const ended = end !== null && text.trimEnd().endsWith(tokenizer.tokenName(end)) && ids.includes(end);
  const last = ends && end !== null && !ended ? [end] : [];
  return [...first, ...ids, ...last];
}

/** Tokens of the rows that a text file is cut into: few enough that there are rows to measure with, and never more than the limit. */
function rowLength(text: string, limit: number, lengthOf: (part: string) => number): number {
  if (text.length > limit * WANTED_ROWS * 8) return limit;
  return Math.min(limit, Math.max(SHORTEST, Math.ceil(lengthOf(text) / WANTED_ROWS)));
}

/**
 * A text as rows of at most `limit` tokens, each token learned but the first. A longer text is cut at paragraphs; only its last row ends
 * on the end token. Control tokens that the text holds, as one that a chat template has written does, are control tokens.
 * @param options.file the text is a whole file: its rows are named by the line they start on
 */
export function cutExample(
  example: Example,
  tokenizer: Tokenizer,
  limit: number,
  options: { file: boolean },
): CutText {
  const text = example.text ?? '';
  const lengthOf = (part: string) => tokenizer.encode(part, { allowSpecial: true }).length;
  // Room for the start and the end token.
  const most = Math.max(2, (options.file ? rowLength(text, limit, lengthOf) : limit) - 2);
  const parts = cutText(text, most, lengthOf);
  const rows: TextRow[] = [];
  const issues: Issue[] = [];
  let { line } = example;
  let counted = 0;
  for (const [i, { start, end }] of parts.entries()) {
    if (options.file) for (; counted < start; counted++) if (text[counted] === '\n') line++;
    const part = text.slice(start, end);
    const ids = Int32Array.from(idsOf(tokenizer, part, i === parts.length - 1));
    if (ids.length < 2) {
      issues.push({
        code: 'no_trained_tokens',
        severity: 'error',
        line,
        message: 'The text is a single token, so there is nothing to learn from it.',
        fix: 'Join it with the text before or after it, or remove it.',
      });
      continue;
    }
    const mask = new Uint8Array(ids.length).fill(1);
    mask[0] = 0;
    rows.push({
      example: { ...example, line, text: part },
      encoded: {
        line,
        ids,
        mask,
        fullLength: ids.length,
        ...(example.weight === undefined ? {} : { weight: example.weight }),
      },
    });
  }
  return { rows, issues };
}

/** Texts that hold control tokens of the model: `rendered_chat`, once for the file. */
export function checkRendered(examples: readonly Example[], tokenizer: Tokenizer): Issue[] {
  const texts = examples.filter(({ text }) => text !== undefined);
  const rendered = texts.flatMap(({ text, line }) => {
    const [special] = tokenizer.findSpecial(text ?? '');
    return special ? [{ token: special.token, line }] : [];
  });
  const [first] = rendered;
  if (!first) return [];
  const subject =
    texts.length === 1
      ? 'The text holds'
      : `${rowsText(
          rendered.map(({ line }) => line),
          texts.length,
        )} ${rendered.length === 1 ? 'holds' : 'hold'}`;
  return [
    {
      code: 'rendered_chat',
      severity: 'warning',
      line: 0,
      lines: rendered.map(({ line }) => line),
      message: `${subject} control tokens of this model, such as ${quoted(first.token)}, as a chat template writes them. They are learned as control tokens.`,
      fix: 'Nothing needs to be done. To learn the answers only, give the conversations as messages.',
    },
  ];
}

/** What was understood of a text file, or of texts, that became so many rows. @param more rows that cutting added */
export function understoodCut(understood: string, rows: number, more: number): string {
  if (understood === '') return '';
  if (!understood.endsWith('.')) {
    return `${plural(rows, 'row')} from ${understood}, cut at paragraphs; every token is learned.`;
  }
  if (more === 0) return understood;
  return `${understood.slice(0, -1)}; cut into ${plural(rows, 'row')} at paragraphs, as some are too long for one row.`;
}

/** The row as the model sees it, token by token. */
export function previewText(tokenizer: Tokenizer, encoded: EncodedExample): PreviewToken[] {
  const decoder = tokenizer.createStreamDecoder();
  return [...encoded.ids].map((id, t) => ({
    id,
    text: decoder.push(id) + (t === encoded.ids.length - 1 ? decoder.flush() : ''),
    role: 'text',
    trained: encoded.mask[t] === 1,
    special: tokenizer.isSpecial(id),
  }));
}
