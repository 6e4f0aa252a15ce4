// Lesson: reading two losses. What the line of the practised rows says, what that of the kept-back rows says, and what the gap does not say.
// Not here: how lessons work (lesson.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'two-losses',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 1, eval_per_epoch: 10 },
  },
  predict: { kind: 'curve', first: 5.13, top: 6, totalSteps: 20 },
  tasks: [training()],
  transfer: { recording: 'brand-voice', right: 1 },
  text: {
    title: 'Reading two losses',
    goal: 'say what each line tells, and what the gap between them does not tell.',
    start:
      'The captain’s rows again. A fifth of them is kept back (validation rows): the model is measured on them and never practises them. It sees the others once.',
    predict: {
      question:
        'Both lines begin at the same height. Where will the amber one go, that of the rows kept back?',
      options: [],
    },
    tasks: [
      {
        doing: 'Train, and compare your line with the measured one.',
        button: 'Train',
        done: 'Both lines are measured now.',
      },
    ],
    reveal:
      'Blue ends below amber, and both have fallen. Such a gap is no overfitting: rows that were practised are always a little easier. Trouble begins when amber turns up.',
    transfer: {
      question: 'Here, rows of a shop were learned, and the lines lie on each other. What does that say?',
      options: [
        { label: 'The model has overfitted', feedback: 'Then amber would turn up while blue falls.' },
        {
          label: 'The kept-back rows are much like the practised ones, and were learned along with them',
          feedback:
            'The shop has twenty rules and says them in the same words; whoever knows the rules knows the kept-back rows too.',
        },
        { label: 'It has not learned anything', feedback: 'Both lines came down from above 5 to under 0.1.' },
      ],
    },
    closing:
      'Blue says what is practised. Amber says what it is worth for rows that were not. Watch the direction of amber, not the gap.',
    next: 'Under Data, look at the rows that are kept back. Are they easier or harder than the others?',
  },
};
