// What a reload costs: nothing that is not said. Rows, consent, settings and curves come back; weights too, or they are made again.
// Not here: reading a record that is old or broken (test/kept.test.ts), weights and runs that go on (runs.spec.ts), models from a hub (hub.spec.ts).

import type { Page } from '@playwright/test';
import {
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

/** Loads the page anew. @returns whether the browser asked before it left */
async function reload(page: Page): Promise<boolean> {
  const asked: string[] = [];
  page.once('dialog', (dialog) => {
    asked.push(dialog.type());
    void dialog.accept();
  });
  await open(page, 'wasm');
  page.removeAllListeners('dialog');
  return asked.includes('beforeunload');
}

const value = (page: Page, name: string) =>
  page.getByTestId(`setting-${name}`).locator('input.input').inputValue();

test('a reload brings everything back; weights that the browser has dropped are made again', async ({
  page,
}) => {
  await open(page, 'wasm');
  await expect(page.getByTestId('kept-promise')).toContainText('kept in it');
  await chooseRows(page, 'twelve.jsonl', [...sampleRows('twelve-rows.jsonl'), '{"messages": [']);
  await page.getByTestId('leave-out').click();
  await setSetting(page, 'num_train_epochs', 4);
  await setSetting(page, 'lora_r', 4);
  await expect(page.getByTestId('left-out')).toBeVisible();
  // What was changed last is stored a moment later.
  await page.waitForTimeout(1000);
  // Nothing was learned yet: nobody is asked.
  expect(await reload(page)).toBe(false);
  await expect(page.getByTestId('kept')).toContainText('rows');
  await expect(page.getByTestId('left-out')).toContainText('1 row left out, as you agreed');
  expect(await value(page, 'lora_r')).toBe('4');

  await startTraining(page);
  await waitForState(page, 'finished', finished);
  const before = await readCurves(page);
  const verdict = await page.getByTestId('verdict').getAttribute('data-state');
  await page.waitForTimeout(500);

  // All of it is stored: nothing to lose, no question.
  expect(await reload(page)).toBe(false);
  await expect(page.getByTestId('export')).toBeVisible();
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry('runs', { recursive: true });
  });
  expect(await reload(page)).toBe(false);
  await expect(page.getByTestId('kept')).toContainText('Back from your last visit');
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'finished');
  await expect(page.getByTestId('verdict')).toHaveAttribute('data-state', verdict as string);
  await expect(page.getByTestId('left-out')).toBeVisible();
  expect(await readCurves(page)).toEqual(before);
  const gone = page.getByTestId('run-lost');
  await expect(gone).toContainText('The weights of this run are gone');
  await expect(page.getByTestId('export')).toBeHidden();
  // Nothing to lose any more: no question.
  expect(await reload(page)).toBe(false);

  // Other settings in the form do not matter: the run has its own.
  await setSetting(page, 'lora_r', 8);
  await gone.getByTestId('repeat-run').click();
  await expect(page.getByTestId('train-panel')).not.toHaveAttribute('data-state', 'finished');
  await waitForState(page, 'finished', finished);
  expect(await value(page, 'lora_r')).toBe('4');
  const again = await readCurves(page);
  expect(again.train_loss).toEqual(before.train_loss);
  expect(again.valid_loss).toEqual(before.valid_loss);

  // Downloaded, they are not asked about.
  const saved = page.waitForEvent('download');
  await page.getByTestId('export').click();
  await saved;
  await expect(page.getByTestId('export')).toHaveText('Download these weights');
  expect(await reload(page)).toBe(false);
});

test('a run that goes on is asked about; what is damaged is said and deleted; “Start fresh” deletes all', async ({
  page,
}) => {
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', 500);
  await startTraining(page);
  await expect(page.getByTestId('start-fresh')).toBeDisabled();
  await page.waitForTimeout(1000);
  expect(await reload(page)).toBe(true);
  // The choice was a sample: it is one again, and its settings were not set a second time.
  expect(await value(page, 'num_train_epochs')).toBe('500');
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', 'failed');
  await expect(page.getByTestId('error')).toHaveAttribute('data-code', 'run_interrupted');

  // What the page writes by itself after a reload is written by then, and does not replace what is damaged below.
  await page.waitForTimeout(1500);
  await page.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('finetune-playground');
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const writing = opening.result.transaction(['page', 'runs'], 'readwrite');
          writing.objectStore('page').put({ version: 1, settings: 'none', sizedFor: null }, 'settings');
          writing.objectStore('page').put({ version: 0, kind: 'sample', id: 'twelve-rows' }, 'data');
          writing.objectStore('runs').put({ version: 1, number: 2, points: [] }, 'damaged');
          writing.oncomplete = () => {
            opening.result.close();
            resolve();
          };
        };
      }),
  );
  await reload(page);
  const problems = page.getByTestId('kept-problem');
  await expect(problems).toHaveText([
    /^Kept rows ignored and deleted: written by another version/,
    /^Kept settings ignored and deleted: damaged/,
    /^Kept curves of one run ignored and deleted: damaged/,
  ]);
  await expect(page.getByTestId('drop-zone')).toBeVisible();
  expect(await value(page, 'num_train_epochs')).toBe('3');
  await expect(page.getByTestId('loss-chart')).toBeVisible(); // the run that was not damaged

  await page.getByTestId('start-fresh').click();
  await page.getByTestId('start-fresh-really').click();
  await expect(page.getByTestId('loss-chart')).toBeHidden({ timeout: 60_000 });
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  await expect(page.getByTestId('kept-problem')).toBeHidden();
  const left = () =>
    page.evaluate(
      () =>
        new Promise<unknown[]>((resolve) => {
          const opening = indexedDB.open('finetune-playground');
          opening.onsuccess = () => {
            const reading = opening.result.transaction(['page', 'runs']);
            const rows = reading.objectStore('page').getAllKeys();
            const runs = reading.objectStore('runs').getAllKeys();
            reading.oncomplete = () => {
              opening.result.close();
              resolve([...rows.result, ...runs.result]);
            };
          };
        }),
    );
  // What a first visit writes by itself: its settings and the model that it loaded.
  expect((await left()).filter((key) => key !== 'settings' && key !== 'model')).toEqual([]);
});

test('rows that are too large to be kept are said to be', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'large.jsonl', [...sampleRows('twelve-rows.jsonl'), ' '.repeat(20_000_001)]);
  await expect(page.getByTestId('split')).toBeVisible();
  await expect(page.getByTestId('not-kept')).toContainText('not kept');
  await reload(page);
  await expect(page.getByTestId('drop-zone')).toBeVisible();
});
