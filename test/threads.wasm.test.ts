// The wasm kernels on one, two and three threads in Node: the same bits, whole steps too, and an error that reaches the caller.
// Not here: whether the numbers are right (kernels.wasm.test.ts), threads in a browser (kernels.wasm.gpu.test.ts, e2e/).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeThreads } from '../src/cli/threads';
import type { DeviceReport } from '../src/contract';
import { startDevice } from '../src/engine/device/device';
import { chooseKernels, type Kernels, REFERENCE, type Rope } from '../src/engine/kernels';
import { loadWasmKernels } from '../src/engine/kernels/wasm/kernels.wasm';
import { runShares, shares, threadCount } from '../src/engine/kernels/wasm/memory.wasm';
import { defaultHyperparameters } from '../src/hyperparameters';
import { openPebble, pebbleTrainer } from './bench/pebble';
import { nodeWasmPath } from './setup-node-webgpu';

const fail = (error: Error) => {
  throw error;
};
const start = (count: number) =>
  startDevice({
    requested: 'wasm',
    wasmPath: nodeWasmPath,
    threads: nodeThreads(count),
    onLost: fail,
    onError: fail,
  });

let report: DeviceReport;
beforeAll(async () => {
  report = await start(3);
});
afterAll(async () => {
  chooseKernels({});
  await loadWasmKernels(null); // ends the threads
});

let seed = 1;
const numbers = (count: number) =>
  Float32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed / 2 ** 32 - 0.5) * 3;
  });
const matrix = (rows: number, columns: number) => tf.tensor2d(numbers(rows * columns), [rows, columns]);

/** The bits of every tensor that `op` returns, on so many threads; what is compared is bytes, which vitest would take seconds for. */
async function bitsOn(
  count: number,
  op: (kernels: Kernels) => Record<string, tf.Tensor | null>,
): Promise<Map<string, Buffer>> {
  const kernels = { ...REFERENCE, ...(await loadWasmKernels(nodeThreads(count))) };
  expect(threadCount()).toBe(count);
  seed = 1;
  const bits = new Map<string, Buffer>();
  tf.tidy(() => {
    for (const [name, tensor] of Object.entries(op(kernels))) if (tensor) bits.set(name, bytesOf(tensor));
  });
  return bits;
}

const bytesOf = (tensor: tf.Tensor) => Buffer.from(Float32Array.from(tensor.dataSync()).buffer);
const differing = (a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>) =>
  [...a.keys()].filter((name) => !b.get(name)?.equals(a.get(name) as Buffer));

async function sameBits(op: (kernels: Kernels) => Record<string, tf.Tensor | null>): Promise<void> {
  const alone = await bitsOn(1, op);
  expect(alone.size).toBeGreaterThan(0);
  for (const count of [2, 3]) expect(differing(alone, await bitsOn(count, op))).toEqual([]);
}

it('reports how many threads compute', () => {
  expect(report.threads).toBe(3);
  expect(tf.backend()).toHaveProperty('wasm');
});

