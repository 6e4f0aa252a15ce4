// The proof of an export: the bytes that were written are read again, and their logits and greedy answers compared with those of the live model.
// Not here: writing the files (session/exports.ts), reading the formats (formats/), what is shown of it (wording in metrics/exportClaims.ts).

import type { Message } from '../contract';
import { encodePrompt } from '../data/tokens/encodeRows';
import { awaitDeviceError, takeDeviceError } from '../engine/device/device';
import { generate } from '../engine/generation/generate';
import type { Learner } from '../engine/model/adapters';
import type { LoadedModel } from '../engine/model/artifacts';
import { lastLogits } from '../engine/model/logits';
import type { Model } from '../engine/model/model';
import { PlaygroundError } from '../errors';
import type { ExportProof } from '../exportContract';
import type { WeightType } from '../exportFormats';
import { defaultGeneration } from '../generation';
import type { Dataset } from './dataset';
import { measuringCancelled } from './measuring';
import { createPace, type Platform } from './platform';

const ANSWERS = 10;
const ANSWER_TOKENS = 24;
/** Logits are compared over the end of a prompt and its answer: of a vocabulary of 262,144 that is 40 MB at a time. */
const COMPARED_TOKENS = 40;

/** Asked where there are no rows. */
const QUESTIONS = [
  'Hello!',
  'Who are you?',
  'What can you do?',
  'Tell me about the sea.',
  'What is two plus two?',
  'Write one sentence about a dog.',
  'Which colour is the sky?',
  'Give me an example.',
  'Why is it so?',
  'Thank you. Goodbye!',
];

/** Ten prompts as ids: of held-out rows, then of training rows, then questions of our own. Each is shorter than half the context. */
export function proofPrompts(
  { chat, model }: Pick<LoadedModel, 'chat' | 'model'>,
  dataset: Dataset | null,
): number[][] {
  const room = Math.floor(model.architecture.contextLength / 2);
  const rows = dataset ? [...dataset.rows('validation'), ...dataset.rows('train')] : [];
  const seen = new Set<string>();
  const prompts: number[][] = [];
  const add = (ids: readonly number[]) => {
    const key = ids.join();
    if (ids.length === 0 || ids.length > room || seen.has(key) || prompts.length === ANSWERS) return;
    seen.add(key);
    prompts.push([...ids]);
  };
  for (const { encoded } of rows) {
    if (prompts.length === ANSWERS) break;
    const first = encoded.mask.indexOf(1);
    // Of a row that is learned from its start there is no prompt.
    if (first > 1) add([...encoded.ids.subarray(0, first)]);
  }
  for (const content of QUESTIONS) add(encodePrompt(chat, [{ role: 'user', content } satisfies Message]));
  return prompts;
}

/** A model with its adapter, or without. */
export interface Tuned {
  model: Model;
  learner: Learner | null;
}

export interface ProofHooks {
  /** @param share of the answers that are compared, 0 to 1 */
  onProgress: (share: number) => void;
  cancelled: () => boolean;
}

/**
 * Greedy answers and logits of both, prompt by prompt; the live model's answer is the text that both are compared on.
 * @param base the model without what was learned; null where nothing was learned on it here
 * @param how.type how the exported weights are stored, which says how far they may be off
 * @param how.ofRun curves and record of a run come with them, which are a result also where nothing was learned
 * @returns the proof, and whether the live model gives exactly the logits of the base
 * @throws PlaygroundError `measuring_cancelled`, `export_not_finite`, `export_changes_nothing`, `export_differs`
 */
