// What can be said of the rows of all sides: lengths, what is learned, labels, system prompts, openings, duplicates; and the checks of it.
// Not here: what is checked (dataChecks.ts), groups of duplicates (duplicates.ts), percentiles (statistics.ts).

import type { DatasetStatistics, Occurrence, SplitSide } from '../dataContract';
import { shortened } from '../wording';
import { type Facts, type Labels, type PersonalFind, runChecks, type TokenCounts } from './dataChecks';
import { answerOf, duplicateGroups, placeOf, type SidedExample } from './duplicates';
import { PERSONAL_KINDS } from './personalData';
import type { Row } from './prepareRows';

/** Different answers that labels can be at most, and rows for each of them at least. */
const MAX_LABELS = 20;
const MIN_ROWS_PER_LABEL = 4;
/** Characters of a label at most. */
const LONGEST_LABEL = 80;
/** Bars of the length histogram, about. */
const BARS = 24;
/** Occurrences that are listed. */
const MAX_LISTED = 12;
/** First words that are compared, and the share of answers that has to start alike. */
const MAX_WORDS = 8;
const MIN_SHARE = 0.1;
const MIN_ALIKE = 5;
/** Rows between two moments at which the caller may give up. */
const PIECE = 2000;

/**
 * Iterates over all rows.
 * @param cut tokens at which a row is cut
 * @returns yields the share that is done, between pieces of work
 */
export function* describeRows(
  sides: Readonly<Record<SplitSide, readonly Row[]>>,
  cut: number,
): Generator<number, DatasetStatistics> {
  const encoded: Row[] = [];
  const examples: SidedExample[] = [];
  for (const side of ['train', 'validation', 'test'] as const) {
    const own = sides[side];
    encoded.push(...own);
    for (const example of new Set(own.map((row) => row.example))) examples.push({ example, side });
  }
  const tokens = countTokens(encoded);
  yield 0.1;
  const words = yield* describeWords(examples);
  const duplicates = duplicateGroups(examples);
  yield 0.9;
  const labels = labelsOf(examples);
  const openings = labels === null ? openingsOf(examples) : [];
  const facts: Facts = {
    examples,
    tokens,
    labels,
    duplicates,
    ...words,
    openings,
    overLength: overLength(sides),
  };
  const { beyondCut, ...counts } = tokens;
  return {
    ...counts,
    lengths: { ...histogram(encoded.map((row) => row.encoded.fullLength)), cut, beyondCut },
    turns: turnsOf(examples),
    labels: labels?.labels ?? null,
    systemPrompts: words.systemPrompts.slice(0, MAX_LISTED),
    systemPromptCount: words.systemPrompts.length,
    rowsWithSystemPrompt: words.rowsWithSystemPrompt,
    openings,
    duplicates: duplicates.groups,
    duplicateGroupCount: duplicates.count,
    checks: runChecks(facts),
  };
}

function countTokens(rows: readonly Row[]): TokenCounts {
  const counts = { rows: rows.length, tokens: 0, learnedTokens: 0, cutTokens: 0, beyondCut: 0 };
  for (const { encoded } of rows) {
    counts.tokens += encoded.ids.length;
    // The first token has none before it, so it is no target.
    for (let t = 1; t < encoded.mask.length; t++) counts.learnedTokens += encoded.mask[t] as number;
    counts.cutTokens += encoded.fullLength - encoded.ids.length;
    if (encoded.fullLength > encoded.ids.length) counts.beyondCut++;
  }
  return counts;
}

/** Bars of equal width, which is 1, 2 or 5 times a power of ten, from the shortest to the longest. */
export function histogram(lengths: readonly number[]): { edges: number[]; counts: number[] } {
  if (lengths.length === 0) return { edges: [0], counts: [] };
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (const length of lengths) {
    least = Math.min(least, length);
    most = Math.max(most, length);
  }
  const rough = Math.max(1, (most - least + 1) / BARS);
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) as number;
  const first = Math.floor(least / width);
  const counts = Array.from({ length: Math.floor(most / width) - first + 1 }, () => 0);
  for (const length of lengths) {
    const bar = Math.floor(length / width) - first;
    counts[bar] = (counts[bar] as number) + 1;
  }
  return { edges: Array.from({ length: counts.length + 1 }, (_, i) => (first + i) * width), counts };
}

function overLength(sides: Readonly<Record<SplitSide, readonly Row[]>>): SidedExample[] {
  const found = new Map<Row['example'], SidedExample>();
  for (const side of ['train', 'validation', 'test'] as const) {
    for (const { example, encoded } of sides[side]) {
      if (encoded.fullLength > encoded.ids.length) found.set(example, { example, side });
    }
  }
  return [...found.values()];
}

