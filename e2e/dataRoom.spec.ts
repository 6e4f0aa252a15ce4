// The data room: every row found, opened and mended; what is told of the rows; at five widths, in both schemes, by keyboard.
// Not here: reading files (test/), training on them (train.spec.ts).

import { readFileSync } from 'node:fs';
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

test('a row is edited with its problems said while it is typed, undone, and kept over a reload', async ({
  page,
}) => {
  await open(page, 'wasm');
  await chooseRows(page, 'rows.jsonl', broken);
  await page.getByTestId('problem-invalid_json').getByRole('button', { name: 'Go to line 13' }).click();
  const room = page.getByTestId('data-room');
  await expect(room.getByTestId('row-detail')).toContainText('not used');
  await room.getByTestId('edit-row').click();

  const json = room.getByTestId('row-json');
  await expect(json).toHaveValue('{"messages": [');
  await expect(room.getByTestId('row-problems')).toContainText('“[”');
  await expect(room.getByTestId('save-row')).toBeDisabled();
  await json.fill(
    '{"messages": [{"role": "captain", "content": "Ahoy"}, {"role": "assistant", "content": "Ahoy!"}]}',
  );
  await expect(room.getByTestId('row-problems')).toContainText('captain');
  await room.getByTestId('as-fields').click();
  await room.getByTestId('role-0').selectOption('user');
  await room.getByTestId('message-1').fill('Ahoy, sailor of the seven seas!');
  await expect(room.getByTestId('row-problems')).toContainText(/\d+ tokens, \d+ learned/);
  await shots(page, 'room-editor');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  await room.getByTestId('save-row').click();
  await expect(room.getByTestId('row-detail')).toContainText('Line 13');
  await expect(room.getByTestId('edit-row')).toBeFocused();
  await expect(room.getByTestId('row-detail')).toContainText('seven');
  await expect(room.getByTestId('row-count')).toContainText('14 rows');

  await room.getByTestId('undo').click();
  await expect(room.getByTestId('row-detail')).toContainText('not used');
  await room.getByTestId('edit-row').click();
  await room.getByTestId('remove-row').click();
  await expect(room.getByTestId('row-count')).toContainText('13 rows');
  await room.getByTestId('add-row').click();
  await room.getByTestId('message-0').fill('Who is new?');
  await expect(room.getByTestId('save-row')).toBeDisabled();
  await room.getByTestId('message-1').fill('This row is.');
  await room.getByTestId('save-row').click();
  await expect(room.getByTestId('row-detail')).toContainText('Line 14');
  await room.getByRole('button', { name: 'Close', exact: true }).click();
  await expect(page.getByTestId('data-panel')).toContainText('rows-edited.jsonl');

  // What is kept is written a moment after it has changed.
  await page.waitForTimeout(600);
  await page.reload();
  await expect(page.getByTestId('data-panel')).toContainText('rows-edited.jsonl');
  await expect(page.getByTestId('data-panel')).toContainText('14 rows', { timeout: 120_000 });
});

test('mends are shown before and after, refused for a row and for all, undone, kept and saved', async ({
  page,
}) => {
  await open(page, 'wasm');
  const rows = sampleRows('twelve-rows.jsonl').map((row, i) => (i < 5 ? `${row},` : row));
  await chooseRows(page, 'commas.jsonl', rows);
  await expect(page.getByTestId('split')).toBeVisible();
  await page.getByTestId('mends-line').getByRole('button').click();
  const room = page.getByTestId('data-room');
  const mend = room.getByTestId('mend-trailing_comma');
  await expect(mend).toContainText('5 rows mended');
  await expect(mend.locator('del').first()).toHaveText(',');
  await mend.getByRole('button', { name: /^Show more/ }).click();
  await expect(mend.locator('del')).toHaveCount(5);

  await mend.getByRole('button', { name: 'Leave line 2 as it is' }).click();
  await expect(mend).toContainText('4 of 5 rows mended');
  await expect(room.getByTestId('problem-invalid_json')).toContainText('line 2');
  await mend.getByRole('button', { name: 'Leave all as they are' }).click();
  await expect(mend).toContainText('0 of 5 rows mended');
  await shots(page, 'room-mends');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  await room.getByTestId('undo').click();
  await expect(mend).toContainText('4 of 5 rows mended');
  await page.waitForTimeout(600);
  await page.reload();
  await page.getByTestId('mends-line').getByRole('button').click({ timeout: 120_000 });
  await expect(mend).toContainText('4 of 5 rows mended');
  await mend.getByRole('button', { name: 'Mend all 5' }).click();
  await expect(mend).toContainText('5 rows mended');

  const waiting = page.waitForEvent('download');
  await room.getByTestId('save-mended').click();
  const saved = await waiting;
  expect(saved.suggestedFilename()).toBe('commas-mended.jsonl');
  const text = readFileSync(await saved.path(), 'utf8');
  expect(text.trimEnd().split('\n')).toEqual(sampleRows('twelve-rows.jsonl'));
});

