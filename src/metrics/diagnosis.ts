// What the curves say, in one plain sentence: learning, plateau, overfitting, diverged, or too early to tell.
// Not here: drawing (ui/LossChart.svelte), or stopping a run (the trainer stops by its own setting, engine/training/train.ts).

import type { MetricPoint } from '../contract';
import { type CurvePoint, lowest, nearest, series } from './curves';

export type VerdictState = 'waiting' | 'learning' | 'plateau' | 'overfitting' | 'diverged' | 'too_few';

export interface Verdict {
  state: VerdictState;
  /** Step at which this state began; null where that has no meaning. */
  since: number | null;
  /** Lowest validation loss so far. */
  best: { step: number; loss: number } | null;
  sentence: string;
  /** How far the validation line may be trusted; null when there is nothing to warn of. */
  caveat: string | null;
}

/** Rise above the lowest validation loss that counts, as a share of that loss. */
const RISE = 0.01;
/** Fall of the loss on the training rows, since validation was at its lowest, that shows learning rather than noise. */
const LEARNED = 0.02;
/** Below this share of the lowest validation loss the training rows are as good as known; little is left to fall. */
const KNOWN = 0.5;
/** Share of validation's rise by which the loss on known rows may wander. */
const WANDER = 0.1;
/** Improvement over the last quarter of the evaluations below which the run stands still. */
const STANDSTILL = 0.01;
/** Below this many validation rows only a clear movement (twice the demands) is called by its name. */
const FEW_ROWS = 5;

const show = (loss: number) =>
  loss >= 100 ? loss.toFixed(0) : loss >= 10 ? loss.toFixed(1) : loss.toFixed(2);

/** The first point of the unbroken streak, at the end of `points`, for which `holds`; null when the last one fails. */
function streak(points: readonly CurvePoint[], holds: (point: CurvePoint) => boolean): CurvePoint[] {
  let start = points.length;
  while (start > 0 && holds(points[start - 1] as CurvePoint)) start--;
  return points.slice(start);
}

/**
 * Reads the curves as a careful teacher would.
 * - diverged: a loss that is not a number, or three training losses in a row more than 1 above the first one
 *   (the watchdog rule of Axolotl).
 * - overfitting since s: validation loss above its minimum by more than max(1 %, one standard error of that rise) in the last two
 *   evaluations or more, while the training rows, measured by the same code, are learned further: 2 % better than at the
 *   minimum, or known already (below half of the lowest validation loss) and not forgotten since.
 * - plateau: the last quarter of the evaluations (three at least) brought less than 1 %.
 * @param points        everything measured so far, any order of names
 * @param validationRows rows behind the validation loss; null when unknown
 */
