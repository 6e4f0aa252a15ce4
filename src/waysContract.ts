// What the worker offers for comparing ways to answer, and the table and verdict that come of it. They cross the worker's boundary.
// Not here: the list of ways and their answers (ways.ts), the comparison (session/waysMeasurement.ts).

import type { CheckRule } from './answerChecks';
import type { Hyperparameters } from './hyperparameters';
import type {
  PromptSettings,
  RetrievalScore,
  Training,
  Tuning,
  Way,
  WayAnswer,
  WayId,
  WayQuestion,
  WayRun,
} from './ways';

export interface Count {
  right: number;
  of: number;
}

/** One row of the table; counts are added up over the seeds. */
export interface WayRow {
  way: Way;
  seeds: number[];
  /** Answers whose facts are right, of the questions that are about the documents; of all questions where nobody said which those are. */
  facts: Count;
  /** Null where no form was asked for. */
  form: Count | null;
  ended: Count;
  /** Facts and form right, and ended by itself: of all questions. */
  right: Count;
  /** Facts after the change; null where it was not asked. */
  changed: Count | null;
  /** Of those, the questions to which something else is right than before. */
  changedOnly: Count | null;
  /** Facts by kind of question. */
  kinds: { kind: string; facts: Count; form: Count | null }[];
  /** Means an answer. */
  promptTokens: number;
  tokens: number;
  ms: number;
  /** Means over the seeds; null for ways without training, and times for weights that were not made here. */
  steps: number | null;
  trainingMs: number | null;
  /** The most of all seeds; null as `trainingMs`. */
  trainingBytes: number | null;
}

/** Share of right answers of one way against that of another, on the same questions. */
export interface WayComparison {
  way: WayId;
  than: WayId;
  /** Of the shares, with its 95 % interval. */
  mean: number;
  low: number;
  high: number;
}

export interface WaysVerdict {
  /** The way to take; null when none is good enough. */
  take: WayId | null;
  sentence: string;
  /** What else was seen, one sentence each. */
  notes: string[];
  /** Every way against the best. */
  comparisons: WayComparison[];
}

/** Answers to an instruction that the base model may know. */
export interface ControlResult {
  instruction: string;
  way: WayId;
  form: number;
  facts: number;
  aboutFacts: number;
  of: number;
  answers: WayAnswer[];
}

export interface WaysResult {
  rows: WayRow[];
  verdict: WaysVerdict | null;
  runs: WayRun[];
  trainings: Training[];
  retrieval: { now: RetrievalScore; changed: RetrievalScore | null } | null;
  controls: ControlResult[];
  /** Milliseconds to make the search of the documents anew: what a change of facts costs the ways that search. */
  indexMs: number | null;
}

export interface WaysProgress {
  way: WayId;
  doing: 'training' | 'asking';
  /** Steps or answers. */
  done: number;
  of: number;
}

/** What is compared on. */
export type WaysSource =
  /** A task file beside the page. `url`: its address. */
  | { kind: 'task'; url: string; most: number }
  /** The rows that are loaded, with documents of the visitor's. What is right, and the form, are the checks that fit the rows. */
  | {
      kind: 'own';
      documents: { name: string; file: Blob }[];
      changedDocuments: { name: string; file: Blob }[];
      template: string;
      instruction: string;
      hyperparameters: Hyperparameters;
      most: number;
    };

export interface WaysOverview {
  name: string;
  questions: WayQuestion[];
  settings: PromptSettings;
  /** The form that answers must have; null where none is asked for. */
  form: CheckRule | null;
  passages: number;
  /** Of after the change; null where nothing changes. */
  changedPassages: number | null;
  /** Trainings whose weights lie beside the page for the loaded model. */
  shipped: Exclude<Tuning, 'none'>[];
  /** Ways that this task has rows and documents for. */
  ways: WayId[];
}

export interface WaysCalls {
  /** Reads a task for the loaded model; what was measured of another one is dropped. `most`: questions, evenly chosen. */
  openWays(source: WaysSource): Promise<WaysOverview>;
  /**
   * Trains what the way needs and asks the questions, with the facts as they were or of after the change. `shipped`: take the weights that lie
   * beside the page in place of training. `cancelMeasuring` ends it; what was measured before stays.
   */
  measureWay(
    request: { way: WayId; facts: WayRun['facts']; shipped: boolean },
    onProgress: (progress: WaysProgress) => void,
  ): Promise<WaysResult>;
  /** Frees the weights. */
  closeWays(): Promise<void>;
}
