// Starting the engine on each backend: what is chosen and why, the numeric self-test, errors of the GPU that must not pass unseen.
// Not here: the kernels themselves (kernels.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it } from 'vitest';
import {
  awaitDeviceError,
  freeUnused,
  memoryReport,
  startDevice,
  takeDeviceError,
} from '../src/engine/device/device';
import { capturable, normForward } from '../src/engine/kernels';
import { settleKernels } from '../src/engine/kernels/webgpu/compile';
import { kernel } from '../src/engine/kernels/webgpu/kernel';
import { dispatch, empty, flush, webgpuBackend } from '../src/engine/kernels/webgpu/program';
import type { PlaygroundError } from '../src/errors';

const inNode = typeof window === 'undefined';
const wasmPath = inNode ? (await import('./setup-node-webgpu')).nodeWasmPath : '/wasm/';

let errors: PlaygroundError[] = [];
/** The WebGPU device that the last `start` of this file made: its errors go to `errors`. */
let started: GPUDevice | null = null;
const start = async (requested?: 'webgpu' | 'wasm' | 'cpu') => {
  errors = [];
  const note = (error: PlaygroundError) => errors.push(error);
  const report = await startDevice({ requested, wasmPath, onLost: note, onError: note });
  started = report.backend === 'webgpu' ? webgpuBackend().device : null;
  return report;
};

/** A WebGPU device without an error: the one that the test before left, if it is one, since each start compiles 60 programs. The order of tests is chosen for that. */
async function useDevice(): Promise<void> {
  const left = started !== null && tf.getBackend() === 'webgpu' && webgpuBackend().device === started;
  if (!left || !capturable() || (await awaitDeviceError()) !== null) await start('webgpu');
  errors = [];
}

afterEach(() => {
  tf.disposeVariables();
});

describe('startDevice', () => {
  it('falls back to wasm from a software adapter, and gives the reason', async () => {
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

  it('can be started again', async () => {
    await useDevice();
    const report = await start('webgpu');
    expect(report.backend).toBe('webgpu');
    const x = tf.tensor1d([1, 2, 3]);
    expect([...(await tf.mul(x, 2).data())]).toEqual([2, 4, 6]);
  });
});

describe('errors of the GPU', () => {
  it('about a buffer above the limit are called a lack of memory, with what helps', async () => {
    await useDevice();
    webgpuBackend().device.createBuffer({ size: 2 ** 50, usage: GPUBufferUsage.STORAGE });
    const error = await awaitDeviceError();
    expect(error?.code).toBe('gpu_memory');
    expect(error?.message).toMatch(/exceeds the max/);
    expect(error?.fix).toMatch(/batch_size.*gradient_checkpointing/);
  });

  it('about memory explain the others that they lead to', async () => {
    await useDevice();
    const { device } = webgpuBackend();
    device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    const error = new GPUOutOfMemoryError('vkAllocateMemory failed');
    device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    expect((await awaitDeviceError())?.code).toBe('gpu_memory');
    expect(takeDeviceError()).toBeNull();
  });

  it('are kept and handed out once', async () => {
    await useDevice();
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
    await useDevice();
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
    await awaitDeviceError();
  });

  it('refuse a tensor that is read and written in one dispatch', async () => {
    await useDevice();
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
    await useDevice();
    const before = memoryReport();
    const x = tf.add(tf.zeros([256, 256]), 1);
    await x.data();
    const after = memoryReport();
    expect(after.tensors).toBeGreaterThan(before.tensors);
    expect(after.tensorBytes - before.tensorBytes).toBeGreaterThanOrEqual(256 * 256 * 4);
    expect(after.deviceBytes).toBeGreaterThanOrEqual(256 * 256 * 4);
  });
});

describe('a device that is lost', () => {
  it('is reported once, is the error of every later call, and ends when the next device starts', async () => {
    await useDevice();
    webgpuBackend().device.destroy();
    const error = await awaitDeviceError();
    expect(error).toMatchObject({ code: 'gpu_lost' });
    expect(error?.fix).toContain('Start the engine again');
    expect(errors).toEqual([error]);
    expect(takeDeviceError()).toBe(error);
    await expect(freeUnused()).rejects.toBe(error);
    expect((await start('webgpu')).backend).toBe('webgpu');
    expect(takeDeviceError()).toBeNull();
    expect([...(await tf.mul(tf.tensor1d([1, 2]), 3).data())]).toEqual([3, 6]);
  });

  it('is no matter once another backend runs', async () => {
    await useDevice();
    const { device } = webgpuBackend();
    expect((await start('wasm')).backend).toBe('wasm');
    device.destroy();
    await device.lost;
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(errors).toEqual([]);
    expect(takeDeviceError()).toBeNull();
  });

  it('during the self-test is refused with the reason, and nothing else is reported', async () => {
    const { createComputePipelineAsync } = GPUDevice.prototype;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
      if (descriptor.label?.startsWith('norm')) this.destroy();
      return createComputePipelineAsync.call(this, descriptor);
    };
    try {
      await expect(start('webgpu')).rejects.toMatchObject({
        code: 'gpu_lost',
        message: expect.stringMatching(/was lost while it was tested/),
      });
      expect(errors.filter((e) => e.code === 'gpu_lost')).toEqual([]);
    } finally {
      GPUDevice.prototype.createComputePipelineAsync = createComputePipelineAsync;
    }
    expect((await start('wasm')).backend).toBe('wasm');
  });
});

/** Lets this device's compiler see other text than was written, for programs whose label fits. */
async function withSabotage<T>(label: RegExp, change: (wgsl: string) => string, work: () => Promise<T>) {
  const { createShaderModule } = GPUDevice.prototype;
  let changed = 0;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const code = label.test(descriptor.label ?? '') ? change(descriptor.code) : descriptor.code;
    if (code !== descriptor.code) changed++;
    return createShaderModule.call(this, { ...descriptor, code });
  };
  try {
    const result = await work();
    expect(changed).toBeGreaterThan(0);
    return result;
  } finally {
    GPUDevice.prototype.createShaderModule = createShaderModule;
  }
}

