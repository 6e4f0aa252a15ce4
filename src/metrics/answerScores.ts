// What evaluated answers come to: rates with intervals, tuned against base, training rows beside held-out ones, and the sentences of it.
// Not here: asking and checking (session/evaluation.ts), the statistics (proportions.ts), the verdict on the curves (diagnosis.ts).

import type { CheckRule } from '../answerChecks';
import type {
  EvaluatedAnswer,
  EvaluatedRow,
  EvaluationScores,
  LabelScores,
  ModelScores,
  Rate,
  SideScores,
  WinLoss,
} from '../evaluationContract';
import { listed, quoted } from '../wording';
import { labelIn } from './checks';
import { labelScores } from './labelScores';
import { pairedBootstrap, signTest, wilson } from './proportions';
import { checksOf, provesRight, ruleText } from './ruleText';

const rate = (passed: number, of: number): Rate => ({ passed, of, ...wilson(passed, of) });

/** @param answers one a row */
function modelScores(
  rows: readonly EvaluatedRow[],
  answers: readonly EvaluatedAnswer[],
  rules: readonly CheckRule[],
): ModelScores {
  const count = (holds: (answer: EvaluatedAnswer) => boolean) => answers.filter(holds).length;
  const targets = rows.reduce((sum, row) => sum + row.targets, 0);
  const mean = (of: (answer: EvaluatedAnswer) => number) =>
    targets === 0 ? null : answers.reduce((sum, answer) => sum + of(answer), 0) / targets;
  const loss = mean(({ lossSum }) => lossSum);
  const perplexity = loss === null ? null : Math.exp(loss);
  return {
    right: rate(
      count(({ right }) => right),
      rows.length,
    ),
    checks: rules.map((_, i) =>
      rate(
        count(({ outcomes }) => outcomes[i]?.passed === true),
        rows.length,
      ),
    ),
    labels: rules
      .flatMap(checksOf)
      .flatMap((chosen): LabelScores[] =>
        chosen.check === 'label' ? [labelsOf(rows, answers, chosen.parameters)] : [],
      ),
    loss,
    // JSON has no infinity.
    perplexity: perplexity !== null && Number.isFinite(perplexity) ? perplexity : null,
    tokenAccuracy: mean(({ correct }) => correct),
  };
}

function labelsOf(
  rows: readonly EvaluatedRow[],
  answers: readonly EvaluatedAnswer[],
  parameters: Parameters<typeof labelIn>[1],
): LabelScores {
  const pairs = rows.flatMap(({ expected }, i) => {
    const label = labelIn(expected, parameters);
    const answered = labelIn((answers[i] as EvaluatedAnswer).text, parameters);
    return label === null ? [] : [{ expected: label, answered }];
  });
  return labelScores(parameters.labels, pairs);
}

function winLoss(rows: readonly { base: boolean; tuned: boolean }[], random: () => number): WinLoss {
  const wins = rows.filter(({ base, tuned }) => tuned && !base).length;
  const losses = rows.filter(({ base, tuned }) => base && !tuned).length;
  return {
    wins,
    losses,
    ties: rows.length - wins - losses,
    p: signTest(wins, losses),
    difference: pairedBootstrap(
      rows.map(({ base, tuned }) => Number(tuned) - Number(base)),
      random,
    ),
  };
}

function sideScores(
  rows: readonly EvaluatedRow[],
  rules: readonly CheckRule[],
  random: () => number,
): SideScores {
  const tuned = rows.flatMap((row) => row.tuned ?? []);
  const both = rows.length > 0 && tuned.length === rows.length;
  return {
    rows: rows.length,
    base: modelScores(
      rows,
      rows.map(({ base }) => base),
      rules,
    ),
    tuned: both ? modelScores(rows, tuned, rules) : null,
    compared: both
      ? winLoss(
          rows.map(({ base, tuned }) => ({ base: base.right, tuned: tuned?.right === true })),
          random,
        )
      : null,
  };
}

/**
 * @param rows of the side that was asked for, and training rows
 * @param random makes uniform numbers in [0, 1) from a seed, the same ones each time
 */
export function answerScores(
  rows: readonly EvaluatedRow[],
  rules: readonly CheckRule[],
  random: () => () => number,
): EvaluationScores {
  const heldOutRows = rows.filter(({ split }) => split !== 'train');
  const trainRows = rows.filter(({ split }) => split === 'train');
  const fresh = heldOutRows.filter(({ near }) => near === null);
  const heldOut = sideScores(heldOutRows, rules, random());
  const train = trainRows.length > 0 ? sideScores(trainRows, rules, random()) : null;
  const near = heldOutRows.length - fresh.length;
  const withoutNear = near > 0 && fresh.length > 0 ? sideScores(fresh, rules, random()) : null;
  return {
    heldOut,
    train,
    near,
    withoutNear,
    sentence: scoreSentence(heldOut, rules),
    memorised: memorisedSentence(heldOut, train, near, withoutNear),
  };
}

