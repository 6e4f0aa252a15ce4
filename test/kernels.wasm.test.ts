// The wasm backend's own kernels in Node: each op, whole runs against the reference, and the binary itself.
// Not here: the ops' cases (wasmKernels.ts), the references against PyTorch (engine.test.ts), Chromium (kernels.wasm.gpu.test.ts).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import asc from 'assemblyscript/asc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseKernels, type Kernels } from '../src/engine/kernels';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { modelOf, readFixture, record, trainerOf, worstRatio } from './engineFixtures';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';
import { describeWasmKernels, startWasm } from './wasmKernels';

let own: Kernels;
beforeAll(async () => {
  own = (await startWasm(nodeWasmPath)).kernels;
});

describeWasmKernels();

describe('twenty steps', () => {
  afterAll(() => chooseKernels(own));

  const runs: [string, 'llama' | 'qwen3' | 'gpt2' | 'gemma3', Partial<Hyperparameters>][] = [
    ['full', 'llama', { method: 'full' }],
    ['full, recomputed', 'gemma3', { method: 'full', gradient_checkpointing: 'on' }],
    ['LoRA', 'qwen3', { method: 'lora' }],
    ['DoRA', 'llama', { method: 'lora', use_dora: true }],
    ['last layers', 'gpt2', { method: 'last_layers', trainable_layers: 1, label_smoothing_factor: 0.1 }],
  ];
  it.each(runs)(
    '%s (%s) go the way of the reference, and the same way twice',
    async (_, family, settings) => {
      const fixture = await readFixture(family, fixtureFolder(family));
      const model = await modelOf(fixture);
      const h = {
        ...defaultHyperparameters(),
        batch_size: 2,
        num_train_epochs: 1,
        learning_rate: 1e-3,
        lora_r: 4,
        ...settings,
      };
      const curves: number[][] = [];
      for (const kernels of [{}, own, own]) {
        chooseKernels(kernels);
        const trainer = trainerOf(fixture, model, h, 20);
        const { steps, losses } = await record(trainer);
        trainer.dispose();
        curves.push([...steps.flatMap((s) => [s.loss, s.gradNorm]), ...losses.map((l) => l.validation)]);
      }
      model.dispose();
      const [plain, fused, again] = curves as [number[], number[], number[]];
      expect(fused.length).toBeGreaterThan(40);
      expect(worstRatio(fused, plain)).toBeLessThan(1e-4);
      expect(again).toEqual(fused);
    },
  );
});

describe('the binary', () => {
  it.each([
    ['release', 'kernels.wasm'],
    ['relaxed', 'kernels.relaxed.wasm'],
  ])('of the %s build is what asc makes of assembly/', async (target, file) => {
    const folder = path.join(house, 'src/engine/kernels/wasm/assembly');
    let made: Uint8Array | null = null;
    const { error, stderr } = await asc.main(
      ['--config', path.join(folder, 'asconfig.json'), '--target', target],
      {
        writeFile: (name: string, contents: Uint8Array | string) => {
          if (name.endsWith('.wasm')) made = contents as Uint8Array;
        },
      },
    );
    expect(error?.message ?? stderr.toString()).toBe('');
    const kept = readFileSync(path.join(folder, file));
    expect(made !== null && Buffer.compare(made, kept) === 0, 'run `npm run build:kernels`').toBe(true);
  });
});
