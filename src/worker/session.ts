// The session: owns model, data and run, and is the only place that knows the order of things.
// Not here: any step of the work itself (data/, formats/, engine/), the wire (main.ts, client.ts).

import type {
  CachedModel,
  DataSource,
  DatasetReport,
  DeviceReport,
  GenerateRequest,
  GenerateResult,
  HubOffer,
  HubSource,
  LoadProgress,
  MemoryReport,
  ModelInfo,
  ModelSource,
  RatePoint,
  RowPreview,
  RunConfig,
  RunEstimate,
  RunEvent,
  RunSummary,
  Session,
  TileReport,
  TunedWeights,
} from '../contract';
import { type Chat, checkTemplate, createChat, encodePrompt } from '../data/chat';
import { createTokenizer } from '../data/tokenizer';
import type { Learner } from '../engine/adapters';
import { memoryReport, settledDeviceError, startDevice, takeDeviceError } from '../engine/device';
import { estimateRun, settle } from '../engine/fit';
import { generate } from '../engine/generate';
import { learningRateRange } from '../engine/learningRateRange';
import { loadModel } from '../engine/load';
import { roomOf } from '../engine/memory';
import type { Model } from '../engine/model';
import { type ErrorDetails, PlaygroundError } from '../errors';
import {
  folderFromFiles,
  folderFromUrl,
  type ModelFiles,
  type ModelFolder,
  readModelFolder,
} from '../formats/huggingface';
import type { Hyperparameters } from '../hyperparameters';
import { Dataset } from './dataset';
import { exportRun } from './exportRun';
import { cachedModels, deleteCachedModel, inspectHub, readFromHub } from './hub';
import { breathe, createPace, Run } from './run';
import { openStore, type Store } from './storage';
import { pageThreads } from './threads';
import { settleKeptTiles } from './tiles';

interface Loaded {
  id: string;
  /** Of a model from the hub. */
  commit?: string;
  model: Model;
  files: ModelFiles;
  chat: Chat;
}

export class EngineSession implements Session {
  readonly #onLost: (error: ErrorDetails) => void;
  #device: DeviceReport | null = null;
  #loaded: Loaded | null = null;
  #dataset: Dataset | null = null;
  #run: Run | null = null;
  #tuned: TunedWeights = 'last';
  #cancelGeneration = false;
  #tiles: Promise<TileReport | null> = Promise.resolve(null);
  #store: Promise<Store> | null = null;
  #loading = new AbortController();
  #searching = false;

  constructor(onLost: (error: ErrorDetails) => void) {
    this.#onLost = onLost;
  }

