// Memory that does not suffice, as a person meets it: the page switches checkpointing on by itself, says so, and trains.
// Not here: how the memory is foretold and given back (test/memory.test.ts, test/session.gpu.test.ts).

import { chooseRows, expect, open, sampleRows, setSetting, startTraining, test, waitForState } from './page';

/** Rows of about 200 tokens. */
const longRows = sampleRows('pirate-voice.jsonl', 48).map((row) => {
  const { messages } = JSON.parse(row) as { messages: { role: string; content: string }[] };
  const last = messages.at(-1) as { content: string };
  last.content = Array.from({ length: 6 }, () => last.content)
    .join(' ')
    .slice(0, 900);
  return JSON.stringify({ messages });
});

test('a batch that the engine has no room for is recomputed instead of kept', async ({ page }) => {
  await open(page, 'wasm');
  await chooseRows(page, 'long.jsonl', longRows);
  await expect(page.getByTestId('split')).toBeVisible();
  await setSetting(page, 'batch_size', 24);
  await setSetting(page, 'num_train_epochs', 1);
  await setSetting(page, 'eval_per_epoch', 1);
  await expect(page.getByTestId('memory-estimate')).toContainText('of memory');

  // The engine's memory can grow no further than this, as on a machine that has no more.
  const [engine] = page.workers();
  await engine?.evaluate((limit) => {
    const grow = WebAssembly.Memory.prototype.grow;
    WebAssembly.Memory.prototype.grow = function (pages) {
      if (this.buffer.byteLength + pages * 2 ** 16 > limit) throw new RangeError('Unable to grow memory');
      return grow.call(this, pages);
    };
  }, 130e6);
  await startTraining(page);
  const note = page.getByTestId('checkpointing-note');
  await expect(note).toContainText('Gradient checkpointing is on: the device refused the memory');
  await waitForState(page, 'finished', 60_000);
  await expect(note).toBeVisible();
  await page.getByTestId('run-config').locator('summary').click();
  await expect(page.getByTestId('run-config')).toContainText('When needed: on');
});
