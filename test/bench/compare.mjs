// Engines side by side: one process each, in an order that rotates; losses judged before any time is told; PyTorch beside them.
// Not here: what a process measures (measure.ts, torch_step.py), the command line (bench.mjs). Plain Node, so that it runs where nothing is installed.

import { rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { runChild, runCommand } from './children.mjs';
import { printTable } from './table.mjs';

/** Largest share by which a loss may differ from the reference's, at each of the first steps. */
const GATE = 0.002;
/** What the reference may compute for one gate; it makes a few thousand MFLOP a second. */
const GATE_FLOPS = 200e9;
/** From here on a step takes the reference half a minute and more; PyTorch on CUDA, where there is one, takes its place. */
const LARGE_FLOPS = 100e9;
/** The engines that run another model than ours, so that only the fall of their loss can be judged. */
const OWN_MODEL = ['nanogpt'];

/**
 * @typedef {import('./measure').Report} Report
 * @typedef {import('./shapes').Shape} Shape
 * @typedef {{
 *   place: import('./children.mjs').Place,
 *   torchScript: string,
 *   shapes: string[],
 *   enginesOf: (shape: string) => string[],
 *   method: 'full' | 'lora',
 *   torch: string | null,
 *   torchDevice: 'cpu' | 'cuda',
 *   compiled: boolean,
 *   wasm: boolean,
 *   rounds: number,
 *   steps: number | null,
 *   software: boolean,
 *   runEngine: (job: Record<string, unknown>) => Promise<Report>,
 *   say: (line: string) => void,
 *   onResult?: ((result: Record<string, unknown>) => void) | undefined,
 *   deadlineMs?: number | undefined,
 * }} Options
 * @typedef {{ engine: string, reports: Report[], error: string | null, gate: string, passed: boolean }} Entry
 */

/**
 * Runs all shapes and prints a table each.
 * @param {Options} options
 * @returns {Promise<Record<string, unknown>[]>} one result a shape, for the JSON
 */
export async function compare(options) {
  const { place, say } = options;
  const { shapes, settings, lora } = await runChild(place, { task: 'shapes' });
  const chosen = options.shapes.map((name) => {
    if (shapes[name] === undefined)
      throw new Error(`There is no shape “${name}”; there are ${Object.keys(shapes).join(', ')}.`);
    return /** @type {Shape} */ (shapes[name]);
  });
  const byTorch = (/** @type {Shape} */ shape) =>
    options.torch !== null && options.torchDevice === 'cuda' && flopsOf(shape) > LARGE_FLOPS;
  // All references first: they only use the processor, which must be idle while others are timed.
  const plain = chosen.filter((shape) => !byTorch(shape));
  if (plain.length > 0)
    say(`Reference losses (plain tfjs ops on wasm) for ${plain.map((s) => s.name).join(', ')} …`);
  const width = Math.max(1, Math.floor(availableParallelism() / 4));
  const references = new Map(
    await inParallel(
      plain,
      width,
      async (shape) => /** @type {const} */ ([shape, await referenceOf(options, shape)]),
    ),
  );
  const results = [];
  for (const shape of chosen) {
    if (options.deadlineMs !== undefined && Date.now() > options.deadlineMs) {
      say(`${shape.name}: left out, the time is up.`);
      continue;
    }
    const result = await compareShape(options, shape, references.get(shape) ?? null, { settings, lora });
    options.onResult?.(result);
    results.push(result);
  }
  return results;
}

/** @param {Options} options @param {Shape} shape @returns {Promise<{ value?: Report, error?: string }>} */
function referenceOf(options, shape) {
  const job = {
    ...jobOf(options, shape),
    engine: 'reference',
    warmUpSteps: 0,
    countedSteps: 0,
    timedSteps: 0,
  };
  return settle(runChild(options.place, job));
}

/** Arithmetic of a step by its products, near enough to choose by. @param {Shape} s */
function flopsOf(s) {
  const layer = 2 * s.hidden * s.hidden * (1 + s.kvHeads / s.heads) + 3 * s.hidden * s.intermediate;
  return 6 * (s.layers * layer + s.vocab * s.hidden) * s.batch * s.time;
}

/** @param {Options} options @param {Shape} shape */
function jobOf({ method, software, steps, wasm }, shape) {
  const affordable = Math.max(2, Math.min(software ? 6 : 20, Math.floor(GATE_FLOPS / flopsOf(shape))));
  return {
    shape,
    method,
    gateSteps: wasm ? 5 : affordable,
    warmUpSteps: software ? 2 : wasm ? 5 : 30,
    countedSteps: software ? 2 : wasm ? 0 : 5,
    timedSteps: steps ?? (software ? 3 : wasm ? 20 : 100),
  };
}

/**
 * @param {Options} options @param {Shape} shape @param {{ value?: Report, error?: string } | null} given null: PyTorch's losses will do
 * @param {{ settings: object, lora: object }} common
 */
async function compareShape(options, shape, given, common) {
  const { rounds, say, software, wasm } = options;
  const engines = options.enginesOf(shape.name);
  /** @type {Entry[]} */
  const entries = [...engines, ...(options.torch ? ['torch eager', 'torch compiled'] : [])].map((engine) => ({
    engine,
    reports: [],
    error: null,
    gate: 'not run',
    passed: false,
  }));
  const entryOf = (/** @type {string} */ engine) =>
    /** @type {Entry} */ (entries.find((e) => e.engine === engine));
  const start = path.join(tmpdir(), `bench-start-${process.pid}-${shape.name}.bin`);
  const units = [...engines, ...(options.torch ? ['torch'] : [])];
  try {
    if (options.torch) await runChild(options.place, { task: 'start', shape, file: start });
    for (let round = 0; round < rounds; round++) {
      for (let k = 0; k < units.length; k++) {
        const unit = /** @type {string} */ (units[(k + round) % units.length]);
        say(`${shape.name}: round ${round + 1} of ${rounds}, ${unit} …`);
        const job = jobOf(options, shape);
        if (unit !== 'torch') {
          const entry = entryOf(unit);
          if (entry.error !== null) continue;
          const { value, error } = await settle(options.runEngine({ ...job, engine: unit }));
          if (value) entry.reports.push(value);
          else entry.error = error ?? null;
          continue;
        }
        const compiled = options.compiled && round === 0;
        const ask = { ...job, ...common, start, device: options.torchDevice, compiled };
        const { value, error } = await settle(
          runCommand(
            /** @type {string} */ (options.torch),
            [options.torchScript, JSON.stringify(ask)],
            process.env,
          ),
        );
        for (const row of value?.rows ?? []) entryOf(row.engine).reports.push(row);
        const missing = error ?? value?.why ?? null;
        for (const name of ['torch eager', 'torch compiled']) {
          const entry = entryOf(name);
          if (entry.reports.length === 0) entry.error = missing ?? 'not on this device';
        }
      }
    }
  } finally {
    rmSync(start, { force: true });
  }
  const [byTorch] = options.torch ? entryOf('torch eager').reports : [];
  const reference = given ?? (byTorch ? { value: byTorch } : await referenceOf(options, shape));
  for (const entry of entries) judge(entry, options.method, reference);
  const kept = entries.filter(
    (e) => e.engine !== 'torch compiled' || (options.compiled && options.torchDevice === 'cuda'),
  );
  return printTable({ shape, entries: kept, software, say, wasm });
}

/**
 * Whether the losses of an engine allow its speed to be told. The same model and start weights: each within 0.2 % of the reference.
 * Another model, or adapters that start from other draws: finite and falling.
 * @param {Entry} entry @param {'full' | 'lora'} method @param {{ value?: Report, error?: string }} reference
 */
function judge(entry, method, reference) {
  if (entry.error !== null || entry.reports.length === 0) {
    entry.gate = `does not run: ${entry.error}`;
    return;
  }
  const otherDraws = method === 'lora' && entry.engine.startsWith('torch');
  const verdicts = entry.reports.map(({ losses }) => {
    if (!losses.every(Number.isFinite)) return { passed: false, gate: 'a loss is not finite' };
    if (OWN_MODEL.includes(entry.engine) || otherDraws) {
      const last = losses.slice(-Math.ceil(losses.length / 4));
      const mean = last.reduce((a, b) => a + b, 0) / last.length;
      const first = /** @type {number} */ (losses[0]);
      const passed = mean < first;
      return {
        passed,
        gate: `${passed ? 'losses finite and falling' : 'losses NOT falling'}: ${first.toFixed(3)} → ${mean.toFixed(3)}`,
      };
    }
    if (!reference.value) return { passed: false, gate: `no reference: ${reference.error}` };
    const expected = reference.value.losses;
    const off = losses.map(
      (loss, i) => Math.abs(loss - /** @type {number} */ (expected[i])) / /** @type {number} */ (expected[i]),
    );
    const worst = Math.max(...off);
    const passed = losses.length === expected.length && worst <= GATE;
    const share = `${(100 * worst).toPrecision(2)} %`;
    return {
      passed,
      gate: passed
        ? `losses within ${share} of the reference, ${losses.length} steps`
        : `losses OFF the reference by ${share}`,
    };
  });
  const failed = verdicts.find((v) => !v.passed);
  Object.assign(entry, failed ?? verdicts[0]);
}

/** @template T @param {Promise<T>} promise @returns {Promise<{ value?: T, error?: string }>} */
async function settle(promise) {
  try {
    return { value: await promise };
  } catch (thrown) {
    return { error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** @template A, B @param {A[]} list @param {number} width @param {(item: A) => Promise<B>} run @returns {Promise<B[]>} */
async function inParallel(list, width, run) {
  /** @type {B[]} */
  const results = [];
  let next = 0;
  const lane = async () => {
    while (next < list.length) {
      const i = next++;
      results[i] = await run(/** @type {A} */ (list[i]));
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, list.length) }, lane));
  return results;
}
