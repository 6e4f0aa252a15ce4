// The start-up numeric self-test: the tfjs ops that the engine uses, on the chosen backend, against plain JavaScript in float64.
// Not here: what follows from a failed check (device.ts), the thorough tests of each kernel (test/kernels.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { SelfTestCheck } from '../../contract';

/** One check: what to compute on the backend, the expected numbers, and the tolerance. */
export interface NumericCheck {
  name: string;
  /** Largest allowed error, as a fraction of the largest expected magnitude. */
  tolerance: number;
  actual: () => tf.Tensor;
  expected: () => Float64Array;
}

/** Repeatable values in [-1, 1): the same on every machine, so that two reports can be compared. */
export function values(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function matMulCheck(
  name: string,
  [m, k, n]: [number, number, number],
  { transposeA = false, transposeB = false }: { transposeA?: boolean; transposeB?: boolean } = {},
): NumericCheck {
  const a = values(m * k, 11);
  const b = values(k * n, 29);
  const at = (i: number, l: number) => (transposeA ? a[l * m + i] : a[i * k + l]) as number;
  const bt = (l: number, j: number) => (transposeB ? b[j * k + l] : b[l * n + j]) as number;
  return {
    name: `matrix product, ${name}`,
    tolerance: 1e-4,
    actual: () =>
      tf.matMul(
        tf.tensor2d(a, transposeA ? [k, m] : [m, k]),
        tf.tensor2d(b, transposeB ? [n, k] : [k, n]),
        transposeA,
        transposeB,
      ),
    expected: () => {
      const out = new Float64Array(m * n);
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += at(i, l) * bt(l, j);
          out[i * n + j] = sum;
        }
      return out;
    },
  };
}

function softmaxCheck(name: string, rows: number, columns: number): NumericCheck {
  const x = values(rows * columns, 5).map((v) => v * 4);
  return {
    name,
    tolerance: 1e-5,
    actual: () => tf.softmax(tf.tensor2d(x, [rows, columns])),
    expected: () => {
      const out = new Float64Array(rows * columns);
      for (let r = 0; r < rows; r++) {
        const row = x.subarray(r * columns, (r + 1) * columns);
        const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
        const sum = row.reduce((a, b) => a + Math.exp(b - top), 0);
        row.forEach((v, c) => {
          out[r * columns + c] = Math.exp(v - top) / sum;
        });
      }
      return out;
    },
  };
}

function elementwiseCheck(
  name: string,
  op: (x: tf.Tensor) => tf.Tensor,
  exact: (x: number) => number,
  [low, high]: [number, number],
): NumericCheck {
  const x = values(517, 3).map((v) => low + ((v + 1) / 2) * (high - low));
  return {
    name,
    tolerance: 2e-6,
    actual: () => op(tf.tensor1d(x)),
    expected: () => Float64Array.from(x, exact),
  };
}

function reductionCheck(
  name: string,
  op: (x: tf.Tensor) => tf.Tensor,
  exact: (row: Float32Array) => number,
): NumericCheck {
  const [rows, columns] = [9, 1031];
  const x = values(rows * columns, 7);
  return {
    name,
    tolerance: 1e-5,
    actual: () => op(tf.tensor2d(x, [rows, columns])),
    expected: () =>
      Float64Array.from({ length: rows }, (_, r) => exact(x.subarray(r * columns, (r + 1) * columns))),
  };
}

