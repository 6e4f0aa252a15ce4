// Generation token by token, greedy or sampled, until an end token or a limit; the same for base and tuned model.
// Not here: one step with its key-value cache (decode.ts), how a token is drawn (sampling.ts), chat template and text (data/tokens/chat.ts, data/tokens/tokenizer.ts).

import type { GenerateResult } from '../../contract';
import { createRandom } from '../../data/random';
import { PlaygroundError } from '../../errors';
import type { GenerationSettings } from '../../generation';
import type { Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { createDecoder } from './decode';

export type StopReason = Exclude<GenerateResult['stoppedBy'], 'cancelled'>;

/**
 * Yields one token id at a time; returns why it stopped. The end token is not yielded. If closed early, frees its cache.
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
  const decoder = createDecoder(model, learner, settings);
  let length = prompt.length;
  let next: readonly number[] = prompt;
  try {
    for (let made = 0; made < settings.max_new_tokens; made++) {
      const id = await decoder.next(next, settings.do_sample ? random() : 0);
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
