// The search for a learning rate as a person does it: opened, watched, taken over, or stopped in the middle.
// Not here: which rate is proposed and why (test/training.test.ts, test/metrics.test.ts).

import { expect, open, test } from './page';

const points = async (curve: { getAttribute(name: string): Promise<string | null> }) =>
  Number(await curve.getAttribute('data-points'));

test('finds a rate, shows how, and puts it into the form', async ({ page }) => {
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  const before = await page.getByTestId('setting-learning_rate').locator('input.input').inputValue();

  await page.getByTestId('find-rate').click();
  const dialog = page.getByTestId('rate-dialog');
  await expect(dialog.getByTestId('rate-sentence')).toContainText(/Getting ready|Trying/);
  const use = dialog.getByTestId('rate-use');
  await expect(use).toBeVisible({ timeout: 50_000 });
  expect(await points(dialog.getByTestId('rate-curve'))).toBeGreaterThan(10);
  await expect(dialog.getByTestId('rate-sentence')).not.toContainText('Trying');

  const rate = Number((await use.innerText()).replace(/^Use\s*/, ''));
  expect(rate).toBeGreaterThan(1e-5);
  expect(rate).toBeLessThan(1);
  await use.click();
  await expect(dialog).toBeHidden();
  const field = page.getByTestId('setting-learning_rate').locator('input.input');
  expect(Number(await field.inputValue())).toBe(rate);
  expect(rate).not.toBe(Number(before));
  await expect(page.getByTestId('train')).toBeEnabled();
});

test('stops in the middle, proposes nothing it has not seen, and leaves the form alone', async ({ page }) => {
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  const field = page.getByTestId('setting-learning_rate').locator('input.input');
  const before = await field.inputValue();

  await page.getByTestId('find-rate').click();
  const dialog = page.getByTestId('rate-dialog');
  const curve = dialog.getByTestId('rate-curve');
  await expect(curve).toHaveAttribute('data-points', /^[3-9]$|^\d\d/);
  await dialog.getByTestId('rate-stop').click();
  await expect(dialog.getByTestId('rate-again')).toBeVisible();
  const measured = await points(curve);
  expect(measured).toBeLessThan(60); // a whole search tries 60 rates
  await page.waitForTimeout(500);
  expect(await points(curve)).toBe(measured);

  await dialog.getByRole('button', { name: /^Keep/ }).click();
  await expect(dialog).toBeHidden();
  expect(await field.inputValue()).toBe(before);
  await expect(page.getByTestId('train')).toBeEnabled();
});