test('the columns of a table are chosen where their names do not tell', async ({ page }) => {
  await open(page, 'wasm');
  const table = [
    'colour;said;heard',
    ...Array.from({ length: 12 }, (_, i) => `c${i};Answer number ${i};Question number ${i}?`),
  ];
  await chooseRows(page, 'table.csv', table);
  await page.getByTestId('choose-columns').click();
  const room = page.getByTestId('data-room');
  await room.getByTestId('column-2').selectOption('user');
  await expect(room.getByTestId('use-columns')).toBeDisabled();
  await room.getByTestId('column-1').selectOption('assistant');
  await shots(page, 'room-columns');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  await room.getByTestId('use-columns').click();
  await expect(room.getByTestId('columns-understood')).toContainText('12 rows');
  await room.getByTestId('section-rows').click();
  await expect(room.getByTestId('row-table').locator('tbody tr').first()).toContainText('Question number 0?');
  await room.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByTestId('change-columns').click();
  await expect(room.getByTestId('column-1')).toHaveValue('assistant');
});

test('the numbers tell lengths with the cut, copies side by side, labels and what looks private', async ({
  page,
}) => {
  await open(page, 'wasm');
  const row = (question: string, answer: string) =>
    JSON.stringify({
      messages: [
        { role: 'system', content: 'Answer with one word.' },
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
    });
  const rows = Array.from({ length: 40 }, (_, i) =>
    row(`Is review number ${i} about dish ${'abcdefgh'[i % 8]}${i} good?`, i % 4 === 0 ? 'bad' : 'good'),
  );
  rows.push(row('Write to anna.schmidt@posteo.de today', 'good'), rows[0] ?? '');
  await chooseRows(page, 'labels.jsonl', rows);
  await expect(page.getByTestId('data-panel')).toContainText('rows');
  await page.getByTestId('open-room').click();
  const room = page.getByTestId('data-room');
  await room.getByTestId('section-numbers').click();
  await expect(room.getByTestId('numbers')).toContainText('Learned');
  const lengths = room.getByTestId('length-histogram').locator('svg');
  await expect(lengths).toHaveAttribute('aria-label', /^Rows by length: \d+ to \d+ tokens\.$/);
  await expect(room.getByTestId('labels')).toContainText('good');
  await expect(room.getByTestId('system-prompts')).toContainText('Answer with one word.');
  await expect(room.getByTestId('duplicates').locator('.copy').first()).toBeVisible();
  await expect(room.getByTestId('checks')).toContainText(/e-mail/i);
  await shots(page, 'room-numbers');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  await room.getByTestId('checks').getByRole('button', { name: 'Go to line 41' }).first().click();
  await expect(room.getByTestId('row-detail')).toContainText('Line 41');

  await room.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByRole('button', { name: 'Other data' }).click();
  await chooseRows(page, 'long.jsonl', [...rows, row('Is the tale long?', 'a long tale '.repeat(300))]);
  await page.getByTestId('open-room').click();
  await room.getByTestId('section-numbers').click();
  await expect(lengths).toHaveAttribute('aria-label', /1 row longer than \d+ tokens loses its end/);
  await expect(lengths.locator('.cut')).toHaveCount(1);
  await expect(room.getByTestId('length-histogram').getByText(/^cut at \d+$/)).toBeVisible();
  await shots(page, 'room-numbers-cut');
});

test('rows are kept aside for the test, and a file of one’s own is held out, also after a reload', async ({
  page,
}) => {
  await open(page, 'wasm');
  const rows = sampleRows('sentiment-label.jsonl', 60);
  await chooseRows(page, 'rows.jsonl', rows.slice(0, 40));
  await page.getByTestId('open-room').click();
  const room = page.getByTestId('data-room');
  await room.getByTestId('section-split').click();
  await room.getByTestId('setting-test_fraction').locator('input.input').fill('0.2');
  await expect(room.getByTestId('test-sentence')).toContainText('test rows');
  const buffer = Buffer.from(rows.slice(40).join('\n'));
  await room
    .getByTestId('file-validation')
    .setInputFiles({ name: 'mine.jsonl', mimeType: 'application/jsonl', buffer });
  await expect(room.getByTestId('beside-validation')).toContainText('mine.jsonl');
  await expect(room.getByTestId('split-section')).toContainText('20 held out');
  await shots(page, 'room-split');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
  await room.getByTestId('section-rows').click();
  await room.getByTestId('row-use').selectOption('test');
  await expect(room.getByTestId('row-count')).toContainText(/\d+ rows found/);
  await room.getByTestId('row-use').selectOption('validation');
  await expect(room.getByTestId('row-table')).toContainText('validation file');
  await room.getByTestId('row-table').locator('tbody tr').first().click();
  await expect(room.getByTestId('row-detail')).toContainText('of the validation file');
  await expect(room.getByTestId('edit-row')).toBeHidden();
  await page.waitForTimeout(600);
  await page.reload();
  await expect(page.getByTestId('split')).toContainText('20 held out', { timeout: 120_000 });
  await page.getByTestId('open-room').click();
  await room.getByTestId('section-split').click();
  await room.getByTestId('beside-validation').getByRole('button', { name: 'Without it' }).click();
  await expect(room.getByTestId('split-section')).not.toContainText('20 held out');
});

test('after a run, tokens show their loss before and after, and rows are sorted by it', async ({ page }) => {
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'rows.jsonl', sampleRows('twelve-rows.jsonl'));
  await page.getByTestId('open-room').click();
  const room = page.getByTestId('data-room');
  await expect(room.getByTestId('row-table')).toBeVisible();
  await expect(room.getByTestId('measure-rows')).toBeHidden();
  await room.getByRole('button', { name: 'Close', exact: true }).click();
  await setSetting(page, 'method', 'full');
  await setSetting(page, 'learning_rate', 0.01);
  await setSetting(page, 'num_train_epochs', 10);
  await startTraining(page);
  await waitForState(page, 'finished', 60_000);

  await page.getByTestId('open-room').click();
  await room.getByTestId('row-table').locator('tbody tr').first().click();
  await expect(room.getByTestId('loss-scale')).toBeVisible();
  const row = room.getByTestId('row-detail');
  await expect(row.locator('.turn .token[data-level]')).not.toHaveCount(0);
  await row.getByTestId('losses-before').click();
  const text = (await row.getByTestId('row-loss').textContent()) ?? '';
  const [before = 0, after = 0] = (text.match(/\d+\.\d+/g) ?? []).map(Number);
  expect(after).toBeLessThan(before);
  await row.locator('.turn .token[data-level]').first().hover();
  await expect(row.getByTestId('token-about')).toContainText(/loss \d/);
  await shots(page, 'room-losses');
  expect(await layoutFaults(page)).toEqual([]);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await accessibilityFaults(page)).toEqual([]);
  }
  await page.emulateMedia({ forcedColors: 'active' });
  await shots(page, 'room-losses-forced');
  await page.emulateMedia({ forcedColors: 'none' });

  await room.getByTestId('measure-rows').click();
  const losses = room.getByTestId('row-table').locator('tbody td.loss');
  await expect(losses).toHaveCount(12);
  const values = async () => (await losses.allTextContents()).map((cell) => Number.parseFloat(cell));
  const falling = await values();
  expect(falling).toEqual([...falling].sort((a, b) => b - a));
  await room.getByRole('button', { name: 'Loss', exact: true }).click();
  await expect(room.getByRole('columnheader', { name: 'Loss' })).toHaveAttribute('aria-sort', 'ascending');
  await expect.poll(values).toEqual([...falling].sort((a, b) => a - b));
  await shots(page, 'room-by-loss');
  expect(await layoutFaults(page)).toEqual([]);
  expect(await accessibilityFaults(page)).toEqual([]);
});

