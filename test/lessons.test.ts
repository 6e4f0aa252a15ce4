// Lessons as data: every one is whole, names what exists, and its checks read the state; the shape of a predicted line.
// Not here: lessons walked on a page (../e2e/lessons.spec.ts).

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkHyperparameters } from '../src/hyperparameterChecks';
import { defaultHyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { LESSONS } from '../src/lessons/index';
import type { Snapshot } from '../src/lessons/lesson';
import { comparePrediction, shapeOf } from '../src/lessons/prediction';
import { predictionSentence } from '../src/lessons/words';

const samples = JSON.parse(readFileSync(path.join(house, 'public/datasets/index.json'), 'utf8')) as {
  id: string;
}[];
const line = (...values: number[]) => values.map((value, i) => ({ step: 10 * i, value }));
const nothing: Snapshot = { sample: null, model: null, runs: [], answered: 0 };

describe.each(LESSONS)('the lesson $id', ({ id, title, minutes, load }) => {
  test('is whole: words for each part, and names of what exists', async () => {
    const { lesson } = await load();
    expect(lesson.id).toBe(id);
    expect(lesson.text.title).toBe(title);
    expect(minutes).toBeLessThanOrEqual(5);
    expect(lesson.text.tasks).toHaveLength(lesson.tasks.length);
    const { predict, transfer, start, text } = lesson;
    if (predict.kind === 'choice') expect(text.predict.options[predict.right]).toBeDefined();
    else expect(text.predict.options).toEqual([]);
    expect(text.transfer.options[transfer.right]).toBeDefined();
    expect(existsSync(path.join(house, `public/recordings/${transfer.recording}.json`))).toBe(true);
    if (start.sample !== null) expect(samples.map((sample) => sample.id)).toContain(start.sample);
    for (const { settings = {} } of lesson.tasks) {
      const problems = checkHyperparameters({ ...defaultHyperparameters(), ...start.settings, ...settings });
      expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    }
  });

  test('has no task that is done before anything was done', async () => {
    const { lesson } = await load();
    expect(lesson.tasks.map(({ check }) => check(nothing))).toEqual(lesson.tasks.map(() => false));
  });

  test('takes a run that was stopped, or one with other settings, for none of its own', async () => {
    const { lesson } = await load();
    const settings = { ...defaultHyperparameters(), seed: 4711, learning_rate: 0.9, method: 'full' as const };
    const empty = { train: [], validation: [], general: [], trainRows: 1, trainableParameters: 1 };
    const run = { ...empty, settings, model: 'pebble-1m', verdict: 'waiting', ended: 'stopped' as const };
    expect(lesson.tasks.map(({ check }) => check({ ...nothing, runs: [run] }))).toEqual(
      lesson.tasks.map(() => false),
    );
  });
});

describe('the shape of a line', () => {
  test.each([
    ['falls', line(4, 3, 2, 1)],
    ['falls', line(4, 3, 1, 1.1)],
    ['turns', line(4, 3, 2, 3)],
    ['turns', line(4, 3.5, 8)],
    ['rises', line(4, 5, 6)],
    ['rises', line(4, 3.9, 6)],
    ['stays', line(4, 4.1, 3.9)],
  ])('%s', (shape, points) => expect(shapeOf(points)?.shape).toBe(shape));

  test('is nothing for one point, and passes over what is no number', () => {
    expect(shapeOf(line(4))).toBeNull();
    expect(shapeOf(line(4, Number.NaN))).toBeNull();
    expect(shapeOf(line(4, Number.NaN, 2))?.shape).toBe('falls');
  });
});

describe('a prediction', () => {
  const said = (drawn: number[], measured: number[]) => {
    const compared = comparePrediction(line(...drawn), line(...measured), 40);
    return compared && predictionSentence(compared);
  };
  test('is compared by shape, and by where the line turns', () => {
    expect(said([4, 3, 2, 1], [4, 2, 3, 4])).toBe(
      'You drew a line that falls to the end. The measured one falls and turns up, at step 10.',
    );
    expect(said([4, 2, 3, 4], [4, 3, 2, 3])).toBe('You saw it: the line falls and turns up, at step 20.');
    expect(said([4, 2, 3, 4, 5], [4, 3, 2, 1, 3])).toBe(
      'You saw that it turns. You expected it at step 10; it came at step 30.',
    );
    expect(said([4], [4, 3])).toBeNull();
  });
});
