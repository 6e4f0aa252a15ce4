// A run of 2,000 steps on the page: no task of its main thread is long.
// Not here: memory over such a run (test/bench/soak.mjs), how the chart thins its points (test/chart.test.ts).

import {
  chooseModelFolder,
  chooseRows,
  expect,
  longestMainThreadTask,
  open,
  sampleRows,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

test('wasm: no task of the main thread takes 50 ms of processor time in a run of 2,000 steps', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await expect(page.getByTestId('split')).toBeVisible();
  // Ten rows to train on: ten steps an epoch.
  await setSetting(page, 'batch_size', 1);
  await setSetting(page, 'num_train_epochs', 200);
  await startTraining(page);
  const longestMs = await longestMainThreadTask(page, () => waitForState(page, 'finished', 200_000));
  await expect(page.getByTestId('step-count')).toHaveText('step 2,000 of 2,000');
  console.log(
    `Longest task of the main thread in 2,000 steps: ${longestMs.toFixed(1)} ms of processor time.`,
  );
  expect(longestMs).toBeLessThan(50);
});
