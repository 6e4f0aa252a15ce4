// The start-up checks of our own kernels, whichever version was chosen: a small layer's worth of ops against float64 in JavaScript.
// Not here: plain tfjs ops (selfTest.ts), the thorough tests of each version (test/kernels.gpu.test.ts, test/kernels.wasm.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { bfloat16ToFloat32, float16ToFloat32 } from '../../formats/safetensors';
import * as kernels from '../kernels';
import { GradientBank, updateValues } from '../kernels/webgpu/gradientBank.wgsl';
import { type NumericCheck, values } from './selfTest';

type Row = number[];

const rowsOf = (x: Float32Array, columns: number): Row[] =>
  Array.from({ length: x.length / columns }, (_, r) => [...x.subarray(r * columns, (r + 1) * columns)]);
const flat = (...parts: Row[][]) => Float64Array.from(parts.flat(2));
const dot = (a: Row, b: Row) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const column = (x: Row[], c: number) => x.map((row) => row[c] as number);
/** a·bᵀ */
const product = (a: Row[], b: Row[]) => a.map((row) => b.map((other) => dot(row, other)));
const transposed = (x: Row[]) => (x[0] as Row).map((_, c) => column(x, c));
const matrix = (x: Row[]) => tf.tensor2d(x);
const joined = (...parts: (tf.Tensor | null)[]) =>
  tf.concat(parts.map((part) => tf.reshape(part as tf.Tensor, [-1])));

/** The checks of the ops in `kernels`. Sizes are no multiples of their tiles. */
export function kernelChecks(): NumericCheck[] {
  return [
    linearCheck(),
    mlpCheck(),
    normCheck(),
    attentionCheck(),
    cachedAttentionCheck(),
    embeddingCheck(),
    lossCheck(),
    ...(kernels.capturable() ? [bankCheck(), packedCheck()] : [optimizerCheck()]),
  ];
}

function linearCheck(): NumericCheck {
  const [x, w, dy] = [
    rowsOf(values(70 * 36, 1), 36),
    rowsOf(values(40 * 36, 2), 36),
    rowsOf(values(70 * 40, 3), 40),
  ];
  const needs = { dx: true, dweight: true, dbias: false };
  return {
    name: 'kernel: linear layer and its gradients',
    tolerance: 1e-5,
    actual: () => {
      const [xt, wt] = [matrix(x), matrix(w)];
      const y = kernels.linearForward(xt, wt, null, 'out_in');
      const { dx, dweight } = kernels.linearBackward(matrix(dy), xt, wt, 'out_in', needs);
      return joined(y, dx, dweight);
    },
    expected: () => flat(product(x, w), product(dy, transposed(w)), product(transposed(dy), transposed(x))),
  };
}

/** silu(gate)·up of two layers, and the gradients of both from a third. */
function mlpCheck(): NumericCheck {
  const [inside, outside] = [20, 36];
  const [x, dy] = [rowsOf(values(9 * inside, 19), inside), rowsOf(values(9 * inside, 20), inside)];
  const [gate, up, down] = [21, 22, 23].map((seed) => rowsOf(values(outside * inside, seed), inside)) as [
    Row[],
    Row[],
    Row[],
  ];
  const fixed = { weight: false, bias: false, a: false, b: false, input: false };
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  return {
    name: 'kernel: activation at the end of a product, and its slope',
    tolerance: 1e-5,
    actual: () => {
      const layer = (weight: Row[]) => ({ weight: matrix(weight), bias: null, adapter: null });
      const layers = [layer(gate), layer(up)];
      const { ys, active } = kernels.activatedForward(matrix(x), layers, 'out_in', 'silu');
      const { dgate, dup } = kernels.downBackward({
        ...{ dy: matrix(dy), gate: ys[0] as tf.Tensor2D, up: ys[1] as tf.Tensor2D, active },
        ...{ activation: 'silu', layer: layer(transposed(down)), low: null, layout: 'out_in' },
        needs: { gate: true, layer: fixed },
        to: { weight: null, bias: null, a: null, b: null },
      });
      return joined(active, dgate, dup);
    },
    expected: () => {
      const [g, u, d] = [product(x, gate), product(x, up), product(dy, down)];
      const each = (f: (g: number, u: number, d: number) => number) =>
        g.map((row, r) => row.map((v, c) => f(v, u[r]?.[c] as number, d[r]?.[c] as number)));
      return flat(
        each((a, b) => a * sigmoid(a) * b),
        each((a, b, dv) => dv * b * sigmoid(a) * (1 + a * (1 - sigmoid(a)))),
        each((a, _, dv) => dv * a * sigmoid(a)),
      );
    },
  };
}

