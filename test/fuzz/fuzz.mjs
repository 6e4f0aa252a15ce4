// `npm run fuzz`: tries 20,000 hostile cases in a thread, ends what takes too long, and lists what it found.
// Not here: the cases (targets.ts), what is wrong with one (loop.ts), those that were found before (corpus/, replayed by test/fuzz.test.ts).
//
// Options: --from N (first seed, 1), --cases N (20000), --target NAME (repeatable; all), --keep (writes what it finds to corpus/).

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { build } from 'vite';
import { house } from '../../src/launch/prerequisites.mjs';
import { packCase } from './corpus.mjs';

const { values: options } = parseArgs({
  options: {
    from: { type: 'string', default: '1' },
    cases: { type: 'string', default: '20000' },
    target: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
  },
});
process.chdir(house);
const first = Number(options.from);
const end = first + Number(options.cases);

/** Processor time after which a case that has not ended is ended. */
const LIMIT_SECONDS = 4;
/** Megabytes; a case that needs more is a fault. */
const MEMORY = 1500;

/** @returns {Promise<string>} the bundled file */
async function bundle() {
  const outDir = path.join(house, 'node_modules', '.cache', 'finetune-playground', 'fuzz');
  await build({
    configFile: false,
    root: house,
    publicDir: false,
    logLevel: 'warn',
    build: {
      ssr: path.join(house, 'test', 'fuzz', 'program.ts'),
      outDir,
      emptyOutDir: true,
      target: 'node20',
      rolldownOptions: { output: { codeSplitting: false, entryFileNames: 'program.mjs' } },
    },
  });
  return path.join(outDir, 'program.mjs');
}

const program = await bundle();
const started = performance.now();
/** @type {Map<string, number>} */
const ends = new Map();
/** @type {{ seed: number, target: string, fault: string }[]} */
const faults = [];
let tried = 0;
let slowest = { seconds: 0, seed: 0, target: '' };

/** @param {{ seed: number, target: string, fault: string, files?: Record<string, Uint8Array> }} found */
function note({ seed, target, fault, files }) {
  faults.push({ seed, target, fault });
  console.log(`✗ ${target} ${seed}: ${fault}`);
  if (!options.keep || !files) return;
  const folder = path.join(house, 'test', 'fuzz', 'corpus');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${target}-${seed}.json`), packCase({ target, found: fault, files }));
}

/**
 * Tries the seeds from here on until one has to be ended.
 * @param {number} from
 * @returns {Promise<number>} the seed to go on with
 */
function stretch(from) {
  return new Promise((resolve) => {
    const at = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(program, {
      workerData: { from, to: end, targets: options.target, at },
      resourceLimits: { maxOldGenerationSizeMb: MEMORY },
    });
    let seen = -1;
    let since = 0;
    const used = () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    };
    let done = false;
    /** @param {number} next */
    const finish = (next) => {
      if (done) return;
      done = true;
      clearInterval(watch);
      void worker.terminate().then(() => resolve(next));
    };
    const watch = setInterval(() => {
      const now = Atomics.load(at, 0);
      if (now !== seen) {
        seen = now;
        since = used();
      } else if (now > 0 && used() - since > LIMIT_SECONDS) {
        note({ seed: now, target: '?', fault: `had not ended after ${LIMIT_SECONDS} s of processor time` });
        tried++;
        finish(now + 1);
      }
    }, 100);
    worker.on('message', (outcome) => {
      tried++;
      ends.set(`${outcome.target} ${outcome.end}`, (ends.get(`${outcome.target} ${outcome.end}`) ?? 0) + 1);
      if (outcome.seconds > slowest.seconds) slowest = outcome;
      if (outcome.fault) note(outcome);
      if (tried % 1000 === 0) console.log(`${tried} tried, ${faults.length} found`);
    });
    worker.on('error', (error) => {
      const seed = Atomics.load(at, 0);
      if (seed === 0) throw error;
      note({ seed, target: '?', fault: `ended the thread: ${error.message}` });
      tried++;
      finish(seed + 1);
    });
    worker.on('exit', () => finish(end));
  });
}

for (let from = first; from < end; ) from = await stretch(from);

const seconds = ((performance.now() - started) / 1000).toFixed(0);
const kinds = [...ends].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `  ${kind}: ${count}`);
console.log(`\n${kinds.join('\n')}`);
console.log(
  `\n${tried} cases in ${seconds} s: ${faults.length} found. Slowest: ${slowest.target} ${slowest.seed}, ${slowest.seconds.toFixed(2)} s of processor time.`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
