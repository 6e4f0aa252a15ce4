// What an export leaves: a folder that is complete, its README, the base model that goes along, DoRA without division by zero; and opening it again.
// Not here: adapter files by themselves (adapters.test.ts), real PEFT and the README's Python (interop/).

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { RunConfig } from '../src/contract';
import { startDevice } from '../src/engine/device/device';
import { asFloat32 } from '../src/engine/kernels';
import { createLearner, type Learner } from '../src/engine/model/adapters';
import { learnedFiles, modelFiles } from '../src/engine/model/artifacts';
import { Model } from '../src/engine/model/model';
import type { OutFile } from '../src/engine/model/weightFiles';
import { evaluate, measureWith } from '../src/engine/training/evaluate';
import { folderFromFiles, readModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { type BaseModel, loadWeights, openAdapter, openModel } from '../src/session/model';
import { evaluation } from './engineSuite';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

const h: Hyperparameters = { ...defaultHyperparameters(), lora_r: 2, lora_alpha: 4 };

const CONFIG = {
  hyperparameters: h,
  checkpointing: { on: false },
  modelId: 'chat',
  datasetName: 'my\nrows | 1.csv',
  datasetHash: 'abc',
  trainRows: 10,
  validationRows: 2,
  evaluation: { validationRows: 2 },
} as unknown as RunConfig;

let base: BaseModel;
beforeAll(async () => {
  const fail = (error: Error) => {
    throw error;
  };
  await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
  base = await loadWeights(await openModel(fixtureFolder('chat')), { id: 'chat' });
});

const learnerOf = (change: Partial<Hyperparameters> = {}, model = base.model) =>
  createLearner(model.architecture, model.weights, { ...h, ...change });

/** A learner whose lora_B is no longer zero. */
function trained(change: Partial<Hyperparameters> = {}, model = base.model): Learner {
  const learner = learnerOf(change, model);
  let seed = 1;
  for (const [name, before] of learner.tensors)
    if (name.endsWith('.lora_B'))
      learner.tensors.set(name, tf.randomNormal(before.shape, 0, 0.1, 'float32', seed++));
  return learner;
}

const textOf = (files: readonly OutFile[], path: string) => {
  const bytes = files.find((f) => f.path === path)?.bytes;
  if (bytes === undefined) throw new Error(`there is no ${path}`);
  return typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes as Uint8Array);
};
const blobs = (files: readonly OutFile[], below = '') =>
  files
    .filter(({ path }) => path.startsWith(below))
    .map(({ path, bytes }) => ({ path: path.slice(below.length), file: new Blob([bytes as BlobPart]) }));

const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];
const MODEL = ['model.safetensors', 'config.json', 'generation_config.json', ...TOKENIZER];
const ADAPTER = ['adapter_config.json', 'adapter_model.safetensors', ...TOKENIZER, 'README.md'];

