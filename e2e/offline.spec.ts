// A plain static host without headers: no request that nobody asked for, no eval, and from the second visit on isolated and without a network.
// Not here: the built files themselves (test/staticBuild.test.ts).

import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { chooseRows, expect, sampleRows, setSetting, startTraining, test, waitForState } from './page';
import { plainHost, site } from './plainHost';

test.use({ serviceWorkers: 'allow' });

test('asks only for its own files, runs without eval, and works again when the host is gone', async ({
  page,
  context,
  complaints,
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
    // Trusted Types refuse the string as well, and the browser says so.
    expect(complaints.all.splice(0)).toEqual([expect.stringContaining('TrustedScript')]);
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
