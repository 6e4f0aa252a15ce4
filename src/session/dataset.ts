// The user's rows: read, encoded for a model, reported, shown, handed to the trainer; and whether rows with errors may be left out.
// Not here: reading, encoding and splitting them (data/dataFile.ts).

import type { DatasetReport, EncodedExample, RowPreview } from '../contract';
import {
  type DataFile,
  type FileOptions,
  type PreparedRows,
  prepareRows,
  type Row,
  readDataBytes,
  readDataFile,
} from '../data/dataFile';
import { MendedLines } from '../data/mending';
import { previewText } from '../data/reading/plainText';
import type { WrittenRow } from '../data/reading/rowsReader';
import { RowTable, type UnusedRow, type UsedRow } from '../data/rowTable';
import { summarise } from '../data/statistics';
import { ENCODING_CHOICES } from '../data/text/textEncoding';
import type { Chat } from '../data/tokens/chat';
import { previewTokens } from '../data/tokens/preview';
import type { FileLayout, MendedForm, MendedRow, ReadingChoices } from '../dataReport';
import { type LongestBatch, longestBatch } from '../engine/training/memory';
import type { TrainingData } from '../engine/training/plan';
import { PlaygroundError } from '../errors';
import { type Hyperparameters, ROW_SETTINGS, type RowSettings } from '../hyperparameters';
import type { Architecture } from '../modelArchitecture';
import { plural } from '../wording';

interface Prepared extends Pick<PreparedRows, 'usable' | 'train' | 'validation' | 'linesByCode'> {
  report: DatasetReport;
  /** Made when it is asked for first. */
  table?: Promise<RowTable>;
  /** What it was made from. */
  from: { chat: Chat; contextLength: number; h: RowSettings };
}

/** Characters of a row with errors that the table holds. */
const MOST_SHOWN = 2000;

export type Split = 'all' | 'train' | 'validation';

/** What a visitor has said about a file. */
export interface DataChoices {
  /** Of the bytes; without it that is looked for. */
  encoding?: string | undefined;
  reading?: ReadingChoices | undefined;
}

/** Of a file its bytes, of a text field its text. */
export type DataContent = Uint8Array | string;

async function readContent(
  name: string,
  content: DataContent,
  choices: DataChoices,
  options: Omit<FileOptions, 'reading'> = {},
): Promise<DataFile> {
  const all = { ...options, ...(choices.reading && { reading: choices.reading }) };
  if (typeof content === 'string') return readDataFile(name, content, all);
  return readDataBytes(name, content, choices.encoding, all);
}

export class Dataset {
  readonly #file: DataFile;
  readonly #content: DataContent;
  readonly #choices: DataChoices;
  /** The visitor agreed to go on without the rows that have errors. */
  #agreed = false;
  #prepared: Prepared | null = null;

  private constructor(file: DataFile, content: DataContent, choices: DataChoices) {
    this.#file = file;
    this.#content = content;
    this.#choices = choices;
  }

