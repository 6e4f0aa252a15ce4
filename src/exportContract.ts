// Exporting: what is asked for, what is reported while it goes on, and the proof that comes with the file.
// Not here: the list of formats (exportFormats.ts), how a file is made and proved (session/). Types only.

import type { TunedWeights } from './contract';
import type { ExportFormat, WeightType } from './exportFormats';
import type { ModelSource } from './modelContract';

export interface ExportRequest {
  format: ExportFormat;
  /** How weights are stored; absent: the first type of the format's list. */
  dtype?: WeightType;
  /** Puts the base model beside an adapter although it is large or on the hub. */
  includeBase?: boolean;
}

/** What the written bytes, read again, came to beside the model that answers here. */
export interface ExportProof {
  /** Greedy answers that were compared, and those that are the same to the last token. */
  answers: number;
  sameAnswers: number;
  /** Largest difference of a logit over all those answers. */
  maxLogitDifference: number;
  /** Largest difference of a logit from the base model's; null where there is no base model to differ from. */
  maxLogitChange: number | null;
  /** From the smallest to the largest logit, to read the differences by. */
  logitRange: number;
}

export interface ExportProgress {
  stage: 'write' | 'check';
  /** 0 to 1 */
  share: number;
}

/** Whose weights: those that answer now, or those of a run that is kept. `source`: its model, where another one is loaded; it is read for this alone. */
export type ExportTarget =
  | { of: 'answering' }
  | { of: 'stored'; runId: string; which: TunedWeights; source: ModelSource | null };

/** What one format would be for some weights. */
export interface ExportOption {
  format: ExportFormat;
  /** Why it cannot be had; null where it can. */
  blocked: string | null;
  /** Estimated bytes by type; of a format without a choice of types, of `F32` alone. Null where the model has to be read first. */
  bytes: Partial<Record<WeightType, number>> | null;
  /** What a base model beside the adapter adds; null where it goes along anyway, or never does. */
  baseBytes: number | null;
}

/** A file that has proved itself. */
export interface ExportedFile {
  /** A zip file. */
  file: Blob;
  paths: string[];
  proof: ExportProof | null;
  notices: string[];
}

export interface ExportCalls {
  exportOptions(target: ExportTarget): Promise<ExportOption[]>;
  /**
   * Writes the files of a format, reads them again and compares what they give with the model that answers here. `cancelMeasuring` ends it.
   * Rejects with `no_tuned_model`, `no_stored_run`, `export_blocked`, `export_cancelled`, `export_not_finite`, `export_changes_nothing` or `export_differs`.
   */
  exportWeights(
    target: ExportTarget,
    request: ExportRequest,
    onProgress: (progress: ExportProgress) => void,
  ): Promise<ExportedFile>;
}
