// What stands around the loss chart: small charts with one reading, how far the weights have moved, places and their addresses, the chart in view.
// Not here: the loss chart itself and the focus (watch.spec.ts), the layout of every state (layout.spec.ts).

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { layoutFaults, shots } from './layout';
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

test('small charts read one step with the loss chart, and the weights show how far they have moved', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('sentiment-label.jsonl', 24));
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.003);
  await setSetting(page, 'num_train_epochs', 8);
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);

  // The step under the pointer of one small chart is read in all charts.
  const rate = page.getByTestId('small-learning-rate').locator('svg');
  const first = page.getByTestId('small-learning-rate').locator('.value');
  const atEnd = await first.textContent();
  await rate.hover({ position: { x: 40, y: 10 } });
  await expect(page.getByTestId('loss-chart').locator('.at')).toHaveText(/at step \d+/);
  await expect(first).not.toHaveText(atEnd ?? '');
  for (const id of ['grad-norm', 'accuracy', 'speed', 'memory'])
    await expect(page.getByTestId(`small-${id}`).locator('.value').last()).toHaveText(/\d/);
  await expect(page.getByTestId('small-memory').locator('.value')).toHaveText(/[kM]B/);
  await page.mouse.move(0, 0);

  // For other tools, as files.
  const saved = async (button: string) => {
    const waiting = page.waitForEvent('download');
    await page.getByTestId(button).click();
    const download = await waiting;
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'latin1') };
  };
  const events = await saved('event-file');
  expect(events.name).toMatch(/^events\.out\.tfevents\.\d{10}\./);
  expect(events.text.split('train/loss')).toHaveLength(25);
  const { global_step, log_history } = JSON.parse((await saved('trainer-state')).text);
  expect(global_step).toBe(24);
  expect(log_history.filter((entry: object) => 'loss' in entry)).toHaveLength(24);

  // Before training nothing has moved; at the end every cell has a share, and the file says the same.
  const map = page.getByTestId('weight-map');
  const cells = map.locator('td button');
  const values = () => cells.evaluateAll((all) => all.map((cell) => cell.getAttribute('aria-label') ?? ''));
  expect((await values()).every((value) => /^[\d.]+ %$/.test(value) && value !== '0 %')).toBe(true);
  const [q0 = ''] = await values();
  await cells.first().focus();
  await expect(map.getByTestId('weight-map-read')).toContainText(`Layer 0, input_layernorm: ${q0}`);
  await page.keyboard.press('ArrowDown');
  await expect(map.getByTestId('weight-map-read')).toContainText('Layer 1, input_layernorm');
  await page.keyboard.press('ArrowRight');
  await expect(map.getByTestId('weight-map-read')).toContainText('Layer 1, q_proj');
  await expect(map.getByRole('list', { name: 'Outside the layers' })).toContainText(
    /embed_tokens\s*[\d.]+ %/,
  );
  await expect(map.getByTestId('weight-map-scale')).toHaveText(/0 %\s*[\d.]+ %/);
  const waiting = page.waitForEvent('download');
  await map.getByTestId('weight-map-csv').click();
  const csv = readFileSync(await (await waiting).path(), 'utf8')
    .trimEnd()
    .split('\n');
  const step = Number((await page.getByTestId('step-count').textContent())?.match(/step (\d+)/)?.[1]);
  const written = Number(csv.find((line) => line.startsWith(`${step},0,input_layernorm,`))?.split(',')[3]);
  expect(Math.abs((100 * written) / Number.parseFloat(q0) - 1)).toBeLessThan(0.006);
  await map.getByTestId('weight-map-step').fill('0');
  await expect(map).toContainText('after step 0');
  expect((await values()).every((value) => value === '0 %')).toBe(true);
  expect(await accessibilityFaults(page)).toEqual([]);
  await map.getByTestId('weight-map-step').fill('99');
  expect(await layoutFaults(page)).toEqual([]);
  await shots(page, 'weights');
});

/** One movement of what is in view, as the browser reports it. */
interface Shift {
  /** Share of the view that moved, times how far. */
  value: number;
  /** When it happened in the run. */
  at: string;
  /** What moved, and from where to where, in pixels from the top. */
  moved: string[];
}

/** Notes every layout shift from the second frame of the next run on, up to now; those soon after an input too. */
async function noteShifts(page: Page): Promise<() => Promise<Shift[]>> {
  await page.evaluate(() => {
    const shifts: Shift[] = [];
    Object.assign(globalThis, { shifts });
    const panel = document.querySelector('[data-testid="train-panel"]') as HTMLElement;
    const name = (node: Node | null) => {
      const e = node instanceof Element ? node : node?.parentElement;
      return e
        ? `<${e.localName} class="${e.getAttribute('class')}"> “${e.textContent?.trim().slice(0, 30)}”`
        : 'what is gone';
    };
    let from = Number.POSITIVE_INFINITY;
    new MutationObserver(() => {
      // Train swaps the sketch for the chart of a run; from then on nothing may move.
      if (from === Number.POSITIVE_INFINITY && panel.querySelector('[data-testid="loss-chart"]'))
        requestAnimationFrame(() => requestAnimationFrame(() => (from = performance.now())));
    }).observe(panel, { subtree: true, childList: true });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & {
        value: number;
        sources: { node: Node | null; previousRect: DOMRect; currentRect: DOMRect }[];
      })[]) {
        if (entry.startTime < from) continue;
        const at = `${panel.dataset.state}, ${panel.querySelector('[data-testid="step-count"]')?.textContent}`;
        const moved = entry.sources.map(
          (s) => `${name(s.node)} from ${Math.round(s.previousRect.top)} to ${Math.round(s.currentRect.top)}`,
        );
        shifts.push({ value: entry.value, at, moved });
      }
    }).observe({ type: 'layout-shift' });
  });
  return () => page.evaluate(() => Reflect.get(globalThis, 'shifts') as Shift[]);
}

