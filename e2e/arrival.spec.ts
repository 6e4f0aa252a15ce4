// The first screen: from a cold load to the overfitting verdict in one press, two answers, and a page that does not move while it loads.
// Not here: the stages of a curve (../test/stages.test.ts), lessons.

import { layoutFaults, shots } from './layout';
import { accessibilityFaults, chooseRows, expect, open, sampleRows, siteAddress, test } from './page';

const slow = { timeout: 200_000 };

test('one press on a cold page: three captions, the verdict, two answers', async ({ page }) => {
  await page.goto(`${siteAddress()}?backend=wasm`);
  const arrival = page.getByTestId('arrival');
  await expect(page.getByTestId('arrival-caption')).toContainText('recording');
  await shots(page, 'arrival');
  // Pressed before engine and model are there: it waits for them.
  await page.getByTestId('show-me').click();
  for (const stage of ['learns', 'stops', 'by_heart'])
    await expect(page.getByTestId(`caption-${stage}`)).toHaveAttribute('data-on', 'true', slow);
  await expect(page.getByTestId('arrival-caption')).toContainText('Live', slow);
  await expect(arrival).toHaveAttribute('data-phase', 'done', slow);
  await expect(arrival).toHaveAttribute('data-stage', 'by_heart');
  await expect(page.getByTestId('verdict')).toHaveAttribute('data-state', 'overfitting');

  const known = page.getByTestId('answers-practised');
  const answer = await known.getByTestId('after').textContent();
  expect(sampleRows('twelve-rows.jsonl').join('\n')).toContain(answer?.trim());
  await expect(known).toContainText('Word for word');
  await expect(page.getByTestId('answers-unseen')).toContainText('made up');
  await shots(page, 'arrival done');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);

  // At the next visit it is one line.
  await page.reload();
  await expect(page.getByTestId('arrival-open')).toBeVisible();
});

test('rows of one’s own are asked about, and come back', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'mine.jsonl', sampleRows('twelve-rows.jsonl', 8));
  await expect(page.getByTestId('split')).toBeVisible();
  await page.getByTestId('show-me').click();
  await expect(page.getByTestId('show-me-note')).toContainText('mine.jsonl');
  await expect(page.getByTestId('arrival')).toHaveAttribute('data-phase', 'idle');
  await page.getByTestId('show-me').click();
  await expect(page.getByTestId('arrival')).toHaveAttribute('data-phase', 'done', slow);
  await page.getByTestId('put-back').click();
  await expect(page.getByTestId('data-panel')).toContainText('mine.jsonl');
});

for (const [width, height] of [
  [1440, 900],
  [390, 800],
] as const) {
  test(`nothing moves while the page opens, ${width} pixels wide`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    await page.addInitScript(() => {
      const shifts: { value: number; what: string }[] = [];
      Object.assign(window, { shifts });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & {
          value: number;
          hadRecentInput: boolean;
          sources: { node: Element | null }[];
        })[])
          if (!entry.hadRecentInput)
            shifts.push({
              value: entry.value,
              what: entry.sources
                .map(({ node }) => `${node?.nodeName} ${node?.parentElement?.className}`)
                .join(', '),
            });
      }).observe({ type: 'layout-shift', buffered: true });
    });
    await open(page, 'wasm');
    await page.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
    const shifts = await page.evaluate(
      () => (window as unknown as { shifts: { value: number; what: string }[] }).shifts,
    );
    const sum = shifts.reduce((all, { value }) => all + value, 0);
    expect(sum, JSON.stringify(shifts)).toBeLessThan(0.02);
  });
}
