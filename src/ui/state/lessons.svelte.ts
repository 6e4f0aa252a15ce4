// The lesson that is open: its parts, what was predicted and done in it, and the state of the page that its checks read. What was done is kept.
// Not here: the content (lessons/), how it looks (ui/learn/).

import { type ErrorDetails, errorDetails } from '../../errors';
import { LESSONS, type LessonEntry } from '../../lessons/index';
import type { Lesson, LossPoint, RunFacts, Snapshot, Task } from '../../lessons/lesson';
import type { CurvePoint } from '../../metrics/curves';
import { LESSONS as KEY, readLocal, writeLocal } from './localKeys';
import type { RunView } from './run.svelte';
import type { Talk } from './talk.svelte';
import { whenever } from './whenever.svelte';
import type { Workspace } from './workspace.svelte';

/** What is kept of a lesson. */
export interface LessonRecord {
  /** When it was done; null where it was begun. */
  done: string | null;
  /** The chosen option, or the drawn line. */
  predicted: number | LossPoint[] | null;
  /** The chosen option of the question on another curve. */
  transfer: number | null;
}

export type Part = 'start' | 'predict' | 'tasks' | 'transfer' | 'end';

const EMPTY: LessonRecord = { done: null, predicted: null, transfer: null };

/** Records that this version understands; others are as if they were not there. */
function readRecords(): Record<string, LessonRecord> {
  try {
    const found: unknown = JSON.parse(readLocal(KEY) ?? '{}');
    if (typeof found !== 'object' || found === null) return {};
    const usable = Object.entries(found).filter(
      ([id, record]) =>
        LESSONS.some((entry) => entry.id === id) && typeof record === 'object' && record !== null,
    );
    return Object.fromEntries(usable.map(([id, record]) => [id, { ...EMPTY, ...record }]));
  } catch {
    return {};
  }
}

const lossPoints = (line: readonly CurvePoint[]): LossPoint[] =>
  line.map(({ step, value }) => ({ step, value }));

export class Lessons {
  entry: LessonEntry | null = $state.raw(null);
  lesson: Lesson | null = $state.raw(null);
  part: Part = $state('start');
  error: ErrorDetails | null = $state.raw(null);
  /** The page is being set up. */
  settingUp = $state(false);
  /** How many of its tasks are done. */
  tasksDone = $state(0);
  predicted: number | LossPoint[] | null = $state.raw(null);
  transfer: number | null = $state(null);
  records: Record<string, LessonRecord> = $state.raw(readRecords());
  private readonly workspace: Workspace;
  private readonly talk: Talk;
  /** Number of the newest run, and of the exchanges of the talk, when the page was set up. */
  private since = $state.raw({ run: 0, exchange: 0 });

  /** Runs that were made since the page was set up, newest first. */
  readonly runs: RunView[] = $derived.by(() => {
    const { all } = this.workspace.runs;
    return all.filter((run) => run.number > this.since.run && run.config !== null);
  });

  readonly snapshot: Snapshot = $derived.by(() => {
    const { data, model } = this.workspace;
    const asked = this.talk.exchanges.filter(
      ({ id, tuned }) => id > this.since.exchange && tuned?.state === 'done',
    );
    return {
      sample: data.sample?.id ?? null,
      model: model?.id ?? null,
      runs: this.runs.map(factsOf).reverse(),
      answered: asked.length,
    };
  });

  readonly task: Task | null = $derived(this.lesson?.tasks[this.tasksDone] ?? null);

  constructor(workspace: Workspace, talk: Talk) {
    this.workspace = workspace;
    this.talk = talk;
  }

  get done(): number {
    return LESSONS.filter(({ id }) => this.records[id]?.done).length;
  }

  /** The next lesson of the list; null after the last. */
  get next(): LessonEntry | null {
    return LESSONS[LESSONS.findIndex(({ id }) => id === this.entry?.id) + 1] ?? null;
  }

