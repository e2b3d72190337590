import type { Marks } from 'roomlog';
import { expect, test } from 'vitest';
import { tickOf } from '../src/model/ticks.ts';

const named = (...users: [user: string, delivered: number, read: number][]): Marks => ({
  users: users.map(([user, delivered, read]) => ({ user, delivered, read })),
  delivered: { any: Math.max(0, ...users.map(u => u[1])), all: 0 },
  read: { any: Math.max(0, ...users.map(u => u[2])), all: 0 },
});
const counted = (any: number, all: number): Marks => ({
  users: [],
  delivered: { any, all: 0 },
  read: { any, all },
});

test.each([
  ['queued', null, named(), 'queued', 'queued'],
  ['failed', null, named(), 'failed', 'failed'],
  ['sent', 5, named(), 'sent', 'sent'],
  ['sent', 5, named(['Jonas', 4, 4]), 'sent', 'sent'],
  ['sent', 5, named(['Jonas', 5, 4]), 'delivered', 'delivered'],
  ['sent', 5, named(['Jonas', 9, 5]), 'read', 'Read by Jonas'],
  ['sent', 5, named(['Jonas', 9, 9], ['Nora', 9, 4], ['Ada', 5, 5]), 'read', 'Read by Jonas and Ada'],
  ['sent', 5, counted(5, 4), 'read', 'Read by some'],
  ['sent', 5, counted(9, 5), 'read', 'Read by all'],
  ['sent', 5, counted(4, 0), 'sent', 'sent'],
] as const)('a message that is %s at %s', (delivery, seq, marks, state, words) => {
  expect(tickOf({ delivery, seq }, marks)).toEqual({ state, words });
});
