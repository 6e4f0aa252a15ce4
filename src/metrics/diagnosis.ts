// The verdict on the curves, in one sentence: learning, plateau, underfitting, overfitting, diverged, or too early to judge.
// Not here: what to try next (nextSteps.ts), drawing (ui/train/LossChart.svelte), or stopping a run (the trainer stops by its own setting, engine/training/train.ts).

import type { MetricPoint, RunConfig, RunSummary } from '../contract';
import { plural } from '../wording';
import { alike, alikeSentences, isSampled, measuredRows } from './claims';
import { type CurvePoint, lowest, nearest, series } from './curves';
import { type Forgetting, forgetting } from './forgetting';

export type VerdictState =
  | 'waiting'
  | 'learning'
  | 'plateau'
  /** Not even the training rows were learned. */
  | 'underfitting'
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
  /** What was forgotten, which may come with any state; null where that was not measured, or is no more than chance. */
  forgetting: Forgetting | null;
}

/** The facts of a run that the rules need beside its points. */
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
/** A run that ended with more than this share of the first loss left on its training rows has hardly learned them. */
const HARDLY_LEARNED = 0.9;
/** Rows with a lower loss than this, in nats a token, were known from the start: little is left to learn. */
const NOTHING_LEFT = 0.3;
/** Below this many rows or target tokens behind the validation loss, only a clear movement (twice the thresholds) gives its verdict. */
const FEW_ROWS = 5;
const FEW_TOKENS = 20;

/** Share of held-out answer tokens that are the most likely ones from which a rising loss is no overfitting: measured on intent-json, see below. */
const TOKENS_RIGHT = 0.99;
/** Share of them that may be lost since the minimum. */
const TOKENS_LOST = 0.005;

