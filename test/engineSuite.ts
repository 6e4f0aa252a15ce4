// What every backend must compute, against PyTorch's numbers: one suite, run by engine.test.ts in Node and engine.gpu.test.ts in Chromium.
// Not here: rules of training that need no outside numbers (training.test.ts), the fixtures (engineFixtures.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendName, EncodedExample } from '../src/contract';
import { takeDeviceError } from '../src/engine/device/device';
import { generate } from '../src/engine/generation/generate';
import { chooseKernels } from '../src/engine/kernels';
import { webGpuKernels } from '../src/engine/kernels/webgpu/kernels.webgpu';
import {
  createLearner,
  disposeLearner,
  type Learner,
  learnerFromAdapter,
  tunedTensors,
} from '../src/engine/model/adapters';
import { Model } from '../src/engine/model/model';
import { evaluate, measureWith } from '../src/engine/training/evaluate';
import { Trainer } from '../src/engine/training/train';
import { WeightChangeMeter } from '../src/engine/training/weightChanges';
import { tensorNames } from '../src/formats/architecture';
import type { ModelFolder } from '../src/formats/huggingface';
import { readPeftAdapter } from '../src/formats/peft';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import {
  batchOf,
  type Family,
  type Fixture,
  logitsOf,
  lossAndGradients,
  maxDifference,
  modelOf,
  readFixture,
  record,
  relativeDifference,
  settingsOf,
  startFrom,
  type Trajectory,
  trainerOf,
  worstRatio,
} from './engineFixtures';

export interface SuiteOptions {
  backend: BackendName;
  start: () => Promise<unknown>;
  folderOf: (name: string) => ModelFolder;
  /** Largest absolute error of a logit. */
  logits: number;
  /** Largest error of a gradient, as a share of the tensor's largest. */
  gradient: number;
  /** Largest relative error of a gradient norm at any step of a run; of a loss it is `LOSS_CURVE`. */
  trajectory: number;
  families: readonly Family[];
  /** The families whose whole runs are repeated: most of the time goes there. */
  runs: readonly Family[];
  /** Which of their recorded runs; all where it is left out. */
  runNames?: readonly string[];
  /** How many of their updates; all where it is left out. */
  runSteps?: number;
  /** On WebGPU: so many updates, captured and on fused kernels, are also compared with the reference kernels on the same device. */
  referenceSteps?: number;
  greedyTokens: number;
}

/** Largest relative error of the loss at any step of a run of 50, whatever runs it. */
const LOSS_CURVE = 2e-3;

const greedySettings = {
  do_sample: false,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  seed: 1,
};

/** Which of our settings each recorded trajectory is. */
const RUNS: Record<string, Partial<Hyperparameters>> = {
  full: { method: 'full' },
  lora: { method: 'lora' },
  dora: { method: 'lora', use_dora: true },
  rslora: { method: 'lora', use_rslora: true },
  last_layers: { method: 'last_layers', trainable_layers: 1 },
  without_embeddings: { method: 'full', train_embeddings: false },
  label_smoothing: { method: 'full' },
  accumulation: { method: 'full' },
};

export async function collect(work: AsyncGenerator<number, unknown>): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of work) ids.push(id);
  return ids;
}

export async function evaluation<T>(work: AsyncGenerator<unknown, T>): Promise<T> {
  while (true) {
    const next = await work.next();
    if (next.done) return next.value;
  }
}

/** The files of a fixture's adapter. */
function adapterFiles({ folder }: Fixture, name: string) {
  return Promise.all(
    ['adapter_config.json', 'adapter_model.safetensors'].map(async (path) => ({
      path,
      file: await folder.open(`${name}/${path}`),
    })),
  );
}

async function adapterOf(fixture: Fixture, name: string, { architecture }: Model): Promise<Learner> {
  return learnerFromAdapter(await readPeftAdapter(await adapterFiles(fixture, name), architecture));
}

