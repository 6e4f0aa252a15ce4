// What is odd about the characters of a text that was read: lost ones (U+FFFD) and letters that were encoded twice (“WÃ¶rter”).
// Not here: reading bytes (textEncoding.ts), what the text says (data/reading/jsonl.ts, data/reading/tabular.ts).

import type { Issue } from '../../contract';
import { linesText } from '../../wording';
import { decodeAs, encodingOf, type TextEncodingEntry } from './encodings';

/** 1-based lines of these ascending offsets, each line once. */
export function linesOf(text: string, offsets: Iterable<number>): number[] {
  const mark = !text.includes('\n') && text.includes('\r') ? '\r' : '\n';
  const lines: number[] = [];
  let line = 1;
  let next = text.indexOf(mark);
  for (const offset of offsets) {
    while (next >= 0 && next < offset) {
      line++;
      next = text.indexOf(mark, next + 1);
    }
    if (lines.at(-1) !== line) lines.push(line);
  }
  return lines;
}

export function* offsetsOf(text: string, character: string): Generator<number> {
  for (let i = text.indexOf(character); i >= 0; i = text.indexOf(character, i + 1)) yield i;
}

/** An encoding in which UTF-8 is often read by mistake, and what the mistakes look like. */
interface Misreading {
  byteOf: ReadonlyMap<string, number>;
  pattern: RegExp;
}

/** Characters of bytes 0x80 to 0xFF. */
function charactersOf(label: string): string[] {
  const entry = encodingOf(label) as TextEncodingEntry;
  return [
    ...decodeAs(
      entry,
      Uint8Array.from({ length: 128 }, (_, i) => i + 0x80),
    ),
  ];
}

/** A misreading in this encoding; `patternOf` gets the class of the characters that continue a UTF-8 character, bytes 0x80 to 0xBF. */
function misreading(label: string, patternOf: (rest: string) => string): Misreading {
  const characters = charactersOf(label);
  const rest = characters.slice(0, 64).map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return {
    byteOf: new Map(characters.map((c, i) => [c, i + 0x80])),
    // Read as Latin-1, bytes 0x80 to 0x9F are control characters.
    pattern: new RegExp(patternOf(`[${rest.join('')}\\u0080-\\u009f]`), 'u'),
  };
}

let known: readonly Misreading[] | null = null;

/**
 * Each pattern asks for more than could be in a real text by chance: a capital before a closing quotation mark (“MAÇÔ»), the root of π
 * and a French letter before a no-break space are none of them.
 */
function misreadings(): readonly Misreading[] {
  known ??= [
    // Ã¶, Â°, â€™; Polish, Greek and Cyrillic letters (Å‚, Ð¿), Chinese and Japanese (ä½): two in a row.
    misreading(
      'windows-1252',
      (rest) =>
        `(?<=\\p{Ll})[ÂÃ]${rest}|[ÂÃ](?![»”’\u00A0])${rest}|(?:[Ä-ß]${rest}){2}|â€${rest}|(?:[ã-é]${rest}{2}){2}`,
    ),
    misreading('macintosh', (rest) => `(?<=\\p{L})√${rest}|‚Ä${rest}`),
    misreading('windows-1251', (rest) => `(?:[РСГВ]${rest}){3}|вЂ${rest}`),
  ];
  return known;
}

