// Jinja's filters (`value | name(…)`) and tests (`value is name`), those that chat templates use; `tojson` as transformers defines it.
// Not here: methods of strings (strings.ts), how values print (values.ts).

import type { Budget } from './budget';
import { capitalize, lines, replace, strip, textOf, wholeOf } from './strings';
import {
  compare,
  type Dict,
  equals,
  Float,
  isDict,
  isList,
  items,
  json,
  length,
  numeric,
  orMissing,
  TemplateError,
  Tuple,
  text,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values';

/** The arguments of a filter. */
export class Arguments {
  constructor(
    private readonly name: string,
    /** As they came: by place, then by name. */
    readonly places: readonly Value[],
    readonly names: ReadonlyMap<string, Value>,
    /** Parameters in their order; null takes whatever comes. */
    known: readonly string[] | null,
  ) {
    if (known === null) return;
    if (places.length > known.length)
      throw new TemplateError(`${name} got ${places.length} arguments, and takes ${known.length}`);
    for (const [i, key] of known.entries()) {
      const value = i < places.length ? places[i] : names.get(key);
      if (value !== undefined) this.#values.set(key, value);
    }
    for (const key of names.keys()) {
      if (!known.includes(key)) throw new TemplateError(`${name} takes no argument “${key}”`);
    }
  }

  readonly #values = new Map<string, Value>();

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  text(key: string, fallback: string): string {
    const value = this.get(key);
    return value === undefined ? fallback : textOf(value, this.name);
  }

  whole(key: string, fallback: number): number {
    return wholeOf(this.get(key), fallback, this.name);
  }

  flag(key: string): boolean {
    const value = this.get(key);
    return value !== undefined && truth(value);
  }
}

const given = (value: Value | undefined, fallback: Value): Value => (value === undefined ? fallback : value);

interface Filter {
  parameters: readonly string[] | null;
  apply(value: Value, args: Arguments, budget: Budget): Value;
}

const filter = (apply: Filter['apply'], ...parameters: string[]): Filter => ({ apply, parameters });

/** Filters that look at the items of a list, not at what lies in them. */
const SHALLOW = new Set([
  'length',
  'count',
  'first',
  'last',
  'default',
  'd',
  'list',
  'items',
  'reverse',
  'map',
]);

/** `value | name`. @throws TemplateError for a filter that is not known, or that does not take the value */
export function applyFilter(
  name: string,
  value: Value,
  places: readonly Value[],
  names: ReadonlyMap<string, Value>,
  budget: Budget,
): Value {
  const known = FILTERS.get(name);
  if (SHALLOW.has(name)) budget.walk(value);
  else budget.read(value);
  if (!known) throw new TemplateError(`it uses the filter “${name}”, which is not known here`);
  return known.apply(value, new Arguments(name, places, names, known.parameters), budget);
}

/** `value is name`. @throws TemplateError */
export function applyTest(name: string, value: Value, args: readonly Value[], budget: Budget): boolean {
  const test = TESTS.get(name);
  if (!test) throw new TemplateError(`it uses the test “${name}”, which is not known here`);
  const [other = null] = args;
  if (args.length > 0 || name === 'lower' || name === 'upper') budget.read(value);
  budget.read(other);
  return test(value, other, budget);
}

/** `value.a.b`, as `map(attribute=…)` and `sort(attribute=…)` look it up. */
function attribute(value: Value, path: Value): Value {
  let found = value;
  for (const part of typeof path === 'number' ? [path] : textOf(path, 'attribute').split('.')) {
    if (isDict(found)) found = orMissing(found.get(part), String(part));
    else if (isList(found)) found = orMissing(found[Number(part)], String(part));
    else found = new Undefined(String(part));
  }
  return found;
}

const lowered = (value: Value, caseSensitive: boolean): Value =>
  typeof value === 'string' && !caseSensitive ? value.toLowerCase() : value;

const sorted = (values: readonly Value[], key: (value: Value) => Value, reverse: boolean): Value[] => {
  const order = values.map((value) => ({ value, key: key(value) }));
  // Stable both ways, as Python's sort is.
  order.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return order.map(({ value }) => value);
};

/** The least or greatest item; the first of several that are alike. */
function extreme(value: Value, better: (order: number) => boolean): Value {
  let best: Value | undefined;
  for (const item of items(value)) {
    const order = best === undefined ? 0 : compare(lowered(item, false), lowered(best, false));
    if (best === undefined || better(order)) best = item;
  }
  return orMissing(best, 'item');
}

function add(a: Value, b: Value): Value {
  if (isList(a) && isList(b)) return [...a, ...b];
  const x = numeric(a);
  const y = numeric(b);
  if (x === null || y === null) throw new TemplateError(`sum cannot add ${typeName(a)} and ${typeName(b)}`);
  return a instanceof Float || b instanceof Float ? new Float(x + y) : x + y;
}

function parsed(value: Value, kind: 'int' | 'float', fallback: Value): Value {
  const number = numeric(value);
  if (number !== null) {
    if (!Number.isFinite(number)) return fallback;
    return kind === 'int' ? Math.trunc(number) : new Float(number);
  }
  if (typeof value !== 'string') return fallback;
  const inside = strip(value, 'both', null).replace(/(?<=\d)_(?=\d)/g, '');
  if (kind === 'int' && /^[+-]?\d+$/.test(inside)) return Number(inside);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(inside)) return fallback;
  return kind === 'int' ? Math.trunc(Number(inside)) : new Float(Number(inside));
}

