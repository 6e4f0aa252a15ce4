// Every type that crosses the worker boundary, and the records two rooms must agree on.
// Types only: no function, no class, nothing that structured clone cannot carry.

import type {
  BesideFile,
  CrossValidation,
  FailedFold,
  Fold,
  FoldResult,
  HeldOut,
  RowEditing,
  RowFile,
  RowListing,
  RowMeasurement,
  RowMeasuring,
  SplitOrigin,
  SplitSide,
  TestSplit,
  TestUse,
} from './dataContract';
import type {
  FileLayout,
  FileMending,
  IssueGroup,
  MendGroup,
  ReadingChoices,
  ReadProgress,
  TableReport,
} from './dataReport';
import type { ErrorDetails } from './errors';
import type { GeneralAnswers, GeneralCalls, GeneralConfig, ReplayReport } from './generalContract';
import type { GenerationSettings } from './generation';
import type { Hyperparameters } from './hyperparameters';
import type { EvaluationConfig } from './measuringContract';
import type { CachedModel, HubOffer, HubSource, LoadProgress, ModelInfo, ModelSource } from './modelContract';
import type { RateChange, StepDetails } from './stepContract';
import type { PinnedColumn, PinnedConfig, PinnedRequest, StepCalls } from './stepsContract';
import type { SweepPlace, SweepProgress, SweepRequest } from './sweepContract';
import type { WeightChanges } from './weightContract';

// ───────────────────────────── data ─────────────────────────────

export type Role = 'system' | 'user' | 'assistant' | 'tool';

/** One call of a tool, in the form that chat templates of transformers read. */
export interface ToolCall {
  type: 'function';
  id?: string;
  function: {
    name: string;
    /** A JSON object; the text as it stands where it is no JSON. */
    arguments: unknown;
  };
}

export interface Message {
  role: Role;
  /** '' where an answer is nothing but calls. */
  content: string;
  /** Assistant messages only: 0 keeps the message as context and takes it out of the loss. */
  weight?: 0 | 1;
  /** Assistant messages only: the tools that the answer calls. */
  tool_calls?: ToolCall[];
  /** Tool messages only: which call this is the result of, and of which tool. */
  tool_call_id?: string;
  name?: string;
}

/** One row of the visitor's file, understood. */
export interface Example {
  /** 1-based line in the file it came from. */
  line: number;
  /** That file, where it is not the data file. */
  file?: RowFile;
  /** Empty where the row is a plain text. */
  messages: Message[];
  /** A plain text without roles: every token of it is learned. */
  text?: string;
  /** JSON Schemas of the tools that the answers may call. */
  tools?: unknown[];
  /** The side of the split that the file itself puts the row on. */
  split?: SplitSide;
  /** How much the row counts in the training loss beside others; 1 where it is not given. */
  weight?: number;
}

export type Severity = 'error' | 'warning';

/** One problem in the visitor's file. An error takes its row out of training; a warning does not. */
export interface Issue {
  code: string;
  severity: Severity;
  /** Name of the file that it is about, where that is not the data file. */
  file?: string;
  /** 1-based; 0 when the issue is about the whole file. */
  line: number;
  /** Lines of the rows that it is about, where one issue stands for several rows; `line` is 0 then. */
  lines?: number[];
  /** 1-based, when it is known. */
  column?: number;
  /** Where inside the row, e.g. `messages[2].content`. */
  path?: string;
  /** The offending text, cut short, for the caret display. */
  excerpt?: string;
  /** 1-based place of the problem inside `excerpt`, when it is known. */
  caret?: number;
  message: string;
  fix: string;
}

/** One row as token ids. `mask[t]` is 1 when token t is a training target. */
export interface EncodedExample {
  line: number;
  /** As of `Example`. */
  file?: RowFile;
  ids: Int32Array;
  mask: Uint8Array;
  /** Tokens before anything was cut to fit `max_length`. */
  fullLength: number;
  /** The row's weight in the training loss; 1 where it is not given. Evaluation does not weigh rows. */
  weight?: number;
  /** The message that it teaches, from 0, where each answer of a conversation is encoded as a row of its own, all with the same `line`. */
  answer?: number;
}

