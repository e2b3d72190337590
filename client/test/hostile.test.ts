import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { problem } from '../src/transport/http/exchange.js';
import { FakeNetwork, refusal } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const HOUR = 3_600_000;

describe('a server, or an application, that does what it should not', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  const setUp = (options = {}) => {
    const network = new FakeNetwork();
    const client = createClient({
      url: 'http://h:1',
      token: 't',
      transports: ['websocket'],
      WebSocket: network.WebSocket,
      ...options,
    });
    void client.connect();
    return { network, client };
  };

  it.each([
    [3e9, HOUR],
    [1e300, HOUR],
    ['soon', 125],
    [null, 125],
    [-5, 125],
  ])('waits a sane time where it is told to come back after %s ms', async (told, waits) => {
    const { network, client } = setUp();
    await pass(0);
    network.last.welcome();
    network.last.say(refusal({ op: 'hello' }, 'overloaded', true, { retry_after_ms: told }));
    network.last.end(4002, 'overloaded');
    expect((client.status.get().retryAt as number) - Date.now()).toBe(waits);
    await client.close();
  });

  it('takes no other wait from a problem either', () => {
    const body = { code: 'overloaded', title: 'No.', retryable: true, retry_after_ms: 'NaN' };
    expect(problem({ ok: false, status: 503, body }, 'unavailable').retry_after_ms).toBe(0);
  });

  it('sets no timer that fires at once for a ping interval beyond all timers', async () => {
    const { network, client } = setUp();
    await pass(0);
    const set = vi.spyOn(globalThis, 'setTimeout');
    network.last.accept().say('{"op":"welcome","user":"u1","ping_ms":1e999,"limits":{}}');
    expect(set.mock.calls.filter(([, ms]) => (ms as number) > 2 ** 31 - 1)).toEqual([]);
    await client.close();
  });

  it('comes back though the log of the application throws', async () => {
    const uncaught: unknown[] = [];
    vi.stubGlobal(
      'queueMicrotask',
      (task: () => void) =>
        void Promise.resolve().then(() => {
          try {
            task();
          } catch (error) {
            uncaught.push(error);
          }
        }),
    );
    const { network, client } = setUp({
      onLog: () => {
        throw new Error('the log is full');
      },
    });
    await pass(0);
    network.last.welcome();
    await pass(0);
    network.last.end();
    await pass(30_000);
    expect(network.sockets.length).toBeGreaterThan(1);
    expect(uncaught.length).toBeGreaterThan(0);
    await client.close();
    vi.unstubAllGlobals();
  });
});
