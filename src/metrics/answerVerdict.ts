// What an evaluation of its answers adds to the verdict on a run: a rising loss does not have to show in what is answered.
// Not here: the verdict on the curves (diagnosis.ts), the scores (answerScores.ts).

import type { AnswerEvaluation } from '../evaluationContract';
import type { Verdict } from './diagnosis';
import { provesRight } from './ruleText';

/** Share of right answers from which they are called nearly all right. */
const NEARLY_ALL = 0.9;
/** Below this share a fallen loss has not led to right answers. */
const FEW_RIGHT = 0.5;
/** Fewer rows do not change what is said of the curves. */
const LEAST_ROWS = 10;

export interface AnswerVerdict {
  /** The words in place of the verdict's; null where it stands as it is. */
  word: string | null;
  sentence: string;
}

/**
 * @param evaluations of the run, newest first
 * @returns null where no answer of its weights was evaluated
 */
export function answerVerdict(
  { state, best }: Pick<Verdict, 'state' | 'best'>,
  evaluations: readonly AnswerEvaluation[],
): AnswerVerdict | null {
  const evaluation = evaluations.find(
    ({ weights, scores }) => weights !== null && scores.heldOut.tuned !== null,
  );
  const scores = evaluation?.scores.heldOut;
  if (!evaluation?.weights || !scores?.tuned) return null;
  const { passed, of } = scores.tuned.right;
  const side = evaluation.request.split === 'test' ? 'test rows' : 'held-out rows';
  const { step } = evaluation.weights;
  const proven = evaluation.request.checks.some(provesRight);
  const counted = `The answers at step ${step.toLocaleString('en')} ${proven ? 'are right' : 'pass their checks'} on ${passed} of ${of} ${side}, the base model’s on ${scores.base.right.passed}.`;
  // Form or likeness alone says nothing of mistakes.
  if (!proven) return { word: null, sentence: counted };
  const share = of === 0 ? 0 : passed / of;
  // Weights from before the rise say nothing about it.
  const risen = state === 'overfitting' && best !== null && step > best.step;
  if (risen && of >= LEAST_ROWS && share >= NEARLY_ALL) {
    return {
      word: 'Loss rises, answers right',
      sentence: `${counted} So the rising loss hardly shows in the answers: the model is surer of its mistakes, but makes few.`,
    };
  }
  if ((state === 'learning' || state === 'plateau') && of >= LEAST_ROWS && share < FEW_RIGHT) {
    return { word: null, sentence: `${counted} A lower loss has not made most of them right yet.` };
  }
  return { word: null, sentence: counted };
}
