// Whose weights answer, and what becomes of weights that nobody has downloaded.
// Not here: leaving the page (kept.spec.ts), the numbers of a run (train.spec.ts).

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { unzipSync } from 'fflate';
import { readRunRecord } from '../src/session/results';
import {
  ask,
  chooseModelFolder,
  expect,
  open,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

const PROMPT = 'Who painted the little boat?';
const from = (page: Page, which: 'base' | 'tuned', nth = 0) =>
  page.getByTestId('exchanges').locator('li').nth(nth).getByTestId(`from-${which}`);
const step = async (page: Page, which: 'best' | 'last') =>
  Number(/\d+/.exec(await page.getByTestId(`use-${which}`).innerText())?.[0]);

test('the best weights answer, an answer keeps its name, and weights are not dropped unasked', async ({
  page,
  context,
}) => {
  await open(page, 'wasm');
  // A browser without room: the engine alone holds what is learned.
  const devtools = await context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', {
    origin: new URL(page.url()).origin,
    quotaSize: 1000,
  });
  await chooseModelFolder(page, tinyModelFolder());
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 40);
  await startTraining(page);
  await waitForState(page, 'finished', 60_000);
  await expect(page.getByTestId('use-best')).toHaveAttribute('aria-pressed', 'true');
  const best = await step(page, 'best');
  expect(best).toBeLessThan(await step(page, 'last'));

  await ask(page, PROMPT);
  await expect(from(page, 'base')).toHaveText('tiny-llama');
  await expect(from(page, 'tuned')).toHaveText(`tiny-llama, run 1, best (step ${best})`);
  await page.getByTestId('use-last').click();
  await expect(page.getByTestId('use-last')).toHaveAttribute('aria-pressed', 'true');
  await ask(page, PROMPT);
  await expect(from(page, 'tuned')).toHaveText('tiny-llama, run 1, last (step 80)');
  await expect(from(page, 'tuned', 1)).toHaveText(`tiny-llama, run 1, best (step ${best})`);

  // Training again asks first; to keep them leaves everything as it was.
  const dialog = page.getByTestId('unsaved-dialog');
  await page.getByTestId('train').click();
  await expect(dialog).toContainText('last (step 80)');
  await page.getByTestId('unsaved-keep').click();
  await expect(dialog).toBeHidden();
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'finished');

  await page.getByTestId('use-best').click();
  await expect(page.getByTestId('use-best')).toHaveAttribute('aria-pressed', 'true');
  await page.getByTestId('train').click();
  const waiting = page.waitForEvent('download');
  await page.getByTestId('unsaved-download').click();
  const files = unzipSync(new Uint8Array(readFileSync(await (await waiting).path())));
  expect(readRunRecord(new TextDecoder().decode(files['run.json'])).weights).toBe('best');
  await expect(page.getByTestId('run-history')).toBeVisible();
  await waitForState(page, 'finished', 60_000);

  // Another model drops them too; the answers and the curves stay what they were.
  const panel = page.getByTestId('model-panel');
  await panel.getByRole('button', { name: 'Change' }).click();
  await page.getByTestId('model-pebble-1m').click();
  await expect(dialog).toContainText('Loading another model');
  await page.getByTestId('unsaved-drop').click();
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-1M', { timeout: 120_000 });
  await expect(from(page, 'tuned', 1)).toHaveText(`tiny-llama, run 1, best (step ${best})`);
  await expect(from(page, 'base', 1)).toHaveText('tiny-llama');
  await expect(page.getByTestId('run-lost')).toContainText('another model was loaded');
  await expect(page.getByTestId('repeat-run')).toBeDisabled();
  await expect(page.getByTestId('loss-chart')).toBeVisible();
});

test('while a run is paused, what it has learned by now answers', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', 500);
  await startTraining(page);
  await page.getByTestId('pause').click();
  await waitForState(page, 'paused', 30_000);
  const now = /\d+/.exec(await page.getByTestId('step-count').innerText())?.[0];
  await ask(page, PROMPT);
  await expect(from(page, 'tuned')).toHaveText(`tiny-llama, run 1, step ${now}`);
});
