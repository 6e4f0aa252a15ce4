// The losses of single rows at an evaluation, for the map of rows on the page.
// Not here: measuring them (engine/training/evaluate.ts), their means (engine/training/meter.ts).

import type { EncodedExample } from '../contract';
import type { RowLosses, RowMeasurement } from '../dataContract';
import type { RowLoss } from '../engine/training/evaluate';
import type { TrainingData } from '../engine/training/plan';
import type { EvaluationReport } from '../engine/training/train';

/** Rows of one side that are reported; a map of more is no longer looked at row by row. */
const MAX_ROWS = 1000;

/** For one run: what was measured at an evaluation, with the places of its rows among all rows of their side. */
export function rowMeasurements({
  train,
  validation,
}: TrainingData): (event: EvaluationReport) => RowMeasurement {
  const trainPlaces = placesOf(train);
  const validationPlaces = placesOf(validation);
  return ({ step, on, train: trained, validation: held }) => ({
    step,
    on,
    train: lossesOf(trained.rows, trainPlaces),
    validation: lossesOf(held.rows, validationPlaces),
  });
}

const keyOf = ({ file, line }: Pick<RowLoss, 'file' | 'line'>) => `${file ?? ''}:${line}`;

/** The first row of each line of a file. */
function placesOf(rows: readonly EncodedExample[]): Map<string, number> {
  const places = new Map<string, number>();
  for (const [i, row] of rows.entries()) if (!places.has(keyOf(row))) places.set(keyOf(row), i);
  return places;
}

/** Means by line of a file: the answers of one conversation may be rows of their own. One pass; memory for the lines. */
function lossesOf(rows: readonly RowLoss[], places: ReadonlyMap<string, number>): RowLosses {
  const sums = new Map<string, { line: number; loss: number; targets: number }>();
  for (const row of rows) {
    const sum = sums.get(keyOf(row)) ?? { line: row.line, loss: 0, targets: 0 };
    sums.set(keyOf(row), { ...sum, loss: sum.loss + row.lossSum, targets: sum.targets + row.targets });
  }
  const measured = [...sums].filter(([, { targets }]) => targets > 0).slice(0, MAX_ROWS);
  return {
    lines: measured.map(([, { line }]) => line),
    places: measured.map(([key]) => places.get(key) ?? -1),
    losses: measured.map(([, { loss, targets }]) => loss / targets),
    targets: measured.map(([, { targets }]) => targets),
  };
}
