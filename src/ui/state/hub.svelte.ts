// Models from a hub, as the page sees them: the short list, one model looked up, what is kept on this device, the hub's address.
// Not here: how it looks (ui/model/HubPicker.svelte), the download itself (worker/hub.ts).

import { type ErrorDetails, errorDetails } from '../../errors';
import type { CachedModel, HubOffer, HubSource } from '../../modelContract';
import { fetchJson } from './pageFiles';
import type { Workspace } from './workspace.svelte';

/** A line of `hub-models.json`. */
export interface ListedModel {
  id: string;
  parameters: number;
  /** Null where only the hub knows. */
  sizeBytes: number | null;
  contextLength: number;
  licence: string;
  /** It has learned to chat already. */
  chat: boolean;
  gated: boolean;
  summary: string;
}

const KEY = 'hub-address';

export class HubShelf {
  listed: ListedModel[] = $state.raw([]);
  cached: CachedModel[] = $state.raw([]);
  offer: HubOffer | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  /** The model that the hub is being asked about. */
  asking: string | null = $state(null);
  open = $state(false);
  id = $state('');
  address = $state('');
  /** What hub-models.json names: a school may put its mirror there. */
  usualAddress = $state('https://huggingface.co');
  /** A kept copy that the offered version would replace. */
  readonly outdated = $derived(
    this.cached.find(
      (m) =>
        m.id === this.offer?.id &&
        m.revision === this.offer.revision &&
        m.endpoint === this.offer.endpoint &&
        m.commit !== this.offer.commit,
    ) ?? null,
  );
  private turn = 0;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    try {
      this.address = localStorage.getItem(KEY) ?? '';
    } catch {
      this.address = ''; // storage is forbidden: nothing was ever kept
    }
  }

  get endpoint(): string {
    return this.address.trim() || this.usualAddress;
  }

  /** The short list lies beside the page; no hub is asked. */
  async readList(): Promise<void> {
    if (this.listed.length > 0) return;
    try {
      const list = await fetchJson<{ endpoint: string; models: ListedModel[] }>(
        'hub-models.json',
        'The list of models on the hub',
      );
      this.listed = list.models;
      this.usualAddress = list.endpoint;
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  async readCache(): Promise<void> {
    try {
      this.cached = await this.workspace.session.cachedModels();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
  }

  setAddress(text: string): void {
    this.address = text.trim();
    this.forget();
    try {
      if (this.address) localStorage.setItem(KEY, this.address);
      else localStorage.removeItem(KEY);
    } catch {
      // Storage can be forbidden; the address then lasts as long as the page.
    }
  }

  /** Asks the hub what it has under this name. */
  async lookUp(id: string): Promise<void> {
    const turn = ++this.turn;
    this.id = id;
    this.offer = null;
    this.error = null;
    this.asking = id;
    try {
      const offer = await this.workspace.session.inspectHub({ kind: 'hub', id, endpoint: this.endpoint });
      if (turn === this.turn) this.offer = offer;
    } catch (thrown) {
      if (turn === this.turn) this.error = errorDetails(thrown);
    } finally {
      if (turn === this.turn) this.asking = null;
    }
  }

  async stopAsking(): Promise<void> {
    this.forget();
    await this.workspace.cancelLoad();
  }

  forget(): void {
    this.turn++;
    this.offer = null;
    this.error = null;
    this.asking = null;
  }

  async remove(model: CachedModel): Promise<void> {
    this.error = null;
    try {
      await this.workspace.session.deleteCachedModel(model.key);
    } catch (thrown) {
      this.error = errorDetails(thrown);
    }
    this.forgetOffer(model.id);
    await this.readCache();
  }

  private forgetOffer(id: string): void {
    // Its count of bytes that are here already is no longer true.
    if (this.offer?.id === id) this.offer = null;
  }
}

/** How a kept or offered model is asked for again. */
export function sourceOf(model: HubOffer | CachedModel): HubSource {
  const { id, revision, endpoint, commit } = model;
  return { kind: 'hub', id, revision, endpoint, commit };
}
