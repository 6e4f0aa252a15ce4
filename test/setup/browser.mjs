// Finds a Chromium-type browser for the tests, or installs one.
// Not here: what the tests do with it (vite.config.ts, e2e/). No dependencies: this runs before any are installed.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import path from 'node:path';

/** Lets a machine without a graphics card, or a container, run WebGPU on the software adapter. */
export const browserArgs = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
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
  const onPath = (environment.PATH ?? environment.Path ?? '')
    .split(system === 'win32' ? ';' : ':')
    .filter(Boolean);
  if (system === 'win32') {
    const roots = [
      environment.PROGRAMFILES,
      environment['PROGRAMFILES(X86)'],
      environment.LOCALAPPDATA,
    ].filter((root) => root !== undefined);
    const inside = [
      'Google\\Chrome\\Application\\chrome.exe',
      'Chromium\\Application\\chrome.exe',
      'Microsoft\\Edge\\Application\\msedge.exe',
    ];
    return inside.flatMap((file) => roots.map((root) => `${root}\\${file}`));
  }
  if (system === 'darwin') {
    const apps = ['Google Chrome', 'Chromium', 'Microsoft Edge'];
    const roots = ['/Applications', path.join(environment.HOME ?? '', 'Applications')];
    return apps.flatMap((app) => roots.map((root) => `${root}/${app}.app/Contents/MacOS/${app}`));
  }
  return [
    ...commandNames.flatMap((name) => onPath.map((folder) => `${folder}/${name}`)),
    '/opt/google/chrome/chrome',
    '/opt/microsoft/msedge/msedge',
    '/snap/bin/chromium',
  ];
}

/** @param {string} file */
function isFile(file) {
  return existsSync(file) && statSync(file).isFile();
}

/** The browsers that Playwright itself has installed, newest first. @returns {string[]} */
function playwrightBrowsers() {
  const caches = {
    linux: path.join(homedir(), '.cache', 'ms-playwright'),
    darwin: path.join(homedir(), 'Library', 'Caches', 'ms-playwright'),
    win32: path.join(homedir(), 'AppData', 'Local', 'ms-playwright'),
  };
  const system = /** @type {keyof typeof caches} */ (platform());
  const folder = process.env.PLAYWRIGHT_BROWSERS_PATH ?? caches[system];
  if (folder === undefined || !existsSync(folder)) return [];
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
  return readdirSync(folder)
    .filter((name) => /^chromium-\d+$/.test(name))
    .sort((a, b) => revision(b) - revision(a))
    .flatMap((name) => inside.map((file) => path.join(folder, name, file)));
}

/**
 * The browser to test in: `CHROME_PATH` when set, else an installed one, else Playwright's own.
 * @returns {string | null} the path of an executable
 */
export function findBrowser() {
  const chosen = process.env.CHROME_PATH;
  if (chosen !== undefined && chosen !== '') return isFile(chosen) ? chosen : null;
  return [...usualPlaces(platform(), process.env), ...playwrightBrowsers()].find(isFile) ?? null;
}
