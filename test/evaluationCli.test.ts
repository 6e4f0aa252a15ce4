// `evaluate --check`: the same evaluation as the page's, as one JSON object; the record of the run notes looks at its test rows.
// Not here: the checks (checks.test.ts), the order of an evaluation (evaluation.test.ts).
// Run: npx vitest run --project node test/evaluationCli.test.ts

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnswerEvaluation } from '../src/evaluationContract';
import { house } from '../src/launch/prerequisites.mjs';
import type { RunRecord } from '../src/session/results';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'evaluation-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string) => path.join(scratch, name);

function cli(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, XDG_CACHE_HOME: place('cache') };
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], {
      cwd: scratch,
      env,
    });
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

describe('evaluate --check', { timeout: 120_000 }, () => {
  const rows = place('rows.jsonl');
  const side = ['--seed', '7', '--test_fraction', '0.2'];
  const base = ['--model', model, '--data', rows, ...side];
  const adapted = ['--adapter', place('adapter'), ...base];
  beforeAll(async () => {
    const text = readFileSync(path.join(model, 'rows.jsonl'), 'utf8');
    writeFileSync(
      rows,
      text.replace(/It is (\w+)\./g, (_, colour: string) => `${colour.toUpperCase()}!`),
    );
    const learn = ['--learning_rate', '0.01', '--num_train_epochs', '6', '--batch_size', '4'];
    const { code, err } = await cli('train', ...base, '--out', place('adapter'), ...learn);
    expect([code, err]).toEqual([0, expect.any(String)]);
  });

  it('asks base and adapter, and says what it came to', async () => {
    const checks = ['--check', 'proposed', '--check', 'regex:{"pattern":"^[A-Z]+!$","whole":true}'];
    const { code, out, err } = await cli(
      'evaluate',
      ...adapted,
      ...checks,
      '--with_train',
      '--max_new_tokens',
      '8',
    );
    expect(code).toBe(0);
    const found = JSON.parse(out) as AnswerEvaluation;
    expect(found.request).toMatchObject({
      split: 'validation',
      trainRows: true,
      settings: { max_new_tokens: 8, seed: 7 },
    });
    expect(found.request.checks).toHaveLength(2);
    expect(found.seen).toBeNull();
    expect(found.rows.some(({ tuned, base: b }) => tuned?.text !== b.text)).toBe(true);
    expect(err).toContain(found.scores.sentence);
    expect(err).toContain(found.scores.memorised as string);
    expect(err).toMatch(
      /The run: .* The answers at step \d+ (are right|pass their checks) on \d+ of \d+ held-out rows/,
    );
  });

  it('counts looks at the test rows, and notes them in the record of the run', async () => {
    const looks: (number | null | undefined)[] = [];
    for (let i = 0; i < 2; i++) {
      const { out, err } = await cli('evaluate', ...adapted, '--check', 'exact', '--split', 'test');
      looks.push((JSON.parse(out) as AnswerEvaluation).test?.looks);
      expect(err.includes('have been looked at 2 times')).toBe(i === 1);
    }
    expect(looks).toEqual([1, 2]);
    const record = JSON.parse(readFileSync(path.join(place('adapter'), 'run.json'), 'utf8')) as RunRecord;
    expect(record.testUses?.map(({ weights }) => weights === 'base')).toEqual([true, false, true, false]);
    const measured = await cli('evaluate', ...base, '--split', 'test');
    expect(record.testUses?.[0]?.loss).toBeCloseTo((JSON.parse(measured.out) as { loss: number }).loss, 6);
  });

  it('says that rows may have been learned from where the split is another', async () => {
    const { out, err } = await cli('evaluate', ...adapted, '--check', 'exact', '--seed=8');
    expect(out).toBe('');
    expect(err).toContain('given twice');
    const other = ['--adapter', place('adapter'), '--model', model, '--data', rows, '--seed', '8'];
    const changed = await cli('evaluate', ...other, '--check', 'exact', '--max_rows', '1');
    expect((JSON.parse(changed.out) as AnswerEvaluation).rows).toHaveLength(1);
    expect(changed.err).toContain('may have learned from some of these rows');
  });

  it.each([
    [['--check', 'exactly'], 1, 'There is no check'],
    [['--check', 'exact', '--split', 'train'], 2, 'held out'],
    [['--check', 'exact', '--max_rows', '0'], 1, 'whole number'],
    [['--check', 'exact', '--max_new_tokens', '0'], 2, 'max_new_tokens must be at least 1'],
  ])('%j is refused', async (args, code, part) => {
    const found = await cli('evaluate', ...base, ...args);
    expect([found.code, found.out]).toEqual([code, '']);
    expect(found.err).toContain(part);
  });
});
