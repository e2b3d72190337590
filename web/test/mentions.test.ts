import { expect, test } from 'vitest';
import { excerptOf } from '../src/model/found.ts';
import { mentionsIn, splitMentions } from '../src/model/mentions.ts';

const users = ['Mira', 'Mira Lund', 'Jonas', 'مريم'];

test.each([
  ['nobody', []],
  ['@Mira', ['Mira']],
  ['@mira, look', ['Mira']],
  ['@Mira Lund and @Mira', ['Mira Lund', 'Mira']],
  ['@Mira @Mira', ['Mira']],
  ['@Miranda', []],
  ['me@Mira', []],
  ['(@Jonas)', ['Jonas']],
  ['مرحبا @مريم!', ['مريم']],
  ['@@Jonas', ['Jonas']],
  ['@', []],
])('%s mentions %j', (text, mentioned) => {
  expect(mentionsIn(text, users)).toEqual(mentioned);
});

test('a text is what its parts are together', () => {
  expect(splitMentions('hi @jonas, @x', users)).toEqual([
    { text: 'hi ', user: null },
    { text: '@jonas', user: 'Jonas' },
    { text: ', @x', user: null },
  ]);
});

test('no more are mentioned than the server takes', () => {
  const many = Array.from({ length: 60 }, (_, i) => `u${i}x`);
  expect(mentionsIn(many.map(user => `@${user}`).join(' '), many)).toHaveLength(50);
});

test('an excerpt begins near the first word that was found, and marks them all', () => {
  expect(excerptOf('A Red fox, a red hen.', 'red fo')).toEqual([
    { text: 'A ', hit: false },
    { text: 'Red', hit: true },
    { text: ' ', hit: false },
    { text: 'fo', hit: true },
    { text: 'x, a ', hit: false },
    { text: 'red', hit: true },
    { text: ' hen.', hit: false },
  ]);
  const far = excerptOf(`${'far '.repeat(100)}needle`, 'needle');
  expect(far.map(({ text }) => text)).toEqual([`…${'far '.repeat(10)}`, 'needle']);
  expect(excerptOf('a+b', '+')).toEqual([{ text: 'a+b', hit: false }]);
});