/** All weights W₀ + 0.01·sin(i), as make_weight_changes.py moves them. */
function movedLearner({ architecture, weights }: Model): Learner {
  const learner = createLearner(architecture, weights, { ...defaultHyperparameters(), method: 'full' });
  for (const [name, before] of learner.tensors) {
    const shift = Float32Array.from({ length: before.size }, (_, i) => 0.01 * Math.sin(i));
    learner.tensors.set(name, tf.tidy(() => tf.add(before, tf.tensor(shift, before.shape))) as tf.Tensor);
    before.dispose();
  }
  return learner;
}

/** The measured change of every module, by the name of its tensors without `.weight` or `.bias`. */
async function weightChanges(model: Model, learner: Learner): Promise<Record<string, number>> {
  const { layers, outside } = await evaluation(new WeightChangeMeter(model, learner).measure(1));
  const sample = tensorNames(model.architecture).layer(0).inputNorm;
  const before = sample.slice(0, sample.lastIndexOf('0.'));
  const found = layers.flatMap(({ module, changes }) =>
    changes.map((change, layer): [string, number | null] => [`${before}${layer}.${module}`, change]),
  );
  const all = [...found, ...outside.map(({ module, change }): [string, number | null] => [module, change])];
  return Object.fromEntries(all.filter((entry): entry is [string, number] => entry[1] !== null));
}

