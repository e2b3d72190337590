import { afterEach, expect, test } from 'vitest';
import { addressOf, placeOf } from '../src/chat/place.ts';
import { isNumber, Kept, tableOf } from '../src/model/kept.ts';

afterEach(() => localStorage.clear());

const numbers = (kept: unknown) => tableOf(kept, isNumber);

test('what is kept is there again, and in another tab at once', () => {
  const here = new Kept('k', numbers);
  here.update(n => ({ ...n, a: 1 }));
  const again = new Kept('k', numbers);
  expect(again.get()).toEqual({ a: 1 });
  const told: unknown[] = [];
  again.subscribe(() => told.push(again.get()));
  here.update(n => ({ ...n, b: 2 }));
  dispatchEvent(new StorageEvent('storage', { key: 'k' })); // as the browser tells the other tabs
  expect(told).toEqual([{ a: 1, b: 2 }]);
});

test('a change goes on from what another tab has written meanwhile', () => {
  const here = new Kept('k', numbers);
  localStorage.setItem('k', '{"other":7}');
  here.update(n => ({ ...n, mine: 1 }));
  expect(here.get()).toEqual({ other: 7, mine: 1 });
});

test('what makes no sense is left out', () => {
  localStorage.setItem('k', '{"a":"x","b":3}');
  expect(new Kept('k', numbers).get()).toEqual({ b: 3 });
  localStorage.setItem('k', 'not JSON');
  expect(new Kept('k', numbers).get()).toEqual({});
});

test('an address names a room, and a message of it', () => {
  const at = (address: string) => placeOf(new URL(address, 'http://host/chat'));
  expect(at('?room=board:a#12')).toEqual({ room: 'board:a', jump: { seq: 12 }, count: 0, isLeft: false });
  expect(at('')).toEqual({ room: 'chat:lobby', jump: null, count: 0, isLeft: false });
  for (const hash of ['#0', '#-1', '#1x', '#1e9', `#${'9'.repeat(16)}`]) expect(at(hash).jump).toBe(null);
});

test('an address that was made is read as it was meant', () => {
  for (const room of ['chat:lobby', 'a:b.c_d-e', 'odd:&=#?']) {
    expect(placeOf(new URL(addressOf(room, 5), 'http://host/chat'))).toEqual({
      room,
      jump: { seq: 5 },
      count: 0,
      isLeft: false,
    });
    expect(placeOf(new URL(addressOf(room), 'http://host/chat')).room).toBe(room);
  }
});
