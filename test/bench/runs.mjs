// What a call of the benchmark means: which engines and shapes on which adapter. Shared by the command line and the bundle.
// Not here: options as they are typed (bench.mjs, carried.mjs).

import { findPlace, runChild } from './children.mjs';
import { compare } from './compare.mjs';
import { counts } from './counts.mjs';

/**
 * @typedef {{
 *   folder: string, browser: string | null, peers: boolean, torchScript: string, method: string,
 *   shape?: string[] | undefined, rounds?: string | undefined, steps?: string | undefined, engines?: string | undefined,
 *   torch?: string | undefined, wasm: boolean, patience?: string | undefined,
 *   compiled?: boolean, deadlineMs?: number, onResult?: (result: Record<string, unknown>) => void,
 * }} Settings
 * @typedef {{ adapter: import('./instruments').AdapterName, runEngine: (job: Record<string, unknown>) => Promise<any> }} Pages
 */

/** @param {Settings} settings @param {(line: string) => void} say */
export async function runCounts(settings, say) {
  const { place, adapter } = await findPlace(settings.folder, settings.browser);
  return counts(place, adapter, say, settings.patience ? 1000 * Number(settings.patience) : undefined);
}

/** @param {Settings} settings @param {Pages | null} pages a browser to run the engines in @param {(line: string) => void} say */
export async function runCompare(settings, pages, say) {
  const { method, wasm } = settings;
  if (method !== 'full' && method !== 'lora') throw new Error('--method is full or lora.');
  const { place, adapter } = wasm
    ? { place: { folder: settings.folder, environment: process.env }, adapter: null }
    : pages
      ? { place: { folder: settings.folder, environment: process.env }, adapter: pages.adapter }
      : await findPlace(settings.folder, settings.browser);
  const software = adapter?.software === true;
  const shapes = settings.shape ?? (wasm ? ['pebble-1m'] : software ? ['tiny'] : ['a', 'b', 'c']);
  // The Pebbles have the shapes of our own models: ours and PyTorch. And LoRA has no peer here.
  const enginesOf = (/** @type {string} */ shape) => {
    if (settings.engines) return settings.engines.split(',');
    if (wasm) return ['wasm'];
    if (method === 'lora' || shape.startsWith('pebble')) return ['ours'];
    return ['ours', ...(settings.peers ? ['nanogpt', 'jax'] : []), 'floor'];
  };
  const results = await compare({
    place,
    torchScript: settings.torchScript,
    shapes,
    enginesOf,
    method,
    torch: settings.torch ?? null,
    torchDevice: wasm || software ? 'cpu' : 'cuda',
    compiled: settings.compiled !== false,
    wasm,
    rounds: Number(settings.rounds ?? (software ? 1 : 3)),
    steps: settings.steps === undefined ? null : Number(settings.steps),
    software,
    runEngine: (job) => (pages ? pages.runEngine(job) : runChild(place, job)),
    say,
    onResult: settings.onResult,
    deadlineMs: settings.deadlineMs,
  });
  return { date: new Date().toISOString(), adapter, results };
}
