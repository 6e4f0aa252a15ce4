// Bytes of a file → its text: byte order marks, UTF-8 and UTF-16, older encodings told by their content, broken and twice encoded characters.
// Not here: the older encodings (encodings.ts) and how they are distinguished (encodingGuess.ts), files that are no text (fileKinds.ts).

import type { Issue } from '../../contract';
import { linesText } from '../../wording';
import { checkCharacters, linesOf, offsetsOf } from './characters';
import { guessEncoding, readsAsUtf8, samplePieces } from './encodingGuess';
import { decodeAs, ENCODINGS, encodingOf, type TextEncodingEntry } from './encodings';
import { fileKind } from './fileKinds';

/** Text that was read, or the reason why there is none. */
export type DecodedText =
  | { text: string; encoding: string; issues: Issue[] }
  | { text: null; encoding: null; issues: Issue[] };

/** V8 holds no longer string; a byte is at least one UTF-16 unit in the encodings where that matters. */
const MAX_BYTES = 2 ** 29 - 32;

/** Words shown so that a reader can tell whether an encoding is right. */
const WORDS_SHOWN = 3;
/** Characters of one of them. */
const LONGEST_WORD = 24;
/** Candidates shown when the encoding cannot be determined. */
const CANDIDATES_SHOWN = 4;

/** On the page and on the command line. */
const choose = (label: string) =>
  `choose the encoding (below the file, or for example --encoding ${label}), or save the file as UTF-8`;

function ofFile(code: string, severity: Issue['severity'], message: string, fix: string): Issue {
  return { code, severity, line: 0, message, fix };
}

function refused(code: string, message: string, fix: string): DecodedText {
  return { text: null, encoding: null, issues: [ofFile(code, 'error', message, fix)] };
}

const listed = (words: readonly string[]) => words.map((word) => `“${word}”`).join(', ');

