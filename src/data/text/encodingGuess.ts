// Which legacy encoding a text is in: each candidate is scored by how well what it reads looks like the languages written in it.
// Not here: the encodings (encodings.ts), UTF-8 and UTF-16 (textEncoding.ts).

import { decodeAs, ENCODINGS, type Language, type TextEncodingEntry } from './encodings';

export interface Candidate {
  entry: TextEncodingEntry;
  /** Natural logarithm of a likelihood, up to a constant. */
  score: number;
  /** The pieces of the sample, decoded, in the order they were given. */
  words: string[];
}

export interface Guess {
  /** The best first; candidates that read the same are one. Never empty. */
  candidates: Candidate[];
  /** The best reads like text, and stands far enough above the next. */
  certain: boolean;
}

/** Bytes of distinct pieces that are examined. */
const SAMPLE_BYTES = 1 << 16;
/** Bytes of one piece, and of what it may hold before its first byte beyond ASCII. */
const LONGEST_PIECE = 4096;
const LONGEST_LEAD = 64;

/** Distance in log-likelihood to the next candidate (a factor of 20) below which a choice is left to the user. */
const CERTAIN = 3;
/** The same for the encoding that is the usual one. */
const CERTAIN_USUAL = 1.5;

/** Log-likelihood per byte beyond ASCII below which the best reading is no text either, and from how many such bytes on that can be said. */
const NOISE = -5.5;
const NOISE_MULTIBYTE = -4.6;
const ENOUGH = 24;

/**
 * Distinct runs of bytes that hold something beyond ASCII, from parts of a file. They are cut at bytes below 0x30 (spaces, quotes,
 * commas), which are no half of a character in any encoding of the list.
 */
export function samplePieces(parts: Iterable<Uint8Array>): Uint8Array[] {
  const seen = new Set<string>();
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (const bytes of parts) {
    for (let i = 0; i < bytes.length; i++) {
      if (total >= SAMPLE_BYTES) return pieces;
      if ((bytes[i] as number) < 0x80) continue;
      let start = i;
      while (start > 0 && (bytes[start - 1] as number) >= 0x30 && i - start < LONGEST_LEAD) start--;
      while (i < bytes.length && (bytes[i] as number) >= 0x30 && i - start < LONGEST_PIECE) i++;
      const piece = bytes.subarray(start, i);
      const key = String.fromCharCode(...piece);
      if (seen.has(key)) continue;
      seen.add(key);
      pieces.push(piece);
      total += piece.length;
    }
  }
  return pieces;
}

type Script = 'latin' | 'cyrillic' | 'greek' | 'hebrew' | 'arabic' | 'thai' | 'east_asian' | null;

const SCRIPTS: readonly [Exclude<Script, null>, RegExp][] = [
  ['latin', /\p{Script=Latin}/u],
  ['cyrillic', /\p{Script=Cyrillic}/u],
  ['greek', /\p{Script=Greek}/u],
  ['hebrew', /\p{Script=Hebrew}/u],
  ['arabic', /\p{Script=Arabic}/u],
  ['thai', /\p{Script=Thai}/u],
  ['east_asian', /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー]/u],
];

interface Traits {
  script: Script;
  letter: boolean;
  upper: boolean;
  lower: boolean;
  /** Never occurs in text: a control character, an unassigned or a private one. */
  never: boolean;
}

const traitsOf = new Map<string, Traits>();

function traits(character: string): Traits {
  const known = traitsOf.get(character);
  if (known) return known;
  const letter = /[\p{L}\p{M}]/u.test(character);
  const found: Traits = {
    script: letter || character === 'ー' ? (SCRIPTS.find(([, is]) => is.test(character))?.[0] ?? null) : null,
    letter,
    upper: /\p{Lu}/u.test(character),
    lower: /\p{Ll}/u.test(character),
    never: /[\p{Cc}\p{Co}\p{Cn}\uFFFD]/u.test(character) && character >= '\u0080',
  };
  traitsOf.set(character, found);
  return found;
}

const NONE: Traits = { script: null, letter: false, upper: false, lower: false, never: false };

// Natural logarithms of probabilities, rounded: what matters is which of two readings is the more usual.
const NEVER = -14;
const FOREIGN_LETTER = -9;
const MIXED_SCRIPTS = -6;
const WRONG_CASE = -5;
const SYMBOL_IN_WORD = -9;
const SYMBOL = -6;
const SYMBOL_PAIR = -3;
const UNCLOSED = -3;
/** Of a language of which no ASCII word was seen. */
const MIN_SHARE = 0.05;
const CAPITAL = -2;
const NO_VOWEL = -3;
const WRONG_PLACE = -3;
const RARE_HAN = -10;

