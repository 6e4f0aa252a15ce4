// JSON as text: where it breaks and why, where a value lies, where an array's elements lie.
// Not here: what the rows mean (rows.ts). JSON.parse reads sound JSON; this file is for pointing at places.

export interface JsonFault {
  /** 0-based offset into the text. */
  offset: number;
  /** The likely cause, as a sentence. */
  message: string;
  fix: string;
}

export type JsonPath = readonly (string | number)[];

/** Deeper nesting than any row has; keeps hostile files from exhausting the stack. */
export const MAX_DEPTH = 200;

/** Whether more than `depth` lists or objects lie inside each other in a value of JSON. */
export function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

/** First → last character of a value of JSON. */
const ENDS: Readonly<Record<string, RegExp>> = { '{': /}/, '[': /]/, '"': /"/ };

/** False where the ends of a text alone say that it is no JSON: an error of `JSON.parse` takes longer than most lines, and many are none. */
function mayBeJson(text: string): boolean {
  const trimmed = text.trim();
  const ends = ENDS[trimmed[0] ?? ''] ?? /[\del]/;
  return trimmed !== '' && ends.test(trimmed.at(-1) as string);
}

/** Null where the text is no sound JSON, or nested deeper than any row is. */
export function parsed(text: string): { value: unknown } | null {
  if (!mayBeJson(text)) return null;
  try {
    const value = JSON.parse(text) as unknown;
    return isDeeper(value, MAX_DEPTH) ? null : { value };
  } catch {
    return null;
  }
}

class Fault extends Error {
  constructor(readonly fault: JsonFault) {
    super(fault.message);
  }
}

const WORDS: ReadonlyMap<string, string> = new Map([
  ['None', 'null'],
  ['True', 'true'],
  ['False', 'false'],
  ['NaN', 'null'],
  ['Infinity', 'null'],
  ['undefined', 'null'],
]);

/** A string without escapes, which is most of them. */
const PLAIN_STRING = /"[^"\\\p{Cc}]*"/uy;

/** A strict JSON reader (RFC 8259) that keeps no values, only its place. */
class Scanner {
  position = 0;
  private depth = 0;
  constructor(
    readonly text: string,
    /** Told of a key that its object has had already. */
    private readonly onRepeated?: (key: string, offset: number) => void,
  ) {}

  fail(message: string, fix: string, offset = this.position): never {
    throw new Fault({ offset, message, fix });
  }

  peek(): string {
    return this.text[this.position] ?? '';
  }

  skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (code !== 32 && code !== 9 && code !== 10 && code !== 13) return;
      this.position++;
    }
  }

  value(): void {
    this.skipSpace();
    const c = this.peek();
    if (c === '{') this.object();
    else if (c === '[') this.array();
    else if (c === '"') this.string();
    else if (c === '-' || (c >= '0' && c <= '9')) this.number();
    else this.word();
  }

  private enter(): void {
    if (++this.depth > MAX_DEPTH) {
      this.fail('The row is nested too deeply.', 'A row needs no more than messages with text.');
    }
  }

  object(onMember?: (key: string, start: number, end: number) => void): void {
    this.position++;
    this.enter();
    const keys = this.onRepeated && new Set<string>();
    for (let first = true; ; first = false) {
      this.skipSpace();
      if (this.peek() === '}') {
        if (!first) this.trailingComma('}');
        break;
      }
      if (this.peek() === '') this.unclosed('{');
      if (this.peek() !== '"') this.strangeKey();
      const keyOffset = this.position;
      const key = this.string();
      this.skipSpace();
      if (this.peek() !== ':') {
        if (this.peek() === '') this.unclosed('{');
        this.fail(`There is no colon after the key ${JSON.stringify(key)}.`, 'Write "key": value.');
      }
      this.position++;
      this.skipSpace();
      if (keys?.has(key)) this.onRepeated?.(key, keyOffset);
      keys?.add(key);
      const start = this.position;
      this.value();
      onMember?.(key, start, this.position);
      if (this.separator('}', '{')) break;
    }
    this.position++;
    this.depth--;
  }

  array(onElement?: (index: number, start: number, end: number) => void): void {
    this.position++;
    this.enter();
    for (let index = 0; ; index++) {
      this.skipSpace();
      if (this.peek() === ']') {
        if (index > 0) this.trailingComma(']');
        break;
      }
      if (this.peek() === '') this.unclosed('[');
      const start = this.position;
      this.value();
      onElement?.(index, start, this.position);
      if (this.separator(']', '[')) break;
    }
    this.position++;
    this.depth--;
  }

  /** After a value: true at the closing bracket, false after a comma. */
  private separator(close: string, openBracket: string): boolean {
    this.skipSpace();
    const c = this.peek();
    if (c === close) return true;
    if (c === ',') {
      this.position++;
      return false;
    }
    if (c === '') this.unclosed(openBracket);
    if (c === '"' || c === '{' || c === '[')
      this.fail('A comma is missing here.', 'Put a comma between the two values.');
    if (c === '}' || c === ']') {
      this.fail(`“${c}” closes a bracket that “${openBracket}” opened.`, `Close it with “${close}”.`);
    }
    if (/[\w’']/.test(c)) {
      this.fail(
        'The string before this ended too early: a quotation mark inside it is not escaped.',
        'Write \\" for a quotation mark inside a string.',
      );
    }
    this.fail(`“${c}” is not expected here.`, `After a value comes a comma or “${close}”.`);
  }

  private trailingComma(close: string): never {
    const comma = this.text.lastIndexOf(',', this.position);
    this.fail(
      `There is a comma before “${close}” with nothing after it.`,
      'Remove the trailing comma.',
      comma,
    );
  }

  private unclosed(bracket: string): never {
    this.fail(
      `The text ends before a “${bracket}” is closed: it is cut off, or the row is spread over several lines.`,
      'Each row must be whole and on one line.',
    );
  }

  private strangeKey(): never {
    const c = this.peek();
    if (c === "'") this.singleQuotes();
    if (c === '“' || c === '”') this.curlyQuotes();
    this.comment();
    if (/[\p{L}_$]/u.test(c))
      this.fail('A key without quotation marks.', 'Write keys in double quotes: "role".');
    this.fail(`“${c}” stands where a key in double quotes should be.`, 'Write "key": value.');
  }

  private singleQuotes(): never {
    this.fail(
      'The text is in single quotes, as in a printed Python dict; JSON wants double quotes.',
      'In Python, write json.dumps(row) instead of str(row). By hand: use " around keys and texts.',
    );
  }

  private curlyQuotes(): never {
    this.fail('Curly quotation marks, as a word processor makes them.', 'Use straight double quotes: ".');
  }

  private comment(): void {
    const two = this.text.slice(this.position, this.position + 2);
    if (two === '//' || two === '/*' || two[0] === '#')
      this.fail('JSON has no comments.', 'Remove the comment.');
  }

  string(): string {
    const open = this.position;
    PLAIN_STRING.lastIndex = open;
    if (PLAIN_STRING.test(this.text)) {
      this.position = PLAIN_STRING.lastIndex;
      return this.text.slice(open + 1, this.position - 1);
    }
    this.position++;
    for (;;) {
      const c = this.peek();
      if (c === '"') {
        this.position++;
        return JSON.parse(this.text.slice(open, this.position)) as string;
      }
      if (c === '') {
        this.fail(
          'The text ends inside a string: it holds a real line break, or it is cut off.',
          'Write \\n for a line break inside a string.',
        );
      }
      if (c < ' ') {
        const name = c === '\t' ? 'tab' : c === '\n' || c === '\r' ? 'line break' : 'control character';
        const escaped = JSON.stringify(c).slice(1, -1);
        this.fail(`A raw ${name} inside a string.`, `Write ${escaped} instead.`);
      }
      if (c === '\\') {
        const next = this.text[this.position + 1] ?? '';
        const sound =
          next === 'u'
            ? /^[0-9a-fA-F]{4}/.test(this.text.slice(this.position + 2))
            : '"\\/bfnrt'.includes(next);
        if (next !== '' && !sound) {
          this.fail(`“\\${next}” is not an escape that JSON knows.`, 'Write \\\\ for a backslash.');
        }
        // A backslash can be the very last character.
        if (next !== '') this.position++;
      }
      this.position++;
    }
  }

  private number(): void {
    const match = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/.exec(
      this.text.slice(this.position, this.position + 400),
    );
    if (!match) this.fail('This is not a number as JSON writes it.', 'Write numbers like 1, -2.5 or 3e8.');
    this.position += match[0].length;
    if (/[\w.]/.test(this.peek()))
      this.fail(
        'This is not a number as JSON writes it.',
        'Write numbers like 1, -2.5 or 3e8; text needs quotes.',
      );
  }

  private word(): void {
    const c = this.peek();
    if (c === '') this.fail('A value is missing at the end.', 'Each row must be whole and on one line.');
    if (c === "'") this.singleQuotes();
    if (c === '“' || c === '”') this.curlyQuotes();
    this.comment();
    const word =
      /^[\p{L}_$][\p{L}\p{N}_$]*/u.exec(this.text.slice(this.position, this.position + 60))?.[0] ?? '';
    if (word === 'true' || word === 'false' || word === 'null') {
      this.position += word.length;
      return;
    }
    const meant = WORDS.get(word);
    if (meant !== undefined) this.fail(`“${word}” is not JSON.`, `Write ${meant}.`);
    if (c === ',' || c === '}' || c === ']')
      this.fail('A value is missing before this.', 'Put a value here, or remove the key or the comma.');
    this.fail(
      word ? `The text “${word}” is not in quotation marks.` : `“${c}” cannot start a value.`,
      'Put text in double quotes.',
    );
  }
}

