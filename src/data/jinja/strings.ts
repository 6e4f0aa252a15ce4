// Python's methods of strings that chat templates use.
// Not here: Jinja's filters (filters.ts).

import type { Budget } from './budget';
import { hasSurrogates, isList, items, TemplateError, Tuple, typeName, type Value } from './values';

/** What Python's `str.isspace` and a bare `strip` take as white space; JavaScript's `trim` takes others. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const ONLY_SPACE = new RegExp(`^[${SPACE}]+$`);
const IS_SPACE = new RegExp(`^[${SPACE}]$`);
const RUNS = new RegExp(`[^${SPACE}]+`, 'g');

const LINE_ENDS = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`);

/** `strip`, `lstrip`, `rstrip`: without `characters` white space, else every character that is one of them. */
export function strip(value: string, side: 'both' | 'left' | 'right', characters: string | null): string {
  const wanted = characters === null ? null : new Set(characters);
  const goes = (c: string) => (wanted === null ? IS_SPACE.test(c) : wanted.has(c));
  const letters = wanted !== null && hasSurrogates(value) ? [...value] : null;
  const at = (i: number) => (letters ? (letters[i] as string) : (value[i] as string));
  let start = 0;
  let end = letters?.length ?? value.length;
  if (side !== 'right') while (start < end && goes(at(start))) start++;
  if (side !== 'left') while (end > start && goes(at(end - 1))) end--;
  return letters ? letters.slice(start, end).join('') : value.slice(start, end);
}

/** `str.split`: at runs of white space without a separator. `limit` below zero is none. */
export function split(value: string, separator: string | null, limit: number): string[] {
  if (separator === '') throw new TemplateError('split needs a separator that is not empty');
  if (separator !== null) {
    const parts = value.split(separator);
    if (limit < 0 || parts.length <= limit + 1) return parts;
    return [...parts.slice(0, limit), parts.slice(limit).join(separator)];
  }
  const parts: string[] = [];
  for (const run of value.matchAll(RUNS)) {
    if (limit >= 0 && parts.length === limit) {
      parts.push(value.slice(run.index));
      break;
    }
    parts.push(run[0]);
  }
  return parts;
}

function splitFromRight(value: string, separator: string, limit: number): string[] {
  const parts = split(value, separator, -1);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  const first = parts.length - limit;
  return [parts.slice(0, first).join(separator), ...parts.slice(first)];
}

/** `str.replace`; `limit` below zero is none. */
export function replace(value: string, old: string, now: string, limit: number, budget: Budget): string {
  const parts = old === '' ? ['', ...value, ''] : value.split(old);
  const places = limit < 0 ? parts.length - 1 : Math.min(limit, parts.length - 1);
  budget.make(value.length + places * now.length);
  const kept = parts.slice(0, places + 1).join(now);
  return places === parts.length - 1 ? kept : kept + old + parts.slice(places + 1).join(old);
}

/** `str.title`: the first letter of each run of letters large, the rest small. */
function title(value: string): string {
  return value.replace(/\p{L}+/gu, capitalize);
}

/** `str.capitalize`. */
export function capitalize(value: string): string {
  const [first = ''] = value;
  return first.toUpperCase() + value.slice(first.length).toLowerCase();
}

/** Lines without their ends. */
export function lines(value: string): string[] {
  const all = value.split(LINE_END);
  if (all.at(-1) === '') all.pop();
  return all;
}

function some(value: Value, test: (text: string) => boolean, name: string): boolean {
  const options = value instanceof Tuple ? value.items : [value];
  return options.some((option) => test(textOf(option, name)));
}

/** A value that must be a text. @throws TemplateError */
export function textOf(value: Value | undefined, name: string): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(
    `${name} wants a text and got ${value === undefined ? 'nothing' : typeName(value)}`,
  );
}

/** A value that must be a whole number. @throws TemplateError */
export function wholeOf(value: Value | undefined, fallback: number, name: string): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number') return value;
  throw new TemplateError(`${name} wants a whole number and got ${typeName(value)}`);
}

type Method = (value: string, args: readonly Value[], budget: Budget) => Value;

const characters = (args: readonly Value[], name: string) =>
  args[0] === undefined || args[0] === null ? null : textOf(args[0], name);

const matches =
  (pattern: RegExp): Method =>
  (value) =>
    pattern.test(value);

/** How often a part occurs, without overlaps. */
const count = (value: string, part: string) =>
  part === '' ? [...value].length + 1 : value.split(part).length - 1;

/** Where a part begins, in characters; -1 where it does not occur. */
function find(value: string, part: string, from: 'first' | 'last'): number {
  const at = from === 'first' ? value.indexOf(part) : value.lastIndexOf(part);
  return at > 0 && hasSurrogates(value) ? [...value.slice(0, at)].length : at;
}

