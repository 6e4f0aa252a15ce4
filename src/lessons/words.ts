// The words of the lessons' own controls, in one place for translation.
// Not here: what a single lesson says (its own file).

import type { Comparison, Shape } from './prediction';

export const WORDS = {
  parts: ['Set up', 'Predict', 'Do it', 'Another curve', 'Done'],
  goal: 'Afterwards you can',
  setUp: 'Set this up',
  replaces: (name: string) =>
    `The rows of this lesson take the place of ${name}. You can put those back at the end.`,
  replaceReally: 'Replace them and go on',
  draw: 'Draw the amber line: drag a dot, or choose it with ← → and move it with ↑ ↓.',
  drawn: 'That is my prediction',
  dot: (step: number) => `Predicted validation loss at step ${step}`,
  yourLine: 'your prediction',
  working: 'It is going on…',
  whole: 'You have done this lesson.',
  again: 'Once more',
  back: 'All lessons',
  putBack: (name: string) => `Put ${name} back`,
  next: (title: string) => `Next: ${title}`,
  tryNext: 'Try this next',
  present: 'Present',
  endPresent: 'Leave the presentation',
  copyLink: 'Copy the link to this lesson',
  copied: 'Link copied',
  recorded: 'A recorded run of the command line, with other rows or settings.',
  right: 'Right.',
  wrong: 'Not this one.',
  results: 'Your runs in this lesson',
  minutes: (count: number) => (count === 1 ? 'about a minute' : `about ${count} minutes`),
} as const;

const SHAPES: Readonly<Record<Shape, string>> = {
  falls: 'falls to the end',
  turns: 'falls and turns up',
  rises: 'only rises',
  stays: 'stays where it is',
};

/** What the drawn line was worth, in a sentence. */
export function predictionSentence(c: Comparison): string {
  if (c.drawn !== c.measured)
    return `You drew a line that ${SHAPES[c.drawn]}. The measured one ${SHAPES[c.measured]}${c.measured === 'turns' ? `, at step ${c.lowestMeasured}` : ''}.`;
  if (c.turnNear === false)
    return `You saw that it turns. You expected it at step ${c.lowestDrawn}; it came at step ${c.lowestMeasured}.`;
  return `You saw it: the line ${SHAPES[c.measured]}${c.measured === 'turns' ? `, at step ${c.lowestMeasured}` : ''}.`;
}
