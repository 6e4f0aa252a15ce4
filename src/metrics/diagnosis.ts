// What the curves say, in one plain sentence: learning, plateau, overfitting, diverged, or too early to tell.
// Not here: drawing (ui/train/LossChart.svelte), or stopping a run (the trainer stops by its own setting, engine/training/train.ts).

import type { MetricPoint, RunConfig, RunSummary } from '../contract';
import { plural } from '../wording';
import { alike, alikeSentences, isSampled, measuredRows } from './claims';
import { type CurvePoint, lowest, nearest, series } from './curves';

export type VerdictState =
  | 'waiting'
  | 'learning'
  | 'plateau'
  | 'overfitting'
  | 'diverged'
  | 'too_few'
  /** Every held-out row is a copy of a training row. */
  | 'copies';

export interface Verdict {
  state: VerdictState;
  /** Step at which this state began; null where that has no meaning. */
  since: number | null;
  /** Lowest validation loss so far: on all held-out rows once they have been measured at the end, else on the rows of the sample. */
  best: { step: number; loss: number } | null;
  /** The losses of `best` and of the end are those of all held-out rows. */
  measuredAll: boolean;
  sentence: string;
  /** How far the validation line may be trusted; null when there is nothing to warn of. */
  caveat: string | null;
}

/** What must be known of a run to read its points. */
export type Measured = Pick<RunConfig, 'validationRows' | 'heldOut' | 'evaluation'>;

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
/** Below this many rows or target tokens behind the validation loss, only a clear movement (twice the demands) is called by its name. */
const FEW_ROWS = 5;
const FEW_TOKENS = 20;

const show = (loss: number) =>
  loss >= 100 ? loss.toFixed(0) : loss >= 10 ? loss.toFixed(1) : loss.toFixed(2);

/** The first point of the unbroken streak, at the end of `points`, for which `holds`; null when the last one fails. */
function streak(points: readonly CurvePoint[], holds: (point: CurvePoint) => boolean): CurvePoint[] {
  let start = points.length;
  while (start > 0 && holds(points[start - 1] as CurvePoint)) start--;
  return points.slice(start);
}

/** The losses of one step on one set of rows. */
interface Pair {
  validation: number;
  train: number;
}

/**
 * The best and the last weights, both measured on the same rows: on all of them where the run has come to its end, else on the sample.
 * A loss on the sample is never compared with one on all rows.
 */
interface Comparison {
  best: Pair;
  last: Pair;
  /** Of last minus best; null where it was not measured. */
  riseError: number | null;
  /** Of the last loss. */
  error: number;
  onAll: boolean;
}

const at = (points: readonly CurvePoint[], step: number) => points.find((p) => p.step === step)?.value;
const finite = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : null);

function compare(points: readonly MetricPoint[], bestStep: number, lastStep: number): Comparison {
  const read = (full: '' | 'full_') => {
    const validation = series(points, `${full}valid_loss`);
    const train = series(points, `${full}train_eval_loss`);
    // Training rows are measured beside every validation loss; made-up points may lack them.
    const pair = (step: number): Pair | null => {
      const loss = at(validation, step);
      return loss === undefined ? null : { validation: loss, train: at(train, step) ?? Number.NaN };
    };
    return {
      best: pair(bestStep),
      last: pair(lastStep),
      riseError: finite(at(series(points, `${full}valid_rise_standard_error`), lastStep)),
      error: finite(at(series(points, `${full}valid_loss_standard_error`), lastStep)) ?? 0,
      onAll: full !== '',
    };
  };
  const all = read('full_');
  return (all.best && all.last ? all : read('')) as Comparison;
}

/**
 * Reads the curves as a careful teacher would.
 * - diverged: a loss that is not a number, or three training losses in a row more than 1 above the first one
 *   (the watchdog rule of Axolotl).
 * - copies: no held-out row is new, so the curve cannot tell learning from memorising.
 * - overfitting since s: validation loss above its minimum by more than max(1 %, one standard error of that rise) in the last two
 *   evaluations or more, while the training rows, measured by the same code, are learned further: 2 % better than at the
 *   minimum, or known already (below half of the lowest validation loss) and not forgotten since. At the end of a run the last of these
 *   evaluations, and the minimum, are those on all rows.
 * - plateau: the last quarter of the evaluations (three at least) brought less than 1 %.
 * @param points everything measured so far, any order of names
 * @param run    what the points were measured on; null when unknown
 * @param ended  how the run ended; null while it goes on
 */