/** RMSNorm of rows; `back` is the gradient of the rows for g = dy·weight. */
function rmsNorm(x: Row[], epsilon: number) {
  const columns = (x[0] as Row).length;
  const rstd = x.map((row) => 1 / Math.sqrt(dot(row, row) / columns + epsilon));
  const hat = x.map((row, r) => row.map((v) => v * (rstd[r] as number)));
  const back = (g: Row[]) =>
    hat.map((row, r) => {
      const along = dot(row, g[r] as Row) / columns;
      return row.map((v, c) => ((g[r]?.[c] as number) - v * along) * (rstd[r] as number));
    });
  return { hat, back };
}

const scaled = (x: Row[], weight: Row) => x.map((row) => row.map((v, c) => v * (weight[c] as number)));

function normCheck(): NumericCheck {
  const [columns, epsilon] = [37, 1e-5];
  const [x, dy] = [rowsOf(values(9 * columns, 4), columns), rowsOf(values(9 * columns, 5), columns)];
  const weight = [...values(columns, 6)];
  const options = { kind: 'rms', epsilon, addOne: false } as const;
  return {
    name: 'kernel: norm and its gradients',
    tolerance: 1e-5,
    actual: () => {
      const [xt, wt] = [matrix(x), tf.tensor1d(weight)];
      const { y, saved } = kernels.normForward(xt, wt, null, options);
      const needs = { dx: true, dweight: true, dbias: false };
      const { dx, dweight } = kernels.normBackward(matrix(dy), xt, wt, saved, options, needs);
      return joined(y, dx, dweight);
    },
    expected: () => {
      const { hat, back } = rmsNorm(x, epsilon);
      return flat(scaled(hat, weight), back(scaled(dy, weight)), [
        weight.map((_, c) => dot(column(dy, c), column(hat, c))),
      ]);
    },
  };
}

/** Two query heads over one key head, longer than a block of keys, no rotation. */
function attentionCheck(): NumericCheck {
  const [time, headDim, heads] = [37, 16, 2];
  const shape = { batch: 1, time, heads, kvHeads: 1, headDim, scale: 0.5, window: null };
  const wide = (seed: number) => rowsOf(values(time * heads * headDim, seed), heads * headDim);
  const [q, dout] = [wide(7), wide(8)];
  const [k, v] = [9, 10].map((seed) => rowsOf(values(time * headDim, seed), headDim)) as [Row[], Row[]];
  return {
    name: 'kernel: attention and its gradients',
    tolerance: 2e-5,
    actual: () => {
      const mask = kernels.causalMask(time, 0, null);
      const { out, saved } = kernels.attentionForward(matrix(q), matrix(k), matrix(v), shape, null, mask);
      const { dq, dk, dv } = kernels.attentionBackward(matrix(dout), saved, shape, null);
      return joined(out, dq, dk, dv);
    },
    expected: () => {
      const zeros = (like: Row[]) => like.map((row) => row.map(() => 0));
      const [out, dq, dk, dv] = [zeros(q), zeros(q), zeros(k), zeros(v)];
      const add = (to: Row, from: Row, factor: number, start = 0) => {
        from.forEach((x, d) => {
          to[start + d] = (to[start + d] as number) + factor * x;
        });
      };
      for (let h = 0; h < heads; h++) {
        const start = h * headDim;
        const head = (x: Row[], t: number) => (x[t] as Row).slice(start, start + headDim);
        for (let t = 0; t < time; t++) {
          const [query, d] = [head(q, t), head(dout, t)];
          const s = k.slice(0, t + 1).map((key) => Math.exp(dot(query, key) * shape.scale));
          const sum = s.reduce((a, b) => a + b, 0);
          const p = s.map((x) => x / sum);
          const dp = v.slice(0, t + 1).map((value) => dot(d, value));
          const delta = dot(p, dp);
          p.forEach((weight, j) => {
            const ds = weight * ((dp[j] as number) - delta) * shape.scale;
            add(out[t] as Row, v[j] as Row, weight, start);
            add(dq[t] as Row, k[j] as Row, ds, start);
            add(dk[j] as Row, query, ds);
            add(dv[j] as Row, d, weight);
          });
        }
      }
      return flat(out, dq, dk, dv);
    },
  };
}

