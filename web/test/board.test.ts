import type { LostWrite } from 'roomlog';
import { describe, expect, test } from 'vitest';
import { cardsOf, gone, made, moved, partsOf, since } from '../src/board/cards.ts';
import { whileCarried } from '../src/board/carry.ts';
import { lossWords } from '../src/board/losses.ts';
import { rankBetween } from '../src/board/rank.ts';

describe('ranks', () => {
  test('there is one between any two, however often one asks, and it never ends with the lowest digit', () => {
    let seed = 42; // the test is the same each time
    const next = (below: number) => {
      seed = (seed * 48_271) % 0x7fffffff;
      return seed % below;
    };
    const ranks: string[] = [];
    for (let i = 0; i < 2_000; i++) {
      const at = [0, ranks.length, next(ranks.length + 1)][i % 3] as number;
      const rank = rankBetween(ranks[at - 1], ranks[at]);
      expect(rank > (ranks[at - 1] ?? '')).toBe(true);
      if (ranks[at] !== undefined) expect(rank < (ranks[at] as string)).toBe(true);
      expect(rank).not.toMatch(/0$/);
      ranks.splice(at, 0, rank);
    }
    expect(new Set(ranks).size).toBe(ranks.length);
    // Always between the same two is the worst that people do.
    let [low, high] = ['U', 'V'];
    for (let i = 0; i < 200; i++)
      [low, high] = i % 2 ? [rankBetween(low, high), high] : [low, rankBetween(low, high)];
    expect(low < high).toBe(true);
    expect(low.length).toBeLessThan(45);
  });

  test('what others wrote is taken as it is: the same twice, nonsense, the wrong way round', () => {
    for (const [low, high] of [
      ['U', 'U'],
      ['V', 'U'],
      ['a', 'a0'],
      ['', '0'],
      ['~~', '~'],
      ['é', 'ü'],
    ] as const)
      expect(rankBetween(low, high)).toMatch(/./);
  });
});

describe('cards', () => {
  const card = { id: 'x1', title: 'Hall', text: '', column: 'todo', rank: 'U' };

  test('are made of one key for each field, and gone when any has none of a place', () => {
    const values = {
      ...made(card),
      ...made({ ...card, id: 'x2', rank: 'A' }),
      'card/x3/title': 'left over',
      'other/x': 1,
    };
    expect(
      cardsOf(values)
        .get('todo')
        ?.map(({ id }) => id),
    ).toEqual(['x2', 'x1']);
    expect([...cardsOf(values).values()].flat()).toHaveLength(2);
    expect(Object.values(gone('x1'))).toEqual([null, null, null, null]);
    expect(cardsOf({ ...values, 'card/x1/rank': 7, 'card/x2/column': 'nowhere' }).get('todo')).toHaveLength(
      1,
    );
  });

  test('a move writes the place of one card only', () => {
    const others = [
      { ...card, id: 'a', rank: 'A' },
      { ...card, id: 'b', rank: 'B' },
    ];
    const patch = moved('x1', 'done', others, 1);
    expect(Object.keys(patch).sort()).toEqual(['card/x1/column', 'card/x1/rank']);
    expect((patch['card/x1/rank'] as string) > 'A' && (patch['card/x1/rank'] as string) < 'B').toBe(true);
  });

  test('one that is carried is shown where it would be put down, and one that is gone is not', () => {
    const cards = cardsOf({ ...made(card), ...made({ ...card, id: 'x2', column: 'done' }) });
    const carried = { id: 'x1', title: 'Hall', by: 'keys', column: 'done', index: 1, x: 0, y: 0 } as const;
    expect(
      whileCarried(cards, carried)
        .get('done')
        ?.map(({ id }) => id),
    ).toEqual(['x2', 'x1']);
    expect(whileCarried(cards, carried).get('todo')).toEqual([]);
    expect(whileCarried(cards, { ...carried, id: 'gone' }).get('done')).toHaveLength(1);
  });

  test('keys of something else are nobody’s, and times are never in the future', () => {
    expect(partsOf('card/x1/title')).toEqual({ id: 'x1', field: 'title' });
    for (const key of ['card/x1/colour', 'card/x1/title/x', 'card//title', '__proto__', 'pane/x/title'])
      expect(partsOf(key)).toBeNull();
    expect(since(new Date(10_000), 9_000)).toBe('just now');
    expect(since(new Date(10_000), 12_400)).toBe('2 s ago');
    expect(since(new Date(0), 150_000)).toBe('2 min ago');
  });
});

test('a loss says who won, of what, and from what', () => {
  const lost = {
    key: 'card/x1/title',
    mine: 'Hall',
    theirs: 'Barn',
    by: 'Nora',
    error: undefined,
  } as LostWrite;
  expect(lossWords(lost, 'title', 'Barn')).toBe('Nora changed the title after you, from “Hall”.');
  expect(lossWords({ ...lost, theirs: undefined }, 'title', 'Hall')).toBe(
    'Nora deleted “Hall” after your change.',
  );
  expect(lossWords(lost, 'column', 'Hall')).toBe('Nora moved “Hall” after you.');
  expect(lossWords({ ...lost, theirs: undefined }, 'text', 'Hall')).toBe(
    'Nora removed the text after you wrote it.',
  );
});
