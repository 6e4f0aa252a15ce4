// What is reported of the general rows of this project: those mixed in against forgetting (replay), and those that forgetting is measured on.
// Types only, as in contract.ts. Not here: the rows (public/general), encoding them (data/generalRows.ts).

/** General rows that a run mixes in among its training rows. */
export interface ReplayReport {
  /** `replay_fraction`: their share of the rows of an epoch. */
  fraction: number;
  /** Of one epoch. */
  rows: number;
  /** Different rows that these are drawn from, as encoded for this model and these settings. */
  pool: number;
  /** SHA-256 (hex) of the text of the file. */
  hash: string;
  /** What the user should know: rows that do not fit, and why. */
  notices: string[];
}

/** How a run measures what it forgets. */
export interface GeneralConfig {
  /** Rows measured before the first and after the last update; 0 where nothing is measured, which `notice` explains. */
  rows: number;
  /** Rows measured at each evaluation between. */
  sampleRows: number;
  /** Share of the run's work that all this takes, by the count of tokens. */
  share: number;
  /** `chat`: questions in the model's own template. `text`: the model has none, and they are texts like the others. */
  form: 'chat' | 'text';
  /** SHA-256 (hex) of the text of the file. */
  hash: string;
  notice: string | null;
}

/** One general question, answered before and after. */
export interface GeneralAnswer {
  prompt: string;
  base: string;
  tuned: string;
}

/** The part of the session that is about general rows. */
export interface GeneralCalls {
  /**
   * Three general questions, answered by the base model and with the tuned weights that are chosen, each time the most likely token; the
   * answers go into the record of the run. Never during a run. `cancelMeasuring` ends it.
   */
  generalAnswers(): Promise<GeneralAnswers>;
}

export interface GeneralAnswers {
  weights: 'last' | 'best';
  answers: GeneralAnswer[];
}
