// The cases that the exercise “which way to answer” offers: where their task lies, what is told before, and a model answer for after.
// Not here: their rows, questions and documents (models/datasets/cases.mjs, models/datasets/harbor-task.mjs), what is measured (session/waysMeasurement.ts).

export interface WaysCase {
  id: string;
  label: string;
  /** From `datasets/` beside the page. */
  task: string;
  story: string;
  /** What changes later; null where nothing does. */
  change: string | null;
  /** Points of a model answer: what in a few words, and why. */
  answer: readonly (readonly [what: string, why: string])[];
}

export const WAYS_CASES: readonly WaysCase[] = [
  {
    id: 'harbor-and-pine',
    label: 'Harbor & Pine: 520 products',
    task: 'harbor-and-pine/task.json',
    story:
      'A shop wants a support bot. It sells 520 products. The bot must speak in the shop’s own voice: “Good day! … Fair winds!”. Prices and stock change every week. There are 444 conversations of the shop to learn from, a catalogue, and 60 questions that none of them asks.',
    change: 'A fifth of the products has another price or stock. Nothing is trained again.',
    answer: [
      [
        'Start with the prompt.',
        'It costs minutes, and shows what is really missing. 520 products do not fit into it.',
      ],
      ['The voice is behaviour: fine-tune it.', 'It is the same next week.'],
      [
        'The facts move: retrieve them.',
        'Change the catalogue, and the answer changes; nothing is trained again.',
      ],
      [
        'They meet in the rows.',
        'Train on conversations with passages in them. A model that was tuned without gives up reading what is put into its prompt later.',
      ],
    ],
  },
  {
    id: 'sixteen-products',
    label: 'Sixteen products: facts learned by heart',
    task: 'cases/sixteen-products/task.json',
    story:
      'The same shop with 16 products only. Every fact is taught three times in other words: few enough to be learned by heart. 64 questions ask for them. Two trainings take a few minutes here.',
    change: 'Half of the products has another price, the other half another stock. Nothing is trained again.',
    answer: [
      [
        'Fine-tuning can teach facts,',
        'if they are few and each is said often. This week the tuned model has them right.',
      ],
      [
        'What it learned is wrong next week.',
        'It gives last week’s price in the same sure voice, and nothing in its answer shows that.',
      ],
      ['Look facts up that change.', 'The way with retrieval follows the new catalogue without training.'],
    ],
  },
  {
    id: 'guest-book',
    label: 'Guest book: a format to follow',
    task: 'cases/guest-book/task.json',
    story:
      'Sentences such as “Anna lives in Redhill.” are to become one line of JSON with name and place. The shipped models have practised such sentences. 40 questions.',
    change: null,
    answer: [
      ['Do not tune.', 'One line of instruction does what 96 rows and a training do.'],
      [
        'A prompt is changed in a minute,',
        'and the next, larger model will follow it too. Tuning must be done again for it.',
      ],
    ],
  },
  {
    id: 'things-for-hire',
    label: 'Things for hire: facts and no voice',
    task: 'cases/things-for-hire/task.json',
    story:
      'A shop hires out 96 things. Customers ask what one costs. Any wording will do, only the price counts, and all prices change. Rows tell the prices of other things than the 40 that are asked about.',
    change: 'Every price is another. Nothing is trained again.',
    answer: [
      ['Retrieve, do not tune.', 'The price stands in the line that is found, and the base model reads it.'],
      [
        'Rows cannot tell what they do not say.',
        'Tuning learns the form of the answer and makes the price up.',
      ],
    ],
  },
  {
    id: 'four-desks',
    label: 'Four desks: labels of one’s own',
    task: 'cases/four-desks/task.json',
    story:
      'Every message to the shop goes to one of four desks, called van, bench, door and ribbon. There are 192 messages with the desk that took them, and 48 in other words.',
    change: null,
    answer: [
      [
        'Fine-tune.',
        'A small model does not follow the rule when it is written into the prompt, nor the examples; it learns it from 192 rows.',
      ],
      [
        'Try the prompt first all the same.',
        'A larger model may follow it. Then the choice is one of cost: the tuned model reads a fifth of the tokens.',
      ],
      ['Retrieval has nothing to look up.', 'The rule is behaviour, not knowledge.'],
    ],
  },
];
