// Every fused WGSL kernel against float64 arithmetic in plain JavaScript, on shapes that cross tile borders.
// Not here: the same kernels inside a model against PyTorch (engine.gpu.test.ts), attention (attention.gpu.test.ts), starting the device (device.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { relativeError } from '../src/engine/device/selfTest';
import { type Activation, activationForward } from '../src/engine/kernels/activation/activation';
import {
  activationBackwardFused,
  activationForwardFused,
} from '../src/engine/kernels/activation/activation.wgsl';
import { crossEntropyFused } from '../src/engine/kernels/crossEntropy/crossEntropy.wgsl';
import { dropoutFused } from '../src/engine/kernels/dropout/dropout.wgsl';
import { dropoutMask, keyOf } from '../src/engine/kernels/dropout/noise';
import {
  embeddingBackwardFused,
  embeddingForwardFused,
} from '../src/engine/kernels/embedding/embedding.wgsl';
import {
  linearBackwardFused,
  linearForwardFused,
  linearGroupForwardFused,
} from '../src/engine/kernels/linearGroup/linearGroup.wgsl';
import { productFused, products } from '../src/engine/kernels/matmul/matmul.wgsl';
import type { NormOptions } from '../src/engine/kernels/norm/norm';
import { normBackwardFused, normForwardFused } from '../src/engine/kernels/norm/norm.wgsl';
import { asFloat32Unpacked, packWeightPacked, readHalvesAs } from '../src/engine/kernels/packing/packed.wgsl';
import { type Packing, packingOf, storedBytes } from '../src/engine/kernels/packing/packing';
import { GradientBank, updateValues } from '../src/engine/kernels/webgpu/gradientBank.wgsl';
import { kernel } from '../src/engine/kernels/webgpu/kernel';
import {
  dispatch,
  empty,
  foldGroups,
  touch,
  trimPool,
  upload,
  webgpuBackend,
} from '../src/engine/kernels/webgpu/program';
import { countWork } from '../src/engine/kernels/webgpu/workCount';
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../src/formats/safetensors';
import { expectClose, matrix, type Numbers, random, useWebGpu } from './webgpu';

useWebGpu();

/** op(a)·op(b) in float64. */
function product(
  a: Numbers,
  b: Numbers,
  m: number,
  k: number,
  n: number,
  ta = false,
  tb = false,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[ta ? l * m + i : i * k + l]! * b[tb ? j * k + l : l * n + j]!;
      out[i * n + j] = sum;
    }
  return out;
}

describe('program', () => {
  it('folds more workgroups than one dimension holds, and runs each once', async () => {
    expect(foldGroups(70_000, 65_535, 'x')).toEqual([35_000, 2, 1]);
    expect(foldGroups(9, 9, 'x')).toEqual([9, 1, 1]);
    expect(() => foldGroups([70_000, 1, 1], 65_535, 'x')).toThrow(/70000/);
    const count = kernel({
      name: 'test_count',
      inputs: {},
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[group] = f32(group) + 1.0;',
    });
    const y = empty([66_000]);
    dispatch(count, { y }, {}, 66_000);
    const values = await y.data();
    expect([values[0], values[65_534], values[65_535], values[65_999]]).toEqual([1, 65_535, 65_536, 66_000]);
    y.dispose();
  });

  it('gives fresh values after an update in place', async () => {
    const double = kernel({
      name: 'test_double',
      inputs: {},
      outputs: { y: 'f32' },
      workgroup: 1,
      body: 'y[0] = y[0] * 2.0;',
    });
    const y = tf.tensor1d([3]);
    dispatch(double, { y }, {}, 1);
    expect((await y.data())[0]).toBe(6);
    dispatch(double, { y }, {}, 1);
    expect((await y.data())[0]).toBe(12);
    touch(y);
    expect((await y.data())[0]).toBe(12);
    y.dispose();
  });

  it('uploads without a staging buffer, and trims the pool', async () => {
    const x = upload('x', new Int32Array([1, 2, 3]), [3]);
    expect([...(await x.data())]).toEqual([1, 2, 3]);
    expect(() => upload('x', new Int32Array(2), [3])).toThrow(/2 values/);
    x.dispose();
    const big = tf.add(tf.zeros([512, 512]), 1);
    await big.data();
    big.dispose();
    expect(trimPool()).toBeGreaterThanOrEqual(512 * 512 * 4);
  });
});

