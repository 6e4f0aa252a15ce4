// What the runs of a sweep come to: the difference between two of them with its error, a table, and a sentence that reads it.
// Not here: the entry of one run (sweepEntry.ts), making the runs (session/sweep.ts).
//
// How runs are compared: by the lowest validation loss of each, on all held-out rows. Where two runs were measured on the same rows, the
// standard error is that of the paired difference: what makes some rows harder than others cancels, so it is much smaller than that of
// either loss. It holds for the choice of held-out rows, not for that of the seed.

import type { RowLosses } from '../dataContract';
import { HYPERPARAMETERS, type HyperparameterName } from '../hyperparameters';
import { settingText } from '../settingText';
import type { SweepRequest } from '../sweepContract';
import { listed, plural } from '../wording';
import type { SweepEntry, SweepState } from './sweepEntry';

const sameNumbers = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((value, i) => value === b[i]);

export interface LossDifference {
  /** Lowest validation loss of the second run minus that of the first. */
  difference: number;
  /** Null where the errors of both losses are unknown. */
  standardError: number | null;
  /** Both were measured on the same rows. */
  paired: boolean;
}

/**
 * The difference of the lowest validation losses of two runs. Paired by rows where both were measured on the same ones: with row sums
 * aᵢ, bᵢ over nᵢ tokens and the mean difference d, √Σ(bᵢ − aᵢ − d·nᵢ)² / Σnᵢ. Else the two errors are added as of independent samples.
 * @returns null where one of them has no loss
 */
export function lossDifference(a: SweepEntry, b: SweepEntry): LossDifference | null {
  if (!a.best || !b.best) return null;
  const difference = b.best.loss - a.best.loss;
  const paired = pairedError(a.rows, b.rows);
  if (paired !== null) return { difference, standardError: paired, paired: true };
  const [one, two] = [a.best.standardError, b.best.standardError];
  return {
    difference,
    standardError: one === null || two === null ? null : Math.hypot(one, two),
    paired: false,
  };
}

function pairedError(a: RowLosses | null, b: RowLosses | null): number | null {
  if (!a?.targets || !b?.targets || a.lines.length < 2) return null;
  if (!sameNumbers(a.lines, b.lines) || !sameNumbers(a.places, b.places)) return null;
  if (!sameNumbers(a.targets, b.targets)) return null;
  const weights = a.targets;
  const gaps = b.losses.map((loss, i) => loss - (a.losses[i] as number));
  const total = weights.reduce((sum, n) => sum + n, 0);
  const mean = gaps.reduce((sum, gap, i) => sum + gap * (weights[i] as number), 0) / total;
  const squares = gaps.reduce((sum, gap, i) => sum + ((gap - mean) * (weights[i] as number)) ** 2, 0);
  return Math.sqrt(squares) / total;
}

/** Runs that can be compared: those that came to their end. */
const compared = (entries: readonly SweepEntry[]) =>
  entries.filter((e): e is SweepEntry & { best: NonNullable<SweepEntry['best']> } =>
    Boolean(e.state === 'finished' && e.best),
  );

/** A difference counts from this many standard errors on. */
const CLEAR = 2;
const isClear = ({ difference, standardError }: LossDifference) =>
  standardError !== null && Math.abs(difference) > CLEAR * standardError;

const digits = (value: number) => value.toFixed(Math.abs(value) >= 0.1 ? 2 : 3);
const errorText = ({ standardError }: LossDifference) =>
  standardError === null ? 'an unknown error' : `its standard error of ${digits(standardError)}`;

/** The learning curve over rows: whether the step from the next to last count of rows to the last one lowered the loss. */
function rowsSentence(entries: readonly SweepEntry[]): string {
  const ended = compared(entries).toSorted((a, b) => (a.trainRows ?? 0) - (b.trainRows ?? 0));
  const [a, b] = ended.slice(-2);
  const found = a && b && lossDifference(a, b);
  if (!a || !b || !found)
    return 'Fewer than two runs came to their end, so the curve over rows cannot be read.';
  const fell = found.difference < 0;
  const from = `From ${a.trainRows} to ${b.trainRows} training rows the lowest validation loss`;
  const size = digits(Math.abs(found.difference));
  if (isClear(found) && fell)
    return `${from} fell by ${size}, clearly more than ${errorText(found)}: more rows would likely help.`;
  if (isClear(found))
    return `${from} rose by ${size}, clearly more than ${errorText(found)}: the added rows made it worse. Look at what they hold.`;
  return `${from} ${fell ? 'fell' : 'rose'} by ${size}, not clearly more than ${errorText(found)}: these held-out rows do not show that more rows would help.`;
}