/** A rectangle of rows. `targets[i]` is the token to predict after `ids[i]`, or -100 where nothing is learned. */
export interface Batch {
  ids: Int32Array; // [rows, columns]
  targets: Int32Array; // [rows, columns]
  /** Weight of each target in the loss; 0 where `targets` is -100. */
  weights: Float32Array; // [rows, columns]
  rows: number;
  columns: number;
  /** Line of each row in the visitor's file, so that a bad number can name its row. */
  lines: number[];
  /** Real tokens of each row, padding not counted. */
  lengths: number[];
  targetTokens: number;
}

export interface Distribution {
  min: number;
  p10: number;
  median: number;
  mean: number;
  p90: number;
  max: number;
  total: number;
}

export interface DatasetReport {
  name: string;
  /** One line: how many rows of what the file holds, and which part became what. '' where nothing was understood. */
  understood: string;
  /** Lines with something on them; of a text, the rows that it was cut into. */
  rows: number;
  usableRows: number;
  /** What the usable rows became: more, where each answer of a conversation is a row of its own. */
  encodedRows: number;
  /** Rows with errors. */
  badRows: number;
  /** Rows that the file itself marks as not to be learned; they have no error. */
  leftOutRows: number;
  /** By line; of each code the first ones, at most 200. `issueGroups` counts them all. */
  issues: Issue[];
  /** One entry a code: errors first, then those of most rows. */
  issueGroups: IssueGroup[];
  /** What was mended, and what could be. */
  mends: MendGroup[];
  /** Of a table; absent where the file is none. */
  table?: TableReport;
  /** What the file was read as. */
  layout: FileLayout;
  /** True when rows with errors exist and the visitor has not yet agreed to leave them out. */
  needsConsent: boolean;
  messagesPerRow: Distribution;
  tokensPerRow: Distribution;
  trainedTokensPerRow: Distribution;
  /** Rows longer than `max_length`, by line. */
  overLength: number[];
  /** Encoded rows on either side; those of one conversation are on the same. */
  trainRows: number;
  /** Training rows that `train_fraction` leaves out. */
  spareRows: number;
  validationRows: number;
  validationFrom: SplitOrigin;
  /** Rows that no run reads; null without any. */
  test: TestSplit | null;
  /** General rows that training mixes in; absent without. They are counted nowhere else in this report. */
  replay?: ReplayReport;
  /** Files that were read beside the data file; their problems are among `issues`. */
  beside: BesideFile[];
  /** Groups of rows that were kept on one side. */
  nearDuplicateGroups: number;
  heldOut: HeldOut;
  /** Content hash (SHA-256, hex) of the file's text. */
  hash: string;
  /** What the file's bytes were read as; absent for pasted text, and for a file that could not be read as text. */
  encoding?: string;
  /** What else the bytes may be read as (`DataSource.encoding`); absent where there is no doubt that they are UTF-8, or no text. */
  encodings?: { label: string; name: string }[];
}

export interface PreviewToken {
  id: number;
  text: string;
  /** 'text' in a row without roles. */
  role: Role | 'text';
  trained: boolean;
  special: boolean;
}

export interface RowPreview {
  line: number;
  /** Both as in `EncodedExample`. */
  file?: RowFile;
  answer?: number;
  split: SplitSide;
  tokens: PreviewToken[];
  truncatedTokens: number;
  /** The conversation as it is in the file: prompts to try in the talk come from here. */
  messages: Message[];
}

/** What a row that is being written comes to. */
export interface RowCheck {
  /** Columns and excerpts are those of the text. */
  issues: Issue[];
  /** Rows that the text holds. */
  rows: number;
  /** The conversation, where the text is one. */
  messages: Message[] | null;
  /** Of the row as it would be encoded now: tokens before the cut, those behind it, and those that are learned. Null with an error. */
  tokens: number | null;
  cut: number;
  learned: number;
}

export type DataSource =
  /** `encoding` is what the user says the file is in; without it that is looked for. */
  (
    | { kind: 'file'; name: string; file: Blob; encoding?: string }
    | { kind: 'text'; name: string; text: string }
  ) & { reading?: ReadingChoices };

/** Files that give the validation or the test rows, beside the data file. */
export interface BesideSources {
  validation?: DataSource | undefined;
  test?: DataSource | undefined;
}

// ───────────────────────────── device ─────────────────────────────

export type BackendName = 'webgpu' | 'wasm' | 'cpu';

