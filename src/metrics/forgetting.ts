// What a run has forgotten: the rise of the loss on general rows, which no run learns from, as a sentence with its evidence.
// Not here: measuring it (engine/training/generalProbe.ts), the verdict on the other curves (diagnosis.ts), what to do about it (nextSteps.ts).

import type { MetricPoint } from '../contract';
import { type CurvePoint, series } from './curves';

export interface Forgetting {
  /** Mean losses on the same general rows, in nats a token. */
  before: number;
  after: number;
  /** Standard error of the rise. */
  error: number;
  /** Both are of all general rows, not of the sample. */
  onAll: boolean;
  /** First evaluation of the unbroken rise. */
  since: number;
  sentence: string;
}

/**
 * Rise that counts, as a share of the loss before training. Measured with `models/eval/forgetting.mjs` on Pebble-1M, two samples, LoRA and
 * full: without replay the loss rises by 35 to 180 %; with a tenth of general rows by 1 to 17 %; with a quarter of them it moves between −8 and +5 %.
 */
const FORGOTTEN = 0.05;
/** Standard errors that a rise must exceed: by chance alone one in forty does. */
const CERTAIN = 2;

const at = (points: readonly CurvePoint[], step: number) => points.find((p) => p.step === step);

/**
 * Compares the loss on general rows now with that before training, on the same rows: on all of them where both ends were measured, else on the
 * sample. It counts as forgetting when it is higher by more than max(5 % of it, two standard errors of the rise) in the last two
 * evaluations, or at the end.
 * @param points everything measured so far, any order of names
 * @returns null where nothing general was measured, or too little has risen
 */
export function forgetting(points: readonly MetricPoint[]): Forgetting | null {
  const sample = series(points, 'general_loss');
  const [first, last] = [sample[0], sample.at(-1)];
  if (!first || !last || last.step <= first.step) return null;
  const errors = series(points, 'general_rise_standard_error');
  const isRisen = (p: CurvePoint) => risen(first.value, p.value, at(errors, p.step)?.value);
  let start = sample.length;
  while (start > 0 && isRisen(sample[start - 1] as CurvePoint)) start--;
  const since = sample[start]?.step ?? last.step;

  const all = series(points, 'full_general_loss');
  const [allFirst, allLast] = [at(all, first.step), at(all, last.step)];
  if (allFirst && allLast) {
    const error = at(series(points, 'full_general_rise_standard_error'), last.step)?.value ?? Number.NaN;
    if (!risen(allFirst.value, allLast.value, error)) return null;
    return found({ before: allFirst.value, after: allLast.value, error, onAll: true, since });
  }
  if (sample.length - start < 2) return null;
  const error = at(errors, last.step)?.value ?? Number.NaN;
  return found({ before: first.value, after: last.value, error, onAll: false, since });
}

/** @param error of the rise; where it is not known, the share decides alone */
function risen(before: number, now: number, error: number | undefined): boolean {
  const chance = error !== undefined && Number.isFinite(error) ? CERTAIN * error : 0;
  return now - before > Math.max(FORGOTTEN * before, chance);
}

function found(evidence: Omit<Forgetting, 'sentence'>): Forgetting {
  const { before, after, error, onAll, since } = evidence;
  const certainty = Number.isFinite(error) && error > 0 ? ` (± ${error.toFixed(2)})` : '';
  const on = onAll ? 'general rows' : 'a part of the general rows';
  const sentence = `Since step ${since} the model forgets: loss on ${on}, which no run learns from, rose from ${before.toFixed(2)} to ${after.toFixed(2)}${certainty}. It gets worse at what your rows do not show.`;
  return { ...evidence, sentence };
}
