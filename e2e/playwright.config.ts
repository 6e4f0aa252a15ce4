// How the end-to-end tests run: real Chromium, one page at a time, against a build of the page.
// Not here: the build and its servers (site.ts).

import { defineConfig } from '@playwright/test';
import { browserArgs, findBrowser } from '../test/setup/browser.mjs';

const executablePath = findBrowser();

export default defineConfig({
  testDir: '.',
  outputDir: '../test-results',
  globalSetup: './site.ts',
  // The software adapter takes every core there is: two tests side by side only make both late.
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: true,
  timeout: 240_000,
  expect: { timeout: 30_000 },
  reporter: 'list',
  use: {
    headless: true,
    viewport: { width: 1360, height: 900 },
    screenshot: 'only-on-failure',
    trace: 'off',
    // They would answer requests that tests intercept; offline.spec.ts lets them in.
    serviceWorkers: 'block',
    launchOptions: { args: browserArgs, ...(executablePath === null ? {} : { executablePath }) },
  },
});
