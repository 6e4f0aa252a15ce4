// Sweeps as the page sees them: what is asked for, the one that goes on, and the runs of earlier ones found by their records.
// Not here: one run (run.svelte.ts), what the runs come to (metrics/sweep.ts), the order in which they are made (session/sweep.ts).

import type { DatasetReport, RunConfig, RunSummary, Session, SweepOutcome } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import { HYPERPARAMETERS, type HyperparameterName, type Hyperparameters } from '../../hyperparameters';
import { emptyEntry, type SweepEntry, sweepEntry } from '../../metrics/sweepEntry';
import { type SettingValue, settingText } from '../../settingText';
import type { RunStorage } from '../../storedRuns';
import type { SweepPlace, SweepProgress, SweepRequest } from '../../sweepContract';
import { proposedValues, readSweepValues, SWEEP_SETTINGS } from '../../sweeps';
import type { RunView } from './run.svelte';
import type { Runs } from './runs.svelte';

/** The part of the workspace that sweeps depend on. */
interface Page {
  readonly session: Session & RunStorage;
  readonly settings: Hyperparameters;
  readonly runs: Runs;
  readonly data: { readonly report: DatasetReport | null; encodeIfDue(): Promise<void> };
  readonly dead: ErrorDetails | null;
  readonly missing: string | null;
  readonly blocked: string | null;
  readonly kept: { addRuns(runs: readonly RunView[]): Promise<void> };
}

/** The runs of one sweep. */
export interface SweepGroup {
  id: string;
  request: SweepRequest;
  /** By the number of their value, from 0; null where none was made. */
  runs: (RunView | null)[];
}

/** The run of the sweep that goes on. */
interface Current {
  number: number;
  view: RunView;
  configured: (config: RunConfig) => void;
  end: (outcome: SweepOutcome) => void;
  /** Settles when the page has taken note of its end. */
  over: Promise<void>;
}

const texts = (name: HyperparameterName, values: readonly SettingValue[]) =>
  values.map((value) => (typeof value === 'string' ? settingText(name, value) : String(value))).join(', ');

export class Sweeps {
  setting: HyperparameterName = $state('learning_rate');
  /** The values as they are written; null until the visitor has written some. */
  private written: string | null = $state(null);
  active = $state(false);
  /** Stop was pressed. */
  stopping = $state(false);
  progress: SweepProgress | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  /** The sweep that was made in this visit last, and why its runs failed that left no curve. */
  private last: { request: SweepRequest; id: string | null; failed: ReadonlyMap<number, string> } | null =
    $state.raw(null);
  /** Which sweep is shown; null for the newest. */
  chosen: string | null = $state(null);
  private current: Current | null = null;
  private readonly page: Page;

  readonly text = $derived.by(
    () => this.written ?? texts(this.setting, proposedValues(this.setting, this.page.settings)),
  );
  readonly read = $derived.by(() => readSweepValues(this.setting, this.text, this.page.settings));
  /** Settings that have an effect with the others as they are. */
  readonly settings = $derived.by(() =>
    SWEEP_SETTINGS.filter((name) => HYPERPARAMETERS[name].applies?.(this.page.settings) ?? true),
  );
  /** Why a sweep cannot be started, as a sentence; null when it can. */
  readonly blocked = $derived.by(() => {
    const { page } = this;
    if (page.runs.active) return 'A run is going on.';
    if (page.blocked !== null) return page.blocked;
    return page.settings.folds > 1
      ? 'A sweep makes one run for each value, without folds. Set folds to 1.'
      : null;
  });
  /** Newest first. */
  readonly groups = $derived.by(() => this.grouped());
  readonly shown = $derived.by(
    () => this.groups.find(({ id }) => id === this.chosen) ?? this.groups[0] ?? null,
  );

  constructor(page: Page) {
    this.page = page;
  }

  write(text: string): void {
    this.written = text;
  }

  choose(setting: HyperparameterName, values: readonly SettingValue[] | null = null): void {
    this.setting = setting;
    this.written = values === null ? null : texts(setting, values);
  }

