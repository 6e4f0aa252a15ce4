// Ops that are several in one dispatch on WebGPU, against the same made of plain ones, which run on tfjs's own WebGPU ops beside them.
// Not here: single kernels against float64 (kernels.gpu.test.ts), whole steps (stepGraph.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { type Kernels, REFERENCE } from '../src/engine/kernels';
import { normedCrossEntropyFused } from '../src/engine/kernels/headNorm/headNorm.wgsl';
import { GradientBank } from '../src/engine/kernels/webgpu/gradientBank.wgsl';
import { webGpuKernels } from '../src/engine/kernels/webgpu/kernels.webgpu';
import { countWork } from '../src/engine/kernels/webgpu/workCount';
import { expectClose, matrix, random, useWebGpu } from './webgpu';

useWebGpu();

const own: Kernels = { ...REFERENCE, ...webGpuKernels() };
const sized = (rows: number, columns: number) => matrix(random(rows * columns), rows);
/** The same numbers every time. */
const sizedAs = (rows: number, columns: number) =>
  matrix(
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i)),
    rows,
  );
const vector = (size: number) => tf.tensor1d(random(size));

/** Runs `op` with both; every tensor must agree, and those that one leaves out the other must too. */
async function expectAgreement(
  op: (kernels: Kernels) => (tf.Tensor | null | undefined)[],
  tolerance = 1e-5,
): Promise<void> {
  const wanted = op(REFERENCE);
  const found = op(own);
  expect(found.map((t) => t?.shape)).toEqual(wanted.map((t) => t?.shape));
  for (const [i, t] of wanted.entries()) {
    if (t) await expectClose(found[i] as tf.Tensor, await t.data(), tolerance);
  }
}

describe('linear layers of one input', () => {
  for (const [name, drops, learnsWeights] of [
    ['with adapters', false, false],
    ['with adapters whose input is dropped, beside weights that learn', true, true],
  ] as const) {
    it(`${name}: results and all gradients`, async () => {
      const [rows, inside, rank] = [33, 20, 3];
      const widths = [24, 17];
      const x = sized(rows, inside);
      const layers = widths.map((width, i) => ({
        weight: sized(width, inside),
        bias: vector(width),
        // One layer without an adapter is among them.
        adapter:
          i === 0 || !drops
            ? {
                ...{ a: sized(rank + i, inside), b: sized(width, rank + i), scaling: 0.5 },
                input: drops ? sized(rows, inside) : x,
              }
            : null,
      }));
      const dys = widths.map((width) => sized(rows, width));
      const before = sized(rows, inside);
      await expectAgreement((kernels) => {
        const { ys, lows } = kernels.linearGroupForward(x, layers, 'out_in', null);
        const made = kernels.linearGroupBackward({
          ...{ dys, x, layers, lows, layout: 'out_in', before, to: [] },
          needs: {
            dx: true,
            layers: layers.map(({ adapter }) => ({
              ...{ weight: learnsWeights, bias: learnsWeights, input: drops && adapter !== null },
              ...{ a: adapter !== null, b: adapter !== null },
            })),
          },
        });
        return [...ys, made.dx, ...made.layers.flatMap((l) => [l.weight, l.bias, l.a, l.b, l.input])];
      });
    });
  }

  it('put gradients of weights and biases into a bank, over what it holds or added to it, whatever starts where', async () => {
    const [rows, inside] = [21, 12];
    for (const widths of [
      [8, 20],
      [7, 5],
    ]) {
      const x = sized(rows, inside);
      const layers = widths.map((w) => ({ weight: sized(w, inside), bias: vector(w), adapter: null }));
      const dys = widths.map((width) => sized(rows, width));
      const bank = new GradientBank(
        layers.flatMap(({ weight, bias }, i) => [
          { name: `w${i}`, parameter: weight, weightDecay: 0 },
          { name: `b${i}`, parameter: bias, weightDecay: 0 },
        ]),
      );
      const needs = { weight: true, bias: true, a: false, b: false, input: false };
      for (const keep of [false, true]) {
        bank.begin(keep);
        const { layers: made } = own.linearGroupBackward({
          ...{ dys, x, layers, lows: [null, null], layout: 'out_in', before: null },
          needs: { dx: false, layers: [needs, needs] },
          to: layers.map((_, i) => ({
            ...{ weight: bank.destination(`w${i}`), bias: bank.destination(`b${i}`) },
            ...{ a: null, b: null },
          })),
        });
        for (const [i, { weight, bias }] of made.entries()) {
          bank.add(`w${i}`, weight as tf.Tensor);
          bank.add(`b${i}`, bias as tf.Tensor);
        }
        for (const [i, dy] of dys.entries()) {
          const times = keep ? 2 : 1;
          const dweight = tf.mul(tf.matMul(dy, x, true, false), times);
          await expectClose(tf.tensor1d(await bank.gradientOf(`w${i}`)), await dweight.data(), 1e-5);
          const dbias = tf.mul(tf.sum(dy, 0), times);
          await expectClose(tf.tensor1d(await bank.gradientOf(`b${i}`)), await dbias.data(), 1e-5);
        }
      }
      bank.dispose();
    }
  });
});

