// Lesson: what is learned of a row. The loss on the answers alone, and on every token; two numbers that cannot be compared.
// Not here: how lessons work (lesson.ts), which tokens are learned (data/tokens/).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'loss-mask',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 2 },
  },
  predict: { kind: 'choice', right: 1 },
  tasks: [training({ loss_on: 'answers' }), training({ loss_on: 'all' })],
  transfer: { recording: 'sentence-to-json', right: 2 },
  text: {
    title: 'What is learned of a row',
    goal: 'say which part of a row a model practises, and when two losses can be compared.',
    start:
      'A row has a question and an answer. Usually only the tokens of the answer are learned (the loss mask); the question is read, and not practised.',
    predict: {
      question:
        'Now the loss counts every token, the question too. What does the model practise beside answering?',
      options: [
        { label: 'Nothing else', feedback: 'Every token that counts is one it is trained to write.' },
        {
          label: 'Asking such questions',
          feedback: 'It is trained to write the question as well: effort that the answers do not get.',
        },
        {
          label: 'Understanding the question better',
          feedback: 'It reads the question in both cases. Now it learns to write it.',
        },
      ],
    },
    tasks: [
      {
        doing: 'Train with the loss on the answers.',
        button: 'Train on answers',
        done: 'Done: remember where amber began.',
      },
      {
        doing: 'Train with the loss on all tokens.',
        button: 'Train on all tokens',
        done: 'Done: where does amber begin now, and is this run better?',
      },
    ],
    reveal:
      'With Pebble-1M amber begins at 5.1 where answers count, and at 3.5 where every token does. That says nothing about the models: the two lines measure different tokens. Questions are plain words, which the model knew before, and they pull the mean down. Losses can be compared only where the same tokens of the same rows are counted.',
    transfer: {
      question:
        'This run counted answers only and ended at 0.02. Somebody counted every token of the same rows and got 0.9. Whose model is better?',
      options: [
        {
          label: 'This one',
          feedback: 'It may be. The two numbers do not say so: they are of different tokens.',
        },
        { label: 'The other one', feedback: 'Nothing here says so.' },
        {
          label: 'The numbers do not say',
          feedback:
            'Which sentence comes cannot be foreseen, so a mean over whole rows stays high in any good model.',
        },
      ],
    },
    closing:
      'Learn the answers, unless the text itself is to be learned. Compare losses only over the same tokens.',
    next: 'Under Data, open “See the rows as the model does”: the underlined tokens are those that are learned.',
  },
};
