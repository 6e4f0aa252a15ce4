// `npm run soak`: a long run, in which tensors, device bytes and heap must stay flat. `--page`: the same in the built page, in Chromium.
// Not here: the run in Node (soak.ts), times (bench.mjs).
//
// How it works: numbers are taken some twenty times, after a garbage collection. From the first fifth on (by then everything that is kept for
// the whole run exists) tensors must be the same, and the heap may grow by what a step leaves: its metric points, which the curves are drawn from.
// Options: --steps N (5000; 2000 with --page), --page.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { build, preview } from 'vite';
import { house } from '../../src/launch/prerequisites.mjs';
import { browserArgs, findBrowser } from '../setup/browser.mjs';

const { values: options } = parseArgs({
  options: { steps: { type: 'string' }, page: { type: 'boolean', default: false } },
});
const steps = Number(options.steps ?? (options.page ? 2000 : 5000));
/** Six metric points of 100 to 200 bytes each, and what collections of the engine add to them. */
const MOST_BYTES_A_STEP = 4000;

/** @typedef {{ step: number, tensors: number | null, tensorBytes: number | null, heap: number }} Sample */

/** @returns {Promise<Sample[]>} */
async function inNode() {
  const outDir = path.join(house, 'node_modules', '.cache', 'finetune-playground', 'soak');
  await build({
    ...{ configFile: false, root: house, publicDir: false, logLevel: 'warn' },
    build: {
      ...{ ssr: path.join(house, 'test', 'bench', 'soak.ts'), outDir, emptyOutDir: true, target: 'node20' },
      rolldownOptions: { output: { codeSplitting: false, entryFileNames: 'soak.mjs' } },
    },
  });
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--expose-gc', path.join(outDir, 'soak.mjs'), house, String(steps)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const end = lines.pop();
  if (status !== 0 || end?.state !== 'finished')
    throw new Error(`The run ended with ${status}: ${JSON.stringify(end)}`);
  console.log(`Node, wasm: ${end.step} steps.`);
  return lines;
}

/** @returns {Promise<Sample[]>} */
async function inPage() {
  const outDir = path.join(house, 'node_modules', '.cache', 'soak-site');
  const shared = {
    root: path.join(house, 'src'),
    configFile: path.join(house, 'vite.config.ts'),
    build: { outDir },
  };
  await build({ ...shared, logLevel: 'error' });
  const server = await preview({ ...shared, logLevel: 'error', preview: { host: '127.0.0.1', port: 4390 } });
  const executablePath = findBrowser();
  const browser = await chromium.launch({
    args: [...browserArgs, '--enable-precise-memory-info'],
    ...(executablePath && { executablePath }),
  });
  /** @type {Sample[]} */
  const samples = [];
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    await page.goto(`${server.resolvedUrls?.local[0]}?backend=wasm`);
    await page.getByTestId('model-loaded').waitFor();
    const rows = readFileSync(path.join(house, 'public', 'datasets', 'twelve-rows.jsonl'));
    await page
      .getByTestId('data-file')
      .setInputFiles({ name: 'rows.jsonl', mimeType: 'application/jsonl', buffer: rows });
    for (const group of await page.locator('[data-testid^="settings-"]').all())
      if ((await group.getAttribute('open')) === null) await group.locator('summary').click();
    const set = (/** @type {string} */ name, /** @type {string} */ value) =>
      page.getByTestId(`setting-${name}`).locator('input.input').fill(value);
    // Two steps an epoch.
    await set('num_train_epochs', String(Math.ceil(steps / 2)));
    await set('learning_rate', '0.0001');
    await page.getByTestId('train').click();
    const every = Math.ceil(steps / 20);
    for (let next = 1; next < steps; next += every) {
      await page.waitForFunction((/** @type {number} */ wanted) => {
        const said = document.querySelector('[data-testid="step-count"]')?.textContent ?? '';
        const ended = document.querySelector('[data-testid="train-panel"]')?.getAttribute('data-state');
        return (
          ended === 'finished' || Number(/step ([\d,]+)/.exec(said)?.[1]?.replaceAll(',', '') ?? 0) >= wanted
        );
      }, next);
      // The page and its workers together, after a collection of the browser's own.
      const heap = await page.evaluate(
        async () => (await /** @type {any} */ (performance).measureUserAgentSpecificMemory()).bytes,
      );
      samples.push({ step: next, tensors: null, tensorBytes: null, heap });
    }
    await page.locator('[data-testid="train-panel"][data-state="finished"]').waitFor();
    console.log(`Page, wasm, Chromium ${browser.version()}: ${steps} steps.`);
  } finally {
    await browser.close();
    await server.close();
  }
  return samples;
}

const samples = options.page ? await inPage() : await inNode();
for (const { step, tensors, tensorBytes, heap } of samples)
  console.log(
    `step ${step}: ${tensors === null ? '' : `${tensors} tensors, ${tensorBytes} bytes in them, `}heap ${(heap / 1e6).toFixed(1)} MB`,
  );
const settled = samples.filter(({ step }) => step >= steps / 5);
const [first, last] = [settled[0], settled.at(-1)];
if (!first || !last || first === last) throw new Error('There are too few steps to tell.');
const perStep = (last.heap - first.heap) / (last.step - first.step);
const same = settled.every((s) => s.tensors === first.tensors && s.tensorBytes === first.tensorBytes);
console.log(
  `From step ${first.step} on: ${same ? 'the same tensors' : 'TENSORS CHANGE'}; the heap grows by ${perStep.toFixed(0)} bytes a step.`,
);
process.exitCode = same && perStep <= MOST_BYTES_A_STEP ? 0 : 1;
