// The losses of single rows over a run: which rows were measured every time, how each went, and a scale for showing them.
// Not here: measuring (session/rowLosses.ts), drawing (ui/train/RowMap.svelte).

import type { RowLosses, RowMeasurement } from '../dataContract';

export interface RowCurve {
  line: number;
  /** As `previewRows` counts the rows of its side. */
  place: number;
  /** In nats a learned token, one for each of `RowCurves.steps`. */
  losses: number[];
}

export interface RowCurves {
  /** Steps of the evaluations, rising. */
  steps: number[];
  train: RowCurve[];
  validation: RowCurve[];
}

/**
 * The rows that were measured at every evaluation, with their losses at each. Rows that are measured at the end only are left out: they
 * have no past to be seen. A step that was measured twice (the best one, once more at the end) keeps its last value.
 * One pass over the measurements; memory for the losses.
 */
export function rowCurves(measured: readonly RowMeasurement[]): RowCurves {
  const byStep = new Map<number, RowMeasurement>();
  for (const one of measured) byStep.set(one.step, one);
  const steps = [...byStep.keys()].sort((a, b) => a - b);
  const inOrder = steps.map((step) => byStep.get(step) as RowMeasurement);
  const side = (of: (one: RowMeasurement) => RowLosses): RowCurve[] => {
    const tables = inOrder.map((one) => {
      const { places, losses } = of(one);
      return new Map(places.map((place, i) => [place, losses[i] as number]));
    });
    const first = inOrder[0] && of(inOrder[0]);
    if (!first) return [];
    return first.lines
      .map((line, i) => ({ line, place: first.places[i] as number }))
      .map((row) => ({ ...row, losses: tables.map((t) => t.get(row.place)) }))
      .filter((row): row is RowCurve => row.losses.every((loss) => loss !== undefined));
  };
  return { steps, train: side((one) => one.train), validation: side((one) => one.validation) };
}

/**
 * The loss that is shown as nothing known: the ninth decile of all rows before training, so that one odd row does not pale the others.
 * @returns 1 where nothing finite was measured
 */
export function scaleTop({ train, validation }: RowCurves): number {
  const first = [...train, ...validation].map((row) => row.losses[0] as number).filter(Number.isFinite);
  if (first.length === 0) return 1;
  first.sort((a, b) => a - b);
  return Math.max(first[Math.floor(0.9 * (first.length - 1))] as number, 1e-6);
}

/** How well a row is known, from 0 (as surprising as rows were before training, or more) to 1 (certain). @param top of `scaleTop` */
export function known(loss: number, top: number): number {
  return Number.isFinite(loss) ? Math.max(0, Math.min(1, 1 - loss / top)) : 0;
}
