import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ClientOptions, createClient } from '../src/index.js';
import { FakeHttp, FakeLog, tokenOf } from './fake/http.js';
import { FakeNetwork } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A token that is good for so many seconds from now. */
const goodFor = (s: number) => tokenOf('u1', { exp: Date.now() / 1_000 + s });

function setUp(options: Partial<ClientOptions> = {}) {
  const network = new FakeNetwork();
  network.onDial = socket => setTimeout(() => socket.readyState === 0 && socket.welcome());
  const asked: string[] = [];
  const made: string[] = [];
  let life = 3_600;
  const client = createClient({
    url: 'http://h',
    WebSocket: network.WebSocket,
    token: async ({ reason }) => {
      asked.push(reason);
      if (life === 0) throw new Error('no network');
      made.push(goodFor(life));
      return made.at(-1) as string;
    },
    ...options,
  });
  const live = (s: number) => {
    life = s;
  };
  return { network, client, asked, made, live };
}

describe('a token that expires', () => {
  beforeEach(async () => {
    await Promise.all([
      import('../src/client/refresh.js'),
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
    ]);
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('is renewed a minute before, on the same socket (AUTH-10)', async () => {
    const { network, client, asked, made } = setUp();
    const refreshed: unknown[] = [];
    const { onDial } = network;
    network.onDial = socket => {
      onDial(socket);
      const send = socket.send.bind(socket);
      socket.send = text => {
        const frame = JSON.parse(text) as { op: string; token?: string };
        if (frame.op === 'refresh') refreshed.push(frame.token);
        send(text);
      };
    };
    void client.connect();
    await pass(0);
    const beat = setInterval(() => network.last.say({ op: 'ping' }), 10_000);
    await pass(3_530_000);
    expect(asked).toEqual(['connect']);
    await pass(20_000);
    expect(asked).toEqual(['connect', 'expired']);
    expect(refreshed).toEqual([made[1]]);
    await pass(3_540_000);
    expect(refreshed).toEqual(made.slice(1));
    expect(refreshed).toHaveLength(2);
    expect(network.sockets).toHaveLength(1);
    clearInterval(beat);
    await client.close();
    await pass(100); // what is on its way in the fake server
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is asked for again while one is left, when fetching fails; then the next connection has a fresh one (CLOSE-9)', async () => {
    const { network, client, asked, live } = setUp();
    void client.connect();
    await pass(0);
    const beat = setInterval(() => network.last.say({ op: 'ping' }), 10_000);
    live(0);
    await pass(3_600_000);
    expect(asked.slice(0, 3)).toEqual(['connect', 'expired', 'expired']);
    expect(asked.length).toBeLessThan(6);
    expect(client.status.get().state).toBe('connected');
    live(3_600);
    network.last.end(4501, 'token_expired');
    await pass(1_000);
    expect(client.status.get().state).toBe('connected');
    expect(network.sockets).toHaveLength(2);
    clearInterval(beat);
    await client.close();
  });

  it('is renewed where the function is of JavaScript, and returns or throws at once', async () => {
    const asked: string[] = [];
    const token = ({ reason }: { reason: string }) => {
      asked.push(reason);
      if (asked.length === 2) throw new Error('no network');
      return goodFor(3_600);
    };
    const { network, client } = setUp({ token: token as unknown as ClientOptions['token'] });
    void client.connect();
    await pass(0);
    const beat = setInterval(() => network.last.say({ op: 'ping' }), 10_000);
    await pass(3_600_000 + 3_550_000);
    expect(asked).toEqual(['connect', 'expired', 'expired', 'expired']);
    expect(network.sockets).toHaveLength(1);
    clearInterval(beat);
    await client.close();
  });

  it('is not asked for again after the end, nor where it says no time, nor before a time that no timer holds', async () => {
    const closed = setUp();
    void closed.client.connect();
    await pass(100);
    await closed.client.close();
    const opaque = setUp({ token: async () => 'opaque' });
    void opaque.client.connect();
    const long = setUp();
    long.live(86_400 * 60);
    void long.client.connect();
    await pass(3_600_000);
    expect(closed.asked).toEqual(['connect']);
    expect(long.asked.filter(reason => reason === 'expired')).toEqual([]);
    await opaque.client.close();
    await long.client.close();
  });

  it('over plain HTTP the requests after it have the fresh one, and the stream when it is taken up again', async () => {
    const { client, made } = setUp({ transports: ['sse'] });
    const http = new FakeHttp(new FakeLog());
    vi.stubGlobal('fetch', http.fetch);
    const room = client.room('chat:a');
    room.attach();
    await pass(3_550_000);
    expect(made).toHaveLength(2);
    void room.messages.send({ text: 'x' });
    await pass(100);
    expect(http.asked.at(-1)?.headers.authorization).toBe(`Bearer ${made[1]}`);
    for (const stream of [...http.streams]) stream.cut(); // as the server does when the first is over (AUTH-9)
    await pass(1_000);
    expect(http.asked.at(-1)).toMatchObject({
      path: '/v1/sse',
      headers: { authorization: `Bearer ${made[1]}` },
    });
    expect(client.status.get()).toMatchObject({ state: 'connected', attempt: 0 });
    await client.close();
  });
});