describe('an MLP around its activation', () => {
  // Widths in fours and not, deep enough for slices of the inner dimension; with and without bias and adapter.
  for (const [kind, gated, adapted, inside, outside] of [
    ['silu', true, true, 132, 40],
    ['gelu', false, false, 132, 37],
    ['gelu_tanh', true, false, 24, 30],
    ['relu', false, true, 20, 36],
  ] as const) {
    it(`${kind}${gated ? ', gated' : ''}${adapted ? ', with adapters' : ''}`, async () => {
      const [rows, rank] = [37, 4];
      const x = sized(rows, inside);
      const layer = (input: tf.Tensor2D, from: number, to: number) => ({
        ...{ weight: sized(to, from), bias: adapted ? null : vector(to) },
        adapter: adapted ? { a: sized(rank, from), b: sized(to, rank), scaling: 0.5, input } : null,
      });
      const ups = [layer(x, inside, outside), ...(gated ? [layer(x, inside, outside)] : [])];
      const dy = sized(rows, inside);
      const active = own.activatedForward(x, ups, 'out_in', kind).active;
      const down = layer(active, outside, inside);
      const [gate, up] = [sized(rows, outside), gated ? sized(rows, outside) : null];
      const needs = { weight: !adapted, bias: !adapted, a: adapted, b: adapted, input: false };
      await expectAgreement((kernels) => {
        const made = kernels.activatedForward(x, ups, 'out_in', kind);
        const low = down.adapter && sizedAs(rows, rank);
        const back = kernels.downBackward({
          ...{ dy, gate, up, active, activation: kind, layer: down, low, layout: 'out_in' },
          needs: { gate: true, layer: needs },
          to: { weight: null, bias: null, a: null, b: null },
        });
        const { weight, bias, a, b } = back.layer;
        return [...made.ys, ...made.lows, made.active, back.dgate, back.dup, weight, bias, a, b];
      }, 2e-5);
    });
  }
});

describe('norms', () => {
  for (const addOne of [false, true]) {
    it(`of two inputs${addOne ? ' with 1 + weight' : ''}`, async () => {
      const options = { addOne, epsilon: 1e-6 };
      const [a, b] = [
        { x: sized(300, 16), weight: vector(16), dy: sized(300, 16) },
        { x: sized(50, 20), weight: vector(20), dy: sized(50, 20) },
      ];
      for (const dweight of [true, false]) {
        await expectAgreement((kernels) => {
          const [first, second] = kernels.normPairForward([a, b], options);
          const needs = { dx: true, dweight };
          const back = kernels.normPairBackward(
            [
              { ...a, saved: first.saved, needs, to: null },
              { ...b, saved: second.saved, needs, to: null },
            ],
            options,
          );
          return [first.y, second.y, ...back.flatMap(({ dx, dweight }) => [dx, dweight])];
        });
      }
    });

    it(`of a branch, added to the residual and normalised again${addOne ? ', with 1 + weight' : ''}`, async () => {
      const options = { addOne, epsilon: 1e-6 };
      const [rows, width] = [19, 70];
      const [branch, residual, dsum] = [sized(rows, width), sized(rows, width), sized(rows, width)];
      const [weight, gain, dy] = [vector(width), vector(width), sized(rows, width)];
      for (const next of [gain, null]) {
        for (const learns of [true, false]) {
          await expectAgreement((kernels) => {
            const made = kernels.postNormForward(branch, residual, weight, next, options);
            const { sum, saved, normed } = made;
            const needs = { branch: true, residual: true, weight: learns, next: learns && next !== null };
            const dnormed = next && dy;
            const to = { weight: null, next: null };
            const inputs = { dsum, dnormed, branch, sum, weight, next, saved, needs, to };
            const back = kernels.postNormBackward(inputs, options);
            return [sum, normed, back.branch, back.residual, back.weight, back.next];
          });
        }
      }
    });
  }
});

