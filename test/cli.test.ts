// The command line as a teacher's script meets it: real processes on a tiny model, output, files, exit codes; and its options by themselves.
// Not here: the numbers of the engine (engine.test.ts), whether real PEFT loads an adapter (fixtures/check_peft.py).

import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import { type CommandLine, closest, helpOf, parseArguments, settingsFor } from '../src/cli/options';
import type { MetricPoint, RunSummary } from '../src/contract';
import type { PlaygroundError } from '../src/errors';
import { readSafetensors, writeSafetensors } from '../src/formats/safetensors';
import {
  defaultLearningRate,
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  LEARNING_RATES,
} from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { killedAtRename } from './killAtRename.mjs';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const rows = path.join(model, 'rows.jsonl');
const expected = JSON.parse(readFileSync(path.join(model, 'expected.json'), 'utf8')) as {
  rows: { ids: number[]; mask: number[] }[];
  loss: number;
  row_losses: number[];
  targets: number;
  answers: { prompt: string; answer: string }[];
};

const scratch = mkdtempSync(path.join(tmpdir(), 'playground-cli-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string) => path.join(scratch, name);

/** The same questions with other answers, so that there is something to learn. */
const loudRows = place('loud.jsonl');
writeFileSync(
  loudRows,
  readFileSync(rows, 'utf8').replace(/It is (\w+)\./g, (_, colour: string) => `${colour.toUpperCase()}!`),
);

interface Finished {
  code: number | null;
  out: string;
  err: string;
}

function run(
  args: readonly string[],
  options: { input?: string; started?: (child: ChildProcess) => void; env?: NodeJS.ProcessEnv } = {},
) {
  return new Promise<Finished>((resolve) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], {
      cwd: scratch,
      env: options.env ?? process.env,
    });
    const finished: Finished = { code: null, out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
    });
    child.on('close', (code) => resolve({ ...finished, code }));
    child.stdin.end(options.input ?? '');
    options.started?.(child);
  });
}

/** Every file in a folder and below it. */
const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();

