// Watching a run: the sample that overfits in one press, a chart that stays where it is, the focus, the phone.
// Not here: the numbers of a run (train.spec.ts), where things lie at rest (layout.spec.ts).

import type { Page } from '@playwright/test';
import {
  accessibilityFaults,
  chooseModelFolder,
  chooseRows,
  expect,
  open,
  readCurves,
  sampleRows,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

const focused = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    const region = element?.closest('[data-focus-region]')?.getAttribute('data-testid');
    return `${region ?? element?.tagName}: ${element?.getAttribute('data-testid') ?? element?.tagName}`;
  });

test('wasm: “Twelve rows” overfits in one press, with the settings it was measured with', async ({
  page,
}) => {
  await open(page, 'wasm');
  await setSetting(page, 'batch_size', 4);
  const epochs = page.getByTestId('setting-num_train_epochs').locator('input.input');
  const batch = page.getByTestId('setting-batch_size').locator('input.input');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  const changed = page.getByTestId('form-changed');
  await expect(changed).toContainText('Settings set to those measured for “Twelve rows”');
  await expect(epochs).toHaveValue('50');
  await expect(batch).toHaveValue('8');
  // Undone, and chosen again.
  await changed.getByRole('button', { name: 'Undo' }).click();
  await expect(epochs).toHaveValue('3');
  await expect(batch).toHaveValue('4');
  await page.getByTestId('data-panel').getByRole('button', { name: 'Other data' }).click();
  await page.getByTestId('sample-twelve-rows').click();
  await expect(epochs).toHaveValue('50');

  await startTraining(page);
  await waitForState(page, 'finished', 180_000);
  await expect(page.getByTestId('verdict')).toHaveAttribute('data-state', 'overfitting');
  await expect(page.getByTestId('use-best')).toHaveAttribute('aria-pressed', 'true');

  // Row by row: what was practised is known by heart, what was held out is not; before training neither was.
  const map = page.getByTestId('row-map');
  await expect(map.locator('.train button')).toHaveCount(10);
  await expect(map.locator('.validation button')).toHaveCount(2);
  await expect(map.locator('.block.train')).toContainText(/(9\d|100) % known/);
  await expect(map.locator('.block.validation')).toContainText(/\b\d % known/);
  await map.getByTestId('row-map-step').fill('0');
  await expect(map).toContainText('after step 0');
  await expect(map.locator('.block.train')).toContainText(/\b1?\d % known/);
  await map.locator('.validation button').first().click();
  await expect(map.getByTestId('row-map-one')).toContainText(/Line \d+, held out: loss \d/);
  await page.keyboard.press('ArrowRight');
  await expect(map.locator('.validation button').nth(1)).toBeFocused();
  await map.getByTestId('row-map-ask').click();
  await expect(
    page.getByTestId('exchanges').locator('li').first().getByTestId('answer-tuned'),
  ).toHaveAttribute('data-state', 'done', { timeout: 60_000 });

  // What to try next is one press: the run once more, with as many epochs as led to the best step.
  const next = page.getByTestId('next-steps');
  const best = Number((await page.getByTestId('use-best').textContent())?.match(/step (\d+)/)?.[1]);
  const shorter = Math.ceil(best / 2);
  await next.getByRole('button', { name: `Train for ${shorter} epoch` }).click();
  await expect(epochs).toHaveValue(String(shorter));
  await waitForState(page, 'finished', 180_000);
  await expect(page.getByTestId('step-count')).toHaveText(`step ${2 * shorter} of ${2 * shorter}`);

  // Rows of one's own are not trained with what suited the sample.
  await page.getByTestId('data-panel').getByRole('button', { name: 'Other data' }).click();
  await chooseRows(page, 'mine.jsonl', sampleRows('sentiment-label.jsonl', 24));
  await expect(page.getByTestId('split')).toBeVisible();
  await expect(epochs).toHaveValue('3');
  await expect(batch).toHaveValue('4');
  await expect(changed).toContainText('put back');
});

test('the chart stays where it is, and the focus where it was', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await page.getByTestId('sample-twelve-rows').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('split')).toBeVisible();
  expect(await focused(page)).toBe('data-panel: H2');

  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 40);
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 844 });
    await page.getByTestId('train').focus();
    await page.keyboard.press('Enter');
    await expect(page.getByTestId('step-count')).toHaveText(/step [1-9]/);
    expect(await focused(page)).toBe('train-panel: pause');
    await page.evaluate(() => {
      const tops = new Set<number>();
      Object.assign(globalThis, { tops });
      const plot = document.querySelector('[data-testid="loss-chart"] canvas') as Element;
      const note = () => {
        tops.add(Math.round(plot.getBoundingClientRect().top + scrollY));
        requestAnimationFrame(note);
      };
      note();
    });
    // Focused on a button that goes with the run.
    await page.getByTestId('stop').focus();
    await waitForState(page, 'finished', 60_000);
    await expect.poll(() => focused(page)).toBe('train-panel: train');
    const tops = await page.evaluate(() => [...(Reflect.get(globalThis, 'tops') as Set<number>)]);
    expect(tops, `${width} px`).toHaveLength(1);
  }
});

