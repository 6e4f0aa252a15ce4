// Writes every sample data set of the page, and their list, into public/datasets: `node models/datasets/make.mjs`.
// Not here: the text of the sets, one module each beside this file; nothing of this folder is sent to the browser.

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ABOUT } from './about.mjs';
import { pirateVoice } from './pirate-voice.mjs';
import { toJsonl } from './seeded.mjs';
import { sentenceToJson } from './sentence-to-json.mjs';
import { sentimentLabel } from './sentiment-label.mjs';
import { twelveRows } from './twelve-rows.mjs';

const folder = fileURLToPath(new URL('../../public/datasets/', import.meta.url));

const SETS = {
  'sentence-to-json': sentenceToJson,
  'sentiment-label': sentimentLabel,
  'pirate-voice': pirateVoice,
  'twelve-rows': twelveRows,
};

mkdirSync(folder, { recursive: true });
const list = ABOUT.map(({ id, name, ...about }) => {
  const rows = SETS[id]();
  writeFileSync(`${folder}${id}.jsonl`, toJsonl(rows));
  console.log(`${id}.jsonl: ${rows.length} rows`);
  return { id, name, file: `${id}.jsonl`, rows: rows.length, ...about };
});
writeFileSync(`${folder}index.json`, `${JSON.stringify(list, null, 2)}\n`);
