// Special tokens in text: where they are written, and spellings by which a template's own are distinguished from those that a person typed.
// Not here: ids of other text (tokenizer.ts).

/**
 * First character of a guarded special token, from a plane that no script uses. The id follows in digits of the same plane:
 * Unicode's noncharacters would be safer still, but some normalisers drop them.
 */
const GUARD = 0x10f000;

const GUARD_DIGIT = GUARD + 16;
const STAND_IN = GUARD + 1;
const END = GUARD + 2;

/** Two characters that mark a place in a text on its way through a template. */
export const MARKS: readonly [open: string, close: string] = [
  String.fromCodePoint(GUARD + 3),
  String.fromCodePoint(GUARD + 4),
];

function spelling(start: number, id: number): string {
  const digits = [...String(id)].map((digit) => String.fromCodePoint(GUARD_DIGIT + Number(digit)));
  return String.fromCodePoint(start) + digits.join('') + String.fromCodePoint(END);
}

/** The spelling that `guard` writes. */
export const guardedSpelling = (id: number): string => spelling(GUARD, id);

const STAND_INS = /\u{10f001}([\u{10f010}-\u{10f019}]+)\u{10f002}/gu;

function idInStandIn(digits: string): number {
  return Number([...digits].map((digit) => (digit.codePointAt(0) ?? 0) - GUARD_DIGIT).join(''));
}

export interface Found {
  token: string;
  id: number;
  index: number;
}

/** Tokens that begin with the same two characters: which lengths occur, longest first. */
type Beginning = Map<number, readonly number[]>;

export class SpecialTokens {
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #contentOf: ReadonlyMap<number, string>;
  /** By the first character, then by the second; -1 where a token has one only. Thousands of tokens cost no more than a few. */
  readonly #beginnings = new Map<number, Beginning>();

  constructor(tokens: readonly { id: number; content: string }[]) {
    this.#idOf = new Map(tokens.map((t) => [t.content, t.id]));
    this.#contentOf = new Map(tokens.map((t) => [t.id, t.content]));
    const lengths = new Map<number, Map<number, Set<number>>>();
    for (const content of this.#idOf.keys()) {
      const [first, second] = [content.charCodeAt(0), content.length > 1 ? content.charCodeAt(1) : -1];
      const beginning = lengths.get(first) ?? new Map<number, Set<number>>();
      lengths.set(first, beginning.set(second, (beginning.get(second) ?? new Set()).add(content.length)));
    }
    for (const [first, beginning] of lengths) {
      const sorted = [...beginning].map(([second, all]): [number, number[]] => [
        second,
        [...all].sort((a, b) => b - a),
      ]);
      this.#beginnings.set(first, new Map(sorted));
    }
  }

  has(id: number): boolean {
    return this.#contentOf.has(id);
  }

  /** Those written in the text, in order; of two that begin in one place the longer. */
  find(text: string): Found[] {
    const found: Found[] = [];
    if (this.#beginnings.size === 0) return found;
    for (let index = 0; index < text.length; index++) {
      const beginning = this.#beginnings.get(text.charCodeAt(index));
      if (beginning === undefined) continue;
      const token = this.#at(text, index, beginning);
      if (token === null) continue;
      found.push({ token, id: this.#idOf.get(token) as number, index });
      index += token.length - 1;
    }
    return found;
  }

  #at(text: string, index: number, beginning: Beginning): string | null {
    for (const second of [text.charCodeAt(index + 1), -1]) {
      for (const length of beginning.get(second) ?? []) {
        const token = text.slice(index, index + length);
        if (this.#idOf.has(token)) return token;
      }
    }
    return null;
  }

  /** Every special token replaced by a spelling that only `encodeGuarded` knows and nobody types by accident. */
  guard(text: string): string {
    return this.#replaced(text, GUARD);
  }

  /** Every special token replaced by a stand-in that passes through a template unharmed; `reveal` undoes it. */
  hide(text: string): string {
    return this.#replaced(text, STAND_IN);
  }

  reveal(text: string): string {
    return text.replace(
      STAND_INS,
      (whole, digits: string) => this.#contentOf.get(idInStandIn(digits)) ?? whole,
    );
  }

  #replaced(text: string, start: number): string {
    let made = '';
    let from = 0;
    for (const { token, id, index } of this.find(text)) {
      made += text.slice(from, index) + spelling(start, id);
      from = index + token.length;
    }
    return made + text.slice(from);
  }
}
