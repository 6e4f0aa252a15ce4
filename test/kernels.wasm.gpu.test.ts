// The wasm backend's own kernels in Chromium on two threads: workers, and tfjs's memory shared with them.
// Not here: the ops' cases (wasmKernels.ts), whole runs (kernels.wasm.test.ts), the same bits as on one thread (threads.wasm.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadWasmKernels } from '../src/engine/kernels/wasm/kernels.wasm';
import { pageThreads } from '../src/worker/threads';
import { describeWasmKernels, startWasm } from './wasmKernels';

let threads = 0;
beforeAll(async () => {
  const host = pageThreads();
  const { report } = await startWasm('/wasm/', host && { ...host, count: 2 });
  threads = report.threads;
});
afterAll(async () => {
  await loadWasmKernels(null); // ends the threads
});

it('works on two threads, in memory that they share', () => {
  expect(globalThis.crossOriginIsolated).toBe(true);
  expect(threads).toBe(2);
  const { wasm } = tf.backend() as unknown as { wasm: { asm: { memory: WebAssembly.Memory } } };
  expect(wasm.asm.memory.buffer).toBeInstanceOf(SharedArrayBuffer);
});

describeWasmKernels();
