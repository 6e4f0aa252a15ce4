// Two sets that show what labels do: `shuffled-labels` (nothing to learn but the rows) and `imbalanced-labels` (92.5 % one answer).
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
/** Fifteen kinds of danger, told calmly: no cries and no word that they share. */
const URGENT = [
  'I can smell gas near the stove.',
  'The iron is still on and we have all left the house.',
  'Grandfather says that his chest feels tight and his arm is cold.',
  'The baby swallowed one of the blue buttons.',
  'There is smoke behind the kitchen door.',
  'The little boy went to the river alone an hour ago.',
  'My sister ate a nut and now her face is swelling.',
  'Water is running down the wall into the light switch.',
  'The dog bit the postman and the cut does not stop bleeding.',
  'Ann hit her head on the step and does not know where she is.',
  'A wire came down in the storm and the children play next to it.',
  'Grandmother took twice as many pills as she should.',
  'Someone is trying the lock of the back door.',
  'The brakes of the old car are gone and Tom is driving home.',
  'Paul slipped off the ladder and cannot feel his leg.',
];

/** Everyday reports in the words of those above, so that no single word gives the label away. */
const REPORTS = [
  'I can smell fresh bread near the oven.',
  'The man from the gas company comes on Monday.',
  'The new stove is smaller than the old one.',
  'We cooked soup on the gas stove and it was good.',
  'The iron is cold and back in its box.',
  'We have all left our coats in the hall.',
  'The light in the shed is still on.',
  'The house next to ours is for sale.',
  'Grandfather says that his tea is cold.',
  'Grandfather keeps his tools in the old chest.',
  'His arm is better and he can play again.',
  'The sleeve of the blue shirt is too tight.',
  'The baby found one of the blue buttons under the bed.',
  'The baby sleeps well now.',
  'The birds swallowed all the crumbs.',
  'My coat has lost two buttons.',
  'There is a broom behind the kitchen door.',
  'The smoke from the garden fire went over the wall yesterday.',
  'The kitchen smells of apples and smoke from the old oven.',
  'The fire in the living room is out and the ashes are cold.',
  'The little boy went to the river with his father.',
  'The boy next door can swim alone now.',
  'The river is low this summer.',
  'We walked along the river for an hour.',
  'My sister ate the nut cake and liked it.',
  'My sister has a new face cream.',
  'The nut tree in the garden is ten years old.',
  'The buds on the rose are swelling.',
  'Water is cheaper this year.',
  'The wall beside the window is dry again.',
  'The light switch in the hall is white.',
  'The tap does not drip any more.',
  'The dog barked at the postman and then he went to sleep.',
  'The postman brought two letters and a parcel.',
  'The cut on my hand is healed.',
  'The dog bit a hole in the old ball.',
  'Ann hit the ball over the hedge.',
  'Ann does not know where her blue pen is.',
  'The last step of the stairs makes a noise.',
  'My head is full of songs today.',
  'The storm is over and the sky is clear.',
  'The children play next to the pond with their teacher.',
  'A branch came down in the storm and we made a bench of it.',
  'The wire for the beans is in the shed.',
  'Grandmother took twice as many plums as last year.',
  'Grandmother has her pills in a box with the days on it.',
  'The doctor says that she can stop taking the pills.',
  'She should come at four and not at five.',
  'Someone left a basket at the back door.',
  'The lock of the shed is new.',
  'The back door is green now.',
  'Someone is singing in the street.',
  'The old car has new brakes.',
  'Tom is driving home on Sunday.',
  'The car is clean and the windows are shut.',
  'Our old bike is gone because Tom sold it.',
  'Paul slipped the letter under the door.',
  'The ladder is back in the barn.',
  'Paul can feel that spring is near.',
  'The leg of the table is mended.',
];

/** 125 everyday requests and 60 everyday reports answered `normal`, and fifteen reports of danger answered `urgent`. */
export function imbalancedLabels() {
  const random = seeded(99);
  const notes = random
    .shuffle(
      WHO.flatMap((who) => DO.map((what) => (who === 'Could you' ? `${who} ${what}?` : `${who} ${what}.`))),
    )
    .slice(0, 125);
  return random.shuffle([
    ...notes.map((text) => row(capitalise(text), 'normal')),
    ...REPORTS.map((text) => row(text, 'normal')),
    ...URGENT.map((text) => row(text, 'urgent')),
  ]);
}