describe('products', () => {
  const shapes: [number, number, number][] = [
    // Small tiles: one, two and four slices, with rows of fours and without.
    [1, 3, 2],
    [33, 70, 65],
    [32, 256, 36],
    [68, 2048, 8],
    [800, 20, 700], // large tiles
    [801, 18, 701],
  ];
  for (const [m, k, n] of shapes) {
    it(`of ${m}×${k} and ${k}×${n}, stored either way`, async () => {
      const [a, b] = [random(m * k), random(k * n)];
      for (const [ta, tb] of [
        [false, false],
        [false, true],
        [true, false],
      ] as const) {
        const c = productFused(matrix(a, ta ? k : m), matrix(b, tb ? n : k), ta, tb);
        expect(c.shape).toEqual([m, n]);
        await expectClose(c, product(a, b, m, k, n, ta, tb));
      }
    });
  }

  it('add bias and residual, and add to a result that exists', async () => {
    for (const [m, k, n] of [
      [33, 70, 65],
      [40, 64, 36],
    ] as const) {
      const [a, b, bias, residual] = [random(m * k), random(k * n), random(n), random(m * n)];
      const plain = product(a, b, m, k, n);
      const c = productFused(matrix(a, m), matrix(b, k), false, false, {
        bias: tf.tensor1d(bias),
        residual: matrix(residual, m),
      });
      await expectClose(
        c,
        plain.map((v, i) => v + bias[i % n]! + residual[i]!),
      );
      const into = matrix(residual, m);
      const to = { tensor: into, add: true };
      const same = productFused(matrix(a, m), matrix(b, k), false, false, { to });
      expect(same).toBe(into);
      await expectClose(
        into,
        plain.map((v, i) => v + residual[i]!),
      );
    }
  });

  it('sum several terms into several results, over more dispatches where bindings are few', async () => {
    const [m, n] = [35, 44];
    const depths = [20, 72];
    const jobs = [0, 1, 2].map((j) =>
      depths.map((k) => ({ k, a: random(m * k), b: random(k * (n + 4 * j)), scale: 0.5 + j })),
    );
    const both = { a: false, b: true };
    // The left sides of the first job serve all: a tensor that is used twice is bound once.
    const left = jobs[0]!.map(({ a }) => matrix(a, m));
    const { results } = products(
      jobs.map((terms, j) => ({
        terms: terms.map(({ b, scale }, i) => ({
          a: left[i]!,
          b: matrix(b, n + 4 * j),
          transposed: both,
          scale,
        })),
      })),
    );
    const expected = (j: number) => {
      const parts = jobs[j]!.map(({ k, b }, i) => product(jobs[0]![i]!.a, b, m, k, n + 4 * j, false, true));
      return parts[0]!.map((v, i) => v * jobs[j]![0]!.scale + parts[1]![i]! * jobs[j]![1]!.scale);
    };
    for (const j of [0, 1, 2]) await expectClose(results[j]!, expected(j));

    // More terms than any device binds at a time.
    const many = Array.from({ length: 8 }, () => ({ a: random(m * 8), b: random(8 * n) }));
    const residual = random(m * n);
    const sum = products([
      {
        terms: many.map(({ a, b }) => ({ a: matrix(a, m), b: matrix(b, 8) })),
        residual: matrix(residual, m),
      },
    ]);
    const all = many.map(({ a, b }) => product(a, b, m, 8, n));
    const total = all[0]!.map((_, i) => all.reduce((sum, part) => sum + part[i]!, residual[i]!));
    await expectClose(sum.results[0]!, total);
  });

  it('of different kinds share a dispatch when small, and each has its own when large', async () => {
    const work = countWork();
    for (const [rows, inside, outside, dispatches] of [
      [70, 36, 44, 1],
      [900, 260, 500, 2],
    ] as const) {
      const [dy, x, w, before, bias] = [
        random(rows * outside),
        random(rows * inside),
        random(outside * inside),
        random(rows * inside),
        random(outside),
      ];
      const gradient = tf.ones<tf.Rank.R2>([outside, inside]);
      const sum = tf.tensor1d(bias);
      const left = matrix(dy, rows);
      const jobs = [
        { terms: [{ a: left, b: matrix(w, outside) }], residual: matrix(before, rows) },
        {
          terms: [{ a: left, b: matrix(x, rows), transposed: { a: true, b: false } }],
          to: { tensor: gradient, add: true },
          sums: 'a' as const,
          sumTo: { tensor: sum, add: true },
        },
      ];
      for (const { terms } of jobs) for (const { a, b } of terms) await Promise.all([a.data(), b.data()]);
      work.reset();
      const { results, sums } = products(jobs);
      expect(work.read().dispatches).toBe(dispatches);
      expect(results[1]).toBe(gradient);
      expect(sums).toEqual([null, sum]);
      const dx = product(dy, w, rows, outside, inside);
      await expectClose(
        results[0]!,
        dx.map((v, i) => v + before[i]!),
      );
      const dw = product(dy, x, outside, rows, inside, true);
      await expectClose(
        gradient,
        dw.map((v) => v + 1),
        6e-6,
      );
      const column = (c: number) => Array.from({ length: rows }, (_, r) => dy[r * outside + c]!);
      await expectClose(
        sum,
        bias.map((v, c) => column(c).reduce((all, y) => all + y, v)),
        1e-5,
      );
    }
    work.stop();
  });

  it('refuse shapes that do not fit', () => {
    const [a, b] = [tf.zeros<tf.Rank.R2>([2, 3]), tf.zeros<tf.Rank.R2>([4, 2])];
    expect(() => productFused(a, b)).toThrow(/\[2, 3\] and \[4, 2\]/);
  });

  for (const layout of ['out_in', 'in_out'] as const) {
    it(`make a linear layer and its gradients, weight stored ${layout}`, async () => {
      for (const [rows, inside, outside] of [
        [70, 33, 45],
        [64, 128, 96],
        [300, 16, 8],
      ] as const) {
        const [x, w, bias, dy] = [
          random(rows * inside),
          random(inside * outside),
          random(outside),
          random(rows * outside),
        ];
        const outIn = layout === 'out_in';
        const weight = matrix(w, outIn ? outside : inside);
        const y = linearForwardFused(matrix(x, rows), weight, tf.tensor1d(bias), layout);
        await expectClose(
          y,
          product(x, w, rows, inside, outside, false, outIn).map((v, i) => v + bias[i % outside]!),
        );
        const needs = { dx: true, dweight: true, dbias: true };
        const grads = linearBackwardFused(matrix(dy, rows), matrix(x, rows), weight, layout, needs);
        await expectClose(grads.dx, product(dy, w, rows, outside, inside, false, !outIn));
        const dweight = outIn
          ? product(dy, x, outside, rows, inside, true)
          : product(x, dy, inside, rows, outside, true);
        await expectClose(grads.dweight, dweight);
        const dbias = new Float64Array(outside);
        dy.forEach((v, i) => {
          dbias[i % outside]! += v;
        });
        await expectClose(grads.dbias, dbias);
        const only = linearBackwardFused(matrix(dy, rows), matrix(x, rows), weight, layout, {
          dx: false,
          dweight: false,
          dbias: true,
        });
        expect(only.dx).toBeNull();
        await expectClose(only.dbias, dbias);
      }
    });
  }
});

