// What the page knows and what a visitor can do: device, model, data, settings, runs. The page's one way to the worker.
// Not here: how anything looks (the panels), the talk (talk.svelte.ts), anything that computes (worker/, engine/).

import type {
  BackendName,
  CatalogEntry,
  DataSource,
  DatasetReport,
  DeviceReport,
  HubSource,
  LoadProgress,
  ModelInfo,
  ModelSource,
  RowPreview,
  RunEstimate,
  TunedWeights,
} from '../contract';
import { type ErrorDetails, errorDetails, PlaygroundError } from '../errors';
import {
  checkHyperparameters,
  defaultHyperparameters,
  defaultLearningRate,
  forModel,
  type HyperparameterName,
  type Hyperparameters,
  withChange,
} from '../hyperparameters';
import type { Client } from '../worker/client';
import { bytes, plural } from './format';
import { RateSearch } from './rateSearch.svelte';
import { Run } from './run.svelte';
import { Tiles } from './tiles.svelte';

/** A line of `datasets/index.json`. */
export interface SampleData {
  id: string;
  name: string;
  file: string;
  rows: number;
  task: string;
  teaches: string;
  summary: string;
  /** What its card was measured with, by method. */
  settings: Partial<Record<Hyperparameters['method'], { learning_rate: number; num_train_epochs: number }>>;
}

/** A conversation to try, taken from a row that the model does not train on. */
export interface Suggestion {
  line: number;
  system: string;
  prompt: string;
  expected: string;
}

/** Settings that change how rows are split or cut; the worker encodes again after one of them. */
const DATA_SETTINGS: readonly HyperparameterName[] = ['max_length', 'loss_on', 'validation_fraction', 'seed'];
/** Earlier runs kept as ghost lines. */
const GHOSTS = 8;
const SETTLE_MS = 350;

const fromPage = (path: string) => new URL(path, document.baseURI).href;

/** A JSON file that lies beside the page. */
export async function fetchJson<T>(path: string, what: string): Promise<T> {
  const url = fromPage(path);
  const response = await fetch(url).catch((cause: unknown) => {
    throw new PlaygroundError(
      {
        code: 'page_file_unreachable',
        message: `${what} could not be fetched.`,
        fix: 'Check that the page is served by a web server and that it still runs, then reload.',
        where: url,
      },
      { cause },
    );
  });
  if (!response.ok) {
    throw new PlaygroundError({
      code: 'page_file_missing',
      message: `${what} is missing from this site (${response.status}).`,
      fix: 'You can still use your own files. Whoever put this page online left out a folder.',
      where: url,
    });
  }
  try {
    return (await response.json()) as T;
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'page_file_broken',
        message: `${what} is not readable JSON.`,
        fix: 'You can still use your own files. Whoever put this page online should copy the file again.',
        where: url,
      },
      { cause },
    );
  }
}

export class Workspace {
  // ── device ──
  device: DeviceReport | null = $state.raw(null);
  deviceError: ErrorDetails | null = $state.raw(null);
  readonly tiles: Tiles;
  /** Set when the worker died; the page then offers to restart it. */
  dead: ErrorDetails | null = $state.raw(null);
  restarting = $state(false);

  // ── model ──
  catalog: CatalogEntry[] = $state.raw([]);
  catalogError: ErrorDetails | null = $state.raw(null);
  model: ModelInfo | null = $state.raw(null);
  modelSource: ModelSource | null = $state.raw(null);
  modelLoading: { id: string; from: ModelSource['kind']; progress: LoadProgress | null } | null =
    $state.raw(null);
  modelError: ErrorDetails | null = $state.raw(null);

  // ── data ──
  samples: SampleData[] = $state.raw([]);
  samplesError: ErrorDetails | null = $state.raw(null);
  private picked: { sample: SampleData; source: DataSource } | null = $state.raw(null);
  dataSource: DataSource | null = $state.raw(null);
  report: DatasetReport | null = $state.raw(null);
  dataBusy = $state(false);
  dataError: ErrorDetails | null = $state.raw(null);
  suggestions: Suggestion[] = $state.raw([]);
  private consented = false;
  private reading = 0;

