// Runs that last: cut off by a reload or a dead worker and gone on with, weights used again after another run or model, a full disk, a second tab.
// Not here: rows and settings over a reload (kept.spec.ts), the store's own writes (test/runStore.test.ts).

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { unzipSync } from 'fflate';
import type { MetricName } from '../src/contract';
import {
  ask,
  type CurveValue,
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

const finished = 120_000;
const SAMPLE = 'sample-twelve-rows';

async function prepare(page: Page, epochs: number): Promise<void> {
  await open(page, 'wasm');
  await page.getByTestId(SAMPLE).click();
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', epochs);
}

/** Loads the page anew, whatever it asks before it is left. */
async function reload(page: Page): Promise<void> {
  page.once('dialog', (dialog) => void dialog.accept());
  await open(page, 'wasm');
  page.removeAllListeners('dialog');
}

/** What a run computed, without what the clock decides. */
function numbers({
  tokens_per_second: _speed,
  memory_allocated: _memory,
  ...curves
}: Record<MetricName, CurveValue[]>): Map<string, number> {
  const all = Object.entries(curves).filter(([name]) => !/elapsed/.test(name));
  return new Map(
    all.flatMap(([name, line]) => line.map((p) => [`${name} at ${p.step}`, p.value] as [string, number])),
  );
}

function expectSame(now: Map<string, number>, before: Map<string, number>): void {
  expect([...now.keys()].sort()).toEqual([...before.keys()].sort());
  for (const [name, value] of before)
    expect(Math.abs((now.get(name) as number) - value), name).toBeLessThan(1e-6);
}

/** The learned tensors of the zip that a button downloads. */
async function weightsBy(page: Page, button: string): Promise<Uint8Array> {
  const waiting = page.waitForEvent('download');
  await page.getByTestId(button).click();
  const files = unzipSync(new Uint8Array(readFileSync(await (await waiting).path())));
  return files['adapter_model.safetensors'] as Uint8Array;
}

const pausedAt = async (page: Page, atLeast: number): Promise<number> => {
  await expect
    .poll(async () => stepOf(page), { timeout: 60_000, intervals: [50] })
    .toBeGreaterThanOrEqual(atLeast);
  await page.getByTestId('pause').click();
  await waitForState(page, 'paused', 30_000);
  return stepOf(page);
};
const stepOf = async (page: Page) =>
  Number((await page.getByTestId('step-count').innerText()).replace(/,/g, '').match(/\d+/)?.[0]);

test('a run that is cut off by a reload, and again by a dead worker, ends with the numbers that it would have given', async ({
  page,
}) => {
  await prepare(page, 20);
  await setSetting(page, 'lora_dropout', 0.2);
  await startTraining(page);
  await waitForState(page, 'finished', finished);
  const whole = numbers(await readCurves(page));
  await page.getByTestId('use-last').click();
  const weights = await weightsBy(page, 'export');

  await startTraining(page);
  const first = await pausedAt(page, 10);
  // The page is told that it was stored when the worker has done so; a pause is stored at once.
  await page.waitForTimeout(1000);
  await reload(page);
  const offer = page.getByTestId('run-offer');
  await expect(offer).toContainText(`Run 2 stopped at step ${first} of 40.`);
  await page.getByTestId('go-on').click();
  const second = await pausedAt(page, first + 8);
  await page.waitForTimeout(1000);

  // The worker ends as when the browser kills it.
  await page.workers()[0]?.evaluate(() => (globalThis as unknown as { close(): void }).close());
  const banner = page.getByTestId('dead-banner');
  await expect(banner).toContainText(`What Run 2 had learned by step ${second} is stored`);
  await banner.getByRole('button', { name: 'Restart' }).click();
  await expect(offer).toContainText(`Run 2 stopped at step ${second} of 40.`, { timeout: 120_000 });
  await expect(page.getByTestId('split')).toBeVisible();
  await page.getByTestId('go-on').click();
  await waitForState(page, 'finished', finished);
  await expect(offer).toBeHidden();
  expectSame(numbers(await readCurves(page)), whole);
  await page.getByTestId('use-last').click();
  expect(await weightsBy(page, 'export')).toEqual(weights);
});

test('a run is stored by itself every few seconds, and says what differs where it cannot go on', async ({
  page,
}) => {
  await prepare(page, 500);
  await startTraining(page);
  await page.waitForTimeout(5000);
  await page.workers()[0]?.evaluate(() => (globalThis as unknown as { close(): void }).close());
  const banner = page.getByTestId('dead-banner');
  await expect(banner).toContainText(/What Run 1 had learned by step [1-9]\d* is stored/);
  await banner.getByRole('button', { name: 'Restart' }).click();
  const offer = page.getByTestId('run-offer');
  await expect(offer).toContainText(/Run 1 stopped at step [1-9]\d* of 1,000/, { timeout: 120_000 });
  await expect(page.getByTestId('go-on')).toBeEnabled();
  await page.getByRole('button', { name: 'Other data' }).click();
  await chooseRows(page, 'other.jsonl', sampleRows('pirate-voice.jsonl', 30));
  await expect(offer).toContainText('Choose these rows first.');
  await expect(page.getByTestId('go-on')).toBeDisabled();
});

test('weights are stored: they come back after a reload, after another run and after another model', async ({
  page,
}) => {
  await prepare(page, 4);
  await startTraining(page);
  await waitForState(page, 'finished', finished);
  const first = await weightsBy(page, 'export');
  // Nothing would be lost, so nobody is asked.
  await setSetting(page, 'lora_r', 4);
  await startTraining(page);
  await expect(page.getByTestId('unsaved-dialog')).toBeHidden();
  await waitForState(page, 'finished', finished);
  const second = await weightsBy(page, 'export');
  expect(second.length).not.toBe(first.length);

  await reload(page);
  await expect(page.getByTestId('export')).toBeVisible();
  await expect(page.getByTestId('run-lost')).toBeHidden();
  expect(await weightsBy(page, 'export')).toEqual(second);
  await expect(page.getByTestId('row-map')).toBeVisible();
  await ask(page, 'Who painted the little boat?');
  await expect(page.getByTestId('from-tuned')).toContainText('run 2');
  const answer = await page.getByTestId('answer-tuned').innerText();
  await page.waitForTimeout(1000);
  await reload(page);
  await page.getByTestId('run-history').locator('summary').first().click();
  await page.getByTestId('run-answers').locator('summary').click();
  await expect(page.getByTestId('run-answers')).toContainText('Who painted the little boat?');
  expect(answer).toContain(
    (await page.getByTestId('run-answers').locator('p').first().innerText()).slice(0, 20),
  );
  await expect(page.getByTestId('export')).toBeVisible();

  // With another model loaded the chart stays, and the file can still be had.
  const panel = page.getByTestId('model-panel');
  await panel.getByRole('button', { name: 'Change' }).click();
  await page.getByTestId('model-pebble-3m').click();
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-3M', { timeout: 120_000 });
  await expect(page.getByTestId('loss-chart')).toBeVisible();
  await expect(page.getByTestId('run-offer')).toContainText('Load that model first.');
  await expect(page.getByTestId('use-stored')).toBeDisabled();
  expect(await weightsBy(page, 'export-stored')).toEqual(second);
  // Back with its own model, the weights of the run that is shown answer by themselves.
  await panel.getByRole('button', { name: 'Change' }).click();
  await page.getByTestId('model-pebble-1m').click();
  await expect(page.getByTestId('model-loaded')).toContainText('Pebble-1M', { timeout: 120_000 });
  await expect(page.getByTestId('export')).toBeVisible({ timeout: 60_000 });
  expect(await weightsBy(page, 'export')).toEqual(second);
});

test('a full disk ends in a sentence; the run goes on, and its weights are asked about', async ({
  page,
  context,
}) => {
  await prepare(page, 60);
  const devtools = await context.newCDPSession(page);
  const origin = new URL(page.url()).origin;
  await setSetting(page, 'method', 'full');
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 5_000_000 });
  await startTraining(page);
  await expect(page.getByTestId('save-problem')).toContainText('The run goes on.', { timeout: 60_000 });
  await expect(page.getByTestId('save-problem')).toContainText(/MB left for this page|no more room/);
  await page.getByTestId('stop').click();
  await waitForState(page, 'stopped', 60_000);
  await expect(page.getByTestId('save-problem')).toContainText(
    'can be downloaded as long as this page is open',
  );
  await page.getByTestId('train').click();
  await expect(page.getByTestId('unsaved-dialog')).toContainText('drops the weights');
  await page.getByTestId('unsaved-keep').click();

  // The store is sound: with room, the next run is kept.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
  await setSetting(page, 'method', 'lora');
  await setSetting(page, 'num_train_epochs', 2);
  await page.getByTestId('train').click();
  await page.getByTestId('unsaved-drop').click();
  await waitForState(page, 'finished', finished);
  await expect(page.getByTestId('save-problem')).toBeHidden();
  await reload(page);
  await expect(page.getByTestId('export')).toBeVisible();
});

