// Making an export: the files of a format, written, read again and compared with the model that answers here.
// Not here: the comparison (exportProof.ts), the files of each format (engine/model/, formats/), packing and saving them (worker/, cli/).

import type { RunConfig, RunSummary } from '../contract';
import { disposeLearner, type Learner, learnerOf } from '../engine/model/adapters';
import { adapterFiles, includesBase, type LoadedModel, modelFiles } from '../engine/model/artifacts';
import { ADAPTER_GGUF, ggufAdapter, ggufFile } from '../engine/model/ggufFiles';
import type { KeepFile, OutFile, StoredType } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import type { ExportOption, ExportProgress, ExportProof, ExportRequest } from '../exportContract';
import {
  BYTES_OF,
  EXPORT_FORMAT_NAMES,
  EXPORT_FORMATS,
  type ExportFormat,
  typeOf,
  type WeightType,
} from '../exportFormats';
import { readGgufAdapter } from '../formats/gguf/ggufAdapter';
import { folderFromFiles, type ModelFolder } from '../formats/huggingface';
import type { Dataset } from './dataset';
import { compareTuned, proofPrompts, type Tuned } from './exportProof';
import { loadWeights, openAdapter, openModel } from './model';
import { modelfile } from './modelfile';
import type { Platform } from './platform';
import { type LearnedWeights, type Measures, runFiles, trainingOf } from './results';
import { trainingProject } from './trainingProject';

/** What is exported. */
export interface ExportSource {
  base: LoadedModel;
  /** Null for the base model itself, in another format. */
  learner: Learner | null;
  /** The run it comes from, `learned` null where only its record is at hand; null where that is not known. */
  run: ({ summary: RunSummary; learned: LearnedWeights | null } & Measures) | null;
  /** Its rows are the prompts of the proof; null without any. */
  dataset: Dataset | null;
}

export interface ExportHooks {
  onProgress: (progress: ExportProgress) => void;
  cancelled: () => boolean;
}

export interface MadeExport {
  files: OutFile[];
  proof: ExportProof | null;
  notices: string[];
}

const exportCancelled = () =>
  new PlaygroundError({
    code: 'export_cancelled',
    message: 'The export was cancelled; nothing was written.',
    fix: 'Start it again when you want it.',
  });

/** Why weights cannot be had in a format; null where they can. @param adapter what they are as an adapter of a base model, null where they are none */
export function blockedReason(adapter: { dora: boolean } | null, format: ExportFormat): string | null {
  if (EXPORT_FORMATS[format].from === 'adapter' && adapter === null)
    return 'These weights are no adapter: the run changed the model’s own weights. Export the merged model.';
  if (format === 'gguf_adapter' && adapter?.dora)
    return 'llama.cpp has no DoRA adapters. Export the merged model as GGUF.';
  return null;
}

/** Configuration, model card and chat template together. */
const SMALL_FILES_BYTES = 20_000;

/** Python, README and configurations of a training project. */
const PROJECT_BYTES = 40_000;

/** A run and its rows, encoded for its settings. */
export interface RunAndRows {
  config: RunConfig;
  dataset: Dataset;
}

/** The files of a training project beside base model and tokenizer: first adapter, rows as text and as tokens, order. */
function runFilesBytes({ config, dataset }: RunAndRows): number {
  const { trainableParameters: learning, totalSteps, hyperparameters: h } = config;
  const start = h.method === 'lora' ? 4 * learning : 0;
  const rows = [...dataset.rows('all'), ...dataset.rows('test')];
  const tokens = rows.reduce((sum, { encoded }) => sum + encoded.ids.length, 0);
  const order = 5 * totalSteps * h.batch_size * h.gradient_accumulation_steps;
  return PROJECT_BYTES + start + 16 * tokens + 100 * rows.length + order;
}

/**
 * Estimated bytes of the files of a format.
 * @param trainable weights that were trained; 0 for the base model itself
 * @param run for a format that is made of a run
 */
export function exportBytes(
  base: LoadedModel,
  trainable: number,
  request: ExportRequest,
  run: RunAndRows | null = null,
): number {
  const { format } = request;
  const tokenizer = JSON.stringify(base.files.tokenizerJson).length + SMALL_FILES_BYTES;
  if (EXPORT_FORMATS[format].from === 'weights')
    return base.model.parameters * BYTES_OF[typeOf(format, request.dtype)] + tokenizer;
  if (run !== null) {
    const weights = includesBase(base, {}) ? base.files.weights.totalBytes + tokenizer : 0;
    return weights + tokenizer + runFilesBytes(run);
  }
  const learned = 4 * trainable;
  if (format === 'gguf_adapter') return learned + SMALL_FILES_BYTES;
  const included = includesBase(base, { includeBase: request.includeBase ?? false });
  const beside = included ? base.files.weights.totalBytes + tokenizer : 0;
  return learned + tokenizer + beside;
}

