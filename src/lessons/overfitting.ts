// Lesson: overfitting. Twelve rows that nothing can be concluded from, trained until they are known by heart.
// Not here: how lessons work (lesson.ts).

import { finishedWith, type Lesson } from './lesson';

export const lesson: Lesson = {
  id: 'overfitting',
  start: {
    sample: 'twelve-rows',
    settings: { method: 'lora', learning_rate: 5e-3, num_train_epochs: 50, eval_per_epoch: 1 },
  },
  predict: { kind: 'curve', first: 4.5, top: 9, totalSteps: 100 },
  tasks: [
    {
      press: 'train',
      place: '#train',
      check: (state) => finishedWith(state).some(({ verdict }) => verdict === 'overfitting'),
    },
    { press: 'ask', place: '#answers', check: ({ answered }) => answered > 0 },
  ],
  transfer: { recording: 'legal-definitions', right: 2 },
  text: {
    title: 'Overfitting',
    goal: 'tell learning from learning by heart, and pick the step at which to stop.',
    start:
      'Twelve questions whose answers nobody could guess, two of them kept back, and fifty rounds over the other ten.',
    predict: {
      question:
        'The blue line will go to zero: ten rows can be learned by heart. Where will the amber one go?',
      options: [],
    },
    tasks: [
      {
        doing: 'Train to the end, and watch the amber line.',
        button: 'Train',
        done: 'The verdict says it: overfitting.',
      },
      {
        doing: 'Ask both models a question that was kept back from training.',
        button: 'Ask both',
        done: 'Asked: under Answers stands what your model makes of a question that it could only guess.',
      },
    ],
    reveal:
      'Amber falls for a moment, while the model learns what such rows look like. Then it climbs: each further step makes it surer of ten answers and more surprised by all others.',
    transfer: {
      question: 'Blue lies below amber here too. Is this overfitting?',
      options: [
        { label: 'Yes: there is a gap', feedback: 'A gap alone is none. Look at the direction of amber.' },
        {
          label: 'Yes: blue falls faster than amber',
          feedback: 'Practised rows are always learned faster. Look at the direction of amber.',
        },
        {
          label: 'No: amber still falls',
          feedback:
            'As long as amber falls, the model gets better at rows that it never saw. The gap is the usual one.',
        },
      ],
    },
    closing:
      'Overfitting is when amber turns up while blue goes on falling. The best model lies at the turn.',
    next: 'Train again with “Early stopping” at 3 (Settings, Advanced). Where does it stop?',
  },
};
