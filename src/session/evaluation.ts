// An evaluation of answers: rows of a side asked of the base and the tuned model, checked, measured, and compared. For page and command line.
// Not here: what a check does (metrics/checks.ts), what it comes to (metrics/answerScores.ts), one answer (answer.ts).
//
// Rows go in groups of 8: their losses with both models in a batch, then each row's two answers, and the row is reported. An answer is known
// by weights, prompt and settings (`KnownAnswers`), and is asked once: other checks, mended rows or a new run ask only what is new.

import type { CheckRule } from '../answerChecks';
import type { EncodedExample, Example, GenerateResult, Message, RunConfig, TunedWeights } from '../contract';
import { LikeRows } from '../data/likeRows';
import type { Row } from '../data/prepareRows';
import { createRandom } from '../data/random';
import { promptOf } from '../data/split';
import { type Chat, withTools } from '../data/tokens/chat';
import { encodePrompt } from '../data/tokens/encodeRows';
import type { SplitSide } from '../dataContract';
import type { Learner } from '../engine/model/adapters';
import type { RowLoss } from '../engine/training/evaluate';
import { PlaygroundError } from '../errors';
import type {
  AnswerEvaluation,
  EvaluatedAnswer,
  EvaluatedRow,
  EvaluationRequest,
  LikeRow,
} from '../evaluationContract';
import { assertGeneration, GENERATION, GENERATION_NAMES, type GenerationSettings } from '../generation';
import { answerScores } from '../metrics/answerScores';
import { passesRule, readRule } from '../metrics/checkRules';
import type { ExpectedRow } from '../metrics/checks';
import { answer } from './answer';
import type { Dataset } from './dataset';
import { lossesInOrder, type MeasuringHooks, measuringCancelled } from './measuring';
import type { BaseModel } from './model';
import type { Platform } from './platform';
import { countTestLook } from './testLooks';

/** Rows measured together, before they are asked one by one. */
const GROUP = 8;
/** Answers and losses that are kept known; beyond it all are forgotten. */
const MOST_KNOWN = 50_000;
/** The likest training rows among which a near-duplicate is looked for. */
const COMPARED = 5;
/** Of the bootstrap: the same rows give the same interval. */
const SEED = 1;

type KnownAnswer = Pick<GenerateResult, 'text' | 'tokens' | 'stoppedBy'>;

/** What has been asked and measured of one loaded model, by weights, prompt and settings. In memory. */
export class KnownAnswers {
  readonly #answers = new Map<string, KnownAnswer>();
  readonly #losses = new Map<string, RowLoss>();
  /** Answers that the models were asked for: what was known is not among them. */
  asked = 0;

