// Checks and installs the packages of package-lock.json.
// Not here: the Node version (nodeVersion.mjs), the browser for the tests (test/setup/browser.mjs). No dependencies: this installs them.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const house = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A set-up step that could not be done. Its message is written for the person at the terminal. */
export class SetupError extends Error {
  /** @param {string} message what went wrong @param {string} fix what to do about it */
  constructor(message, fix) {
    super(`${message}\n${fix}`);
    this.name = 'SetupError';
  }
}

/**
 * Packages that the lock file wants and `node_modules` lacks or has in another version.
 * @param {string} root folder with package-lock.json
 * @returns {string[]} their paths in the tree, such as `node_modules/vite`
 */
export function missingPackages(root) {
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  // npm writes this file last, so an install that was cut short does not count.
  const hidden = path.join(root, 'node_modules', '.package-lock.json');
  const present = existsSync(hidden) ? readPackages(hidden) : {};
  return Object.entries(wanted)
    .filter(
      ([folder, entry]) => folder !== '' && !entry.optional && present[folder]?.version !== entry.version,
    )
    .map(([folder]) => folder);
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

/**
 * What to do about a failed `npm ci`, from its output.
 * @param {string} output
 * @returns {string}
 */
export function installAdvice(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET/.test(output)) {
    return 'The package registry cannot be reached. Connect to the network (behind a proxy: `npm config set proxy http://…`), then run the command again.';
  }
  if (/EACCES|EPERM|EROFS/.test(output)) {
    return `npm may not write here. Make ${house} writable for you (or clone it into your own folder), then run the command again.`;
  }
  if (/ENOSPC/.test(output)) return 'The disk is full. Free about 1 GB, then run the command again.';
  if (/EUSAGE|in sync/.test(output)) {
    return 'package.json and package-lock.json disagree. Run `npm install`, then the command again.';
  }
  return 'Read what npm says above. Often it helps to delete node_modules and run the command again.';
}

/**
 * Installs the packages of package-lock.json unless they are there already.
 * @param {(line: string) => void} say
 * @returns {Promise<void>}
 */
export async function ensureDependencies(say) {
  const missing = missingPackages(house);
  if (missing.length === 0) return;
  const count = missing.length === 1 ? '1 package is' : `${missing.length} packages are`;
  say(`${count} missing or out of date: installing with npm ci (a minute or two) …`);
  // Under NODE_ENV=production npm would leave out the build tools.
  const { code, output } = await npm([
    'ci',
    '--include=dev',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-retry-mintimeout=2000',
    '--fetch-retry-maxtimeout=10000',
  ]);
  if (code !== 0) throw new SetupError('The packages could not be installed.', installAdvice(output));
  const still = missingPackages(house);
  if (still.length > 0) {
    throw new SetupError(
      `npm ci finished, and yet these are missing: ${still.slice(0, 5).join(', ')}.`,
      'Delete node_modules and run the command again.',
    );
  }
  say('The packages are installed.');
}

/** @param {string[]} args @returns {Promise<{ code: number | null, output: string }>} */
function npm(args) {
  // npm names its own script in this variable; without it (node called directly) the command on the PATH does.
  const script = process.env.npm_execpath;
  const direct = script !== undefined && /npm-cli\.c?js$/.test(script);
  return direct ? run(process.execPath, [script, ...args]) : run('npm', args, process.platform === 'win32');
}

/**
 * Runs a command in the repository's root, shows what it prints, and keeps a copy.
 * @param {string} command
 * @param {string[]} args
 * @param {boolean} [shell] Windows finds `npm.cmd` only through a shell
 * @returns {Promise<{ code: number | null, output: string }>} `code` is null when it could not be started or was killed
 */
export function run(command, args, shell = false) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: house, shell, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (bytes) => {
      output += bytes;
      process.stdout.write(bytes);
    });
    child.stderr.on('data', (bytes) => {
      output += bytes;
      process.stderr.write(bytes);
    });
    child.on('error', (error) => resolve({ code: null, output: `${output}\n${error.message}` }));
    child.on('close', (code) => resolve({ code, output }));
  });
}
