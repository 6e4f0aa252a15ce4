// What an evaluation of answers is: what is asked, what comes back row by row, and what it comes to.
// Types only, as in contract.ts. Not here: the checks and their parameters (answerChecks.ts).

import type { CheckedAnswer, CheckOutcome, CheckRule, ChosenCheck } from './answerChecks';
import type { Message, TunedWeights } from './contract';
import type { RowChange, RowFile, SplitSide } from './dataContract';
import type { GenerationSettings } from './generation';

export interface EvaluationRequest {
  /** Test rows are for one last look: each is counted. */
  split: 'validation' | 'test';
  /** Rows of the side that are asked, spread evenly; null for all. */
  maxRows: number | null;
  /** At least one. An answer is right where it passes all of them. */
  checks: CheckRule[];
  settings: GenerationSettings;
  /** Asks as many training rows beside them: what the model has by heart, and what it has learned. */
  trainRows: boolean;
}

/** What one set of weights does with a row. */
export interface EvaluatedAnswer extends CheckedAnswer {
  tokens: number;
  /** In the order of the checks. */
  outcomes: CheckOutcome[];
  right: boolean;
  /** Sum over the learned tokens of the row, in nats. */
  lossSum: number;
  /** Learned tokens that were the likeliest. */
  correct: number;
}

/** A training row that is like a prompt. */
export interface LikeRow {
  /** As `previewRows` counts the training rows. */
  index: number;
  line: number;
  /** As of `Example`. */
  file?: RowFile;
  prompt: string;
  answer: string;
  /** Of words and word pairs, rare ones counting more: 0 for none shared, 1 for the same. */
  similarity: number;
  /** Nearly the same prompt, as the split understands it. */
  near: boolean;
}

export interface EvaluatedRow {
  split: SplitSide;
  /** As `previewRows` counts the rows of the side. */
  index: number;
  line: number;
  /** Both as of `EncodedExample`. */
  file?: RowFile;
  answer?: number;
  /** The conversation before the answer. */
  prompt: Message[];
  /** The answer that the row teaches. */
  expected: string;
  /** Learned tokens. */
  targets: number;
  base: EvaluatedAnswer;
  /** Null where nothing is trained. */
  tuned: EvaluatedAnswer | null;
  /** The training row with nearly this prompt; null without one, and for training rows. */
  near: LikeRow | null;
}

/** A count of rows with its 95 % interval (Wilson). */
export interface Rate {
  passed: number;
  of: number;
  low: number;
  high: number;
}

/** How a classifier does, beside one that always answers the most frequent label. */
export interface LabelScores {
  labels: string[];
  /** Rows: expected label. Columns: answered label, and last those without one. */
  matrix: number[][];
  accuracy: number;
  balancedAccuracy: number;
  macroF1: number;
  /** By label; null where it is neither expected nor answered. */
  f1: (number | null)[];
  majority: { label: string; accuracy: number; balancedAccuracy: number; macroF1: number } | null;
}

export interface ModelScores {
  right: Rate;
  /** In the order of the checks. */
  checks: Rate[];
  /** One for each label check, in their order. */
  labels: LabelScores[];
  /** Mean over all learned tokens, in nats; null without any. */
  loss: number | null;
  /** Null without a loss, and where it is too large for a number. */
  perplexity: number | null;
  tokenAccuracy: number | null;
}

/** The tuned model beside the base, row by row. */
export interface WinLoss {
  /** Right where the base is wrong. */
  wins: number;
  losses: number;
  ties: number;
  /** Exact two-sided sign test over wins and losses. */
  p: number;
  /** Difference of the rates, with its 95 % interval by paired bootstrap. */
  difference: { mean: number; low: number; high: number };
}

export interface SideScores {
  rows: number;
  base: ModelScores;
  tuned: ModelScores | null;
  compared: WinLoss | null;
}

export interface EvaluationScores {
  /** Of the side that was asked for. */
  heldOut: SideScores;
  train: SideScores | null;
  /** Held-out rows with nearly the prompt of a training row, and the scores of the others. */
  near: number;
  withoutNear: SideScores | null;
  /** What it comes to, in sentences. */
  sentence: string;
  /** Whether it is learned or known by heart; null without training rows or a tuned model. */
  memorised: string | null;
}

/** A finished evaluation: what the page exports and the command line prints. */
export interface AnswerEvaluation {
  version: 1;
  /** ISO 8601. */
  at: string;
  modelId: string;
  /** Null where nothing is trained. */
  weights: { runId: string; which: TunedWeights | 'step'; step: number } | null;
  data: { name: string; hash: string; trainRows: number };
  request: EvaluationRequest;
  /** Rows of the side; more than were asked where `maxRows` is fewer. */
  sideRows: number;
  /** Rows that are plain text and ask nothing. */
  withoutPrompt: number;
  /** Why the rows may not be new to the tuned model, as a sentence; null where the run has not read them. */
  seen: string | null;
  /**
   * Of the test rows: their hash, and how many times they have been looked at on this device, this time included; null where the device keeps
   * no count.
   */
  test: { hash: string; looks: number | null } | null;
  rows: EvaluatedRow[];
  scores: EvaluationScores;
}

/** What the session does for evaluations. One at a time, and never during a run. */
export interface EvaluationCalls {
  /** The checks that fit the rows, and those that an evaluation starts with. */
  proposeChecks(): Promise<{ proposed: ChosenCheck[]; starting: ChosenCheck[] }>;
  /** What is wrong with checks, in a sentence; null where nothing is. */
  checkProblem(checks: CheckRule[]): Promise<string | null>;
  /**
   * Asks base and tuned model, and scores the answers. Answers that are known already are not asked again. Rejects with
   * `measuring_cancelled` after `cancelMeasuring`.
   */
  evaluateAnswers(
    request: EvaluationRequest,
    onRow: (row: EvaluatedRow, done: number, of: number) => void,
  ): Promise<AnswerEvaluation>;
  /**
   * The change that makes a row teach another answer and be learned from; a held-out row leaves its side. The row is found by its prompt
   * where others have moved it. Rejects with `row_in_other_file`
   * for rows of a file beside the data file.
   */
  taughtAnswer(row: Pick<EvaluatedRow, 'split' | 'index' | 'prompt'>, answer: string): Promise<RowChange>;
  /** The training rows most like a prompt. */
  likeRows(prompt: Message[], count: number): Promise<LikeRow[]>;
}
