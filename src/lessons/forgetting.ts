// Lesson: forgetting, and what helps against it. The same rows without and with general rows mixed in (replay).
// Not here: how lessons work (lesson.ts), the general rows (session/generalRows.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'forgetting',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'lora', learning_rate: 5e-3, num_train_epochs: 4 },
  },
  predict: { kind: 'choice', right: 2 },
  tasks: [training({ replay_fraction: 0 }), training({ replay_fraction: 0.25 })],
  transfer: { recording: 'pirate-two-epochs', right: 1 },
  text: {
    title: 'Forgetting',
    goal: 'see what a model loses while it learns, and keep it.',
    start:
      'The captain’s rows, four rounds. Beside blue and amber stands a third line: the loss on general rows, which have nothing to do with the captain.',
    predict: {
      question: 'The model learns to speak like the captain. What happens to the loss on general rows?',
      options: [
        {
          label: 'It falls: the model gets better altogether',
          feedback: 'It only practises the captain’s answers.',
        },
        {
          label: 'It stays: those rows are not touched',
          feedback: 'The rows are not, but the weights that read them are.',
        },
        {
          label: 'It rises: something is forgotten',
          feedback: 'With Pebble-1M by about 1: the price of the voice.',
        },
      ],
    },
    tasks: [
      {
        doing: 'Train on the captain’s rows alone.',
        button: 'Train',
        done: 'Done: look at the line of the general rows.',
      },
      {
        doing: 'Train again with a quarter of general rows mixed in (replay).',
        button: 'Train with replay',
        done: 'Done: compare general loss and validation loss of the two.',
      },
    ],
    reveal:
      'Weights that are moved for the captain are moved for everything. A few rows of the old kind in every batch hold them: with Pebble-1M the rise went from 1.04 to nothing, for a third more steps.',
    transfer: {
      question: 'Both lines of this run fall. Has the model forgotten anything?',
      options: [
        { label: 'No: both lines fall', feedback: 'Both measure the captain’s rows. They cannot tell.' },
        {
          label: 'These two lines cannot say',
          feedback: 'Both are of the same kind of rows. Only rows of another kind can tell what was lost.',
        },
        {
          label: 'Yes: blue lies below amber',
          feedback: 'That gap is about rows that were practised or not.',
        },
      ],
    },
    closing: 'A model that got better at your task may have got worse at all others. Measure both.',
    next: 'Ask the tuned model something general. Does it still answer, and in whose voice?',
  },
};
