// The page's session and the command line, given the same rows, settings and seed: the same losses bit for bit, record, answer and notices.
// Not here: the page in a browser (e2e/pageAndCli.spec.ts), what the numbers should be (engineSuite.ts).

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { acceptRelaxedSimd } from '../src/cli/platform';
import type { MetricPoint } from '../src/contract';
import { PlaygroundError } from '../src/errors';
import type { GenerationSettings } from '../src/generation';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import type { ModelInfo } from '../src/modelContract';
import { type RunRecord, readMetricPoints, readRunRecord } from '../src/session/results';
import { EngineSession } from '../src/worker/session';
import { exported } from './sessionFixtures';

const MODEL = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const ROWS = path.join(MODEL, 'rows.jsonl');
const WASM = `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`;
const PROMPT = 'What colour is the sky?';
const GREEDY: GenerationSettings = {
  do_sample: false,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  seed: 42,
  max_new_tokens: 12,
};
const settings: Hyperparameters = {
  ...defaultHyperparameters(),
  num_train_epochs: 3,
  batch_size: 4,
  learning_rate: 0.01,
  lora_dropout: 0.1,
  seed: 7,
};

const scratch = mkdtempSync(path.join(tmpdir(), 'page-and-cli-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function cli(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], { cwd: scratch });
    let out = '';
    let err = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const filesOf = (folder: string) =>
  readdirSync(folder).map((name) => ({
    path: `chat/${name}`,
    file: new Blob([readFileSync(path.join(folder, name))]),
  }));

/** What lies beside the page, as its server gives it. */
vi.stubGlobal('location', { href: 'http://page/' });
vi.stubGlobal('fetch', async (address: URL) => {
  const [, name] = /\/(general\/.*)$/.exec(address.pathname) ?? [];
  return name
    ? new Response(readFileSync(path.join(house, 'public', name)))
    : new Response('', { status: 404 });
});
afterAll(() => vi.unstubAllGlobals());

async function openOnPage(folder: string): Promise<{ session: EngineSession; info: ModelInfo }> {
  const session = new EngineSession(() => {});
  await session.start({ backend: 'wasm', wasmPath: WASM });
  const info = await session.loadModel({ kind: 'files', id: 'chat', files: filesOf(folder) }, () => {});
  return { session, info };
}

/** An event file is named by the start and the identity of its run. */
const comparableNames = (names: readonly string[]) =>
  names.map((name) => name.replace(/(?<=tfevents\.)\d+\.[0-9a-f]+/, 'START.RUN')).sort();
/** What may differ: identity, time, and what tells page and command line apart. */
function comparable({ config, files, ...record }: RunRecord) {
  const { runId, startedAt, appVersion, ...same } = config;
  return { ...record, files: comparableNames(files), config: same };
}
const comparablePoints = (points: readonly MetricPoint[]) =>
  points
    .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
    .map(({ elapsedMs, ...point }) => point);

describe('one run, from the page and from the command line', { timeout: 120_000 }, () => {
  const out = path.join(scratch, 'run');
  let page: { files: Record<string, Uint8Array>; answer: string };

  beforeAll(async () => {
    acceptRelaxedSimd(); // as browsers do by themselves

    const { session } = await openOnPage(MODEL);
    const name = path.basename(ROWS);
    const file = new Blob([readFileSync(ROWS)]);
    await session.readData({ kind: 'file', name, file }, settings);
    const summary = await session.train(
      settings,
      () => {},
      () => {},
    );
    expect(summary.state).toBe('finished');
    await session.useTunedWeights('last');
    const { text } = await session.generate(
      { which: 'tuned', messages: [{ role: 'user', content: PROMPT }], settings: GREEDY },
      () => {},
    );
    const zip = await exported(session);
    page = { files: unzipSync(new Uint8Array(await zip.arrayBuffer())), answer: text };

    const given = (Object.keys(settings) as (keyof Hyperparameters)[]).flatMap((key) =>
      settings[key] === defaultHyperparameters()[key] && key !== 'learning_rate'
        ? []
        : [`--${key}`, String(settings[key])],
    );
    const trained = await cli([
      ...['train', '--model', MODEL, '--data', ROWS, '--out', out, '--weights', 'last'],
      ...given,
    ]);
    expect(trained.err).not.toContain('error');
    expect(trained.code).toBe(0);
  });

  const text = (name: string) => new TextDecoder().decode(page.files[name]);
  const onDisk = (name: string) => readFileSync(path.join(out, name), 'utf8');

  test('leaves the same files', () => {
    const written = readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(out, path.join(entry.parentPath, entry.name)));
    expect(comparableNames(Object.keys(page.files))).toEqual(comparableNames(written));
  });

  test('makes the same losses, bit for bit', () => {
    const fromPage = comparablePoints(readMetricPoints(text('metrics.jsonl')));
    expect(fromPage.length).toBeGreaterThan(30);
    expect(fromPage).toEqual(comparablePoints(readMetricPoints(onDisk('metrics.jsonl'))));
  });

  test('writes the same record, which reads back', () => {
    const fromPage = readRunRecord(text('run.json'));
    const fromCli = readRunRecord(onDisk('run.json'));
    expect(comparable(fromPage)).toEqual(comparable(fromCli));
    expect(fromPage).toMatchObject({ version: 1, state: 'finished', weights: 'last' });
    expect(fromPage.config.hyperparameters).toEqual(settings);
  });

  test('writes the same weights, bit for bit', () => {
    const fromPage = page.files['adapter_model.safetensors'];
    expect(fromPage?.length).toBeGreaterThan(1000);
    const fromCli = new Uint8Array(readFileSync(path.join(out, 'adapter_model.safetensors')));
    expect(Buffer.compare(Buffer.from(fromPage as Uint8Array), Buffer.from(fromCli))).toBe(0);
  });

  test('gives the same answer', async () => {
    const asked = await cli([
      ...['generate', '--model', MODEL, '--adapter', out, '--prompt', PROMPT],
      ...['--max_new_tokens', String(GREEDY.max_new_tokens), '--json'],
    ]);
    expect(JSON.parse(asked.out).text).toBe(page.answer);
    expect(page.answer).not.toBe('');
  });
});

describe('what is odd about a chat template', { timeout: 60_000 }, () => {
  const templates: [string, string][] = [
    [
      'writes no end token after an answer',
      "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    ],
    [
      'writes the end of a turn in front of the next message',
      "{% for m in messages %}{% if not loop.first %}<|im_end|>\\n{% endif %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}{% endfor %}{% if add_generation_prompt %}<|im_end|>\\n<|im_start|>assistant\\n{% endif %}",
    ],
  ];
  test.each(templates)('that %s is said by both, in the same words', async (_, template) => {
    const folder = path.join(scratch, `model-${_.length}`);
    cpSync(MODEL, folder, { recursive: true });
    writeFileSync(path.join(folder, 'chat_template.jinja'), template);
    const { info } = await openOnPage(folder);
    expect(info.notices.join(' ')).toMatch(/template .*\bend\b/);
    const inspected = await cli(['inspect', '--model', folder, '--data', ROWS]);
    for (const notice of info.notices) expect(inspected.err).toContain(notice);
  });
});

describe('metric points that are damaged', () => {
  const good = '{"name":"train_loss","step":1,"epoch":1,"tokens":1,"elapsedMs":1,"value":2}';
  test.each([`${good}\n{"name":`, `${good}\n{"name":"train_loss"}\n`])(
    '%s are refused with their line',
    (json) => {
      expect(() => readMetricPoints(json)).toThrowError(PlaygroundError);
      expect(() => readMetricPoints(json)).toThrowError(/line 2 of metrics\.jsonl/);
    },
  );
});

describe('a record that is damaged', () => {
  test.each([
    ['{', /not JSON/],
    ['{"version": 2}', /version/],
    ['{"version": 1, "state": "finished", "step": "3", "best": null, "weights": null}', /step/],
  ])('%s is refused with the reason', (json, reason) => {
    expect(() => readRunRecord(json)).toThrowError(PlaygroundError);
    expect(() => readRunRecord(json)).toThrowError(reason);
  });
});