/** The first place where the text stops being JSON, with the likely cause; null when it is sound. */
export function findJsonFault(text: string): JsonFault | null {
  const scanner = new Scanner(text);
  try {
    scanner.skipSpace();
    const start = scanner.peek();
    if (start !== '{' && start !== '[' && start !== '"' && !/^[-\d'“tfn]/.test(start)) {
      scanner.fail('This line is not JSON.', 'Each line must be one object such as {"messages": [ … ]}.');
    }
    scanner.value();
    scanner.skipSpace();
    if (scanner.position < text.length) {
      const rest = scanner.peek();
      if (rest === '{' || rest === '[')
        scanner.fail('A second row starts on the same line.', 'Put each row on a line of its own.');
      if (rest === ',')
        scanner.fail('There is a comma after the row.', 'Lines of a JSONL file end without a comma.');
      scanner.fail('There is text after the end of the row.', 'Remove what follows the closing bracket.');
    }
    return null;
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.fault;
    throw thrown;
  }
}

/** Keys of all objects within a parsed value; without end where it is nested more deeply than any row. */
function keyCount(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > MAX_DEPTH) return Number.POSITIVE_INFINITY;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const inner of Object.values(value)) count += keyCount(inner, depth + 1);
  return count;
}

/**
 * Keys that stand twice in one object of sound JSON, of which parsers keep the last, and where the later one stands.
 * @param value what the text parses to
 */
