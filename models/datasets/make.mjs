// Writes every sample data set of the page into public/datasets: `node models/datasets/make.mjs`.
// Not here: the text of the sets, one module each beside this file; nothing of this folder is sent to the browser.

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { toJsonl } from './seeded.mjs';
import { sentenceToJson } from './sentence-to-json.mjs';
import { sentimentLabel } from './sentiment-label.mjs';
import { twelveRows } from './twelve-rows.mjs';

const folder = fileURLToPath(new URL('../../public/datasets/', import.meta.url));

const SETS = { 'sentence-to-json': sentenceToJson, 'sentiment-label': sentimentLabel, 'twelve-rows': twelveRows };

mkdirSync(folder, { recursive: true });
for (const [id, make] of Object.entries(SETS)) {
  const rows = make();
  writeFileSync(`${folder}${id}.jsonl`, toJsonl(rows));
  console.log(`${id}.jsonl: ${rows.length} rows`);
}
