// What a chat template computes with: Python's values in JavaScript, and how Python compares, prints and serialises them.
// Not here: methods of strings (strings.ts), filters and tests (filters.ts), evaluating a template (render.ts).

/** A float, kept apart from an integer: Python prints 1.0 and 1 differently. */
export class Float {
  constructor(readonly value: number) {}
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** What a missing name or key gives: false, empty, prints as nothing; anything else done with it is an error. */
export class Undefined {
  constructor(readonly name: string) {}
}

/** `namespace(...)`: the one thing whose attributes a template may set. */
export class Namespace {
  constructor(readonly attributes: Map<string, Value>) {}
}

export type Callable = (args: readonly Value[], keywords: ReadonlyMap<string, Value>) => Value;

/** Dictionaries are Maps, lists are arrays, `None` is null, integers are numbers. */
export type Value =
  | string
  | number
  | boolean
  | null
  | Float
  | Tuple
  | Undefined
  | Namespace
  | Callable
  | readonly Value[]
  | Dict;

export type Dict = ReadonlyMap<Value, Value>;

/** Something that Jinja refuses, in words for the person who reads about it. */
export class TemplateError extends Error {}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);
export const isDict = (value: Value): value is Dict => value instanceof Map;

/** JSON as values. Whole numbers are integers, as JSON of JavaScript does not tell 1.0 from 1. */
export function toValue(json: unknown): Value {
  if (json === null || json === undefined) return null;
  if (typeof json === 'string' || typeof json === 'boolean') return json;
  if (typeof json === 'number') return Number.isInteger(json) ? json : new Float(json);
  if (Array.isArray(json)) return json.map(toValue);
  return new Map(Object.entries(json).map(([key, value]) => [key, toValue(value)]));
}

/** A value, or what a missing one is: `null` is a value here, so `??` will not do. */
export const orMissing = (value: Value | undefined, name: string): Value =>
  value === undefined ? new Undefined(name) : value;

/** The name of a value's type, as Python calls it. */
export function typeName(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'function') return 'function';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Undefined) return 'undefined';
  if (value instanceof Namespace) return 'namespace';
  return isList(value) ? 'list' : 'dict';
}

export function truth(value: Value): boolean {
  if (value === null || value === false || value === 0 || value === '') return false;
  if (value instanceof Undefined) return false;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (isList(value)) return value.length > 0;
  return isDict(value) ? value.size > 0 : true;
}

/** A number, where the value is one (booleans are, in Python); else null. */
export function numeric(value: Value): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value instanceof Float ? value.value : null;
}

export function equals(a: Value, b: Value): boolean {
  if (a === b) return true;
  const x = numeric(a);
  const y = numeric(b);
  if (x !== null && y !== null) return x === y;
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items);
  if (isList(a) && isList(b)) return equalItems(a, b);
  if (isDict(a) && isDict(b)) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a) if (!b.has(key) || !equals(value, b.get(key) as Value)) return false;
    return true;
  }
  return false;
}

const equalItems = (a: readonly Value[], b: readonly Value[]) =>
  a.length === b.length && a.every((item, i) => equals(item, b[i] as Value));

/** Below zero, zero or above, by code points for texts. @throws TemplateError where Python does not order the two */
export function compare(a: Value, b: Value): number {
  const x = numeric(a);
  const y = numeric(b);
  if (x !== null && y !== null) return x - y;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  const left = a instanceof Tuple ? a.items : a;
  const right = b instanceof Tuple ? b.items : b;
  if (isList(left) && isList(right) && typeName(a) === typeName(b)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      if (!equals(left[i] as Value, right[i] as Value)) return compare(left[i] as Value, right[i] as Value);
    }
    return left.length - right.length;
  }
  throw new TemplateError(`${typeName(a)} and ${typeName(b)} cannot be compared`);
}

function compareTexts(a: string, b: string): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  if (i === a.length || i === b.length) return a.length - b.length;
  return (a.codePointAt(i) as number) - (b.codePointAt(i) as number);
}