/** Decoded pieces as words to show: letters first, the punctuation around them cut away. */
function wordsToShow(pieces: readonly string[]): string[] {
  const words = pieces.flatMap((piece) => piece.match(/[\p{L}\p{M}\p{N}’'\uFFFD]+/gu) ?? []);
  const telling = words.filter((word) => /[^\0-\x7f]/.test(word.replaceAll('’', '')));
  const chosen =
    telling.length > 0 ? telling : [...words.filter((word) => /[^\0-\x7f]/.test(word)), ...pieces];
  return [...new Set(chosen.map((word) => word.slice(0, LONGEST_WORD)))];
}

function read(text: string, encoding: string, issues: readonly Issue[] = []): DecodedText {
  return { text, encoding, issues: [...issues, ...checkCharacters(text)] };
}

// ───────────────────────────── Unicode ─────────────────────────────

interface Unicode {
  label: 'utf-8' | 'utf-16le' | 'utf-16be';
  name: string;
}
const UTF_8: Unicode = { label: 'utf-8', name: 'UTF-8' };
const UTF_16LE: Unicode = { label: 'utf-16le', name: 'UTF-16 (little-endian)' };
const UTF_16BE: Unicode = { label: 'utf-16be', name: 'UTF-16 (big-endian)' };

function byMark(bytes: Uint8Array): Unicode | 'utf-32' | null {
  const [a, b, c, d] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) return UTF_8;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? 'utf-32' : UTF_16LE;
  if (a === 0xfe && b === 0xff) return UTF_16BE;
  return a === 0 && b === 0 && c === 0xfe && d === 0xff ? 'utf-32' : null;
}

/** Bytes that are examined for the zeros of UTF-16. */
const LOOKED_AT = 1 << 16;

/** UTF-16 without a mark: brackets, quotes and line breaks have a zero byte, always on the same side. */
function byZeros(bytes: Uint8Array): Unicode | null {
  const length = Math.min(bytes.length, LOOKED_AT) & ~1;
  let even = 0;
  let odd = 0;
  for (let i = 0; i < length; i += 2) {
    if (bytes[i] === 0) even++;
    if (bytes[i + 1] === 0) odd++;
  }
  const [most, least] = [Math.max(even, odd), Math.min(even, odd)];
  if (most < 0.05 * (length / 2) || least > 0.02 * most) return null;
  return odd > even ? UTF_16LE : UTF_16BE;
}

/** Keeps a byte order mark of UTF-8, which the parsers report; that of UTF-16 goes. */
function decodeUnicode({ label, name }: Unicode, bytes: Uint8Array, told: readonly Issue[]): DecodedText {
  const text = new TextDecoder(label, { ignoreBOM: label === 'utf-8' }).decode(bytes);
  if (label === 'utf-8') return read(text, label, told);
  const converted = ofFile(
    'encoding_converted',
    'warning',
    `The file is in ${name}; it was converted.`,
    'Nothing needs to be done. Other tools may need UTF-8.',
  );
  return read(text, label, [...told, converted]);
}

function strictUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/**
 * The UTF-8 character at `i`, which holds a byte above 0x7F: its length in bytes; or, negative, the length of the part that is broken
 * (“maximal subpart” of the Unicode Standard, section 3.9).
 */
function sequenceAt(bytes: Uint8Array, i: number): number {
  const lead = bytes[i] as number;
  const length =
    lead >= 0xc2 && lead <= 0xdf
      ? 2
      : lead >= 0xe0 && lead <= 0xef
        ? 3
        : lead >= 0xf0 && lead <= 0xf4
          ? 4
          : 0;
  if (length === 0) return -1;
  const second = bytes[i + 1] ?? 0;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return -1;
  for (let k = 2; k < length; k++) if (((bytes[i + k] ?? 0) & 0xc0) !== 0x80) return -k;
  return length;
}

interface Sequences {
  good: number;
  bad: number;
}

function sequencesIn(bytes: Uint8Array): Sequences {
  const found = { good: 0, bad: 0 };
  for (let i = 0; i < bytes.length; ) {
    if ((bytes[i] as number) < 0x80) {
      i++;
      continue;
    }
    const length = sequenceAt(bytes, i);
    if (length > 0) found.good++;
    else found.bad++;
    i += Math.abs(length);
  }
  return found;
}

// ───────────────────────────── UTF-8 with lines that are not ─────────────────────────────

/** Punctuation that stands alone in old encodings and is no half of a broken character. */
const TYPESET = /[‘’“”„«»–—…€°§]/;

/** Whether a byte that is no UTF-8, read as a character of an older encoding, makes sense after `text` and before `after`. */
function plausible(character: string, text: string, after: string): boolean {
  const before = [...text.slice(-2)].at(-1) ?? '';
  if (TYPESET.test(character)) return true;
  if (!/\p{L}/u.test(character)) return false;
  const between = (c: string) => c === '' || !/\p{L}/u.test(c) || /\p{Script=Latin}/u.test(c);
  if (/\p{Script=Latin}/u.test(character) && !(between(before) && between(after))) return false;
  if (/\p{Lu}/u.test(character) && /\p{Ll}/u.test(before)) return false;
  // The first bytes of most letters (Ã, Ä, Å …) and marks (â) in UTF-8, cut off: a word hardly ends in them as letters.
  const ends = !/\p{L}/u.test(after);
  return !(ends && (character === 'â' || (/\p{Lu}/u.test(character) && !/\p{Lu}{2}$/u.test(text))));
}

/** A line that is UTF-8 but for single bytes: each is read alone where that makes sense, else it is U+FFFD. */
function decodeBetween(line: Uint8Array, fallback: TextEncodingEntry): string {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  let text = '';
  let start = 0;
  for (let i = 0; i < line.length; ) {
    const length = (line[i] as number) < 0x80 ? 1 : sequenceAt(line, i);
    if (length > 0) {
      i += length;
      continue;
    }
    text += utf8.decode(line.subarray(start, i));
    const end = i - length;
    const character = length === -1 ? decodeAs(fallback, line.subarray(i, end)) : '\uFFFD';
    const next = utf8.decode(line.subarray(end, end + 4));
    text += plausible(character, text, [...next][0] ?? '') ? character : '\uFFFD';
    start = i = end;
  }
  return text + utf8.decode(line.subarray(start));
}

/** Lines that hold something beyond ASCII. */
interface Lines {
  /** Whole UTF-8. */
  utf8: number;
  /** UTF-8 but for single bytes. */
  between: Line[];
  /** Something else. */
  foreign: Line[];
}

interface Line {
  start: number;
  end: number;
  line: number;
}

function sortLines(bytes: Uint8Array): Lines {
  const lines: Lines = { utf8: 0, between: [], foreign: [] };
  const mark = bytes.includes(0x0a) ? 0x0a : 0x0d;
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const at = bytes.indexOf(mark, start);
    const end = at < 0 ? bytes.length : at + 1;
    const { good, bad } = sequencesIn(bytes.subarray(start, end));
    if (bad > 0)
      (good >= bad || cutOff(bytes, start, end) ? lines.between : lines.foreign).push({ start, end, line });
    else if (good > 0) lines.utf8++;
    start = end;
  }
  return lines;
}

/** Whether the only fault of a last line is a character that the end of the file cuts off. */
function cutOff(bytes: Uint8Array, start: number, end: number): boolean {
  if (end < bytes.length) return false;
  const lead = bytes.subarray(start, end).findLastIndex((byte) => byte >= 0xc2);
  if (lead < 0 || sequencesIn(bytes.subarray(start, start + lead)).bad > 0) return false;
  const length = sequenceAt(bytes, start + lead);
  return (
    length < 0 && start + lead - length === end && (length < -1 || (bytes[start + lead] as number) < 0xf5)
  );
}

function* partsOf(bytes: Uint8Array, lines: readonly Line[]): Generator<Uint8Array> {
  for (const { start, end } of lines) yield bytes.subarray(start, end);
}

/** Line by line: UTF-8 where it is, the rest in an older encoding. Null when the lines are better read as that encoding altogether. */
function decodeMixed(bytes: Uint8Array): DecodedText | null {
  const { utf8, between, foreign } = sortLines(bytes);
  const ascii = asciiAround(bytes);
  const broken = samplePieces(partsOf(bytes, [...foreign, ...between]));
  const overall = guessEncoding(broken, ascii);
  // Where two bytes are a character, many of them look like UTF-8.
  const multibyte =
    overall.certain && overall.candidates[0]?.entry.multibyte && !readsAsUtf8(broken, overall, ascii);
  if (multibyte && utf8 <= ACCIDENTAL_MULTIBYTE * (foreign.length + between.length)) return null;

  const pieces = samplePieces(partsOf(bytes, foreign));
  const guess = pieces.length === 0 ? null : guessEncoding(pieces, ascii);
  const told = guess?.certain ? guess.candidates[0]?.entry : undefined;
  if (utf8 + between.length <= ACCIDENTAL * foreign.length) return null;

  const fallback = told ?? (encodingOf('windows-1252') as TextEncodingEntry);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const converted: number[] = [];
  const words = new Set<string>();
  const whole = new Set(foreign);
  let text = '';
  let done = 0;
  for (const piece of [...between, ...foreign].sort((a, b) => a.start - b.start)) {
    const own = bytes.subarray(piece.start, piece.end);
    const decoded = whole.has(piece) ? decodeAs(fallback, own) : decodeBetween(own, fallback);
    const asUtf8 = decoder.decode(own);
    if (decoded !== asUtf8) {
      converted.push(piece.line);
      if (words.size < WORDS_SHOWN)
        for (const word of wordsToShow([decoded])) if (!asUtf8.includes(word)) words.add(word);
    }
    text += decoder.decode(bytes.subarray(done, piece.start)) + decoded;
    done = piece.end;
  }
  text += decoder.decode(bytes.subarray(done));
  if (converted.length === 0) return read(text, 'utf-8');
  const issue = {
    ...ofFile(
      'encoding_mixed',
      'warning',
      `The file is in UTF-8, but for ${linesText(converted)}: there it was read as ${fallback.name}, for example ${listed([...words].slice(0, WORDS_SHOWN))}.`,
      'Check these lines. If they are wrong, save them as UTF-8.',
    ),
    lines: converted,
  };
  return read(text, 'utf-8', [issue]);
}

// ───────────────────────────── older encodings ─────────────────────────────

/** Some of the file as Latin-1: what of it is ASCII says which language it is in. */
function asciiAround(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes.subarray(0, LOOKED_AT));
}

