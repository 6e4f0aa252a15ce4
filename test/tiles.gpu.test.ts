// Tiles of the matrix product on the GPU: each gives the reference's numbers, the bench times them, and a device's table is what is used.
// Not here: choosing by shape, classes, the search and its budget (tiles.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { DeviceReport } from '../src/contract';
import { measurable, selectTiles, type TileOptions } from '../src/engine/device/tuning';
import { productFused, products } from '../src/engine/kernels/matmul/matmul.wgsl';
import { webgpuBackend } from '../src/engine/kernels/webgpu/program';
import {
  asClass,
  candidateTiles,
  shapeOfClass,
  tileName,
  useTileTable,
} from '../src/engine/kernels/webgpu/tiles';
import type { Stopwatch } from '../src/engine/kernels/webgpu/tileTuning';
import { withTileBench } from '../src/engine/kernels/webgpu/tileTuning.wgsl';
import { countWork } from '../src/engine/kernels/webgpu/workCount';
import { expectClose, matrix, type Numbers, random, useWebGpu } from './webgpu';

useWebGpu();

/** The rule's own tiles stand first; kernels.gpu.test.ts has them in every kind of product. */
const OF_THE_RULE = 4;
const tiles = () => candidateTiles(webgpuBackend().device.limits);

describe('every tile', () => {
  it('gives the reference’s numbers, sums over either side, and adds to what is there', async () => {
    // Sides cross the edge of the largest tile; the inner dimension ends in the middle of a slice, and no row starts at a multiple of four.
    const [m, k, n] = [133, 71, 69];
    const [a, b, before, bias] = [random(k * m), random(k * n), random(m * n), random(n)];
    const sums = { a: over(a, k, m), b: over(b, k, n) };
    const tn = product(a, b, [m, k, n], true).map((v, i) => v + (before[i] as number));
    const nn = product(a, b, [m, k, n], false).map((v, i) => v + (bias[i % n] as number));
    expect(tiles().length).toBe(12);
    for (const tile of tiles().slice(OF_THE_RULE)) {
      const to = matrix(before, m);
      const right = matrix(b, k);
      const made = products(
        [
          {
            terms: [{ a: matrix(a, k), b: right, transposed: { a: true, b: false } }],
            to: { tensor: to, add: true },
            sums: 'a',
          },
          { terms: [{ a: matrix(a, m), b: right }], bias: tf.tensor1d(bias), sums: 'b' },
        ],
        tile,
      );
      expect(made.results[0]).toBe(to);
      await expectClose(to, tn);
      await expectClose(made.results[1] ?? null, nn);
      await expectClose(made.sums[0] ?? null, sums.a);
      await expectClose(made.sums[1] ?? null, sums.b);
    }
  });

  /** op(a)·b in float64. */
  function product(a: Numbers, b: Numbers, [m, k, n]: [number, number, number], transposed: boolean) {
    const out = new Float64Array(m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) {
          sum += (a[transposed ? l * m + i : i * k + l] as number) * (b[l * n + j] as number);
        }
        out[i * n + j] = sum;
      }
    }
    return out;
  }

  /** The sum of each column. */
  function over(x: Numbers, rows: number, columns: number): Float64Array {
    return Float64Array.from({ length: columns }, (_, c) => {
      let sum = 0;
      for (let r = 0; r < rows; r++) sum += x[r * columns + c] as number;
      return sum;
    });
  }
});

describe('the bench', () => {
  it('times by the GPU’s clock and by the page’s, after a check of the numbers', async () => {
    const some = tiles().slice(0, 1);
    const now = () => performance.now();
    for (const byGpu of [true, false]) {
      await withTileBench(some, { now, until: now() + 60_000, byGpu }, async (bench) => {
        expect(bench.tiles).toEqual(some);
        expect(bench.refused).toEqual([]);
        expect(bench.clock).toBe(byGpu ? 'gpu' : 'page');
        const tile = some[0]!;
        const work = asClass(2, 64);
        // The shortest of three: a busy machine lengthens single times.
        const shortest = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
        for (let round = 0; round < 3; round++) {
          const startedAt = now();
          const times = await bench.stopwatch([1, 16].map((repeats) => ({ tile, work, repeats })));
          const passed = now() - startedAt;
          for (const ms of times) expect(ms).toBeGreaterThan(0);
          expect(times[0]! + times[1]!).toBeLessThan(passed + 1);
          for (const [i, ms] of times.entries()) shortest[i] = Math.min(shortest[i]!, ms);
        }
        expect(shortest[1]).toBeGreaterThan(2 * shortest[0]!);
      });
    }
  });

  it('leaves out a tile that the device cannot run, and nothing behind', async () => {
    const { device } = webgpuBackend();
    const impossible = { rows: 128, columns: 64, threadRows: 4, slices: 4 } as const;
    const now = () => 0;
    await withTileBench([impossible], { now, until: 1 }, async (bench) => {
      expect(bench.tiles).toEqual([]);
      expect(bench.refused.map(({ tile }) => tile)).toEqual([impossible]);
    });
    // The scopes that caught it are gone: the next error is the device's own again.
    device.pushErrorScope('validation');
    device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    expect((await device.popErrorScope())?.message).toMatch(/MapRead/);
  });
});

