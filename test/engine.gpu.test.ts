// The engine on WebGPU in Chromium against numbers from torch, transformers and PEFT.
// Not here: the suite itself (engineSuite.ts), single kernels (kernels.gpu.test.ts).

import { folderFromUrl } from '../src/formats/huggingface';
import { FAMILIES } from './engineFixtures';
import { describeEngine } from './engineSuite';
import { startWebGpu } from './webgpu';

describeEngine({
  backend: 'webgpu',
  start: startWebGpu,
  folderOf: (name) => folderFromUrl(`/test/fixtures/engine/${name}/`),
  families: FAMILIES,
  logits: 1e-4,
  gradient: 1e-4,
  trajectory: 5e-3,
  // A software adapter takes a second for each step, so the long way round is gone on the other backends.
  runs: ['llama-tied'],
  runNames: ['full', 'lora'],
  runSteps: 20,
  referenceSteps: 3,
  greedyTokens: 8,
});
