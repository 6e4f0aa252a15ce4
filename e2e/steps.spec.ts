// Walking through a run: pinned prompts as a table over time, one step for chart, map of rows, answers, token losses and download, also after a reload.
// Not here: the numbers of a step (test/watchRun.test.ts), the runs table (runs.spec.ts).

import type { Page } from '@playwright/test';
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

const slider = (page: Page) => page.getByTestId('step-range');
const shown = (page: Page) => page.getByTestId('step-slider').getAttribute('data-answering');

async function tuned(page: Page): Promise<{ from: string; text: string }> {
  await page.getByTestId('prompt').fill('What is red?');
  await page.getByTestId('ask').click();
  const card = page.getByTestId('exchanges').locator('li').first().getByTestId('answer-tuned');
  await expect(card).toHaveAttribute('data-state', 'done', { timeout: 60_000 });
  return {
    from: (await card.getByTestId('from-tuned').textContent()) ?? '',
    text: (await card.getByTestId('text-tuned').textContent()) ?? '',
  };
}

test('wasm: prompts are answered on the way, and every kept step can be gone back to', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', 12);
  await setSetting(page, 'batch_size', 2);
  await setSetting(page, 'learning_rate', 0.02);
  const pinned = page.getByTestId('pinned');
  await pinned.getByTestId('pin-suggested').first().click();
  await pinned.getByTestId('pin-own').fill('What is red?');
  await pinned.getByRole('button', { name: 'Pin', exact: true }).click();
  await pinned.getByTestId('pin-every').selectOption('1');
  await expect(pinned.getByTestId('pins-next')).toContainText('The next run answers these 2');
  await startTraining(page);
  await waitForState(page, 'finished', 180_000);

  const table = pinned.getByTestId('pinned-table');
  await expect(table.locator('tbody tr')).toHaveCount(2);
  await expect(table.locator('thead th').nth(1)).toHaveText('before training');
  expect(await table.locator('thead th').count()).toBeGreaterThan(2);
  await expect(table.locator('tbody tr').first().locator('th')).toContainText('held-out row');
  await expect(table.locator('ins').first()).toBeVisible();

  // By keyboard: the weights of the step follow, and everything with them.
  const last = await tuned(page);
  expect(last.from).not.toMatch(/ step \d+$/);
  await slider(page).focus();
  await page.keyboard.press('Home');
  await expect(page.getByTestId('step-said')).toContainText('weights of step 0 (before training)');
  await expect(page.getByTestId('row-map')).toContainText('after step 0');
  await expect(page.getByTestId('weight-map')).toContainText('after step 0');
  for (let n = 0; n < 5; n++) await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('step-said')).toContainText('Step 5.');
  await expect.poll(() => shown(page)).toMatch(/^[456]$/);
  const step = Number(await shown(page));
  await expect(page.getByTestId('step-said')).toContainText(
    step === 5 ? /weights of step 5\./ : /weights of step \d, the nearest that is kept/,
  );
  await expect(page.getByTestId('loss-chart')).toContainText('at step 5');
  await expect(page.getByTestId('verdict')).toContainText(`Answers and download: step ${step}`);
  // The pinned prompts have a column of that step, of the run or asked now.
  await expect(table.locator('thead th.now')).toContainText(`step ${step}`);
  await expect(table.locator('td.now')).toHaveCount(2);
  await expect(table.locator('td.now').nth(1)).not.toHaveText('…');
  const early = await tuned(page);
  expect(early.from).toContain(`step ${step}`);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('export').click()]);
  expect(download.suggestedFilename()).toMatch(new RegExp(`step-${step}\\.zip$`));

  // An evaluation asks the same weights.
  await expect(page.getByTestId('evaluate-why')).toContainText(`the weights of step ${step} of Run 1`);
  await page.getByTestId('evaluate').click();
  await expect(page.getByTestId('evaluation')).toContainText(`Weights of step ${step},`, { timeout: 60_000 });

  // The map of rows has the same step, both ways.
  await page.getByTestId('row-map-step').fill('1');
  await expect(page.getByTestId('step-said')).toContainText(/^Step [1-9]/);
  await expect.poll(() => shown(page)).not.toBe(String(step));
  // Along the curve with the pointer.
  const handle = page.getByTestId('step-handle');
  // Scrolls there, and waits until the scrolling has ended.
  await handle.hover();
  const [from, chart] = [await handle.boundingBox(), await page.getByTestId('loss-chart').boundingBox()];
  if (!from || !chart) throw new Error('The chart has no handle.');
  await page.mouse.down();
  await page.mouse.move(chart.x + chart.width * 0.5, from.y + from.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect(page.getByTestId('step-said')).toContainText(/^Step (1\d|2\d|3\d)\./);
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.getByTestId('step-leave').click();
  await expect.poll(() => shown(page)).toBe('');
  expect((await tuned(page)).text).toBe(last.text);

  // After a reload of a page that knows the model: curves, table and weights of single steps are there.
  await page.reload();
  await chooseModelFolder(page, tinyModelFolder());
  await expect(pinned.getByTestId('pinned-table').locator('tbody tr')).toHaveCount(2);
  await expect(page.getByTestId('step-said')).toContainText('are kept', { timeout: 60_000 });
  await slider(page).fill(String(step));
  await expect.poll(() => shown(page)).toBe(String(step));
  expect((await tuned(page)).text).toBe(early.text);
});

test('wasm: a paused run can be looked back at, and goes on as if nothing had been', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', 400);
  await startTraining(page);
  await expect(page.getByTestId('step-said')).toHaveText('', { timeout: 60_000 });
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await expect(page.getByTestId('step-said')).toContainText('are kept');
  await slider(page).fill('1');
  await expect.poll(() => shown(page)).toMatch(/^\d$/);
  expect((await tuned(page)).from).toMatch(/step \d$/);
  await page.getByRole('button', { name: 'Resume', exact: true }).click();
  await expect.poll(() => shown(page)).toBe('');
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await waitForState(page, 'stopped', 60_000);
});
