// The engine on the cpu and wasm backends against numbers from torch, transformers and PEFT.
// Not here: the suite itself (engineSuite.ts), WebGPU (engine.gpu.test.ts), rules of training (training.test.ts).

import { describe, expect, it } from 'vitest';
import { startDevice } from '../src/engine/device/device';
import { architectureFromConfig } from '../src/formats/architecture';
import { FAMILIES } from './engineFixtures';
import { describeEngine } from './engineSuite';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

describe.each(FAMILIES.map((name) => [name]))('the configuration of %s', (name) => {
  it('means the same in the spelling from before transformers 5', async () => {
    const read = async (file: string) => JSON.parse(await (await fixtureFolder(name).open(file)).text());
    const now = architectureFromConfig(await read('config.json'));
    expect(architectureFromConfig(await read('config.old.json'))).toEqual(now);
  });
});

const start = (requested: 'wasm' | 'cpu') => {
  const fail = (error: Error) => {
    throw error;
  };
  return startDevice({ requested, wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
};

const limits = { logits: 2e-5, gradient: 1e-4, trajectory: 5e-3 };
const common = {
  folderOf: fixtureFolder,
  families: FAMILIES,
  greedyTokens: 40,
  ...limits,
};
describeEngine({ ...common, backend: 'wasm', start: () => start('wasm'), runs: FAMILIES });
// The cpu backend is plain JavaScript and slow; the same code as on wasm runs on it.
describeEngine({ ...common, backend: 'cpu', start: () => start('cpu'), runs: ['llama-tied'] });