const NO_ROWS = 'It is made of the run and its rows, and these are not loaded now.';

/**
 * What each format would be for the weights of a run.
 * @param base null where another model is loaded: sizes are then not known
 * @param dataset the rows of the run; null where they are not loaded
 */
export function exportOptions(
  base: LoadedModel | null,
  config: RunConfig,
  dataset: Dataset | null,
): ExportOption[] {
  const { hyperparameters, trainableParameters: trainable } = config;
  return EXPORT_FORMAT_NAMES.map((format) => {
    const { types, from } = EXPORT_FORMATS[format];
    const run = from === 'run' && dataset ? { config, dataset } : null;
    const all: readonly WeightType[] = types.length > 0 ? types : ['F32'];
    const bytesOf = (dtype: WeightType) => [
      dtype,
      base && exportBytes(base, trainable, { format, dtype }, run),
    ];
    const optional = base !== null && format === 'adapter' && !includesBase(base, { includeBase: false });
    return {
      format,
      blocked:
        blockedReason(
          hyperparameters.method === 'lora' ? { dora: hyperparameters.use_dora } : null,
          format,
        ) ?? (from === 'run' && !dataset ? NO_ROWS : null),
      bytes: base && Object.fromEntries(all.map(bytesOf)),
      baseBytes: optional
        ? exportBytes(base, trainable, { format, includeBase: true }) -
          exportBytes(base, trainable, { format })
        : null,
    };
  });
}

/** The files of a format, and how it is read again. */
interface Maker {
  make(source: ExportSource, type: WeightType, request: ExportRequest, at: Making): Promise<OutFile[]>;
  /** The model that the written bytes give; null where they hold no tuned weights. `dispose` frees what was loaded for it. */
  reopen:
    | ((source: ExportSource, folder: ModelFolder) => Promise<{ again: Tuned; dispose: () => void }>)
    | null;
}

interface Making {
  keep: KeepFile;
  onProgress: (share: number) => void;
  check: () => void;
  /** A sentence that the visitor should read with the file. */
  notice: (sentence: string) => void;
}

/** A whole model, loaded a second time; its tokenizer must give the same tokens. */
async function reopenModel({ base }: ExportSource, folder: ModelFolder) {
  const opened = await openModel(folder);
  assertSameTokens(base, opened);
  const { model } = await loadWeights(opened, { id: base.id });
  return { again: { model, learner: null }, dispose: () => model.dispose() };
}

const MAKERS: Readonly<Record<ExportFormat, Maker>> = {
  adapter: {
    make: async ({ base, learner, run }, _type, { includeBase = false }, at) => {
      const weights = learner as Learner;
      if (!run?.learned) return adapterFiles(base, weights, null, { includeBase });
      return runFiles(base, run.learned, run.summary, run, {
        includeBase,
        ...at,
      });
    },
    reopen: async ({ base }, folder) => {
      const { learner } = await openAdapter(folder, base);
      return { again: { model: base.model, learner }, dispose: () => disposeLearner(learner) };
    },
  },
  merged: {
    make: async ({ base, learner, run }, type, _request, at) => {
      if (run !== null && learner && !learner.adapters && type === 'F32')
        return runFiles(base, run.learned, run.summary, run, at);
      const training = run && trainingOf(run.summary.config, run.points);
      return modelFiles(base, learner, type as StoredType, { training, ...at });
    },
    reopen: reopenModel,
  },
  gguf: {
    make: async ({ base, learner }, type, _request, at) => {
      const { file, notices } = await ggufFile(base, learner, type, at);
      const ollama = modelfile(base.chat);
      for (const sentence of [...notices, ...ollama.notices]) at.notice(sentence);
      return [file, { path: 'Modelfile', bytes: ollama.text }];
    },
    reopen: reopenModel,
  },
  gguf_adapter: {
    make: async ({ base, learner }, _type, _request, at) => [await ggufAdapter(base, learner as Learner, at)],
    reopen: async ({ base }, folder) => {
      const file = await folder.open(ADAPTER_GGUF);
      const read = await readGgufAdapter(file, ADAPTER_GGUF, base.model.architecture);
      const learner = learnerOf(read.adapters, read.tensors);
      return { again: { model: base.model, learner }, dispose: () => disposeLearner(learner) };
    },
  },
  training_project: {
    make: async ({ base, run, dataset }, _type, _request, at) => {
      const { summary, points } = run as NonNullable<typeof run>;
      return trainingProject(
        { base, config: summary.config, points, dataset: dataset as Dataset },
        at.notice,
      );
    },
    reopen: null,
  },
};