function decodeOlder(bytes: Uint8Array): DecodedText {
  const { candidates, certain } = guessEncoding(samplePieces([bytes]), asciiAround(bytes));
  const [best] = candidates;
  if (!best) throw new Error('guessEncoding gave no candidate.');
  if (!certain) {
    const readings = candidates
      .slice(0, CANDIDATES_SHOWN)
      .map(({ entry, words }) => `${entry.name} reads ${listed(wordsToShow(words).slice(0, 2))}`);
    return refused(
      'encoding_unknown',
      `The file is not in UTF-8, and its encoding cannot be told: ${readings.join('; ')}.`,
      `Look which of them is right and ${choose(best.entry.label)}.`,
    );
  }
  const { entry, words } = best;
  const converted = ofFile(
    'encoding_converted',
    'warning',
    `The file is not in UTF-8. It was read as ${entry.name}, for example ${listed(wordsToShow(words).slice(0, WORDS_SHOWN))}.`,
    `Check these words. If they are wrong, ${choose((candidates[1] ?? best).entry.label)}.`,
  );
  return read(decodeAs(entry, bytes), entry.label, [converted]);
}

/** Japanese mail: seven bits, with escape sequences that no other text holds. */
const ISO_2022_JP = ['\u001b$B', '\u001b$@'];

