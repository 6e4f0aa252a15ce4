// What a run leaves behind, as files: the learned weights, the record of the run (run.json), what it has measured. And reading the record.
// Not here: the weight files (engine/model/artifacts.ts), where they go: a zip (worker/session.ts) or a folder (cli/disk.ts).

import { literal, looseObject, nullable, number, optional, picklist, safeParse, string } from 'valibot';
import type { MetricPoint, RunConfig, RunSummary, TunedWeights } from '../contract';
import type { Learner } from '../engine/model/adapters';
import { jsonText, type LoadedModel, learnedFiles, trainingOf as training } from '../engine/model/artifacts';
import type { KeepFile, OutFile, WritingHooks } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import type { Training } from '../formats/modelCard';
import { alikeSentences, replaySentence } from '../metrics/claims';
import { toCsv } from '../metrics/curves';
import { eventFile, eventFileName } from '../metrics/eventFile';
import { trainerState } from '../metrics/trainerState';
import { weightChangesCsv } from '../metrics/weightTable';
import type { WeightChanges } from '../weightContract';

/** Increased when a reader of an earlier version would misread the record. */
export const RECORD_VERSION = 1;

/** run.json: the same from page and command line. */
export interface RunRecord extends RunSummary {
  version: typeof RECORD_VERSION;
  /** Which weights lie beside it; null when a run failed before its first step and there are none. */
  weights: LearnedWeights['which'] | null;
  /** The step after which they are the weights; absent in records of earlier versions, and without weights. */
  weightsStep?: number;
  /** Names of all files of the result, this one among them: what a later result in the same place takes away. */
  files: string[];
}

/** All that a run has measured. */
export interface Measures {
  points: readonly MetricPoint[];
  weights: readonly WeightChanges[];
}

/** Learned weights, and which ones they are: of the end of a run, of its lowest validation loss, or of a single step. */
export type LearnedWeights = { learner: Learner } & (
  | { which: TunedWeights }
  | { which: 'step'; step: number }
);

/** The step after which these weights are those of the run. */
export function stepOf(learned: LearnedWeights, { step, best }: RunSummary): number {
  if (learned.which === 'step') return learned.step;
  return learned.which === 'best' && best ? best.step : step;
}

/** How it went: record and what was measured, without weights. */
function recordFiles(
  summary: RunSummary,
  learned: LearnedWeights | null,
  { points, weights: weightChanges }: Measures,
  beside: readonly OutFile[],
): OutFile[] {
  const metrics: OutFile[] = [
    { path: 'metrics.jsonl', bytes: points.map((p) => `${JSON.stringify(p)}\n`).join('') },
    { path: 'metrics.csv', bytes: toCsv(points) },
    ...(weightChanges.length > 0
      ? [{ path: 'weight_changes.csv', bytes: weightChangesCsv(weightChanges) }]
      : []),
  ];
  const { config, best } = summary;
  metrics.push(
    { path: 'trainer_state.json', bytes: trainerState(config, points, best) },
    { path: eventFileName(config), bytes: eventFile(config, points) },
  );
  const files = ['run.json', ...metrics.map((file) => file.path), ...beside.map((file) => file.path)];
  const record: RunRecord = {
    version: RECORD_VERSION,
    ...summary,
    weights: learned?.which ?? null,
    ...(learned && { weightsStep: stepOf(learned, summary) }),
    files,
  };
  return [{ path: 'run.json', bytes: jsonText(record) }, ...metrics];
}

/**
 * All files of a finished run.
 * @param learned the weights to write and their name; null when there are none
 * @param options of `learnedFiles`
 * @throws PlaygroundError `non_finite` rather than writing weights that are not numbers
 */
export async function runFiles(
  loaded: LoadedModel,
  learned: LearnedWeights | null,
  summary: RunSummary,
  measures: Measures,
  options: { includeBase?: boolean; keep?: KeepFile } & WritingHooks = {},
): Promise<OutFile[]> {
  const { config } = summary;
  const dataRemarks = remarksOf(config);
  const weights =
    learned === null
      ? []
      : await learnedFiles(loaded, learned.learner, config, measures.points, { ...options, dataRemarks });
  return [...weights, ...recordFiles(summary, learned, measures, weights)];
}

const remarksOf = ({ validationRows, heldOut, replay }: RunConfig) =>
  alikeSentences(validationRows, heldOut).concat(replay ? replaySentence(replay) : []);

/** What the model card says of a run. */
export const trainingOf = (config: RunConfig, points: readonly MetricPoint[]): Training =>
  training(config, points, remarksOf(config));

const text = string();
const count = number();

/** The part of a record that readers rely on; what a later version adds is kept. */
const RECORD = looseObject({
  version: literal(RECORD_VERSION),
  state: picklist(['finished', 'stopped', 'failed']),
  step: count,
  best: nullable(looseObject({ step: count, loss: number(), rows: count })),
  weights: nullable(picklist(['last', 'best', 'step'])),
  weightsStep: optional(count),
  error: optional(looseObject({ code: text, message: text, fix: text })),
  config: looseObject({
    runId: text,
    hyperparameters: looseObject({}),
    checkpointing: looseObject({}),
    modelId: text,
    datasetName: text,
    datasetHash: text,
    trainRows: count,
    validationRows: count,
    heldOut: looseObject({ copies: count, samePrompt: count, nearPrompt: count }),
    evaluation: looseObject({ evaluations: count, validationRows: count, trainRows: count }),
    stepsPerEpoch: count,
    totalSteps: count,
    trainableParameters: count,
    backend: picklist(['webgpu', 'wasm', 'cpu']),
    appVersion: text,
    startedAt: text,
  }),
});

/** run.json, read back. @throws PlaygroundError `bad_record`, naming the first key that is wrong */
export function readRunRecord(json: string): RunRecord {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw badRecord('it is not JSON', cause);
  }
  const found = safeParse(RECORD, value);
  if (found.success) return found.output as unknown as RunRecord;
  const [issue] = found.issues;
  const key = issue.path?.map((part) => String(part.key)).join('.') ?? 'the record';
  throw badRecord(`${key} is ${String(issue.received).slice(0, 60)}, expected ${String(issue.expected)}`);
}

const badRecord = (reason: string, cause?: unknown, file = 'run.json') =>
  new PlaygroundError(
    {
      code: 'bad_record',
      message: `${file} cannot be read: ${reason}.`,
      fix: 'Take the file as the run wrote it; a record of another version needs the program of that version.',
      where: file,
    },
    { cause },
  );

const POINT = looseObject({
  name: text,
  step: count,
  epoch: count,
  tokens: count,
  elapsedMs: count,
  value: number(),
});

/** metrics.jsonl, read back. @throws PlaygroundError `bad_record` with the line */
export function readMetricPoints(jsonLines: string): MetricPoint[] {
  return jsonLines.split('\n').flatMap((line, i) => {
    if (line === '') return [];
    const bad = (cause?: unknown) =>
      badRecord(`line ${i + 1} of metrics.jsonl is no metric point`, cause, 'metrics.jsonl');
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw bad(cause);
    }
    const found = safeParse(POINT, value);
    if (!found.success) throw bad();
    return [found.output as unknown as MetricPoint];
  });
}