test('nothing in view moves while a run is watched, nor when it ends', async ({ page }) => {
  test.setTimeout(300_000);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  for (const [width, height] of [
    [1440, 800],
    [768, 1024],
    [390, 844],
  ] as const) {
    await page.setViewportSize({ width, height });
    await open(page, 'wasm');
    await page.getByTestId('sample-twelve-rows').click();
    await expect(page.getByTestId('split')).toBeVisible();
    await setSetting(page, 'num_train_epochs', 12);
    // The first screen stands above the chart.
    await page.locator('#train').evaluate((place) => place.scrollIntoView({ behavior: 'instant' }));
    const shifts = await noteShifts(page);
    await startTraining(page);
    await waitForState(page, 'finished', 120_000);
    // What the end brings: weights to choose, general questions answered.
    await expect(page.getByTestId('export')).toBeVisible();
    await expect(page.getByTestId('general-answers')).toBeVisible();
    const all = await shifts();
    const sum = all.reduce((total, { value }) => total + value, 0);
    const said = all.map(({ value, at, moved }) => `${value.toFixed(4)} at ${at}: ${moved.join('; ')}`);
    console.log(`Layout shift of a watched run, ${width} × ${height}: ${sum.toFixed(4)}`);
    expect(sum, `${width} × ${height}:\n${said.join('\n')}`).toBeLessThan(0.02);
    await page.getByTestId('data-panel').getByRole('button', { name: 'Other data' }).click();
    await page.getByTestId('start-fresh').click();
    await Promise.all([page.waitForEvent('load'), page.getByTestId('start-fresh-really').click()]);
  }
});

test('every place has an address, and curve and verdict stay in view while settings change', async ({
  page,
}) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await open(page, 'wasm');
  const bar = page.getByTestId('places');
  const links = await bar
    .getByRole('link')
    .evaluateAll((all) => all.map((a) => a.getAttribute('href') ?? ''));
  expect(links).toEqual(
    expect.arrayContaining(['#model', '#data', '#settings', '#train', '#answers', '#runs', '#guide']),
  );
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 800 });
    for (const link of links) {
      const entry = bar.locator(`a[href="${link}"]`);
      await entry.focus();
      await page.keyboard.press('Enter');
      await expect(page).toHaveURL(new RegExp(`${link}$`));
      const place = page.locator(link);
      await expect(place).toBeInViewport();
      // The focus is in the place, and below the bar.
      const held = await place.evaluate((e) => e.contains(document.activeElement));
      expect(held, `${link} at ${width} px has the focus`).toBe(true);
      const top = await place.evaluate((e) => e.getBoundingClientRect().top);
      expect(top, `${link} at ${width} px is not under the bar`).toBeGreaterThanOrEqual(40);
    }
  }
  // An address leads to its place at the start, beside the state of a demo in it.
  await page.goto(`${page.url().split('#')[0]}&sample=twelve-rows#answers`);
  await page.reload();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  await expect(page.locator('#answers')).toBeInViewport();
  await expect(page.getByTestId('split')).toBeAttached({ timeout: 60_000 });

  await page.setViewportSize({ width: 1440, height: 800 });
  await setSetting(page, 'num_train_epochs', 30);
  await startTraining(page);
  const canvas = page.getByTestId('loss-chart').locator('canvas');
  const strip = page.getByTestId('run-strip');
  await page.locator('#train').scrollIntoViewIfNeeded();
  await page.evaluate(() => scrollTo(0, 0));
  // Beside the chart: the last setting is changed, and chart and verdict are where they were.
  await setSetting(page, 'seed', 7);
  await expect(canvas).toBeInViewport({ ratio: 1 });
  await expect(page.getByTestId('verdict')).toBeInViewport();
  await expect(strip).toHaveCount(0);

  // On a phone the chart leaves, and a strip that covers no field says the same.
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 800 });
    await page.getByTestId('setting-learning_rate').locator('input.input').focus();
    await page.getByTestId('setting-learning_rate').scrollIntoViewIfNeeded();
    await expect(strip).toBeVisible();
    await expect(strip).toContainText(/step \d+/);
    const covered = await page.evaluate(() => {
      const box = document.activeElement?.getBoundingClientRect();
      const hit = box && document.elementFromPoint(box.left + 5, box.top + box.height / 2);
      return hit?.closest('[data-testid="run-strip"]') !== null;
    });
    expect(covered, `${width} px: the focused field is under the strip`).toBe(false);
  }
  expect(await layoutFaults(page)).toEqual([]);
  await waitForState(page, 'finished', 180_000);
  await page.setViewportSize({ width: 390, height: 800 });
  await page.locator('#settings').scrollIntoViewIfNeeded();
  await expect(strip).toContainText('Overfitting');
  expect(await accessibilityFaults(page)).toEqual([]);
  await shots(page, 'places', () => page.locator('#settings').scrollIntoViewIfNeeded());
  await strip.getByRole('link').click();
  await expect(canvas).toBeInViewport();
  await expect(strip).toHaveCount(0);
});
