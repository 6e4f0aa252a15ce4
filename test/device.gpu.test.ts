// Starting the engine on each backend: what is chosen and why, the numeric self-test, errors of the GPU that must not pass unseen.
// Not here: the kernels themselves (kernels.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it } from 'vitest';
import { memoryReport, startDevice, takeDeviceError } from '../src/engine/device';
import { settleKernels } from '../src/engine/kernels/compile';
import { dispatch, empty, flush, kernel, webgpuBackend } from '../src/engine/kernels/program';
import type { PlaygroundError } from '../src/errors';

const inNode = typeof window === 'undefined';
const wasmPath = inNode ? (await import('./setup-node-webgpu')).nodeWasmPath : '/wasm/';

let errors: PlaygroundError[] = [];
const start = (requested?: 'webgpu' | 'wasm' | 'cpu') => {
  errors = [];
  const note = (error: PlaygroundError) => errors.push(error);
  return startDevice({ requested, wasmPath, onLost: note, onError: note });
};

afterEach(() => {
  tf.disposeVariables();
});

describe('startDevice', () => {
  it('runs WebGPU on a software adapter when it is asked for, and passes every check', async () => {
    const report = await start('webgpu');
    expect(report.backend).toBe('webgpu');
    expect(report.adapter?.software).toBe(true);
    expect(report.selfTest.length).toBeGreaterThan(15);
    expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
    expect(report.limits.maxStorageBuffersPerShaderStage).toBeGreaterThan(8);
    expect(report.features).toContain('subgroups');
    expect(errors).toEqual([]);
    expect(structuredClone(report)).toEqual(report);
  });

  it('falls back to wasm from a software adapter, and says so', async () => {
    const report = await start();
    expect(report.backend).toBe('wasm');
    expect(report.because).toMatch(/software/);
    expect(report.adapter?.software).toBe(true);
    expect(report.simd).toBe(true);
    expect(report.threads).toBeGreaterThanOrEqual(1);
    expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
  });

  it('runs on the cpu backend only when it is asked for', async () => {
    const report = await start('cpu');
    expect(report.backend).toBe('cpu');
    expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
  });

  it('can be started again', async () => {
    await start('webgpu');
    const report = await start('webgpu');
    expect(report.backend).toBe('webgpu');
    const x = tf.tensor1d([1, 2, 3]);
    expect([...(await tf.mul(x, 2).data())]).toEqual([2, 4, 6]);
  });
});

describe('errors of the GPU', () => {
  it('are kept and handed out once', async () => {
    await start('webgpu');
    const before = takeDeviceError();
    expect(before).toBeNull();
    // A buffer may not be both: the kind of mistake whose results are stale data, without a word from tfjs.
    const { device } = webgpuBackend();
    device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    await tf.add(tf.tensor1d([1]), 1).data();
    const error = takeDeviceError();
    expect(error?.code).toBe('gpu_error');
    expect(error?.message).toMatch(/MapRead/);
    expect(errors.length).toBeGreaterThan(0);
    expect(takeDeviceError()).toBeNull();
  });

  it('name the kernel that does not compile', async () => {
    await start('webgpu');
    const broken = kernel({
      name: 'broken_on_purpose',
      inputs: {},
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[0] = missing;',
    });
    dispatch(broken, { y: empty([1]) }, {}, 1);
    flush();
    await expect(settleKernels()).rejects.toThrow(/broken_on_purpose.*missing/s);
  });

  it('refuse a tensor that is read and written in one dispatch', async () => {
    await start('webgpu');
    const copy = kernel({
      name: 'copy_one',
      inputs: { x: 'f32' },
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[0] = x[0];',
    });
    const x = tf.tensor1d([1]);
    expect(() => dispatch(copy, { x, y: x }, {}, 1)).toThrow(/read and written/);
  });
});

describe('memoryReport', () => {
  it('counts tensors, their bytes and those of the pool', async () => {
    await start('webgpu');
    const before = memoryReport();
    const x = tf.add(tf.zeros([256, 256]), 1);
    await x.data();
    const after = memoryReport();
    expect(after.tensors).toBeGreaterThan(before.tensors);
    expect(after.tensorBytes - before.tensorBytes).toBeGreaterThanOrEqual(256 * 256 * 4);
    expect(after.deviceBytes).toBeGreaterThanOrEqual(256 * 256 * 4);
  });
});
