// Runs that go on from a checkpoint on WebGPU, where moments lie in buffers of their own and steps are replayed.
// Not here: the suite itself (resumeSuite.ts), wasm (resume.test.ts).

import { folderFromUrl } from '../src/formats/huggingface';
import { describeResume } from './resumeSuite';

describeResume({
  backend: 'webgpu',
  wasmPath: '/wasm/',
  folderOf: (name) => folderFromUrl(`/test/fixtures/engine/${name}/`),
  only: ['LoRA', 'full'],
  epochs: 2,
  interruptions: 1,
  tolerance: 1e-4,
});
