// The user's rows: read, encoded for a model, reported, shown, handed to the trainer; and whether rows with errors may be left out.
// Not here: reading them (data/dataFile.ts), encoding and splitting them (data/prepareRows.ts).

import type { DatasetReport, EncodedExample, Example, RowPreview, RunConfig } from '../contract';
import { type DataFile, type FileOptions, readDataBytes, readDataFile } from '../data/dataFile';
import { type Probe, prepareProbe } from '../data/generalRows';
import { MendedLines } from '../data/mending';
import { type Beside, type PreparedRows, prepareRows, type Row } from '../data/prepareRows';
import { previewText } from '../data/reading/plainText';
import type { WrittenRow } from '../data/reading/rowsReader';
import { describeRows } from '../data/rowStatistics';
import { RowTable, type UnusedRow, type UsedRow } from '../data/rowTable';
import { summarise } from '../data/statistics';
import { type ReadControl, readDataBlob } from '../data/streamedFile';
import { ENCODING_CHOICES } from '../data/text/textEncoding';
import type { Chat } from '../data/tokens/chat';
import { encodeAhead } from '../data/tokens/encodeRows';
import { previewTokens } from '../data/tokens/preview';
import type { DatasetStatistics, Fold, SplitSide } from '../dataContract';
import type { FileLayout, MendedForm, MendedRow, ReadingChoices } from '../dataReport';
import { noReplayRows } from '../engine/training/epochRows';
import { type LongestBatch, longestBatch } from '../engine/training/memory';
import type { TrainingData, TrainPlan } from '../engine/training/plan';
import { errorDetails, PlaygroundError } from '../errors';
import { DATA_SETTINGS, type Hyperparameters } from '../hyperparameters';
import type { Architecture } from '../modelArchitecture';
import { plural } from '../wording';
import { generalFile } from './generalRows';
import type { Platform } from './platform';

interface Prepared extends Pick<PreparedRows, 'usable' | 'linesByCode' | 'replay' | SplitSide> {
  report: DatasetReport;
  /** Made when it is asked for first. */
  table?: Promise<RowTable>;
  /** What it was made from. */
  from: { chat: Chat; contextLength: number; h: Hyperparameters };
}

/** Characters of a row with errors that the table holds. */
const MAX_SHOWN = 2000;

/** A side of the split, or both sides that a run reads: never the test rows. */
export type RowSide = 'all' | SplitSide;

/** What a visitor has said about a file. */
export interface DataChoices {
  /** Of the bytes; without it that is looked for. */
  encoding?: string | undefined;
  reading?: ReadingChoices | undefined;
}

/** Of a file its bytes, which are read as they are needed; of a text field its text. */
export type DataContent = Blob | Uint8Array | string;

/** A data file before it is read. */
export interface DataInput {
  name: string;
  content: DataContent;
  choices?: DataChoices;
}

/** Files whose rows are all of one side of the split. */
export interface BesideInputs {
  validation?: DataInput | undefined;
  test?: DataInput | undefined;
}

async function readContent(
  name: string,
  content: DataContent,
  choices: DataChoices,
  options: Omit<FileOptions, 'reading'> = {},
  control: ReadControl = {},
): Promise<DataFile> {
  const all = { ...options, ...(choices.reading && { reading: choices.reading }) };
  if (typeof content === 'string') return readDataFile(name, content, all);
  if (content instanceof Blob) return readDataBlob(name, content, choices.encoding, all, control);
  return readDataBytes(name, content, choices.encoding, all);
}

export class Dataset {
  readonly #file: DataFile;
  readonly #content: DataContent;
  readonly #choices: DataChoices;
  readonly #beside: Pick<Beside, 'validation' | 'test'>;
  /** The visitor agreed to go on without the rows that have errors. */
  #agreed = false;
  #prepared: Prepared | null = null;
  /** The general rows of this project, once a run is to mix them in. */
  #replay: DataFile | null = null;
  /** What forgetting is measured on; a sentence where it could not be read. Null where nobody asked for it. */
  #probe: DataFile | string | null = null;
  /** The validation rows are those of this fold; null where they are as the settings or the files say. */
  readonly fold: Fold | null;

