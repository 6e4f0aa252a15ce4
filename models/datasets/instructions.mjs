// The instruction that a person would write for each sample data set instead of training on it: the base models are asked with it too.
// Not here: asking (../eval/measure-datasets.mjs --prompted). Sets of facts that no instruction can tell have none.

export const INSTRUCTIONS = {
  'sentence-to-json': 'Give the order as JSON with the keys item, count and colour.',
  'sentiment-label': 'Label the review as positive, negative or neutral.',
  'pirate-voice': 'You are a pirate. Talk like a pirate.',
  'intent-json': 'Give the request as JSON with the key intent.',
  'brand-voice-support': 'Begin every answer with "Hello, puddle friend!" and end it with "Stay dry!".',
  'legal-definitions': 'Give a short definition.',
  'imbalanced-labels': 'Label each text as normal or urgent.',
  'harbor-and-pine': 'Begin every answer with "Good day!" and end it with "Fair winds!".',
  'harbor-and-pine-passages': 'Begin every answer with "Good day!" and end it with "Fair winds!".',
};
