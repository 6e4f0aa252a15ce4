// Wasm on several threads, as visitors get it: the served page is cross-origin isolated, and its threads end with the worker.
// Not here: the same bits as on one thread (test/threads.wasm.test.ts).

import { chooseRows, expect, open, sampleRows, setSetting, startTraining, test, waitForState } from './page';

test('the page is isolated, computes on several threads, and shows their number', async ({ page }) => {
  for (const place of ['root', 'below'] as const) {
    await open(page, 'wasm', place);
    const [isolated, processors] = await page.evaluate(() => [
      crossOriginIsolated,
      navigator.hardwareConcurrency,
    ]);
    expect(isolated).toBe(true);
    const threads = Math.min(processors as number, 8);
    await page.getByTestId('device-badge').click();
    const dialog = page.getByRole('dialog');
    await expect(dialog.locator('dt', { hasText: /threads/i }).locator('+ dd')).toHaveText(`${threads}`);
    await page.keyboard.press('Escape');
    // The engine is one worker, and each further thread another one inside it.
    expect(page.workers()).toHaveLength(threads);
  }
  await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 2);
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);
});

test('without isolation it computes on one thread all the same', async ({ page }) => {
  await page.route('**/*', async (route) => {
    const response = await route.fetch();
    const headers = { ...response.headers() };
    delete headers['cross-origin-embedder-policy'];
    delete headers['cross-origin-opener-policy'];
    await route.fulfill({ response, headers });
  });
  await open(page, 'wasm');
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await expect(page.getByTestId('device-badge')).toContainText('one thread');
  expect(page.workers()).toHaveLength(1);
});
