// Seeded draws for hostile files: numbers, odd texts and values, mutations of JSON values and of bytes.
// Not here: the sound files that are mutated (seedFiles.ts), what reads the result (targets.ts).

import { createRandom } from '../../src/data/random';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Draws from one seed. */
export class Draw {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    // Neighbouring seeds begin alike.
    for (let i = 0; i < 8; i++) this.#random();
  }

  /** A whole number from 0 to `below` - 1. */
  int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  /** Small numbers mostly, large ones now and then. */
  size(most: number): number {
    return Math.floor(most ** this.#random());
  }

  /** One of the functions, called. */
  oneOf<T>(...make: (() => T)[]): T {
    return this.pick(make)();
  }
}

/** Names that objects have without being given them, and such as mean something to a browser or a shell. */
const NAMES = [
  'constructor',
  '__proto__',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
  'then',
  'length',
  '',
  ' ',
  '../../x',
  'CON',
  '<img src=x onerror=alert(1)>',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a hostile text
  '${x}',
  '{{ x }}',
  '%s%n',
  '=1+1',
  '\u202Eevil',
  '\u0000',
  '\uFEFF',
  '\uD800',
  'e\u0301'.repeat(30),
  '👩‍👩‍👧‍👦'.repeat(20),
];

const UNITS = ['a', ' ', '\n', '\\', '"', '\t', 'ab ', 'é', '<|im_end|>', '{{', '(', '\u200b', '\uD83D', ','];

export const name = (draw: Draw): string => draw.pick(NAMES);

/** A text: a name, a run of one unit, or units in any order; up to a million characters. */
export function text(draw: Draw, most = 1_000_000): string {
  return draw.oneOf(
    () => name(draw),
    () => {
      const unit = draw.pick(UNITS);
      return unit.repeat(Math.ceil(draw.size(most) / unit.length));
    },
    () => Array.from({ length: draw.size(200) }, () => draw.pick(UNITS)).join(''),
    () => String.fromCharCode(...Array.from({ length: draw.size(60) }, () => draw.int(0x10000))),
  );
}

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  1.5,
  2,
  3,
  7,
  64,
  1e-320,
  -1e-9,
  1e3,
  1e5,
  65_536,
  1e8,
  1e12,
  1e21,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 31 - 1,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
  4_294_967_295,
];

export const number = (draw: Draw): number => draw.pick(NUMBERS);

function nested(depth: number, inList: boolean): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = inList ? [value] : { a: value };
  return value;
}

/** Any JSON value. */
export function value(draw: Draw, depth = 3): Json {
  return draw.oneOf<Json>(
    () => null,
    () => draw.chance(0.5),
    () => number(draw),
    () => number(draw),
    () => text(draw, draw.chance(0.1) ? 1_000_000 : 300),
    () => (depth > 0 ? Array.from({ length: draw.size(20) }, () => value(draw, depth - 1)) : []),
    () =>
      depth > 0
        ? Object.fromEntries(Array.from({ length: draw.size(8) }, () => [name(draw), value(draw, depth - 1)]))
        : {},
    () => (draw.chance(0.1) ? nested(draw.size(3000), draw.chance(0.5)) : []),
    () => (draw.chance(0.1) ? Array<Json>(draw.size(200_000)).fill(draw.pick<Json>([0, '', null])) : []),
  );
}

type Container = Json[] | { [key: string]: Json };
const isContainer = (json: Json): json is Container => typeof json === 'object' && json !== null;

/** Every container with its keys; of large ones the first keys. */
function places(json: Json, found: [Container, string][] = [], depth = 0): [Container, string][] {
  if (!isContainer(json) || depth > 12) return found;
  for (const key of Object.keys(json).slice(0, 40)) {
    found.push([json, key]);
    places((json as Record<string, Json>)[key] as Json, found, depth + 1);
  }
  return found;
}

/** Own properties only: `__proto__` becomes a key like any other, as JSON.parse makes it. */
function put(at: Container, key: string, given: Json): void {
  if (Array.isArray(at) && /^\d+$/.test(key)) at[Number(key)] = given;
  else Object.defineProperty(at, key, { value: given, enumerable: true, configurable: true, writable: true });
}