export interface SelfTestCheck {
  name: string;
  maxError: number;
  tolerance: number;
  passed: boolean;
}

export interface DeviceReport {
  backend: BackendName;
  /** One sentence: why this backend and not another. */
  because: string;
  adapter: { vendor: string; architecture: string; description: string; software: boolean } | null;
  features: string[];
  limits: Record<string, number>;
  selfTest: SelfTestCheck[];
  /** wasm only. */
  threads: number;
  simd: boolean;
  /** wasm only: whether products multiply and add in one instruction (relaxed SIMD). Where they do not, last bits differ. */
  relaxedSimd: boolean;
}

/** How matrix products are cut into tiles on this device, and why. */
export interface TileReport {
  chosen: 'measured' | 'kept' | 'rule';
  /** Sentences: why, and what went wrong if anything did. */
  because: string;
  /** 'rule', or a fingerprint of the measured table: with the same one, sums are added up in the same order. */
  id: string;
  /** What products of some usual sizes get. */
  sizes: {
    /** Rows × inner dimension × columns. */
    size: string;
    /** Rows × columns × rows of a thread × slices. */
    tile: string;
    rule: string;
    /** How many times as fast as the rule's tile it was; null where that was not measured. */
    gain: number | null;
  }[];
}

export interface MemoryReport {
  tensors: number;
  tensorBytes: number;
  /** Bytes the GPU pool has allocated; null where the backend cannot tell. */
  deviceBytes: number | null;
}

/** What the setting `gradient_checkpointing` came to. */
export interface Checkpointing {
  on: boolean;
  /** A sentence where memory asked for it; null where it is off or the visitor chose it. */
  because: string | null;
}

export interface MemoryEstimate {
  weightBytes: number;
  trainableParameters: number;
  optimizerBytes: number;
  activationBytes: number;
  totalBytes: number;
}

/** Of a run as it would be made. */
export interface RunEstimate extends MemoryEstimate {
  checkpointing: Checkpointing;
}

// ───────────────────────────── run ─────────────────────────────

/**
 * Names as OpenAI's fine-tuning results have them: `valid_` is measured during the run on a sample of the held-out rows
 * (`RunConfig.evaluation`), `full_valid_` on all of them. Where the sample is all of them, each evaluation gives both. `train_eval_` and
 * `full_train_eval_` are training rows, measured by the same code beside them.
 */
export type MetricName =
  | 'train_loss'
  | 'train_eval_loss'
  | 'train_eval_mean_token_accuracy'
  | 'valid_loss'
  | 'valid_mean_token_accuracy'
  | 'valid_loss_standard_error'
  /** Of the difference to the best step's loss, on the same rows: much smaller than that of the loss itself. */
  | 'valid_rise_standard_error'
  | 'full_train_eval_loss'
  | 'full_train_eval_mean_token_accuracy'
  | 'full_valid_loss'
  | 'full_valid_mean_token_accuracy'
  | 'full_valid_loss_standard_error'
  | 'full_valid_rise_standard_error'
  /** On general rows: a fixed part of them at each evaluation, `full_` all at both ends. The error is of the rise since before training. */
  | 'general_loss'
  | 'full_general_loss'
  | 'general_rise_standard_error'
  | 'full_general_rise_standard_error'
  | 'learning_rate'
  | 'grad_norm'
  | 'tokens_per_second'
  /** Bytes that the device's pool has allocated, or where the backend cannot tell those of all tensors; a point where it has changed. */
  | 'memory_allocated';

/** One number of one step: the row format of the live chart, storage, CSV and comparison. */
export interface MetricPoint {
  name: MetricName;
  step: number;
  epoch: number;
  /** Tokens seen by the model so far, padding not counted. */
  tokens: number;
  elapsedMs: number;
  value: number;
}

export type RunState = 'evaluating' | 'training' | 'paused' | 'stopped' | 'finished' | 'failed';

/** How far an evaluation is, in rows; or, of the pinned prompts, in prompts. */
export interface Measuring {
  /** The sample of a running evaluation; at the end the other rows with the last or with the best weights; or general rows. */
  what: 'sample' | 'last' | 'best' | 'general' | 'pinned';
  /** The weights are those after this step. */
  step: number;
  done: number;
  of: number;
}

