// The one table of settings: defaults, ranges, what follows what, rank patterns; and the rate a range test proposes.
// Run: npx vitest run --project node test/hyperparameters.test.ts

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { createLearner, disposeLearner } from '../src/engine/model/adapters';
import { proposedRate } from '../src/engine/training/learningRateRange';
import { trainableCount } from '../src/engine/training/memory';
import { assertHyperparameters, checkHyperparameters } from '../src/hyperparameterChecks';
import {
  defaultHyperparameters,
  defaultLearningRate,
  forModel,
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  LEARNING_RATES,
  withChange,
} from '../src/hyperparameters';
import { rankOf, readRankPattern } from '../src/rankPattern';
import { modelOf, readFixture } from './engineFixtures';
import { fixtureFolder } from './nodeFolders';

describe('the table', () => {
  test('its defaults are in order, and warn of nothing', () => {
    expect(checkHyperparameters(defaultHyperparameters())).toEqual([]);
  });

  test('every entry can be read: a label, a sentence of help, a default inside its range', () => {
    for (const name of HYPERPARAMETER_NAMES) {
      const entry = HYPERPARAMETERS[name];
      expect(entry.label, name).not.toBe('');
      expect(entry.help, name).toMatch(/[.]$/);
    }
  });

  test('a value outside its range, of the wrong kind or unheard of is refused by name', () => {
    const h = defaultHyperparameters();
    for (const [name, value] of [
      ['learning_rate', -1],
      ['learning_rate', Number.NaN],
      ['batch_size', 2.5],
      ['batch_size', 0],
      ['method', 'magic'],
      ['use_dora', 'yes'],
      ['rank_pattern', 'mlp 16'],
      ['rank_pattern', 'mlp=999'],
    ] as const) {
      const wrong = { ...h, [name]: value };
      expect(checkHyperparameters(wrong).find((p) => p.severity === 'error')?.name).toBe(name);
      expect(() => assertHyperparameters(wrong)).toThrow(
        expect.objectContaining({ code: 'bad_hyperparameter', where: name }),
      );
    }
  });

  test('an unusual learning rate is a warning, and runs', () => {
    const h = { ...defaultHyperparameters(), learning_rate: 0.5 };
    expect(checkHyperparameters(h)).toMatchObject([{ name: 'learning_rate', severity: 'warning' }]);
    expect(() => assertHyperparameters(h)).not.toThrow();
  });

  test('the learning rate follows the method until it is set', () => {
    const h = defaultHyperparameters();
    const full = withChange(h, 'method', 'full');
    expect(full.learning_rate).toBe(LEARNING_RATES.full);
    expect(withChange(full, 'method', 'last_layers').learning_rate).toBe(LEARNING_RATES.last_layers);
    const own = withChange(h, 'learning_rate', 0.003);
    expect(withChange(own, 'method', 'full').learning_rate).toBe(0.003);
  });
});

describe('the learning rate of a larger model', () => {
  test('is the measured one up to four times the size, and smaller beyond', () => {
    expect(defaultLearningRate('lora', null)).toBe(LEARNING_RATES.lora);
    expect(defaultLearningRate('lora', 3e6)).toBe(LEARNING_RATES.lora);
    expect(defaultLearningRate('lora', 135e6)).toBe(8e-4);
    expect(defaultLearningRate('full', 135e6)).toBe(8e-5);
  });

  test('follows the model only while it has its default', () => {
    const h = defaultHyperparameters();
    expect(forModel(h, null, 135e6).learning_rate).toBe(8e-4);
    expect(forModel(forModel(h, null, 135e6), 135e6, 1.4e6)).toEqual(h);
    expect(forModel({ ...h, learning_rate: 0.003 }, null, 135e6).learning_rate).toBe(0.003);
  });
});

describe('ranks by layer', () => {
  const h = (rank_pattern: string) => ({ ...defaultHyperparameters(), lora_r: 8, rank_pattern });

  test('the first part that fits between dots counts; others keep lora_r', () => {
    const pattern = h('layers.1=2, mlp=16,q_proj = 0');
    expect(rankOf('model.layers.1.mlp.up_proj', pattern)).toBe(2);
    expect(rankOf('model.layers.10.mlp.up_proj', pattern)).toBe(16);
    expect(rankOf('model.layers.10.self_attn.q_proj', pattern)).toBe(0);
    expect(rankOf('model.layers.10.self_attn.k_proj', pattern)).toBe(8);
  });

  test('any list of pairs reads back as it was written', () => {
    const part = fc.stringMatching(/^[a-z_]{1,8}(\.[0-9]{1,2})?$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(part, fc.integer({ min: 0, max: 256 })), { maxLength: 5 }), (pairs) => {
        const text = pairs.map(([p, r]) => `${p}=${r}`).join(', ');
        expect(readRankPattern(text)).toEqual({ ranks: pairs, problem: null });
      }),
    );
  });

  describe('on a model', () => {
    beforeAll(async () => {
      await tf.setBackend('cpu');
      await tf.ready();
    });

    test('each adapter has its rank, the count is foretold, and no adapter at all is an error', async () => {
      const model = await modelOf(await readFixture('llama', fixtureFolder('llama')));
      const settings = h('mlp=3, layers.0.self_attn=0');
      const learner = createLearner(model.architecture, model.weights, settings);
      const shapeOf = (name: string) => learner.tensors.get(name)?.shape;
      expect(shapeOf('model.layers.1.mlp.up_proj.lora_A')?.[0]).toBe(3);
      expect(shapeOf('model.layers.1.self_attn.q_proj.lora_A')?.[0]).toBe(8);
      expect(shapeOf('model.layers.0.self_attn.q_proj.lora_A')).toBeUndefined();
      let count = 0;
      for (const t of learner.tensors.values()) count += t.size;
      expect(trainableCount(model.architecture, model.parameters, settings)).toBe(count);
      disposeLearner(learner);
      expect(() => createLearner(model.architecture, model.weights, h('layers=0'))).toThrow(
        expect.objectContaining({ code: 'no_adapters' }),
      );
      model.dispose();
    });
  });
});

describe('the rate a range test proposes', () => {
  const curve = (lossAt: (logRate: number) => number) =>
    Array.from({ length: 40 }, (_, i) => {
      const learningRate = 10 ** (-5 + (5 * i) / 39);
      return { learningRate, loss: lossAt(Math.log10(learningRate)) };
    });

  test('is a tenth of the rate with the lowest loss, whatever the noise on the way', () => {
    const valley = (x: number) => 4 - 2 / (1 + Math.exp(-6 * (x + 3))) + (x > -1 ? (x + 1) * 20 : 0);
    const noisy = curve((x) => valley(x) + 0.15 * Math.sin(40 * x));
    const rate = proposedRate(noisy) as number;
    expect(rate).toBeGreaterThan(5e-4);
    expect(rate).toBeLessThan(2e-2);
  });

  test('is nothing when the loss never fell', () => {
    expect(proposedRate(curve((x) => 4 + x * 0.01))).toBeNull();
    expect(proposedRate(curve(() => 2).slice(0, 4))).toBeNull();
  });
});
