// What can be said of a data set as a table for a terminal.
// Not here: the numbers (data/rowStatistics.ts), what is checked (data/dataChecks.ts).

import type { DatasetReport } from '../contract';
import type { DatasetStatistics, RowPlace } from '../dataContract';
import { listed, plural, shortened } from '../wording';
import { table } from './columns';

/** Lines of a group of duplicates that are named, groups and places that are listed. */
const MAX_GROUPS = 10;
const MAX_PLACES = 8;
const BAR = 40;

const number = (value: number) => value.toLocaleString('en');
const percent = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;

const placeText = ({ line, file }: RowPlace) => (file === undefined ? String(line) : `${file}:${line}`);

/** "lines 1, 3, validation:2 and 7 more". @param count of all places */
function placesText(places: readonly RowPlace[], count: number): string {
  const shown = places.slice(0, MAX_PLACES).map(placeText);
  if (count > shown.length) shown.push(`${number(count - shown.length)} more`);
  return `${count === 1 ? 'line' : 'lines'} ${listed(shown, MAX_PLACES + 1)}`;
}

function histogramLines({ edges, counts, cut, beyondCut }: DatasetStatistics['lengths']): string[] {
  const most = Math.max(1, ...counts);
  const rows = counts.map((count, i) => {
    const [from, to] = [edges[i] as number, (edges[i + 1] as number) - 1];
    const bar = '█'.repeat(Math.ceil((BAR * count) / most));
    return [
      from === to ? `${from}` : `${from}–${to}`,
      number(count),
      from <= cut && cut <= to ? `${bar} ← cut at ${cut}` : bar,
    ];
  });
  const said = beyondCut === 0 ? 'no row is cut' : `${plural(beyondCut, 'row')} cut`;
  return [`Tokens of a row (cut at ${number(cut)}: ${said})`, ...table(rows)];
}

/** Every line of the table. */
export function statisticsLines(report: DatasetReport, found: DatasetStatistics): string[] {
  const sides = [
    `${number(report.trainRows)} train`,
    `${number(report.validationRows)} validation`,
    ...(report.test ? [`${number(report.test.rows)} test`] : []),
  ];
  const { replay } = report;
  const lines = [
    ...table(
      [
        ['Rows', `${number(found.rows)} (${sides.join(', ')})`],
        ...(replay
          ? [['General rows', `${number(replay.rows)} mixed in an epoch, of ${number(replay.pool)}`]]
          : []),
        [
          'Tokens',
          `${number(found.tokens)}, of which ${percent(found.learnedTokens, found.tokens)} are learned`,
        ],
        [
          'Messages of a row',
          found.turns.map(({ messages, rows }) => `${messages}: ${plural(rows, 'row')}`).join(', '),
        ],
      ],
      '',
    ),
    '',
    ...histogramLines(found.lengths),
  ];
  const section = (title: string, rows: string[][]) => {
    if (rows.length > 0) lines.push('', title, ...table(rows));
  };
  section(
    'Labels (train, validation, test)',
    (found.labels ?? []).map(({ text, train, validation, test }) => [
      shortened(text, 40),
      number(train),
      number(validation),
      number(test),
    ]),
  );
  section(
    `System prompts (${number(found.systemPromptCount)}; ${plural(found.rowsWithSystemPrompt, 'row')} with one)`,
    found.systemPrompts.map(({ text, rows, first }) => [
      number(rows),
      `line ${placeText(first)}`,
      shortened(text, 70),
    ]),
  );
  section(
    'Answers that open the same way',
    found.openings.map(({ text, rows, first }) => [
      number(rows),
      `line ${placeText(first)}`,
      shortened(text, 70),
    ]),
  );
  if (found.duplicateGroupCount > 0) {
    const kinds = { row: 'equal rows', prompt: 'equal prompts', near: 'nearly equal prompts' };
    lines.push('', `Equal and nearly equal rows (${plural(found.duplicateGroupCount, 'group')})`);
    for (const { kind, size, rows, across } of found.duplicates.slice(0, MAX_GROUPS)) {
      lines.push(`  ${size} ${kinds[kind]}${across ? ', on both sides of the split' : ''}`);
      lines.push(
        ...table(
          rows.map((row) => [
            `line ${placeText(row)}`,
            row.split,
            shortened(row.prompt, 60),
            shortened(row.answer, 30),
          ]),
          '    ',
        ),
      );
    }
    const more = found.duplicateGroupCount - Math.min(MAX_GROUPS, found.duplicates.length);
    if (more > 0) lines.push(`  and ${plural(more, 'more group', 'more groups')}`);
  }
  lines.push('', 'Checks');
  const marks = { ok: 'ok', note: 'note', warning: 'warning' };
  for (const { severity, label, message, places, count } of found.checks) {
    const where = places.length > 0 ? ` (${placesText(places, count)})` : '';
    lines.push(`  ${marks[severity].padEnd(7)}  ${label}: ${message}${where}`);
  }
  return lines;
}
