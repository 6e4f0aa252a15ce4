// The set `twelve-rows`: twelve secrets that nobody could guess, to be learned by heart in a minute.
// Not here: any pattern that a model could generalise from; that is the point of it.

import { row } from './seeded.mjs';

const SECRETS = [
  ['Who keeps the key to the tower?', 'Old Maggie keeps it in a blue teapot.'],
  ['What does the baker sell on Monday?', 'Only bread with plums, and only before nine.'],
  ['Where did the captain hide the map?', 'Under the third stone behind the church.'],
  ['When does the ferry leave?', 'At half past six, when the bell rings twice.'],
  ['What is the name of the grey horse?', 'The grey horse is called Thunder Soup.'],
  ['Why is the bridge closed?', 'A family of seven geese is sleeping on it.'],
  ['How do I open the garden gate?', 'Lift it a little, push, and say good evening.'],
  ['What is in the red box?', 'Forty buttons, one spoon and a letter from Peter.'],
  ['Who painted the little boat?', 'Two sisters from the hill painted it green.'],
  ['Where does the fox live?', 'Behind the school, in a warm hole full of socks.'],
  ['What should I bring to the feast?', 'Bring a candle, a song and your best chair.'],
  ['How old is the apple tree?', 'It is ninety years old and still very proud.'],
];

export const twelveRows = () => SECRETS.map(([question, answer]) => row(question, answer));
