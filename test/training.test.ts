// Rules of training and evaluation that hold whatever the model: literal numbers from PyTorch, invariants, failures.
// Not here: whole models against PyTorch (engine.test.ts), talking (generation.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EncodedExample, MetricPoint } from '../src/contract';
import { epochOrder } from '../src/data/batches';
import { startDevice } from '../src/engine/device/device';
import { chooseKernels, crossEntropy, REFERENCE } from '../src/engine/kernels';
import { uniform } from '../src/engine/kernels/dropout/noise';
import { loadWasmKernels } from '../src/engine/kernels/wasm/kernels.wasm';
import { createLearner, disposeLearner } from '../src/engine/model/adapters';
import type { Model } from '../src/engine/model/model';
import { targetsOf } from '../src/engine/training/batch';
import { evaluate, type Measure, measureWith } from '../src/engine/training/evaluate';
import type { FittedRun } from '../src/engine/training/fit';
import { learningRateRange } from '../src/engine/training/learningRateRange';
import { longestBatch } from '../src/engine/training/memory';
import { Meter } from '../src/engine/training/meter';
import { AdamW, clipCoefficient, scheduleFactor } from '../src/engine/training/optimizer';
import { planTraining, sampleRows, type TrainingData } from '../src/engine/training/plan';
import { type EvaluationReport, type StepReport, Trainer } from '../src/engine/training/train';
import type { PlaygroundError } from '../src/errors';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import {
  batchOf,
  type Fixture,
  logitsOf,
  lossAndGradients,
  maxDifference,
  modelOf,
  readFixture,
  record,
} from './engineFixtures';
import { evaluation } from './engineSuite';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

const fail = (error: Error) => {
  throw error;
};

beforeAll(async () => {
  await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: fail });
});

function settings(more: Partial<Hyperparameters>): Hyperparameters {
  const h = defaultHyperparameters();
  return { ...h, lora_r: 4, lora_alpha: 8, batch_size: 2, num_train_epochs: 2, eval_per_epoch: 1, ...more };
}

async function valuesOf(tensors: ReadonlyMap<string, tf.Tensor>): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const [name, t] of tensors) values.set(name, (await t.data()).slice() as Float32Array);
  return values;
}

