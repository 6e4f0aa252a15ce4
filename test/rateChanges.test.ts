// The learning rate of a run that goes on, changed: recorded, repeated from the record, kept in what is saved; and as it is written on a command line.
// Not here: the same trajectory in eager and captured steps (resumeSuite.ts).
// Run: npx vitest run --project node test/rateChanges.test.ts

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { MetricPoint, RunConfig } from '../src/contract';
import { readCheckpoint } from '../src/engine/training/checkpoint';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { addRateChange, assertRateChanges, readRateChanges } from '../src/session/rateChanges';
import type { RateChange } from '../src/stepContract';
import { runLocks } from '../src/worker/runLocks';
import { RunStore } from '../src/worker/runStore';
import { EngineSession } from '../src/worker/session';
import { memoryStore } from '../src/worker/storage';
import { CHAT, hastenClock, openIn } from './sessionFixtures';

const h: Hyperparameters = { ...defaultHyperparameters(), learning_rate: 0.01 };

describe('changes in writing', () => {
  test('say after how many updates which rate holds', () => {
    expect(readRateChanges('20=1e-3, 40=2e-4', h)).toEqual([
      { step: 20, from: 0.01, to: 1e-3 },
      { step: 40, from: 1e-3, to: 2e-4 },
    ]);
  });
  test.each(['20', '20=', '=1', '20=2', '20=-1', '1.5=0.1', '40=0.1,20=0.2', '20=0.1,20=0.2', '20=x', ''])(
    '%j is refused',
    (text) => expect(() => readRateChanges(text, h)).toThrow(/--lr_at/),
  );
  test('are refused where no update would follow', () => {
    expect(() => assertRateChanges([{ step: 10, from: 1, to: 2 }], 10)).toThrow(
      'no update comes after step 10',
    );
    expect(() => assertRateChanges([{ step: 9, from: 1, to: 2 }], 10)).not.toThrow();
  });
  test('made twice at the same step are one', () => {
    const changes: RateChange[] = [];
    addRateChange(changes, h, { step: 5, to: 0.1 });
    addRateChange(changes, h, { step: 9, to: 0.2 });
    addRateChange(changes, h, { step: 9, to: 0.3 });
    expect(changes).toEqual([
      { step: 5, from: 0.01, to: 0.1 },
      { step: 9, from: 0.1, to: 0.3 },
    ]);
  });
});

describe('a run', { timeout: 120_000 }, () => {
  const store = new RunStore({ ...memoryStore(), lasting: true }, runLocks());
  const session = new EngineSession(
    () => {},
    async () => store,
  );
  const settings: Hyperparameters = { ...h, num_train_epochs: 4, batch_size: 2, seed: 7 };

  beforeAll(() => openIn(session, settings));

  test('that is paused, changed and goes on has the change in its record, its rates and its saved state', async () => {
    hastenClock();
    const points: MetricPoint[] = [];
    const configs: RunConfig[] = [];
    let change: Promise<RateChange> | null = null;
    let saved: RunConfig | null = null;
    const running = session.train(
      settings,
      ({ points: now, progress }) => {
        points.push(...now);
        if (progress.step >= 3 && change === null && progress.state === 'training') void session.pause();
        if (progress.state !== 'paused' || change !== null) return;
        change = session.changeLearningRate(0.03).then(async (made) => {
          // Saved again in the pause, so that closing the page now does not lose it.
          for (let i = 0; i < 1000 && saved === null; i++) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            const file = await store.read((configs[0] as RunConfig).runId, 'checkpoint').catch(() => null);
            const config = file && (await readCheckpoint(file.file)).config;
            if (config?.rateChanges) saved = config;
          }
          await session.resume();
          return made;
        });
      },
      (config) => configs.push(config),
    );
    const summary = await running;
    const made = (await change) as unknown as RateChange;
    expect(made).toMatchObject({ from: 0.01, to: 0.03 });
    expect(summary.config.rateChanges).toEqual([made]);
    expect(configs.at(-1)?.rateChanges).toEqual([made]);
    expect((saved as RunConfig | null)?.rateChanges).toEqual([made]);
    const rate = (step: number) =>
      points.find((p) => p.name === 'learning_rate' && p.step === step)?.value as number;
    expect(rate(made.step + 1) / rate(made.step)).toBeGreaterThan(2);
    await expect(session.changeLearningRate(0.1)).rejects.toMatchObject({ code: 'run_ended' });
  });

  test('refuses a rate that is none', async () => {
    hastenClock();
    let refused: unknown = null;
    await session.train(
      settings,
      () => {
        session.changeLearningRate(7).catch((thrown: unknown) => {
          refused ??= thrown;
        });
      },
      () => {},
    );
    expect(refused).toMatchObject({ code: 'bad_hyperparameter' });
  });
});

test('the command line repeats it', { timeout: 60_000 }, async () => {
  const out = mkdtempSync(path.join(tmpdir(), 'playground-rate-'));
  try {
    const run = (more: string[]) =>
      spawnSync(
        process.execPath,
        [
          path.join(house, 'src/cli/cli.mjs'),
          ...[
            'train',
            '--model',
            CHAT,
            '--data',
            path.join(CHAT, 'rows.jsonl'),
            '--out',
            path.join(out, 'run'),
          ],
          ...['--learning_rate', '0.01', '--batch_size', '4', '--lr_scheduler_type', 'constant', ...more],
        ],
        { encoding: 'utf8' },
      );
    expect(run(['--lr_at', '99=0.1']).stderr).toContain('no update comes after step 99');
    const { status, stdout } = run(['--lr_at', '4=0.002']);
    expect(status).toBe(0);
    const rates = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as MetricPoint)
      .filter(({ name }) => name === 'learning_rate');
    expect(rates.slice(3, 5).map(({ value }) => value)).toEqual([0.01, 0.002]);
    const { config } = JSON.parse(readFileSync(path.join(out, 'run', 'run.json'), 'utf8')) as {
      config: RunConfig;
    };
    expect(config.rateChanges).toEqual([{ step: 4, from: 0.01, to: 0.002 }]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