export function diagnose(
  points: readonly MetricPoint[],
  run: Measured | null = null,
  ended: RunSummary['state'] | null = null,
): Verdict {
  const validation = series(points, 'valid_loss');
  const trainEval = series(points, 'train_eval_loss');
  const trainSteps = series(points, 'train_loss');
  const errors = series(points, 'valid_loss_standard_error');
  const first = validation[0];
  const last = validation.at(-1);
  const lowestPoint = lowest(validation);
  const pair = lowestPoint && last ? compare(points, lowestPoint.step, last.step) : null;
  const onAll = pair?.onAll ?? false;
  const best =
    pair && lowestPoint && last
      ? pair.last.validation < pair.best.validation
        ? { step: last.step, loss: pair.last.validation }
        : { step: lowestPoint.step, loss: pair.best.validation }
      : null;
  const say = (
    state: VerdictState,
    since: number | null,
    sentence: string,
    caveat = state === 'too_few' || state === 'copies' || !pair ? null : caveatOf(pair, run),
  ): Verdict => ({ state, since, best, measuredAll: onAll, sentence, caveat });

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

  if (!first || !last || !lowestPoint || !pair) {
    return say(
      'waiting',
      null,
      ended === null
        ? 'Nothing measured yet.'
        : `The run ${ENDED[ended]} before anything was measured, so there is no verdict.`,
    );
  }
  if (run !== null && run.heldOut.copies > 0 && run.heldOut.copies === run.validationRows) {
    const sentence = alikeSentences(run.validationRows, {
      ...run.heldOut,
      samePrompt: 0,
      nearPrompt: 0,
    }).join(' ');
    const moved = first === last ? '' : ` On them it went from ${show(first.value)} to ${show(last.value)}.`;
    return say('copies', null, `${sentence}${moved}`);
  }
  const sampled = run !== null && isSampled(run);
  if (first === last) {
    const before = `Before training, validation loss ${ended === null ? 'is' : 'was'} ${show(first.value)}.`;
    return say(
      'waiting',
      null,
      ended === null
        ? `${before} One more evaluation and there is something to compare.`
        : `${before} The run ${ENDED[ended]} before the next evaluation, so there is nothing to compare it with.`,
    );
  }

  const rows = run === null ? null : onAll ? run.validationRows : run.evaluation.validationRows;
  const tokens = run && (onAll ? run.evaluation.allValidationTokens : run.evaluation.validationTokens);
  const few = rows !== null && tokens !== null && (rows < FEW_ROWS || tokens < FEW_TOKENS);
  const factor = few ? 2 : 1;
  const errorAtBest = finite(nearest(errors, lowestPoint.step)?.value) ?? 0;
  const margin = factor * Math.max(RISE * lowestPoint.value, errorAtBest);
  /** Where the chance of the difference was measured, it counts: the same rows are compared, so it is far below that of the level. */
  const demanded = (lowestLoss: number, riseError: number | null) =>
    factor * Math.max(RISE * lowestLoss, riseError ?? errorAtBest);
  const riseErrors = series(points, 'valid_rise_standard_error');
  const isRisen = (p: CurvePoint) =>
    p.value > lowestPoint.value + demanded(lowestPoint.value, finite(at(riseErrors, p.step)));
  const after = validation.filter((p) => p.step > lowestPoint.step);
  const rise = pair.last.validation - pair.best.validation;
  const stillRisen = after.length > 0 && rise > demanded(pair.best.validation, pair.riseError);
  const risen = stillRisen ? [...streak(after.slice(0, -1), isRisen), last] : [];
  const from = risen[0];
  /** Which rows the two losses of a comparison stand on; said where it is not all of them all the time. */
  const on =
    sampled && run
      ? ` on ${onAll ? `all ${run.validationRows.toLocaleString('en')} held-out rows` : measuredRows(run)}`
      : '';
  const bestAt = lowestPoint === first ? 'before training' : `at step ${lowestPoint.step}`;
  // With less than an epoch behind it, no row has been met twice.
  const met = last.epoch > 1;
  if (from && risen.length >= 2) {
    const [was, is] = [pair.best, pair.last];
    const falls = is.train < was.train * (1 - LEARNED);
    const known = is.train < KNOWN * was.validation && is.train - was.train < WANDER * rise;
    const risenFrom = `validation loss has risen from ${show(was.validation)} to ${show(is.validation)}${on}`;
    if (falls || known) {
      const training = falls
        ? `loss on the training rows fell from ${show(was.train)} to ${show(is.train)}. The model is ${met ? 'learning the rows by heart' : 'fitting those rows alone'}.`
        : `loss on the training rows stays at ${show(is.train)}. The model knows those rows${met ? ' by heart' : ''}.`;
      return say(
        'overfitting',
        from.step,
        `Overfitting since step ${from.step}: ${risenFrom}, while ${training} It was best ${bestAt}.`,
      );
    }
    if (!(is.train > was.train * (1 + LEARNED))) {
      return say(
        'plateau',
        from.step,
        `V${risenFrom.slice(1)} since step ${lowestPoint.step}, but loss on the training rows has hardly moved either, so the model is not learning them by heart. It may be chance, or a learning rate that is too high.`,
      );
    }
    return say(
      'plateau',
      from.step,
      `Both losses have got worse since step ${lowestPoint.step}, where validation was ${show(was.validation)}${on}. That is not overfitting; the learning rate may be too high.`,
    );
  }

  if (few && Math.abs(last.value - first.value) <= margin) {
    const count = rows < FEW_ROWS ? plural(rows, 'validation row') : `${tokens} validation tokens`;
    return say(
      'too_few',
      null,
      `Validation loss went from ${show(first.value)} to ${show(last.value)}, but ${count} ${rows === 1 ? 'is' : 'are'} too few to tell whether that is more than chance.`,
    );
  }

  // From here on the sentence speaks of the whole line, which stands on the sample; what all rows gave follows it.
  const line = sampled && run ? ` on ${measuredRows(run)}` : '';
  const whole =
    onAll && sampled && run
      ? ` On all ${run.validationRows.toLocaleString('en')} held-out rows it ends at ${show(pair.last.validation)}${lowestPoint === last ? '' : `, and was ${show(pair.best.validation)} ${bestAt}`}.`
      : '';
  const trainAt = (step: number) => nearest(trainEval, step)?.value ?? Number.NaN;
  const window = Math.max(3, Math.ceil(validation.length / 4));
  const before = lowest(validation.slice(0, -window));
  const recent = lowest(validation.slice(-window));
  if (before && recent && recent.value > before.value * (1 - STANDSTILL)) {
    const trainNow = trainAt(last.step);
    const trainFalls = trainNow < trainAt(before.step) * (1 - STANDSTILL);
    return say(
      'plateau',
      before.step,
      trainFalls
        ? `Validation loss${line} has stayed near ${show(lowestPoint.value)} since step ${before.step}, while loss on the training rows goes on falling (${show(trainNow)}). ${met ? 'More steps now mostly teach those rows by heart.' : 'More steps now mostly help on those rows.'}${whole}`
        : `Standing still: validation loss${line} has stayed near ${show(lowestPoint.value)} since step ${before.step}. More steps of this kind will hardly change it.${whole}`,
    );
  }

  if (lowestPoint === first) {
    return say(
      ended === null ? 'waiting' : 'plateau',
      ended === null ? null : first.step,
      `No gain${ended === null ? ' yet' : ''}: validation loss${line} was ${show(first.value)} before training and is ${show(last.value)} ${ended === null ? 'now' : 'at the end'}.${whole}`,
    );
  }
  const fall = `from ${show(first.value)} to ${show(lowestPoint.value)}${line}`;
  const unseen = run !== null && alike(run.heldOut) === 0 ? ', rows that this run did not train on' : '';
  return say(
    'learning',
    first.step,
    last === lowestPoint
      ? `Validation loss has fallen ${fall}${unseen}.${whole}`
      : `Validation loss fell ${fall} at step ${lowestPoint.step}; the last evaluation (${show(last.value)}) is no better, which can be chance.${whole}`,
  );
}

const ENDED: Record<RunSummary['state'], string> = {
  finished: 'ended',
  stopped: 'was stopped',
  failed: 'failed',
};

/** @returns how far the last validation loss may be trusted: the error is the one of that number, not of the best */
function caveatOf({ last, error, onAll }: Comparison, run: Measured | null): string | null {
  const loss = `the last validation loss (${show(last.validation)})`;
  const sentences: string[] = [];
  const rows = run === null ? null : onAll ? run.validationRows : run.evaluation.validationRows;
  const few = rows !== null && rows < 30;
  if (few || error > 0.05 * last.validation) {
    const count =
      run === null || rows === null ? '' : onAll ? plural(rows, 'validation row') : measuredRows(run);
    const swing =
      error > 0
        ? `with other rows ${loss} could lie ${show(error)} higher or lower`
        : `${loss} is measured on little`;
    sentences.push(few ? `${count[0]?.toUpperCase()}${count.slice(1)}: ${swing}.` : `W${swing.slice(1)}.`);
  }
  if (run !== null) sentences.push(...alikeSentences(run.validationRows, run.heldOut));
  return sentences.length > 0 ? sentences.join(' ') : null;
}
