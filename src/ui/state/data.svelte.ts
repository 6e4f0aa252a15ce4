// The rows on the page: where they come from, what was read of them, which sample they are; reading, reading again, leaving out, forgetting.
// Not here: the model and the runs (workspace.svelte.ts), what lasts over a reload (kept.svelte.ts), parsing and splitting (data/).

import type { BesideSources, DataSource, DatasetReport, RowPreview, Session } from '../../contract';
import type { RowChange, SplitSide } from '../../dataContract';
import type { MendChoices, MendGroup, ReadingChoices, ReadProgress } from '../../dataReport';
import { stepsPerEpoch } from '../../epochSteps';
import { type ErrorDetails, errorDetails } from '../../errors';
import type { ModelInfo } from '../../modelContract';
import type { Form } from './form.svelte';
import type { LastingData } from './keptSources';
import { type SampleData, sampleSource } from './samples';
import { type Suggestion, suggestionsFrom } from './suggestions';

/** Calls during which the worker works on rows that it may not have read before. */
const READING = [
  'readData',
  'readText',
  'leaveOutBadRows',
  'encodeData',
  'previewRows',
  'findRows',
  'rowTexts',
  'changeRow',
  'mendedRows',
  'mendedFile',
];
/** Changes that can be undone, newest last. Each holds a text of the data, or a choice about the same file. */
const MAX_UNDONE = 20;
/** Settings that change the rows are taken when none has changed for so long. */
const SETTLE_MS = 350;

const notReadAgain = (name: string): ErrorDetails => ({
  code: 'data_not_read_again',
  message: `The engine stopped while it was reading ${name}, so it was not given these rows again.`,
  fix: 'Choose them again to try once more, or choose other data.',
});

/** The part of the workspace that rows depend on. */
interface Page {
  readonly session: Session;
  readonly model: ModelInfo | null;
  readonly training: boolean;
  readonly form: Form;
  readonly kept: { forgetData(): void };
  readonly runs: { readonly questions: { stop(): Promise<void> } };
}

export class Data {
  samples: SampleData[] = $state.raw([]);
  samplesError: ErrorDetails | null = $state.raw(null);
  source: DataSource | null = $state.raw(null);
  report: DatasetReport | null = $state.raw(null);
  busy = $state(false);
  /** Of a reading that takes long enough to tell; null otherwise. */
  progress: ReadProgress | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  suggestions: Suggestion[] = $state.raw([]);
  consented = $state(false);
  /** Files of one's own for validation and test rows. */
  beside: BesideSources = $state.raw({});
  private picked: { sample: SampleData; source: DataSource } | null = $state.raw(null);
  /** What was read last without a fault: it is read again after the engine was restarted, and kept over a reload. */
  private readLast: { source: DataSource; consented: boolean; beside: BesideSources } | null =
    $state.raw(null);
  /** What the data were before the changes that were made on this page. */
  private before: { source: DataSource; consented: boolean; what: string }[] = $state.raw([]);
  private reading = 0;
  private encodeTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly page: Page;
  private readonly onreport: () => void;

  /** Steps that a run would take with the form as it stands. */
  readonly plan = $derived.by(() => {
    if (!this.report || this.report.trainRows === 0) return null;
    const { settings } = this.page.form;
    const epochSteps = stepsPerEpoch(this.report.trainRows, settings);
    if (!Number.isFinite(epochSteps) || !Number.isFinite(settings.num_train_epochs)) return null;
    return { stepsPerEpoch: epochSteps, totalSteps: epochSteps * settings.num_train_epochs };
  });

  /** @param onreport called when rows were read or encoded */
  constructor(page: Page, onreport: () => void) {
    this.page = page;
    this.onreport = onreport;
  }

