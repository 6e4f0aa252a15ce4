// Pinned prompts of a run: which are accepted, at which evaluations they are answered, and the answers.
// Not here: one answer (answer.ts), when a run is evaluated (engine/training/plan.ts).
//
// How it works: the prompts are answered with the weights as they are, greedily, so that the same run gives the same answers. They are
// answered at the first evaluation and at the last, and between at those that were asked for, as long as the answers so far have taken no
// more of the run's work than `MAX_SHARE` of the steps made. Work is counted in tokens, so it does not depend on how busy a machine is.

import type { Example, Message } from '../contract';
import { encodePrompt } from '../data/tokens/encodeRows';
import type { Learner } from '../engine/model/adapters';
import type { TrainPlan } from '../engine/training/plan';
import { PlaygroundError } from '../errors';
import { defaultGeneration, PINNED } from '../generation';
import type { PinnedAnswer, PinnedColumn, PinnedConfig, PinnedEvery, PinnedRequest } from '../stepsContract';
import { answer } from './answer';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import type { Platform } from './platform';

/** Share of a run's work that the answers between the first and the last may take. */
const MAX_SHARE = 0.03;
/** The same of the first and the last answers, which are always made: they are cut shorter where they would take more. */
const ENDS_SHARE = 0.03;
/** Shorter answers say nothing. */
const LEAST_NEW_TOKENS = 12;
/**
 * Work of one token, where training on one is 1. A prompt is read in one pass; an answer is made token by token, each a pass of its own.
 * Measured on wasm with Pebble-1M: 3,000 tokens a second trained on, 600 made.
 */
const COST = { prompt: 0.4, answer: 5 };

const refused = (code: string, message: string, fix: string) => new PlaygroundError({ code, message, fix });

/** A prompt as it is compared with rows: case and white space do not count. */
const plain = (text: string) => text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();

/** The last user message before the first answer of a row; null in a row without one. */
function promptOf({ messages }: Example): string | null {
  const first = messages.findIndex(({ role }) => role === 'assistant');
  const before = first < 0 ? messages : messages.slice(0, first);
  const last = before.findLast(({ role }) => role === 'user');
  return last ? plain(last.content) : null;
}

const messagesOf = ({ prompt, system }: PinnedRequest['prompts'][number]): Message[] => [
  ...(system.trim() === '' ? [] : [{ role: 'system' as const, content: system }]),
  { role: 'user', content: prompt },
];

/**
 * The pinned prompts of a run that is about to be made.
 * @param tokens that the run will train on
 * @throws PlaygroundError `bad_pinned` for too many, empty or equal prompts, or a pace that is none; `pinned_test_row` for a prompt of a test
 *   row; `context_exceeded` for one that the model cannot read
 */
export function pinnedConfig(
  request: PinnedRequest,
  { chat, model }: Pick<BaseModel, 'chat' | 'model'>,
  dataset: Dataset,
  tokens: number,
): PinnedConfig {
  const { prompts, every } = request;
  if (prompts.length > PINNED.most)
    throw refused(
      'bad_pinned',
      `${prompts.length} prompts are pinned, and ${PINNED.most} are the most.`,
      'Take some of them away.',
    );
  if (every !== 'epoch' && !(Number.isInteger(every) && every >= 1))
    throw refused(
      'bad_pinned',
      `Pinned prompts are answered at each epoch or at every k-th evaluation, not at “${String(every)}”.`,
      'Give “epoch” or a whole number from 1.',
    );
  const promptsOf = (split: 'train' | 'validation' | 'test') =>
    new Set(dataset.rows(split).flatMap(({ example }) => promptOf(example) ?? []));
  const rows = { train: promptsOf('train'), validation: promptsOf('validation'), test: promptsOf('test') };
  const seen = new Set<string>();
  const { contextLength } = model.architecture;
  for (const [i, pinned] of prompts.entries()) {
    const which = `Pinned prompt ${i + 1}`;
    const key = `${plain(pinned.system)}\n${plain(pinned.prompt)}`;
    if (plain(pinned.prompt) === '')
      throw refused('bad_pinned', `${which} is empty.`, 'Write something, or take it away.');
    if (seen.has(key)) throw refused('bad_pinned', `${which} is there twice.`, 'Take one of them away.');
    seen.add(key);
    if (rows.test.has(plain(pinned.prompt)))
      throw refused(
        'pinned_test_row',
        `${which} is that of a test row: “${pinned.prompt.slice(0, 60)}”. Answers to it would be looked at while settings are chosen, and the test would no longer be one.`,
        'Pin a prompt of a held-out row, or one of your own.',
      );
    const length = encodePrompt(chat, messagesOf(pinned)).length;
    if (length >= contextLength)
      throw refused(
        'context_exceeded',
        `${which} has ${length} tokens, and this model reads at most ${contextLength}.`,
        'Shorten it, or take it away.',
      );
  }
  const sideOf = (prompt: string) =>
    rows.train.has(plain(prompt)) ? 'train' : rows.validation.has(plain(prompt)) ? 'validation' : null;
  return {
    prompts: prompts.map(({ prompt, system, expected }) => ({ prompt, system, expected })),
    every,
    sides: prompts.map(({ prompt }) => sideOf(prompt)),
    maxNewTokens: longestAnswer(prompts.length, tokens),
  };
}

