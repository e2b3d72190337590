import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { FakeNetwork, joined, span } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('history', () => {
  const asked: { path: string; token: string | null }[] = [];
  let answers: (() => Response | Promise<Response>)[];

  const body = (prev: number, seq: number, fields: object = {}) =>
    Response.json({ room: 'chat:a', epoch: 'e', floor: 1, head: 9, ...span(prev, seq), ...fields });

  beforeEach(() => {
    vi.useFakeTimers();
    asked.length = 0;
    answers = [];
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      asked.push({
        path: url.replace('http://h:1', ''),
        token: new Headers(init.headers).get('authorization'),
      });
      const answer = answers.shift();
      if (!answer) throw new TypeError('fetch failed');
      return answer();
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  async function joinedAt(prev: number, seq: number) {
    const network = new FakeNetwork();
    const tokens = ['one', 'two'];
    const token = async () => tokens.shift() ?? 'three';
    const client = createClient({ url: 'http://h:1', token, WebSocket: network.WebSocket });
    const room = client.room('chat:a');
    room.attach();
    await pass(0);
    const socket = network.last.welcome();
    socket.say(joined(socket.take('join').id, prev, seq));
    const seqs = () => room.messages.list.get().map(m => m.seq);
    return { room, messages: room.messages, socket, seqs };
  }

  it('loads what is before the window until the floor, and does not count it as received (POLL-5)', async () => {
    const { room, messages, seqs } = await joinedAt(4, 6);
    const seen: number[] = [];
    room.on('event', e => seen.push(e.seq));
    expect(messages.older.get()).toMatchObject({ hasMore: true, loading: false });
    answers = [() => body(2, 4), () => body(0, 2)];
    const [first, same] = [messages.loadOlder(2), messages.loadOlder(2)];
    expect(first).toBe(same);
    expect(messages.older.get().loading).toBe(true);
    await expect(first).resolves.toEqual({ done: false });
    expect(seqs()).toEqual([3, 4, 5, 6]);
    await expect(messages.loadOlder(2)).resolves.toEqual({ done: true });
    await expect(messages.loadOlder(2)).resolves.toEqual({ done: true });
    expect(seqs()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(messages.older.get()).toEqual({ hasMore: false, loading: false, error: undefined });
    expect(asked.map(({ path }) => path)).toEqual([
      '/v1/rooms/chat%3Aa/events?before=5&limit=2',
      '/v1/rooms/chat%3Aa/events?before=3&limit=2',
    ]);
    expect(seen).toEqual([]);
  });

  it('does not put another numbering before the window', async () => {
    const { messages, socket, seqs } = await joinedAt(4, 6);
    let answer: (response: Response) => void = () => {};
    answers = [() => body(2, 4, { epoch: 'f' }), () => new Promise(resolve => (answer = resolve))];
    await messages.loadOlder();
    expect(seqs()).toEqual([5, 6]);
    const late = messages.loadOlder();
    await pass(0);
    socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'f', floor: 1, head: 8 });
    socket.say(joined(socket.take('join').id, 6, 8, { epoch: 'f', page: span(6, 8, 'f') }));
    answer(body(2, 4));
    await late;
    expect(seqs()).toEqual([7, 8]);
  });

  it('does not put a page before a window that has moved meanwhile', async () => {
    const { messages, socket, seqs } = await joinedAt(4, 6);
    let answer: (response: Response) => void = () => {};
    answers = [
      () =>
        new Promise(resolve => {
          answer = resolve;
        }),
    ];
    const late = messages.loadOlder();
    await pass(0);
    socket.say({ op: 'reset', room: 'chat:a', reason: 'too_far', epoch: 'e', floor: 1, head: 9 });
    socket.say(joined(socket.take('join').id, 7, 9));
    answer(body(2, 4));
    await late;
    expect(seqs()).toEqual([8, 9]);
    expect(messages.older.get().hasMore).toBe(true);
  });

  it('says why it failed, and can be tried again', async () => {
    const { messages, seqs } = await joinedAt(1, 2);
    await expect(messages.loadOlder()).rejects.toMatchObject({ code: 'network', retryable: true });
    expect(messages.older.get()).toMatchObject({ loading: false, error: { code: 'network' } });
    answers = [
      () =>
        Response.json(
          { code: 'rate_limited', title: 'Slow.', retryable: true, retry_after_ms: 5 },
          { status: 429 },
        ),
      () => new Response('<html>', { status: 502 }),
      () => body(0, 1),
    ];
    await expect(messages.loadOlder()).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 5 });
    await expect(messages.loadOlder()).rejects.toMatchObject({ code: 'network' });
    await expect(messages.loadOlder()).resolves.toEqual({ done: true });
    expect(messages.older.get().error).toBeUndefined();
    expect(seqs()).toEqual([1, 2]);
  });

  it('uses the token of the connection, and one fresh one when it is refused (AUTH-6)', async () => {
    const { messages } = await joinedAt(1, 2);
    const refused = () =>
      Response.json({ code: 'token_expired', title: 'Expired.', retryable: false }, { status: 401 });
    answers = [refused, refused];
    await expect(messages.loadOlder()).rejects.toMatchObject({ code: 'token_expired' });
    expect(asked.map(({ token }) => token)).toEqual(['Bearer one', 'Bearer two']);
  });

  it('reads any stretch beside the window, and goes on in its direction (POLL-1, POLL-2)', async () => {
    const { messages, seqs } = await joinedAt(8, 9);
    answers = [() => body(3, 5), () => body(5, 9), () => body(7, 9), () => body(5, 7), () => body(2, 7)];
    const after = await messages.history({ after: 3, limit: 2 });
    expect(after).toMatchObject({ hasMore: true, items: [{ seq: 4 }, { seq: 5 }] });
    expect((await after.next()).hasMore).toBe(false);
    const newest = await messages.history({ limit: 2 });
    expect((await newest.next()).items.map(m => m.seq)).toEqual([6, 7]);
    await messages.history({ around: 5 });
    expect(asked.map(({ path }) => path.split('?')[1])).toEqual([
      'after=3&limit=2',
      'after=e%3A5&limit=2',
      'before=9007199254740991&limit=2',
      'before=8&limit=2',
      'around=5',
    ]);
    expect(seqs()).toEqual([9]);
  });
});