  async answer(key: string, ask: () => Promise<GenerateResult>): Promise<KnownAnswer> {
    const known = this.#answers.get(key);
    if (known) return known;
    this.asked++;
    const { text, tokens, stoppedBy } = await ask();
    const found = { text, tokens, stoppedBy };
    // What was cut short by a cancel is no answer.
    if (stoppedBy !== 'cancelled') keep(this.#answers, key, found);
    return found;
  }

  async losses(
    keys: readonly string[],
    rows: readonly EncodedExample[],
    measure: (rows: EncodedExample[]) => Promise<RowLoss[]>,
  ): Promise<RowLoss[]> {
    const unknown = keys.flatMap((key, i) =>
      this.#losses.has(key) ? [] : [{ key, row: rows[i] as EncodedExample }],
    );
    const found = new Map<string, RowLoss>();
    if (unknown.length > 0) {
      const measured = await measure(unknown.map(({ row }) => row));
      for (const [i, { key }] of unknown.entries()) found.set(key, measured[i] as RowLoss);
    }
    const all = keys.map((key) => (found.get(key) ?? this.#losses.get(key)) as RowLoss);
    for (const [key, loss] of found) keep(this.#losses, key, loss);
    return all;
  }
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MOST_KNOWN) map.clear();
  map.set(key, value);
}

/** Weights that are evaluated beside the base model. */
export interface TunedModel {
  learner: Learner;
  /** The run, and the step after which the weights are these. */
  runId: string;
  which: TunedWeights | 'step';
  step: number;
  /** What ran: whether it has read rows that are held out now. Null where no record of it is there. */
  config: RunConfig | null;
}

/** What speaks against taking the rows for unseen: the data or their split are not those of the run. Null where nothing does. */
function seenSentence({ config }: TunedModel, dataset: Dataset): string | null {
  if (config === null) {
    return 'There is no record of the run, so these rows may be among those that it learned from.';
  }
  const { report, settings } = dataset;
  const hashes = (files: readonly { hash: string }[]) => files.map(({ hash }) => hash).join();
  const same =
    config.datasetHash === report.hash &&
    hashes(config.beside ?? []) === hashes(report.beside) &&
    SPLIT_SETTINGS.every((name) => config.hyperparameters[name] === settings[name]);
  return same
    ? null
    : 'The data or their split have changed since this run, so it may have learned from some of these rows.';
}
const SPLIT_SETTINGS = ['validation_fraction', 'test_fraction', 'seed', 'loss_on'] as const;

/** A row with what it asks and what it teaches. */
interface AskedRow extends Row {
  split: SplitSide;
  index: number;
  prompt: Message[];
  expected: string;
}

/**
 * The conversation before an answer, and the answer: the one that the row is encoded for, else the last that is learned.
 * @returns null for a plain text
 */
function askedOf({ encoded, example }: Row, chat: Chat): { prompt: Message[]; expected: string } | null {
  const { messages, tools } = example;
  const at =
    encoded.answer ?? messages.findLastIndex(({ role, weight }) => role === 'assistant' && weight !== 0);
  const taught = messages[at];
  if (at <= 0 || !taught) return null;
  const prompt = messages.slice(0, at);
  if (taught.tool_calls === undefined || taught.tool_calls.length === 0)
    return { prompt, expected: taught.content };
  // A call of a tool is expected as the template writes it.
  const start = encodePrompt(withTools(chat, tools), prompt).length;
  const ids = encoded.ids.filter((_, t) => t >= start && encoded.mask[t] === 1);
  return { prompt, expected: chat.tokenizer.decode(ids, { skipSpecial: true }).trim() };
}

/** Those rows of a side that ask something. */
function askedRows(dataset: Dataset, split: SplitSide, chat: Chat): AskedRow[] {
  return dataset.rows(split).flatMap((row, index) => {
    const asked = askedOf(row, chat);
    return asked ? [{ ...row, split, index, ...asked }] : [];
  });
}

/** `count` of the items, spread evenly. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (count >= items.length) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)] as T);
}

/** What checks are proposed from: the answers that the training rows teach. */
export function expectedRows(dataset: Dataset, chat: Chat): ExpectedRow[] {
  const rows = askedRows(dataset, 'train', chat);
  return spread(rows, MOST_PROPOSED).map(({ expected }) => ({ expected }));
}
const MOST_PROPOSED = 2000;

/** Training rows by likeness of their prompts. */
export class TrainingRows {
  readonly #rows: readonly Row[];
  readonly #like: LikeRows;

  constructor(dataset: Dataset) {
    this.#rows = dataset.rows('train');
    this.#like = new LikeRows(this.#rows.map(({ example }) => promptOf(example)));
  }

  /** @param prompt of `promptOf` */
  nearest(prompt: string, count: number): LikeRow[] {
    return this.#like.nearest(prompt, count).map(({ index, similarity, near }) => {
      const { encoded, example } = this.#rows[index] as Row;
      const { line, file } = encoded;
      const taught = example.messages.findLast(({ role }) => role === 'assistant');
      const shown = { prompt: promptOf(example), answer: taught?.content ?? '' };
      return { index, line, ...(file !== undefined && { file }), ...shown, similarity, near };
    });
  }
}

/** The text that training rows are compared by. */
export const promptText = (prompt: readonly Message[]) =>
  promptOf({ line: 0, messages: [...prompt] } as Example);

/** @throws PlaygroundError `no_checks`, `bad_check`, `bad_generation`, `bad_row_count` */
function readRequest(request: EvaluationRequest): CheckRule[] {
  if (request.checks.length === 0) {
    throw new PlaygroundError({
      code: 'no_checks',
      message: 'No check is chosen, so nothing says which answers are right.',
      fix: 'Choose a check, for example exact.',
    });
  }
  const { maxRows } = request;
  if (maxRows !== null && !(Number.isInteger(maxRows) && maxRows >= 1)) {
    throw new PlaygroundError({
      code: 'bad_row_count',
      message: 'The number of rows to ask must be a whole number above 0.',
      fix: 'Give another number, or ask all rows.',
    });
  }
  assertGeneration(request.settings);
  return request.checks.map((rule) => readRule(rule));
}

/** Settings that change an answer, as a text: without sampling, those of sampling do not. */
function settingsKey(settings: GenerationSettings): string {
  const used = GENERATION_NAMES.filter((name) => {
    const entry = GENERATION[name];
    return settings.do_sample || entry.kind === 'boolean' || !entry.sampledOnly;
  });
  return JSON.stringify(used.map((name) => settings[name]));
}

export interface EvaluationHooks extends Pick<MeasuringHooks, 'cancelled'> {
  onRow: (row: EvaluatedRow, done: number, of: number) => void;
}

/**
 * Asks the rows and scores the answers.
 * @param tuned null where nothing is trained: the base model alone is evaluated
 * @param known of the same loaded model
 * @throws PlaygroundError of `readRequest`; `no_test_rows`, `no_rows_to_ask`; `measuring_cancelled`; as `answer` and `measureRows`
 */
export async function evaluateAnswers(
  base: BaseModel,
  tuned: TunedModel | null,
  dataset: Dataset,
  request: EvaluationRequest,
  known: KnownAnswers,
  platform: Pick<Platform, 'yieldToEvents' | 'records'>,
  { onRow, cancelled }: EvaluationHooks,
): Promise<AnswerEvaluation> {
  const rules = readRequest(request);
  const { report } = dataset;
  const side = askedRows(dataset, request.split, base.chat);
  const sideRows = dataset.rows(request.split).length;
  if (request.split === 'test' && report.test === null) throw noRows('no_test_rows');
  if (side.length === 0) throw noRows(sideRows === 0 ? 'no_held_out_rows' : 'no_rows_to_ask');
  const heldOut = spread(side, request.maxRows ?? side.length);
  const train = request.trainRows ? spread(askedRows(dataset, 'train', base.chat), heldOut.length) : [];
  const all = [...heldOut, ...train];
  const training = new TrainingRows(dataset);
  const looks =
    request.split === 'test' && report.test ? await countTestLook(platform.records, report.test.hash) : null;

  const settings = settingsKey(request.settings);
  const weightsOf = (which: 'base' | 'tuned') =>
    which === 'base' || !tuned ? 'base' : JSON.stringify([tuned.runId, tuned.which, tuned.step]);
  const losses = (which: 'base' | 'tuned', group: readonly AskedRow[]) => {
    const rows = group.map(({ encoded }) => encoded);
    const keys = rows.map(({ ids, mask }) => `${weightsOf(which)} ${ids.join()} ${mask.join('')}`);
    const learner = which === 'base' ? null : (tuned?.learner ?? null);
    return known.losses(keys, rows, (unknown) =>
      lossesInOrder(base.model, learner, unknown, platform, { onProgress: () => {}, cancelled }),
    );
  };
  const ask = async (which: 'base' | 'tuned', row: AskedRow, loss: RowLoss): Promise<EvaluatedAnswer> => {
    const { prompt, expected, example } = row;
    const key = `${weightsOf(which)} ${settings} ${JSON.stringify([prompt, example.tools ?? null])}`;
    const learner = which === 'base' ? null : (tuned?.learner ?? null);
    const asked = { model: base.model, chat: withTools(base.chat, example.tools) };
    const found = await known.answer(key, () =>
      answer(asked, learner, prompt, request.settings, platform, { onText: () => {}, cancelled }),
    );
    if (cancelled()) throw measuringCancelled();
    const outcomes = rules.map((rule) => passesRule(rule, found, expected));
    const right = outcomes.every(({ passed }) => passed);
    return { ...found, outcomes, right, lossSum: loss.lossSum, correct: loss.correct };
  };

  const rows: EvaluatedRow[] = [];
  for (let start = 0; start < all.length; start += GROUP) {
    const group = all.slice(start, start + GROUP);
    const before = await losses('base', group);
    const after = tuned ? await losses('tuned', group) : null;
    for (const [i, row] of group.entries()) {
      if (cancelled()) throw measuringCancelled();
      const { split, index, prompt, expected, encoded } = row;
      const like =
        split === 'train' ? [] : training.nearest(promptText(prompt), COMPARED).filter(({ near }) => near);
      const evaluated: EvaluatedRow = {
        split,
        index,
        line: encoded.line,
        ...(encoded.file !== undefined && { file: encoded.file }),
        ...(encoded.answer !== undefined && { answer: encoded.answer }),
        prompt,
        expected,
        targets: (before[i] as RowLoss).targets,
        base: await ask('base', row, before[i] as RowLoss),
        tuned: after && (await ask('tuned', row, after[i] as RowLoss)),
        near: like[0] ?? null,
      };
      rows.push(evaluated);
      onRow(evaluated, rows.length, all.length);
      await platform.yieldToEvents();
    }
  }
  return {
    version: 1,
    at: new Date().toISOString(),
    modelId: base.id,
    weights: tuned && { runId: tuned.runId, which: tuned.which, step: tuned.step },
    data: { name: report.name, hash: report.hash, trainRows: report.trainRows },
    request: { ...request, checks: rules },
    sideRows,
    withoutPrompt: sideRows - side.length,
    seen: tuned && seenSentence(tuned, dataset),
    test: request.split === 'test' && report.test ? { hash: report.test.hash, looks } : null,
    rows,
    scores: answerScores(rows, rules, () => createRandom(SEED)),
  };
}

function noRows(code: 'no_test_rows' | 'no_held_out_rows' | 'no_rows_to_ask'): PlaygroundError {
  const told = {
    no_test_rows: ['There are no test rows.', 'Set a test share or choose a test file, and train again.'],
    no_held_out_rows: ['No row is held out.', 'Set a validation share, or add rows.'],
    no_rows_to_ask: [
      'These rows are plain text: they ask nothing, so there is no answer to check.',
      'Choose rows with questions and answers; the loss of a text is in the table of rows.',
    ],
  } as const;
  const [message, fix] = told[code];
  return new PlaygroundError({ code, message, fix });
}
