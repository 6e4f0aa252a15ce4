// One answer of a model to a conversation: prompt ids, tokens as they come, text without control tokens.
// Not here: a step of decoding (engine/generation/generate.ts), the chat template (data/tokens/chat.ts).

import type { GenerateResult, Message } from '../contract';
import { encodePrompt } from '../data/tokens/encodeRows';
import { awaitDeviceError, takeDeviceError } from '../engine/device/device';
import { generate } from '../engine/generation/generate';
import type { Learner } from '../engine/model/adapters';
import type { LoadedModel } from '../engine/model/artifacts';
import { assertGeneration, type GenerationSettings } from '../generation';
import type { Platform } from './platform';

export interface AnswerHooks {
  /** Gets the text piece by piece. */
  onText: (piece: string) => void;
  /** Looked at after each token. */
  cancelled?: () => boolean;
}

/**
 * @param learner null for the base model
 * @param messages end with the user's turn
 * @throws PlaygroundError `bad_generation` for settings out of range; `context_exceeded` when the conversation alone fills the context; an error of the device when the GPU dropped work
 */
export async function answer(
  { model, chat }: Pick<LoadedModel, 'model' | 'chat'>,
  learner: Learner | null,
  messages: readonly Message[],
  settings: GenerationSettings,
  platform: Pick<Platform, 'yieldToEvents'>,
  { onText, cancelled = () => false }: AnswerHooks,
): Promise<GenerateResult> {
  assertGeneration(settings);
  const prompt = encodePrompt(chat, messages);
  const decoder = chat.tokenizer.createStreamDecoder({ skipSpecial: true });
  const startedAt = performance.now();
  const ids = generate(model, learner, prompt, chat.stopIds, settings);
  let text = '';
  let tokens = 0;
  const append = (piece: string) => {
    text += piece;
    if (piece) onText(piece);
  };
  let stoppedBy: GenerateResult['stoppedBy'] = 'cancelled';
  while (true) {
    const next = await ids.next().catch(async (thrown: unknown) => {
      throw (await awaitDeviceError()) ?? thrown;
    });
    const gpuError = takeDeviceError();
    if (gpuError) {
      await ids.return('limit');
      throw gpuError;
    }
    if (next.done) {
      stoppedBy = next.value;
      break;
    }
    tokens++;
    append(decoder.push(next.value));
    await platform.yieldToEvents();
    if (cancelled()) {
      await ids.return('limit');
      break;
    }
  }
  append(decoder.flush());
  const gpuError = takeDeviceError();
  if (gpuError) throw gpuError;
  const seconds = (performance.now() - startedAt) / 1000;
  return { text, tokens, promptTokens: prompt.length, stoppedBy, tokensPerSecond: tokens / seconds };
}
