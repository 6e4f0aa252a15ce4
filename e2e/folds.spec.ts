// Cross-validation on the page: progress after the run, a stop, each fold's losses, mean and standard error.
// Not here: the folds themselves (test/crossValidation.test.ts).

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
const rows = Array.from({ length: 30 }, (_, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `What is ${i} and ${(7 * i) % 13}?` },
      { role: 'assistant', content: `It is ${i + ((7 * i) % 13)}.` },
    ],
  }),
);

test('folds are watched, stopped with what has ended, and shown with mean and error', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'sums.jsonl', rows);
  await setSetting(page, 'folds', 3);
  await setSetting(page, 'num_train_epochs', 2);
  await page.getByTestId('train').click();
  const panel = page.getByTestId('folds');
  await expect(panel).toHaveAttribute('data-state', 'done', slow);
  await expect(page.getByTestId('folds-sentence')).toContainText(
    /Cross-validation over 3 folds: validation loss [\d.]+ ± [\d.]+/,
  );
  await expect(page.getByTestId('folds-table').locator('tbody tr')).toHaveCount(3);
  await expect(page.getByTestId('folds-chart')).toBeVisible();
  await expect(page.getByTestId('step-count')).toHaveText(/step 6 of 6/);
  expect(await accessibilityFaults(page)).toEqual([]);

  await setSetting(page, 'num_train_epochs', 40);
  await page.getByTestId('train').click();
  await expect(page.getByTestId('folds-progress')).toContainText(/Fold 2 of 3/, slow);
  // The curve is that of the run, which is over.
  await expect(page.getByTestId('step-count')).toHaveText(/step 120 of 120/);
  await page.getByTestId('folds-stop').click();
  await expect(panel).toHaveAttribute('data-state', 'done', slow);
  await expect(page.getByTestId('folds-sentence')).toContainText('It was stopped after 1 of 3.');
  await expect(page.getByTestId('folds-table').locator('tbody tr')).toHaveCount(1);
});