function turnsOf(examples: readonly SidedExample[]): DatasetStatistics['turns'] {
  const counts = new Map<number, number>();
  for (const { example } of examples)
    counts.set(example.messages.length, (counts.get(example.messages.length) ?? 0) + 1);
  return [...counts].sort((a, b) => a[0] - b[0]).map(([messages, rows]) => ({ messages, rows }));
}

/** Texts that occur, the most frequent first. */
class Tally {
  readonly #found = new Map<string, Occurrence>();

  add(text: string, row: SidedExample): void {
    const known = this.#found.get(text);
    if (known) known.rows++;
    else this.#found.set(text, { text, rows: 1, first: placeOf(row) });
  }

  list(): Occurrence[] {
    return [...this.#found.values()].sort((a, b) => b.rows - a.rows);
  }
}

interface Words {
  systemPrompts: Occurrence[];
  rowsWithSystemPrompt: number;
  personal: PersonalFind[];
}

/** One pass over the words of all rows. */
function* describeWords(examples: readonly SidedExample[]): Generator<number, Words> {
  const systemPrompts = new Tally();
  let rowsWithSystemPrompt = 0;
  const personal = PERSONAL_KINDS.map((kind): PersonalFind => ({ kind, rows: [] }));
  for (const [i, row] of examples.entries()) {
    if (i % PIECE === PIECE - 1) yield 0.1 + (0.6 * i) / examples.length;
    const { messages, text } = row.example;
    const system = messages.find((m) => m.role === 'system')?.content.trim();
    if (system) {
      rowsWithSystemPrompt++;
      systemPrompts.add(system, row);
    }
    const calls = messages.flatMap((m) => (m.tool_calls ? [JSON.stringify(m.tool_calls)] : []));
    const said = text ?? [...messages.map((m) => m.content), ...calls].join('\n');
    for (const { kind, rows } of personal) if (kind.find(said) !== null) rows.push(row);
  }
  const list = systemPrompts.list().map((one) => ({ ...one, text: shortened(one.text, 300) }));
  return { systemPrompts: list, rowsWithSystemPrompt, personal };
}

/** The last answers as labels: a few short ones, each many times. Calls of tools and texts are none. */
function labelsOf(examples: readonly SidedExample[]): Labels | null {
  if (examples.length < 10) return null;
  const counts = new Map<string, Record<SplitSide, number>>();
  for (const { example, side } of examples) {
    const last = example.messages.findLast((m) => m.role === 'assistant');
    if (!last || last.tool_calls || last.content.length > LONGEST_LABEL) return null;
    const answer = last.content.trim();
    const count = counts.get(answer) ?? { train: 0, validation: 0, test: 0 };
    count[side]++;
    counts.set(answer, count);
    if (counts.size > MAX_LABELS) return null;
  }
  if (examples.length / counts.size < MIN_ROWS_PER_LABEL) return null;
  const total = (c: Record<SplitSide, number>) => c.train + c.validation + c.test;
  const labels = [...counts]
    .map(([text, count]) => ({ text, ...count }))
    .sort((a, b) => total(b) - total(a) || (a.text < b.text ? -1 : 1));
  return { labels, share: total(labels[0] as Record<SplitSide, number>) / examples.length };
}

/** First words, two and more, that a tenth of the answers share; of one that goes on the same way nearly always, the longer. */
function openingsOf(examples: readonly SidedExample[]): Occurrence[] {
  const answered = examples.filter(({ example }) => answerOf(example).trim() !== '');
  const least = Math.max(MIN_ALIKE, MIN_SHARE * answered.length);
  const starts = answered.map(({ example }) =>
    answerOf(example).slice(0, 400).trim().split(/\s+/, MAX_WORDS),
  );
  let alive = answered.map((_, i) => i);
  const levels: Map<string, { rows: number; first: number }>[] = [];
  for (let length = 2; length <= MAX_WORDS && alive.length >= least; length++) {
    const counts = new Map<string, { rows: number; first: number }>();
    const startOf = (i: number) => (starts[i] as string[]).slice(0, length).join(' ');
    alive = alive.filter((i) => (starts[i] as string[]).length >= length);
    for (const i of alive) {
      const known = counts.get(startOf(i));
      if (known) known.rows++;
      else counts.set(startOf(i), { rows: 1, first: i });
    }
    for (const [text, { rows }] of counts) if (rows < least) counts.delete(text);
    alive = alive.filter((i) => counts.has(startOf(i)));
    levels.push(counts);
  }
  const found: Occurrence[] = [];
  for (const [level, counts] of levels.entries()) {
    const longer = [...(levels[level + 1] ?? [])];
    for (const [text, { rows, first }] of counts) {
      if (longer.some(([other, more]) => other.startsWith(`${text} `) && more.rows >= 0.8 * rows)) continue;
      found.push({ text, rows, first: placeOf(answered[first] as SidedExample) });
    }
  }
  return found.sort((a, b) => b.rows - a.rows || b.text.length - a.text.length).slice(0, MAX_LISTED);
}
