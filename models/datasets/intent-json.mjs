// The set `intent-json`: a request to a helper in the house → one line of JSON with the intent and its slots.
// Not here: the check that scores answers; it belongs to whoever evaluates.

import { capitalise, row, seeded } from './seeded.mjs';

const NUMBERS = [
  [2, 'two'],
  [3, 'three'],
  [4, 'four'],
  [5, 'five'],
  [6, 'six'],
  [7, 'seven'],
  [8, 'eight'],
  [9, 'nine'],
  [10, 'ten'],
  [12, 'twelve'],
];
const SLOTS = {
  room: ['kitchen', 'bedroom', 'hall', 'garden', 'office', 'bathroom', 'attic', 'cellar'],
  state: ['on', 'off'],
  day: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday', 'today', 'tomorrow'],
  food: [
    'milk',
    'bread',
    'eggs',
    'tea',
    'butter',
    'apples',
    'cheese',
    'rice',
    'salt',
    'sugar',
    'honey',
    'fish',
  ],
  who: [
    'Anna',
    'Tom',
    'Mary',
    'Peter',
    'Mother',
    'Father',
    'the doctor',
    'the school',
    'Aunt Rose',
    'Uncle Ben',
  ],
  kind: ['jazz', 'piano', 'folk', 'dance', 'quiet', 'happy', 'sad', 'old', 'loud', 'new'],
  number: NUMBERS,
};

// Each intent: its slot names and the ways to ask; `{slot}` is filled in.
const INTENTS = {
  lights: {
    slots: ['room', 'state'],
    ways: [
      'Turn the light in the {room} {state}.',
      'Lights {state} in the {room}, please.',
      'Can you switch {state} the {room} light?',
      'Please put the {room} lamp {state}.',
      'I want the light {state} in the {room}.',
      'Switch the lamps of the {room} {state}.',
      '{room} light {state}!',
      'Would you turn {state} the lamp in the {room}?',
      'Make sure the {room} light is {state}.',
    ],
  },
  timer: {
    slots: ['number'],
    ways: [
      'Set a timer for {number} minutes.',
      'Wake me in {number} minutes.',
      'Tell me when {number} minutes are over.',
      'Ring in {number} minutes, please.',
      'I need a timer of {number} minutes.',
      'The eggs need {number} minutes.',
      'Count down {number} minutes.',
      'Let the bell ring in {number} minutes.',
      'Give me {number} minutes for my tea.',
    ],
  },
  weather: {
    slots: ['day'],
    ways: [
      'Will it rain on {day}?',
      'How is the weather on {day}?',
      'Is it cold on {day}?',
      'Will the sun shine on {day}?',
      'Do I need a coat on {day}?',
      'What will the sky be like on {day}?',
      'Tell me the weather for {day}.',
      'Is there snow on {day}?',
      'How warm will it be on {day}?',
    ],
  },
  shopping: {
    slots: ['food'],
    ways: [
      'Put {food} on the list.',
      'We need {food}.',
      'Add {food} to my shopping list.',
      'Write down {food} for the shop.',
      'I have to buy {food}.',
      'There is no more {food} in the house.',
      'Please remember the {food}.',
      'We are out of {food}.',
      'Do not let me forget to buy {food}.',
    ],
  },
  call: {
    slots: ['who'],
    ways: [
      'Call {who}.',
      'Can you call {who} for me?',
      'I want to talk to {who}.',
      'Get {who} on the phone.',
      'Please ring up {who}.',
      'Phone {who} now.',
      'I must speak with {who}.',
      'Let me talk with {who}, please.',
      'Make a call to {who}.',
    ],
  },
  music: {
    slots: ['kind'],
    ways: [
      'Play some {kind} music.',
      'I want to hear {kind} songs.',
      'Put on {kind} music, please.',
      'Let us hear a {kind} song.',
      'Can you play something {kind}?',
      'Some {kind} music would be nice.',
      'Start the {kind} music.',
      'I feel like {kind} songs.',
      'Find me a {kind} song.',
    ],
  },
  none: {
    slots: [],
    ways: [
      'What is two and two?',
      'You are funny.',
      'I had a long day.',
      'The cat is on the chair.',
      'My shoes are wet.',
      'Do you like me?',
      'Hello there.',
      'This is a nice house.',
      'I lost my hat.',
      'Who are you?',
      'Tell me a story.',
      'My name is Sam.',
      'It is late.',
      'I like the sea.',
      'That was good.',
      'What a mess!',
      'He went to school.',
      'Good morning.',
      'Nobody is here.',
      'I am so tired.',
      'Where do birds sleep?',
      'Never mind.',
      'Thank you.',
      'Ha ha!',
    ],
  },
};

/** The answer, in the one spelling that counts as right. */
export function answerOf(intent, slots) {
  const parts = Object.entries(slots).map(([key, value]) => `, "${key}": ${JSON.stringify(value)}`);
  return `{"intent": "${intent}"${parts.join('')}}`;
}

export function intentJson(perIntent = 36) {
  const random = seeded(77);
  const rows = [];
  for (const [intent, { slots, ways }] of Object.entries(INTENTS)) {
    const way = random.deck(ways);
    const decks = Object.fromEntries(slots.map((slot) => [slot, random.deck(SLOTS[slot])]));
    const seen = new Set();
    while (seen.size < Math.min(perIntent, slots.length ? perIntent : ways.length)) {
      const values = {};
      let text = way();
      for (const slot of slots) {
        const value = decks[slot]();
        const [asked, answered] =
          slot === 'number' ? [random.pick(value.map(String)), value[0]] : [value, value];
        text = text.replace(`{${slot}}`, asked);
        values[slot === 'number' ? 'minutes' : slot] = answered;
      }
      text = capitalise(text.replace(/on (today|tomorrow)/, '$1').replace(/for (today|tomorrow)/, 'for $1'));
      if (seen.has(text)) continue;
      seen.add(text);
      rows.push(row(text, answerOf(intent, values)));
    }
  }
  return random.shuffle(rows);
}
