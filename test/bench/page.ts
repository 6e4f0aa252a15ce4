// The benchmark in a page: offers its two questions to whoever drives the browser.
// Not here: driving it (chromium.mjs).

import { adapterName } from './instruments';
import { runJob } from './program';

Object.assign(globalThis, { runJob, adapterName });