function partition(value: string, separator: string, from: 'first' | 'last'): Tuple {
  const at = from === 'first' ? value.indexOf(separator) : value.lastIndexOf(separator);
  if (at < 0) return new Tuple(from === 'first' ? [value, '', ''] : ['', '', value]);
  return new Tuple([value.slice(0, at), separator, value.slice(at + separator.length)]);
}

const cased = (value: string) => value.toLowerCase() !== value.toUpperCase();

/** By name. One that is missing here is an error where it is called. */
export const STRING_METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['strip', (v, args) => strip(v, 'both', characters(args, 'strip'))],
  ['lstrip', (v, args) => strip(v, 'left', characters(args, 'lstrip'))],
  ['rstrip', (v, args) => strip(v, 'right', characters(args, 'rstrip'))],
  ['upper', (v) => v.toUpperCase()],
  ['lower', (v) => v.toLowerCase()],
  ['title', (v) => title(v)],
  ['capitalize', (v) => capitalize(v)],
  ['split', (v, args) => split(v, characters(args, 'split'), wholeOf(args[1], -1, 'split'))],
  ['rsplit', (v, args) => splitFromRight(v, textOf(args[0], 'rsplit'), wholeOf(args[1], -1, 'rsplit'))],
  ['splitlines', (v) => lines(v)],
  ['startswith', (v, args) => some(args[0] as Value, (part) => v.startsWith(part), 'startswith')],
  ['endswith', (v, args) => some(args[0] as Value, (part) => v.endsWith(part), 'endswith')],
  [
    'replace',
    (v, args, budget) =>
      replace(
        v,
        textOf(args[0], 'replace'),
        textOf(args[1], 'replace'),
        wholeOf(args[2], -1, 'replace'),
        budget,
      ),
  ],
  ['removeprefix', (v, args) => withoutStart(v, textOf(args[0], 'removeprefix'))],
  ['removesuffix', (v, args) => withoutEnd(v, textOf(args[0], 'removesuffix'))],
  ['find', (v, args) => find(v, textOf(args[0], 'find'), 'first')],
  ['rfind', (v, args) => find(v, textOf(args[0], 'rfind'), 'last')],
  ['count', (v, args) => count(v, textOf(args[0], 'count'))],
  ['partition', (v, args) => partition(v, textOf(args[0], 'partition'), 'first')],
  ['rpartition', (v, args) => partition(v, textOf(args[0], 'rpartition'), 'last')],
  ['join', (v, args, budget) => joined(items(args[0] as Value), v, budget)],
  ['isdigit', matches(/^\p{Nd}+$/u)],
  ['isnumeric', matches(/^\p{N}+$/u)],
  ['isalpha', matches(/^\p{L}+$/u)],
  ['isalnum', matches(/^[\p{L}\p{N}]+$/u)],
  ['isspace', matches(ONLY_SPACE)],
  ['islower', (v) => cased(v) && v === v.toLowerCase()],
  ['isupper', (v) => cased(v) && v === v.toUpperCase()],
]);

const withoutStart = (v: string, part: string) => (v.startsWith(part) ? v.slice(part.length) : v);
const withoutEnd = (v: string, part: string) =>
  part !== '' && v.endsWith(part) ? v.slice(0, -part.length) : v;

function joined(parts: readonly Value[], separator: string, budget: Budget): string {
  const texts = parts.map((part) => textOf(part, 'join'));
  return budget.join(texts, separator);
}

/** Items of a list, a tuple or a text from `start` to `stop` in steps. `null` is Python's default. */
export function slice(value: Value, bounds: readonly (number | null)[]): Value {
  const [from = null, to = null, by = null] = bounds;
  const all = typeof value === 'string' ? [...value] : value instanceof Tuple ? value.items : value;
  if (!isList(all)) throw new TemplateError(`a part of ${typeName(value)} cannot be taken`);
  const step = by ?? 1;
  if (step === 0) throw new TemplateError('a step of 0 leads nowhere');
  const end = all.length;
  const clip = (i: number | null, fallback: number) => {
    if (i === null) return fallback;
    const place = i < 0 ? i + end : i;
    return step > 0 ? Math.min(Math.max(place, 0), end) : Math.min(Math.max(place, -1), end - 1);
  };
  const start = clip(from, step > 0 ? 0 : end - 1);
  const stop = clip(to, step > 0 ? end : -1);
  const chosen: Value[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) chosen.push(all[i] as Value);
  if (typeof value === 'string') return chosen.join('');
  return value instanceof Tuple ? new Tuple(chosen) : chosen;
}