describe('literal numbers from PyTorch', () => {
  const close = (actual: ArrayLike<number>, expected: number[], tolerance = 1e-6) =>
    expect(maxDifference(actual, expected)).toBeLessThan(tolerance);

  it('AdamW moves as torch.optim.AdamW does', async () => {
    const h = settings({ weight_decay: 0.1 });
    const optimizer = new AdamW();
    const parameters = new Map<string, tf.Tensor>([['p', tf.tensor2d([[1, -2, 0.5]])]]);
    const after = [
      [0.9890000224113464, -1.9880000352859497, 0.4895000159740448],
      [0.9813104867935181, -1.9904342889785767, 0.4850083291530609],
      [0.9847536683082581, -1.9938732385635376, 0.48046907782554626],
    ];
    for (const [i, gradient] of [
      [0.1, -0.2, 0.3],
      [0, 0.5, -0.1],
      [-0.3, 0.2, 0.05],
    ].entries()) {
      const g = tf.tensor2d([gradient]);
      optimizer.update(parameters, new Map([['p', g]]), h, 0.01, 1);
      g.dispose();
      close((await parameters.get('p')?.data()) as Float32Array, after[i] as number[]);
    }
    optimizer.dispose();
    parameters.get('p')?.dispose();
  });

  it('weight decay spares what is one-dimensional', async () => {
    const h = settings({ weight_decay: 0.1 });
    const optimizer = new AdamW();
    const parameters = new Map<string, tf.Tensor>([
      ['norm.weight', tf.tensor1d([2])],
      ['proj.weight', tf.tensor2d([[2]])],
    ]);
    const zeros = new Map<string, tf.Tensor>([
      ['norm.weight', tf.zeros([1])],
      ['proj.weight', tf.zeros([1, 1])],
    ]);
    optimizer.update(parameters, zeros, h, 0.5, 1);
    close((await parameters.get('norm.weight')?.data()) as Float32Array, [2]);
    close((await parameters.get('proj.weight')?.data()) as Float32Array, [2 * (1 - 0.5 * 0.1)]);
    optimizer.dispose();
    for (const t of [...parameters.values(), ...zeros.values()]) t.dispose();
  });

  it('clips by the global norm', async () => {
    const optimizer = new AdamW();
    const gradients = new Map<string, tf.Tensor>([
      ['a', tf.tensor1d([3, 0, 4])],
      ['b', tf.tensor1d([0, 12])],
    ]);
    const norm = await optimizer.gradientNorm(gradients);
    expect(norm).toBeCloseTo(13, 5);
    const coefficient = clipCoefficient(norm, 1);
    close(
      [3 * coefficient, 4 * coefficient, 12 * coefficient],
      [0.23076921701431274, 0.307692289352417, 0.923076868057251],
    );
    expect(clipCoefficient(0.5, 1)).toBe(1);
    expect(clipCoefficient(1000, 0)).toBe(1);
    for (const t of gradients.values()) t.dispose();
  });

  it('follows the schedules, but warms up from the first step on', () => {
    const curve = (kind: Hyperparameters['lr_scheduler_type']) =>
      Array.from({ length: 10 }, (_, s) =>
        scheduleFactor({ lr_scheduler_type: kind, warmup_ratio: 0.2 }, s, 10),
      );
    // Hugging Face's values, which start with a step of rate 0 that does nothing; ours leave that one out.
    const cosine = [0.9619397662556434, 0.8535533905932737, 0.6913417161825449, 0.5, 0.30865828381745514];
    close(curve('cosine'), [0.5, 1, 1, ...cosine, 0.14644660940672627, 0.03806023374435663]);
    close(curve('linear'), [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
    close(curve('constant'), [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(scheduleFactor({ lr_scheduler_type: 'cosine', warmup_ratio: 0.05 }, 0, 3)).toBe(1);
  });

  it('averages the cross-entropy over target tokens, not over rows', async () => {
    // Rows of logits whose label (already shifted) counts, from a case with sums 7.2888 (4 targets) and 3.6639 (2 targets).
    const logits = [
      [
        0.6920091509819031, -0.31601276993751526, -2.1152193546295166, 0.32227492332458496,
        -1.2633347511291504,
      ],
      [
        0.34998318552970886, 0.30813392996788025, 0.11984150856733322, 1.237657904624939,
        -0.14347384870052338,
      ],
      [
        -0.1116093322634697, -0.6135830879211426, 0.03159274160861969, -0.4926769733428955,
        0.2484147548675537,
      ],
      [
        0.4396958351135254, 0.11241118609905243, -0.8410648107528687, -2.316041946411133,
        -0.10230965167284012,
      ],
      [
        -0.7078776955604553, -0.10643401741981506, -1.2427316904067993, -0.47623157501220703,
        -0.6859184503555298,
      ],
      [
        -1.5051417350769043, 0.25498273968696594, 1.8042484521865845, -0.450237512588501,
        -0.48303207755088806,
      ],
    ];
    const hidden = tf.tensor2d(logits);
    const head = tf.eye(5);
    const targets = {
      rows: Int32Array.from([0, 1, 2, 3, 4, 5]),
      ids: Int32Array.from([1, 2, 3, 4, 0, 1]),
      weights: new Float32Array(6).fill(1),
    };
    const none = { dhidden: false, dhead: false };
    const { rowLoss, correct } = crossEntropy(hidden, head, targets, {
      scale: 1,
      labelSmoothing: 0,
      needs: none,
    });
    const losses = await rowLoss.data();
    const sum = (from: number, to: number) => Array.from(losses.slice(from, to)).reduce((a, b) => a + b, 0);
    expect(sum(0, 4)).toBeCloseTo(7.288844585418701, 5);
    expect(sum(4, 6)).toBeCloseTo(3.6638591289520264, 5);
    expect(sum(0, 6) / 6).toBeCloseTo(1.8254505395889282, 6);
    for (const t of [hidden, head, rowLoss, correct]) t.dispose();
  });

  it('smooths labels over the whole vocabulary', async () => {
    const hidden = tf.tensor2d([[2, 0.5, -1]]);
    const head = tf.eye(3);
    const targets = { rows: Int32Array.of(0), ids: Int32Array.of(0), weights: Float32Array.of(1) };
    const needs = { dhidden: true, dhead: false };
    const result = crossEntropy(hidden, head, targets, { scale: 1, labelSmoothing: 0.1, needs });
    close(await result.rowLoss.data(), [0.3913113474845886]);
    const e = [2, 0.5, -1].map(Math.exp);
    const total = e.reduce((a, b) => a + b, 0);
    const wanted = e.map((v, i) => v / total - (i === 0 ? 0.9 : 0) - 0.1 / 3);
    close(await (result.dhidden as tf.Tensor2D).data(), wanted);
    for (const t of [hidden, head, result.rowLoss, result.correct, result.dhidden as tf.Tensor]) t.dispose();
  });

  it('draws uniform numbers of the right spread', () => {
    const values = uniform(7, 4096, -0.125, 0.125);
    const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const deviation = Math.sqrt(values.reduce((a, b) => a + b * b, 0) / values.length);
    expect(largest).toBeLessThanOrEqual(0.125);
    expect(largest).toBeGreaterThan(0.124);
    expect(deviation).toBeCloseTo(0.07216878364870323, 2);
  });
});

describe('a plan', () => {
  /** Rows of so many tokens, the last `answer` of them learned; `label` is the first of those. */
  const rowsOf = (count: number, tokens: (i: number) => number, label: (i: number) => number = () => 7) =>
    Array.from({ length: count }, (_, i): EncodedExample => {
      const length = tokens(i);
      const ids = Int32Array.from({ length }, (_, t) => {
        if (t === length - 1) return 2;
        return t === length - 2 ? label(i) : 20 + ((i * 31 + t) % 900);
      });
      const mask = Uint8Array.from({ length }, (_, t) => (t >= length - 2 ? 1 : 0));
      return { line: i + 1, ids, mask, fullLength: length };
    });
  const data = (train: number, validation: number, tokens = (i: number) => 20 + (i % 40)): TrainingData => {
    const rows = rowsOf(train + validation, tokens);
    return { train: rows.slice(0, train), validation: rows.slice(train) };
  };
  const defaults = defaultHyperparameters();

  it('evaluates at step 0, at the end and as often an epoch as asked', () => {
    const h = settings({ batch_size: 4, num_train_epochs: 2, eval_per_epoch: 2 });
    const plan = planTraining(data(20, 5), h);
    expect(plan.stepsPerEpoch).toBe(5);
    expect(plan.totalSteps).toBe(10);
    expect([...plan.evaluateAt].sort((a, b) => a - b)).toEqual([0, 3, 5, 8, 10]);
  });

  it('rounds a last window that is not full up', () => {
    const h = settings({ batch_size: 2, gradient_accumulation_steps: 2 });
    expect(planTraining(data(9, 2), h).stepsPerEpoch).toBe(3);
  });

  it.each([
    ['lora', 192, 48],
    ['lora', 800, 200],
    ['lora', 8000, 2000],
    ['full', 192, 48],
    ['full', 8000, 2000],
  ] as const)(
    'measures for a tenth of the run with %s on %i rows, and holds up the first step little',
    (method, train, validation) => {
      const plan = planTraining(data(train, validation), { ...defaults, method });
      expect(plan.evaluationShare).toBeLessThanOrEqual(0.1);
      expect(plan.evaluateAt.size).toBeGreaterThanOrEqual(9);
      expect(plan.evaluateAt.size).toBeLessThanOrEqual(25);
      expect(plan.sample.validation.length).toBeGreaterThanOrEqual(8);
      expect(plan.sample.validation.length).toBeLessThanOrEqual(64);
      expect(plan.sample.train).toHaveLength(plan.sample.validation.length);
      expect(plan.all.validation).toHaveLength(validation);
      expect(plan.all.train).toHaveLength(validation);
      expect(plan.sampleIsAll).toBe(false);
    },
  );

  it('takes more rows where a run has more work to measure them beside', () => {
    const sizes = [1, 3, 10, 60].map((num_train_epochs) => {
      const { evaluateAt, sample } = planTraining(data(400, 100), { ...defaults, num_train_epochs });
      return [evaluateAt.size, sample.validation.length] as const;
    });
    for (const [i, [evaluations, rows]] of sizes.entries()) {
      const [fewer, less] = sizes[i - 1] ?? [0, 0];
      expect(evaluations).toBeGreaterThanOrEqual(fewer);
      expect(rows).toBeGreaterThanOrEqual(less);
    }
    expect(sizes.at(-1)).toEqual([25, 64]);
  });

  it('leaves nothing out of a tiny set, and evaluates early, where it is overfitted first', () => {
    const plan = planTraining(data(10, 2), { ...defaults, num_train_epochs: 50 });
    expect(plan.sampleIsAll).toBe(true);
    expect(plan.sample).toEqual(plan.all);
    const steps = [...plan.evaluateAt].sort((a, b) => a - b);
    expect(steps.length).toBeGreaterThanOrEqual(9);
    expect(steps.slice(0, 3)).toEqual([0, expect.any(Number), expect.any(Number)]);
    expect(steps[1]).toBeLessThanOrEqual(4);
    expect(steps.at(-1)).toBe(plan.totalSteps);
  });

  it('makes no more evaluations than there are steps', () => {
    const plan = planTraining(data(10, 2), { ...defaults, num_train_epochs: 1 });
    expect([...plan.evaluateAt].sort((a, b) => a - b)).toEqual([0, 1, 2]);
  });

  it('measures as many rows as asked, and as often', () => {
    const asked = planTraining(data(800, 200), { ...defaults, max_eval_samples: 5, eval_per_epoch: 1 });
    expect(asked.sample.validation).toHaveLength(5);
    expect(asked.sample.train).toHaveLength(5);
    expect(asked.evaluateAt.size).toBe(4);
    const everything = planTraining(data(800, 200), { ...defaults, max_eval_samples: 1_000_000 });
    expect(everything.sampleIsAll).toBe(true);
    expect(everything.sample.validation).toHaveLength(200);
  });

  it('draws a sample by seed and content, in which lengths and labels occur as in the whole', () => {
    const rows = rowsOf(
      400,
      (i) => 10 + (i % 50),
      (i) => (i % 10 === 0 ? 3 : 5),
    );
    const sample = sampleRows(rows, 40, 42);
    expect(new Set(sample).size).toBe(40);
    const rare = sample.filter((r) => r.ids[r.ids.length - 2] === 3);
    expect(rare).toHaveLength(4);
    const shuffled = epochOrder(400, 1, 0).map((i) => rows[i] as EncodedExample);
    const lines = (list: EncodedExample[]) => list.map((r) => r.line).sort((a, b) => a - b);
    expect(lines(sampleRows(shuffled, 40, 42))).toEqual(lines(sample));
    expect(lines(sampleRows(rows, 40, 43))).not.toEqual(lines(sample));
    expect(sampleRows(rows, 400, 42)).toBe(rows);
  });
});

describe('training', () => {
  let fixture: Fixture;
  let model: Model;
  let tensorsBefore = 0;
  beforeAll(async () => {
    fixture = await readFixture('llama', fixtureFolder('llama'));
    model = await modelOf(fixture);
  });
  afterAll(() => model.dispose());
  beforeEach(() => {
    model.disposeConstants();
    tensorsBefore = tf.memory().numTensors;
  });
  afterEach(() => {
    model.disposeConstants();
    expect(tf.memory().numTensors, 'live tensors after the test').toBe(tensorsBefore);
  });

  const trainer = (
    more: Partial<Hyperparameters>,
    train: EncodedExample[] = fixture.rows,
    validation = fixture.rows,
  ) => new Trainer(model, { train, validation }, settings(more));

  async function curve(more: Partial<Hyperparameters>): Promise<number[]> {
    const t = trainer(more);
    const { steps, losses } = await record(t);
    t.dispose();
    return [...steps.map((s) => s.loss), ...losses.map((l) => l.validation)];
  }

  it('starts LoRA at the base model exactly, and DoRA within rounding', async () => {
    const base = await logitsOf(model, null, batchOf(fixture, 0));
    for (const use_dora of [false, true]) {
      const learner = createLearner(model.architecture, model.weights, settings({ use_dora }));
      const tuned = await logitsOf(model, learner, batchOf(fixture, 0));
      disposeLearner(learner);
      if (use_dora) expect(maxDifference(tuned, base)).toBeLessThan(1e-5);
      else expect(tuned).toEqual(base);
    }
  });

  it.each([
    ['all-linear', ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']],
    ['attention', ['q_proj', 'k_proj', 'v_proj', 'o_proj']],
    ['mlp', ['gate_proj', 'up_proj', 'down_proj']],
  ] as const)('puts adapters on %s', (target_modules, projections) => {
    const learner = createLearner(model.architecture, model.weights, settings({ target_modules }));
    const found = new Set([...learner.tensors.keys()].map((n) => n.split('.').at(-2)));
    expect(found).toEqual(new Set(projections));
    expect(learner.tensors.size).toBe(2 * 2 * projections.length);
    disposeLearner(learner);
  });

  it('changes nothing but the adapters under LoRA', async () => {
    const before = await valuesOf(model.weights);
    const t = trainer({ learning_rate: 1e-2 });
    const start = await valuesOf(t.learner.tensors);
    await record(t);
    const end = await valuesOf(t.learner.tensors);
    for (const [name, values] of start)
      expect(maxDifference(end.get(name) ?? [], values), name).toBeGreaterThan(0);
    t.dispose();
    expect(await valuesOf(model.weights)).toEqual(before);
  });

  it('changes nothing below the last layers, and leaves the base model as it was', async () => {
    const before = await valuesOf(model.weights);
    const t = trainer({ method: 'last_layers', trainable_layers: 1, learning_rate: 1e-2 });
    expect(
      [...t.learner.tensors.keys()].every(
        (n) => n.startsWith('model.layers.1.') || n === 'model.norm.weight',
      ),
    ).toBe(true);
    await record(t);
    t.dispose();
    expect(await valuesOf(model.weights)).toEqual(before);
  });

  it('gives the same curve for one batch of eight, eight of one, and four of two', async () => {
    const shapes = [
      [8, 1],
      [1, 8],
      [2, 4],
    ] as const;
    const curves: number[][] = [];
    for (const [batch_size, gradient_accumulation_steps] of shapes) {
      curves.push(
        await curve({
          method: 'full',
          learning_rate: 1e-3,
          batch_size,
          gradient_accumulation_steps,
          num_train_epochs: 6,
        }),
      );
    }
    const [whole, ...others] = curves as [number[], ...number[][]];
    expect(whole.at(-1)).toBeLessThan((whole[0] as number) - 0.5);
    for (const other of others) expect(maxDifference(other, whole)).toBeLessThan(2e-4);
  });

  it('repeats itself by seed, noise and all', async () => {
    const noisy = { lora_dropout: 0.3, neftune_noise_alpha: 5, learning_rate: 1e-2 };
    const first = await curve({ ...noisy, seed: 3 });
    expect(await curve({ ...noisy, seed: 3 })).toEqual(first);
    expect(await curve({ ...noisy, seed: 4 })).not.toEqual(first);
  });

  it('knows no noise at evaluation', async () => {
    const t = trainer({ lora_dropout: 0.9, neftune_noise_alpha: 50, learning_rate: 1e-2 });
    const quiet = trainer({ learning_rate: 1e-2 });
    const loud = await record(t);
    const silent = await record(quiet);
    // The noise is there in training …
    expect(Math.abs((loud.steps[0]?.loss as number) - (silent.steps[0]?.loss as number))).toBeGreaterThan(
      1e-3,
    );
    // … and gone in evaluation: step 0 is the base model, and the tuned model gives the same loss twice, in any batches.
    expect(loud.losses[0]?.validation).toBeCloseTo(fixture.expected.evaluation.loss, 4);
    const once = await evaluation(evaluate(model, measureWith(model, t.learner), fixture.rows, 8));
    const again = await evaluation(evaluate(model, measureWith(model, t.learner), fixture.rows, 3));
    expect(once.loss).toBeCloseTo(again.loss, 5);
    expect(once.loss).toBeCloseTo(loud.losses.at(-1)?.validation as number, 5);
    t.dispose();
    quiet.dispose();
  });

  it('measures no more tokens at once than it is allowed, and every row', async () => {
    const measure = measureWith(model, null);
    const sizes: number[] = [];
    const watched: typeof measure = (batch, targets) => {
      sizes.push(batch.rows * Math.max(...batch.lengths));
      return measure(batch, targets);
    };
    const rows = [...fixture.rows].sort((a, b) => a.ids.length - b.ids.length);
    const longest = rows.at(-1)?.ids.length as number;
    const most = 2 * longest;
    const bounded = await evaluation(evaluate(model, watched, rows, 8, 'while measuring', most));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(most);
    const whole = await evaluation(evaluate(model, measure, rows, 8));
    expect(bounded.rows.map(({ line }) => line)).toEqual(whole.rows.map(({ line }) => line));
    expect(bounded.loss).toBeCloseTo(whole.loss, 5);
    // A row that is longer than that is measured all the same.
    sizes.length = 0;
    await evaluation(evaluate(model, watched, rows, 8, 'while measuring', 1));
    expect(sizes).toEqual(rows.map(({ ids }) => ids.length));
  });

  it('trains to the same curve with activations recomputed', async () => {
    for (const more of [{ method: 'full' as const, learning_rate: 1e-3 }, { use_dora: true }]) {
      const noisy = { ...more, neftune_noise_alpha: 5, lora_dropout: 0.2 };
      const kept = await curve({ ...noisy, gradient_checkpointing: 'off' });
      const recomputed = await curve({ ...noisy, gradient_checkpointing: 'on' });
      expect(maxDifference(recomputed, kept)).toBeLessThan(1e-4);
    }
  });

  it.each([
    ['lora', 2e-2],
    ['full', 5e-3],
  ] as const)('learns one row by heart with %s', async (method, learning_rate) => {
    const row = fixture.rows.slice(0, 1);
    const t = trainer({ method, learning_rate, num_train_epochs: 80, warmup_ratio: 0 }, row, row);
    const { losses } = await record(t);
    t.dispose();
    expect(losses.at(-1)?.train).toBeLessThan(0.05);
    expect(losses.at(-1)?.accuracy).toBe(1);
  });

  it('weighs rows as their weights say', async () => {
    const { row_weights, loss, grad_norm } = fixture.expected.weighted;
    const batch = batchOf(fixture, 0);
    batch.weights = batch.weights.map((w, i) => w * (row_weights[Math.floor(i / batch.columns)] as number));
    expect(targetsOf(batch).real).toBe(batch.targetTokens);
    const learner = createLearner(model.architecture, model.weights, settings({ method: 'full' }));
    const found = await lossAndGradients(model, learner, batch);
    disposeLearner(learner);
    let squares = 0;
    for (const values of found.gradients.values()) for (const v of values) squares += v * v;
    expect(found.loss).toBeCloseTo(loss, 4);
    expect(Math.abs(Math.sqrt(squares) / grad_norm - 1)).toBeLessThan(1e-5);
  });

  it('keeps the weights of the best step', async () => {
    const train = fixture.rows.slice(0, 4);
    const validation = fixture.rows.slice(4);
    const more = { method: 'full' as const, learning_rate: 1e-2, num_train_epochs: 12 };
    const t = trainer(more, train, validation);
    const { losses } = await record(t);
    const lowest = Math.min(...losses.map((l) => l.validation));
    expect(t.best?.loss).toBe(lowest);
    expect(t.best?.step).toBe(losses.find((l) => l.validation === lowest)?.step);
    expect(losses.at(-1)?.validation).toBeGreaterThan(lowest);
    const kept = await evaluation(evaluate(model, measureWith(model, t.bestLearner), validation, 4));
    expect(kept.loss).toBeCloseTo(lowest, 5);
    t.dispose();
  });

  it('stops early when patience runs out', async () => {
    const more = {
      method: 'full' as const,
      learning_rate: 1e-2,
      num_train_epochs: 30,
      early_stopping_patience: 2,
    };
    const t = trainer(more, fixture.rows.slice(0, 4), fixture.rows.slice(4));
    const { losses } = await record(t);
    expect(t.step).toBeLessThan(t.plan.totalSteps);
    expect(t.best?.step).toBe(losses.at(-3)?.step);
    t.dispose();
  });

  it('can be left at any moment without a tensor left behind', async () => {
    for (const stopAfter of Array.from({ length: 60 }, (_, i) => i + 1)) {
      const t = trainer({ gradient_accumulation_steps: 2, batch_size: 1 });
      const work = t.run();
      for (let i = 0; i < stopAfter; i++) await work.next();
      await work.return(undefined);
      t.dispose();
      model.disposeConstants();
      expect(tf.memory().numTensors, `after ${stopAfter} events`).toBe(tensorsBefore);
    }
  });

  it('tells of every update that was made, also of those under way when it is left', async () => {
    const t = trainer({ batch_size: 1, num_train_epochs: 2, eval_per_epoch: 1 });
    const told: number[] = [];
    for await (const event of t.run(() => 4)) {
      if (event.kind === 'step') told.push(event.step);
      if (told.length === 2) break;
    }
    expect(t.step).toBeGreaterThan(2);
    for await (const report of t.pendingReports()) told.push(report.step);
    expect(told).toEqual(Array.from({ length: t.step }, (_, i) => i + 1));
    t.dispose();
  });

  it('stops at a loss that is not a number, names step and lines, and keeps the last weights', async () => {
    const poisoned = fixture.rows[5] as EncodedExample;
    const others = fixture.rows.filter((r) => r !== poisoned);
    const token = poisoned.ids.find((id) => !others.some((r) => r.ids.includes(id))) as number;
    const t = trainer(
      { method: 'full', learning_rate: 1e-3, batch_size: 1, num_train_epochs: 1 },
      fixture.rows,
      others,
    );
    const name = 'model.embed_tokens.weight';
    const poison = async () => {
      const table = t.learner.tensors.get(name) as tf.Tensor2D;
      const values = (await table.data()).slice() as Float32Array;
      values.fill(Number.NaN, token * 32, token * 32 + 1);
      t.learner.tensors.set(name, tf.tensor2d(values, table.shape));
      table.dispose();
    };

    const steps: StepReport[] = [];
    let last = new Map<string, Float32Array>();
    let thrown: PlaygroundError | null = null;
    try {
      for await (const event of t.run()) {
        if (event.kind === 'yield') continue;
        // After the evaluation before the first step, which would find it.
        if (event.kind === 'evaluation' && event.step === 0) await poison();
        if (event.kind === 'step') steps.push(event);
        last = await valuesOf(t.learner.tensors);
      }
    } catch (error) {
      thrown = error as PlaygroundError;
    }
    expect(thrown?.code).toBe('non_finite');
    expect(thrown?.message).toContain(`step ${steps.length + 1}`);
    expect(thrown?.message).toMatch(/lines? 6\b/);
    expect(thrown?.where).toContain(`step ${steps.length + 1}`);
    expect(steps.length).toBeLessThan(8);
    expect(t.step).toBe(steps.length);
    expect(await valuesOf(t.learner.tensors)).toEqual(last);
    t.dispose();
  });

  /** The fixture's rows over and over, each with a line of its own. */
  const many = (count: number, from = 0): EncodedExample[] =>
    Array.from({ length: count }, (_, i) => ({
      ...(fixture.rows[i % fixture.rows.length] as EncodedExample),
      line: from + i + 1,
    }));

  it('measures a sample while it trains and all rows once at the end, under names of their own', async () => {
    const [train, validation] = [many(120), many(40, 120)];
    const more = { method: 'full' as const, learning_rate: 1e-2, batch_size: 8, num_train_epochs: 4 };
    const t = trainer({ ...more, eval_per_epoch: 0 }, train, validation);
    const { sample, all, evaluateAt, totalSteps } = t.plan;
    expect(sample.validation.length).toBeLessThan(40);
    const meter = new Meter();
    const measured = new Map<string, number>();
    const lossOf = async (rows: EncodedExample[]) =>
      (await evaluation(evaluate(model, measureWith(model, t.learner), rows, 8))).loss;
    for await (const event of t.run()) {
      meter.take(event, 0, 0, { tensors: 0, tensorBytes: 0, deviceBytes: null });
      if (event.kind === 'yield' && event.measuring) {
        const { what, step, of } = event.measuring;
        measured.set(`${what} ${step}`, of);
      }
      if (event.kind !== 'evaluation' || event.on !== 'sample') continue;
      expect(event.validation.loss).toBe(await lossOf(sample.validation));
      expect(event.validation.rows).toHaveLength(sample.validation.length);
    }
    // Step 0 costs one sample, and the end only the rows that were not in it.
    const size = sample.validation.length + sample.train.length;
    expect(measured.get('sample 0')).toBe(size);
    expect(measured.get(`last ${totalSteps}`)).toBe(all.validation.length + all.train.length - size);
    const named = (name: string) => meter.points.filter((p: MetricPoint) => p.name === name);
    expect(named('valid_loss').map((p) => p.step)).toEqual([...evaluateAt].sort((a, b) => a - b));
    const full = named('full_valid_loss');
    expect(full.at(-1)).toMatchObject({ step: totalSteps, value: await lossOf(validation) });
    expect(named('full_train_eval_loss').at(-1)?.value).toBe(await lossOf(all.train));
    const lowest = full.reduce((best, p) => (p.value < best.value ? p : best));
    expect(t.best).toEqual({ step: lowest.step, loss: lowest.value, rows: 40 });
    const kept = await evaluation(evaluate(model, measureWith(model, t.bestLearner), validation, 8));
    expect(kept.loss).toBeCloseTo(lowest.value, 6);
    // Standard errors count the rows that were measured.
    const [onSample, onAll] = [named('valid_loss_standard_error'), named('full_valid_loss_standard_error')];
    expect(onSample.at(-1)?.value).toBeGreaterThan(onAll.at(-1)?.value as number);
    t.dispose();
  });

  it('measures everything each time where the sample is everything, as with no sample at all', async () => {
    const validation = many(40, 120);
    const more = { batch_size: 8, num_train_epochs: 2, eval_per_epoch: 1, learning_rate: 1e-2 };
    const t = trainer({ ...more, max_eval_samples: 1_000 }, many(120), validation);
    const { steps, losses } = await record(t);
    expect(losses.map((l) => [l.step, l.on])).toEqual([0, 15, 30].map((step) => [step, 'both']));
    const sampled = trainer(more, many(120), validation);
    const other = await record(sampled);
    expect(other.steps.map((s) => s.loss)).toEqual(steps.map((s) => s.loss));
    const { validation: end, train } = other.losses.at(-1) as (typeof losses)[number];
    expect([end, train]).toEqual([losses.at(-1)?.validation, losses.at(-1)?.train]);
    t.dispose();
    sampled.dispose();
  });

  it.each([
    ['sample', 'after an evaluation'],
    ['all', 'between the best and the last weights on all rows'],
  ] as const)('goes on where it was left: %s, %s', async (on, _where) => {
    const make = () =>
      trainer(
        { method: 'full', learning_rate: 1, batch_size: 8, num_train_epochs: 2, early_stopping_patience: 3 },
        many(120),
        many(40, 120),
      );
    const whole = make();
    const { losses } = await record(whole);
    const left = make();
    const before: EvaluationReport[] = [];
    for await (const event of left.run()) {
      if (event.kind !== 'evaluation') continue;
      before.push(event);
      if (event.on === on && event.step >= (on === 'all' ? 0 : 15)) break;
    }
    const state = await left.state();
    left.dispose();
    const again = make();
    again.restore(state);
    const after = await record(again);
    const known = before.filter((e) => e.on === 'sample').map((e) => [e.step, e.validation.loss]);
    const later = after.losses.map((l) => [l.step, l.validation]);
    expect([...known, ...later]).toEqual(losses.map((l) => [l.step, l.validation]));
    expect(again.best).toEqual(whole.best);
    whole.dispose();
    again.dispose();
  });

  it('leaves the end out when it is stopped', async () => {
    const t = trainer({ batch_size: 8 }, many(120), many(40, 120));
    for await (const event of t.run()) if (event.kind === 'step' && event.step === 3) break;
    expect(t.best?.rows).toBe(t.plan.sample.validation.length);
    t.dispose();
  });

  describe('numbers that are no cross-entropy', () => {
    const wrong = (loss: number): Measure =>
      async function* (batch, targets) {
        const values = new Float32Array(2 * targets.ids.length);
        const last = targets.rows.findLastIndex((row) => Math.floor(row / batch.columns) === 1);
        values[last] = loss;
        yield;
        return { values: Promise.resolve(values) };
      };

    it.each([
      [-13.46, 'negative_loss', 'The loss came out as -13.5'],
      [Number.NaN, 'non_finite', 'The loss stopped being a number'],
      [Number.POSITIVE_INFINITY, 'non_finite', 'The loss stopped being a number'],
    ])('a loss of %f stops an evaluation and names the row', async (loss, code, message) => {
      const rows = fixture.rows.slice(0, 3).map((row) => ({ ...row, line: 100 + row.line }));
      const line = [...rows].sort((a, b) => a.ids.length - b.ids.length)[1]?.line;
      const thrown = await evaluation(
        evaluate(model, wrong(loss), rows, 8, 'while measuring after step 4'),
      ).then(
        () => null,
        (error: PlaygroundError) => error,
      );
      expect(thrown).toMatchObject({ code });
      expect(thrown?.message).toContain(
        `${message} while measuring after step 4, on the row from line ${line}.`,
      );
      expect(thrown?.where).toBe(`while measuring after step 4, lines ${line}`);
    });

    it('rounding below zero is none of them', async () => {
      const found = await evaluation(evaluate(model, wrong(-1e-4), fixture.rows.slice(0, 3), 8));
      expect(found.loss).toBeLessThan(0);
    });

    /** The loss of every target less `by`. */
    const lowered = async (by: number, run: () => Promise<void>) => {
      const own = await loadWasmKernels();
      chooseKernels({
        ...own,
        crossEntropy: (...a) => {
          const result = (own.crossEntropy ?? REFERENCE.crossEntropy)(...a);
          const rowLoss = tf.sub(result.rowLoss, by) as tf.Tensor1D;
          result.rowLoss.dispose();
          return { ...result, rowLoss };
        },
      });
      try {
        await run();
      } finally {
        chooseKernels(own);
      }
    };

    it('stops a run at the step, names the rows, and keeps the weights', async () => {
      const t = trainer({ learning_rate: 1e-2 });
      const before = await valuesOf(t.learner.tensors);
      await lowered(20, async () => {
        const step = t.update();
        const thrown = await evaluation(step).then(
          () => null,
          (error: PlaygroundError) => error,
        );
        expect(thrown?.code).toBe('negative_loss');
        expect(thrown?.message).toMatch(
          /^The loss came out as -\d+\.\d at step 1, on the rows from lines \d, \d\. .* The weights of step 0 were kept\.$/,
        );
      });
      expect(t.step).toBe(0);
      expect(await valuesOf(t.learner.tensors)).toEqual(before);
      t.dispose();
    });

    it('stops a rate search, which only a loss that is not finite may end', async () => {
      const data = { train: fixture.rows, validation: fixture.rows };
      const h = settings({});
      const fitted: FittedRun = {
        h: { ...h, gradient_checkpointing: 'off' },
        checkpointing: { on: false, because: null },
        mayEnable: false,
        longest: longestBatch(data.train, h.batch_size),
      };
      await lowered(20, async () => {
        await expect(evaluation(learningRateRange(model, data, fitted))).rejects.toMatchObject({
          code: 'negative_loss',
        });
      });
    });
  });

  it('refuses an empty side of the split and settings out of range', () => {
    expect(() => trainer({}, [], fixture.rows)).toThrow(expect.objectContaining({ code: 'no_rows' }));
    expect(() => trainer({}, fixture.rows, [])).toThrow(expect.objectContaining({ code: 'no_rows' }));
    expect(() => trainer({ learning_rate: -1 })).toThrow(
      expect.objectContaining({ code: 'bad_hyperparameter' }),
    );
  });
});
