// An update made by hand: its rows and their losses, what it moved, and that watching it changes no number of the run.
// Not here: the panel (e2e/stepByHand.spec.ts).
// Run: npx vitest run --project node test/watchedStep.test.ts

import { expect, test } from 'vitest';
import type { MetricPoint } from '../src/contract';
import { defaultHyperparameters } from '../src/hyperparameters';
import { updateOf } from '../src/session/watchedStep';
import type { StepDetails } from '../src/stepContract';
import { EngineSession } from '../src/worker/session';
import { hastenClock, openIn } from './sessionFixtures';

test('norms are those of the differences, by module', () => {
  const named = (values: Record<string, number[]>) =>
    new Map(
      Object.entries(values).map(([name, v]) => [name, { shape: [v.length], data: Float32Array.from(v) }]),
    );
  const before = named({ 'a.q.lora_A.weight': [3, 4], 'a.q.lora_B.weight': [0, 0], 'b.weight': [0] });
  const after = named({ 'a.q.lora_A.weight': [3, 4], 'a.q.lora_B.weight': [3, 4], 'b.weight': [12] });
  expect(updateOf(before, after)).toEqual({
    norm: 13,
    relative: 13 / 5,
    modules: [
      { module: 'b', change: 12, relative: null },
      { module: 'a.q', change: 5, relative: 1 },
    ],
  });
});

test('a step by hand tells its rows and what it moved, and the run is the same as without', {
  timeout: 120_000,
}, async () => {
  const session = new EngineSession(() => {});
  const h = { ...defaultHyperparameters(), learning_rate: 0.01, num_train_epochs: 2, batch_size: 3, seed: 7 };
  await openIn(session, h);
  const preview = await session.previewRows({ split: 'train', offset: 0, count: 100 });

  async function train(byHand: boolean) {
    if (byHand) hastenClock();
    const points: MetricPoint[] = [];
    const told: StepDetails[] = [];
    await session.train(
      h,
      ({ points: now, progress, stepDetails }) => {
        points.push(...now);
        if (stepDetails) told.push(stepDetails);
        if (byHand && told.length === 0 && progress.state !== 'paused') void session.pause();
        if (progress.state === 'paused') void (told.length < 3 ? session.singleStep() : session.resume());
      },
      () => {},
    );
    const losses = points.filter((p) => p.name === 'train_loss' || p.name === 'full_valid_loss');
    return { losses: losses.map(({ step, value }) => [step, value]), told, points };
  }
  const plain = await train(false);
  expect(plain.told).toEqual([]);
  const { losses, told, points } = await train(true);
  expect(losses).toEqual(plain.losses);
  expect(told.length).toBeGreaterThanOrEqual(3);
  for (const { step, loss, rows, update, gradNorm, learningRate } of told) {
    const at = (name: MetricPoint['name']) => points.find((p) => p.name === name && p.step === step)?.value;
    expect([loss, gradNorm, learningRate]).toEqual([at('train_loss'), at('grad_norm'), at('learning_rate')]);
    // Without dropout the loss of the step is the mean of its rows, weighted by tokens.
    const targets = rows.reduce((sum, row) => sum + row.targets, 0);
    expect(rows.reduce((sum, row) => sum + row.loss * row.targets, 0) / targets).toBeCloseTo(loss, 4);
    for (const { index, line } of rows) expect(preview[index]?.line).toBe(line);
    expect(rows.map((row) => row.loss)).toEqual(rows.map((row) => row.loss).toSorted((a, b) => b - a));
    expect(update?.norm).toBeGreaterThan(0);
    expect(Math.hypot(...(update?.modules ?? []).map(({ change }) => change))).toBeCloseTo(
      update?.norm as number,
      9,
    );
  }
  expect(told.map(({ step }) => step)).toEqual(told.map((_, i) => (told[0]?.step as number) + i));
});
