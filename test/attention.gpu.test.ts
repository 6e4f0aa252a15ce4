// Flash attention against float64 arithmetic in plain JavaScript: grouped queries, windows, rotation, lengths that cross blocks.
// Not here: the other kernels (kernels.gpu.test.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import {
  type AttentionShape,
  causalMask,
  type LayerCache,
  type Rope,
} from '../src/engine/kernels/attention/attention';
import {
  attentionBackwardFused,
  attentionForwardFused,
  attentionRefusal,
} from '../src/engine/kernels/attention/attention.wgsl';
import { attentionCachedFused } from '../src/engine/kernels/attention/attentionCached.wgsl';
import { expectClose, matrix, type Numbers, random, useWebGpu } from './webgpu';

useWebGpu();

describe('attention', () => {
  const cases: [string, Partial<AttentionShape>, number][] = [
    ['one short row', { batch: 1, time: 5, headDim: 16 }, 0],
    ['longer than a block, rotated', { time: 70, headDim: 32 }, 32],
    ['grouped queries', { time: 33, heads: 6, kvHeads: 2, headDim: 16 }, 16],
    ['a sliding window', { time: 70, headDim: 16, window: 9 }, 16],
    ['a quarter of each head rotated', { time: 40, headDim: 16 }, 4],
    ['heads of 64', { time: 65, headDim: 64, kvHeads: 1 }, 64],
    ['heads of 128', { batch: 1, time: 37, headDim: 128 }, 128],
    ['heads of 20', { time: 19, headDim: 20 }, 20],
  ];
  for (const [name, partial, rotary] of cases) {
    it(name, async () => {
      const shape: AttentionShape = {
        batch: 2,
        time: 8,
        heads: 2,
        kvHeads: 2,
        headDim: 16,
        scale: 0.3,
        window: null,
        ...partial,
      };
      expect(attentionRefusal(shape)).toBeNull();
      const { batch, time, heads, kvHeads, headDim } = shape;
      const n = batch * time;
      const [q, k, v] = [
        random(n * heads * headDim),
        random(n * kvHeads * headDim),
        random(n * kvHeads * headDim),
      ];
      const dout = random(n * heads * headDim);
      const angles = Float64Array.from({ length: time * (rotary / 2) }, (_, i) => {
        return Math.floor(i / (rotary / 2)) * 100 ** (-(i % (rotary / 2)) / (rotary / 2));
      });
      const rope: Rope | null =
        rotary === 0
          ? null
          : {
              cos: matrix(Float32Array.from(angles, Math.cos), time),
              sin: matrix(Float32Array.from(angles, Math.sin), time),
            };
      const want = attentionReference(q, k, v, dout, shape, angles, rotary / 2);
      const [qt, kt, vt] = [matrix(q, n), matrix(k, n), matrix(v, n)];
      const { out, saved } = attentionForwardFused(
        qt,
        kt,
        vt,
        shape,
        rope,
        causalMask(time, 0, shape.window),
      );
      await expectClose(out, want.out, 5e-6);
      await expectClose(saved[4]!, want.lse, 5e-6);
      const { dq, dk, dv } = attentionBackwardFused(matrix(dout, n), saved, shape, rope);
      await expectClose(dv, want.dv, 5e-6);
      await expectClose(dq, want.dq, 1e-5);
      await expectClose(dk, want.dk, 1e-5);
    });
  }

  const cached: [string, Partial<AttentionShape>, number][] = [
    ['plain', {}, 0],
    ['grouped, rotated, with a window', { heads: 4, kvHeads: 2, headDim: 20, window: 70 }, 12],
    ['wide', { heads: 2, kvHeads: 1, headDim: 128 }, 128],
  ];
  for (const [name, partial, rotary] of cached) {
    it(`over a cache that grows, ${name}`, async () => {
      const total = 150;
      const shape: AttentionShape = {
        batch: 1,
        time: total,
        heads: 2,
        kvHeads: 2,
        headDim: 16,
        scale: 0.3,
        window: null,
        ...partial,
      };
      const { heads, kvHeads, headDim } = shape;
      const half = rotary / 2;
      const [q, k, v] = [heads, kvHeads, kvHeads].map((n) => random(total * n * headDim)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      const angles = Float64Array.from({ length: total * half }, (_, i) => {
        return Math.floor(i / half) * 100 ** (-(i % half) / half);
      });
      const want = attentionReference(q, k, v, new Float32Array(q.length), shape, angles, half);
      const table = (f: (angle: number) => number) => matrix(Float32Array.from(angles, f), total);
      const rope: Rope | null = half === 0 ? null : { cos: table(Math.cos), sin: table(Math.sin) };
      let cache: LayerCache | null = null;
      let past = 0;
      // A prompt, single tokens, and a stretch over the border where the cache doubles.
      for (const time of [90, 1, 1, 45, 13]) {
        const rows = (x: Float32Array, width: number) =>
          matrix(x.slice(past * width, (past + time) * width), time);
        const result: { out: tf.Tensor2D; cache: LayerCache } = attentionCachedFused(
          rows(q, heads * headDim),
          rows(k, kvHeads * headDim),
          rows(v, kvHeads * headDim),
          cache,
          { ...shape, time },
          rope,
          past,
        );
        cache?.keys.dispose();
        cache?.values.dispose();
        cache = result.cache;
        const width = heads * headDim;
        await expectClose(result.out, want.out.slice(past * width, (past + time) * width), 5e-6);
        past += time;
      }
      expect(cache?.keys.shape).toEqual([kvHeads, 256, headDim]);
    });
  }

  it('gives the reason for shapes that it refuses', () => {
    expect(attentionRefusal({ headDim: 18 })).toMatch(/multiple of 4/);
    expect(attentionRefusal({ headDim: 512 })).toMatch(/wider/);
  });
});

function attentionReference(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  dout: Numbers,
  { batch, time, heads, kvHeads, headDim, scale, window }: AttentionShape,
  angles: Numbers,
  half: number,
) {
  const turn = (x: number[], t: number, direction: number) => {
    const y = [...x];
    for (let i = 0; i < half; i++) {
      const [c, s] = [Math.cos(angles[t * half + i]!), direction * Math.sin(angles[t * half + i]!)];
      y[i] = x[i]! * c - x[i + half]! * s;
      y[i + half] = x[i + half]! * c + x[i]! * s;
    }
    return y;
  };
  const row = (x: Numbers, width: number, b: number, t: number, h: number) =>
    Array.from({ length: headDim }, (_, d) => x[((b * time + t) * width + h) * headDim + d]!);
  const add = (x: Float64Array, width: number, b: number, t: number, h: number, values: number[]) => {
    values.forEach((value, d) => {
      x[((b * time + t) * width + h) * headDim + d]! += value;
    });
  };
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const [out, lse] = [new Float64Array(q.length), new Float64Array(batch * heads * time)];
  const [dq, dk, dv] = [new Float64Array(q.length), new Float64Array(k.length), new Float64Array(v.length)];
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / kvHeads));
      const keys = Array.from({ length: time }, (_, t) => turn(row(k, kvHeads, b, t, g), t, 1));
      const values = Array.from({ length: time }, (_, t) => row(v, kvHeads, b, t, g));
      for (let i = 0; i < time; i++) {
        const query = turn(row(q, heads, b, i, h), i, 1);
        const start = window === null ? 0 : Math.max(0, i - window + 1);
        const seen = Array.from({ length: i - start + 1 }, (_, j) => start + j);
        const s = seen.map((j) => dot(query, keys[j]!) * scale);
        const top = Math.max(...s);
        const total = Math.log(s.reduce((sum, x) => sum + Math.exp(x - top), 0)) + top;
        lse[(b * heads + h) * time + i] = total;
        const p = s.map((x) => Math.exp(x - total));
        const mixed = values[0]!.map((_, d) => p.reduce((sum, w, j) => sum + w * values[seen[j]!]![d]!, 0));
        add(out, heads, b, i, h, mixed);
        const d = row(dout, heads, b, i, h);
        const delta = dot(d, mixed);
        const dquery = new Array<number>(headDim).fill(0);
        seen.forEach((j, at) => {
          const ds = p[at]! * (dot(d, values[j]!) - delta) * scale;
          keys[j]!.forEach((x, e) => {
            dquery[e]! += ds * x;
          });
          add(
            dv,
            kvHeads,
            b,
            j,
            g,
            d.map((x) => x * p[at]!),
          );
          add(
            dk,
            kvHeads,
            b,
            j,
            g,
            turn(
              query.map((x) => x * ds),
              j,
              -1,
            ),
          );
        });
        add(dq, heads, b, i, h, turn(dquery, i, -1));
      }
    }
  return { out, lse, dq, dk, dv };
}
