// Rules of generation: the cache changes nothing, where it stops, how it samples.
// Not here: greedy text against transformers (engine.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDevice } from '../src/engine/device';
import { generate, sample } from '../src/engine/generate';
import type { Model } from '../src/engine/model';
import { type Fixture, logitsOf, maxDifference, modelOf, readFixture } from './engineFixtures';
import { collect } from './engineSuite';
import { fixtureFolder } from './nodeFolders';
import { nodeWasmPath } from './setup-node-webgpu';

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
      const walk = generate(model, null, prompt, ends, { ...greedy, max_new_tokens });
      const ids: number[] = [];
      while (true) {
        const next = await walk.next();
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

    it('at once when the prompt alone fills the context, and says so', async () => {
      const prompt = Array.from({ length: 256 }, () => 5);
      await expect(run(prompt, [], 5)).rejects.toMatchObject({ code: 'context_exceeded' });
    });

    it('when it is told to, leaving nothing behind', async () => {
      model.disposeConstants();
      const before = tf.memory().numTensors;
      const walk = generate(model, null, fixture.expected.greedy.prompt, [], greedy);
      for (let i = 0; i < 3; i++) await walk.next();
      await walk.return('limit');
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
        const id = sample(logits, { ...greedy, do_sample: true, ...more }, () => (i + 0.5) / rounds);
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
  });
});
