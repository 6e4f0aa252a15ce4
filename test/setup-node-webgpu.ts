// WebGPU in Node, through Dawn, for the tests, the benchmarks and the command line: `navigator.gpu` set up before tfjs is imported.
// Not here: choosing a backend (src/engine/device/device.ts).

import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { findBrowser } from './setup/browser.mjs';

/** Directory of the tfjs .wasm files, for `startDevice` in Node. */
export const nodeWasmPath = `${path.dirname(
  createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'),
)}/`;

/** Dawn holds the event loop open while this object lives; so the process must end with process.exit. */
let gpu: GPU | null = null;

/**
 * Defines `navigator.gpu` and the GPU globals. Tries the machine's own Vulkan driver first, then the software driver that lies
 * beside Chromium. Returns null when all is well, else why there is no WebGPU.
 */
export async function setUpNodeWebGpu(): Promise<string | null> {
  if (gpu !== null) return null;
  let dawn: { create(flags: string[]): GPU; globals: Record<string, unknown> };
  try {
    dawn = (await import('webgpu')) as unknown as typeof dawn;
  } catch (thrown) {
    return `The package webgpu (Dawn) does not load here: ${thrown instanceof Error ? thrown.message : thrown}`;
  }
  const found = (await open(dawn.create)) ?? (await openBesideBrowser(dawn.create));
  if (found === null) {
    return (
      'Dawn finds no Vulkan driver that it accepts. Install libvulkan1 and a driver, or set LD_LIBRARY_PATH to the folder of ' +
      'an installed Chromium, which has a Vulkan loader and a software driver beside it.'
    );
  }
  Object.assign(globalThis, dawn.globals);
  gpu = found;
  // Node 20 has no navigator; later ones have one that is read-only.
  const navigator = globalThis.navigator ?? {};
  Object.defineProperty(navigator, 'gpu', { value: found, configurable: true });
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  return null;
}

async function open(create: (flags: string[]) => GPU): Promise<GPU | null> {
  const candidate = create([]);
  return (await candidate.requestAdapter()) === null ? null : candidate;
}

async function openBesideBrowser(create: (flags: string[]) => GPU): Promise<GPU | null> {
  const browser = findBrowser();
  if (browser === null) return null;
  const folders = [path.dirname(realpathSync(browser)), '/usr/lib/chromium', '/usr/lib/chromium-browser'];
  const driver = folders.map((folder) => path.join(folder, 'vk_swiftshader_icd.json')).find(existsSync);
  if (driver === undefined) return null;
  process.env.VK_ICD_FILENAMES = driver;
  return open(create);
}
