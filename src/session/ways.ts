// Each way of answering, carried out: its prompt, its weights, its answers with what was checked of them.
// Not here: the list of ways (ways.ts), what the figures mean (metrics/waysVerdict.ts), where tasks come from (cli/, ui/).
//
// Order: weights are made once for each kind of training and seed; then every way asks the same questions, first with the facts as they
// were, then with the documents of after the change. Answers are greedy, so a prompt that was asked before with the same weights is not
// asked again; what was changed is what is right, which is checked anew.

import type { CheckRule } from '../answerChecks';
import type { DeviceReport, Message, RunEvent, TileReport } from '../contract';
import { PassageSearch } from '../data/passageSearch';
import { encodePrompt } from '../data/tokens/encodeRows';
import type { Learner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import type { GenerationSettings } from '../generation';
import type { Hyperparameters } from '../hyperparameters';
import { passesRule } from '../metrics/checkRules';
import { series } from '../metrics/curves';
import type {
  ClockKind,
  FoundPassage,
  Passage,
  PromptExample,
  PromptSettings,
  RetrievalScore,
  Training,
  Tuning,
  Way,
  WayAnswer,
  WayQuestion,
} from '../ways';
import { answer } from './answer';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import { rowsWithPassages, searchText, withPassages, withSystem } from './passages';
import type { Platform } from './platform';
import { Run } from './run';

/** A clock of what it costs to answer. */
export interface Clock {
  kind: ClockKind;
  nowMs(): number;
}

export interface Asking {
  questions: readonly WayQuestion[];
  /** How an answer must sound or look; null where nothing is asked for. */
  form: CheckRule | null;
  settings: PromptSettings;
  /** Null without documents. */
  search: PassageSearch | null;
  /** Rows that may be shown as examples; never those that are asked. */
  examples: ExampleRows | null;
  /** The facts have changed: `WayQuestion.changed` is what is right, where it is there. */
  changed: boolean;
}

/** Answered questions, and the search of those that are most like a question. */
export class ExampleRows {
  readonly #rows: readonly PromptExample[];
  readonly #search: PassageSearch;

  constructor(rows: readonly PromptExample[]) {
    this.#rows = rows;
    const passages = rows.map(({ question }, i) => ({
      id: String(i),
      text: question,
      file: '',
      line: i + 1,
    }));
    this.#search = new PassageSearch(passages);
  }

  /** Those of the rows with a question and one answer. */
  static ofTraining(dataset: Dataset): ExampleRows {
    const rows = dataset.rows('train').flatMap(({ example }): PromptExample[] => {
      const turns = example.messages.filter(({ role }) => role !== 'system');
      const [question, reply] = turns;
      if (turns.length !== 2 || question?.role !== 'user' || reply?.role !== 'assistant') return [];
      return [{ question: question.content, answer: reply.content }];
    });
    return new ExampleRows(rows);
  }

  /** The most like it last, beside the question. */
  like(question: string, count: number): PromptExample[] {
    const found = this.#search.find(question, count).map(({ id }) => this.#rows[Number(id)] as PromptExample);
    return found.reverse();
  }
}

/** A prompt, and what stands in it. */
export interface WayPrompt {
  messages: Message[];
  sources: FoundPassage[];
  leftOut: number;
}

/**
 * The prompt of a way for a question. Passages that do not fit the context together with the answer are left out, the worst first.
 * @throws PlaygroundError `no_documents` for a way that searches where there is nothing to search
 */
export function promptOf(
  way: Way,
  question: WayQuestion,
  { chat, model }: Pick<BaseModel, 'chat' | 'model'>,
  { settings, search, examples }: Pick<Asking, 'settings' | 'search' | 'examples'>,
): WayPrompt {
  let messages = withSystem(question.messages, way.instruction ? settings.instruction.trim() : '');
  if (way.examples) messages = withExamples(messages, settings, examples);
  if (!way.retrieval) return { messages, sources: [], leftOut: 0 };
  if (search === null) throw noDocuments();
  const sources = search.find(searchText(question.messages), settings.passages);
  const room = model.architecture.contextLength - settings.maxNewTokens;
  let kept = sources.length;
  while (kept > 0 && encodePrompt(chat, withPassages(messages, sources.slice(0, kept))).length > room) kept--;
  return {
    messages: withPassages(messages, sources.slice(0, kept)),
    sources: sources.slice(0, kept),
    leftOut: sources.length - kept,
  };
}

/** Examples as turns, between the system message and the question. */
function withExamples(
  messages: Message[],
  { examples: count, picked }: PromptSettings,
  rows: ExampleRows | null,
): Message[] {
  const chosen = picked.length > 0 ? picked : (rows?.like(searchText(messages), count) ?? []);
  const turns = chosen.flatMap((example): Message[] => [
    { role: 'user', content: example.question },
    { role: 'assistant', content: example.answer },
  ]);
  const [first, ...rest] = messages;
  return first?.role === 'system' ? [first, ...turns, ...rest] : [...turns, ...messages];
}

const noDocuments = () =>
  new PlaygroundError({
    code: 'no_documents',
    message: 'This way looks things up, and there are no documents.',
    fix: 'Choose a document: a table as CSV, Markdown or text.',
  });

export interface AskHooks {
  /** After every answer. */
  onAnswer: (done: number, of: number) => void | Promise<void>;
  cancelled: () => boolean;
}

/** Answers of one model and learner by their prompts: greedy, so the same prompt has the same answer. */
export type AnsweredPrompts = Map<
  string,
  Pick<WayAnswer, 'text' | 'stoppedBy' | 'promptTokens' | 'tokens' | 'ms'>
>;

/**
 * Asks every question in one way.
 * @param learner null for the base model
 * @param answered what was asked of these weights before; more is added to it
 * @returns as many answers as there are questions; fewer when it was cancelled
 * @throws PlaygroundError `no_documents`, `context_exceeded`, or of the device
 */
export async function askWay(
  way: Way,
  base: BaseModel,
  learner: Learner | null,
  asking: Asking,
  { platform, clock, answered }: { platform: Platform; clock: Clock; answered: AnsweredPrompts },
  { onAnswer, cancelled }: AskHooks,
): Promise<WayAnswer[]> {
  const settings: GenerationSettings = {
    do_sample: false,
    temperature: 1,
    top_k: 0,
    top_p: 1,
    seed: 0,
    max_new_tokens: asking.settings.maxNewTokens,
  };
  const answers: WayAnswer[] = [];
  for (const question of asking.questions) {
    const prompt = promptOf(way, question, base, asking);
    const key = JSON.stringify([prompt.messages, settings.max_new_tokens]);
    let given = answered.get(key);
    if (!given) {
      const from = clock.nowMs();
      const result = await answer(base, learner, prompt.messages, settings, platform, {
        onText: () => {},
        cancelled,
      });
      if (cancelled()) return answers;
      const { text, stoppedBy, promptTokens, tokens } = result;
      given = { text, stoppedBy, promptTokens, tokens, ms: clock.nowMs() - from };
      answered.set(key, given);
    }
    answers.push(checked(question, prompt, given, asking));
    await onAnswer(answers.length, asking.questions.length);
    await platform.yieldToEvents();
    if (cancelled()) return answers;
  }
  return answers;
}

function checked(
  question: WayQuestion,
  prompt: WayPrompt,
  given: Pick<WayAnswer, 'text' | 'stoppedBy' | 'promptTokens' | 'tokens' | 'ms'>,
  { form, changed }: Asking,
): WayAnswer {
  const { expected, facts } = (changed && question.changed) || question;
  const outcome = passesRule(facts, given, expected);
  return {
    question: question.id,
    ...given,
    ...prompt,
    facts: outcome.passed,
    factsDetail: outcome.detail,
    form: form === null ? null : passesRule(form, given, expected).passed,
  };
}

/** Whether the search finds what the questions need, apart from any model. */
export function scoreRetrieval(
  questions: readonly WayQuestion[],
  search: PassageSearch,
  passages: number,
): RetrievalScore {
  const known = questions.filter((question) => question.passages !== null);
  const score: RetrievalScore = {
    of: known.length,
    found: 0,
    first: 0,
    passages,
    search: search.settings,
    misses: [],
  };
  for (const question of known) {
    const wanted = question.passages as string[];
    const text = searchText(question.messages);
    const found = search.find(text, passages);
    if (found[0] && wanted.includes(found[0].id)) score.first++;
    if (found.some(({ id }) => wanted.includes(id))) score.found++;
    else
      score.misses.push({ question: question.id, text, wanted, found: found.map((passage) => passage.text) });
  }
  return score;
}

/** Documents as a search; null without passages. */
export const searchOf = (passages: readonly Passage[], settings: PromptSettings): PassageSearch | null =>
  passages.length > 0 ? new PassageSearch(passages, settings.search) : null;

/** The rows that a way is trained on. @throws PlaygroundError `no_documents`, `passages_need_questions` */
export async function trainingRows(
  tuning: Exclude<Tuning, 'none'>,
  rows: Dataset,
  search: PassageSearch | null,
  { passages }: PromptSettings,
): Promise<Dataset> {
  if (tuning === 'rows') return rows;
  if (search === null) throw noDocuments();
  return rowsWithPassages(rows, search, passages);
}

export interface TrainHooks {
  onEvent: (event: RunEvent) => void | Promise<void>;
  /** Gets the run before its first step, so that it can be stopped. */
  onRun: (run: Run) => void;
}

/**
 * Trains the weights of a way. The caller frees `run.trainer`.
 * @throws PlaygroundError what `Run.prepare` throws; what made the run fail; `ways_stopped` when it was stopped
 */
export async function trainWay(
  tuning: Exclude<Tuning, 'none'>,
  base: BaseModel,
  dataset: Dataset,
  h: Hyperparameters,
  at: { device: DeviceReport; tiles: TileReport | null },
  { platform, clock }: { platform: Platform; clock: Clock },
  { onEvent, onRun }: TrainHooks,
): Promise<{ run: Run; learner: Learner; training: Training }> {
  await dataset.provideReplay(h, platform);
  const run = Run.prepare(base, dataset, h, at, platform);
  onRun(run);
  const from = clock.nowMs();
  const summary = await run.go(onEvent, () => {});
  if (summary.state !== 'finished') {
    run.trainer.dispose();
    if (summary.error) throw new PlaygroundError(summary.error);
    throw new PlaygroundError({
      code: 'ways_stopped',
      message: 'The training of a way was stopped before its end.',
      fix: 'Start it again.',
    });
  }
  const { method, learning_rate, num_train_epochs, batch_size, seed } = h;
  return {
    run,
    learner: run.learned(run.kept).learner,
    training: {
      tuning,
      seed,
      steps: summary.step,
      ms: clock.nowMs() - from,
      peakBytes: Math.max(...series(run.points, 'memory_allocated').map(({ value }) => value)),
      rows: run.config.trainRows,
      hyperparameters: { method, learning_rate, num_train_epochs, batch_size },
    },
  };
}
