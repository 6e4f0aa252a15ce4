// What the page says about each sample data set: name, task, what it teaches, one-sentence summary; in the order of the list.
// Not here: measured results and settings; they are in the cards, public/datasets/<id>.md.

export const ABOUT = [
  {
    id: 'sentence-to-json',
    name: 'Sentence to JSON',
    task: 'strict output format',
    teaches: 'A model can learn to answer in one exact format, and to fill it from the sentence.',
    summary: 'An order in plain words becomes one line of JSON with item, count and colour.',
  },
  {
    id: 'sentiment-label',
    name: 'Sentiment label',
    task: 'classification',
    teaches: 'A chat model becomes a classifier: one word per review, right on reviews it never saw.',
    summary: 'Short hand-written reviews, each answered with positive, negative or neutral.',
  },
  {
    id: 'pirate-voice',
    name: 'Pirate voice',
    task: 'voice',
    teaches: 'A voice is learned in one or two epochs; after that the model only learns the rows by heart.',
    summary: 'Everyday questions and small talk, answered by an old sea captain.',
  },
  {
    id: 'twelve-rows',
    name: 'Twelve rows',
    task: 'memorising',
    teaches: 'What overfitting looks like: twelve secrets learned by heart in a minute, and no others guessed.',
    summary: 'Twelve unguessable questions and answers, too few to learn anything from but themselves.',
  },
];