describe('a GPU that computes wrong numbers', () => {
  const doubled = (wgsl: string) => wgsl.replaceAll('1.0 / sqrt(', '2.0 / sqrt(');

  it('in one of our kernels: the reference runs, and the report names the check', async () => {
    const report = await withSabotage(/^norm/, doubled, () => start('webgpu'));
    expect(report.backend).toBe('webgpu');
    expect(report.because).toMatch(/fast kernels are off.*kernel: norm and its gradients: off by/);
    // What is listed is what runs now, and that is right.
    expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
    expect(report.selfTest.map((c) => c.name)).toContain('kernel: norm and its gradients');
    expect(capturable()).toBe(false);
    const [x, weight] = [tf.tensor2d([[3, 4]]), tf.tensor1d([1, 1])];
    const options = { kind: 'rms', epsilon: 0, addOne: false } as const;
    const { y } = normForward(x, weight, null, options);
    expect((await y.data())[0]).toBeCloseTo(3 / Math.sqrt(12.5), 5);
    expect(takeDeviceError()).toBeNull();
    // The next start, with a sound device, has them again.
    expect((await start('webgpu')).because).not.toMatch(/fast kernels/);
    expect(capturable()).toBe(true);
  });

  it('in a kernel that does not compile, likewise', async () => {
    const report = await withSabotage(
      /^norm/,
      (wgsl) => `${wgsl}\n!`,
      () => start('webgpu'),
    );
    expect(report.backend).toBe('webgpu');
    expect(report.because).toMatch(/fast kernels are off, because one is wrong here/);
    expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
    expect(takeDeviceError()).toBeNull();
  });

  it('in tfjs itself is not used: an error when it was asked for, else wasm and why', async () => {
    const wrong = (wgsl: string) => wgsl.replaceAll('exp(', '1.01 * exp(');
    await expect(withSabotage(/^UnaryOpProgram/, wrong, () => start('webgpu'))).rejects.toMatchObject({
      code: 'webgpu_wrong',
      message: expect.stringMatching(/computes wrong numbers \(exp: off by/),
    });
    const { requestAdapter } = GPU.prototype;
    // A software adapter that looks like a real one, or it would be refused for what it is.
    GPU.prototype.requestAdapter = async function (options) {
      const adapter = await requestAdapter.call(this, options);
      const info = { vendor: 'planted', architecture: 'planted', description: 'a planted card', device: '' };
      if (adapter) Object.defineProperty(adapter, 'info', { value: { ...info, isFallbackAdapter: false } });
      return adapter;
    };
    try {
      const report = await withSabotage(/^UnaryOpProgram/, wrong, () => start());
      expect(report.backend).toBe('wasm');
      expect(report.because).toMatch(
        /a planted card computes wrong numbers \(exp.*So the wasm backend runs\.$/,
      );
      expect(report.selfTest.filter((c) => !c.passed)).toEqual([]);
    } finally {
      GPU.prototype.requestAdapter = requestAdapter;
    }
    // Its device was destroyed by us, which nobody need be told of.
    expect(errors.filter((e) => e.code === 'gpu_lost')).toEqual([]);
  });
});
