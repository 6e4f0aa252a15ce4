// `npm run bench`: the command line of the benchmark. See README.md beside it.
// Not here: what is measured (measure.ts), how engines are compared (compare.mjs).

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { findBrowser } from '../setup/browser.mjs';
import { bench, buildFor, cache } from './build.mjs';
import { writeBundle } from './bundle.mjs';
import { ensurePeers } from './peers.mjs';
import { runCompare, runCounts } from './runs.mjs';

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true },
    method: { type: 'string', default: 'full' },
    rounds: { type: 'string' },
    steps: { type: 'string' },
    engines: { type: 'string' },
    torch: { type: 'string' },
    wasm: { type: 'boolean', default: false },
    shares: { type: 'boolean', default: false },
    chromium: { type: 'boolean', default: false },
    counts: { type: 'boolean', default: false },
    patience: { type: 'string' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    bundle: { type: 'string' },
  },
});

const say = (/** @type {string} */ line) => console.log(line);

async function main() {
  const browser = findBrowser();
  const needsPeers = !options.wasm && !options.counts && options.engines === undefined;
  const peers = (needsPeers || /nanogpt|jax/.test(options.engines ?? '')) && ensurePeers(say);
  if (options.bundle) {
    await writeBundle(path.resolve(options.bundle), say);
    return;
  }
  if (options.shares) {
    // The share of each op, by the engine's own parts; it loads the source through Vite.
    const { status } = spawnSync(process.execPath, [path.join(bench, 'run.mjs'), 'step', options.method], {
      stdio: 'inherit',
    });
    process.exitCode = status ?? 1;
    return;
  }
  const folder = path.join(cache, 'node');
  mkdirSync(folder, { recursive: true });
  await buildFor('node', folder);
  const settings = { ...options, folder, browser, peers, torchScript: path.join(bench, 'torch_step.py') };
  const page = options.chromium ? await import('./chromium.mjs') : null;
  const pages = page ? await page.openPages(path.join(cache, 'page'), browser) : null;
  try {
    const result = options.counts ? await runCounts(settings, say) : await runCompare(settings, pages, say);
    if (options.out) writeFileSync(options.out, `${JSON.stringify(result, null, 1)}\n`);
    if (options.json) console.log(JSON.stringify(result));
  } finally {
    await pages?.close();
  }
}

main().catch((error) => {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
