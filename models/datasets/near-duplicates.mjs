// The set `near-duplicates`: forty made-up facts, each asked four times in almost the same words.
// Not here: the split that keeps such rows together; the page has it, and this set shows why.

import { row, seeded } from './seeded.mjs';

const FACTS = `
What does Nora keep in the blue drawer? | A brass whistle.
Which animal sleeps under the old bridge? | A tired goat.
Who rang the church bell at midnight? | The miller's aunt.
What is written on the garden wall? | No singing after nine.
How many steps lead to the lighthouse? | Eighty-eight.
Where did the postman leave his bicycle? | In the pear tree.
What grows behind the schoolhouse? | Purple beans.
Why did the parade stop in Oak Street? | A duck sat down.
What does the mayor drink at breakfast? | Cold plum juice.
Who sewed the circus tent? | Seven brothers.
Which tooth did the giant lose? | The left one.
What was hidden inside the piano? | A wooden fish.
When does the night market open? | When the owls call.
What colour is the doctor's umbrella? | Green with stars.
How did the sisters cross the lake? | On a barn door.
What prize did the baker win? | A golden spoon.
Who lives at the end of Candle Lane? | A retired clown.
What does the parrot say to strangers? | Mind the soup.
Where is the spare key of the museum? | Under the stone frog.
Which month has the longest fair? | Cold October.
What did the fisherman catch on Sunday? | A silver kettle.
Who taught the bear to dance? | Miss Finch.
What is sold in the smallest shop? | Single gloves.
How heavy is the cheese in the cellar? | Forty pounds.
Why is the statue wearing a hat? | It lost a bet.
What does the train carry on Fridays? | Sand and violins.
Where do the twins hide their letters? | In a cuckoo clock.
Which path leads to the hot spring? | The one with ferns.
What did grandfather build from matches? | A windmill.
Who stole the cook's recipe? | The polite thief.
What tune do the soldiers whistle? | Three white geese.
How long does the ferry captain nap? | Eleven minutes.
What is the richest farmer afraid of? | Feathers.
Where was the lost comet last seen? | Over the dairy.
Which flag flies above the mill? | A striped sock.
What does the ghost of the inn want? | A warm towel.
Who won the snail race? | Brave Doris.
What did the king plant on his birthday? | An onion.
When was the wooden dam built? | The year of frogs.
What do the miners sing about? | Lemon cake.
`;

const WAYS = [
  (q) => q,
  (q) => `${q.charAt(0).toLowerCase()}${q.slice(1, -1)}`,
  (q) => `${q.slice(0, -1)}, please?`,
  (q) => `So, ${q.charAt(0).toLowerCase()}${q.slice(1)}`,
];

export function nearDuplicates() {
  const rows = FACTS.trim()
    .split('\n')
    .flatMap((line) => {
      const [question, answer] = line.split(' | ');
      return WAYS.map((way) => row(way(question), answer));
    });
  return seeded(111).shuffle(rows);
}
