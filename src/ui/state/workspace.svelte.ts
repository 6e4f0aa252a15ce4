// What the page knows and what a visitor can do: device, model, settings, runs. The page's one way to the worker.
// Not here: how anything looks (the panels), the rows (data.svelte.ts), the talk (talk.svelte.ts), what lasts over a reload (kept.svelte.ts), anything that computes (worker/, engine/).

import type { BackendName, DeviceReport, RunEstimate, TunedWeights } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import {
  defaultHyperparameters,
  defaultLearningRate,
  type Hyperparameters,
  ROW_SETTINGS,
} from '../../hyperparameters';
import type { CatalogEntry, HubSource, LoadProgress, ModelInfo, ModelSource } from '../../modelContract';
import { PRESETS } from '../../presets';
import type { Client } from '../../worker/client';
import { save } from '../parts/save';
import { type Demo, demoAddress, readDemo } from './address';
import { missingForRun } from './blocked';
import { Data } from './data.svelte';
import { EngineWatch } from './engineWatch.svelte';
import { Form } from './form.svelte';
import { Kept } from './kept.svelte';
import { fetchJson, fromPage } from './pageFiles';
import { RateSearch } from './rateSearch.svelte';
import { Run } from './run.svelte';
import type { SampleData } from './samples';
import { measuredSettings } from './samples';
import { Tiles } from './tiles.svelte';
import { Unsaved } from './unsaved.svelte';

/** Earlier runs kept as ghost lines. */
const GHOSTS = 8;
const SETTLE_MS = 350;

export class Workspace {
  // ── device ──
  device: DeviceReport | null = $state.raw(null);
  deviceError: ErrorDetails | null = $state.raw(null);
  readonly tiles: Tiles;
  readonly engine: EngineWatch;

  // ── model ──
  catalog: CatalogEntry[] = $state.raw([]);
  catalogError: ErrorDetails | null = $state.raw(null);
  model: ModelInfo | null = $state.raw(null);
  modelSource: ModelSource | null = $state.raw(null);
  modelLoading: { id: string; from: ModelSource['kind']; progress: LoadProgress | null } | null =
    $state.raw(null);
  modelError: ErrorDetails | null = $state.raw(null);

  readonly data: Data = new Data(this, () => this.estimateSoon());

  // ── settings ──
  readonly form = new Form((names) => {
    if (names.some((name) => (ROW_SETTINGS as readonly string[]).includes(name))) this.data.encodeSoon();
    this.estimateSoon();
  });
  memory: RunEstimate | null = $state.raw(null);
  memoryError: ErrorDetails | null = $state.raw(null);
  private memoryTimer: ReturnType<typeof setTimeout> | undefined;

  // ── runs ──
  run: Run | null = $state.raw(null);
  earlier: Run[] = $state.raw([]);
  tunedWeights: TunedWeights = $state('last');
  readonly unsaved = new Unsaved();
  runError: ErrorDetails | null = $state.raw(null);
  private runCount = 0;
  /** What in the address of the page could not be used. */
  addressProblems: string[] = $state.raw([]);
  rateSearch: RateSearch | null = $state.raw(null);
  /** Settles when the last search has let go of the engine. */
  private searchEnd: Promise<void> = Promise.resolve();

