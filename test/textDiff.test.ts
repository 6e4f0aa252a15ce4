// The difference of two short texts: nothing of either is lost, and only what differs is marked.
// Not here: how it looks on the page.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textDiff } from '../src/ui/data/textDiff';

const side = (before: string, after: string, without: string) =>
  textDiff(before, after)
    .filter(({ kind }) => kind !== without)
    .map(({ text }) => text)
    .join('');

test('both texts can be read from the pieces', () => {
  const text = fc
    .array(fc.constantFrom('a', 'b', ' ', ',', '"', 'Ö', '😀', '\n'), { maxLength: 30 })
    .map((all) => all.join(''));
  fc.assert(
    fc.property(text, text, (before, after) => {
      expect(side(before, after, 'new')).toBe(before);
      expect(side(before, after, 'gone')).toBe(after);
    }),
  );
});

test('only what differs is marked, in words', () => {
  expect(textDiff("{'role': 'user'}", '{"role": "user"}')).toEqual([
    { kind: 'same', text: '{' },
    { kind: 'gone', text: "'" },
    { kind: 'new', text: '"' },
    { kind: 'same', text: 'role' },
    { kind: 'gone', text: "'" },
    { kind: 'new', text: '"' },
    { kind: 'same', text: ': ' },
    { kind: 'gone', text: "'" },
    { kind: 'new', text: '"' },
    { kind: 'same', text: 'user' },
    { kind: 'gone', text: "'" },
    { kind: 'new', text: '"' },
    { kind: 'same', text: '}' },
  ]);
  expect(textDiff('the same', 'the same')).toEqual([{ kind: 'same', text: 'the same' }]);
  expect(textDiff('x '.repeat(800), 'y '.repeat(800)).length).toBe(3);
});