/** A prompt and then single tokens, as answers are made: each over the keys and values of all before it. */
function cachedAttentionCheck(): NumericCheck {
  const [headDim, heads] = [16, 2];
  const parts = [19, 1, 1];
  const time = parts.reduce((a, b) => a + b, 0);
  const shape = { batch: 1, heads, kvHeads: 1, headDim, scale: 0.5, window: null };
  const q = rowsOf(values(time * heads * headDim, 31), heads * headDim);
  const [k, v] = [32, 33].map((seed) => rowsOf(values(time * headDim, seed), headDim)) as [Row[], Row[]];
  return {
    name: 'kernel: attention over kept keys and values',
    tolerance: 2e-5,
    actual: () => {
      let past = 0;
      let cache: kernels.LayerCache | null = null;
      const outs: tf.Tensor[] = [];
      for (const count of parts) {
        const own = (x: Row[]) => matrix(x.slice(past, past + count));
        const made = kernels.attentionCached(
          own(q),
          own(k),
          own(v),
          cache,
          { ...shape, time: count },
          null,
          past,
        );
        outs.push(made.out);
        cache = made.cache;
        past += count;
      }
      return joined(...outs);
    },
    expected: () =>
      flat(
        q.map((row, t) =>
          Array.from({ length: heads }, (_, h) => {
            const query = row.slice(h * headDim, (h + 1) * headDim);
            const weights = k.slice(0, t + 1).map((key) => Math.exp(dot(query, key) * shape.scale));
            const sum = weights.reduce((a, b) => a + b, 0);
            return Array.from(
              { length: headDim },
              (_, d) => dot(weights, column(v.slice(0, t + 1), d)) / sum,
            );
          }).flat(),
        ),
      ),
  };
}

/** Scaled rows by id, and gradients added up by id; one id comes often, one never. */
function embeddingCheck(): NumericCheck {
  const [vocabSize, width, count, scale] = [23, 18, 40, 3];
  const [table, dy] = [
    rowsOf(values(vocabSize * width, 34), width),
    rowsOf(values(count * width, 35), width),
  ];
  const ids = Array.from({ length: count }, (_, i) => (i % 5 === 0 ? 3 : (i * 7) % (vocabSize - 1)));
  return {
    name: 'kernel: embedding and its gradient',
    tolerance: 1e-5,
    actual: () => {
      const idTensor = tf.tensor1d(ids, 'int32');
      const y = kernels.embeddingForward(matrix(table), idTensor, scale, null);
      const gradients = kernels.embeddingBackward({
        ...{ dy: matrix(dy), ids: idTensor, scale, vocabSize, positions: null },
        ...{ needs: { table: true, positions: false }, to: { table: null, positions: null } },
      });
      return joined(y, gradients.table);
    },
    expected: () => {
      const gradient = table.map((row) => row.map(() => 0));
      ids.forEach((id, i) => {
        const sum = gradient[id] as Row;
        (dy[i] as Row).forEach((x, c) => {
          sum[c] = (sum[c] as number) + scale * x;
        });
      });
      return flat(
        ids.map((id) => (table[id] as Row).map((x) => scale * x)),
        gradient,
      );
    },
  };
}

