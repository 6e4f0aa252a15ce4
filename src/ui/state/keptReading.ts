// Reading a record of the browser's storage that may be old or broken. A chunk of its own, which the page loads when it opens the storage.
// Not here: the records' types and bounds (keptRecords.ts), the database (keptStore.ts).

import {
  array,
  boolean,
  type GenericSchema,
  instance,
  literal,
  looseObject,
  maxLength,
  nullable,
  number,
  object,
  optional,
  picklist,
  pipe,
  record,
  safeParse,
  string,
  union,
  unknown,
  variant,
} from 'valibot';
import type { RunConfig, RunProgress, RunSummary } from '../../contract';
import type { CrossValidation, Fold, FoldResult, HeldOut, Leakage, TestUse } from '../../dataContract';
import type { ColumnRole, ReadingChoices } from '../../dataReport';
import type { AnswerEvaluation } from '../../evaluationContract';
import type { GeneralAnswer, GeneralAnswers, GeneralConfig, ReplayReport } from '../../generalContract';
import { checkHyperparameters } from '../../hyperparameterChecks';
import { defaultHyperparameters, HYPERPARAMETER_NAMES, type Hyperparameters } from '../../hyperparameters';
import type { EvaluationConfig } from '../../measuringContract';
import type { PinnedAnswer, PinnedColumn, PinnedConfig } from '../../stepsContract';
import type { SweepPlace } from '../../sweepContract';
import type { WeightChanges } from '../../weightContract';
import {
  KEPT_VERSION,
  type KeptData,
  type KeptModel,
  type KeptRun,
  type KeptSettings,
  MAX_NAME,
  MAX_NOTE,
} from './keptRecords';

/** The record, or why it cannot be used: the end of a sentence. */
export type Reading<T> = { record: T; problem?: string } | { record: null; problem: string };

const version = literal(KEPT_VERSION);
const text = string();
const count = number();
const settings = record(string(), unknown());

/** How the visitor wants the file to be read. */
const READING = object({
  layout: optional(picklist(['json', 'table', 'markdown_table', 'text'])),
  columns: optional(
    object({
      system: optional(array(text)),
      user: optional(array(text)),
      assistant: optional(array(text)),
      text: optional(array(text)),
    } satisfies Record<ColumnRole, GenericSchema>),
  ),
  mends: optional(object({ kinds: record(text, boolean()), rows: record(text, record(text, boolean())) })),
} satisfies Record<keyof Required<ReadingChoices>, GenericSchema>);

const FILE = {
  kind: literal('file'),
  name: text,
  bytes: instance(ArrayBuffer),
  encoding: optional(text),
  reading: optional(READING),
};
const TEXT = { kind: literal('text'), name: text, text, reading: optional(READING) };
const SOURCE = variant('kind', [object(FILE), object(TEXT)]);
const KEPT = {
  version,
  consent: boolean(),
  beside: optional(object({ validation: optional(SOURCE), test: optional(SOURCE) })),
};

const DATA = variant('kind', [
  object({ ...KEPT, kind: literal('sample'), id: text }),
  object({ ...KEPT, ...FILE }),
  object({ ...KEPT, ...TEXT }),
]);

const MODEL = variant('kind', [
  object({ version, kind: literal('folder'), id: text }),
  object({ version, kind: literal('files'), id: text }),
  object({
    version,
    kind: literal('hub'),
    id: text,
    revision: optional(text),
    endpoint: optional(text),
    commit: optional(text),
  }),
]);

const SETTINGS = object({ version, settings, sizedFor: nullable(count), beforeSample: nullable(settings) });

const LEAKAGE = looseObject({ copies: count, samePrompt: count, nearPrompt: count } satisfies Record<
  keyof Leakage,
  GenericSchema
>);
const FOLD = looseObject({ number: count, of: count } satisfies Record<keyof Fold, GenericSchema>);
const REPLAY = looseObject({
  fraction: count,
  rows: count,
  pool: count,
  hash: text,
  notices: array(text),
} satisfies Record<keyof ReplayReport, GenericSchema>);
const GENERAL = looseObject({
  rows: count,
  sampleRows: count,
  share: count,
  form: picklist(['chat', 'text']),
  hash: text,
  notice: nullable(text),
} satisfies Record<keyof GeneralConfig, GenericSchema>);
const MEAN = looseObject({ mean: count, standardError: count });

const PINNED = looseObject({
  prompts: array(object({ prompt: text, system: text, expected: text })),
  every: union([literal('epoch'), count]),
  sides: array(nullable(picklist(['train', 'validation']))),
  maxNewTokens: count,
} satisfies Record<keyof PinnedConfig, GenericSchema>);
const COLUMN = looseObject({
  step: count,
  epoch: count,
  answers: array(
    looseObject({
      text,
      tokens: count,
      promptTokens: count,
      stoppedBy: picklist(['end_token', 'limit', 'context']),
    } satisfies Record<keyof PinnedAnswer, GenericSchema>),
  ),
} satisfies Record<keyof PinnedColumn, GenericSchema>);

