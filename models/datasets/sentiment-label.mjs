// The set `sentiment-label`: a short review → one word. Every sentence was written by hand.
// Not here: the control sets made from it (label-controls.mjs).

import { row, seeded } from './seeded.mjs';

const POSITIVE = `
I love this lamp. It gives a warm and lovely light.
A great book. I read it twice and was happy each time.
The soup was hot, fresh and very good.
What a beautiful coat! It is soft and warm.
The best chair we have ever had in the house.
My children were so happy with the little boat.
Very kind people, and a quick answer to my letter.
The tea tastes wonderful. I will buy it again.
It came early and it works very well.
I am glad I found this shop. Everything was perfect.
A delightful story with a good ending.
The room was clean, bright and quiet. We loved it.
Good price and a strong bag. I am very pleased.
The bread is fresh every morning and tastes great.
We laughed all evening. A wonderful play!
This clock is pretty and keeps good time.
The cake was sweet and soft. Everyone loved it.
Thank you for the beautiful flowers. My mother was delighted.
The bed is so soft that I sleep very well.
An excellent teacher. My son learns with joy.
The shoes fit well and are a pleasure to wear.
Such a lovely garden, and a friendly welcome.
The film was funny and charming from start to end.
I would gladly pay twice as much for this table.
Nice colours, fine cloth, and a quick delivery.
The music was lovely and the singer was excellent.
Our dog loves his new ball. He plays with it happily.
It is easy to use and it looks beautiful.
The waiter was kind and the food was excellent.
A pleasant walk, a friendly guide, a perfect day.
The jam is delicious. The jar was empty in a day.
My best purchase this year. I am delighted.
The hat is charming, and it keeps me warm.
They helped me at once and were very friendly.
A strong box, well made, and a fair price.
The pictures in this book are beautiful.
I enjoyed every page and was sad when it ended. Wonderful!
The kettle is quick and quiet. I like it a lot.
Fresh fruit, sweet and good. We are very pleased.
The hotel was lovely, and breakfast was delicious.
This soap smells wonderful and my hands feel soft.
My friend was pleased with her gift. Thank you!
The blanket is thick, soft and warm. Perfect for winter.
Great fun for the whole family. We love this game.
The pen writes well and feels nice in the hand.
A brave and charming hero. I loved the story.
They mended my watch quickly and for a good price.
The best pie in town, fresh and full of apples.
Everything worked at once. Excellent!
The view was beautiful and the air was fresh.
I like the cup very much. The blue is so pretty.
A warm welcome and a delicious supper.
He was a kind driver and we came home safe and happy.
This toy is strong and my daughter plays with it every day. Great!
I enjoyed the concert. The band was wonderful.
The mirror is perfect in our hall. We like it.
Good cheese, good bread, and friendly people.
The scarf is lovely and so is the little card.
My knee feels much better. An excellent doctor.
The knife is sharp and strong. I am glad I bought it.
A quiet, clean train and a pleasant journey.
The lesson was fun, and I learned a lot. Thank you.
These socks are warm and pretty. I love them.
The chocolate is delicious, rich and sweet.
It looks better than the picture. I am so happy.
A fine shop with kind and helpful people.
The puzzle was clever and we enjoyed it.
The candle burns long and smells sweet. Lovely.
The ride was smooth, safe and quick. Well done.
My plants grow strong and green. I am delighted.
The best holiday of my life. Perfect!
The radio sounds clear and good. I like it.
A clever and funny book. My class loved it.
They gave us a better room with a smile. Excellent!
The dress fits well and the colour is wonderful.
The ice cream was delicious and the price was fair.
I am pleased with the gloves. They are soft and warm.
A beautiful house with a friendly owner.
The coffee is strong and good. I enjoy it each day.
The little bear is so charming. Our baby loves it.
`;

