// Sentences about the held-out rows and about how a run is measured, from their counts. Page and command line use the same ones.
// Not here: the verdict on the curves (diagnosis.ts).

import type { DatasetReport, Measuring, RunConfig, RunSummary } from '../contract';
import type {
  CrossValidation,
  FailedFold,
  Fold,
  FoldResult,
  HeldOut,
  Leakage,
  TestSplit,
} from '../dataContract';
import type { GeneralConfig, ReplayReport } from '../generalContract';
import { plural } from '../wording';

const whole = (count: number) => count.toLocaleString('en');

/** Held-out rows with a training row like them, in any of the three ways. */
export const alike = ({ copies, samePrompt, nearPrompt }: Leakage) => copies + samePrompt + nearPrompt;

/** "All 5 held-out rows are", "3 of 10 held-out rows are", "Both held-out rows are", "The held-out row is". */
function heldRows(count: number, of: number, [singular, many]: [string, string]): string {
  if (of === 1) return `The held-out row ${singular}`;
  if (of === 2 && count === 2) return `Both held-out rows ${many}`;
  if (count === of) return `All ${whole(of)} held-out rows ${many}`;
  return `${whole(count)} of ${whole(of)} held-out rows ${count === 1 ? singular : many}`;
}

/** Every way in which held-out rows are not new to the model; empty where they are. */
export function alikeSentences(rows: number, { copies, samePrompt, nearPrompt }: HeldOut): string[] {
  const sentences: string[] = [];
  if (copies > 0) {
    const effect =
      copies === rows
        ? 'so their loss says nothing about new rows.'
        : 'so the validation loss looks better than it would on new rows.';
    sentences.push(
      `${heldRows(copies, rows, ['is a copy of a training row', 'are copies of training rows'])}, ${effect}`,
    );
  }
  if (samePrompt > 0) {
    sentences.push(
      `${heldRows(samePrompt, rows, ['has', 'have'])} the prompt of a training row, with another answer.`,
    );
  }
  if (nearPrompt > 0) {
    sentences.push(
      `${heldRows(nearPrompt, rows, ['has', 'have'])} nearly the prompt of a training row: digits, case, punctuation or a few words differ.`,
    );
  }
  return sentences;
}

type SplitCounts = Pick<DatasetReport, 'trainRows' | 'validationRows' | 'nearDuplicateGroups' | 'heldOut'>;

/** How far the held-out rows of a data set measure learning. */
export function heldOutSentence({
  trainRows,
  validationRows,
  nearDuplicateGroups,
  heldOut,
}: SplitCounts): string {
  if (validationRows === 0) {
    return trainRows === 0
      ? 'There are no rows.'
      : 'No row is held out, so nothing can show whether more than these rows was learned. Two rows are the least.';
  }
  const sentences = alikeSentences(validationRows, heldOut);
  if (heldOut.copies < validationRows) {
    sentences.unshift(
      sentences.length === 0
        ? 'Held-out rows are not trained on: they show what was learned and what only memorised.'
        : 'Held-out rows are not trained on.',
    );
  }
  if (heldOut.kept === 'near_prompts' && nearDuplicateGroups > 0) {
    sentences.push(
      `${plural(nearDuplicateGroups, 'near-identical group')} ${nearDuplicateGroups === 1 ? 'is' : 'are'} kept on one side.`,
    );
  }
  return sentences.join(' ');
}

/** Which training rows a run reads, where it does not read all. */
export function spareSentence({
  trainRows,
  spareRows,
}: Pick<DatasetReport, 'trainRows' | 'spareRows'>): string {
  return `${whole(trainRows)} of ${plural(trainRows + spareRows, 'training row')} ${trainRows === 1 ? 'is' : 'are'} used, drawn by the seed; the held-out rows stay the same.`;
}

/** "42 general rows mixed in": of one epoch. */
export const mixedIn = ({ rows }: Pick<ReplayReport, 'rows'>) => `${plural(rows, 'general row')} mixed in`;

/** What is mixed in, and what of it does not fit. */
export function replaySentence({ fraction, rows, pool, notices }: ReplayReport): string {
  const share = `${Number((100 * fraction).toFixed(1))} % of each epoch’s rows are general ones, against forgetting`;
  const drawn = `${plural(rows, 'row')} an epoch, drawn from ${whole(pool)}. They are not held out and in none of the row counts.`;
  return [`${share}: ${drawn}`, ...notices].join(' ');
}

const lossText = (loss: number) => loss.toFixed(3);
const within = ({ mean, standardError }: { mean: number; standardError: number }) =>
  `${lossText(mean)} ± ${lossText(standardError)}`;

/** One fold of a cross-validation. */
export function foldSentence(result: FoldResult | FailedFold, { number, of }: Fold): string {
  if ('message' in result) return `Fold ${number} of ${of} failed: ${result.message}`;
  const { validationRows, best, last } = result;
  return `Fold ${number} of ${of}: ${plural(validationRows, 'row')} held out; validation loss ${lossText(best.loss)} at best (step ${best.step}), ${lossText(last)} at the end.`;
}