  /** Never throws for what is wrong inside rows, or for bytes that are no text; that is in the report. */
  static async read(name: string, content: DataContent, choices: DataChoices = {}): Promise<Dataset> {
    return new Dataset(await readContent(name, content, choices), content, choices);
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
      ROW_SETTINGS.every((name) => before.h[name] === h[name])
    ) {
      return this.#prepared.report;
    }
    const { name, hash, leftOut } = this.#file;
    const prepared = prepareRows(this.#file, chat, contextLength, h);
    const { rows, understood, issues, usable, train, validation, nearDuplicateGroups, heldOut } = prepared;
    const encoded = usable.map((row) => row.encoded);
    const examples = [...new Set(usable.map((row) => row.example))];
    const report: DatasetReport = {
      name,
      hash,
      understood,
      rows,
      usableRows: examples.length,
      encodedRows: usable.length,
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
      validationRows: validation.length,
      validationFrom: prepared.validationFrom,
      test: null,
      replay: null,
      beside: [],
      nearDuplicateGroups,
      heldOut,
    };
    const { linesByCode } = prepared;
    this.#prepared = {
      report,
      usable,
      train,
      validation,
      linesByCode,
      from: { chat, contextLength, h: { ...h } },
    };
    return report;
  }

  /** Of the last `encode`. */
  get report(): DatasetReport {
    return this.#need().report;
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
   * @throws PlaygroundError `binary_file`, `encoding_unknown` … when the file is no text that can be read, `no_rows` when nothing is usable, `rows_with_errors` unless rows with errors may be left out
   */
  assertTrainable(howToLeaveOut = 'choose to leave them out'): void {
    const { report } = this.#need();
    // A file without rows has one problem, and that is all there is to say.
    const unreadable = report.rows === 0 ? report.issues.find((i) => i.severity === 'error') : null;
    if (unreadable) {
      const { code, message, fix } = unreadable;
      throw new PlaygroundError({ code, message, fix, where: report.name });
    }
    if (report.needsConsent) {
      const bad = report.badRows;
      throw new PlaygroundError({
        code: 'rows_with_errors',
        message: `${bad === report.rows ? '' : `${bad} of `}${plural(report.rows, 'row')} ${bad === 1 ? 'has' : 'have'} errors, and nobody has agreed to leave them out.`,
        fix: `Mend the rows, or ${howToLeaveOut}.`,
        where: report.name,
      });
    }
    if (report.usableRows === 0) {
      throw new PlaygroundError({
        code: 'no_rows',
        message: `${report.name} has no row that can be used.`,
        fix: 'Each row needs a question and an answer; see the problems above.',
        where: report.name,
      });
    }
  }

  /** The usable rows of a split, in the order of the file. */
  rows(split: Split): readonly Row[] {
    const { usable, train, validation } = this.#need();
    if (split === 'train') return train;
    return split === 'validation' ? validation : usable;
  }

  /** The table of all rows, those with errors too; for their texts the file is read once more. */
  table(): Promise<RowTable> {
    const prepared = this.#need();
    prepared.table ??= this.#makeTable(prepared);
    return prepared.table;
  }

  async #makeTable({ usable, train, validation, linesByCode }: Prepared): Promise<RowTable> {
    const sides = { train, validation };
    const used = (Object.keys(sides) as (keyof typeof sides)[]).flatMap((use) =>
      sides[use].map(({ example, encoded }, index): UsedRow => ({ use, index, example, encoded })),
    );
    const usedLines = new Set(usable.map(({ encoded }) => encoded.line));
    const unused: UnusedRow[] = [];
    // A text is cut into rows that are all used.
    if (this.#file.layout !== 'text') {
      await this.writeRows(({ line, same }) => {
        if (!usedLines.has(line)) unused.push({ line, text: same.slice(0, MOST_SHOWN) });
      });
    }
    return new RowTable(used, unused, linesByCode);
  }

  /** Reads the file once more and hands on each row as it can be written again. */
  writeRows(write: (row: WrittenRow) => void): Promise<DataFile> {
    return readContent(this.#file.name, this.#content, this.#choices, { write });
  }

  /** What the visitor has said about the file. */
  get choices(): DataChoices {
    return this.#choices;
  }

  get layout(): FileLayout {
    return this.#file.layout;
  }

  trainingData(): TrainingData {
    const { train, validation } = this.#need();
    return { train: train.map(encodedOf), validation: validation.map(encodedOf) };
  }

  /** The heaviest batch of training rows. */
  longestBatch(batchSize: number): LongestBatch {
    return longestBatch(this.#need().train.map(encodedOf), batchSize);
  }

  preview(chat: Chat, range: { offset: number; count: number; split: 'train' | 'validation' }): RowPreview[] {
    const side = this.#need()[range.split];
    return side.slice(range.offset, range.offset + range.count).map(({ encoded, example }) => ({
      line: encoded.line,
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