describe('an exported adapter', () => {
  test('has its tokenizer and, from no hub, its base model as it was stored', async () => {
    const files = await learnedFiles(base, trained(), CONFIG, []);
    expect(files.map(({ path }) => path)).toEqual([...ADAPTER, ...MODEL.map((path) => `base_model/${path}`)]);
    expect(JSON.parse(textOf(files, 'adapter_config.json'))).toMatchObject({
      base_model_name_or_path: './base_model',
      revision: null,
    });
    const again = await readModelFolder(folderFromFiles(blobs(files, 'base_model/')));
    expect(again.notices).toEqual(base.files.notices);
    expect(again.weights.names).toEqual(base.files.weights.names);
    for (const name of again.weights.names) {
      expect(await again.weights.readRaw(name)).toEqual(await base.files.weights.readRaw(name));
    }
    expect(JSON.parse(textOf(files, 'base_model/generation_config.json')).eos_token_id).toEqual([
      ...base.chat.stopIds,
    ]);
    expect(textOf(files, 'tokenizer.json')).toBe(textOf(files, 'base_model/tokenizer.json'));
  });

  test('names a hub model and its version instead', async () => {
    const commit = 'c0ffee';
    const onHub = { ...base, id: 'someone/tiny', commit };
    const files = await learnedFiles(onHub, trained(), CONFIG, []);
    expect(files.map(({ path }) => path)).toEqual(ADAPTER);
    expect(JSON.parse(textOf(files, 'adapter_config.json'))).toMatchObject({
      base_model_name_or_path: 'someone/tiny',
      revision: commit,
    });
    const readme = textOf(files, 'README.md');
    expect(readme).toContain('AutoModelForCausalLM.from_pretrained("someone/tiny", revision="c0ffee")');
    expect(readme).toMatch(/^---\n[\s\S]*\nbase_model: "someone\/tiny"\nbase_model_relation: adapter\n/);
    const included = await learnedFiles(onHub, trained(), CONFIG, [], { includeBase: true });
    expect(included.map(({ path }) => path)).toContain('base_model/model.safetensors');
    expect(textOf(included, 'README.md')).toContain('AutoModelForCausalLM.from_pretrained("./base_model")');
  });

  test('says where a large base model belongs, and has it on request', async () => {
    const large = { ...base, files: { ...base.files, weights: { ...base.files.weights, totalBytes: 1e9 } } };
    const files = await learnedFiles(large, trained(), CONFIG, []);
    expect(files.map(({ path }) => path)).toEqual(ADAPTER);
    expect(textOf(files, 'README.md')).toMatch(
      /First put the folder of the base model, chat, .* call it `base_model`/,
    );
    const included = await learnedFiles(large, trained(), CONFIG, [], { includeBase: true });
    expect(included.map(({ path }) => path)).toContain('base_model/model.safetensors');
  });

  test('has a README that names no base model where no hub knows it, and keeps to one line what others wrote', async () => {
    const readme = textOf(await learnedFiles(base, trained(), CONFIG, []), 'README.md');
    expect(readme).toMatch(/^---\nlibrary_name: peft\npipeline_tag: text-generation\n---\n/);
    expect(readme).toContain('Data: my rows | 1.csv, 10 rows to train, 2 to validate');
    expect(readme).toContain(`eos_token_id=${JSON.stringify([...base.chat.stopIds])}`);
    expect(readme).not.toContain('repetition_penalty');
  });

  test('turns off in its README what this program does not do', async () => {
    const generationConfig = { ...base.files.generationConfig, repetition_penalty: 1.1 };
    const chat = { ...base.chat, template: '{% if enable_thinking %}{% endif %}' };
    const other = { ...base, chat, files: { ...base.files, generationConfig } };
    const readme = textOf(await learnedFiles(other, trained(), CONFIG, []), 'README.md');
    expect(readme).toContain('repetition_penalty=1.0');
    expect(readme).toContain('enable_thinking=False');
  });

  test('gives its tokenizer a class, which AutoTokenizer needs where there is no config.json', async () => {
    const other = { ...base, files: { ...base.files, tokenizerConfig: {} } };
    const files = await learnedFiles(other, trained(), CONFIG, []);
    expect(JSON.parse(textOf(files, 'tokenizer_config.json')).tokenizer_class).toBe(
      'PreTrainedTokenizerFast',
    );
  });

  test('is no model: opened as one, it is refused or its base is used without it, and said', async () => {
    const files = await learnedFiles(base, trained(), CONFIG, []);
    const opened = await readModelFolder(folderFromFiles(blobs(files)));
    expect(opened.notices).toContainEqual(expect.stringContaining('used without it'));
    const bare = files.filter(({ path }) => !path.startsWith('base_model/'));
    await expect(readModelFolder(folderFromFiles(blobs(bare)))).rejects.toMatchObject({
      code: 'file_missing',
      message: expect.stringContaining('folder of an adapter'),
    });
  });
});

describe('an exported whole model', () => {
  test.each<[string, (files: BaseModel) => Promise<OutFile[]>]>([
    ['trained', (from) => learnedFiles(from, learnerOf({ method: 'full' }), CONFIG, [])],
    ['merged', (from) => modelFiles(from, trained(), 'F16')],
  ])('is complete, with a README: %s', async (_, write) => {
    const files = await write(base);
    expect(files.map(({ path }) => path)).toEqual([...MODEL, 'README.md']);
    const readme = textOf(files, 'README.md');
    expect(readme).toContain('model = AutoModelForCausalLM.from_pretrained(".")');
    expect(readme).not.toContain('peft');
    const opened = await readModelFolder(folderFromFiles(blobs(files)));
    expect(opened.notices).toEqual(base.files.notices);
  });
});

