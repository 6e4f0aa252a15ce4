// The comparison of ways as lines of text: the table, facts by kind of question, retrieval apart, the verdict.
// Not here: the figures (metrics/waysTable.ts, metrics/waysVerdict.ts), the command (ways.ts).

import type { ClockKind } from '../ways';
import type { Count, WayRow, WaysResult } from '../waysContract';
import { plural } from '../wording';

const countText = (count: Count | null) => (count === null ? '–' : `${count.right} of ${count.of}`);
const seconds = (ms: number) => (ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

/** Columns of a Markdown table, padded so that it reads as plain text too. */
function tableLines(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}

function rowCells(row: WayRow): string[] {
  const { way, steps, trainingMs, trainingBytes } = row;
  const made =
    steps === null
      ? 'nothing'
      : `${Math.round(steps)} steps${trainingMs === null ? '' : `, ${seconds(trainingMs)}`}${trainingBytes === null ? '' : `, ${Math.round(trainingBytes / 1e6)} MB`}`;
  return [
    way.label,
    countText(row.facts),
    countText(row.form),
    countText(row.ended),
    countText(row.changed),
    countText(row.changedOnly),
    `${Math.round(row.promptTokens)} + ${Math.round(row.tokens)}`,
    `${Math.round(row.ms)} ms`,
    made,
    way.change,
  ];
}

export function waysLines({
  rows,
  verdict,
  retrieval,
  controls,
  indexMs,
  clock,
}: WaysResult & { clock: ClockKind }): string[] {
  const lines = tableLines(
    [
      'way',
      'facts',
      'form',
      'ends its turn',
      'facts after the change',
      'of those changed',
      'tokens in + out',
      `time (${clock})`,
      'made by',
      'when a fact changes',
    ],
    rows.map(rowCells),
  );
  const kinds = rows[0]?.kinds ?? [];
  if (kinds.length > 1) {
    lines.push('', 'Facts by kind of question:', '');
    lines.push(
      ...tableLines(
        ['way', ...kinds.map(({ kind }) => kind)],
        rows.map((row) => [row.way.label, ...row.kinds.map(({ facts }) => countText(facts))]),
      ),
    );
  }
  if (retrieval) {
    const { of, found, first, passages, misses } = retrieval.now;
    lines.push(
      '',
      of === 0
        ? 'Retrieval cannot be scored apart: no question says which passage it needs.'
        : `Retrieval: the right passage was first for ${first} of ${plural(of, 'question')}, and among the ${passages === 1 ? 'one' : passages} in the prompt for ${found}.${indexMs === null ? '' : ` A changed document is indexed in ${Math.round(indexMs)} ms.`}`,
    );
    for (const { text, found: got } of misses)
      lines.push(`  missed: ${text} → ${got.join(' / ') || 'nothing'}`);
  }
  for (const { instruction, way, form, of, facts, aboutFacts } of controls) {
    lines.push(
      `With the instruction “${instruction}”${way === 'retrieval' ? ' and passages' : ''} the base model does so in ${form} of ${plural(of, 'answer')}, with ${facts} of ${aboutFacts} facts right.`,
    );
  }
  if (verdict) {
    lines.push('', verdict.sentence, ...verdict.notes);
    for (const { way, than, mean, low, high } of verdict.comparisons) {
      const points = (share: number) => (100 * share).toFixed(0);
      lines.push(`  right, ${way} less ${than}: ${points(mean)} points (${points(low)} to ${points(high)})`);
    }
  }
  return lines;
}
