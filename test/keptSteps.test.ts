// Which steps of a run keep their weights: bounds, what is always kept, evenness, and that a growing run never needs a step that it has let go.
// Not here: storing them, and that they are those of the step (watchRun.test.ts).

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mostSteps, StepTaker, stepsToKeep } from '../src/session/keptSteps';

const plans = fc.record({
  stepsPerEpoch: fc.integer({ min: 1, max: 60 }),
  epochs: fc.integer({ min: 1, max: 40 }),
  evaluations: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 25 }),
  most: fc.integer({ min: 2, max: 32 }),
});
const gridOf = ({
  stepsPerEpoch,
  epochs,
  evaluations,
}: {
  stepsPerEpoch: number;
  epochs: number;
  evaluations: number[];
}) => {
  const total = stepsPerEpoch * epochs;
  return {
    total,
    grid: {
      stepsPerEpoch,
      evaluateAt: new Set([0, total, ...evaluations.map((e) => Math.round(e * total))]),
    },
  };
};

describe('steps whose weights are kept', () => {
  it('are at most so many, with the best and the last always among them', () => {
    fc.assert(
      fc.property(
        plans,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (plan, at, bestAt) => {
          const { total, grid } = gridOf(plan);
          const reached = Math.max(1, Math.round(at * total));
          const best = Math.round(bestAt * reached);
          const kept = stepsToKeep(grid, { reached, best, most: plan.most });
          expect(kept.length).toBeLessThanOrEqual(plan.most);
          expect(kept).toContain(reached);
          if (best > 0) expect(kept).toContain(best);
          expect(kept.every((step, i) => step >= 1 && step <= reached && step > (kept[i - 1] ?? 0))).toBe(
            true,
          );
          const epochEnds = Math.floor(reached / plan.stepsPerEpoch);
          if (epochEnds <= plan.most - 2)
            for (let e = 1; e <= epochEnds; e++) expect(kept).toContain(e * plan.stepsPerEpoch);
        },
      ),
    );
  });

  it('are never missed: a step that is kept later was kept ever since it was made', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { total, grid } = gridOf(plan);
        let before = new Set<number>();
        for (let reached = 1; reached <= total; reached++) {
          const kept = stepsToKeep(grid, { reached, best: null, most: plan.most });
          for (const step of kept) if (step < reached) expect(before.has(step)).toBe(true);
          before = new Set(kept);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('lie evenly between ends of epochs and evaluations, thinner as the run grows', () => {
    const grid = { stepsPerEpoch: 1000, evaluateAt: new Set([0, 4000]) };
    const at = (reached: number) => stepsToKeep(grid, { reached, best: null, most: 22 });
    expect(at(20)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(at(40)).toEqual(Array.from({ length: 20 }, (_, i) => 2 * (i + 1)));
    const late = at(3500);
    expect(late).toEqual(expect.arrayContaining([1000, 2000, 3000, 3500]));
    const gaps = late.map((step, i) => step - (late[i - 1] ?? 0)).slice(0, -1);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(3 * Math.min(...gaps));
    expect(late.length).toBeGreaterThan(11);
  });

  it('hold every evaluation of a default run, so that losses and weights of a step are there together', () => {
    const evaluateAt = new Set([0, 3, 8, 15, 23, 32, 42, 53, 66, 80]);
    const kept = stepsToKeep(
      { stepsPerEpoch: 27, evaluateAt },
      { reached: 80, best: 42, most: mostSteps(60_000) },
    );
    expect(kept).toEqual(expect.arrayContaining([...evaluateAt].slice(1)));
    expect(kept).toEqual(expect.arrayContaining([27, 54]));
  });

  it('are fewer where all weights of a model learn', () => {
    expect(mostSteps(60_000)).toBe(32);
    expect(mostSteps(1_000_000)).toBe(18);
    expect(mostSteps(135_000_000)).toBe(2);
  });
});

describe('taking weights', () => {
  const grid = { stepsPerEpoch: 8, evaluateAt: new Set([0, 40]) };
  const tensors = new Map([['w', { shape: [1], data: Float32Array.of(1) }]]);

  it('holds what is kept until it is stored, and nothing else', async () => {
    const taker = new StepTaker(grid, 8_000_000); // room for two beside best and last
    for (let step = 1; step <= 40; step++)
      if (taker.isDue(step)) await taker.take(step, 1e9, async () => tensors);
    const { keep, fresh } = taker.toStore(40, 24);
    expect(keep).toEqual([16, 24, 32, 40]);
    expect(fresh.map(({ step }) => step)).toEqual([16, 32]);
    taker.stored(fresh);
    expect(taker.toStore(40, 24).fresh).toEqual([]);
    expect(taker.waiting.size).toBe(0);
  });

  it('passes over all but ends of epochs where reading takes more than a second and too much of the time', {
    timeout: 20_000,
  }, async () => {
    const taker = new StepTaker(grid, 1000);
    const slow = async () => {
      const began = performance.now();
      while (performance.now() - began < 1010); // more than the second that is free
      return tensors;
    };
    for (let step = 1; step <= 16; step++) if (taker.isDue(step)) await taker.take(step, 10, slow);
    expect([...taker.waiting.keys()]).toEqual([1, 8, 16]);
  });
});
