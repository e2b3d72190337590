import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import '../src/transport/fallback.js'; // loaded when it is needed, which takes no time here
import { Ladder } from '../src/transport/ladder.js';
import type { LinkEvents } from '../src/transport/transport.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('comes back ever more rarely to a transport that opens and then carries nothing', async () => {
  const downs: number[] = [];
  const mute = (events: LinkEvents) => {
    const timer = setTimeout(() => events.open(), 10);
    return { send: () => {}, drop: () => clearTimeout(timer) };
  };
  const good = (events: LinkEvents) => {
    const timer = setTimeout(() => events.message('hi'), 10);
    return { send: () => {}, drop: () => clearTimeout(timer) };
  };
  const ladder = new Ladder({
    rungs: [
      { name: 'websocket', transport: { dial: mute } },
      { name: 'sse', transport: { dial: good } },
    ],
    http: { api: '', fetch: async () => new Response() },
    log: (_, { to }) => to === 'sse' && downs.push(performance.now()),
  });
  const dial = () => {
    ladder.dial({ open: () => {}, message: () => {}, closed: () => void setTimeout(dial, 100) });
  };
  dial();
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(600_000);
  const between = downs.slice(1).map((at, i) => Math.round((at - (downs[i] as number)) / 10_000) * 10);
  expect(between.slice(0, 4)).toEqual([30, 60, 120, 240].map(s => Math.round((s + 4) / 10) * 10));
});
