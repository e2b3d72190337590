import type { Message } from 'roomlog';
import { expect, test } from 'vitest';
import type { Body } from '../src/guest/guest.ts';
import { chatRows, isUnread, keyOf, noAnchor, reanchor } from '../src/model/rows.ts';

const noon = new Date(2026, 7, 3, 12).getTime();
const minute = 60_000;

function message(
  seq: number,
  author: string,
  minutes: number,
  rest: Partial<Message<Body>> = {},
): Message<Body> {
  return {
    tag: `t${seq}`,
    seq,
    type: 'message',
    author,
    own: author === 'Mira',
    data: { text: `${seq}` },
    at: new Date(noon + minutes * minute),
    delivery: 'sent',
    error: undefined,
    edited: undefined,
    deleted: undefined,
    reactions: [],
    replyTo: undefined,
    mentions: [],
    change: undefined,
    ...rest,
  };
}

const options = { hidesFirst: false, readUpTo: null };

test('one author’s messages are a group, until another speaks or five minutes are over', () => {
  const said = [
    message(1, 'Jonas', 0),
    message(2, 'Jonas', 4),
    message(3, 'Jonas', 9),
    message(4, 'Mira', 9),
    message(5, 'Mira', 10),
  ];
  expect(chatRows(said, options).map(r => r.follows)).toEqual([false, true, false, false, true]);
});

test('a day begins with its first message, which begins a group', () => {
  const said = [message(1, 'Jonas', 0), message(2, 'Jonas', 12 * 60 - 1), message(3, 'Jonas', 12 * 60)];
  const rows = chatRows(said, options);
  expect(rows.map(r => r.newDay)).toEqual([true, false, true]);
  expect(rows[2]?.follows).toBe(false);
});

test('the first unread message of somebody else is set apart', () => {
  const said = [
    message(1, 'Jonas', 0),
    message(2, 'Mira', 1),
    message(3, 'Jonas', 1),
    message(4, 'Jonas', 1),
  ];
  const rows = chatRows(said, { hidesFirst: false, readUpTo: 1 });
  expect(rows.map(r => r.firstUnread)).toEqual([false, false, true, false]);
  expect(chatRows(said, { hidesFirst: false, readUpTo: 4 }).some(r => r.firstUnread)).toBe(false);
});

test('one’s own messages, and those that are not stored yet, are no news', () => {
  expect(isUnread(message(5, 'Mira', 0), 1)).toBe(false);
  expect(isUnread(message(5, 'Jonas', 0, { seq: null }), 1)).toBe(false);
  expect(isUnread(message(5, 'Jonas', 0), 4)).toBe(true);
});

test('no row changes when earlier messages come before it', () => {
  const all = Array.from({ length: 40 }, (_, i) => message(i + 1, i % 3 ? 'Jonas' : 'Mira', i * 50));
  const late = chatRows(all.slice(20), { hidesFirst: true, readUpTo: 30 });
  const more = chatRows(all.slice(5), { hidesFirst: true, readUpTo: 30 });
  expect(more.slice(-late.length)).toEqual(late);
  const whole = chatRows(all, { hidesFirst: false, readUpTo: 30 });
  expect(whole.slice(-more.length)).toEqual(more);
});

test('a lone message is shown although there is more before it', () => {
  expect(chatRows([message(9, 'Jonas', 0)], { hidesFirst: true, readUpTo: null })).toHaveLength(1);
});

test('rows keep their index when others come before them, or go', () => {
  const begun = reanchor(noAnchor, ['c', 'd']);
  const longer = reanchor(begun, ['a', 'b', 'c', 'd', 'e']);
  expect(longer.first).toBe(begun.first - 2);
  expect(longer.generation).toBe(begun.generation);
  const shorter = reanchor(longer, ['d', 'e', 'f']);
  expect(shorter.first).toBe(begun.first + 1);
  expect(shorter.generation).toBe(begun.generation);
});

test('a list that shares nothing with the one before is another', () => {
  const begun = reanchor(noAnchor, ['c', 'd']);
  expect(reanchor(begun, ['x', 'y']).generation).toBe(begun.generation + 1);
});

test('a tag that somebody took from another is another row', () => {
  const [mine, theirs] = [message(1, 'Mira', 0), message(2, 'Jonas', 0)].map(each => ({ ...each, tag: 't' }));
  expect(keyOf({ ...theirs, tag: 't' } as never)).not.toBe(keyOf({ ...mine, tag: 't' } as never));
  expect(keyOf({ ...mine, seq: null, author: '' } as never)).toBe(keyOf({ ...mine } as never)); // before it is known who I am
});
