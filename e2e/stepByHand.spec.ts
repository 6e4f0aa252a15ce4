// While a run goes on, on the page: a step by hand and what it shows, and another learning rate from the next step on.
// Not here: the numbers (test/watchedStep.test.ts, test/rateChanges.test.ts).

import {
  accessibilityFaults,
  chooseModelFolder,
  chooseRows,
  expect,
  open,
  sampleRows,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

test('a step by hand shows its rows and what moved; a changed rate is marked and recorded', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'twelve.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 400);
  await startTraining(page);
  await page.getByTestId('pause').click();
  await waitForState(page, 'paused', 30_000);
  await page.getByTestId('step').click();
  const step = page.getByTestId('step-details');
  await expect(step).toContainText(/This step: update \d+/);
  await expect(page.getByTestId('step-update')).toContainText('of the weights that learn');
  await step.getByTestId('step-row').first().click();
  await expect(step.locator('.token.trained').first()).toBeVisible();
  const before = Number(await step.getAttribute('data-step'));
  await page.getByTestId('step').click();
  await expect(step).toHaveAttribute('data-step', String(before + 1));

  const rate = page.getByTestId('rate-change-value');
  await rate.fill('7');
  await expect(page.getByTestId('rate-change')).toContainText('A learning rate lies between 0 and 1.');
  await expect(page.getByTestId('rate-change-apply')).toBeDisabled();
  await rate.fill('0.0007');
  await page.getByTestId('rate-change-apply').click();
  await expect(page.getByTestId('rate-changes')).toContainText(`after step ${before + 1} from 5e-3 to 7e-4`);
  await expect(page.getByTestId('rate-changes')).toContainText(`--lr_at ${before + 1}=0.0007`);
  expect(await accessibilityFaults(page)).toEqual([]);

  // Closed in the pause, it goes on with the changed rate.
  await page.reload();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 60_000 });
  await chooseModelFolder(page, tinyModelFolder());
  await expect(page.getByTestId('go-on')).toBeEnabled({ timeout: 60_000 });
  await page.getByTestId('go-on').click();
  await expect(page.getByTestId('step')).toBeEnabled({ timeout: 30_000 });
  await expect(page.getByTestId('rate-changes')).toContainText('to 7e-4');
  await page.getByTestId('stop').click();
  await waitForState(page, 'stopped', 30_000);
});
