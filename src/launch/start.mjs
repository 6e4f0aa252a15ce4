// `npm start`: checks the Node version, then loads serve.mjs.
// Not here: anything that an old Node cannot parse.

import { checkNode } from './nodeVersion.mjs';

if (checkNode()) import('./serve.mjs');
