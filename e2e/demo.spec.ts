// A demo for a class: presets in the form, and an address that leads to sample, model and settings.
// Not here: what presets cause (test/presets.test.ts), reading addresses (there too).

import { expect, open, siteAddress, test } from './page';

test('an address leads to a demo, and the link that is copied leads there again', async ({ page }) => {
  await page.goto(
    `${siteAddress()}?backend=wasm&sample=twelve-rows&model=pebble-3m&learning_rate=0.002&preset=overfit&colour=red`,
  );
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-3M', { timeout: 120_000 });
  await expect(page.getByTestId('split')).toBeVisible();
  const rate = page.getByTestId('setting-learning_rate').locator('input.input');
  const epochs = page.getByTestId('setting-num_train_epochs').locator('input.input');
  await expect(rate).toHaveValue('2e-3');
  await expect(epochs).toHaveValue('40');
  await expect(page.getByTestId('form-changed')).toContainText('taken from the address');
  await expect(page.getByTestId('address-problems')).toHaveText('“colour” in the address is no setting.');

  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByTestId('share').click();
  await expect(page.getByTestId('share')).toHaveText('Link copied');
  const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
  expect([...link.searchParams.keys()].sort()).toEqual([
    'learning_rate',
    'model',
    'num_train_epochs',
    'sample',
  ]);
  await page.goto(`${link.href}&backend=wasm`);
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-3M', { timeout: 120_000 });
  await expect(rate).toHaveValue('2e-3');
  await expect(epochs).toHaveValue('40');
  await expect(page.getByTestId('address-problems')).toBeHidden();
});

test('a preset sets the form, is said, and is undone', async ({ page }) => {
  await open(page, 'wasm');
  const epochs = page.getByTestId('setting-num_train_epochs').locator('input.input');
  const before = await epochs.inputValue();
  await page.getByTestId('presets').selectOption('overfit');
  await expect(epochs).toHaveValue('40');
  const changed = page.getByTestId('form-changed');
  await expect(changed).toContainText('Overfit on purpose');
  await changed.getByRole('button', { name: 'Undo' }).click();
  await expect(epochs).toHaveValue(before);
});