  async start(options: {
    backend?: DeviceReport['backend'] | undefined;
    wasmPath: string;
  }): Promise<DeviceReport> {
    this.#device = await startDevice({
      requested: options.backend,
      wasmPath: options.wasmPath,
      threads: pageThreads(),
      onLost: (error) => this.#onLost(error.toJSON()),
      onError: () => {}, // asked for with takeDeviceError where its result would be used
    });
    this.#settleTiles(false);
    return this.#device;
  }

  async tiles(): Promise<TileReport | null> {
    return this.#tiles;
  }

  async measureTiles(): Promise<TileReport | null> {
    this.#assertIdle('measure its tiles');
    await this.#tiles;
    return this.#settleTiles(true);
  }

  async loadModel(source: ModelSource, onProgress: (p: LoadProgress) => void): Promise<ModelInfo> {
    this.#started();
    this.#assertIdle('load another model');
    const { id, commit, files } = await this.#readModel(source, onProgress);
    const chat = createChat(createTokenizer({ ...files, eosTokenIds: files.architecture.eosTokenIds }));
    // Files are on their way by now; the GPU is free for them when its tiles are measured.
    await this.#tiles;
    const model = await loadModel(files, onProgress);
    this.#loaded?.model.dispose();
    this.#forgetRun();
    this.#loaded = { id, ...(commit !== undefined && { commit }), model, files, chat };
    return {
      id,
      ...(commit === undefined ? {} : { commit }),
      architecture: files.architecture,
      parameters: files.weights.parameters,
      sizeBytes: files.weights.totalBytes,
      dtype: files.weights.dtype,
      chatTemplate: chat.source,
      endOfTurn: chat.endOfTurn,
      notices: [...files.notices, ...chat.notices, ...checkTemplate(chat)],
    };
  }

  async cancelLoad(): Promise<void> {
    this.#loading.abort();
  }

  async inspectHub(source: HubSource): Promise<HubOffer> {
    return inspectHub(source, { store: await this.#hubStore(), signal: this.#nextLoad() });
  }

  async cachedModels(): Promise<CachedModel[]> {
    return cachedModels(await this.#hubStore());
  }

  async deleteCachedModel(key: string): Promise<void> {
    return deleteCachedModel(await this.#hubStore(), key);
  }

  async readData(source: DataSource, h: Hyperparameters): Promise<DatasetReport> {
    const { chat, model } = this.#model();
    this.#assertIdle('read other data');
    const text = source.kind === 'text' ? source.text : await source.file.text();
    const dataset = await Dataset.read(source.name, text);
    const report = dataset.encode(chat, model.architecture, h);
    this.#dataset = dataset;
    return report;
  }

  async leaveOutBadRows(): Promise<DatasetReport> {
    return this.#data().leaveOutBadRows();
  }

  async encodeData(h: Hyperparameters): Promise<DatasetReport> {
    const { chat, model } = this.#model();
    return this.#data().encode(chat, model.architecture, h);
  }

  async previewRows(range: {
    offset: number;
    count: number;
    split: 'train' | 'validation';
  }): Promise<RowPreview[]> {
    return this.#data().preview(this.#model().chat, range);
  }

  async estimateMemory(h: Hyperparameters): Promise<RunEstimate> {
    const { model } = this.#model();
    return estimateRun(model, h, this.#data().longestBatch(h.batch_size), roomOf(this.#started()));
  }

  async train(
    h: Hyperparameters,
    onEvent: (e: RunEvent) => void,
    onConfig: (c: RunConfig) => void,
  ): Promise<RunSummary> {
    const tiles = await this.#tiles;
    const { id, commit, chat, model } = this.#model();
    this.#assertIdle('start another run');
    const data = this.#data();
    const report = data.encode(chat, model.architecture, h);
    if (report.needsConsent) {
      throw new PlaygroundError({
        code: 'rows_with_errors',
        message: `${report.rows - report.usableRows} rows have errors and nobody has agreed to leave them out.`,
        fix: 'Mend the rows, or choose to leave them out.',
      });
    }
    const device = this.#started();
    const settled = settle(model, h, data.longestBatch(h.batch_size), roomOf(device));
    this.#forgetRun();
    this.#tuned = 'last';
    const run = new Run(model, data.trainingData(), h, settled, {
      modelId: id,
      ...(commit !== undefined && { modelCommit: commit }),
      datasetName: report.name,
      datasetHash: report.hash,
      backend: device.backend,
      ...(tiles && { tiles: tiles.id }),
    });
    this.#run = run;
    onConfig(run.config);
    const summary = await run.go(onEvent, onConfig);
    // Nothing was learned, and its weights are gone.
    if (summary.state === 'failed' && summary.step === 0) this.#forgetRun();
    return summary;
  }

  async findLearningRate(h: Hyperparameters, onPoint: (p: RatePoint) => void): Promise<number | null> {
    const { chat, model } = this.#model();
    this.#assertIdle('look for a learning rate');
    const data = this.#data();
    data.encode(chat, model.architecture, h);
    const settled = settle(model, h, data.longestBatch(h.batch_size), roomOf(this.#started()));
    this.#searching = true;
    const walk = learningRateRange(model, data.trainingData(), settled);
    const pace = createPace();
    try {
      while (this.#searching) {
        const next = await walk.next();
        const gpuError = takeDeviceError();
        if (gpuError) throw gpuError;
        if (next.done) return next.value.proposed;
        if (next.value.kind === 'point')
          onPoint({ learningRate: next.value.learningRate, loss: next.value.loss });
        await (next.value.kind === 'point' ? breathe() : pace());
      }
      return null;
    } finally {
      this.#searching = false;
      await walk.return({ points: [], proposed: null });
    }
  }

  async pause(): Promise<void> {
    this.#run?.pause();
  }

  async resume(): Promise<void> {
    this.#run?.resume();
  }

  async singleStep(): Promise<void> {
    this.#run?.singleStep();
  }

  async stop(): Promise<void> {
    this.#searching = false;
    this.#run?.stop();
  }

  async useTunedWeights(which: TunedWeights): Promise<void> {
    this.#tunedLearner(which);
    this.#tuned = which;
  }

  async generate(request: GenerateRequest, onToken: (text: string) => void): Promise<GenerateResult> {
    const { model, chat } = this.#model();
    const learner = request.which === 'tuned' ? this.#tunedLearner(this.#tuned) : null;
    const prompt = encodePrompt(chat, request.messages);
    const decoder = chat.tokenizer.createStreamDecoder({ skipSpecial: true });
    this.#cancelGeneration = false;
    const startedAt = performance.now();
    const walk = generate(model, learner, prompt, chat.stopIds, request.settings);
    let text = '';
    let tokens = 0;
    const say = (piece: string) => {
      text += piece;
      if (piece) onToken(piece);
    };
    let stoppedBy: GenerateResult['stoppedBy'] = 'cancelled';
    while (true) {
      const next = await walk.next().catch(async (thrown: unknown) => {
        throw (await settledDeviceError()) ?? thrown;
      });
      if (next.done) {
        stoppedBy = next.value;
        break;
      }
      tokens++;
      say(decoder.push(next.value));
      await breathe();
      if (this.#cancelGeneration) {
        await walk.return('limit');
        break;
      }
    }
    say(decoder.flush());
    const gpuError = takeDeviceError();
    if (gpuError) throw gpuError;
    const seconds = (performance.now() - startedAt) / 1000;
    return { text, tokens, promptTokens: prompt.length, stoppedBy, tokensPerSecond: tokens / seconds };
  }

  async cancelGeneration(): Promise<void> {
    this.#cancelGeneration = true;
  }

  async exportRun(): Promise<Blob> {
    const learner = this.#tunedLearner(this.#tuned);
    const { config, points } = this.#run as Run;
    return exportRun(this.#model(), learner, config, points);
  }

  async memory(): Promise<MemoryReport> {
    return memoryReport();
  }

  async #readModel(
    source: ModelSource,
    onProgress: (p: LoadProgress) => void,
  ): Promise<{ id: string; commit?: string; files: ModelFiles }> {
    if (source.kind !== 'hub')
      return { id: source.id, files: await readModelFolder(folderOf(source, onProgress)) };
    const options = { store: await this.#hubStore(), signal: this.#nextLoad(), onProgress };
    return readFromHub(source, options, async (folder, place) => ({
      ...place,
      files: await readModelFolder(folder),
    }));
  }

  #settleTiles(again: boolean): Promise<TileReport | null> {
    this.#tiles = settleKeptTiles(this.#device as DeviceReport, again);
    this.#tiles.catch(() => {}); // whoever asks or loads a model hears of it; nobody asking is no unhandled rejection
    return this.#tiles;
  }

  #hubStore(): Promise<Store> {
    this.#store ??= openStore('hub');
    return this.#store;
  }

  #nextLoad(): AbortSignal {
    this.#loading = new AbortController();
    return this.#loading.signal;
  }

  #tunedLearner(which: TunedWeights): Learner {
    const trainer = this.#run?.trainer;
    const learner = which === 'best' ? trainer?.bestLearner : trainer?.learner;
    return this.#need(learner, 'no_tuned_model', 'There is no tuned model yet.', 'Train first.');
  }

  #forgetRun(): void {
    this.#run?.trainer.dispose();
    this.#run = null;
  }

  #assertIdle(purpose: string): void {
    if (!this.#run?.active && !this.#searching) return;
    throw new PlaygroundError({
      code: 'run_active',
      message: `A run is still going on, so the engine cannot ${purpose}.`,
      fix: 'Stop the run first; what it has learned is kept.',
    });
  }

  #started(): DeviceReport {
    return this.#need(this.#device, 'no_device', 'The engine has not been started.', 'Reload the page.');
  }

  #model(): Loaded {
    return this.#need(this.#loaded, 'no_model', 'No model is loaded.', 'Choose a model first.');
  }

  #data(): Dataset {
    return this.#need(
      this.#dataset,
      'no_data',
      'There is no training data yet.',
      'Choose a file or a sample data set.',
    );
  }

  #need<T>(value: T | null | undefined, code: string, message: string, fix: string): T {
    if (value === null || value === undefined) throw new PlaygroundError({ code, message, fix });
    return value;
  }
}

function folderOf(
  source: Exclude<ModelSource, HubSource>,
  onProgress: (p: LoadProgress) => void,
): ModelFolder {
  return source.kind === 'folder'
    ? folderFromUrl(source.url, fetch, onProgress)
    : folderFromFiles(source.files);
}
