// Words for what a person does with the page, shared by the end-to-end tests.
// Not here: what should come of it (the tests say that).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, type ConsoleMessage, expect, type Page } from '@playwright/test';
import type { MetricName } from '../src/contract';
import type { HyperparameterName, Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';

export { expect };

/** Loading, self-test and shader compilation on a software adapter, with other work on the machine. */
const slow = { timeout: 240_000 };

/** The served page; `below` is the same build under a sub-path. */
export function siteAddress(place: 'root' | 'below' = 'root'): string {
  const address = process.env[place === 'root' ? 'E2E_SITE' : 'E2E_SITE_BELOW'];
  if (address === undefined || address === '') throw new Error('site.ts has not served the page.');
  return address;
}

/** The folder of the test-size model that site.ts has written. */
export function tinyModelFolder(): string {
  return path.join(house, 'node_modules', '.cache', 'tiny-llama');
}

/** The rows of a sample data set, as text. */
export function sampleRows(file: string, count = Number.POSITIVE_INFINITY): string[] {
  const text = readFileSync(path.join(house, 'public', 'datasets', file), 'utf8');
  return text.trimEnd().split('\n').slice(0, count);
}

/** Everything the page complained about while the test ran. */
export class Complaints {
  all: string[] = [];

  constructor(page: Page) {
    page.on('console', (message: ConsoleMessage) => {
      if (message.type() === 'error') this.all.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.all.push(`uncaught: ${error.stack ?? error.message}`));
    page.on('response', (response) => {
      // A model folder may lack these; asking is how the reader finds out.
      if (/\/(chat_template\.jinja|model\.safetensors\.index\.json)$/.test(new URL(response.url()).pathname))
        return;
      if (response.status() >= 400) this.all.push(`${response.status()} for ${response.url()}`);
    });
  }
}

/** A test whose page must not complain: a console error, an uncaught one or a missing file fails it. */
export const test = base.extend<{ complaints: Complaints }>({
  complaints: [
    async ({ page }, use) => {
      const complaints = new Complaints(page);
      await use(complaints);
      expect(complaints.all).toEqual([]);
    },
    { auto: true },
  ],
});

/** Opens the page on a named backend and waits for the device and the first model of the catalogue. */
export async function open(
  page: Page,
  backend: 'webgpu' | 'wasm',
  place: 'root' | 'below' = 'root',
): Promise<void> {
  await page.goto(`${siteAddress(place)}?backend=${backend}`);
  await expect(page.getByTestId('device-badge')).toContainText(
    backend === 'webgpu' ? 'WebGPU' : 'WebAssembly',
    slow,
  );
  await expect(page.getByTestId('model-loaded')).toBeVisible(slow);
}

/** Takes a model folder of the visitor's own. */
export async function chooseModelFolder(page: Page, folder: string): Promise<void> {
  const panel = page.getByTestId('model-panel');
  await panel.getByRole('button', { name: 'Change' }).click();
  await panel.getByTestId('model-folder').setInputFiles(folder);
  await expect(page.getByTestId('model-loaded')).toContainText(path.basename(folder), slow);
}

/** Chooses a data file with these lines. */
export async function chooseRows(page: Page, name: string, lines: string[]): Promise<void> {
  const buffer = Buffer.from(`${lines.join('\n')}\n`);
  await page.getByTestId('data-file').setInputFiles({ name, mimeType: 'application/jsonl', buffer });
}

/** Sets one hyperparameter in the form. */
export async function setSetting<K extends HyperparameterName>(
  page: Page,
  name: K,
  value: Hyperparameters[K],
): Promise<void> {
  const field = page.getByTestId(`setting-${name}`);
  // Settings lie in groups that are closed at first.
  for (const group of await page.locator('[data-testid^="settings-"]').all()) {
    if ((await group.getAttribute('open')) === null) await group.locator('summary').click();
  }
  const radio = field.locator(`input[type=radio][value="${value}"]`);
  if ((await radio.count()) > 0) await radio.check({ force: true });
  else if (typeof value === 'boolean') await field.locator('input').setChecked(value);
  else if ((await field.locator('select').count()) > 0)
    await field.locator('select').selectOption(String(value));
  else await field.locator('input.input').fill(String(value));
}

/** Presses Train and waits until the first update has happened. */
export async function startTraining(page: Page): Promise<void> {
  await expect(page.getByTestId('train')).toBeEnabled(slow);
  await page.getByTestId('train').click();
  await expect(page.getByTestId('step-count')).toHaveText(/step [1-9]/, slow);
}

/** Waits until the run has ended by itself or was stopped. */
export async function waitForState(
  page: Page,
  state: 'finished' | 'stopped' | 'paused',
  timeout: number,
): Promise<void> {
  await expect(page.getByTestId('train-panel')).toHaveAttribute('data-state', state, { timeout });
}

export interface CurveValue {
  step: number;
  value: number;
}

/** The curves as the page saves them: the CSV file, by column. */
export async function readCurves(page: Page): Promise<Record<MetricName, CurveValue[]>> {
  const waiting = page.waitForEvent('download');
  await page.getByTestId('chart-csv').click();
  const [head = '', ...lines] = readFileSync(await (await waiting).path(), 'utf8')
    .trimEnd()
    .split('\n');
  const columns = head.split(',');
  const curves = Object.fromEntries(columns.map((column) => [column, [] as CurveValue[]]));
  for (const line of lines) {
    const cells = line.split(',');
    cells.forEach((cell, i) => {
      if (cell !== '') curves[columns[i] ?? '']?.push({ step: Number(cells[0]), value: Number(cell) });
    });
  }
  return curves as Record<MetricName, CurveValue[]>;
}

/** Asks both models and waits until both have answered. */
export async function ask(page: Page, prompt: string): Promise<void> {
  await page.getByTestId('prompt').fill(prompt);
  await page.getByTestId('ask').click();
  for (const which of ['base', 'tuned']) {
    const answer = page.getByTestId('exchanges').locator('li').first().getByTestId(`answer-${which}`);
    await expect(answer).toHaveAttribute('data-state', 'done', slow);
  }
}

/** Faults that axe finds on the page as it stands, in words. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help} at ${node.target.join(' ')}`),
  );
}

interface TraceEvent {
  name: string;
  ph: string;
  tid: number;
  pid: number;
  /** When it began, on the clock, in microseconds. */
  ts: number;
  /** CPU time of the thread, in microseconds. */
  tdur?: number;
  args?: { name?: string };
}

/**
 * The longest task of the page's main thread while `work` goes on, in milliseconds of CPU time: on a shared machine the
 * wall clock (which the long-task API reads) counts what other programs did meanwhile.
 */
export async function longestMainThreadTask(page: Page, work: () => Promise<void>): Promise<number> {
  const browser = page.context().browser();
  if (browser === null) throw new Error('The page has no browser to trace.');
  await browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
  const began = performance.now();
  await work();
  const workedMs = performance.now() - began;
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: TraceEvent[];
  };
  const threads = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid}/${tid}`),
  );
  const tasks = traceEvents.filter(
    ({ name, ph, pid, tid }) => ph === 'X' && name.endsWith('RunTask') && threads.has(`${pid}/${tid}`),
  );
  if (tasks.length === 0) throw new Error('The trace names no task of the main thread.');
  // A full buffer of the browser drops what comes later.
  const starts = tasks.map(({ ts }) => ts).sort((a, b) => a - b);
  const tracedMs = ((starts.at(-1) ?? 0) - (starts[0] ?? 0)) / 1000;
  if (tracedMs < 0.5 * workedMs)
    throw new Error(`The trace covers ${tracedMs.toFixed(0)} of ${workedMs.toFixed(0)} ms.`);
  return Math.max(...tasks.map(({ tdur }) => tdur ?? 0)) / 1000;
}