describe('norms', () => {
  const cases: [NormOptions, boolean][] = [
    [{ kind: 'rms', epsilon: 1e-6, addOne: false }, false],
    [{ kind: 'rms', epsilon: 1e-6, addOne: true }, false],
    [{ kind: 'layer', epsilon: 1e-5, addOne: false }, true],
  ];
  for (const [options, hasBias] of cases) {
    it(`${options.kind}${options.addOne ? ' with 1 + weight' : ''}, forward and backward`, async () => {
      for (const [rows, columns] of [
        [7, 33],
        [300, 16],
        [70, 600],
      ] as const) {
        const [x, w, bias, dy] = [
          random(rows * columns, 2),
          random(columns),
          random(columns),
          random(rows * columns),
        ];
        const expected = normReference(x, w, hasBias ? bias : null, dy, columns, options);
        const input = matrix(x, rows);
        const weight = tf.tensor1d(w);
        const { y, saved } = normForwardFused(input, weight, hasBias ? tf.tensor1d(bias) : null, options);
        await expectClose(y, expected.y);
        const needs = { dx: true, dweight: true, dbias: hasBias };
        const grads = normBackwardFused(matrix(dy, rows), input, weight, saved, options, needs);
        await expectClose(grads.dx, expected.dx);
        await expectClose(grads.dweight, expected.dweight);
        if (hasBias) await expectClose(grads.dbias, expected.dbias);
        const frozen = { dx: true, dweight: false, dbias: false };
        const only = normBackwardFused(matrix(dy, rows), input, weight, saved, options, frozen);
        expect(only.dweight).toBeNull();
        await expectClose(only.dx, expected.dx);
      }
    });
  }
});