  readonly entry = $derived(this.catalog.find((e) => e.id === this.modelSource?.id) ?? null);
  readonly modelName = $derived(this.entry?.name ?? this.model?.id ?? '');
  readonly training = $derived(this.run?.active ?? false);
  /** What is missing for a run, as a sentence; null when nothing is. */
  private readonly missing = $derived.by(() => missingForRun(this));
  /** Why Train cannot be pressed, as a sentence; null when it can. */
  readonly blocked = $derived(
    this.missing ?? (this.rateSearch?.active ? 'The search for a learning rate is ending.' : null),
  );
  /** Why a learning rate cannot be searched for, in a few words; null when it can. */
  readonly searchBlocked = $derived.by(() => {
    if (this.training) return 'after this run';
    if (this.dead || this.deviceError) return 'needs a running engine';
    if (!this.model || this.modelLoading) return 'needs a model';
    if (!this.data.report || this.data.busy) return 'needs data';
    return this.missing === null ? null : 'see beside Train';
  });
  /** There are tuned weights to talk to. */
  readonly tuned = $derived(this.run !== null && this.run.step > 0 && !this.run.lost && this.model !== null);
  /** Closing the page would lose something that took time. */
  readonly wouldLose = $derived(this.training || (this.run?.unsaved ?? false));
  readonly kept: Kept;

  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
    this.tiles = new Tiles(client.session);
    this.engine = new EngineWatch(client, (error) => {
      this.modelLoading = null;
      this.data.busy = false;
      if (this.run?.active) this.run.fail(error);
      this.run?.lose('engine');
    });
    this.kept = new Kept(this);
  }

  get dead(): ErrorDetails | null {
    return this.engine.dead;
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
        this.data.samples = entries;
      })
      .catch((thrown: unknown) => {
        this.data.samplesError = errorDetails(thrown);
      });
    const engine = this.startEngine();
    await this.kept.open();
    await samples;
    const demo = readDemo(location.search);
    if (demo?.sample === null || demo === null) await this.kept.restoreData();
    await Promise.all([engine, catalog]);
    const wanted = demo?.model ? this.catalog.find((entry) => entry.id === demo.model) : undefined;
    const first = wanted ?? this.catalog[0];
    const chosen = () => this.modelSource !== null || this.modelLoading !== null;
    const restored = async () => wanted === undefined && (await this.kept.restoreModel());
    if (this.device && !chosen() && !(await restored()) && first && !chosen()) {
      await this.loadFromCatalog(first);
    }
    if (demo) await this.openDemo(demo);
    this.kept.begin();
  }

  /** What the address of the page asks for, once model and lists are there. What it cannot give is said. */
  private async openDemo({ sample, model, preset, settings, problems }: Demo): Promise<void> {
    const found = this.data.samples.find(({ id }) => id === sample);
    if (sample !== null && !found) problems.push(`There is no sample “${sample.slice(0, 40)}” here.`);
    if (model !== null && !this.catalog.some(({ id }) => id === model))
      problems.push(`There is no model “${model.slice(0, 40)}” here.`);
    if (found) await this.data.loadSample(found);
    const changes = PRESETS.find(({ id }) => id === preset)?.settings(this.form.sizedFor);
    const wanted = { ...this.settings, ...changes, ...settings };
    if (changes || Object.keys(settings).length > 0)
      this.form.replace(wanted, 'Settings taken from the address of this page.');
    this.addressProblems = problems;
  }

  /** The address of this state, for a class: sample, model and settings, never rows or models of one's own. */
  get shareAddress(): string {
    const fresh = {
      ...defaultHyperparameters(),
      learning_rate: defaultLearningRate('lora', this.form.sizedFor),
    };
    const standard = (this.data.sample && measuredSettings(this.data.sample, fresh, this.model)) ?? fresh;
    const demo = { sample: this.data.sample?.id ?? null, model: this.entry?.id ?? null };
    return new URL(demoAddress(this.settings, standard, demo) || '.', location.href).href;
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

  /**
   * After the worker died or fell silent: a new one, with the same model, rows and settings. Tuned weights are gone with the old one. Rows
   * or a model that it was still reading are not handed over again: they may be what stopped it.
   */
  async restart(): Promise<void> {
    const { engine, modelLoading } = this;
    const { interrupted } = engine;
    engine.restarting = true;
    try {
      await this.client.restart();
      engine.revived();
      this.run?.lose('engine');
      this.device = null;
      this.model = null;
      this.modelLoading = null;
      const sayUnread = this.data.engineLost(interrupted);
      await this.startEngine();
      const first = this.catalog[0];
      if (this.device && this.modelSource) await this.loadModel(this.modelSource);
      else if (this.device && first && modelLoading?.id !== first.id) await this.loadFromCatalog(first);
      sayUnread();
    } catch (thrown) {
      engine.dead = errorDetails(thrown);
    } finally {
      engine.restarting = false;
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
    if (this.training || !(await this.unsaved.mayDrop(this.run, 'model'))) return;
    this.modelError = null;
    this.modelLoading = { id: source.id, from: source.kind, progress: null };
    try {
      const info = await this.session.loadModel(source, (progress) => {
        if (this.modelLoading?.id === source.id) this.modelLoading = { ...this.modelLoading, progress };
      });
      // Its curves stay to be seen; its weights belonged to the model before.
      this.run?.lose('model');
      this.form.fitTo(info.parameters);
      this.model = info;
      this.modelSource = source;
      this.modelLoading = null;
      await this.data.readAgain();
    } catch (thrown) {
      const error = errorDetails(thrown);
      // Who cancelled it needs no message; what has arrived from a hub is listed among the kept models.
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

  // ───────────────────────────── settings ─────────────────────────────

  get settings(): Hyperparameters {
    return this.form.settings;
  }

  private estimateSoon(): void {
    clearTimeout(this.memoryTimer);
    this.memoryTimer = setTimeout(() => void this.estimate(), SETTLE_MS);
  }

  private async estimate(): Promise<void> {
    if (!this.model || this.dead || this.form.wrong) return;
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
    if (this.blocked || this.training || !(await this.unsaved.mayDrop(this.run, 'train'))) return;
    if (this.blocked || this.training) return;
    await this.data.encodeIfDue();
    if (this.blocked) return;
    const before = { run: this.run, earlier: this.earlier, tunedWeights: this.tunedWeights };
    this.retireRun();
    const run = new Run(this.runCount + 1, this.modelName);
    this.run = run;
    this.runError = null;
    this.form.change = null;
    try {
      const summary = await this.session.train(
        this.settings,
        (event) => run.take(event),
        (config) => {
          run.config = config;
        },
      );
      if (summary.step > 0) this.tunedWeights = await this.session.tunedWeights();
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
    await this.data.encodeIfDue();
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

  /** Hands the tuned weights to the browser as a file. @returns false when that failed (the reason is in `runError`) */
  async downloadWeights(): Promise<boolean> {
    this.runError = null;
    const { run } = this;
    if (!run) return false;
    try {
      const blob = await this.session.exportRun();
      save(blob, `${run.modelName}-run-${run.number}-${run.weights(this.tunedWeights).which}.zip`);
      run.saved = true;
      return true;
    } catch (thrown) {
      this.runError = errorDetails(thrown);
      return false;
    }
  }

  /** Curves of earlier visits; their weights are gone. The newest is shown, the others are ghost lines. */
  restoreRuns(newestFirst: readonly Run[]): void {
    const [run = null, ...earlier] = newestFirst;
    this.run = run;
    this.earlier = earlier.slice(0, GHOSTS);
    this.runCount = Math.max(0, ...newestFirst.map((r) => r.number));
  }

  /** Why the shown run cannot be made once more as it was, as a sentence; null when it can. */
  get cannotRepeat(): string | null {
    const config = this.run?.config;
    if (!config || this.training) return 'There is no run to make again.';
    if (this.dead || !this.model || this.modelLoading || this.data.busy) return this.missing;
    if (this.model.id !== config.modelId || this.model.commit !== config.modelCommit) {
      const version = config.modelCommit ? `, version ${config.modelCommit.slice(0, 7)}` : '';
      return `It was made with ${this.run?.modelName}${version}. Load that model first.`;
    }
    if (this.data.report?.hash !== config.datasetHash)
      return `It was made with ${config.datasetName}. Choose these rows first.`;
    return this.data.report.needsConsent ? this.missing : null;
  }

  /** The shown run once more, with its own settings but for those given. */
  async repeatRun(changes: Partial<Hyperparameters> = {}): Promise<void> {
    const config = this.run?.config;
    if (!config || this.cannotRepeat) return;
    this.form.replace({ ...config.hyperparameters, ...changes }, null);
    await this.data.encode();
    await this.train();
  }

  /** The present run becomes a ghost line; one without a single measured step is forgotten. */
  private retireRun(): void {
    if (this.run?.config && this.run.step > 0) this.earlier = [this.run, ...this.earlier].slice(0, GHOSTS);
    this.run = null;
  }
}