/** Ids with repeats, like token ids: 40 rows of a table of 23, the last id among them. */
function embeddingChecks(): NumericCheck[] {
  const [vocab, width, count] = [23, 17, 40];
  const table = values(vocab * width, 13);
  const dy = values(count * width, 17);
  const ids = Int32Array.from({ length: count }, (_, i) => (i % 5 === 0 ? 3 : (i * 7) % vocab));
  ids[count - 1] = vocab - 1;
  return [
    {
      name: 'rows gathered by id',
      tolerance: 0,
      actual: () => tf.gather(tf.tensor2d(table, [vocab, width]), tf.tensor1d(ids, 'int32')),
      expected: () =>
        Float64Array.from({ length: count * width }, (_, i) => {
          const id = ids[Math.floor(i / width)] as number;
          return table[id * width + (i % width)] as number;
        }),
    },
    {
      name: 'rows added up by id',
      tolerance: 1e-6,
      actual: () =>
        tf.scatterND(tf.tensor2d(ids, [count, 1], 'int32'), tf.tensor2d(dy, [count, width]), [vocab, width]),
      expected: () => {
        const out = new Float64Array(vocab * width);
        dy.forEach((v, i) => {
          const at = (ids[Math.floor(i / width)] as number) * width + (i % width);
          out[at] = (out[at] as number) + v;
        });
        return out;
      },
    },
  ];
}

/** The checks of plain tfjs ops. The shapes are no multiples of the backends' tile sizes. */
function opChecks(): NumericCheck[] {
  const sum = (row: Float32Array) => row.reduce((a, b) => a + b, 0);
  return [
    matMulCheck('plain', [70, 33, 65]),
    matMulCheck('left transposed', [36, 70, 33], { transposeA: true }),
    // The shape that tfjs's split-K program gets wrong: K ≥ 2000, right side transposed, few tiles.
    matMulCheck('long, right transposed', [32, 2048, 8], { transposeB: true }),
    softmaxCheck('softmax', 33, 70),
    // More rows than one dimension of a dispatch holds: tfjs's own program overwrites its last element.
    softmaxCheck('softmax of 70,000 rows', 70_000, 2),
    ...embeddingChecks(),
    elementwiseCheck('exp', tf.exp, Math.exp, [-8, 3]),
    elementwiseCheck('log', tf.log, Math.log, [0.01, 9]),
    elementwiseCheck('sqrt', tf.sqrt, Math.sqrt, [0, 50]),
    elementwiseCheck('1/sqrt', tf.rsqrt, (x) => 1 / Math.sqrt(x), [0.1, 50]),
    elementwiseCheck('sigmoid', tf.sigmoid, (x) => 1 / (1 + Math.exp(-x)), [-12, 12]),
    elementwiseCheck('tanh', tf.tanh, Math.tanh, [-9, 9]),
    reductionCheck('sum of rows', (x) => tf.sum(x, 1), sum),
    reductionCheck(
      'mean of squares',
      (x) => tf.mean(tf.square(x), 1),
      (row) => sum(row.map((v) => v * v)) / row.length,
    ),
    reductionCheck(
      'largest of a row',
      (x) => tf.max(x, 1),
      (row) => row.reduce((a, b) => Math.max(a, b), -Infinity),
    ),
  ];
}

/** Largest difference as a fraction of the largest expected magnitude; a NaN or a missing value counts as infinite. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let magnitude = Number.MIN_VALUE;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const want = expected[i] as number;
    const off = Math.abs((actual[i] as number) - want);
    if (Number.isNaN(off)) return Infinity;
    magnitude = Math.max(magnitude, Math.abs(want));
    worst = Math.max(worst, off);
  }
  return worst / magnitude;
}

/** Results of a set of checks; `failure` is the sentence of the first that failed, or null. */
export interface SelfTest {
  checks: SelfTestCheck[];
  failure: string | null;
}

/** Runs checks on the current backend. An op that throws is a failed check. */
export async function selfTest(given: readonly NumericCheck[] = opChecks()): Promise<SelfTest> {
  const checks: SelfTestCheck[] = [];
  let failure: string | null = null;
  for (const { name, tolerance, actual, expected } of given) {
    let maxError = Infinity;
    let reason = '';
    try {
      const result = tf.tidy(actual);
      maxError = relativeError(await result.data(), expected());
      result.dispose();
      reason = `${name}: off by ${maxError.toPrecision(2)} where ${tolerance} is allowed`;
    } catch (thrown) {
      reason = `${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    }
    const passed = maxError <= tolerance;
    checks.push({ name, maxError, tolerance, passed });
    if (!passed) failure ??= reason;
  }
  return { checks, failure };
}