export function repeatedKeys(text: string, value: unknown): { key: string; offset: number }[] {
  // A quote and a colon for each key, and more only where texts hold them too: most rows are settled by counting.
  const colons = text.match(/"\s*:/g)?.length ?? 0;
  if (colons <= keyCount(value)) return [];
  const found: { key: string; offset: number }[] = [];
  new Scanner(text, (key, offset) => found.push({ key, offset })).value();
  return found;
}

/** Where the elements of the list at a path of sound JSON stand, or the members of the object there; none where there is neither. */
export function childSpans(
  text: string,
  path: JsonPath,
): { key: string | number; start: number; end: number }[] {
  const scanner = new Scanner(text);
  scanner.position = locate(text, path);
  const children: { key: string | number; start: number; end: number }[] = [];
  const add = (key: string | number, start: number, end: number) => {
    children.push({ key, start, end });
  };
  if (scanner.peek() === '[') scanner.array(add);
  else if (scanner.peek() === '{') scanner.object(add);
  return children;
}

/** Where the value at a path of sound JSON stands; null where there is none. Of a key that stands twice, the last one counts. */
export function findSpan(text: string, path: JsonPath): { start: number; end: number } | null {
  const scanner = new Scanner(text);
  scanner.skipSpace();
  let found = { start: scanner.position, end: text.trimEnd().length };
  for (const step of path) {
    const inner = new Scanner(text);
    inner.position = found.start;
    let hit: { start: number; end: number } | null = null;
    const take = (key: string | number, start: number, end: number) => {
      if (key === step) hit = { start, end };
    };
    if (inner.peek() === '{') inner.object(take);
    else if (inner.peek() === '[') inner.array(take);
    if (!hit) return null;
    found = hit;
  }
  return found;
}

/** Offset of the value at a path in sound JSON; of the deepest part of the path that exists. */
export function locate(text: string, path: JsonPath): number {
  const scanner = new Scanner(text);
  scanner.skipSpace();
  let found = scanner.position;
  const descend = (rest: JsonPath): void => {
    const [step, ...deeper] = rest;
    if (step === undefined) return;
    const start = found;
    const inner = new Scanner(text);
    inner.position = start;
    let hit = -1;
    if (typeof step === 'string' && inner.peek() === '{') {
      inner.object((key, valueStart) => {
        if (key === step) hit = valueStart;
      });
    } else if (typeof step === 'number' && inner.peek() === '[') {
      inner.array((index, valueStart) => {
        if (index === step) hit = valueStart;
      });
    }
    if (hit < 0) return;
    found = hit;
    descend(deeper);
  };
  try {
    descend(path);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
  }
  return found;
}

/** An element of a list, and where it is in the file. */
export interface ListElement {
  text: string;
  /** Offset into all that was pushed. */
  start: number;
  end: number;
  line: number;
  column: number;
}

/**
 * The elements of a list that comes in pieces, told by brackets and quotes only, so that a broken element does not hide the others.
 * One pass over the characters; holds the element that is open.
 */
export class ListScanner {
  /** The bracket of the list has been closed. */
  closed = false;
  /** Something follows the closed list. */
  broken = false;
  /** Line of a comma with nothing but the closing bracket behind it; 0 without one. */
  trailingComma = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Of the element that is open; empty between elements. */
  #open: string[] = [];
  #start = { start: 0, line: 1, column: 1 };
  /** Characters of earlier pieces. */
  #before = 0;
  #line = 1;
  #column = 1;
  #comma = 0;

  /** Elements that end in this piece. */
  push(text: string): ListElement[] {
    const elements: ListElement[] = [];
    let from = -1;
    if (this.#open.length > 0) from = 0;
    const end = (i: number) => {
      if (from < 0) return;
      this.#open.push(text.slice(from, i));
      const element = this.#open.join('');
      const trimmed = element.trimEnd();
      elements.push({ text: trimmed, ...this.#start, end: this.#start.start + trimmed.length });
      this.#open = [];
      from = -1;
    };
    for (let i = 0; i < text.length; i++) {
      const c = text[i] as string;
      const space = c === ' ' || c === '\n' || c === '\r' || c === '\t' || c.trim() === '';
      if (this.closed && !space) this.broken = true;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (c === '\\') this.#escaped = true;
        else if (c === '"') this.#inString = false;
      } else if (this.#depth === 0) {
        if (c === '[') this.#depth = 1;
      } else {
        const closes = this.#depth === 1 && c === ']';
        const separates = this.#depth === 1 && c === ',';
        if (from < 0 && !space && !closes && !separates) {
          from = i;
          this.#start = { start: this.#before + i, line: this.#line, column: this.#column };
          this.#comma = 0;
        }
        if (closes || separates) end(i);
        if (separates) this.#comma = this.#line;
        if (closes) {
          this.closed = true;
          this.trailingComma = this.#comma;
        }
        if (c === '"') this.#inString = true;
        else if (c === '{' || c === '[') this.#depth++;
        else if (c === '}' || c === ']') this.#depth--;
      }
      if (c === '\n') {
        this.#line++;
        this.#column = 1;
      } else this.#column++;
    }
    if (from >= 0) this.#open.push(text.slice(from));
    this.#before += text.length;
    return elements;
  }
}

/**
 * Elements of the list that is the whole text, and the line of a comma with nothing behind it (0 without one). Null when the brackets
 * never come out even, or something follows.
 */
export function arrayElements(text: string): { elements: ListElement[]; trailingComma: number } | null {
  const scanner = new ListScanner();
  const elements = scanner.push(text);
  return scanner.closed && !scanner.broken ? { elements, trailingComma: scanner.trailingComma } : null;
}