/** Fewer rows than this can hardly show a difference. */
const FEW_ROWS = 10;

const percent = (share: number) => `${Math.round(100 * share)} %`;
const counted = ({ passed, of }: Rate) => `${passed} of ${of}`;

/** "p < 0.001", "p = 0.02". */
export const pText = (p: number) => (p < 0.001 ? 'p < 0.001' : `p = ${p.toPrecision(p < 0.1 ? 1 : 2)}`);

/** "Right on 46 of 48 (86 to 99 %), the base model on 3 of 48. The difference is not chance (sign test, p < 0.001)." */
export function scoreSentence(scores: SideScores, rules: readonly CheckRule[]): string {
  if (scores.rows === 0) return 'No row was asked.';
  if (rules.some(provesRight)) return comparison(scores, 'right');
  const names = listed(rules.map((rule) => quoted(ruleText(rule))));
  return `${comparison(scores, 'passed')} Passing ${names} does not make an answer right: read some.`;
}

function comparison({ rows, base, tuned, compared }: SideScores, word: 'right' | 'passed'): string {
  const interval = ({ low, high }: Rate) => `${Math.round(100 * low)} to ${percent(high)}`;
  const [is, are] = word === 'right' ? ['is right', 'are right'] : ['passes', 'pass'];
  if (!tuned || !compared) {
    return `The base model ${is} on ${counted(base.right)} (${interval(base.right)}).`;
  }
  const start = `${word === 'right' ? 'Right' : 'Passed'} on ${counted(tuned.right)} (${interval(tuned.right)}), the base model on ${counted(base.right)}.`;
  const { wins, losses, p } = compared;
  if (wins + losses === 0) {
    return `${start} ${base.right.passed === 0 ? `Neither ${is} on any row.` : `Both ${are} on the same rows.`}`;
  }
  const better = wins === losses ? null : wins > losses ? 'better' : 'worse';
  const test = `sign test, ${pText(p)}`;
  if (better === null) return `${start} It wins as many rows as it loses: ${wins} each.`;
  if (p < 0.001) return `${start} The difference cannot be chance (${test}).`;
  if (p < 0.05) return `${start} It is ${better}, and that is hardly chance (${test}).`;
  const few = rows < FEW_ROWS ? ` ${rows} rows are too few to tell; hold out more.` : '';
  return `${start} It is ${better}, but that may be chance (${test}).${few}`;
}

/** Two-sided p of two rates being the same, by the pooled normal test; rates of different rows, so they are no pairs. */
function differentRates(a: Rate, b: Rate): boolean {
  const pooled = (a.passed + b.passed) / (a.of + b.of);
  const error = Math.sqrt(pooled * (1 - pooled) * (1 / a.of + 1 / b.of));
  return error > 0 && Math.abs(a.passed / a.of - b.passed / b.of) > 1.959963984540054 * error;
}

function memorisedSentence(
  heldOut: SideScores,
  train: SideScores | null,
  near: number,
  withoutNear: SideScores | null,
): string | null {
  if (!train?.tuned || !heldOut.tuned) return null;
  const [known, fresh] = [train.tuned.right, heldOut.tuned.right];
  const both = `Training rows: right on ${counted(known)}. Held-out rows: ${counted(fresh)}.`;
  const gap = known.passed / known.of - fresh.passed / fresh.of;
  const remark =
    near === 0
      ? ''
      : withoutNear?.tuned
        ? ` ${near} held-out ${near === 1 ? 'row has' : 'rows have'} nearly the prompt of a training row; without ${near === 1 ? 'it' : 'them'} ${counted(withoutNear.tuned.right)}.`
        : ' All held-out rows have nearly the prompt of a training row, so they cannot tell learned from memorised.';
  if (known.passed / known.of < 0.5 && !differentRates(known, fresh)) {
    return `${both} Neither is learned yet.${remark}`;
  }
  if (gap > 0 && differentRates(known, fresh)) {
    return `${both} What it knows of its training rows it cannot do on new ones: in part memorised.${remark}`;
  }
  if (Math.min(known.of, fresh.of) < FEW_ROWS)
    return `${both} Too few rows to tell learned from memorised.${remark}`;
  return `${both} It does as well on new rows as on its own: learned, not memorised.${remark}`;
}
