// A loss per token as bits per byte of text: comparable between models with different tokenizers.
// Not here: how many bytes the tokens stand for (data/tokens/learnedBytes.ts).

import type { MetricPoint, RunConfig } from '../contract';

/**
 * loss · tokens / (ln 2 · bytes): all bits that the tokens cost, by the bytes of their text (Gao et al. 2020, "The Pile", 3.1).
 * @param loss mean over the tokens, in nats
 * @returns null where the tokens have no text
 */
export function bitsPerByte(loss: number, tokens: number, bytes: number): number | null {
  return bytes > 0 ? (loss * tokens) / (Math.LN2 * bytes) : null;
}

type Measured = Pick<RunConfig, 'evaluation'>;

/**
 * Bits per byte of the held-out text before a run and at a step of it, on the rows that are measured during the run: the same both times.
 * @returns null where they were not measured at that step, or the record is one without bytes
 */
export function bitsDuringRun(
  points: readonly MetricPoint[],
  { evaluation: { validationTokens, validationBytes = 0 } }: Measured,
  step: number,
): { before: number; after: number } | null {
  const bitsAt = (at: number) => {
    const point = points.find((p) => p.name === 'valid_loss' && p.step === at);
    return point ? bitsPerByte(point.value, validationTokens, validationBytes) : null;
  };
  const [before, after] = [bitsAt(0), bitsAt(step)];
  return before === null || after === null ? null : { before, after };
}

/** The same in a sentence; null where there is nothing to say. */
export function bitsSentence(points: readonly MetricPoint[], config: Measured, step: number): string | null {
  const bits = bitsDuringRun(points, config, step);
  if (!bits) return null;
  return `Held-out text: ${bits.before.toFixed(3)} bits per byte before the run, ${bits.after.toFixed(3)} at step ${step.toLocaleString('en')}.`;
}