export async function compareTuned(
  { live, again, base }: { live: Tuned; again: Tuned; base: Tuned | null },
  prompts: readonly (readonly number[])[],
  { stopIds, type, ofRun }: { stopIds: readonly number[]; type: WeightType; ofRun: boolean },
  platform: Pick<Platform, 'yieldToEvents'>,
  { onProgress, cancelled }: ProofHooks,
): Promise<{ proof: ExportProof; nothingLearned: boolean }> {
  const pace = createPace(platform);
  let sameAnswers = 0;
  let [difference, change, least, most] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  // Sums of squares: what the export is off by, and what was learned.
  let [off, learned] = [0, 0];
  const answerOf = async ({ model, learner }: Tuned, prompt: readonly number[]) => {
    const settings = { ...defaultGeneration(), do_sample: false, max_new_tokens: ANSWER_TOKENS };
    const ids: number[] = [];
    for await (const id of generate(model, learner, prompt, stopIds, settings)) {
      ids.push(id);
      await pace();
      if (cancelled()) throw measuringCancelled();
    }
    return ids;
  };
  for (const [i, prompt] of prompts.entries()) {
    const answer = await answerOf(live, prompt);
    const other = await answerOf(again, prompt).catch((thrown: unknown) => {
      if (thrown instanceof PlaygroundError && thrown.code === 'non_finite') throw notFinite();
      throw thrown;
    });
    if (other.join() === answer.join()) sameAnswers++;
    const text = [...prompt, ...answer];
    const count = Math.min(text.length, COMPARED_TOKENS);
    const logits = ({ model, learner }: Tuned) => lastLogits(model, learner, text, count);
    const [ours, theirs] = [await logits(live), await logits(again)];
    const unchanged = base && (await logits(base));
    for (const [k, ourLogit] of ours.entries()) {
      const its = theirs[k] as number;
      if (!Number.isFinite(its)) throw notFinite();
      difference = Math.max(difference, Math.abs(its - ourLogit));
      least = Math.min(least, ourLogit);
      most = Math.max(most, ourLogit);
      if (!unchanged) continue;
      const before = unchanged[k] as number;
      change = Math.max(change, Math.abs(its - before));
      off += (its - ourLogit) ** 2;
      learned += (before - ourLogit) ** 2;
    }
    const gpuError = takeDeviceError();
    if (gpuError) throw (await awaitDeviceError()) ?? gpuError;
    onProgress((i + 1) / prompts.length);
    await pace();
    if (cancelled()) throw measuringCancelled();
  }
  const logitRange = most - least;
  // The base model is as near to the live one as the export is: nothing was learned, or rounding took more than was learned.
  const nothingLearned = base !== null && learned === 0;
  const nothingLeft = base !== null && off >= learned;
  const proof: ExportProof = {
    answers: prompts.length,
    sameAnswers,
    maxLogitDifference: difference,
    maxLogitChange: base && change,
    logitRange,
  };
  if (nothingLearned && !ofRun) throw changesNothing(true);
  assertSame(proof, type);
  if (nothingLeft && !nothingLearned) throw changesNothing(false);
  return { proof, nothingLearned };
}

const notFinite = () =>
  new PlaygroundError({
    code: 'export_not_finite',
    message: 'Read again, the exported files give logits that are not numbers, so they were not handed over.',
    fix: 'Go back to the best step, or export in another type (BF16 or F32).',
  });

const changesNothing = (nothingLearned: boolean) =>
  new PlaygroundError({
    code: 'export_changes_nothing',
    message: nothingLearned
      ? 'These weights answer exactly as the base model does: nothing was learned that an export could hold, so it was not handed over.'
      : 'Read again, the exported files are no nearer to the tuned model than the base model is: rounding takes away more than was learned, so they were not handed over.',
    fix: nothingLearned
      ? 'Train for more steps or with a higher learning rate.'
      : 'Export in a more exact type, or only the adapter.',
  });

/** By how much of the range of the logits an export may differ; rounding to 8 bits moved ours by up to 3 %. */
const TOLERANCE: Readonly<Record<WeightType, number>> = { F32: 1e-3, F16: 0.02, BF16: 0.1, Q8_0: 0.2 };

/** @throws PlaygroundError `export_differs` where the difference is no rounding of this type */
function assertSame(proof: ExportProof, type: WeightType): void {
  const { maxLogitDifference, logitRange } = proof;
  if (maxLogitDifference <= TOLERANCE[type] * logitRange) return;
  throw new PlaygroundError({
    code: 'export_differs',
    message: `Read again, the exported files give logits that differ by ${maxLogitDifference.toPrecision(2)} of a range of ${logitRange.toPrecision(3)}, more than ${type} rounds, so they were not handed over.`,
    fix: 'Export in a more exact type. If it is F32, this is a fault of the program: report it.',
  });
}
