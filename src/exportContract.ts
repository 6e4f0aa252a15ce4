// Exporting: what is asked for, what is reported while it goes on, and the proof that comes with the file.
// Not here: the list of formats (exportFormats.ts), how a file is made and proved (session/). Types only.

import type { ExportFormat, WeightType } from './exportFormats';

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
