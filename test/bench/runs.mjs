// What a call of the benchmark means: which engines and shapes on which adapter. Shared by the command line and the bundle.
// Not here: options as they are typed (bench.mjs, carried.mjs).

import { findPlace } from './children.mjs';
import { compare } from './compare.mjs';
import { counts } from './counts.mjs';

/**
 * @typedef {{
 *   folder: string, browser: string | null, peers: boolean, torchScript: string, method: string,
 *   shape?: string[] | undefined, rounds?: string | undefined, steps?: string | undefined, engines?: string | undefined,
 *   torch?: string | undefined, wasm: boolean,
 * }} Settings
 * @typedef {{ adapter: import('./instruments').AdapterName, runEngine: (job: Record<string, unknown>) => Promise<any> }} Pages
 */

/** @param {Settings} settings @param {(line: string) => void} say */
export async function runCounts(settings, say) {
  const { place, adapter } = await findPlace(settings.folder, settings.browser);
  return counts(place, adapter, say);
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
  const { runChild } = await import('./children.mjs');
  const results = [];
  for (const shape of shapes) {
    // The Pebbles have the shapes of our own models: ours and PyTorch. So has LoRA no peer here.
    const usual = wasm
      ? ['wasm']
      : method === 'lora' || shape.startsWith('pebble')
        ? ['ours']
        : ['ours', ...(settings.peers ? ['nanogpt', 'jax'] : []), 'floor'];
    const engines = settings.engines?.split(',') ?? usual;
    results.push(
      ...(await compare({
        place,
        torchScript: settings.torchScript,
        shapes: [shape],
        engines,
        method,
        torch: settings.torch ?? null,
        torchDevice: wasm || software ? 'cpu' : 'cuda',
        rounds: Number(settings.rounds ?? (software ? 1 : 3)),
        steps: settings.steps === undefined ? null : Number(settings.steps),
        software,
        runEngine: (job) => (pages ? pages.runEngine(job) : runChild(place, job)),
        say,
      })),
    );
  }
  return { date: new Date().toISOString(), adapter, results };
}
