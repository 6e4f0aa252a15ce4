// JSON that other programs and hands write slightly wrong, turned into JSON where its meaning is certain: the text, and every change made.
// Not here: pointing at what cannot be mended (jsonText.ts), what a row means (rows.ts).

import { MAX_DEPTH } from './jsonText';

/** What was changed. Each is certain: no other reading of the text gives whole JSON. */
export type JsonMend =
  | 'trailing_comma'
  | 'missing_comma'
  | 'comments'
  | 'single_quotes'
  | 'curly_quotes'
  | 'unquoted_keys'
  | 'python_words'
  | 'escapes'
  | 'control_characters';

/** One JSON value of the text. */
export interface MendedValue {
  /** Sound JSON. */
  text: string;
  /** Offset into the original text of an offset into `text`. */
  origin(offset: number): number;
}

export interface MendedJson {
  /** In the order they stand; more than one where several rows share a line. */
  values: MendedValue[];
  /** Kinds of change; empty where only several values stood in the text. */
  mends: ReadonlySet<JsonMend>;
  /** Where each change is, as an offset into the original text, in no order. */
  places: readonly { kind: JsonMend; at: number }[];
}

/** Words that other languages write for a value, and what JSON writes. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['None', 'null'],
  ['True', 'true'],
  ['False', 'false'],
  ['NaN', 'null'],
  ['nan', 'null'],
  ['Infinity', 'null'],
  ['undefined', 'null'],
]);

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/uy;
const WORD = /-?[\p{L}_$][\p{L}\p{N}_$]*/uy;
/** Up to the next quote, backslash or control character. */
const PLAIN = /[^"'“”„«»\\\p{Cc}]+/uy;

/** Thrown where the text is not certain; never leaves this file. */
class Uncertain extends Error {}

const OPENING: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '“': '”',
  '”': '”',
  '„': '“',
  '«': '»',
};

class Mender {
  #at = 0;
  #depth = 0;
  #out = '';
  /** Pairs: offset into the output, offset into the text. Between two of them both run alike. */
  #origins: number[] = [];
  places: { kind: JsonMend; at: number }[] = [];
  readonly values: MendedValue[] = [];

  constructor(readonly text: string) {}

  run(): void {
    this.#skip();
    while (this.#at < this.text.length) {
      this.#out = '';
      this.#origins = [];
      this.#value();
      const { origins, text } = { origins: this.#origins, text: this.#out };
      this.values.push({ text, origin: (offset) => originOf(origins, offset) });
      this.#skip();
      if (this.#peek() === ',') {
        this.#at++;
        this.#mended('trailing_comma');
        this.#skip();
      }
    }
    if (this.values.length === 0) throw new Uncertain();
    // A comma between two rows on a line is no trailing one, and is reported with their number.
    if (this.values.length > 1) this.places = this.places.filter(({ kind }) => kind !== 'trailing_comma');
  }

  #mended(kind: JsonMend): void {
    this.places.push({ kind, at: this.#at });
  }

  #peek(): string {
    return this.text[this.#at] ?? '';
  }

  /** Copies what is right as it stands. */
  #keep(length: number): void {
    this.#write(this.text.slice(this.#at, this.#at + length), length);
  }

  /** Writes `written` in the place of the next `length` characters. */
  #write(written: string, length: number): void {
    this.#origins.push(this.#out.length, this.#at);
    this.#out += written;
    this.#at += length;
  }

