// The likeliest few of a vocabulary as WebGPU lists them, against sorting everything; and what a draw from the list reads.
// Not here: drawing from a list (generation.test.ts), a token as it is captured (stepGraph.gpu.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { LISTED, readShortlist, type Shortlist, shortlist } from '../src/engine/kernels/shortlist/shortlist';
import { shortlistFused } from '../src/engine/kernels/shortlist/shortlist.wgsl';
import { countWork } from '../src/engine/kernels/webgpu/workCount';
import { random, useWebGpu } from './webgpu';

useWebGpu();

async function listOf(logits: Float32Array, temperature: number): Promise<Shortlist> {
  const list = shortlistFused(tf.tensor1d(logits), temperature);
  return readShortlist((await list.data()) as Float32Array, logits.length);
}

function expected(logits: Float32Array, temperature: number) {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const top = logits[order[0]!]!;
  const mass = logits.reduce((sum, logit) => sum + Math.exp((logit - top) / temperature), 0);
  return { ids: order.slice(0, LISTED), mass };
}

describe('the list of the likeliest', () => {
  // One piece and a part of one; one merge; the two merges of a real vocabulary.
  it.each([1, 63, 1024, 1025, 20_000])('is that of a full sort: %i tokens', async (vocab) => {
    const shapes: [Float32Array, number][] = [
      [random(vocab, 12), 0.2],
      [random(vocab, 20).map((v) => Math.round(v)), 1],
      [random(vocab, 0.5).map((v, i) => v + (i % 1000 ? 0 : 9)), 5],
    ];
    for (const [logits, temperature] of shapes) {
      const { ids, mass } = expected(logits, temperature);
      const found = await listOf(logits, temperature);
      expect([...found.ids]).toEqual(ids);
      expect([...found.logits]).toEqual(ids.map((id) => logits[id]));
      expect(Math.abs(found.mass / mass - 1)).toBeLessThan(2e-5);
      expect(found.finite).toBe(true);
    }
  });

  it('is that of the reference', async () => {
    const logits = random(3000, 9);
    const own = readShortlist((await shortlist(tf.tensor1d(logits), 0.7).data()) as Float32Array, 3000);
    const found = await listOf(logits, 0.7);
    expect(found.mass / own.mass).toBeCloseTo(1, 5);
    expect({ ...found, mass: 0 }).toEqual({ ...own, mass: 0 });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'detects %f anywhere',
    async (odd) => {
      for (const place of [0, 1500, 2999]) {
        const logits = random(3000);
        logits[place] = odd;
        expect((await listOf(logits, 1)).finite).toBe(false);
      }
    },
  );

  it('takes three dispatches and 520 bytes for 151,936 tokens', async () => {
    const logits = tf.tensor1d(random(151_936, 10));
    await shortlistFused(logits, 1).data();
    const work = countWork();
    const list = shortlistFused(logits, 1);
    await list.data();
    expect(work.read()).toMatchObject({ dispatches: 3, copiedBytes: 520 });
    work.stop();
  });
});
