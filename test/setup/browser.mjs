// Finds a Chromium-type browser for the tests, or installs one.
// Not here: what the tests do with it (vite.config.ts, e2e/). No dependencies: this runs before any are installed.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import path from 'node:path';
import { house, run, SetupError } from '../../src/launch/prerequisites.mjs';

/** The newest features that the engine asks of WebGPU are in Chromium from this version on. */
const oldestVersion = 121;

/**
 * WebGPU on the software adapter (SwiftShader), so that the tests run the same in a container and on a laptop;
 * `WEBGPU_ADAPTER=hardware` in the environment takes the graphics card instead.
 *
 * Dawn fills workgroup memory with zeros, either by a Vulkan extension or by a loop that it adds to the shader. SwiftShader compiles the
 * extension into one store an element, which made compiling the 60 programs of a start take 5 times the processor time (18 s, with the
 * loop 3.5 s); so the loop is asked for. A Chromium that does not know the name goes on without it.
 */
export const browserArgs = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  ...(process.env.WEBGPU_ADAPTER === 'hardware'
    ? ['--ignore-gpu-blocklist', '--enable-features=Vulkan']
    : [
        '--use-webgpu-adapter=swiftshader',
        '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension',
      ]),
];

const commandNames = [
  'chromium',
  'chromium-browser',
  'google-chrome-stable',
  'google-chrome',
  'chrome',
  'microsoft-edge-stable',
  'microsoft-edge',
];

/**
 * The usual places of an installed browser, best first.
 * @param {string} system as `os.platform()` names it
 * @param {Record<string, string | undefined>} environment
 * @returns {string[]}
 */
export function usualPlaces(system, environment) {
  if (system === 'win32') {
    const roots = [environment.PROGRAMFILES, environment['PROGRAMFILES(X86)'], environment.LOCALAPPDATA];
    const inside = [
      'Google\\Chrome\\Application\\chrome.exe',
      'Chromium\\Application\\chrome.exe',
      'Microsoft\\Edge\\Application\\msedge.exe',
    ];
    return inside.flatMap((file) => roots.filter(Boolean).map((root) => `${root}\\${file}`));
  }
  if (system === 'darwin') {
    const apps = ['Google Chrome', 'Chromium', 'Microsoft Edge'];
    const roots = ['/Applications', `${environment.HOME ?? ''}/Applications`];
    return apps.flatMap((app) => roots.map((root) => `${root}/${app}.app/Contents/MacOS/${app}`));
  }
  const onPath = (environment.PATH ?? '').split(':').filter(Boolean);
  return [
    ...commandNames.flatMap((name) => onPath.map((folder) => `${folder}/${name}`)),
    '/opt/google/chrome/chrome',
    '/opt/microsoft/msedge/msedge',
    '/snap/bin/chromium',
  ];
}

/** The browsers that Playwright itself has installed, newest first. @returns {string[]} */
function playwrightBrowsers() {
  const home = homedir();
  const caches = [
    process.env.PLAYWRIGHT_BROWSERS_PATH ?? '',
    path.join(home, '.cache', 'ms-playwright'),
    path.join(home, 'Library', 'Caches', 'ms-playwright'),
    path.join(home, 'AppData', 'Local', 'ms-playwright'),
  ];
  const inside = [
    'chrome-linux64/chrome',
    'chrome-linux/chrome',
    'chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
    'chrome-mac-x64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
    'chrome-mac/Chromium.app/Contents/MacOS/Chromium',
    'chrome-win64/chrome.exe',
    'chrome-win/chrome.exe',
  ];
  /** @param {string} name */
  const revision = (name) => Number(name.split('-')[1]);
  return caches
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^chromium-\d+$/.test(name))
        .sort((a, b) => revision(b) - revision(a))
        .flatMap((name) => inside.map((file) => path.join(folder, name, file))),
    );
}

/**
 * Whether the file is a browser that starts. Ubuntu has a `chromium-browser` that only prints advice, and a
 * freshly downloaded browser may lack system libraries: both are files, and neither is a browser.
 * @param {string} file
 */
function works(file) {
  if (!existsSync(file) || !statSync(file).isFile()) return false;
  // chrome.exe opens a window instead of printing its version.
  if (platform() === 'win32') return true;
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  const version = /(\d+)\.\d+\.\d+/.exec(stdout ?? '')?.[1];
  return status === 0 && version !== undefined && Number(version) >= oldestVersion;
}

/**
 * The browser to test in: `CHROME_PATH` when set, else an installed one, else Playwright's own.
 * @returns {string | null} the path of an executable
 */
export function findBrowser() {
  const chosen = process.env.CHROME_PATH;
  if (chosen) return existsSync(chosen) ? chosen : null;
  return [...new Set([...usualPlaces(platform(), process.env), ...playwrightBrowsers()])].find(works) ?? null;
}

/** @param {string} command */
const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/**
 * Finds a browser or installs one, from what needs no rights to what needs the most.
 * @param {(line: string) => void} say
 * @returns {Promise<string>} the path of an executable
 */
export async function ensureBrowser(say) {
  const chosen = process.env.CHROME_PATH;
  if (chosen && !existsSync(chosen)) {
    throw new SetupError(
      `CHROME_PATH is ${chosen}, and there is no such file.`,
      'Set it to the executable of Chrome, Chromium or Edge, or unset it.',
    );
  }
  const found = findBrowser();
  if (found !== null) return found;

  const playwright = path.join(house, 'node_modules', 'playwright', 'cli.js');
  say('No Chrome, Chromium or Edge here: Playwright downloads its own Chromium …');
  const download = await run(process.execPath, [playwright, 'install', 'chromium']);
  const downloaded = findBrowser();
  if (downloaded !== null) return downloaded;

  const isRoot = process.getuid?.() === 0;
  const asRoot = isRoot ? [] : ['sudo', '-n'];
  const maySystem =
    platform() === 'linux' &&
    has('apt-get') &&
    (isRoot || spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0);
  /** @param {string[]} command */
  const system = async (command) => {
    const [first = '', ...rest] = [...asRoot, ...command];
    return (await run(first, rest)).code === 0;
  };
  if (maySystem && download.code === 0) {
    say('The downloaded Chromium does not start: installing the system libraries it needs …');
    await system([process.execPath, playwright, 'install-deps', 'chromium']);
  } else if (maySystem) {
    say('That did not work: installing the chromium package with apt-get …');
    const install = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '-y', '-qq'];
    const options = ['--no-install-recommends', 'chromium'];
    // The package list of a fresh container is empty, and an old one names files that are gone.
    await system(['apt-get', 'update', '-qq']);
    await system([...install, ...options]);
  }
  const installed = findBrowser();
  if (installed !== null) return installed;
  throw new SetupError(
    'The tests need a browser, and none could be found or installed.',
    'Install Chrome, Chromium or Edge, or set CHROME_PATH to the executable of one, then run the command again.',
  );
}
