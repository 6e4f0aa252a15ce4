// How a run is measured while it goes on: on which of the visitor's rows, how often, and what that takes of its work.
// Types only, as in contract.ts. Not here: general rows (generalContract.ts), evaluating answers (evaluationContract.ts).

/** How a run is measured while it goes on. The held-out rows are `RunConfig.validationRows` in all, and measured all at the end. */
export interface EvaluationConfig {
  /** Evaluations during the run, those at its start and its end included. */
  evaluations: number;
  /** Held-out rows in the sample; target tokens in them, and in all held-out rows. */
  validationRows: number;
  validationTokens: number;
  allValidationTokens: number;
  /** UTF-8 bytes of the text of those tokens (`metrics/bitsPerByte.ts`); absent in records of earlier versions. */
  validationBytes?: number;
  allValidationBytes?: number;
  /** Training rows in the sample, and of those measured at the end. */
  trainRows: number;
  allTrainRows: number;
  /** Share of the run's work that these evaluations take, by the count of tokens. */
  share: number;
}
