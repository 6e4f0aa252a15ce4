// `npm run cli`: checks the Node version, then loads bundle.mjs.
// Not here: anything that an old Node cannot parse.

import { checkNode } from '../launch/nodeVersion.mjs';

if (checkNode()) import('./bundle.mjs');