/**
 * Share of lines in an older encoding that may be UTF-8 by accident: next to none where a letter is one byte, more where two bytes are
 * one character.
 */
const ACCIDENTAL = 0.02;
const ACCIDENTAL_MULTIBYTE = 0.25;

// ───────────────────────────── all of it ─────────────────────────────

/** Names for `encoding`: as people write them in `--encoding`. */
export const ENCODING_NAMES: readonly string[] = [
  'utf-8',
  'utf-16le',
  'utf-16be',
  ...ENCODINGS.map(({ label }) => label),
];

/** What a file that is not plain UTF-8 may be read as, for a list to choose from. */
export const ENCODING_CHOICES: readonly { label: string; name: string }[] = [
  ...[UTF_8, UTF_16LE, UTF_16BE],
  ...ENCODINGS.map(({ label, name }) => ({ label, name })),
];

function unicodeOf(name: string): Unicode | null {
  const plain = name.trim().toLowerCase();
  if (/^utf-?8$/.test(plain)) return UTF_8;
  if (/^utf-?16(-?le)?$/.test(plain)) return UTF_16LE;
  return /^utf-?16-?be$/.test(plain) ? UTF_16BE : null;
}

/** Whether `decodeText` knows an encoding by this name. */
export function isEncoding(name: string): boolean {
  return unicodeOf(name) !== null || encodingOf(name) !== null;
}

