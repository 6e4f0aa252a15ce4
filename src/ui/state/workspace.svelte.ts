// What the page knows and what a visitor can do: device, model, settings, runs. The page's one way to the worker.
// Not here: how anything looks (the panels), the rows (data.svelte.ts), the talk (talk.svelte.ts), what lasts over a reload (kept.svelte.ts), anything that computes (worker/, engine/).

import type { BackendName, DeviceReport, RunEstimate } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import {
  DATA_SETTINGS,
  defaultHyperparameters,
  defaultLearningRate,
  type Hyperparameters,
} from '../../hyperparameters';
import type { CatalogEntry, HubSource, LoadProgress, ModelInfo, ModelSource } from '../../modelContract';
import { PRESETS } from '../../presets';
import type { Client } from '../../worker/client';
import { type Demo, demoAddress, readDemo } from './address';
import { missingForRun } from './blocked';
import { Data } from './data.svelte';
import { EngineWatch } from './engineWatch.svelte';
import { Form } from './form.svelte';
import { Kept } from './kept.svelte';
import { OwnRows } from './ownRows.svelte';
import { fetchJson, fromPage } from './pageFiles';
import { Pins } from './pins.svelte';
import { RateSearch } from './rateSearch.svelte';
import { Runs } from './runs.svelte';
import type { SampleData } from './samples';
import { measuredSettings } from './samples';
import { ShownStep } from './shownStep.svelte';
import { Sweeps } from './sweeps.svelte';
import { Tiles } from './tiles.svelte';

const SETTLE_MS = 350;

export class Workspace {
  // ── device ──
  device: DeviceReport | null = $state.raw(null);
  deviceError: ErrorDetails | null = $state.raw(null);
  readonly tiles: Tiles;
  readonly engine: EngineWatch;

  /** Everything that happens without a click has happened. */
  opened = $state(false);
  /** The next run is watched elsewhere on the page, which does not scroll to the large chart then. */
  watchedElsewhere = false;

  // ── model ──
  catalog: CatalogEntry[] = $state.raw([]);
  catalogError: ErrorDetails | null = $state.raw(null);
  model: ModelInfo | null = $state.raw(null);
  modelSource: ModelSource | null = $state.raw(null);
  modelLoading: { id: string; from: ModelSource['kind']; progress: LoadProgress | null } | null =
    $state.raw(null);
  modelError: ErrorDetails | null = $state.raw(null);

  readonly data: Data = new Data(this, () => this.estimateSoon());
  readonly ownRows: OwnRows = new OwnRows(this);

  // ── settings ──
  readonly form = new Form((names) => {
    if (names.some((name) => (DATA_SETTINGS as readonly string[]).includes(name))) this.data.encodeSoon();
    this.estimateSoon();
  });
  memory: RunEstimate | null = $state.raw(null);
  memoryError: ErrorDetails | null = $state.raw(null);
  private memoryTimer: ReturnType<typeof setTimeout> | undefined;

  // ── runs ──
  readonly runs: Runs;
  readonly shownStep: ShownStep;
  readonly pins: Pins;
  /** What in the address of the page could not be used. */
  addressProblems: string[] = $state.raw([]);
  readonly sweeps: Sweeps = new Sweeps(this);
  rateSearch: RateSearch | null = $state.raw(null);
  /** Settles when the last search has let go of the engine. */
  private searchEnd: Promise<void> = Promise.resolve();

  readonly entry = $derived(this.catalog.find((e) => e.id === this.modelSource?.id) ?? null);
  readonly modelName = $derived(this.entry?.name ?? this.model?.id ?? '');
  /** What is missing for a run, as a sentence; null when nothing is. */
  readonly missing = $derived.by(() => missingForRun(this));
  /** Why Train cannot be pressed, as a sentence; null when it can. */
  readonly blocked = $derived.by(() => {
    if (this.missing !== null) return this.missing;
    if (this.sweeps.active) return 'A sweep is going on.';
    if (this.rateSearch?.active) return 'The search for a learning rate is ending.';
    return this.runs.busy ? 'The weights of a run are being read.' : null;
  });
  /** Why a learning rate cannot be searched for; null when it can. */
  readonly searchBlocked = $derived.by(() => {
    if (this.training) return 'after this run';
    if (this.dead || this.deviceError) return 'needs a running engine';
    if (!this.model || this.modelLoading) return 'needs a model';
    if (!this.data.report || this.data.busy) return 'needs data';
    return this.missing;
  });
  readonly kept: Kept;

  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
    this.tiles = new Tiles(client.session);
    this.engine = new EngineWatch(client, (error) => {
      this.modelLoading = null;
      this.data.busy = false;
      this.runs.letGo('engine', error);
    });
    this.shownStep = new ShownStep(this);
    this.pins = new Pins(this);
    this.runs = new Runs(this);
    this.kept = new Kept(this);
  }

  get training(): boolean {
    return this.runs.active !== null || this.sweeps.active;
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
    await this.runs.connect();
    this.pins.restore();
    const wanted = demo?.model ? this.catalog.find((entry) => entry.id === demo.model) : undefined;
    const first = wanted ?? this.catalog[0];
    const chosen = () => this.modelSource !== null || this.modelLoading !== null;
    const restored = async () => wanted === undefined && (await this.kept.restoreModel());
    if (this.device && !chosen() && !(await restored()) && first && !chosen()) {
      await this.loadFromCatalog(first);
    }
    if (demo) await this.openDemo(demo);
    this.kept.begin();
    this.opened = true;
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
    const defaults = (this.data.sample && measuredSettings(this.data.sample, fresh, this.model)) ?? fresh;
    const demo = { sample: this.data.sample?.id ?? null, model: this.entry?.id ?? null };
    return new URL(demoAddress(this.settings, defaults, demo) || '.', location.href).href;
  }

  private async startEngine(): Promise<void> {
    const wanted = new URLSearchParams(location.search).get('backend');
    const backend = (['webgpu', 'wasm', 'cpu'] as const).find((name): name is BackendName => name === wanted);
    this.deviceError = null;
    try {
      this.device = await this.session.start({ backend, wasmPath: fromPage('wasm/') });
      // Not waited for: the model is on its way meanwhile.
      if (this.device.backend === 'webgpu') void this.tiles.load();
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
      this.runs.letGo('engine');
      this.device = null;
      this.model = null;
      this.modelLoading = null;
      const sayUnread = this.data.engineLost(interrupted);
      await this.startEngine();
      await this.runs.connect();
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
    if (this.training || !(await this.runs.unsaved.mayDrop(this.runs.holder, 'model'))) return;
    this.modelError = null;
    this.modelLoading = { id: source.id, from: source.kind, progress: null };
    await this.runs.questions.stop();
    try {
      const info = await this.session.loadModel(source, (progress) => {
        if (this.modelLoading?.id === source.id) this.modelLoading = { ...this.modelLoading, progress };
      });
      // Its curves stay to be seen; its weights belonged to the model before.
      this.runs.letGo('model');
      this.form.fitTo(info.parameters);
      this.model = info;
      this.modelSource = source;
      this.modelLoading = null;
      await this.data.readAgain();
      await this.runs.useShown();
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

  /** Learning-rate range test with the form as it stands; the points are in `rateSearch`. */
  async findRate(): Promise<void> {
    await this.searchEnd;
    await this.data.encodeIfDue();
    if (this.searchBlocked !== null || this.rateSearch?.active) return;
    this.rateSearch = new RateSearch(this.session);
    this.searchEnd = this.rateSearch.go(this.settings);
    await this.searchEnd;
  }
}
