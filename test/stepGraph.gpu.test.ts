// A captured training step replayed beside the same step run op by op: equal to the last bit, with nothing created.
// Not here: the kernels a step is made of (kernels.gpu.test.ts), the trainer (training.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { createRandom } from '../src/data/random';
import { relativeError } from '../src/engine/device/selfTest';
import { CapturedDecoder, EagerDecoder } from '../src/engine/generation/decode';
import { LIST_SIZE, LISTED } from '../src/engine/kernels/shortlist/shortlist';
import { compile, settleKernels } from '../src/engine/kernels/webgpu/compile';
import { kernel } from '../src/engine/kernels/webgpu/kernel';
import {
  compileAhead,
  dispatch,
  empty,
  upload,
  valuesLater,
  webgpuBackend,
} from '../src/engine/kernels/webgpu/program';
import { GraphPool, StepGraph } from '../src/engine/kernels/webgpu/stepGraph';
import { countWork } from '../src/engine/kernels/webgpu/workCount';
import { createLearner, disposeLearner, type Learner } from '../src/engine/model/adapters';
import { Model } from '../src/engine/model/model';
import { CapturedStepper } from '../src/engine/training/capturedStep';
import {
  EagerStepper,
  type PendingUpdate,
  type Stepper,
  type UpdateRequest,
} from '../src/engine/training/step';
import { folderFromUrl } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
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

const ones = kernel({
  name: 'ones_of_a_test',
  inputs: {},
  outputs: { x: 'f32' },
  uniforms: { size: 'u32' },
  workgroup: 64,
  body: 'for (var i = thread; i < u.size; i += 64u) { x[i] = 1.0; }',
});

const NAMES = ['full', 'lora'] as const;

/** Loss and norm of a few updates, and the weights after them. */
async function run(stepper: Stepper, learner: Learner, steps: number, perUpdate = 1) {
  const numbers: number[][] = [];
  const data = batches(steps * perUpdate);
  for (let step = 0; step < steps; step++) {
    const own = data.slice(step * perUpdate, (step + 1) * perUpdate);
    const request = {
      batches: own,
      weightSum: own.reduce((sum, b) => b.weights.reduce((a, w) => a + w, sum), 0),
      noiseKeys: own.map((_, i) => 100 * step + i),
      learningRate: 3e-3,
    };
    const { result } = await underway(stepper, request);
    const { loss, gradNorm, applied } = await result;
    expect(applied).toBe(true);
    numbers.push([loss, gradNorm]);
  }
  const weights = new Map<string, Float32Array>();
  for (const [name, t] of learner.tensors) weights.set(name, (await t.data()) as Float32Array);
  return { numbers, weights };
}

async function underway(stepper: Stepper, request: UpdateRequest): Promise<PendingUpdate> {
  const work = stepper.update(request);
  let next = await work.next();
  while (!next.done) next = await work.next();
  return next.value;
}

