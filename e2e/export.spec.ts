// Taking weights away in every format of the list: what is said of each, the file that arrives, its proof.
// Not here: what the files must hold (test/exports.test.ts), the quick download (kept.spec.ts, weights.spec.ts).

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { unzipSync } from 'fflate';
import { EXPORT_FORMAT_NAMES, EXPORT_FORMATS, type ExportFormat } from '../src/exportFormats';
import { layoutFaults } from './layout';
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

/** A file that each format has, and no other tool could do without. */
const NEEDED: Record<ExportFormat, string[]> = {
  adapter: ['adapter_model.safetensors', 'adapter_config.json', 'tokenizer.json', 'run.json', 'README.md'],
  merged: ['model.safetensors', 'config.json', 'tokenizer.json', 'README.md'],
  gguf: ['Modelfile'],
  gguf_adapter: ['adapter.gguf'],
  training_project: ['train.py', 'requirements.txt', 'tokens/train.jsonl', 'curve.csv', 'README.md'],
};

async function make(page: Page): Promise<{ name: string; files: Record<string, Uint8Array> }> {
  const waiting = page.waitForEvent('download');
  await page.getByTestId('export-make').click();
  const saved = await waiting;
  return {
    name: saved.suggestedFilename(),
    files: unzipSync(new Uint8Array(readFileSync(await saved.path()))),
  };
}

test('weights are taken away in every format, each with its proof', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'twelve-rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'num_train_epochs', 3);
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);
  await page.getByTestId('export-formats').click();
  const dialog = page.getByTestId('export-dialog');
  await expect(dialog.getByRole('radio')).toHaveCount(EXPORT_FORMAT_NAMES.length);
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  for (const format of EXPORT_FORMAT_NAMES) {
    const { label, types, from, opensIn, use } = EXPORT_FORMATS[format];
    await dialog
      .getByRole('radio', { name: label })
      .and(dialog.locator(`[value="${format}"]`))
      .check();
    await expect(dialog).toContainText(opensIn);
    await expect(dialog).toContainText(use);
    if (types.length > 1) await page.getByTestId('export-type').selectOption(types.at(-1) as string);
    const { name, files } = await make(page);
    expect(name).toContain(`-${format.replace('_', '-')}.zip`);
    const paths = Object.keys(files);
    expect(paths).toEqual(expect.arrayContaining(NEEDED[format]));
    const handed = page.getByTestId('export-handed');
    if (from !== 'run')
      await expect(handed).toContainText(/Read again and compared: \d+ of \d+ greedy answers/);
    await expect(handed).toContainText(`${paths.length} files`);
  }
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(page.getByTestId('export-formats')).toBeFocused();
});

test('a run of the whole model has no adapter to take away, and that is said', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'twelve-rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await setSetting(page, 'method', 'full');
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);
  await page.getByTestId('export-formats').click();
  const dialog = page.getByTestId('export-dialog');
  await expect(dialog.locator('[value="adapter"]')).toBeDisabled();
  await expect(dialog).toContainText('These weights are no adapter');
  await expect(dialog.locator('[value="merged"]')).toBeChecked();
  const { files } = await make(page);
  expect(Object.keys(files)).toContain('model.safetensors');
});