/** Punctuation of typeset text, by where it stands. */
function punctuation(character: string, before: Traits, after: Traits, digitBeside: boolean): number | null {
  const inside = before.letter && after.letter;
  switch (character) {
    case '’':
      return before.letter ? -1 : -5;
    case '‘':
    case '“':
    case '„':
    case '‚':
    case '«':
    case '‹':
    case '¿':
    case '¡':
      return before.letter ? SYMBOL_IN_WORD : after.letter || digitBeside ? -2 : -4;
    case '”':
    case '»':
    case '›':
      return inside ? SYMBOL_IN_WORD : after.letter ? -3 : -1.5;
    case '–':
    case '—':
      return inside ? -3 : -1.5;
    case '…':
      return after.letter ? -4 : -1.5;
    case '\u00A0':
      return inside ? -3 : -2;
    case '°':
    case 'º':
    case 'ª':
      return digitBeside ? -2 : before.letter ? -5 : -4;
    case '€':
    case '£':
      return before.letter || after.letter ? SYMBOL_IN_WORD : digitBeside ? -1.5 : -4;
    case '§':
    case '©':
    case '®':
    case '•':
    case '·':
    case '×':
    case '±':
      return before.letter || after.letter ? SYMBOL_IN_WORD : -3;
    default:
      return null;
  }
}

/** East Asian marks and full-width forms; only between East Asian characters are they usual. */
const EAST_ASIAN_MARK = /[\u3000-\u3002\u3008-\u3011\u30FB\uFF01-\uFF1F]/;

/** What is collected over all pieces of a sample. */
interface Found {
  /** Letters that a language must vouch for. */
  letters: { character: string; capital: boolean; inside: boolean }[];
  /** Opening quotation marks without a closing one. */
  quotes: number;
}

/** Words in the Latin script, of three letters or more and not all of them ASCII, that nobody could speak. */
function consonantsOnly(piece: string): number {
  const words = piece.match(/\p{Script=Latin}{3,}/gu) ?? [];
  return words.filter((word) => /[^a-z]/i.test(word) && !/[aeiouyæøœıł]/i.test(word.normalize('NFD'))).length;
}

/** What a piece costs whatever its language: case, scripts, symbols. */
function structure(piece: string, found: Found): number {
  const characters = [...piece];
  let score = consonantsOnly(piece) * NO_VOWEL;
  let run = 0; // capitals in a row
  for (let i = 0; i < characters.length; i++) {
    const c = characters[i] as string;
    const own = traits(c);
    const before = i > 0 ? traits(characters[i - 1] as string) : NONE;
    const after = i + 1 < characters.length ? traits(characters[i + 1] as string) : NONE;
    if (own.letter && before.letter) {
      const ascii = c < '\u0080' && (characters[i - 1] as string) < '\u0080';
      if (!ascii) {
        if (own.script !== before.script) score += MIXED_SCRIPTS;
        else if (own.upper && before.lower) score += WRONG_CASE;
        else if (own.lower && run >= 2 && c !== 'ß') score += WRONG_CASE;
      }
    }
    run = own.upper ? run + 1 : own.letter && run > 0 && own.lower ? 0 : own.letter ? run : 0;
    if (c < '\u0080') continue;
    if (own.never) score += NEVER;
    else if (own.letter || c === 'ー')
      found.letters.push({ character: c, capital: own.upper, inside: after.letter });
    else if (EAST_ASIAN_MARK.test(c))
      score += before.script === 'east_asian' || after.script === 'east_asian' ? -3 : RARE_HAN;
    else {
      const digitBeside = /\d/.test(characters[i - 1] ?? '') || /\d/.test(characters[i + 1] ?? '');
      score +=
        punctuation(c, before, after, digitBeside) ??
        (before.letter || after.letter ? SYMBOL_IN_WORD : SYMBOL);
      const next = characters[i + 1];
      if (next !== undefined && next > '\u0080' && !after.letter) score += SYMBOL_PAIR;
      if ('„«‚‹“‘'.includes(c)) found.quotes++;
      if ('”»›’“'.includes(c)) found.quotes--;
    }
  }
  return score;
}

const frequencies = new Map<Language, Map<string, number>>();

