// Rows inside a JSON value that is none itself: {"train": […], "validation": […]}, {"data": […]}, rows by name, tables by column.
// Not here: text and places (jsonl.ts), what a row must look like (rows.ts).

import { Fields, isObject, type Json } from './fields';
import type { JsonPath } from './jsonText';
import { formatOf } from './rowFormats';
import { type SplitName, splitNamed } from './rows';
import { turnsIn } from './turns';

/** Rows that lie side by side, and where. */
export interface RowGroup {
  path: JsonPath;
  /** Keys or indexes of the rows below `path`. */
  keys: readonly (string | number)[];
  /** The side of the split that a name above them says. */
  side?: SplitName;
}

/** Levels of lists and objects around the rows. */
const DEEPEST = 4;
/** Lists that look like rows and are parts of one: Axolotl's texts that are learned or not. */
const NO_ROWS = ['segments'];
/** Elements examined to tell a list of rows. */
const LOOKED_AT = 20;

export function isRow(value: unknown): boolean {
  if (turnsIn(value) && Array.isArray(value)) return true;
  if (!isObject(value)) return false;
  const fields = new Fields(value, []);
  if (formatOf(fields)) return true;
  // {"row_idx": 0, "row": {…}}
  return (
    Object.values(value).filter((inner) => isObject(inner) && formatOf(new Fields(inner, []))).length === 1
  );
}

function groupsIn(value: unknown, path: JsonPath, side: SplitName | undefined, depth: number): RowGroup[] {
  if (depth > DEEPEST) return [];
  const group = (keys: (string | number)[]): RowGroup => ({ path, keys, ...(side ? { side } : {}) });
  if (Array.isArray(value)) {
    return value.slice(0, LOOKED_AT).some(isRow) ? [group([...value.keys()])] : [];
  }
  if (!isObject(value)) return [];
  const names = Object.keys(value).filter((name) => !NO_ROWS.includes(name));
  // Rows by name: {"0": {…}, "1": {…}}.
  if (names.length > 1 && names.every((name) => isRow(value[name]))) return [group(names)];
  return names.flatMap((name) => groupsIn(value[name], [...path, name], splitNamed(name) ?? side, depth + 1));
}

/** The rows inside an object that is no row; empty where there are none. */
export function rowsWithin(value: Json): RowGroup[] {
  return groupsIn(value, [], undefined, 0);
}

/** Keys at the top of which nothing became a row. */
export function besides(value: Json, groups: readonly RowGroup[]): string[] {
  const used = new Set(groups.map(({ path, keys }) => String(path[0] ?? keys[0])));
  const byName = groups.some(({ path }) => path.length === 0);
  return byName ? [] : Object.keys(value).filter((key) => !used.has(key));
}

/** Cells of a column in the order of rows; null where it is none. */
function cells(column: unknown): unknown[] | null {
  if (Array.isArray(column)) return column.some(isObject) ? null : column;
  if (!isObject(column)) return null;
  const keys = Object.keys(column);
  if (keys.length === 0 || !keys.every((key) => /^\d+$/.test(key))) return null;
  const list = keys.map((key) => column[key]);
  return list.some(isObject) ? null : list;
}

/**
 * Rows of a table written by column: {"prompt": ["…", "…"], "completion": ["…", "…"]} (Datasets), {"prompt": {"0": "…"}, …} (pandas),
 * {"columns": ["prompt", …], "data": [["…", …], …]} (pandas' split). Null where the value is none.
 */
export function rowsByColumn(value: Json): Json[] | null {
  const { columns, data } = value;
  if (Array.isArray(columns) && Array.isArray(data) && data.every(Array.isArray)) {
    return data.map((row: unknown[]) =>
      Object.fromEntries(columns.map((name, i) => [String(name), row[i] ?? null])),
    );
  }
  const names = Object.keys(value);
  const lists = names.map((name) => cells(value[name]));
  const length = lists[0]?.length ?? 0;
  if (length === 0 || !lists.every((list) => list?.length === length)) return null;
  const format = formatOf(new Fields(Object.fromEntries(names.map((name, i) => [name, lists[i]?.[0]])), []));
  if (!format) return null;
  // One list of texts is a conversation without roles, and so is one of pairs, unless its name is that of a text.
  if (names.length === 1 && format.id !== 'text' && !turnsIn(lists[0]?.[0])) return null;
  return Array.from({ length }, (_, r) =>
    Object.fromEntries(names.map((name, i) => [name, lists[i]?.[r] ?? null])),
  );
}