test('on a phone Train leads to the chart, which then shows the whole run', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await open(page, 'wasm');
  await chooseRows(page, 'voice.jsonl', sampleRows('brand-voice-support.jsonl', 40));
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'num_train_epochs', 16);
  await startTraining(page);
  const canvas = page.getByTestId('loss-chart').locator('canvas');
  await expect(canvas).toBeInViewport({ ratio: 1 });
  await expect(page.getByTestId('pause')).toBeInViewport({ ratio: 1 });
  await waitForState(page, 'finished', 180_000);

  // One high first loss does not flatten the rest, and is one press away.
  const top = async () => Number(await page.getByTestId('loss-chart').getAttribute('data-top'));
  const { valid_loss: validation } = await readCurves(page);
  const first = validation[0]?.value ?? Number.NaN;
  const last = validation.at(-1)?.value ?? Number.NaN;
  expect(first).toBeGreaterThan(3 * last);
  await expect.poll(top).toBeLessThan(0.7 * first);
  expect(await top()).toBeGreaterThan(last);
  const whole = page.getByTestId('whole-range');
  await whole.click();
  await expect.poll(top).toBeGreaterThan(first);
  await whole.click();
  await expect.poll(top).toBeLessThan(0.7 * first);

  // A drag along the loss axis zooms the loss.
  const fitted = await top();
  const box = await canvas.boundingBox();
  if (!box) throw new Error('The chart has no place.');
  await page.mouse.move(box.x + 15, box.y + box.height * 0.5);
  await page.mouse.down();
  await page.mouse.move(box.x + 15, box.y + box.height * 0.8, { steps: 4 });
  await page.mouse.up();
  await expect.poll(top).toBeLessThan(fitted * 0.7);
  await page.getByTestId('reset-zoom').click();
  await expect.poll(top).toBeCloseTo(fitted, 5);
});

test('presented: chart and verdict alone, and back by key or button', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('sentiment-label.jsonl', 24));
  await expect(page.getByTestId('split')).toBeVisible();
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);
  const present = page.getByTestId('present');
  const others = [
    page.getByTestId('data-panel'),
    page.getByTestId('compare-panel'),
    page.locator('header').first(),
  ];
  const canvas = page.getByTestId('loss-chart').locator('canvas');
  const before = (await canvas.boundingBox())?.height ?? 0;

  await present.click();
  await expect(present).toHaveText('End presentation');
  for (const other of others) await expect(other).toBeHidden();
  await expect(page.getByTestId('verdict')).toBeVisible();
  await expect.poll(async () => (await canvas.boundingBox())?.height ?? 0).toBeGreaterThan(before);
  expect(await accessibilityFaults(page)).toEqual([]);
  // Full screen is left by the browser itself on Escape; where there is none, by the page.
  await page.keyboard.press('Escape');
  await expect(present).toHaveText('Present');
  await expect(present).toBeFocused();
  for (const other of others) await expect(other).toBeVisible();

  await present.click();
  await present.click();
  for (const other of others) await expect(other).toBeVisible();
});

test('the loss axis is zoomed by a drag beside it and moved by the wheel; the steps by keys', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('sentiment-label.jsonl', 24));
  await expect(page.getByTestId('split')).toBeVisible();
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);
  const chart = page.getByTestId('loss-chart');
  const top = async () => Number(await chart.getAttribute('data-top'));
  await chart.locator('canvas').scrollIntoViewIfNeeded();
  // The last points are painted a moment after the run has ended.
  let whole = Number.NaN;
  await expect
    .poll(async () => {
      const before = whole;
      whole = await top();
      return whole === before;
    })
    .toBe(true);
  const box = await chart.locator('canvas').boundingBox();
  if (!box) throw new Error('The chart is not painted.');
  const reset = page.getByTestId('reset-zoom');
  await expect(reset).toBeDisabled();

  await page.mouse.move(box.x + 20, box.y + 0.4 * box.height);
  await page.mouse.down();
  await page.mouse.move(box.x + 20, box.y + 0.8 * box.height, { steps: 6 });
  await page.mouse.up();
  await expect.poll(top).toBeLessThan(0.98 * whole);
  const zoomed = await top();
  await page.mouse.wheel(0, -100);
  await expect.poll(top).toBeGreaterThan(zoomed);
  await reset.click();
  await expect.poll(top).toBe(whole);

  const earlier = page.getByRole('button', { name: 'Earlier steps' });
  await expect(earlier).toBeDisabled();
  await page.getByRole('button', { name: 'Zoom in' }).focus();
  await page.keyboard.press('Enter');
  await expect(earlier).toBeEnabled();
  await earlier.focus();
  await page.keyboard.press('Enter');
  await expect(reset).toBeEnabled();
});