describe('the same bits on one, two and three threads', () => {
  const sizes = [
    [1, 600, 1001],
    [2, 1001, 600],
    [3, 300, 1003],
    [5, 700, 333],
    [7, 1003, 301],
    [131, 300, 70],
    [1001, 33, 129],
    [130, 513, 257],
  ] as const;
  for (const layout of ['out_in', 'in_out'] as const) {
    it.each(sizes)(`linear, ${layout}: %i rows, %i in, %i out`, async (rows, width, size) => {
      await sameBits((kernels) => {
        const x = matrix(rows, width);
        const weight = layout === 'out_in' ? matrix(size, width) : matrix(width, size);
        const dy = matrix(rows, size);
        const needs = { dx: true, dweight: true, dbias: true };
        const y = kernels.linearForward(x, weight, tf.tensor1d(numbers(size)), layout);
        return { y, ...kernels.linearBackward(dy, x, weight, layout, needs) };
      });
    });
  }

  it.each([
    { batch: 1, time: 133, heads: 3, kvHeads: 3, headDim: 33, window: null },
    { batch: 5, time: 70, heads: 6, kvHeads: 2, headDim: 24, window: 9 },
    { batch: 3, time: 129, heads: 2, kvHeads: 1, headDim: 40, window: null },
  ])('attention: batch $batch, $time positions, $heads heads on $kvHeads', async (rest) => {
    await sameBits((kernels) => {
      const shape = { ...rest, scale: 1 / Math.sqrt(rest.headDim) };
      const { batch, time, heads, kvHeads, headDim } = shape;
      const half = headDim >> 1;
      const rope: Rope = { cos: matrix(time, half), sin: matrix(time, half) };
      const [q, k, v] = [heads, kvHeads, kvHeads].map((h) => matrix(batch * time, h * headDim)) as [
        tf.Tensor2D,
        tf.Tensor2D,
        tf.Tensor2D,
      ];
      const { out, saved } = kernels.attentionForward(q, k, v, shape, rope, tf.zeros([1, 1, 1]));
      const dout = matrix(batch * time, heads * headDim);
      const backward = kernels.attentionBackward(dout, saved, shape, rope);
      const cached = kernels.attentionCached(q, k, v, null, { ...shape, batch: 1, time }, rope, 0);
      return { out, ...backward, ...(batch === 1 ? { cached: cached.out } : {}) };
    });
  });

  it.each([
    [33, 5, 9_001],
    [70, 33, 4_003],
    [1_027, 24, 301],
  ])('cross-entropy: %i rows of %i, %i words', async (rows, width, vocab) => {
    await sameBits((kernels) => {
      const targets = {
        rows: Int32Array.from({ length: rows }, (_, i) => (i * 7) % rows),
        ids: Int32Array.from({ length: rows }, (_, i) => (i * 7919) % vocab),
        weights: Float32Array.from({ length: rows }, (_, i) => i % 3),
      };
      const options = { scale: 0.01, labelSmoothing: 0.1, needs: { dhidden: true, dhead: true } };
      return { ...kernels.crossEntropy(matrix(rows, width), matrix(vocab, width), targets, options) };
    });
  });

  it.each([1, 9, 40_003])('activation and AdamW: %i numbers', async (size) => {
    await sameBits((kernels) => {
      const [gate, up, dy] = [matrix(1, size), matrix(1, size), matrix(1, size)];
      const [parameter, gradient, m] = [matrix(1, size), matrix(1, size), matrix(1, size)];
      const v = tf.square(matrix(1, size)) as tf.Tensor2D;
      const item = { parameter, gradient, m, v, weightDecay: 0.1 };
      const step = {
        learningRate: 0.01,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        gradientScale: 0.7,
        count: 3,
      };
      kernels.adamwUpdate([item], step);
      return {
        y: kernels.activationForward(gate, up, 'silu'),
        alone: kernels.activationForward(gate, null, 'gelu'),
        ...kernels.activationBackward(dy, gate, up, 'gelu_tanh'),
        parameter,
        m,
        v,
      };
    });
  });
});

describe('two updates of the shipped model', () => {
  it.each(['full', 'lora'] as const)('%s: the same weights on one, two and three threads', async (method) => {
    const model = await openPebble();
    const h = { ...defaultHyperparameters(), method, batch_size: 2, num_train_epochs: 1 };
    const ends: Map<string, Buffer>[] = [];
    for (const count of [1, 2, 3]) {
      chooseKernels(await loadWasmKernels(nodeThreads(count)));
      const trainer = pebbleTrainer(model, h, 61, 2);
      const said: number[] = [];
      for await (const event of trainer.run()) {
        if (event.kind === 'step') said.push(event.loss, event.gradNorm);
        if (event.kind === 'evaluation') said.push(event.validation.loss);
      }
      expect(trainer.step).toBe(2);
      const end = new Map([...trainer.learner.tensors].map(([name, t]) => [name, bytesOf(t)]));
      ends.push(end.set('losses', Buffer.from(Float64Array.from(said).buffer)));
      trainer.dispose();
    }
    model.dispose();
    const [one, two, three] = ends as [(typeof ends)[0], (typeof ends)[0], (typeof ends)[0]];
    expect(differing(one, two)).toEqual([]);
    expect(differing(one, three)).toEqual([]);
  });
});

describe('trouble', () => {
  it('a call that traps in any thread is an error here, and the next op works', async () => {
    await loadWasmKernels(nodeThreads(3));
    const parts = shares(30, 1, Number.MAX_SAFE_INTEGER, 30);
    expect(shares(30, 1, Number.MAX_SAFE_INTEGER)).toHaveLength(12);
    expect(parts).toEqual([
      { start: 0, size: 10 },
      { start: 10, size: 10 },
      { start: 20, size: 10 },
    ]);
    for (const bad of [0, 1, 2]) {
      expect(() =>
        runShares('fillZero', parts, (_, i) => (i === bad ? [2 ** 32 - 4, 1024] : [0, 0])),
      ).toThrow(/out of bounds/);
    }
    runShares('fillZero', parts, () => [0, 0]);
  });

  it('with a thread that does not start one thread computes, and the report gives the reason', async () => {
    const host = { ...nodeThreads(2), open: () => Promise.reject(new Error('no room for a thread')) };
    const { threads, because } = await startDevice({
      requested: 'wasm',
      wasmPath: nodeWasmPath,
      threads: host,
      onLost: fail,
      onError: fail,
    });
    expect(threads).toBe(1);
    expect(because).toContain('one thread, because several do not start: no room for a thread');
  });
});
