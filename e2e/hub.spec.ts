// A model from a hub, as a person gets it: looked up, downloaded, stopped, gone on with, kept over a reload, deleted.
// Not here: the faults of hubs and connections (test/hub.test.ts).

import type { Locator, Page } from '@playwright/test';
import { FakeHub, fixtureModel } from '../test/fakeHub';
import { accessibilityFaults, expect, open, test } from './page';

const ID = 'school/tiny-chat';
const hub = new FakeHub();

test.beforeAll(async () => {
  await hub.start();
  hub.models.set(ID, fixtureModel('chat'));
  hub.pieceBytes = 4096;
});
test.afterAll(() => hub.stop());

/** The pieces of the weights that the hub has sent, one a request. */
const weights = () => hub.sent.filter((s) => s.file === 'model.safetensors');

/** Opens the choice of models. */
async function choose(page: Page): Promise<Locator> {
  await page.getByTestId('model-panel').getByRole('button', { name: 'Change' }).click();
  return page.getByTestId('hub');
}

test('a model is downloaded from a hub by its id, kept, loaded without the hub, and deleted', async ({
  page,
}) => {
  await open(page, 'wasm');
  const panel = await choose(page);
  await expect(page.getByTestId('hub-kept')).toBeHidden();
  await panel.getByText('From the Hugging Face Hub').click();
  await expect(panel.getByRole('listitem').first()).toBeVisible();
  await panel.getByText('Address of the hub').click();
  await page.getByTestId('hub-address').fill(hub.address);
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(hub.requests).toEqual([]);

  await page.getByTestId('hub-id').fill(ID);
  await page.getByTestId('hub-look-up').click();
  await expect(page.getByTestId('hub-offer')).toContainText(/12 k weights · \d+ kB · apache-2\.0/);
  expect(hub.sent).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);

  // Stopped on the way, then torn off by a reload, then gone on with: each time the rest comes, and only the rest.
  const loading = page.getByTestId('model-loading');
  const kept = page.getByTestId('hub-kept-model');
  const goOn = kept.getByRole('button', { name: `Go on with ${ID}` });
  hub.pieceMs = 250;
  await page.getByTestId('hub-download').click();
  await expect(loading).toContainText(/model\.safetensors: [2-9]\d\.\d kB\sof 128 kB/);
  await page.getByTestId('cancel-load').click();
  await expect(kept).toContainText('so far');
  await goOn.click();
  await expect.poll(() => weights()[1]?.to ?? 0).toBeGreaterThan((weights()[1]?.from ?? 0) + 20_000);
  await open(page, 'wasm');
  await choose(page);
  await expect(kept).toContainText('so far');
  hub.pieceMs = 0;
  await goOn.click();
  await expect(page.getByTestId('model-loaded')).toContainText(ID);
  const [first, second, third] = weights();
  expect(second?.from).toBeGreaterThan(0);
  expect(second?.from).toBeLessThanOrEqual(first?.to ?? 0);
  expect(third?.from).toBeGreaterThan(second?.from ?? 0);
  expect(third?.from).toBeLessThanOrEqual(second?.to ?? 0);

  // The page knows its rows by this model's tokenizer now.
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();

  hub.reset();
  await open(page, 'wasm');
  await choose(page);
  await expect(kept).toContainText('works offline');
  await kept.getByRole('button', { name: `Load ${ID}` }).click();
  await expect(page.getByTestId('model-loaded')).toContainText(ID);
  expect(hub.requests).toEqual([]);

  const used = () => page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0);
  const before = await used();
  await choose(page);
  expect(await accessibilityFaults(page)).toEqual([]);
  await kept.getByRole('button', { name: `Delete ${ID}` }).click();
  await page.getByTestId('hub-delete-really').click();
  await expect(kept).toBeHidden();
  await expect.poll(async () => before - (await used())).toBeGreaterThan(100_000);
});

test('a hub that refuses is quoted in a sentence', async ({ page }) => {
  await open(page, 'wasm');
  const panel = await choose(page);
  await panel.getByText('From the Hugging Face Hub').click();
  await panel.getByText('Address of the hub').click();
  await page.getByTestId('hub-address').fill(hub.address);
  await page.getByTestId('hub-id').fill('two words');
  await page.getByTestId('hub-look-up').click();
  await expect(panel.getByTestId('error')).toHaveAttribute('data-code', 'hub_bad_id');
  expect(await accessibilityFaults(page)).toEqual([]);
});