/** Declares the whole suite for one backend. */
export function describeEngine(options: SuiteOptions): void {
  const { backend, folderOf } = options;
  describe(`the engine on ${backend}`, () => {
    beforeAll(async () => {
      await options.start();
      expect(tf.getBackend()).toBe(backend);
    });

    describe.each(options.families.map((name) => [name] as const))('%s', (name) => {
      let fixture: Fixture;
      let model: Model;
      beforeAll(async () => {
        fixture = await readFixture(name, folderOf(name));
        model = await modelOf(fixture);
      });
      afterAll(() => {
        model.dispose();
        expect(takeDeviceError()).toBeNull();
      });

      it('has the parameters that torch counts', () => {
        expect(model.parameters).toBe(fixture.expected.parameters);
      });

      it('gives the logits of transformers', async () => {
        const { data } = await fixture.arrays.read('logits');
        expect(maxDifference(await logitsOf(model, null, batchOf(fixture, 0)), data)).toBeLessThan(
          options.logits,
        );
      });

      it.each([['kept', false] as const, ['recomputed', true] as const])(
        'gives the loss and every gradient of torch, activations %s',
        async (_, checkpointing) => {
          const h = { ...defaultHyperparameters(), method: 'full' as const };
          const learner = createLearner(model.architecture, model.weights, h);
          const { loss, gradients } = await lossAndGradients(
            model,
            learner,
            batchOf(fixture, 0),
            checkpointing,
          );
          disposeLearner(learner);
          expect(Math.abs(loss / fixture.expected.loss - 1)).toBeLessThan(1e-5);
          const wanted = fixture.arrays.entries.map((e) => e.name).filter((n) => n.startsWith('gradient.'));
          expect([...gradients.keys()].sort()).toEqual(wanted.map((n) => n.slice('gradient.'.length)).sort());
          const wrong: string[] = [];
          let squares = 0;
          for (const [parameter, values] of gradients) {
            const { data } = await fixture.arrays.read(`gradient.${parameter}`);
            const off = relativeDifference(values, data);
            if (!(off < options.gradient)) wrong.push(`${parameter}: ${off}`);
            for (const v of values) squares += v * v;
          }
          expect(wrong).toEqual([]);
          expect(Math.abs(Math.sqrt(squares) / fixture.expected.grad_norm - 1)).toBeLessThan(1e-5);
        },
      );

      it('evaluates as torch does, whatever the batch size', async () => {
        const wanted = fixture.expected.evaluation;
        for (const size of [1, 3, 8]) {
          const found = await evaluation(evaluate(model, measureWith(model, null), fixture.rows, size));
          expect(found.targets).toBe(wanted.tokens);
          expect(Math.abs(found.loss / wanted.loss - 1)).toBeLessThan(1e-5);
          expect(found.meanTokenAccuracy).toBeCloseTo(wanted.accuracy, 6);
          const means = found.rows.map((r) => r.lossSum / r.targets);
          expect(maxDifference(means, wanted.row_losses)).toBeLessThan(1e-4);
        }
      });

      it('continues a prompt as generate() does', async () => {
        const { prompt, tokens } = fixture.expected.greedy;
        const settings = { ...greedySettings, max_new_tokens: options.greedyTokens };
        const found = await collect(generate(model, null, prompt, [], settings));
        expect(found).toEqual(tokens.slice(0, options.greedyTokens));
      });

      it('merges adapters into the weights that PEFT merges', async () => {
        for (const key of Object.keys(fixture.expected.adapters)) {
          const adapter = await readPeftAdapter(
            await adapterFiles(fixture, `adapter-${key}`),
            model.architecture,
          );
          expect(adapter.tensors.length).toBe(
            (fixture.expected.adapters[key]?.targets.length as number) * (adapter.config.dora ? 3 : 2),
          );
          const learner = learnerFromAdapter(adapter);
          const { data } = await fixture.arrays.read(`adapter.${key}`);
          const besides = await logitsOf(model, learner, batchOf(fixture, 0));
          expect(maxDifference(besides, data), `${key} beside the weights`).toBeLessThan(options.logits * 2);

          const tuned = tunedTensors(model.architecture, model.weights, learner).map(
            ({ name, read }) => [name, read()] as const,
          );
          const merged = tuned.filter(([, { fresh }]) => fresh);
          expect(merged).toHaveLength(fixture.expected.adapters[key]?.targets.length as number);
          const other = new Model(
            model.architecture,
            new Map(tuned.map(([name, { tensor }]) => [name, tensor])),
          );
          const within = await logitsOf(other, null, batchOf(fixture, 0));
          other.disposeConstants();
          for (const [, { tensor }] of merged) tensor.dispose();
          disposeLearner(learner);
          const afterMerge = await fixture.arrays.read(`merged.${key}`);
          expect(maxDifference(within, afterMerge.data), `${key} merged`).toBeLessThan(options.logits * 2);
        }
      });

      it('measures how far the weights have moved as torch and PEFT do from whole weights', async () => {
        const file = await fixture.folder.open('weight-changes.json');
        const wanted = JSON.parse(await file.text()) as Record<string, Record<string, number>>;
        const tensorsBefore = tf.memory().numTensors;
        for (const [key, changes] of Object.entries(wanted)) {
          const learner = key === 'full' ? movedLearner(model) : await adapterOf(fixture, key, model);
          const found = await weightChanges(model, learner);
          disposeLearner(learner);
          expect(Object.keys(found).sort(), key).toEqual(Object.keys(changes).sort());
          for (const [module, change] of Object.entries(changes)) {
            const off = Math.abs((found[module] as number) / change - 1);
            expect(off, `${key}: ${module} ${found[module]} instead of ${change}`).toBeLessThan(1e-4);
          }
        }
        expect(tf.memory().numTensors).toBe(tensorsBefore);
      });

      if (!options.runs.includes(name)) return;

      it('trains along the curves of torch and PEFT', async () => {
        const tensorsBefore = tf.memory().numTensors;
        for (const [key, trajectory] of Object.entries(fixture.expected.trajectories)) {
          if (options.runNames && !options.runNames.includes(key)) continue;
          const h = settingsOf(trajectory, RUNS[key] as Partial<Hyperparameters>);
          const trainer = trainerOf(fixture, model, h, trajectory.settings.steps);
          if (h.method === 'lora') await startFrom(fixture, trainer.learner);
          if (trajectory.trainable) {
            expect([...trainer.learner.tensors.keys()].sort(), key).toEqual([...trajectory.trainable].sort());
          }
          const { steps, losses, tensors } = await record(trainer, options.runSteps);
          trainer.dispose();
          const count = Math.min(trajectory.loss.length, options.runSteps ?? Number.POSITIVE_INFINITY);
          expect(steps).toHaveLength(count);
          const off = {
            loss: worstRatio(
              steps.map((s) => s.loss),
              trajectory.loss.slice(0, count),
            ),
            gradNorm: worstRatio(
              steps.map((s) => s.gradNorm),
              trajectory.grad_norm.slice(0, count),
            ),
            learningRate: worstRatio(
              steps.map((s) => s.learningRate),
              trajectory.learning_rate.slice(0, count),
            ),
            after:
              count < trajectory.loss.length
                ? 0
                : Math.abs((losses.at(-1)?.validation as number) / trajectory.after.loss - 1),
          };
          expect(off.loss, `${key}: loss`).toBeLessThan(LOSS_CURVE);
          expect(off.gradNorm, `${key}: gradient norm`).toBeLessThan(options.trajectory);
          expect(off.learningRate, `${key}: learning rate`).toBeLessThan(1e-6);
          expect(off.after, `${key}: loss after the last step`).toBeLessThan(options.trajectory);
          expect(new Set(tensors.slice(3)).size, `${key}: live tensors, step by step`).toBe(1);
        }
        model.disposeConstants();
        expect(tf.memory().numTensors).toBeLessThanOrEqual(tensorsBefore);
      });

      it('measures all rows at the end of a run, with the last weights and with the best', async () => {
        const tensorsBefore = tf.memory().numTensors;
        const many = (count: number, from: number) =>
          Array.from({ length: count }, (_, i) => ({
            ...(fixture.rows[i % fixture.rows.length] as EncodedExample),
            line: from + i,
          }));
        const validation = many(20, 100);
        // So high a rate that the first weights stay the best.
        const h = {
          ...defaultHyperparameters(),
          method: 'full' as const,
          learning_rate: 1,
          num_train_epochs: 1,
          eval_per_epoch: 1,
          max_eval_samples: 8,
        };
        const trainer = new Trainer(model, { train: many(16, 0), validation }, h);
        const { losses } = await record(trainer);
        const all = losses.filter((l) => l.on === 'all');
        expect(all.map((l) => l.step)).toEqual([0, 2]);
        for (const [i, learner] of [trainer.bestLearner, trainer.learner].entries()) {
          const whole = await evaluation(evaluate(model, measureWith(model, learner), validation, 8));
          expect(Math.abs((all[i]?.validation as number) / whole.loss - 1)).toBeLessThan(1e-4);
        }
        expect(trainer.best).toMatchObject({ step: 0, rows: 20, loss: all[0]?.validation });
        trainer.dispose();
        model.disposeConstants();
        expect(tf.memory().numTensors).toBeLessThanOrEqual(tensorsBefore);
      });

      const { referenceSteps } = options;
      if (referenceSteps === undefined) return;

      it.each(['full', 'lora'])('trains along its own reference kernels: %s', async (key) => {
        const trajectory = fixture.expected.trajectories[key] as Trajectory;
        const h = settingsOf(trajectory, RUNS[key] as Partial<Hyperparameters>);
        const run = async (weights: Model) => {
          const trainer = trainerOf(fixture, weights, h, trajectory.settings.steps);
          if (h.method === 'lora') await startFrom(fixture, trainer.learner);
          const { steps } = await record(trainer, referenceSteps);
          trainer.dispose();
          return steps;
        };
        const own = await run(model);
        chooseKernels({});
        // Weights are kept as the kernels want them, so these have their own.
        const plain = await modelOf(fixture);
        try {
          const wanted = await run(plain);
          for (const name of ['loss', 'gradNorm'] as const) {
            const [found, expected] = [own, wanted].map((steps) => steps.map((s) => s[name]));
            expect(worstRatio(found as number[], expected as number[]), name).toBeLessThan(LOSS_CURVE);
          }
        } finally {
          plain.dispose();
          chooseKernels(webGpuKernels());
        }
      });
    });
  });
}
