import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pointers } from '../src/cursors/pointers.ts';

let pointers: Pointers;
let layers: Record<'frame' | 'area' | 'edge', HTMLElement>;

beforeEach(() => {
  vi.useFakeTimers();
  const frame = document.createElement('div');
  layers = { frame, area: document.createElement('div'), edge: document.createElement('div') };
  document.body.replaceChildren(...Object.values(layers));
  pointers = new Pointers(layers, 'Mira');
});
afterEach(() => {
  pointers.end();
  vi.useRealTimers();
});

const says = (user: string, data: unknown, connection = `${user} 1`) =>
  pointers.take({ user, connection, type: 'cursor', key: '', data });
const drawn = () =>
  [...layers.area.querySelectorAll<HTMLElement>('.pointer')].map(
    ({ dataset, textContent }) => `${textContent}: ${dataset.state}`,
  );

test('a still pointer grows pale and stays, also when its place is said again', () => {
  says('Jonas', { x: 0.1, y: 0.1 });
  vi.advanceTimersByTime(9_000);
  expect(drawn()).toEqual(['Jonas: moving']);
  vi.advanceTimersByTime(3_000);
  expect(drawn()).toEqual(['Jonas: idle']);
  says('Jonas', { x: 0.1, y: 0.1 }); // after a reconnect
  expect(drawn()).toEqual(['Jonas: idle']);
  vi.advanceTimersByTime(3_600_000);
  expect(drawn()).toEqual(['Jonas: idle']);
  says('Jonas', { x: 0.2, y: 0.1 });
  expect(drawn()).toEqual(['Jonas: moving']);
});

test('a pointer whose connection ended stays while its person is here, and goes with them', () => {
  pointers.keep(new Set(['Jonas']));
  says('Jonas', { x: 0.1, y: 0.1 });
  says('Jonas', null);
  expect(drawn()).toEqual(['Jonas: away']);
  says('Jonas', { x: 0.1, y: 0.1 }, 'Jonas 2'); // is back
  expect(drawn()).toEqual(['Jonas: moving']);
  pointers.keep(new Set()); // presence may be late, or not named in a large room
  expect(drawn()).toEqual(['Jonas: moving']);
  says('Jonas', null, 'Jonas 2');
  expect(drawn()).toEqual([]);
});

test('a person with two windows has one pointer: the one that moved last', () => {
  says('Jonas', { x: 0.1, y: 0.1 }, 'first');
  says('Jonas', { x: 0.9, y: 0.9 }, 'second');
  says('Jonas', null, 'first');
  expect(drawn()).toEqual(['Jonas: moving']);
  says('Jonas', null, 'second');
  expect(drawn()).toEqual([]);
});

test('what is no place moves nothing, and a name is only ever text', () => {
  says('Jonas', { x: 'left' });
  expect(drawn()).toEqual([]);
  says('<b>Jonas</b>', { x: 0, y: 0 });
  expect(drawn()).toEqual(['<b>Jonas</b>: moving']);
  expect(layers.area.querySelector('b')).toBeNull();
  says('Mira', { x: 0, y: 0 });
  expect(drawn()[1]).toBe('You, elsewhere: moving');
});
