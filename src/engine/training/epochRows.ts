// The rows of each epoch in their order: all training rows once, and among them the general rows that are mixed in (replay).
// Not here: the permutation (data/batches.ts), which general rows an epoch draws (data/generalRows.ts).
//
// How it works: an epoch is one seeded permutation over its training and general rows together, so a step has the share `replay_fraction` of
// general rows in expectation, and the epoch has it exactly. It depends on settings, seed and epoch alone: a resumed run has the same order.
// Memory: the order of one epoch.

import type { EncodedExample } from '../../contract';
import { epochOrder, rowsOfStep } from '../../data/batches';
import { replayOfEpoch } from '../../data/generalRows';
import { replayRows } from '../../epochSteps';
import { PlaygroundError } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';
import type { TrainingData } from './plan';

export class EpochRows {
  readonly #train: readonly EncodedExample[];
  readonly #replay: readonly EncodedExample[];
  /** General rows of an epoch. */
  readonly #replayed: number;
  readonly #h: Hyperparameters;
  #epoch = -1;
  #rows: readonly EncodedExample[] = [];

  /** @throws PlaygroundError `no_replay_rows` when general rows are asked for and there are none */
  constructor({ train, replay = [] }: TrainingData, h: Hyperparameters) {
    this.#train = train;
    this.#replayed = replayRows(train.length, h);
    this.#replay = this.#replayed > 0 ? replay : [];
    this.#h = h;
    if (this.#replayed > 0 && replay.length === 0) throw noReplayRows();
  }

  /** Every row that may come. */
  get all(): EncodedExample[] {
    return [...this.#train, ...this.#replay];
  }

  /** Rows of each micro-batch of a step. @param step within the epoch, from 0 */
  ofStep(epoch: number, step: number): EncodedExample[][] {
    return rowsOfStep(this.#of(epoch), this.#h, step);
  }

  #of(epoch: number): readonly EncodedExample[] {
    if (epoch === this.#epoch) return this.#rows;
    const { seed } = this.#h;
    const drawn = replayOfEpoch(this.#replay.length, this.#replayed, seed, epoch);
    const rows = [...this.#train, ...drawn.map((i) => this.#replay[i] as EncodedExample)];
    this.#rows = epochOrder(rows.length, seed, epoch).map((i) => rows[i] as EncodedExample);
    this.#epoch = epoch;
    return this.#rows;
  }
}

export const noReplayRows = (notices: readonly string[] = []) =>
  new PlaygroundError({
    code: 'no_replay_rows',
    message: ['There is no general row that could be mixed in.', ...notices].join(' '),
    fix: 'Set the replay share to 0.',
  });
