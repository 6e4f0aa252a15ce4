// The exercise “which way to answer”, from the first prediction to the model answer; and the decision guide.
// Not here: the figures at full size (cli ways), single rules of the guide (test/decisionGuide.test.ts).

import { AxeBuilder } from '@axe-core/playwright';
import { expect, open, test } from './page';

const WAYS = ['prompt', 'examples', 'retrieval', 'tuned', 'tuned_retrieval_later', 'tuned_on_passages'];

test('the exercise: predict, run, a week later, read the answers, decide', async ({ page }) => {
  await open(page, 'wasm');
  const panel = page.getByTestId('decide');
  await panel.getByTestId('decide-most').selectOption('12');
  await panel.getByTestId('decide-open').click();
  await expect(panel).toContainText('520 passages to search');

  for (const way of WAYS)
    for (const column of ['facts', 'form', 'changed'])
      await panel
        .getByTestId(`guess-${way}-${column}`)
        .selectOption(way === 'tuned_on_passages' ? 'high' : 'low');
  await panel.getByTestId('decide-run-all').click();
  for (const way of WAYS)
    await expect(panel.getByTestId(`cell-${way}-facts`)).toBeVisible({ timeout: 60_000 });
  const right = async (way: string, column: string) =>
    Number((await panel.getByTestId(`cell-${way}-${column}`).innerText()).split(' of ')[0]);
  const [read, tuned] = [await right('tuned_on_passages', 'facts'), await right('tuned', 'facts')];
  expect(read).toBeGreaterThan(tuned + 3);
  expect(await right('tuned', 'form')).toBe(12);
  expect(await right('prompt', 'form')).toBe(0);
  await expect(panel.getByTestId('way-tuned')).toContainText('trained before');
  await expect(panel.getByTestId('decide-score')).toHaveText(/You predicted \d+ of 12 cells/);

  await panel.getByTestId('decide-swap').click();
  for (const way of WAYS) await expect(panel.getByTestId(`cell-${way}-changed`)).toBeVisible();
  expect(await right('tuned_on_passages', 'changed')).toBeGreaterThan((await right('tuned', 'changed')) + 3);

  await panel.getByTestId('cell-tuned_on_passages-changed').click();
  const dialog = page.getByTestId('answers-dialog');
  await expect(dialog.getByTestId('way-answer')).toHaveCount(12);
  await expect(dialog.getByTestId('way-source').first()).toContainText('catalogue-next-week.csv, line');
  await expect(dialog.locator('mark').first()).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();

  await panel.getByTestId('decide-choice').selectOption('tuned_on_passages');
  await panel.getByTestId('decide-reason').fill('It has voice and facts, also next week.');
  await panel.getByTestId('decide-compare').click();
  await expect(panel.getByTestId('decide-answer')).toContainText('Tune: take');
  await expect(panel.getByTestId('decide-answer')).toContainText('You took the same.');
  await expect(panel.getByTestId('decide-answer')).toContainText('retrieve them');
  const found = await new AxeBuilder({ page }).include('#decide').analyze();
  expect(found.violations).toEqual([]);
});

test('the cases where one way is enough: the prompt, and retrieval', async ({ page }) => {
  await open(page, 'wasm');
  const panel = page.getByTestId('decide');
  const right = async (way: string, column: string) =>
    Number((await panel.getByTestId(`cell-${way}-${column}`).innerText()).split(' of ')[0]);
  for (const [source, way, column] of [
    ['guest-book', 'prompt', 'form'],
    ['things-for-hire', 'retrieval', 'facts'],
  ] as const) {
    await panel.getByTestId('decide-source').selectOption(source);
    await panel.getByTestId('decide-most').selectOption('12');
    await panel.getByTestId('decide-open').click();
    await expect(panel.getByTestId('decide-run-all')).toBeVisible();
    for (const asked of ['examples', way]) {
      for (const cell of await panel.getByTestId(`way-${asked}`).locator('select').all())
        await cell.selectOption('high');
      await panel.getByTestId(`run-${asked}`).click();
      await expect(panel.getByTestId(`cell-${asked}-${column}`)).toBeVisible({ timeout: 60_000 });
    }
    expect(await right(way, column)).toBeGreaterThanOrEqual(10);
    expect(await right(way, 'facts')).toBeGreaterThan(await right('examples', 'facts'));
    await panel.getByTestId('decide-choice').selectOption(way);
    await panel.getByTestId('decide-reason').fill('It is right, and nothing is trained.');
    await panel.getByTestId('decide-compare').click();
    await expect(panel.getByTestId('decide-answer')).toContainText('Do not tune: take');
    await expect(panel.getByTestId('decide-answer')).toContainText('You took the same.');
    await panel.getByRole('button', { name: 'Choose again' }).click();
  }
});

test('the exercise with rows and documents of one’s own, trained here, and stopped', async ({ page }) => {
  await open(page, 'wasm');
  await page.getByTestId('sample-twelve-rows').click();
  await expect(page.getByTestId('split')).toBeVisible();
  const panel = page.getByTestId('decide');
  await panel.getByTestId('decide-source').selectOption('own');
  await panel
    .getByTestId('own-documents')
    .locator('input[type=file]')
    .first()
    .setInputFiles({
      name: 'notes.md',
      mimeType: 'text/markdown',
      buffer: Buffer.from('# Notes\n\nThe kettle is red.\n\nThe door is blue.'),
    });
  await panel.getByTestId('decide-open').click();
  await expect(panel).toContainText('2 passages to search');
  await expect(panel.getByTestId('decide-swap')).toHaveCount(0);

  await panel.getByTestId('run-tuned').click();
  await expect(panel.getByTestId('decide-progress')).toContainText('training, step');
  await panel.getByTestId('decide-cancel').click();
  await expect(panel.getByTestId('run-tuned')).toBeEnabled();
  await expect(panel.getByTestId('cell-tuned-facts')).toHaveCount(0);

  await panel.getByTestId('run-tuned').click();
  await expect(panel.getByTestId('cell-tuned-facts')).toBeVisible({ timeout: 60_000 });
  await expect(panel.getByTestId('way-tuned')).toContainText(/\d+ steps, .* here/);
});

test('the decision guide: nothing before the eighth answer, then steps, reasons and the experiment', async ({
  page,
}) => {
  await open(page, 'wasm');
  const guide = page.getByTestId('decision-guide');
  const answers = [
    'prompted-lacking',
    'behaviour-style',
    'knowledge-changing',
    'citations-no',
    'rows-some',
    'volume-low',
    'latency-no',
  ];
  for (const answer of answers) await guide.getByTestId(`guide-${answer}`).check();
  await expect(guide.getByTestId('guide-advice')).toHaveText(/1 question to go/);
  await guide.getByTestId('guide-change-settled').check();
  await expect(guide.getByTestId('guide-advice')).toContainText('Both: fine-tune and retrieve');
  await expect(guide.getByTestId('guide-advice').locator('ol li').first()).toHaveText(
    /^Start with prompting/,
  );
});