/** Rounds half to even, as Python does, on the decimal digits of the number. */
function rounded(value: number, digits: number): number {
  const scale = 10 ** digits;
  const scaled = value * scale;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return (up ? floor + 1 : floor) / scale;
}

function indented(value: string, args: Arguments, budget: Budget): string {
  const width = given(args.get('width'), 4);
  const indent =
    typeof width === 'string' ? width : ' '.repeat(checkedWidth(wholeOf(width, 4, 'indent'), budget));
  const first = args.flag('first');
  const blank = args.flag('blank');
  const [head = '', ...rest] = lines(`${value}\n`);
  const body = rest.map((line) => (line !== '' || blank ? indent + line : line));
  return budget.join([(first ? indent : '') + head, ...body], '\n');
}

function checkedWidth(width: number, budget: Budget): number {
  budget.make(Math.max(0, width));
  return Math.max(0, width);
}

function tojson(value: Value, args: Arguments, budget: Budget): string {
  const indent = args.get('indent');
  const separators = args.get('separators');
  const pair = separators instanceof Tuple ? separators.items : separators;
  const written = json(value, {
    indent:
      indent === undefined || indent === null ? null : checkedWidth(wholeOf(indent, 0, 'tojson'), budget),
    ensureAscii: args.flag('ensure_ascii'),
    sortKeys: args.flag('sort_keys'),
    separators:
      pair === undefined || pair === null || !isList(pair)
        ? null
        : [textOf(pair[0], 'separators'), textOf(pair[1], 'separators')],
  });
  budget.make(written.length);
  return written;
}

/** `selectattr('a', 'test', value)` and its three relatives. */
function chosen(wanted: boolean, byAttribute: boolean): Filter['apply'] {
  return (value, { places }, budget) => {
    const [first, ...rest] = byAttribute ? places : [null, ...places];
    const [test, ...args] = rest;
    return items(value).filter((item) => {
      const looked = byAttribute ? attribute(item, first as Value) : item;
      const passes =
        test === undefined ? truth(looked) : applyTest(textOf(test, 'select'), looked, args, budget);
      return passes === wanted;
    });
  };
}

