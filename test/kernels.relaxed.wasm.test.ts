// The wasm kernels' build with relaxed SIMD in Node: every op against its reference.
// Not here: the build without (kernels.wasm.test.ts, where Node has no relaxed SIMD by itself), Chromium (kernels.wasm.gpu.test.ts).

import { beforeAll, expect, it } from 'vitest';
import { acceptRelaxedSimd } from '../src/cli/platform';
import { nodeWasmPath } from './setup-node-webgpu';
import { describeWasmKernels, startWasm } from './wasmKernels';

let relaxed = false;
beforeAll(async () => {
  acceptRelaxedSimd();
  relaxed = (await startWasm(nodeWasmPath)).report.relaxedSimd;
});

it('is the build that runs', () => {
  expect(relaxed).toBe(true);
});

describeWasmKernels();
