// `npm test`: looks at the Node version, then hands over to stages.mjs.
// Not here: anything that an old Node cannot parse.

import { checkNode } from '../../src/launch/nodeVersion.mjs';

if (checkNode()) import('./stages.mjs');
