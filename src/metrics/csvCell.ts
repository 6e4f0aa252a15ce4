// One cell of a CSV file that people open in a spreadsheet: quoted where it must be, and never a formula.
// Not here: which columns there are (evaluationCsv.ts, weightTable.ts), reading tables (data/reading/tabular.ts).

/** What a spreadsheet takes for the start of a formula (OWASP, CSV Injection), behind apostrophes that this file has put there. */
const FORMULA = /^'*[=+\-@\t\r]/;
/** A number is no formula, and is to stay one. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * A cell as RFC 4180 has it. A text that a spreadsheet would compute gets an apostrophe in front, which it shows as text; numbers stay as they
 * are. A text that begins with such an apostrophe gets one more, so removing one gives back every text.
 */
export function csvCell(value: string | number | boolean | null): string {
  const written = value === null ? '' : String(value);
  const computed = typeof value === 'string' && FORMULA.test(written) && !NUMBER.test(written);
  const text = computed ? `'${written}` : written;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