  // ── settings ──
  settings: Hyperparameters = $state.raw(defaultHyperparameters());
  /** Weights of the model that the default learning rate belongs to. */
  private sizedFor: number | null = $state(null);
  memory: RunEstimate | null = $state.raw(null);
  memoryError: ErrorDetails | null = $state.raw(null);
  private encodeTimer: ReturnType<typeof setTimeout> | undefined;
  private memoryTimer: ReturnType<typeof setTimeout> | undefined;

  // ── runs ──
  run: Run | null = $state.raw(null);
  earlier: Run[] = $state.raw([]);
  tunedWeights: TunedWeights = $state('last');
  runError: ErrorDetails | null = $state.raw(null);
  private runCount = 0;
  rateSearch: RateSearch | null = $state.raw(null);
  /** Settles when the last search has let go of the engine. */
  private searchEnd: Promise<void> = Promise.resolve();

  readonly problems = $derived(checkHyperparameters(this.settings));
  readonly entry = $derived(this.catalog.find((e) => e.id === this.modelSource?.id) ?? null);
  readonly modelName = $derived(this.entry?.name ?? this.model?.id ?? '');
  readonly training = $derived(this.run?.active ?? false);
  /** Rows can be trained on: read, split, and any bad rows agreed to be left out. */
  readonly dataReady = $derived(
    this.report !== null && !this.report.needsConsent && this.report.trainRows > 0 && !this.dataBusy,
  );
  /** Steps that Train would run with the form as it stands. */
  readonly plan = $derived.by(() => {
    if (!this.report || this.report.trainRows === 0) return null;
    const { batch_size, gradient_accumulation_steps, num_train_epochs } = this.settings;
    const stepsPerEpoch = Math.ceil(this.report.trainRows / (batch_size * gradient_accumulation_steps));
    if (!Number.isFinite(stepsPerEpoch) || !Number.isFinite(num_train_epochs)) return null;
    return { stepsPerEpoch, totalSteps: stepsPerEpoch * num_train_epochs };
  });
  /** What is missing for a run, as a sentence; null when nothing is. */
  private readonly missing = $derived.by(() => {
    if (this.dead) return 'The engine has stopped. Restart it first.';
    if (this.deviceError) return 'The engine did not start.';
    if (this.modelLoading) {
      const p = this.modelLoading.progress;
      const part = p && p.totalBytes > 0 ? `: ${bytes(p.loadedBytes)} of ${bytes(p.totalBytes)}` : '';
      return `The model is loading${part}.`;
    }
    if (!this.model) return 'Choose a model first.';
    if (this.dataBusy) return 'Reading the rows.';
    if (!this.report) return 'Choose data: your own file, or a sample.';
    if (this.report.needsConsent) {
      const bad = this.report.rows - this.report.usableRows;
      return `${plural(bad, 'row')} cannot be used. Mend ${bad === 1 ? 'it' : 'them'}, or agree to leave ${bad === 1 ? 'it' : 'them'} out.`;
    }
    if (this.report.trainRows === 0) return 'No row is left to train on.';
    const wrong = this.problems.find((p) => p.severity === 'error');
    return wrong ? wrong.message : null;
  });
  /** Why Train cannot be pressed, as a sentence; null when it can. */
  readonly blocked = $derived(
    this.missing ?? (this.rateSearch?.active ? 'The search for a learning rate is ending.' : null),
  );
  /** Why a learning rate cannot be searched for, in a few words; null when it can. */
  readonly searchBlocked = $derived.by(() => {
    if (this.training) return 'after this run';
    if (this.dead || this.deviceError) return 'needs a running engine';
    if (!this.model || this.modelLoading) return 'needs a model';
    if (!this.report || this.dataBusy) return 'needs data';
    return this.missing === null ? null : 'see beside Train';
  });
  /** There are tuned weights to talk to. */
  readonly tuned = $derived(this.run !== null && this.run.step > 0 && !this.run.lost && this.model !== null);

  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
    this.tiles = new Tiles(client.session);
    client.onDead((error) => {
      this.dead = error;
      this.modelLoading = null;
      this.dataBusy = false;
      if (this.run?.active) this.run.fail(error);
    });
  }

  get session(): Client['session'] {
    return this.client.session;
  }

  /** Everything that happens without a click: engine, catalogue, samples, first model. */
  async open(): Promise<void> {
    const catalog = fetchJson<CatalogEntry[]>('models/catalog.json', 'The list of models')
      .then((entries) => {
        this.catalog = entries;
      })
      .catch((thrown: unknown) => {
        this.catalogError = errorDetails(thrown);
      });
    const samples = fetchJson<SampleData[]>('datasets/index.json', 'The list of sample data')
      .then((entries) => {
        this.samples = entries;
      })
      .catch((thrown: unknown) => {
        this.samplesError = errorDetails(thrown);
      });
    await this.startEngine();
    await catalog;
    const first = this.catalog[0];
    if (this.device && first && !this.modelSource) await this.loadFromCatalog(first);
    await samples;
  }

  private async startEngine(): Promise<void> {
    const wanted = new URLSearchParams(location.search).get('backend');
    const backend = (['webgpu', 'wasm', 'cpu'] as const).find((name): name is BackendName => name === wanted);
    this.deviceError = null;
    try {
      this.device = await this.session.start({ backend, wasmPath: fromPage('wasm/') });
      // Not waited for: the model is on its way meanwhile.
      if (this.device.backend === 'webgpu') void this.tiles.settle();
    } catch (thrown) {
      this.deviceError = errorDetails(thrown);
    }
  }

  /** After the worker died: a new one, with the same model, file and settings. Tuned weights are gone with the old one. */
  async restart(): Promise<void> {
    this.restarting = true;
    try {
      await this.client.restart();
      this.dead = null;
      this.device = null;
      this.model = null;
      this.report = null;
      const { run, earlier } = this;
      await this.startEngine();
      const first = this.catalog[0];
      if (this.device && this.modelSource) await this.loadModel(this.modelSource);
      else if (this.device && first) await this.loadFromCatalog(first);
      // Another model would make a ghost of the run; this is the same one, so its curves may stay. Its weights cannot.
      if (run && run.step > 0) {
        run.lost = true;
        this.run = run;
        this.earlier = earlier;
      }
    } catch (thrown) {
      this.dead = errorDetails(thrown);
    } finally {
      this.restarting = false;
    }
  }

  // ───────────────────────────── model ─────────────────────────────

  async loadFromCatalog(entry: CatalogEntry): Promise<void> {
    const url = new URL(`${entry.path}/`, fromPage('models/')).href;
    await this.loadModel({ kind: 'folder', id: entry.id, url });
  }

  /** A Hugging Face folder of the visitor's own. */
  async loadFromFiles(list: readonly File[]): Promise<void> {
    const paths = list.map((file) => file.webkitRelativePath || file.name);
    const folder = paths[0]?.includes('/') ? (paths[0].split('/')[0] as string) : null;
    const files = list.map((file, i) => {
      const path = paths[i] as string;
      return { path: folder && path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : path, file };
    });
    if (files.length > 0) await this.loadModel({ kind: 'files', id: folder ?? 'your-model', files });
  }

  async loadModel(source: ModelSource): Promise<void> {
    if (this.training) return;
    this.modelError = null;
    this.modelLoading = { id: source.id, from: source.kind, progress: null };
    try {
      const info = await this.session.loadModel(source, (progress) => {
        if (this.modelLoading?.id === source.id) this.modelLoading = { ...this.modelLoading, progress };
      });
      this.retireRun();
      this.settings = forModel(this.settings, this.sizedFor, info.parameters);
      this.sizedFor = info.parameters;
      this.model = info;
      this.modelSource = source;
      this.modelLoading = null;
      // Rows are tokenised by the model's own tokenizer, so the same file is read again.
      if (this.dataSource) await this.readData(this.dataSource, this.consented);
    } catch (thrown) {
      const error = errorDetails(thrown);
      // Who stopped it needs no message; what has arrived is listed among the kept models.
      if (error.code !== 'load_cancelled') this.modelError = error;
    } finally {
      if (this.modelLoading?.id === source.id) this.modelLoading = null;
    }
  }

  /** Downloads a model, or goes on with it, or reads the copy that is here. True when it is loaded now. */
  async loadFromHub(source: HubSource): Promise<boolean> {
    // Asked for here because workers cannot: kept models are then the last thing that the browser clears.
    void navigator.storage?.persist?.();
    await this.loadModel(source);
    return this.modelSource === source;
  }

  async cancelLoad(): Promise<void> {
    try {
      await this.session.cancelLoad();
    } catch (thrown) {
      this.modelError = errorDetails(thrown);
    }
  }

  // ───────────────────────────── data ─────────────────────────────

  async loadSample(sample: SampleData): Promise<void> {
    this.dataError = null;
    try {
      const response = await fetch(fromPage(`datasets/${sample.file}`));
      if (!response.ok) {
        throw new PlaygroundError({
          code: 'page_file_missing',
          message: `The sample “${sample.name}” is missing from this site (${response.status}).`,
          fix: 'Choose another sample, or a file of your own.',
          where: sample.file,
        });
      }
      const name = sample.file.split('/').at(-1) ?? sample.file;
      const source: DataSource = { kind: 'file', name, file: await response.blob() };
      this.picked = { sample, source };
      await this.readData(source);
    } catch (thrown) {
      this.dataError = errorDetails(thrown);
    }
  }

  /** How long the sample that is loaded was trained when it was measured; null when that is what is set, or nobody measured it. */
  get measuredEpochs(): { sample: string; epochs: number } | null {
    if (!this.picked || this.picked.source !== this.dataSource) return null;
    const { sample } = this.picked;
    const epochs = sample.settings[this.settings.method]?.num_train_epochs;
    return epochs === undefined || epochs === this.settings.num_train_epochs
      ? null
      : { sample: sample.name, epochs };
  }

  /** Reads a file or pasted text; waits in line when the model is not there yet. */
  async readData(source: DataSource, consent = false): Promise<void> {
    if (this.training) return;
    const turn = ++this.reading;
    this.dataSource = source;
    this.consented = consent;
    this.dataError = null;
    if (!this.model) {
      this.report = null;
      return;
    }
    this.dataBusy = true;
    try {
      let report = await this.session.readData(source, this.settings);
      if (consent && report.needsConsent) report = await this.session.leaveOutBadRows();
      if (turn === this.reading) await this.accept(report);
    } catch (thrown) {
      if (turn !== this.reading) return;
      this.report = null;
      this.suggestions = [];
      this.dataError = errorDetails(thrown);
    } finally {
      if (turn === this.reading) this.dataBusy = false;
    }
  }

  async leaveOutBadRows(): Promise<void> {
    try {
      const report = await this.session.leaveOutBadRows();
      this.consented = true;
      await this.accept(report);
    } catch (thrown) {
      this.dataError = errorDetails(thrown);
    }
  }

  /** The text of the present data, for mending in place; null when it is too large for a text area. */
  async dataText(limitBytes = 1_000_000): Promise<string | null> {
    const source = this.dataSource;
    if (!source) return '';
    const size = source.kind === 'text' ? source.text.length : source.file.size;
    return size > limitBytes ? null : this.session.readText(source);
  }

  forgetData(): void {
    this.reading++;
    this.dataSource = null;
    this.report = null;
    this.dataError = null;
    this.dataBusy = false;
    this.suggestions = [];
  }

  previewRows(split: 'train' | 'validation', offset: number, count: number): Promise<RowPreview[]> {
    return this.session.previewRows({ split, offset, count });
  }

  private async accept(report: DatasetReport): Promise<void> {
    this.report = report;
    this.estimateSoon();
    if (report.needsConsent || report.validationRows === 0) {
      this.suggestions = [];
      return;
    }
    const rows = await this.session.previewRows({ split: 'validation', offset: 0, count: 12 });
    const seen = new Set<string>();
    this.suggestions = rows.flatMap(({ line, messages }) => {
      const answer = messages.findIndex((m) => m.role === 'assistant');
      const before = answer < 0 ? messages : messages.slice(0, answer);
      const prompt = before.findLast((m) => m.role === 'user')?.content ?? '';
      if (prompt.trim() === '' || seen.has(prompt)) return [];
      seen.add(prompt);
      const system = before.find((m) => m.role === 'system')?.content ?? '';
      return [{ line, system, prompt, expected: messages[answer]?.content ?? '' }];
    });
  }

  // ───────────────────────────── settings ─────────────────────────────

  set<K extends HyperparameterName>(name: K, value: Hyperparameters[K]): void {
    if (Object.is(this.settings[name], value)) return;
    this.settings = withChange(this.settings, name, value, this.sizedFor);
    if (DATA_SETTINGS.includes(name) && this.report) {
      clearTimeout(this.encodeTimer);
      this.encodeTimer = setTimeout(() => void this.encode(), SETTLE_MS);
    }
    this.estimateSoon();
  }

  /** The value that "reset" goes back to; the learning rate's depends on the method and the model's size. */
  defaultOf<K extends HyperparameterName>(name: K): Hyperparameters[K] {
    if (name === 'learning_rate') {
      return defaultLearningRate(this.settings.method, this.sizedFor) as Hyperparameters[K];
    }
    return defaultHyperparameters()[name];
  }

  private async encode(): Promise<void> {
    clearTimeout(this.encodeTimer);
    this.encodeTimer = undefined;
    if (!this.report || this.training || this.problems.some((p) => p.severity === 'error')) return;
    const turn = ++this.reading;
    this.dataBusy = true;
    try {
      const report = await this.session.encodeData(this.settings);
      if (turn === this.reading) await this.accept(report);
    } catch (thrown) {
      if (turn === this.reading) this.dataError = errorDetails(thrown);
    } finally {
      if (turn === this.reading) this.dataBusy = false;
    }
  }

  private estimateSoon(): void {
    clearTimeout(this.memoryTimer);
    this.memoryTimer = setTimeout(() => void this.estimate(), SETTLE_MS);
  }

  private async estimate(): Promise<void> {
    if (!this.model || this.dead || this.problems.some((p) => p.severity === 'error')) return;
    const asked = this.settings;
    try {
      const memory = await this.session.estimateMemory(asked);
      if (asked === this.settings) this.memory = memory;
      this.memoryError = null;
    } catch (thrown) {
      this.memory = null;
      this.memoryError = errorDetails(thrown);
    }
  }

  // ───────────────────────────── runs ─────────────────────────────

  async train(): Promise<void> {
    if (this.blocked || this.training) return;
    if (this.encodeTimer !== undefined) {
      await this.encode();
      if (this.blocked) return;
    }
    const before = { run: this.run, earlier: this.earlier, tunedWeights: this.tunedWeights };
    this.retireRun();
    const run = new Run(this.runCount + 1, this.modelName);
    this.run = run;
    this.tunedWeights = 'last';
    this.runError = null;
    try {
      const summary = await this.session.train(
        this.settings,
        (event) => run.take(event),
        (config) => {
          run.config = config;
        },
      );
      run.finish(summary);
    } catch (thrown) {
      run.fail(errorDetails(thrown));
    }
    if (run.error && run.points.length === 0 && !this.dead) {
      // Refused before anything was measured, for example for memory: there is no run to show. One that was refused even before it was
      // configured has left the tuned weights of the run before it untouched.
      if (run.config === null) Object.assign(this, before);
      else this.run = null;
      this.runError = run.error;
    } else this.runCount++;
  }

  /** Learning-rate range test with the form as it stands; the points are in `rateSearch`. */
  async findRate(): Promise<void> {
    await this.searchEnd;
    if (this.encodeTimer !== undefined) await this.encode();
    if (this.searchBlocked !== null || this.rateSearch?.active) return;
    this.rateSearch = new RateSearch(this.session);
    this.searchEnd = this.rateSearch.go(this.settings);
    await this.searchEnd;
  }

  async steer(action: 'pause' | 'resume' | 'singleStep' | 'stop'): Promise<void> {
    this.runError = null;
    try {
      if (action === 'singleStep' && !this.run?.paused) await this.session.pause();
      await this.session[action]();
    } catch (thrown) {
      this.runError = errorDetails(thrown);
    }
  }

  async useTunedWeights(which: TunedWeights): Promise<void> {
    this.runError = null;
    try {
      await this.session.useTunedWeights(which);
      this.tunedWeights = which;
    } catch (thrown) {
      this.runError = errorDetails(thrown);
    }
  }

  /** The tuned weights as a file; null when that failed (the reason is in `runError`). */
  async exportRun(): Promise<Blob | null> {
    this.runError = null;
    try {
      return await this.session.exportRun();
    } catch (thrown) {
      this.runError = errorDetails(thrown);
      return null;
    }
  }

  /** The present run becomes a ghost line; one without a single measured step is forgotten. */
  private retireRun(): void {
    if (this.run?.config && this.run.step > 0) this.earlier = [this.run, ...this.earlier].slice(0, GHOSTS);
    this.run = null;
  }
}
