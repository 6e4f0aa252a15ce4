// The main job, as a person does it: rows in, mistakes mended, trained, watched, stopped, talked to.
// Not here: the page at rest (page.spec.ts), numbers against PyTorch (test/).

import {
  accessibilityFaults,
  ask,
  type CurveValue,
  chooseModelFolder,
  chooseRows,
  expect,
  longestMainThreadTask,
  open,
  readCurves,
  sampleRows,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

const first = (curve: CurveValue[]) => curve[0]?.value ?? Number.NaN;
const last = (curve: CurveValue[]) => curve.at(-1)?.value ?? Number.NaN;
const lowest = (curve: CurveValue[]) => Math.min(...curve.map((point) => point.value));

test('WebGPU: upload, errors shown, mended, trained, stopped, both answer', async ({ page }) => {
  test.setTimeout(480_000);
  await open(page, 'webgpu');
  await chooseModelFolder(page, tinyModelFolder());

  const good = sampleRows('sentiment-label.jsonl', 40);
  const unclosed = (good[3] ?? '').slice(0, -2);
  const wrongRole = (good[7] ?? '').replace('"role":"user"', '"role":"narrator"');
  const rows = good.with(3, unclosed).with(7, wrongRole);
  await chooseRows(page, 'reviews.jsonl', rows);

  const problems = page.getByTestId('problems');
  await expect(problems).toContainText('2 errors');
  await expect(problems).toContainText('line 4');
  await expect(page.getByTestId('problem-unrecognized_role')).toBeVisible();
  await expect(page.getByTestId('train')).toBeDisabled();
  await expect(page.getByTestId('train-why')).toContainText('2 rows');

  await page.getByTestId('mend').click();
  const text = page.getByTestId('rows-text');
  await expect(text).toHaveValue(`${rows.join('\n')}\n`);
  await text.fill(`${good.join('\n')}\n`);
  await page.getByTestId('check-text').click();
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(problems).toBeHidden();
  await expect(page.getByTestId('split')).toBeVisible();

  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 200);
  await setSetting(page, 'eval_per_epoch', 1);
  await startTraining(page);
  await expect(page.getByTestId('step-count')).toHaveText(/step ([2-9]\d|1\d\d)/, { timeout: 240_000 });

  await page.getByTestId('stop').click();
  await waitForState(page, 'stopped', 30_000);
  const curves = await readCurves(page);
  expect(curves.train_loss.length).toBeGreaterThanOrEqual(20);
  expect(curves.valid_loss.length).toBeGreaterThanOrEqual(3);
  expect(curves.train_eval_loss.length).toBe(curves.valid_loss.length);
  expect(first(curves.valid_loss)).toBeGreaterThan(7);
  expect(last(curves.train_loss)).toBeLessThan(first(curves.train_loss) - 2);
  for (const curve of Object.values(curves)) {
    for (const { value } of curve) expect(Number.isFinite(value)).toBe(true);
  }

  await ask(page, 'The soup was cold.');
  for (const which of ['base', 'tuned']) {
    await expect(page.getByTestId(`stopped-${which}`)).toHaveAttribute(
      'data-stopped',
      /end_token|limit|context/,
    );
  }
  await expect(page.getByTestId('text-base')).not.toBeEmpty();
});

test('wasm: the shipped model learns a voice, then learns the rows by heart', async ({ page }) => {
  test.setTimeout(480_000);
  await open(page, 'wasm');
  await chooseRows(page, 'captain.jsonl', sampleRows('pirate-voice.jsonl', 64));
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'learning_rate', 0.005); // the recommended one for LoRA
  await setSetting(page, 'num_train_epochs', 12);
  await setSetting(page, 'eval_per_epoch', 1);
  await startTraining(page);
  const longestTaskMs = await longestMainThreadTask(page, () => waitForState(page, 'finished', 420_000));
  expect(longestTaskMs).toBeLessThan(50);

  await expect(page.getByTestId('evaluation-caption')).toHaveText(
    'Measured on 8 of 13 held-out rows; the diamonds on all of them.',
  );
  const curves = await readCurves(page);
  // Best and last weights, on all rows.
  expect(curves.full_valid_loss.length).toBeLessThanOrEqual(2);
  const validation = curves.valid_loss;
  expect(last(curves.train_eval_loss)).toBeLessThan(first(curves.train_eval_loss) * 0.5);
  expect(last(validation)).toBeGreaterThan(lowest(validation) * 1.01);
  await expect(page.getByTestId('verdict')).toHaveAttribute('data-state', 'overfitting');
  await expect(page.getByTestId('use-best')).toBeVisible();

  await ask(page, 'What do you eat for breakfast?');
  await expect(page.getByTestId('text-tuned')).not.toBeEmpty();
  expect(await accessibilityFaults(page)).toEqual([]);
});
