// The places of the page in their order: where each stands, its name in the bar, and its component. A new place is an entry here.
// Not here: the bar (Places.svelte), what the components show. All places are on the page and share one state; an address only leads to one.

import type { Component } from 'svelte';
import DataPanel from './data/DataPanel.svelte';
import ModelPanel from './model/ModelPanel.svelte';
import { type Later, later } from './parts/later.svelte';
import ConfigurePanel from './settings/ConfigurePanel.svelte';
import type { Talk } from './state/talk.svelte';
import type { Workspace } from './state/workspace.svelte';
import TrainPanel from './train/TrainPanel.svelte';

export interface Place {
  /** The part of the address behind `#`; behind a slash, a place may take more of it, as `#learn/overfitting`. */
  id: string;
  /** In the bar of places. */
  label: string;
  /** `top`: above all others. `steps`: the column of settings. `watch`: the chart. `beside`: below it, or on a very wide screen at its side. `page`: below both. */
  column: 'top' | 'steps' | 'watch' | 'beside' | 'page';
  /** Of the first view, or loaded after it. */
  component: Component<PlaceProps> | Later<PlaceProps>;
}

// A type and no interface: only a type has the index signature that the properties of any component have.
type PlaceProps = { workspace: Workspace; talk: Talk };

/** Svelte gives a component without props a type that refuses any; at run time it passes over them. */
const propless = (module: { default: Component<Record<string, never>> }) =>
  module as unknown as { default: Component<PlaceProps> };

export const PLACES: readonly Place[] = [
  { id: 'learn', label: 'Learn', column: 'top', component: later(() => import('./learn/LearnPanel.svelte')) },
  { id: 'model', label: 'Model', column: 'steps', component: ModelPanel },
  { id: 'data', label: 'Data', column: 'steps', component: DataPanel },
  { id: 'settings', label: 'Settings', column: 'steps', component: ConfigurePanel },
  { id: 'train', label: 'Train', column: 'watch', component: TrainPanel },
  {
    id: 'sweep',
    label: 'Sweep',
    column: 'beside',
    component: later(() => import('./sweep/SweepPanel.svelte')),
  },
  {
    id: 'answers',
    label: 'Answers',
    column: 'beside',
    component: later(() => import('./compare/ComparePanel.svelte')),
  },
  {
    id: 'evaluate',
    label: 'Evaluate',
    column: 'beside',
    component: later(() => import('./evaluate/EvaluatePanel.svelte')),
  },
  { id: 'runs', label: 'Runs', column: 'beside', component: later(() => import('./train/RunsPanel.svelte')) },
  {
    id: 'decide',
    label: 'Should I fine-tune?',
    column: 'page',
    component: later(() => import('./decide/DecidePanel.svelte')),
  },
  {
    id: 'guide',
    label: 'Words',
    column: 'page',
    component: later(() => import('./Guide.svelte').then(propless)),
  },
];