export interface RunProgress {
  state: RunState;
  /** While `state` is 'evaluating'. */
  measuring: Measuring | null;
  step: number;
  totalSteps: number;
  epoch: number;
  elapsedMs: number;
  remainingMs: number | null;
  tokensPerSecond: number | null;
  memory: MemoryReport;
  /** While a cross-validation goes on, after the run itself: the steps above are those of this fold, and no points are reported. */
  fold?: Fold;
  /** Of the folds that have ended, while others go on. */
  foldsDone?: (FoldResult | FailedFold)[];
}

/** Batched by the worker: at most ten a second. */
export interface RunEvent {
  points: MetricPoint[];
  /** Measured since the last event. */
  rows: RowMeasurement[];
  weights: WeightChanges[];
  /** Answers to the pinned prompts since the last event. */
  pinned: PinnedColumn[];
  progress: RunProgress;
  /** Of an update that was made by hand. */
  stepDetails?: StepDetails;
}

/** One point of a learning-rate range test: the smoothed training loss at this rate. */
export interface RatePoint {
  learningRate: number;
  /** Nats per target token. */
  loss: number;
}

/** What ran, frozen: the page shows this, never the form. */
export interface RunConfig {
  runId: string;
  /** As they were asked for. */
  hyperparameters: Hyperparameters;
  /** As it ran. */
  checkpointing: Checkpointing;
  modelId: string;
  /** The version of a model from the hub: with it the same weights are found again. Absent for models from elsewhere. */
  modelCommit?: string;
  datasetName: string;
  datasetHash: string;
  /** Files that were read beside it. */
  beside?: Pick<BesideFile, 'use' | 'name' | 'hash'>[];
  trainRows: number;
  validationRows: number;
  /** Rows that this run did not read; absent without any. */
  test?: TestSplit;
  /** General rows among the training rows of each epoch, which `trainRows` does not count; absent without. */
  replay?: ReplayReport;
  /** Absent but for a run of a cross-validation. */
  fold?: Fold;
  /** In order of steps; absent where the rate was not changed. */
  rateChanges?: RateChange[];
  /** Absent but for a run of a sweep. */
  sweep?: SweepPlace;
  /** How far the held-out rows are new to the model. */
  heldOut: HeldOut;
  evaluation: EvaluationConfig;
  /** General rows on which forgetting is measured; absent where none are. */
  general?: GeneralConfig;
  stepsPerEpoch: number;
  totalSteps: number;
  trainableParameters: number;
  backend: BackendName;
  /** `TileReport.id`; absent where there are no tiles to choose. */
  tiles?: string;
  /** Prompts that are answered on the way; absent without any. */
  pinned?: PinnedConfig;
  appVersion: string;
  startedAt: string;
}

export interface RunSummary {
  config: RunConfig;
  state: 'finished' | 'stopped' | 'failed';
  step: number;
  /**
   * Step with the lowest validation loss, whose weights are kept beside the last ones, and the held-out rows behind that loss: all of them
   * in a run that has ended by itself, else those of the sample.
   */
  best: { step: number; loss: number; rows: number } | null;
  /** As last measured; absent where nothing was, and in records of earlier versions. */
  weightChanges?: WeightChanges;
  /** Where `folds` asked for it and the run came to its end. */
  crossValidation?: CrossValidation;
  /** Every time that the test rows were measured: with the weights of this run, and with the base model's. */
  testUses?: TestUse[];
  /** The answers to the pinned prompts, in the order of the steps; absent without any. */
  pinned?: PinnedColumn[];
  /** As asked last; absent where nobody has asked. */
  generalAnswers?: GeneralAnswers;
  /** Present when `state` is 'failed'. */
  error?: ErrorDetails;
}

/** How one run of a sweep ended. */
export interface SweepOutcome {
  /** Which of the values, from 1. */
  number: number;
  /** Null where the run was refused before it began, for example for memory. */
  summary: RunSummary | null;
  /** Why it failed. */
  error: ErrorDetails | null;
}

/** Which weights of the last run answer: those after the last step, or those with the lowest validation loss. */
export type TunedWeights = 'last' | 'best';

// ───────────────────────────── talking ─────────────────────────────

export interface GenerateRequest {
  which: 'base' | 'tuned';
  messages: Message[];
  settings: GenerationSettings;
}

export interface GenerateResult {
  text: string;
  tokens: number;
  promptTokens: number;
  stoppedBy: 'end_token' | 'limit' | 'context' | 'cancelled';
  tokensPerSecond: number;
}

