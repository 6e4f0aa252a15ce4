// What a lesson is: where it starts, what is predicted, what is done and checked, a question on another curve. Its words stand apart, for translation.
// Not here: the lessons (one file each, listed in index.ts), how a lesson looks (ui/learn/LessonView.svelte), the state that it is checked against (ui/state/lessons.svelte.ts).

import type { Hyperparameters } from '../hyperparameters';

/** A loss at a step, in nats a token. */
export interface LossPoint {
  step: number;
  value: number;
}

/** A run as a check reads it: measured values and facts, nothing that draws or trains. */
export interface RunFacts {
  settings: Hyperparameters;
  /** Id of the model. */
  model: string;
  /** Null while it goes on. */
  ended: 'finished' | 'stopped' | 'failed' | null;
  /** A state of the verdict (metrics/diagnosis.ts). */
  verdict: string;
  train: readonly LossPoint[];
  validation: readonly LossPoint[];
  /** Loss on rows that no run learns from; what rises is forgotten. */
  general: readonly LossPoint[];
  trainRows: number;
  trainableParameters: number;
}

/** The state of the page as a check reads it. */
export interface Snapshot {
  /** Id of the sample whose rows are loaded; null for rows of one's own, or none. */
  sample: string | null;
  model: string | null;
  /** Runs that were made in this lesson, oldest first. */
  runs: readonly RunFacts[];
  /** Questions that the tuned model has answered in this lesson. */
  answered: number;
}

/** What the page is set to before the lesson begins. Settings that are not named have their defaults. */
export interface Start {
  sample: string | null;
  settings: Partial<Hyperparameters>;
}

export interface Task {
  /** What its button does: sets the settings of the task and trains, or asks both models the first held-out question. */
  press: 'train' | 'ask';
  /** For `train`: what differs from the start. */
  settings?: Partial<Hyperparameters>;
  /** The place of the page where it happens. */
  place: string;
  /** True once it has been done, by the real state of the page. */
  check: (state: Snapshot) => boolean;
}

export type Prediction =
  /** The validation loss is drawn. @property first it before training, in nats a token @property top the highest loss of the axis */
  | { kind: 'curve'; first: number; top: number; totalSteps: number }
  /** @property right the option that will turn out right, counted from 0 */
  | { kind: 'choice'; right: number };

export interface Lesson {
  id: string;
  start: Start;
  predict: Prediction;
  tasks: readonly Task[];
  /** A recorded run (public/recordings) and the right option of the question on it. */
  transfer: { recording: string; right: number };
  text: LessonText;
}

export interface QuestionText {
  question: string;
  /** In the order of the options of the lesson; `feedback` is said once it was chosen. */
  options: readonly { label: string; feedback: string }[];
}

/** Everything of a lesson that is read. A translation is another value of this type. */
export interface LessonText {
  title: string;
  /** What can be done afterwards, in one sentence. */
  goal: string;
  /** What the page is set to. */
  start: string;
  /** Of a curve only the question; its feedback is the curve. */
  predict: QuestionText;
  /** In the order of the tasks: what to do, on the button, and what is said once it is done. */
  tasks: readonly { doing: string; button: string; done: string }[];
  /** What was to be seen. */
  reveal: string;
  transfer: QuestionText;
  closing: string;
  /** What to try next, outside the lesson. */
  next: string;
}

/** @returns the runs of the lesson that came to their end with these settings */
export const finishedWith = (state: Snapshot, settings: Partial<Hyperparameters> = {}): RunFacts[] =>
  state.runs.filter(
    (run) =>
      run.ended !== null &&
      run.ended !== 'stopped' &&
      Object.entries(settings).every(
        ([name, value]) => run.settings[name as keyof Hyperparameters] === value,
      ),
  );

/** A task that trains once with these settings. */
export const training = (settings: Partial<Hyperparameters> = {}): Task => ({
  press: 'train',
  settings,
  place: '#train',
  check: (state) => finishedWith(state, settings).length > 0,
});
