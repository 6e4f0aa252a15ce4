// The calls of the page about rows: reading them, mending, looking, editing, statistics, and the losses of single rows.
// Not here: what each does (session/dataset.ts, session/rowEditing.ts, session/measuring.ts), runs and answers (session.ts).

import type { BesideSources, DataSource, DatasetReport, RowCheck, RowPreview } from '../contract';
import type {
  ChangedData,
  DatasetStatistics,
  FoundRows,
  RowChange,
  RowItem,
  RowMeanLoss,
  RowNumber,
  RowQuery,
  RowText,
  RowTokenLosses,
  SplitSide,
} from '../dataContract';
import type { MendedForm, MendedRow, ReadProgress } from '../dataReport';
import type { Learner } from '../engine/model/adapters';
import type { Hyperparameters } from '../hyperparameters';
import { Dataset } from '../session/dataset';
import { finishRows, rowTokenLosses, sideLosses } from '../session/measuring';
import type { BaseModel } from '../session/model';
import type { Platform } from '../session/platform';
import { readControl } from '../session/reading';
import { changeRow, checkRow, rowTexts } from '../session/rowEditing';
import { needed } from './refusals';
import { inputOf } from './sources';
import { StatelessCalls } from './statelessCalls';

/** What the rows need of the session around them. */
export abstract class DataCalls extends StatelessCalls {
  protected abstract readonly platform: Platform;
  #dataset: Dataset | null = null;
  #reading = new AbortController();

  /** @throws PlaygroundError `no_model` */
  protected abstract model(): BaseModel;
  /** @throws PlaygroundError `run_active`, `measuring` */
  protected abstract assertIdle(purpose: string): void;
  /** Work that `cancelMeasuring` ends. @param byEngine the engine does one of these at a time, and none during a run */
  protected abstract measure<T>(
    byEngine: boolean,
    work: (cancelled: () => boolean) => Promise<T>,
  ): Promise<T>;
  /** Hands over what was learned, as the weights that were chosen; null before there is a run. */
  protected abstract withLearned<T>(work: (learner: Learner | null) => Promise<T>): Promise<T>;

  protected get dataOrNull(): Dataset | null {
    return this.#dataset;
  }

  /** @throws PlaygroundError `no_data` */
  protected data(): Dataset {
    return needed('data', this.#dataset);
  }

  /** The data, with the general rows that these settings mix in and those that forgetting is measured on. */
  protected async rowsFor(h: Hyperparameters): Promise<Dataset> {
    const dataset = this.data();
    await Promise.all([dataset.provideReplay(h, this.platform), dataset.provideProbe(this.platform)]);
    return dataset;
  }

  async readData(
    source: DataSource,
    h: Hyperparameters,
    beside: BesideSources = {},
    onProgress: (progress: ReadProgress) => void = () => {},
  ): Promise<DatasetReport> {
    const { chat, model } = this.model();
    this.assertIdle('read other data');
    this.#reading.abort();
    this.#reading = new AbortController();
    const control = readControl(this.platform, this.#reading.signal, onProgress);
    const { name, content, choices } = inputOf(source);
    const dataset = await Dataset.read(name, content, choices, {
      ...(beside.validation && { validation: inputOf(beside.validation) }),
      ...(beside.test && { test: inputOf(beside.test) }),
      control: control('read'),
    });
    await dataset.provideReplay(h, this.platform);
    const report = await dataset.encodeInSteps(chat, model.architecture, h, control('encode'));
    this.#dataset = dataset;
    return report;
  }

  async cancelReading(): Promise<void> {
    this.#reading.abort();
  }

  async mendedRows(range: { code: string; offset: number; count: number }): Promise<MendedRow[]> {
    return this.data().mendedRows(range);
  }

  async mendedFile(form: MendedForm): Promise<Blob> {
    return new Blob(await this.data().mendedFile(form), { type: 'application/jsonl' });
  }

  async leaveOutBadRows(): Promise<DatasetReport> {
    return this.data().leaveOutBadRows();
  }

  async encodeData(h: Hyperparameters): Promise<DatasetReport> {
    const { chat, model } = this.model();
    return (await this.rowsFor(h)).encode(chat, model.architecture, h);
  }

  async previewRows(range: { offset: number; count: number; split: SplitSide }): Promise<RowPreview[]> {
    return this.data().preview(this.model().chat, range);
  }

  async findRows(query: RowQuery): Promise<FoundRows> {
    return (await this.data().table()).find(query);
  }

  async rowItems(ids: number[]): Promise<RowItem[]> {
    return (await this.data().table()).items(ids);
  }

  async rowTexts(line: number): Promise<RowText[]> {
    return rowTexts(this.data(), line);
  }

  async checkRow(text: string, h: Hyperparameters): Promise<RowCheck> {
    const { chat, model } = this.model();
    return checkRow(text, chat, model.architecture.contextLength, h);
  }

  async changeRow(change: RowChange): Promise<ChangedData> {
    return changeRow(this.data(), change);
  }

  async statistics(onProgress: (share: number) => void): Promise<DatasetStatistics> {
    const work = this.data().describe();
    return this.measure(false, (cancelled) => finishRows(work, this.platform, { onProgress, cancelled }));
  }

  async rowLosses(row: RowNumber): Promise<RowTokenLosses> {
    const base = this.model();
    this.assertIdle('measure a row');
    return this.measure(true, () =>
      this.withLearned((learner) => rowTokenLosses(base, learner, this.data(), row, this.platform)),
    );
  }

  async sideLosses(split: RowNumber['split'], onProgress: (share: number) => void): Promise<RowMeanLoss[]> {
    const base = this.model();
    this.assertIdle('measure the rows');
    const side = {
      split,
      rows: this.data()
        .rows(split)
        .map(({ encoded }) => encoded),
    };
    return this.measure(true, (cancelled) =>
      this.withLearned((learner) =>
        sideLosses(base, learner, side, this.platform, { onProgress, cancelled }),
      ),
    );
  }
}
