// What is kept in this browser over a reload, as records: their shape and their bounds.
// Not here: reading one that may be old or broken (keptReading.ts), the database (keptStore.ts), when something is kept or brought back (kept.svelte.ts).

import type { MetricName, MetricPoint, RunConfig, RunProgress, RunSummary } from '../../contract';
import type { ReadingChoices } from '../../dataReport';
import type { ErrorDetails } from '../../errors';
import type { AnswerEvaluation } from '../../evaluationContract';
import type { Hyperparameters } from '../../hyperparameters';
import type { KeptAnswer } from './run.svelte';

/** Increased when a reader of an earlier version would misread a record; records of another version are ignored with a notice. */
export const KEPT_VERSION = 1;
/** Larger files of rows are not kept. */
export const MAX_DATA_BYTES = 20_000_000;
/** The newest runs whose curves are kept; those whose weights are stored stay beyond it. */
export const MAX_RUNS = 30;
/** Characters of a run's name and of its note. */
export const MAX_NAME = 60;
export const MAX_NOTE = 2000;
/** Metric points of all kept runs together; older runs beyond it are let go. About 41 bytes a point. */
export const MAX_POINTS = 200_000;

/** A file or a text of the visitor's. */
export type KeptSource =
  | {
      kind: 'file';
      name: string;
      bytes: ArrayBuffer;
      /** What the visitor says the bytes are in. */
      encoding?: string;
      reading?: ReadingChoices;
    }
  | { kind: 'text'; name: string; text: string; reading?: ReadingChoices };

export type KeptData = {
  version: number;
  consent: boolean;
  /** Files of their own for these rows. */
  beside?: { validation?: KeptSource; test?: KeptSource };
} & ({ kind: 'sample'; id: string } | KeptSource);

export type KeptModel =
  | { version: number; kind: 'folder'; id: string }
  /** A folder of the visitor's own: a page cannot open it again by itself. */
  | { version: number; kind: 'files'; id: string }
  | { version: number; kind: 'hub'; id: string; revision?: string; endpoint?: string; commit?: string };

export interface KeptSettings {
  version: number;
  settings: Hyperparameters;
  /** Weights of the model that the default learning rate belongs to. */
  sizedFor: number | null;
  /** What stood in the form before a sample set it; null when none did. */
  beforeSample: Hyperparameters | null;
}

/** Metric points by column: quick to write and a third of the size of one object a point. */
export interface PackedPoints {
  names: string[];
  /** Index into `names`. */
  name: Uint8Array;
  step: Float64Array;
  epoch: Float64Array;
  tokens: Float64Array;
  elapsedMs: Float64Array;
  value: Float64Array;
}

export interface KeptRun {
  version: number;
  number: number;
  modelName: string;
  config: RunConfig;
  /** Null when the page was closed while the run went on. */
  summary: RunSummary | null;
  error: ErrorDetails | null;
  progress: RunProgress | null;
  points: PackedPoints;
  /** What the visitor calls it and noted; absent where nothing was given. */
  name?: string;
  note?: string;
  answers?: KeptAnswer[];
  evaluations?: AnswerEvaluation[];
}

export function packPoints(points: readonly MetricPoint[]): PackedPoints {
  const names = [...new Set(points.map((p) => p.name))];
  const index = new Map(names.map((name, i) => [name, i]));
  const column = (of: (p: MetricPoint) => number) => Float64Array.from(points, of);
  return {
    names,
    name: Uint8Array.from(points, (p) => index.get(p.name) as number),
    step: column((p) => p.step),
    epoch: column((p) => p.epoch),
    tokens: column((p) => p.tokens),
    elapsedMs: column((p) => p.elapsedMs),
    value: column((p) => p.value),
  };
}

export function unpackPoints(packed: PackedPoints): MetricPoint[] {
  return Array.from(packed.name, (name, i) => ({
    name: packed.names[name] as MetricName,
    step: packed.step[i] as number,
    epoch: packed.epoch[i] as number,
    tokens: packed.tokens[i] as number,
    elapsedMs: packed.elapsedMs[i] as number,
    value: packed.value[i] as number,
  }));
}

/**
 * The runs to keep of many, newest first: at most MAX_RUNS, and MAX_POINTS metric points together; the newest always.
 * @param stored ids of runs whose weights are stored: they stay in any case
 */
export function withinBounds(runs: readonly KeptRun[], stored: ReadonlySet<string> = new Set()): KeptRun[] {
  const newest = [...runs].sort((a, b) => b.config.startedAt.localeCompare(a.config.startedAt));
  let points = 0;
  return newest.filter((run, i) => {
    points += run.points.name.length;
    return i === 0 || stored.has(run.config.runId) || (i < MAX_RUNS && points <= MAX_POINTS);
  });
}
