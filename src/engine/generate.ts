// Token by token until an end: greedy or sampled. Base and tuned go through the same code.
// Not here: one step with its key-value cache (decode.ts), the chat template (data/chat.ts), turning ids into text (data/tokenizer.ts).

import type { GenerateResult, GenerationSettings } from '../contract';
import { createRandom } from '../data/batches';
import { PlaygroundError } from '../errors';
import type { Learner } from './adapters';
import { createDecoder, type Decoder } from './decode';
import type { Model } from './model';

export type StopReason = Exclude<GenerateResult['stoppedBy'], 'cancelled'>;

/**
 * Yields one token id at a time; returns why it stopped. The end token itself is not yielded.
 * @throws PlaygroundError `context_exceeded` when the prompt alone fills the context; `non_finite` when the logits are not numbers.
 */
export async function* generate(
  model: Model,
  learner: Learner | null,
  prompt: readonly number[],
  endTokens: readonly number[],
  settings: GenerationSettings,
): AsyncGenerator<number, StopReason> {
  const { contextLength } = model.architecture;
  if (prompt.length >= contextLength) {
    throw new PlaygroundError({
      code: 'context_exceeded',
      message: `The conversation has ${prompt.length} tokens, and this model reads at most ${contextLength}.`,
      fix: 'Shorten the prompt, or start a new conversation.',
    });
  }
  const ends = new Set(endTokens);
  const random = createRandom(settings.seed);
  const decoder = createDecoder(model, learner);
  let length = prompt.length;
  let next: readonly number[] = prompt;
  try {
    for (let made = 0; made < settings.max_new_tokens; made++) {
      const id = settings.do_sample
        ? sample(await decoder.logits(next), settings, random)
        : await likeliest(decoder, next);
      if (ends.has(id)) return 'end_token';
      yield id;
      if (length + 1 > contextLength - 1) return 'context';
      length += 1;
      next = [id];
    }
    return 'limit';
  } finally {
    decoder.dispose();
  }
}

async function likeliest(decoder: Decoder, ids: readonly number[]): Promise<number> {
  const { id, logit } = await decoder.likeliest(ids);
  assertFinite(logit);
  return id;
}

function assertFinite(logit: number): void {
  if (Number.isFinite(logit)) return;
  throw new PlaygroundError({
    code: 'non_finite',
    message: 'The model’s output is no longer a number.',
    fix: 'Go back to the best step, or train again with a lower learning rate.',
  });
}

/**
 * One id from softmax(logits / temperature), cut to the `top_k` most likely (0 = all) and then to the smallest set whose
 * probability reaches `top_p` (Holtzman et al. 2020), in Hugging Face's order.
 */
export function sample(logits: Float32Array, settings: GenerationSettings, random: () => number): number {
  const temperature = Math.max(settings.temperature, 1e-4);
  const order = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const top = logits[order[0] as number] as number;
  assertFinite(top);
  const kept = settings.top_k > 0 ? order.slice(0, settings.top_k) : order;
  const odds = kept.map((i) => Math.exp(((logits[i] as number) - top) / temperature));
  let total = odds.reduce((a, b) => a + b, 0);
  let size = kept.length;
  if (settings.top_p < 1) {
    let mass = 0;
    for (size = 0; size < kept.length && (size === 0 || mass < settings.top_p * total); size++)
      mass += odds[size] as number;
    total = mass;
  }
  let point = random() * total;
  for (let i = 0; i < size; i++) {
    point -= odds[i] as number;
    if (point < 0) return kept[i] as number;
  }
  return kept[size - 1] as number;
}