function lossCheck(): NumericCheck {
  const [positions, width, vocab, count, scale] = [40, 12, 300, 32, 0.1];
  const hidden = rowsOf(values(positions * width, 11), width);
  const head = rowsOf(values(vocab * width, 12), width);
  const targets = {
    rows: Int32Array.from({ length: count }, (_, i) => i + 3),
    ids: Int32Array.from({ length: count }, (_, i) => (i * 41) % vocab),
    weights: new Float32Array(count).fill(1),
  };
  const weight = [...values(width, 24)];
  const epsilon = 1e-5;
  return {
    name: 'kernel: loss behind a norm, and its gradients',
    tolerance: 2e-5,
    actual: () => {
      const norm = {
        ...{ weight: tf.tensor1d(weight), bias: null, to: null },
        options: { kind: 'rms', epsilon, addOne: false } as const,
        needs: { dweight: true, dbias: false },
      };
      const options = { scale, labelSmoothing: 0, needs: { dhidden: true, dhead: true } };
      const made = kernels.normedCrossEntropy(matrix(hidden), norm, matrix(head), targets, options);
      return joined(made.rowLoss, made.dhidden, made.dhead, made.dweight);
    },
    expected: () => {
      const { hat, back } = rmsNorm(
        [...targets.rows].map((row) => hidden[row] as Row),
        epsilon,
      );
      const states = scaled(hat, weight);
      const logits = product(states, head);
      const sums = logits.map((row) => row.reduce((sum, z) => sum + Math.exp(z), 0));
      const losses = logits.map(
        (row, i) => Math.log(sums[i] as number) - (row[targets.ids[i] as number] as number),
      );
      const dlogits = logits.map((row, i) =>
        row.map((z, v) => scale * (Math.exp(z) / (sums[i] as number) - (v === targets.ids[i] ? 1 : 0))),
      );
      const dstates = product(dlogits, transposed(head));
      const dnormed = back(scaled(dstates, weight));
      const dhidden = hidden.map((row, r) => dnormed[r - 3] ?? row.map(() => 0));
      const dweight = weight.map((_, c) => dot(column(dstates, c), column(hat, c)));
      return flat([losses], dhidden, product(transposed(dlogits), transposed(states)), [dweight]);
    },
  };
}

function optimizerCheck(): NumericCheck {
  const [p, g, m] = [[...values(301, 13)], [...values(301, 14)], [...values(301, 15)]] as [Row, Row, Row];
  const v = m.map((x) => x * x);
  const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, gradientScale: 0.5, count: 3 };
  const weightDecay = 0.1;
  return {
    name: 'kernel: global norm and AdamW',
    tolerance: 1e-5,
    actual: () => {
      const [parameter, gradient] = [tf.tensor1d(p), tf.tensor1d(g)];
      const item = { parameter, gradient, m: tf.tensor1d(m), v: tf.tensor1d(v), weightDecay };
      const norm = kernels.globalNorm([gradient, item.m]);
      const [after] = kernels.adamwUpdate([item], step);
      return joined(norm, after?.parameter ?? null, after?.m ?? null, after?.v ?? null);
    },
    expected: () => {
      const nextM = m.map((x, i) => 0.9 * x + 0.1 * 0.5 * (g[i] as number));
      const nextV = v.map((x, i) => 0.99 * x + 0.01 * (0.5 * (g[i] as number)) ** 2);
      const next = p.map((x, i) => {
        const root = Math.sqrt((nextV[i] as number) / (1 - 0.99 ** 3)) + step.epsilon;
        return x * (1 - 0.01 * weightDecay) - (0.01 * (nextM[i] as number)) / (1 - 0.9 ** 3) / root;
      });
      return flat([[Math.sqrt(dot(g, g) + dot(m, m))]], [next, nextM, nextV]);
    },
  };
}