export function diagnose(points: readonly MetricPoint[], validationRows: number | null = null): Verdict {
  const validation = series(points, 'full_valid_loss');
  const trainEval = series(points, 'train_eval_loss');
  const trainSteps = series(points, 'train_loss');
  const errors = series(points, 'full_valid_loss_standard_error');
  const lowestPoint = lowest(validation);
  const best = lowestPoint && { step: lowestPoint.step, loss: lowestPoint.value };
  const errorAt = (step: number) => {
    const error = nearest(errors, step)?.value ?? 0;
    return Number.isFinite(error) ? error : 0;
  };
  const riseErrors = new Map(series(points, 'full_valid_rise_standard_error').map((p) => [p.step, p.value]));
  const few = validationRows !== null && validationRows < FEW_ROWS;
  const caveat = caveatOf(validationRows, lowestPoint, lowestPoint ? errorAt(lowestPoint.step) : 0);
  const say = (state: VerdictState, since: number | null, sentence: string): Verdict => ({
    state,
    since,
    best,
    sentence,
    caveat: state === 'too_few' ? null : caveat,
  });

  const broken = [...trainSteps, ...validation].find((p) => !Number.isFinite(p.value));
  if (broken) {
    return say(
      'diverged',
      broken.step,
      `The loss stopped being a number at step ${broken.step}. The learning rate is probably too high; try a tenth of it.`,
    );
  }
  const start = trainSteps[0]?.value ?? trainEval[0]?.value;
  if (start !== undefined) {
    const above = streak(trainSteps, (p) => p.value > start + 1);
    const from = above[0];
    if (from && above.length >= 3) {
      return say(
        'diverged',
        from.step,
        `Training loss has climbed from ${show(start)} to ${show((above.at(-1) as CurvePoint).value)} since step ${from.step}: the run has come apart. Try a tenth of the learning rate.`,
      );
    }
  }

  const first = validation[0];
  const last = validation.at(-1);
  if (!first || !last || !lowestPoint || validation.length < 2) {
    return say(
      'waiting',
      null,
      first
        ? `Before training, validation loss is ${show(first.value)}. One more evaluation and there is something to compare.`
        : 'Nothing measured yet.',
    );
  }

  const factor = few ? 2 : 1;
  const margin = Math.max(factor * RISE * lowestPoint.value, factor * errorAt(lowestPoint.step));
  const trainAt = (step: number) => nearest(trainEval, step)?.value ?? Number.NaN;
  const after = validation.filter((p) => p.step > lowestPoint.step);
  // The chance of the difference, where it was measured: the same rows are compared, so it is far below that of the level.
  const demand = (p: CurvePoint) => {
    const error = riseErrors.get(p.step);
    if (error === undefined || !Number.isFinite(error)) return margin;
    return factor * Math.max(RISE * lowestPoint.value, error);
  };
  const risen = streak(after, (p) => p.value > lowestPoint.value + demand(p));
  const trainBest = trainAt(lowestPoint.step);
  const trainNow = trainAt(last.step);
  const from = risen[0];
  if (from && risen.length >= 2) {
    const rise = last.value - lowestPoint.value;
    const falls = trainNow < trainBest * (1 - LEARNED);
    const known = trainNow < KNOWN * lowestPoint.value && trainNow - trainBest < WANDER * rise;
    if (falls || known) {
      const training = falls
        ? `loss on the training rows fell from ${show(trainBest)} to ${show(trainNow)}. The model is learning the rows by heart.`
        : `loss on the training rows stays at ${show(trainNow)}. The model knows those rows by heart.`;
      return say(
        'overfitting',
        from.step,
        `Overfitting since step ${from.step}: validation loss has risen from ${show(lowestPoint.value)} to ${show(last.value)}, while ${training} It was best at step ${lowestPoint.step}.`,
      );
    }
    if (!(trainNow > trainBest * (1 + LEARNED))) {
      return say(
        'plateau',
        from.step,
        `Validation loss has risen from ${show(lowestPoint.value)} to ${show(last.value)} since step ${lowestPoint.step}, but loss on the training rows has hardly moved either, so the model is not learning them by heart. It may be chance, or a learning rate that is too high.`,
      );
    }
    return say(
      'plateau',
      from.step,
      `Both losses have got worse since step ${lowestPoint.step}, where validation was ${show(lowestPoint.value)}. That is not overfitting; the learning rate may be too high.`,
    );
  }

  if (few && Math.abs(last.value - first.value) <= margin) {
    return say(
      'too_few',
      null,
      `Validation loss went from ${show(first.value)} to ${show(last.value)}, but ${validationRows} validation rows are too few to tell whether that is more than chance.`,
    );
  }

  const window = Math.max(3, Math.ceil(validation.length / 4));
  const before = lowest(validation.slice(0, -window));
  const recent = lowest(validation.slice(-window));
  if (before && recent && recent.value > before.value * (1 - STANDSTILL)) {
    const trainThen = trainAt(before.step);
    const trainFalls = trainNow < trainThen * (1 - STANDSTILL);
    return say(
      'plateau',
      before.step,
      trainFalls
        ? `Validation loss has stayed near ${show(lowestPoint.value)} since step ${before.step}, while loss on the training rows goes on falling (${show(trainNow)}). More steps now mostly teach those rows by heart.`
        : `Standing still: validation loss has stayed near ${show(lowestPoint.value)} since step ${before.step}. This is what these settings can do.`,
    );
  }

  if (lowestPoint === first) {
    return say(
      'waiting',
      null,
      `No gain yet: validation loss was ${show(first.value)} before training and is ${show(last.value)} now.`,
    );
  }
  const fall = `from ${show(first.value)} to ${show(lowestPoint.value)}`;
  return say(
    'learning',
    first.step,
    last === lowestPoint
      ? `Validation loss has fallen ${fall}, on rows the model has never trained on.`
      : `Validation loss fell ${fall} at step ${lowestPoint.step}; the last evaluation (${show(last.value)}) is no better, which can be chance.`,
  );
}

function caveatOf(rows: number | null, at: CurvePoint | null, error: number): string | null {
  if (!at) return null;
  if (rows !== null && rows < 30) {
    const swing =
      error > 0
        ? `with other rows this line could lie ${show(error)} higher or lower`
        : 'this line is measured on little';
    return `${rows} validation ${rows === 1 ? 'row' : 'rows'}: ${swing}.`;
  }
  if (error > 0.05 * at.value)
    return `With other rows the validation line could lie ${show(error)} higher or lower.`;
  return null;
}
