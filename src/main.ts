// Mounts the page: one client of the worker, one workspace, one App.
// Not here: anything a person sees (ui/) or anything that computes (worker/).

import { mount } from 'svelte';
import App from './ui/App.svelte';
import './ui/app.css';
import { restoreTheme } from './ui/state/theme.svelte';
import { Workspace } from './ui/state/workspace.svelte';
import { restrictScripts } from './ui/trustedTypes';
import { createClient } from './worker/client';

restrictScripts();
restoreTheme();
const workspace = new Workspace(createClient());
mount(App, { target: document.getElementById('app') as HTMLElement, props: { workspace } });
void workspace.open();