/** Log-probabilities of a language's letters: Zipf's law over their order. */
function frequenciesOf(language: Language): Map<string, number> {
  const known = frequencies.get(language);
  if (known) return known;
  const letters = [...language.letters];
  const weights = letters.map((_, rank) => 1 / (rank + 2));
  const sum = weights.reduce((a, b) => a + b, 0);
  const found = new Map(letters.map((letter, rank) => [letter, Math.log((weights[rank] as number) / sum)]));
  frequencies.set(language, found);
  return found;
}

function letterScore(language: Language, letters: Found['letters']): number {
  const known = frequenciesOf(language);
  let score = 0;
  for (const { character, capital, inside } of letters) {
    if (language.atEnd && inside) score += WRONG_PLACE;
    const own = known.get(character);
    const lower = own ?? known.get(character.toLowerCase());
    if (lower !== undefined) score += own === undefined && capital ? lower + CAPITAL : lower;
    else if (/[\u3400-\u4DBF\uFF61-\uFF9F]/.test(character) || character.length > 1) score += NEVER;
    else if (traits(character).script === 'east_asian') score += RARE_HAN;
    else score += FOREIGN_LETTER;
  }
  return score;
}

/** How far the ASCII words of a text speak for a language: the logarithm of its share of the words that any language claims. */
function wordScores(ascii: string): (language: Language) => number {
  const languages = new Set(ENCODINGS.flatMap((entry) => entry.languages));
  const hits = new Map<Language, number>();
  let total = 0;
  for (const [word] of ascii.toLowerCase().matchAll(/[a-z]{2,}/g)) {
    const claiming = [...languages].filter((language) => language.words.has(word));
    for (const language of claiming) {
      hits.set(language, (hits.get(language) ?? 0) + 1 / claiming.length);
      total += 1 / claiming.length;
    }
  }
  // Two words more for nobody: a single “de” decides nothing.
  return (language) => Math.log((hits.get(language) ?? 0) / (total + 2) + MIN_SHARE);
}

/** Scores pieces as read in one encoding. */
function scoreOf(
  entry: TextEncodingEntry,
  words: readonly string[],
  wordScore: (language: Language) => number,
): number {
  const found: Found = { letters: [], quotes: 0 };
  let score = entry.rarity;
  for (const word of words) score += structure(word, found);
  score += Math.max(0, found.quotes) * UNCLOSED;
  return (
    score +
    Math.max(...entry.languages.map((language) => letterScore(language, found.letters) + wordScore(language)))
  );
}

/** UTF-8 as one more candidate, in any language. */
const UTF_8: TextEncodingEntry = {
  label: 'utf-8',
  name: 'UTF-8',
  languages: [...new Set(ENCODINGS.flatMap((entry) => entry.languages))],
  rarity: 0,
};

/**
 * Whether pieces that are no sound UTF-8 read better as broken UTF-8 than in any older encoding.
 * @param ascii as of `guessEncoding`
 */
export function readsAsUtf8(pieces: readonly Uint8Array[], guess: Guess, ascii: string): boolean {
  const decoder = new TextDecoder();
  const words = pieces.map((piece) => decoder.decode(piece));
  return scoreOf(UTF_8, words, wordScores(ascii)) > (guess.candidates[0] as Candidate).score;
}

/**
 * Scores every encoding of the list that has languages.
 * @param pieces of `samplePieces`
 * @param ascii some of the text around them, where only what is ASCII counts
 */
export function guessEncoding(pieces: readonly Uint8Array[], ascii: string): Guess {
  const wordScore = wordScores(ascii);
  const scored: Candidate[] = [];
  for (const entry of ENCODINGS) {
    if (entry.languages.length === 0) continue;
    const words = pieces.map((piece) => decodeAs(entry, piece));
    scored.push({ entry, score: scoreOf(entry, words, wordScore), words });
  }
  scored.sort((a, b) => b.score - a.score);
  const readings = new Set<string>();
  const candidates = scored.filter(({ words }) => {
    const reading = words.join('\n');
    if (readings.has(reading)) return false;
    readings.add(reading);
    return true;
  });
  const [best, next] = candidates as [Candidate, Candidate | undefined];
  const beyondAscii = pieces.reduce((sum, piece) => sum + piece.filter((byte) => byte >= 0x80).length, 0);
  const readable =
    beyondAscii < ENOUGH || best.score >= (best.entry.multibyte ? NOISE_MULTIBYTE : NOISE) * beyondAscii;
  const distance = best.entry.rarity === 0 ? CERTAIN_USUAL : CERTAIN;
  return { candidates, certain: readable && (next === undefined || best.score - next.score >= distance) };
}