/** Two updates over a bank, the second of which needs the moments of the first. */
function bankCheck(): NumericCheck {
  const [p, g, h] = [[...values(301, 13)], [...values(301, 14)], [...values(301, 15)]] as [Row, Row, Row];
  const settings = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
  const weightDecay = 0.1;
  const maxNorm = 2;
  return {
    name: 'kernel: global norm and AdamW over a bank',
    tolerance: 1e-5,
    actual: () => {
      const parameter = tf.tensor1d(p);
      const bank = new GradientBank([{ name: 'p', parameter, weightDecay }]);
      for (const [i, gradient] of [g, h].entries()) {
        bank.begin();
        bank.add('p', tf.tensor1d(gradient));
        bank.norm(maxNorm);
        bank.update(updateValues({ ...settings, count: i + 1 }));
      }
      const result = joined(tf.slice(bank.control, [1], [1]), parameter);
      bank.dispose();
      return result;
    },
    expected: () => {
      const [m, v, next] = [p.map(() => 0), p.map(() => 0), [...p]];
      for (const [s, gradient] of [g, h].entries()) {
        const clip = Math.min(1, maxNorm / (Math.sqrt(dot(gradient, gradient)) + 1e-6));
        for (let i = 0; i < p.length; i++) {
          const x = clip * (gradient[i] as number);
          m[i] = 0.9 * (m[i] as number) + 0.1 * x;
          v[i] = 0.99 * (v[i] as number) + 0.01 * x * x;
          const root = Math.sqrt((v[i] as number) / (1 - 0.99 ** (s + 1))) + settings.epsilon;
          const kept = (next[i] as number) * (1 - settings.learningRate * weightDecay);
          next[i] = kept - (settings.learningRate * (m[i] as number)) / (1 - 0.9 ** (s + 1)) / root;
        }
      }
      return flat([[Math.sqrt(dot(h, h))]], [next]);
    },
  };
}

/** Products with weights that stay in 16 bits, in both formats and both directions. */
function packedCheck(): NumericCheck {
  const [inside, outside] = [36, 40];
  const [x, dy] = [rowsOf(values(5 * inside, 16), inside), rowsOf(values(5 * outside, 17), outside)];
  const noise = new Uint32Array(values(inside * outside, 18).buffer);
  // Any sign and fraction, exponents from 2⁻⁸ to 2⁻¹.
  const halves = Uint16Array.from(noise, (bits) => (bits & 0x83ff) | ((7 + ((bits >> 10) & 7)) << 10));
  const brains = Uint16Array.from(noise, (bits) => (bits & 0x807f) | ((119 + ((bits >> 10) & 7)) << 7));
  const stored = [
    { packing: 'f16', bits: halves, floats: float16ToFloat32(halves) },
    { packing: 'bf16', bits: brains, floats: bfloat16ToFloat32(brains) },
  ] as const;
  const needs = { dx: true, dweight: false, dbias: false };
  return {
    name: 'kernel: weights kept in 16 bits',
    tolerance: 1e-5,
    actual: () =>
      joined(
        ...stored.flatMap(({ packing, bits }) => {
          const weight = kernels.packWeight(bits, packing, [outside, inside]) as tf.Tensor2D;
          const y = kernels.linearForward(matrix(x), weight, null, 'out_in');
          const { dx } = kernels.linearBackward(matrix(dy), matrix(x), weight, 'out_in', needs);
          return [y, dx, kernels.asFloat32(weight)];
        }),
      ),
    expected: () =>
      flat(
        ...stored.flatMap(({ floats }) => {
          const w = rowsOf(floats, inside);
          return [product(x, w), product(dy, transposed(w)), w];
        }),
      ),
  };
}
