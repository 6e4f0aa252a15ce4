// What is reported of the general rows of this project: those mixed in against forgetting (replay).
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
