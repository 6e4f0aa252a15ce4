// `node test/bench/readFile.mjs`: processor time and memory of reading data files of 1,000, 10,000 and 100,000 rows, and of 100 MB.
// Not here: steps of training (run.mjs), whether the rows are right (test/streamedFile.test.ts).
//
// Each file gets a process of its own. Peak memory is that of the process (resident set) less what it had before the file was opened; what is
// kept is the heap after a collection: both in times of the file's size. Time is processor time a byte, in times of that of the smallest file.

import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openAsBlob, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { house } from '../../src/launch/prerequisites.mjs';

const KINDS = ['jsonl', 'json', 'csv'];
const SIZES = [
  { rows: 1000, words: 40 },
  { rows: 10_000, words: 40 },
  { rows: 100_000, words: 40 },
  { rows: 100_000, words: 88 },
];
const WORDS = 'boat red sea over green harbour wind tide anchor sail deck rope light north wave shore'.split(
  ' ',
);

/**
 * A file of rows with words drawn from a seed, one fault in 1,000 rows.
 * @param {string} file @param {string} kind @param {{ rows: number, words: number }} size
 */
function writeRows(file, kind, { rows, words }) {
  let state = 1;
  const word = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return WORDS[state >>> 28];
  };
  /** @param {number} n */
  const text = (n) => `${n} ${Array.from({ length: words / 2 }, word).join(' ')}`;
  const handle = openSync(file, 'w');
  let lines = [kind === 'csv' ? 'question,answer\n' : kind === 'json' ? '[' : ''];
  for (let n = 0; n < rows; n++) {
    const [asked, told] = [`${text(n)} ${text(n)}`, `${text(n)} ${text(n)}`];
    if (kind === 'csv') lines.push(`"${asked}","${told}"\n`);
    else {
      const role = n % 1000 === 7 ? 'User' : 'user';
      const row = {
        messages: [
          { role, content: asked },
          { role: 'assistant', content: told },
        ],
      };
      lines.push(JSON.stringify(row), kind === 'json' && n < rows - 1 ? ',\n' : '\n');
    }
    if (lines.length > 4000) {
      writeSync(handle, lines.join(''));
      lines = [];
    }
  }
  lines.push(kind === 'json' ? ']' : '');
  writeSync(handle, lines.join(''));
  closeSync(handle);
}

/** Needs --expose-gc. */
const collect = () => globalThis.gc?.();

/** In a process of its own: reads one file, prints one line of JSON. @param {string} file */
async function measure(file) {
  const server = await createServer({
    root: house,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true },
  });
  const { readDataBlob } = await server.ssrLoadModule('/src/data/streamedFile.ts');
  // Once before, so that what is compiled and read for any file is not counted for this one.
  await readDataBlob('warm.jsonl', new Blob(['{"prompt": "a", "completion": "b"}\n']), undefined);
  collect();
  const { rss: before, heapUsed } = process.memoryUsage();
  let peak = before;
  const look = () => {
    peak = Math.max(peak, process.memoryUsage().rss);
  };
  const timer = setInterval(look, 5);
  const started = process.cpuUsage();
  const blob = await openAsBlob(file);
  const pause = () => new Promise((resolve) => setImmediate(resolve));
  const read = await readDataBlob(path.basename(file), blob, undefined, {}, { pause, onProgress: look });
  look();
  const { user, system } = process.cpuUsage(started);
  clearInterval(timer);
  collect();
  const kept = process.memoryUsage();
  process.stdout.write(
    `${JSON.stringify({
      rows: read.rows,
      usable: read.examples.length,
      seconds: (user + system) / 1e6,
      peak: peak - before,
      kept: kept.heapUsed - heapUsed,
    })}\n`,
  );
  await server.close();
}

function compare() {
  const folder = mkdtempSync(path.join(tmpdir(), 'playground-read-'));
  try {
    for (const kind of KINDS) {
      let first;
      for (const size of SIZES) {
        const file = path.join(folder, `rows.${kind}`);
        writeRows(file, kind, size);
        const bytes = statSync(file).size;
        const self = fileURLToPath(import.meta.url);
        const child = spawnSync(process.execPath, ['--expose-gc', self, file], { encoding: 'utf8' });
        if (child.status !== 0) throw new Error(child.stderr);
        const found = JSON.parse(child.stdout);
        if (found.usable !== size.rows)
          throw new Error(`${kind}: ${found.usable} of ${size.rows} rows were read.`);
        const perByte = found.seconds / bytes;
        first ??= perByte;
        const [peak, kept] = [found.peak, found.kept].map((count) => (count / bytes).toFixed(2));
        process.stdout.write(
          `${kind.padEnd(6)} ${String(size.rows).padStart(7)} rows ${(bytes / 1e6).toFixed(1).padStart(6)} MB   time a byte × ${(perByte / first).toFixed(2)}   peak memory × ${peak} of the file, kept × ${kept}\n`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [file] = process.argv.slice(2);
if (file === undefined) compare();
else await measure(file);
