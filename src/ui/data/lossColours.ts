// Losses of tokens in seven steps, by how likely the token was: the scale of the token view.
// Not here: the colours themselves (tokens.css), measuring (the worker).

/** Chances (e^-loss) at which one step ends and the next begins. */
export const CHANCES = [0.9, 0.7, 0.5, 0.2, 0.1, 0.01] as const;

/** Step of a loss in nats: 0 for a token that the model was sure of, 6 for one that surprised it. What is no number is the last step. */
export function lossLevel(nats: number): number {
  const step = CHANCES.findIndex((chance) => Math.exp(-nats) >= chance);
  return step < 0 ? CHANCES.length : step;
}
