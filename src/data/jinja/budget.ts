// How much work a template may do: steps, loops and text, so that an endless one is refused and not waited for.
// Not here: what the work is (render.ts).

import { isDict, isList, TemplateError, Tuple, type Value } from './values';

/** A template did more work than any real one does for such a conversation. */
export class EndlessTemplate extends TemplateError {}

/** Jinja's own limit for `range` in its sandbox, which transformers uses. */
const LONGEST_RANGE = 100_000;

/** What a number of a range costs beside a character of a text: it is made, weighed and walked. */
const COUNTED = 20;

/** What an item of a list costs beside a character of a text: some 5 ns. */
const ITEM = 5;

/**
 * A template of the kinds in use takes some 100 steps a message. A hundred times that is allowed, and text of many times the size of the
 * conversation, so that no real template meets a limit; for a short conversation all of it is used up within half a second.
 */
export class Budget {
  #steps: number;
  /** Characters and list items that may still be made or read. */
  #work: number;
  /** Of one text, or of a list with all that lies in it. */
  readonly #largest: number;
  readonly #weights = new WeakMap<object, number>();

  /**
   * @param messages of the conversation
   * @param characters in it
   */
  constructor(messages: number, characters: number) {
    this.#steps = 200_000 + 10_000 * messages + 4 * characters;
    this.#largest = 500_000 + 16 * characters;
    this.#work = 50_000_000 + 200 * characters;
  }

  /** One more part of the template is evaluated. @throws EndlessTemplate */
  step(): void {
    if (this.#steps-- <= 0) {
      throw new EndlessTemplate('it was still at work after a hundred times the steps of a real template');
    }
  }

  /** A text or list of this length is about to be made. @throws EndlessTemplate */
  make(length: number): void {
    if (length > this.#largest) throw new EndlessTemplate(OUT_OF_PROPORTION);
    this.#spend(length);
  }

  /** A value has been made; with all that lies in it, it must not be too large to be printed. @throws EndlessTemplate */
  made(value: Value): void {
    if (this.#weight(value) > this.#largest) throw new EndlessTemplate(OUT_OF_PROPORTION);
  }

  /** All of a value is about to be read: searched, compared or printed. @throws EndlessTemplate */
  read(value: Value): void {
    this.#spend(this.#weight(value));
  }

  /** The items of a value are about to be gone through, not what lies in them. @throws EndlessTemplate */
  walk(value: Value): void {
    if (typeof value === 'string') this.#spend(value.length);
    else if (isList(value)) this.#spend(ITEM * value.length);
    else if (isDict(value)) this.#spend(ITEM * value.size);
    else if (value instanceof Tuple) this.#spend(ITEM * value.items.length);
  }

  join(parts: readonly string[], separator: string): string {
    let length = Math.max(0, parts.length - 1) * separator.length;
    for (const part of parts) length += part.length;
    this.make(length);
    return parts.join(separator);
  }

  /** `range(start, stop, step)`. @throws TemplateError */
  range(start: number, stop: number, step: number): number[] {
    if (step === 0) throw new TemplateError('a range with a step of 0 never ends');
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (length > LONGEST_RANGE) {
      throw new EndlessTemplate(
        `it counts through a range of ${length.toLocaleString('en')}, and ${LONGEST_RANGE.toLocaleString('en')} is the limit`,
      );
    }
    this.make(length);
    this.#spend(COUNTED * length);
    const counted = new Array<number>(length);
    for (let i = 0; i < length; i++) counted[i] = start + i * step;
    return counted;
  }

  #spend(work: number): void {
    this.#work -= work;
    if (this.#work < 0) throw new EndlessTemplate(OUT_OF_PROPORTION);
  }

  /** Characters of a text; of a list or dictionary, the sum over what lies in it. One list in another counts each time. */
  #weight(value: Value): number {
    if (typeof value === 'string') return value.length;
    if (typeof value !== 'object' || value === null) return 1;
    const known = this.#weights.get(value);
    if (known !== undefined) return known;
    let weight = 1;
    if (isDict(value)) for (const [key, item] of value) weight += this.#weight(key) + this.#weight(item);
    const list = value instanceof Tuple ? value.items : value;
    if (isList(list)) for (const item of list) weight += this.#weight(item);
    this.#spend(isList(list) ? list.length : 1);
    this.#weights.set(value, weight);
    return weight;
  }
}

const OUT_OF_PROPORTION = 'it makes text out of all proportion to the conversation';
