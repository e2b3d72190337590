import type { ConnectionStatus } from 'roomlog';
import { expect, test } from 'vitest';
import { clock, connectionWords, count, secondsUntil, verdictWords } from '../src/model/words.ts';

const status = (rest: Partial<ConnectionStatus>): ConnectionStatus => ({
  state: 'connected',
  reason: undefined,
  retryAt: undefined,
  rttMs: undefined,
  lastSyncedAt: undefined,
  node: undefined,
  degraded: [],
  attempt: 0,
  pendingSends: 0,
  ...rest,
});

test('the countdown is the true one, rounded up, and never negative', () => {
  expect(secondsUntil(10_000, 6_001)).toBe(4);
  expect(secondsUntil(10_000, 6_000)).toBe(4);
  expect(secondsUntil(10_000, 9_999)).toBe(1);
  expect(secondsUntil(10_000, 10_000)).toBe(0);
  expect(secondsUntil(10_000, 12_000)).toBe(0);
});

test('a clock counts whole seconds', () => {
  expect([0, 999, 7_400, 60_000, 754_000].map(clock)).toEqual(['0:00', '0:00', '0:07', '1:00', '12:34']);
  expect(clock(-5)).toBe('0:00');
});

test('nothing alarming is said before a drop is late', () => {
  const words = connectionWords(status({ state: 'reconnecting', retryAt: 9_000 }), false, 5_000);
  expect(words).toEqual({ text: 'One moment…', tone: 'quiet', canRetry: false });
});

test('a late drop says when it is tried again, and offers to at once', () => {
  const at = (retryAt: number | undefined) =>
    connectionWords(
      status({ state: 'reconnecting', ...(retryAt === undefined ? {} : { retryAt }) }),
      true,
      5_000,
    );
  expect(at(8_200)).toEqual({ text: 'Reconnecting… retrying in 4 s', tone: 'waiting', canRetry: true });
  expect(at(4_000).text).toBe('Reconnecting… trying now');
  expect(at(undefined).text).toBe('Reconnecting… trying now');
});

test('offline reads differently and says what waits', () => {
  expect(connectionWords(status({ state: 'offline' }), true, 0).text).toBe('You are offline.');
  expect(connectionWords(status({ state: 'offline', pendingSends: 1 }), true, 0).text).toBe(
    'You are offline. 1 message will be sent later.',
  );
  expect(connectionWords(status({ state: 'offline', pendingSends: 3 }), true, 0).text).toBe(
    'You are offline. 3 messages will be sent later.',
  );
});

test('every state has words', () => {
  for (const state of [
    'idle',
    'connecting',
    'connected',
    'reconnecting',
    'offline',
    'closed',
    'failed',
  ] as const) {
    for (const late of [false, true]) expect(connectionWords(status({ state }), late, 0).text).not.toBe('');
  }
});

test('the verdict', () => {
  expect(verdictWords({ others: 7, own: 2, missing: 0 })).toBe('Caught up: 7 new, 2 sent, nothing missing.');
  expect(verdictWords({ others: 0, own: 0, missing: 1 })).toBe('Caught up: 0 new, 0 sent, 1 missing.');
});

test('numbers and nouns agree', () => {
  expect([0, 1, 2].map(n => count(n, 'message'))).toEqual(['0 messages', '1 message', '2 messages']);
});