test('a second tab reads what is complete and leaves a run that is trained alone', async ({
  page,
  context,
}) => {
  await prepare(page, 500);
  await startTraining(page);
  await pausedAt(page, 3);
  await page.waitForTimeout(1500);
  const other = await context.newPage();
  await open(other, 'wasm');
  await expect(other.getByTestId('error')).toContainText('held elsewhere: by another tab of this page');
  await expect(other.getByTestId('go-on')).toBeHidden();
  await other.close();

  await page.getByTestId('resume').click();
  await page.getByTestId('stop').click();
  await waitForState(page, 'stopped', 30_000);
  await expect(page.getByTestId('save-problem')).toBeHidden();
  await expect(page.getByTestId('go-on')).toBeEnabled();
});

test('the table of runs: name, note, overlay, weights of an earlier run, delete, and all as one file', async ({
  page,
  context,
}) => {
  await prepare(page, 4);
  await startTraining(page);
  await waitForState(page, 'finished', finished);
  const first = await weightsBy(page, 'export');
  await setSetting(page, 'lora_r', 4);
  await startTraining(page);
  await waitForState(page, 'finished', finished);

  const table = page.getByTestId('run-history');
  await table.locator('summary').first().click();
  const row = (n: number) => table.locator(`[data-run="${n}"]`);
  await expect(table.getByRole('columnheader', { name: 'LoRA rank' })).toBeVisible();
  await expect(row(2)).toContainText('shown, answers');
  await table.getByLabel('Name of run 1').fill('Rank eight');
  await table.getByLabel('Name of run 1').press('Tab');
  await table.getByLabel('Note on Rank eight').fill('the first try');
  await table.getByLabel('Note on Rank eight').press('Tab');
  // The newest other runs are drawn; who does not want one takes it out.
  const drawn = table.getByLabel('Draw Rank eight beside the run that is shown');
  await expect(drawn).toBeChecked();
  await expect(page.getByTestId('loss-chart')).toContainText('Other runs');
  await drawn.uncheck();
  await expect(page.getByTestId('loss-chart')).not.toContainText('Other runs');
  await drawn.check();

  await table.getByRole('button', { name: 'Use the weights of Rank eight' }).click();
  await expect(row(1)).toContainText('answers');
  await ask(page, 'Who painted the little boat?');
  await expect(page.getByTestId('from-tuned')).toContainText('Rank eight');
  await table.getByRole('button', { name: 'Show Rank eight' }).click();
  await expect(row(1)).toContainText('shown, answers');
  expect(await weightsBy(page, 'export')).toEqual(first);
  await expect(page.getByTestId('room')).toContainText('of 1.0 GB');

  const waiting = page.waitForEvent('download');
  await page.getByTestId('export-all').click();
  const all = readFileSync(await (await waiting).path());
  await table.getByRole('button', { name: 'Delete Rank eight' }).click();
  await page.getByTestId('delete-run-really').click();
  await expect(page.getByTestId('runs-said')).toContainText('Rank eight was deleted.');
  await expect(row(1)).toBeHidden();
  await page.waitForTimeout(1000);
  await reload(page);
  await table.locator('summary').first().click();
  await expect(row(2)).toBeVisible();
  await expect(row(1)).toBeHidden();

  // What is here is left as it is, what was deleted comes back with its weights, and what is no such file is refused.
  const give = (buffer: Buffer) =>
    page.getByTestId('runs-file').setInputFiles({ name: 'runs.zip', mimeType: 'application/zip', buffer });
  await give(all.subarray(0, all.length - 100));
  await expect(page.getByTestId('error')).toHaveAttribute('data-code', 'bad_runs_file');
  await give(all);
  await expect(page.getByTestId('runs-said')).toContainText('1 run taken from the file.');
  await expect(page.getByTestId('runs-said')).toContainText('is here already');
  await expect(page.getByTestId('error')).toBeHidden();
  await expect(table.getByLabel('Name of run 3')).toHaveValue('Rank eight');
  await expect(table.getByLabel('Note on Rank eight')).toHaveValue('the first try');
  await table.getByRole('button', { name: 'Use the weights of Rank eight' }).click();
  await table.getByRole('button', { name: 'Show Rank eight' }).click();
  expect(await weightsBy(page, 'export')).toEqual(first);

  // Another browser has nothing of it.
  const fresh = await context.browser()?.newContext();
  const other = await fresh?.newPage();
  if (!fresh || !other) throw new Error('No second browser.');
  await open(other, 'wasm');
  await other.getByTestId('run-history').locator('summary').first().click();
  await other
    .getByTestId('runs-file')
    .setInputFiles({ name: 'runs.zip', mimeType: 'application/zip', buffer: all });
  await expect(other.getByTestId('runs-said')).toContainText('2 runs taken from the file.');
  await other.getByTestId('use-stored').click();
  await expect(other.getByTestId('export')).toBeVisible();
  await fresh.close();
});
