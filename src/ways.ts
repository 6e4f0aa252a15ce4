// ONE table of the ways to make a model answer: page, command line and the order of things read it. And the types of what they measure.
// Not here: how a way is carried out (session/ways.ts), what its figures mean (metrics/waysVerdict.ts).

import type { CheckRule } from './answerChecks';
import type { GenerateResult, Message } from './contract';
import type { Hyperparameters } from './hyperparameters';

/** What the weights of a way were trained on. */
export type Tuning = 'none' | 'rows' | 'rows_with_passages';

export type WayId =
  | 'prompt'
  | 'examples'
  | 'retrieval'
  | 'tuned'
  | 'tuned_retrieval_later'
  | 'tuned_on_passages';

export interface Way {
  id: WayId;
  label: string;
  /** How it works, in one sentence. */
  description: string;
  /** The instruction stands in the system message. */
  instruction: boolean;
  /** Example questions with their answers stand before the question. */
  examples: boolean;
  /** Passages are searched for with the question, and stand in the system message. */
  retrieval: boolean;
  tuning: Tuning;
  /** What has to be done when a fact changes. */
  change: string;
}

/** From the one that is quickest to try to the one that takes most work. */
export const WAYS: readonly Way[] = [
  {
    id: 'prompt',
    label: 'Prompt only',
    description: 'The base model with an instruction.',
    instruction: true,
    examples: false,
    retrieval: false,
    tuning: 'none',
    change: 'edit the prompt, as far as the facts fit into it',
  },
  {
    id: 'examples',
    label: 'Prompt with examples',
    description: 'The base model with an instruction and answered questions before the question.',
    instruction: true,
    examples: true,
    retrieval: false,
    tuning: 'none',
    change: 'edit the prompt, as far as the facts fit into it',
  },
  {
    id: 'retrieval',
    label: 'Prompt + retrieval',
    description: 'The base model with an instruction and the passages that a search finds for the question.',
    instruction: true,
    examples: false,
    retrieval: true,
    tuning: 'none',
    change: 'replace the document',
  },
  {
    id: 'tuned',
    label: 'Fine-tuned',
    description: 'The model fine-tuned on the rows; nothing is searched for.',
    instruction: false,
    examples: false,
    retrieval: false,
    tuning: 'rows',
    change: 'rewrite the rows and train again',
  },
  {
    id: 'tuned_retrieval_later',
    label: 'Fine-tuned, retrieval added later',
    description: 'The same weights, which saw no passage in training; passages are put into the prompt.',
    instruction: false,
    examples: false,
    retrieval: true,
    tuning: 'rows',
    change: 'replace the document',
  },
  {
    id: 'tuned_on_passages',
    label: 'Fine-tuned on rows with passages, and retrieval',
    description: 'Each training row holds the passages that the same search finds for its question.',
    instruction: false,
    examples: false,
    retrieval: true,
    tuning: 'rows_with_passages',
    change: 'replace the document',
  },
];

export const wayOf = (id: WayId): Way => WAYS.find((way) => way.id === id) as Way;

/** A piece of a document, as it stands in a prompt. */
export interface Passage {
  /** Of the row of a table, where it has a column `id`; else the number of the passage, from 1. */
  id: string;
  text: string;
  file: string;
  /** Line of the file on which it starts, from 1. */
  line: number;
}

/** A passage that a search found. */
export interface FoundPassage extends Passage {
  /** BM25 score. */
  score: number;
  /** Where words of the question stand in the text: from, to (exclusive), in UTF-16 units. */
  matches: (readonly [from: number, to: number])[];
}

/** How a search compares words. */
export interface SearchSettings {
  /** Edits that are forgiven, as a share of the length of a word; 0: none. */
  fuzzy: number;
  /** A word of the question that a word of the passage begins with counts too. */
  prefix: boolean;
}

/** A question with what must be true of its answer. */
export interface WayQuestion {
  id: string;
  /** Groups questions in reports: “price”, “stock”. */
  kind: string;
  /** End with the user's turn. No passages, instruction or examples yet. */
  messages: Message[];
  /** A right answer. */
  expected: string | null;
  /** Whether an answer has the facts right. */
  facts: CheckRule;
  /** Ids of the passages of which any one is enough; null where nobody said. */
  passages: string[] | null;
  /** After the facts have changed; absent where nothing changes for this question. */
  changed?: { expected: string | null; facts: CheckRule };
}

/** An answered question that stands before another one in a prompt. */
export interface PromptExample {
  question: string;
  answer: string;
}

/** What a visitor can set about the prompts. */
export interface PromptSettings {
  /** For the base model, after the system message of the question itself. */
  instruction: string;
  /** Examples in the prompt of the way `examples`. */
  examples: number;
  /** Picked by hand; empty: the rows most like the question are taken. */
  picked: PromptExample[];
  /** Passages in a prompt. */
  passages: number;
  search: SearchSettings;
  maxNewTokens: number;
}

/** What the figures of times count. */
export type ClockKind = 'processor' | 'wall';

/** One answer, and what was checked of it. */
export interface WayAnswer {
  question: string;
  text: string;
  /** The prompt as it was, without control tokens. */
  messages: Message[];
  sources: FoundPassage[];
  /** Passages that were found and left out because the context was full. */
  leftOut: number;
  facts: boolean;
  factsDetail: string;
  /** Null where no form was asked for. */
  form: boolean | null;
  stoppedBy: GenerateResult['stoppedBy'];
  promptTokens: number;
  tokens: number;
  ms: number;
}

/** The weights of a way: what making them took, or where they came from. */
export interface Training {
  tuning: Exclude<Tuning, 'none'>;
  seed: number;
  steps: number;
  /** Null for weights that were not made here. */
  ms: number | null;
  /** Most bytes that the engine held at once; null for weights that were not made here. */
  peakBytes: number | null;
  rows: number;
  /** Where weights that were not made here came from. */
  from?: string;
  hyperparameters: Pick<Hyperparameters, 'method' | 'learning_rate' | 'num_train_epochs' | 'batch_size'>;
}

/** The answers of one way with weights of one seed. */
export interface WayRun {
  way: WayId;
  seed: number;
  /** Facts as they were, or after they changed. */
  facts: 'now' | 'changed';
  answers: WayAnswer[];
}

/** Whether the right passage was among those that were found. */
export interface RetrievalScore {
  /** Questions of which the right passage is known. */
  of: number;
  found: number;
  /** Found first. */
  first: number;
  passages: number;
  search: SearchSettings;
  misses: { question: string; text: string; wanted: string[]; found: string[] }[];
}
