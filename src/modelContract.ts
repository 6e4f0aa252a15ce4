// Where models come from and what is reported of a loaded one: the catalogue, the hub, folders, progress of loading.
// Not here: how a model computes (modelArchitecture.ts), the session's calls (contract.ts). Types only.

import type { Architecture } from './modelArchitecture';

/** A line of `models/catalog.json`. */
export interface CatalogEntry {
  id: string;
  name: string;
  /** Folder, relative to the catalogue. */
  path: string;
  family: string;
  parameters: number;
  sizeBytes: number;
  contextLength: number;
  licence: string;
  summary: string;
  can: string;
  cannot: string;
}

export type ModelSource =
  | { kind: 'folder'; id: string; url: string }
  | { kind: 'files'; id: string; files: { path: string; file: Blob }[] }
  /** `commit`: only this version will do; another one that is kept under the same name is replaced. */
  | { kind: 'hub'; id: string; revision?: string; endpoint?: string; commit?: string };

export type HubSource = Extract<ModelSource, { kind: 'hub' }>;

/** What a hub says about a model before anything of it is downloaded. */
export interface HubOffer {
  id: string;
  revision: string;
  endpoint: string;
  commit: string;
  /** Null where the hub does not say. */
  parameters: number | null;
  licence: string | null;
  /** Its makers ask for an account and their terms; without them most hubs refuse the files. */
  gated: boolean;
  /** Of the files that this page needs. */
  totalBytes: number;
  /** How much of that is here already. */
  cachedBytes: number;
  /** Room that the browser gives this page; null when it does not say. */
  freeBytes: number | null;
  /** False where files cannot be kept when the page is closed. */
  lasting: boolean;
}

/** A model from the hub that is kept on this device, whole or in part. */
export interface CachedModel {
  /** For deleting it. */
  key: string;
  id: string;
  revision: string;
  endpoint: string;
  commit: string;
  bytes: number;
  totalBytes: number;
  complete: boolean;
}

export interface ModelInfo {
  id: string;
  /** Of a model from the hub. */
  commit?: string;
  architecture: Architecture;
  parameters: number;
  sizeBytes: number;
  dtype: string;
  /** Whose chat template is used: the model's, or ChatML because it has none. */
  chatTemplate: 'own' | 'chatml';
  endOfTurn: string;
  notices: string[];
}

export interface LoadProgress {
  stage: 'download' | 'read' | 'upload';
  file: string;
  loadedBytes: number;
  totalBytes: number;
}
