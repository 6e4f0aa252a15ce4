// What the page says about each sample data set: name, task, what it teaches, one-sentence summary, settings and the models they were measured with; in the order of the list.
// Not here: what came out of these settings; it is in the cards, public/datasets/<id>.md.

/** Settings to begin with, by method: the learning rates that the calibration found, and so many epochs. The cards are measured with them. */
const recommended = ({ lora, full }) => ({
  lora: { learning_rate: 0.005, num_train_epochs: lora },
  full: { learning_rate: 0.0005, num_train_epochs: full },
});

/** Ids of the catalogue's models that every set was measured with (models/eval/datasets.jsonl), all with these same settings. */
export const MEASURED_WITH = ['pebble-1m', 'pebble-3m'];

export const ABOUT = [
  {
    id: 'sentence-to-json',
    name: 'Sentence to JSON',
    task: 'strict output format',
    teaches: 'A model can learn to answer in one exact format, and to fill it from the sentence.',
    summary: 'An order in plain words becomes one line of JSON with item, count and colour.',
    settings: recommended({ lora: 8, full: 5 }),
  },
  {
    id: 'sentiment-label',
    name: 'Sentiment label',
    task: 'classification',
    teaches: 'A chat model becomes a classifier: one word per review, right on reviews it never saw.',
    summary: 'Short hand-written reviews, each answered with positive, negative or neutral.',
    settings: recommended({ lora: 10, full: 10 }),
  },
  {
    id: 'pirate-voice',
    name: 'Pirate voice',
    task: 'voice',
    teaches: 'A voice is learned in one or two epochs; after that the model only learns the rows by heart.',
    summary: 'Everyday questions and small talk, answered by an old sea captain.',
    settings: recommended({ lora: 4, full: 3 }),
  },
  {
    id: 'twelve-rows',
    name: 'Twelve rows',
    task: 'memorising',
    teaches:
      'What overfitting looks like: twelve secrets learned by heart in a minute, and no others guessed.',
    summary: 'Twelve unguessable questions and answers, too few to learn anything from but themselves.',
    settings: recommended({ lora: 50, full: 30 }),
  },
  {
    id: 'intent-json',
    name: 'Intent to JSON',
    task: 'strict output format with slots',
    teaches: 'Several formats in one set: the model must choose the intent first and then fill its slots.',
    summary:
      'Requests to a helper in the house become one line of JSON: intent, then room, day, minutes or name.',
    settings: recommended({ lora: 15, full: 10 }),
  },
  {
    id: 'brand-voice-support',
    name: 'Brand voice support',
    task: 'customer support in a voice',
    teaches:
      'A small model can hold a greeting, a farewell and twenty house rules, and find the rule for a new question.',
    summary: 'Customers of Puddle & Pom, a made-up shop for rain boots, answered the way the shop talks.',
    settings: recommended({ lora: 15, full: 8 }),
  },
  {
    id: 'legal-definitions',
    name: 'Legal definitions',
    task: 'style without knowledge',
    teaches:
      'The form of a definition is learned; the meaning of a term that was not in the set is not. Facts need another way.',
    summary: 'Legal terms explained in one plain sentence each. Not legal advice.',
    settings: recommended({ lora: 5, full: 4 }),
  },
  {
    id: 'shuffled-labels',
    name: 'Shuffled labels',
    task: 'control',
    teaches:
      'When there is nothing to learn, training loss still falls, and validation loss climbs from the first epochs on.',
    summary: 'The reviews of the sentiment set with the labels dealt out at random.',
    settings: recommended({ lora: 10, full: 10 }),
  },
  {
    id: 'imbalanced-labels',
    name: 'Imbalanced labels',
    task: 'control',
    teaches: 'A low loss can hide a useless model: saying the common label always is right 37 times in 40.',
    summary: 'Everyday notes answered with normal; three in forty tell calmly of a danger, and want urgent.',
    settings: recommended({ lora: 3, full: 3 }),
  },
  {
    id: 'near-duplicates',
    name: 'Near-duplicates',
    task: 'control',
    teaches: 'A split that tears near-duplicates apart shows a lovely validation loss that means nothing.',
    summary: 'Forty made-up facts, each asked four times in almost the same words.',
    settings: recommended({ lora: 10, full: 6 }),
  },
  {
    id: 'salt-garden-handbook',
    name: 'Salt garden handbook',
    file: 'salt-garden-handbook.txt',
    task: 'domain adaptation',
    teaches:
      'A model reads a plain text, without questions and answers: the words of a craft become less surprising to it.',
    summary: 'The handbook of an invented craft, in 17 chapters of plain prose with words of its own.',
    settings: recommended({ lora: 4, full: 4 }),
  },
  {
    id: 'harbor-and-pine',
    name: 'Harbor & Pine',
    file: 'harbor-and-pine/conversations.jsonl',
    task: 'customer support with a catalogue',
    teaches:
      'Fine-tuning gives the shop its voice; it does not give the model 520 prices, least of all those of next week.',
    summary:
      'Conversations of a made-up shop with 520 products, with a catalogue, a voice guide and 60 held-out questions.',
    settings: recommended({ lora: 6, full: 4 }),
  },
  {
    id: 'harbor-and-pine-passages',
    name: 'Harbor & Pine, catalogue lines given',
    file: 'harbor-and-pine/conversations-with-passages.jsonl',
    task: 'answer from a given passage',
    teaches:
      'What a model must learn before retrieval can help it: to copy the right value out of the lines it was given.',
    summary:
      'The same conversations, each with the catalogue lines that a search finds for it in the system prompt.',
    settings: recommended({ lora: 8, full: 5 }),
  },
];
