// Runs that go on from a checkpoint on the wasm backend, and checkpoints that are damaged.
// Not here: WebGPU (resume.gpu.test.ts), a killed command (cli.test.ts).

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunConfig } from '../src/contract';
import { readCheckpoint, writeCheckpoint } from '../src/engine/training/checkpoint';
import { PlaygroundError } from '../src/errors';
import { fixtureFolder } from './nodeFolders';
import { describeResume } from './resumeSuite';
import { nodeWasmPath } from './setup-node-webgpu';

describeResume({
  backend: 'wasm',
  wasmPath: nodeWasmPath,
  folderOf: fixtureFolder,
  epochs: 5,
  interruptions: 5, // of each of five ways: 25 in all
  tolerance: 0,
});

describe('a checkpoint file', () => {
  const tensor = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
  const written = writeCheckpoint({
    config: { totalSteps: 9 } as RunConfig,
    points: [{ name: 'train_loss', step: 1, epoch: 0.5, tokens: 3, elapsedMs: 1, value: 2.5 }],
    rows: [
      {
        step: 0,
        on: 'both',
        train: { lines: [1], places: [0], losses: [2.5] },
        validation: { lines: [2], places: [0], losses: [3] },
      },
    ],
    weights: [{ step: 0, layers: [{ module: 'a', changes: [0.5, null] }], outside: [] }],
    pinned: [
      { step: 0, epoch: 0, answers: [{ text: 'So.', tokens: 2, promptTokens: 5, stoppedBy: 'end_token' }] },
    ],
    elapsedMs: 12,
    trainingMs: 7,
    trainer: {
      ...{ step: 4, tokens: 100, withoutGain: 1, latest: null, best: null },
      learner: new Map([['a.lora_A', tensor(1, 2, 3)]]),
      optimizer: {
        count: 4,
        moments: new Map([['a.lora_A', { m: Float32Array.of(1, 2, 3), v: Float32Array.of(4, 5, 6) }]]),
      },
    },
  });

  it('reads back what was written', async () => {
    const read = await readCheckpoint(new Blob([await written]));
    expect(read.points[0]?.value).toBe(2.5);
    expect(read.rows[0]).toMatchObject({ step: 0, validation: { lines: [2], losses: [3] } });
    expect(read.weights[0]?.layers).toEqual([{ module: 'a', changes: [0.5, null] }]);
    expect(read.pinned[0]).toMatchObject({ step: 0, answers: [{ text: 'So.' }] });
    expect(read).toMatchObject({ elapsedMs: 12, trainingMs: 7, config: { totalSteps: 9 } });
    expect(read.trainer).toMatchObject({ step: 4, tokens: 100, withoutGain: 1, best: null });
    expect([...(read.trainer.learner.get('a.lora_A')?.data ?? [])]).toEqual([1, 2, 3]);
    expect([...(read.trainer.optimizer.moments.get('a.lora_A')?.v ?? [])]).toEqual([4, 5, 6]);
  });

  it('is refused when it was cut off anywhere', async () => {
    const bytes = await written;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - 1 }), async (length) => {
        const error = await readCheckpoint(new Blob([bytes.slice(0, length)])).catch((e: unknown) => e);
        expect(error).toBeInstanceOf(PlaygroundError);
        expect((error as PlaygroundError).code).toBe('bad_checkpoint');
      }),
      { numRuns: 60 },
    );
  });

  it('is refused when it is no checkpoint at all', async () => {
    for (const text of ['', 'x', '{}', JSON.stringify({ run: 1 })]) {
      await expect(readCheckpoint(new Blob([text]))).rejects.toMatchObject({ code: 'bad_checkpoint' });
    }
  });

  it('is refused when a bit of its numbers changed', async () => {
    const bytes = await written;
    const tensors = 4 * 9;
    for (let bit = 0; bit < 8 * tensors; bit += 5) {
      const changed = bytes.slice();
      const at = bytes.length - tensors + (bit >> 3);
      changed[at] = (changed[at] as number) ^ (1 << (bit & 7));
      await expect(readCheckpoint(new Blob([changed]))).rejects.toThrow(/not those that were written/);
    }
  });
});
