// The shipped model with made-up rows of one length, for measurements of the wasm backend and tests that want a model of real size.
// Not here: what is measured (threads.ts, stretch.ts), models of test size (../engineFixtures.ts).

import path from 'node:path';
import type { EncodedExample } from '../../src/contract';
import { loadModel } from '../../src/engine/model/load';
import type { Model } from '../../src/engine/model/model';
import { Trainer } from '../../src/engine/training/train';
import { readModelFolder } from '../../src/formats/huggingface';
import type { Hyperparameters } from '../../src/hyperparameters';
import { house } from '../../src/launch/prerequisites.mjs';
import { diskFolder } from '../nodeFolders';

/** Processor time of all threads so far, in ms: unlike the clock it does not count what other programs do. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export async function openPebble(name = 'pebble-1m'): Promise<Model> {
  return loadModel(await readModelFolder(diskFolder(path.join(house, 'models', name))), () => {});
}

/** Rows of `length` tokens, all of them learned, by a fixed rule. */
export function madeUpRows(count: number, length: number, vocabSize: number): EncodedExample[] {
  return Array.from({ length: count }, (_, row) => ({
    line: row + 1,
    ids: Int32Array.from({ length }, (_, i) => ((row * length + i) * 7919 + 13) % vocabSize),
    mask: new Uint8Array(length).fill(1),
    fullLength: length,
  }));
}

/** A trainer with so many batches, and as many rows to validate with as one batch has. */
export function pebbleTrainer(model: Model, h: Hyperparameters, length: number, batches: number): Trainer {
  const rows = madeUpRows(h.batch_size * (batches + 1), length, model.architecture.vocabSize);
  const data = { train: rows.slice(h.batch_size), validation: rows.slice(0, h.batch_size) };
  return new Trainer(model, data, h);
}
