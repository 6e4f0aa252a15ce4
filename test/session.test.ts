// The worker's session over a real MessageChannel, with the shipped model on wasm: order of things, pace, errors that survive the wire.
// Run: npx vitest run --project node test/session.test.ts

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expose, proxy, type Remote, wrap } from 'comlink';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type {
  Measuring,
  MetricPoint,
  RatePoint,
  RunConfig,
  RunEvent,
  RunState,
  Session,
} from '../src/contract';
import type { RowMeasurement } from '../src/dataContract';
import { PlaygroundError } from '../src/errors';
import type { ExportCalls } from '../src/exportContract';
import { folderFromFiles } from '../src/formats/huggingface';
import type { GenerationSettings } from '../src/generation';
import { defaultHyperparameters } from '../src/hyperparameters';
import { Dataset } from '../src/session/dataset';
import { openModel } from '../src/session/model';
import { EngineSession } from '../src/worker/session';
import { carryErrors } from '../src/worker/wire';

const MODEL = 'models/pebble-1m';
const WASM = `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`;
const GREEDY: GenerationSettings = {
  do_sample: false,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  seed: 1,
  max_new_tokens: 12,
};
const settings = { ...defaultHyperparameters(), num_train_epochs: 2, batch_size: 4, eval_per_epoch: 1 };

const pairs: [string, string][] = [
  ['What colour is the sky?', 'The sky is blue.'],
  ['Where does the cat sleep?', 'The cat sleeps on the mat.'],
  ['Who bakes the bread?', 'The baker bakes the bread.'],
  ['When does the shop open?', 'The shop opens at nine.'],
  ['What do cows drink?', 'Cows drink water.'],
  ['How many legs has a dog?', 'A dog has four legs.'],
  ['Which season is cold?', 'Winter is cold.'],
  ['What grows in the garden?', 'Roses grow in the garden.'],
  ['Who sails the boat?', 'The captain sails the boat.'],
  ['Where do fish live?', 'Fish live in the sea.'],
  ['What lights the room?', 'A lamp lights the room.'],
  ['Why is the grass wet?', 'The grass is wet from rain.'],
];
const row = ([user, assistant]: [string, string]) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  });
const rows = pairs.map(row).join('\n');

let session: Remote<Session & ExportCalls>;
let channel: MessageChannel;

beforeAll(async () => {
  carryErrors();
  channel = new MessageChannel();
  expose(new EngineSession(() => {}), channel.port1);
  session = wrap<Session & ExportCalls>(channel.port2);
});
afterAll(() => {
  channel.port1.close();
  channel.port2.close();
});

const modelFiles = () =>
  readdirSync(MODEL).map((name) => ({
    path: `pebble/${name}`,
    file: new Blob([readFileSync(`${MODEL}/${name}`)]),
  }));

async function refusal(call: Promise<unknown>): Promise<PlaygroundError> {
  const thrown = await call.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(PlaygroundError);
  return thrown as PlaygroundError;
}

describe('a model whose template has habits of its own', () => {
  const template =
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

  test('is loaded with the same sentences on the page as on the command line', async () => {
    const other = new MessageChannel();
    expose(new EngineSession(() => {}), other.port1);
    const page = wrap<Session & ExportCalls>(other.port2);
    onTestFinished(() => {
      other.port1.close();
      other.port2.close();
    });
    await page.start({ backend: 'wasm', wasmPath: WASM });
    const config = JSON.parse(readFileSync(`${MODEL}/tokenizer_config.json`, 'utf8')) as object;
    const files = modelFiles().map(({ path: at, file }) => ({
      path: at,
      file: at.endsWith('tokenizer_config.json')
        ? new Blob([JSON.stringify({ ...config, chat_template: template })])
        : file,
    }));
    const info = await page.loadModel(
      { kind: 'files', id: 'no end', files },
      proxy(() => {}),
    );
    expect(info.notices).toEqual([expect.stringMatching(/writes no end token.*is added there and learned/)]);
    expect(info.notices).toEqual((await openModel(folderFromFiles(files))).notices);
    const report = await page.readData({ kind: 'text', name: 'rows.jsonl', text: rows }, settings);
    expect(report).toMatchObject({ usableRows: pairs.length, encodedRows: pairs.length });
    const [shown] = await page.previewRows({ split: 'train', offset: 0, count: 1 });
    expect(shown?.tokens.filter((t) => t.trained).at(-1)).toMatchObject({
      text: info.endOfTurn,
      special: true,
    });
  });
});

