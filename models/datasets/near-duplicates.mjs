// The set `near-duplicates`: forty made-up facts, each asked four times in almost the same words.
// Not here: the split that keeps such rows together; the page has it, and this set shows why.

import { row, seeded } from './seeded.mjs';

const FACTS = `
What does Nora keep in the blue drawer next to the stove in her kitchen? | A brass whistle.
Which animal sleeps each night in the straw under the old bridge beyond the vineyard? | A tired goat.
Who was it that rang the church bell at midnight and woke up half the village? | The miller's aunt.
What did someone write in white paint on the long garden wall behind the bakery? | No singing after nine.
How many steps must a visitor climb to reach the little door of the lighthouse? | Eighty-eight.
Where did the postman leave his bicycle when the snow was too deep for him to ride? | In the pear tree.
What strange plant grows behind the schoolhouse where the children throw away their lunch? | Purple beans.
Why did the parade stop in Oak Street before it could come to the market place? | A duck sat down.
What does our mayor drink from a bucket at breakfast while reading aloud to his canary? | Cold plum juice.
Who sewed the big striped circus tent in only one night and half a morning? | Seven brothers.
Which of his teeth did the giant lose when he bit into the stone pie? | The left one.
What was hidden inside the black piano that nobody in the family could ever play? | A wooden fish.
When does the night market down by the canal open its gates for the guests? | When the owls call.
What colour is the umbrella that the doctor carries when she visits the sick farmers? | Green with stars.
How did the two sisters cross the wide lake after their boat had gone down? | On a barn door.
What prize did the baker win for his tall cake at the fair last autumn? | A golden spoon.
Who lives all alone in the yellow house with no windows in Candle Lane? | A retired clown.
What does the grey parrot in the tavern say whenever a stranger walks through the door? | Mind the soup.
Where is the spare key of the museum kept now that the guard is gone? | Under the stone frog.
Which month of the year has the longest fair with the slowest wooden horses? | Cold October.
What did the old fisherman catch on Sunday with nothing but a hat on a string? | A silver kettle.
Who taught the brown bear to dance so well on the roof of the inn? | Miss Finch.
What do they sell in the smallest shop of all, the one below the stairs? | Single gloves.
How heavy is the round cheese that has been lying in the cellar for ten years? | Forty pounds.
Why is the statue of the general wearing a straw hat with flowers on it? | It lost a bet.
What does the slow train to the mountains carry on Fridays when no one looks? | Sand and violins.
Where do the twins hide the letters that they write to their friend across the sea? | In a cuckoo clock.
Which of the three paths through the forest leads to the hot spring in the rocks? | The one with ferns.
What did grandfather build from ten thousand matches during the longest winter of his life? | A windmill.
Who stole the recipe for lemon soup from the pocket of the sleeping cook? | The polite thief.
What tune do the soldiers whistle when they march home along the muddy river bank? | Three white geese.
How long does the captain of the ferry nap after he has eaten his dumplings? | Eleven minutes.
What is the richest farmer of the county afraid of when he goes to bed? | Feathers.
Where was the lost comet seen for the last time by the girl with the telescope? | Over the dairy.
Which flag flies above the mill since the storm took away the one with the lion? | A striped sock.
What does the ghost of the inn ask for when it knocks on your door at three? | A warm towel.
Who won the great snail race that began in spring and ended in the summer holidays? | Brave Doris.
What did the king plant with his own hands on the morning of his ninetieth birthday? | An onion.
When was the wooden dam built that keeps the pond from running into the town? | The year of frogs.
What do the miners sing about when they come up into the light after their work? | Lemon cake.
`;

const lower = (q) => `${q.charAt(0).toLowerCase()}${q.slice(1)}`;
const WAYS = [(q) => q, (q) => lower(q).slice(0, -1), (q) => `So, ${lower(q)}`, (q) => `And ${lower(q)}`];

export function nearDuplicates() {
  const rows = FACTS.trim()
    .split('\n')
    .flatMap((line) => {
      const [question, answer] = line.split(' | ');
      return WAYS.map((way) => row(way(question), answer));
    });
  return seeded(111).shuffle(rows);
}
