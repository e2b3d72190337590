import { expect, test, vi } from 'vitest';
import { ago, dayName, dayNumber, ServerClock } from '../src/model/when.ts';

const noon = new Date(2026, 7, 3, 12); // a Monday
const before = (ms: number) => new Date(noon.getTime() - ms);
const minute = 60_000;
const hour = 60 * minute;

test('how long ago: never in the future, then minutes, hours of today, and days', () => {
  const now = noon.getTime();
  expect(ago(before(-5_000), now)).toBe('just now');
  expect(ago(before(minute - 1), now)).toBe('just now');
  expect(ago(before(minute), now)).toBe('1 min. ago');
  expect(ago(before(hour - 1), now)).toBe('59 min. ago');
  expect(ago(before(hour), now)).toBe('1 hr. ago');
  expect(ago(before(12 * hour), now)).toBe('12 hr. ago');
  expect(ago(before(12 * hour + 1), now)).toBe('Yesterday');
});

test('days are those of the reader’s calendar, not of 24 hours', () => {
  const now = noon.getTime();
  expect(dayName(before(12 * hour), now)).toBe('Today');
  expect(dayName(before(12 * hour + 1), now)).toBe('Yesterday');
  expect(dayName(before(36 * hour), now)).toBe('Yesterday');
  expect(dayName(before(36 * hour + 1), now)).toMatch(/Saturday/);
  expect(dayName(new Date(2025, 11, 31), now)).toMatch(/2025/);
});

test('consecutive days have consecutive numbers, through a change of season as well', () => {
  for (let day = 1; day <= 365; day++)
    expect(dayNumber(new Date(2026, 0, day + 1)) - dayNumber(new Date(2026, 0, day, 23, 59))).toBe(1);
});

test('the server’s clock is this device’s, set right', () => {
  vi.useFakeTimers({ now: 1_000_000 });
  const clock = new ServerClock();
  expect(clock.now()).toBe(1_000_000);
  clock.set(4_600_000, 1_000_000);
  vi.advanceTimersByTime(500);
  expect(clock.now()).toBe(4_600_500);
  expect(clock.fromDevice(new Date(1_000_200)).getTime()).toBe(4_600_200);
  vi.useRealTimers();
});
