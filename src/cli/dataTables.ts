// What is printed about a data file: issues by code, what was mended, columns. The same tables as the page's, from the same report.
// Not here: making the report (session/dataset.ts, data/issueGroups.ts, data/reading/mends.ts).

import type { DatasetReport, Issue } from '../contract';
import type { ColumnChoice, MendGroup, TableReport } from '../dataReport';
import { linesText, listed, plural, quoted } from '../wording';

/** Issues of a group that are printed one by one. */
const SHOWN = 3;

function issueLine(name: string, issue: Issue): string {
  const place = issue.line === 0 ? name : `${name}:${issue.line}${issue.column ? `:${issue.column}` : ''}`;
  return `${place}: ${issue.severity} ${issue.code}: ${issue.message} ${issue.fix}`;
}

/**
 * Issues by code, errors first: a line for each code, below it the first ones with their places. A code that was found once is its own
 * line.
 * @param besides codes that are reported in another table
 */
export function issueTable(report: DatasetReport, besides: ReadonlySet<string> = new Set()): string[] {
  return report.issueGroups.flatMap(({ code, file, severity, count, message, fix }) => {
    if (besides.has(code)) return [];
    const first = report.issues.filter(
      (issue) => issue.code === code && issue.severity === severity && issue.file === file,
    );
    const lineOf = (issue: Issue) => issueLine(issue.file ?? report.name, issue);
    if (count <= SHOWN) return first.map(lineOf);
    const more = count - SHOWN;
    return [
      `${file ?? report.name}: ${severity} ${code}: ${message} ${fix}`,
      ...first.slice(0, SHOWN).map((issue) => `  ${lineOf(issue)}`),
      `  … and ${more.toLocaleString('en')} more`,
    ];
  });
}

function mendLine(name: string, group: MendGroup): string[] {
  const { code, rows, done, lines, does, why, byDefault, choice, examples } = group;
  const what = done === rows ? 'mended' : done === 0 ? (byDefault ? 'refused' : 'offered') : 'partly mended';
  const where = lines.length > 0 ? ` (${linesText(lines)}${rows > lines.length ? ' …' : ''})` : '';
  const how =
    choice === 'encoding'
      ? ''
      : done === 0 && !byDefault
        ? ` Add --accept_mends ${code} to do it.`
        : done > 0
          ? ` Add --refuse_mends ${code} to leave it.`
          : '';
  const [first] = examples;
  return [
    `${name}: ${what} ${code}: ${plural(rows, 'row')}${where}. ${does} ${why}${how}`,
    ...(first ? [`  ${first.line} - ${first.before.replaceAll(/\s*[\r\n]+\s*/g, ' ⏎ ')}`] : []),
    ...(first ? [`  ${first.line} + ${first.after === '' ? '(left out)' : first.after}`] : []),
  ];
}

/** What was mended, offered or refused, by kind, with the first row of each before and after. */
export function mendTable({ name, mends }: DatasetReport): string[] {
  return mends.flatMap((group) => mendLine(name, group));
}

function chosenText(chosen: ColumnChoice): string {
  return listed(
    Object.entries(chosen).map(
      ([role, names]) => `${role} = ${names.map((name) => quoted(name)).join(' + ')}`,
    ),
  );
}

const BY: Readonly<Record<TableReport['by'], string>> = {
  names: 'told by their names',
  choice: 'as chosen',
  guess: 'guessed',
  nothing: 'none is known',
};

/** The columns of a table, what they became, and its first rows. Nothing for other files. */
export function columnTable({ name, table }: DatasetReport): string[] {
  if (!table) return [];
  const { columns, chosen, by, preview } = table;
  const became = Object.keys(chosen).length > 0 ? `; ${chosenText(chosen)}` : '';
  const shown = preview
    .slice(0, SHOWN)
    .map((cells) => `  ${cells.map((cell) => quoted(cell, 30)).join(' | ')}`);
  return [
    `${name}: columns ${listed(
      columns.map((c) => quoted(c)),
      20,
    )} (${BY[by]})${became}`,
    ...shown,
  ];
}
