// The result of a learning-rate range test in sentences.
// Not here: the test and the proposal (engine/training/learningRateRange.ts), the picture (ui/settings/RateCurve.svelte).

import type { RatePoint } from '../contract';

/** 0.0021 → "2e-3"; 0.3 → "0.3". */
const show = (rate: number) => {
  const rounded = Number(rate.toPrecision(1));
  return rounded >= 0.01 ? String(rounded) : rounded.toExponential();
};
/** Above its lowest by this share, the loss counts as climbing again. */
const CLIMB = 1.1;

/**
 * @param points   what was measured, in order of rising rate; losses in nats
 * @param proposed the rate the engine proposes; null when the loss never clearly fell
 * @param stopped  the visitor ended the test early
 * @returns what the curve shows, and what to do with it
 */
export function readRates(points: readonly RatePoint[], proposed: number | null, stopped = false): string {
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return 'Nothing was measured.';
  if (stopped) return `Stopped at ${show(last.learningRate)}. Without the whole curve there is no proposal.`;
  const least = points.reduce((best, p) => (p.loss < best.loss ? p : best));
  if (proposed === null) {
    return last.loss > first.loss * CLIMB
      ? `The loss never clearly fell before it climbed from ${first.loss.toFixed(2)} to ${last.loss.toFixed(2)}, so no rate can be proposed. A larger batch makes the curve calmer; if the model already knows these rows, there is little left to learn.`
      : `The loss stayed near ${first.loss.toFixed(2)} at every rate, so no rate can be proposed. Check that enough weights learn (rank, layers), or take a larger batch, and try again.`;
  }
  const fall = `from ${first.loss.toFixed(2)} to ${least.loss.toFixed(2)}`;
  const beyond =
    last.loss > least.loss * CLIMB
      ? `The loss falls ${fall} while the rate rises to ${show(least.learningRate)}; beyond that, steps are too large and it climbs.`
      : `The loss falls ${fall}, and is lowest at ${show(least.learningRate)}.`;
  return `${beyond} ${show(proposed)} learns fast and keeps a safe distance from that edge.`;
}
