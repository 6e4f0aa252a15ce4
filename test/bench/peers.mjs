// The peers' packages: installed on demand beside the benchmark, in the exact versions of peers/package-lock.json, never among our own.
// Not here: calling them (engines/).

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { bench } from './build.mjs';

const folder = path.join(bench, 'peers');
const versionOf = (/** @type {string} */ file) => JSON.parse(readFileSync(file, 'utf8')).version;

/** @returns {boolean} */
export function havePeers() {
  /** @type {Record<string, string>} */
  const wanted = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).dependencies;
  return Object.entries(wanted).every(([name, version]) => {
    const file = path.join(folder, 'node_modules', name, 'package.json');
    return existsSync(file) && versionOf(file) === version;
  });
}

/**
 * Installs them if they are not there. No script of theirs is run.
 * @param {(line: string) => void} say
 * @returns {boolean} whether they are there now
 */
export function ensurePeers(say) {
  if (havePeers()) return true;
  say('Installing the peers into test/bench/peers …');
  // Not `npm ci`: registries differ in which platforms' optional packages they have, and it wants all of them in the lock file.
  const args = ['install', '--no-save', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  args.push('--loglevel=error', '--fetch-retries=0');
  const { stderr, status } = spawnSync('npm', args, {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0 && havePeers()) return true;
  say(
    `The peers cannot be installed (${stderr?.trim().split('\n')[0] || 'no network?'}): ours and the floor run without them.`,
  );
  return false;
}
