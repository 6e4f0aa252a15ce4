// A worker that dies, as when memory runs out, and a graphics card that is taken away: the page notices, says so, and goes on without a reload.
// Not here: errors after which the engine goes on.

import { chooseRows, expect, open, sampleRows, setSetting, startTraining, test } from './page';

test('a worker that dies while training is noticed, said, and replaced', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 500);
  await startTraining(page);

  await page.evaluate(() => Object.assign(globalThis, { sameVisit: true }));
  const [worker] = page.workers();
  // Nothing is told to the page here: the worker just ends, as when the browser kills it.
  await worker?.evaluate(() => (globalThis as unknown as { close(): void }).close());
  const banner = page.getByTestId('dead-banner');
  await expect(banner).toContainText('stopped working');
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'failed');
  await expect(page.getByTestId('train')).toBeDisabled();

  await banner.getByRole('button', { name: 'Restart' }).click();
  await expect(banner).toBeHidden({ timeout: 120_000 });
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  await expect(page.getByTestId('split')).toBeVisible();
  expect(await page.evaluate(() => Reflect.get(globalThis, 'sameVisit'))).toBe(true);

  await setSetting(page, 'num_train_epochs', 2);
  await startTraining(page);
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'finished', {
    timeout: 120_000,
  });
});

test('a graphics card that the browser takes away is said with the reason, and the engine starts again', async ({
  page,
}) => {
  await open(page, 'webgpu');
  await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 500);
  const [worker] = page.workers();
  await worker?.evaluate(() => {
    const create = GPUDevice.prototype.createCommandEncoder;
    GPUDevice.prototype.createCommandEncoder = function (descriptor) {
      Object.assign(globalThis, { deviceInUse: this });
      return create.call(this, descriptor);
    };
  });
  await startTraining(page);
  await worker?.evaluate(() => (Reflect.get(globalThis, 'deviceInUse') as GPUDevice).destroy());

  const banner = page.getByTestId('dead-banner');
  await expect(banner).toContainText('took the graphics card away from this page', { timeout: 60_000 });
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'failed');
  await banner.getByRole('button', { name: 'Restart' }).click();
  await expect(banner).toBeHidden({ timeout: 240_000 });
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 240_000 });
  await expect(page.getByTestId('split')).toBeVisible();
});