/** The most tokens of an answer, so that the first and the last answers to all prompts stay within their share. */
export function longestAnswer(prompts: number, tokens: number): number {
  const within = Math.floor((ENDS_SHARE * tokens) / (2 * prompts * COST.answer));
  return Math.max(LEAST_NEW_TOKENS, Math.min(PINNED.maxNewTokens, within));
}

/** The evaluations that were asked for, in order; the first and the last are always among them. */
export function pinnedSteps(
  { evaluateAt, stepsPerEpoch, totalSteps }: Pick<TrainPlan, 'evaluateAt' | 'stepsPerEpoch' | 'totalSteps'>,
  every: PinnedEvery,
): number[] {
  const evaluations = [...evaluateAt].sort((a, b) => a - b);
  const nearest = (step: number) =>
    evaluations.reduce((best, e) => (Math.abs(e - step) < Math.abs(best - step) ? e : best));
  const chosen =
    every === 'epoch'
      ? Array.from({ length: Math.floor(totalSteps / stepsPerEpoch) }, (_, i) =>
          nearest((i + 1) * stepsPerEpoch),
        )
      : evaluations.filter((_, i) => i % every === 0);
  return [...new Set([0, ...chosen, totalSteps])].sort((a, b) => a - b);
}

/** Work of a column, in tokens that are trained on. */
const workOf = ({ answers }: PinnedColumn) =>
  answers.reduce((sum, a) => sum + COST.prompt * a.promptTokens + COST.answer * a.tokens, 0);

/**
 * Whether the answers at a step between the first and the last may be made now.
 * @param columns those made so far
 * @param done work of the run so far, in tokens trained on
 */
export function withinShare(columns: readonly PinnedColumn[], done: number): boolean {
  const [, ...between] = columns;
  const next = columns.at(-1);
  return between.reduce((sum, column) => sum + workOf(column), next ? workOf(next) : 0) <= MAX_SHARE * done;
}

/** The answers of one run. */
export class PinnedAnswers {
  readonly config: PinnedConfig;
  readonly columns: PinnedColumn[] = [];
  readonly #base: Pick<BaseModel, 'model' | 'chat'>;
  readonly #steps: ReadonlySet<number>;
  readonly #lastStep: number;
  readonly #platform: Pick<Platform, 'yieldToEvents'>;

  constructor(
    config: PinnedConfig,
    base: Pick<BaseModel, 'model' | 'chat'>,
    plan: Pick<TrainPlan, 'evaluateAt' | 'stepsPerEpoch' | 'totalSteps'>,
    platform: Pick<Platform, 'yieldToEvents'>,
  ) {
    this.config = config;
    this.#base = base;
    this.#steps = new Set(pinnedSteps(plan, config.every));
    this.#lastStep = plan.totalSteps;
    this.#platform = platform;
  }

  /** @param tokens that the run has trained on so far */
  isDue(step: number, tokens: number): boolean {
    if (!this.#steps.has(step) || this.columns.some((column) => column.step === step)) return false;
    return step === 0 || step === this.#lastStep || withinShare(this.columns, tokens);
  }

  /** Whether a run that ends with this step has no answers of its last weights. */
  isMissing(step: number): boolean {
    return !this.columns.some((column) => column.step === step);
  }

  /**
   * All prompts with these weights; nothing is kept of it where it was cancelled.
   * @param onPrompt called before each, with how many are done
   * @throws what the device reports
   */
  async make(
    { step, epoch }: Pick<PinnedColumn, 'step' | 'epoch'>,
    learner: Learner,
    { onPrompt, cancelled }: { onPrompt: (done: number) => void; cancelled: () => boolean },
  ): Promise<void> {
    const { prompts, maxNewTokens } = this.config;
    const settings = { ...defaultGeneration(), do_sample: false, max_new_tokens: maxNewTokens };
    const answers: PinnedAnswer[] = [];
    for (const [done, pinned] of prompts.entries()) {
      onPrompt(done);
      const { text, tokens, promptTokens, stoppedBy } = await answer(
        this.#base,
        learner,
        messagesOf(pinned),
        settings,
        this.#platform,
        { onText: () => {}, cancelled },
      );
      if (stoppedBy === 'cancelled') return;
      answers.push({ text, tokens, promptTokens, stoppedBy });
    }
    this.columns.push({ step, epoch, answers });
  }
}
