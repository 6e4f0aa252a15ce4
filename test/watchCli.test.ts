// Weights of single steps and pinned prompts on the command line: real processes on a tiny model, the folders they leave, a kill in between.
// Not here: the options of other commands (cli.test.ts), the page (watchRun.test.ts).

import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { house } from '../src/launch/prerequisites.mjs';
import { readRunRecord } from '../src/session/results';
import { killedAtRename } from './killAtRename.mjs';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-watch-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string) => path.join(scratch, name);
const rows = place('rows.jsonl');
// Other answers than the model gives, so that there is something to learn.
writeFileSync(
  rows,
  readFileSync(path.join(model, 'rows.jsonl'), 'utf8').replace(
    /It is (\w+)\./g,
    (_, c: string) => `${c.toUpperCase()}!`,
  ),
);

function run(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const command = [path.join(house, 'src/cli/cli.mjs'), ...args];
    const child = spawn(process.execPath, command, { cwd: scratch, env });
    const finished = { code: null as number | null, out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
    });
    child.on('close', (code) => resolve({ ...finished, code }));
    child.stdin.end('');
  });
}
const PROMPT = 'What colour is lava?';
const trainArgs = (out: string, ...more: string[]) => [
  ...[
    'train',
    '--model',
    model,
    '--data',
    rows,
    '--out',
    out,
    '--learning_rate',
    '0.02',
    '--batch_size',
    '2',
  ],
  ...[
    '--num_train_epochs',
    '5',
    '--save_total_limit',
    '8',
    '--pin',
    PROMPT,
    '--pin',
    'Who are you?',
    ...more,
  ],
];
const folders = (out: string) =>
  readdirSync(out)
    .filter((name) => /^checkpoint-\d+$/.test(name))
    .map((name) => Number(name.slice(11)))
    .sort((a, b) => a - b);
const recordIn = (out: string) => readRunRecord(readFileSync(path.join(out, 'run.json'), 'utf8'));
const weightsOf = (folder: string) => readFileSync(path.join(folder, 'adapter_model.safetensors'));

describe('train', { timeout: 180_000 }, () => {
  const whole = place('whole');

  it('leaves folders of single steps that answer as the run did at that step', async () => {
    const { code, err } = await run(trainArgs(whole));
    expect(err).toContain(`After step`);
    expect(code, err).toBe(0);
    const record = recordIn(whole);
    const { stepsPerEpoch, totalSteps, pinned } = record.config;
    const kept = folders(whole);
    expect(kept.length).toBeLessThanOrEqual(8);
    expect(kept).toEqual(expect.arrayContaining([1, 2, 3, 4, 5].map((e) => e * stepsPerEpoch)));
    if (record.best && record.best.step > 0) expect(kept).toContain(record.best.step);
    expect(readdirSync(whole).filter((name) => name.startsWith('.'))).toEqual([]);

    expect(pinned?.prompts.map((p) => p.prompt)).toEqual([PROMPT, 'Who are you?']);
    const columns = record.pinned ?? [];
    expect(columns[0]?.step).toBe(0);
    expect(columns.at(-1)?.step).toBe(totalSteps);
    const column =
      columns.findLast(({ step }) => step > 0 && step < totalSteps && kept.includes(step)) ?? columns.at(-1);
    const folder = path.join(whole, `checkpoint-${column?.step}`);
    const answered = await run([
      ...['generate', '--model', model, '--adapter', folder, '--prompt', PROMPT, '--json'],
      ...['--max_new_tokens', String(pinned?.maxNewTokens)],
    ]);
    expect(JSON.parse(answered.out)).toMatchObject({ text: column?.answers[0]?.text });
    const config = JSON.parse(readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as object;
    // As seen from the folder of the step.
    expect(config).toMatchObject({ base_model_name_or_path: '../base_model' });
    expect(existsSync(path.join(folder, '../base_model/config.json'))).toBe(true);
  });

  it('goes on after a kill and ends with the same folders and answers', async () => {
    const out = place('killed');
    // Saved whenever nothing is under way, and ended for certain while the fourth is being put in place.
    const killed = await run(
      trainArgs(out, '--save_seconds', '0.000001'),
      killedAtRename(4, 'checkpoint.safetensors'),
    );
    expect(killed.code, killed.err).toBeNull();
    expect(folders(out).length).toBeGreaterThan(0);
    expect(folders(out)).not.toEqual(folders(whole));
    const { code, err } = await run(trainArgs(out, '--resume'));
    expect(code, err).toBe(0);
    expect(folders(out)).toEqual(folders(whole));
    for (const step of folders(out))
      expect(weightsOf(path.join(out, `checkpoint-${step}`))).toEqual(
        weightsOf(path.join(whole, `checkpoint-${step}`)),
      );
    expect(recordIn(out).pinned).toEqual(recordIn(whole).pinned);
  });

  it('replaces the folders of the run before, and no others', async () => {
    const foreign = path.join(whole, 'checkpoint-77');
    mkdirSync(foreign);
    writeFileSync(path.join(foreign, 'adapter_config.json'), '{}');
    const { code, err } = await run([
      ...[
        'train',
        '--model',
        model,
        '--data',
        rows,
        '--out',
        whole,
        '--overwrite',
        '--num_train_epochs',
        '1',
      ],
    ]);
    expect(err).toMatch(/The weights of \d+ steps of the run before .* were deleted/);
    expect(code).toBe(0);
    expect(folders(whole)).toEqual([77]);
    expect(recordIn(whole).pinned).toBeUndefined();
  });

  it('refuses what it cannot do with a sentence', async () => {
    const out = place('refused');
    const one = await run(trainArgs(out).map((word) => (word === '8' ? '1' : word)));
    expect([one.code, one.err]).toEqual([
      2,
      expect.stringContaining('--save_total_limit is 0, or a whole number from 2'),
    ]);
    const every = await run(trainArgs(out, '--pin_every', 'often'));
    expect([every.code, every.err]).toEqual([1, expect.stringContaining('every k-th evaluation')]);
    const system = await run([
      'train',
      '--model',
      model,
      '--data',
      rows,
      '--out',
      out,
      '--pin_system',
      'Be short.',
    ]);
    expect([system.code, system.err]).toEqual([2, expect.stringContaining('without --pin')]);
    const test = await run(trainArgs(out, '--test', rows, '--pin', 'what colour is  GRASS?'));
    expect([test.code, test.err]).toEqual([
      1,
      expect.stringContaining('Pinned prompt 3 is that of a test row'),
    ]);
    expect(existsSync(out) && readdirSync(out).length > 0).toBe(false);
  });
});