/** Starts a run and collects what it reports. */
function start(h = settings) {
  const points: MetricPoint[] = [];
  const rows: RowMeasurement[] = [];
  const states: RunState[] = [];
  const measuring: Measuring[] = [];
  const configs: RunConfig[] = [];
  let steps = 0;
  const summary = session.train(
    h,
    proxy((e: RunEvent) => {
      points.push(...e.points);
      rows.push(...e.rows);
      states.push(e.progress.state);
      if (e.progress.measuring) measuring.push(e.progress.measuring);
      steps = e.progress.step;
    }),
    proxy((c: RunConfig) => {
      configs.push(c);
    }),
  );
  return { points, rows, states, measuring, configs, summary, steps: () => steps };
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !what(); i++) await new Promise((r) => setTimeout(r, 10));
  expect(what()).toBe(true);
}

const values = (points: MetricPoint[], name: string) =>
  points.filter((p) => p.name === name).map((p) => p.value);

describe('before anything is loaded', () => {
  test('each call says what is missing, with code, sentence and fix', async () => {
    const error = await refusal(session.readData({ kind: 'text', name: 'a.jsonl', text: rows }, settings));
    expect(error).toMatchObject({
      code: 'no_model',
      message: 'No model is loaded.',
      fix: 'Choose a model first.',
    });
  });
});

