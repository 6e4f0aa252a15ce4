// The bundle's command line: counts, all shapes against the peers, the Pebbles against PyTorch; the record is written after each.
// Not here: the runs themselves (runs.mjs). Plain Node, nothing installed.

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runCompare, runCounts } from './runs.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    torch: { type: 'string', default: 'python3' },
    out: { type: 'string', default: 'results.json' },
    shape: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '2' },
    steps: { type: 'string' },
    minutes: { type: 'string', default: '9' },
    'no-compiled': { type: 'boolean', default: false },
  },
});
const say = (/** @type {string} */ line) => console.log(line);

const hasTorch = spawnSync(options.torch, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0;
if (!hasTorch) say(`${options.torch} has no PyTorch: its rows are missing.`);
const names = ['a', 'b', 'c', 'pebble-1m', 'pebble-3m', 'pebble-15m', 'pebble-135m'];
// Bundled without a network, the peers' parts are small files that only say so.
const peers = existsSync(path.join(here, 'engines', 'peers.json'));
const settings = {
  folder: path.join(here, 'engines'),
  browser: null,
  peers,
  torchScript: path.join(here, 'torch_step.py'),
  method: 'full',
  torch: hasTorch ? options.torch : undefined,
  wasm: false,
  rounds: options.rounds,
  steps: options.steps,
  compiled: !options['no-compiled'],
};

/** @type {{ date: string, adapter: unknown, counts: unknown, results: unknown[], errors: string[] }} */
const record = { date: new Date().toISOString(), adapter: null, counts: null, results: [], errors: [] };
const keep = () => writeFileSync(options.out, `${JSON.stringify(record, null, 1)}\n`);
/** @param {() => Promise<void>} part */
async function attempt(part) {
  try {
    await part();
  } catch (thrown) {
    const words = thrown instanceof Error ? thrown.message : String(thrown);
    record.errors.push(words);
    say(`error: ${words}`);
  }
  keep();
}

await attempt(async () => {
  const onResult = (/** @type {Record<string, unknown>} */ result) => {
    record.results.push(result);
    keep();
  };
  const deadlineMs = Date.now() + 60_000 * Number(options.minutes);
  const { adapter } = await runCompare(
    { ...settings, shape: options.shape ?? names, deadlineMs, onResult },
    null,
    say,
  );
  record.adapter = adapter;
});
await attempt(async () => {
  record.counts = await runCounts(settings, say);
});
process.exitCode = record.errors.length > 0 ? 1 : 0;
