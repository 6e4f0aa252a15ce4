// The memory estimate against what a step really holds at its peak, and what is done when memory does not suffice or runs out.
// Run: npx vitest run --project node test/memory.test.ts

import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EncodedExample } from '../src/contract';
import { startDevice } from '../src/engine/device/device';
import { loadModel } from '../src/engine/model/load';
import type { Model } from '../src/engine/model/model';
import { estimateRun, FittedTrainer, fitRun } from '../src/engine/training/fit';
import {
  assertFits,
  baseSize,
  estimateMemory,
  longestBatch,
  type MemoryLimits,
} from '../src/engine/training/memory';
import { type StepReport, Trainer } from '../src/engine/training/train';
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

/** The first updates of a run. */
async function steps(trainer: Trainer, count: number): Promise<StepReport[]> {
  const taken: StepReport[] = [];
  for await (const event of trainer.run()) {
    if (event.kind === 'step') taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
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
  test.each(CASES)('%s is foretold within 10 %%', async (_, change, length) => {
    const [measured, estimated] = await measure(pebble, change, length);
    expect(estimated / measured).toBeGreaterThan(0.9);
    expect(estimated / measured).toBeLessThan(1.1);
  });
});

describe('memory that runs out', () => {
  const LENGTH = 128;
  const asked = { ...defaultHyperparameters(), batch_size: 8, num_train_epochs: 1, eval_per_epoch: 1 };
  const rooms = { maxBufferBytes: Number.POSITIVE_INFINITY, totalBytes: Number.POSITIVE_INFINITY };
  let rows: EncodedExample[];
  let hog: { free(): void } | null = null;

  /** Takes all of the wasm memory but about this much. It is reserved and never touched. */
  function leave(bytes: number): void {
    const { wasm } = tf.backend() as unknown as {
      wasm: { _malloc(bytes: number): number; _free(address: number): void };
    };
    const take = (size: number): number | null => {
      try {
        return wasm._malloc(size);
      } catch {
        return null;
      }
    };
    const rest = take(bytes);
    if (rest === null) throw new Error('There is less left already.');
    const taken: number[] = [];
    for (let size = 2 ** 29; size >= 2 ** 14; size /= 2) {
      for (let address = take(size); address !== null; address = take(size)) taken.push(address);
    }
    wasm._free(rest);
    hog = {
      free: () => {
        for (const address of taken) wasm._free(address);
      },
    };
  }

  const fitted = (h: Hyperparameters) => {
    const data = { train: rows, validation: rows.slice(0, 1) };
    return new FittedTrainer(pebble, data, fitRun(pebble, h, longestBatch(rows, h.batch_size), rooms));
  };
  const rehearsal = async (one: FittedTrainer) => {
    for await (const _ of one.rehearse());
  };
  const need = (gradient_checkpointing: 'on' | 'off') => {
    const h = { ...asked, gradient_checkpointing };
    return estimateMemory(pebble.architecture, baseSize(pebble), h, longestBatch(rows, 8)).activationBytes;
  };

  beforeAll(() => {
    rows = rowsOf(8, LENGTH, pebble.architecture.vocabSize);
  });
  afterEach(() => {
    hog?.free();
    hog = null;
  });

  test('switches checkpointing on, reports it, trains, and leaves no tensor of the first attempt', async () => {
    // What is made once and kept (tables, masks, room to work in) is made before.
    const first = fitted({ ...asked, gradient_checkpointing: 'on' });
    await rehearsal(first);
    const kept = (await steps(first.trainer, 2)).map((s) => s.loss);
    first.trainer.dispose();
    pebble.disposeConstants();
    const before = tf.memory();

    leave(Math.round((need('on') + need('off')) / 2));
    const run = fitted(asked);
    const learner = tf.memory();
    expect(run.checkpointing).toEqual({ on: false, because: null });
    await rehearsal(run);
    expect(run.checkpointing.on).toBe(true);
    expect(run.checkpointing.because).toMatch(/refused the memory .* \(about \d+ MB.*forward pass twice/);
    pebble.disposeConstants();
    expect(tf.memory().numTensors).toBe(learner.numTensors);
    expect(tf.memory().numBytes).toBe(learner.numBytes);
    expect((await steps(run.trainer, 2)).map((s) => s.loss)).toEqual(kept);
    run.trainer.dispose();
    pebble.disposeConstants();
    expect(tf.memory().numTensors).toBe(before.numTensors);
  });

  test.each(['auto', 'off', 'on'] as const)(
    'is refused with ways out when %s does not help',
    async (setting) => {
      pebble.disposeConstants();
      const before = tf.memory();
      const run = fitted({ ...asked, gradient_checkpointing: setting });
      leave(Math.round(need('on') * (setting === 'off' ? 1.5 : 0.5)));
      const error = await rehearsal(run).then(
        () => null,
        (thrown: PlaygroundError) => thrown,
      );
      expect(error?.code).toBe('out_of_memory');
      expect(error?.message).toMatch(/device refused the memory for its heaviest batch/);
      expect(/with gradient checkpointing too/.test(error?.message ?? '')).toBe(setting !== 'off');
      expect(/: .*gradient checkpointing \(/.test(error?.fix ?? '')).toBe(setting === 'off');
      expect(error?.fix).toMatch(/batch size 4 with accumulation 2 \(\d+ MB\)/);
      expect(tf.memory().numTensors).toBe(before.numTensors);
      expect(tf.memory().numBytes).toBe(before.numBytes);
    },
  );
});

describe('checkpointing by the estimate', () => {
  const longest = { rows: 8, tokens: 256, targets: 900 };
  const boundless = Number.POSITIVE_INFINITY;
  const decided = (gradient_checkpointing: 'auto' | 'on' | 'off', totalBytes: number) => {
    const h = { ...defaultHyperparameters(), gradient_checkpointing };
    return estimateRun(pebble, h, longest, { maxBufferBytes: boundless, totalBytes });
  };

  test('is off where the run fits, on where it does not, and otherwise as it is set', () => {
    const [without, with_] = [decided('off', boundless), decided('on', boundless)];
    expect(with_.totalBytes).toBeLessThan(without.totalBytes * 0.7);
    const room = (with_.totalBytes + without.totalBytes) / 2;
    expect(decided('auto', boundless)).toEqual({ ...without, checkpointing: { on: false, because: null } });
    expect(decided('auto', room)).toMatchObject({
      totalBytes: with_.totalBytes,
      checkpointing: { on: true },
    });
    expect(decided('auto', room).checkpointing.because).toMatch(/need about \d+ MB of the \d+ MB there are/);
    expect(decided('off', room).checkpointing).toEqual({ on: false, because: null });
    expect(decided('on', boundless).checkpointing).toEqual({ on: true, because: null });
  });

  test('is refused when even that does not fit, or the visitor has it off', () => {
    const h = defaultHyperparameters();
    const { totalBytes } = decided('on', boundless);
    const within = (bytes: number, change: Partial<Hyperparameters>) =>
      fitRun(pebble, { ...h, ...change }, longest, { maxBufferBytes: boundless, totalBytes: bytes });
    expect(within(totalBytes, {}).h.gradient_checkpointing).toBe('on');
    expect(() => within(totalBytes, { gradient_checkpointing: 'off' })).toThrow(/does not fit/);
    expect(() => within(totalBytes / 2, {})).toThrow(/with gradient checkpointing too, and does not fit/);
  });
});

describe('what does not fit', () => {
  const longest = { rows: 8, tokens: 256, targets: 900 };
  const refusal = (h: Partial<Hyperparameters>, room: Partial<MemoryLimits>) => {
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