const show = (loss: number) =>
  loss >= 100
    ? loss.toFixed(0)
    : loss >= 10
      ? loss.toFixed(1)
      : loss.toFixed(loss >= 0.01 || loss === 0 ? 2 : 3);

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
  /** Share of held-out target tokens that the model finds most likely; null where it was not measured. */
  tokensRight: number | null;
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
    const accuracy = series(points, `${full}valid_mean_token_accuracy`);
    // Training rows are measured beside every validation loss; made-up points may lack them.
    const pair = (step: number): Pair | null => {
      const loss = at(validation, step);
      return loss === undefined
        ? null
        : {
            validation: loss,
            train: at(train, step) ?? Number.NaN,
            tokensRight: finite(at(accuracy, step)),
          };
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

/** The input of the rules. */
interface Evidence {
  validation: CurvePoint[];
  trainEval: CurvePoint[];
  trainSteps: CurvePoint[];
  /** Standard error of the lowest validation loss; 0 where none was measured. */
  errorAtBest: number;
  riseErrors: CurvePoint[];
  run: Measured | null;
  ended: RunSummary['state'] | null;
}

/** The input of the rules that compare two evaluations. */
interface Measurement extends Evidence {
  first: CurvePoint;
  last: CurvePoint;
  /** Lowest point of the validation line. */
  lowestPoint: CurvePoint;
  pair: Comparison;
  /** What `pair` stands on: rows and target tokens; null when unknown. */
  rows: number | null;
  tokens: number | null;
  /** So little behind the loss that a movement must be twice as clear. */
  few: boolean;
  /** “ on 8 of 48 held-out rows”, for the whole line; empty where it is all of them. */
  line: string;
  /** A sentence with the losses on all held-out rows; empty where the line stands on them already. */
  whole: string;
  bestAt: string;
  /** With less than an epoch behind it, no row has been met twice. */
  met: boolean;
}

/** What a rule concludes; `diagnose` adds what is common to all verdicts. */
type Finding = Pick<Verdict, 'state' | 'since' | 'sentence'>;
const finding = (state: VerdictState, since: number | null, sentence: string): Finding => ({
  state,
  since,
  sentence,
});

/** A loss that is not a number, or three training losses in a row more than 1 above the first one (the watchdog rule of Axolotl). */
function diverged({ trainSteps, validation, trainEval }: Evidence): Finding | null {
  const broken = [...trainSteps, ...validation].find((p) => !Number.isFinite(p.value));
  if (broken) {
    return finding(
      'diverged',
      broken.step,
      `The loss stopped being a number at step ${broken.step}. The learning rate is probably too high; try a tenth of it.`,
    );
  }
  const start = trainSteps[0]?.value ?? trainEval[0]?.value;
  if (start === undefined) return null;
  const above = streak(trainSteps, (p) => p.value > start + 1);
  const from = above[0];
  if (!from || above.length < 3) return null;
  return finding(
    'diverged',
    from.step,
    `Training loss has climbed from ${show(start)} to ${show((above.at(-1) as CurvePoint).value)} since step ${from.step}: the run has come apart. Try a tenth of the learning rate.`,
  );
}

/** No held-out row is new, so the curve cannot tell learning from memorising. */
function onlyCopies({ run, validation }: Evidence): Finding | null {
  if (run === null || run.heldOut.copies === 0 || run.heldOut.copies !== run.validationRows) return null;
  const onlyThose = { ...run.heldOut, samePrompt: 0, nearPrompt: 0 };
  const sentence = alikeSentences(run.validationRows, onlyThose).join(' ');
  const [first, last] = [validation[0], validation.at(-1)] as [CurvePoint, CurvePoint];
  const moved = first === last ? '' : ` On them it went from ${show(first.value)} to ${show(last.value)}.`;
  return finding('copies', null, `${sentence}${moved}`);
}

/** Fewer than two evaluations: there is nothing to compare. */
function tooEarly({ validation, ended }: Evidence): Finding | null {
  const [first, second] = validation;
  if (second) return null;
  if (!first) {
    return finding(
      'waiting',
      null,
      ended === null
        ? 'Nothing measured yet.'
        : `The run ${ENDED[ended]} before anything was measured, so there is no verdict.`,
    );
  }
  const before = `Before training, validation loss ${ended === null ? 'is' : 'was'} ${show(first.value)}.`;
  return finding(
    'waiting',
    null,
    ended === null
      ? `${before} One more evaluation and there is something to compare.`
      : `${before} The run ${ENDED[ended]} before the next evaluation, so there is nothing to compare it with.`,
  );
}

/** The rise above the lowest loss that counts. The same rows are compared, so the chance of the difference is far below that of the level. */
const demanded = (m: Measurement, lowestLoss: number, riseError: number | null) =>
  (m.few ? 2 : 1) * Math.max(RISE * lowestLoss, riseError ?? m.errorAtBest);

/** Validation loss above its minimum in the last two evaluations or more: overfitting, chance, or a rate that is too high. */
function risen(m: Measurement): Finding | null {
  const { pair, lowestPoint, last, met } = m;
  const isRisen = (p: CurvePoint) =>
    p.value > lowestPoint.value + demanded(m, lowestPoint.value, finite(at(m.riseErrors, p.step)));
  const after = m.validation.filter((p) => p.step > lowestPoint.step);
  const rise = pair.last.validation - pair.best.validation;
  if (after.length === 0 || rise <= demanded(m, pair.best.validation, pair.riseError)) return null;
  const all = [...streak(after.slice(0, -1), isRisen), last];
  if (all.length < 2) return null;
  const from = (all[0] as CurvePoint).step;

  const [was, is] = [pair.best, pair.last];
  const falls = is.train < was.train * (1 - LEARNED);
  const known = is.train < KNOWN * was.validation && is.train - was.train < WANDER * rise;
  const on =
    m.run && isSampled(m.run)
      ? ` on ${pair.onAll ? `all ${m.run.validationRows.toLocaleString('en')} held-out rows` : measuredRows(m.run)}`
      : '';
  const risenFrom = `validation loss has risen from ${show(was.validation)} to ${show(is.validation)}${on}`;
  const held = answersHold(pair);
  if (held !== null && (falls || known)) {
    return finding(
      'plateau',
      from,
      `V${risenFrom.slice(1)} since step ${from}, but the answers hold: ${held} So the model has become surer of its few mistakes, and makes hardly more of them. Its loss was best ${m.bestAt}.`,
    );
  }
  if (falls || known) {
    const training = falls
      ? `loss on the training rows fell from ${show(was.train)} to ${show(is.train)}. The model is ${met ? 'learning the rows by heart' : 'fitting those rows alone'}.`
      : `loss on the training rows stays at ${show(is.train)}. The model knows those rows${met ? ' by heart' : ''}.`;
    return finding(
      'overfitting',
      from,
      `Overfitting since step ${from}: ${risenFrom}, while ${training} It was best ${m.bestAt}.`,
    );
  }
  return finding(
    'plateau',
    from,
    is.train > was.train * (1 + LEARNED)
      ? `Both losses have got worse since step ${lowestPoint.step}, where validation was ${show(was.validation)}${on}. That is not overfitting; the learning rate may be too high.`
      : `V${risenFrom.slice(1)} since step ${lowestPoint.step}, but loss on the training rows has hardly moved either, so the model is not learning them by heart. It may be chance, or a learning rate that is too high.`,
  );
}

/** A sentence where nearly all held-out tokens are right, and as many as when the loss was lowest; else null. */
function answersHold({ best, last }: Comparison): string | null {
  const [was, is] = [best.tokensRight, last.tokensRight];
  if (was === null || is === null || is < TOKENS_RIGHT || was - is > TOKENS_LOST) return null;
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  return `${share(is)} of the tokens of the held-out answers are the ones that the model finds most likely, and ${share(was)} were when the loss was lowest.`;
}

/** A movement on very few rows or tokens that is no larger than chance. */
function tooFew({ few, first, last, lowestPoint, rows, tokens, errorAtBest }: Measurement): Finding | null {
  if (!few || rows === null) return null;
  if (Math.abs(last.value - first.value) > 2 * Math.max(RISE * lowestPoint.value, errorAtBest)) return null;
  const count = rows < FEW_ROWS ? plural(rows, 'validation row') : `${tokens} validation tokens`;
  return finding(
    'too_few',
    null,
    `Validation loss went from ${show(first.value)} to ${show(last.value)}, but ${count} ${rows === 1 ? 'is' : 'are'} too few to tell whether that is more than chance.`,
  );
}

/** The last quarter of the evaluations, three at least, brought less than 1 %. */
function standstill(m: Measurement): Finding | null {
  const { validation, lowestPoint, last, line, whole, met } = m;
  const trainAt = (step: number) => nearest(m.trainEval, step)?.value ?? Number.NaN;
  const window = Math.max(3, Math.ceil(validation.length / 4));
  const before = lowest(validation.slice(0, -window));
  const recent = lowest(validation.slice(-window));
  if (!before || !recent || recent.value <= before.value * (1 - STANDSTILL)) return null;
  const trainNow = trainAt(last.step);
  const trainFalls = trainNow < trainAt(before.step) * (1 - STANDSTILL);
  return finding(
    'plateau',
    before.step,
    trainFalls
      ? `Validation loss${line} has stayed near ${show(lowestPoint.value)} since step ${before.step}, while loss on the training rows goes on falling (${show(trainNow)}). ${met ? 'More steps now mostly teach those rows by heart.' : 'More steps now mostly help on those rows.'}${whole}`
      : `Standing still: validation loss${line} has stayed near ${show(lowestPoint.value)} since step ${before.step}. More steps of this kind will hardly change it.${whole}`,
  );
}

/** The run has ended by itself after an epoch or more, and the training rows were hardly learned. */
function underfitting({ ended, met, trainEval, validation, line, whole }: Measurement): Finding | null {
  const [first, last] = [trainEval[0], trainEval.at(-1)];
  if (
    ended !== 'finished' ||
    !met ||
    !first ||
    !last ||
    last.value < NOTHING_LEFT ||
    last.value <= HARDLY_LEARNED * first.value
  )
    return null;
  const [start, end] = [validation[0], validation.at(-1)] as [CurvePoint, CurvePoint];
  return finding(
    'underfitting',
    null,
    `Underfitting: loss on the training rows went only from ${show(first.value)} to ${show(last.value)}, and validation loss${line} from ${show(start.value)} to ${show(end.value)}. The learning rate is too low, or the run too short.${whole}`,
  );
}

/** What is left: the loss has fallen, or never went below what it was before training. */
function fallen({ first, last, lowestPoint, ended, run, line, whole }: Measurement): Finding {
  if (lowestPoint === first) {
    return finding(
      ended === null ? 'waiting' : 'plateau',
      ended === null ? null : first.step,
      `No gain${ended === null ? ' yet' : ''}: validation loss${line} was ${show(first.value)} before training and is ${show(last.value)} ${ended === null ? 'now' : 'at the end'}.${whole}`,
    );
  }
  const fall = `from ${show(first.value)} to ${show(lowestPoint.value)}${line}`;
  const unseen = run !== null && alike(run.heldOut) === 0 ? ', rows that this run did not train on' : '';
  return finding(
    'learning',
    first.step,
    last === lowestPoint
      ? `Validation loss has fallen ${fall}${unseen}.${whole}`
      : `Validation loss fell ${fall} at step ${lowestPoint.step}; the last evaluation (${show(last.value)}) is no better, which can be chance.${whole}`,
  );
}

/** @param pair of the lowest point and the last one of `evidence.validation`, which has two points or more */
function measurement(evidence: Evidence, lowestPoint: CurvePoint, pair: Comparison): Measurement {
  const { validation, run } = evidence;
  const [first, last] = [validation[0], validation.at(-1)] as [CurvePoint, CurvePoint];
  const { onAll } = pair;
  const rows = run === null ? null : onAll ? run.validationRows : run.evaluation.validationRows;
  const tokens = run && (onAll ? run.evaluation.allValidationTokens : run.evaluation.validationTokens);
  const sampled = run !== null && isSampled(run);
  const bestAt = lowestPoint === first ? 'before training' : `at step ${lowestPoint.step}`;
  const best = lowestPoint === last ? '' : `, and was ${show(pair.best.validation)} ${bestAt}`;
  return {
    ...evidence,
    first,
    last,
    lowestPoint,
    pair,
    rows,
    tokens,
    few: rows !== null && tokens !== null && (rows < FEW_ROWS || tokens < FEW_TOKENS),
    line: sampled ? ` on ${measuredRows(run)}` : '',
    whole:
      onAll && sampled
        ? ` On all ${run.validationRows.toLocaleString('en')} held-out rows it ends at ${show(pair.last.validation)}${best}.`
        : '',
    bestAt,
    met: last.epoch > 1,
  };
}

/**
 * Reads the curves: the first rule that finds something gives the verdict. In order:
 * - diverged: a loss that is not a number, or training losses far above the first one;
 * - waiting: fewer than two evaluations;
 * - copies: no held-out row is new;
 * - overfitting since s: validation loss above its minimum by more than max(1 %, one standard error of that rise) in the last two
 *   evaluations or more, while the training rows, measured by the same code, are learned further: 2 % better than at the
 *   minimum, or known already (below half of the lowest validation loss) and not forgotten since. At the end of a run the last of these
 *   evaluations, and the minimum, are those on all rows. Otherwise such a rise is a plateau, and so it is where 99 % of the held-out tokens
 *   are right and at most half a percent less than at the minimum: on intent-json (LoRA, 15 epochs, seed 1) the loss rose from 0.022 to
 *   0.033, and 99.3 % of the tokens were right (99.5 %);
 * - too few: a movement that is no more than chance on very few rows;
 * - underfitting: the run is over and the loss on the training rows is still above nine tenths of what it was;
 * - plateau: the last quarter of the evaluations (three at least) brought less than 1 %;
 * - learning, or no gain.
 * Beside it stands what was forgotten (forgetting.ts), but for a run that diverged: there everything is lost.
 * One pass over the points for each line; memory for the lines.
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
  const lowestPoint = lowest(validation);
  const last = validation.at(-1);
  const evidence: Evidence = {
    validation,
    trainEval: series(points, 'train_eval_loss'),
    trainSteps: series(points, 'train_loss'),
    errorAtBest: lowestPoint
      ? (finite(nearest(series(points, 'valid_loss_standard_error'), lowestPoint.step)?.value) ?? 0)
      : 0,
    riseErrors: series(points, 'valid_rise_standard_error'),
    run,
    ended,
  };
  const pair = lowestPoint && last ? compare(points, lowestPoint.step, last.step) : null;
  const early =
    diverged(evidence) ?? (validation.length > 0 ? onlyCopies(evidence) : null) ?? tooEarly(evidence);
  let found = early;
  if (!found && lowestPoint && pair) {
    const m = measurement(evidence, lowestPoint, pair);
    found = risen(m) ?? tooFew(m) ?? underfitting(m) ?? standstill(m) ?? fallen(m);
  }
  const { state, since, sentence } = found as Finding;
  let best: Verdict['best'] = null;
  if (pair && lowestPoint && last) {
    const atEnd = pair.last.validation < pair.best.validation;
    best = atEnd
      ? { step: last.step, loss: pair.last.validation }
      : { step: lowestPoint.step, loss: pair.best.validation };
  }
  const silent = state === 'too_few' || state === 'copies' || !pair;
  const caveat = silent ? null : caveatOf(pair, run);
  const lost = state === 'diverged' ? null : forgetting(points);
  return { state, since, best, measuredAll: pair?.onAll ?? false, sentence, caveat, forgetting: lost };
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
