// Lesson: the learning rate. The same rows and steps with a rate that is too low, one that fits and one that is too high.
// Not here: how lessons work (lesson.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'learning-rate',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 1 },
  },
  predict: { kind: 'choice', right: 1 },
  tasks: [
    training({ learning_rate: 5e-6 }),
    training({ learning_rate: 5e-4 }),
    training({ learning_rate: 0.5 }),
  ],
  transfer: { recording: 'rate-too-high', right: 2 },
  text: {
    title: 'The learning rate',
    goal: 'tell from a curve whether the steps were too small, right or too large.',
    start:
      'The captain’s rows once more, one round of twenty steps. The learning rate says how far each step moves the weights.',
    predict: {
      question:
        'Three runs, the same but for the rate: 0.000005, 0.0005 and 0.5. Which one ends lowest on amber?',
      options: [
        {
          label: 'The smallest: careful steps are the surest',
          feedback: 'Sure, but twenty tiny steps lead hardly anywhere: with Pebble-1M from 5.1 to 4.6.',
        },
        { label: 'The middle one', feedback: 'With Pebble-1M from 5.1 to 2.5 in the same twenty steps.' },
        {
          label: 'The largest: it learns the fastest',
          feedback: 'Each of its steps overshoots: with Pebble-1M the loss ends above 100.',
        },
      ],
    },
    tasks: [
      {
        doing: 'Train with 0.000005.',
        button: 'Train with the smallest',
        done: 'Done: where amber ended stands in the table below.',
      },
      {
        doing: 'Train with 0.0005.',
        button: 'Train with the middle one',
        done: 'Done: the same twenty steps with another rate.',
      },
      {
        doing: 'Train with 0.5.',
        button: 'Train with the largest',
        done: 'Done: compare the three in the table.',
      },
    ],
    reveal:
      'Too low: the line falls so slowly that the run ends before it has arrived. Too high: the line climbs, or jumps up and down. In between lies a wide range that works, and it depends on model and method.',
    transfer: {
      question: 'These are other rows. The line went from 4.5 to over 100. What was the matter?',
      options: [
        { label: 'The rate was too low', feedback: 'Then the line would fall, only slowly.' },
        {
          label: 'The rows were learned by heart',
          feedback: 'Then the line of the practised rows would be near zero. Here both climb.',
        },
        {
          label: 'The rate was too high',
          feedback: 'Both lines climb from the start: each step went too far. This was a rate of 0.1.',
        },
      ],
    },
    closing: 'Find a rate by trying: where the loss falls fastest without jumping, or with “Find a rate”.',
    next: 'Press “Find a rate” beside the setting. Which rate does it propose?',
  },
};