function normReference(
  x: Numbers,
  w: Numbers,
  bias: Numbers | null,
  dy: Numbers,
  columns: number,
  o: NormOptions,
) {
  const rows = x.length / columns;
  const [y, dx] = [new Float64Array(x.length), new Float64Array(x.length)];
  const [dweight, dbias] = [new Float64Array(columns), new Float64Array(columns)];
  for (let r = 0; r < rows; r++) {
    const row = Array.from({ length: columns }, (_, c) => x[r * columns + c]!);
    const mean = o.kind === 'layer' ? row.reduce((a, b) => a + b, 0) / columns : 0;
    const rstd = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / columns + o.epsilon);
    const hat = row.map((v) => (v - mean) * rstd);
    const g = hat.map((_, c) => dy[r * columns + c]! * (w[c]! + (o.addOne ? 1 : 0)));
    const meanG = o.kind === 'layer' ? g.reduce((a, b) => a + b, 0) / columns : 0;
    const along = g.reduce((a, b, c) => a + b * hat[c]!, 0) / columns;
    hat.forEach((h, c) => {
      const i = r * columns + c;
      y[i] = h * (w[c]! + (o.addOne ? 1 : 0)) + (bias ? bias[c]! : 0);
      dx[i] = (g[c]! - meanG - h * along) * rstd;
      dweight[c]! += dy[i]! * h;
      dbias[c]! += dy[i]!;
    });
  }
  return { y, dx, dweight, dbias };
}

describe('activations', () => {
  const erf = (x: number): number => {
    // Maclaurin series; exact to float64 in the range used here.
    let [term, sum] = [x, x];
    for (let n = 1; n < 200; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  };
  const exact: Record<Activation, (x: number) => number> = {
    silu: (x) => x / (1 + Math.exp(-x)),
    gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    relu: (x) => Math.max(x, 0),
  };
  for (const kind of Object.keys(exact) as Activation[]) {
    it(`${kind}, gated and not, forward and backward`, async () => {
      const [rows, columns] = [13, 77];
      const [gate, up, dy] = [random(rows * columns, 4), random(rows * columns), random(rows * columns)];
      const f = exact[kind];
      // By differences, but for the one with a corner.
      const slope = (x: number) => (kind === 'relu' ? Number(x > 0) : (f(x + 1e-5) - f(x - 1e-5)) / 2e-5);
      const [g, u, d] = [matrix(gate, rows), matrix(up, rows), matrix(dy, rows)];
      await expectClose(
        activationForwardFused(g, u, kind),
        Float64Array.from(gate, (x, i) => f(x) * up[i]!),
      );
      await expectClose(activationForwardFused(g, null, kind), Float64Array.from(gate, f));
      const gated = activationBackwardFused(d, g, u, kind);
      await expectClose(
        gated.dgate,
        Float64Array.from(gate, (x, i) => slope(x) * up[i]! * dy[i]!),
        1e-5,
      );
      await expectClose(
        gated.dup,
        Float64Array.from(gate, (x, i) => f(x) * dy[i]!),
      );
      const plain = activationBackwardFused(d, g, null, kind);
      expect(plain.dup).toBeNull();
      await expectClose(
        plain.dgate,
        Float64Array.from(gate, (x, i) => slope(x) * dy[i]!),
        1e-5,
      );
    });
  }

  it('stay finite far out, as the reference does', async () => {
    const far = tf.tensor2d([-1000, -90, -20, 20, 90, 1000], [1, 6]);
    for (const kind of ['silu', 'gelu', 'gelu_tanh'] as const) {
      const reference = await activationForward(far, null, kind).data();
      await expectClose(activationForwardFused(far, null, kind), reference);
    }
  });
});

describe('embedding', () => {
  it('gathers rows, and adds gradients up by id in a fixed order', async () => {
    const [vocab, width, count] = [50, 33, 150];
    const [table, dy] = [random(vocab * width), random(count * width)];
    const ids = Int32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 7 : (i * 13) % 40));
    ids[count - 1] = vocab - 1;
    const idTensor = tf.tensor1d(ids, 'int32');
    const rows = Float64Array.from({ length: count * width }, (_, i) => {
      return table[ids[Math.floor(i / width)]! * width + (i % width)]!;
    });
    await expectClose(embeddingForwardFused(matrix(table, vocab), idTensor, 1, null), rows, 1e-9);
    const expected = new Float64Array(vocab * width);
    dy.forEach((v, i) => {
      expected[ids[Math.floor(i / width)]! * width + (i % width)]! += v;
    });
    const back = (to: tf.Tensor | null) =>
      embeddingBackwardFused({
        ...{ dy: matrix(dy, count), ids: idTensor, scale: 1, vocabSize: vocab, positions: null },
        needs: { table: true, positions: false },
        to: { table: to && { tensor: to, add: true }, positions: null },
      }).table as tf.Tensor;
    const grad = back(null);
    await expectClose(grad, expected);
    expect(await back(null).data()).toEqual(await grad.data());
    const into = matrix(table, vocab);
    expect(back(into)).toBe(into);
    await expectClose(
      into,
      expected.map((v, i) => v + table[i]!),
    );
  });
});

