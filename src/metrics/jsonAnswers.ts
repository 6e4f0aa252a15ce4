// Answers that are JSON: parsed, their fields read and compared, and a JSON Schema proposed from the expected ones.
// Not here: the checks that use this (checks.ts), JSON of data files (data/reading/jsonText.ts).

/** The JSON of a text, or null where it is none. */
export function parsed(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value of a field: a key of that name, or a path with points. Undefined where there is none. */
export function fieldOf(value: unknown, path: string): unknown {
  if (isObject(value) && Object.hasOwn(value, path)) return value[path];
  let at: unknown = value;
  for (const key of path.split('.')) {
    if (Array.isArray(at) && /^\d+$/.test(key)) at = at[Number(key)];
    else if (isObject(at) && Object.hasOwn(at, key)) at = at[key];
    else return undefined;
  }
  return at;
}

/** Whether two JSON values are the same, whatever the order of their keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  }
  if (!isObject(a)) return a === b;
  if (!isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}

/** Different values of a field that still make it a choice. */
const MOST_CHOICES = 20;

/** The top-level fields of objects, with their values, one an object that has the field. */
export function fieldValues(objects: readonly Record<string, unknown>[]): Map<string, unknown[]> {
  const values = new Map<string, unknown[]>();
  for (const object of objects) {
    for (const [key, value] of Object.entries(object)) {
      const list = values.get(key);
      if (list) list.push(value);
      else values.set(key, [value]);
    }
  }
  return values;
}

/** The different texts of a field where they are few and return, so that it is a choice; null otherwise. */
export function choicesOf(values: readonly unknown[]): string[] | null {
  if (!values.every((value): value is string => typeof value === 'string')) return null;
  const different = [...new Set(values)];
  return different.length >= 2 && different.length <= Math.min(MOST_CHOICES, values.length / 3)
    ? different.sort()
    : null;
}

const typeOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
};

/** A JSON Schema that all of these objects meet: types of their fields, those that all have, and choices. */
export function schemaOf(objects: readonly Record<string, unknown>[]): object {
  const properties: Record<string, object> = {};
  const required: string[] = [];
  for (const [key, values] of fieldValues(objects)) {
    const types = new Set(values.map(typeOf));
    if (types.has('number')) types.delete('integer');
    const choices = choicesOf(values);
    properties[key] = {
      type: types.size === 1 ? [...types][0] : [...types].sort(),
      ...(choices && { enum: choices }),
    };
    if (values.length === objects.length) required.push(key);
  }
  return { type: 'object', properties, required, additionalProperties: false };
}
