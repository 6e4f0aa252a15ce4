// Two sets that show what labels do: `shuffled-labels` (nothing to learn but the rows) and `imbalanced-labels` (95 % one answer).
// Not here: the honest label set; that is sentiment-label.mjs.

import { capitalise, row, seeded } from './seeded.mjs';
import { reviews } from './sentiment-label.mjs';

/** The reviews of `sentiment-label` with the labels dealt out again at random: as many of each, joined to the wrong texts. */
export function shuffledLabels() {
  const all = reviews();
  const labels = seeded(88).shuffle(all.map(([, label]) => label));
  return all.map(([text], i) => row(text, labels[i]));
}

const WHO = [
  'Please',
  'Could you',
  'When you have time,',
  'Tomorrow,',
  'After lunch,',
  'This week,',
  'If you like,',
  'Some day,',
];
const DO = [
  'water the plants in the hall',
  'bring the blue chairs to the school',
  'write to the baker about the bread',
  'count the cups in the kitchen',
  'fold the towels',
  'paint the garden gate',
  'put the books back on the shelf',
  'sweep the stairs',
  'send the list to Mary',
  'feed the cat',
  'wash the windows',
  'buy some tea and sugar',
  'look for my grey scarf',
  'order new pens',
  'clean the lamp on the desk',
  'read the letter from the bank',
  'mend the clock',
  'take the parcel to the post',
  'move the table to the window',
  'ask Tom about the party',
  'cut the grass',
  'pick some apples',
  'polish the spoons',
  'sort the old photos',
];
const URGENT = [
  'There is smoke in the kitchen!',
  'Help! The baby has stopped breathing!',
  'A man is lying in the road and bleeds!',
  'The barn is on fire!',
  'The river has broken into our house!',
  'Quick, a child fell into the well!',
  'I smell gas in the cellar!',
  'My father fell and cannot move!',
  'The roof is coming down on us!',
  'Someone is breaking our door!',
];

/** 190 everyday notes answered `normal` and ten cries for help answered `urgent`. */
export function imbalancedLabels() {
  const random = seeded(99);
  const notes = random
    .shuffle(
      WHO.flatMap((who) => DO.map((what) => (who === 'Could you' ? `${who} ${what}?` : `${who} ${what}.`))),
    )
    .slice(0, 190);
  return random.shuffle([
    ...notes.map((text) => row(capitalise(text), 'normal')),
    ...URGENT.map((text) => row(text, 'urgent')),
  ]);
}
