// A loss per token as bits per byte of text: comparable between models with different tokenizers.
// Not here: how many bytes the tokens stand for (data/tokens/learnedBytes.ts).

/**
 * loss · tokens / (ln 2 · bytes): all bits that the tokens cost, by the bytes of their text (Gao et al. 2020, "The Pile", 3.1).
 * @param loss mean over the tokens, in nats
 * @returns null where the tokens have no text
 */
export function bitsPerByte(loss: number, tokens: number, bytes: number): number | null {
  return bytes > 0 ? (loss * tokens) / (Math.LN2 * bytes) : null;
}