/** Where the best value is at an end of numbers that could go on. */
function beyondSentence(setting: HyperparameterName, ended: readonly SweepEntry[], best: SweepEntry): string {
  const entry = HYPERPARAMETERS[setting];
  if ((entry.kind !== 'number' && entry.kind !== 'integer') || setting === 'seed') return '';
  const values = ended.map((e) => e.value as number);
  const value = best.value as number;
  if (value === Math.max(...values) && value < entry.max)
    return ' It is the largest value that ended: try larger ones.';
  if (value === Math.min(...values) && value > entry.min)
    return ' It is the smallest value that ended: try smaller ones.';
  return '';
}

function bestSentence(setting: HyperparameterName, entries: readonly SweepEntry[]): string {
  const ended = compared(entries).toSorted((a, b) => a.best.loss - b.best.loss);
  const [best, next] = ended;
  if (!best || !next) return 'Fewer than two runs came to their end, so they cannot be compared.';
  const { label } = HYPERPARAMETERS[setting];
  const text = (e: SweepEntry) => settingText(setting, e.value);
  const found = lossDifference(best, next) as LossDifference;
  const lead = `The lowest validation loss, ${best.best.loss.toFixed(3)}, is that of ${label} ${text(best)}.`;
  const gap = `${text(next)} is ${digits(found.difference)} higher`;
  const told = isClear(found)
    ? ` ${gap}, clearly more than ${errorText(found)}.`
    : ` ${gap}, not clearly more than ${errorText(found)}: the held-out rows do not tell the two apart.`;
  const other = found.paired
    ? ''
    : ' The runs were measured on different held-out rows, so the comparison is rough.';
  return lead + told + other + beyondSentence(setting, ended, best);
}

/** What the sweep shows, and which of its runs show nothing. @param over false while it goes on */
export function sweepSentence(
  { setting }: SweepRequest,
  entries: readonly SweepEntry[],
  over = true,
): string {
  const lead = setting === 'train_fraction' ? rowsSentence(entries) : bestSentence(setting, entries);
  const with_ = (state: SweepState) => entries.filter((e) => e.state === state);
  const names = (list: readonly SweepEntry[]) => listed(list.map((e) => settingText(setting, e.value)));
  const parts = [lead];
  const bad = [...with_('diverged'), ...with_('failed')];
  if (bad.length > 0) parts.push(`${plural(bad.length, 'run')} diverged or failed: ${names(bad)}.`);
  if (!over) return parts.join(' ');
  const stopped = with_('stopped');
  if (stopped.length > 0) parts.push(`Stopped before its end: ${names(stopped)}.`);
  const missing = with_('not_started');
  if (missing.length > 0) parts.push(`Not started: ${names(missing)}.`);
  return parts.join(' ');
}

export const STATE_WORDS: Readonly<Record<SweepState, string>> = {
  not_started: 'not started',
  running: 'going on',
  stopped: 'stopped',
  finished: 'finished',
  diverged: 'diverged',
  failed: 'failed',
};

const lossText = (value: number | null) =>
  value === null ? '–' : Number.isFinite(value) ? value.toFixed(3) : 'not a number';

/** The sweep as a table: the head, then a row for each value. */
export function sweepTable({ setting }: SweepRequest, entries: readonly SweepEntry[]): string[][] {
  const head = [
    HYPERPARAMETERS[setting].label,
    'Training rows',
    'Epochs',
    'Steps',
    'Best validation',
    '± error',
    'at step',
    'Last validation',
    'State',
  ];
  return [
    head,
    ...entries.map((e) => [
      settingText(setting, e.value),
      String(e.trainRows ?? '–'),
      String(e.epochs ?? '–'),
      e.totalSteps === null ? '–' : e.step === e.totalSteps ? String(e.step) : `${e.step} of ${e.totalSteps}`,
      lossText(e.best?.loss ?? null) + (e.best && !e.best.onAll ? ' (sample)' : ''),
      e.best?.standardError == null ? '–' : digits(e.best.standardError),
      e.best ? String(e.best.step) : '–',
      lossText(e.last),
      STATE_WORDS[e.state],
    ]),
  ];
}

/** From this ratio of the largest to the smallest value on, an axis of them is logarithmic. */
const WIDE = 8;

/** Where each value stands on an axis from 0 to 1: numbers by size (logarithmic for rates and for wide ranges), choices evenly in their order. */
export function axisPlaces({ setting, values }: SweepRequest): { places: number[]; logarithmic: boolean } {
  const entry = HYPERPARAMETERS[setting];
  const even = {
    places: values.map((_, i) => (values.length === 1 ? 0.5 : i / (values.length - 1))),
    logarithmic: false,
  };
  if ((entry.kind !== 'number' && entry.kind !== 'integer') || setting === 'seed') return even;
  const numbers = values as readonly number[];
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (low === high) return even;
  const logarithmic = low > 0 && (entry.step === 'log' || high / low >= WIDE);
  const scale = logarithmic ? Math.log : (value: number) => value;
  return { places: numbers.map((v) => (scale(v) - scale(low)) / (scale(high) - scale(low))), logarithmic };
}