const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['abs', filter((v) => (v instanceof Float ? new Float(Math.abs(v.value)) : Math.abs(numberOf(v, 'abs'))))],
  ['capitalize', filter((v) => capitalize(text(v)))],
  ['default', filter(defaulted, 'default_value', 'boolean')],
  ['d', filter(defaulted, 'default_value', 'boolean')],
  ['dictsort', filter(dictsort, 'case_sensitive', 'by', 'reverse')],
  ['first', filter((v) => orMissing(items(v)[0], 'first'))],
  ['last', filter((v) => orMissing(items(v).at(-1), 'last'))],
  ['float', filter((v, args) => parsed(v, 'float', given(args.get('default'), new Float(0))), 'default')],
  ['int', filter((v, args) => parsed(v, 'int', given(args.get('default'), 0)), 'default')],
  ['indent', filter((v, args, budget) => indented(text(v), args, budget), 'width', 'first', 'blank')],
  [
    'items',
    filter((v) => (v instanceof Undefined ? [] : [...dictOf(v, 'items')].map((pair) => new Tuple(pair)))),
  ],
  [
    'join',
    filter(
      (v, args, budget) => {
        const path = args.get('attribute');
        const parts = path === undefined ? items(v) : items(v).map((item) => attribute(item, path));
        return budget.join(parts.map(text), text(given(args.get('d'), '')));
      },
      'd',
      'attribute',
    ),
  ],
  ['length', filter((v) => length(v))],
  ['count', filter((v) => length(v))],
  ['list', filter((v) => [...items(v)])],
  ['lower', filter((v) => text(v).toLowerCase())],
  ['upper', filter((v) => text(v).toUpperCase())],
  ['map', { parameters: null, apply: mapped }],
  ['max', filter((v) => extreme(v, (order) => order > 0))],
  ['min', filter((v) => extreme(v, (order) => order < 0))],
  ['replace', filter(replaced, 'old', 'new', 'count')],
  ['reverse', filter((v) => (typeof v === 'string' ? [...v].reverse().join('') : [...items(v)].reverse()))],
  [
    'round',
    filter((v, args) => new Float(rounded(numberOf(v, 'round'), args.whole('precision', 0))), 'precision'),
  ],
  ['safe', filter((v) => text(v))],
  ['select', { parameters: null, apply: chosen(true, false) }],
  ['reject', { parameters: null, apply: chosen(false, false) }],
  ['selectattr', { parameters: null, apply: chosen(true, true) }],
  ['rejectattr', { parameters: null, apply: chosen(false, true) }],
  [
    'sort',
    filter(
      (v, args) => {
        const path = args.get('attribute');
        const key = (item: Value) =>
          lowered(
            path === undefined || path === null ? item : attribute(item, path),
            args.flag('case_sensitive'),
          );
        return sorted(items(v), key, args.flag('reverse'));
      },
      'reverse',
      'case_sensitive',
      'attribute',
    ),
  ],
  ['string', filter((v) => text(v))],
  [
    'sum',
    filter(
      (v, args) => {
        const path = args.get('attribute');
        const parts =
          path === undefined || path === null ? items(v) : items(v).map((item) => attribute(item, path));
        return parts.reduce<Value>(add, given(args.get('start'), 0));
      },
      'attribute',
      'start',
    ),
  ],
  // Jinja's own rule, not that of `str.title`: words begin after a hyphen, a bracket or white space.
  ['title', filter((v) => text(v).replace(/[^\s\-({[<]+/gu, capitalize))],
  ['tojson', filter(tojson, 'ensure_ascii', 'indent', 'separators', 'sort_keys')],
  [
    'trim',
    filter(
      (v, args) => strip(text(v), 'both', args.get('chars') == null ? null : args.text('chars', '')),
      'chars',
    ),
  ],
  ['unique', filter(unique, 'case_sensitive', 'attribute')],
]);

function defaulted(value: Value, args: Arguments): Value {
  const missing = value instanceof Undefined || (args.flag('boolean') && !truth(value));
  if (!missing) return value;
  const fallback = args.get('default_value');
  return fallback === undefined ? '' : fallback;
}

function dictsort(value: Value, args: Arguments): Value {
  const by = args.text('by', 'key') === 'value' ? 1 : 0;
  const pairs = [...dictOf(value, 'dictsort')].map((pair) => new Tuple(pair));
  const key = (pair: Value) => lowered((pair as Tuple).items[by] as Value, args.flag('case_sensitive'));
  return sorted(pairs, key, args.flag('reverse'));
}

function replaced(value: Value, args: Arguments, budget: Budget): string {
  const limit = args.get('count');
  return replace(
    text(value),
    text(given(args.get('old'), '')),
    text(given(args.get('new'), '')),
    limit === null ? -1 : wholeOf(limit, -1, 'replace'),
    budget,
  );
}

function unique(value: Value, args: Arguments, budget: Budget): Value {
  const path = args.get('attribute');
  const seen: Value[] = [];
  return items(value).filter((item) => {
    const key = lowered(path == null ? item : attribute(item, path), args.flag('case_sensitive'));
    budget.make(seen.length);
    if (seen.some((other) => equals(other, key))) return false;
    seen.push(key);
    return true;
  });
}

function numberOf(value: Value, name: string): number {
  const number = numeric(value);
  if (number === null) throw new TemplateError(`${name} wants a number and got ${typeName(value)}`);
  return number;
}

function dictOf(value: Value, name: string): Dict {
  if (isDict(value)) return value;
  throw new TemplateError(`${name} wants a dictionary and got ${typeName(value)}`);
}

/** `map(attribute='a')` or `map('filter', …)`. */
function mapped(value: Value, { places, names }: Arguments, budget: Budget): Value {
  const path = names.get('attribute');
  if (path !== undefined) {
    const fallback = names.get('default');
    return items(value).map((item) => {
      const found = attribute(item, path);
      return found instanceof Undefined && fallback !== undefined ? fallback : found;
    });
  }
  const [name, ...rest] = places;
  const known = textOf(name, 'map');
  return items(value).map((item) => {
    budget.step();
    return applyFilter(known, item, rest, names, budget);
  });
}

const isNumber = (v: Value) => numeric(v) !== null;
const isInteger = (v: Value) => typeof v === 'number';

function parity(value: Value, name: string): number {
  const whole = typeof value === 'boolean' ? Number(value) : value;
  if (typeof whole !== 'number')
    throw new TemplateError(`the test “${name}” wants a whole number and got ${typeName(value)}`);
  return Math.abs(whole % 2);
}

/** `a in b`. @throws TemplateError where b holds nothing */
export function contains(container: Value, member: Value, budget: Budget): boolean {
  if (typeof member === 'object' && member !== null) budget.read(container);
  else budget.walk(container);
  if (typeof container === 'string') return container.includes(textOf(member, 'in'));
  if (isDict(container)) return [...container.keys()].some((key) => equals(key, member));
  return items(container).some((item) => equals(item, member));
}

type Test = (value: Value, other: Value, budget: Budget) => boolean;

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (v) => !(v instanceof Undefined)],
  ['undefined', (v) => v instanceof Undefined],
  ['none', (v) => v === null],
  ['true', (v) => v === true],
  ['false', (v) => v === false],
  ['boolean', (v) => typeof v === 'boolean'],
  ['string', (v) => typeof v === 'string'],
  ['number', isNumber],
  ['integer', isInteger],
  ['float', (v) => v instanceof Float],
  ['mapping', isDict],
  [
    'iterable',
    (v) => typeof v === 'string' || isList(v) || isDict(v) || v instanceof Tuple || v instanceof Undefined,
  ],
  [
    'sequence',
    (v) => typeof v === 'string' || isList(v) || isDict(v) || v instanceof Tuple || v instanceof Undefined,
  ],
  ['callable', (v) => typeof v === 'function'],
  ['odd', (v) => parity(v, 'odd') === 1],
  ['even', (v) => parity(v, 'even') === 0],
  ['lower', (v) => allCased(v, (s) => s.toLowerCase())],
  ['upper', (v) => allCased(v, (s) => s.toUpperCase())],
  ['divisibleby', (v, other) => numberOf(v, 'divisibleby') % numberOf(other, 'divisibleby') === 0],
  ['sameas', (v, other) => v === other],
  ['in', (v, other, budget) => contains(other, v, budget)],
  ['eq', equals],
  ['equalto', equals],
  ['==', equals],
  ['ne', (v, other) => !equals(v, other)],
  ['!=', (v, other) => !equals(v, other)],
  ['gt', (v, other) => compare(v, other) > 0],
  ['greaterthan', (v, other) => compare(v, other) > 0],
  ['ge', (v, other) => compare(v, other) >= 0],
  ['lt', (v, other) => compare(v, other) < 0],
  ['lessthan', (v, other) => compare(v, other) < 0],
  ['le', (v, other) => compare(v, other) <= 0],
]);

/** `str.islower` and `str.isupper`: some letter has two cases, and all are of this one. */
function allCased(value: Value, change: (text: string) => string): boolean {
  const written = text(value);
  return change(written) === written && written.toLowerCase() !== written.toUpperCase();
}
