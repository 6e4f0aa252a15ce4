// The evaluation of answers as the page has it: what is chosen, rows as they come, the result, and the changes it leads to.
// Not here: asking and scoring (the worker), how it looks (ui/evaluate/), keeping it over a reload (kept.svelte.ts).

import type { CheckRule, ChosenCheck } from '../../answerChecks';
import type { DatasetReport } from '../../contract';
import type { RowChange } from '../../dataContract';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { AnswerEvaluation, EvaluatedRow, EvaluationCalls, LikeRow } from '../../evaluationContract';
import { defaultGeneration, type GenerationSettings } from '../../generation';
import type { ModelInfo } from '../../modelContract';
import type { RunView } from './run.svelte';

/** The part of the workspace that an evaluation depends on. */
interface Page {
  readonly session: EvaluationCalls & { cancelMeasuring(): Promise<void> };
  readonly data: {
    readonly report: DatasetReport | null;
    readonly busy: boolean;
    changeRow(change: RowChange): Promise<number>;
  };
  readonly runs: { readonly holder: RunView | null; readonly all: readonly RunView[] };
  readonly kept: { describeRun(run: RunView): void };
  readonly model: ModelInfo | null;
  readonly modelLoading: object | null;
  readonly training: boolean;
  readonly dead: ErrorDetails | null;
}

/** A check in the list; `not` turns it round. */
export interface ListedCheck {
  chosen: ChosenCheck;
  not: boolean;
}

/** One evaluation among those of all runs. */
export interface Round {
  run: RunView;
  evaluation: AnswerEvaluation;
}

/** Rows that are asked at first: a look that does not take long. */
const FIRST_ROWS = 48;

export class AnswerEvaluating {
  proposed: ChosenCheck[] = $state.raw([]);
  checks: ListedCheck[] = $state.raw([]);
  combine: 'all' | 'any' = $state('all');
  split: 'validation' | 'test' = $state('validation');
  maxRows: number | null = $state(FIRST_ROWS);
  trainRows = $state(false);
  settings: GenerationSettings = $state(defaultGeneration());
  /** What is wrong with the checks, as a sentence. */
  problem: string | null = $state(null);
  /** Of the evaluation that goes on. */
  rows: EvaluatedRow[] = $state.raw([]);
  progress: { done: number; of: number } | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  /** Without a run there is none to keep it with. */
  private ofBase: AnswerEvaluation | null = $state.raw(null);
  /** An earlier one, chosen from the rounds. */
  private picked: AnswerEvaluation | null = $state.raw(null);
  /** Lines that were mended since the evaluation that is shown. */
  mended: ReadonlySet<EvaluatedRow> = $state.raw(new Set());
  private proposedFor: string | null = null;
  private readonly page: Page;

  /** The evaluation that is shown: the one that was picked, else the newest of the run whose weights are held. */
  readonly shown = $derived.by(() => {
    const { holder } = this.page.runs;
    return (
      this.picked ??
      holder?.evaluations[0] ??
      this.page.runs.all.find((run) => run.evaluations.length > 0)?.evaluations[0] ??
      this.ofBase
    );
  });
  /** Of all runs, the oldest first. */
  readonly rounds = $derived.by((): Round[] =>
    this.page.runs.all
      .flatMap((run) => run.evaluations.map((evaluation) => ({ run, evaluation })))
      .sort((a, b) => a.evaluation.at.localeCompare(b.evaluation.at)),
  );
  /** The data are those that the evaluation that is shown was made with. */
  readonly sameData = $derived.by(
    () => this.shown !== null && this.shown.data.hash === this.page.data.report?.hash,
  );

  constructor(page: Page) {
    this.page = page;
  }

  /** Why nothing can be evaluated now, as a sentence; null when it can. */
  get blocked(): string | null {
    const { page } = this;
    if (page.dead) return 'The engine has stopped.';
    if (!page.model || page.modelLoading) return 'Load a model first.';
    if (!page.data.report) return 'Choose rows first.';
    if (page.training) return 'Wait for the end of the run, or stop it.';
    if (page.data.busy) return 'The rows are being read.';
    if (this.split === 'test' && page.data.report.test === null) return 'There are no test rows.';
    if (this.split === 'validation' && page.data.report.validationRows === 0) return 'No row is held out.';
    if (this.checks.length === 0) return 'Add a check: it says which answers are right.';
    return this.problem;
  }

  get rules(): CheckRule[] {
    const rules = this.checks.map(({ chosen, not }): CheckRule => (not ? { not: chosen } : chosen));
    return this.combine === 'any' && rules.length > 1 ? [{ any: rules }] : rules;
  }

  /** Proposes checks for rows that are new; those that were chosen stay while they are of the same data. */
  async propose(): Promise<void> {
    const { report } = this.page.data;
    if (!report || !this.page.model || this.proposedFor === report.name || report.needsConsent) return;
    this.proposedFor = report.name;
    try {
      const { proposed, starting } = await this.page.session.proposeChecks();
      this.proposed = proposed;
      this.put(starting.map((chosen) => ({ chosen, not: false })));
    } catch (thrown) {
      this.proposedFor = null;
      this.error = errorDetails(thrown);
    }
  }

  /** Takes another list of checks. */
  put(checks: ListedCheck[]): void {
    this.checks = checks;
    void this.look();
  }

  private async look(): Promise<void> {
    const asked = this.checks;
    try {
      const problem = await this.page.session.checkProblem($state.snapshot(this.rules) as CheckRule[]);
      if (asked === this.checks) this.problem = problem;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  async evaluate(): Promise<void> {
    if (this.blocked !== null || this.progress) return;
    const { session, runs, kept } = this.page;
    const run = runs.holder;
    this.error = null;
    this.rows = [];
    this.progress = { done: 0, of: 0 };
    try {
      const { split, maxRows, trainRows } = this;
      const request = {
        split,
        maxRows,
        trainRows,
        checks: this.rules,
        settings: $state.snapshot(this.settings),
      };
      const evaluation = await session.evaluateAnswers(request, (row, done, of) => {
        if (!this.progress) return;
        this.rows = [...this.rows, row];
        this.progress = { done, of };
      });
      this.picked = null;
      this.mended = new Set();
      if (evaluation.weights && run?.config?.runId === evaluation.weights.runId) {
        run.keepEvaluation(evaluation);
        kept.describeRun(run);
      } else this.ofBase = evaluation;
    } catch (thrown) {
      const error = errorDetails(thrown);
      if (error.code !== 'measuring_cancelled') this.error = error;
    } finally {
      this.progress = null;
      this.rows = [];
    }
  }

  async cancel(): Promise<void> {
    try {
      await this.page.session.cancelMeasuring();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  /** Shows an earlier evaluation. */
  pick(evaluation: AnswerEvaluation): void {
    this.picked = evaluation;
    this.mended = new Set();
  }

  likeRows({ prompt }: EvaluatedRow): Promise<LikeRow[]> {
    return this.page.session.likeRows(prompt, 5);
  }

  /** Makes the row teach an answer and be learned from. @throws what the session rejects with */
  async teach(row: EvaluatedRow, answer: string): Promise<void> {
    const { split, index, prompt } = row;
    await this.page.data.changeRow(await this.page.session.taughtAnswer({ split, index, prompt }, answer));
    this.mended = new Set([...this.mended, row]);
  }
}
