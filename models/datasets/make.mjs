// Writes every sample data set of the page, and their list, into public/datasets: `node models/datasets/make.mjs [another folder]`.
// Not here: the text of the sets, one module each beside this file; nothing of this folder is sent to the browser.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promptedFigures } from '../eval/cards.mjs';
import { ABOUT, MEASURED_WITH } from './about.mjs';
import { brandVoiceSupport } from './brand-voice-support.mjs';
import { cases } from './cases.mjs';
import { catalogue, nextWeek, toCsv } from './harbor-catalogue.mjs';
import {
  harborConversations,
  harborHouseRuleQuestions,
  harborLooseQuestions,
  harborQuestions,
} from './harbor-conversations.mjs';
import { catalogueSearch } from './harbor-search.mjs';
import { harborTask } from './harbor-task.mjs';
import { intentJson } from './intent-json.mjs';
import { imbalancedLabels, shuffledLabels } from './label-controls.mjs';
import { legalDefinitions } from './legal-definitions.mjs';
import { nearDuplicates } from './near-duplicates.mjs';
import { pirateVoice } from './pirate-voice.mjs';
import { saltGardenHandbook } from './salt-garden-handbook.mjs';
import { toJsonl } from './seeded.mjs';
import { sentenceToJson } from './sentence-to-json.mjs';
import { sentimentLabel } from './sentiment-label.mjs';
import { twelveRows } from './twelve-rows.mjs';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../public/datasets', import.meta.url));

const products = catalogue();
const week = nextWeek(products);
const searchOf = await catalogueSearch();
const conversations = harborConversations(products, searchOf(products));

const questions = harborQuestions(products, conversations, week.products, week.changes);

const rows = {
  'sentence-to-json': sentenceToJson(),
  'sentiment-label': sentimentLabel(),
  'pirate-voice': pirateVoice(),
  'twelve-rows': twelveRows(),
  'intent-json': intentJson(),
  'brand-voice-support': brandVoiceSupport(),
  'legal-definitions': legalDefinitions(),
  'shuffled-labels': shuffledLabels(),
  'imbalanced-labels': imbalancedLabels(),
  'near-duplicates': nearDuplicates(),
  'harbor-and-pine': conversations.plain,
  'harbor-and-pine-passages': conversations.grounded,
};

/** Sets that are one plain text. How many rows it becomes depends on the model. */
const texts = { 'salt-garden-handbook': saltGardenHandbook() };

const files = {
  'harbor-and-pine/catalogue.csv': toCsv(products),
  'harbor-and-pine/catalogue-next-week.csv': toCsv(week.products),
  'harbor-and-pine/changes.json': `${JSON.stringify(week.changes, null, 1)}\n`,
  'harbor-and-pine/questions.jsonl': toJsonl(questions),
  'harbor-and-pine/house-rule-questions.jsonl': toJsonl(harborHouseRuleQuestions()),
  'harbor-and-pine/task.json': `${JSON.stringify(harborTask, null, 1)}\n`,
  'harbor-and-pine/loose-questions.jsonl': toJsonl(harborLooseQuestions(questions, products)),
  ...cases(products),
};

const list = ABOUT.map(({ id, name, file = `${id}.jsonl`, ...about }) => {
  files[file] = texts[id] ?? toJsonl(rows[id]);
  const size = texts[id] ? { characters: texts[id].length } : { rows: rows[id].length };
  const asked = promptedFigures(id, files[file]);
  return { id, name, file, ...size, ...about, models: MEASURED_WITH, ...(asked && { asked }) };
});
files['index.json'] = `${JSON.stringify(list, null, 2)}\n`;

for (const [name, text] of Object.entries(files)) {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), text);
  console.log(`${name}: ${text.trimEnd().split('\n').length} lines`);
}