describe('dropout', () => {
  it('drops what the CPU would drop', async () => {
    const x = random(5000);
    for (const [p, noiseKey, place] of [
      [0.1, 12345, 7],
      [0.5, 0xfedcba98, 0x9e3779b9],
    ] as const) {
      const mask = dropoutMask(keyOf(noiseKey, place), x.length, p);
      await expectClose(
        dropoutFused(matrix(x, 50), p, { key: noiseKey, place }),
        x.map((v, i) => v * mask[i]!),
        1e-7,
      );
    }
  });
});

describe('cross-entropy', () => {
  const [positions, width, vocab] = [70, 20, 333];
  const hidden = random(positions * width, 2);
  const head = random(vocab * width);
  const real = 45;
  const targets = {
    rows: Int32Array.from({ length: 64 }, (_, i) => (i < real ? (i * 3) % positions : 0)),
    ids: Int32Array.from({ length: 64 }, (_, i) => (i < real ? (i * 37) % vocab : 0)),
    weights: Float32Array.from({ length: 64 }, (_, i) => (i < real ? 1 + (i % 2) : 0)),
  };
  // 3 and 70 share no factor, so the rows are all different.
  for (const smoothing of [0, 0.1]) {
    for (const chunkBytes of [2 ** 25, 20 * vocab * 4]) {
      it(`smoothing ${smoothing}, chunks of ${chunkBytes} bytes`, async () => {
        const scale = 1 / 67;
        const want = crossEntropyReference(hidden, head, targets, { width, vocab, scale, smoothing });
        const options = { scale, labelSmoothing: smoothing, needs: { dhidden: true, dhead: true } };
        const got = crossEntropyFused(
          matrix(hidden, positions),
          matrix(head, vocab),
          targets,
          options,
          chunkBytes,
        );
        await expectClose(got.rowLoss, want.rowLoss);
        expect([...(await got.correct.data())]).toEqual([...want.correct]);
        await expectClose(got.dhidden, want.dhidden, 5e-6);
        await expectClose(got.dhead, want.dhead, 5e-6);
      });
    }
  }

  it('makes no gradient in evaluation, and adds to a head gradient that exists', async () => {
    const want = crossEntropyReference(hidden, head, targets, { width, vocab, scale: 1, smoothing: 0 });
    const [h, w] = [matrix(hidden, positions), matrix(head, vocab)];
    const silent = { scale: 1, labelSmoothing: 0, needs: { dhidden: false, dhead: false } };
    const before = tf.memory().numTensors;
    const evaluated = crossEntropyFused(h, w, targets, silent);
    expect(tf.memory().numTensors).toBe(before + 2);
    expect([evaluated.dhidden, evaluated.dhead]).toEqual([null, null]);
    await expectClose(evaluated.rowLoss, want.rowLoss);
    const into = tf.ones<tf.Rank.R2>([vocab, width]);
    const needs = { dhidden: false, dhead: true };
    const headTo = { tensor: into, add: true };
    const { dhead } = crossEntropyFused(h, w, targets, { ...silent, needs, headTo });
    expect(dhead).toBe(into);
    await expectClose(
      into,
      want.dhead.map((v) => v + 1),
    );
  });
});

function crossEntropyReference(
  hidden: Numbers,
  head: Numbers,
  targets: { rows: Int32Array; ids: Int32Array; weights: Float32Array },
  { width, vocab, scale, smoothing }: { width: number; vocab: number; scale: number; smoothing: number },
) {
  const count = targets.ids.length;
  const [rowLoss, correct] = [new Float64Array(count), new Float64Array(count)];
  const [dhidden, dhead] = [new Float64Array(hidden.length), new Float64Array(head.length)];
  for (let m = 0; m < count; m++) {
    const row = targets.rows[m]!;
    const z = Array.from({ length: vocab }, (_, v) => {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += hidden[row * width + c]! * head[v * width + c]!;
      return sum;
    });
    const top = Math.max(...z);
    const logSum = Math.log(z.reduce((a, b) => a + Math.exp(b - top), 0)) + top;
    const id = targets.ids[m]!;
    const mean = z.reduce((a, b) => a + b, 0) / vocab;
    rowLoss[m] = (1 - smoothing) * (logSum - z[id]!) + smoothing * (logSum - mean);
    correct[m] = z.indexOf(top) === id ? 1 : 0;
    z.forEach((v, j) => {
      const wanted = smoothing / vocab + (j === id ? 1 - smoothing : 0);
      const dz = (Math.exp(v - logSum) - wanted) * targets.weights[m]! * scale;
      for (let c = 0; c < width; c++) {
        dhidden[row * width + c]! += dz * head[j * width + c]!;
        dhead[j * width + c]! += dz * hidden[row * width + c]!;
      }
    });
  }
  return { rowLoss, correct, dhidden, dhead };
}