/** Changes a value in one to three places: removed, replaced, renamed, repeated, wrapped, exchanged. */
export function mutateJson(json: Json, draw: Draw): Json {
  let changed = structuredClone(json);
  for (let n = 1 + draw.int(3); n > 0; n--) {
    const all = places(changed);
    if (all.length === 0) return value(draw);
    // Keys near the top are as likely as the many below.
    const near = all.filter(([at]) => at === changed);
    const [at, key] = draw.pick(draw.chance(0.5) ? near : all);
    const old = (at as Record<string, Json>)[key] as Json;
    draw.oneOf(
      () => put(at, key, value(draw)),
      () => put(at, key, value(draw)),
      () =>
        put(
          at,
          key,
          typeof old === 'number' ? number(draw) : typeof old === 'string' ? text(draw) : value(draw),
        ),
      () =>
        put(
          at,
          key,
          typeof old === 'number' ? old + draw.pick([-1, 1, 0.5]) : JSON.stringify(old).slice(0, 100),
        ),
      () => {
        if (Array.isArray(at)) at.splice(Number(key), 1);
        else delete at[key];
      },
      () => {
        const other = draw.chance(0.5) ? name(draw) : text(draw);
        if (Array.isArray(at)) at.push(old);
        else put(at, other, old);
      },
      () => {
        if (!Array.isArray(at)) return;
        const times = draw.size(draw.chance(0.1) ? 200_000 : 300);
        for (let i = 0; i < times; i++) at.push(old);
      },
      () => put(at, key, draw.chance(0.5) ? [old] : { [name(draw)]: old }),
      () => {
        const [otherAt, otherKey] = draw.pick(all);
        put(at, key, structuredClone((otherAt as Record<string, Json>)[otherKey] as Json) ?? null);
      },
      () => {
        changed = draw.chance(0.2) ? value(draw) : changed;
      },
    );
    // Two mutations may make a value that contains itself many times over.
    if (JSON.stringify(changed).length > 4_000_000) return changed;
  }
  return changed;
}

const encoder = new TextEncoder();

/** A value as JSON text, odd at times: a key twice, numbers as no writer has them, a mark, comments. */
export function jsonText(json: Json, draw: Draw): Uint8Array {
  const plain = JSON.stringify(json, null, draw.chance(0.3) ? 2 : 0);
  if (draw.chance(0.85)) return encoder.encode(plain);
  const odd = draw.oneOf(
    () => `\uFEFF${plain}`,
    () => plain.replace('{', `{"${draw.pick(NAMES.slice(0, 9))}": 1, "${draw.pick(NAMES.slice(0, 9))}": [],`),
    () =>
      plain.replace(
        /\d+/,
        draw.pick(['1e999', '-0', '1e-999', 'NaN', 'Infinity', '0x10', '1_000', '01', '9'.repeat(400)]),
      ),
    () => plain.replaceAll('"', "'"),
    () => `// x\n${plain}`,
    () => plain + plain,
    () => '['.repeat(draw.size(200_000)),
    () => '{"a":'.repeat(draw.size(100_000)),
    () => `version https://git-lfs.github.com/spec/v1\n${plain}`,
    () => '<!doctype html><title>Not found</title>',
  );
  return encoder.encode(odd);
}

/** Changes bytes in one to four places: flipped, cut, repeated, inserted, zeroed; or leaves nothing. */
export function mutateBytes(bytes: Uint8Array, draw: Draw): Uint8Array {
  let changed = bytes.slice();
  for (let n = 1 + draw.int(4); n > 0; n--) {
    // Headers stand at the start.
    const at = draw.chance(0.4) ? draw.int(Math.min(64, changed.length + 1)) : draw.int(changed.length + 1);
    const length = Math.min(draw.size(400), changed.length - at);
    const join = (...parts: Uint8Array[]) => {
      const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let end = 0;
      for (const part of parts) {
        joined.set(part, end);
        end += part.length;
      }
      return joined;
    };
    changed = draw.oneOf(
      () => {
        if (at < changed.length) changed[at] = (changed[at] as number) ^ (1 << draw.int(8));
        return changed;
      },
      () => {
        if (at < changed.length) changed[at] = draw.pick([0, 0x7f, 0x80, 0xff, 0x22, 0x5c, 0x0a, 0x7b]);
        return changed;
      },
      () => changed.slice(0, at),
      () => join(changed.subarray(0, at), changed.subarray(at + length)),
      () => join(changed.subarray(0, at + length), changed.subarray(at)),
      () => join(changed.subarray(0, at), encoder.encode(text(draw, 2000)), changed.subarray(at)),
      () => {
        changed.fill(draw.pick([0, 0xff, 0x20]), at, at + length);
        return changed;
      },
      () => {
        if (changed.length < at + 8) return changed;
        const view = new DataView(changed.buffer, changed.byteOffset);
        view.setBigUint64(at, draw.pick([0n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]), true);
        return changed;
      },
      () => (draw.chance(0.1) ? new Uint8Array() : changed),
    );
  }
  return changed;
}