  /** What each value of a sweep came to. Watches the runs' `revision`. */
  entries({ id, request, runs }: SweepGroup): SweepEntry[] {
    const failed = this.last?.id === id ? this.last.failed : new Map<number, string>();
    return runs.map((run, i) => {
      run?.revision;
      const error = failed.get(i + 1) ?? null;
      if (!run?.config) return emptyEntry(request, i + 1, error === null ? 'not_started' : 'failed', error);
      const { config, summary, active, step, points, rows } = run;
      return sweepEntry(request, i + 1, {
        ...{ config, summary, active, step, points, rows },
        error: run.error?.message ?? null,
      });
    });
  }

  private grouped(): SweepGroup[] {
    const groups = new Map<string, SweepGroup>();
    for (const run of this.page.runs.all) {
      const place: SweepPlace | undefined = run.config?.sweep;
      if (!place) continue;
      const { id, setting, values, number } = place;
      const group = groups.get(id) ?? { id, request: { setting, values }, runs: values.map(() => null) };
      group.runs[number - 1] ??= run;
      groups.set(id, group);
    }
    return [...groups.values()];
  }

  /** Losses of single rows of earlier visits, which the error of a difference needs. */
  async readRows({ runs }: SweepGroup): Promise<void> {
    for (const run of runs) {
      if (!run?.config || run.active || run.rows.length > 0 || run.stored === null) continue;
      try {
        run.rows = (await this.page.session.storedMeasures(run.config.runId)).rows;
      } catch (thrown) {
        this.error = errorDetails(thrown);
        return;
      }
    }
  }

  /** Makes the runs, one after the other. Never rejects: what went wrong is in `error` and with each run. */
  async start(): Promise<void> {
    const { page } = this;
    const { runs } = page;
    if (this.active || this.blocked !== null || !(await runs.unsaved.mayDrop(runs.holder, 'train'))) return;
    await page.data.encodeIfDue();
    const { values } = this.read;
    if (this.active || this.blocked !== null || values === null) return;
    const request: SweepRequest = { setting: this.setting, values: [...values] };
    this.active = true;
    this.stopping = false;
    this.error = null;
    this.progress = null;
    this.chosen = null;
    this.last = { request, id: null, failed: new Map() };
    // The engine is at work between two runs too.
    runs.busy = true;
    try {
      await page.session.sweep(
        page.settings,
        request,
        (config) => this.configured(config),
        (event, progress) => {
          this.current?.view.take(event);
          this.progress = progress;
        },
        (outcome) => this.ended(outcome),
      );
    } catch (thrown) {
      const error = errorDetails(thrown);
      this.current?.end({ number: this.current.number, summary: null, error });
      await this.current?.over;
      this.error = error;
    } finally {
      this.current = null;
      this.active = false;
      this.stopping = false;
      runs.busy = false;
    }
    if (!page.dead) await runs.useShown();
  }

  async stop(): Promise<void> {
    if (!this.active || this.stopping) return;
    this.stopping = true;
    if (!(await this.page.runs.tell(() => this.page.session.stop()))) this.stopping = false;
  }

  private configured(config: RunConfig): void {
    const place = config.sweep;
    if (!place) return;
    if (this.current?.number === place.number) {
      this.current.configured(config);
      return;
    }
    if (this.last) this.last = { ...this.last, id: place.id };
    const { runs } = this.page;
    const view = runs.begin();
    let end: Current['end'] = () => {};
    let told: Current['configured'] = () => {};
    const summary = new Promise<RunSummary>((resolve, reject) => {
      end = (outcome) => (outcome.summary ? resolve(outcome.summary) : reject(outcome.error));
    });
    const over = runs.watch(view, (onConfig) => {
      onConfig(config);
      told = onConfig;
      return summary;
    });
    this.current = { number: place.number, view, configured: (now) => told(now), end, over };
  }

  private async ended(outcome: SweepOutcome): Promise<void> {
    const { current } = this;
    if (current?.number !== outcome.number) {
      // Refused before it began: there is no curve to tell it.
      const message = outcome.error?.message ?? 'It was refused.';
      if (this.last)
        this.last = { ...this.last, failed: new Map([...this.last.failed, [outcome.number, message]]) };
      return;
    }
    current.end(outcome);
    await current.over;
    await this.page.kept.addRuns([current.view]);
    this.current = null;
  }
}
