// The data room: every row found, opened and mended; what is told of the rows; at five widths, in both schemes, by keyboard.
// Not here: reading files (test/), training on them (train.spec.ts).

import { layoutFaults, shots } from './layout';
import { accessibilityFaults, chooseRows, expect, open, sampleRows, test } from './page';

const broken = [...sampleRows('twelve-rows.jsonl'), '{"messages": [', '{}'];

test('rows are searched, filtered, sorted and opened', async ({ page }) => {
  await open(page, 'wasm');
  const many = Array.from({ length: 60 }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Question ${i + 1}` },
        {
          role: 'assistant',
          content: i === 41 ? 'A much longer answer than all the others have. '.repeat(3) : 'Yes.',
        },
      ],
    }),
  );
  await chooseRows(page, 'many.jsonl', [...many, '{"messages": [']);
  await page.getByTestId('leave-out').click();
  await page.getByTestId('open-room').click();
  const room = page.getByTestId('data-room');
  const rows = room.getByTestId('row-table').locator('tbody tr');
  await expect(rows).toHaveCount(25);
  await expect(room.getByTestId('row-count')).toContainText('61 rows');

  await room.getByTestId('row-search').fill('question 42');
  await expect(rows).toHaveCount(1);
  await rows.first().click();
  await expect(room.getByTestId('row-detail')).toContainText('Line 42');
  await expect(room.getByTestId('row-detail')).toContainText('longer');
  await room.getByTestId('row-search').fill('nothing like it');
  await expect(room.getByTestId('row-count')).toContainText('No row fits');
  await room.getByRole('button', { name: 'Show all' }).click();
  await expect(rows).toHaveCount(25);

  await room.getByRole('button', { name: 'Tokens', exact: true }).click();
  await expect(rows.first()).toContainText('Question 42');
  await expect(room.getByRole('columnheader', { name: 'Tokens' })).toHaveAttribute('aria-sort', 'descending');
  await room.getByTestId('row-use').selectOption('unused');
  await expect(rows).toHaveCount(1);
  await expect(rows.first()).toContainText('Invalid JSON');
  await room.getByTestId('row-use').selectOption('');
  await room.getByTestId('row-code').selectOption('invalid_json');
  await expect(rows).toHaveCount(1);

  await room.getByTestId('row-line').fill('57');
  await room.getByRole('button', { name: 'Go' }).click();
  await expect(room.getByTestId('row-detail')).toContainText('Line 57');
  await expect(rows.locator('[aria-pressed="true"]')).toHaveText(/57/);
  await expect(room.getByTestId('row-count')).toContainText('51 to 61 shown');
});

test('a token tells its id under the pointer and under the arrow keys', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await page.getByTestId('open-rows').click();
  const first = page.getByTestId('row-previews').locator('li').first();
  await first.locator('.token').nth(3).hover();
  await expect(first.getByTestId('token-about')).toContainText(/id \d+ · /);
  const told = await first.getByTestId('token-about').textContent();
  await page.mouse.move(0, 0);
  await first.getByRole('group').focus();
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
  await expect(first.getByTestId('token-about')).toHaveText(told ?? '');
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowLeft');
  await expect(first.getByTestId('token-about')).toContainText('control token, learned');
});

test('the sections are sound at every width and for axe, and reached by keyboard', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, `${'long-name-'.repeat(12)}.jsonl`, [
    ...broken,
    `{"messages": [{"role": "${'x'.repeat(200)}`,
  ]);
  await page.getByTestId('leave-out').click();
  await page.getByTestId('open-room').click();
  const room = page.getByTestId('data-room');
  await expect(room.getByTestId('row-table')).toBeVisible();
  await shots(page, 'room-rows');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  for (const line of [1, 13]) {
    await room.getByTestId('row-line').fill(String(line));
    await room.getByRole('button', { name: 'Go' }).click();
    await expect(room.getByTestId('row-detail')).toBeVisible();
    await shots(page, `room-row-${line}`);
    expect(await layoutFaults(page)).toEqual([]);
    expect(await accessibilityFaults(page)).toEqual([]);
  }
  const sections = await room.getByRole('tab').all();
  await room.getByRole('tab', { selected: true }).focus();
  for (const [i, tab] of sections.entries()) {
    if (i > 0) await page.keyboard.press('ArrowRight');
    await expect(tab).toHaveAttribute('aria-selected', 'true');
    await expect(tab).toBeFocused();
    await shots(page, `room-section-${i}`);
    expect(await layoutFaults(page)).toEqual([]);
    expect(await accessibilityFaults(page)).toEqual([]);
  }
});
