// The command `sweep` as a process on a tiny model: its table, its folders, sweep.json, a stop in its middle, and wrong calls.
// Not here: plan, comparison and sentences (sweep.test.ts), one run's files (cli.test.ts).
// Run: npx vitest run --project node test/sweepCli.test.ts

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { RunSummary } from '../src/contract';
import { house } from '../src/launch/prerequisites.mjs';
import type { SweepEntry } from '../src/metrics/sweepEntry';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-sweep-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string) => path.join(scratch, name);

function run(args: readonly string[], onError: (text: string, child: ChildProcess) => void = () => {}) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], { cwd: scratch });
    const finished = { out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
      onError(finished.err, child);
    });
    child.on('close', (code) => resolve({ ...finished, code }));
  });
}
const data = ['--model', model, '--data', path.join(model, 'rows.jsonl'), '--validation_fraction', '0.3'];
interface Written {
  setting: string;
  values: number[];
  sentence: string;
  runs: (SweepEntry & { folder: string | null })[];
}
const written = (out: string) => JSON.parse(readFileSync(path.join(out, 'sweep.json'), 'utf8')) as Written;

describe('sweep', { timeout: 180_000 }, () => {
  test('writes each run into its folder, a table, and a sentence about the rows', async () => {
    const out = place('rows');
    const {
      code,
      out: printed,
      err,
    } = await run(['sweep', ...data, '--out', out, '--preset', 'more_rows', '--batch_size', '2']);
    expect(err).not.toContain('error:');
    expect(code).toBe(0);
    const record = written(out);
    expect(record).toMatchObject({ setting: 'train_fraction', values: [0.12, 0.25, 0.5, 1] });
    expect(record.runs.map((r) => r.trainRows)).toEqual([1, 2, 4, 8]);
    const lines = printed.trim().split('\n');
    expect(lines[0]).toMatch(/^Training rows used +Training rows +Epochs/);
    expect(lines[1]).toMatch(/^0\.12 +1 .*finished$/);
    expect(lines.at(-1)).toBe(record.sentence);
    expect(record.sentence).toMatch(/^From 4 to 8 training rows the lowest validation loss (fell|rose) by/);
    for (const { folder, best } of record.runs) {
      const summary = JSON.parse(
        readFileSync(path.join(out, folder as string, 'run.json'), 'utf8'),
      ) as RunSummary;
      expect(summary.best?.loss).toBe(best?.loss);
      expect(summary.config.sweep?.values).toEqual(record.values);
      expect(readdirSync(path.join(out, folder as string))).toEqual(
        expect.arrayContaining(['adapter_config.json', 'metrics.csv']),
      );
    }
    const again = await run(['sweep', ...data, '--out', out, '--preset', 'more_rows']);
    expect([again.code, again.err.includes('--overwrite')]).toEqual([1, true]);
  });

  test('stops with the run that goes on, keeps it, and starts no other', async () => {
    const out = place('stopped');
    let sent = false;
    const settings = [
      '--num_train_epochs',
      '200',
      '--learning_rate',
      '1e-3,1e-2,2e-2',
      '--save_seconds',
      '0.01',
    ];
    const { code, out: printed } = await run(['sweep', ...data, '--out', out, ...settings], (text, child) => {
      // The first run has begun when its folder is there.
      if (sent || !text.includes('in all.')) return;
      sent = true;
      const wait = setInterval(() => {
        if (!existsSync(path.join(out, 'learning_rate-0.001', 'checkpoint.safetensors'))) return;
        clearInterval(wait);
        child.kill('SIGTERM');
      }, 5);
    });
    expect(code).toBe(143);
    expect(written(out).runs.map((r) => r.state)).toEqual(['stopped', 'not_started', 'not_started']);
    expect(printed).toContain('Stopped before its end: 1e-3. Not started: 0.01 and 0.02.');
    expect(existsSync(path.join(out, 'learning_rate-0.001', 'adapter_config.json'))).toBe(true);
    expect(existsSync(path.join(out, 'learning_rate-0.01'))).toBe(false);
  });

  test.each([
    [['--learning_rate', '1e-3'], 'needs a setting with several values'],
    [['--learning_rate', '1e-3,1e-2', '--lora_r', '2,4'], '--learning_rate and --lora_r have several values'],
    [['--preset', 'more_rows', '--lora_r', '2,4'], 'are two sweeps'],
    [['--lora_r', '2,x'], '“x” is no value of LoRA rank (r).'],
    [['--max_length', '64,128'], 'Longest row cannot be swept'],
  ])('is refused for %j', async (more, sentence) => {
    const { code, err } = await run(['sweep', ...data, '--out', place('none'), ...more]);
    expect(err).toContain(sentence);
    expect(code).toBe(2);
    expect(existsSync(place('none'))).toBe(false);
  });
});
