// What we export, loaded by real transformers and PEFT: every family and method gives the loss and the logits of our own engine.
// Not here: adapters that PEFT made (weRead.interop.ts), the Python in an exported README (readme.interop.ts).

import { writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunConfig } from '../../src/contract';
import { makeBatch } from '../../src/data/batches';
import type { Chat } from '../../src/data/tokens/chat';
import { startDevice } from '../../src/engine/device/device';
import { asFloat32 } from '../../src/engine/kernels';
import { createLearner, disposeLearner, type Learner } from '../../src/engine/model/adapters';
import { type LoadedModel, learnedFiles } from '../../src/engine/model/artifacts';
import { Model } from '../../src/engine/model/model';
import { evaluate, measureWith } from '../../src/engine/training/evaluate';
import { defaultHyperparameters, type Hyperparameters } from '../../src/hyperparameters';
import { FAMILIES, type Fixture, logitsOf, maxDifference, modelOf, readFixture } from '../engineFixtures';
import { evaluation } from '../engineSuite';
import { fixtureFolder } from '../nodeFolders';
import { nodeWasmPath } from '../setup-node-webgpu';
import { jsonLines, python, scratchFolder, script, writeFolder } from './python';

const place = scratchFolder();

const DEFAULTS: Hyperparameters = { ...defaultHyperparameters(), lora_r: 4, lora_alpha: 6 };

const METHODS: Record<string, Partial<Hyperparameters>> = {
  lora: {},
  rslora: { use_rslora: true },
  dora: { use_dora: true },
  'dora and rslora': { use_dora: true, use_rslora: true },
  'rank pattern': { rank_pattern: 'mlp=2, layers.0=3, h.0=3' },
  attention: { target_modules: 'attention' },
  mlp: { target_modules: 'mlp', use_dora: true },
  'last layers': { method: 'last_layers', trainable_layers: 1 },
  full: { method: 'full' },
};

/** A learner as after training: every tensor away from its start, A and B away from zero. Seeded. */
function moved(learner: Learner): Learner {
  let seed = 1;
  for (const [name, before] of learner.tensors) {
    const spread = name.endsWith('.lora_B') ? 0.1 : 0.02;
    const noise = tf.randomNormal(before.shape, 0, spread, 'float32', seed++);
    learner.tensors.set(name, tf.add(asFloat32(before), noise));
    noise.dispose();
  }
  return learner;
}

const CONFIG = {
  checkpointing: { on: false },
  modelId: 'fixture',
  datasetName: 'rows',
  datasetHash: '0',
  trainRows: 1,
  validationRows: 1,
  evaluation: { validationRows: 1 },
} as unknown as RunConfig;

/** Fixture folders have no tokenizer; nothing here encodes text. */
const CHAT = { template: 'x', stopIds: [2] } as unknown as Chat;

interface Answer {
  loss: number;
  logits: number[];
  hand?: number;
  change?: number;
}
interface Case {
  name: string;
  job: { base: string; adapter?: string; rows: { ids: number[]; mask: number[] }[] };
  ours: { loss: number; logits: Float32Array };
}

/** Writes the learner's files and says what this engine computes with it; frees it. */
async function exported(
  fixture: Fixture,
  model: Model,
  name: string,
  h: Hyperparameters,
  learner: Learner,
): Promise<Case> {
  const loaded: LoadedModel = { id: 'fixture', model, files: fixture.files, chat: CHAT };
  const folder = place(`${fixture.name} ${name}`);
  writeFolder(folder, await learnedFiles(loaded, learner, { ...CONFIG, hyperparameters: h }, []));
  const found = await evaluation(evaluate(model, measureWith(model, learner), fixture.rows, 2));
  const logits = await logitsOf(model, learner, makeBatch(fixture.rows.slice(0, 1), 0));
  const files = learner.adapters ? { base: `${folder}/base_model`, adapter: folder } : { base: folder };
  disposeLearner(learner);
  const rows = fixture.rows.map(({ ids, mask }) => ({ ids: [...ids], mask: [...mask] }));
  return { name: `${fixture.name}, ${name}`, job: { ...files, rows }, ours: { loss: found.loss, logits } };
}

