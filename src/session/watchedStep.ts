// One update made by hand, watched: the losses of its rows before it, and how far it moved the weights that learn.
// Not here: the update (engine/training/train.ts), when a step is made by hand (run.ts), changes since the start of a run (engine/training/weightChanges.ts).
//
// How it works: before the update the weights that learn are read from the device and the rows of its batch are measured; after it the
// weights are read once more. Memory: those weights twice, as arrays; above `MAX_WEIGHTS` they are not read.

import type { EncodedExample } from '../contract';
import { lossesByRow, measureWith } from '../engine/training/evaluate';
import { type NamedTensors, readAll } from '../engine/training/namedTensors';
import type { StepReport, Trainer } from '../engine/training/train';
import type { ModuleUpdate, StepDetails, StepRow } from '../stepContract';

const MAX_WEIGHTS = 20_000_000;
/** Rows measured at a time. */
const BATCH_SIZE = 8;

/** `model.layers.0.mlp.up_proj.lora_A.weight` → `model.layers.0.mlp.up_proj`. */
const moduleOf = (name: string) => name.replace(/(\.(lora_[AB]|lora_magnitude_vector|weight|bias))+$/, '');

export class WatchedStep {
  readonly #trainer: Trainer;
  readonly #rows: StepRow[];
  readonly #before: NamedTensors | null;

  private constructor(trainer: Trainer, rows: StepRow[], before: NamedTensors | null) {
    this.#trainer = trainer;
    this.#rows = rows;
    this.#before = before;
  }

  /** Before the update, with none pending. @param train all training rows, for their places. @throws PlaygroundError `non_finite` */
  static async begin(trainer: Trainer, train: readonly EncodedExample[]): Promise<WatchedStep> {
    const measure = measureWith(trainer.model, trainer.learner);
    const work = lossesByRow(trainer.model, measure, trainer.nextRows, BATCH_SIZE);
    let next = await work.next();
    while (!next.done) next = await work.next();
    const { order, rows } = next.value;
    const measured = order.map((row, i): StepRow => {
      const { lossSum, targets } = rows[i] as (typeof rows)[number];
      return {
        index: train.indexOf(row),
        line: row.line,
        ...(row.file !== undefined && { file: row.file }),
        ...{ loss: targets > 0 ? lossSum / targets : Number.NaN, targets },
      };
    });
    const count = [...trainer.learner.tensors.values()].reduce((sum, t) => sum + t.size, 0);
    return new WatchedStep(
      trainer,
      measured,
      count > MAX_WEIGHTS ? null : await readAll(trainer.learner.tensors),
    );
  }

  /** After the update. @param maxGradNorm the setting; 0 where nothing is clipped */
  async end({ step, loss, learningRate, gradNorm }: StepReport, maxGradNorm: number): Promise<StepDetails> {
    const rows = this.#rows.toSorted((a, b) => b.loss - a.loss);
    const clippedTo = maxGradNorm > 0 && gradNorm > maxGradNorm ? maxGradNorm : null;
    const before = this.#before;
    const update = before && updateOf(before, await readAll(this.#trainer.learner.tensors));
    return { step, loss, learningRate, gradNorm, clippedTo, rows, update };
  }
}

/** How far the weights are from where they were, in all and by module, the largest change first. */
export function updateOf(before: NamedTensors, after: NamedTensors): NonNullable<StepDetails['update']> {
  const sums = new Map<string, { change: number; size: number }>();
  for (const [name, { data }] of before) {
    const now = after.get(name)?.data;
    if (!now) continue;
    const sum = sums.get(moduleOf(name)) ?? { change: 0, size: 0 };
    for (let i = 0; i < data.length; i++) {
      sum.change += ((now[i] as number) - (data[i] as number)) ** 2;
      sum.size += (data[i] as number) ** 2;
    }
    sums.set(moduleOf(name), sum);
  }
  const norms = ({ change, size }: { change: number; size: number }) => ({
    change: Math.sqrt(change),
    relative: size > 0 ? Math.sqrt(change / size) : null,
  });
  const modules = [...sums].map(([module, sum]): ModuleUpdate => ({ module, ...norms(sum) }));
  const total = { change: 0, size: 0 };
  for (const { change, size } of sums.values()) {
    total.change += change;
    total.size += size;
  }
  const { change: norm, relative } = norms(total);
  return { norm, relative, modules: modules.sort((a, b) => b.change - a.change) };
}
