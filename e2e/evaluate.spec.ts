// Answers evaluated on the page: checks proposed and changed, rows as they come, scores, a wrong answer mended, rounds, and all of it after a reload.
// Not here: the checks themselves (test/checks.test.ts), the order of an evaluation (test/evaluation.test.ts).

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { AnswerEvaluation } from '../src/evaluationContract';
import {
  accessibilityFaults,
  chooseModelFolder,
  chooseRows,
  expect,
  open,
  setSetting,
  startTraining,
  test,
  tinyModelFolder,
  waitForState,
} from './page';

const COLOURS = ['red', 'blue', 'green', 'white'];
const THINGS = 'boat lamp door roof sail kite gate wall tile bell rope oar mast deck hull flag'.split(' ');
const rows = COLOURS.flatMap((colour, c) =>
  THINGS.slice(0, 12).map((thing, i) =>
    JSON.stringify({
      messages: [
        {
          role: 'user',
          content: `${thing} number ${c * 12 + i} is ${colour}: which colour has the ${thing}?`,
        },
        { role: 'assistant', content: colour },
      ],
    }),
  ),
);

async function evaluate(page: Page): Promise<void> {
  const panel = page.getByTestId('evaluate-panel');
  await expect(panel.getByTestId('evaluate')).toBeEnabled({ timeout: 30_000 });
  await panel.getByTestId('evaluate').click();
  await expect(panel.getByTestId('evaluation')).toBeVisible({ timeout: 60_000 });
}

async function exported(page: Page): Promise<AnswerEvaluation> {
  const waiting = page.waitForEvent('download');
  await page.getByTestId('evaluation-json').click();
  return JSON.parse(readFileSync(await (await waiting).path(), 'utf8')) as AnswerEvaluation;
}

test('answers are evaluated, one is mended, and the rounds stand below each other after a reload', async ({
  page,
}) => {
  test.setTimeout(240_000);
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'colours.jsonl', rows);
  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 3);
  await setSetting(page, 'test_fraction', 0.1);
  const panel = page.getByTestId('evaluate-panel');
  await expect(panel.getByTestId('check-label')).toContainText('Label');
  await startTraining(page);
  await waitForState(page, 'finished', 120_000);

  await panel.getByLabel('Most tokens').fill('6');
  await panel.getByTestId('evaluate-train').check();
  await evaluate(page);
  const first = await exported(page);
  expect(first.request).toMatchObject({
    split: 'validation',
    trainRows: true,
    settings: { max_new_tokens: 6 },
  });
  await expect(panel.getByTestId('score-sentence')).toHaveText(first.scores.sentence);
  await expect(panel.getByTestId('memorised')).toHaveText(first.scores.memorised as string);
  await expect(page.getByTestId('answer-verdict')).toContainText('The answers at step');

  // Test rows: said before, and each look counted.
  await panel.getByTestId('evaluate-test').click();
  await expect(panel.getByTestId('test-note')).toBeVisible();
  for (const looks of [1, 2]) {
    await evaluate(page);
    await expect(panel.getByTestId('round')).toHaveCount(1 + looks, { timeout: 60_000 });
    const { test: asked, rows: of } = await exported(page);
    expect(asked?.looks).toBe(looks);
    expect(of.some(({ split }) => split === 'test')).toBe(true);
    expect(of.some(({ split }) => split === 'validation')).toBe(false);
    await expect(panel.getByTestId('looks')).toHaveCount(looks - 1);
  }
  await expect(panel.getByTestId('looks')).toContainText('2 times');
  await panel.getByRole('button', { name: 'Held-out rows' }).click();

  // A check of its own, turned into the only one.
  await panel.getByTestId('add-check').selectOption('regex');
  await expect(panel.getByTestId('evaluate-why')).toContainText('The pattern is empty');
  await panel.getByTestId('check-regex').locator('summary').click();
  await panel.getByTestId('check-regex-pattern').fill('(?=a)');
  await panel.getByTestId('check-regex-pattern').press('Tab');
  await expect(panel.getByTestId('evaluate-why')).toContainText('not one of RE2');
  await panel.getByTestId('check-regex-pattern').fill('^zebra$');
  await panel.getByTestId('check-regex-pattern').press('Tab');
  await evaluate(page);
  await expect(panel.getByTestId('score-sentence')).toContainText('Right on 0 of');
  await expect(panel.getByTestId('round')).toHaveCount(4);

  // The worst row: its likest training rows, and mended where it stands.
  await panel.getByTestId('answer-filter').selectOption('check-1');
  const row = panel.getByTestId('answer-row').first();
  await row.getByRole('button', { expanded: false }).click();
  await expect(row.getByTestId('like-rows').locator('li').first()).toBeVisible();
  await expect(row.getByTestId('answer-of-base')).toBeVisible();
  expect(await accessibilityFaults(page)).toEqual([]);
  await row.getByTestId('teach-text').fill('zebra');
  await row.getByTestId('teach').click();
  await expect(row.getByTestId('taught')).toBeVisible({ timeout: 20_000 });
  await expect(panel.getByTestId('other-data')).toBeVisible();
  await expect(page.getByTestId('data-panel')).toContainText('colours-edited.jsonl');

  await page.reload();
  await expect(page.getByTestId('model-loaded')).toBeVisible({ timeout: 120_000 });
  await expect(panel.getByTestId('round')).toHaveCount(4);
  await panel.getByTestId('round').first().click();
  await expect(panel.getByTestId('score-sentence')).toHaveText(first.scores.sentence);
});

test('an evaluation without a run asks the base model, and can be cancelled', async ({ page }) => {
  test.setTimeout(120_000);
  await open(page, 'wasm');
  await chooseRows(page, 'colours.jsonl', rows);
  const panel = page.getByTestId('evaluate-panel');
  await setSetting(page, 'validation_fraction', 0.5);
  await panel.getByTestId('evaluate-train').check();
  await panel.getByLabel('Most tokens').fill('400');
  await expect(panel.getByTestId('evaluate-why')).toContainText('Nothing is trained yet');
  // The page itself cancels as soon as it can: on a busy machine all rows may be asked before a click from outside arrives.
  await panel.evaluate((element) => {
    const watching = new MutationObserver(() => {
      const button = element.querySelector<HTMLElement>('[data-testid="cancel-evaluation"]');
      if (!button) return;
      watching.disconnect();
      button.click();
      element.setAttribute('data-cancelled-by-test', '');
    });
    watching.observe(element, { childList: true, subtree: true });
  });
  await panel.getByTestId('evaluate').click();
  await expect(panel).toHaveAttribute('data-cancelled-by-test', '');
  await expect(panel.getByTestId('evaluate')).toBeVisible({ timeout: 30_000 });
  await expect(panel.getByTestId('evaluation')).toBeHidden();
  await panel.getByLabel('Most tokens').fill('2');
  await evaluate(page);
  await expect(panel.getByTestId('score-sentence')).toContainText('The base model is right on');
});
