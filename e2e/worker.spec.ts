// A worker that dies, as when memory runs out, a graphics card that is taken away, a worker that hangs: the page notices, says so, and goes on without a reload.
// Not here: errors after which the engine goes on.

import {
  chooseRows,
  expect,
  open,
  sampleRows,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
} from './page';

test('a worker that ends during training is reported, and can be replaced', async ({ page }) => {
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

test('a lost graphics card is reported with the reason, and the engine starts again', async ({ page }) => {
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

test('a worker that does not respond is reported for as long as that lasts, and can be replaced', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 500);
  await startTraining(page);
  /** The worker's own loop is held up, as by a template that never ends. */
  const block = (ms: number) =>
    page.workers()[0]?.evaluate((until) => {
      const end = performance.now() + until;
      while (performance.now() < end);
    }, ms);
  const banner = page.getByTestId('silent-banner');

  void block(13_000);
  await expect(banner).toContainText('has not answered for more than 10 seconds while training');
  await expect(banner).toBeHidden();
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'training');
  // Until its first checkpoint is stored, a run ends with its worker and cannot be resumed.
  await expect(page.getByTestId('run-history').locator('tbody tr').first()).toContainText(/\d (kB|MB)/);

  block(600_000)?.catch(() => {}); // ends with the worker
  await expect(banner).toBeVisible();
  await banner.getByTestId('engine-wait').click();
  await expect(banner).toBeHidden();
  await page.waitForTimeout(1500);
  await expect(banner).toBeHidden();
  await expect(banner).toBeVisible({ timeout: 60_000 });
  await banner.getByTestId('engine-restart').click();
  await expect(banner).toBeHidden();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  await expect(page.getByTestId('split')).toBeVisible();
  // The browser may take its time to end a worker that computes; as long as it has the run's lock, that is said.
  await expect(page.getByTestId('train-panel')).toContainText(/stopped at step \d+ of|held elsewhere/);

  await setSetting(page, 'num_train_epochs', 2);
  await startTraining(page);
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'finished', {
    timeout: 120_000,
  });
});

test('rows during which the engine fell silent are not handed to the next one', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'good.jsonl', sampleRows('twelve-rows.jsonl'));
  await expect(page.getByTestId('split')).toBeVisible();
  // The next reading never ends.
  await page.workers()[0]?.evaluate(() => {
    const never = () => {
      for (;;);
    };
    Blob.prototype.text = never;
    Blob.prototype.arrayBuffer = never;
  });
  await page.getByTestId('data-panel').getByRole('button', { name: 'Other data' }).click();
  await chooseRows(page, 'endless.jsonl', sampleRows('twelve-rows.jsonl'));
  const banner = page.getByTestId('silent-banner');
  await expect(banner).toContainText('while reading the rows');
  await banner.getByTestId('engine-restart').click();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  const error = page.getByTestId('data-panel').getByTestId('error');
  await expect(error).toHaveAttribute('data-code', 'data_not_read_again');
  await expect(error).toContainText('endless.jsonl');
  await expect(page.getByTestId('sample-twelve-rows')).toBeVisible();
});

test('a model of one’s own that loads for long can be cancelled; the one before stays', async ({ page }) => {
  await open(page, 'wasm');
  // Each tensor of the next model takes its time, as on a slow disk.
  await page.workers()[0]?.evaluate(() => {
    const read = Blob.prototype.arrayBuffer;
    Blob.prototype.arrayBuffer = async function () {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return read.call(this);
    };
  });
  await page.getByTestId('model-panel').getByRole('button', { name: 'Change' }).click();
  await page.getByTestId('model-folder').setInputFiles(tinyModelFolder());
  await expect(page.getByTestId('model-loading')).toContainText('model.layers');
  await page.getByTestId('cancel-load').click();
  await expect(page.getByTestId('model-loading')).toBeHidden();
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-1M');
  await expect(page.getByTestId('model-panel').getByTestId('error')).toBeHidden();

  // A choice that fails says why, and leaves the step as done as it was.
  await page.getByTestId('model-panel').getByRole('button', { name: 'Change' }).click();
  await page
    .getByTestId('model-files')
    .setInputFiles({ name: 'config.json', mimeType: 'application/json', buffer: Buffer.from('{') });
  await expect(page.getByTestId('model-panel').getByTestId('error')).toBeVisible();
  await expect(page.getByTestId('model-panel')).toHaveAttribute('data-state', 'done');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
});
