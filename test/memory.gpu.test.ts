// GPU memory over many steps: what the buffer pool has allocated and how many tensors live must not grow.
// Run: npx vitest run --project gpu test/memory.gpu.test.ts

import { beforeAll, expect, test } from 'vitest';
import { memoryReport, startDevice, takeDeviceError } from '../src/engine/device';
import { folderFromUrl } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { modelOf, readFixture, trainerOf } from './engineFixtures';

const STEPS = 60;

beforeAll(async () => {
  await startDevice({ requested: 'webgpu', wasmPath: '/wasm/', onLost: () => {}, onError: () => {} });
}, 120_000);

test.each(['lora', 'full'] as const)(
  'stays flat under %s',
  async (method) => {
    const fixture = await readFixture('llama-tied', folderFromUrl('/test/fixtures/engine/llama-tied/'));
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
    const settled = seen.slice(20);
    expect(new Set(settled.map((s) => s.tensors)).size).toBe(1);
    expect(Math.max(...settled.map((s) => s.deviceBytes))).toBe(
      (settled[0] as { deviceBytes: number }).deviceBytes,
    );
    trainer.dispose();
    model.dispose();
  },
  240_000,
);
