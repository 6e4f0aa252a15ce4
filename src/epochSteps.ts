// How many rows and optimiser steps an epoch has, from the settings.
// Not here: which rows these are (engine/training/epochRows.ts), the settings (hyperparameters.ts).

import type { Hyperparameters } from './hyperparameters';

/** General rows among the rows of an epoch, so that they are the share `replay_fraction` of all: r / (trainRows + r). */
export const replayRows = (trainRows: number, { replay_fraction: share = 0 }: ReplaySettings): number =>
  Math.round((trainRows * share) / (1 - share));

type ReplaySettings = Partial<Pick<Hyperparameters, 'replay_fraction'>>;

/** Optimiser steps in one epoch; the last one may see fewer rows. @param trainRows without the general rows that are mixed in */
export function stepsPerEpoch(
  trainRows: number,
  h: Pick<Hyperparameters, 'batch_size' | 'gradient_accumulation_steps'> & ReplaySettings,
): number {
  const rows = trainRows + replayRows(trainRows, h);
  return Math.ceil(rows / (h.batch_size * h.gradient_accumulation_steps));
}