/** Text in which most tokenizers differ. */
const SAMPLE = 'Hello, wörld!  It’s 12,345 → ok?\n\tfunction f(x) { return x; } <|im_start|> ja';

/** @throws PlaygroundError `export_differs` where the written tokenizer or template gives other ids, or other ends of a turn */
function assertSameTokens({ chat }: LoadedModel, { chat: again }: Pick<LoadedModel, 'chat'>): void {
  const conversation = [
    { role: 'user' as const, content: SAMPLE },
    { role: 'assistant' as const, content: SAMPLE },
    { role: 'user' as const, content: 'And now?' },
  ];
  const seen = (one: typeof chat) => {
    let rendered: string;
    try {
      rendered = one.render(conversation, { addGenerationPrompt: true });
    } catch (thrown) {
      // A template may refuse conversations like this one; then both must.
      rendered = thrown instanceof PlaygroundError ? thrown.message : String(thrown);
    }
    return {
      tokens: one.tokenizer.encode(SAMPLE).join(),
      rendered,
      'end tokens': [...one.stopIds].sort((a, b) => a - b).join(),
    };
  };
  const [ours, theirs] = [seen(chat), seen(again)];
  for (const key of Object.keys(ours) as (keyof typeof ours)[]) {
    if (ours[key] === theirs[key]) continue;
    throw new PlaygroundError({
      code: 'export_differs',
      message: `Read again, the exported files have other ${key}: ${theirs[key].slice(0, 80)} and not ${ours[key].slice(0, 80)}. They were not handed over.`,
      fix: 'This is a fault of the program: report it.',
    });
  }
}

const blobOf = ({ bytes }: OutFile) => (bytes instanceof Blob ? bytes : new Blob([bytes as BlobPart]));

/**
 * Writes the files of a format, reads their bytes again and compares what they give with the model that answers here. Memory: for a format
 * with whole weights, the model a second time while it is compared.
 * @throws PlaygroundError `export_blocked`, `export_cancelled`, `export_not_finite`, `export_changes_nothing`, `export_differs`, or what
 * writing and reading throw
 */
export async function makeExport(
  source: ExportSource,
  request: ExportRequest,
  keep: KeepFile,
  platform: Pick<Platform, 'yieldToEvents'>,
  { onProgress, cancelled }: ExportHooks,
): Promise<MadeExport> {
  const { format } = request;
  const blocked =
    EXPORT_FORMATS[format].from === 'run' && (source.run === null || source.dataset === null)
      ? NO_ROWS
      : blockedReason(source.learner?.adapters ?? null, format);
  if (blocked !== null) {
    const fix = 'Choose another format.';
    throw new PlaygroundError({ code: 'export_blocked', message: blocked, fix, where: format });
  }
  const maker = MAKERS[format];
  const type = typeOf(format, request.dtype);
  const notices: string[] = [];
  const check = () => {
    if (cancelled()) throw exportCancelled();
  };
  onProgress({ stage: 'write', share: 0 });
  check();
  const files = await maker.make(source, type, request, {
    keep,
    check,
    notice: (sentence) => notices.push(sentence),
    onProgress: (share) => onProgress({ stage: 'write', share }),
  });
  check();
  if (maker.reopen === null) return { files, proof: null, notices };
  onProgress({ stage: 'check', share: 0 });
  const folder = folderFromFiles(files.map((file) => ({ path: file.path, file: blobOf(file) })));
  const { again, dispose } = await maker.reopen(source, folder);
  const { base, learner, run, dataset } = source;
  try {
    const { proof, nothingLearned } = await compareTuned(
      {
        live: { model: base.model, learner },
        again,
        base: learner && { model: base.model, learner: null },
      },
      proofPrompts(base, dataset),
      { stopIds: base.chat.stopIds, type, ofRun: run !== null },
      platform,
      { cancelled, onProgress: (share) => onProgress({ stage: 'check', share }) },
    );
    if (nothingLearned) notices.push('These weights answer as the base model does: nothing was learned.');
    return { files, proof, notices };
  } catch (thrown) {
    if (thrown instanceof PlaygroundError && thrown.code === 'measuring_cancelled') throw exportCancelled();
    throw thrown;
  } finally {
    dispose();
  }
}
