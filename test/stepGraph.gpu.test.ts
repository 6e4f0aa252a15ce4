// A captured training step replayed beside the same step run op by op: equal to the last bit, with nothing created.
// Not here: the kernels a step is made of (kernels.gpu.test.ts), the trainer (training.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { createLearner, disposeLearner, type Learner } from '../src/engine/adapters';
import { targetsOf } from '../src/engine/evaluate';
import { adamwUpdate, crossEntropy, globalNorm } from '../src/engine/kernels';
import { targetPlan } from '../src/engine/kernels/crossEntropy.wgsl';
import { upload } from '../src/engine/kernels/program';
import { GraphPool, StepGraph } from '../src/engine/kernels/stepGraph';
import { countWork } from '../src/engine/kernels/workCount';
import type { Model } from '../src/engine/model';
import { Tape } from '../src/engine/tape';
import { folderFromUrl } from '../src/formats/huggingface';
import { defaultHyperparameters } from '../src/hyperparameters';
import { batchOf, type Fixture, modelOf, readFixture } from './engineFixtures';
import { useWebGpu } from './webgpu';

const inNode = typeof window === 'undefined';

let fixture: Fixture;
let model: Model;

useWebGpu();

beforeAll(async () => {
  const folder = inNode
    ? (await import('./nodeFolders')).fixtureFolder('llama-tied')
    : folderFromUrl('/test/fixtures/engine/llama-tied/');
  fixture = await readFixture('llama-tied', folder);
  model = await modelOf(fixture);
});

/** The batches of one shape, so that one graph serves them all: the first one's rows with other ids. */
function batches(count: number) {
  const first = batchOf(fixture, 0);
  const vocab = model.architecture.vocabSize;
  return Array.from({ length: count }, (_, i) => ({
    ...first,
    ids: first.ids.map((id) => (id * (i + 1) + 7 * i) % vocab),
    targets: first.targets.map((id) => (id < 0 ? id : (id * (i + 1) + 11 * i) % vocab)),
  }));
}

/** Forward, loss and backward of one batch, as a body that can be captured. */
function gradientsBody(learner: Learner, batch: ReturnType<typeof batches>[number]) {
  const weightSum = batch.weights.reduce((a, b) => a + b, 0);
  return () => {
    const gradients = new Map<string, tf.Tensor>();
    const tape = new Tape(gradients);
    const ids = upload<tf.Tensor1D>('ids', batch.ids, [batch.ids.length]);
    const pass = { weights: model.weights, learner, tape, noise: null };
    const hidden = model.forward(pass, ids, { batch: batch.rows, time: batch.columns, checkpointing: false });
    const head = model.head(pass);
    const { rowLoss, correct, dhidden, dhead } = crossEntropy(hidden.tensor, head.tensor, targetsOf(batch), {
      scale: 1 / weightSum,
      labelSmoothing: 0,
      needs: { dhidden: true, dhead: head.needsGradient },
    });
    correct.dispose();
    if (dhead) tape.addParameterGradient(head, dhead);
    tape.backward(hidden, dhidden as tf.Tensor2D);
    ids.dispose();
    return { rowLoss, gradients };
  };
}

function valuesOf(batch: ReturnType<typeof batches>[number]) {
  const weightSum = batch.weights.reduce((a, b) => a + b, 0);
  return {
    inputs: { ids: batch.ids, targets: targetPlan(targetsOf(batch), batch.ids.length) },
    live: { lossScale: 1 / weightSum },
  };
}

const settings = { learningRate: 3e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, gradientScale: 0.5 };

/** What `adamwUpdate` derives from a step, by the names its kernel reads. */
const liveSettings = (count: number) => ({
  ...settings,
  stepSize: settings.learningRate / (1 - settings.beta1 ** count),
  rootCorrection2: Math.sqrt(1 - settings.beta2 ** count),
});

function optimizerBody(learner: Learner, gradients: Map<string, tf.Tensor>, count: number, moments: Moments) {
  return () => {
    const norm = globalNorm([...gradients.values()]);
    const items = [...gradients].map(([name, gradient]) => {
      const parameter = learner.tensors.get(name) as tf.Tensor;
      return {
        parameter,
        gradient,
        ...(moments.get(name) as { m: tf.Tensor; v: tf.Tensor }),
        weightDecay: 0.1,
      };
    });
    adamwUpdate(items, { ...settings, count });
    return norm;
  };
}

type Moments = Map<string, { m: tf.Tensor; v: tf.Tensor }>;
const momentsOf = (learner: Learner): Moments =>
  new Map([...learner.tensors].map(([name, t]) => [name, { m: tf.zerosLike(t), v: tf.zerosLike(t) }]));

function freeMoments(moments: Moments): void {
  for (const { m, v } of moments.values()) tf.dispose([m, v]);
}

async function parametersOf(learner: Learner): Promise<Map<string, number[]>> {
  const all = new Map<string, number[]>();
  for (const [name, t] of learner.tensors) all.set(name, [...(await t.data())]);
  return all;
}