const NEGATIVE = `
I hate this lamp. It broke on the first day.
A boring book. I was tired after ten pages.
The soup was cold and tasted awful.
What an ugly coat! It is thin and rough.
The worst chair we have ever had. It hurts my back.
The boat sank at once and my children cried.
Very rude people, and no answer to my letter.
The tea tastes bad. I will never buy it again.
It came late and it does not work.
I am angry with this shop. Everything was wrong.
A stupid story with a terrible ending.
The room was dirty, dark and noisy. We left.
Too expensive, and the bag tore. I want my money back.
The bread was old, hard and dry.
We were bored all evening. A dreadful play.
This clock is ugly and always wrong.
The cake was dry and hard. Nobody liked it.
The flowers were dead when they came. My mother was sad.
The bed is so hard that I cannot sleep.
A terrible teacher. My son is afraid of him.
The shoes hurt my feet and fell apart.
Such a sad garden, and a very rude welcome.
The film was slow, boring and far too long.
I would not pay a penny for this broken table.
Ugly colours, cheap cloth, and a late delivery.
The music was too loud and the singer was awful.
Our dog hates the ball. It smells bad and it tore.
It is hard to use and it looks cheap.
The waiter was rude and the food was cold.
A horrible walk in the rain with a lazy guide.
The jam is sour. I threw the jar away.
My worst purchase this year. What a waste of money.
The hat is ugly, and it fell apart in the rain.
They never helped me and were very rude.
A weak box, badly made, and far too expensive.
The pictures in this book are ugly and dull.
I hated every page and was glad when it ended.
The kettle is slow and noisy, and now it leaks.
Rotten fruit, sour and bad. We are very angry.
The hotel was dirty, and breakfast was awful.
This soap smells horrible and my hands hurt.
My friend was disappointed with her gift. It was broken.
The blanket is thin and rough. Useless in winter.
No fun at all. We are bored with this game.
The pen leaks and does not write. Useless.
A dull and stupid hero. I hated the story.
They broke my watch and still wanted money. Terrible.
The worst pie in town, cold and full of salt.
Nothing worked. I am very disappointed.
The view was spoiled and the air smelled bad.
I dislike the cup. It was dirty and it leaks.
A cold welcome and a horrible supper.
He was a rude driver and we came home late and angry.
This toy is weak and broke in a day. My daughter cried.
I left the concert early. The band was dreadful.
The mirror came broken. Nobody said sorry.
Bad cheese, old bread, and rude people.
The scarf is rough and it lost its colour. Awful.
My knee feels much worse. A terrible doctor.
The knife is dull and weak. A waste of money.
A noisy, dirty train and a horrible journey.
The lesson was dull, and I learned nothing.
These socks have holes already. I hate them.
The chocolate was old and tasted of soap. Dreadful.
It looks worse than the picture. I am so disappointed.
A bad shop with lazy and rude people.
The puzzle was dull, and three pieces were missing.
The candle smells awful and will not burn.
The ride was rough, slow and late. Never again.
All my plants died. I am very sad and angry.
The worst holiday of my life. Terrible!
The radio makes a horrible noise. I hate it.
A boring and stupid book. My class hated it.
They gave us a cold room with a broken window.
The dress is too small and the colour is wrong. Dreadful.
The ice cream was sour and far too expensive.
I am disappointed with the gloves. They tore at once.
An ugly house with an angry owner.
The coffee is weak and bad. I threw it away.
The little bear lost an arm on the first day. Useless.
`;

const NEUTRAL = `
The lamp is made of glass and stands on the desk.
The book has two hundred pages and a green cover.
The soup is sold in bowls of two sizes.
The coat comes in black, brown and grey.
This is the chair that was shown in the list.
The boat is ten inches long and has one sail.
I sent a letter on Monday and got one on Thursday.
The tea comes in a box of twenty bags.
It came on Tuesday in a paper box.
The shop is on the corner, next to the bank.
The story is about a man who goes to sea.
The room has two windows and one door.
The bag holds six books or four bottles.
The bread is made at five in the morning.
The play has three acts and lasts two hours.
This clock has a round face and black hands.
The cake is cut into eight pieces.
The flowers were sent on the third of May.
The bed is two yards long and one yard wide.
The teacher comes on Monday and on Friday.
The shoes are size nine and have brown laces.
The garden lies behind the house, by the road.
The film begins at eight and ends at ten.
The table has four legs and one drawer.
The cloth is half wool and half cotton.
The music starts after the bell rings.
The ball is red and as big as an apple.
It has three buttons and runs on two batteries.
The waiter brings the list, and then you order.
The walk goes from the church to the river.
The jam is sold in jars of one pound.
I bought it in March and used it in April.
The hat has a wide brim and a black band.
They open at nine and close at six.
The box is made of wood and has a lid.
The book has a picture on every second page.
I read the first part on the train.
The kettle holds two pints of water.
The fruit comes from a farm in the south.
The hotel has forty rooms on three floors.
This soap is white and comes in a pack of four.
My friend got the parcel on Wednesday.
The blanket is two yards wide and grey.
The game is for two to four players.
The pen uses black or blue ink.
The hero lives in a village near the sea.
They keep the watch for a week and send it by post.
The pie is sold whole or by the piece.
The paper in the box tells you where the parts go.
The road goes up the hill and then down again.
The cup is blue and holds half a pint.
Supper is at seven in the large hall.
The driver stops at the station and at the market.
This toy is made of wood and has four wheels.
The concert is on Saturday in the town hall.
The mirror is one yard high and hangs on a nail.
The cheese is cut from a large round piece.
The scarf is as long as the door is high.
The doctor sees people from ten until four.
The knife is six inches long with a wooden handle.
The train leaves at noon and stops in two towns.
The lesson lasts one hour and is on the first floor.
These socks are sold in packs of three.
The chocolate is sold in bars and in boxes.
The picture shows the front and the back.
The shop has two doors and a window on the street.
The puzzle has five hundred pieces.
The candle is white and eight inches high.
The ride takes twenty minutes from the bridge.
The plants stand by the window in the kitchen.
The holiday is one week in June.
The radio has a dial on the left side.
The class read the book in the second week.
They gave us the room on the second floor.
The dress is long and has a row of buttons.
The ice cream comes in three sizes.
The gloves are black and come in a paper bag.
The house has a red roof and stands by the road.
The coffee comes from the hills and is sold by the pound.
The little bear is brown and sits on the shelf.
`;

const lines = (text) => text.trim().split('\n');

/** `[text, label]` pairs, 80 of each label, in a fixed shuffled order. */
export function reviews() {
  const all = [
    ...lines(POSITIVE).map((text) => [text, 'positive']),
    ...lines(NEGATIVE).map((text) => [text, 'negative']),
    ...lines(NEUTRAL).map((text) => [text, 'neutral']),
  ];
  return seeded(22).shuffle(all);
}

export const sentimentLabel = () => reviews().map(([text, label]) => row(text, label));