/** What the folds came to. ± is one standard error of the mean over folds. */
export function crossValidationSentence({ of, folds, failed, best, last }: CrossValidation): string {
  const cut =
    folds.length + failed.length < of
      ? ` It was stopped after ${folds.length + failed.length} of ${of}.`
      : '';
  const lost =
    failed.length > 0
      ? ` ${plural(failed.length, 'fold')} failed and ${failed.length === 1 ? 'is' : 'are'} left out.`
      : '';
  if (!best || !last)
    return `Cross-validation: fewer than two of ${of} folds ended, so they say nothing together.${cut}${lost}`;
  return `Cross-validation over ${folds.length} folds: validation loss ${within(best)} at the best step of each, ${within(last)} at the end (mean ± standard error).${cut}${lost}`;
}

/** Which rows are kept aside, and what they are good for. */
export function testSentence({ rows, from, alike: likeness }: TestSplit): string {
  const origin = {
    settings: 'drawn by the test share',
    data: 'marked in the file',
    file: 'in a file of their own',
  };
  const kept = `${plural(rows, 'test row')} (${origin[from]}) ${rows === 1 ? 'is' : 'are'} kept aside: no run reads ${rows === 1 ? 'it' : 'them'}.`;
  const count = alike(likeness);
  if (count === 0) return kept;
  return `${kept} ${whole(count)} of them ${count === 1 ? 'is' : 'are'} equal or nearly equal to other rows, so the test looks better than it would on new ones.`;
}

/** What speaks against trusting test rows that have been looked at; null at the first look. @param looks this one included; null where none are counted */
export function testLooksSentence(looks: number | null): string | null {
  if (looks === null) {
    return 'This device keeps no count of looks at the test rows. Look once, when everything is chosen.';
  }
  if (looks <= 1) return null;
  return `These test rows have been looked at ${looks} times. Each choice made by them makes their score look better than new rows would: choose with the held-out rows.`;
}

type Sampling = Pick<RunConfig, 'validationRows' | 'evaluation'>;

/** Whether the validation line stands on a part of the held-out rows. */
export const isSampled = ({ validationRows, evaluation }: Sampling) =>
  evaluation.validationRows < validationRows;

/** "8 of 48 held-out rows", "all 48 held-out rows", "both held-out rows". */
export function measuredRows({ validationRows, evaluation }: Sampling): string {
  if (isSampled({ validationRows, evaluation })) {
    return `${whole(evaluation.validationRows)} of ${plural(validationRows, 'held-out row')}`;
  }
  if (validationRows <= 2) return validationRows === 1 ? 'the one held-out row' : 'both held-out rows';
  return `all ${whole(validationRows)} held-out rows`;
}

/**
 * What the lines of a chart were measured on.
 * @param ended null during the run
 * @param measuredAll whether all held-out rows have been measured at the end
 */
export function evaluationCaption(
  config: Sampling,
  ended: RunSummary['state'] | null,
  measuredAll: boolean,
): string {
  const line = `Measured on ${measuredRows(config)}`;
  if (!isSampled(config)) return `${line}.`;
  if (ended === null) return `${line}; all rows at the end.`;
  if (measuredAll) return `${line}; the diamonds on all of them.`;
  return `${line}. The run ${ended === 'failed' ? 'failed' : 'was stopped'} before the others were measured.`;
}

/** How the run is measured, before it begins: for a terminal. */
export function evaluationPlan(config: Sampling & Pick<RunConfig, 'trainRows'>): string {
  const { evaluations, trainRows, allTrainRows, share } = config.evaluation;
  const end =
    isSampled(config) || trainRows < allTrainRows
      ? ` All held-out rows, and ${plural(allTrainRows, 'training row')}, are measured at the end.`
      : '';
  return `Measured ${evaluations} times on ${measuredRows(config)} and on ${whole(trainRows)} of ${plural(config.trainRows, 'training row')}, about ${Math.round(100 * share)} % of the run.${end}`;
}

/** How forgetting is measured, before the run: for a terminal and for the record on the page. */
export function generalPlan({ rows, sampleRows, share, form, notice }: GeneralConfig): string {
  if (notice !== null) return notice;
  const as =
    form === 'text' ? ' As this model has no chat template, all of them are read as plain text.' : '';
  return `Forgetting is measured on ${plural(rows, 'general row')} before and after, and on ${whole(sampleRows)} of them at each evaluation, about ${Math.round(100 * share)} % of the run.${as}`;
}

/** What is being measured at this moment. Only the best weights are not those of the step that a run stands at. */
export function measuringSentence({ what, step, done, of }: Measuring): string {
  if (what === 'pinned') return `Answering pinned prompt ${whole(done + 1)} of ${whole(of)}`;
  const count = `Measuring ${whole(done)} of ${plural(of, what === 'general' ? 'general row' : 'row')}`;
  return what === 'best' ? `${count}, best step ${whole(step)}` : count;
}
