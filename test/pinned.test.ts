// When pinned prompts are answered, how long, and within which share of a run's work.
// Not here: the answers themselves (watchRun.test.ts, watchCli.test.ts).

import { describe, expect, it } from 'vitest';
import { longestAnswer, pinnedSteps, withinShare } from '../src/session/pinned';
import type { PinnedColumn } from '../src/stepsContract';

const plan = { evaluateAt: new Set([0, 3, 8, 15, 23, 32, 42, 54]), stepsPerEpoch: 18, totalSteps: 54 };
const column = (step: number, tokens: number): PinnedColumn => ({
  step,
  epoch: 0,
  answers: [{ text: '', tokens, promptTokens: 10, stoppedBy: 'limit' }],
});

describe('pinned prompts', () => {
  it('are answered at the first and the last evaluation, and between as was asked for', () => {
    expect(pinnedSteps(plan, 'epoch')).toEqual([0, 15, 32, 54]);
    expect(pinnedSteps(plan, 1)).toEqual([...plan.evaluateAt]);
    expect(pinnedSteps(plan, 3)).toEqual([0, 15, 42, 54]);
    expect(pinnedSteps(plan, 100)).toEqual([0, 54]);
  });

  it('wait between until the run has done enough', () => {
    const first = [column(0, 20)]; // a column takes 10 × 0.4 + 20 × 5 = 104
    expect(withinShare(first, 3400)).toBe(false);
    expect(withinShare(first, 3500)).toBe(true);
    expect(withinShare([...first, column(8, 20)], 3500)).toBe(false);
    expect(withinShare([...first, column(8, 20)], 7000)).toBe(true);
  });

  it('have shorter answers in a small run, but never none', () => {
    expect(longestAnswer(1, 100_000)).toBe(40);
    expect(longestAnswer(6, 40_000)).toBe(20);
    expect(longestAnswer(6, 100)).toBe(12);
  });
});