/** The model with rows of zeros in every kind of linear layer, and its files. */
function withZeroRows(fixture: Fixture, model: Model): { fixture: Fixture; model: Model } {
  const zeroed = new Map<string, tf.Tensor>();
  for (const [name, weight] of model.weights) {
    if (!/layers\.\d+\..*_proj\.weight$/.test(name)) continue;
    const [outFeatures] = weight.shape as [number, number];
    const keep = tf.tensor2d(
      Float32Array.from({ length: outFeatures }, (_, i) => (i % 3 === 1 ? 0 : 1)),
      [outFeatures, 1],
    );
    zeroed.set(name, tf.mul(asFloat32(weight), keep));
    keep.dispose();
  }
  const weights = {
    ...fixture.files.weights,
    readRaw: async (name: string) => {
      const changed = zeroed.get(name);
      if (!changed) return fixture.files.weights.readRaw(name);
      const data = (await changed.data()) as Float32Array;
      return { shape: changed.shape, dtype: 'F32', bytes: new Uint8Array(Float32Array.from(data).buffer) };
    },
  };
  return {
    fixture: { ...fixture, name: `${fixture.name} with rows of zeros`, files: { ...fixture.files, weights } },
    model: new Model(model.architecture, new Map([...model.weights, ...zeroed])),
  };
}

/** lora_B zero as at the start, so that the rows of zeros of W stay zero; only magnitudes have moved. */
function withMagnitudes(learner: Learner): Learner {
  for (const [name, before] of learner.tensors) {
    if (name.endsWith('.lora_magnitude_vector')) learner.tensors.set(name, tf.mul(before, 1.1));
  }
  return learner;
}

describe('PEFT', () => {
  const cases: Case[] = [];
  let answers: Answer[] = [];
  beforeAll(async () => {
    const fail = (error: Error) => {
      throw error;
    };
    await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
    for (const family of FAMILIES) {
      const fixture = await readFixture(family, fixtureFolder(family));
      const model = await modelOf(fixture);
      for (const [name, change] of Object.entries(METHODS)) {
        const h = { ...DEFAULTS, ...change };
        const learner = moved(createLearner(model.architecture, model.weights, h));
        cases.push(await exported(fixture, model, name, h, learner));
      }
      if (family === 'llama') {
        const dead = withZeroRows(fixture, model);
        const h = { ...DEFAULTS, use_dora: true };
        const learner = withMagnitudes(createLearner(model.architecture, dead.model.weights, h));
        cases.push(await exported(dead.fixture, dead.model, 'dora', h, learner));
      }
      model.dispose();
    }
    writeFileSync(place('jobs.json'), JSON.stringify(cases.map(({ job }) => job)));
    const { out } = await python([script('check_peft.py'), place('jobs.json')]);
    answers = jsonLines<Answer>(out);
  }, 600_000);

  it('answers for every family and method', () => {
    expect(cases).toHaveLength(FAMILIES.length * Object.keys(METHODS).length + 1);
    expect(answers).toHaveLength(cases.length);
  });

  it('computes with our files what we compute', () => {
    const table = cases.map(({ name, ours }, i) => {
      const { loss, logits, hand = 0, change = 1 } = answers[i] as Answer;
      const off = Math.abs(ours.loss / loss - 1);
      const most = maxDifference(ours.logits.slice(0, logits.length), logits);
      return { name, loss, off, most, hand, change };
    });
    const lines = table.map(({ name, loss, off, most, hand, change }) => {
      const [a, b, c] = [off, most, hand].map((x) => x.toExponential(1));
      return `${name.padEnd(42)} loss ${loss.toFixed(5)}, off by ${a}; logits off by ${b}, by hand ${c}; changed by ${change.toFixed(2)}\n`;
    });
    process.stdout.write(lines.join(''));
    const wrong = table.filter(
      ({ off, most, hand, change }) => !(off < 1e-5 && most < 1e-4 && hand < 1e-4 && change > 1e-3),
    );
    expect(wrong).toEqual([]);
  });
});