  private constructor(
    file: DataFile,
    content: DataContent,
    choices: DataChoices,
    beside: Pick<Beside, 'validation' | 'test'>,
    fold: Fold | null = null,
  ) {
    this.fold = fold;
    this.#file = file;
    this.#content = content;
    this.#choices = choices;
    this.#beside = beside;
  }

  /**
   * Never throws for what is wrong inside rows, or for bytes that are no text; that is in the report.
   * @param beside files whose rows are the validation or the test rows
   */
  static async read(
    name: string,
    content: DataContent,
    choices: DataChoices = {},
    { validation, test, control }: BesideInputs & { control?: ReadControl } = {},
  ): Promise<Dataset> {
    const file = await readContent(name, content, choices, {}, control);
    const other = async (input: DataInput) =>
      readContent(input.name, input.content, input.choices ?? {}, {}, control);
    return new Dataset(file, content, choices, {
      ...(validation && { validation: await other(validation) }),
      ...(test && { test: await other(test) }),
    });
  }

  /** The same files with the rows of a fold held out, as `copy`. */
  ofFold(fold: Fold): Dataset {
    return this.copy(fold);
  }

  /** The same files once more. The copy is encoded for itself, so what was encoded here stays as it is. */
  copy(fold: Fold | null = this.fold): Dataset {
    const other = new Dataset(this.#file, this.#content, this.#choices, this.#beside, fold);
    other.#agreed = this.#agreed;
    other.#replay = this.#replay;
    return other;
  }

  /**
   * The same files with each row changed, as data of another name and hash. It is encoded for itself, and the files are not changed.
   * General rows that are mixed in stay as they are.
   * @param change of one row; its line must stay
   */
  async changed(
    change: (example: Example) => Example,
    as: { name: (name: string) => string; hash: (hash: string) => Promise<string> },
  ): Promise<Dataset> {
    const changeFile = async (file: DataFile): Promise<DataFile> => ({
      ...file,
      name: as.name(file.name),
      hash: await as.hash(file.hash),
      examples: file.examples.map(change),
    });
    const { validation, test } = this.#beside;
    const beside = {
      ...(validation && { validation: await changeFile(validation) }),
      ...(test && { test: await changeFile(test) }),
    };
    const other = new Dataset(await changeFile(this.#file), this.#content, this.#choices, beside, this.fold);
    other.#agreed = this.#agreed;
    other.#replay = this.#replay;
    return other;
  }

  /** Rows of one kind of mend, before and after. The file is read once more for them. */
  async mendedRows(range: { code: string; offset: number; count: number }): Promise<MendedRow[]> {
    const file = await readContent(this.#file.name, this.#content, this.#choices, { window: range });
    return file.mends.windowRows;
  }

  /** The file with the mends that are done, as pieces of its text. */
  async mendedFile(form: MendedForm): Promise<string[]> {
    const lines = new MendedLines();
    const write = (row: WrittenRow) => lines.add(row[form]);
    const file = await this.writeRows(write);
    return file.layout === 'text' ? [file.examples[0]?.text ?? ''] : lines.end();
  }

  /**
   * Encode for this model and these settings, split, and report; what was made for the same ones before is used again. Rows longer than
   * the model's context are cut to it.
   */
  encode(chat: Chat, { contextLength }: Architecture, h: Hyperparameters): DatasetReport {
    const before = this.#prepared?.from;
    if (
      this.#prepared &&
      before?.chat === chat &&
      before.contextLength === contextLength &&
      DATA_SETTINGS.every((name) => before.h[name] === h[name])
    ) {
      return this.#prepared.report;
    }
    const { name, hash, leftOut } = this.#file;
    const prepared = prepareRows(this.#file, chat, contextLength, h, {
      ...this.#beside,
      fold: this.fold,
      replay: this.#replayFor(h),
    });
    const { rows, understood, issues, usable, train, validation, test, spare } = prepared;
    // Of the data file: a file beside it is counted for itself.
    const own = usable.concat(test, spare).filter((row) => row.encoded.file === undefined);
    const encoded = own.map((row) => row.encoded);
    const examples = [...new Set(own.map((row) => row.example))];
    const report: DatasetReport = {
      name,
      hash,
      understood,
      rows,
      usableRows: examples.length,
      encodedRows: own.length,
      badRows: rows - examples.length - leftOut,
      leftOutRows: leftOut,
      issues,
      issueGroups: prepared.issueGroups,
      mends: this.#file.mends.groups(),
      layout: this.#file.layout,
      ...(this.#file.table && { table: this.#file.table }),
      ...(this.#file.encoding && { encoding: this.#file.encoding }),
      ...(this.#encodingMayBeWrong && { encodings: [...ENCODING_CHOICES] }),
      needsConsent: !this.#agreed && issues.some((i) => i.severity === 'error'),
      messagesPerRow: summarise(examples.map(({ messages }) => messages.length)),
      tokensPerRow: summarise(encoded.map((e) => e.fullLength)),
      trainedTokensPerRow: summarise(encoded.map((e) => e.mask.reduce((sum, m) => sum + m, 0))),
      overLength: [...new Set(encoded.filter((e) => e.fullLength > e.ids.length).map((e) => e.line))],
      trainRows: train.length,
      spareRows: spare.length,
      validationRows: validation.length,
      validationFrom: prepared.validationFrom,
      test: prepared.testSplit,
      ...(prepared.replay && { replay: prepared.replay.report }),
      beside: prepared.beside,
      nearDuplicateGroups: prepared.nearDuplicateGroups,
      heldOut: prepared.heldOut,
    };
    const { linesByCode } = prepared;
    this.#prepared = {
      report,
      usable,
      train,
      validation,
      test,
      replay: prepared.replay,
      linesByCode,
      from: { chat, contextLength, h: { ...h } },
    };
    return report;
  }

  /**
   * The same with pauses, so that the page stays fluent and the work can be ended.
   * @param control told of rows in place of bytes
   * @throws whatever `control.pause` rejects with; the dataset is then as before
   */
  async encodeInSteps(
    chat: Chat,
    architecture: Architecture,
    h: Hyperparameters,
    { onProgress, pause }: ReadControl,
  ): Promise<DatasetReport> {
    const { examples } = this.#file;
    const { contextLength } = architecture;
    const options = { max_length: h.max_length, loss_on: h.loss_on, contextLength };
    await encodeAhead(chat, examples, options, async (done) => {
      onProgress?.(done, examples.length);
      await pause?.();
    });
    return this.encode(chat, architecture, h);
  }

  /** Reads the general rows where these settings mix them in: before `encode`. @throws PlaygroundError of `generalFile` */
  async provideReplay(
    { replay_fraction }: Pick<Hyperparameters, 'replay_fraction'>,
    platform: Pick<Platform, 'shippedText'>,
  ): Promise<void> {
    if (replay_fraction > 0) this.#replay ??= await generalFile('replay', platform);
  }

  #replayFor({ replay_fraction: fraction }: Hyperparameters): NonNullable<Beside['replay']> | null {
    if (!(fraction > 0)) return null;
    if (this.#replay) return { file: this.#replay, fraction };
    throw noReplayRows(['They have not been read.']);
  }

  /**
   * Reads the general rows that forgetting is measured on: before a run. Where they cannot be read the run goes on without, and its record
   * says why.
   */
  async provideProbe(platform: Pick<Platform, 'shippedText'>): Promise<void> {
    if (this.#probe !== null && typeof this.#probe !== 'string') return;
    this.#probe = await generalFile('general_probe', platform).catch(
      (thrown: unknown) => `Forgetting is not measured: ${errorDetails(thrown).message}`,
    );
  }

  /** The rows that forgetting is measured on, for the model of the last `encode`; null where nobody asked for them, or they cannot be read. */
  get #general(): Probe | null {
    const { chat, contextLength } = this.#need().from;
    return this.#probe === null || typeof this.#probe === 'string'
      ? null
      : prepareProbe(this.#probe, chat, contextLength);
  }

  /** How a run with this plan measures what it forgets; nothing where nobody asked for it. */
  generalConfig({ general: { all, sample, share } }: TrainPlan): Pick<RunConfig, 'general'> {
    if (this.#probe === null) return {};
    const { form, hash } = this.#general ?? { form: 'chat' as const, hash: '' };
    const notice = typeof this.#probe === 'string' ? this.#probe : null;
    return { general: { rows: all.length, sampleRows: sample.length, share, form, hash, notice } };
  }

  /** Of the last `encode`. */
  get report(): DatasetReport {
    return this.#need().report;
  }

  /** What the last `encode` was asked for. */
  get settings(): Prepared['from']['h'] {
    return this.#need().from.h;
  }

  get #encodingMayBeWrong(): boolean {
    return (
      this.#choices.encoding !== undefined ||
      this.#file.issues.some((issue) => issue.code.startsWith('encoding_'))
    );
  }

  leaveOutBadRows(): DatasetReport {
    this.#agreed = true;
    const prepared = this.#need();
    prepared.report = { ...prepared.report, needsConsent: false };
    return prepared.report;
  }

  /**
   * Checked before any run, measurement or listing of rows, on page and command line alike.
   * @param howToLeaveOut what agreeing to leave rows out is called where this runs
   * @throws PlaygroundError `binary_file`, `encoding_unknown` … when the file is no text that can be read, `no_rows` when nothing is usable, `no_replay_rows`, `rows_with_errors` unless rows with errors may be left out
   */
  assertTrainable(howToLeaveOut = 'choose to leave them out'): void {
    const { report } = this.#need();
    // A file without rows has one problem, and that is all there is to say.
    const unreadable = report.rows === 0 ? report.issues.find((i) => i.severity === 'error') : null;
    if (unreadable) {
      const { code, message, fix } = unreadable;
      throw new PlaygroundError({ code, message, fix, where: report.name });
    }
    const empty = report.beside.find((file) => file.rows === 0);
    if (empty) {
      const about = report.issues.find((i) => i.file === empty.name && i.severity === 'error');
      throw new PlaygroundError({
        code: about?.code ?? 'no_rows',
        message: about?.message ?? `${empty.name} has no rows.`,
        fix: about?.fix ?? `Choose another file of ${empty.use} rows, or none.`,
        where: empty.name,
      });
    }
    if (report.needsConsent) {
      const files = [report, ...report.beside];
      const [bad, rows] = [sumOf(files, 'badRows'), sumOf(files, 'rows')];
      throw new PlaygroundError({
        code: 'rows_with_errors',
        message: `${bad === rows ? '' : `${bad} of `}${plural(rows, 'row')} ${bad === 1 ? 'has' : 'have'} errors, and nobody has agreed to leave them out.`,
        fix: `Mend the rows, or ${howToLeaveOut}.`,
        where: files.flatMap((file) => (file.badRows > 0 ? [file.name] : [])).join(', ') || report.name,
      });
    }
    if (report.replay && report.replay.pool === 0) throw noReplayRows(report.replay.notices);
    for (const { name, usableRows } of [report, ...report.beside]) {
      if (usableRows > 0) continue;
      throw new PlaygroundError({
        code: 'no_rows',
        message: `${name} has no row that can be used.`,
        fix: 'Each row needs a question and an answer; see the problems above.',
        where: name,
      });
    }
  }

  /** @throws PlaygroundError `folds_of_given_rows`, `too_few_rows_for_folds` */
  assertFolds(folds: number): void {
    if (folds < 2) return;
    const { report, train, validation } = this.#need();
    if (report.validationFrom !== 'settings') {
      const where =
        report.validationFrom === 'file' ? 'come from a file of their own' : 'are marked in the file';
      throw new PlaygroundError({
        code: 'folds_of_given_rows',
        message: `Folds hold out each part of the rows in turn, and the validation rows of these data ${where}.`,
        fix: 'Set folds to 1, or leave the choice of validation rows to the settings.',
        where: report.name,
      });
    }
    const examples = new Set([...train, ...validation].map(({ example }) => example)).size;
    if (examples >= folds) return;
    throw new PlaygroundError({
      code: 'too_few_rows_for_folds',
      message: `${plural(folds, 'fold')} need as many rows, and there are ${examples}.`,
      fix: 'Add rows, or take fewer folds.',
      where: report.name,
    });
  }

  /** The usable rows of a split, in the order of the files. */
  rows(split: RowSide): readonly Row[] {
    const prepared = this.#need();
    return split === 'all' ? prepared.usable : prepared[split];
  }

  /** The table of all rows, those with errors too; for their texts the file is read once more. */
  table(): Promise<RowTable> {
    const prepared = this.#need();
    prepared.table ??= this.#makeTable(prepared);
    return prepared.table;
  }

  async #makeTable({ train, validation, test, linesByCode }: Prepared): Promise<RowTable> {
    const sides = { train, validation, test };
    const used = (Object.keys(sides) as (keyof typeof sides)[]).flatMap((use) =>
      sides[use].map(({ example, encoded }, index): UsedRow => ({ use, index, example, encoded })),
    );
    const usedLines = new Set(
      [...train, ...validation, ...test]
        .filter(({ encoded }) => !encoded.file)
        .map(({ encoded }) => encoded.line),
    );
    const unused: UnusedRow[] = [];
    // A text is cut into rows that are all used.
    if (this.#file.layout !== 'text') {
      await this.writeRows(({ line, same }) => {
        if (!usedLines.has(line)) unused.push({ line, text: same.slice(0, MAX_SHOWN) });
      });
    }
    return new RowTable(used, unused, linesByCode);
  }

  /** Reads the file once more and hands on each row as it can be written again. */
  writeRows(write: (row: WrittenRow) => void): Promise<DataFile> {
    // As it was read before: a file that turns out to be none for pieces would be written from its start again.
    const whole = this.#file.inPieces !== true;
    return readContent(this.#file.name, this.#content, this.#choices, { write }, { whole });
  }

  /** What the visitor has said about the file. */
  get choices(): DataChoices {
    return this.#choices;
  }

  get layout(): FileLayout {
    return this.#file.layout;
  }

  /** What a run reads. The test rows are not among it, nor anything that is made of them. */
  trainingData(): TrainingData {
    const { train, validation, replay } = this.#need();
    return {
      train: train.map(encodedOf),
      validation: validation.map(encodedOf),
      ...(replay && { replay: replay.rows }),
      ...(this.#general && { general: this.#general.rows }),
    };
  }

  /** The heaviest batch of training rows, and of the general rows among them. */
  longestBatch(batchSize: number): LongestBatch {
    const { train, replay } = this.#need();
    return longestBatch([...train.map(encodedOf), ...(replay?.rows ?? [])], batchSize);
  }

  preview(chat: Chat, range: { offset: number; count: number; split: SplitSide }): RowPreview[] {
    const side = this.#need()[range.split];
    return side.slice(range.offset, range.offset + range.count).map(({ encoded, example }) => ({
      line: encoded.line,
      ...(encoded.file !== undefined && { file: encoded.file }),
      ...(encoded.answer !== undefined && { answer: encoded.answer }),
      split: range.split,
      tokens:
        example.text === undefined
          ? previewTokens(chat, encoded, example)
          : previewText(chat.tokenizer, encoded),
      truncatedTokens: encoded.fullLength - encoded.ids.length,
      messages: example.messages,
    }));
  }

  /** What can be said of the rows of all sides; see `describeRows`. */
  describe(): Generator<number, DatasetStatistics> {
    const { train, validation, test, from } = this.#need();
    return describeRows({ train, validation, test }, Math.min(from.h.max_length, from.contextLength));
  }

  #need(): Prepared {
    if (this.#prepared) return this.#prepared;
    throw new PlaygroundError({
      code: 'no_data',
      message: 'The data have not been prepared for this model.',
      fix: 'Choose the file again.',
    });
  }
}

const encodedOf = ({ encoded }: { encoded: EncodedExample }) => encoded;

const sumOf = <K extends string>(list: readonly Record<K, number>[], key: K) =>
  list.reduce((sum, item) => sum + item[key], 0);