describe('embedding', () => {
  it('with a scale and learned positions, in one dispatch forward', async () => {
    const [vocab, width, time, places] = [40, 33, 10, 14];
    const ids = tf.tensor1d(
      Int32Array.from({ length: 3 * time }, (_, i) => (i * 7) % 19),
      'int32',
    );
    const at = tf.tensor1d(
      Int32Array.from({ length: 3 * time }, (_, i) => i % time),
      'int32',
    );
    const [table, positions, dy] = [sized(vocab, width), sized(places, width), sized(3 * time, width)];
    await Promise.all([ids, at, table, positions, dy].map((t) => t.data()));
    const work = countWork();
    own.embeddingForward(table, ids, 3, { table: positions, places: at });
    expect(work.read().dispatches).toBe(1);
    work.stop();
    for (const needsTable of [true, false]) {
      await expectAgreement((kernels) => {
        const back = kernels.embeddingBackward({
          ...{ dy, ids, scale: 3, vocabSize: vocab, positions: { time, places: at, count: places } },
          needs: { table: needsTable, positions: true },
          to: { table: null, positions: null },
        });
        const y = kernels.embeddingForward(table, ids, 3, { table: positions, places: at });
        return [y, kernels.embeddingForward(table, ids, 3, null), back.table, back.positions];
      });
    }
  });
});

describe('the loss behind the last norm', () => {
  for (const kind of ['rms', 'layer'] as const) {
    it(`${kind}, of one chunk and of several, learning or not`, async () => {
      const [rows, width, vocab, count] = [40, 33, 50, 24];
      const x = sized(rows, width);
      const head = sized(vocab, width);
      const weight = vector(width);
      const bias = kind === 'layer' ? vector(width) : null;
      const targets = {
        // The last four are padding, which points at row 0 and weighs nothing.
        rows: Int32Array.from({ length: count }, (_, i) => (i < 20 ? (i * 7) % rows : 0)),
        ids: Int32Array.from({ length: count }, (_, i) => (i * 11) % vocab),
        weights: Float32Array.from({ length: count }, (_, i) => (i < 20 ? 1 + (i % 3) : 0)),
      };
      for (const learns of [true, false]) {
        const norm = {
          ...{ weight, bias, options: { kind, epsilon: 1e-5, addOne: kind === 'rms' }, to: null },
          needs: { dweight: learns, dbias: learns && bias !== null },
        };
        const needs = { dhidden: true, dhead: learns };
        const options = { scale: 0.1, labelSmoothing: 0.1, needs };
        const wanted = REFERENCE.normedCrossEntropy(x, norm, head, targets, options);
        for (const chunkBytes of [2 ** 20, 4 * vocab * 7]) {
          const lossTo = { tensor: tf.tensor1d([5]), add: true };
          const found = normedCrossEntropyFused(x, norm, head, targets, { ...options, lossTo }, chunkBytes);
          for (const name of ['rowLoss', 'correct', 'dhidden', 'dhead', 'dweight', 'dbias'] as const) {
            expect(found[name] === null, name).toBe(wanted[name] === null);
            if (wanted[name]) await expectClose(found[name], await wanted[name].data(), 1e-5);
          }
          const losses = [...(await wanted.rowLoss.data())];
          const sum = losses.reduce((all, loss, i) => all + 0.1 * loss * (targets.weights[i] as number), 5);
          await expectClose(lossTo.tensor, [sum], 1e-5);
        }
      }
    });
  }
});
