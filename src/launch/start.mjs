// `npm start`: looks at the Node version, then hands over to serve.mjs.
// Not here: anything that an old Node cannot parse.

import { checkNode } from './nodeVersion.mjs';

if (checkNode()) import('./serve.mjs');