function decodeChosen(name: string, bytes: Uint8Array): DecodedText {
  const unicode = unicodeOf(name);
  const older = encodingOf(name);
  const full = unicode?.name ?? older?.name;
  if (full === undefined) {
    return refused(
      'encoding_unknown',
      `There is no encoding “${name}” here.`,
      `Choose one of ${ENCODING_NAMES.join(', ')}.`,
    );
  }
  const decoded = older
    ? read(decodeAs(older, bytes), older.label)
    : decodeUnicode(unicode as Unicode, bytes, []);
  if (decoded.text === null) return decoded;
  const lost = [...offsetsOf(decoded.text, '\uFFFD')];
  const beyondAscii = bytes.reduce((count, byte) => (byte < 0x80 ? count : count + 1), 0);
  // A few broken characters are a warning of `read`; many say that the name is wrong.
  if (lost.length <= MAX_LOST * beyondAscii || (unicode === UTF_8 && strictUtf8(bytes) !== null))
    return decoded;
  return refused(
    'encoding_mismatch',
    `The file is not in ${full}: on ${linesText(linesOf(decoded.text, lost))} stand bytes that mean nothing in it.`,
    'Name another encoding, or none, so that it is looked for.',
  );
}

/** Share of the bytes beyond ASCII that may mean nothing in the encoding that was named. */
const MAX_LOST = 0.02;

/**
 * Reads a file's bytes as text. Never throws: what is wrong is an issue about the whole file (line 0).
 *
 * Errors, with no text: `binary_file` (a workbook, an archive, an image …), `encoding_unknown` (several readings are as likely; it
 * lists them), `encoding_mismatch` (the encoding that was named is wrong), `file_too_large`. Warnings: `encoding_converted`,
 * `encoding_mixed` (lines of a UTF-8 file that are not), `encoding_ignored` (a byte order mark says otherwise), `damaged_characters`,
 * `double_encoded`. UTF-8 comes back unchanged, its byte order mark included.
 * @param encoding one of ENCODING_NAMES or another name of it; by default it is looked for
 */
export function decodeText(bytes: Uint8Array, encoding?: string): DecodedText {
  if (bytes.length > MAX_BYTES) {
    return refused(
      'file_too_large',
      `The file has ${Math.round(bytes.length / 1e6)} MB; at most ${Math.floor(MAX_BYTES / 1e6)} MB can be read.`,
      'Give a part of it.',
    );
  }
  const kind = fileKind(bytes);
  if (kind) return refused('binary_file', `This is ${kind.name}, not a text file.`, kind.fix);
  const marked = byMark(bytes);
  if (marked === 'utf-32') {
    return refused(
      'encoding_unknown',
      'The file is in UTF-32, which cannot be read here.',
      'Save it as UTF-8.',
    );
  }
  if (marked) {
    const ignored = encoding !== undefined && unicodeOf(encoding)?.label !== marked.label;
    return decodeUnicode(marked, bytes, ignored ? [markDecides(marked, encoding)] : []);
  }
  if (encoding !== undefined) return decodeChosen(encoding, bytes);
  if (bytes.includes(0)) {
    const unicode = byZeros(bytes);
    if (unicode) return decodeUnicode(unicode, bytes, []);
    return refused(
      'binary_file',
      'This is not a text file: it holds NUL bytes.',
      'Give a file of rows as text: JSONL, JSON or CSV, in UTF-8.',
    );
  }
  const text = strictUtf8(bytes);
  if (text !== null) {
    const sevenBits = text.length === bytes.length;
    if (!sevenBits || !ISO_2022_JP.some((sequence) => text.includes(sequence))) return read(text, 'utf-8');
    const japanese = new TextDecoder('iso-2022-jp').decode(bytes);
    const converted = 'The file is in ISO-2022-JP; it was converted.';
    return read(japanese, 'iso-2022-jp', [
      ofFile(
        'encoding_converted',
        'warning',
        converted,
        'Nothing needs to be done. Other tools may need UTF-8.',
      ),
    ]);
  }
  return decodeMixed(bytes) ?? decodeOlder(bytes);
}

function markDecides({ name }: Unicode, encoding: string): Issue {
  return ofFile(
    'encoding_ignored',
    'warning',
    `The file starts with the byte order mark of ${name}, so it was read as that and not as ${encoding}.`,
    'Leave --encoding out for this file.',
  );
}
