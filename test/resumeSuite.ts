// A run that is interrupted and goes on from its checkpoint gives every number that it would have given without.
// Not here: when a run is saved and where (cli.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EncodedExample, RunConfig } from '../src/contract';
import { createRandom } from '../src/data/random';
import { startDevice } from '../src/engine/device/device';
import type { Model } from '../src/engine/model/model';
import { readCheckpoint, writeCheckpoint } from '../src/engine/training/checkpoint';
import type { TrainingData } from '../src/engine/training/plan';
import { scheduleOf, Trainer } from '../src/engine/training/train';
import type { ModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { addRateChange } from '../src/session/rateChanges';
import type { RateChange } from '../src/stepContract';
import { type Fixture, maxDifference, modelOf, readFixture } from './engineFixtures';

const ways: [name: string, settings: Partial<Hyperparameters>][] = [
  ['LoRA with dropout', { method: 'lora', lora_dropout: 0.2 }],
  [
    'DoRA with noise and decay',
    { method: 'lora', use_dora: true, neftune_noise_alpha: 5, weight_decay: 0.1 },
  ],
  ['full, two micro-batches a step', { method: 'full', gradient_accumulation_steps: 2, batch_size: 1 }],
  ['last layers', { method: 'last_layers', trainable_layers: 1 }],
  ['general rows mixed in', { method: 'lora', replay_fraction: 0.3 }],
];

export interface ResumeOptions {
  backend: 'wasm' | 'webgpu';
  wasmPath: string;
  folderOf: (name: string) => ModelFolder;
  /** Names of the ways to train, by their first words; all of them when absent. */
  only?: readonly string[];
  epochs: number;
  /** How many interrupted runs of each way. */
  interruptions: number;
  /** Largest difference of a weight or loss. */
  tolerance: number;
}

export function describeResume({
  backend,
  wasmPath,
  folderOf,
  interruptions,
  tolerance,
  epochs,
  only,
}: ResumeOptions): void {
  describe(`a resumed run on ${backend}`, { timeout: 240_000 }, () => {
    let fixture: Fixture;
    let model: Model;
    beforeAll(async () => {
      const fail = (error: Error) => {
        throw error;
      };
      await startDevice({ requested: backend, wasmPath, onLost: fail, onError: fail });
      fixture = await readFixture('llama-tied', folderOf('llama-tied'));
      model = await modelOf(fixture);
    });
    afterAll(() => model.dispose());

    const settingsOf = (more: Partial<Hyperparameters>): Hyperparameters => ({
      ...defaultHyperparameters(),
      ...{ lora_r: 4, lora_alpha: 8, batch_size: 2, num_train_epochs: epochs, learning_rate: 0.01, seed: 3 },
      ...more,
    });
    const dataOf = (): TrainingData => {
      const rows: EncodedExample[] = [...fixture.rows, ...fixture.rows].map((row, i) => ({
        ...row,
        line: i + 1,
      }));
      const replay = rows.map((row) => ({ ...row, ids: row.ids.slice().reverse(), file: 'replay' as const }));
      return { train: rows, validation: fixture.rows, replay };
    };

    /** Every number of a run from where the trainer stands; ends after `steps` updates when given. */
    async function run(trainer: Trainer, steps = Number.POSITIVE_INFINITY): Promise<number[]> {
      const numbers: number[] = [];
      const first = trainer.step;
      for await (const event of trainer.run()) {
        if (event.kind === 'step') numbers.push(event.step, event.loss, event.gradNorm, event.tokens);
        else if (event.kind === 'evaluation')
          numbers.push(event.step, event.train.loss, event.validation.loss, event.riseStandardError);
        if (event.kind === 'step' && event.step - first >= steps) break;
      }
      return numbers;
    }

    async function weightsOf(trainer: Trainer): Promise<Float32Array[]> {
      const tensors = [...trainer.learner.tensors.values(), ...(trainer.bestLearner?.tensors.values() ?? [])];
      return Promise.all(tensors.map(async (t) => (await t.data()) as Float32Array));
    }

    const chosen = ways.filter(
      ([name]) => only === undefined || only.some((start) => name.startsWith(start)),
    );
    it.each(chosen)('%s', async (_, more) => {
      const h = settingsOf(more);
      const whole = new Trainer(model, dataOf(), h);
      const { totalSteps } = whole.plan;
      const numbers = await run(whole);
      const weights = await weightsOf(whole);
      const random = createRandom(17);
      for (let n = 0; n < interruptions; n++) {
        const at = 1 + Math.floor(random() * (totalSteps - 1));
        const first = new Trainer(model, dataOf(), h);
        const before = await run(first, at);
        const trainer = await first.state();
        const config = { totalSteps } as RunConfig;
        const file = await writeCheckpoint({
          config,
          points: [],
          rows: [],
          weights: [],
          pinned: [],
          elapsedMs: 1,
          trainingMs: 1,
          trainer,
        });
        first.dispose();

        const second = new Trainer(model, dataOf(), h);
        second.restore((await readCheckpoint(new Blob([file]))).trainer);
        const after = await run(second);
        expect(maxDifference([...before, ...after], numbers), `after step ${at}`).toBeLessThanOrEqual(
          tolerance,
        );
        for (const [i, values] of (await weightsOf(second)).entries()) {
          expect(maxDifference(values, weights[i] as Float32Array)).toBeLessThanOrEqual(tolerance);
        }
        second.dispose();
      }
      whole.dispose();
    });

    it('a learning rate that is changed on the way is that of a run with it planned, and of one that is resumed', async () => {
      const h = settingsOf({ method: 'lora', lora_dropout: 0.2, num_train_epochs: 2 });
      const live: RateChange[] = [];
      const changed = new Trainer(model, dataOf(), h, scheduleOf(h, live));
      const numbers: number[] = [];
      const rates: number[] = [];
      // Ahead of the numbers, as on a fast GPU: the change counts from the update that is issued next.
      for await (const event of changed.run(() => 2)) {
        if (event.kind === 'evaluation') numbers.push(event.train.loss, event.validation.loss);
        if (event.kind !== 'step') continue;
        numbers.push(event.loss);
        rates.push(event.learningRate);
        if (event.step === 2) addRateChange(live, h, { step: changed.nextUpdate, to: 0.04 });
      }
      const [change] = live as [RateChange];
      const plain = (step: number) => scheduleOf(h)(step, changed.plan.totalSteps);
      for (const [i, rate] of rates.entries())
        expect(rate).toBeCloseTo(plain(i) * (i < change.step ? 1 : 4), 12);
      expect(change.step).toBeLessThan(rates.length - 1);
      const weights = await weightsOf(changed);
      changed.dispose();

      const planned = new Trainer(model, dataOf(), h, scheduleOf(h, [change]));
      await run(planned, change.step + 1);
      const state = await planned.state();
      planned.dispose();
      const resumed = new Trainer(model, dataOf(), h, scheduleOf(h, [change]));
      resumed.restore(state);
      await run(resumed);
      for (const [i, values] of (await weightsOf(resumed)).entries())
        expect(maxDifference(values, weights[i] as Float32Array)).toBeLessThanOrEqual(tolerance);
      resumed.dispose();
    });

    it('leaves no tensor behind', async () => {
      const h = settingsOf({ method: 'lora' });
      const first = new Trainer(model, dataOf(), h);
      await run(first, 2);
      const state = await first.state();
      first.dispose();
      const before = tf.memory().numTensors;
      for (let n = 0; n < 2; n++) {
        const trainer = new Trainer(model, dataOf(), h);
        trainer.restore(state);
        await run(trainer, 2);
        trainer.dispose();
      }
      expect(tf.memory().numTensors).toBe(before);
    });
  });
}