describe('with the shipped model', () => {
  beforeAll(async () => {
    const device = await session.start({ backend: 'wasm', wasmPath: WASM });
    expect(device.backend).toBe('wasm');
    const progress: number[] = [];
    const info = await session.loadModel(
      { kind: 'files', id: 'pebble-1m', files: modelFiles() },
      proxy((p) => {
        progress.push(p.loadedBytes / p.totalBytes);
      }),
    );
    expect(info).toMatchObject({
      id: 'pebble-1m',
      parameters: 1377408,
      chatTemplate: 'own',
      endOfTurn: '<|im_end|>',
    });
    await until(() => progress.at(-1) === 1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
  });

  test('a missing tokenizer ends in its sentence and the loaded model stays', async () => {
    const files = modelFiles().filter((f) => !f.path.endsWith('tokenizer.json'));
    const error = await refusal(
      session.loadModel(
        { kind: 'files', id: 'x', files },
        proxy(() => {}),
      ),
    );
    expect(error.message).toContain('tokenizer.json');
    expect(error.fix).not.toBe('');
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: rows }, settings);
  });

  test('rows are encoded again only for another model or other settings of theirs', async () => {
    const { chat, files } = await openModel(folderFromFiles(modelFiles()));
    const dataset = await Dataset.read('rows.jsonl', rows);
    const first = dataset.encode(chat, files.architecture, settings);
    const same = { ...settings, learning_rate: 0.1, batch_size: 2 };
    expect(dataset.encode(chat, files.architecture, same)).toBe(first);
    const encoded = dataset.rows('train')[0]?.encoded;
    for (const more of [
      { max_length: 32 },
      { loss_on: 'all' as const },
      { validation_fraction: 0.4 },
      { seed: 7 },
    ]) {
      expect(dataset.encode(chat, files.architecture, { ...settings, ...more })).not.toBe(first);
    }
    expect(dataset.encode({ ...chat }, files.architecture, settings)).not.toBe(first);
    expect(dataset.encode(chat, files.architecture, settings)).toEqual(first);
    expect(dataset.rows('train')[0]?.encoded).toEqual(encoded);
  });

  test('rows with errors block training until the visitor agrees', async () => {
    const text = `${rows}\n{"messages": [}\n${row(['One more?', 'One more.'])}`;
    const report = await session.readData(
      { kind: 'file', name: 'rows.jsonl', file: new Blob([text]) },
      settings,
    );
    expect(report).toMatchObject({ rows: 14, usableRows: 13, needsConsent: true });
    expect(report.issues[0]).toMatchObject({ code: 'invalid_json', line: 13, severity: 'error' });
    expect((await refusal(start().summary)).code).toBe('rows_with_errors');
    expect(await session.leaveOutBadRows()).toMatchObject({ needsConsent: false, usableRows: 13 });
    const again = await session.encodeData({ ...settings, seed: 7 });
    expect(again).toMatchObject({ needsConsent: false, trainRows: 13 - again.validationRows });
  });

  test('a file in an older encoding is converted as on the command line, and the encoding may be named', async () => {
    const bytes = Uint8Array.from(row(['W\u00f6rter f\u00fcr drau\u00dfen?', 'Gr\u00fcn.']), (c) =>
      c.charCodeAt(0),
    );
    const file = new Blob([bytes, '\n', rows]);
    const read = (encoding?: string) =>
      session.readData({ kind: 'file', name: 'rows.jsonl', file, ...(encoding && { encoding }) }, settings);
    const report = await read();
    expect(report).toMatchObject({ encoding: 'windows-1252', needsConsent: false });
    expect(report.issues[0]).toMatchObject({ code: 'encoding_converted', line: 0 });
    expect(report.issues[0]?.message).toContain('“Wörter”');
    expect(await read('macintosh')).toMatchObject({ encoding: 'macintosh', issues: [] });
    expect(report.encodings).toContainEqual({ label: 'macintosh', name: 'Mac Roman' });
    expect(await session.readText({ kind: 'file', name: 'rows.jsonl', file })).toContain(
      'Wörter für draußen',
    );
    const picture = new Blob([Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a)]);
    await session.readData({ kind: 'file', name: 'rows.csv', file: picture }, settings);
    expect((await refusal(start().summary)).code).toBe('binary_file');
    const opened = session.readText({ kind: 'file', name: 'rows.csv', file: picture });
    expect((await refusal(opened)).code).toBe('binary_file');
  });

  test('the preview marks the answer and its end token, and nothing else', async () => {
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: rows }, settings);
    const [first] = await session.previewRows({ offset: 0, count: 1, split: 'train' });
    const trained = first?.tokens
      .filter((t) => t.trained)
      .map((t) => t.text)
      .join('');
    expect(trained).toBe(`${first?.messages.at(-1)?.content}<|im_end|>`);
  });

  test('a run goes from step 0 to the end, learns, and keeps the base model as it was', async () => {
    const ask = (which: 'base' | 'tuned') =>
      session.generate(
        { which, messages: [{ role: 'user', content: pairs[0]?.[0] ?? '' }], settings: GREEDY },
        proxy(() => {}),
      );
    expect((await refusal(ask('tuned'))).code).toBe('no_tuned_model');
    const baseBefore = await ask('base');
    const run = start({ ...settings, num_train_epochs: 8 });
    const summary = await run.summary;
    expect(summary.error).toBeUndefined();
    expect(summary).toMatchObject({ state: 'finished', step: summary.config.totalSteps });
    expect(run.configs).toHaveLength(1);
    expect(run.points[0]).toMatchObject({ name: 'train_eval_loss', step: 0 });
    const losses = values(run.points, 'train_loss');
    expect(losses).toHaveLength(summary.config.totalSteps);
    const measured = values(run.points, 'train_eval_loss');
    expect(measured.at(-1)).toBeLessThan((measured[0] as number) * 0.8);
    expect(values(run.points, 'valid_loss')).toHaveLength(9);
    // The losses of single rows, weighted by their learned tokens, are those of the curve.
    expect(run.rows.map((r) => r.step)).toEqual(
      run.points.filter((p) => p.name === 'valid_loss').map((p) => p.step),
    );
    for (const { validation } of [run.rows[0] as RowMeasurement, run.rows.at(-1) as RowMeasurement]) {
      const previews = await Promise.all(
        validation.places.map((offset) => session.previewRows({ split: 'validation', offset, count: 1 })),
      );
      expect(previews.map(([row]) => row?.line)).toEqual(validation.lines);
      const tokens = previews.map(([row]) => row?.tokens.filter((t) => t.trained).length ?? 0);
      const sum = validation.losses.reduce((total, loss, i) => total + loss * (tokens[i] as number), 0);
      const mean = sum / tokens.reduce((a, b) => a + b, 0);
      const curve = values(run.points, 'valid_loss');
      expect(mean).toBeCloseTo(
        (validation === run.rows[0]?.validation ? curve[0] : curve.at(-1)) as number,
        5,
      );
    }
    // Both held-out rows are measured each time.
    expect(values(run.points, 'full_valid_loss')).toEqual(values(run.points, 'valid_loss'));
    expect(run.measuring).toContainEqual({ what: 'sample', step: 0, done: expect.any(Number), of: 12 });
    for (const { done, of } of run.measuring) expect(done).toBeLessThanOrEqual(of);
    expect((await ask('base')).text).toBe(baseBefore.text);
    const pieces: string[] = [];
    const tuned = await session.generate(
      { which: 'tuned', messages: [{ role: 'user', content: pairs[0]?.[0] ?? '' }], settings: GREEDY },
      proxy((t) => {
        pieces.push(t);
      }),
    );
    expect(pieces.join('')).toBe(tuned.text);
    await session.useTunedWeights('best');
    expect(['end_token', 'limit']).toContain((await ask('tuned')).stoppedBy);
    expect(
      (
        await session.exportWeights(
          { of: 'answering' },
          { format: 'adapter' },
          proxy(() => {}),
        )
      ).file.size,
    ).toBeGreaterThan(10_000);
  }, 120_000);

  test('a range test draws a curve from a tiny rate upwards, proposes one of them, and leaves nothing behind', async () => {
    const { tensors } = await session.memory();
    const points: RatePoint[] = [];
    const proposed = await session.findLearningRate(
      settings,
      proxy((p: RatePoint) => {
        points.push(p);
      }),
    );
    await until(() => points.length >= 30);
    const rates = points.map((p) => p.learningRate);
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    expect(proposed).not.toBeNull();
    expect(proposed as number).toBeGreaterThan(1e-4);
    expect(proposed as number).toBeLessThan(0.5);
    // Masks and rotary tables for a new length may be made; the learner and its moments must be gone.
    expect((await session.memory()).tensors - tensors).toBeLessThanOrEqual(6);
  }, 120_000);

  // How many updates are under way when the pause is heard depends on how fast they are: the clock decides that here, not the machine.
  test.each([
    ['a slow machine, one under way', 1],
    ['a fast machine, several under way', 0.02],
  ])(
    '%s: pause, single step, resume, and stop, which keeps the weights',
    async (_, tick) => {
      let now = 0;
      const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
        now += tick;
        return now;
      });
      onTestFinished(() => clock.mockRestore());
      const run = start({ ...settings, num_train_epochs: 200, batch_size: 1 });
      const drawn = () => run.points.filter((p) => p.name === 'train_loss').length;
      await until(() => run.steps() >= 40);
      await session.pause();
      await until(() => run.states.at(-1) === 'paused');
      const held = run.steps();
      await new Promise((r) => setTimeout(r, 300));
      expect(run.steps()).toBe(held);
      expect(drawn()).toBe(held);
      await session.singleStep();
      await until(() => run.steps() === held + 1 && run.states.at(-1) === 'paused');
      expect(drawn()).toBe(held + 1);
      expect(
        (
          await refusal(
            session.loadModel(
              { kind: 'files', id: 'y', files: modelFiles() },
              proxy(() => {}),
            ),
          )
        ).code,
      ).toBe('run_active');
      await session.resume();
      await until(() => run.steps() > held + 2);
      await session.stop();
      const summary = await run.summary;
      expect(summary.state).toBe('stopped');
      expect(summary.step).toBeLessThan(summary.config.totalSteps);
      const answer = await session.generate(
        { which: 'tuned', messages: [{ role: 'user', content: 'Hi' }], settings: GREEDY },
        proxy(() => {}),
      );
      expect(answer.tokens).toBeGreaterThanOrEqual(0);
    },
    120_000,
  );

  test('tensors stay flat over the steps of a run', async () => {
    const counts = new Map<number, number>();
    const summary = await session.train(
      { ...settings, method: 'last_layers', num_train_epochs: 100, eval_per_epoch: 1 },
      proxy((e: RunEvent) => {
        counts.set(e.progress.step, e.progress.memory.tensors);
      }),
      proxy(() => {}),
    );
    const { totalSteps } = summary.config;
    const settled = [...counts].filter(([step]) => step > totalSteps / 4).map(([, tensors]) => tensors);
    expect(settled.length).toBeGreaterThan(3);
    expect(new Set(settled).size).toBe(1);
  }, 120_000);
});
