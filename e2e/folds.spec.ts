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
  // The page itself stops in the second fold: a fold takes less than a second, so that a look from outside may miss it.
  await page.evaluate(() => {
    const watching = new MutationObserver(() => {
      const said = document.querySelector('[data-testid="folds-progress"]')?.textContent ?? '';
      if (!said.includes('Fold 2 of 3')) return;
      watching.disconnect();
      // The curve is that of the run, which is over.
      document.body.dataset.stepsAtStop =
        document.querySelector('[data-testid="step-count"]')?.textContent ?? '';
      document.querySelector<HTMLElement>('[data-testid="folds-stop"]')?.click();
    });
    watching.observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await page.getByTestId('train').click();
  await expect(page.locator('body')).toHaveAttribute('data-steps-at-stop', /step 120 of 120/, slow);
  await expect(panel).toHaveAttribute('data-state', 'done', slow);
  await expect(page.getByTestId('folds-sentence')).toContainText('It was stopped after 1 of 3.');
  await expect(page.getByTestId('folds-table').locator('tbody tr')).toHaveCount(1);
});
