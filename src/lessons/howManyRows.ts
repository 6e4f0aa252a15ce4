// Lesson: how many rows. The same task learned from an eighth of the rows and from all of them, measured on the same held-out rows.
// Not here: how lessons work (lesson.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'how-many-rows',
  start: {
    sample: 'sentiment-label',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 3 },
  },
  predict: { kind: 'choice', right: 2 },
  tasks: [training({ train_fraction: 0.12 }), training({ train_fraction: 1 })],
  transfer: { recording: 'shuffled-labels', right: 0 },
  text: {
    title: 'How many rows',
    goal: 'find out whether more rows would help, before you write them.',
    start:
      'The model is to say whether a sentence is pleased or not. 240 rows are labelled; 48 of them are kept back, always the same.',
    predict: {
      question:
        'First 23 rows, then all 192, three rounds each. What will the loss on the 48 kept-back rows do?',
      options: [
        {
          label: 'The same: the task is the same',
          feedback: 'With Pebble-1M it ends less than half as high with all rows.',
        },
        {
          label: 'With fewer rows it ends lower: there is less to learn',
          feedback: 'That is true of the rows that it practises, and not of those kept back.',
        },
        {
          label: 'With all rows it ends lower',
          feedback: 'With Pebble-1M at 0.14, against 0.30 with 23 rows.',
        },
      ],
    },
    tasks: [
      {
        doing: 'Train on 12 % of the rows.',
        button: 'Train on 23 rows',
        done: 'Done: what 23 rows were enough for stands in the table below.',
      },
      { doing: 'Train on all of them.', button: 'Train on 192 rows', done: 'Both runs stand in the chart.' },
    ],
    reveal:
      'More good rows helped: with Pebble-1M from 0.30 to 0.14. Part of it is time: three rounds over more rows are more steps. If halving the rows changes little, more rows would change little too.',
    transfer: {
      question:
        'Here the same sentences have their labels shuffled, so that they mean nothing. Blue comes near zero, amber stays up. Would twice as many such rows help?',
      options: [
        {
          label: 'No: there is nothing in them that holds for other rows',
          feedback:
            'What is learned of such rows is learned by heart. A tenth of bad labels already spoils good rows.',
        },
        {
          label: 'Yes: more rows always help',
          feedback: 'Only if what they teach is true of the rows to come. Here it is true of none.',
        },
        {
          label: 'Yes, if they are trained longer',
          feedback: 'Blue is near zero already. Longer only makes the model surer of what is wrong.',
        },
      ],
    },
    closing:
      'Fifty good rows beat five hundred careless ones. Whether more would help can be measured: train on a part.',
    next: 'Under Sweep, choose “Would more rows help?”: four parts, one chart.',
  },
};
