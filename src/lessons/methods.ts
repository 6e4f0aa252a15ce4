// Lesson: LoRA, full fine-tuning or the last layers only: the same rows by three methods.
// Not here: how lessons work (lesson.ts), the methods (engine/model/adapters.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'methods',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'lora', learning_rate: 5e-3, num_train_epochs: 2 },
  },
  predict: { kind: 'choice', right: 0 },
  tasks: [
    training({ method: 'full', learning_rate: 5e-4 }),
    training({ method: 'lora', learning_rate: 5e-3 }),
    training({ method: 'last_layers', learning_rate: 1e-3 }),
  ],
  transfer: { recording: 'pirate-two-epochs', right: 1 },
  text: {
    title: 'LoRA, all weights, or the last layers',
    goal: 'choose a method by what it costs and what it leaves behind.',
    start:
      'The captain’s rows, two rounds. All weights can be moved; or only the last layers; or none, and a small adapter is learned beside them (LoRA).',
    predict: {
      question: 'Pebble-1M has 1.4 million weights. Which of the three has the smallest file to give away?',
      options: [
        { label: 'LoRA', feedback: 'About 82,000 numbers: 0.3 MB, instead of 5.5 MB for all weights.' },
        {
          label: 'All weights',
          feedback: 'All of them may have changed, so all of them are in the file: 5.5 MB.',
        },
        {
          label: 'The last layers',
          feedback: 'Fewer are moved than with all weights, and still many more than LoRA has.',
        },
      ],
    },
    tasks: [
      {
        doing: 'Train all weights.',
        button: 'Train all weights',
        done: 'Done: its loss stands in the table below.',
      },
      {
        doing: 'Train an adapter.',
        button: 'Train with LoRA',
        done: 'Done: how many weights learned stands there too.',
      },
      { doing: 'Train the last layers.', button: 'Train the last layers', done: 'Done: compare the three.' },
    ],
    reveal:
      'With Pebble-1M the held-out loss ends at 2.3, 2.4 and 2.5: nearly the same by three ways. LoRA wants about ten times the learning rate, leaves the base model as it was, and can be taken off again. Under “Other formats” you see the sizes.',
    transfer: {
      question: 'Here is a curve of the same rows. Can you tell from it which method was used?',
      options: [
        {
          label: 'Yes: LoRA falls more slowly',
          feedback: 'Not with a rate that fits it. Compare your three lines.',
        },
        {
          label: 'No: the curves look alike',
          feedback:
            'The method shows in the file, in memory and in what is forgotten, and hardly in the curve.',
        },
        {
          label: 'Yes: full fine-tuning always ends lowest',
          feedback: 'By a little here, and the difference may be chance.',
        },
      ],
    },
    closing:
      'Begin with LoRA. Move all weights when it is not enough, or when the file may be as large as the model.',
    next: 'Set the rank (LoRA r) to 2 and to 32. What changes: the loss, or the size?',
  },
};