describe('a bank of gradients', () => {
  const sizes = [5, 70_000, 33, 1, 4096, 17, 8192 * 3 + 1, 2, 9];
  const settings = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
  const nameOf = (i: number) => `p${i}`;
  const decay = (i: number) => (i % 2 === 0 ? 0.1 : 0);
  const bankOf = (parameters: tf.Tensor[], most?: number) =>
    new GradientBank(
      parameters.map((parameter, i) => ({ name: nameOf(i), parameter, weightDecay: decay(i) })),
      most,
    );
  const fill = (bank: GradientBank, gradients: Float32Array[]) =>
    gradients.forEach((g, i) => {
      bank.add(nameOf(i), tf.tensor1d(g));
    });

  it('takes the global norm of all, the same bits every time, and adds up micro-batches', async () => {
    const gradients = sizes.map((size) => random(size));
    const bank = bankOf(sizes.map((size) => tf.zeros([size])));
    bank.begin();
    fill(bank, gradients);
    bank.norm(0);
    let sum = 0;
    for (const g of gradients) for (const x of g) sum += x * x;
    const { gradNorm, failed } = await bank.result();
    expect(relativeError([gradNorm], [Math.sqrt(sum)])).toBeLessThan(3e-6);
    expect(failed).toBe(false);
    bank.norm(0);
    expect((await bank.result()).gradNorm).toBe(gradNorm);

    fill(bank, gradients);
    expect(await bank.gradientOf('p6')).toEqual((gradients[6] as Float32Array).map((x) => 2 * x));
    bank.begin(true);
    fill(bank, gradients);
    expect(
      relativeError(
        await bank.gradientOf('p1'),
        (gradients[1] as Float32Array).map((x) => 3 * x),
      ),
    ).toBeLessThan(1e-6);
    bank.begin();
    fill(bank, gradients);
    expect(await bank.gradientOf('p1')).toEqual(gradients[1]);
    bank.dispose();
  });

  it.each([
    ['in one buffer', undefined],
    ['in several', 4096],
    ['in three each, where one binding holds no more', 128],
  ])(
    'updates many tensors in place over five steps, clipped, with and without decay: moments %s',
    async (_where, most) => {
      const values = sizes.map((size) => Float64Array.from(random(size)));
      const moments = sizes.map((size) => ({ m: new Float64Array(size), v: new Float64Array(size) }));
      const parameters = values.map((v) => tf.tensor1d(Float32Array.from(v)));
      const bank = bankOf(parameters, most);
      const maxNorm = 30;
      for (let count = 1; count <= 5; count++) {
        const raw = sizes.map((size) => random(size));
        bank.begin();
        fill(bank, raw);
        bank.norm(maxNorm);
        bank.update(updateValues({ ...settings, count }));
        const norm = Math.sqrt(raw.reduce((all, g) => g.reduce((sum, x) => sum + x * x, all), 0));
        expect(norm).toBeGreaterThan(maxNorm);
        const clip = maxNorm / (norm + 1e-6);
        raw.forEach((g, i) => {
          const { m, v } = moments[i]!;
          g.forEach((x, e) => {
            const gradient = x * clip;
            m[e] = settings.beta1 * m[e]! + (1 - settings.beta1) * gradient;
            v[e] = settings.beta2 * v[e]! + (1 - settings.beta2) * gradient * gradient;
            const root = Math.sqrt(v[e]! / (1 - settings.beta2 ** count)) + settings.epsilon;
            const kept = values[i]![e]! * (1 - settings.learningRate * decay(i));
            values[i]![e] = kept - (settings.learningRate * m[e]!) / (1 - settings.beta1 ** count) / root;
          });
        });
      }
      for (const [i, parameter] of parameters.entries()) await expectClose(parameter, values[i]!, 1e-5);
      bank.dispose();
    },
  );

  it('leaves weights as they are once a gradient is not finite, and those alone that never had one', async () => {
    const [a, b] = [tf.tensor1d([1, 2, 3]), tf.tensor1d([4, 5])];
    const bank = new GradientBank([
      { name: 'a', parameter: a, weightDecay: 0.1 },
      { name: 'b', parameter: b, weightDecay: 0.1 },
    ]);
    const step = (gradient: number[], count: number) => {
      bank.begin();
      bank.add('a', tf.tensor1d(gradient));
      bank.norm(1);
      bank.update(updateValues({ ...settings, count }));
    };
    step([1, -1, 1], 1);
    const after = [...(await a.data())];
    expect(after).not.toEqual([1, 2, 3]);
    expect([...(await b.data())]).toEqual([4, 5]);
    step([1, Number.NaN, 1], 2);
    expect((await bank.result()).failed).toBe(true);
    step([1, 1, 1], 3);
    expect((await bank.result()).failed).toBe(true);
    expect([...(await a.data())]).toEqual(after);
    bank.dispose();
  });
});

