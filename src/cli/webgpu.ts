// WebGPU in Node, through the optional package webgpu (Dawn): `navigator.gpu`, where the engine looks for it.
// Not here: choosing an adapter and testing it (engine/device/device.ts).

import { PlaygroundError } from '../errors';

interface Dawn {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

/** Dawn keeps Node running as long as this object exists. */
let gpu: GPU | null = null;

/** Must come before the engine starts. @throws PlaygroundError `webgpu_unavailable` */
export async function openWebGpu(): Promise<void> {
  if (gpu !== null) return;
  let dawn: Dawn;
  try {
    dawn = (await import('webgpu')) as unknown as Dawn;
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'webgpu_unavailable',
        message: `The package webgpu does not load: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: 'Run npm install webgpu, or use --backend wasm.',
      },
      { cause },
    );
  }
  const found = dawn.create([]);
  if ((await found.requestAdapter()) === null) {
    throw new PlaygroundError({
      code: 'webgpu_unavailable',
      message: 'WebGPU finds no graphics adapter on this machine.',
      fix: 'Install a Vulkan, Metal or Direct3D 12 driver, or use --backend wasm.',
    });
  }
  gpu = found;
  Object.assign(globalThis, dawn.globals);
  // Node 20 has no navigator; later ones have one that is read-only.
  const navigator = globalThis.navigator ?? {};
  Object.defineProperty(navigator, 'gpu', { value: found, configurable: true });
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
}
