// `npm run cli`: looks at the Node version, then hands over to bundle.mjs.
// Not here: anything that an old Node cannot parse.

import { checkNode } from '../launch/nodeVersion.mjs';

if (checkNode()) import('./bundle.mjs');
