// The engines in headless Chromium: a fresh browser each, so that each has a GPU process of its own.
// Not here: finding a browser (test/setup/browser.mjs).

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright';
import { browserArgs } from '../setup/browser.mjs';
import { buildFor } from './build.mjs';

/**
 * @param {string} folder to build the page into
 * @param {string | null} browser
 */
export async function openPages(folder, browser) {
  await buildFor('page', folder);
  const server = createServer((request, response) => {
    const name = path.basename(request.url ?? '');
    const file = path.join(folder, name);
    if (name === '' || !existsSync(file)) {
      response.setHeader('Content-Type', 'text/html');
      response.end(name === '' ? '<!doctype html><script type="module" src="/page.mjs"></script>' : '');
      return;
    }
    response.setHeader('Content-Type', 'text/javascript');
    createReadStream(file).pipe(response);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', () => done(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

  /** @template T @param {string} call @param {unknown} job @returns {Promise<T>} */
  async function inPage(call, job) {
    const launched = await chromium.launch({
      args: browserArgs,
      ...(browser === null ? {} : { executablePath: browser }),
    });
    try {
      const page = await launched.newPage();
      page.setDefaultTimeout(0);
      await page.goto(`http://127.0.0.1:${port}/`);
      await page.waitForFunction(`globalThis.runJob !== undefined`, undefined, { timeout: 30_000 });
      return await page.evaluate(
        ([call, job]) => /** @type {any} */ (globalThis)[/** @type {string} */ (call)](job),
        /** @type {const} */ ([call, job]),
      );
    } finally {
      await launched.close();
    }
  }
  const adapter = await inPage('adapterName', null);
  if (adapter === null) throw new Error('The browser has no WebGPU adapter.');
  return {
    adapter,
    runEngine: (/** @type {Record<string, unknown>} */ job) => inPage('runJob', job),
    close: async () => {
      server.close();
    },
  };
}
