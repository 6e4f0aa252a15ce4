// A sweep on the page: asked for, watched, stopped, read, and found again after a reload.
// Not here: the order of runs and how they are compared (test/sweep.test.ts), the command (test/sweepCli.test.ts).

import type { Page } from '@playwright/test';
import {
  accessibilityFaults,
  chooseModelFolder,
  chooseRows,
  expect,
  open,
  setSetting,
  test,
  tinyModelFolder,
} from './page';

const slow = { timeout: 120_000 };

const rows = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `What is ${i} and ${(7 * i) % 13}?` },
        { role: 'assistant', content: `It is ${i + ((7 * i) % 13)}.` },
      ],
    }),
  );

async function ready(page: Page, count = 40): Promise<void> {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'sums.jsonl', rows(count));
  await expect(page.getByTestId('split')).toBeVisible();
}
const panel = (page: Page) => page.getByTestId('sweep-panel');

test('would more rows help: four runs on parts of the rows, read in a sentence, and there again after a reload', async ({
  page,
}) => {
  await ready(page);
  await page.getByTestId('sweep-more_rows').click();
  await expect(page.getByTestId('sweep-values')).toHaveValue('0.12, 0.25, 0.5, 1');
  await expect(page.getByTestId('sweep-start')).toHaveText(/Make 4 runs/);
  await page.getByTestId('sweep-start').click();
  await expect(page.getByTestId('sweep-progress')).toContainText(/Run \d of 4, Training rows used/, slow);
  await expect(panel(page)).toHaveAttribute('data-state', 'done', slow);
  const sentence = page.getByTestId('sweep-sentence');
  await expect(sentence).toContainText(
    /^From 16 to 32 training rows the lowest validation loss (fell|rose) by/,
  );
  const said = await sentence.innerText();
  await expect(page.getByTestId('sweep-chart')).toHaveAttribute('data-points', '4');
  await expect(page.getByTestId('sweep-chart')).toHaveAttribute('data-axis', 'log');
  await expect(page.getByTestId('sweep-multiples').locator('li')).toHaveCount(4);
  const table = page.getByTestId('sweep-table').locator('tbody tr');
  await expect(table).toHaveCount(4);
  await expect(table.first()).toContainText('0.12');
  // Each is a run as any.
  await page.getByTestId('run-history').locator('summary').first().click();
  await expect(page.getByTestId('run-row')).toHaveCount(4);
  expect(await accessibilityFaults(page)).toEqual([]);
  await page
    .getByTestId('sweep-multiples')
    .getByRole('button', { name: /^Show Run 1/ })
    .click();
  await expect(page.getByTestId('run-config')).toContainText('Run 1');

  await page.reload();
  await expect(page.getByTestId('model-panel')).toBeVisible();
  // The rows' losses are read from what is stored, and the comparison is the same.
  await expect(page.getByTestId('sweep-sentence')).toHaveText(said, slow);
});

test('stops with the run that goes on, keeps it, and says what was not started', async ({ page }) => {
  await ready(page);
  await setSetting(page, 'num_train_epochs', 120);
  await page.getByTestId('sweep-setting').selectOption('lora_r');
  await page.getByTestId('sweep-values').fill('2 4 8');
  await page.getByTestId('sweep-start').click();
  await expect(page.getByTestId('sweep-progress')).toContainText(
    /Run 1 of 3, LoRA rank \(r\)\s+2:\s+step [1-9]/,
    slow,
  );
  await expect(page.getByTestId('setting-lora_r').locator('input.input')).toBeDisabled();
  await page.getByTestId('sweep-start').click();
  await expect(panel(page)).toHaveAttribute('data-state', 'done', slow);
  await expect(page.getByTestId('sweep-sentence')).toContainText(
    'Stopped before its end: 2. Not started: 4 and 8.',
  );
  await expect(page.getByTestId('go-on')).toBeVisible();
  await expect(page.getByTestId('train')).toBeEnabled();
});

test('says what is wrong with values, and goes on after a run that is refused', async ({ page }) => {
  await ready(page);
  await page.getByTestId('sweep-values').fill('0.01');
  await expect(page.getByTestId('sweep-why')).toContainText('at least 2 values');
  await expect(page.getByTestId('sweep-start')).toBeDisabled();
  await page.getByTestId('sweep-values').fill('0.01, 7');
  await expect(page.getByTestId('sweep-why')).toContainText('With 7: Learning rate must lie between 0 and 1');
  // Without an adapter in any layer nothing would learn: the run is refused before it begins.
  await setSetting(page, 'rank_pattern', 'mlp=0');
  await setSetting(page, 'num_train_epochs', 1);
  await page.getByTestId('sweep-setting').selectOption('target_modules');
  await page.getByTestId('sweep-values').fill('MLP only, Attention only');
  await page.getByTestId('sweep-start').click();
  await expect(panel(page)).toHaveAttribute('data-state', 'done', slow);
  await expect(page.getByTestId('sweep-sentence')).toContainText('1 run diverged or failed: MLP only.');
  await expect(page.getByTestId('sweep-table')).toContainText('no layer has an adapter');
  await expect(page.getByTestId('sweep-table').locator('tr[data-state=finished]')).toHaveCount(1);
});
