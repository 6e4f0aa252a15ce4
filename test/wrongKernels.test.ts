// A wrong kernel on the wasm backend is found when the engine starts: each of ours is planted in turn, and an op of tfjs.
// Not here: WebGPU (device.gpu.test.ts), what the kernels compute (kernels.wasm.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startDevice } from '../src/engine/device/device';
import { type Kernels, linearForward, REFERENCE } from '../src/engine/kernels';
import * as wasmTable from '../src/engine/kernels/wasm/kernels.wasm';
import { nodeWasmPath } from './setup-node-webgpu';

vi.mock('../src/engine/kernels/wasm/kernels.wasm', { spy: true });
afterEach(() => vi.mocked(wasmTable.loadWasmKernels).mockRestore());

const start = () =>
  startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: () => {}, onError: () => {} });

type Op = (...args: unknown[]) => unknown;

/** What an op gives, with its first tensor one part in a hundred larger, wherever that stands in the result. */
function spoilt(result: unknown): unknown {
  if (result instanceof tf.Tensor) return tf.mul(result, 1.01);
  if (typeof result !== 'object' || result === null) return result;
  const entries = Object.entries(result);
  const at = entries.findIndex(([, value]) => typeof value === 'object' && value !== null);
  const changed = entries.map(([key, value], i) => [key, i === at ? spoilt(value) : value] as const);
  return Array.isArray(result) ? changed.map(([, value]) => value) : Object.fromEntries(changed);
}

/** Starts the engine with one of our kernels replaced. */
async function startWith(name: string) {
  vi.mocked(wasmTable.loadWasmKernels).mockImplementationOnce(async (host) => {
    const { loadWasmKernels } = await vi.importActual<typeof wasmTable>(
      '../src/engine/kernels/wasm/kernels.wasm',
    );
    const table = (await loadWasmKernels(host)) as Record<string, Op>;
    const own = table[name] as Op;
    return { ...table, [name]: (...args: unknown[]) => spoilt(own(...args)) } as Partial<Kernels>;
  });
  return start();
}

describe('a wrong kernel on wasm', () => {
  it('is found, whichever of ours it is; the plain reference runs, and the report says so', async () => {
    await start();
    const table = await (vi.mocked(wasmTable.loadWasmKernels).mock.results.at(-1)?.value as ReturnType<
      typeof wasmTable.loadWasmKernels
    >);
    const names = Object.keys(table);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const report = await startWith(name);
      expect(report.because, name).toMatch(
        /The fast kernels are off, because one is wrong here \(kernel: [^)]+: off by/,
      );
      expect(report.selfTest.filter((check) => !check.passed)).toEqual([]);
      // What runs now is right.
      const y = linearForward(tf.tensor2d([[1, 2]]), tf.tensor2d([[3, 4]]), null, 'out_in');
      expect((await y.data())[0]).toBe(11);
      expect(REFERENCE[name as keyof Kernels], name).toBeDefined();
    }
    expect((await start()).because).not.toContain('fast kernels are off');
  });

  it('is refused where tfjs itself is wrong', async () => {
    await start();
    const exp = tf.getKernel('Exp', 'wasm') as tf.KernelConfig;
    const sqrt = tf.getKernel('Sqrt', 'wasm') as tf.KernelConfig;
    tf.unregisterKernel('Exp', 'wasm');
    tf.registerKernel({ ...exp, kernelFunc: sqrt.kernelFunc });
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'wasm_wrong',
        message: expect.stringMatching(/computes wrong numbers \(exp: off by/),
      });
    } finally {
      tf.unregisterKernel('Exp', 'wasm');
      tf.registerKernel(exp);
    }
    expect((await start()).backend).toBe('wasm');
  });
});
