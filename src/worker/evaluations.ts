// Evaluations of answers for the page: what has been asked of the loaded model, and the training rows by likeness, over several of them.
// Not here: the order of one evaluation (session/evaluation.ts), which model, data and run these are (session.ts).

import type { DatasetReport, Message, RunSummary, TunedWeights } from '../contract';
import type { TestUse } from '../dataContract';
import type { AnswerEvaluation, EvaluationCalls, EvaluationRequest, LikeRow } from '../evaluationContract';
import type { GeneralAnswers } from '../generalContract';
import { proposedChecks, startingChecks } from '../metrics/checks';
import type { Dataset } from '../session/dataset';
import {
  type EvaluationHooks,
  evaluateAnswers,
  expectedRows,
  KnownAnswers,
  promptText,
  TrainingRows,
  type TunedModel,
} from '../session/evaluation';
import { generalAnswers } from '../session/generalAnswers';
import type { BaseModel } from '../session/model';
import type { Platform } from '../session/platform';
import type { RestoredRun } from '../session/restoredRun';
import { type LearnedWeights, stepOf } from '../session/results';
import type { Run } from '../session/run';
import { notedUses, testRowsOf } from '../session/testRows';

/** What the session holds when an evaluation is asked for. */
interface Holding {
  base: BaseModel;
  dataset: Dataset;
  run: Run | RestoredRun | null;
  /** The weights of the run that answer now; null without a run. */
  learned: LearnedWeights | null;
}

export class Evaluations {
  readonly #platform: Platform;
  readonly #keepSummary: (summary: RunSummary) => Promise<void>;
  #known: { base: BaseModel; answers: KnownAnswers } | null = null;
  #training: { report: DatasetReport; rows: TrainingRows } | null = null;

  /** @param keepSummary stores the summary of a run whose test rows were measured */
  constructor(platform: Platform, keepSummary: (summary: RunSummary) => Promise<void>) {
    this.#platform = platform;
    this.#keepSummary = keepSummary;
  }

  propose(dataset: Dataset, base: BaseModel): Awaited<ReturnType<EvaluationCalls['proposeChecks']>> {
    const rows = expectedRows(dataset, base.chat);
    return { proposed: proposedChecks(rows), starting: startingChecks(rows) };
  }

  likeRows(dataset: Dataset, prompt: readonly Message[], count: number): LikeRow[] {
    if (this.#training?.report !== dataset.report) {
      this.#training = { report: dataset.report, rows: new TrainingRows(dataset) };
    }
    return this.#training.rows.nearest(promptText(prompt), count);
  }

  /** Answers to general questions before and after the run, noted in its record. */
  async generalAnswers(
    { base, run, which }: { base: BaseModel; run: Run | RestoredRun; which: TunedWeights },
    cancelled: () => boolean,
  ): Promise<GeneralAnswers> {
    const found = await generalAnswers(base, run.learned(which), this.#platform, cancelled);
    await this.#keep(run, { generalAnswers: found });
    return found;
  }

  async evaluate(
    { base, dataset, run, learned }: Holding,
    request: EvaluationRequest,
    hooks: EvaluationHooks,
  ): Promise<AnswerEvaluation> {
    if (this.#known?.base !== base) this.#known = { base, answers: new KnownAnswers() };
    if (request.split === 'test' && run) testRowsOf(dataset, run.config);
    const tuned = run && learned && tunedModel(run, learned);
    const evaluation = await evaluateAnswers(
      base,
      tuned,
      dataset,
      request,
      this.#known.answers,
      this.#platform,
      hooks,
    );
    const uses = tuned && notedUses(base, dataset, evaluation);
    if (run && uses) await this.#note(run, uses);
    return evaluation;
  }

  async #note(run: Run | RestoredRun, uses: TestUse[]): Promise<void> {
    await this.#keep(run, { testUses: [...(run.summary?.testUses ?? []), ...uses] });
  }

  async #keep(run: Run | RestoredRun, later: Parameters<Run['note']>[0]): Promise<void> {
    run.note(later);
    if (run.summary) await this.#keepSummary(run.summary);
  }
}

function tunedModel(run: Run | RestoredRun, learned: LearnedWeights): TunedModel {
  const { learner, which } = learned;
  const step = run.summary ? stepOf(learned, run.summary) : run.step;
  return { learner, runId: run.config.runId, which, step, config: run.config };
}
