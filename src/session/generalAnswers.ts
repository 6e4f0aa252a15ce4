// Three general questions, answered before and after a run: what forgetting looks like in words.
// Not here: one answer (answer.ts), the loss on general rows (engine/training/generalProbe.ts).

import type { TunedWeights } from '../contract';
import type { Learner } from '../engine/model/adapters';
import type { GeneralAnswers } from '../generalContract';
import { defaultGeneration } from '../generation';
import { answer } from './answer';
import { measuringCancelled } from './measuring';
import type { BaseModel } from './model';
import type { Platform } from './platform';

/** Of the general probe: greeting, knowledge, a small task. No general row that is mixed in asks one of them. */
export const GENERAL_PROMPTS = ['Hello!', 'What is a young cat called?', 'What is the opposite of hot?'];

/** A general answer is one sentence. */
const MAX_NEW_TOKENS = 32;

/**
 * Greedy answers, so that they differ by the weights alone.
 * @param cancelled looked at after each token
 * @throws PlaygroundError `measuring_cancelled`, or what `answer` throws
 */
export async function generalAnswers(
  base: BaseModel,
  { learner, which }: { learner: Learner; which: TunedWeights },
  platform: Pick<Platform, 'yieldToEvents'>,
  cancelled: () => boolean = () => false,
): Promise<GeneralAnswers> {
  const settings = { ...defaultGeneration(), do_sample: false, max_new_tokens: MAX_NEW_TOKENS };
  const answers: GeneralAnswers['answers'] = [];
  const said = async (prompt: string, by: Learner | null) => {
    const messages = [{ role: 'user' as const, content: prompt }];
    const { text } = await answer(base, by, messages, settings, platform, { onText: () => {}, cancelled });
    if (cancelled()) throw measuringCancelled();
    return text.trim();
  };
  for (const prompt of GENERAL_PROMPTS)
    answers.push({ prompt, base: await said(prompt, null), tuned: await said(prompt, learner) });
  return { weights: which, answers };
}
