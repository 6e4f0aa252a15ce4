// `npm run bench:class`: thirty cold clients at once on one `npm start` server, with what a browser asks for on its first visit.
// Not here: a training step's time (bench.mjs), what is shown (e2e/).
//
// How it works: (1) `npm start` is started as it is; (2) one Chromium visits the page until its model is loaded, and its requests are noted;
// (3) clients ask for the same at the same time, over six connections each as browsers do, and compare every byte with that of the first visit.
// A client is usable when all of it arrived whole. Processor time of the server is that of its process, from the system (`ps`).
// Options: --clients N (30), --port N (4190).

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Agent, get } from 'node:http';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { house } from '../../src/launch/prerequisites.mjs';
import { browserArgs, findBrowser } from '../setup/browser.mjs';

const { values: options } = parseArgs({
  options: { clients: { type: 'string', default: '30' }, port: { type: 'string', default: '4190' } },
});
const clients = Number(options.clients);
/** Connections that a browser opens to one host. */
const CONNECTIONS = 6;

/** @param {Buffer} bytes */
const digestOf = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** @returns {Promise<{ address: string, child: import('node:child_process').ChildProcess }>} */
function startServer() {
  const child = spawn(process.execPath, ['src/launch/start.mjs', '--port', options.port], { cwd: house });
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (bytes) => {
      said += bytes;
      const address = /running[\s\S]*?(http:\/\/\S+)[\s\S]*Ctrl\+C/.exec(said)?.[1];
      if (address) resolve({ address: address.replace('localhost', '127.0.0.1'), child });
    });
    child.stderr.pipe(process.stderr);
    child.on('exit', (code) => reject(new Error(`npm start ended with ${code}: ${said}`)));
  });
}

/** Seconds of processor time that a process has used. @param {number} pid */
function processorSeconds(pid) {
  const time = execFileSync('ps', ['-o', 'cputimes=', '-p', String(pid)], { encoding: 'utf8' });
  return Number(time.trim());
}

/** @param {string} url @param {Agent} agent @returns {Promise<{ status: number, bytes: Buffer }>} */
function fetchFile(url, agent) {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      /** @type {Buffer[]} */
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(pieces) }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** The paths that a browser asks for, in order, until the model is loaded; each with the status and digest of a plain request. @param {string} address */
async function firstVisit(address) {
  const executablePath = findBrowser();
  const browser = await chromium.launch({ args: browserArgs, ...(executablePath && { executablePath }) });
  /** @type {string[]} */
  const asked = [];
  try {
    const context = await browser.newContext();
    context.on('request', (request) => {
      if (request.url().startsWith(address)) asked.push(request.url());
    });
    const page = await context.newPage();
    await page.goto(`${address}?backend=wasm`);
    await page.getByTestId('model-loaded').waitFor({ timeout: 300_000 });
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
  } finally {
    await browser.close();
  }
  const agent = new Agent({ keepAlive: true });
  const known = new Map();
  for (const url of new Set(asked)) {
    const { status, bytes } = await fetchFile(url, agent);
    known.set(url, `${status} ${digestOf(bytes)}`);
  }
  agent.destroy();
  return { asked, known };
}

/** @param {readonly string[]} asked @param {ReadonlyMap<string, string>} known */
async function visit(asked, known) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const began = performance.now();
  let bytes = 0;
  let wrong = 0;
  const waiting = [...asked];
  const connection = async () => {
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) {
      const answer = await fetchFile(url, agent).catch(() => null);
      bytes += answer?.bytes.length ?? 0;
      if (answer === null || `${answer.status} ${digestOf(answer.bytes)}` !== known.get(url)) wrong++;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  agent.destroy();
  return { seconds: (performance.now() - began) / 1000, bytes, wrong };
}

const { address, child } = await startServer();
try {
  const { asked, known } = await firstVisit(address);
  const pid = /** @type {number} */ (child.pid);
  const before = processorSeconds(pid);
  const all = await Promise.all(Array.from({ length: clients }, () => visit(asked, known)));
  const used = processorSeconds(pid) - before;
  const times = all.map(({ seconds }) => seconds).sort((a, b) => a - b);
  const usable = all.filter(({ wrong }) => wrong === 0).length;
  const megabytes = (all[0]?.bytes ?? 0) / 1e6;
  console.log(`${asked.length} requests and ${megabytes.toFixed(1)} MB for each of ${clients} cold clients.`);
  console.log(
    `All was there after ${times[0]?.toFixed(1)} s (first), ${times[times.length >> 1]?.toFixed(1)} s (median), ${times.at(-1)?.toFixed(1)} s (last).`,
  );
  console.log(`${usable} of ${clients} got every byte. The server used ${used} s of processor time.`);
  process.exitCode = usable === clients ? 0 : 1;
} finally {
  child.kill('SIGTERM');
}
