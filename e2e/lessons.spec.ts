// Every lesson walked to its end on wasm: set up, predicted, done and checked against the real state, answered on another curve.
// Not here: the shape of a predicted line (../test/lessons.test.ts), the first screen (arrival.spec.ts).

import type { Page } from '@playwright/test';
import { LESSONS } from '../src/lessons/index';
import type { Lesson } from '../src/lessons/lesson';
import { layoutFaults, shots } from './layout';
import { accessibilityFaults, chooseRows, expect, open, sampleRows, siteAddress, test } from './page';

const slow = { timeout: 200_000 };

/** From the address of the lesson to its closing sentence. */
async function walk(page: Page, lesson: Lesson, look: boolean): Promise<void> {
  await page.goto(`${siteAddress()}?backend=wasm#learn/${lesson.id}`);
  const view = page.getByTestId('lesson');
  const part = (name: string) => expect(view).toHaveAttribute('data-part', name, slow);
  await part('start');
  // The first screen would tell the answer.
  await expect(page.getByTestId('show-me')).toBeHidden();
  await page.getByTestId('lesson-set-up').click();
  await part('predict');
  if (look) await shots(page, `${lesson.id} predict`);
  if (lesson.predict.kind === 'curve') {
    // By the keys: the second dot down, the last one up.
    await page.getByTestId('dot').first().focus();
    for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('End');
    await page.keyboard.press('PageUp');
    await page.getByTestId('lesson-drawn').click();
  } else {
    const options = page.getByTestId('lesson-predict').getByTestId('option');
    await options.nth((lesson.predict.right + 1) % lesson.text.predict.options.length).click();
  }
  await part('tasks');
  for (const [i] of lesson.tasks.entries()) {
    await expect(page.getByTestId('lesson-press')).toBeEnabled(slow);
    await page.getByTestId('lesson-press').click();
    await expect(view).toHaveAttribute('data-tasks-done', String(i + 1), slow);
  }
  await expect(page.getByTestId('lesson-reveal')).toBeVisible();
  if (lesson.predict.kind === 'curve')
    await expect(page.getByTestId('lesson-compared')).toContainText(/You (drew|saw)/);
  else
    await expect(page.getByTestId('lesson-predicted').getByTestId('feedback')).toContainText('Not this one');
  if (look) {
    await shots(page, `${lesson.id} done`);
    expect(await layoutFaults(page)).toEqual([]);
    expect(await accessibilityFaults(page)).toEqual([]);
  }
  await page.getByTestId('lesson-on').click();
  await part('transfer');
  await page.getByTestId('lesson-transfer').getByTestId('option').nth(lesson.transfer.right).click();
  await part('end');
  await expect(page.getByTestId('lesson-transfer').getByTestId('feedback')).toContainText('Right.');
  await expect(page.getByTestId('lesson-closing')).toHaveText(lesson.text.closing);
}

for (const { id, load } of LESSONS) {
  test(`the lesson ${id}, to its check`, async ({ page }) => {
    const { lesson } = await load();
    await walk(page, lesson, LESSONS[0]?.id === id || lesson.predict.kind === 'curve');
    // It is kept as done, and the list says so after a reload.
    await page.goto(`${siteAddress()}?backend=wasm#learn`);
    await page.reload();
    await expect(page.getByTestId(`lesson-${id}`)).toHaveAttribute('data-done', 'true');
  });
}

test('a lesson asks before it replaces rows of one’s own, gives them back, is presented, and back leads to the list', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseRows(page, 'mine.jsonl', sampleRows('twelve-rows.jsonl', 8));
  await expect(page.getByTestId('split')).toBeVisible();
  await page.getByTestId('places').getByRole('link', { name: 'Learn' }).click();
  await page.getByTestId('lesson-overfitting').click();
  await page.getByTestId('lesson-set-up').click();
  await expect(page.getByTestId('lesson')).toContainText('take the place of mine.jsonl');
  await page.getByTestId('lesson-set-up').click();
  await expect(page.getByTestId('lesson')).toHaveAttribute('data-part', 'predict', slow);
  await expect(page.getByTestId('data-panel')).toContainText('twelve-rows');

  await page.getByTestId('lesson-present').click();
  await expect(page.getByTestId('train-panel')).toBeHidden();
  await expect(page.getByTestId('lesson')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('train-panel')).toBeVisible();

  await page.goBack();
  await expect(page.getByTestId('lesson-list')).toBeVisible();
  await page.goForward();
  await expect(page.getByTestId('lesson')).toHaveAttribute('data-lesson', 'overfitting');
});
