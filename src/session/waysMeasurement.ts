// The comparison of ways on one task: keeps weights, answers and searches, and makes of them the table and the verdict.
// Not here: one way (ways.ts), the arithmetic (metrics/waysTable.ts, metrics/waysVerdict.ts), where the task comes from (waysTask.ts).

import type { DeviceReport, TileReport } from '../contract';
import type { PassageSearch } from '../data/passageSearch';
import { createRandom } from '../data/random';
import { disposeLearner, type Learner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import { passesRule } from '../metrics/checkRules';
import { factQuestions, waysTable } from '../metrics/waysTable';
import { type ControlCount, waysVerdict } from '../metrics/waysVerdict';
import { type Training, type WayAnswer, type WayId, type WayRun, wayOf } from '../ways';
import type { ControlResult, WaysProgress, WaysResult } from '../waysContract';
import type { BaseModel } from './model';
import type { Platform } from './platform';
import type { Run } from './run';
import {
  type AnsweredPrompts,
  type Asking,
  askWay,
  type Clock,
  ExampleRows,
  scoreRetrieval,
  searchOf,
  trainingRows,
  trainWay,
} from './ways';
import type { Trained, WaysTask } from './waysTask';

export interface MeasureHooks {
  onProgress: (progress: WaysProgress) => void | Promise<void>;
  cancelled: () => boolean;
  /** Gets weights that were trained, before anything is asked of them. */
  onTrained?: (run: Run, training: Training) => Promise<void>;
}

interface Weights {
  learner: Learner | null;
  answered: AnsweredPrompts;
  free: () => void;
}

/** Of the bootstrap: the same answers give the same interval. */
const BOOTSTRAP_SEED = 1;

export class WaysMeasurement {
  readonly #base: BaseModel;
  readonly #task: WaysTask;
  readonly #at: { device: DeviceReport; tiles: TileReport | null };
  readonly #env: { platform: Platform; clock: Clock };
  readonly #weights = new Map<string, Weights>();
  readonly #trainings: Training[] = [];
  readonly #controls: ControlResult[] = [];
  #runs: WayRun[] = [];
  readonly #search: PassageSearch | null;
  readonly #changedSearch: PassageSearch | null;
  readonly #indexMs: number | null;

  constructor(
    base: BaseModel,
    task: WaysTask,
    at: { device: DeviceReport; tiles: TileReport | null },
    env: { platform: Platform; clock: Clock },
  ) {
    this.#base = base;
    this.#task = task;
    this.#at = at;
    this.#env = env;
    const from = env.clock.nowMs();
    this.#search = searchOf(task.passages, task.settings);
    this.#indexMs = this.#search === null ? null : env.clock.nowMs() - from;
    this.#changedSearch = task.changedPassages && searchOf(task.changedPassages, task.settings);
    this.#weights.set('none', { learner: null, answered: new Map(), free: () => {} });
  }

  /** Weights that were made before, in place of training. */
  useWeights(training: Training, learner: Learner): void {
    this.#put(training, learner, () => disposeLearner(learner));
  }

  /** Whether a way can be asked without training. */
  ready(way: WayId, seed: number): boolean {
    const { tuning } = wayOf(way);
    return tuning === 'none' || this.#weights.has(keyOf(tuning, seed));
  }

  /**
   * Trains what the way needs and is not there, and asks all questions: with the facts as they were, and where they change with those of after
   * it; or with one of these. What was measured of this way and seed before is replaced. Cancelled, it keeps what was answered of neither.
   * @throws PlaygroundError `no_documents`, `no_data`, what training throws
   */
  async measure(
    way: WayId,
    seed: number,
    hooks: MeasureHooks,
    only: WayRun['facts'] | 'all' = 'all',
  ): Promise<void> {
    const { tuning } = wayOf(way);
    const weights =
      tuning === 'none' ? this.#weightsOf('none') : await this.#trained(way, tuning, seed, hooks);
    const both = this.#task.changedPassages ? [false, true] : [false];
    const asked = only === 'all' ? both : [only === 'changed'];
    const runs: WayRun[] = [];
    for (const changed of asked) {
      const answers = await this.#ask(way, weights, this.#asking(changed, seed), hooks);
      if (hooks.cancelled()) return;
      runs.push({ way, seed, facts: changed ? 'changed' : 'now', answers });
    }
    const replaced = (run: WayRun) =>
      run.way === way && run.seed === seed && runs.some(({ facts }) => facts === run.facts);
    this.#runs = this.#runs.filter((run) => !replaced(run)).concat(runs);
  }

  /** Asks the base model with the instruction that it may know, without and, where there are documents, with passages. */
  async measureControl(hooks: MeasureHooks): Promise<void> {
    const { control, settings, questions } = this.#task;
    if (control === null) return;
    this.#controls.length = 0;
    const aboutFacts = factQuestions(questions);
    for (const way of ['prompt', 'retrieval'] as const) {
      if (way === 'retrieval' && this.#search === null) continue;
      const asking = {
        ...this.#asking(false, 0),
        form: control.form,
        settings: { ...settings, instruction: control.instruction },
      };
      const answers = await this.#ask(way, this.#weightsOf('none'), asking, hooks);
      if (hooks.cancelled()) return;
      const about = answers.filter(({ question }) => aboutFacts.has(question));
      this.#controls.push({
        instruction: control.instruction,
        way,
        form: answers.filter(({ form }) => form === true).length,
        facts: about.filter(({ facts }) => facts).length,
        aboutFacts: about.length,
        of: answers.length,
        answers,
      });
    }
  }

  result(): WaysResult {
    const { questions, settings } = this.#task;
    const rows = waysTable(questions, this.#runs, this.#trainings);
    const score = (search: PassageSearch) => scoreRetrieval(questions, search, settings.passages);
    return {
      rows,
      verdict: waysVerdict(questions, this.#runs, rows, this.#control(), createRandom(BOOTSTRAP_SEED)),
      runs: this.#runs,
      trainings: this.#trainings,
      retrieval: this.#search && {
        now: score(this.#search),
        changed: this.#changedSearch && score(this.#changedSearch),
      },
      controls: this.#controls,
      indexMs: this.#indexMs,
    };
  }

  /** The instruction that the base model may know, and how often its answers to the other one have the same form. */
  #control(): ControlCount | null {
    const asked = this.#controls.find(({ way }) => way === 'prompt');
    const { control } = this.#task;
    if (!asked || control === null) return null;
    const other = this.#runs.find(({ way, facts }) => way === 'prompt' && facts === 'now');
    const passing = other?.answers.filter((answer) => passesRule(control.form, answer, null).passed);
    return {
      instruction: asked.instruction,
      form: { right: asked.form, of: asked.of },
      without: other && passing ? { right: passing.length, of: other.answers.length } : null,
    };
  }

  /** Frees the weights. */
  dispose(): void {
    for (const { free } of this.#weights.values()) free();
    this.#weights.clear();
  }

  #asking(changed: boolean, seed: number): Asking {
    const { questions, form, settings, rows } = this.#task;
    let examples: ExampleRows | null = null;
    if (rows !== null) {
      const h = this.#task.hyperparameters('rows', seed, this.#base.model.parameters);
      // Which rows are held out does not depend on general rows mixed in.
      rows.encode(this.#base.chat, this.#base.model.architecture, { ...h, replay_fraction: 0 });
      examples = ExampleRows.ofTraining(rows);
    }
    const search = changed ? this.#changedSearch : this.#search;
    return { questions, form, settings, search, examples, changed };
  }

  async #ask(
    way: WayId,
    weights: Weights,
    asking: Asking,
    { onProgress, cancelled }: MeasureHooks,
  ): Promise<WayAnswer[]> {
    return askWay(
      wayOf(way),
      this.#base,
      weights.learner,
      asking,
      { ...this.#env, answered: weights.answered },
      {
        onAnswer: (done, of) => onProgress({ way, doing: 'asking', done, of }),
        cancelled,
      },
    );
  }

  #weightsOf(key: string): Weights {
    return this.#weights.get(key) as Weights;
  }

  async #trained(way: WayId, tuning: Trained, seed: number, hooks: MeasureHooks): Promise<Weights> {
    const before = this.#weights.get(keyOf(tuning, seed));
    if (before) return before;
    const { rows, settings, hyperparameters } = this.#task;
    if (rows === null) throw noRows();
    const dataset = await trainingRows(tuning, rows, this.#search, settings);
    const h = hyperparameters(tuning, seed, this.#base.model.parameters);
    let training: Run | null = null;
    const {
      run,
      learner,
      training: made,
    } = await trainWay(tuning, this.#base, dataset, h, this.#at, this.#env, {
      onRun: (started) => {
        training = started;
      },
      onEvent: async ({ progress }) => {
        await hooks.onProgress({ way, doing: 'training', done: progress.step, of: progress.totalSteps });
        if (hooks.cancelled()) training?.stop();
      },
    });
    this.#put(made, learner, () => run.trainer.dispose());
    await hooks.onTrained?.(run, made);
    return this.#weightsOf(keyOf(tuning, seed));
  }

  #put(training: Training, learner: Learner, free: () => void): void {
    const key = keyOf(training.tuning, training.seed);
    this.#weights.get(key)?.free();
    this.#weights.set(key, { learner, answered: new Map(), free });
    this.#trainings.push(training);
  }
}

const noRows = () =>
  new PlaygroundError({
    code: 'no_data',
    message: 'This way is trained, and there are no rows to train on.',
    fix: 'Choose a file of rows, or only ways without training.',
  });

const keyOf = (tuning: Trained, seed: number) => `${tuning} ${seed}`;
