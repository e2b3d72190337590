import { describe, expect, test } from 'vitest';
import { edgeOf } from '../src/cursors/edge.ts';
import { behindMs, pointOf, Track } from '../src/cursors/track.ts';
import { comingWords, hueOf, initialsOf } from '../src/cursors/who.ts';

describe('between the updates of a pointer', () => {
  const straight = new Track({ x: 0, y: 0.5 }, 1_000);
  for (let i = 1; i <= 10; i++) straight.add({ x: i / 10, y: 0.5 }, 1_000 + i * 50);

  test('it is where it was said to be, and on a straight way at even speed', () => {
    const times = Array.from({ length: 40 }, (_, i) => 1_060 + i * 10); // at even speed from the second update on
    for (const time of times) {
      expect(straight.at(time).x).toBeCloseTo((time - 1_000) / 500, 6);
      expect(straight.at(time).y).toBeCloseTo(0.5, 6);
    }
  });

  test('it turns without an angle: no step is much longer than those beside it', () => {
    const circle = (i: number) => ({ x: 0.5 + 0.3 * Math.cos(i / 4), y: 0.5 + 0.3 * Math.sin(i / 4) });
    const track = new Track(circle(0), 1_000);
    for (let i = 1; i <= 20; i++) track.add(circle(i), 1_000 + i * 50);
    const shown = Array.from({ length: 90 }, (_, i) => track.at(1_100 + i * 10));
    const turns = shown.slice(2).map((point, i) => {
      const [a, b] = [shown[i], shown[i + 1]];
      if (!a || !b) throw new Error('there are more');
      return Math.abs(Math.atan2(point.y - b.y, point.x - b.x) - Math.atan2(b.y - a.y, b.x - a.x));
    });
    // A circle in steps of 10 ms turns by 0.05 each; straight lines would turn by 0.25 at each update, and not at all between.
    expect(Math.max(...turns.map(turn => Math.min(turn, 2 * Math.PI - turn)))).toBeLessThan(0.15);
  });

  test('it stops where the last update says, for ever', () => {
    expect(straight.restsAt(1_499)).toBe(false);
    expect(straight.restsAt(1_500)).toBe(true);
    expect(straight.at(9_999_999)).toEqual({ x: 1, y: 0.5 });
  });

  test('after a rest it sets out from where it stood, and does not leap', () => {
    const track = new Track({ x: 0.2, y: 0.2 }, 1_000);
    expect(track.at(5_000)).toEqual({ x: 0.2, y: 0.2 });
    track.add({ x: 0.3, y: 0.2 }, 9_000);
    expect(track.at(9_000 - behindMs)).toEqual({ x: 0.2, y: 0.2 });
    expect(track.at(8_975).x).toBeGreaterThan(0.2);
    expect(track.at(8_975).x).toBeLessThan(0.3);
    expect(track.at(9_000)).toEqual({ x: 0.3, y: 0.2 });
  });

  test('updates that come at once are taken, and nothing leaves the area', () => {
    const track = new Track({ x: 0.9, y: 0.1 }, 1_000);
    for (const [x, at] of [
      [1, 1_050],
      [0.2, 1_050],
      [0.25, 1_100],
    ] as const)
      track.add({ x, y: 1 - x }, at);
    for (let time = 1_000; time <= 1_200; time++) {
      const { x, y } = track.at(time);
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x).toBeLessThanOrEqual(1);
      expect(y).toBeGreaterThanOrEqual(0);
    }
    expect(track.at(1_200)).toEqual({ x: 0.25, y: 0.75 });
  });
});

test('what others broadcast is a place or nothing', () => {
  expect(pointOf({ x: 0.25, y: 1 })).toEqual({ x: 0.25, y: 1 });
  expect(pointOf({ x: -3, y: 7 })).toEqual({ x: 0, y: 1 });
  for (const data of [null, undefined, 7, 'x', [], {}, { x: 1 }, { x: '1', y: 1 }, { x: Number.NaN, y: 0 }])
    expect(pointOf(data)).toBeNull();
});

test('the sign of a pointer out of sight stands at the edge on the way to it', () => {
  const size = { width: 400, height: 300 };
  expect(edgeOf(0, 300, size)).toBeNull();
  expect(edgeOf(200, 150, size)).toBeNull();
  expect(edgeOf(900, 150, size)).toEqual({ left: 394, top: 150, angle: 0 });
  expect(edgeOf(-100, 150, size)).toEqual({ left: 6, top: 150, angle: Math.PI });
  expect(edgeOf(200, 800, size)).toEqual({ left: 200, top: 294, angle: Math.PI / 2 });
  const corner = edgeOf(-494, -494, size);
  expect(corner).toMatchObject({ left: 6, top: 6 });
  expect(corner?.angle).toBeCloseTo((-3 * Math.PI) / 4, 6);
});

test('a person has the same colour and initials everywhere', () => {
  const users = Array.from({ length: 400 }, (_, i) => `Guest ${i}`);
  const hues = new Map<number, number>();
  for (const user of users) hues.set(hueOf(user), (hues.get(hueOf(user)) ?? 0) + 1);
  expect([...hues.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(Math.min(...hues.values())).toBeGreaterThan(25);
  expect(hueOf('Mira')).toBe(hueOf('Mira'));
  for (const [user, initials] of [
    ['Mira', 'Mi'],
    ['ada lovelace', 'AL'],
    ['Jean-Luc de la Tour', 'JT'],
    ['Mira #7', 'M7'],
    ['Mira #17', 'M17'],
    ['👩‍🚀', '👩\u200d'],
    ['李', '李'],
    ['..', '..'],
  ])
    expect(initialsOf(String(user))).toBe(initials);
});

test('who comes and goes is one sentence', () => {
  expect(comingWords([], [])).toBe('');
  expect(comingWords(['Mira'], [])).toBe('Mira is here.');
  expect(comingWords(['Mira', 'Jonas'], ['Nora'])).toBe('Mira and Jonas are here. Nora has left.');
  expect(comingWords([], ['A', 'B', 'C'])).toBe('A, B and C have left.');
  expect(comingWords(['A', 'B', 'C', 'D'], [])).toBe('4 people are here.');
});