  /** @param restored it comes back from an earlier visit: the form stays as it is; else it takes the settings that the sample was measured with */
  async loadSample(
    sample: SampleData,
    { restored = false, consent = false, beside = {} as BesideSources } = {},
  ): Promise<void> {
    this.error = null;
    try {
      const source = await sampleSource(sample);
      this.beside = beside;
      this.picked = { sample, source };
      if (!restored) this.page.form.takeSample(sample, this.page.model);
      await this.read(source, consent);
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  /** The sample whose rows are loaded; null for rows of one's own. */
  get sample(): SampleData | null {
    return this.picked && this.picked.source === this.source ? this.picked.sample : null;
  }

  /** How long the sample that is loaded was trained when it was measured; null when that is what is set, or nobody measured it. */
  get measuredEpochs(): { sample: string; epochs: number } | null {
    const { sample } = this;
    if (!sample) return null;
    const { method, num_train_epochs } = this.page.form.settings;
    const epochs = sample.settings[method]?.num_train_epochs;
    return epochs === undefined || epochs === num_train_epochs ? null : { sample: sample.name, epochs };
  }

  /** Reads a file or pasted text; waits in line when the model is not there yet. */
  async read(source: DataSource, consent = false): Promise<void> {
    const { page } = this;
    if (page.training) return;
    const { beside } = this;
    const turn = ++this.reading;
    // Reading takes the settings as they are now.
    this.clearTimer();
    if (this.picked?.source !== source) page.form.leaveSample();
    // Other data: what was changed in those before is no longer at hand.
    this.before = [];
    this.source = source;
    this.consented = consent;
    this.error = null;
    if (!page.model) {
      this.report = null;
      return;
    }
    this.busy = true;
    try {
      await page.runs.questions.stop();
      let report = await page.session.readData(source, page.form.settings, beside, (progress) => {
        if (turn === this.reading) this.progress = progress;
      });
      if (consent && report.needsConsent) report = await page.session.leaveOutBadRows();
      if (turn !== this.reading) return;
      this.readLast = { source, consented: consent, beside };
      await this.accept(report);
    } catch (thrown) {
      if (turn !== this.reading) return;
      const error = errorDetails(thrown);
      if (error.code === 'reading_cancelled') this.backToLast();
      else {
        this.report = null;
        this.suggestions = [];
        this.error = error;
      }
    } finally {
      if (turn === this.reading) {
        this.busy = false;
        this.progress = null;
      }
    }
  }

  /** Ends the reading that goes on; the rows that were read before it stay. */
  async cancelReading(): Promise<void> {
    try {
      await this.page.session.cancelReading();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  /** The engine still has what it read last. */
  private backToLast(): void {
    const { readLast } = this;
    this.source = readLast?.source ?? null;
    this.consented = readLast?.consented ?? false;
    this.beside = readLast?.beside ?? {};
    if (!readLast) this.report = null;
  }

  /** The same rows for another model: they are tokenised by its own tokenizer. */
  async readAgain(): Promise<void> {
    const { before } = this;
    if (this.source) await this.read(this.source, this.consented);
    this.before = before;
  }

  async leaveOutBadRows(): Promise<void> {
    try {
      const report = await this.page.session.leaveOutBadRows();
      this.consented = true;
      if (this.readLast) this.readLast = { ...this.readLast, consented: true };
      await this.accept(report);
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  /** What “Undo” would take back, in a few words; null when nothing can be. */
  get undoes(): string | null {
    return this.before.at(-1)?.what ?? null;
  }

  /** Goes back to the data before the last change of a row, a mend or a column. */
  async undo(): Promise<void> {
    const last = this.before.at(-1);
    if (!last || this.page.training) return;
    const rest = this.before.slice(0, -1);
    await this.read(last.source, last.consented);
    this.before = rest;
  }

  /** The same data in another state. @param what it is, in a few words, for “Undo” */
  async change(source: DataSource, what: string): Promise<void> {
    if (!this.source || this.page.training) return;
    const before = [...this.before, { source: this.source, consented: this.consented, what }].slice(
      -MAX_UNDONE,
    );
    await this.read(source, this.consented);
    this.before = before;
  }

  /** The same file, read otherwise. */
  async readOtherwise(reading: ReadingChoices, what: string): Promise<void> {
    if (this.source)
      await this.change({ ...this.source, reading: { ...this.source.reading, ...reading } }, what);
  }

  /** Does or refuses a mend: of all rows of its kind, or of the row at a line. */
  async chooseMend({ code, title }: MendGroup, done: boolean, line?: number): Promise<void> {
    const mends: MendChoices = this.source?.reading?.mends ?? { kinds: {}, rows: {} };
    const rows =
      line === undefined
        ? Object.fromEntries(Object.entries(mends.rows).filter(([other]) => other !== code))
        : { ...mends.rows, [code]: { ...mends.rows[code], [line]: done } };
    const kinds = line === undefined ? { ...mends.kinds, [code]: done } : mends.kinds;
    const where = line === undefined ? 'in all rows' : `in line ${line}`;
    await this.readOtherwise({ mends: { kinds, rows } }, `“${title}” ${where}`);
  }

  /**
   * Changes, adds or removes a row. The data are a text of the visitor's from then on; the file stays as it is.
   * @returns the line of the row in the new data
   * @throws what `Session.changeRow` rejects with
   */
  async changeRow(change: RowChange): Promise<number> {
    const { name, text, line } = await this.page.session.changeRow(change);
    const { kinds } = this.source?.reading?.mends ?? { kinds: {} };
    const reading = Object.keys(kinds).length > 0 && { reading: { mends: { kinds, rows: {} } } };
    const what =
      change.line === null
        ? 'the new row'
        : `${change.text === null ? 'removing' : 'the change of'} line ${change.line}`;
    await this.change({ kind: 'text', name, text, ...reading }, what);
    return line;
  }

  /** Takes a file for the validation or the test rows, or lets it go; the rows are read and split anew. */
  async takeBeside(use: keyof BesideSources, source: DataSource | null): Promise<void> {
    if (this.page.training) return;
    const { [use]: _, ...rest } = this.beside;
    this.beside = source === null ? rest : { ...rest, [use]: source };
    await this.readAgain();
  }

  /** The text of the present data, for mending in place; null when it is too large for a text area. */
  async text(limitBytes = 1_000_000): Promise<string | null> {
    const { source } = this;
    if (!source) return '';
    const size = source.kind === 'text' ? source.text.length : source.file.size;
    return size > limitBytes ? null : this.page.session.readText(source);
  }

  /** What is kept over a reload: rows that could be read. */
  get lasting(): LastingData | null {
    return (
      this.readLast && {
        ...this.readLast,
        sample: this.picked?.source === this.readLast.source ? this.picked.sample : null,
      }
    );
  }

  forget(): void {
    this.reading++;
    this.beside = {};
    this.before = [];
    this.source = null;
    this.readLast = null;
    this.page.kept.forgetData();
    this.report = null;
    this.error = null;
    this.busy = false;
    this.progress = null;
    this.suggestions = [];
  }

  previewRows(split: SplitSide, offset: number, count: number): Promise<RowPreview[]> {
    return this.page.session.previewRows({ split, offset, count });
  }

  /** Encodes again when the settings have come to rest. */
  encodeSoon(): void {
    if (!this.report) return;
    clearTimeout(this.encodeTimer);
    this.encodeTimer = setTimeout(() => void this.encode(), SETTLE_MS);
  }

  /** Encodes at once where that is due. */
  async encodeIfDue(): Promise<void> {
    if (this.encodeTimer !== undefined) await this.encode();
  }

  async encode(): Promise<void> {
    this.clearTimer();
    const { page } = this;
    if (!this.report || page.training || page.form.wrong) return;
    const turn = ++this.reading;
    this.busy = true;
    try {
      const report = await page.session.encodeData(page.form.settings);
      if (turn === this.reading) await this.accept(report);
    } catch (thrown) {
      if (turn === this.reading) this.error = errorDetails(thrown);
    } finally {
      if (turn === this.reading) this.busy = false;
    }
  }

  /**
   * The engine that had read the rows is gone. Rows that it was still reading are not handed over again: they may be what stopped it.
   * @param interrupted the session's calls that it did not answer
   * @returns what to call when rows have been read anew: it says which ones were not
   */
  engineLost(interrupted: readonly string[]): () => void {
    this.report = null;
    this.busy = false;
    const { source, readLast } = this;
    if (source === null || source === readLast?.source || !interrupted.some((call) => READING.includes(call)))
      return () => {};
    this.source = readLast?.source ?? null;
    this.consented = readLast?.consented ?? false;
    this.beside = readLast?.beside ?? {};
    return () => {
      this.error = notReadAgain(source.name);
    };
  }

  private async accept(report: DatasetReport): Promise<void> {
    this.report = report;
    this.onreport();
    if (report.needsConsent || report.validationRows === 0) {
      this.suggestions = [];
      return;
    }
    const rows = await this.page.session.previewRows({ split: 'validation', offset: 0, count: 12 });
    this.suggestions = suggestionsFrom(rows);
  }

  private clearTimer(): void {
    clearTimeout(this.encodeTimer);
    this.encodeTimer = undefined;
  }
}