describe('DoRA on a base model with rows of zeros', () => {
  const DORA = { ...CONFIG, hyperparameters: { ...h, use_dora: true } };
  const Q = 'model.layers.0.self_attn.q_proj';

  /** Every third output of each linear layer without weights. */
  function withZeroRows(): BaseModel {
    const weights = new Map(base.model.weights);
    for (const [name, weight] of weights) {
      if (!/layers\.\d+\..*_proj\.weight$/.test(name)) continue;
      const [rows] = weight.shape as [number, number];
      const keep = Float32Array.from({ length: rows }, (_, i) => (i % 3 === 1 ? 0 : 1));
      weights.set(name, tf.mul(asFloat32(weight), tf.tensor2d(keep, [rows, 1])));
    }
    return { ...base, model: new Model(base.model.architecture, weights) };
  }
  const rows = [1, 2, 3, 4].map((line) => ({
    line,
    ids: Int32Array.from({ length: 12 }, (_, t) => (t * t * line) % 300),
    mask: new Uint8Array(12).fill(1, 1),
    fullLength: 12,
  }));
  const lossOf = async (from: BaseModel, learner: Learner) =>
    (await evaluation(evaluate(from.model, measureWith(from.model, learner), rows, 4))).loss;

  test.each([
    ['as PEFT starts it', (dead: BaseModel) => learnerOf({ use_dora: true }, dead.model)],
    [
      'with other magnitudes',
      (dead: BaseModel) => {
        const learner = learnerOf({ use_dora: true }, dead.model);
        const name = `${Q}.lora_magnitude_vector`;
        learner.tensors.set(name, tf.add(learner.tensors.get(name) as tf.Tensor, 0.3));
        return learner;
      },
    ],
  ])('is written without a norm of zero, and computes the same: %s', async (_, make) => {
    const dead = withZeroRows();
    const learner = make(dead);
    const before = await lossOf(dead, learner);
    const ofQ = async (from: Learner, part: string) =>
      (await (from.tensors.get(`${Q}.${part}`) as tf.Tensor).data()) as Float32Array;
    const untouched = Float32Array.from(await ofQ(learner, 'lora_B'));

    const files = await learnedFiles(dead, learner, DORA, []);
    expect(await ofQ(learner, 'lora_B')).toEqual(untouched);
    const { learner: again, notices } = await openAdapter(folderFromFiles(blobs(files)), dead);
    expect(notices.join()).not.toContain('PEFT computes NaN');
    expect(await lossOf(dead, again)).toBeCloseTo(before, 6);
    const [b, m] = [await ofQ(again, 'lora_B'), await ofQ(again, 'lora_magnitude_vector')];
    for (const row of m.keys()) {
      const filled = row % 3 === 1;
      expect(b.subarray(2 * row, 2 * row + 2).some((x) => x !== 0)).toBe(filled);
      if (filled) expect(m[row]).toBe(0);
      else expect(m[row]).toBeGreaterThan(0);
    }
  });

  test('is refused by name where lora_A is zero too', async () => {
    const dead = withZeroRows();
    const learner = learnerOf({ use_dora: true }, dead.model);
    const a = learner.tensors.get(`${Q}.lora_A`) as tf.Tensor;
    learner.tensors.set(`${Q}.lora_A`, tf.zerosLike(a));
    await expect(learnedFiles(dead, learner, DORA, [])).rejects.toMatchObject({
      code: 'zero_rows',
      where: Q,
    });
  });

  test('is said of an adapter that someone else wrote', async () => {
    const files = await learnedFiles(base, learnerOf({ use_dora: true }), DORA, []);
    const { notices } = await openAdapter(folderFromFiles(blobs(files)), withZeroRows());
    expect(notices).toContainEqual(
      expect.stringMatching(/rows of the tuned weights are zero.*PEFT computes NaN/),
    );
  });
});

describe('an opened adapter', () => {
  const noticesOf = async (change: Partial<Hyperparameters>, learner: Learner) =>
    (
      await openAdapter(
        folderFromFiles(
          blobs(await learnedFiles(base, learner, { ...CONFIG, hyperparameters: { ...h, ...change } }, [])),
        ),
        base,
      )
    ).notices;

  test.each([{}, { use_rslora: true }, { use_dora: true }])(
    'is said to change nothing where it does not: %j',
    async (change) => {
      expect(await noticesOf(change, learnerOf(change))).toEqual([
        expect.stringContaining('changes nothing'),
      ]);
      expect(await noticesOf(change, trained(change))).toEqual([]);
    },
  );

  test('changes something with other magnitudes alone', async () => {
    const learner = learnerOf({ use_dora: true });
    for (const [name, m] of learner.tensors)
      if (name.endsWith('magnitude_vector')) learner.tensors.set(name, tf.mul(m, 1.2));
    expect(await noticesOf({ use_dora: true }, learner)).toEqual([]);
  });
});