/** The items that a loop iterates over. @throws TemplateError where there are none to iterate over */
export function items(value: Value): readonly Value[] {
  if (isList(value)) return value;
  if (value instanceof Tuple) return value.items;
  if (value instanceof Undefined) return [];
  if (typeof value === 'string') return [...value];
  if (isDict(value)) return [...value.keys()];
  throw new TemplateError(`${typeName(value)} has no items to go through`);
}

/** `len(value)`. */
export function length(value: Value): number {
  if (typeof value === 'string') return hasSurrogates(value) ? [...value].length : value.length;
  if (isDict(value)) return value.size;
  return items(value).length;
}

export const hasSurrogates = (text: string) => /[\ud800-\udfff]/.test(text);

/** A float as Python writes it: exponents from 1e16 on and below 1e-4. */
export function floatText(x: number): string {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    const [digits = '', exponent = '0'] = x.toExponential().split('e');
    const power = Number(exponent);
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  const text = Object.is(x, -0) ? '-0' : String(x);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** `str(value)`: what `{{ value }}` prints. */
export function text(value: Value): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : repr(value);
}

/** `repr(value)`. */
export function repr(value: Value): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple) {
    const [only] = value.items;
    return value.items.length === 1 ? `(${repr(only as Value)},)` : `(${value.items.map(repr).join(', ')})`;
  }
  if (isList(value)) return `[${value.map(repr).join(', ')}]`;
  if (isDict(value)) return `{${[...value].map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(', ')}}`;
  throw new TemplateError(`a ${typeName(value)} cannot be printed`);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const inside = value.replace(/[\\'\p{C}\p{Z}]/gu, (c) => {
    if (c === ' ' || (c === "'" && quote === '"')) return c;
    if (c === "'") return "\\'";
    const known = ESCAPES[c];
    if (known !== undefined) return known;
    const code = c.codePointAt(0) as number;
    if (code < 0x100) return `\\x${hex(code, 2)}`;
    return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  });
  return quote + inside + quote;
}

const hex = (code: number, digits: number) => code.toString(16).padStart(digits, '0');

export interface JsonStyle {
  /** Null writes everything on one line. */
  indent: number | null;
  ensureAscii: boolean;
  sortKeys: boolean;
  /** Between items, and between key and value. */
  separators: readonly [string, string] | null;
}

/** `json.dumps` with the arguments that transformers gives its `tojson` filter. */
export function json(value: Value, style: JsonStyle, depth = 0): string {
  const [between, colon] = style.separators ?? [style.indent === null ? ', ' : ',', ': '];
  const block = (open: string, parts: readonly string[], close: string) => {
    if (parts.length === 0) return open + close;
    if (style.indent === null) return open + parts.join(between) + close;
    const line = `\n${' '.repeat(style.indent * (depth + 1))}`;
    return `${open}${line}${parts.join(between + line)}\n${' '.repeat(style.indent * depth)}${close}`;
  };
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return String(value);
  if (value instanceof Float) return jsonFloat(value.value);
  if (typeof value === 'string') return jsonText(value, style.ensureAscii);
  const list = value instanceof Tuple ? value.items : value;
  if (isList(list)) {
    const parts = list.map((item) => json(item, style, depth + 1));
    return block('[', parts, ']');
  }
  if (isDict(value)) {
    const entries = [...value];
    if (style.sortKeys) entries.sort(([a], [b]) => compare(a, b));
    const parts = entries.map(([key, item]) => {
      const name = typeof key === 'string' ? key : json(key, style);
      return `${jsonText(name, style.ensureAscii)}${colon}${json(item, style, depth + 1)}`;
    });
    return block('{', parts, '}');
  }
  throw new TemplateError(`a ${typeName(value)} cannot be written as JSON`);
}

function jsonFloat(x: number): string {
  if (Number.isNaN(x)) return 'NaN';
  return Number.isFinite(x) ? floatText(x) : x > 0 ? 'Infinity' : '-Infinity';
}

/** JSON.stringify escapes lone surrogates, which Python leaves as they are; neither reaches a template. */
function jsonText(value: string, ascii: boolean): string {
  const written = JSON.stringify(value);
  return ascii ? written.replace(/[\x7f-\uffff]/g, (c) => `\\u${hex(c.charCodeAt(0), 4)}`) : written;
}
