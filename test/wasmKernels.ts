// Each of the wasm backend's own kernels against its plain reference, on shapes that end inside every block: one suite for Node and Chromium.
// Not here: starting from a file (kernels.wasm.test.ts), one thread against several (threads.wasm.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DeviceReport } from '../src/contract';
import { startDevice } from '../src/engine/device/device';
import { type AttentionShape, causalMask, type Kernels, REFERENCE, type Rope } from '../src/engine/kernels';
import { loadWasmKernels } from '../src/engine/kernels/wasm/kernels.wasm';
import type { ThreadHost } from '../src/engine/kernels/wasm/threads.wasm';
import { maxDifference, relativeDifference } from './engineFixtures';

const TOLERANCE = 1e-5;

let own: Kernels;
let seed = 1;

/** Starts the wasm backend anew; returns its kernels, with the reference where it has none of its own. */
export async function startWasm(
  wasmPath: string,
  threads: ThreadHost | null = null,
): Promise<{ report: DeviceReport; kernels: Kernels }> {
  const fail = (error: Error) => {
    throw error;
  };
  // A test file of the same page may have started it in a memory that threads cannot share.
  const factory = tf.findBackendFactory('wasm');
  if (factory) {
    tf.removeBackend('wasm');
    tf.registerBackend('wasm', factory);
  }
  const report = await startDevice({ requested: 'wasm', wasmPath, threads, onLost: fail, onError: fail });
  const loaded = await loadWasmKernels(threads);
  expect(Object.keys(loaded).length).toBeGreaterThan(10);
  own = { ...REFERENCE, ...loaded };
  return { report, kernels: own };
}

/** Repeatable numbers, about normal. */
function numbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    let sum = -2;
    for (let i = 0; i < 4; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      sum += seed / 2 ** 32;
    }
    return sum * 1.7;
  });
}

const matrix = (rows: number, columns: number) => tf.tensor2d(numbers(rows * columns), [rows, columns]);
const vector = (size: number) => tf.tensor1d(numbers(size));

/** Runs `op` with the reference and with the fused kernels; every tensor it returns must agree. */
function agree(op: (kernels: Kernels) => Record<string, tf.Tensor | null>, tolerance = TOLERANCE): void {
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const start = seed;
    const expected = op(REFERENCE);
    seed = start;
    const actual = op(own);
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    for (const [name, wanted] of Object.entries(expected)) {
      const found = actual[name];
      if (wanted === null) {
        expect(found, name).toBeNull();
        continue;
      }
      expect(found?.shape, name).toEqual(wanted.shape);
      const off = relativeDifference((found as tf.Tensor).dataSync(), wanted.dataSync());
      expect(off, name).toBeLessThan(tolerance);
    }
  });
  expect(tf.memory().numTensors).toBe(before);
}

function ropeOf(rows: number, half: number, from = 0): Rope {
  const angle = (i: number) => (from + Math.floor(i / half)) * 100 ** (-(i % half) / half);
  return {
    cos: tf.tensor2d(
      Float32Array.from({ length: rows * half }, (_, i) => Math.cos(angle(i))),
      [rows, half],
    ),
    sin: tf.tensor2d(
      Float32Array.from({ length: rows * half }, (_, i) => Math.sin(angle(i))),
      [rows, half],
    ),
  };
}

