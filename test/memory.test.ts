// The memory estimate against what a step really holds at its peak, by method, batch, length and family.
// Run: npx vitest run --project node test/memory.test.ts

import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { EncodedExample } from '../src/contract';
import { startDevice } from '../src/engine/device';
import { loadModel } from '../src/engine/load';
import { assertFits, baseSize, type DeviceRoom, estimateMemory } from '../src/engine/memory';
import type { Model } from '../src/engine/model';
import { Trainer } from '../src/engine/train';
import type { PlaygroundError } from '../src/errors';
import { readModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { diskFolder } from './nodeFolders';

/** Highest sum of live tensor bytes while `work` runs. Reads tfjs's own running total, at every change. */
async function peakBytes(work: () => Promise<void>): Promise<number> {
  const { state } = tf.engine();
  let now = state.numBytes;
  let peak = now;
  Object.defineProperty(state, 'numBytes', {
    configurable: true,
    get: () => now,
    set: (value: number) => {
      now = value;
      peak = Math.max(peak, value);
    },
  });
  try {
    await work();
  } finally {
    Object.defineProperty(state, 'numBytes', { configurable: true, writable: true, value: now });
  }
  return peak;
}

function rowsOf(count: number, length: number, vocabSize: number): EncodedExample[] {
  return Array.from({ length: count }, (_, line) => ({
    line: line + 1,
    ids: Int32Array.from({ length }, (_, i) => (i * 7 + line) % vocabSize),
    mask: Uint8Array.from({ length }, (_, i) => (i >= length / 2 ? 1 : 0)),
    fullLength: length,
  }));
}

async function measure(
  model: Model,
  change: Partial<Hyperparameters>,
  length: number,
): Promise<[number, number]> {
  const h = { ...defaultHyperparameters(), ...change };
  const rows = rowsOf(h.batch_size, length, model.architecture.vocabSize);
  const trained = rows.length * Math.ceil(length / 2);
  const before = tf.memory().numBytes;
  let weights = 0;
  for (const t of model.weights.values()) weights += t.size * 4;
  const peak = await peakBytes(async () => {
    const trainer = new Trainer(model, { train: rows, validation: rows.slice(0, 1) }, h);
    for await (const event of trainer.run()) if (event.kind === 'step' && event.step === 2) break;
    trainer.dispose();
  });
  const longest = { rows: rows.length, tokens: length, targets: trained };
  return [
    peak - before + weights,
    estimateMemory(model.architecture, baseSize(model), h, longest).totalBytes,
  ];
}

const CASES: [string, Partial<Hyperparameters>, number][] = [
  ['LoRA', {}, 96],
  ['LoRA, long rows', { batch_size: 4 }, 240],
  ['LoRA, rank 64 on attention', { lora_r: 64, target_modules: 'attention' }, 96],
  ['LoRA with dropout', { lora_dropout: 0.1 }, 96],
  ['DoRA', { use_dora: true }, 96],
  ['full', { method: 'full' }, 96],
  ['full, one row', { method: 'full', batch_size: 1 }, 32],
  ['full without embeddings', { method: 'full', train_embeddings: false }, 96],
  ['last layer', { method: 'last_layers' }, 96],
  ['full, checkpointed', { method: 'full', gradient_checkpointing: 'on' }, 240],
  ['LoRA, checkpointed', { gradient_checkpointing: 'on' }, 240],
];

let pebble: Model;

beforeAll(async () => {
  const wasmPath = `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`;
  await startDevice({ requested: 'wasm', wasmPath, onLost: () => {}, onError: () => {} });
  pebble = await loadModel(await readModelFolder(diskFolder('models/pebble-1m')), () => {});
});

describe('the estimate', () => {
  test.each(CASES)('%s is foretold within 15 %%', async (_, change, length) => {
    const [measured, estimated] = await measure(pebble, change, length);
    expect(estimated / measured).toBeGreaterThan(0.85);
    expect(estimated / measured).toBeLessThan(1.15);
  });
});

describe('what does not fit', () => {
  const longest = { rows: 8, tokens: 256, targets: 900 };
  const refusal = (h: Partial<Hyperparameters>, room: Partial<DeviceRoom>) => {
    const settings = { ...defaultHyperparameters(), ...h };
    const all = { maxBufferBytes: Number.POSITIVE_INFINITY, totalBytes: Number.POSITIVE_INFINITY, ...room };
    try {
      assertFits(pebble.architecture, baseSize(pebble), settings, longest, all);
    } catch (thrown) {
      return thrown as PlaygroundError;
    }
    return null;
  };

  test('is refused with ways to make it fit, each of them within the room there is', () => {
    const error = refusal({ method: 'full' }, { totalBytes: 45e6 }) as PlaygroundError;
    expect(error.code).toBe('out_of_memory');
    const needed = Number(/about (\d+) MB/.exec(error.message)?.[1]);
    const ways = [...error.fix.matchAll(/\((\d+) MB/g)].map((m) => Number(m[1]));
    expect(ways.length).toBeGreaterThanOrEqual(2);
    expect(needed).toBeGreaterThan(45);
    for (const way of ways) expect(way).toBeLessThanOrEqual(45);
    expect(refusal({ method: 'full' }, { totalBytes: 1e6 })?.fix).toMatch(/: a smaller model\.$/);
  });

  test('is refused for a single tensor above the limit, and nothing else is', () => {
    expect(refusal({}, { maxBufferBytes: 1e6 })?.message).toContain('in one piece');
    expect(refusal({}, { maxBufferBytes: 128e6, totalBytes: 1e9 })).toBeNull();
  });
});
