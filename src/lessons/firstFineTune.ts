// Lesson: the first fine-tune. A voice is learned from 197 rows, and heard in an answer that was not practised.
// Not here: how lessons work (lesson.ts).

import { type Lesson, training } from './lesson';

export const lesson: Lesson = {
  id: 'first-fine-tune',
  start: {
    sample: 'pirate-voice',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 2 },
  },
  predict: { kind: 'choice', right: 1 },
  tasks: [training(), { press: 'ask', place: '#answers', check: ({ answered }) => answered > 0 }],
  transfer: { recording: 'rate-too-low', right: 1 },
  text: {
    title: 'Your first fine-tune',
    goal: 'train a model on your own examples and see what it took from them.',
    start:
      'The page takes 197 everyday questions, all answered by an old sea captain, and two rounds over them (epochs).',
    predict: {
      question:
        'After training, you ask a question that is not among those rows. What will the answer be like?',
      options: [
        {
          label: 'As before: it has only learned the answers of those rows',
          feedback:
            'Look at the tuned answer below: the voice came along to a question that it had never seen.',
        },
        {
          label: 'In the captain’s voice, true or not',
          feedback:
            'So it is: the manner carries over to new questions. Whether what it says is true is another matter.',
        },
        {
          label: 'In the captain’s voice, and right',
          feedback: 'The voice, yes. But read what it says: tuning taught it how to talk, not what is true.',
        },
      ],
    },
    tasks: [
      {
        doing:
          'Train. Two lines appear: the loss says how surprised the model is by the next word. Lower is better.',
        button: 'Train',
        done: 'Trained: both lines came down.',
      },
      {
        doing: 'Ask both models a question that was kept back from training.',
        button: 'Ask both',
        done: 'Asked: the base model and yours stand beside each other under Answers.',
      },
    ],
    reveal:
      'The rows showed a manner 197 times, and the model took it up within a minute. That is what fine-tuning is good at: how to answer.',
    transfer: {
      question: 'Here is another run. Has this model learned?',
      options: [
        {
          label: 'Yes: both lines fall',
          feedback:
            'They fall by a twentieth in the whole run. Read the numbers of the axis, not only the direction.',
        },
        {
          label: 'Hardly: both lines stay almost where they were',
          feedback: 'It was trained with a learning rate two hundred times too low.',
        },
        { label: 'It has learned its rows by heart', feedback: 'Then blue would be near zero.' },
      ],
    },
    closing: 'Fine-tuning changes how a model answers, and a few hundred examples are enough for a manner.',
    next: 'Ask something that no captain can know, such as the price of bread on Tuesday. What does it do?',
  },
};