// ───────────────────────────── the session ─────────────────────────────

/** What the worker offers. Callbacks cross the wire as proxies; each returns nothing. */
export interface Session extends FileMending, RowListing, RowEditing, RowMeasuring, StepCalls, GeneralCalls {
  start(options: { backend?: BackendName | undefined; wasmPath: string }): Promise<DeviceReport>;
  /** Waits until the tiles are selected, which takes about a second after the first start on a device; null without WebGPU. */
  tiles(): Promise<TileReport | null>;
  /** Measures them anew, whatever was kept. */
  measureTiles(): Promise<TileReport | null>;
  loadModel(source: ModelSource, onProgress: (p: LoadProgress) => void): Promise<ModelInfo>;
  /** Ends loading a model; the call that waits for it rejects with `load_cancelled`. The model before stays, and so does what has arrived from a hub. */
  cancelLoad(): Promise<void>;
  /** Asks the hub about a model; nothing of it is downloaded. */
  inspectHub(source: HubSource): Promise<HubOffer>;
  cachedModels(): Promise<CachedModel[]>;
  deleteCachedModel(key: string): Promise<void>;
  /** Parse, tokenise and split. Keeps the data in the worker; replaces what was there only when it succeeds. */
  readData(
    source: DataSource,
    hyperparameters: Hyperparameters,
    beside?: BesideSources,
    onProgress?: (progress: ReadProgress) => void,
  ): Promise<DatasetReport>;
  /** The text of a source, decoded as `readData` does it. Rejects when it is none. */
  readText(source: DataSource): Promise<string>;
  /** The visitor agreed that rows with errors are left out. */
  leaveOutBadRows(): Promise<DatasetReport>;
  /** Split and tokenise again after a setting that matters to data has changed. */
  encodeData(hyperparameters: Hyperparameters): Promise<DatasetReport>;
  /** A row as it is being written. */
  checkRow(text: string, hyperparameters: Hyperparameters): Promise<RowCheck>;
  previewRows(range: { offset: number; count: number; split: SplitSide }): Promise<RowPreview[]>;
  estimateMemory(hyperparameters: Hyperparameters): Promise<RunEstimate>;
  /**
   * `onConfig` is called once more when memory makes it another run than was planned: see `RunConfig.checkpointing`. `pinned`: prompts that
   * are answered on the way.
   */
  train(
    hyperparameters: Hyperparameters,
    onEvent: (e: RunEvent) => void,
    onConfig: (c: RunConfig) => void,
    pinned?: PinnedRequest | null,
  ): Promise<RunSummary>;
  /**
   * Learning-rate range test: the rate climbs through a short run that is thrown away. Answers the proposed rate, or null when the loss
   * never fell. `stop` ends it early.
   */
  findLearningRate(hyperparameters: Hyperparameters, onPoint: (p: RatePoint) => void): Promise<number | null>;
  /**
   * Makes runs that differ in one setting, one after the other; each is stored as any run. One that fails is reported and the sweep goes
   * on; `stop` ends the run that goes on, and none is started after it.
   * @param onEnd waited for, so that a run is over before the next begins
   * @returns how each ended; without those that were not started
   */
  sweep(
    hyperparameters: Hyperparameters,
    request: SweepRequest,
    onConfig: (config: RunConfig) => void,
    onEvent: (event: RunEvent, progress: SweepProgress) => void,
    onEnd: (outcome: SweepOutcome) => void | Promise<void>,
  ): Promise<SweepOutcome[]>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * From the next update on, the schedule of the run that goes on is that of another rate.
   * Rejects with `run_ended` where no update is left, or `bad_hyperparameter`.
   */
  changeLearningRate(rate: number): Promise<RateChange>;
  /** One optimiser step, then pause again. */
  singleStep(): Promise<void>;
  stop(): Promise<void>;
  /** Which weights answer and are exported: after a run those that are worth keeping, as the command line writes them. */
  tunedWeights(): Promise<TunedWeights>;
  useTunedWeights(which: TunedWeights): Promise<void>;
  generate(request: GenerateRequest, onToken: (text: string) => void): Promise<GenerateResult>;
  cancelGeneration(): Promise<void>;
  memory(): Promise<MemoryReport>;
}
