// The wasm backend's own kernels in Chromium, where an isolated page gets the threaded build of tfjs and its shared memory.
// Not here: the ops' cases (wasmKernels.ts), whole runs (kernels.wasm.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { describeWasmKernels, startWasm } from './wasmKernels';

beforeAll(async () => {
  await startWasm('/wasm/');
});

it('works in the memory that the threads of tfjs share', () => {
  expect(globalThis.crossOriginIsolated).toBe(true);
  const { wasm } = tf.backend() as unknown as { wasm: { wasmMemory: WebAssembly.Memory } };
  expect(wasm.wasmMemory.buffer).toBeInstanceOf(SharedArrayBuffer);
});

describeWasmKernels();
