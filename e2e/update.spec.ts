// A new version of the page while runs go on: it is announced after them, let in by the visitor, and never while another tab trains.
// Not here: working without a network (offline.spec.ts).

import type { AddressInfo } from 'node:net';
import type { Page } from '@playwright/test';
import { chooseRows, expect, sampleRows, setSetting, startTraining, test, waitForState } from './page';
import { plainHost } from './plainHost';

test.use({ serviceWorkers: 'allow' });

const slow = { timeout: 120_000 };
const waits = (page: Page) =>
  page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.waiting !== null);

test('a new version waits for the end of a run, also of one in another tab', async ({ page, context }) => {
  let version = 1;
  const host = plainHost([], () => version);
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(host.address() as AddressInfo).port}/?backend=wasm`;
  const visit = async (tab: Page) => {
    await tab.goto(address);
    await expect(tab.getByTestId('model-loaded')).toBeVisible(slow);
  };
  try {
    await visit(page);
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
    await visit(page);
    expect(await page.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true);
    await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
    // It ends when it is stopped.
    await setSetting(page, 'num_train_epochs', 500);
    await startTraining(page);

    version = 2;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    await expect.poll(() => waits(page), slow).toBe(true);
    await expect(page.getByTestId('update-notice')).toHaveCount(0);

    const other = await context.newPage();
    await visit(other);
    const notice = other.getByTestId('update-notice');
    await notice.getByRole('button').click();
    await expect(notice).toContainText('Another tab is training');
    expect(await waits(page)).toBe(true);
    await other.close();

    await page.getByTestId('stop').click();
    await waitForState(page, 'stopped', slow.timeout);
    await page.getByTestId('update-notice').getByRole('button').click();
    // The page was loaded again by the new version, and the run is still there. Where the run was not stored yet, it is asked again.
    await expect
      .poll(async () => {
        const button = page.getByTestId('update-notice').getByRole('button');
        await button.click({ timeout: 1000 }).catch(() => {});
        return waits(page).catch(() => true);
      }, slow)
      .toBe(false);
    await expect(page.getByTestId('model-loaded')).toBeVisible(slow);
    await expect(page.getByTestId('update-notice')).toHaveCount(0);
    await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'stopped', slow);
  } finally {
    host.closeAllConnections();
    host.close();
  }
});