/** What a piece of text was before it was encoded twice; null when it was not: its characters are, as bytes, no UTF-8. */
function encodedOnce(piece: string, { byteOf }: Misreading): string | null {
  const bytes: number[] = [];
  for (const character of piece) {
    const byte = character < '\u00A0' ? character.charCodeAt(0) : byteOf.get(character);
    if (byte === undefined) return null;
    bytes.push(byte);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    return /[\p{Cc}\p{Co}\p{Cn}]/u.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** Characters to either side that are examined for the rest of the word. */
const AROUND = 24;
/** Not part of a word, in text or in JSON and CSV. */
const BREAK = /[\s"',;:.!?()[\]{}<>\\]/;

/** The word that a match is in. */
function wordAround(text: string, start: number, end: number): string {
  const before = [...text.slice(Math.max(0, start - AROUND), start)];
  const after = [...text.slice(end, end + AROUND)];
  const from = before.findLastIndex((c) => BREAK.test(c)) + 1;
  const to = after.findIndex((c) => BREAK.test(c));
  return (
    before.slice(from).join('') + text.slice(start, end) + after.slice(0, to < 0 ? undefined : to).join('')
  );
}

/** A word that was encoded twice, and what it was before. */
interface Twice {
  start: number;
  twice: string;
  once: string;
}

function* twiceIn(text: string, misread: Misreading): Generator<Twice & { match: number }> {
  // The search alone goes over a large file quickly; most hold nothing of the kind.
  if (!misread.pattern.test(text)) return;
  for (const match of text.matchAll(new RegExp(misread.pattern, 'gu'))) {
    const word = wordAround(text, match.index, match.index + match[0].length);
    const pieces = [
      { twice: word, start: text.lastIndexOf(word, match.index) },
      { twice: match[0], start: match.index },
    ];
    for (const { twice, start } of pieces) {
      const once = encodedOnce(twice, misread);
      if (once === null) continue;
      yield { start, twice, once, match: match.index };
      break;
    }
  }
}

/** The text with letters that were encoded twice as they were before. Line breaks stay where they are. */
export function repairTwiceEncoded(text: string): string {
  let repaired = text;
  for (const misread of misreadings()) {
    const parts: string[] = [];
    let done = 0;
    for (const { start, twice, once } of twiceIn(repaired, misread)) {
      // A word of several such letters is found once for each.
      if (start < done) continue;
      parts.push(repaired.slice(done, start), once);
      done = start + twice.length;
    }
    if (done > 0) repaired = parts.join('') + repaired.slice(done);
  }
  return repaired;
}

/** Looks at a text that comes in pieces, each of which ends where a line ends. Holds the numbers of the lines found, and one word. */
export class CharacterCheck {
  readonly #twice: number[] = [];
  readonly #lost: number[] = [];
  #shown: Twice | null = null;

  /**
   * @param firstLine number of the piece's first line
   * @returns lines of it on which letters were encoded twice
   */
  add(text: string, firstLine: number): readonly number[] {
    const offsets: number[] = [];
    for (const misread of misreadings()) {
      for (const found of twiceIn(text, misread)) {
        offsets.push(found.match);
        this.#shown ??= found;
      }
    }
    offsets.sort((a, b) => a - b);
    const twice = linesOf(text, offsets).map((line) => line + firstLine - 1);
    for (const line of twice) this.#twice.push(line);
    for (const line of linesOf(text, offsetsOf(text, '\uFFFD'))) this.#lost.push(line + firstLine - 1);
    return twice;
  }

  /** `double_encoded`, `damaged_characters` (warnings), each naming its lines. */
  issues(): Issue[] {
    const issues: Issue[] = [];
    if (this.#shown) {
      issues.push({
        code: 'double_encoded',
        severity: 'warning',
        line: 0,
        lines: this.#twice,
        message: `On ${linesText(this.#twice)} letters were encoded twice: “${this.#shown.twice}” is “${this.#shown.once}”. They were left as they stand.`,
        fix: 'Mend them, or save the file again from its source as UTF-8. In Python, ftfy.fix_text repairs most of it.',
      });
    }
    if (this.#lost.length > 0) {
      issues.push({
        code: 'damaged_characters',
        severity: 'warning',
        line: 0,
        lines: this.#lost,
        message: `On ${linesText(this.#lost)} stands “\uFFFD” (U+FFFD) in the place of characters that were lost when the text was read or cut.`,
        fix: 'Export these lines again from their source; what was lost cannot be told from this file.',
      });
    }
    return issues;
  }
}

/** Issues about the file as a whole: those of a `CharacterCheck`. */
export function checkCharacters(text: string): Issue[] {
  const check = new CharacterCheck();
  check.add(text, 1);
  return check.issues();
}
