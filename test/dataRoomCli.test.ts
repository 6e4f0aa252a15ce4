// The data room on the command line: files beside the data file, test rows and the note of their use; real processes on a tiny model.
// Not here: the split itself (split.test.ts), the other commands and options (cli.test.ts).
// Run: npx vitest run --project node test/dataRoomCli.test.ts

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { house } from '../src/launch/prerequisites.mjs';
import { type RunRecord, readRunRecord } from '../src/session/results';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'data-room-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string) => path.join(scratch, name);

/** The fixture's rows, of which every command here reads some. */
const all = readFileSync(path.join(model, 'rows.jsonl'), 'utf8').trim().split('\n');
function file(name: string, from: number, to: number, answer?: string): string {
  const lines = all.slice(from, to).map((line) => (answer ? line.replace(/It is \w+\./, answer) : line));
  writeFileSync(place(name), `${lines.join('\n')}\n`);
  return place(name);
}

function cli(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], { cwd: scratch });
    const finished = { code: null as number | null, out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
    });
    child.on('close', (code) => resolve({ ...finished, code }));
  });
}
const recordIn = (folder: string): RunRecord =>
  readRunRecord(readFileSync(path.join(folder, 'run.json'), 'utf8'));

describe('files beside the data file', { timeout: 120_000 }, () => {
  const data = file('rows.jsonl', 0, 8);
  const validation = file('held.jsonl', 8, 10);
  const kept = file('test.jsonl', 10, 12);
  const files = ['--data', data, '--validation', validation, '--test', kept];

  test('give the sides of the split, and a measurement of the test is noted in the record', async () => {
    const out = place('run');
    const trained = await cli('train', '--model', model, ...files, '--out', out, '--num_train_epochs', '2');
    expect(trained.code, trained.err).toBe(0);
    expect(trained.err).toContain('8 rows to train on, 2 to validate with');
    expect(trained.err).toContain('2 test rows (in a file of their own) are kept aside: no run reads them.');
    const { config, testUses } = recordIn(out);
    expect(config).toMatchObject({
      trainRows: 8,
      validationRows: 2,
      test: { rows: 2, from: 'file' },
      beside: [
        { use: 'validation', name: 'held.jsonl' },
        { use: 'test', name: 'test.jsonl' },
      ],
    });
    expect(testUses).toBeUndefined();

    // What is not asked for by name does not read them.
    const evaluate = (...more: string[]) =>
      cli('evaluate', '--model', model, '--adapter', out, ...(more.includes('--data') ? [] : files), ...more);
    const others = await evaluate();
    expect(JSON.parse(others.out).rows).toHaveLength(10);
    expect(recordIn(out).testUses).toBeUndefined();

    const measured = await evaluate('--split', 'test');
    expect(measured.code, measured.err).toBe(0);
    expect(measured.err).toContain('the first measurement of these test rows');
    const printed = JSON.parse(measured.out);
    expect(printed.rows.map((r: { line: number; file: string }) => [r.line, r.file])).toEqual([
      [1, 'test'],
      [2, 'test'],
    ]);
    expect(recordIn(out).testUses).toEqual([
      {
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        weights: recordIn(out).weights,
        loss: printed.loss,
        standardError: printed.loss_standard_error,
        meanTokenAccuracy: printed.mean_token_accuracy,
        bitsPerByte: printed.bits_per_byte,
        rows: 2,
      },
    ]);
    expect((await evaluate('--split', 'test')).err).toContain('measurement 2 of these test rows');
    expect(recordIn(out).testUses).toHaveLength(2);

    const other = file('other.jsonl', 9, 12, 'No.');
    const warned = await evaluate('--split', 'test', '--data', data, '--test', other);
    expect(warned.code).toBe(0);
    expect(warned.err).toContain('These are not the test rows that the run in');
    expect(recordIn(out).testUses).toHaveLength(2);
  });

  test('are shown by inspect, side by side', async () => {
    const sides = async (...more: string[]) => {
      const { code, out, err } = await cli('inspect', '--model', model, ...more);
      expect(code, err).toBe(0);
      return out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(
          (r: { file?: string; line: number; split: string }) => `${r.file ?? 'data'} ${r.line} ${r.split}`,
        );
    };
    expect(await sides(...files)).toEqual([
      ...Array.from({ length: 8 }, (_, i) => `data ${i + 1} train`),
      'validation 1 validation',
      'validation 2 validation',
    ]);
    expect(await sides(...files, '--split', 'test')).toEqual(['test 1 test', 'test 2 test']);
  });

  test('that cannot be read, or a test that is not there, end in their sentence', async () => {
    writeFileSync(place('empty.jsonl'), '');
    const empty = await cli('inspect', '--model', model, '--data', data, '--test', place('empty.jsonl'));
    expect(empty).toMatchObject({ code: 1, out: '' });
    expect(empty.err).toContain('where: empty.jsonl');
    const missing = await cli('evaluate', '--model', model, '--data', data, '--split', 'test');
    expect(missing).toMatchObject({ code: 1, out: '' });
    expect(missing.err).toContain('There are no test rows.');
    const share = await cli(
      ...['inspect', '--model', model, '--data', data, '--validation', validation],
      ...['--validation_fraction', '0.3'],
    );
    expect(share.err).toContain('--validation_fraction has no effect beside --validation');
  });
});

test('inspect --statistics prints a table in place of the rows', { timeout: 60_000 }, async () => {
  const data = file('described.jsonl', 0, 12);
  const { code, out, err } = await cli('inspect', '--model', model, '--data', data, '--statistics');
  expect(code, err).toBe(0);
  expect(out).toMatch(/^Rows +12 \(10 train, 2 validation\)\n/);
  expect(out).toMatch(
    /\nChecks\n(.*\n)*? {2}ok {7}Secret keys: No row holds what looks like a secret key\.\n/,
  );
  expect(out).not.toContain('"ids"');
});

test('train --folds says what each fold gave, and puts it into the record', { timeout: 60_000 }, async () => {
  const out = place('folds');
  const data = file('folded.jsonl', 0, 12);
  const { code, err } = await cli(
    ...['train', '--model', model, '--data', data, '--out', out],
    ...['--folds', '3', '--num_train_epochs', '2'],
  );
  expect(code, err).toBe(0);
  for (const number of [1, 2, 3])
    expect(err).toContain(`Fold ${number} of 3: 4 rows held out; validation loss `);
  expect(err).toMatch(
    /Cross-validation over 3 folds: validation loss \d\.\d{3} ± \d\.\d{3} at the best step/,
  );
  expect(recordIn(out).crossValidation).toMatchObject({
    of: 3,
    failed: [],
    folds: [{ fold: 1 }, { fold: 2 }, { fold: 3 }],
  });
  const refused = await cli(
    ...[
      'train',
      '--model',
      model,
      '--data',
      data,
      '--validation',
      data,
      '--out',
      place('none'),
      '--folds',
      '3',
    ],
  );
  expect(refused.code).toBe(1);
  expect(refused.err).toContain('Set folds to 1');
});
