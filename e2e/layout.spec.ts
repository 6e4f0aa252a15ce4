// Every state of the page at five widths, light and dark: nothing too wide, nothing overlapping, every window wholly on the screen.
// Not here: how a fault is found (layout.ts), what the states are for (the other tests).

import type { Page } from '@playwright/test';
import { layoutFaults, shots } from './layout';
import {
  ask,
  chooseModelFolder,
  chooseRows,
  expect,
  open,
  sampleRows,
  setSetting,
  siteAddress,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

const look = async (page: Page, state: string, prepare?: () => Promise<void>) => {
  const faults = await layoutFaults(page, prepare);
  await shots(page, state, prepare);
  expect.soft(faults, state).toEqual([]);
};
const close = (page: Page) =>
  page.getByRole('dialog').getByRole('button', { name: 'Close', exact: true }).click();

const unbroken = 'x'.repeat(300);
/** One row of each kind of fault, with words that no line can hold. */
const broken = [
  ...sampleRows('twelve-rows.jsonl'),
  `{"messages": [${unbroken}`,
  `{"messages": [{"role": "${unbroken}", "content": "Hello"}, {"role": "assistant", "content": "Ahoy"}]}`,
  `{"messages": [{"role": "user", "content": "${unbroken}"}]}`,
  '{}',
  '[1, 2, 3]',
  `{"messages": [{"role": "user", "content": 7}, {"role": "assistant", "content": null}], "${unbroken}": 1}`,
];

test('before a run', async ({ page }) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route('**/pebble-1m/model.safetensors', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(`${siteAddress()}?backend=wasm`);
  await expect(page.getByTestId('model-loading')).toBeVisible({ timeout: 120_000 });
  await look(page, 'loading');
  release();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });

  await page.getByText('What is in such a file?').click();
  await page.getByText('What it can and cannot do').click();
  await page.getByRole('button', { name: /^All \d+ samples/ }).click();
  await look(page, 'choice of data');
  await page.getByTestId('device-badge').click();
  await look(page, 'device');
  await close(page);

  const panel = page.getByTestId('model-panel');
  await panel.getByRole('button', { name: 'Change' }).click();
  await panel.getByText('From the Hugging Face Hub').click();
  await panel.getByText('Address of the hub').click();
  await page.getByTestId('hub-id').fill('two words');
  await page.getByTestId('hub-look-up').click();
  await expect(panel.getByTestId('error')).toBeVisible();
  await look(page, 'choice of model');
  await panel.getByRole('button', { name: 'Keep it' }).click();

  await page.getByTestId('paste').click();
  await look(page, 'paste');
  await close(page);
  await chooseRows(page, `${unbroken.slice(0, 120)}.jsonl`, broken);
  const problems = page.getByTestId('problems');
  await expect(problems).toBeVisible();
  for (const kind of await problems.locator('details').all()) {
    if ((await kind.getAttribute('open')) === null) await kind.locator('summary').click();
  }
  await look(page, 'rows with errors');
  await page.getByTestId('mend').click();
  await look(page, 'mending');
  await close(page);
  await page.getByTestId('leave-out').click();
  await page.getByTestId('open-rows').click();
  await expect(page.getByTestId('row-previews').locator('li').first()).toBeVisible();
  await look(page, 'rows');
  await close(page);

  for (const group of await page.locator('[data-testid^="settings-"]').all())
    await group.locator('summary').click();
  await setSetting(page, 'learning_rate', 0.9);
  await setSetting(page, 'batch_size', 1000);
  await look(page, 'settings with a value to correct');
  for (const about of ['Method', 'Seed']) {
    const tip = page.getByRole('button', { name: `About ${about}`, exact: true });
    await look(page, `help on ${about}`, async () => {
      await tip.blur();
      await tip.scrollIntoViewIfNeeded();
      await tip.focus();
    });
    await tip.blur();
  }
});

test('during and after runs', async ({ page, context }) => {
  await open(page, 'wasm');
  // A browser with room for curves and not for weights: that is said, and they are asked about.
  const devtools = await context.newCDPSession(page);
  const origin = new URL(page.url()).origin;
  const used = await page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: used + 400_000 });
  await chooseModelFolder(page, tinyModelFolder());
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  await expect(page.getByTestId('form-changed')).toBeVisible();
  await look(page, 'sample chosen');

  await page.getByTestId('find-rate').click();
  await look(page, 'search for a learning rate');
  await expect(page.getByTestId('rate-again')).toBeVisible();
  await look(page, 'learning rate found');
  await close(page);

  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 40);
  await startTraining(page);
  await page.getByTestId('pause').click();
  await waitForState(page, 'paused', 30_000);
  await look(page, 'paused');
  await page.getByTestId('resume').click();
  await waitForState(page, 'finished', 60_000);
  for (const closed of ['run-config', 'run-history']) {
    if ((await page.getByTestId(closed).count()) > 0)
      await page.getByTestId(closed).locator('summary').first().click();
  }
  await page.getByText('How to read this chart').click();
  await expect(page.getByTestId('save-problem')).toBeVisible();
  await look(page, 'finished');
  await page.getByTestId('chart-table').click();
  await look(page, 'table');
  await page.getByTestId('chart-table').click();

  await page.getByTestId('add-system').click();
  await page.getByTestId('system-prompt').fill(unbroken.slice(0, 60));
  await page.getByTestId('compare-panel').getByText('Greedy: always').click();
  await page.getByTestId('sampled').click();
  await ask(page, `What is ${unbroken.slice(0, 60)}?`);
  await look(page, 'compared');

  await page.getByTestId('train').click();
  await expect(page.getByTestId('unsaved-dialog')).toBeVisible();
  await look(page, 'unsaved weights');
  await page.getByTestId('unsaved-drop').click();
  await waitForState(page, 'finished', 60_000);
  if ((await page.getByTestId('run-history').getAttribute('open')) === null)
    await page.getByTestId('run-history').locator('summary').first().click();
  await look(page, 'two runs');
  await page.getByRole('button', { name: 'Show Run 1' }).click();
  await page.getByTestId('run-answers').locator('summary').click();
  await look(page, 'answers of a run');
  await page.getByRole('button', { name: 'Delete Run 1' }).click();
  await look(page, 'delete a run');
  await close(page);

  await page.getByTestId('start-fresh').click();
  await look(page, 'start fresh');
  await close(page);
  const [worker] = page.workers();
  await worker?.evaluate(() => (globalThis as unknown as { close(): void }).close());
  await expect(page.getByTestId('dead-banner')).toBeVisible();
  await look(page, 'dead engine');
  await page.getByRole('button', { name: 'Restart' }).click();
  await expect(page.getByTestId('run-lost')).toBeVisible({ timeout: 120_000 });
  await look(page, 'weights lost');
});
