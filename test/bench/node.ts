// The benchmark in a Node process: WebGPU set up before any engine is imported, a job from the arguments, the answer as the last line.
// Not here: what a job does (program.ts, countSteps.ts, scriptTime.ts), starting this process (children.mjs).

import { createRequire } from 'node:module';
import { defaultHyperparameters } from '../../src/hyperparameters';
import { nodeWasmPath, setUpNodeWebGpu } from '../setup-node-webgpu';
import { SETTINGS, SHAPES } from './shapes';

const ask = JSON.parse(process.argv[2] ?? '{}');

// tfjs's wasm module asks for these by their CommonJS names.
Object.assign(globalThis, { require: createRequire(import.meta.url), __dirname: nodeWasmPath });
// What a page has and the peers look for.
const scope = globalThis as Record<string, unknown>;
scope.self ??= globalThis;
if (ask.engine === 'nanogpt') scope.WorkerGlobalScope ??= class {};

async function withWebGpu(): Promise<void> {
  const refusal = await setUpNodeWebGpu();
  if (refusal !== null) throw new Error(refusal);
  // jax-js looks for the browser's name.
  if (globalThis.navigator.userAgent === undefined) {
    Object.defineProperty(globalThis.navigator, 'userAgent', { value: 'node', configurable: true });
  }
}

async function answer(): Promise<unknown> {
  switch (ask.task) {
    case 'shapes': {
      const { lora_r, lora_alpha } = defaultHyperparameters();
      return { shapes: SHAPES, settings: SETTINGS, lora: { rank: lora_r, alpha: lora_alpha } };
    }
    case 'start':
      return (await import('./startFile')).writeStart(ask.shape, ask.file);
    case 'adapter':
      await withWebGpu();
      return (await import('./instruments')).adapterName();
    case 'counts':
      await withWebGpu();
      return (await import('./countSteps')).countSteps(ask.kinds, ask.slow, ask.patienceMs);
    case 'scriptTimes':
      await withWebGpu();
      return (await import('./scriptTime')).scriptTimes(ask.patienceMs);
    default: {
      if (ask.engine !== 'wasm' && ask.engine !== 'reference') await withWebGpu();
      return (await import('./program')).runJob({ ...ask, wasmPath: nodeWasmPath });
    }
  }
}

// Dawn's threads and tfjs's would keep the process, so it is ended; what it says must get out first.
const say = (line: string, code: number) => process.stdout.write(`\n${line}\n`, () => process.exit(code));
answer().then(
  (result) => say(JSON.stringify({ result }), 0),
  (error) =>
    say(
      JSON.stringify({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      1,
    ),
);