test('a large file is read with progress, and that can be ended', async ({ page }) => {
  await open(page, 'wasm');
  const line = (i: number) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Question number ${i} about ${'something long '.repeat(10)}` },
        { role: 'assistant', content: `Answer ${i}` },
      ],
    });
  await chooseRows(
    page,
    'large.jsonl',
    Array.from({ length: 60_000 }, (_, i) => line(i)),
  );
  await expect(page.getByTestId('reading-progress')).toContainText(/(read|rows made into tokens)/);
  await expect(page.getByTestId('train')).toBeDisabled();
  await page.getByTestId('cancel-reading').click();
  await expect(page.getByTestId('drop-zone')).toBeVisible();
  await chooseRows(page, 'small.jsonl', sampleRows('twelve-rows.jsonl'));
  await expect(page.getByTestId('split')).toContainText('10 to train on');
});

test('5,000 like faults are one line, which leads to their rows', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'faults.jsonl', [
    ...sampleRows('twelve-rows.jsonl'),
    ...Array<string>(5000).fill('{}'),
  ]);
  const fault = page.getByTestId('problem-missing_messages_list');
  await expect(fault).toContainText('5,000 rows');
  await expect(page.getByTestId('problems').locator('details')).toHaveCount(1);
  await fault.getByTestId('rows-missing_messages_list').click();
  await expect(page.getByTestId('row-count')).toContainText('5,000 rows found');
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
    if ((await tab.getAttribute('data-testid')) === 'section-numbers')
      await expect(room.getByTestId('numbers')).toBeVisible();
    await shots(page, `room-section-${i}`);
    expect(await layoutFaults(page)).toEqual([]);
    expect(await accessibilityFaults(page)).toEqual([]);
  }
});