const jsonLines = <T>(text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

describe('train', { timeout: 180_000 }, () => {
  it('writes metric points, an adapter and a record; evaluate, generate and export take it from there', async () => {
    const out = place('adapter');
    const trained = await run([
      ...['train', '--model', model, '--data', loudRows, '--out', out],
      ...[
        '--num_train_epochs',
        '12',
        '--batch-size=4',
        '--learning_rate',
        '1e-2',
        '--seed',
        '7',
        '--eval_per_epoch',
        '1',
        '--weights',
        'last',
      ],
    ]);
    expect(trained.err).not.toContain('error');
    expect(trained.code).toBe(0);
    const points = jsonLines<MetricPoint>(trained.out);
    const curve = (name: MetricPoint['name']) => points.filter((p) => p.name === name);
    expect(curve('train_loss').map((p) => p.step)).toEqual(Array.from({ length: 36 }, (_, i) => i + 1));
    expect(curve('full_valid_loss')[0]?.step).toBe(0);
    expect(curve('train_eval_loss').at(-1)?.value).toBeLessThan(
      0.5 * (curve('train_eval_loss')[0]?.value as number),
    );

    const summary = JSON.parse(readFileSync(path.join(out, 'run.json'), 'utf8')) as RunSummary;
    expect(summary).toMatchObject({ state: 'finished', step: 36 });
    expect(summary.config).toMatchObject({
      modelId: 'chat',
      trainRows: 10,
      validationRows: 2,
      backend: 'wasm',
    });
    expect(summary.config.hyperparameters).toMatchObject({ seed: 7, batch_size: 4, learning_rate: 1e-2 });
    expect(readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')).toBe(trained.out);
    expect(readFileSync(path.join(out, 'metrics.csv'), 'utf8')).toMatch(/^step,epoch,/);
    // For other tools: every point is in the event file, and every step in the log of transformers.
    const [events = '', ...otherEvents] = readdirSync(out).filter((name) => name.includes('tfevents'));
    expect(otherEvents).toEqual([]);
    const tags = readFileSync(path.join(out, events), 'latin1').match(/(train|eval)\/[a-z_]+/g);
    expect(tags).toHaveLength(points.length);
    const { log_history: log } = JSON.parse(readFileSync(path.join(out, 'trainer_state.json'), 'utf8'));
    const logged = (log as { step: number; loss?: number }[]).filter((entry) => entry.loss !== undefined);
    expect(logged.map((entry) => entry.loss)).toEqual(curve('train_loss').map((p) => p.value));

    // How far the weights have moved: at each evaluation, from nothing on; the table says the last of it.
    const moved = readFileSync(path.join(out, 'weight_changes.csv'), 'utf8').trimEnd().split('\n');
    expect(moved[0]).toBe('step,layer,module,relative_change');
    const evaluations = curve('valid_loss').map((p) => p.step);
    expect([...new Set(moved.slice(1).map((line) => Number(line.split(',')[0])))]).toEqual(evaluations);
    expect(moved[1]).toBe('0,0,self_attn.q_proj,0');
    const last = Number(moved.find((line) => line.startsWith('36,0,self_attn.q_proj,'))?.split(',')[3]);
    expect(last).toBeGreaterThan(1e-3);
    expect(summary.weightChanges?.layers[0]).toMatchObject({ module: 'self_attn.q_proj' });
    expect(summary.weightChanges?.layers[0]?.changes[0]).toBe(last);
    expect(trained.err).toMatch(/after step 36 .*\n {2}module +mean +largest\n {2}q_proj +[\d.]+ % /);
    const adapter = JSON.parse(readFileSync(path.join(out, 'adapter_config.json'), 'utf8'));
    expect(adapter).toMatchObject({
      peft_type: 'LORA',
      r: 8,
      lora_alpha: 16,
      base_model_name_or_path: './base_model',
    });
    expect(readFileSync(path.join(out, 'base_model', 'config.json'), 'utf8')).toContain('LlamaForCausalLM');
    expect(readFileSync(path.join(out, 'chat_template.jinja'), 'utf8')).toContain('<|im_start|>');

    const measure = async (...more: string[]) => {
      const { code, out: printed } = await run(['evaluate', '--data', loudRows, ...more]);
      expect(code).toBe(0);
      return JSON.parse(printed) as { loss: number; rows: { line: number }[] };
    };
    const side = ['--seed', '7', '--split', 'validation'];
    const beside = await measure('--model', model, '--adapter', out, ...side);
    expect(beside.rows).toHaveLength(2);
    expect(beside.loss).toBeCloseTo(curve('full_valid_loss').at(-1)?.value as number, 5);

    const merged = place('merged');
    const exported = await run(['export', '--model', model, '--adapter', out, '--out', merged]);
    expect(exported.code).toBe(0);
    expect((await measure('--model', merged, ...side)).loss).toBeCloseTo(beside.loss, 4);

    const ask = ['generate', '--prompt', 'What colour is coal?', '--json'];
    const [base, tuned, whole] = await Promise.all([
      run([...ask, '--model', model]),
      run([...ask, '--model', model, '--adapter', out]),
      run([...ask, '--model', merged]),
    ]);
    const text = (finished: Finished) => (JSON.parse(finished.out) as { text: string }).text;
    expect(text(base)).toBe('It is black.');
    expect(text(tuned)).not.toBe(text(base));
    expect(text(whole)).toBe(text(tuned));

    const broken = place('broken');
    cpSync(out, broken, { recursive: true });
    const weights = readFileSync(path.join(broken, 'adapter_model.safetensors'));
    weights.fill(0xff, 8 + Number(weights.readBigUInt64LE(0)));
    writeFileSync(path.join(broken, 'adapter_model.safetensors'), weights);
    const useless = await Promise.all(
      [
        ['evaluate', '--data', loudRows],
        ['generate', '--prompt', 'x'],
        ['export', '--out', place('useless')],
      ].map((command) => run([...command, '--model', model, '--adapter', broken])),
    );
    for (const { code, out, err } of useless) {
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/error: The adapter is broken: All numbers of “[\w.]+” are NaN or infinite/);
    }
    expect(existsSync(place('useless'))).toBe(false);

    const again = await run(['train', '--model', model, '--data', loudRows, '--out', out]);
    expect(again.code).toBe(1);
    expect(again.err).toContain('is not empty');
    expect(again.err).toContain('--overwrite');
  });

  it('says nothing of new rows where all held-out rows are copies, and says it when the rows are listed too', async () => {
    const same = place('same.jsonl');
    const row = readFileSync(rows, 'utf8').split('\n')[0] as string;
    writeFileSync(same, `${Array.from({ length: 50 }, () => row).join('\n')}\n`);
    const copies =
      'All 10 held-out rows are copies of training rows, so their loss says nothing about new rows.';
    const data = ['--model', model, '--data', same];
    const trained = await run(['train', ...data, '--out', place('same'), '--num_train_epochs', '1']);
    expect(trained.code).toBe(0);
    const said = trained.err.split('\n').filter((line) => line.startsWith(copies));
    expect(said).toHaveLength(2);
    expect(said[1]).toMatch(/On them it went from \d\.\d+ to \d\.\d+\.$/);
    expect(trained.err).not.toMatch(/never|did not train|memorised/);
    expect((await run(['inspect', ...data])).err).toContain(copies);
    const { config } = JSON.parse(readFileSync(place('same/run.json'), 'utf8')) as RunSummary;
    expect(config.heldOut).toEqual({ kept: 'nothing', copies: 10, samePrompt: 0, nearPrompt: 0 });
    expect(readFileSync(place('same/README.md'), 'utf8')).toContain(copies);
  });

  it('measures a sample of a larger file, and all of it once', async () => {
    const large = place('large.jsonl');
    const row = (i: number) => ({
      messages: [
        {
          role: 'user',
          content: `What colour is thing ${'abcdefghij'[i % 10]}${'klmnopqrst'[Math.floor(i / 10)]}?`,
        },
        { role: 'assistant', content: `It is ${['red', 'blue', 'green'][i % 3]}.` },
      ],
    });
    writeFileSync(large, Array.from({ length: 100 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''));
    const out = place('large');
    const trained = await run([
      'train',
      '--model',
      model,
      '--data',
      large,
      '--out',
      out,
      '--num_train_epochs',
      '2',
    ]);
    expect(trained.code).toBe(0);
    const { config, best } = JSON.parse(readFileSync(path.join(out, 'run.json'), 'utf8')) as RunSummary;
    expect(config.evaluation).toMatchObject({ validationRows: 8, trainRows: 8, allTrainRows: 20 });
    expect(trained.err).toContain(`Measured ${config.evaluation.evaluations} times on 8 of 20 held-out rows`);
    expect(trained.err).toContain('On all 20 held-out rows it ends at');
    const points = jsonLines<MetricPoint>(trained.out);
    expect(points.filter((p) => p.name === 'valid_loss')).toHaveLength(config.evaluation.evaluations);
    const full = points.filter((p) => p.name === 'full_valid_loss');
    expect(full.length).toBeLessThanOrEqual(2);
    expect(best).toMatchObject({ rows: 20, loss: Math.min(...full.map((p) => p.value)) });
    const card = readFileSync(path.join(out, 'README.md'), 'utf8');
    expect(card.match(/^\| \d.*\| 20 \|$/gm)).toHaveLength(full.length);
  });

  it('writes a whole model when there is no adapter, and does the same for the same seed', async () => {
    const curves = [];
    for (const name of ['full-1', 'full-2']) {
      const { code, out, err } = await run([
        ...['train', '--model', model, '--data', loudRows, '--out', place(name), '--method', 'full'],
        ...['--num_train_epochs', '2', '--weights', 'best'],
      ]);
      expect(err).not.toContain('error');
      expect(code).toBe(0);
      curves.push(
        jsonLines<MetricPoint>(out)
          .filter((p) => p.name === 'train_loss')
          .map((p) => p.value),
      );
    }
    expect(curves[0]).toEqual(curves[1]);
    const summary = JSON.parse(readFileSync(place('full-1/run.json'), 'utf8')) as RunSummary;
    expect(summary.config.hyperparameters.learning_rate).toBe(LEARNING_RATES.full);
    const measured = await run([
      'evaluate',
      '--model',
      place('full-1'),
      '--data',
      loudRows,
      '--split',
      'validation',
    ]);
    expect((JSON.parse(measured.out) as { loss: number }).loss).toBeCloseTo(summary.best?.loss as number, 4);
  });

  const endless = ['train', '--model', model, '--data', loudRows, '--num_train_epochs', '1000'];
  const recordIn = (out: string) =>
    JSON.parse(readFileSync(path.join(out, 'run.json'), 'utf8')) as RunSummary & {
      weights: string | null;
      files: string[];
    };
  /** Does something once a step was made. */
  const afterAStep = (what: (child: ChildProcess) => void) => (child: ChildProcess) => {
    let done = false;
    child.stdout?.on('data', (bytes) => {
      if (done || !String(bytes).includes('"train_loss"')) return;
      done = true;
      what(child);
    });
  };

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('keeps what was learned at %s, and says %i', async (signal, code) => {
    const out = place(`stopped-${signal}`);
    // Twice in a row, as npm and a terminal do it.
    const stop = (child: ChildProcess) => child.kill(signal) && child.kill(signal);
    const stopped = await run([...endless, '--out', out], { started: afterAStep(stop) });
    expect(stopped.code).toBe(code);
    expect(stopped.err).toContain(signal);
    const summary = recordIn(out);
    expect(summary.state).toBe('stopped');
    expect(summary.step).toBeGreaterThan(0);
    expect(summary.weights).not.toBeNull();
    // Beside the result lies what --resume goes on from.
    expect(filesBelow(out)).toEqual([...summary.files, 'checkpoint.safetensors'].sort());
    expect(existsSync(path.join(out, 'adapter_model.safetensors'))).toBe(true);
  });

  /** So many rows that evaluations and epochs take a while. */
  const manyRows = place('many.jsonl');
  writeFileSync(
    manyRows,
    Array.from({ length: 500 }, (_, i) => {
      const [question, answer] = [`What colour is snow ${i}?`, i % 3 === 0 ? 'RED!' : 'WHITE!'];
      return `{"prompt": "${question}", "completion": "${answer}"}\n`;
    }).join(''),
  );

  it('keeps the steps since the last evaluation when it is stopped before the next one', async () => {
    const out = place('unmeasured');
    const slow = ['--eval_per_epoch', '1', '--batch_size', '1', '--learning_rate', '1e-2'];
    const args = ['train', '--model', model, '--data', manyRows, '--out', out, ...slow];
    const stopped = await run(args, { started: afterAStep((child) => child.kill('SIGTERM')) });
    const summary = recordIn(out);
    expect(summary.step).toBeGreaterThan(0);
    expect(summary).toMatchObject({ weights: 'last', best: { step: 0 } });
    expect(stopped.err).toContain('validation loss was last measured at step 0');
    const weights = readFileSync(path.join(out, 'adapter_model.safetensors'));
    // lora_B starts at zero: something was learned where it is not.
    const header = Number(weights.readBigUInt64LE(0));
    const tensors = JSON.parse(weights.subarray(8, 8 + header).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const [, learned] = Object.entries(tensors).find(([name]) => name.includes('lora_B')) ?? [];
    const [from, to] = learned?.data_offsets ?? [0, 0];
    expect(weights.subarray(8 + header + from, 8 + header + to).some((byte) => byte !== 0)).toBe(true);
  });

  it('ends at once at a second signal, which is none when it comes with the first', async () => {
    const script = place('signals.mjs');
    const source = readFileSync(path.join(house, 'src/cli/signals.ts'), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    });
    writeFileSync(
      script,
      `${outputText}\nonStopSignal((signal) => console.log(signal));\nsetInterval(() => {}, 1000);\nconsole.log('ready');`,
    );
    const child = spawn(process.execPath, [script]);
    const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    await expect.poll(() => out).toBe('ready\n');
    child.kill('SIGHUP');
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(out).toMatch(/^ready\nSIG(HUP|INT)\n$/);
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await ended).toBe('SIGTERM');
  });

  it('stops when npm, which started it, is ended', async () => {
    const out = place('npm');
    const args = ['run', '-s', 'cli', '--', ...endless, '--out', out];
    const npm = spawn('npm', args, { cwd: house, stdio: ['ignore', 'pipe', 'ignore'] });
    afterAStep((child) => child.kill('SIGTERM'))(npm);
    await new Promise((resolve) => npm.on('exit', resolve));
    await expect.poll(() => existsSync(path.join(out, 'run.json')), { timeout: 30_000 }).toBe(true);
    expect(recordIn(out).state).toBe('stopped');
  });

  it('stops and keeps what was learned when its reader goes away', async () => {
    const out = place('head');
    const stopped = await run([...endless, '--out', out], {
      started: afterAStep((child) => child.stdout?.destroy()),
    });
    expect(stopped.code).toBe(141);
    expect(recordIn(out)).toMatchObject({ state: 'stopped', weights: expect.any(String) });
  });

  it('says with its exit code that a run diverged, and keeps the best weights', async () => {
    const out = place('diverged');
    const args = ['train', '--model', model, '--data', rows, '--out', out, '--method', 'full'];
    const wild = [...args, '--learning_rate', '1', '--num_train_epochs', '12', '--eval_per_epoch', '1'];
    const diverged = await run(wild);
    expect(diverged.code).toBe(1);
    expect(diverged.err).toContain('error: ');
    const { best, weights } = recordIn(out);
    expect(weights).toBe('best');
    expect(diverged.err).toContain(
      best?.step === 0 ? 'the weights are those of the base model' : `those of step ${best?.step}`,
    );
    // The result was read again and compared before it was written.
    expect(diverged.err).toContain('Read again and compared: 10 of 10 greedy answers are the same');
    jsonLines<MetricPoint>(diverged.out);
    const measured = await run(['evaluate', '--model', out, '--data', rows, '--split', 'validation']);
    expect((JSON.parse(measured.out) as { loss: number }).loss).toBeCloseTo(best?.loss as number, 4);
    const asked = await run([...wild, '--overwrite', '--weights', 'last']);
    expect(asked.code).toBe(1);
    expect(recordIn(out).weights).toBe('last');
    expect(asked.err).toContain('those after the last step');
  });

  it('refuses an output folder before any work', async () => {
    const file = place('a-file');
    writeFileSync(file, '');
    for (const [out, sentence] of [
      [path.join(file, 'below'), /Nothing can be written/],
      [model, /is the folder that the model is read from/],
    ] as const) {
      const refused = await run([...endless, '--out', out, '--overwrite']);
      expect(refused).toMatchObject({ code: 1, out: '' });
      expect(refused.err).toMatch(sentence);
      expect(refused.err).not.toContain('parameters');
    }
  });

  it('replaces an adapter by a whole model without leaving it beside', async () => {
    const out = place('twice');
    const args = ['train', '--model', model, '--data', loudRows, '--out', out, '--num_train_epochs', '1'];
    expect((await run(args)).code).toBe(0);
    expect(readdirSync(out)).toContain('adapter_model.safetensors');
    expect((await run([...args, '--method', 'full', '--overwrite'])).code).toBe(0);
    expect(readdirSync(out)).not.toContain('adapter_config.json');
    expect(readdirSync(out).sort()).toEqual([...recordIn(out).files].sort());
  });

  // Where the size of a running process's files can be limited: a write fails in its middle, as on a full disk.
  if (process.platform === 'linux') {
    it('leaves the result before whole when the disk is full', async () => {
      const out = place('full-disk');
      const args = ['train', '--model', model, '--data', loudRows, '--out', out, '--num_train_epochs', '1'];
      expect((await run(args)).code).toBe(0);
      const contents = () => filesBelow(out).map((name) => readFileSync(path.join(out, name)));
      const before = contents();
      const failed = await run([...endless, '--out', out, '--overwrite'], {
        started: afterAStep((child) => {
          const limit = spawn('prlimit', ['--pid', String(child.pid), '--fsize=20000:20000']);
          limit.on('exit', () => child.kill('SIGTERM'));
        }),
      });
      expect(failed.code).toBe(1);
      expect(failed.err).toMatch(/cannot be written to .*EFBIG/);
      expect(failed.err).toContain('is lost');
      expect(contents()).toEqual(before);
    });
  }

  it('writes elsewhere when its folder is gone at the end, and fails', async () => {
    const out = place('gone');
    const failed = await run([...endless, '--out', out], {
      started: afterAStep((child) => {
        rmSync(out, { recursive: true, force: true });
        writeFileSync(out, 'a file now');
        child.kill('SIGTERM');
      }),
    });
    expect(failed.code).toBe(1);
    expect(failed.err).toMatch(/error: The output cannot be written/);
    const [, folder] = /Written to (.*gone-rescued-\w+)\./.exec(failed.err) ?? [];
    expect(path.dirname(folder as string)).toBe(scratch);
    expect(readdirSync(folder as string)).toContain('adapter_model.safetensors');
  });

  it('leaves the result before alone when nothing was learned', async () => {
    const out = place('kept');
    const args = ['train', '--model', model, '--data', loudRows, '--out', out];
    expect((await run([...args, '--num_train_epochs', '1'])).code).toBe(0);
    const before = readFileSync(path.join(out, 'run.json'), 'utf8');
    const stopped = await run(['train', '--model', model, '--data', manyRows, '--out', out, '--overwrite'], {
      started: (child) => {
        child.stderr?.on('data', (bytes) => {
          if (String(bytes).includes('parameters learn')) child.kill('SIGTERM');
        });
      },
    });
    expect(stopped.code).toBe(143);
    expect(stopped.err).toContain('Nothing was learned');
    expect(readFileSync(path.join(out, 'run.json'), 'utf8')).toBe(before);
    expect(existsSync(path.join(out, 'adapter_model.safetensors'))).toBe(true);
  });

  it('goes on after it was killed, to the same weights and numbers, bit for bit', async () => {
    const more = ['--num_train_epochs', '30', '--batch_size', '4', '--lora_dropout', '0.1', '--seed', '7'];
    const command = (out: string) => [
      'train',
      '--model',
      model,
      '--data',
      loudRows,
      '--out',
      place(out),
      ...more,
    ];
    const whole = await run(command('whole'));
    expect(whole.code).toBe(0);

    const saved = () => existsSync(place('killed/checkpoint.safetensors'));
    const killed = await run([...command('killed'), '--save_seconds', '0.000001'], {
      // With 16 updates under way at the most, 90 are saved at least five times.
      env: killedAtRename(3, 'checkpoint.safetensors'),
    });
    expect(killed.code, killed.err).toBeNull();
    expect(saved()).toBe(true);
    expect(existsSync(place('killed/adapter_model.safetensors'))).toBe(false);

    const refused = await run(command('killed'));
    expect(refused.err).toMatch(/interrupted[\s\S]*--resume/);
    const other = await run([...command('killed'), '--resume', '--lora_r', '2']);
    expect(other.err).toMatch(/--lora_r is 2, and the interrupted run has/);

    const resumed = await run([...command('killed'), '--resume']);
    expect(resumed.err).toMatch(/Going on after step \d+/);
    expect(resumed.code).toBe(0);
    expect(saved()).toBe(false);
    const weights = (out: string) => readFileSync(place(`${out}/adapter_model.safetensors`));
    expect(Buffer.compare(weights('killed'), weights('whole'))).toBe(0);
    const numbers = (out: string) =>
      jsonLines<MetricPoint>(readFileSync(place(`${out}/metrics.jsonl`), 'utf8'))
        .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
        .map(({ elapsedMs, ...point }) => point);
    expect(numbers('killed')).toEqual(numbers('whole'));
    // What the resumed command printed begins where the killed one was saved.
    expect(jsonLines<MetricPoint>(resumed.out)[0]?.step).toBeGreaterThan(0);
    expect((await run([...command('whole'), '--resume'])).err).toMatch(/no run that was interrupted/);
  });

  it('does not offer an older run for resuming once another one has begun in its place', async () => {
    const out = place('anew');
    const first = await run([...endless, '--out', out], {
      started: afterAStep((child) => child.kill('SIGTERM')),
    });
    expect(first.err).toContain('--resume');
    // Never saved, and ended before it could write anything.
    const second = ['--out', out, '--overwrite', '--save_seconds', '0'];
    await run([...endless, ...second], { started: afterAStep((child) => child.kill('SIGKILL')) });
    expect((await run([...endless, '--out', out, '--resume'])).err).toMatch(/no run that was interrupted/);
    const third = await run([...endless, ...second], {
      started: afterAStep((child) => child.kill('SIGTERM')),
    });
    expect(third.code).toBe(143);
    expect(third.err).not.toContain('--resume');
  });

  it('stops at bad rows with their lines, and goes on without them when told to', async () => {
    const bad = place('bad.jsonl');
    const lines = readFileSync(loudRows, 'utf8').trim().split('\n');
    lines[2] = '{"messages": [{"role": "user", "content": "Hi"}]}';
    lines[4] = '{"messages": [';
    writeFileSync(bad, `${lines.join('\n')}\n`);
    const args = ['train', '--model', model, '--data', bad, '--num_train_epochs', '1'];
    const refused = await run([...args, '--out', place('bad-1')]);
    expect(refused.code).toBe(1);
    expect(refused.out).toBe('');
    expect(refused.err).toMatch(/bad\.jsonl:3\S*: error example_missing_assistant_message/);
    expect(refused.err).toMatch(/bad\.jsonl:5:\d+: error invalid_json/);
    expect(refused.err).toContain('--leave_out_bad_rows');
    expect(existsSync(place('bad-1'))).toBe(false);
    const agreed = await run([...args, '--out', place('bad-2'), '--leave_out_bad_rows']);
    expect(agreed.code).toBe(0);
  });
});

describe('looking and asking', { timeout: 120_000 }, () => {
  it('inspect gives the ids and mask that transformers gives', async () => {
    const { code, out } = await run(['inspect', '--model', model, '--data', rows]);
    expect(code).toBe(0);
    const found = jsonLines<{ ids: number[]; mask: number[]; split: string; text: string }>(out);
    expect(found.map(({ ids, mask }) => ({ ids, mask }))).toEqual(expected.rows);
    expect(found[0]?.text).toContain('What colour is grass?');
    expect(found.filter((r) => r.split === 'validation')).toHaveLength(2);
  });

  it('inspect converts a file in Windows-1252 and says so, reads it as told, and refuses a workbook', async () => {
    const file = place('umlauts.jsonl');
    const row = '{"prompt": "W\u00f6rter f\u00fcr drau\u00dfen", "completion": "It is gr\u00fcn."}\n';
    writeFileSync(file, Buffer.from(row.repeat(12), 'latin1'));
    const inspect = (...more: string[]) => run(['inspect', '--model', model, '--data', file, ...more]);
    const converted = await inspect();
    expect(converted.code).toBe(0);
    expect(converted.err).toMatch(/umlauts\.jsonl: warning encoding_converted: .*Windows-1252.*“Wörter”/);
    expect(jsonLines<{ text: string }>(converted.out)[0]?.text).toContain('Wörter für draußen');
    expect((await inspect('--encoding', 'macintosh')).out).toContain('Wˆrter');
    expect(await inspect('--encoding', 'klingon')).toMatchObject({ code: 2, out: '' });
    writeFileSync(file, Buffer.from('PK\u0003\u0004\u0000\u0000xl/workbook.xml', 'latin1'));
    const refused = await inspect();
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/error: This is an Excel workbook[\s\S]*fix: .*CSV/);
  });

  it('evaluate never prints null, not even for a perplexity that is too large for a number', async () => {
    const loud = place('loud-model');
    cpSync(model, loud, { recursive: true });
    const { entries, readRaw } = await readSafetensors(
      new Blob([readFileSync(`${model}/model.safetensors`)]),
    );
    const tensors = await Promise.all(
      entries.map(async ({ name, shape, dtype }) => {
        const { bytes } = await readRaw(name);
        if (!name.startsWith('model.norm')) return { name, shape, dtype, bytes };
        return { name, shape, data: new Float32Array(bytes.buffer).map((x) => x * 1e4) };
      }),
    );
    writeFileSync(path.join(loud, 'model.safetensors'), writeSafetensors(tensors));
    const { code, out, err } = await run(['evaluate', '--model', loud, '--data', loudRows]);
    expect(code).toBe(0);
    const found = JSON.parse(out) as { loss: number; perplexity?: number };
    expect(found.loss).toBeGreaterThan(710);
    expect(found).not.toHaveProperty('perplexity');
    expect(out).not.toContain('null');
    expect(err).toContain('perplexity is too large');
  });

  /** The model with another template or tokenizer. */
  const changed = (name: string, files: Record<string, string>) => {
    const folder = place(name);
    cpSync(model, folder, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(path.join(folder, file), text);
    return folder;
  };

  it('say that a template writes no end of turn, and learn the model’s own', async () => {
    const template =
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
    const folder = changed('no-end', { 'chat_template.jinja': template });
    const found = await run(['inspect', '--model', folder, '--data', rows]);
    expect(found.code).toBe(0);
    expect(found.err).toMatch(/writes no end token.*<\|im_end\|>, is added there and learned/);
    for (const { ids, mask } of jsonLines<{ ids: number[]; mask: number[] }>(found.out)) {
      const [end] = ids.slice(mask.lastIndexOf(1));
      expect(end).toBe(expected.rows[0]?.ids.at(-2));
    }
  });

  it('refuse a row with a token that the model has no row for, on every backend', async () => {
    const tokenizer = JSON.parse(readFileSync(path.join(model, 'tokenizer.json'), 'utf8')) as {
      added_tokens: object[];
    };
    const { vocab_size } = JSON.parse(readFileSync(path.join(model, 'config.json'), 'utf8')) as {
      vocab_size: number;
    };
    tokenizer.added_tokens.push({ id: vocab_size, content: 'sky', special: false, normalized: false });
    const folder = changed('beyond', { 'tokenizer.json': JSON.stringify(tokenizer) });
    for (const backend of ['wasm', 'cpu']) {
      const found = await run(['evaluate', '--model', folder, '--data', rows, '--backend', backend]);
      expect(found.code).toBe(1);
      expect(found.err).toMatch(
        new RegExp(`rows.jsonl:11: error token_beyond_vocabulary: .*${vocab_size} \\(“sky”\\)`),
      );
      const asked = await run(['generate', '--model', folder, '--prompt', 'the sky', '--backend', backend]);
      expect(asked.code).toBe(1);
      expect(asked.err).toMatch(new RegExp(`token ${vocab_size} \\(“sky”\\)`));
    }
  });

  it('evaluate gives the losses that torch gives, whatever the batch size', async () => {
    for (const size of ['1', '5']) {
      const { code, out } = await run(['evaluate', '--model', model, '--data', rows, '--batch_size', size]);
      expect(code).toBe(0);
      const found = JSON.parse(out);
      expect(found.loss).toBeCloseTo(expected.loss, 6);
      expect(found.target_tokens).toBe(expected.targets);
      expect(found.mean_token_accuracy).toBe(1);
      for (const [i, loss] of expected.row_losses.entries()) expect(found.rows[i].loss).toBeCloseTo(loss, 5);
    }
  });

  it('generate answers as transformers does, from an argument and from standard input', async () => {
    const [first, second] = expected.answers as [
      { prompt: string; answer: string },
      { prompt: string; answer: string },
    ];
    const argument = await run(['generate', '--model', model, '--prompt', first.prompt]);
    expect(argument).toMatchObject({ code: 0, out: `${first.answer}\n` });
    expect(argument.err).toContain('stopped by end token');
    const input = await run(['generate', '--model', model, '--prompt', '-', '--backend', 'cpu'], {
      input: `${second.prompt}\n`,
    });
    expect(input).toMatchObject({ code: 0, out: `${second.answer}\n` });
  });
});

describe('chat', { timeout: 120_000 }, () => {
  const chat = (input: string, ...more: string[]) =>
    run(['chat', '--model', model, '--backend', 'cpu', '--max_new_tokens', '12', '--json', ...more], {
      input,
    });
  const { prompt, answer } = expected.answers[0] as { prompt: string; answer: string };

  it('keeps what was said, begins anew when told, and ends', async () => {
    const lines = [prompt, '', prompt, '/new', prompt, '/end', prompt];
    const { code, out, err } = await chat(`${lines.join('\n')}\n`);
    expect(code).toBe(0);
    const [first, second, third, ...rest] = jsonLines<{ text: string; promptTokens: number; tokens: number }>(
      out,
    );
    expect(first).toMatchObject({ text: answer, stoppedBy: 'end_token' });
    expect(second?.promptTokens).toBeGreaterThan((first?.promptTokens ?? 0) + (first?.tokens ?? 0));
    expect(third).toMatchObject({ text: answer, promptTokens: first?.promptTokens });
    expect(rest).toEqual([]);
    expect(err).toContain('at most 128 tokens');
    expect(err).toContain(`(${(first?.promptTokens ?? 0) + (first?.tokens ?? 0)} of 128 tokens)`);
  });

  it('forgets the oldest turns when the context is full, and not the system message', async () => {
    const count = 12;
    const { code, out, err } = await chat(`${prompt}\n`.repeat(count), '--system', 'Say colours.');
    expect(code).toBe(0);
    const turns = jsonLines<{ promptTokens: number; forgottenTurns: number }>(out);
    expect(turns).toHaveLength(count);
    for (const { promptTokens } of turns) expect(promptTokens).toBeLessThanOrEqual(128 - 12);
    expect(turns.at(-1)?.forgottenTurns).toBeGreaterThan(0);
    expect(err).toMatch(/oldest turn is forgotten/);
  });

  it('says when one turn alone is too long', async () => {
    const { code, err } = await chat(`${'colour '.repeat(200)}\n`);
    expect(code).toBe(1);
    expect(err).toMatch(/The conversation has \d+ tokens, and this model reads at most 128/);
  });
});

describe('what goes wrong', { timeout: 120_000 }, () => {
  it.each<[string[], number, RegExp]>([
    [[], 2, /^$/],
    [['trane'], 2, /no command “trane”[\s\S]*Did you mean train\?/],
    [['train', '--model', model], 2, /train needs --data/],
    [['evaluate', '--model', model, '--data', rows, '--lora_r', '4'], 2, /evaluate does not use --lora_r/],
    [
      ['inspect', '--model', '/no/such/folder', '--data', rows],
      1,
      /no folder \/no\/such\/folder[\s\S]*fix: /,
    ],
    [['inspect', '--model', path.dirname(model), '--data', rows], 1, /has no config\.json/],
    [['evaluate', '--model', model, '--adapter', model, '--data', rows], 1, /adapter_config\.json/],
    [['generate', '--model', model, '--prompt', 'x', '--temperature', '0'], 2, /temperature must be above 0/],
  ])('%j ends with %i and a sentence', async (args, code, sentence) => {
    const finished = await run(args);
    expect(finished.err).toMatch(sentence);
    expect(finished.code).toBe(code);
    expect(finished.err).not.toMatch(/\n\s+at /);
  });
});

describe('options', () => {
  const command: CommandLine = {
    name: 'train',
    summary: 'Trains.',
    example: 'train --model DIR',
    options: [
      { name: 'model', value: 'DIR', kind: 'text', required: true, help: 'The model.' },
      { name: 'weights', kind: 'text', choices: ['last', 'best'], default: 'last', help: 'Which.' },
      { name: 'count', kind: 'number', default: 3, help: 'How many.' },
      { name: 'overwrite', kind: 'switch', help: 'Go ahead.' },
    ],
    settings: HYPERPARAMETER_NAMES,
  };
  const parse = (line: string) => parseArguments(command, line.split(' '));
  const failure = (line: string): PlaygroundError => {
    try {
      parse(line);
    } catch (error) {
      return error as PlaygroundError;
    }
    throw new Error(`${line} was accepted`);
  };

  it('reads values, switches, dashes and equal signs', () => {
    const args = parse(
      '--model m --lora-r=4 --use_dora --overwrite --use_rslora false --count 5 --lr_scheduler_type linear',
    );
    expect(args.text('model')).toBe('m');
    expect(args.text('weights')).toBe('last');
    expect(args.number('count')).toBe(5);
    expect(args.has('overwrite')).toBe(true);
    expect(args.hyperparameters).toMatchObject({ lora_r: 4, use_dora: true, use_rslora: false });
    expect(args.hyperparameters.lr_scheduler_type).toBe('linear');
    expect([...args.given].sort()).toEqual(['lora_r', 'lr_scheduler_type', 'use_dora', 'use_rslora']);
  });

  it.each([
    ['', 'auto'],
    [' --gradient_checkpointing', 'on'],
    [' --gradient_checkpointing true', 'on'],
    [' --gradient_checkpointing=False', 'off'],
    [' --gradient_checkpointing auto', 'auto'],
  ])('a setting that is true or false elsewhere may be written so: “%s” is %s', (written, value) => {
    expect(parse(`--model m${written}`).hyperparameters.gradient_checkpointing).toBe(value);
  });

  it('sets the learning rate by the size of the model unless it is given, as the page does', () => {
    const rate = (line: string, parameters: number) => settingsFor(parse(line), parameters).learning_rate;
    for (const method of ['lora', 'full', 'last_layers'] as const) {
      for (const parameters of [12_000, 1.4e6, 1.35e8, 5e8]) {
        expect(rate(`--model m --method ${method}`, parameters)).toBe(
          defaultLearningRate(method, parameters),
        );
      }
    }
    expect(rate('--model m', 5e8)).toBeLessThan(LEARNING_RATES.lora / 5);
    expect(rate(`--model m --learning_rate ${LEARNING_RATES.lora}`, 5e8)).toBe(LEARNING_RATES.lora);
  });

  it('sets the learning rate by the method unless it is given, in any order', () => {
    expect(parse('--model m --method full').hyperparameters.learning_rate).toBe(LEARNING_RATES.full);
    expect(parse('--model m --learning_rate 0.1 --method full').hyperparameters.learning_rate).toBe(0.1);
  });

  it('warns of values that are unusual or without effect', () => {
    expect(parse('--model m --learning_rate 0.9').warnings.join()).toContain('learning_rate');
    expect(parse('--model m --method full --lora_r 4').warnings.join()).toContain('--lora_r has no effect');
    expect(parse('--model m').warnings).toEqual([]);
  });

  it.each([
    ['--model m --learnin_rate 1', 'Did you mean --learning_rate?'],
    ['--model m --epochs 3', 'Did you mean --num_train_epochs?'],
    ['--model m --batch_size many', 'needs a number, not “many”'],
    ['--model m --batch_size 0', 'must lie between 1 and 256'],
    ['--model m --batch_size 1.5', 'must be a whole number'],
    ['--model m --batch_size', 'needs a value'],
    ['--model m --method lota', 'must be one of lora, full, last_layers'],
    ['--model m --use_dora=maybe', 'true or false'],
    ['--model m --weights first', 'one of last, best'],
    ['--model m --seed 1 --seed 2', 'given twice'],
    ['--model m rows.jsonl', '“rows.jsonl” stands alone'],
    ['--seed 1', 'train needs --model'],
  ])('refuses %s with a sentence', (line, sentence) => {
    const { code, message, fix } = failure(line);
    expect(['bad_usage', 'bad_hyperparameter']).toContain(code);
    expect(`${message} ${fix}`).toContain(sentence);
  });

  it('explains every setting of the table, and nothing that is not in it', () => {
    const help = helpOf(command);
    for (const name of HYPERPARAMETER_NAMES) {
      expect(help).toContain(`--${name}  (`);
      expect(help.replace(/\s+/g, ' ')).toContain(HYPERPARAMETERS[name].help);
    }
    expect(help.split('\n').every((line) => line.length <= 140)).toBe(true);
  });

  it('finds the name that was meant, and does not guess wildly', () => {
    expect(closest('lora_rank', ['lora_r', 'lora_alpha', 'seed'])).toBe('lora_r');
    expect(closest('zebra', ['lora_r', 'lora_alpha', 'seed'])).toBeNull();
  });
});
