// What the page shows of a run, with its charts, and what a run may ask: loaded after the first view of the page.
// Not here: the parts themselves.

import { later } from '../parts/later.svelte';

export const pinnedTable = later(() => import('./PinnedTable.svelte'));
export const runView = later(() => import('./RunStage.svelte'));
export const runStrip = later(() => import('./RunStrip.svelte'));
export const unsavedDialog = later(() => import('./UnsavedDialog.svelte'));
