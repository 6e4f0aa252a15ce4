// The visitor's rows inside the worker: read once, agreed upon, then split and encoded as often as settings change.
// Not here: parsing, splitting and encoding themselves (data/).

import type { Architecture, DatasetReport, EncodedExample, Example, Issue, RowPreview } from '../contract';
import { contentHash, splitExamples, summarise } from '../data/batches';
import { type Chat, encodeExamples, previewTokens } from '../data/chat';
import { parseExamples } from '../data/jsonl';
import { isTabular, parseTable } from '../data/tabular';
import type { LongestBatch } from '../engine/memory';
import type { TrainingData } from '../engine/train';
import { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';

interface Side {
  examples: Map<number, Example>;
  encoded: EncodedExample[];
}

interface Prepared {
  report: DatasetReport;
  train: Side;
  validation: Side;
}

export class Dataset {
  readonly #name: string;
  readonly #hash: string;
  readonly #rows: number;
  readonly #examples: Example[];
  readonly #issues: Issue[];
  /** The visitor agreed to go on without the rows that have errors. */
  #agreed = false;
  #prepared: Prepared | null = null;

  private constructor(name: string, hash: string, rows: number, examples: Example[], issues: Issue[]) {
    this.#name = name;
    this.#hash = hash;
    this.#rows = rows;
    this.#examples = examples;
    this.#issues = issues;
  }

  /** Never throws for what is wrong inside rows; that is in the report. */
  static async read(name: string, text: string): Promise<Dataset> {
    const { examples, issues, rows } = isTabular(name) ? parseTable(text) : parseExamples(text);
    return new Dataset(name, await contentHash(text), rows, examples, issues);
  }

  /** Encode for this model and these settings, split, and report. Rows longer than the model's context are cut to it. */
  encode(chat: Chat, architecture: Architecture, h: Hyperparameters): DatasetReport {
    const maxLength = Math.min(h.max_length, architecture.contextLength);
    const options = { max_length: maxLength, loss_on: h.loss_on, contextLength: architecture.contextLength };
    const { encoded, issues } = encodeExamples(chat, this.#examples, options);
    const usable = new Map(encoded.map((e) => [e.line, e]));
    const examples = this.#examples.filter((e) => usable.has(e.line));
    const split = splitExamples(examples, { validation_fraction: h.validation_fraction, seed: h.seed });
    const side = (rows: Example[]): Side => ({
      examples: new Map(rows.map((e) => [e.line, e])),
      encoded: rows.map((e) => usable.get(e.line) as EncodedExample),
    });
    const all = [...this.#issues, ...issues].sort(
      (a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0),
    );
    const report: DatasetReport = {
      name: this.#name,
      hash: this.#hash,
      rows: this.#rows,
      usableRows: examples.length,
      issues: all,
      needsConsent: !this.#agreed && all.some((i) => i.severity === 'error'),
      messagesPerRow: summarise(examples.map((e) => e.messages.length)),
      tokensPerRow: summarise(encoded.map((e) => e.fullLength)),
      trainedTokensPerRow: summarise(encoded.map((e) => e.mask.reduce((sum, m) => sum + m, 0))),
      overLength: encoded.filter((e) => e.fullLength > e.ids.length).map((e) => e.line),
      trainRows: split.train.length,
      validationRows: split.validation.length,
      nearDuplicateGroups: split.nearDuplicateGroups,
    };
    this.#prepared = { report, train: side(split.train), validation: side(split.validation) };
    return report;
  }

  leaveOutBadRows(): DatasetReport {
    this.#agreed = true;
    const prepared = this.#need();
    prepared.report = { ...prepared.report, needsConsent: false };
    return prepared.report;
  }

  trainingData(): TrainingData {
    const { train, validation } = this.#need();
    return { train: train.encoded, validation: validation.encoded };
  }

  /** The heaviest batch of training rows: the longest of them together. */
  longestBatch(batchSize: number): LongestBatch {
    const rows = [...this.#need().train.encoded]
      .sort((a, b) => b.ids.length - a.ids.length)
      .slice(0, batchSize);
    const targets = rows.reduce((sum, e) => sum + e.mask.reduce((n, m) => n + m, 0), 0);
    return { rows: rows.length, tokens: rows[0]?.ids.length ?? 1, targets };
  }

  preview(chat: Chat, range: { offset: number; count: number; split: 'train' | 'validation' }): RowPreview[] {
    const side = this.#need()[range.split];
    return side.encoded.slice(range.offset, range.offset + range.count).map((encoded) => {
      const example = side.examples.get(encoded.line) as Example;
      return {
        line: encoded.line,
        split: range.split,
        tokens: previewTokens(chat, encoded, example),
        truncatedTokens: encoded.fullLength - encoded.ids.length,
        messages: example.messages,
      };
    });
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