/** Every key, so that one more in the contract is one more here: the page draws a run by them, and an older record lacks it. */
const CONFIG = looseObject({
  runId: text,
  hyperparameters: settings,
  checkpointing: looseObject({ on: boolean(), because: nullable(text) }),
  modelId: text,
  modelCommit: optional(text),
  datasetName: text,
  datasetHash: text,
  trainRows: count,
  validationRows: count,
  heldOut: looseObject({
    kept: picklist(['near_prompts', 'equal_prompts', 'equal_rows', 'nothing']),
    copies: count,
    samePrompt: count,
    nearPrompt: count,
  } satisfies Record<keyof Required<HeldOut>, GenericSchema>),
  evaluation: looseObject({
    evaluations: count,
    validationRows: count,
    validationTokens: count,
    allValidationTokens: count,
    trainRows: count,
    allTrainRows: count,
    share: count,
    validationBytes: optional(count),
    allValidationBytes: optional(count),
  } satisfies Record<keyof Required<EvaluationConfig>, GenericSchema>),
  stepsPerEpoch: count,
  totalSteps: count,
  trainableParameters: count,
  backend: picklist(['webgpu', 'wasm', 'cpu']),
  tiles: optional(text),
  appVersion: text,
  startedAt: text,
  beside: optional(array(looseObject({ use: text, name: text, hash: text }))),
  test: optional(looseObject({ rows: count, from: text, hash: text, alike: LEAKAGE })),
  replay: optional(REPLAY),
  general: optional(GENERAL),
  fold: optional(FOLD),
  rateChanges: optional(array(looseObject({ step: count, from: count, to: count }))),
  sweep: optional(
    looseObject({
      id: text,
      setting: picklist(HYPERPARAMETER_NAMES),
      values: array(union([text, count, boolean()])),
      number: count,
    } satisfies Record<keyof SweepPlace, GenericSchema>),
  ),
  pinned: optional(PINNED),
} satisfies Record<keyof Required<RunConfig>, GenericSchema>);

const ERROR = looseObject({ code: text, message: text, fix: text });

type Best = NonNullable<RunSummary['best']>;

const WEIGHT_CHANGES = looseObject({
  step: count,
  layers: array(looseObject({ module: text, changes: array(nullable(count)) })),
  outside: array(looseObject({ module: text, change: nullable(count) })),
} satisfies Record<keyof WeightChanges, GenericSchema>);

const SUMMARY = looseObject({
  config: CONFIG,
  state: picklist(['finished', 'stopped', 'failed']),
  step: count,
  best: nullable(
    looseObject({ step: count, loss: count, rows: count } satisfies Record<keyof Best, GenericSchema>),
  ),
  weightChanges: optional(WEIGHT_CHANGES),
  error: optional(ERROR),
  pinned: optional(array(COLUMN)),
  crossValidation: optional(
    looseObject({
      of: count,
      folds: array(
        looseObject({
          fold: count,
          trainRows: count,
          validationRows: count,
          best: looseObject({ step: count, loss: count }),
          last: count,
        } satisfies Record<keyof FoldResult, GenericSchema>),
      ),
      failed: array(looseObject({ fold: count, message: text })),
      best: nullable(MEAN),
      last: nullable(MEAN),
    } satisfies Record<keyof CrossValidation, GenericSchema>),
  ),
  testUses: optional(
    array(
      looseObject({
        at: text,
        weights: picklist(['base', 'last', 'best', 'step']),
        step: optional(count),
        loss: count,
        standardError: count,
        meanTokenAccuracy: count,
        bitsPerByte: nullable(count),
        rows: count,
      } satisfies Record<keyof Required<TestUse>, GenericSchema>),
    ),
  ),
  generalAnswers: optional(
    looseObject({
      weights: picklist(['last', 'best']),
      answers: array(
        looseObject({ prompt: text, base: text, tuned: text } satisfies Record<
          keyof GeneralAnswer,
          GenericSchema
        >),
      ),
    } satisfies Record<keyof GeneralAnswers, GenericSchema>),
  ),
} satisfies Record<keyof Required<RunSummary>, GenericSchema>);

