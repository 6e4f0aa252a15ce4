// What the tests of WebGPU kernels share: starting the device, repeatable numbers, comparison.
// Not here: any test.

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, expect } from 'vitest';
import { awaitDeviceError, startDevice, takeDeviceError } from '../src/engine/device/device';
import { relativeError } from '../src/engine/device/selfTest';
import { capturable } from '../src/engine/kernels';
import { settleKernels } from '../src/engine/kernels/webgpu/compile';
import { webgpuBackend } from '../src/engine/kernels/webgpu/program';

export type Numbers = ArrayLike<number>;

/**
 * Starts WebGPU, unless it runs already on a device without an error. Files of the gpu project share a page, so the first start and the
 * programs that it compiled serve those after it. For files whose subject is not the start itself.
 */
export async function startWebGpu(): Promise<void> {
  const running = tf.getBackend() === 'webgpu' && capturable();
  if (running && (await awaitDeviceError()) === null) return;
  const wasmPath =
    typeof window === 'undefined' ? (await import('./setup-node-webgpu')).nodeWasmPath : '/wasm/';
  const fail = (error: Error) => {
    throw error;
  };
  await startDevice({ requested: 'webgpu', wasmPath, onLost: fail, onError: fail });
}

/** WebGPU for the tests of a file; any GPU error is an error of the test it happened in. */
export function useWebGpu(): void {
  beforeAll(startWebGpu);

  // Any GPU error is an error of the test it happened in: its numbers may be right by accident.
  beforeEach(() => {
    seed = 1;
    tf.engine().startScope();
    return async () => {
      await settleKernels();
      expect(takeDeviceError()).toBeNull();
      tf.engine().endScope();
    };
  });
}

let seed = 1;

/** Numbers in [-scale, scale), the same in every run of a test. */
export function random(count: number, scale = 1): Float32Array {
  return Float32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed / 2 ** 31 - 1) * scale;
  });
}

export const matrix = (values: Float32Array, rows: number) =>
  tf.tensor2d(values, [rows, values.length / rows]);

export async function expectClose(
  actual: tf.Tensor | null,
  expected: Numbers,
  tolerance = 3e-6,
): Promise<void> {
  expect(relativeError(await (actual as tf.Tensor).data(), expected)).toBeLessThan(tolerance);
}

/**
 * Makes the running device refuse buffers beyond this many bytes in all, from now on, in one of the ways that browsers do: an error that
 * WebGPU calls out-of-memory, an exception (for buffers that are filled when they are made), or a size above the limit of one buffer. What
 * comes back is an invalid buffer, as from the real thing.
 */
export function limitMemory(bytes: number, kind: 'typed' | 'thrown' | 'too large' = 'typed') {
  const { device } = webgpuBackend();
  const create = device.createBuffer.bind(device);
  let live = 0;
  let peak = 0;
  let refusals = 0;
  const refuse = (wanted: GPUBufferDescriptor): GPUBuffer => {
    refusals++;
    const mapped = wanted.mappedAtCreation === true;
    if (mapped || kind === 'thrown') {
      throw new RangeError(
        `createBuffer failed, size (${wanted.size}) is too large for the implementation when mappedAtCreation == true`,
      );
    }
    if (kind !== 'too large') device.pushErrorScope('validation');
    const invalid = create({ ...wanted, size: 2 ** 50 });
    Object.defineProperty(invalid, 'size', { value: wanted.size });
    if (kind === 'too large') return invalid;
    void device.popErrorScope();
    const error = new GPUOutOfMemoryError('CreateBuffer failed with E_OUTOFMEMORY');
    queueMicrotask(() => device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error })));
    return invalid;
  };
  device.createBuffer = (wanted) => {
    if (live + wanted.size > bytes) return refuse(wanted);
    const buffer = create(wanted);
    live += wanted.size;
    peak = Math.max(peak, live);
    const destroy = buffer.destroy.bind(buffer);
    let gone = false;
    buffer.destroy = () => {
      if (!gone) live -= wanted.size;
      gone = true;
      return destroy();
    };
    return buffer;
  };
  return {
    refusals: () => refusals,
    peakBytes: () => peak,
    end: () => {
      device.createBuffer = create;
    },
  };
}
