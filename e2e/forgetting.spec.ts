// What a run forgets, as a person meets it: the line of general rows, three answers before and after, and general rows mixed in as the remedy.
// Not here: the rule and the rows (test/forgetting.test.ts, test/replay.test.ts).

import {
  accessibilityFaults,
  chooseRows,
  expect,
  open,
  readCurves,
  sampleRows,
  setSetting,
  startTraining,
  test,
  waitForState,
} from './page';

test('wasm: a run forgets, which is said and shown, and general rows mixed in prevent it', async ({
  page,
}) => {
  test.setTimeout(480_000);
  await open(page, 'wasm');
  await chooseRows(page, 'reviews.jsonl', sampleRows('sentiment-label.jsonl', 60));
  await setSetting(page, 'num_train_epochs', 5);
  await startTraining(page);
  await waitForState(page, 'finished', 240_000);

  const forgetting = page.getByTestId('forgetting');
  await expect(forgetting).toContainText(/Since step \d+ the model forgets/);
  const answers = page.getByTestId('general-answers');
  await expect(answers.locator('tbody tr')).toHaveCount(3, { timeout: 60_000 });
  await expect(answers).toContainText('What is a young cat called?');
  await expect(page.getByTestId('line-general')).toContainText(/General, own scale\s*\d/);
  const general = (await readCurves(page)).full_general_loss.map(({ value }) => value);
  expect(general.at(-1)).toBeGreaterThan(1.05 * (general[0] ?? Number.NaN));
  expect(await accessibilityFaults(page)).toEqual([]);

  // The line can be switched off, and the table has its numbers.
  await page.getByTestId('line-general').click();
  await expect(page.getByTestId('line-general')).toHaveAttribute('aria-pressed', 'false');

  await page.getByTestId('next-steps').getByRole('button', { name: 'Mix in 25 % general rows' }).click();
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', /evaluating|training/, {
    timeout: 60_000,
  });
  await waitForState(page, 'finished', 240_000);
  await expect(page.getByTestId('run-config')).toContainText('16 general rows mixed in');
  const mixed = (await readCurves(page)).full_general_loss.map(({ value }) => value);
  expect(mixed[0]).toBeCloseTo(general[0] ?? Number.NaN, 5);
  expect(mixed.at(-1)).toBeLessThan(general.at(-1) ?? Number.NaN);

  // As a setting of one's own it stands beside the split.
  await setSetting(page, 'replay_fraction', 0.2);
  await expect(page.getByTestId('mixed-in')).toHaveText('12 general rows mixed in');
});
