// A plain static host without headers: no request that nobody asked for, no eval, and from the second visit on isolated and without a network.
// Not here: the built files themselves (test/staticBuild.test.ts).

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { house } from '../src/launch/prerequisites.mjs';
import { chooseRows, expect, sampleRows, setSetting, startTraining, test, waitForState } from './page';

test.use({ serviceWorkers: 'allow' });

const site = path.join(house, 'node_modules', '.cache', 'e2e-site');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** What GitHub Pages is: files, their types, nothing else. */
function plainHost(asked: string[]): Server {
  return createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    asked.push(name);
    const file = path.join(site, name.endsWith('/') ? `${name}index.html` : name);
    if (!file.startsWith(site) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
}

test('asks only for its own files, runs without eval, and works again when the host is gone', async ({
  page,
  context,
}) => {
  const asked: string[] = [];
  const host = plainHost(asked);
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(host.address() as AddressInfo).port}/`;
  const requests: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  const visit = async () => {
    await page.goto(`${address}?backend=wasm`);
    await expect(page.getByTestId('device-badge')).toContainText(/thread/, { timeout: 120_000 });
    await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  };
  const train = async () => {
    await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
    await setSetting(page, 'num_train_epochs', 1);
    await startTraining(page);
    await waitForState(page, 'finished', 120_000);
  };
  try {
    await visit();
    await train();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
    const refused = await page.evaluate(async () => {
      // Only the call of evaluate itself may pass by the policy.
      await new Promise((later) => setTimeout(later));
      try {
        // biome-ignore lint/security/noGlobalEval: that it is refused is the point
        return String(eval('1'));
      } catch (error) {
        return (error as Error).name;
      }
    });
    expect(refused).toBe('EvalError');
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    // Nothing but files of the page, each known to the host, and none that no part of the page has.
    const foreign = requests.filter((url) => !url.startsWith(address) && !/^(blob|data):/.test(url));
    expect(foreign).toEqual([]);
    // A model folder may have or lack some files, which is found out by asking.
    const known = (name: string) => /^\/models\//.test(name) || existsSync(path.join(site, name));
    expect(asked.filter((name) => !known(name))).toEqual([]);

    // The second visit is the service worker's: isolated, with threads; the model that was loaded is kept then.
    await visit();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await expect(page.getByTestId('device-badge')).not.toContainText('one thread');

    host.closeAllConnections();
    await new Promise((resolve) => host.close(resolve));
    const before = asked.length;
    await visit();
    expect(asked.length).toBe(before);
    expect(requests.filter((url) => !url.startsWith(address) && !/^(blob|data):/.test(url))).toEqual([]);
  } finally {
    host.closeAllConnections();
    host.close();
  }
});
