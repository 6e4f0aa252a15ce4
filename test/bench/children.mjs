// Starting one process per engine and reading its answer; finding an environment in which Dawn sees a Vulkan driver.
// Not here: what to start and in which order (compare.mjs, counts.mjs).

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/**
 * Where the bundled processes lie and how they are started.
 * @typedef {{ folder: string, environment: Record<string, string | undefined> }} Place
 */

/** jax-js uses iterator helpers, which Node 20 has behind a flag. */
const nodeFlags = Number(process.versions.node.split('.')[0]) < 22 ? ['--harmony-iterator-helpers'] : [];

/**
 * Runs one job in a process of its own.
 * @param {Place} place
 * @param {Record<string, unknown>} job
 * @param {(line: string) => void} [say] hears what goes wrong
 * @param {number} [timeoutMs]
 * @returns {Promise<any>} its report
 * @throws Error with the process's own words
 */
export function runChild(place, job, say, timeoutMs = 900_000) {
  return runCommand(
    process.execPath,
    [...nodeFlags, path.join(place.folder, 'node.mjs'), JSON.stringify(job)],
    place.environment,
    say,
    timeoutMs,
  );
}

/**
 * Runs a command whose last line is `{"result": …}` or `{"error": …}`.
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string | undefined>} environment
 * @param {(line: string) => void} [say]
 * @param {number} [timeoutMs]
 * @returns {Promise<any>}
 */
export function runCommand(command, args, environment, say, timeoutMs = 900_000) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let out = '';
    let err = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const last = out.trimEnd().split('\n').at(-1) ?? '';
      const answer = last.startsWith('{') ? JSON.parse(last) : null;
      if (answer?.result !== undefined) return resolve(answer.result);
      const why =
        signal === 'SIGKILL' ? `no answer within ${timeoutMs / 1000} s` : `ended with ${code ?? signal}`;
      const words = answer?.error ?? `${why}. ${err.trim().split('\n').slice(-6).join('\n')}`;
      say?.(words);
      reject(new Error(words.split('\n')[0]));
    });
  });
}

/**
 * The environment in which Dawn finds a driver: as it is, or with a Chromium's folder to load Vulkan from.
 * @param {string} folder of the bundled processes
 * @param {string | null} browser
 * @returns {Promise<{ place: Place, adapter: import('./instruments').AdapterName }>}
 */
export async function findPlace(folder, browser) {
  const besides = [
    browser && path.dirname(realpathSync(browser)),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
  ];
  const loader = besides.find((one) => one && existsSync(path.join(one, 'libvulkan.so.1')));
  const { env } = process;
  const tries = [env];
  if (loader) {
    const path = [env.LD_LIBRARY_PATH, loader].filter(Boolean).join(':');
    tries.push({ ...env, LD_LIBRARY_PATH: path });
  }
  let refusal = new Error();
  for (const environment of tries) {
    const place = { folder, environment };
    try {
      return { place, adapter: await runChild(place, { task: 'adapter' }) };
    } catch (thrown) {
      refusal = /** @type {Error} */ (thrown);
    }
  }
  throw refusal;
}
