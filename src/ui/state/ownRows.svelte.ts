// A sample put in the place of what was loaded, with settings: for the first screen and for lessons. Rows of one's own are remembered and come back.
// Not here: reading rows (data.svelte.ts), asking the visitor (ui/learn/).

import { type ErrorDetails, PlaygroundError } from '../../errors';
import { defaultHyperparameters, type Hyperparameters } from '../../hyperparameters';
import type { ModelInfo } from '../../modelContract';
import type { Data } from './data.svelte';
import type { Form } from './form.svelte';
import type { LastingData } from './keptSources';
import { measuredSettings } from './samples';

const NO_SAMPLE: ErrorDetails = {
  code: 'page_file_missing',
  message: 'The sample that is needed here is missing from this site.',
  fix: 'Choose another sample under Data, and press Train.',
};

/** The part of the workspace that it needs. */
interface Page {
  readonly opened: boolean;
  readonly model: ModelInfo | null;
  readonly modelLoading: object | null;
  readonly training: boolean;
  readonly data: Data;
  readonly form: Form;
}

export class OwnRows {
  /** Those that a sample has taken the place of. */
  away: LastingData | null = $state.raw(null);
  private readonly workspace: Page;

  constructor(workspace: Page) {
    this.workspace = workspace;
  }

  /** Rows of the visitor's own that are loaded, by their name; null without any. */
  get loaded(): string | null {
    const { source, sample } = this.workspace.data;
    return source !== null && sample === null ? source.name : null;
  }

  /** The page is open, with a model and nothing on its way. */
  get ready(): boolean {
    const { opened, model, modelLoading, data } = this.workspace;
    return opened && model !== null && modelLoading === null && !data.busy;
  }

  /**
   * Loads a sample and sets the form: what the sample was measured with, changed by `settings`.
   * @param sentence says in the form where its values come from
   * @throws PlaygroundError where the sample is missing or cannot be read
   */
  async replaceBy(id: string, settings: Partial<Hyperparameters>, sentence: string): Promise<void> {
    const { workspace } = this;
    const { data, form } = workspace;
    const sample = data.samples.find((one) => one.id === id);
    if (!sample) throw new PlaygroundError(data.samplesError ?? NO_SAMPLE);
    if (this.loaded !== null) this.away = data.lasting;
    if (data.sample?.id !== id) await data.loadSample(sample);
    if (data.error) throw new PlaygroundError(data.error);
    const fresh = { ...defaultHyperparameters(), method: settings.method ?? defaultHyperparameters().method };
    const measured = measuredSettings(sample, fresh, workspace.model) ?? fresh;
    form.replace({ ...measured, ...settings }, sentence);
    await data.encode();
  }

  async putBack(): Promise<void> {
    const { away, workspace } = this;
    if (away === null || workspace.training) return;
    workspace.data.beside = away.beside;
    await workspace.data.read(away.source, away.consented);
    this.away = null;
  }
}
