// GPU memory: the estimate against what a step really allocates at its peak, and over many steps, in which nothing may grow.
// Run: npx vitest run --project gpu test/memory.gpu.test.ts

import { beforeAll, expect, test } from 'vitest';
import { memoryReport, takeDeviceError } from '../src/engine/device/device';
import { trimPool } from '../src/engine/kernels/webgpu/program';
import { baseSize, estimateMemory, longestBatch } from '../src/engine/training/memory';
import { Trainer } from '../src/engine/training/train';
import { folderFromUrl, type ModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { modelOf, readFixture, trainerOf } from './engineFixtures';
import { limitMemory, startWebGpu } from './webgpu';

const STEPS = 60;
const inNode = typeof window === 'undefined';

async function folderOf(name: string): Promise<ModelFolder> {
  return inNode
    ? (await import('./nodeFolders')).fixtureFolder(name)
    : folderFromUrl(`/test/fixtures/engine/${name}/`);
}

beforeAll(startWebGpu, 120_000);

const [ROWS, TOKENS] = [4, 120];
const PEAKS: [string, Partial<Hyperparameters>][] = [
  ['full', { method: 'full' }],
  ['full, checkpointed', { method: 'full', gradient_checkpointing: 'on' }],
  ['LoRA', {}],
  ['LoRA, checkpointed', { gradient_checkpointing: 'on' }],
];

test.each(PEAKS)('%s is foretold within 10 %%', async (_, change) => {
  const fixture = await readFixture('llama', await folderOf('llama'));
  const model = await modelOf(fixture);
  const { vocabSize } = model.architecture;
  const train = Array.from({ length: ROWS }, (_, line) => ({
    line: line + 1,
    ids: Int32Array.from({ length: TOKENS }, (_, i) => (i * 7 + line) % vocabSize),
    mask: new Uint8Array(TOKENS).fill(1),
    fullLength: TOKENS,
  }));
  const h: Hyperparameters = {
    ...defaultHyperparameters(),
    batch_size: ROWS,
    num_train_epochs: 1,
    ...change,
  };
  trimPool();
  const before = memoryReport().deviceBytes as number;
  const memory = limitMemory(Number.POSITIVE_INFINITY);
  const trainer = new Trainer(model, { train, validation: train.slice(0, 1) }, h);
  const work = trainer.update();
  while (!(await work.next()).done);
  memory.end();
  expect(takeDeviceError()).toBeNull();
  const longest = longestBatch(train, ROWS);
  const { totalBytes, trainableParameters } = estimateMemory(model.architecture, baseSize(model), h, longest);
  // The best weights are copied at an evaluation, and there was none.
  const foretold = totalBytes - 4 * trainableParameters;
  const measured = before + memory.peakBytes();
  expect(foretold / measured).toBeGreaterThan(0.9);
  expect(foretold / measured).toBeLessThan(1.1);
  trainer.dispose();
  model.dispose();
});

test.each(['lora', 'full'] as const)(
  'stays flat under %s',
  async (method) => {
    const fixture = await readFixture('llama-tied', await folderOf('llama-tied'));
    const model = await modelOf(fixture);
    const h: Hyperparameters = {
      ...defaultHyperparameters(),
      method,
      learning_rate: 1e-3,
      batch_size: 2,
      num_train_epochs: 1,
      eval_per_epoch: 1,
    };
    const trainer = trainerOf(fixture, model, h, STEPS);
    const seen: { step: number; tensors: number; deviceBytes: number }[] = [];
    for await (const event of trainer.run()) {
      if (event.kind !== 'step') continue;
      const { tensors, deviceBytes } = memoryReport();
      seen.push({ step: event.step, tensors, deviceBytes: deviceBytes as number });
    }
    expect(takeDeviceError()).toBeNull();
    expect(seen).toHaveLength(STEPS);
    // Four batches come round: after the first few, every shape has been met.
    const steady = seen.slice(20);
    expect(new Set(steady.map((s) => s.tensors)).size).toBe(1);
    expect(Math.max(...steady.map((s) => s.deviceBytes))).toBe(
      (steady[0] as { deviceBytes: number }).deviceBytes,
    );
    trainer.dispose();
    model.dispose();
  },
  240_000,
);
