// Counts and names as sentences have them: “1 row”, “12 rows”, a name in quotation marks that is never longer than a sentence bears.
// Not here: losses, bytes and durations (ui/parts/format.ts).

/** "1 row", "1,200 rows". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${Math.round(count).toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** The text on one line, with an ellipsis where it is longer than `most` characters. */
export function shortened(text: string, most = 60): string {
  // A text of a megabyte is cut before it is examined.
  const line = text
    .slice(0, 4 * most + 16)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  const characters = [...line];
  return characters.length > most ? `${characters.slice(0, most).join('')}…` : line;
}

/** “name”, cut to `most` characters. */
export function quoted(name: string, most = 40): string {
  return `“${shortened(name, most)}”`;
}

/** With a capital, as a sentence or a label begins. */
export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** "a", "a and b", "a, b and c", "a, b and 5 more". */
export function listed(items: readonly string[], most = 6): string {
  const shown = items.length > most ? [...items.slice(0, most), `${items.length - most} more`] : items;
  if (shown.length < 2) return shown.join('');
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** Lines named in one sentence. */
const LINES_SHOWN = 5;

/** "line 3", "lines 1 and 2", "lines 1, 2, 3, 4, 5 and 7 more". */
export function linesText(lines: readonly number[]): string {
  const shown = lines.slice(0, LINES_SHOWN).map(String);
  if (lines.length > LINES_SHOWN) shown.push(`${lines.length - LINES_SHOWN} more`);
  return `${lines.length === 1 ? 'line' : 'lines'} ${listed(shown, LINES_SHOWN + 1)}`;
}