describe.each(NAMES)('a captured step of %s fine-tuning', (method) => {
  const h: Hyperparameters = { ...defaultHyperparameters(), method, lora_r: 4, neftune_noise_alpha: 5 };
  const learnerOf = () => createLearner(model.architecture, model.weights, h);

  it.each([1, 2])(
    'replays to the same losses, norms and weights as op by op, %i batches an update',
    async (perUpdate) => {
      const [captured, again, eager] = [learnerOf(), learnerOf(), learnerOf()];
      const steppers = [
        new CapturedStepper(model, captured, h),
        new CapturedStepper(model, again, h, { replays: false }),
        new EagerStepper(model, eager, h),
      ] as const;
      const replayed = await run(steppers[0], captured, 6, perUpdate);
      // The same bodies run anew each time: equal to the last bit.
      expect(await run(steppers[1], again, 6, perUpdate)).toEqual(replayed);
      // Another order of sums: equal to rounding.
      const plain = await run(steppers[2], eager, 6, perUpdate);
      expect(relativeError(replayed.numbers.flat(), plain.numbers.flat())).toBeLessThan(2e-4);
      for (const [name, w] of plain.weights) {
        expect(relativeError(replayed.weights.get(name) as Float32Array, w), name).toBeLessThan(5e-3);
      }
      for (const s of steppers) s.dispose();
      for (const l of [captured, again, eager]) disposeLearner(l);
    },
  );

  it('is compared with the same step op by op when asked, and what was captured wrongly stops it', async () => {
    const learner = learnerOf();
    const stepper = new CapturedStepper(model, learner, h, { compares: true });
    await run(stepper, learner, 3, 2);
    stepper.dispose();

    // A value that changes by another way than the graph knows: the replay goes on with the old one.
    const smoothed = { ...h };
    const frozen = new CapturedStepper(model, learner, smoothed, { compares: true });
    await run(frozen, learner, 2);
    smoothed.label_smoothing_factor = 0.3;
    await expect(run(frozen, learner, 1)).rejects.toThrow(
      /step 3 is not the one that runs op by op: the loss is/,
    );
    frozen.dispose();
    disposeLearner(learner);
  });

  it('creates nothing when it is replayed, in one submit with the numbers', async () => {
    const learner = learnerOf();
    const stepper = new CapturedStepper(model, learner, h);
    const data = batches(8);
    const work = countWork();
    for (const [i, batch] of data.entries()) {
      work.reset();
      const request = { batches: [batch], weightSum: 10, noiseKeys: [i], learningRate: 1e-3 };
      const { result } = await underway(stepper, request);
      const tensors = tf.memory().numTensors;
      await result;
      expect(tf.memory().numTensors).toBe(tensors);
      const { submits, buffers, bindGroups, passes } = work.read();
      if (i >= 1)
        expect({ submits, buffers, bindGroups, passes }).toEqual({
          submits: 1,
          buffers: 0,
          bindGroups: 0,
          passes: 1,
        });
    }
    work.stop();
    stepper.dispose();
    disposeLearner(learner);
  });
});

describe('a captured token', () => {
  const greedy = { do_sample: false, temperature: 1, top_k: 0, top_p: 1 };

  it('has the logits of the same step op by op, to the last bit, also when its caches have grown; and creates nothing', async () => {
    // Room for more tokens than the caches have at first.
    const roomy = new Model({ ...model.architecture, contextLength: 300 }, model.weights);
    const vocab = model.architecture.vocabSize;
    const [captured, eager] = [
      new CapturedDecoder(roomy, null, greedy),
      new EagerDecoder(roomy, null, greedy),
    ];
    const prompt = Array.from({ length: 121 }, (_, i) => (7 * i + 3) % vocab);
    const work = countWork();
    let next: number[] = prompt;
    for (let i = 0; i < 14; i++) {
      work.reset();
      const found = await captured.logits(next);
      const { submits, buffers, bindGroups } = work.read();
      // The caches hold 128 at first: token 8 makes them grow, token 9 is captured again.
      const replays = (i >= 2 && i <= 7) || i >= 10;
      if (replays)
        expect({ submits, buffers, bindGroups }, `token ${i}`).toEqual({
          submits: 2,
          buffers: 0,
          bindGroups: 0,
        });
      const expected = await eager.logits(next);
      expect(found, `token ${i}`).toEqual(expected);
      next = [expected.indexOf(Math.max(...expected))];
    }
    work.stop();
    expect(await captured.next(next, 0)).toEqual(await eager.next(next, 0));
    captured.dispose();
    eager.dispose();
    roomy.disposeConstants();
  });

  it.each([
    ['top_k within it', { temperature: 0.8, top_k: 40, top_p: 0.95 }, 29],
    ['top_k beyond it', { temperature: 0.2, top_k: 80, top_p: 0.9 }, 20],
    ['top_p of everything', { temperature: 0.2, top_k: 0, top_p: 0.9 }, 20],
    ['no cut', { temperature: 0.2, top_k: 0, top_p: 1 }, 20],
    ['too flat for it, so that it is given up', { temperature: 30, top_k: 0, top_p: 0.999 }, 0],
  ])('is drawn from a list of the likeliest as from all logits: %s', async (_, more, atLeast) => {
    const settings = { do_sample: true, ...more };
    const vocab = model.architecture.vocabSize;
    expect(vocab).toBeGreaterThan(LISTED);
    const listing = new CapturedDecoder(model, null, settings, 0);
    const reading = new CapturedDecoder(model, null, settings);
    const random = createRandom(5);
    const work = countWork();
    const bytes: number[] = [];
    let next: number[] = [5, 17, 8];
    for (let i = 0; i < 30; i++) {
      const point = random();
      work.reset();
      const found = await listing.next(next, point);
      bytes.push(work.read().copiedBytes);
      work.reset();
      const expected = await reading.next(next, point);
      // The first token's prompt goes through a staging buffer.
      if (i > 0) expect(work.read().copiedBytes).toBe(4 * vocab);
      expect(found, `token ${i}`).toBe(expected);
      next = [expected];
    }
    work.stop();
    expect(bytes.filter((read) => read === 4 * LIST_SIZE).length).toBeGreaterThanOrEqual(atLeast);
    if (atLeast === 0) expect(bytes.at(-1)).toBe(4 * vocab);
    for (const decoder of [listing, reading]) decoder.dispose();
    model.disposeConstants();
  });
});