const PROGRESS = looseObject({
  state: text,
  step: count,
  totalSteps: count,
  epoch: count,
  elapsedMs: count,
  measuring: nullable(looseObject({})),
  remainingMs: nullable(count),
  tokensPerSecond: nullable(count),
  memory: looseObject({ tensors: count, tensorBytes: count, deviceBytes: nullable(count) }),
  fold: optional(FOLD),
  foldsDone: optional(array(looseObject({ fold: count }))),
} satisfies Record<keyof Required<RunProgress>, GenericSchema>);

const EVALUATION = looseObject({
  version: literal(1),
  at: text,
  modelId: text,
  weights: nullable(looseObject({ runId: text, which: picklist(['last', 'best']), step: count })),
  data: looseObject({ name: text, hash: text, trainRows: count }),
  request: looseObject({ split: picklist(['validation', 'test']), checks: array(looseObject({})) }),
  sideRows: count,
  withoutPrompt: count,
  seen: nullable(text),
  test: nullable(looseObject({ hash: text, looks: nullable(count) })),
  rows: array(
    looseObject({ split: text, index: count, line: count, prompt: array(looseObject({})), expected: text }),
  ),
  scores: looseObject({ heldOut: looseObject({}), sentence: text }),
} satisfies Record<keyof AnswerEvaluation, GenericSchema>);

const RUN = object({
  version,
  number: count,
  modelName: text,
  config: CONFIG,
  summary: nullable(SUMMARY),
  error: nullable(ERROR),
  progress: nullable(PROGRESS),
  points: object({
    names: array(text),
    name: instance(Uint8Array),
    step: instance(Float64Array),
    epoch: instance(Float64Array),
    tokens: instance(Float64Array),
    elapsedMs: instance(Float64Array),
    value: instance(Float64Array),
  }),
  name: optional(pipe(text, maxLength(MAX_NAME))),
  note: optional(pipe(text, maxLength(MAX_NOTE))),
  answers: optional(array(object({ from: text, system: text, prompt: text, text }))),
  evaluations: optional(array(EVALUATION)),
});

function read<T>(schema: GenericSchema, value: unknown): Reading<T> {
  const found = safeParse(schema, value);
  if (found.success) return { record: found.output as T };
  const [issue] = found.issues;
  const key = issue.path?.map((part: { key?: unknown }) => String(part.key)).join('.') ?? '';
  const other = typeof value === 'object' && value !== null && Reflect.get(value, 'version') !== KEPT_VERSION;
  return {
    record: null,
    problem: other ? 'written by another version of this page' : `damaged${key ? ` (${key})` : ''}`,
  };
}

export const readKeptData = (value: unknown): Reading<KeptData> => read(DATA, value);
export const readKeptModel = (value: unknown): Reading<KeptModel> => read(MODEL, value);

/** Settings that the table does not know are dropped, and values that it does not allow go back to their defaults; that is said. */
export function readKeptSettings(value: unknown): Reading<KeptSettings> {
  const found = read<
    Omit<KeptSettings, 'settings' | 'beforeSample'> & Record<'settings' | 'beforeSample', unknown>
  >(SETTINGS, value);
  if (found.record === null) return found;
  const { record } = found;
  const now = allowed(record.settings as Record<string, unknown>);
  const before =
    record.beforeSample === null ? null : allowed(record.beforeSample as Record<string, unknown>);
  const wrong = now.wrong.length > 0 ? `${now.wrong.join(', ')} went back to the default` : undefined;
  return {
    record: { ...record, settings: now.settings, beforeSample: before?.settings ?? null },
    ...(wrong !== undefined && { problem: wrong }),
  };
}

function allowed(kept: Record<string, unknown>): { settings: Hyperparameters; wrong: string[] } {
  const settings = defaultHyperparameters();
  const wrong: string[] = [];
  for (const name of HYPERPARAMETER_NAMES) {
    if (!(name in kept)) continue;
    const tried = { ...settings, [name]: kept[name] } as Hyperparameters;
    if (checkHyperparameters(tried).some((p) => p.name === name && p.severity === 'error')) wrong.push(name);
    else Object.assign(settings, { [name]: kept[name] });
  }
  return { settings, wrong };
}

export function readKeptRun(value: unknown): Reading<KeptRun> {
  const found = read<KeptRun>(RUN, value);
  if (found.record === null) return found;
  const { points, config } = found.record;
  const { names, name, ...columns } = points;
  const even = Object.values(columns).every((column) => column.length === name.length);
  if (!even || name.some((index) => index >= names.length))
    return { record: null, problem: 'damaged (points)' };
  const { settings, wrong } = allowed(config.hyperparameters as unknown as Record<string, unknown>);
  if (wrong.length > 0) return { record: null, problem: `damaged (${wrong.join(', ')})` };
  const whole = { ...config, hyperparameters: settings };
  const { summary } = found.record;
  return { record: { ...found.record, config: whole, summary: summary && { ...summary, config: whole } } };
}
