// The text that a row becomes: values replaced where they stand, all else to the letter; or the whole row written as chat messages.
// Not here: which values are replaced (rows.ts, turns.ts, rowReading.ts), what is counted of it (mends.ts).

import type { Example } from '../../contract';
import { findSpan, type JsonPath } from './jsonText';
import type { MendCode } from './mends';

/** One value of a row that a mend changes. */
export interface Patch {
  code: MendCode;
  done: boolean;
  path: JsonPath;
  /** The value that it becomes; undefined takes an element of a list away. */
  value: unknown;
}

/**
 * Sound JSON with the patched values in it. Later patches count paths in what the earlier ones left, but for elements that are taken
 * away, which happens last. Null where a value does not stand where a path says.
 */
export function applyPatches(text: string, patches: readonly Patch[]): string | null {
  let patched = text;
  for (const { path, value } of patches.filter((patch) => patch.value !== undefined)) {
    const span = findSpan(patched, path);
    if (!span) return null;
    patched = patched.slice(0, span.start) + JSON.stringify(value) + patched.slice(span.end);
  }
  const removed = patches
    .filter((patch) => patch.value === undefined)
    .sort((a, b) => Number(b.path.at(-1)) - Number(a.path.at(-1)));
  for (const { path } of removed) {
    const span = typeof path.at(-1) === 'number' ? findSpan(patched, path) : null;
    if (!span) return null;
    const after = /^\s*,\s*/.exec(patched.slice(span.end))?.[0];
    const ahead = patched.slice(0, span.start);
    const kept = ahead.trimEnd().replace(/,$/, '');
    const before = ahead.slice(kept.length);
    patched =
      after === undefined
        ? patched.slice(0, span.start - before.length) + patched.slice(span.end)
        : patched.slice(0, span.start) + patched.slice(span.end + after.length);
  }
  return patched;
}

/** JSON on one line: line breaks stand between its values only, and go with the white space around them. */
export function onOneLine(text: string): string {
  // One expression for both would take the square of a run of spaces.
  const lines = text.split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter((line) => line !== '').join(' ');
}

/** The row as OpenAI's chat format has it, or {"text": …}. @param beside keys of the row that no reader used, which are kept */
export function chatRow(
  { messages, text, tools, weight }: Example,
  split: string | undefined,
  beside: Readonly<Record<string, unknown>> = {},
): string {
  const own = {
    ...(text === undefined ? { messages } : { text }),
    ...(tools === undefined ? {} : { tools }),
    ...(weight === undefined ? {} : { weight }),
    ...(split === undefined ? {} : { split }),
  };
  const rest = Object.entries(beside).filter(([key]) => !Object.hasOwn(own, key));
  return JSON.stringify({ ...own, ...Object.fromEntries(rest) });
}
