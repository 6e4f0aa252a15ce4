// The notes of measurements of test rows in the record of a run, and whether rows are the ones that a run kept aside.
// Not here: which rows these are (data/split.ts), the record as a file (results.ts).

import type { EncodedExample, RunConfig } from '../contract';
import { learnedBytes } from '../data/tokens/learnedBytes';
import type { TestSplit, TestUse } from '../dataContract';
import { type Evaluation, summary } from '../engine/training/evaluate';
import { PlaygroundError } from '../errors';
import type { AnswerEvaluation } from '../evaluationContract';
import { bitsPerByte } from '../metrics/bitsPerByte';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';

/** One measurement of the test rows, for the record of a run. */
export function testUse(
  { chat }: BaseModel,
  rows: readonly EncodedExample[],
  weights: Pick<TestUse, 'weights' | 'step'>,
  { loss, standardError, meanTokenAccuracy, targets }: Evaluation,
): TestUse {
  return {
    at: new Date().toISOString(),
    ...weights,
    loss,
    standardError,
    meanTokenAccuracy,
    bitsPerByte: bitsPerByte(loss, targets, learnedBytes(chat.tokenizer, rows)),
    rows: rows.length,
  };
}

/**
 * The notes of an evaluation of answers that measured all test rows, for the record of the run; null where it was of other rows or of some.
 */
export function notedUses(
  base: BaseModel,
  dataset: Dataset,
  { request, rows, sideRows, weights }: AnswerEvaluation,
): [TestUse, TestUse] | null {
  const asked = rows.filter(({ split }) => split === 'test');
  if (request.split !== 'test' || weights === null || asked.length < sideRows) return null;
  const encoded = dataset.rows('test').map((row) => row.encoded);
  const lossesOf = (which: 'base' | 'tuned') =>
    summary(
      asked.flatMap(({ line, file, targets, [which]: answer }) =>
        answer
          ? [{ line, ...(file && { file }), lossSum: answer.lossSum, correct: answer.correct, targets }]
          : [],
      ),
    );
  return [
    testUse(base, encoded, { weights: 'base' }, lossesOf('base')),
    testUse(
      base,
      encoded,
      { weights: weights.which, ...(weights.which === 'step' && { step: weights.step }) },
      lossesOf('tuned'),
    ),
  ];
}

/**
 * The test rows that a run kept aside.
 * @throws PlaygroundError `no_test_rows` when it kept none, `other_test_rows` when those of the data now are not the same
 */
export function testRowsOf(dataset: Dataset, config: RunConfig): EncodedExample[] {
  const now = dataset.report.test;
  if (!config.test) {
    throw new PlaygroundError({
      code: 'no_test_rows',
      message: 'This run kept no test rows aside.',
      fix: 'Set a test share or choose a test file, and train again.',
    });
  }
  if (!isTestOf(now, config)) {
    throw new PlaygroundError({
      code: 'other_test_rows',
      message:
        'The test rows of the data that are loaded now are not those that the run kept aside; it may have learned from them.',
      fix: 'Choose the data and the settings of the run again.',
    });
  }
  return dataset.rows('test').map(({ encoded }) => encoded);
}

/** Whether these are the rows that the run kept aside. */
export const isTestOf = (test: TestSplit | null, config: RunConfig): boolean =>
  test !== null && test.hash === config.test?.hash;
