// Lesson: learning a plain text (domain adaptation). A handbook of an invented craft, cut into pieces, every token learned.
// Not here: how lessons work (lesson.ts), cutting a text (data/).

import { finishedWith, type Lesson } from './lesson';

export const lesson: Lesson = {
  id: 'plain-text',
  start: {
    sample: 'salt-garden-handbook',
    settings: { method: 'full', learning_rate: 5e-4, num_train_epochs: 2 },
  },
  predict: { kind: 'choice', right: 1 },
  tasks: [
    {
      press: 'train',
      place: '#train',
      check: (state) =>
        finishedWith(state).some(({ validation: [first, ...rest] }) => {
          const last = rest.at(-1);
          return first !== undefined && last !== undefined && last.value < first.value;
        }),
    },
  ],
  transfer: { recording: 'brand-voice', right: 1 },
  text: {
    title: 'Learning a plain text',
    goal: 'say what a model takes from a text without questions and answers.',
    start:
      'A handbook of 29 kB about a craft that we made up, salt gardening. It is cut at paragraphs, and every token is learned (domain adaptation).',
    predict: {
      question: 'After reading the handbook twice, what can the model do better?',
      options: [
        {
          label: 'Answer questions about salt gardens',
          feedback: 'It has seen no question. What it has learned is how the text goes on.',
        },
        {
          label: 'Foresee the words of such a text',
          feedback:
            'Its words, its names and its manner: each byte of the kept-back pages costs it fewer bits.',
        },
        { label: 'Nothing: a text is no training data', feedback: 'Base models are made of nothing else.' },
      ],
    },
    tasks: [
      {
        doing: 'Train, and read the last sentence of the verdict.',
        button: 'Train',
        done: 'The verdict gives bits per byte of pages that it never read, before and after.',
      },
    ],
    reveal:
      'The kept-back pages have become easier to foresee: the model knows the words of the craft now. It has not become an assistant for it. That takes rows of questions and answers, or the passage in the prompt.',
    transfer: {
      question:
        'This run learned rows of a shop, questions with answers. What do such rows teach that a text does not?',
      options: [
        { label: 'More facts', feedback: 'A text can hold as many facts.' },
        {
          label: 'To answer when asked, in a certain form',
          feedback: 'The form of a conversation is in the rows. A text has none.',
        },
        { label: 'To write longer sentences', feedback: 'How long the answers are is a matter of the rows.' },
      ],
    },
    closing:
      'Plain text teaches language. Questions with answers teach behaviour. Facts that change belong in the prompt.',
    next: 'Under “Should I fine-tune?”, see how facts are looked up instead.',
  },
};