/** Declares the suite; `startWasm` must have run before its tests do. */
export function describeWasmKernels(): void {
  beforeEach(() => {
    seed = 1;
  });

  describe('linear', () => {
    const sizes = [
      [1, 24, 33],
      [2, 33, 24],
      [3, 5, 7],
      [7, 96, 1],
      [33, 1, 24],
      [70, 33, 96],
      [131, 300, 70],
      [20, 70, 600],
    ] as const;
    for (const layout of ['out_in', 'in_out'] as const) {
      it.each(sizes)(`${layout}: %i rows, %i in, %i out`, (rows, width, size) => {
        agree((kernels) => {
          const x = matrix(rows, width);
          const weight = layout === 'out_in' ? matrix(size, width) : matrix(width, size);
          const bias = vector(size);
          const dy = matrix(rows, size);
          const needs = { dx: true, dweight: true, dbias: true };
          const { dx, dweight, dbias } = kernels.linearBackward(dy, x, weight, layout, needs);
          const y = kernels.linearForward(x, weight, bias, layout);
          return { y, plain: kernels.linearForward(x, weight, null, layout), dx, dweight, dbias };
        });
      });
    }

    it('computes only the gradients that are asked for', () => {
      agree((kernels) => {
        const needs = { dx: false, dweight: true, dbias: false };
        return { ...kernels.linearBackward(matrix(7, 5), matrix(7, 3), matrix(5, 3), 'out_in', needs) };
      });
    });

    it('keeps NaN in its row', () => {
      tf.tidy(() => {
        const x = matrix(6, 9);
        const data = x.dataSync();
        data[9 * 4 + 2] = Number.NaN;
        const y = own.linearForward(tf.tensor2d(data, [6, 9]), matrix(10, 9), null, 'out_in').dataSync();
        y.forEach((v, i) => void expect(Number.isNaN(v)).toBe(Math.floor(i / 10) === 4));
      });
    });
  });

  describe('norm', () => {
    for (const kind of ['rms', 'layer'] as const) {
      for (const addOne of [false, true]) {
        it.each([
          [1, 24],
          [7, 33],
          [70, 96],
          [33, 3],
        ] as const)(`${kind}, addOne ${addOne}: [%i, %i]`, (rows, size) => {
          agree((kernels) => {
            const [x, weight, dy] = [matrix(rows, size), vector(size), matrix(rows, size)];
            const bias = kind === 'layer' ? vector(size) : null;
            const options = { kind, epsilon: 1e-5, addOne };
            const { y, saved } = kernels.normForward(x, weight, bias, options);
            const needs = { dx: true, dweight: true, dbias: bias !== null };
            const { dx, dweight, dbias } = kernels.normBackward(dy, x, weight, saved, options, needs);
            const frozen = kernels.normBackward(dy, x, weight, saved, options, {
              ...needs,
              dweight: false,
              dbias: false,
            });
            return { y, dx, dweight, dbias, alone: frozen.dx, none: frozen.dweight };
          });
        });
      }
    }
  });

  describe('activation', () => {
    for (const kind of ['silu', 'gelu', 'gelu_tanh', 'relu'] as const) {
      it.each([
        [1, 1],
        [7, 33],
        [33, 96],
      ] as const)(`${kind}: [%i, %i]`, (rows, size) => {
        agree((kernels) => {
          const [gate, up, dy] = [
            tf.mul(matrix(rows, size), 3) as tf.Tensor2D,
            matrix(rows, size),
            matrix(rows, size),
          ];
          const gated = kernels.activationBackward(dy, gate, up, kind);
          return {
            y: kernels.activationForward(gate, up, kind),
            alone: kernels.activationForward(gate, null, kind),
            dgate: gated.dgate,
            dup: gated.dup,
            dalone: kernels.activationBackward(dy, gate, null, kind).dgate,
          };
        });
      });

      it(`${kind}: far out it is 0 or x, and NaN stays NaN`, () => {
        tf.tidy(() => {
          const x = tf.tensor2d([-1e4, -200, 0, 200, 1e4, Number.NaN], [1, 6]);
          const y = own.activationForward(x, null, kind).dataSync();
          expect(maxDifference(y.slice(0, 5), [0, 0, 0, 200, 1e4])).toBeLessThan(1e-20);
          const dx = own.activationBackward(tf.onesLike(x), x, null, kind).dgate.dataSync();
          expect(maxDifference([dx[0], dx[1], dx[3], dx[4]] as number[], [0, 0, 1, 1])).toBeLessThan(1e-20);
          if (kind !== 'relu') expect(y[5]).toBeNaN();
        });
      });
    }
  });

  describe('attention', () => {
    interface Case extends Omit<AttentionShape, 'scale'> {
      half: number;
    }
    const cases: Case[] = [];
    for (const time of [1, 7, 33, 70]) {
      cases.push({ batch: 2, time, heads: 4, kvHeads: 4, headDim: 24, window: null, half: 12 });
      cases.push({ batch: 1, time, heads: 6, kvHeads: 2, headDim: 33, window: null, half: 7 });
      cases.push({ batch: 2, time, heads: 2, kvHeads: 1, headDim: 96, window: 9, half: 48 });
      cases.push({ batch: 3, time, heads: 3, kvHeads: 3, headDim: 8, window: 1, half: 0 });
    }
    cases.push({ batch: 1, time: 200, heads: 2, kvHeads: 2, headDim: 32, window: 80, half: 16 });
    const title =
      'batch $batch, $time positions, $heads heads on $kvHeads of $headDim, window $window, rotary $half';

    it.each(cases)(title, ({ half, ...rest }) => {
      agree((kernels) => {
        const shape = { ...rest, scale: 1 / Math.sqrt(rest.headDim) };
        const rows = shape.batch * shape.time;
        const [q, k, v] = [shape.heads, shape.kvHeads, shape.kvHeads].map((h) =>
          matrix(rows, h * shape.headDim),
        ) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const rope = half > 0 ? ropeOf(shape.time, half) : null;
        const mask = causalMask(shape.time, 0, shape.window);
        const { out, saved } = kernels.attentionForward(q, k, v, shape, rope, mask);
        const dout = matrix(rows, shape.heads * shape.headDim);
        return { out, ...kernels.attentionBackward(dout, saved, shape, rope) };
      });
    });

    it.each(cases.filter((c) => c.batch === 1 || c.time < 40))(
      `over a cache: ${title}`,
      ({ half, ...rest }) => {
        agree((kernels) => {
          const whole = { ...rest, batch: 1, scale: 0.2 };
          const results: Record<string, tf.Tensor> = {};
          let cache = null;
          let past = 0;
          for (const time of [whole.time, 1, 5]) {
            const shape = { ...whole, time };
            const [q, k, v] = [shape.heads, shape.kvHeads, shape.kvHeads].map((h) =>
              matrix(time, h * shape.headDim),
            ) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
            const rope = half > 0 ? ropeOf(past + time + 3, half) : null;
            const after = kernels.attentionCached(q, k, v, cache, shape, rope, past);
            Object.assign(results, {
              [`out${past}`]: after.out,
              [`keys${past}`]: after.cache.keys,
              [`values${past}`]: after.cache.values,
            });
            cache = after.cache;
            past += time;
          }
          return results;
        });
      },
    );

    it('saves nothing of the size [time, time]', () => {
      tf.tidy(() => {
        const shape = { batch: 1, time: 512, heads: 1, kvHeads: 1, headDim: 8, scale: 1, window: null };
        const before = tf.memory().numBytes;
        const { saved } = own.attentionForward(
          matrix(512, 8),
          matrix(512, 8),
          matrix(512, 8),
          shape,
          null,
          tf.zeros([1, 1, 1]),
        );
        expect(tf.memory().numBytes - before).toBeLessThan(4 * 512 * 64);
        for (const t of saved) t.dispose();
      });
    });
  });

  describe('embedding', () => {
    it('takes rows by id, and adds the rows of repeated ids', () => {
      agree((kernels) => {
        const ids = tf.tensor1d([3, 0, 3, 22, 3, 7, 0], 'int32');
        const places = tf.tensor1d([0, 1, 2, 3, 0, 1, 2], 'int32');
        const table = matrix(23, 33);
        const positions = { table: matrix(5, 33), places };
        const back = kernels.embeddingBackward({
          ...{ dy: matrix(7, 33), ids, scale: 3, vocabSize: 23, positions: { time: 4, places, count: 5 } },
          ...{ needs: { table: true, positions: true }, to: { table: null, positions: null } },
        });
        const rows = kernels.embeddingForward(table, ids, 1, null);
        const placed = kernels.embeddingForward(table, ids, 3, positions);
        return { rows, placed, table: back.table, positions: back.positions };
      });
    });
  });

  describe('cross-entropy', () => {
    const shapes = [
      { rows: 5, width: 24, vocab: 33 },
      { rows: 70, width: 33, vocab: 301 },
      { rows: 33, width: 96, vocab: 9_001 },
    ];
    for (const labelSmoothing of [0, 0.1]) {
      it.each(shapes)(
        `$rows rows of $width, $vocab words, smoothing ${labelSmoothing}`,
        ({ rows, width, vocab }) => {
          agree((kernels) => {
            const targets = {
              rows: Int32Array.from({ length: rows }, (_, i) => (i * 7) % rows),
              ids: Int32Array.from({ length: rows }, (_, i) => (i * 7919) % vocab),
              weights: Float32Array.from({ length: rows }, (_, i) => (i % 5 === 4 ? 0 : 1 + (i % 3))),
            };
            const [hidden, head] = [matrix(rows, width), matrix(vocab, width)];
            const options = { scale: 0.01, labelSmoothing, needs: { dhidden: true, dhead: true } };
            const { rowLoss, correct, dhidden, dhead } = kernels.crossEntropy(hidden, head, targets, options);
            const quiet = { ...options, needs: { dhidden: false, dhead: false } };
            const { rowLoss: again, dhead: none } = kernels.crossEntropy(hidden, head, targets, quiet);
            return { rowLoss, correct, dhidden, dhead, again, none };
          });
        },
      );
    }

    it('adds up several chunks, and padding that points at row 0', () => {
      agree((kernels) => {
        const targets = {
          rows: Int32Array.from({ length: 160 }, (_, i) => (i < 150 ? i : 0)),
          ids: Int32Array.from({ length: 160 }, (_, i) => (i < 150 ? (i * 7919) % 33_001 : 0)),
          weights: Float32Array.from({ length: 160 }, (_, i) => (i < 150 ? 1 : 0)),
        };
        const options = { scale: 1 / 150, labelSmoothing: 0, needs: { dhidden: true, dhead: true } };
        const { rowLoss, correct, dhidden, dhead } = kernels.crossEntropy(
          matrix(151, 8),
          matrix(33_001, 8),
          targets,
          options,
        );
        return { rowLoss, correct, dhidden, dhead };
        // The reference adds 33,001 floats one after the other: it is off by 4e-5 itself, the fused version by a fifth of that.
      }, 1e-4);
    });

    it('takes the first of equal tokens as the most likely, and never counts NaN as a loss', () => {
      tf.tidy(() => {
        const hidden = tf.tensor2d([1, 1, Number.NaN, 1], [4, 1]);
        const head = tf.tensor2d([0, 2, 1, 0, 0, 0, 2, 0, 0], [9, 1]);
        const targets = {
          rows: Int32Array.of(0, 1, 2, 3),
          ids: Int32Array.of(1, 6, 1, 2),
          weights: Float32Array.of(1, 1, 1, 1),
        };
        const options = { scale: 1, labelSmoothing: 0, needs: { dhidden: true, dhead: false } };
        const { rowLoss, correct } = own.crossEntropy(hidden, head, targets, options);
        expect([...correct.dataSync()].filter((_, i) => i !== 2)).toEqual([1, 0, 0]);
        expect([...rowLoss.dataSync()].map(Number.isNaN)).toEqual([false, false, true, false]);
      });
    });
  });

  describe('AdamW', () => {
    const step = {
      learningRate: 0.01,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      gradientScale: 0.7,
      count: 3,
    };

    it('updates as the reference does, in place', () => {
      for (const size of [1, 7, 33, 96]) {
        agree((kernels) => {
          const results: Record<string, tf.Tensor> = {};
          const items = [0, 0.1].map((weightDecay) => ({
            parameter: vector(size),
            gradient: vector(size),
            m: vector(size),
            v: tf.square(vector(size)),
            weightDecay,
          }));
          const after = kernels.adamwUpdate(items, step);
          after.forEach((one, i) => {
            if (kernels === own) expect(one.parameter).toBe(items[i]?.parameter);
            Object.assign(results, { [`p${i}`]: one.parameter, [`m${i}`]: one.m, [`v${i}`]: one.v });
          });
          return results;
        });
      }
    });

    it('measures the global norm', () => {
      agree((kernels) => ({ norm: kernels.globalNorm([vector(1), vector(7), matrix(33, 96), vector(2)]) }));
    });

    it('drops XNNPACK’s cache of packed weights', () => {
      tf.tidy(() => {
        const [x, w] = [matrix(9, 24), matrix(24, 16)];
        const before = tf.matMul(x, w).dataSync();
        const item = {
          parameter: w,
          gradient: matrix(24, 16),
          m: tf.zerosLike(w),
          v: tf.zerosLike(w),
          weightDecay: 0,
        };
        for (let count = 1; count <= 3; count++) {
          own.adamwUpdate([item], { ...step, learningRate: 0.5, count });
          const after = tf.matMul(x, w).dataSync();
          expect(maxDifference(after, tf.matMul(x, tf.tensor2d(w.dataSync(), [24, 16])).dataSync())).toBe(0);
          expect(maxDifference(after, before)).toBeGreaterThan(1);
        }
      });
    });

    it('leaves a tensor alone that another one shares its numbers with', () => {
      tf.tidy(() => {
        const parameter = vector(7);
        const view = tf.reshape(parameter, [7, 1]);
        const before = view.dataSync();
        const item = { parameter, gradient: vector(7), m: tf.zeros([7]), v: tf.zeros([7]), weightDecay: 0 };
        const [after] = own.adamwUpdate([item], step);
        expect(after?.parameter).not.toBe(parameter);
        expect([...view.dataSync()]).toEqual([...before]);
      });
    });
  });
}