describe.each(['full', 'lora'] as const)('a captured step of %s fine-tuning', (method) => {
  const hyperparameters = { ...defaultHyperparameters(), method, lora_r: 4, lora_dropout: 0 };
  const STEPS = 12;

  it('replays to the same losses, norms and weights as op by op, and creates nothing', async () => {
    const data = batches(STEPS);

    const eagerLearner = createLearner(model.architecture, model.weights, hyperparameters);
    const eagerMoments = momentsOf(eagerLearner);
    const expected: number[][] = [];
    for (const [i, batch] of data.entries()) {
      const { rowLoss, gradients } = gradientsBody(eagerLearner, batch)();
      const norm = optimizerBody(eagerLearner, gradients, i + 1, eagerMoments)();
      expected.push([...(await rowLoss.data()), ...(await norm.data())]);
      tf.dispose([rowLoss, norm, ...gradients.values()]);
    }
    const expectedParameters = await parametersOf(eagerLearner);
    disposeLearner(eagerLearner);
    freeMoments(eagerMoments);

    const learner = createLearner(model.architecture, model.weights, hyperparameters);
    const moments = momentsOf(learner);
    const pool = new GraphPool();
    const [firstBatch] = data as [(typeof data)[number]];
    const step = StepGraph.capture(pool, gradientsBody(learner, firstBatch));
    const update = StepGraph.capture(pool, optimizerBody(learner, step.result.gradients, 1, moments));
    expect(step.inputNames.sort()).toEqual(['ids', 'targets']);
    const actual = [[...(await step.result.rowLoss.data()), ...(await update.result.data())]];

    const work = countWork();
    const tensors = tf.memory().numTensors;
    for (const [i, batch] of data.entries()) {
      if (i === 0) continue;
      work.reset();
      step.replay(valuesOf(batch));
      update.replay({ inputs: {}, live: liveSettings(i + 1) });
      const { dispatches, submits, buffers, bindGroups } = work.read();
      expect({ dispatches, submits, buffers, bindGroups }).toEqual({
        dispatches: step.dispatches + update.dispatches,
        submits: 2,
        buffers: 0,
        bindGroups: 0,
      });
      actual.push([...(await step.result.rowLoss.data()), ...(await update.result.data())]);
    }
    work.stop();
    expect(tf.memory().numTensors).toBe(tensors);
    expect(actual).toEqual(expected);
    expect(await parametersOf(learner)).toEqual(expectedParameters);

    update.dispose();
    step.dispose();
    pool.dispose();
    disposeLearner(learner);
    freeMoments(moments);
  });

  it('is told from the eager run when something is captured wrongly', async () => {
    const learner = createLearner(model.architecture, model.weights, hyperparameters);
    const pool = new GraphPool();
    const [one, two] = batches(2) as [ReturnType<typeof batches>[number], ReturnType<typeof batches>[number]];
    const graph = StepGraph.capture(pool, gradientsBody(learner, one));
    graph.replay(valuesOf(two));
    await graph.compareWith(gradientsBody(learner, two));
    await expect(graph.compareWith(gradientsBody(learner, one))).rejects.toThrow(/off by/);
    graph.dispose();
    pool.dispose();
    disposeLearner(learner);
  });
});

describe('a capture', () => {
  it('keeps its buffers from everything outside, whatever is made and freed between replays', async () => {
    const pool = new GraphPool();
    const body = () =>
      tf.tidy(() => {
        const x = upload('x', new Float32Array([1, 2, 3]), [3]);
        return tf.add(tf.mul(tf.add(x, 10), 2), tf.tensor1d([0.5, 0.25, 0.125]));
      });
    const graph = StepGraph.capture(pool, body);
    expect([...(await graph.result.data())]).toEqual([22.5, 24.25, 26.125]);
    for (let round = 0; round < 3; round++) {
      tf.tidy(() => {
        for (let i = 0; i < 40; i++) tf.mul(tf.add(tf.ones([3]), i), -1);
      });
      graph.replay({ inputs: { x: new Float32Array([round, 0, 0]) }, live: {} });
      expect([...(await graph.result.data())]).toEqual([20.5 + 2 * round, 20.25, 20.125]);
    }
    graph.dispose();
    pool.dispose();
  });

  it('says what is missing in a replay, and refuses to read back', async () => {
    const pool = new GraphPool();
    const graph = StepGraph.capture(pool, () =>
      tf.tidy(() => tf.add(upload('x', new Float32Array(3), [3]), 1)),
    );
    expect(() => graph.replay({ inputs: {}, live: {} })).toThrow(/"x" needs 12 bytes, and got nothing/);
    const longer = { x: new Float32Array(4) };
    expect(() => graph.replay({ inputs: longer, live: {} })).toThrow(/got 16/);
    graph.dispose();
    let reading: Promise<unknown> = Promise.resolve();
    const body = () => {
      const sum = tf.add(tf.ones([2]), 1);
      reading = sum.data();
      return sum;
    };
    StepGraph.capture(pool, body).dispose();
    await expect(reading).rejects.toThrow(/replay would not repeat/);
    pool.dispose();
    const after = tf.add(tf.ones([2]), 1);
    expect([...(await after.data())]).toEqual([2, 2]);
    after.dispose();
  });
});
