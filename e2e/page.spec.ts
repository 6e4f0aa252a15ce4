// The page before anything is trained: it loads, says what it runs on, finds its files anywhere, and is fit for everybody.
// Not here: training (train.spec.ts), a dying worker (worker.spec.ts).

import { accessibilityFaults, chooseRows, expect, open, sampleRows, siteAddress, test } from './page';

test('shows which backend runs, and why', async ({ page }) => {
  await open(page, 'webgpu');
  await page.getByTestId('device-badge').click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('WebGPU');
  await expect(dialog).toContainText(/swiftshader|software/i);
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
});

test('finds its model, its samples and its wasm below a sub-path', async ({ page }) => {
  await open(page, 'wasm', 'below');
  expect(new URL(page.url()).pathname).toBe(new URL(siteAddress('below')).pathname);
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
});

test('offers the epochs that a sample was measured with when the method changes', async ({ page }) => {
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  const epochs = page.getByLabel('Epochs', { exact: true });
  const offer = page.getByTestId('measured-epochs');
  // Choosing the sample has set those of LoRA.
  await expect(epochs).toHaveValue('50');
  await expect(offer).toBeHidden();
  await page.getByText('Full fine-tuning', { exact: true }).click();
  await expect(offer).toContainText('measured with 30 epochs');
  await offer.getByRole('button').click();
  await expect(epochs).toHaveValue('30');
  await expect(offer).toBeHidden();
});

test('reads a file in an older encoding, reports it, and reads it in another one on request', async ({
  page,
}) => {
  await open(page, 'wasm');
  const row = (n: number) => `{"prompt": "Wörter für draußen, ${n}?", "completion": "Grün."}`;
  const lines = [...Array.from({ length: 12 }, (_, n) => row(n)), '{"prompt": '];
  const choose = (name: string, content: string) =>
    page
      .getByTestId('data-file')
      .setInputFiles({ name, mimeType: '', buffer: Buffer.from(content, 'latin1') });
  await choose('excel.jsonl', lines.join('\n'));
  await expect(page.getByTestId('problem-encoding_converted')).toContainText('Windows-1252');
  await page.getByTestId('mend').click();
  await expect(page.getByTestId('rows-text')).toHaveValue(/Wörter für draußen/);
  await page.keyboard.press('Escape');
  await page.getByTestId('encoding').selectOption('macintosh');
  await expect(page.getByTestId('problem-encoding_converted')).toBeHidden();
  await page.getByTestId('encoding').selectOption('');
  await expect(page.getByTestId('problem-encoding_converted')).toBeVisible();

  await page.getByRole('button', { name: 'Other data' }).click();
  await choose('rows.csv', 'PK\u0003\u0004\u0000\u0000xl/workbook.xml');
  await expect(page.getByTestId('problem-binary_file')).toContainText('Excel workbook');
  await expect(page.getByTestId('mend')).toBeHidden();
  await expect(page.getByTestId('train')).toBeDisabled();
});

test('fetches nothing from anywhere else', async ({ page }) => {
  const foreign: string[] = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== new URL(siteAddress()).origin)
      foreign.push(url.href);
  });
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  expect(foreign).toEqual([]);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`has no accessibility fault that axe can find, ${colorScheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await open(page, 'wasm');
    expect(await accessibilityFaults(page)).toEqual([]);

    await chooseRows(page, 'broken.jsonl', [...sampleRows('twelve-rows.jsonl'), '{"messages": [', '{}']);
    await expect(page.getByTestId('problems')).toBeVisible();
    expect(await accessibilityFaults(page)).toEqual([]);

    await page.getByTestId('leave-out').click();
    await page.getByTestId('open-rows').click();
    await expect(page.getByRole('dialog')).toBeVisible();
    expect(await accessibilityFaults(page)).toEqual([]);
  });
}
