// Scores of labels: the confusion matrix, balanced accuracy and F1, beside a model that always answers the most frequent label.
// Not here: the label of an answer (checks.ts : labelIn).

import type { LabelScores } from '../evaluationContract';

/** @param pairs the expected label of each row, and the answered one; null where an answer has none of the labels */
export function labelScores(
  labels: readonly string[],
  pairs: readonly { expected: string; answered: string | null }[],
): LabelScores {
  const place = new Map(labels.map((label, i) => [label, i]));
  const matrix = labels.map(() => new Array<number>(labels.length + 1).fill(0));
  for (const { expected, answered } of pairs) {
    const row = matrix[place.get(expected) as number] as number[];
    const column = answered === null ? labels.length : (place.get(answered) as number);
    row[column] = (row[column] as number) + 1;
  }
  const counts = matrix.map((row) => row.reduce((sum, count) => sum + count, 0));
  const most = counts.indexOf(Math.max(...counts));
  const always = matrix.map((_, row) =>
    [...labels, ''].map((_label, column) => (column === most ? (counts[row] as number) : 0)),
  );
  const { accuracy, balancedAccuracy, macroF1 } = scoresOf(always);
  return {
    labels: [...labels],
    matrix,
    ...scoresOf(matrix),
    majority:
      pairs.length === 0 ? null : { label: labels[most] as string, accuracy, balancedAccuracy, macroF1 },
  };
}

/**
 * Accuracy; balanced accuracy: the mean recall of the labels that are expected of some row; macro F1: the mean of 2·tp / (2·tp + fp + fn) over
 * the same labels (scikit-learn: `balanced_accuracy_score`, `f1_score(labels=those, average='macro')`).
 */
function scoresOf(matrix: readonly (readonly number[])[]) {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const expected = matrix.map(sum);
  const answered = matrix.map((_, column) => sum(matrix.map((row) => row[column] as number)));
  const right = matrix.map((row, i) => row[i] as number);
  const rows = sum(expected);
  const f1 = right.map((hits, i) => {
    const wanted = (expected[i] as number) + (answered[i] as number);
    return wanted === 0 ? null : (2 * hits) / wanted;
  });
  const present = expected.flatMap((count, i) => (count > 0 ? [i] : []));
  const mean = (of: (i: number) => number) =>
    present.length === 0 ? 0 : sum(present.map(of)) / present.length;
  return {
    accuracy: rows === 0 ? 0 : sum(right) / rows,
    balancedAccuracy: mean((i) => (right[i] as number) / (expected[i] as number)),
    macroF1: mean((i) => f1[i] ?? 0),
    f1,
  };
}
