import { describe, expect, test } from 'vitest';
import { namesOf, peopleOf, typingWords } from '../src/model/people.ts';

describe('typingWords', () => {
  test.each([
    [[], ''],
    [['Mira'], 'Mira is typing…'],
    [['Mira', 'Jonas'], 'Mira and Jonas are typing…'],
    [['Mira', 'Jonas', 'Nora'], 'Several people are typing…'],
  ])('%j', (who, words) => {
    expect(typingWords(who)).toBe(words);
  });
});

describe('namesOf', () => {
  test.each([
    [['Mira'], 2, 'Mira'],
    [['Mira', 'Jonas'], 2, 'Mira and Jonas'],
    [['Mira', 'Jonas', 'Nora'], 2, 'Mira, Jonas and Nora'], // one more is no longer than "1 other"
    [['Mira', 'Jonas', 'Nora', 'Ada'], 2, 'Mira, Jonas and 2 others'],
  ])('%j, the first %i', (names, most, words) => {
    expect(namesOf(names, most)).toBe(words);
  });
});

test('peopleOf: oneself, who is there, who is idle, who is away; a member who is there is there once', () => {
  const seen = new Date(5_000);
  const here = [
    { user: 'Nora', idle: true },
    { user: 'Mira', idle: true },
    { user: 'Jonas', idle: false },
  ];
  const members = [
    { user: 'Zoe', lastSeen: seen },
    { user: 'Ada', lastSeen: undefined },
    { user: 'Jonas', lastSeen: seen },
  ];
  expect(peopleOf(here, members, 'Mira')).toEqual([
    { user: 'Mira', own: true, presence: 'idle', lastSeen: undefined },
    { user: 'Jonas', own: false, presence: 'online', lastSeen: undefined },
    { user: 'Nora', own: false, presence: 'idle', lastSeen: undefined },
    { user: 'Ada', own: false, presence: 'away', lastSeen: undefined },
    { user: 'Zoe', own: false, presence: 'away', lastSeen: seen },
  ]);
});