describe('a device', () => {
  const report = (): DeviceReport => ({
    backend: 'webgpu',
    because: '',
    adapter: { vendor: 'v', architecture: 'a', description: 'd', software: true },
    features: [],
    limits: {},
    selfTest: [],
    threads: 0,
    simd: false,
    relaxedSimd: false,
  });
  /** By this clock the large tile is fastest for everything. No program is compiled after the first few, the rule's own. */
  const options = (): TileOptions => {
    let asked = 0;
    const stopwatch: Stopwatch = async (samples) =>
      samples.map(({ tile, repeats }) => repeats * (tileName(tile) === '64x64x8x1' ? 0.01 : 0.02));
    return { kept: null, now: () => (asked++ === 0 ? 0 : 700), onSoftware: true, stopwatch };
  };
  const work = shapeOfClass(asClass(6, 64));
  const used = () => tf.tidy(() => names(() => productFused(tf.ones([work.m, 64]), tf.ones([64, work.n]))));

  it('uses what was measured, keeps it, and starts with it the next time without a dispatch', async () => {
    expect(used()).toMatch(/^matmul_32x32x4x2_/);
    const first = await selectTiles(report(), options());
    expect(first?.report.chosen).toBe('measured');
    expect(first?.report.id).toMatch(/^[0-9a-f]{8}$/);
    expect(first?.report.sizes.find(({ size }) => size === `${work.m}×64×${work.n}`)).toBeUndefined();
    const shown = first?.report.sizes.find(({ size }) => size === '256×256×256');
    expect(shown).toEqual({ size: '256×256×256', tile: '64x64x8x1', rule: '32x32x4x4', gain: 2 });
    expect(used()).toMatch(/^matmul_64x64x8x1_/);
    const kept: unknown = JSON.parse(JSON.stringify(first?.keep));

    useTileTable(null);
    const counted = countWork();
    const second = await selectTiles(report(), { ...options(), kept });
    expect(counted.read().dispatches).toBe(0);
    expect(counted.read().submits).toBe(0);
    counted.stop();
    expect(second?.keep).toBeNull();
    expect(second?.report).toMatchObject({
      chosen: 'kept',
      id: first?.report.id,
      sizes: first?.report.sizes,
    });
    expect(used()).toMatch(/^matmul_64x64x8x1_/);

    // Another program or device, or no table at all: measured again. So is a good one when it is asked for.
    for (const stale of [
      { ...(kept as object), key: 'another' },
      { ...(kept as object), table: {} },
      'broken',
    ]) {
      const again = await selectTiles(report(), { ...options(), kept: stale, stopwatch: async () => [] });
      expect(again?.report.chosen).toBe('rule');
      expect(again?.report.because).toMatch(/no time to go by/);
      expect(used()).toMatch(/^matmul_32x32x4x2_/);
    }
    const again = await selectTiles(report(), { ...options(), kept, again: true });
    expect(again?.report.chosen).toBe('measured');
    useTileTable(null);
  });

  it('that is software uses the rule, and the report says so', async () => {
    expect(measurable(report())).toBe(false);
    const selected = await selectTiles(report(), { kept: null, now: () => 0 });
    expect(selected?.keep).toBeNull();
    expect(selected?.report.chosen).toBe('rule');
    expect(selected?.report.id).toBe('rule');
    expect(selected?.report.because).toMatch(/software/);
    expect(await selectTiles({ ...report(), backend: 'wasm' }, { kept: null, now: () => 0 })).toBeNull();
  });

  /** Names of the programs that are dispatched meanwhile. */
  function names(work: () => unknown): string {
    const seen: string[] = [];
    const original = GPUComputePassEncoder.prototype.setPipeline;
    GPUComputePassEncoder.prototype.setPipeline = function (pipeline) {
      seen.push(pipeline.label);
      return original.call(this, pipeline);
    };
    try {
      work();
    } finally {
      GPUComputePassEncoder.prototype.setPipeline = original;
    }
    return seen.find((name) => name.startsWith('matmul_')) ?? '';
  }
});