describe('a capture', () => {
  it('compiles its programs ahead, and looks at its body without running it', async () => {
    const { device } = webgpuBackend();
    const doubled = kernel({
      name: 'doubled_ahead',
      inputs: { x: 'f32' },
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[group] = 2.0 * x[group];',
    });
    const body = () => {
      const x = upload('x', new Float32Array([1, 2, 3]), [3]);
      const y = empty([3]);
      dispatch(doubled, { x, y }, {}, 3);
      x.dispose();
      return y;
    };
    const create = vi.spyOn(device, 'createComputePipeline');
    const work = countWork();
    const tensors = tf.memory().numTensors;
    await compileAhead(body);
    expect(work.read()).toMatchObject({ dispatches: 0, buffers: 0, bindGroups: 0, writtenBytes: 0 });
    expect(tf.memory().numTensors).toBe(tensors);
    work.stop();
    const pool = new GraphPool();
    const graph = StepGraph.capture(pool, body);
    expect(create).not.toHaveBeenCalled();
    expect([...(await valuesLater(graph.result))]).toEqual([2, 4, 6]);
    create.mockRestore();
    graph.dispose();
    pool.dispose();
  });

  it('leaves the error of a program that does not compile to `compileAhead`', async () => {
    const broken = kernel({
      name: 'broken_ahead',
      inputs: {},
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[0] = nowhere;',
    });
    const body = () => tf.tidy(() => dispatch(broken, { y: empty([1]) }, {}, 1));
    await compileAhead(body);
    await expect(settleKernels()).resolves.toBeUndefined();
    compile(webgpuBackend().device, broken);
    await expect(settleKernels()).rejects.toThrow(/broken_ahead.*nowhere/s);
  });

  it('puts a smaller tensor on a larger buffer that is free, but not on one that is far too large', () => {
    const pool = new GraphPool();
    const graph = StepGraph.capture(pool, () => {
      for (const size of [1000, 600, 900, 100, 1000]) {
        const x = empty([size]);
        dispatch(ones, { x }, { size }, 1);
        x.dispose();
      }
      return null;
    });
    expect(pool.bytes).toBe(4 * (1000 + 100));
    graph.dispose();
    pool.dispose();
  });

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

  it('names what is missing in a replay, and refuses to read back', async () => {
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
