// The keys of a row, a message or a part of one, under the names that readers ask for, and which of them nobody asked for.
// Not here: what the keys mean (rowFormats.ts, turns.ts), what is reported of those that are left (fileNotes.ts).

import type { JsonPath } from './jsonText';

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Nothing that a model could have seen: null, an empty text, list or object. */
export function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const plainNames = new Map<string, string>();
/** Names remembered, so that a file of strange keys does not grow the memory. */
const REMEMBERED = 4096;

/** `systemInstruction`, `System Instruction` and `system-instruction` as `system_instruction`. */
export function plainName(key: string): string {
  const known = plainNames.get(key);
  if (known !== undefined) return known;
  const plain = key
    .slice(0, 200)
    .trim()
    .replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, '$1_$2')
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_');
  if (plainNames.size >= REMEMBERED) plainNames.clear();
  plainNames.set(key, plain);
  return plain;
}

export interface Field {
  /** As the file spells it. */
  key: string;
  value: unknown;
  path: JsonPath;
}

export class Fields {
  readonly #keys = new Map<string, string>();
  readonly #used = new Set<string>();

  constructor(
    readonly value: Json,
    readonly path: JsonPath,
  ) {
    for (const key of Object.keys(value)) {
      const plain = plainName(key);
      // The exact spelling goes before “Prompt” and “PROMPT”, which are then left over and reported.
      if (key === plain || !this.#keys.has(plain)) this.#keys.set(plain, key);
    }
  }

  /** The first of these names that the object has, in the order of the names. */
  find(names: readonly string[]): Field | undefined {
    for (const name of names) {
      const key = this.#keys.get(name);
      if (key !== undefined) return { key, value: this.value[key], path: [...this.path, key] };
    }
    return undefined;
  }

  /** The first of these names with something in it; the first without where all are empty. */
  findFilled(names: readonly string[]): Field | undefined {
    const filled = names.filter((name) => {
      const key = this.#keys.get(name);
      return key !== undefined && !isEmpty(this.value[key]);
    });
    return this.find(filled) ?? this.find(names);
  }

  has(...names: string[]): boolean {
    return names.some((name) => this.#keys.has(name));
  }

  hasFilled(...names: string[]): boolean {
    return names.some((name) => {
      const key = this.#keys.get(name);
      return key !== undefined && !isEmpty(this.value[key]);
    });
  }

  /** Its meaning has been used. */
  use(field: Field): Field {
    this.#used.add(field.key);
    return field;
  }

  take(names: readonly string[]): Field | undefined {
    const field = this.find(names);
    return field && this.use(field);
  }

  /** Keys with something in them that no reader used. */
  leftOver(): Field[] {
    return Object.entries(this.value)
      .filter(([key, value]) => !this.#used.has(key) && !isEmpty(value))
      .map(([key, value]) => ({ key, value, path: [...this.path, key] }));
  }
}
