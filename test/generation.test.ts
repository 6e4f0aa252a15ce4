// Rules of generation: the cache changes nothing, where it stops, how it samples.
// Not here: greedy text against transformers (engine.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../src/data/random';
import { startDevice } from '../src/engine/device/device';
import { generate } from '../src/engine/generation/generate';
import { sample, sampleFromShortlist } from '../src/engine/generation/sampling';
import { LISTED, readShortlist, shortlist } from '../src/engine/kernels/shortlist/shortlist';
import type { Model } from '../src/engine/model/model';
import type { GenerationSettings } from '../src/generation';
import { type Fixture, logitsOf, maxDifference, modelOf, readFixture } from './engineFixtures';
import { collect } from './engineSuite';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

type Cut = Pick<GenerationSettings, 'temperature' | 'top_k' | 'top_p'>;

const fail = (error: Error) => {
  throw error;
};

beforeAll(async () => {
  await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: fail });
});

describe('generation', () => {
  const greedy = { do_sample: false, temperature: 1, top_k: 0, top_p: 1, seed: 1, max_new_tokens: 200 };

  it.each(['llama', 'qwen3', 'gpt2', 'gpt-neox', 'gemma3'])(
    'with the cache equals greedy without it for 200 tokens: %s',
    async (name) => {
      const fixture = await readFixture(name, fixtureFolder(name));
      const model = await modelOf(fixture);
      const { prompt } = fixture.expected.greedy;
      const cached = await collect(generate(model, null, prompt, [], greedy));
      expect(cached).toHaveLength(200);
      // One pass over the whole text gives, at each place, what an uncached step would have chosen there.
      const ids = Int32Array.from([...prompt, ...cached]);
      const nothing = {
        targets: ids.map(() => -100),
        weights: new Float32Array(ids.length),
        targetTokens: 0,
      };
      const batch = { ids, ...nothing, rows: 1, columns: ids.length, lines: [1], lengths: [ids.length] };
      const logits = await logitsOf(model, null, batch);
      const vocab = model.architecture.vocabSize;
      const uncached = cached.map((_, i) => {
        const at = (prompt.length - 1 + i) * vocab;
        const row = logits.subarray(at, at + vocab);
        return row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
      });
      expect(cached).toEqual(uncached);
      model.dispose();
    },
  );

  describe('stops', () => {
    let fixture: Fixture;
    let model: Model;
    beforeAll(async () => {
      fixture = await readFixture('llama', fixtureFolder('llama'));
      model = await modelOf(fixture);
    });
    afterAll(() => model.dispose());

    async function run(prompt: number[], ends: number[], max_new_tokens: number) {
      const before = tf.memory().numTensors;
      const work = generate(model, null, prompt, ends, { ...greedy, max_new_tokens });
      const ids: number[] = [];
      while (true) {
        const next = await work.next();
        if (next.done) {
          model.disposeConstants();
          expect(tf.memory().numTensors).toBeLessThanOrEqual(before);
          return { ids, because: next.value };
        }
        ids.push(next.value);
      }
    }

    it('before an end token, which it does not show', async () => {
      const { prompt, tokens } = fixture.expected.greedy;
      const end = tokens[7] as number;
      const found = await run(prompt, [end], 40);
      expect(found).toEqual({ ids: tokens.slice(0, tokens.indexOf(end)), because: 'end_token' });
    });

    it('at the limit', async () => {
      const { prompt, tokens } = fixture.expected.greedy;
      expect(await run(prompt, [], 5)).toEqual({ ids: tokens.slice(0, 5), because: 'limit' });
    });

    it('when the context is full', async () => {
      const prompt = Array.from({ length: 250 }, (_, i) => 3 + (i % 90));
      const { ids, because } = await run(prompt, [], 40);
      expect(because).toBe('context');
      expect(prompt.length + ids.length).toBe(model.architecture.contextLength);
    });

    it('at once when the prompt alone fills the context, with an error', async () => {
      const prompt = Array.from({ length: 256 }, () => 5);
      await expect(run(prompt, [], 5)).rejects.toMatchObject({ code: 'context_exceeded' });
    });

    it('when the generator is closed, leaving no tensor', async () => {
      model.disposeConstants();
      const before = tf.memory().numTensors;
      const work = generate(model, null, fixture.expected.greedy.prompt, [], greedy);
      for (let i = 0; i < 3; i++) await work.next();
      await work.return('limit');
      model.disposeConstants();
      expect(tf.memory().numTensors).toBe(before);
    });

    it('samples the same for the same seed', async () => {
      const { prompt } = fixture.expected.greedy;
      const sampled = (seed: number, more = {}) =>
        collect(
          generate(model, null, prompt, [], {
            ...greedy,
            do_sample: true,
            max_new_tokens: 20,
            seed,
            ...more,
          }),
        );
      expect(await sampled(1)).toEqual(await sampled(1));
      expect(await sampled(1)).not.toEqual(await sampled(2));
      expect(await sampled(1, { top_k: 1 })).toEqual(fixture.expected.greedy.tokens.slice(0, 20));
    });
  });

  describe('sample', () => {
    const logits = Float32Array.from([1, 3, 2, 0]);
    const shares = (more: object) => {
      const counts = [0, 0, 0, 0];
      const rounds = 20_000;
      for (let i = 0; i < rounds; i++) {
        const id = sample(logits, { ...greedy, ...more }, (i + 0.5) / rounds);
        counts[id] = (counts[id] as number) + 1 / rounds;
      }
      return counts;
    };
    const softmax = (values: (number | null)[]) => {
      const e = values.map((v) => (v === null ? 0 : Math.exp(v)));
      const total = e.reduce((a, b) => a + b, 0);
      return e.map((v) => v / total);
    };

    it('follows softmax(logits / temperature)', () => {
      expect(maxDifference(shares({}), softmax([1, 3, 2, 0]))).toBeLessThan(1e-3);
      expect(maxDifference(shares({ temperature: 2 }), softmax([0.5, 1.5, 1, 0]))).toBeLessThan(1e-3);
    });

    it('keeps the top_k most likely', () => {
      expect(maxDifference(shares({ top_k: 2 }), softmax([null, 3, 2, null]))).toBeLessThan(1e-3);
    });

    it('keeps the smallest set that reaches top_p', () => {
      // Probabilities 0.644, 0.237, 0.087, 0.032.
      expect(maxDifference(shares({ top_p: 0.6 }), [0, 1, 0, 0])).toBeLessThan(1e-3);
      expect(maxDifference(shares({ top_p: 0.7 }), softmax([null, 3, 2, null]))).toBeLessThan(1e-3);
      expect(maxDifference(shares({ top_p: 0.9 }), softmax([1, 3, 2, null]))).toBeLessThan(1e-3);
    });

    /** The definition, word for word: everything sorted, then cut, then walked through. */
    function sorted(all: Float32Array, { temperature, top_k, top_p }: Cut, point: number): number {
      const order = Array.from(all.keys()).sort((a, b) => (all[b] as number) - (all[a] as number));
      const kept = top_k > 0 ? order.slice(0, top_k) : order;
      const top = all[order[0] as number] as number;
      const odds = kept.map((i) => Math.exp(((all[i] as number) - top) / temperature));
      let total = odds.reduce((a, b) => a + b, 0);
      let size = kept.length;
      if (top_p < 1) {
        let mass = 0;
        for (size = 0; size < kept.length && (size === 0 || mass < top_p * total); size++)
          mass += odds[size] as number;
        total = mass;
      }
      let left = point * total;
      for (let i = 0; i < size; i++) {
        left -= odds[i] as number;
        if (left < 0) return kept[i] as number;
      }
      return kept[size - 1] as number;
    }

    /** Logits of a vocabulary: bell-shaped, with ties (rounded), or with one far below and one far above the others. */
    const shapes: [string, (random: () => number, i: number) => number][] = [
      ['bell-shaped', (random) => 4 * (random() + random() + random() + random() - 2)],
      ['full of ties', (random) => Math.round(3 * (random() - random()))],
      ['of both signs of zero', (random) => (random() < 0.5 ? 0 : -0)],
      ['with outliers', (random, i) => (i === 3 ? -1e9 : i === 70 ? 30 : 10 * random())],
    ];
    const cuts: Cut[] = [
      { temperature: 1, top_k: 0, top_p: 1 },
      { temperature: 0.8, top_k: 40, top_p: 0.95 },
      { temperature: 1.5, top_k: 300, top_p: 1 },
      { temperature: 0.3, top_k: 0, top_p: 0.9 },
      { temperature: 1e-6, top_k: 0, top_p: 0.5 },
      { temperature: 50, top_k: 0, top_p: 0.999 },
      { temperature: 1, top_k: 1, top_p: 0.1 },
      { temperature: 1, top_k: 5000, top_p: 0.7 },
    ];

    it.each(shapes)('draws what sorting everything draws: %s', async (_, shape) => {
      const random = createRandom(11);
      let settled = 0;
      for (const vocab of [1, 2, 50, 700, 3000]) {
        const all = Float32Array.from({ length: vocab }, (_, i) => shape(random, i));
        for (const cut of cuts) {
          const x = tf.tensor1d(all);
          const listed = shortlist(x, Math.max(cut.temperature, 1e-4));
          const list = readShortlist((await listed.data()) as Float32Array, vocab);
          tf.dispose([x, listed]);
          for (const point of [0, 1 - 2 ** -32, ...Array.from({ length: 40 }, random)]) {
            const wanted = sorted(all, { ...cut, temperature: Math.max(cut.temperature, 1e-4) }, point);
            const where = `${vocab} ${JSON.stringify(cut)} ${point}`;
            expect(sample(all, cut, point), where).toBe(wanted);
            // From the likeliest 64: the same token, or none.
            const found = sampleFromShortlist(list, vocab, cut, point);
            if (found !== null) expect(found, where).toBe(wanted);
            if (vocab <= LISTED || (cut.top_k > 0 && cut.top_k <= LISTED)) expect(found).not.toBeNull();
            if (found !== null) settled++;
          }
        }
      }
      expect(settled).toBeGreaterThan(800);
    });

    it('does not trust digits that the mass of a list does not have', () => {
      // Three tokens of a tenth each stand in the list; where the third begins hangs on the fourth digit of the mass.
      const list = { ids: Float32Array.of(7, 8, 9), logits: new Float32Array(3), mass: 10, finite: true };
      const from = (point: number) => sampleFromShortlist(list, 1000, cuts[0] as Cut, point);
      expect([0.05, 0.15, 0.25, 0.35].map(from)).toEqual([7, 8, 9, null]);
      expect([0.19999, 0.20001].map(from)).toEqual([null, null]);
    });

    it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
      'refuses logits with %f',
      (odd) => {
        const broken = Float32Array.of(1, odd, 2);
        expect(() => sample(broken, greedy, 0.5)).toThrow(expect.objectContaining({ code: 'non_finite' }));
        const list = { ids: Float32Array.of(2), logits: Float32Array.of(2), mass: 1, finite: false };
        expect(() => sampleFromShortlist(list, 3, greedy, 0.5)).toThrow(/no longer a number/);
      },
    );
  });
});
