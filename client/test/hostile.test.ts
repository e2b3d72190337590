import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { problem } from '../src/transport/http/exchange.js';
import { event, FakeNetwork, joined, page, refusal } from './fake/socket.js';

// What is loaded later is loaded in time that is not faked.
await import('../src/client/me.js');

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

  const AT = '2026-11-23T10:00:00Z';
  it.each([
    { reactions: 5 },
    { reactions: 0 },
    { reactions: null },
    { reactions: [5] },
    { reactions: [{ emoji: '👍', count: 1 }] },
    { reactions: [{ emoji: '👍', count: 'many', users: ['u2'] }] },
    { reactions: [{ emoji: '👍', count: 1, users: [{}] }] },
    { reactions: [{ emoji: {}, count: 1, users: ['u2'] }] },
    { edited: true },
    { edited: 0 },
    { edited: { seq: 2 } },
    { edited: { seq: 'two', at: AT } },
    { deleted: 'by u2' },
    { deleted: { seq: 2, by: {}, at: AT } },
    { target: 'first' },
    { at: 'soon' },
  ])('takes nothing of a page with an event that has %j, and comes back (CHG-7, CHG-9)', async fields => {
    const { network, client } = setUp();
    const room = client.room('chat:a');
    room.attach();
    await pass(0);
    const { last: socket } = network;
    socket.welcome();
    socket.say(joined(socket.take('join').id, 0, 1));
    const events = [event(2, fields)];
    expect(() => socket.say({ ...page(1, 2), events })).not.toThrow();
    expect(room.messages.list.get().map(({ seq }) => seq)).toEqual([1]);
    expect(client.status.get().reason?.code).toBe('network');
    expect(client.status.get().state).toBe('reconnecting');
    await client.close();
  });

  it('shows of what users may say by convention only what has its form (CHG-11)', async () => {
    const { network, client } = setUp();
    const room = client.room('chat:a');
    room.attach();
    await pass(0);
    const { last: socket } = network;
    socket.welcome();
    const said = [
      { mentions: null, reply_to: 'first' },
      { mentions: 'ann', reply_to: { seq: 1 } },
      { mentions: [5], reply_to: -1 },
      { mentions: ['ann'], reply_to: 1 },
      null,
    ];
    const events = said.map((data, i) => event(i + 1, { data }));
    const edit = { type: 'edit', target: 4, data: { target: 4, data: { mentions: 5, reply_to: {} } } };
    const odd = { type: 'reaction', target: 1, data: { target: 1, emoji: {} } };
    socket.say(joined(socket.take('join').id, 0, 5, { page: { ...page(0, 5), events } }));
    const shown = () => room.messages.list.get().map(({ mentions, replyTo }) => [mentions, replyTo]);
    const nothing = [[], undefined];
    expect(shown()).toEqual([nothing, nothing, nothing, [['ann'], 1], nothing]);
    socket.say({ ...page(5, 7), events: [event(6, edit), event(7, odd)] });
    expect(shown()[3]).toEqual(nothing);
    expect(room.messages.list.get()[0]?.reactions).toEqual([]);
    await client.close();
  });

  it('shows a room whose last message is none without it (MEM-9)', async () => {
    const { network, client } = setUp();
    client.rooms.subscribe(() => {});
    await pass(0);
    const { last: socket } = network;
    socket.welcome();
    await pass(0);
    const rooms = [
      { room: 'chat:a', head: 4, last: event(4, { room: 'chat:a', reactions: 5 }) },
      { room: 'chat:b', head: 4, last: { seq: 4 } },
      { room: 'chat:c', head: 4, last: event(4, { room: 'chat:c' }) },
    ];
    expect(() => socket.say({ op: 'me', full: true, rooms, gone: [] })).not.toThrow();
    expect(client.rooms.get().map(({ room, last }) => [room, last?.seq])).toEqual([
      ['chat:c', 4],
      ['chat:a', undefined],
      ['chat:b', undefined],
    ]);
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
