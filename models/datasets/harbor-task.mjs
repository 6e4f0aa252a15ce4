// The task file of Harbor & Pine: which rows, questions and documents the ways of answering are compared on, and what is right.
// Not here: reading it (src/session/waysTask.ts), its rows (harbor-conversations.mjs) and documents (harbor-catalogue.mjs).

import { ABOUT } from './about.mjs';
import { SYSTEM } from './harbor-conversations.mjs';

const lora = (id) => ({ method: 'lora', ...ABOUT.find((set) => set.id === id).settings.lora });
const ends = (check, text) => ({ check, parameters: { texts: [text] } });

/** Catalogue, voice and form, which the shop of sixteen products shares. */
export const shop = {
  documents: ['catalogue.csv'],
  changedDocuments: ['catalogue-next-week.csv'],
  template: '{name}: {price} pounds, {stock} in stock, {material}.',
  system: SYSTEM,
  instruction: 'Begin every answer with "Good day!" and end it with "Fair winds!".',
  form: { all: [ends('starts_with', 'Good day! '), ends('ends_with', ' Fair winds!')] },
};

export const harborTask = {
  name: 'Harbor & Pine',
  rows: 'conversations.jsonl',
  questions: 'questions.jsonl',
  ...shop,
  // What models that have not learned the shop's sentences say for the same.
  alsoRight: [
    ['is ', 'costs '],
    ['we have ', 'We have '],
    ['do not sell', 'do not have'],
  ],
  control: {
    instruction: 'Thank the user at the end.',
    form: { check: 'regex', parameters: { pattern: 'thank', ignore_case: true } },
  },
  examples: 2,
  passages: 1,
  training: { rows: lora('harbor-and-pine'), rows_with_passages: lora('harbor-and-pine-passages') },
  // Beside the page: seed 1 of `cli ways --task … --weights_out`.
  adapters: {
    'pebble-1m': {
      rows: '../../models/ways/pebble-1m/rows',
      rows_with_passages: '../../models/ways/pebble-1m/rows_with_passages',
    },
  },
};
