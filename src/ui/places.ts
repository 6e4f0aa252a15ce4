// The places of the page in their order: where each stands, its name in the bar, and its component. A new place is an entry here.
// Not here: the bar (Places.svelte), what the components show. All places are mounted at once and share one state; an address only leads to one.

import type { Component } from 'svelte';
import ComparePanel from './compare/ComparePanel.svelte';
import DataPanel from './data/DataPanel.svelte';
import DecidePanel from './decide/DecidePanel.svelte';
import EvaluatePanel from './evaluate/EvaluatePanel.svelte';
import GuidePlace from './Guide.svelte';
import ModelPanel from './model/ModelPanel.svelte';
import ConfigurePanel from './settings/ConfigurePanel.svelte';
import type { Talk } from './state/talk.svelte';
import type { Workspace } from './state/workspace.svelte';
import SweepPanel from './sweep/SweepPanel.svelte';
import RunsPanel from './train/RunsPanel.svelte';
import TrainPanel from './train/TrainPanel.svelte';

export interface Place {
  /** The part of the address behind `#`. */
  id: string;
  /** In the bar of places. */
  label: string;
  /** `steps`: the column of settings. `watch`: the chart. `beside`: below it, or on a very wide screen at its side. `page`: below both. */
  column: 'steps' | 'watch' | 'beside' | 'page';
  component: Component<{ workspace: Workspace; talk: Talk }>;
}

/** Svelte gives a component without props a type that refuses any; at run time it passes over them. */
const propless = (component: Component<Record<string, never>>) => component as Component<object>;

export const PLACES: readonly Place[] = [
  { id: 'model', label: 'Model', column: 'steps', component: ModelPanel },
  { id: 'data', label: 'Data', column: 'steps', component: DataPanel },
  { id: 'settings', label: 'Settings', column: 'steps', component: ConfigurePanel },
  { id: 'train', label: 'Train', column: 'watch', component: TrainPanel },
  { id: 'sweep', label: 'Sweep', column: 'beside', component: SweepPanel },
  { id: 'answers', label: 'Answers', column: 'beside', component: ComparePanel },
  { id: 'evaluate', label: 'Evaluate', column: 'beside', component: EvaluatePanel },
  { id: 'runs', label: 'Runs', column: 'beside', component: RunsPanel },
  { id: 'decide', label: 'Should I fine-tune?', column: 'page', component: DecidePanel },
  { id: 'guide', label: 'Words', column: 'page', component: propless(GuidePlace) },
];
