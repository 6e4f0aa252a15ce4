// How a run is measured while it goes on, for its record: how often, on how many rows, tokens and bytes.
// Not here: deciding it (engine/training/plan.ts).

import { learnedBytes } from '../data/tokens/learnedBytes';
import type { Tokenizer } from '../data/tokens/tokenizer';
import { targetTokens } from '../engine/training/batch';
import type { TrainPlan } from '../engine/training/plan';
import type { EvaluationConfig } from '../measuringContract';

export function evaluationConfig(
  { evaluateAt, sample, all, evaluationShare }: TrainPlan,
  tokenizer: Tokenizer,
): EvaluationConfig {
  return {
    evaluations: evaluateAt.size,
    validationRows: sample.validation.length,
    validationTokens: targetTokens(sample.validation),
    allValidationTokens: targetTokens(all.validation),
    validationBytes: learnedBytes(tokenizer, sample.validation),
    allValidationBytes: learnedBytes(tokenizer, all.validation),
    trainRows: sample.train.length,
    allTrainRows: all.train.length,
    share: evaluationShare,
  };
}
