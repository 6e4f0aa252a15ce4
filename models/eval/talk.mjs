// A conversation of ten turns with a model through the engine of the command line, greedy, printed as it comes: what its card shows, unedited.
// Not here: measured abilities (evaluate.py).
//
// usage: node models/eval/talk.mjs pebble-1m

import { rmSync } from 'node:fs';
import path from 'node:path';
import { answers, bundle, house } from './commandLine.mjs';

const TURNS = [
  'Hello!',
  'My name is Sofia.',
  'What is a dog?',
  'How many legs does a spider have?',
  'I live in Marlow.',
  'What is the opposite of hot?',
  'Make a list: bread, milk and eggs',
  'What is my name?',
  'Tell me a story about Sofia and Max.',
  'Thank you!',
];

const model = path.join(house, 'models', process.argv[2] ?? 'pebble-1m');
const cli = await bundle();
const messages = [];
try {
  for (const content of TURNS) {
    messages.push({ role: 'user', content });
    const [{ said, ended }] = await answers(cli, { model }, [messages], 96);
    messages.push({ role: 'assistant', content: said });
    console.log(`**You:** ${content}  \n**Pebble:** ${said}${ended ? '' : ' (cut off)'}\n`);
  }
} finally {
  rmSync(cli);
}
