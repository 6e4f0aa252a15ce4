// The stages of a run that ends in overfitting, on made-up curves and on the shipped recording.
// Not here: the verdict (metrics.test.ts), the first screen (../e2e/arrival.spec.ts).

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MetricPoint } from '../src/contract';
import { house } from '../src/launch/prerequisites.mjs';
import { type Recording, recordedPoints } from '../src/lessons/recording';
import { diagnose } from '../src/metrics/diagnosis';
import { stagesReached } from '../src/metrics/stages';

const curve = (validation: number[], train: number[]): MetricPoint[] =>
  validation.flatMap((value, i) => {
    const at = { step: 10 * i, epoch: 2 * i, tokens: 100 * i, elapsedMs: 100 * i };
    return [
      { ...at, name: 'valid_loss' as const, value },
      { ...at, name: 'train_eval_loss' as const, value: train[i] as number },
    ];
  });
const stages = (points: MetricPoint[]) => stagesReached(points, diagnose(points));
const recordings = path.join(house, 'public/recordings');
const read = (file: string) => JSON.parse(readFileSync(path.join(recordings, file), 'utf8')) as Recording;

describe('the stages of a curve', () => {
  test('none before something was gained', () => {
    expect(stages([])).toEqual({});
    expect(stages(curve([4], [4]))).toEqual({});
    expect(stages(curve([4, 4.1, 3.99], [4, 3.9, 3.8]))).toEqual({});
  });

  test('learning once validation has fallen by 1 %', () => {
    expect(stages(curve([4, 3.5], [4, 3]))).toEqual({ learns: 10 });
  });

  test('it stops at the lowest loss after two evaluations that were no lower, and goes on where a lower one comes', () => {
    const [flat, trained] = [
      [4, 3, 3.01, 3.01],
      [4, 3, 2.99, 2.99],
    ];
    expect(stages(curve(flat.slice(0, 3), trained))).toEqual({ learns: 10 });
    expect(stages(curve(flat, trained))).toEqual({ learns: 10, stops: 10 });
    expect(stages(curve([...flat, 2.5], [...trained, 2]))).toEqual({ learns: 10 });
  });

  test('by heart where the verdict says so, and a loss that is no number is passed over', () => {
    const points = curve([4, 3, 3.5, 4, 4.5], [4, 2, 1, 0.5, 0.1]);
    expect(stages(points)).toEqual({ learns: 10, stops: 10, by_heart: 20 });
    expect(stagesReached(curve([4, Number.NaN, 3], [4, 3, 2]), diagnose(points))).toMatchObject({
      learns: 20,
    });
  });
});

describe('the recordings', () => {
  test.each(readdirSync(recordings))('%s is a run of the command line that it names', (file) => {
    const found = read(file);
    expect(found.command).toContain(`--data public/datasets/${found.sample}`);
    for (const [name, value] of Object.entries(found.settings))
      expect(found.command).toContain(`--${name} ${value}`);
    const points = recordedPoints(found);
    expect(points[0]?.step).toBe(0);
    expect(points.at(-1)?.step).toBeLessThanOrEqual(found.run.totalSteps);
    expect(points.length).toBeGreaterThan(10);
  });

  test('the one of the first screen goes through all three stages', () => {
    const found = read('twelve-rows.json');
    const points = recordedPoints(found);
    const verdict = diagnose(points, found.run, 'finished');
    expect(verdict.state).toBe('overfitting');
    expect(Object.keys(stagesReached(points, verdict))).toEqual(['learns', 'stops', 'by_heart']);
  });
});