  /** White space and comments. Inside a value the white space is kept. */
  #skip(): void {
    for (;;) {
      const c = this.#peek();
      const two = this.text.slice(this.#at, this.#at + 2);
      if (this.#depth > 0 && c !== '' && ' \t\n\r'.includes(c)) this.#keep(1);
      else if (c !== '' && /\s/.test(c)) this.#at++;
      else if (c === '#' || two === '//') {
        const end = this.text.slice(this.#at).search(/[\r\n]/);
        this.#mended('comments');
        this.#at = end < 0 ? this.text.length : this.#at + end;
      } else if (two === '/*') {
        const end = this.text.indexOf('*/', this.#at + 2);
        if (end < 0) throw new Uncertain();
        this.#mended('comments');
        this.#at = end + 2;
      } else return;
    }
  }

  #value(): void {
    const c = this.#peek();
    if (c === '{') this.#object();
    else if (c === '[') this.#array();
    else if (c in OPENING) this.#string();
    else this.#literal();
  }

  #enter(): void {
    if (++this.#depth > MAX_DEPTH) throw new Uncertain();
    this.#keep(1);
    this.#skip();
  }

  #leave(): void {
    this.#keep(1);
    this.#depth--;
  }

  /** After a member: true where the closing bracket stands. A comma right before it is dropped. */
  #closes(bracket: string): boolean {
    this.#skip();
    if (this.#peek() === bracket) return true;
    // Two objects in a list, as numpy prints them: nothing but a comma can stand between them.
    if (bracket === ']' && this.#peek() === '{' && this.#out.trimEnd().endsWith('}')) {
      this.#mended('missing_comma');
      this.#write(',', 0);
      return false;
    }
    if (this.#peek() !== ',') throw new Uncertain();
    const [written, known, comma] = [this.#out.length, this.#origins.length, this.#at];
    this.#write(',', 1);
    this.#skip();
    if (this.#peek() !== bracket) return false;
    this.places.push({ kind: 'trailing_comma', at: comma });
    // The comma is taken back, the white space behind it stays.
    this.#out = this.#out.slice(0, written) + this.#out.slice(written + 1);
    for (let i = known + 2; i < this.#origins.length; i += 2)
      this.#origins[i] = (this.#origins[i] as number) - 1;
    this.#origins.splice(known, 2);
    return true;
  }

  #object(): void {
    this.#enter();
    if (this.#peek() !== '}') {
      do {
        this.#key();
        this.#skip();
        if (this.#peek() !== ':') throw new Uncertain();
        this.#keep(1);
        this.#skip();
        this.#value();
      } while (!this.#closes('}'));
    }
    this.#leave();
  }

  #array(): void {
    this.#enter();
    if (this.#peek() !== ']') {
      do this.#value();
      while (!this.#closes(']'));
    }
    this.#leave();
  }

  #key(): void {
    if (this.#peek() in OPENING) {
      this.#string();
      return;
    }
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.text)?.[0];
    if (word === undefined || word.startsWith('-')) throw new Uncertain();
    this.#mended('unquoted_keys');
    this.#write('"', 0);
    this.#keep(word.length);
    this.#write('"', 0);
  }

  #literal(): void {
    NUMBER.lastIndex = this.#at;
    const number = NUMBER.exec(this.text)?.[0];
    if (number !== undefined) {
      this.#keep(number.length);
      // 01, 1.2.3, 5kg: not a number after all.
      if (/[\w.]/.test(this.#peek())) throw new Uncertain();
      return;
    }
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.text)?.[0] ?? '';
    if (word === 'true' || word === 'false' || word === 'null') {
      this.#keep(word.length);
      return;
    }
    const meant = WORDS.get(word.replace(/^-(?=Infinity$|inf$)/, ''));
    if (meant === undefined) throw new Uncertain();
    this.#mended('python_words');
    this.#write(meant, word.length);
  }

  /** A string in any quotes, written in straight double ones. It ends at its first closing quote, or the text is not certain. */
  #string(): void {
    const open = this.#peek();
    const close = OPENING[open] as string;
    if (open === "'") this.#mended('single_quotes');
    else if (open !== '"') this.#mended('curly_quotes');
    this.#write('"', 1);
    for (;;) {
      PLAIN.lastIndex = this.#at;
      const plain = PLAIN.exec(this.text)?.[0];
      if (plain !== undefined) this.#keep(plain.length);
      const c = this.#peek();
      if (c === '') throw new Uncertain();
      if (c === close) break;
      if (c === '\\') this.#escape();
      else if (c === '"') this.#write('\\"', 1);
      // One more opening quote inside: which of the next ones closes the string cannot be determined.
      else if (c === open) throw new Uncertain();
      else if (c < ' ') {
        this.#mended('control_characters');
        this.#write(JSON.stringify(c).slice(1, -1), 1);
      } else this.#keep(1);
    }
    this.#write('"', 1);
    // What follows a string is never a letter: the quote was an apostrophe, or one inside the text.
    const rest = /^\s*(.?)/.exec(this.text.slice(this.#at, this.#at + 200))?.[1] ?? '';
    if (rest !== '' && !',:}]/#'.includes(rest)) throw new Uncertain();
  }

  #escape(): void {
    const next = this.text[this.#at + 1] ?? '';
    const ahead = this.text.slice(this.#at + 2, this.#at + 10);
    if (next !== '' && '"\\/bfnrt'.includes(next)) this.#keep(2);
    else if (next === 'u' && /^[0-9a-fA-F]{4}/.test(ahead)) this.#keep(6);
    else if (next === "'" || next === '“' || next === '”') this.#mendEscape(next, 2);
    else if (next === 'x' && /^[0-9a-fA-F]{2}/.test(ahead)) {
      this.#mendEscape(String.fromCharCode(Number.parseInt(ahead.slice(0, 2), 16)), 4);
    } else if (next === 'U' && /^00(0[0-9a-fA-F]|10)[0-9a-fA-F]{4}/.test(ahead)) {
      this.#mendEscape(String.fromCodePoint(Number.parseInt(ahead, 16)), 10);
    } else throw new Uncertain();
  }

  #mendEscape(character: string, length: number): void {
    if (length > 2) this.#mended('escapes');
    this.#write(JSON.stringify(character).slice(1, -1), length);
  }
}

const ASSIGNED =
  /^\s*(?:export\s+default\s+|module\.exports\s*=\s*|(?:(?:const|let|var)\s+)?[\p{L}_$][\p{L}\p{N}_$]*\s*=\s*)(?=[[{])/u;

/**
 * The value of a file that is one assignment in JavaScript or Python, `const rows = [ … ];`. What stands around it becomes spaces, so that
 * every place stays. Null where the text is anything else.
 */
export function assignedValue(text: string): { value: string; around: string } | null {
  const around = ASSIGNED.exec(text)?.[0];
  if (around === undefined) return null;
  const blank = around.replaceAll(/\S/g, ' ');
  const value = blank + text.slice(around.length).replace(/;(\s*)$/, ' $1');
  return (mendJson(value)?.values.length ?? 0) === 1 ? { value, around: around.trim() } : null;
}

function originOf(origins: readonly number[], offset: number): number {
  let low = 0;
  let high = origins.length / 2 - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((origins[2 * middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return (origins[2 * low + 1] ?? 0) + offset - (origins[2 * low] ?? 0);
}

/**
 * Reads text that `JSON.parse` refuses: comments, trailing commas, single and curly quotes, keys without quotes, the words of Python and
 * JavaScript for null, true and false, Python's escapes, raw control characters in strings, several values one after the other.
 * Null where the meaning is not certain: a quote that is not escaped, a missing comma or bracket, a text that is cut off.
 */
export function mendJson(text: string): MendedJson | null {
  const mender = new Mender(text);
  try {
    mender.run();
  } catch (thrown) {
    if (thrown instanceof Uncertain) return null;
    throw thrown;
  }
  const { values, places } = mender;
  return { values, places, mends: new Set(places.map(({ kind }) => kind)) };
}
