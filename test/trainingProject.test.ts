// A run exported as a training project: its files, its rows and tokens beside those of the run, order, settings, configurations; and what is refused.
// Not here: whether TRL gives the same losses with it (interop/trainingProject.interop.ts).

import { beforeAll, describe, expect, test } from 'vitest';
import { exportModel } from '../src/cli/export';
import { assertRunOptions } from '../src/cli/exportedRun';
import { parseArguments } from '../src/cli/options';
import type { MetricPoint, RunSummary } from '../src/contract';
import { startDevice } from '../src/engine/device/device';
import { createLearner, disposeLearner } from '../src/engine/model/adapters';
import { keepInMemory, type OutFile } from '../src/engine/model/weightFiles';
import { EpochRows } from '../src/engine/training/epochRows';
import { planTraining } from '../src/engine/training/plan';
import { folderFromFiles } from '../src/formats/huggingface';
import { openAiRow, type ProjectSettings } from '../src/formats/trainingProject/project';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { Dataset } from '../src/session/dataset';
import { exportBytes, makeExport } from '../src/session/exports';
import { type BaseModel, loadWeights, openAdapter, openModel } from '../src/session/model';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

const H: Hyperparameters = {
  ...defaultHyperparameters(),
  lora_r: 2,
  batch_size: 3,
  gradient_accumulation_steps: 2,
  num_train_epochs: 2,
  test_fraction: 0.2,
};
const ROWS = Array.from({ length: 24 }, (_, i) => ({
  messages: [
    { role: 'user', content: `What is number ${i * 37}, seen from ${'abcdefgh'[i % 8]}?` },
    { role: 'assistant', content: `It is ${i % 2 ? 'red' : 'blue'}.` },
  ],
}));
const platform = { yieldToEvents: async () => {}, shippedText: async () => jsonl(GENERAL) };
const GENERAL = Array.from({ length: 9 }, (_, i) => ({
  messages: [
    { role: 'user', content: `A general question, the ${i}th` },
    { role: 'assistant', content: `An answer ${i}` },
  ],
}));
const jsonl = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

const POINTS = [
  ['train_eval_loss', 0, 2.5],
  ['valid_loss', 0, 2.75],
  ['train_loss', 1, 9],
  ['train_eval_loss', 6, 1.25],
  ['valid_loss', 6, 1.5],
  ['full_valid_loss', 6, 7],
].map(([name, step, value]) => ({
  ...{ name, step, value },
  ...{ epoch: 0, tokens: 0, elapsedMs: 0 },
})) as unknown as MetricPoint[];

let base: BaseModel;
beforeAll(async () => {
  const fail = (error: Error) => {
    throw error;
  };
  await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
  base = await loadWeights(await openModel(fixtureFolder('chat')), { id: 'chat' });
});

/** A run on these rows, its data set and the files of its project. */
async function project(change: Partial<Hyperparameters> = {}, rows: readonly unknown[] = ROWS) {
  const h = { ...H, ...change };
  const dataset = await Dataset.read('rows.jsonl', jsonl(rows));
  await dataset.provideReplay(h, platform);
  const {
    hash,
    trainRows,
    validationRows,
    test: kept,
    replay,
  } = dataset.encode(base.chat, base.model.architecture, h);
  const config = {
    ...{ hyperparameters: h, modelId: 'chat', datasetHash: hash, trainRows, validationRows },
    ...(kept && { test: kept }),
    ...(replay && { replay }),
    ...{ checkpointing: { on: true }, trainableParameters: 1000, totalSteps: 6 },
    rateChanges: [{ step: 4, from: h.learning_rate, to: 1e-3 }],
  };
  const summary = { config } as unknown as RunSummary;
  const run = { summary, learned: null, points: POINTS, weights: [] };
  const source = { base, learner: null, run, dataset };
  const made = () =>
    makeExport(source, { format: 'training_project' }, keepInMemory, platform, {
      onProgress: () => {},
      cancelled: () => false,
    });
  return { h, dataset, source, config, made };
}