  /** Opens a lesson at its beginning, or closes the open one. An unknown id closes. */
  async open(id: string | null): Promise<void> {
    const entry = LESSONS.find((one) => one.id === id) ?? null;
    if (entry !== null && entry.id === this.entry?.id) return;
    this.entry = entry;
    this.lesson = null;
    this.begin();
    if (entry === null) return;
    try {
      const { lesson } = await entry.load();
      if (this.entry === entry) this.lesson = lesson;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  /** Back to the beginning of the open lesson. */
  begin(): void {
    this.part = 'start';
    this.error = null;
    this.tasksDone = 0;
    this.predicted = null;
    this.transfer = null;
  }

  /** Sample and settings of the lesson; its runs are counted from here on. */
  async setUp(): Promise<void> {
    const { lesson, workspace } = this;
    const rows = workspace.ownRows;
    if (!lesson || this.settingUp) return;
    this.settingUp = true;
    this.error = null;
    try {
      await whenever(() => (rows.ready && !workspace.training) || this.stuck !== null);
      if (this.stuck === null) {
        const { sample, settings } = lesson.start;
        if (sample !== null)
          await rows.replaceBy(
            sample,
            settings,
            `Settings set to those of the lesson “${lesson.text.title}”.`,
          );
        this.since = {
          run: Math.max(0, ...workspace.runs.all.map(({ number }) => number)),
          exchange: Math.max(0, ...this.talk.exchanges.map(({ id }) => id)),
        };
        this.part = 'predict';
      } else this.error = this.stuck;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
    this.settingUp = false;
  }

  /** What keeps the page from ever being ready. */
  private get stuck(): ErrorDetails | null {
    const { dead, deviceError, modelError, model, opened } = this.workspace;
    return dead ?? deviceError ?? (opened && model === null ? modelError : null);
  }

  predict(value: number | LossPoint[]): void {
    this.predicted = value;
    this.part = 'tasks';
    this.keep();
  }

  /** Why the button of the task cannot be pressed, as a sentence; null when it can. */
  get blocked(): string | null {
    const { workspace, talk, task } = this;
    if (task === null) return null;
    if (task.press === 'train') return workspace.blocked;
    if (workspace.training) return 'A run is going on.';
    if (talk.busy) return 'The models are answering.';
    return workspace.runs.tuned ? null : 'There are no tuned weights yet.';
  }

  /** Does what the task asks for. Done it is when the state of the page says so. */
  async press(): Promise<void> {
    const { lesson, task, workspace, talk } = this;
    if (!lesson || !task || this.blocked !== null) return;
    this.error = null;
    try {
      if (task.press === 'ask') {
        const first = workspace.data.suggestions[0];
        if (first) await talk.ask(first.prompt, first.system, first.expected);
      } else {
        const { sample, settings } = lesson.start;
        const wanted = { ...settings, ...task.settings };
        if (sample !== null)
          await workspace.ownRows.replaceBy(
            sample,
            wanted,
            `Settings set to those of the lesson “${lesson.text.title}”.`,
          );
        workspace.watchedElsewhere = true;
        await workspace.runs.train();
      }
      if (workspace.runs.error) this.error = workspace.runs.error;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      workspace.watchedElsewhere = false;
    }
  }

  /** Takes the tasks that the state shows to be done; to be called when the snapshot changes. */
  check(): void {
    while (this.part === 'tasks' && this.task?.check(this.snapshot)) this.tasksDone++;
  }

  goOn(): void {
    this.part = 'transfer';
  }

  answerTransfer(option: number): void {
    this.transfer = option;
    this.part = 'end';
    this.keep();
  }

  private keep(): void {
    const { entry, predicted, transfer } = this;
    if (!entry) return;
    const before = this.records[entry.id]?.done ?? null;
    const done = this.part === 'end' ? new Date().toISOString() : before;
    this.records = { ...this.records, [entry.id]: { done, predicted, transfer } };
    writeLocal(KEY, JSON.stringify(this.records));
  }
}

/** Reads what the run has measured so far: it is followed as it goes on. */
function factsOf(run: RunView): RunFacts {
  run.revision;
  const config = run.config as NonNullable<RunView['config']>;
  return {
    settings: config.hyperparameters,
    model: config.modelId,
    ended: run.summary?.state ?? (run.error ? 'failed' : null),
    verdict: run.verdict.state,
    train: lossPoints(run.line('train_eval_loss')),
    validation: lossPoints(run.line('valid_loss')),
    general: lossPoints(run.line('general_loss')),
    trainRows: config.trainRows,
    trainableParameters: config.trainableParameters,
  };
}
