// One run made twice, on the page (Chromium, wasm) and by the command line (Node, wasm): equal losses bit for bit, equal record, equal answer.
// Not here: the same without a browser (test/pageAndCli.test.ts).

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import type { MetricPoint } from '../src/contract';
import type { Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { readMetricPoints, readRunRecord } from '../src/session/results';
import {
  ask,
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

const PROMPT = 'The soup was cold.';
const settings = { num_train_epochs: 2, learning_rate: 0.01, batch_size: 4, seed: 7 } as const;

const scratch = mkdtempSync(path.join(tmpdir(), 'e2e-page-and-cli-'));
test.afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const cli = async (...args: string[]) =>
  (await promisify(execFile)(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args])).stdout;

/** All numbers but clock and speed. */
const numbers = (points: readonly MetricPoint[]) =>
  points
    .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
    .map(({ elapsedMs, ...point }) => point);

test('wasm: the page and the command line make the same run', async ({ page }) => {
  test.setTimeout(480_000);
  const lines = sampleRows('sentiment-label.jsonl', 40);
  await open(page, 'wasm');
  await chooseModelFolder(page, tinyModelFolder());
  await chooseRows(page, 'reviews.jsonl', lines);
  await expect(page.getByTestId('split')).toBeVisible();
  for (const [name, value] of Object.entries(settings)) {
    await setSetting(page, name as keyof Hyperparameters, value);
  }
  await startTraining(page);
  await waitForState(page, 'finished', 240_000);
  const which = (await page.getByTestId('use-last').count()) > 0 ? 'last' : 'best';
  if (which === 'last') await page.getByTestId('use-last').click();
  await ask(page, PROMPT);
  const answer = (await page.getByTestId('text-tuned').first().textContent()) ?? '';
  const waiting = page.waitForEvent('download');
  await page.getByTestId('export').click();
  const files = unzipSync(new Uint8Array(readFileSync(await (await waiting).path())));
  const text = (name: string) => new TextDecoder().decode(files[name]);
  const record = readRunRecord(text('run.json'));

  const rows = path.join(scratch, 'reviews.jsonl');
  const out = path.join(scratch, 'run');
  writeFileSync(rows, `${lines.join('\n')}\n`);
  const given = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await cli(
    ...['train', '--model', tinyModelFolder(), '--data', rows, '--out', out],
    ...['--weights', record.weights ?? 'last', ...given],
  );
  const fromCli = readRunRecord(readFileSync(path.join(out, 'run.json'), 'utf8'));

  const points = numbers(readMetricPoints(text('metrics.jsonl')));
  expect(points.length).toBeGreaterThan(40);
  expect(points).toEqual(numbers(readMetricPoints(readFileSync(path.join(out, 'metrics.jsonl'), 'utf8'))));
  /** An event file is named by the start and the identity of its run. */
  const same = ({ config: { runId, startedAt, ...config }, files: names, ...rest }: typeof record) => ({
    ...rest,
    config,
    files: names.map((name) => name.replace(/(?<=tfevents\.)\d+\.[0-9a-f]+/, 'START.RUN')),
  });
  expect(same(record)).toEqual(same(fromCli));
  const asked = JSON.parse(
    await cli(
      ...['generate', '--model', tinyModelFolder(), '--adapter', out],
      ...['--prompt', PROMPT, '--json'],
    ),
  ) as { text: string };
  expect(answer).toBe(asked.text);
});
