// The handbook of an invented craft, as one plain text for domain adaptation; its words are in salt-garden-handbook.txt beside this file.
// Not here: cutting it into rows, which the page does for each model (src/data/reading/plainText.ts).

import { readFileSync } from 'node:fs';

export const saltGardenHandbook = () =>
  readFileSync(new URL('./salt-garden-handbook.txt', import.meta.url), 'utf8');