describe('a loss below zero', () => {
  it.each([
    [-1e-4, false],
    [-1, true],
  ])('of %f: the update is left out: %s', async (loss, leftOut) => {
    const a = tf.tensor1d([1, 2, 3]);
    const bank = new GradientBank([{ name: 'a', parameter: a, weightDecay: 0 }]);
    bank.begin();
    bank.add('a', tf.tensor1d([1, 1, 1]));
    const control = webgpuBackend().tensorMap.get(bank.control.dataId).resource as GPUBuffer;
    webgpuBackend().device.queue.writeBuffer(control, 0, Float32Array.of(loss));
    bank.norm(1);
    bank.update(updateValues({ learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, count: 1 }));
    expect(await bank.result()).toMatchObject({ failed: leftOut, loss: Math.fround(loss) });
    expect([...(await a.data())].every((x, i) => x === i + 1)).toBe(leftOut);
    bank.dispose();
    a.dispose();
  });
});

describe('weights in 16 bits', () => {
  const formats = {
    f16: { narrow: float32ToFloat16, widen: float16ToFloat32, infinite: 0x7c00 },
    bf16: { narrow: float32ToBfloat16, widen: bfloat16ToFloat32, infinite: 0x7f80 },
  };
  const bitsOf = async (x: tf.Tensor | null) =>
    new Uint32Array(((await (x as tf.Tensor).data()) as Float32Array).slice().buffer);
  /** (Compared here: `toEqual` takes seconds for half a million numbers.) */
  const expectSame = async (found: tf.Tensor | null, wanted: tf.Tensor | null) => {
    const [a, b] = [await bitsOf(found), await bitsOf(wanted)];
    expect([a.length, a.findIndex((bits, i) => bits !== b[i])]).toEqual([b.length, -1]);
  };
  /** The same numbers packed and as floats. A third of them are small enough to be subnormal halves. */
  const both = (packing: Packing, rows: number, columns: number) => {
    const { narrow, widen } = formats[packing];
    const stored = narrow(random(rows * columns).map((x, i) => (i % 3 === 0 ? x * 5e-5 : x)));
    const packed = packWeightPacked(stored, packing, [rows, columns]) as tf.Tensor2D;
    return { packed, floats: matrix(widen(stored), rows) };
  };

  for (const packing of ['f16', 'bf16'] as const) {
    it(`${packing}: every finite number unpacks to its own float`, async () => {
      const { widen, infinite } = formats[packing];
      const stored = Uint16Array.from({ length: 65_536 }, (_, i) =>
        (i & infinite) === infinite ? i & 1 : i,
      );
      const packed = packWeightPacked(stored, packing, [256, 256]) as tf.Tensor2D;
      const wanted = new Uint32Array(widen(stored).buffer);
      // Below 2^-126 a device may give zero: those are no weights, and in float32 they would fare no better.
      const flushed = (bits: number) => ((bits & 0x7f800000) === 0 ? bits & 0x80000000 : bits) >>> 0;
      const check = async () => {
        const found = await bitsOf(asFloat32Unpacked(packed));
        expect([...found].map(flushed)).toEqual([...wanted].map(flushed));
      };
      await check();
      const before = readHalvesAs('float16Exact');
      await check();
      readHalvesAs(before);
    });

    it(`${packing}: products are those of the floats, to the bit`, async () => {
      const compare = async (m: number, k: number, n: number, ta: boolean, tb: boolean) => {
        const columns = Math.ceil((tb ? k : n) / 4) * 4;
        const [inner, outer] = tb ? [columns, n] : [k, columns];
        const { packed, floats } = both(packing, tb ? outer : inner, columns);
        const a = matrix(random(m * inner), ta ? inner : m);
        const epilogue = { bias: tf.tensor1d(random(outer)), residual: matrix(random(m * outer), m) };
        const [got, wanted] = [packed, floats].map((b) => productFused(a, b, ta, tb, epilogue));
        await expectSame(got as tf.Tensor, wanted as tf.Tensor);
      };
      for (const [ta, tb] of [
        [false, false],
        [false, true],
        [true, false],
        [true, true],
      ] as const) {
        await compare(33, 68, 65, ta, tb);
      }
      await compare(1, 64, 36, false, true);
      await compare(800, 20, 700, false, true); // large tiles
      await compare(800, 20, 700, false, false);
      if (packing !== 'f16') return;
      const before = readHalvesAs('float16Exact');
      await compare(33, 68, 65, false, true);
      await compare(33, 68, 65, false, false);
      readHalvesAs(before);
    });

    it(`${packing}: layers with adapters, beside packed and plain ones, and their gradients`, async () => {
      for (const [rank, layout] of [
        [8, 'out_in'],
        [6, 'out_in'], // no fours: weights are read one number at a time
        [6, 'in_out'],
      ] as const) {
        const [rows, width] = [37, 44];
        const x = matrix(random(rows * width), rows);
        const adapter = {
          a: matrix(random(rank * width), rank),
          b: matrix(random(width * rank), width),
          scaling: 0.5,
          input: x,
        };
        const [one, two] = [both(packing, width, width), both(packing, width, width)];
        const layers = (w: 'packed' | 'floats') => [
          { weight: one[w], bias: null, adapter },
          { weight: two[w], bias: null, adapter },
          { weight: one.floats, bias: null, adapter },
        ];
        const got = linearGroupForwardFused(x, layers('packed'), layout, null).ys;
        const wanted = linearGroupForwardFused(x, layers('floats'), layout, null).ys;
        for (const [i, y] of got.entries()) await expectSame(y, wanted[i] as tf.Tensor);
        const needs = { dx: true, dweight: false, dbias: false };
        const dy = matrix(random(rows * width), rows);
        const [dx, plain] = [one.packed, one.floats].map(
          (w) => linearBackwardFused(dy, x, w, layout, needs).dx,
        );
        await expectSame(dx as tf.Tensor, plain as tf.Tensor);
      }
    });

    it(`${packing}: embedding and loss are those of the floats, to the bit`, async () => {
      const [vocab, width, positions] = [333, 20, 70];
      const { packed, floats } = both(packing, vocab, width);
      const ids = tf.tensor1d(
        Int32Array.from({ length: positions }, (_, i) => (i * 37) % vocab),
        'int32',
      );
      const embed = (t: tf.Tensor2D) => embeddingForwardFused(t, ids, 1, null);
      await expectSame(embed(packed), embed(floats));
      const placed = (t: tf.Tensor2D) => embeddingForwardFused(t, ids, 3, { table: t, places: ids });
      await expectSame(placed(packed), placed(floats));
      const hidden = matrix(random(positions * width, 2), positions);
      const targets = {
        rows: Int32Array.from({ length: 64 }, (_, i) => i),
        ids: Int32Array.from({ length: 64 }, (_, i) => (i * 37) % vocab),
        weights: new Float32Array(64).fill(1),
      };
      const options = { scale: 0.1, labelSmoothing: 0.1, needs: { dhidden: true, dhead: false } };
      const [got, wanted] = [packed, floats].map((head) =>
        crossEntropyFused(hidden, head, targets, options, 20 * vocab * 4),
      ) as [ReturnType<typeof crossEntropyFused>, ReturnType<typeof crossEntropyFused>];
      for (const part of ['rowLoss', 'correct', 'dhidden'] as const) {
        await expectSame(got[part], wanted[part]);
      }
    });
  }

  it('take half the bytes, and give them back', () => {
    const before = tf.memory().numBytes;
    const packed = packWeightPacked(new Uint16Array(64 * 32), 'f16', [64, 32]) as tf.Tensor2D;
    expect([tf.memory().numBytes - before, storedBytes(packed), packingOf(packed)]).toEqual([
      4096,
      4096,
      'f16',
    ]);
    packed.dispose();
    packed.dispose();
    expect(tf.memory().numBytes).toBe(before);
    expect(packWeightPacked(new Uint16Array(66), 'f16', [2, 33])).toBeNull();
    expect(packWeightPacked(new Uint16Array(64), 'f16', [64])).toBeNull();
  });

  it('are never read as floats without an error', async () => {
    const { packed, floats } = both('f16', 32, 32);
    const ops = [
      () => tf.add(packed, 1),
      () => tf.matMul(floats, packed),
      () => tf.gather(packed, [1, 2]),
      () => tf.square(tf.reshape(packed, [-1])),
      () => tf.slice(packed, [1, 0], [1, 32]),
      () => tf.concat([packed, floats]),
      () => tf.cast(packed, 'int32'),
      () => packed.dataSync(),
      () => packed.arraySync(),
      () => productFused(packed, floats),
      () => productFused(floats, floats, false, false, { residual: packed }),
      () => productFused(floats, floats, false, false, { to: { tensor: packed, add: false } }),
    ];
    for (const op of ops) expect(op).toThrow(/16 bits/);
    await expect((async () => packed.data())()).rejects.toThrow(/16 bits/);
    await expectClose(tf.add(asFloat32Unpacked(packed), 0), await floats.data(), 1e-12);
  });
});