const textOf = async (files: readonly OutFile[], path: string) => {
  const file = files.find((one) => one.path === path);
  if (!file) throw new Error(`There is no ${path}.`);
  return new Blob([file.bytes as BlobPart]).text();
};
const linesOf = async <T>(files: readonly OutFile[], path: string) =>
  (await textOf(files, path))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);

interface TokenRow {
  input_ids: number[];
  labels: number[];
}

describe('a training project', () => {
  test('has its rows as they were split, and the ids and learned tokens that the run has', async () => {
    const { dataset, made } = await project();
    const { files, proof, notices } = await made();
    expect({ proof, notices }).toEqual({ proof: null, notices: [] });
    const seen: unknown[] = [];
    for (const side of ['train', 'validation', 'test'] as const) {
      const written = await linesOf<{ messages: unknown }>(files, `data/${side}.jsonl`);
      expect(written.length).toBeGreaterThan(2);
      expect(written.map(({ messages }) => messages)).toEqual(
        dataset.rows(side).map(({ example }) => example.messages),
      );
      seen.push(...written);
    }
    expect(new Set(seen.map((row) => JSON.stringify(row)))).toEqual(
      new Set(ROWS.map((row) => JSON.stringify(row))),
    );
    for (const side of ['train', 'validation'] as const) {
      const tokens = await linesOf<TokenRow>(files, `tokens/${side}.jsonl`);
      expect(tokens).toHaveLength(dataset.rows(side).length);
      for (const [i, { encoded }] of dataset.rows(side).entries()) {
        const { input_ids, labels } = tokens[i] as TokenRow;
        expect(input_ids).toEqual([...encoded.ids]);
        expect(labels.map((label) => (label === -100 ? 0 : 1))).toEqual([...encoded.mask]);
        expect(labels.every((label, t) => label === -100 || label === input_ids[t])).toBe(true);
        expect(base.chat.stopIds).toContain(labels.at(-1) === -100 ? labels.at(-2) : labels.at(-1));
      }
    }
    // No run reads the test rows, so their tokens are not there.
    expect(files.map(({ path }) => path)).not.toContain('tokens/test.jsonl');
  });

  test('has the rows of each update, general rows among them, in the order of the run', async () => {
    const { h, dataset, made } = await project({ replay_fraction: 0.25 });
    const { files } = await made();
    const order = await linesOf<number[]>(files, 'order.jsonl');
    const tokens = [
      ...(await linesOf<TokenRow>(files, 'tokens/train.jsonl')),
      ...(await linesOf<TokenRow>(files, 'tokens/replay.jsonl')),
    ];
    const data = dataset.trainingData();
    const { stepsPerEpoch, totalSteps } = planTraining(data, h);
    const rows = new EpochRows(data, h);
    expect(order).toHaveLength(totalSteps);
    for (const [step, numbers] of order.entries()) {
      const expected = rows.ofStep(Math.floor(step / stepsPerEpoch), step % stepsPerEpoch).flat();
      expect(numbers.map((i) => tokens[i]?.input_ids)).toEqual(expected.map(({ ids }) => [...ids]));
    }
    expect(order.flat().some((i) => i >= data.train.length)).toBe(true);
  });

  test('has the settings, the evaluations and the curve of the run', async () => {
    const { h, dataset, made } = await project();
    const { files } = await made();
    const settings: ProjectSettings = JSON.parse(await textOf(files, 'settings.json'));
    const data = dataset.trainingData();
    const plan = planTraining(data, h);
    expect(settings).toMatchObject({
      base_model: { folder: 'base_model' },
      hyperparameters: h,
      trainable: null,
      gradient_checkpointing: true,
      rate_changes: [{ step: 4, to: 1e-3 }],
      total_steps: plan.totalSteps,
      evaluate_at: [...plan.evaluateAt].sort((a, b) => a - b),
    });
    expect(settings.evaluation_rows.validation.map((i) => data.validation[i])).toEqual(
      plan.sample.validation,
    );
    expect(settings.evaluation_rows.train.map((i) => data.train[i])).toEqual(plan.sample.train);
    expect(await textOf(files, 'curve.csv')).toBe(
      'step,train_loss,validation_loss\n0,2.5,2.75\n6,1.25,1.5\n',
    );
  });

  test('starts from the adapter that the run starts from, or names the tensors that learn', async () => {
    const { h, made } = await project();
    const { files } = await made();
    const start = files.filter(({ path }) => path.startsWith('start_adapter/'));
    const folder = folderFromFiles(
      start.map(({ path, bytes }) => ({
        path: path.replace('start_adapter/', ''),
        file: new Blob([bytes as BlobPart]),
      })),
    );
    const { learner } = await openAdapter(folder, base);
    const first = createLearner(base.model.architecture, base.model.weights, h);
    expect([...learner.tensors.keys()].sort()).toEqual([...first.tensors.keys()].sort());
    for (const [name, tensor] of first.tensors)
      expect(await learner.tensors.get(name)?.data()).toEqual(await tensor.data());
    disposeLearner(learner);
    disposeLearner(first);

    const full = await (await project({ method: 'full', train_embeddings: false })).made();
    expect(full.files.filter(({ path }) => path.startsWith('start_adapter/'))).toEqual([]);
    const { trainable }: ProjectSettings = JSON.parse(await textOf(full.files, 'settings.json'));
    expect(trainable).toContain('model.norm.weight');
    expect(trainable).not.toContain('model.embed_tokens.weight');
  });

  test('has pinned packages, a configuration for each kind of machine, and numbers that YAML reads', async () => {
    const { source, made } = await project({ adam_epsilon: 1e-8, rank_pattern: 'mlp=1' });
    const { files } = await made();
    const names = files.map(({ path }) => path);
    for (const name of ['cpu', 'gpu', 'ddp', 'fsdp']) expect(names).toContain(`accelerate/${name}.yaml`);
    expect(await textOf(files, 'requirements.txt')).toMatch(/^(\w+==\d+\.\d+\.\d+\n){6}$/);
    expect(await textOf(files, 'accelerate/fsdp.yaml')).toMatch(/^fsdp_config:\n {2}fsdp_version: 2\n/m);
    const axolotl = await textOf(files, 'axolotl.yaml');
    expect(axolotl).toContain('adam_epsilon: 1.0e-8\n');
    expect(axolotl).toContain('The ranks by layer are left out');
    expect(axolotl).toMatch(/lora_target_modules: \["q_proj"/);
    const readme = await textOf(files, 'README.md');
    for (const [, name] of readme.matchAll(/--config_file (\S+)/g)) expect(names).toContain(name);
    for (const [, name] of readme.matchAll(/python (\S+\.py)/g)) expect(names).toContain(name);
    expect(readme).toContain('2.7500 at step 0, lowest 1.5000 at step 6');
    const train = await textOf(files, 'train.py');
    // What train.py reads is there.
    for (const [, file] of train.matchAll(/HERE \/ "([\w./]+\.json)"/g)) expect(names).toContain(file);
    const settings = JSON.parse(await textOf(files, 'settings.json'));
    for (const [, key] of train.matchAll(/SETTINGS\["(\w+)"\]/g))
      expect(settings).toHaveProperty(key as string);
    for (const [, key] of train.matchAll(/\bH\["(\w+)"\]/g))
      expect(settings.hyperparameters).toHaveProperty(key as string);
    const size = files.reduce((sum, { bytes }) => sum + new Blob([bytes as BlobPart]).size, 0);
    const said = exportBytes(
      base,
      0,
      { format: 'training_project' },
      { config: source.run.summary.config, dataset: source.dataset },
    );
    expect(Math.abs(size - said)).toBeLessThan(60_000);
  });

  test('names a model of the hub by its commit, and does not copy it', async () => {
    const { source } = await project();
    const commit = '0123456789abcdef0123456789abcdef01234567';
    const { config } = source.run.summary;
    const run = {
      ...source.run,
      summary: { ...source.run.summary, config: { ...config, modelId: 'a/b', modelCommit: commit } },
    };
    const onHub = { ...source, base: { ...base, id: 'a/b', commit }, run };
    const { files } = await makeExport(onHub, { format: 'training_project' }, keepInMemory, platform, {
      onProgress: () => {},
      cancelled: () => false,
    });
    const settings: ProjectSettings = JSON.parse(await textOf(files, 'settings.json'));
    expect(settings.base_model).toEqual({ id: 'a/b', commit });
    expect(files.filter(({ path }) => path.startsWith('base_model/'))).toEqual([]);
  });

  test('says which weights of rows it leaves out', async () => {
    const weighted = ROWS.map((row, i) => ({ ...row, weight: i % 2 ? 0.5 : 1 }));
    const { files, notices } = await (await project({}, weighted)).made();
    expect(notices).toEqual([expect.stringMatching(/^\d+ training rows have a weight other than 1/)]);
    expect(await textOf(files, 'README.md')).toContain(notices[0]);
  });

  test('is refused with other rows, another model, or no run', async () => {
    const { source } = await project();
    const { source: other } = await project({}, ROWS.slice(0, 20));
    const make = (from: typeof source | (Omit<typeof source, 'run'> & { run: null })) =>
      makeExport(from, { format: 'training_project' }, keepInMemory, platform, {
        onProgress: () => {},
        cancelled: () => false,
      });
    await expect(make({ ...source, dataset: other.dataset })).rejects.toMatchObject({
      code: 'export_other_data',
      message: expect.stringContaining('the text of the data'),
    });
    await expect(make({ ...source, base: { ...base, id: 'other' } })).rejects.toMatchObject({
      code: 'export_other_data',
      message: expect.stringContaining('the model is other now and was chat'),
    });
    await expect(make({ ...source, run: null })).rejects.toMatchObject({ code: 'export_blocked' });
  });
});

describe('a row in OpenAI’s format', () => {
  test('has the arguments of a call as text, and keeps what a message holds beside it', () => {
    const row = openAiRow({
      line: 1,
      messages: [
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ type: 'function', id: 'c1', function: { name: 'add', arguments: { a: 1 } } }],
        },
        { role: 'tool', content: '3', tool_call_id: 'c1', name: 'add' },
        { role: 'assistant', content: 'Three.', weight: 0 },
      ],
      tools: [{ name: 'add' }],
    });
    expect(JSON.parse(row)).toEqual({
      messages: [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ type: 'function', id: 'c1', function: { name: 'add', arguments: '{"a":1}' } }],
        },
        { role: 'tool', content: '3', tool_call_id: 'c1', name: 'add' },
        { role: 'assistant', content: 'Three.', weight: 0 },
      ],
      tools: [{ name: 'add' }],
    });
    expect(openAiRow({ line: 1, messages: [], text: 'Once.' })).toBe('{"text":"Once."}\n');
  });
});

describe('export on the command line', () => {
  const asked = (...more: string[]) =>
    parseArguments(exportModel, ['--model', 'm', '--out', 'o', ...more.flatMap((word) => word.split(' '))]);

  test.each([
    ['merged', ['--run r'], 'run'],
    ['adapter', ['--data d'], 'data'],
    ['gguf', ['--leave_out_bad_rows'], 'leave_out_bad_rows'],
    ['merged', ['--passages 3'], 'passages'],
    ['training_project', ['--data d'], 'run'],
    ['training_project', ['--run r'], 'data'],
    ['training_project', ['--run r', '--data d', '--adapter a'], 'adapter'],
    ['training_project', ['--run r', '--data d', '--include_base_model'], 'include_base_model'],
  ] as const)('refuses what has no meaning or is missing: %s %j', (format, options, where) => {
    const run = () => assertRunOptions(asked(...options), format);
    expect(run).toThrow(expect.objectContaining({ code: 'bad_usage', where }));
  });

  test('takes a run and its rows for a training project, and neither for a model', () => {
    assertRunOptions(asked('--run r', '--data d', '--validation v'), 'training_project');
    assertRunOptions(asked('--adapter a'), 'merged');
  });
});
