// The exercise “which way to answer”: what is compared, what was predicted and measured, and what the visitor says about it.
// Not here: how it looks (ui/decide/), the comparison (session/waysMeasurement.ts).

import { type ErrorDetails, errorDetails } from '../../errors';
import { WAYS, type WayAnswer, type WayId, type WayRun, wayOf } from '../../ways';
import type { Count, WayRow, WaysOverview, WaysProgress, WaysResult } from '../../waysContract';
import { WAYS_CASES, type WaysCase } from '../decide/cases';
import { fromPage } from './pageFiles';
import type { Workspace } from './workspace.svelte';

/** What a visitor predicts of a cell: under a third of the answers, about half, or over two thirds. */
export const LEVELS = ['low', 'half', 'high'] as const;
export type Level = (typeof LEVELS)[number];
export const LEVEL_LABELS: Readonly<Record<Level, string>> = { low: 'few', half: 'half', high: 'most' };

export type Column = 'facts' | 'form' | 'changed';

export const levelOf = ({ right, of }: Count): Level => {
  const share = of === 0 ? 0 : right / of;
  return share < 1 / 3 ? 'low' : share > 2 / 3 ? 'high' : 'half';
};

/** Questions that may be asked, for those with little time; the last: all. */
export const QUESTION_COUNTS = [12, 30, Number.MAX_SAFE_INTEGER] as const;

interface OwnDocument {
  name: string;
  file: Blob;
}

export class Decide {
  /** The id of a case, or `own` for the visitor's rows. */
  source: string = $state((WAYS_CASES[0] as WaysCase).id);
  most: number = $state(QUESTION_COUNTS[2]);
  overview: WaysOverview | null = $state.raw(null);
  result: WaysResult | null = $state.raw(null);
  /** The model that it was opened for. */
  model: string | null = $state(null);
  guesses: Record<string, Level> = $state({});
  /** Weights that lie beside the page, in place of training here. */
  useShipped = $state(true);
  /** Next week's catalogue is in use. */
  swapped = $state(false);
  opening = $state(false);
  running: WayId | null = $state(null);
  progress: WaysProgress | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  shown: { way: WayId; facts: WayRun['facts'] } | null = $state.raw(null);
  // ── of one's own ──
  documents: OwnDocument[] = $state.raw([]);
  changedDocuments: OwnDocument[] = $state.raw([]);
  template = $state('');
  instruction = $state('');
  // ── the answer of the visitor ──
  choice: WayId | null = $state(null);
  reason = $state('');
  compared = $state(false);

  private readonly workspace: Workspace;
  private cancelled = false;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
  }

  /** The case that is chosen; null for the visitor's own rows. */
  get case(): WaysCase | null {
    return WAYS_CASES.find(({ id }) => id === this.source) ?? null;
  }

  get busy(): boolean {
    return this.opening || this.running !== null;
  }

  /** The model was changed, or the engine restarted, after it was opened. */
  get stale(): boolean {
    return this.overview !== null && this.model !== (this.workspace.model?.id ?? null);
  }

  /** Why nothing can be run, as a sentence; null when it can. */
  get blocked(): string | null {
    if (this.workspace.training) return 'A run is going on. Stop it, or wait for its end.';
    if (this.workspace.dead) return 'The engine has stopped.';
    if (this.workspace.model === null) return 'Load a model first.';
    if (this.case === null && this.workspace.data.report === null)
      return 'Choose your rows first, in step 2.';
    return null;
  }

  get ways(): WayId[] {
    return this.overview?.ways ?? WAYS.map(({ id }) => id);
  }

  get columns(): Column[] {
    const { overview } = this;
    if (overview === null) return [];
    return [
      'facts',
      ...(overview.form ? (['form'] as const) : []),
      ...(overview.changedPassages === null ? [] : (['changed'] as const)),
    ];
  }

  row(way: WayId): WayRow | null {
    return this.result?.rows.find((row) => row.way.id === way) ?? null;
  }

  count(way: WayId, column: Column): Count | null {
    return this.row(way)?.[column] ?? null;
  }

  guess(way: WayId, column: Column): Level | null {
    return this.guesses[`${way} ${column}`] ?? null;
  }

  predict(way: WayId, column: Column, level: Level): void {
    this.guesses[`${way} ${column}`] = level;
  }

  /** Cells of a way that were predicted and measured. */
  get score(): Count {
    const cells = this.ways.flatMap((way) =>
      this.columns.flatMap((column) => {
        const [guess, count] = [this.guess(way, column), this.count(way, column)];
        return guess === null || count === null ? [] : [guess === levelOf(count)];
      }),
    );
    return { right: cells.filter(Boolean).length, of: cells.length };
  }

  predicted(way: WayId): boolean {
    return this.columns.every((column) => this.guess(way, column) !== null);
  }

  get allPredicted(): boolean {
    return this.ways.every((way) => this.predicted(way));
  }

  get measured(): WayId[] {
    return this.ways.filter((way) => this.row(way) !== null);
  }

  answersOf(way: WayId, facts: WayRun['facts']): readonly WayAnswer[] {
    return this.result?.runs.find((run) => run.way === way && run.facts === facts)?.answers ?? [];
  }

  /** Weights of this way lie beside the page. */
  isShipped(way: WayId): boolean {
    const { tuning } = wayOf(way);
    return tuning !== 'none' && (this.overview?.shipped.includes(tuning) ?? false);
  }

  async open(): Promise<void> {
    if (this.busy || this.blocked !== null) return;
    this.opening = true;
    this.error = null;
    try {
      this.overview = await this.workspace.session.openWays(
        this.case !== null
          ? { kind: 'task', url: fromPage(`datasets/${this.case.task}`), most: this.most }
          : {
              kind: 'own',
              documents: this.documents,
              changedDocuments: this.changedDocuments,
              template: this.template,
              instruction: this.instruction,
              hyperparameters: $state.snapshot(this.workspace.settings),
              most: this.most,
            },
      );
      this.model = this.workspace.model?.id ?? null;
      this.result = null;
      this.guesses = {};
      this.swapped = false;
      this.compared = false;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      this.opening = false;
    }
  }

  /** Back to the choice of what is compared; frees the weights. */
  async close(): Promise<void> {
    this.overview = null;
    this.result = null;
    this.shown = null;
    this.error = null;
    try {
      await this.workspace.session.closeWays();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  async run(ways: readonly WayId[]): Promise<void> {
    await this.measure(ways.flatMap((way) => this.rounds(way)));
  }

  /** Puts next week's documents in place of this week's, and asks the ways that were measured again. */
  async swap(): Promise<void> {
    this.swapped = true;
    await this.measure(this.measured.map((way) => ({ way, facts: 'changed' as const })));
  }

  async cancel(): Promise<void> {
    this.cancelled = true;
    try {
      await this.workspace.session.cancelMeasuring();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  private rounds(way: WayId): { way: WayId; facts: WayRun['facts'] }[] {
    return [{ way, facts: 'now' }, ...(this.swapped ? [{ way, facts: 'changed' as const }] : [])];
  }

  private async measure(rounds: readonly { way: WayId; facts: WayRun['facts'] }[]): Promise<void> {
    if (this.busy || this.blocked !== null) return;
    this.error = null;
    this.cancelled = false;
    try {
      for (const { way, facts } of rounds) {
        if (this.cancelled) break;
        this.running = way;
        this.progress = null;
        const shipped = this.useShipped && this.isShipped(way);
        this.result = await this.workspace.session.measureWay({ way, facts, shipped }, (progress) => {
          this.progress = progress;
        });
      }
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      this.running = null;
      this.progress = null;
    }
  }
}
